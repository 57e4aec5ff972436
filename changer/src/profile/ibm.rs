//! IBM's libraries: 3584 (TS3500 and after), and 3573 (TS3100, TS3200; as Dell's TL2000 and TL4000 say, too).

use super::{DriveIdentifier, InquiryForm, Profile, SerialForm, VendorPage};

const NAA_BASE: u64 = 0x5005_0763_0000_0000;

pub(super) const L32: Profile = Profile {
    name: "ibm-03584l32",
    vendor: "IBM",
    product: "03584L32",
    revision: "1780",
    first_addresses: [0x0001, 0x0400, 0x0300, 0x0101],
    default_drive: "ibm-ult3580-td9",
    identifier: DriveIdentifier::FULL,
    // 3584 SCSI Reference: the serial number, and the number of the frame behind it.
    inquiry: InquiryForm { has_serial: true, behind_serial: "00", ..InquiryForm::PLAIN },
    serial_form: SerialForm::Plain,
    has_device_identification: true,
    naa_base: NAA_BASE,
    vendor_pages: &[],
};

pub(super) const TL3573: Profile = Profile {
    name: "ibm-3573-tl",
    vendor: "IBM",
    product: "3573-TL",
    revision: "F.11",
    first_addresses: [0x0001, 0x1000, 0x0010, 0x0100],
    default_drive: "ibm-ult3580-td9",
    identifier: DriveIdentifier::FULL,
    inquiry: InquiryForm { has_serial: true, has_bar_code_bit: true, ..InquiryForm::PLAIN },
    serial_form: SerialForm::LogicalLibrary,
    has_device_identification: true,
    naa_base: NAA_BASE,
    vendor_pages: &[VendorPage { code: 0xc0, body: &FIRMWARE_BUILD }],
};

// TL4000 SCSI Reference, "Firmware Built Information page": 8-11 checksum, 12-35 date, behind the four bytes of the header
// and four reserved ones; 3Ch bytes in all.
const FIRMWARE_BUILD: [u8; 60] = {
    let text = *b"000001-01-2020              ";
    let mut body = [0; 60];
    let mut at = 0;
    #[allow(clippy::indexing_slicing, reason = "checked when it is compiled")]
    while at < text.len() {
        body[4 + at] = text[at];
        at += 1;
    }
    body
};
