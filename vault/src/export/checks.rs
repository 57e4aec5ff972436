//! What is refused before anything is written.

use vtl_media::CopyState;

use super::ExportError;
use super::order::Order;
use super::tape::{Medium, Tape, TapeRead};
use super::volume::{is_begun_on, is_on};

impl Order<'_> {
    pub(super) fn check_tape(&self, medium: &Medium) -> Result<(), ExportError> {
        let barcode = &self.entry.barcode;
        if medium.is_write_protected {
            return Err(ExportError::Refused(format!(
                "{barcode}: the tape in the drive is write-protected: move its switch, or take another one"
            )));
        }
        self.check_division(medium)?;
        let needed = match self.entry.stored_bytes {
            0 => self.entry.written_bytes,
            stored => stored.min(self.entry.written_bytes),
        };
        if medium.capacity_bytes.is_some_and(|capacity| needed > capacity) {
            return Err(ExportError::Refused(format!(
                "{barcode} has {needed} bytes even when compressed, and the tape in the drive takes {}: take a larger one",
                medium.capacity_bytes.unwrap_or(0)
            )));
        }
        let name = medium.serial.as_ref().map(|serial| format!("serial number {serial}"));
        let name = name.or_else(|| medium.barcode.clone()).unwrap_or_default();
        for other in self.store.copies() {
            let is_this = other.cartridge == self.entry.uuid && other.number == self.number;
            let is_there = is_on(&other, medium) || is_begun_on(self.store, &other, medium);
            if !is_there || (is_this && other.state.is_under_way()) {
                continue;
            }
            if other.state.is_under_way() || other.state.is_receipted() {
                return Err(ExportError::Refused(format!(
                    "the tape in the drive ({name}) has copy {} of {}, which counts: take another tape",
                    other.number, other.barcode
                )));
            }
            if other.state == CopyState::Failed && !self.overwrites {
                return Err(ExportError::Refused(format!(
                    "the tape in the drive ({name}) failed before ({}): take another one, or say --overwrite",
                    other.facts.reason.as_deref().unwrap_or("no reason is known")
                )));
            }
        }
        Ok(())
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
        Err(ExportError::Refused(format!(
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
            copy.number.saturating_add(1)
        )))
    }
}
