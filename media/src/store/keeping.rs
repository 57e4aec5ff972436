//! What the media manager remembers: runs of policies, retired copies, origins of imports, drives that have failed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::copies::CopyError;
use super::error::UndoError;
use super::{CartridgeEntry, CartridgeState, Store};
use crate::copies::{CopyRecord, CopyState};
use crate::keeping::{BAD_TAPES_MAX, DriveRecord, ImportSource, PolicyRun};
use crate::ledger::Event;

impl Store {
    /// What time it is, by the clock that the ledger's entries have their time from.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The last run of each policy that ran by itself.
    pub fn policy_runs(&self) -> Vec<PolicyRun> {
        self.inventory().policy_runs().cloned().collect()
    }

    /// Notes that a policy ran by itself; it is durable when this returns.
    pub fn note_policy_run(&self, run: PolicyRun, actor: &str) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        self.record_changes(&[Event::PolicyRan { run: Box::new(run) }], actor)
    }

    /// Has a copy count no more, and says why. The last proved copy of what nothing else has is refused, unless `gives_up_last` says that it
    /// is meant; where a lock or a hold is on the cartridge, it is refused all the same.
    pub fn retire_copy(
        &self,
        id: Uuid,
        reason: &str,
        gives_up_last: bool,
        actor: &str,
    ) -> Result<CopyRecord, CopyError> {
        let changing = self.begin_change();
        let record = self.copy(id).ok_or(CopyError::NoCopy(id))?;
        if !record.state.may_retire() {
            return Err(CopyError::Step {
                barcode: record.barcode,
                number: record.number,
                from: record.state,
                to: CopyState::Retired,
            });
        }
        let is_last = self.is_last_copy(&record);
        if is_last {
            let retention = self.inventory().retention(record.cartridge);
            if let Some(why) = retention.reason(self.compliance.now()) {
                let (barcode, number) = (record.barcode, record.number);
                return Err(CopyError::Locked { barcode, number, why });
            }
            if !gives_up_last {
                return Err(CopyError::Last { barcode: record.barcode, number: record.number });
            }
        }
        let event = Event::CopyRetired { copy: id, reason: reason.to_owned(), is_last };
        self.record_changes(&[event], actor)?;
        drop(changing);
        self.copy(id).ok_or(CopyError::NoCopy(id))
    }

    /// Whether nothing else has what this copy was proved to have: no cartridge on disk that can be read, and no other copy that counts and is not
    /// older. A lost one may turn up: it is the last one, too.
    pub fn is_last_copy(&self, copy: &CopyRecord) -> bool {
        let inventory = self.inventory();
        let is_sound = |entry: &CartridgeEntry| {
            !matches!(entry.state, CartridgeState::Damaged | CartridgeState::Missing)
        };
        let has_it = |other: &CopyRecord| {
            other.id != copy.id
                && other.cartridge == copy.cartridge
                && other.state.is_receipted()
                && other.facts.as_of >= copy.facts.as_of
        };
        copy.proved.is_some()
            && !inventory.cartridge(copy.cartridge).is_some_and(is_sound)
            && !inventory.copies().any(has_it)
    }

    /// Notes of which tape a cartridge was made.
    pub fn note_import(
        &self,
        cartridge: Uuid,
        source: ImportSource,
        actor: &str,
    ) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        if self.cartridge(cartridge).is_none() {
            return Err(UndoError::NoCartridge(cartridge));
        }
        let event = Event::CartridgeImported { cartridge, source: Box::new(source) };
        self.record_changes(&[event], actor)
    }

    /// The tape that a cartridge was made of.
    pub fn import_of(&self, cartridge: Uuid) -> Option<ImportSource> {
        self.inventory().import_of(cartridge).cloned()
    }

    /// The other cartridges, sorted by barcode, that were made of the same tape, by its serial number, or of one with the same on it.
    pub fn imports_like(&self, cartridge: Uuid, source: &ImportSource) -> Vec<CartridgeEntry> {
        let inventory = self.inventory();
        let is_like = |other: &ImportSource| {
            let is_same_tape =
                source.medium_serial.is_some() && other.medium_serial == source.medium_serial;
            let has_same =
                other.bytes > 0 && (&other.root, other.bytes) == (&source.root, source.bytes);
            is_same_tape || has_same
        };
        let like =
            inventory.imports().filter(|(uuid, other)| **uuid != cartridge && is_like(other));
        let mut found: Vec<CartridgeEntry> =
            like.filter_map(|(uuid, _)| inventory.cartridge(*uuid).cloned()).collect();
        found.sort_by(|a, b| a.barcode.cmp(&b.barcode));
        found
    }

    /// What a physical drive has done; nothing if it never failed since it was cleared.
    pub fn drive(&self, serial: &str) -> Option<DriveRecord> {
        self.inventory().drive(serial).cloned()
    }

    /// All physical drives that have failed since they were cleared, by their serial numbers.
    pub fn failed_drives(&self) -> BTreeMap<String, DriveRecord> {
        self.inventory().drives().clone()
    }

    /// Notes that a physical drive has failed, with which tape, and whether it is the drive that is broken. One that is broken, and one that finds
    /// tape after tape bad, is fenced. What it is afterwards is returned.
    pub fn note_drive_failure(
        &self,
        serial: &str,
        tape: Option<&str>,
        is_broken: bool,
        message: &str,
        actor: &str,
    ) -> Result<DriveRecord, UndoError> {
        let _changing = self.begin_change();
        let known = self.drive(serial).unwrap_or_default();
        let failed = Event::DriveFailed {
            serial: serial.to_owned(),
            tape: tape.map(str::to_owned),
            message: message.to_owned(),
        };
        self.record_changes(&[failed], actor)?;
        let record = self.drive(serial).unwrap_or_default();
        let bad_tapes = record.bad_tapes(self.now());
        let reason = if is_broken {
            Some(message.to_owned())
        } else if bad_tapes >= BAD_TAPES_MAX {
            Some(format!("{bad_tapes} tapes were bad in it, the last time: {message}"))
        } else {
            None
        };
        if let Some(reason) = reason.filter(|_| known.fenced.is_none()) {
            self.record_changes(
                &[Event::DriveFenced { serial: serial.to_owned(), reason }],
                actor,
            )?;
        }
        Ok(self.drive(serial).unwrap_or_default())
    }

    /// Has a physical drive be used again. What it did before is forgiven. Says whether there was anything to forgive.
    pub fn clear_drive(&self, serial: &str, actor: &str) -> Result<bool, UndoError> {
        let _changing = self.begin_change();
        if self.drive(serial).is_none() {
            return Ok(false);
        }
        self.record_changes(&[Event::DriveCleared { serial: serial.to_owned() }], actor)?;
        Ok(true)
    }
}
