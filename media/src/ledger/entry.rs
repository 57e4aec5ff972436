//! An entry of the ledger: an event with its times and actor, chained to all before it.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::event::RecordedEvent;

/// The BLAKE3 hash that chains an entry to all before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryHash(pub [u8; 32]);

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryHash({self})")
    }
}

impl Serialize for EntryHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// ≥ 1, without gaps.
    pub sequence: u64,
    /// When it was recorded, by the host's clock.
    pub time: Timestamp,
    /// And by the compliance clock, which nobody can set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compliance: Option<Timestamp>,
    /// Who did it: `cli uid 0`, `iscsi iqn…`, `system`.
    pub actor: String,
    /// What was done.
    pub event: RecordedEvent,
    /// Chains the entry to all before it.
    pub hash: EntryHash,
}
