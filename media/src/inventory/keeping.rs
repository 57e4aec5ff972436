//! Runs of policies, origins of imported cartridges, and drives that have failed.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Inconsistency, Inventory};
use crate::keeping::{DriveRecord, ImportSource, PolicyRun};
use crate::ledger::Event;

/// What the media manager remembers.
#[derive(Debug, Default, Clone)]
pub(super) struct Keeping {
    /// The last run of each policy.
    runs: BTreeMap<String, PolicyRun>,
    /// Of cartridges that are there.
    pub(super) imports: HashMap<Uuid, ImportSource>,
    /// By serial number.
    drives: BTreeMap<String, DriveRecord>,
}

impl Inventory {
    /// What one such event says.
    pub(super) fn apply_keeping(
        &mut self,
        event: &Event,
        time: Timestamp,
    ) -> Result<(), Inconsistency> {
        let Keeping { runs, imports, drives } = &mut self.keeping;
        match event {
            Event::PolicyRan { run } => {
                runs.insert(run.policy.clone(), (**run).clone());
            }
            Event::CartridgeImported { cartridge, source } => {
                if !self.cartridges.contains_key(cartridge) {
                    return Err(Inconsistency::NoCartridge(*cartridge));
                }
                let source = ImportSource { time: Some(time), ..(**source).clone() };
                imports.insert(*cartridge, source);
            }
            Event::DriveFailed { serial, tape, message } => {
                let drive = drives.entry(serial.clone()).or_default();
                drive.last_failure = Some(message.clone());
                if let Some(tape) = tape {
                    drive.tapes.insert(tape.clone(), time);
                }
            }
            Event::DriveFenced { serial, reason } => {
                let drive = drives.entry(serial.clone()).or_default();
                (drive.fenced, drive.since) = (Some(reason.clone()), Some(time));
            }
            Event::DriveCleared { serial } => {
                drives.remove(serial);
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn policy_runs(&self) -> impl Iterator<Item = &PolicyRun> {
        self.keeping.runs.values()
    }

    pub(crate) fn import_of(&self, cartridge: Uuid) -> Option<&ImportSource> {
        self.keeping.imports.get(&cartridge)
    }

    pub(crate) fn imports(&self) -> impl Iterator<Item = (&Uuid, &ImportSource)> {
        self.keeping.imports.iter()
    }

    pub(crate) fn drive(&self, serial: &str) -> Option<&DriveRecord> {
        self.keeping.drives.get(serial)
    }

    pub(crate) fn drives(&self) -> &BTreeMap<String, DriveRecord> {
        &self.keeping.drives
    }
}
