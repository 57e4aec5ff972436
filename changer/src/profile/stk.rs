//! Libraries of STK: L700 (and L180), and SL150, which Oracle sells.

use super::{DriveIdentifier, InquiryForm, Profile, SerialForm};

const NAA_BASE: u64 = 0x5001_04f0_0000_0000;

// L700e/L180 SCSI Reference Manual: there is no page 83h.
pub(super) const L700: Profile = Profile {
    name: "stk-l700",
    vendor: "STK",
    product: "L700",
    revision: "550V",
    first_addresses: [1, 1000, 10, 500],
    default_drive: "ibm-ult3580-td5",
    identifier: DriveIdentifier::FULL,
    inquiry: InquiryForm::PLAIN,
    serial_form: SerialForm::Plain,
    has_device_identification: false,
    naa_base: NAA_BASE,
    vendor_pages: &[],
};

// SL150 Systems Assurance Guide, table "Starting Element Address".
pub(super) const SL150: Profile = Profile {
    name: "stk-sl150",
    vendor: "STK",
    product: "SL150",
    revision: "0225",
    first_addresses: [0, 1000, 10, 500],
    default_drive: "ibm-ult3580-td8",
    has_device_identification: true,
    ..L700
};
