//! Logical block protection: a checksum behind each block on its way between host and drive (SSC-5 §4.2.29, §8.4.9).
//!
//! Each nexus says for itself whether it wants it, in mode page 0Ah/F0h. A protected block is four bytes longer wherever a length is
//! named: in transfer lengths, in the block descriptor, in residuals. What arrives is checked before anything is written. The checksum is
//! not kept: the cartridge has one of its own for each block, and on READ a new one is made of data for which that has just held.

mod reed_solomon;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use vtl_scsi::device::Refusal;
use vtl_scsi::mode::ModePage;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Buffer, ItNexus};

use crate::Drive;

/// Mode page and subpage.
pub(crate) const PAGE: (u8, u8) = (0x0a, 0xf0);
const VALUES_BYTES: usize = 28;

/// Of the checksum behind a block.
const PROTECTION_BYTES: usize = 4;
/// The shortest block with its checksum.
pub(crate) const SHORTEST_PROTECTED_BYTES: u16 = 5;

/// Drives for this density and later ones know CRC32C, too.
const DENSITY_LTO_7: u8 = 0x5c;

const ON_WRITE: u8 = 0x80;
const ON_READ: u8 = 0x40;

/// How the checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// That of ECMA-319, the most significant byte first.
    ReedSolomon = 1,
    /// That of iSCSI, in the order that it has there: the least significant byte first.
    Crc32c = 2,
}

/// What nexuses have asked for.
#[derive(Debug, Default)]
pub(crate) struct BlockProtection(BTreeMap<ItNexus, Wish>);

#[derive(Debug, Clone, Copy)]
struct Wish {
    method: Method,
    flags: u8,
}

impl BlockProtection {
    /// How blocks are protected that this nexus writes, if they are.
    pub(crate) fn on_write(&self, nexus: ItNexus) -> Option<Method> {
        self.method(nexus, ON_WRITE)
    }

    /// How blocks are protected that this nexus reads, if they are.
    pub(crate) fn on_read(&self, nexus: ItNexus) -> Option<Method> {
        self.method(nexus, ON_READ)
    }

    /// Whether this nexus has chosen a method.
    pub(crate) fn is_chosen(&self, nexus: ItNexus) -> bool {
        self.0.contains_key(&nexus)
    }

    /// A session ended: what it had asked for goes with it.
    pub(crate) fn nexus_ends(&mut self, nexus: ItNexus) {
        self.0.remove(&nexus);
    }

    fn method(&self, nexus: ItNexus, flag: u8) -> Option<Method> {
        self.0.get(&nexus).filter(|wish| wish.flags & flag != 0).map(|wish| wish.method)
    }
}

impl Method {
    /// Those that this model knows.
    pub(crate) fn of(drive: &Drive) -> &'static [Self] {
        if drive.profile.generation.density >= DENSITY_LTO_7 {
            &[Self::ReedSolomon, Self::Crc32c]
        } else {
            &[Self::ReedSolomon]
        }
    }

    /// What stands behind a block.
    fn checksum(self, block: &[u8]) -> [u8; PROTECTION_BYTES] {
        match self {
            Self::ReedSolomon => reed_solomon::checksum(block).to_be_bytes(),
            Self::Crc32c => crc32c::crc32c(block).to_le_bytes(),
        }
    }

    /// The block with its checksum.
    pub(crate) fn protect(self, block: &Bytes) -> Bytes {
        let mut protected = BytesMut::with_capacity(block.len() + PROTECTION_BYTES);
        protected.extend_from_slice(block);
        protected.extend_from_slice(&self.checksum(block));
        protected.freeze()
    }

    /// Takes the checksums away from blocks that are so long with them; `false`, and nothing is changed, if one of them is wrong.
    pub(crate) fn strip(self, data: &mut Buffer, protected_bytes: usize) -> bool {
        let Some(block_bytes) = protected_bytes.checked_sub(PROTECTION_BYTES) else { return false };
        let holds = |protected: &[u8]| {
            let parts = protected.split_at_checked(block_bytes);
            parts.is_some_and(|(block, checksum)| self.checksum(block) == *checksum)
        };
        if block_bytes == 0 || !data.chunks(protected_bytes).all(holds) {
            return false;
        }
        let count = data.len() / protected_bytes;
        for number in 1..count {
            let from = number * protected_bytes;
            data.copy_within(from..from + block_bytes, number * block_bytes);
        }
        data.truncate(count * block_bytes);
        true
    }
}

/// How long a block is without its checksum.
pub(crate) fn without_checksum(protected_bytes: u32) -> u32 {
    protected_bytes.saturating_sub(4)
}

// 4 method, 5 length of the checksum (bits 5-0), 6 LBP_W (bit 7), LBP_R (bit 6), RBDP (bit 5): there is no RECOVER BUFFERED DATA
/// The page, with no protection.
pub(crate) fn page() -> ModePage {
    let mut changeable = vec![0xff, 0x3f, ON_WRITE | ON_READ];
    changeable.resize(VALUES_BYTES, 0);
    ModePage::new(PAGE.0, PAGE.1, vec![0; VALUES_BYTES], changeable)
}

/// Lets the page show what this nexus has asked for.
pub(crate) fn show(drive: &mut Drive, nexus: ItNexus) {
    let shown = match drive.block_protection.0.get(&nexus) {
        Some(wish) => [wish.method as u8, 4, wish.flags],
        None => [0; 3],
    };
    if let Some(page) = drive.mode.page_mut(PAGE.0, PAGE.1) {
        for (value, shown) in page.current.iter_mut().zip(shown) {
            *value = shown;
        }
    }
}

/// Takes over what this nexus has changed the page to.
pub(crate) fn take_over(drive: &mut Drive, nexus: ItNexus) {
    let values = drive.mode.page(PAGE.0, PAGE.1).map_or(&[][..], |page| &page.current);
    match wish(drive, values, 0) {
        Ok(Some(wish)) => drive.block_protection.0.insert(nexus, wish),
        Ok(None) | Err(_) => drive.block_protection.0.remove(&nexus),
    };
}

/// Whether a page of a parameter list can be, whose values begin at this byte of the list.
pub(crate) fn check(drive: &Drive, values: &[u8], values_offset: u16) -> Result<(), Refusal> {
    wish(drive, values, values_offset).map(drop)
}

fn wish(drive: &Drive, values: &[u8], values_offset: u16) -> Result<Option<Wish>, Refusal> {
    let invalid = |byte: u16, bit| {
        let byte = values_offset.saturating_add(byte);
        Refusal(Sense::invalid_field_in_parameter_list(byte, Some(bit)))
    };
    let [number, length, flags, ..] = *values else { return Err(invalid(0, 7)) };
    let method = Method::of(drive).iter().find(|method| **method as u8 == number);
    match (number, method) {
        (0, _) if length != 0 => Err(invalid(1, 5)),
        (0, _) if flags != 0 => Err(invalid(2, 7)),
        (0, _) => Ok(None),
        (_, Some(_)) if usize::from(length) != PROTECTION_BYTES => Err(invalid(1, 5)),
        (_, Some(method)) => Ok(Some(Wish { method: *method, flags })),
        (_, None) => Err(invalid(0, 7)),
    }
}

// A descriptor a method: 0 length behind this byte, 1 method, 2 length of the checksum, 3 LBP_W_C (bit 7), LBP_R_C (bit 6)
/// Vital product data page B5h behind its header.
pub(crate) fn vital_product_data(drive: &Drive) -> Vec<u8> {
    let mut body = vec![0; 4];
    for method in Method::of(drive) {
        body.extend([3, *method as u8, 4, ON_WRITE | ON_READ]);
    }
    body
}
