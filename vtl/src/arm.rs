//! The arm: cartridges from one place to another, out of drives and into them.

use std::time::{Duration, Instant};

use tracing::{error, warn};
use vtl_changer::MoveFailure;
use vtl_media::{CartridgeEntry, MoveError, Place};

use crate::library::{Library, lock};
use crate::loader::remove;

/// The arm waits so long for a drive that brings its data to disk or reads a cartridge in.
const MOVE_LIMIT: Duration = Duration::from_secs(30);

impl Library {
    /// Moves a cartridge, out of a drive and into one if need be. After a failure it is where it was.
    pub(crate) fn move_cartridge(
        &self,
        from: &Place,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let entry = self.holdings().at(from).ok_or(MoveFailure::SourceEmpty)?;
        self.relocate(&entry, to, actor)
    }

    /// Moves a cartridge from wherever it is.
    pub(crate) fn relocate(
        &self,
        entry: &CartridgeEntry,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let from = &entry.place;
        let arms = self.site.arms(&[from, to]);
        let _held: Vec<_> = arms.iter().map(|arm| lock(arm)).collect();
        if self.holdings().find(entry.barcode.as_str()).is_none_or(|now| now.place != *from) {
            return Err(MoveFailure::SourceEmpty);
        }
        if to.is_element() && self.holdings().at(to).is_some() {
            return Err(MoveFailure::DestinationFull);
        }
        self.take_out(from, entry)?;
        let moved = self.holdings().relocate(entry, to, actor);
        let end = if moved.is_ok() { to } else { from };
        self.put_in(end, entry);
        moved.map_err(|error| self.explain(entry, &error))
    }

    /// Moves two cartridges at once: `from` to `to`, and what was there to `second_to`.
    pub(crate) fn exchange(
        &self,
        from: &Place,
        to: &Place,
        second_to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let arms = self.site.arms(&[from, to, second_to]);
        let _held: Vec<_> = arms.iter().map(|arm| lock(arm)).collect();
        let first = self.holdings().at(from).ok_or(MoveFailure::SourceEmpty)?;
        let second = self.holdings().at(to).ok_or(MoveFailure::SourceEmpty)?;
        if second_to != from && self.holdings().at(second_to).is_some() {
            return Err(MoveFailure::DestinationFull);
        }
        self.take_out(from, &first)?;
        if let Err(failure) = self.take_out(to, &second) {
            self.put_in(from, &first);
            return Err(failure);
        }
        let moved = self.holdings().exchange(from, to, second_to, actor);
        let (first_end, second_end) = if moved.is_ok() { (to, second_to) } else { (from, to) };
        self.put_in(first_end, &first);
        self.put_in(second_end, &second);
        moved.map_err(|error| self.explain(&first, &error))
    }

    /// Opens a drive's door, if the cartridge is in one: everything is on disk afterwards. A drive that is stuck keeps its
    /// cartridge, and the arm goes on with other work.
    fn take_out(&self, place: &Place, entry: &CartridgeEntry) -> Result<(), MoveFailure> {
        let (Place::Drive { number, .. }, Some(unit)) = (place, self.drive_at(place)) else {
            return Ok(());
        };
        let number = u16::try_from(*number).unwrap_or(u16::MAX);
        let (loader, barcode, again) = (self.loader(), entry.barcode.clone(), entry.clone());
        let removed = unit.ask(
            MOVE_LIMIT,
            move |device| device.drive().map_or(Ok(None), |drive| remove(drive, &barcode)),
            move |device, removed| {
                if let (Ok(_), Some(drive)) = (removed, device.drive()) {
                    warn!(barcode = %again.barcode, "the drive moves again, too late for the move");
                    loader.load(drive, number, &again, false);
                }
            },
        );
        let Some(removed) = removed else {
            error!(barcode = %entry.barcode, "the drive is stuck and keeps the cartridge");
            return Err(MoveFailure::DriveHoldsMedium);
        };
        if let Some(facts) = removed? {
            self.note_facts(entry, &facts);
        }
        Ok(())
    }

    fn put_in(&self, place: &Place, entry: &CartridgeEntry) {
        if let (Place::Drive { number, .. }, Some(unit)) = (place, self.drive_at(place)) {
            let number = u16::try_from(*number).unwrap_or(u16::MAX);
            let load = self.begin_load(&unit, number, entry, false);
            if !load.is_done_by(Instant::now() + MOVE_LIMIT) {
                warn!(barcode = %entry.barcode, drive = number, "the cartridge is in the drive and not loaded yet");
            }
        }
    }

    fn explain(&self, entry: &CartridgeEntry, error: &MoveError) -> MoveFailure {
        match error {
            MoveError::SourceEmpty { .. } => MoveFailure::SourceEmpty,
            MoveError::DestinationFull { .. } => MoveFailure::DestinationFull,
            other => {
                error!(barcode = %entry.barcode, library = %self.record.id, failure = %other, "the move was not made");
                MoveFailure::NotRecorded
            }
        }
    }
}
