//! Snapshots: cartridges, each at one moment. Nothing is copied; what a snapshot needs is not pruned.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CartridgeEntry, Inconsistency, Inventory};
use crate::barcode::Barcode;
use crate::cartridge::CartridgeFacts;
use crate::label::{Moment, Origin, PartOrigin};
use crate::ledger::Event;
use crate::place::Place;
use crate::store::LibraryRecord;

/// One cartridge of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMember {
    /// The cartridge.
    pub cartridge: Uuid,
    /// Its barcode then, which the snapshot shows.
    pub barcode: Barcode,
    /// For example `lto9`.
    pub media_type: String,
    /// Native capacity.
    pub capacity_bytes: u64,
    /// The moment. A cartridge with nothing on it has one at the very beginning.
    pub origin: Origin,
    /// With it, all partitions at that moment, 0 being the first one, if there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartOrigin>,
    /// When it had last been written.
    pub last_written: Option<Timestamp>,
}

impl SnapshotMember {
    /// The moment of all partitions.
    pub fn moment(&self) -> Moment {
        Moment { origin: self.origin, parts: self.parts.clone() }
    }

    /// The member as a cartridge of the library that shows the snapshot.
    pub fn entry(&self, place: Place) -> CartridgeEntry {
        let mut entry = CartridgeEntry::new(self.cartridge, self.barcode.clone(), place);
        entry.media_type.clone_from(&self.media_type);
        entry.capacity_bytes = self.capacity_bytes;
        entry.read_only = true;
        entry.origin = Some(self.origin);
        entry.parts.clone_from(&self.parts);
        let facts = self.moment().facts();
        entry.set_facts(&CartridgeFacts { last_written: self.last_written, ..facts });
        entry
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Its name, unique in a data directory.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The cartridges, sorted by barcode.
    pub members: Vec<SnapshotMember>,
    /// The library that shows it.
    pub library: LibraryRecord,
    /// Whether it is shown.
    pub is_presented: bool,
    /// Whether what writes on the cartridges was held still meanwhile; none where nobody has tried.
    #[serde(default)]
    pub is_quiesced: Option<bool>,
}

impl Inventory {
    /// Adds what one event says of a snapshot.
    pub(super) fn apply_snapshot(
        &mut self,
        event: &Event,
        time: Timestamp,
    ) -> Result<(), Inconsistency> {
        match event {
            Event::SnapshotMembers { snapshot, members } => {
                self.gathered.entry(snapshot.clone()).or_default().extend(members.iter().cloned());
                Ok(())
            }
            Event::SnapshotCreated { snapshot, library, is_quiesced } => {
                self.add_snapshot(snapshot, library, *is_quiesced, time)
            }
            Event::SnapshotPresented { snapshot, is_presented } => {
                let found = self.snapshots.get_mut(snapshot);
                found
                    .map(|record| record.is_presented = *is_presented)
                    .ok_or_else(|| Inconsistency::NoSnapshot(snapshot.clone()))
            }
            Event::SnapshotDeleted { snapshot } => {
                let removed = self.snapshots.remove(snapshot);
                removed.map(|_| ()).ok_or_else(|| Inconsistency::NoSnapshot(snapshot.clone()))
            }
            _ => Ok(()),
        }
    }

    fn add_snapshot(
        &mut self,
        name: &str,
        library: &LibraryRecord,
        is_quiesced: Option<bool>,
        created: Timestamp,
    ) -> Result<(), Inconsistency> {
        let mut members = self.gathered.remove(name).unwrap_or_default();
        if self.snapshots.contains_key(name) {
            return Err(Inconsistency::SnapshotExists(name.to_owned()));
        }
        members.sort_unstable_by(|a, b| a.barcode.cmp(&b.barcode));
        let record = SnapshotRecord {
            name: name.to_owned(),
            created,
            members,
            library: library.clone(),
            is_presented: false,
            is_quiesced,
        };
        self.snapshots.insert(name.to_owned(), record);
        Ok(())
    }

    /// All snapshots, sorted by name.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &SnapshotRecord> {
        self.snapshots.values()
    }

    pub(crate) fn snapshot(&self, name: &str) -> Option<&SnapshotRecord> {
        self.snapshots.get(name)
    }
}
