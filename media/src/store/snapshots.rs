//! Snapshots of cartridges, and the libraries that show them.

use std::collections::HashMap;

use uuid::Uuid;

use super::error::{StoreError, UndoError};
use super::library::{LibrarySpec, make_record};
use super::{MAX_ELEMENTS, Store};
use crate::access::AccessRule;
use crate::at_rest::AtRestError;
use crate::cartridge::{LoadError, Volume};
use crate::inventory::{CartridgeEntry, SnapshotMember, SnapshotRecord};
use crate::label::{CartridgeKind, Label, Moment};
use crate::ledger::Event;
use crate::place::LibraryId;

impl Store {
    /// All snapshots, sorted by name.
    pub fn snapshots(&self) -> Vec<SnapshotRecord> {
        self.inventory().snapshots().cloned().collect()
    }

    /// One snapshot.
    pub fn snapshot(&self, name: &str) -> Option<SnapshotRecord> {
        self.inventory().snapshot(name).cloned()
    }

    /// Takes a snapshot of cartridges: each as it was at its last sync point. `loaded` says what that was for those in drives.
    pub fn create_snapshot(
        &self,
        name: &str,
        cartridges: &[Uuid],
        loaded: &HashMap<Uuid, Option<Moment>>,
        actor: &str,
    ) -> Result<SnapshotRecord, UndoError> {
        self.create_barrier(name, cartridges, loaded, None, actor)
    }

    /// The same, and says whether what writes on them was held still meanwhile.
    pub fn create_barrier(
        &self,
        name: &str,
        cartridges: &[Uuid],
        loaded: &HashMap<Uuid, Option<Moment>>,
        is_quiesced: Option<bool>,
        actor: &str,
    ) -> Result<SnapshotRecord, UndoError> {
        let id = snapshot_library(name)?;
        if self.snapshot(name).is_some() {
            return Err(UndoError::SnapshotExists(name.to_owned()));
        }
        // Read without the lock for changes: what was synced stays, and nothing is pruned that is newer than the window.
        let mut members = Vec::new();
        for uuid in cartridges {
            let entry = self.cartridge(*uuid).ok_or(UndoError::NoCartridge(*uuid))?;
            if entry.kind == CartridgeKind::Data {
                members.push(self.member(&entry, loaded.get(uuid))?);
            }
        }
        if members.is_empty() {
            return Err(UndoError::NothingChosen);
        }
        let changing = self.begin_change();
        if self.snapshot(name).is_some() {
            return Err(UndoError::SnapshotExists(name.to_owned()));
        }
        for member in &members {
            self.check_key(member.cartridge)?;
        }
        let library = self.record_of(id, members.len())?;
        let snapshot = name.to_owned();
        let mut events: Vec<Event> = members
            .chunks(MEMBERS_AT_ONCE)
            .map(|members| Event::SnapshotMembers {
                snapshot: snapshot.clone(),
                members: members.to_vec(),
            })
            .collect();
        events.push(Event::SnapshotCreated { snapshot, library, is_quiesced });
        self.record_changes(&events, actor)?;
        drop(changing);
        self.snapshot(name).ok_or_else(|| UndoError::NoSnapshot(name.to_owned()))
    }

    /// One whose key was destroyed since it was read has nothing that could be gone back to.
    fn check_key(&self, uuid: Uuid) -> Result<(), UndoError> {
        let entry = self.cartridge(uuid).ok_or(UndoError::NoCartridge(uuid))?;
        if entry.pool_key.is_none() {
            return Ok(());
        }
        let failed = |source: LoadError| UndoError::Load { barcode: entry.barcode.clone(), source };
        let label = Label::read(&*self.disk, &self.directory_of(uuid));
        let key = label.map_err(|error| failed(error.into()))?.at_rest;
        match key {
            Some(key) if key.is_destroyed() => Err(failed(AtRestError::Destroyed.into())),
            _ => Ok(()),
        }
    }

    /// Shows a snapshot as a library of its own, or hides it again.
    pub fn present_snapshot(
        &self,
        name: &str,
        is_presented: bool,
        actor: &str,
    ) -> Result<SnapshotRecord, UndoError> {
        let changing = self.begin_change();
        let record = self.snapshot(name).ok_or_else(|| UndoError::NoSnapshot(name.to_owned()))?;
        if record.is_presented != is_presented {
            let snapshot = name.to_owned();
            self.record_changes(&[Event::SnapshotPresented { snapshot, is_presented }], actor)?;
        }
        drop(changing);
        Ok(SnapshotRecord { is_presented, ..record })
    }

    /// Deletes a snapshot; the cartridges stay.
    pub fn delete_snapshot(&self, name: &str, actor: &str) -> Result<(), UndoError> {
        let changing = self.begin_change();
        let record = self.snapshot(name).ok_or_else(|| UndoError::NoSnapshot(name.to_owned()))?;
        if record.is_presented {
            return Err(UndoError::Presented(record.name));
        }
        let is_about = |rule: &&AccessRule| rule.library.as_ref() == Some(&record.library.id);
        if let Some(rule) = self.access_rules().iter().find(is_about) {
            return Err(UndoError::Ruled {
                snapshot: record.name,
                library: record.library.id,
                initiator: rule.initiator.clone(),
            });
        }
        self.record_changes(&[Event::SnapshotDeleted { snapshot: record.name }], actor)?;
        drop(changing);
        Ok(())
    }

    pub(super) fn record_changes(&self, events: &[Event], actor: &str) -> Result<(), UndoError> {
        let appended = self.ledger.append_all(events, actor)?;
        for event in events {
            self.inventory().apply_event(event, appended.time).map_err(|reason| {
                StoreError::Contradiction { sequence: appended.head.sequence, reason }
            })?;
        }
        Ok(())
    }

    /// One cartridge at its last sync point.
    fn member(
        &self,
        entry: &CartridgeEntry,
        loaded: Option<&Option<Moment>>,
    ) -> Result<SnapshotMember, UndoError> {
        let newest = match loaded {
            Some(moment) => moment.clone(),
            None => self.last_moment(entry)?,
        };
        let moment = newest.unwrap_or_else(|| Moment::beginning_of(entry.uuid));
        Ok(SnapshotMember {
            cartridge: entry.uuid,
            barcode: entry.barcode.clone(),
            media_type: entry.media_type.clone(),
            capacity_bytes: entry.capacity_bytes,
            origin: moment.origin,
            parts: moment.parts,
            last_written: entry.last_written,
        })
    }

    /// The last moment of a cartridge that is in no drive: as its label says after a clean unload, else as its journal does.
    fn last_moment(&self, entry: &CartridgeEntry) -> Result<Option<Moment>, UndoError> {
        let directory = self.directory_of(entry.uuid);
        let barcode = || entry.barcode.clone();
        let label = Label::read(&*self.disk, &directory)
            .map_err(|source| UndoError::Load { barcode: barcode(), source: source.into() })?;
        if label.is_clean
            && !label.is_single_copy
            && label.layouts.is_empty()
            && (label.last_moment.is_some() || label.owner_epoch == 0)
        {
            return Ok(label.last_moment.or(label.origin).map(Moment::from));
        }
        let cartridge: Volume = self.open_cartridge(entry, true)?;
        cartridge.last_moment().map_err(|source| UndoError::Medium { barcode: barcode(), source })
    }

    /// The library that shows a snapshot: like the first one, with identities of its own.
    fn record_of(&self, id: LibraryId, members: usize) -> Result<super::LibraryRecord, UndoError> {
        let default = LibrarySpec::default();
        let first = self.first_library();
        let changer = first.as_ref().map(|first| first.changer.profile.clone());
        let drives = first.map(|first| first.drives).unwrap_or_default();
        let drives: Vec<_> = drives.into_iter().map(|drive| drive.profile).collect();
        let spec = LibrarySpec {
            id,
            changer_profile: changer.unwrap_or(default.changer_profile),
            drives: u32::from(drives.is_empty()),
            other_drives: drives,
            storage_elements: u32::try_from(members).unwrap_or(MAX_ELEMENTS).min(MAX_ELEMENTS),
            import_export_elements: 0,
            iqn: None,
            cartridges: Vec::new(),
            ..default
        };
        Ok(make_record(&spec, &self.random, self.clock.now())
            .map_err(super::CreateError::Random)?)
    }
}

/// The name of the library that shows a snapshot.
fn snapshot_library(name: &str) -> Result<LibraryId, UndoError> {
    let id = LibraryId::new(&format!("{LIBRARY_PREFIX}{name}"));
    id.ok()
        .filter(|_| (1..=NAME_BYTES_MAX).contains(&name.len()))
        .ok_or_else(|| UndoError::BadName(name.chars().take(NAME_BYTES_MAX).collect()))
}

const LIBRARY_PREFIX: &str = "snapshot-";
const NAME_BYTES_MAX: usize = 40;
/// So many members, each with four partitions, are about half of the longest entry of the ledger.
const MEMBERS_AT_ONCE: usize = 250;
