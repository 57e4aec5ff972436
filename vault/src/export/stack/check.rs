//! What is refused before anything is written.

use std::collections::BTreeSet;

use super::super::ExportError;
use super::super::checks::{check_use, needed_bytes};
use super::super::tape::{Medium, Tape};
use super::{StackOrder, at};

impl StackOrder<'_> {
    pub(super) fn check_order(&self, contents: usize) -> Result<(), ExportError> {
        let count = self.cartridges.len();
        if count != contents || !(2..=MEMBERS_MAX).contains(&count) {
            return Err(ExportError::Refused(format!(
                "a stack has 2 to {MEMBERS_MAX} cartridges, and {count} are named"
            )));
        }
        let mut named = BTreeSet::new();
        let twice = self.cartridges.iter().find(|one| !named.insert(one.entry.uuid));
        match twice {
            Some(one) => Err(ExportError::Refused(format!("{} is named twice", one.entry.barcode))),
            None => Ok(()),
        }
    }

    pub(super) fn check_tape(&self, medium: &Medium) -> Result<(), ExportError> {
        let refused = |why: String| Err(ExportError::Unfit(why));
        if medium.is_write_protected {
            return Err(ExportError::NotFree(
                "the tape in the drive is write-protected: move its switch, or take another one"
                    .to_owned(),
            ));
        }
        if medium.additional_partitions > 0 {
            return refused(
                "the tape in the drive has several partitions, and a stack takes one with one: take another tape, or format this one anew, which gives up what is on it"
                    .to_owned(),
            );
        }
        let is_its = |one: &&super::StackedCartridge<'_>| {
            medium.barcode.as_deref() == Some(one.entry.barcode.as_str())
        };
        if let Some(one) = self.cartridges.iter().find(is_its) {
            return refused(format!(
                "the tape in the drive has the barcode of {}, which is only one of its cartridges: take a tape with a barcode of its own",
                one.entry.barcode
            ));
        }
        self.check_size(medium)?;
        check_use(self.store, medium, self.overwrites, |other| {
            other.number == self.number
                && self.cartridges.iter().any(|one| one.entry.uuid == other.cartridge)
        })
    }

    /// Nothing is spanned: all of them fit, or none is written.
    fn check_size(&self, medium: &Medium) -> Result<(), ExportError> {
        let Some(capacity) = medium.capacity_bytes else { return Ok(()) };
        let needed = self.cartridges.iter().map(|one| needed_bytes(one.entry));
        let needed = needed.fold(INDEX_BYTES, u64::saturating_add);
        if needed <= capacity {
            return Ok(());
        }
        Err(ExportError::Unfit(format!(
            "{} have {needed} bytes even when compressed, and the tape in the drive takes {capacity}: leave some out, or take a larger tape",
            self.names()
        )))
    }

    pub(super) fn check_blank(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<(), ExportError> {
        match self.orders().next() {
            Some(order) => order.check_blank(tape, medium),
            None => tape.rewind().map_err(at(0)),
        }
    }
}

/// Above this nobody finds anything on such a tape any more.
const MEMBERS_MAX: usize = 500;
/// What both indexes come to, about.
const INDEX_BYTES: u64 = if cfg!(test) { 0 } else { 1 << 20 };
