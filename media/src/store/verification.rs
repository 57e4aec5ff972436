//! Reading cartridges back, with progress that survives the program.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::Store;
use super::error::{StoreError, UndoError};
use crate::cartridge::{Checkpoint, LoadOptions, Verified, Verifier, Volume};
use crate::catalogue::Change;
use crate::label::Moment;
use crate::ledger::Event;
use crate::whole::{read_whole, replace_whole};

/// A verification under way.
#[derive(Debug)]
pub struct Verification {
    /// Reads.
    pub verifier: Verifier,
    /// The cartridge as it was at the beginning, for reading only.
    pub cartridge: Volume,
    /// When that was.
    pub as_of: Timestamp,
    uuid: Uuid,
    is_resumable: bool,
}

impl Store {
    /// Begins to read a cartridge back, or goes on where an earlier verification was. One that is loaded is read as it was at
    /// its last sync point, `at`.
    pub fn begin_verification(
        &self,
        uuid: Uuid,
        at: Option<Moment>,
    ) -> Result<Verification, UndoError> {
        let is_resumable = at.is_none();
        let now = self.clock.now();
        let cartridge = self.read_cartridge(uuid, at)?;
        let kept = if is_resumable { self.kept_checkpoint(uuid) } else { None };
        let (checkpoint, as_of) = match kept {
            Some((checkpoint, began)) if cartridge.fits(&checkpoint) => (Some(checkpoint), began),
            _ => (None, now),
        };
        let verifier = cartridge.verifier(checkpoint);
        Ok(Verification { verifier, cartridge, as_of, uuid, is_resumable })
    }

    /// A cartridge to be read as it is, or as it was at a moment. One that is loaded is read as it was at its last sync point, `at`.
    pub fn read_cartridge(&self, uuid: Uuid, at: Option<Moment>) -> Result<Volume, UndoError> {
        // One that a drive is about to load must not be looked at as if nobody wrote on it.
        let (entry, _reserved) = match at {
            None => self.for_work(uuid).map(|(entry, reserved)| (entry, Some(reserved)))?,
            Some(_) => (self.cartridge(uuid).ok_or(UndoError::NoCartridge(uuid))?, None),
        };
        let now = self.clock.now();
        let options = LoadOptions {
            read_only: true,
            reads_ahead: false,
            clock: Arc::new(move || now),
            compliance: self.compliance.as_clock(),
            ..LoadOptions::default()
        };
        // A moment may lie on the cartridge that this one was made from.
        let owner = at.as_ref().map_or(uuid, |moment| moment.origin.cartridge);
        let options = match at {
            Some(moment) => options.at_moment(moment),
            None => options,
        };
        Volume::load(self.disk(), &self.directory_of(owner), options)
            .map_err(|source| UndoError::Load { barcode: entry.barcode, source })
    }

    /// Keeps how far a verification has come. A failure only costs the way back.
    pub fn keep_progress(&self, verification: &Verification) {
        let checkpoint = verification.verifier.checkpoint().filter(|_| verification.is_resumable);
        let Some(checkpoint) = checkpoint else { return };
        let path = self.checkpoint_path(verification.uuid);
        let kept = serde_json::to_vec(&(checkpoint, verification.as_of))
            .map_err(std::io::Error::other)
            .and_then(|bytes| replace_whole(&*self.disk, &path, &bytes));
        if let Err(error) = kept {
            tracing::debug!(path = %path.display(), %error, "how far the verification is was not kept");
        }
    }

    /// Records what a verification has shown. Only a whole one may be given.
    pub fn note_verified(
        &self,
        uuid: Uuid,
        as_of: Timestamp,
        verified: &Verified,
        actor: &str,
    ) -> Result<(), StoreError> {
        let changing = self.begin_change();
        let event = Event::Verified {
            cartridge: uuid,
            as_of,
            bytes: verified.bytes,
            damaged_objects: verified.damaged_objects(),
            is_direct: verified.is_direct,
        };
        let appended = self.ledger.append(&event, actor)?;
        let entry = {
            let mut inventory = self.inventory();
            inventory.apply_event(&event, appended.time).map_err(|reason| {
                StoreError::Contradiction { sequence: appended.head.sequence, reason }
            })?;
            inventory.cartridge(uuid).cloned()
        };
        if let Some(entry) = entry {
            self.project(&[Change::Put(Box::new(entry))], appended.head);
        }
        let path = self.checkpoint_path(uuid);
        if let Err(error) = self.disk.remove(&path) {
            tracing::trace!(%error, "there was no checkpoint");
        }
        drop(changing);
        Ok(())
    }

    fn kept_checkpoint(&self, uuid: Uuid) -> Option<(Checkpoint, Timestamp)> {
        let path = self.checkpoint_path(uuid);
        if !self.disk.exists(&path).unwrap_or(false) {
            return None;
        }
        let bytes = read_whole(&*self.disk, &path, CHECKPOINT_BYTES_MAX).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn checkpoint_path(&self, uuid: Uuid) -> PathBuf {
        self.directory_of(uuid).join("verification")
    }
}

const CHECKPOINT_BYTES_MAX: u64 = 16 << 20;
