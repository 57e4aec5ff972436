//! Vital product data pages of a drive (SSC-5 §8.6).

use crate::Drive;
use crate::{block_protection, tape_alert};

/// Where the drive stands in a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryBay {
    /// The unit serial number of the changer.
    pub changer_serial: String,
    /// The element address that the changer has for the drive.
    pub element_address: u16,
}

const CAPABILITIES: u8 = 0xb0;
const MANUFACTURER_SERIAL: u8 = 0xb1;
const TAPE_ALERT_SUPPORTED: u8 = 0xb2;
const AUTOMATION_SERIAL: u8 = 0xb3;
const ELEMENT_ADDRESS: u8 = 0xb4;
const BLOCK_PROTECTION: u8 = 0xb5;

/// A page, whole, if there is such a page here. A drive that is in no library does not know pages B3h and B4h.
pub(crate) fn page(drive: &Drive, page: u8) -> Option<Vec<u8>> {
    let identity = &drive.identity;
    let bay = drive.library_bay.as_ref();
    if let Some(own) = drive.profile.vendor_pages.iter().find(|own| own.code == page) {
        return Some(own.page(identity));
    }
    match page {
        0x00 => Some(identity.page(0x00, &codes(drive))),
        0x80 => Some(identity.unit_serial_number()),
        0x83 => Some(identity.device_identification(1)),
        0x86 => Some(identity.extended_inquiry()),
        // WORM (bit 0), not TSMC (SSC-5 §8.6.3).
        CAPABILITIES => Some(identity.page(page, &[0x01, 0])),
        MANUFACTURER_SERIAL => Some(identity.page(page, identity.serial.as_bytes())),
        TAPE_ALERT_SUPPORTED => Some(identity.page(page, &supported_flags().to_be_bytes())),
        AUTOMATION_SERIAL => Some(identity.page(page, bay?.changer_serial.as_bytes())),
        ELEMENT_ADDRESS => Some(identity.page(page, &bay?.element_address.to_be_bytes())),
        // HP's and HPE's drives protect blocks, too, but have no such page.
        BLOCK_PROTECTION if drive.profile.vendor == "IBM" => {
            Some(identity.page(page, &block_protection::vital_product_data(drive)))
        }
        _ => None,
    }
}

/// The codes of all pages, ascending.
pub(crate) fn codes(drive: &Drive) -> Vec<u8> {
    let mut codes =
        vec![0x00, 0x80, 0x83, 0x86, CAPABILITIES, MANUFACTURER_SERIAL, TAPE_ALERT_SUPPORTED];
    if drive.library_bay.is_some() {
        codes.extend([AUTOMATION_SERIAL, ELEMENT_ADDRESS]);
    }
    if drive.profile.vendor == "IBM" {
        codes.push(BLOCK_PROTECTION);
    }
    drive.profile.with_vendor_pages(&codes)
}

/// Flag 1 is the first bit of 64.
fn supported_flags() -> u64 {
    tape_alert::SUPPORTED
        .into_iter()
        .fold(0, |flags, flag| flags | 1 << u32::from(tape_alert::TAPE_ALERT_FLAGS - flag))
}
