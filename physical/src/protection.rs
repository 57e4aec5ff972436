//! Logical block protection: a checksum behind each block on its way between host and drive (SSC-5 §4.2.29, §8.4.9).
//!
//! On the way to the tape the drive compares it, and keeps it there with the block; on the way back it is compared here.

mod reed_solomon;

use crate::tape::{TapeDrive, TapeFault};

/// How the checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// That of ECMA-319, which all drives with block protection know.
    ReedSolomon = 1,
    /// That of iSCSI.
    Crc32c = 2,
}

impl Protection {
    /// Its name in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReedSolomon => "reed-solomon",
            Self::Crc32c => "crc32c",
        }
    }

    // Both are what LTFS and our own drives take: the one with its most, the other with its least significant byte first.
    fn checksum(self, block: &[u8]) -> [u8; CHECKSUM_BYTES] {
        match self {
            Self::ReedSolomon => reed_solomon::checksum(block).to_be_bytes(),
            Self::Crc32c => crc32c::crc32c(block).to_le_bytes(),
        }
    }

    /// Puts the checksum behind a block.
    pub(crate) fn append(self, block: &[u8], protected: &mut Vec<u8>) {
        protected.clear();
        protected.extend_from_slice(block);
        protected.extend_from_slice(&self.checksum(block));
    }

    /// The length of the block without its checksum; `None` if that is wrong.
    pub(crate) fn check(self, protected: &[u8]) -> Option<usize> {
        let (block, checksum) = protected.split_last_chunk::<CHECKSUM_BYTES>()?;
        (self.checksum(block) == *checksum).then_some(block.len())
    }
}

impl TapeDrive {
    /// Protects blocks from here on, in the best way that the drive has; `None` if it has none. It is kept for this host until it is taken away.
    pub fn protect(&mut self) -> Option<Protection> {
        let chosen = [Protection::Crc32c, Protection::ReedSolomon].into_iter().find(|method| {
            // A drive that does not know the method refuses it; one that does not even know the page has no protection.
            self.choose(Some(*method)).is_ok_and(|is_there| is_there)
        });
        // One that was on and cannot be asked any more may be on still.
        self.protection = chosen.or(self.protection);
        chosen
    }

    /// Protects none any more.
    pub fn unprotect(&mut self) -> Result<(), TapeFault> {
        if self.protection.is_some() {
            if !self.choose(None)? {
                return Err(TapeFault::Protection);
            }
            self.protection = None;
        }
        Ok(())
    }

    /// How blocks are protected.
    pub fn protection(&self) -> Option<Protection> {
        self.protection
    }

    /// Whether the drive has the page.
    fn choose(&self, method: Option<Protection>) -> Result<bool, TapeFault> {
        // MODE SENSE(10) of the page, without block descriptors.
        let list = self
            .ask(&[0x5a, 0x08, PAGE, SUBPAGE, 0, 0, 0, 0, 252, 0], 252)
            .and_then(|answer| parameter_list(&answer, method));
        let Some(list) = list else { return Ok(false) };
        self.select(&list)?;
        Ok(true)
    }
}

// MODE SENSE(10): 2 medium type, 3 device specific, 6-7 length of the block descriptors, which are 8…; page: 0 code and SPF, 1 subpage,
// 2-3 length, 4 method, 5 length of the checksum (bits 5-0), 6 LBP_W (bit 7), LBP_R (bit 6), RBDP (bit 5)
fn parameter_list(answer: &[u8], method: Option<Protection>) -> Option<Vec<u8>> {
    let descriptors = usize::from(u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]));
    let page = answer.get(8..)?.get(descriptors..)?;
    let [code, SUBPAGE, high, low, _, _, flags, ..] = *page else { return None };
    if code & 0x3f != PAGE {
        return None;
    }
    let end = usize::from(u16::from_be_bytes([high, low])).saturating_add(4);
    let rest = page.get(7..end.min(page.len())).unwrap_or_default();
    let mut list = vec![0, 0, *answer.get(2)?, *answer.get(3)? & 0x7f, 0, 0, 0, 0];
    list.extend([0x40 | PAGE, SUBPAGE, high, low]);
    list.extend(match method {
        Some(Protection::ReedSolomon) => [1, 4, flags & 0x1f | ON],
        Some(Protection::Crc32c) => [2, 4, flags & 0x1f | ON],
        None => [0, 0, flags & 0x1f],
    });
    list.extend(rest);
    Some(list)
}

const PAGE: u8 = 0x0a;
const SUBPAGE: u8 = 0xf0;
/// When writing, and when reading.
const ON: u8 = 0xc0;
/// Of the checksum.
pub(crate) const CHECKSUM_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_with_one_bit_changed_is_noticed() {
        for method in [Protection::ReedSolomon, Protection::Crc32c] {
            let mut protected = Vec::new();
            method.append(&[7; 100], &mut protected);
            assert_eq!((protected.len(), method.check(&protected)), (104, Some(100)));
            for bit in 0..protected.len() * 8 {
                let mut wrong = protected.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(method.check(&wrong), None, "bit {bit}");
            }
            assert_eq!(method.check(&[1, 2, 3]), None);
        }
    }

    #[test]
    fn the_page_is_changed_where_protection_is_and_nowhere_else() {
        let mut page = vec![0x4a, 0xf0, 0, 28, 0, 0, 0x10];
        page.resize(32, 5);
        let answer = [&[38, 0, 0, 0x90, 0, 0, 0, 0][..], &page].concat();
        let list = parameter_list(&answer, Some(Protection::Crc32c)).unwrap();
        assert_eq!(
            list.get(..16),
            Some(&[0, 0, 0, 0x10, 0, 0, 0, 0, 0x4a, 0xf0, 0, 28, 2, 4, 0xd0, 5][..])
        );
        assert_eq!(list.len(), answer.len());
        let off = parameter_list(&list, None).unwrap();
        assert_eq!(off.get(12..15), Some(&[0, 0, 0x10][..]));
        assert_eq!(
            parameter_list(&[8, 0, 0, 0, 0, 0, 0, 0, 0x0a, 10, 0, 0, 0, 0, 0], None),
            None,
            "another page"
        );
        for length in 0..64 {
            for fill in [0, 0x0a, 0xf0, 0xff] {
                let _list = parameter_list(&vec![fill; length], None);
            }
        }
    }
}
