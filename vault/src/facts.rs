//! What is known when a policy is looked at: the time, the disk, and of each cartridge its copies.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use vtl_media::{CartridgeEntry, CopyRecord, CopyState};

/// The moment at which rules are applied.
#[derive(Debug, Clone)]
pub struct Situation {
    /// Now.
    pub now: Timestamp,
    /// Where calendars are read.
    pub zone: TimeZone,
    /// How full the disk of the data directory is, in percent.
    pub disk_used_percent: u8,
    /// How long what was written can be taken back.
    pub undo_window: SignedDuration,
    /// Why nothing on a cartridge may be given up: those that are locked or held.
    pub locked: BTreeMap<Uuid, String>,
    /// Those of them that nobody can take the lock from: neither held nor governed.
    pub fixed: BTreeSet<Uuid>,
    /// Twins and snapshots that rest on a cartridge: it cannot be deleted before they are.
    pub dependents: BTreeMap<Uuid, Vec<String>>,
    /// All cartridges.
    pub cartridges: Vec<CartridgeEntry>,
    /// All copies.
    pub copies: Vec<CopyRecord>,
}

impl Situation {
    /// The copies of a cartridge that are there or being made.
    pub fn standing_copies(&self, cartridge: Uuid) -> impl Iterator<Item = &CopyRecord> {
        self.copies.iter().filter(move |copy| copy.cartridge == cartridge && !copy.state.is_over())
    }

    /// Those of them that hold, or will hold, what is on the cartridge now.
    pub fn current_copies<'a>(
        &'a self,
        entry: &'a CartridgeEntry,
    ) -> impl Iterator<Item = &'a CopyRecord> {
        self.standing_copies(entry.uuid).filter(|copy| is_current(copy, entry))
    }
}

/// Whether a copy holds, or will hold, what is on its cartridge now.
pub(crate) fn is_current(copy: &CopyRecord, entry: &CartridgeEntry) -> bool {
    copy.state == CopyState::Staged || copy.holds(entry)
}

/// A cartridge in the first storage element, written at this time or empty.
#[cfg(test)]
pub(crate) fn test_entry(barcode: &str, last_written: Option<&str>) -> CartridgeEntry {
    let number = barcode.bytes().fold(0_u128, |sum, byte| sum * 256 + u128::from(byte));
    let json = serde_json::json!({
        "barcode": barcode, "uuid": Uuid::from_u128(number), "kind": "data", "media_type": "lto9", "generation": 1,
        "worm": false, "location": "slot:1", "source": null, "pool": null, "group": null,
        "state": if last_written.is_some() { "written" } else { "empty" },
        "capacity_bytes": 18_000_000_000_000_u64,
        "written_bytes": if last_written.is_some() { 1_000_000_u64 } else { 0 },
        "block_count": 1, "filemark_count": 1, "journal_bytes": 1, "undo_bytes": 0, "stored_bytes": 1, "load_count": 1,
        "last_written": last_written, "last_proved": null, "damaged_objects": 0, "read_only": false, "twin_of": null,
        "origin": null, "parts": [], "created": "2026-01-01T00:00:00Z",
    });
    serde_json::from_value(json).unwrap()
}

/// A quiet evening.
#[cfg(test)]
pub(crate) fn test_situation(cartridges: Vec<CartridgeEntry>) -> Situation {
    Situation {
        now: "2026-11-28T20:00:00Z".parse().unwrap(),
        zone: TimeZone::UTC,
        disk_used_percent: 10,
        undo_window: SignedDuration::from_hours(24 * 14),
        locked: BTreeMap::new(),
        fixed: BTreeSet::new(),
        dependents: BTreeMap::new(),
        cartridges,
        copies: Vec::new(),
    }
}
