//! How a tape is divided: the medium partition page (11h) and FORMAT MEDIUM (SSC-5 §5.2, §8.3.4).

use std::time::Duration;

use crate::sg_io::Data;
use crate::tape::{SHORT, TapeDrive, TapeFault, fault};

/// What the page says of the tape in the drive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    /// Partitions beside the first one, as many as there can be.
    pub additional_most: u8,
    /// Partitions beside the first one.
    pub additional: u8,
    /// The sizes of all partitions in bytes, as far as the page tells them.
    pub bytes: Vec<u64>,
    /// In which unit sizes are said, in bytes.
    pub unit_bytes: u64,
}

/// Why a tape was not divided.
#[derive(Debug, thiserror::Error)]
pub enum DivideError {
    /// The drive has no page for it, or not so many partitions.
    #[error("the drive makes {0} partitions at most of this tape")]
    TooMany(u16),
    /// A size cannot be said.
    #[error("partition {0} would be larger than the drive can be told")]
    TooLarge(usize),
    /// The drive made something else of it.
    #[error("the drive was told to make partitions of {wanted:?} bytes, and made {made:?}")]
    Other {
        /// What it was told.
        wanted: Vec<u64>,
        /// What there is.
        made: Vec<u64>,
    },
    /// It did not do it.
    #[error(transparent)]
    Fault(#[from] TapeFault),
}

impl TapeDrive {
    /// How the tape is divided; `None` where the drive does not have the page.
    pub fn division(&self) -> Option<Division> {
        // MODE SENSE(6) without block descriptors, and with them for drives that cannot leave them out.
        let ask = |flags: &u8| self.ask(&[0x1a, *flags, PAGE, 0, 255, 0], 255);
        division_in(&[0x08, 0x00].iter().find_map(ask)?)
    }

    /// Gives up all that is on the tape, and divides it: into partitions of at least these sizes in bytes, the largest of which gets all
    /// the rest. The tape has to stand at its beginning.
    pub fn divide(&self, wanted: &[u64]) -> Result<(), DivideError> {
        if wanted.len() < 2 {
            return Ok(self.format(FORMAT_WHOLE)?);
        }
        // MODE SENSE(10) of the page, without block descriptors.
        let header = self.ask(&[0x5a, 0x08, PAGE, 0, 0, 0, 0, 0, 252, 0], 252);
        let list = header.as_deref().and_then(|answer| parameter_list(answer, wanted));
        match list.ok_or(DivideError::TooMany(1))? {
            Ok(list) => self.select(&list)?,
            Err(error) => return Err(error),
        }
        self.format(FORMAT_DIVIDED)?;
        let made = self.division().unwrap_or_default();
        if made.bytes.len() == wanted.len() && fits(wanted, &made) {
            return Ok(());
        }
        Err(DivideError::Other { wanted: wanted.to_vec(), made: made.bytes })
    }

    /// MODE SELECT(10), PF.
    pub(crate) fn select(&self, list: &[u8]) -> Result<(), TapeFault> {
        let [high, low] = u16::try_from(list.len()).unwrap_or(u16::MAX).to_be_bytes();
        let cdb = [0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0];
        // After a change the first answer may be that somebody else has changed something before.
        let mut answer = self.device.send(&cdb, &mut Data::Out(list), SHORT)?;
        if matches!(&fault(&answer), Some(TapeFault::Sense(sense)) if sense.key == crate::Sense::UNIT_ATTENTION && sense.asc == PARAMETERS_CHANGED)
        {
            answer = self.device.send(&cdb, &mut Data::Out(list), SHORT)?;
        }
        fault(&answer).map_or(Ok(()), Err)
    }

    /// FORMAT MEDIUM. Waited for: IMMED would leave it to guesses when it is done.
    fn format(&self, how: u8) -> Result<(), TapeFault> {
        let answer = self.device.send(&[0x04, 0, how, 0, 0, 0], &mut Data::None, FORMAT_LIMIT)?;
        fault(&answer).map_or(Ok(()), Err)
    }
}

/// A size is told in whole units, so that what is told may be a part of a unit too small.
fn fits(wanted: &[u64], made: &Division) -> bool {
    let mut pairs = wanted.iter().zip(&made.bytes);
    pairs.all(|(wanted, made_bytes)| made_bytes.saturating_add(made.unit_bytes) > *wanted)
}

// MODE SENSE(6): 3 length of the block descriptors, which are 4…
fn division_in(answer: &[u8]) -> Option<Division> {
    let descriptors = usize::from(*answer.get(3)?);
    division_of(answer.get(4..)?.get(descriptors..)?)
}

// 0 code 11h, 1 length, 2 the most that there can be, 3 additional partitions defined, 4 PSUM (bits 4-3), 6 units (bits 3-0), 8… sizes
fn division_of(page: &[u8]) -> Option<Division> {
    let [code, length, most, additional, ..] = *page else { return None };
    if code & 0x3f != PAGE {
        return None;
    }
    let unit = unit_of(page);
    let count = usize::from(additional).saturating_add(1);
    let end = page.len().min(usize::from(length).saturating_add(2));
    let sizes = page.get(SIZES_AT..end).unwrap_or_default().as_chunks::<2>().0;
    let bytes = |size: &[u8; 2]| u64::from(u16::from_be_bytes(*size)).saturating_mul(unit);
    Some(Division {
        additional_most: most,
        additional,
        bytes: sizes.iter().take(count).map(bytes).collect(),
        unit_bytes: unit,
    })
}

fn unit_of(page: &[u8]) -> u64 {
    let flags = page.get(4).copied().unwrap_or(0);
    let exponent = match flags >> 3 & 0x03 {
        3 => page.get(6).copied().unwrap_or(0) & 0x0f,
        thousands => thousands * 3,
    };
    10_u64.pow(exponent.into())
}

/// The page as MODE SENSE(10) has answered it, with other sizes; `None` if it is not there.
// 6-7 length of the block descriptors, which are 8…
fn parameter_list(answer: &[u8], wanted: &[u64]) -> Option<Result<Vec<u8>, DivideError>> {
    let descriptors = usize::from(u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]));
    let page = answer.get(8..)?.get(descriptors..)?;
    let division = division_of(page)?;
    let additional = u8::try_from(wanted.len()).ok()?.checked_sub(1)?;
    if additional > division.additional_most {
        return Some(Err(DivideError::TooMany(u16::from(division.additional_most) + 1)));
    }
    let largest = wanted.iter().max().copied().unwrap_or(0);
    let rest_at = wanted.iter().position(|bytes| *bytes == largest);
    let (psum, most) = (page.get(4).copied().unwrap_or(0) & 0x1c, division.additional_most);
    let (recognition, units) = (page.get(5).copied()?, page.get(6).copied()?);
    let mut sizes = Vec::new();
    for (at, bytes) in wanted.iter().enumerate() {
        if Some(at) == rest_at {
            sizes.extend(REST.to_be_bytes());
            continue;
        }
        match u16::try_from(bytes.div_ceil(division.unit_bytes).max(1)) {
            Ok(size) if size != REST => sizes.extend(size.to_be_bytes()),
            _ => return Some(Err(DivideError::TooLarge(at))),
        }
    }
    // As long as the drive has told it: some take no other length.
    let room = page.len().min(usize::from(*page.get(1)?).saturating_add(2));
    sizes.resize(sizes.len().max(room.saturating_sub(SIZES_AT)), 0);
    let length = u8::try_from(sizes.len()).ok()?.checked_add(6)?;
    // 2 medium type, 3 device specific: what is there stays
    let mut list = vec![0, 0, *answer.get(2)?, *answer.get(3)? & 0x7f, 0, 0, 0, 0];
    list.extend([PAGE, length, most, additional, BY_INITIATOR | psum, recognition, units, 0]);
    list.extend(sizes);
    Some(Ok(list))
}

const PAGE: u8 = 0x11;
const SIZES_AT: usize = 8;
/// IDP: whoever sends the page says the sizes.
const BY_INITIATOR: u8 = 0x20;
/// A partition of this size gets all that the others leave.
const REST: u16 = 0xffff;
/// The FORMAT field: one partition, and those of the page.
const FORMAT_WHOLE: u8 = 0;
const FORMAT_DIVIDED: u8 = 1;
/// Drives write along the whole tape for it.
const FORMAT_LIMIT: Duration = Duration::from_hours(3);
const PARAMETERS_CHANGED: u8 = 0x2a;

#[cfg(test)]
mod tests {
    use super::*;

    const OF_LTO9: [u8; 16] = [0x91, 14, 3, 1, 0x3c, 3, 9, 0, 0, 50, 0x46, 0x1e, 0, 0, 0, 0];

    /// A tape with an index partition was imported as if the index were all of it.
    #[test]
    fn partitions_are_counted_behind_block_descriptors_too() {
        let with = |head: &[u8]| [head, &OF_LTO9].concat();
        let found = division_in(&with(&[19, 0, 0x10, 0])).unwrap();
        assert_eq!((found.additional_most, found.additional), (3, 1));
        assert_eq!(found.bytes, [50_000_000_000, 17_950_000_000_000]);
        let descriptor = [27, 0, 0x10, 8, 0x58, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(division_in(&with(&descriptor)), Some(found));
        assert_eq!(division_in(&[3, 0, 0x10, 0]), None);
        assert_eq!(division_in(&[13, 0, 0x10, 0, 0x10, 8, 3, 1]), None, "another page");
    }

    #[test]
    fn the_largest_partition_gets_the_rest_and_the_others_are_not_smaller_than_wanted() {
        let answer = [&[22, 0, 0, 0x90, 0, 0, 0, 0][..], &OF_LTO9].concat();
        let list = parameter_list(&answer, &[1_500_000_000, 9_000_000_000]).unwrap().unwrap();
        assert_eq!(list.get(..8), Some(&[0, 0, 0, 0x10, 0, 0, 0, 0][..]));
        let page = [0x11, 14, 3, 1, 0x3c, 3, 9, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(list.get(8..), Some(&page[..]));
        let refused = |wanted: &[u64]| parameter_list(&answer, wanted).unwrap().unwrap_err();
        assert!(matches!(refused(&[1; 5]), DivideError::TooMany(4)));
        assert!(matches!(refused(&[u64::MAX - 1, u64::MAX]), DivideError::TooLarge(0)));
        assert!(parameter_list(&answer[..8], &[1, 2]).is_none(), "no page");
    }

    #[test]
    fn whatever_a_device_answers_is_taken() {
        for length in 0..64 {
            for fill in [0, 1, 0x11, 0x7f, 0xff] {
                let bytes = vec![fill; length];
                let _found = (division_in(&bytes), parameter_list(&bytes, &[1, 2]).is_some());
            }
        }
    }
}
