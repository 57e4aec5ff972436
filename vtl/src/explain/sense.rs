//! Sense data in words.

use serde_json::{Value, json};
use vtl_scsi::sense::{Sense, SenseFormat};

use super::{advice, codes};

/// The names of the sense keys (SPC-5 §4.4.7), by their number.
pub(super) const KEYS: [&str; 16] = [
    "NO SENSE",
    "RECOVERED ERROR",
    "NOT READY",
    "MEDIUM ERROR",
    "HARDWARE ERROR",
    "ILLEGAL REQUEST",
    "UNIT ATTENTION",
    "DATA PROTECT",
    "BLANK CHECK",
    "VENDOR SPECIFIC",
    "COPY ABORTED",
    "ABORTED COMMAND",
    "RESERVED",
    "VOLUME OVERFLOW",
    "MISCOMPARE",
    "COMPLETED",
];

const NO_SENSE: u8 = 0x0;
const RECOVERED_ERROR: u8 = 0x1;
const NOT_READY: u8 = 0x2;
const HARDWARE_ERROR: u8 = 0x4;
const ILLEGAL_REQUEST: u8 = 0x5;

/// What sense data says, in whichever form it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// `None` where only key and code are known.
    pub(super) format: Option<&'static str>,
    pub(super) is_deferred: bool,
    pub(super) key: u8,
    pub(super) code: u8,
    pub(super) qualifier: u8,
    pub(super) filemark: bool,
    pub(super) eom: bool,
    pub(super) ili: bool,
    pub(super) information: Option<i64>,
    pub(super) command_specific: Option<u64>,
    /// The sense key specific field, if it is valid.
    pub(super) specific: Option<[u8; 3]>,
}

impl View {
    /// Key and code alone.
    pub(super) fn of_codes(key: u8, code: u8, qualifier: u8) -> Self {
        Self { key, code, qualifier, ..Self::default() }
    }

    /// What a device has said.
    pub(crate) fn of(sense: &Sense) -> Self {
        // The descriptors have room for everything.
        Self::parse(&sense.encode(SenseFormat::Descriptor)).unwrap_or_default()
    }

    /// Sense data as it comes over the wire; `None` if it is none, or is cut off before the key.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (format, is_deferred) = match bytes.first()? & 0x7f {
            0x70 => ("fixed", false),
            0x71 => ("fixed", true),
            0x72 => ("descriptor", false),
            0x73 => ("descriptor", true),
            _ => return None,
        };
        let mut view = Self { format: Some(format), is_deferred, ..Self::default() };
        let is_whole = match format {
            "fixed" => view.take_fixed(bytes),
            _ => view.take_descriptors(bytes),
        };
        is_whole.then_some(view)
    }

    // SPC-5 §4.4.3.
    fn take_fixed(&mut self, bytes: &[u8]) -> bool {
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        self.take_stream_bits(at(2));
        self.key = at(2) & 0x0f;
        (self.code, self.qualifier) = (at(12), at(13));
        if let Some([valid, _, _, first, second, third, fourth]) = bytes.first_chunk()
            && valid & 0x80 != 0
        {
            let word = [*first, *second, *third, *fourth];
            // A block that was too long has a negative residual; other counts use all of the bits.
            self.information = Some(if self.ili {
                i32::from_be_bytes(word).into()
            } else {
                u32::from_be_bytes(word).into()
            });
        }
        let specific = bytes.get(8..12).and_then(|word| word.try_into().ok());
        self.command_specific =
            specific.map(|word| u32::from_be_bytes(word).into()).filter(|word| *word != 0);
        self.take_specific(bytes.get(15..18));
        bytes.len() > 2
    }

    // SPC-5 §4.4.2: descriptors of a type, a length and that many bytes.
    fn take_descriptors(&mut self, bytes: &[u8]) -> bool {
        let &[_, key, code, qualifier, ..] = bytes else { return false };
        (self.key, self.code, self.qualifier) = (key & 0x0f, code, qualifier);
        let mut rest = bytes.get(8..).unwrap_or_default();
        while let [kind, length, more @ ..] = rest {
            let Some((body, behind)) = more.split_at_checked(usize::from(*length)) else { break };
            let eight = || body.get(2..10).and_then(|word| word.try_into().ok());
            match kind {
                0x00 => self.information = eight().map(i64::from_be_bytes),
                0x01 => self.command_specific = eight().map(u64::from_be_bytes),
                0x02 => self.take_specific(body.get(2..5)),
                0x04 => self.take_stream_bits(body.get(1).copied().unwrap_or(0)),
                _ => {}
            }
            rest = behind;
        }
        true
    }

    fn take_stream_bits(&mut self, byte: u8) {
        self.filemark = byte & 0x80 != 0;
        self.eom = byte & 0x40 != 0;
        self.ili = byte & 0x20 != 0;
    }

    fn take_specific(&mut self, bytes: Option<&[u8]>) {
        let specific = bytes.and_then(|bytes| bytes.try_into().ok());
        self.specific = specific.filter(|[first, ..]: &[u8; 3]| first & 0x80 != 0);
    }

    /// Key, code and qualifier as they are written.
    pub(crate) fn triple(&self) -> String {
        format!("{:X}/{:02X}/{:02X}", self.key, self.code, self.qualifier)
    }

    fn key_name(&self) -> &'static str {
        KEYS.get(usize::from(self.key)).copied().unwrap_or("RESERVED")
    }

    /// Which field an ILLEGAL REQUEST is about, or how far an operation is (SPC-5 §4.4.2.4).
    fn specific_in_words(&self) -> Option<String> {
        let [first, high, low] = self.specific?;
        let number = u16::from_be_bytes([high, low]);
        match self.key {
            ILLEGAL_REQUEST => {
                let of = if first & 0x40 != 0 { "CDB" } else { "parameter list" };
                let bit = if first & 0x08 != 0 {
                    format!(" bit {}", first & 0x07)
                } else {
                    String::new()
                };
                Some(format!("byte {number}{bit} of the {of}"))
            }
            NO_SENSE | NOT_READY => Some(format!("{} % done", u32::from(number) * 100 / (1 << 16))),
            RECOVERED_ERROR..=HARDWARE_ERROR => Some(format!("{number} retries")),
            _ => None,
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |is_so: bool, text: &str| {
            if is_so {
                notes.push(text.to_owned());
            }
        };
        note(
            self.is_deferred,
            "deferred: this is about an earlier command, which was answered GOOD",
        );
        note(self.filemark, "FILEMARK: a filemark was met, and the position is behind it");
        note(self.eom, "EOM: the end of the medium, its early warning or its beginning was met");
        note(self.ili, "ILI: the block has another length than was asked for");
        if let Some(count) = self.information {
            notes.push(match (self.ili, count) {
                (true, ..0) => format!(
                    "INFORMATION {count}: the block is longer than what was asked for by {}",
                    count.unsigned_abs()
                ),
                (true, _) => format!(
                    "INFORMATION {count}: so many bytes (or blocks with FIXED) fewer than asked for"
                ),
                _ => format!("INFORMATION {count}: so much of what was asked for was not done"),
            });
        }
        notes
    }

    /// Everything, field by field.
    pub(super) fn describe(&self) -> Value {
        json!({
            "kind": "sense",
            "sense": self.triple(),
            "format": self.format,
            "key": self.key_name(),
            "condition": codes::words(self.code, self.qualifier),
            "deferred": self.is_deferred,
            "filemark": self.filemark,
            "end_of_medium": self.eom,
            "incorrect_length": self.ili,
            "information": self.information,
            "command_specific": self.command_specific,
            "field": self.specific_in_words(),
            "notes": self.notes().join("; "),
            "next": advice::next(self.key, self.code, self.qualifier),
        })
    }

    /// What matters of it, in one line.
    pub(crate) fn line(&self) -> String {
        let mut text = format!(
            "{} {}: {}",
            self.triple(),
            self.key_name(),
            codes::words(self.code, self.qualifier)
        );
        if self.is_deferred {
            text += ", deferred";
        }
        let flags = [(self.filemark, "FILEMARK"), (self.eom, "EOM"), (self.ili, "ILI")];
        for (_, name) in flags.iter().filter(|(is_set, _)| *is_set) {
            text = format!("{text}, {name}");
        }
        if let Some(count) = self.information {
            text = format!("{text}, INFORMATION {count}");
        }
        if let Some(words) = self.specific_in_words() {
            text = format!("{text}, {words}");
        }
        text
    }

    /// What to do next, where there is something to say.
    pub(crate) fn next(&self) -> Option<&'static str> {
        advice::next(self.key, self.code, self.qualifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let all = [
            Sense::incorrect_length(-512),
            Sense::incorrect_length(512),
            Sense::filemark_detected(3),
            Sense::invalid_field_in_cdb(4, Some(1)),
            Sense::invalid_field_in_parameter_list(260, None),
            Sense::write_error().deferred(),
            Sense::end_of_data().with_eom(),
            Sense::unable_to_decrypt_data(),
        ];
        for sense in all {
            let fixed = View::parse(&sense.encode(SenseFormat::Fixed)).unwrap();
            let descriptor = View::parse(&sense.encode(SenseFormat::Descriptor)).unwrap();
            assert_eq!((fixed.format, descriptor.format), (Some("fixed"), Some("descriptor")));
            assert_eq!(View { format: None, ..fixed }, View { format: None, ..descriptor });
            assert_eq!((fixed.key, fixed.code), (sense.key as u8, sense.asc.code()));
            assert_eq!(fixed.information, sense.information);
        }
    }

    #[test]
    fn a_line_says_which_field_is_meant() {
        let line = View::of(&Sense::invalid_field_in_cdb(4, Some(1))).line();
        assert_eq!(line, "5/24/00 ILLEGAL REQUEST: Invalid field in CDB, byte 4 bit 1 of the CDB");
        let line = View::of(&Sense::filemark_detected(1)).line();
        assert_eq!(line, "0/00/01 NO SENSE: Filemark detected, FILEMARK, INFORMATION 1");
    }

    #[test]
    fn what_is_cut_off_is_not_read_past_its_end() {
        let whole = Sense::filemark_detected(7).encode(SenseFormat::Descriptor);
        let fixed = Sense::filemark_detected(7).encode(SenseFormat::Fixed);
        for length in 0..whole.len() {
            assert_eq!(View::parse(&whole[..length]).is_some(), length >= 4);
        }
        for length in 0..fixed.len() {
            assert_eq!(View::parse(&fixed[..length]).is_some(), length >= 3);
        }
        assert_eq!(View::parse(&[0x12, 0, 0]), None);
    }
}
