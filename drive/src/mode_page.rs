//! Mode pages of a drive, and the header with the block descriptor in front of them (SSC-5 §8.3).

mod informational_exceptions;
mod medium_configuration;
mod recovery;
mod vendor;

use vtl_scsi::cdb::bit;
use vtl_scsi::device::Refusal;
use vtl_scsi::mode::{ModeHeader, ModePage, ModeParameters};
use vtl_scsi::sense::Sense;

use crate::Drive;
use crate::drive::{Bay, Loaded, MAX_BLOCK_BYTES};
use crate::{append_only, block_protection, partition};

/// Byte of a device-specific parameter: WP in bit 7, buffered mode in bits 6-4 (SSC-5 §8.3.1).
pub(crate) const WRITE_PROTECT: u8 = 0x80;
const BUFFERED_MODE_1: u8 = 0x10;
const BUFFERED_MODE_MASK: u8 = 0x70;

/// MODE SELECT: leave the density as it is.
const DENSITY_NO_CHANGE: u8 = 0x7f;
const DENSITY_DEFAULT: u8 = 0x00;

const PAGE_DATA_COMPRESSION: u8 = 0x0f;
/// Data compression enable, in the first byte behind the header.
const DCE: u8 = 0x80;
const PAGE_DEVICE_CONFIGURATION: u8 = 0x10;
/// Where page 10h says which algorithm compresses, behind the header.
const ALGORITHM_AT: usize = 12;

/// The pages after power on, of a drive of this vendor.
pub(crate) fn all(vendor: &str) -> ModeParameters {
    let mut pages = vec![
        recovery::read_write_error_recovery(),
        recovery::disconnect_reconnect(),
        control(),
        block_protection::page(),
        data_compression(),
        device_configuration(),
        append_only::page(),
        // Filled in with every medium.
        ModePage::fixed(partition::PAGE, Vec::new()),
        recovery::protocol_specific(0x18),
        recovery::protocol_specific(0x19),
        recovery::power_condition(),
        informational_exceptions::page(),
        medium_configuration::page(),
    ];
    if vendor == "IBM" {
        pages.extend(vendor::ibm());
    }
    ModeParameters { pages }
}

/// Pages that say what is loaded say so now.
pub(crate) fn refresh(drive: &mut Drive) {
    let is_worm = loaded(drive).is_some_and(|loaded| loaded.cartridge.label().worm);
    medium_configuration::refresh(&mut drive.mode, is_worm);
}

/// What a page that can be changed must not be, as the byte behind its header and the bit.
pub(crate) fn refuses(page: u8, values: &[u8]) -> Option<(usize, u8)> {
    match page {
        informational_exceptions::PAGE => informational_exceptions::refuses(values),
        _ => None,
    }
}

/// Pages were changed, which were like this before.
pub(crate) fn selected(drive: &mut Drive, before: &ModeParameters) {
    agree_on_compression(&mut drive.mode, before);
    informational_exceptions::test(drive);
}

/// The header as it is now: write protection, buffering, density and block length.
pub(crate) fn header(drive: &Drive) -> ModeHeader {
    let loaded = loaded(drive);
    let is_protected = is_write_protected(drive);
    let buffered = if drive.is_buffered { BUFFERED_MODE_1 } else { 0 };
    let [_, high, middle, low] = drive.block_length_bytes.to_be_bytes();
    ModeHeader {
        medium_type: loaded.map_or(0, |loaded| {
            drive.profile.medium_type(loaded.generation, loaded.cartridge.label().worm)
        }),
        device_specific: if is_protected { WRITE_PROTECT } else { 0 } | buffered,
        // 0 density code, 1-3 number of blocks (0: all the rest), 5-7 block length
        block_descriptor: Some([density(drive), 0, 0, 0, 0, high, middle, low]),
    }
}

/// Takes over buffered mode and block length; the density is the medium's own.
pub(crate) fn select_header(
    drive: &mut Drive,
    device_specific: u8,
    descriptor: Option<[u8; 8]>,
    descriptor_offset: u16,
) -> Result<(), Refusal> {
    let invalid = |byte: u16, bit| Refusal(Sense::invalid_field_in_parameter_list(byte, bit));
    let is_buffered = match device_specific & BUFFERED_MODE_MASK {
        0 => false,
        BUFFERED_MODE_1 => true,
        _ => return Err(invalid(if descriptor_offset == 4 { 2 } else { 3 }, Some(6))),
    };
    if let Some([wanted_density, _, _, _, _, high, middle, low]) = descriptor {
        if ![DENSITY_DEFAULT, DENSITY_NO_CHANGE, density(drive)].contains(&wanted_density) {
            return Err(invalid(descriptor_offset, Some(7)));
        }
        let block_length_bytes = u32::from_be_bytes([0, high, middle, low]);
        if block_length_bytes > MAX_BLOCK_BYTES {
            return Err(invalid(descriptor_offset + 5, Some(7)));
        }
        drive.block_length_bytes = block_length_bytes;
    }
    drive.is_buffered = is_buffered;
    Ok(())
}

/// Whether blocks that are written now are to be compressed.
pub(crate) fn compresses(mode: &ModeParameters) -> bool {
    mode.page(PAGE_DATA_COMPRESSION, 0)
        .and_then(|page| page.current.first())
        .is_some_and(|flags| bit(*flags, 7))
}

/// Page 10h says again what page 0Fh says: the one that was changed is right, and page 0Fh if both were.
fn agree_on_compression(mode: &mut ModeParameters, before: &ModeParameters) {
    let of_configuration = |mode: &ModeParameters| {
        let page = mode.page(PAGE_DEVICE_CONFIGURATION, 0);
        page.and_then(|page| page.current.get(ALGORITHM_AT))
            .is_some_and(|algorithm| *algorithm != 0)
    };
    let (wanted, again) = (compresses(mode), of_configuration(mode));
    let is_on = if wanted == compresses(before) { again } else { wanted };
    let flags = mode.page_mut(PAGE_DATA_COMPRESSION, 0).and_then(|page| page.current.first_mut());
    if let Some(flags) = flags {
        *flags = *flags & !DCE | if is_on { DCE } else { 0 };
    }
    let algorithm = mode
        .page_mut(PAGE_DEVICE_CONFIGURATION, 0)
        .and_then(|page| page.current.get_mut(ALGORITHM_AT));
    if let Some(algorithm) = algorithm {
        *algorithm = u8::from(is_on);
    }
}

/// The density code in force: the medium's, else the drive's own.
pub(crate) fn density(drive: &Drive) -> u8 {
    loaded(drive).map_or(drive.profile.generation, |loaded| loaded.generation).density
}

/// Whether nothing can be written on the cartridge that is loaded.
pub(crate) fn is_write_protected(drive: &Drive) -> bool {
    loaded(drive).is_some_and(|loaded| loaded.is_read_only || loaded.cartridge.is_read_only())
}

pub(crate) fn loaded(drive: &Drive) -> Option<&Loaded> {
    match &drive.bay {
        Bay::Ready(loaded) => Some(loaded),
        _ => None,
    }
}

// 0Ah control (SPC-5 §7.5.10): 2 TST, TMF_ONLY, D_SENSE (bit 2), GLTSD (bit 1), RLEC. Only D_SENSE can be changed.
fn control() -> ModePage {
    ModePage::new(0x0a, 0, vec![0; 10], [&[0x04][..], &[0; 9]].concat())
}

// 0Fh data compression (SSC-5 §8.3.2): 2 DCE (bit 7), DCC (bit 6); 3 DDE (bit 7), RED; 4-7 and 8-11 algorithms.
fn data_compression() -> ModePage {
    const ALGORITHM_DEFAULT: [u8; 4] = [0, 0, 0, 1];
    let mut values = vec![DCE | 0x40, 0x80];
    values.extend(ALGORITHM_DEFAULT);
    values.extend(ALGORITHM_DEFAULT);
    values.resize(14, 0);
    ModePage::new(PAGE_DATA_COMPRESSION, 0, values, [&[DCE][..], &[0; 13]].concat())
}

// 10h device configuration (SSC-5 §8.3.3): 6-7 write delay time in tenths of a second; 8 LOIS (bit 6);
// 10 EEG (bit 4), SEW (bit 3); 14 select data compression algorithm: 0 none, 1 the default one. Only that can be changed.
fn device_configuration() -> ModePage {
    let values = vec![0, 0, 0, 0, 0, 1, 0x40, 0, 0x18, 0, 0, 0, 1, 0];
    let mut changeable = vec![0; values.len()];
    if let Some(algorithm) = changeable.get_mut(ALGORITHM_AT) {
        *algorithm = 1;
    }
    ModePage::new(PAGE_DEVICE_CONFIGURATION, 0, values, changeable)
}
