//! Snapshots: cartridges, each at one moment. Nothing is copied; what a snapshot needs is not pruned.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::CartridgeEntry;
use crate::barcode::Barcode;
use crate::cartridge::CartridgeFacts;
use crate::label::{Moment, Origin, PartOrigin};
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
}
