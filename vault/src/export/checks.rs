//! What is refused before anything is written.

use vtl_media::{CartridgeEntry, CopyRecord, CopyState, Store};

use super::ExportError;
use super::order::Order;
use super::tape::{Medium, Tape, TapeRead};
use super::volume::{is_begun_on, is_on};
use crate::policy::free_number;

/// What it takes at least, when the drive compresses as well as this library did.
pub(super) fn needed_bytes(entry: &CartridgeEntry) -> u64 {
    match entry.stored_bytes {
        0 => entry.written_bytes,
        stored => stored.min(entry.written_bytes),
    }
}

/// Whether a tape is free: no copy on it counts, but for those of this order that are under way, and none on it has failed.
pub(super) fn check_use(
    store: &Store,
    medium: &Medium,
    overwrites: bool,
    is_of_order: impl Fn(&CopyRecord) -> bool,
) -> Result<(), ExportError> {
    let name = medium.serial.as_ref().map(|serial| format!("serial number {serial}"));
    let name = name.or_else(|| medium.barcode.clone()).unwrap_or_default();
    for other in store.copies() {
        let is_there = is_on(&other, medium) || is_begun_on(store, &other, medium);
        if !is_there || (other.state.is_under_way() && is_of_order(&other)) {
            continue;
        }
        if !other.state.is_over() {
            return Err(ExportError::NotFree(format!(
                "the tape in the drive ({name}) has copy {} of {}, which counts: take another tape",
                other.number, other.barcode
            )));
        }
        if other.state == CopyState::Failed && !overwrites {
            return Err(ExportError::NotFree(format!(
                "the tape in the drive ({name}) failed before ({}): take another one, or say --overwrite",
                other.facts.reason.as_deref().unwrap_or("no reason is known")
            )));
        }
    }
    Ok(())
}

impl Order<'_> {
    pub(super) fn check_tape(&self, medium: &Medium) -> Result<(), ExportError> {
        let barcode = &self.entry.barcode;
        if medium.is_write_protected {
            return Err(ExportError::NotFree(format!(
                "{barcode}: the tape in the drive is write-protected: move its switch, or take another one"
            )));
        }
        self.check_division(medium)?;
        let needed = needed_bytes(self.entry);
        if medium.capacity_bytes.is_some_and(|capacity| needed > capacity) {
            return Err(ExportError::Unfit(format!(
                "{barcode} has {needed} bytes even when compressed, and the tape in the drive takes {}: take a larger one",
                medium.capacity_bytes.unwrap_or(0)
            )));
        }
        check_use(self.store, medium, self.overwrites, |other| {
            other.cartridge == self.entry.uuid && other.number == self.number
        })
    }

    pub(super) fn check_blank(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<(), ExportError> {
        if self.overwrites {
            return Ok(());
        }
        let mut is_blank = true;
        for partition in 0..=medium.additional_partitions {
            let failed = |error| ExportError::Tape { partition, object: 0, error };
            tape.enter(partition).map_err(failed)?;
            is_blank &= tape.read(&mut Vec::new()).map_err(failed)? == TapeRead::EndOfData;
        }
        if is_blank {
            return Ok(());
        }
        let name =
            medium.barcode.as_deref().or(medium.serial.as_deref()).unwrap_or("without a name");
        Err(ExportError::NotFree(format!(
            "there is something on the tape in the drive ({name}); --overwrite gives it up, and cannot be undone"
        )))
    }

    /// A copy of this number that counts is not made once more.
    pub(super) fn check_standing(&self) -> Result<(), ExportError> {
        let copies = self.store.copies_of(self.entry.uuid, self.number).into_iter();
        let mut standing = copies.filter(|copy| copy.state.is_receipted());
        let Some(copy) = standing.next() else { return Ok(()) };
        Err(ExportError::Refused(format!(
            "copy {} of {} is there already, and is {}: --copy {} makes another one",
            copy.number,
            copy.barcode,
            copy.state,
            free_number(&self.store.copies(), self.entry.uuid)
        )))
    }
}
