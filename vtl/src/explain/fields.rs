//! The fields of the CDBs that tape drives and media changers take (SSC-5, SMC-3, SPC-5): what the command tables do not say, which know
//! only which bits a device looks at. A test holds this against them.

use super::form::{Field, Form, Kind};
use super::meanings::{
    BUFFER_MODES, ELEMENT_TYPES, LOG_CONTROLS, LOG_PAGES, MODE_PAGES, PAGE_CONTROLS,
    RESERVATION_TYPES, SECURITY_PAGES, SPACE_CODES, VITAL_PAGES,
};

/// The form of this CDB for a kind of device, if it is known.
pub(super) fn form(kind: Kind, cdb: &[u8]) -> Option<&'static Form> {
    let code = *cdb.first()?;
    let service_action = cdb.get(1).map(|byte| byte & 0x1f);
    FORMS.iter().find(|form| {
        form.code == code
            && form.kind.is_none_or(|own| own == kind)
            && (form.service_action.is_none() || form.service_action == service_action)
    })
}

const fn f(name: &'static str, byte: u8, bit: u8, bits: u8) -> Field {
    w(name, byte, bit, bits, &[])
}

const fn w(
    name: &'static str,
    byte: u8,
    bit: u8,
    bits: u8,
    words: &'static [(u64, &'static str)],
) -> Field {
    Field { name, byte, bit, bits, words }
}

const fn both(code: u8, name: &'static str, fields: &'static [Field]) -> Form {
    Form { kind: None, code, service_action: None, name, fields }
}

const fn drive(code: u8, name: &'static str, fields: &'static [Field]) -> Form {
    Form { kind: Some(Kind::Drive), code, service_action: None, name, fields }
}

const fn changer(code: u8, name: &'static str, fields: &'static [Field]) -> Form {
    Form { kind: Some(Kind::Changer), code, service_action: None, name, fields }
}

const fn action(code: u8, action: u8, name: &'static str, fields: &'static [Field]) -> Form {
    Form { kind: None, code, service_action: Some(action), name, fields }
}

const IMMED: Field = f("IMMED", 1, 0, 1);
const FIXED: Field = f("FIXED", 1, 0, 1);
const OBJECT: Field = f("LOGICAL OBJECT IDENTIFIER", 4, 7, 64);
const PARTITION: Field = f("PARTITION", 3, 7, 8);
const SPACE_CODE: Field = w("CODE", 1, 3, 4, SPACE_CODES);
const ALLOCATION_4: Field = f("ALLOCATION LENGTH", 6, 7, 32);
const ALLOCATION_2: Field = f("ALLOCATION LENGTH", 7, 7, 16);
const LIST_4: Field = f("PARAMETER LIST LENGTH", 6, 7, 32);
const LIST_2: Field = f("PARAMETER LIST LENGTH", 7, 7, 16);
const PAGE_CONTROL: Field = w("PC", 2, 7, 2, PAGE_CONTROLS);
const LOG_CONTROL: Field = w("PC", 2, 7, 2, LOG_CONTROLS);
const MODE_PAGE: Field = w("PAGE CODE", 2, 5, 6, MODE_PAGES);
const LOG_PAGE: Field = w("PAGE CODE", 2, 5, 6, LOG_PAGES);
const SUBPAGE: Field = f("SUBPAGE CODE", 3, 7, 8);
const PROTOCOL: Field =
    w("SECURITY PROTOCOL", 1, 7, 8, &[(0, "information"), (0x20, "tape data encryption")]);
const PROTOCOL_PAGE: Field = w("SECURITY PROTOCOL SPECIFIC", 2, 7, 16, SECURITY_PAGES);
const INC_512: Field = f("INC_512", 4, 7, 1);
const RANGE: &[Field] = &[
    f("FAST", 1, 1, 1),
    f("RANGE", 1, 0, 1),
    f("STARTING ELEMENT ADDRESS", 2, 7, 16),
    f("NUMBER OF ELEMENTS", 6, 7, 16),
];
const PR_OUT: &[Field] = &[
    f("SCOPE", 2, 7, 4),
    w("TYPE", 2, 3, 4, RESERVATION_TYPES),
    f("PARAMETER LIST LENGTH", 5, 7, 32),
];
const PR_IN: &[Field] = &[ALLOCATION_2];

/// In the order of their codes.
pub(super) const FORMS: &[Form] = &[
    both(0x00, "TEST UNIT READY", &[]),
    drive(0x01, "REWIND", &[IMMED]),
    both(0x03, "REQUEST SENSE", &[f("DESC", 1, 0, 1), f("ALLOCATION LENGTH", 4, 7, 8)]),
    drive(
        0x04,
        "FORMAT MEDIUM",
        &[
            f("VERIFY", 1, 1, 1),
            IMMED,
            w(
                "FORMAT",
                2,
                3,
                4,
                &[(0, "default"), (1, "partition"), (2, "default format, then partition")],
            ),
            f("TRANSFER LENGTH", 3, 7, 16),
        ],
    ),
    drive(0x05, "READ BLOCK LIMITS", &[f("MLOI", 1, 0, 1)]),
    changer(0x07, "INITIALIZE ELEMENT STATUS", &[]),
    drive(0x08, "READ(6)", &[f("SILI", 1, 1, 1), FIXED, f("TRANSFER LENGTH", 2, 7, 24)]),
    drive(0x0a, "WRITE(6)", &[FIXED, f("TRANSFER LENGTH", 2, 7, 24)]),
    drive(0x0b, "SET CAPACITY", &[IMMED, f("CAPACITY PROPORTION VALUE", 3, 7, 16)]),
    drive(
        0x0f,
        "READ REVERSE(6)",
        &[f("BYTORD", 1, 2, 1), f("SILI", 1, 1, 1), FIXED, f("TRANSFER LENGTH", 2, 7, 24)],
    ),
    drive(0x10, "WRITE FILEMARKS(6)", &[f("WSMK", 1, 1, 1), IMMED, f("FILEMARK COUNT", 2, 7, 24)]),
    drive(0x11, "SPACE(6)", &[SPACE_CODE, f("COUNT", 2, 7, 24)]),
    both(
        0x12,
        "INQUIRY",
        &[
            f("EVPD", 1, 0, 1),
            w("PAGE CODE", 2, 7, 8, VITAL_PAGES),
            f("ALLOCATION LENGTH", 3, 7, 16),
        ],
    ),
    drive(
        0x13,
        "VERIFY(6)",
        &[
            f("VTE", 1, 5, 1),
            f("VLBPM", 1, 4, 1),
            f("VBF", 1, 3, 1),
            f("IMMED", 1, 2, 1),
            f("BYTCMP", 1, 1, 1),
            FIXED,
            f("VERIFICATION LENGTH", 2, 7, 24),
        ],
    ),
    drive(
        0x14,
        "RECOVER BUFFERED DATA",
        &[f("SILI", 1, 1, 1), FIXED, f("TRANSFER LENGTH", 2, 7, 24)],
    ),
    both(
        0x15,
        "MODE SELECT(6)",
        &[
            f("PF", 1, 4, 1),
            f("RTD", 1, 1, 1),
            f("SP", 1, 0, 1),
            f("PARAMETER LIST LENGTH", 4, 7, 8),
        ],
    ),
    both(0x16, "RESERVE(6)", &[]),
    both(0x17, "RELEASE(6)", &[]),
    drive(0x19, "ERASE(6)", &[f("IMMED", 1, 1, 1), f("LONG", 1, 0, 1)]),
    both(
        0x1a,
        "MODE SENSE(6)",
        &[f("DBD", 1, 3, 1), PAGE_CONTROL, MODE_PAGE, SUBPAGE, f("ALLOCATION LENGTH", 4, 7, 8)],
    ),
    drive(
        0x1b,
        "LOAD UNLOAD",
        &[
            IMMED,
            f("HOLD", 4, 3, 1),
            f("EOT", 4, 2, 1),
            f("RETEN", 4, 1, 1),
            w("LOAD", 4, 0, 1, &[(0, "unload"), (1, "load")]),
        ],
    ),
    changer(
        0x1b,
        "OPEN/CLOSE IMPORT/EXPORT ELEMENT",
        &[f("ELEMENT ADDRESS", 2, 7, 16), w("ACTION CODE", 4, 4, 5, &[(0, "open"), (1, "close")])],
    ),
    both(
        0x1c,
        "RECEIVE DIAGNOSTIC RESULTS",
        &[f("PCV", 1, 0, 1), f("PAGE CODE", 2, 7, 8), f("ALLOCATION LENGTH", 3, 7, 16)],
    ),
    both(
        0x1d,
        "SEND DIAGNOSTIC",
        &[
            f("SELF-TEST CODE", 1, 7, 3),
            f("PF", 1, 4, 1),
            f("SELFTEST", 1, 2, 1),
            f("DEVOFFL", 1, 1, 1),
            f("UNITOFFL", 1, 0, 1),
            f("PARAMETER LIST LENGTH", 3, 7, 16),
        ],
    ),
    both(
        0x1e,
        "PREVENT ALLOW MEDIUM REMOVAL",
        &[w("PREVENT", 4, 1, 2, &[(0, "allow"), (1, "prevent")])],
    ),
    drive(
        0x2b,
        "LOCATE(10)",
        &[
            f("BT", 1, 2, 1),
            f("CP", 1, 1, 1),
            IMMED,
            f("LOGICAL OBJECT IDENTIFIER", 3, 7, 32),
            f("PARTITION", 8, 7, 8),
        ],
    ),
    changer(
        0x2b,
        "POSITION TO ELEMENT",
        &[
            f("MEDIUM TRANSPORT ADDRESS", 2, 7, 16),
            f("DESTINATION ELEMENT ADDRESS", 4, 7, 16),
            f("INVERT", 8, 0, 1),
        ],
    ),
    drive(
        0x34,
        "READ POSITION",
        &[
            w(
                "SERVICE ACTION",
                1,
                4,
                5,
                &[(0, "short form"), (1, "short form"), (6, "long form"), (8, "extended form")],
            ),
            ALLOCATION_2,
        ],
    ),
    changer(0x37, "INITIALIZE ELEMENT STATUS WITH RANGE", RANGE),
    both(
        0x3b,
        "WRITE BUFFER",
        &[
            f("MODE SPECIFIC", 1, 7, 3),
            w("MODE", 1, 4, 5, BUFFER_MODES),
            f("BUFFER ID", 2, 7, 8),
            f("BUFFER OFFSET", 3, 7, 24),
            f("PARAMETER LIST LENGTH", 6, 7, 24),
        ],
    ),
    both(
        0x3c,
        "READ BUFFER",
        &[
            f("MODE SPECIFIC", 1, 7, 3),
            w("MODE", 1, 4, 5, BUFFER_MODES),
            f("BUFFER ID", 2, 7, 8),
            f("BUFFER OFFSET", 3, 7, 24),
            f("ALLOCATION LENGTH", 6, 7, 24),
        ],
    ),
    drive(
        0x44,
        "REPORT DENSITY SUPPORT",
        &[f("MEDIUM TYPE", 1, 1, 1), f("MEDIA", 1, 0, 1), ALLOCATION_2],
    ),
    both(
        0x4c,
        "LOG SELECT",
        &[f("PCR", 1, 1, 1), f("SP", 1, 0, 1), LOG_CONTROL, LOG_PAGE, SUBPAGE, LIST_2],
    ),
    both(
        0x4d,
        "LOG SENSE",
        &[
            f("PPC", 1, 1, 1),
            f("SP", 1, 0, 1),
            LOG_CONTROL,
            LOG_PAGE,
            SUBPAGE,
            f("PARAMETER POINTER", 5, 7, 16),
            ALLOCATION_2,
        ],
    ),
    both(0x55, "MODE SELECT(10)", &[f("PF", 1, 4, 1), f("RTD", 1, 1, 1), f("SP", 1, 0, 1), LIST_2]),
    both(0x56, "RESERVE(10)", &[]),
    both(0x57, "RELEASE(10)", &[]),
    both(
        0x5a,
        "MODE SENSE(10)",
        &[f("LLBAA", 1, 4, 1), f("DBD", 1, 3, 1), PAGE_CONTROL, MODE_PAGE, SUBPAGE, ALLOCATION_2],
    ),
    both(0x5e, "PERSISTENT RESERVE IN", PR_IN),
    both(0x5f, "PERSISTENT RESERVE OUT", PR_OUT),
    drive(
        0x80,
        "WRITE FILEMARKS(16)",
        &[
            f("FCS", 1, 3, 1),
            f("LCS", 1, 2, 1),
            IMMED,
            PARTITION,
            OBJECT,
            f("FILEMARK COUNT", 12, 7, 24),
        ],
    ),
    drive(
        0x81,
        "READ REVERSE(16)",
        &[
            f("BYTORD", 1, 2, 1),
            f("SILI", 1, 1, 1),
            FIXED,
            PARTITION,
            OBJECT,
            f("TRANSFER LENGTH", 12, 7, 24),
        ],
    ),
    drive(0x82, "ALLOW OVERWRITE", &[f("ALLOW OVERWRITE", 2, 3, 4), PARTITION, OBJECT]),
    drive(
        0x88,
        "READ(16)",
        &[f("SILI", 1, 1, 1), FIXED, PARTITION, OBJECT, f("TRANSFER LENGTH", 12, 7, 24)],
    ),
    drive(
        0x8a,
        "WRITE(16)",
        &[
            f("FCS", 1, 3, 1),
            f("LCS", 1, 2, 1),
            FIXED,
            PARTITION,
            OBJECT,
            f("TRANSFER LENGTH", 12, 7, 24),
        ],
    ),
    both(
        0x8c,
        "READ ATTRIBUTE",
        &[
            w(
                "SERVICE ACTION",
                1,
                4,
                5,
                &[
                    (0, "values"),
                    (1, "list"),
                    (2, "logical volume list"),
                    (3, "partition list"),
                    (5, "supported"),
                ],
            ),
            f("LOGICAL VOLUME NUMBER", 5, 7, 8),
            f("PARTITION NUMBER", 7, 7, 8),
            f("FIRST ATTRIBUTE IDENTIFIER", 8, 7, 16),
            f("ALLOCATION LENGTH", 10, 7, 32),
            f("CACHE", 14, 0, 1),
        ],
    ),
    both(
        0x8d,
        "WRITE ATTRIBUTE",
        &[
            f("WTC", 1, 0, 1),
            f("LOGICAL VOLUME NUMBER", 5, 7, 8),
            f("PARTITION NUMBER", 7, 7, 8),
            f("PARAMETER LIST LENGTH", 10, 7, 32),
        ],
    ),
    drive(
        0x8f,
        "VERIFY(16)",
        &[
            f("VTE", 1, 5, 1),
            f("VLBPM", 1, 4, 1),
            f("VBF", 1, 3, 1),
            f("IMMED", 1, 2, 1),
            f("BYTCMP", 1, 1, 1),
            FIXED,
            PARTITION,
            OBJECT,
            f("VERIFICATION LENGTH", 12, 7, 24),
        ],
    ),
    drive(
        0x91,
        "SPACE(16)",
        &[SPACE_CODE, f("COUNT", 4, 7, 64), f("PARAMETER LIST LENGTH", 12, 7, 16)],
    ),
    drive(
        0x92,
        "LOCATE(16)",
        &[
            w("DEST_TYPE", 1, 5, 3, &[(0, "object"), (1, "file"), (3, "end of data")]),
            f("CP", 1, 1, 1),
            IMMED,
            f("BAM", 2, 0, 1),
            PARTITION,
            f("LOGICAL IDENTIFIER", 4, 7, 64),
        ],
    ),
    drive(
        0x93,
        "ERASE(16)",
        &[
            f("FCS", 1, 3, 1),
            f("LCS", 1, 2, 1),
            f("IMMED", 1, 1, 1),
            f("LONG", 1, 0, 1),
            PARTITION,
            OBJECT,
        ],
    ),
    both(0xa0, "REPORT LUNS", &[f("SELECT REPORT", 2, 7, 8), ALLOCATION_4]),
    both(0xa2, "SECURITY PROTOCOL IN", &[PROTOCOL, PROTOCOL_PAGE, INC_512, ALLOCATION_4]),
    action(0xa3, 0x05, "REPORT DEVICE IDENTIFIER", &[ALLOCATION_4]),
    action(
        0xa3,
        0x0c,
        "REPORT SUPPORTED OPERATION CODES",
        &[
            f("RCTD", 2, 7, 1),
            f("REPORTING OPTIONS", 2, 2, 3),
            f("REQUESTED OPERATION CODE", 3, 7, 8),
            f("REQUESTED SERVICE ACTION", 4, 7, 16),
            ALLOCATION_4,
        ],
    ),
    action(
        0xa3,
        0x0d,
        "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        &[f("REPD", 2, 7, 1), ALLOCATION_4],
    ),
    action(0xa3, 0x0f, "REPORT TIMESTAMP", &[ALLOCATION_4]),
    action(
        0xa3,
        0x1d,
        "RECEIVE RECOMMENDED ACCESS ORDER",
        &[
            f("UDS LIMITS", 1, 7, 1),
            f("RAO LIST OFFSET", 2, 7, 32),
            ALLOCATION_4,
            f("UDS TYPE", 10, 2, 3),
        ],
    ),
    action(0xa4, 0x06, "SET DEVICE IDENTIFIER", &[LIST_4]),
    action(0xa4, 0x0f, "SET TIMESTAMP", &[LIST_4]),
    action(
        0xa4,
        0x1d,
        "GENERATE RECOMMENDED ACCESS ORDER",
        &[f("PROCESS", 2, 2, 3), f("UDS TYPE", 3, 2, 3), LIST_4],
    ),
    action(0xab, 0x01, "READ MEDIA SERIAL NUMBER", &[ALLOCATION_4]),
    changer(
        0xa5,
        "MOVE MEDIUM",
        &[
            f("MEDIUM TRANSPORT ADDRESS", 2, 7, 16),
            f("SOURCE ADDRESS", 4, 7, 16),
            f("DESTINATION ADDRESS", 6, 7, 16),
            f("INVERT", 10, 0, 1),
        ],
    ),
    changer(
        0xa6,
        "EXCHANGE MEDIUM",
        &[
            f("MEDIUM TRANSPORT ADDRESS", 2, 7, 16),
            f("SOURCE ADDRESS", 4, 7, 16),
            f("FIRST DESTINATION ADDRESS", 6, 7, 16),
            f("SECOND DESTINATION ADDRESS", 8, 7, 16),
            f("INV1", 10, 1, 1),
            f("INV2", 10, 0, 1),
        ],
    ),
    drive(
        0xb5,
        "SECURITY PROTOCOL OUT",
        &[PROTOCOL, PROTOCOL_PAGE, INC_512, f("TRANSFER LENGTH", 6, 7, 32)],
    ),
    changer(
        0xb5,
        "REQUEST VOLUME ELEMENT ADDRESS",
        &[
            f("VOLTAG", 1, 4, 1),
            w("ELEMENT TYPE CODE", 1, 3, 4, ELEMENT_TYPES),
            f("STARTING ELEMENT ADDRESS", 2, 7, 16),
            f("NUMBER OF ELEMENTS", 4, 7, 16),
            f("ALLOCATION LENGTH", 7, 7, 24),
        ],
    ),
    changer(
        0xb6,
        "SEND VOLUME TAG",
        &[
            w("ELEMENT TYPE CODE", 1, 3, 4, ELEMENT_TYPES),
            f("STARTING ELEMENT ADDRESS", 2, 7, 16),
            f("SEND ACTION CODE", 5, 4, 5),
            f("PARAMETER LIST LENGTH", 8, 7, 16),
        ],
    ),
    changer(
        0xb8,
        "READ ELEMENT STATUS",
        &[
            f("VOLTAG", 1, 4, 1),
            w("ELEMENT TYPE CODE", 1, 3, 4, ELEMENT_TYPES),
            f("STARTING ELEMENT ADDRESS", 2, 7, 16),
            f("NUMBER OF ELEMENTS", 4, 7, 16),
            f("CURDATA", 6, 1, 1),
            f("DVCID", 6, 0, 1),
            f("ALLOCATION LENGTH", 7, 7, 24),
        ],
    ),
    changer(0xe7, "INITIALIZE ELEMENT STATUS WITH RANGE (vendor's code)", RANGE),
];
