//! Copies on physical tape. They outlive their cartridges: that is what they are for.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Inconsistency, Inventory};
use crate::copies::{CopyFacts, CopyRecord, CopyState};
use crate::ledger::Event;

impl Inventory {
    /// Adds what one event says of a copy.
    pub(super) fn apply_copy(
        &mut self,
        event: &Event,
        time: Timestamp,
    ) -> Result<(), Inconsistency> {
        match event {
            Event::CopyStaged { copy, cartridge, barcode, number } => {
                if self.copies.contains_key(copy) {
                    return Err(Inconsistency::CopyExists(*copy));
                }
                let new = CopyRecord::new(*copy, *cartridge, barcode.clone(), *number, time);
                self.copies.insert(*copy, new);
                Ok(())
            }
            Event::CopyAdvanced { copy, state, facts } => {
                let record = self.copies.get_mut(copy).ok_or(Inconsistency::NoCopy(*copy))?;
                if !record.state.may_become(*state) {
                    return Err(Inconsistency::CopyStep(*copy, record.state, *state));
                }
                record.advance(*state, facts, time);
                Ok(())
            }
            Event::CopyRetired { copy, reason, .. } => {
                let record = self.copies.get_mut(copy).ok_or(Inconsistency::NoCopy(*copy))?;
                let (from, to) = (record.state, CopyState::Retired);
                if !from.may_retire() {
                    return Err(Inconsistency::CopyStep(*copy, from, to));
                }
                let facts = CopyFacts { reason: Some(reason.clone()), ..CopyFacts::default() };
                record.advance(to, &facts, time);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn copies(&self) -> impl Iterator<Item = &CopyRecord> {
        self.copies.values()
    }

    pub(crate) fn copy(&self, id: Uuid) -> Option<&CopyRecord> {
        self.copies.get(&id)
    }

    /// All copies of this number that there ever were, the oldest first.
    pub(crate) fn copies_of(
        &self,
        cartridge: Uuid,
        number: u32,
    ) -> impl Iterator<Item = &CopyRecord> {
        self.copies
            .values()
            .filter(move |copy| copy.cartridge == cartridge && copy.number == number)
    }
}
