//! One export from the order to the proof.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyFacts, CopyRecord, CopyState, Store};

use super::ExportError;
use super::division::Share;
use super::files::{MANIFEST, WRITTEN};
use super::stream::{Contents, Watcher};
use super::tape::{Medium, Tape};
use super::volume::is_same_tape;
use crate::receipt::{Archive, Attribute, Manifest, Proof};

/// The cartridges that are being exported: each one once at a time.
#[derive(Debug, Default)]
pub struct Exports(Mutex<BTreeSet<Uuid>>);

/// It is being exported until this is dropped.
#[derive(Debug)]
pub struct Taken<'a>(&'a Exports, Uuid);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Exports {
    /// Keeps all others from a cartridge until what comes back goes.
    ///
    /// # Errors
    ///
    /// It is being exported.
    pub fn take(&self, entry: &CartridgeEntry) -> Result<Taken<'_>, ExportError> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.uuid);
        if is_new {
            return Ok(Taken(self, entry.uuid));
        }
        Err(ExportError::Refused(format!("{} is being exported already", entry.barcode)))
    }
}

/// What is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Where the cartridge is, and its ledger.
    pub store: &'a Store,
    /// Where receipts are kept, and what signs them.
    pub receipts: &'a Archive,
    /// The cartridge, as it was when its contents were opened.
    pub entry: &'a CartridgeEntry,
    /// The moment of it that is copied.
    pub as_of: Timestamp,
    /// How it is divided; nothing for a cartridge with one partition.
    pub partitions: &'a [Share],
    /// What hosts have written into its memory.
    pub attributes: &'a [Attribute],
    /// Which of several copies, from 1.
    pub number: u32,
    /// Whether a tape with something on it may be written.
    pub overwrites: bool,
    /// Whether a copy of this number that was begun is given up, and a new one begun.
    pub begins_anew: bool,
    /// Who wants it.
    pub actor: &'a str,
    /// The program and its version.
    pub software: &'a str,
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The copy, with its receipt.
    pub copy: CopyRecord,
    /// What was written.
    pub manifest: Manifest,
    /// What was read back.
    pub proof: Proof,
}

impl Order<'_> {
    /// Does all of it that is not done yet.
    pub fn run(
        &self,
        exports: &Exports,
        tape: &mut dyn Tape,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let _taken = exports.take(self.entry)?;
        let done = self.run_alone(tape, contents, watcher);
        // Also when it failed: the next program finds the drive as it was.
        tape.unprotect();
        done
    }

    fn run_alone(
        &self,
        tape: &mut dyn Tape,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        self.check_standing()?;
        let mut under_way = self.under_way();
        self.check_stack(under_way.as_ref())?;
        if let Some(copy) = under_way.take_if(|copy| copy.state == CopyState::Proved) {
            return self.sign_again(&copy);
        }
        tape.ready().map_err(|error| ExportError::Tape { partition: 0, object: 0, error })?;
        tape.protect();
        let medium = tape.medium();
        self.check_tape(&medium)?;
        if let Some(copy) = under_way.take_if(|_| self.begins_anew) {
            // Nothing is said of a tape: the one that it was begun on may be anywhere.
            let why = "given up, and begun anew".to_owned();
            self.step(&copy, CopyState::Failed, &Medium::default(), None, Some(why))?;
        }
        let copy = if let Some(copy) = under_way {
            copy
        } else {
            // What can be refused is refused before the ledger says that there will be a copy.
            self.check_blank(tape, &medium)?;
            self.stage()?
        };
        let done = self.finish(&copy, tape, &medium, contents, watcher);
        if let Err(error) = &done
            && error.is_final()
        {
            self.step(&copy, CopyState::Failed, &medium, None, Some(error.to_string()))?;
        }
        done
    }

    fn finish(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let (manifest, written) = if copy.state == CopyState::Staged {
            self.write(copy, tape, medium, contents, watcher)?
        } else {
            let kept = self.kept(copy.id, MANIFEST)?.zip(self.kept(copy.id, WRITTEN)?);
            kept.ok_or_else(|| {
                ExportError::Failed(format!("the manifest of {} is not there any more", copy.id))
            })?
        };
        is_same_tape(manifest.target.medium_serial.as_ref(), medium)?;
        let copy = self.store.copy(copy.id).unwrap_or_else(|| copy.clone());
        if copy.state == CopyState::Manifested {
            self.step(&copy, CopyState::Written, medium, None, None)?;
        }
        self.prove(&copy, tape, medium, (manifest, written), watcher)
    }

    pub(super) fn under_way(&self) -> Option<CopyRecord> {
        let copies = self.store.copies_of(self.entry.uuid, self.number);
        copies.into_iter().find(|copy| copy.state.is_under_way())
    }

    fn stage(&self) -> Result<CopyRecord, ExportError> {
        let staged = self.store.stage_copies(&[(self.entry.uuid, self.number)], self.actor);
        let staged = staged.map_err(|error| ExportError::Refused(error.to_string()))?;
        staged
            .into_iter()
            .next()
            .ok_or_else(|| ExportError::Failed("no copy was staged".to_owned()))
    }

    pub(super) fn step(
        &self,
        copy: &CopyRecord,
        state: CopyState,
        medium: &Medium,
        bytes: Option<u64>,
        reason: Option<String>,
    ) -> Result<CopyRecord, ExportError> {
        // Only the step after writing says what was written: the cartridge may be another one by the time the tape is read back.
        let is_manifested = state == CopyState::Manifested;
        let facts = CopyFacts {
            volume: medium.barcode.clone(),
            medium_serial: medium.serial.clone(),
            generation: is_manifested.then_some(self.entry.generation),
            as_of: is_manifested.then_some(self.as_of),
            bytes,
            reason,
            ..CopyFacts::default()
        };
        let taken = self.store.advance_copy(copy.id, state, facts, self.actor);
        taken.map_err(|error| ExportError::Failed(error.to_string()))
    }
}
