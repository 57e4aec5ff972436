//! Quantum's Scalar i-series, which was ADIC's and says so until today.

use super::{DriveIdentifier, InquiryForm, Profile, SerialForm};

// Scalar i-series SCSI Reference, "Standard Inquiry Response": full firmware revision from byte 36 on, BarC in byte 6 and
// again in byte 55; "Unit Serial Number Page": 24 bytes, vendor identification first.
pub(super) const SCALAR_I500: Profile = Profile {
    name: "quantum-scalar-i500",
    vendor: "ADIC",
    product: "Scalar i500",
    revision: "607G",
    first_addresses: [0x0001, 0x1000, 0x0010, 0x0100],
    default_drive: "ibm-ult3580-td6",
    identifier: DriveIdentifier::FULL,
    inquiry: InquiryForm {
        has_full_revision: true,
        has_bar_code_bit: true,
        has_bar_code_flag: true,
        ..InquiryForm::PLAIN
    },
    serial_form: SerialForm::BehindVendor,
    has_device_identification: true,
    naa_base: 0x5003_08c0_0000_0000,
    vendor_pages: &[],
};

pub(super) const SCALAR_I6000: Profile = Profile {
    name: "quantum-scalar-i6000",
    vendor: "QUANTUM",
    product: "Scalar i6000",
    revision: "700Q",
    default_drive: "ibm-ult3580-td9",
    naa_base: 0x500e_09e0_0000_0000,
    ..SCALAR_I500
};
