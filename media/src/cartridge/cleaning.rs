//! Cleaning cartridges: how often they can still be used.
//!
//! A real one says so in its memory: attribute 0003h counts its loads, attribute 0409h the most that it is good for. Here the
//! label's load count is the former, and [`CLEANINGS_MAX`] the latter.

use std::path::Path;

use super::{Cartridge, CartridgeFacts, LoadError};
use crate::barcode::Barcode;
use crate::disk::Disk;
use crate::label::{CartridgeKind, Label};

/// How often a cleaning cartridge cleans.
pub const CLEANINGS_MAX: u64 = 50;

/// What a cleaning cartridge is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleaning {
    /// It cleans, and so many times more after this one.
    Cleans {
        /// How often it can be used again.
        uses_left: u64,
    },
    /// It has been used as often as it can be.
    UsedUp,
}

impl CartridgeKind {
    /// Cleaning cartridges have barcodes that begin with CLN.
    pub fn of(barcode: &Barcode) -> Self {
        if barcode.as_str().starts_with("CLN") { Self::Cleaning } else { Self::Data }
    }
}

impl Cartridge {
    /// A drive takes a cleaning cartridge in: one use less is durable when this returns, where one is left. One that lay in the
    /// drive while the program was started again is not used again (`is_resumed`).
    pub fn use_for_cleaning(
        disk: &dyn Disk,
        directory: &Path,
        is_resumed: bool,
    ) -> Result<(Cleaning, CartridgeFacts), LoadError> {
        let mut label = Label::read(disk, directory)?;
        let uses = label.facts.load_count;
        if uses >= CLEANINGS_MAX {
            return Ok((Cleaning::UsedUp, label.facts));
        }
        if !is_resumed {
            label.facts.load_count = uses.saturating_add(1);
            label.write(disk, directory)?;
        }
        let uses_left = CLEANINGS_MAX.saturating_sub(label.facts.load_count);
        Ok((Cleaning::Cleans { uses_left }, label.facts))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::cartridge::CartridgeSpec;
    use crate::disk::{Call, Fault, FaultDisk, MemoryDisk, Reaction};

    const DIRECTORY: &str = "/cleaning";

    fn made() -> (MemoryDisk, Arc<dyn Disk>) {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        let barcode = Barcode::new("CLN001L9").unwrap();
        let kind = CartridgeKind::of(&barcode);
        assert_eq!(kind, CartridgeKind::Cleaning);
        let spec =
            CartridgeSpec { kind, ..CartridgeSpec::new(Uuid::from_u128(7), barcode, "lto9", 1) };
        Cartridge::create(&disk, Path::new(DIRECTORY), &spec, Timestamp::UNIX_EPOCH).unwrap();
        (memory, disk)
    }

    fn used(disk: &dyn Disk, is_resumed: bool) -> Cleaning {
        Cartridge::use_for_cleaning(disk, Path::new(DIRECTORY), is_resumed).unwrap().0
    }

    #[test]
    fn each_use_is_durable_and_after_fifty_there_is_none() {
        let (memory, disk) = made();
        for use_number in 1..=CLEANINGS_MAX {
            let uses_left = CLEANINGS_MAX - use_number;
            assert_eq!(used(disk.as_ref(), false), Cleaning::Cleans { uses_left });
            memory.power_cut();
            if uses_left > 0 {
                assert_eq!(used(disk.as_ref(), true), Cleaning::Cleans { uses_left });
            }
        }
        for is_resumed in [true, false, false] {
            assert_eq!(used(disk.as_ref(), is_resumed), Cleaning::UsedUp);
        }
        let label = Label::read(disk.as_ref(), Path::new(DIRECTORY)).unwrap();
        assert_eq!(label.facts.load_count, CLEANINGS_MAX);
    }

    #[test]
    fn a_use_that_cannot_be_counted_is_none() {
        let (memory, disk) = made();
        let faulty = FaultDisk::over(memory);
        faulty.inject(Fault::once(Call::SyncData, "label", Reaction::Errno(5)));
        Cartridge::use_for_cleaning(&faulty, Path::new(DIRECTORY), false).unwrap_err();
        let uses_left = CLEANINGS_MAX - 1;
        let next = used(disk.as_ref(), false);
        // The label may have come to the disk although the sync failed: then the use is counted.
        assert!(
            next == Cleaning::Cleans { uses_left }
                || next == Cleaning::Cleans { uses_left: uses_left - 1 }
        );
    }

    #[test]
    fn other_barcodes_are_for_data() {
        for barcode in ["VTL001L9", "CLM001L9", "ACLN01L9"] {
            assert_eq!(CartridgeKind::of(&Barcode::new(barcode).unwrap()), CartridgeKind::Data);
        }
    }
}
