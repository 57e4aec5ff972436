//! Snapshots: cartridges, each at one moment. Nothing is copied; what a snapshot needs is not pruned.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::barcode::Barcode;
use crate::label::Origin;
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
    /// When it had last been written.
    pub last_written: Option<Timestamp>,
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
