//! Spectra Logic's libraries: the T series, which says PYTHON, and the older 64000, which says GATOR.

use super::{DriveIdentifier, IdentifierForm, InquiryForm, Profile, SerialForm};

// T-Series SCSI Developer's Guide.
pub(super) const PYTHON: Profile = Profile {
    name: "spectra-python",
    vendor: "SPECTRA",
    product: "PYTHON",
    revision: "2000",
    first_addresses: [0x0001, 0x1000, 0x0010, 0x0100],
    default_drive: "ibm-ult3580-td9",
    identifier: DriveIdentifier {
        form: IdentifierForm::Serial { length: 32 },
        is_always_sent: false,
    },
    inquiry: InquiryForm::PLAIN,
    serial_form: SerialForm::Plain,
    has_device_identification: true,
    // Locally assigned (NAA 3): Spectra's own number is not known to us.
    naa_base: 0x3000_0001_0000_0000,
    vendor_pages: &[],
};

// Gator SCSI Developer's Guide; its revision level is not known to us.
pub(super) const GATOR: Profile = Profile {
    name: "spectra-gator",
    product: "GATOR",
    first_addresses: [0x02c3, 0x001e, 0x0001, 0x02a3],
    default_drive: "ibm-ult3580-td5",
    identifier: DriveIdentifier {
        form: IdentifierForm::Serial { length: 10 },
        is_always_sent: false,
    },
    ..PYTHON
};
