//! Partitions: a tape is divided as the cartridge is, before anything is written on it.

use super::ExportError;
use super::order::Order;
use super::tape::{Medium, Tape, TapeError};

/// A partition of the cartridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How much it takes.
    pub bytes: u64,
    /// What hosts have written into it.
    pub written_bytes: u64,
    /// The same as it is on the disk, compressed; 0 if nobody knows.
    pub stored_bytes: u64,
}

impl Share {
    /// What it takes on a tape when the drive compresses as the library does.
    fn compressed_bytes(&self) -> u64 {
        match self.stored_bytes {
            0 => self.written_bytes,
            stored => stored.min(self.written_bytes),
        }
    }
}

impl Order<'_> {
    /// Partitions beside the first one.
    pub(super) fn additional_partitions(&self) -> u8 {
        u8::try_from(self.partitions.len().saturating_sub(1)).unwrap_or(u8::MAX)
    }

    pub(super) fn check_division(&self, medium: &Medium) -> Result<(), ExportError> {
        let (wanted, there) = (self.additional_partitions(), medium.additional_partitions);
        let barcode = &self.entry.barcode;
        let count = |additional: u8| u16::from(additional).saturating_add(1);
        if wanted > medium.additional_partitions_most {
            return Err(ExportError::Refused(format!(
                "{barcode} has {} partitions, and the drive makes {} at most of the tape in it: use an LTO-5 or later drive with a tape of its own generation (two partitions; LTO-6 and later: four)",
                count(wanted),
                count(medium.additional_partitions_most)
            )));
        }
        if there > 0 && there != wanted && !self.overwrites {
            return Err(ExportError::Unfit(format!(
                "{barcode}: the tape in the drive has {} partitions, and a copy of it takes {}: take another tape, or say --overwrite, which formats this one and gives up what is on it",
                count(there),
                count(wanted)
            )));
        }
        self.division(medium).map(drop)
    }

    /// Divides the tape as the cartridge is, which gives up what is on it. A tape with one partition is good for a cartridge with one.
    pub(super) fn lay_out(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<Medium, ExportError> {
        if self.additional_partitions() == 0 && medium.additional_partitions == 0 {
            return Ok(medium.clone());
        }
        let sizes = self.division(medium)?;
        let failed = |error| match error {
            TapeError::Refused(why) => ExportError::Refused(format!(
                "{}: the drive does not divide the tape into {} partitions ({why}): use another drive, or another tape",
                self.entry.barcode,
                sizes.len()
            )),
            error => ExportError::Tape { partition: 0, object: 0, error },
        };
        tape.enter(0).map_err(failed)?;
        tape.divide(&sizes).map_err(failed)?;
        let divided = tape.medium();
        if usize::from(divided.additional_partitions) + 1 == sizes.len() {
            return Ok(divided);
        }
        Err(ExportError::Refused(format!(
            "{}: the drive was told to make {} partitions of the tape, and says that it has {}: use another drive",
            self.entry.barcode,
            sizes.len(),
            u16::from(divided.additional_partitions).saturating_add(1)
        )))
    }

    /// The sizes that the tape's partitions need: those of the cartridge where they fit, and never less than what is in them.
    fn division(&self, medium: &Medium) -> Result<Vec<u64>, ExportError> {
        let shares = self.partitions;
        let Some(capacity) = medium.capacity_bytes.filter(|_| shares.len() > 1) else {
            let sizes = shares.iter().map(|share| share.bytes.max(share.written_bytes));
            return Ok(if shares.len() < 2 { vec![0] } else { sizes.collect() });
        };
        let largest = (0..shares.len()).max_by_key(|at| shares.get(*at).map(|share| share.bytes));
        let ways: [fn(&Share) -> u64; 3] = [
            |share| share.bytes.max(with_room(share.written_bytes)),
            |share| with_room(share.written_bytes).max(1),
            |share| with_room(share.compressed_bytes()).max(1),
        ];
        for of in ways {
            let others = shares.iter().enumerate().filter(|(at, _)| Some(*at) != largest);
            let others: Vec<u64> = others.map(|(_, share)| of(share)).collect();
            let rest = capacity.saturating_sub(others.iter().copied().fold(0, u64::saturating_add));
            let is_enough = |share: &Share| share.compressed_bytes() <= rest;
            // The one that gets the rest is known by being the largest.
            let is_largest = others.iter().all(|bytes| *bytes <= rest);
            if is_largest && largest.and_then(|at| shares.get(at)).is_some_and(is_enough) {
                let size = |(at, share): (usize, &Share)| {
                    if Some(at) == largest { rest } else { of(share) }
                };
                return Ok(shares.iter().enumerate().map(size).collect());
            }
        }
        Err(ExportError::Unfit(format!(
            "{}: what is in its {} partitions does not fit on the tape in the drive, which takes {capacity} bytes: take a larger one",
            self.entry.barcode,
            shares.len()
        )))
    }
}

/// With what the tape needs for itself.
fn with_room(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 50)
}
