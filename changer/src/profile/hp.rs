//! HP's libraries MSL2024, MSL4048, MSL8096 and MSL6480, which all say MSL G3 Series.

use super::{DriveIdentifier, IdentifierForm, InquiryForm, Profile, SerialForm};

pub(super) const MSL_G3: Profile = Profile {
    name: "hp-msl-g3",
    vendor: "HP",
    product: "MSL G3 Series",
    revision: "5.30",
    first_addresses: [0x0001, 0x0020, 0x01c0, 0x01e0],
    default_drive: "hp-ultrium-6",
    identifier: DriveIdentifier {
        form: IdentifierForm::Serial { length: 20 },
        is_always_sent: true,
    },
    inquiry: InquiryForm::PLAIN,
    serial_form: SerialForm::Plain,
    has_device_identification: true,
    naa_base: 0x5001_4380_0000_0000,
    vendor_pages: &[],
};
