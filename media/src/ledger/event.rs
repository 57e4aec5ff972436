//! What the ledger records: an event with its time and actor, kept as self-describing JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::access::{AccessRule, SecretOf};
use crate::barcode::Barcode;
use crate::copies::{CopyFacts, CopyState};
use crate::inventory::SnapshotMember;
use crate::keeping::{DrillRecord, ImportSource, PolicyRun};
use crate::label::{CartridgeKind, Origin, PartOrigin};
use crate::place::{LibraryId, Place};
use crate::reservations::KeptReservations;
use crate::retention::Retention;
use crate::store::LibraryRecord;

/// A fact that is not on a cartridge. Names and fields stay for ever; new fields need a default, new events a new name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A library with its serial numbers, which never change afterwards.
    LibraryCreated {
        /// The library.
        library: LibraryRecord,
    },
    /// Directories for these cartridges are about to be made; without `CartridgeCreated` they are removed again.
    CreationIntended {
        /// The cartridges to be.
        cartridges: Vec<Uuid>,
    },
    /// The creation of these cartridges did not come to its end and was undone.
    CreationAbandoned {
        /// The cartridges that were not made.
        cartridges: Vec<Uuid>,
    },
    /// A cartridge, whose directory is durable.
    CartridgeCreated {
        /// Its identity.
        uuid: Uuid,
        /// Its barcode.
        barcode: Barcode,
        /// Data or cleaning.
        kind: CartridgeKind,
        /// For example `lto9`.
        media_type: String,
        /// Native capacity.
        capacity_bytes: u64,
        /// Whether it can be written only once.
        worm: bool,
        /// The pool it belongs to.
        #[serde(default)]
        pool: Option<String>,
        /// Its first place.
        place: Place,
        /// The moment of another cartridge that it begins with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
        /// All partitions at that moment, 0 being the first one, if there were several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parts: Vec<PartOrigin>,
        /// The barcode that the other cartridge had then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        twin_of: Option<Barcode>,
        /// Whether nothing may ever be written on it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        read_only: bool,
    },
    /// A cartridge is gone; its directory is removed afterwards.
    CartridgeDeleted {
        /// Its identity.
        uuid: Uuid,
        /// Its barcode, which is free again.
        barcode: Barcode,
    },
    /// A cartridge is about to change its place. It counts only with its `MoveCommitted`.
    MoveIntended {
        /// Names the intent; unique in a ledger.
        id: u64,
        /// Which cartridge, and from where to where.
        #[serde(flatten)]
        step: MoveStep,
    },
    /// Two cartridges are about to change their places together.
    ExchangeIntended {
        /// Names the intent; unique in a ledger.
        id: u64,
        /// The cartridge that takes the other one's place.
        first: MoveStep,
        /// The cartridge that gives way.
        second: MoveStep,
    },
    /// The move or exchange has happened.
    MoveCommitted {
        /// The intent.
        id: u64,
    },
    /// The move or exchange has not happened and will not.
    MoveAbandoned {
        /// The intent.
        id: u64,
    },
    /// A drive has loaded a cartridge.
    MediumLoaded {
        /// The cartridge.
        cartridge: Uuid,
        /// The drive.
        drive: Place,
    },
    /// A drive has unloaded a cartridge.
    MediumUnloaded {
        /// The cartridge.
        cartridge: Uuid,
        /// The drive.
        drive: Place,
    },
    /// A cartridge is about to be taken back to one of its recovery points.
    RewindIntended {
        /// The cartridge.
        cartridge: Uuid,
        /// The point's number.
        point: u64,
        /// The point's time.
        time: Timestamp,
    },
    /// It is what it was then. What it was before can be gone back to as well.
    Rewound {
        /// The cartridge.
        cartridge: Uuid,
        /// The point's number.
        point: u64,
    },
    /// Some of the cartridges of the snapshot that a later entry of the same append creates.
    SnapshotMembers {
        /// The snapshot's name.
        snapshot: String,
        /// The cartridges, each at one moment.
        members: Vec<SnapshotMember>,
    },
    /// A snapshot of the members before.
    SnapshotCreated {
        /// Its name.
        snapshot: String,
        /// The library that shows it.
        library: LibraryRecord,
        /// Whether what writes on them was held still meanwhile; none where nobody has tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_quiesced: Option<bool>,
    },
    /// A snapshot is shown as a library of its own, or not any more.
    SnapshotPresented {
        /// Its name.
        snapshot: String,
        /// Whether it is shown.
        is_presented: bool,
    },
    /// A snapshot is gone; what only it needed may be removed.
    SnapshotDeleted {
        /// Its name.
        snapshot: String,
    },
    /// Segments that only undo had needed were removed.
    Pruned {
        /// The cartridge.
        cartridge: Uuid,
        /// How many segments.
        segments: usize,
        /// Bytes on the host's disk.
        bytes: u64,
        /// Earlier moments cannot be gone back to any more.
        before: Timestamp,
    },
    /// All of a cartridge was read back from the disk.
    Verified {
        /// The cartridge.
        cartridge: Uuid,
        /// The moment that was read: what was written later is not proved by it.
        as_of: Timestamp,
        /// Bytes that were read.
        bytes: u64,
        /// Live objects that cannot be read; none proves the cartridge.
        damaged_objects: u64,
        /// Whether it was read past all caches; only that proves anything.
        is_direct: bool,
    },
    /// The persistent reservations of a logical unit that hosts want to find again after a start; they take the place of those kept before.
    ReservationsKept {
        /// The unit serial number.
        serial: String,
        /// Who is registered and who holds it.
        reservations: KeptReservations,
    },
    /// An initiator may use a library from now on, or all libraries, as the rule says.
    AccessGranted {
        /// The rule, which takes the place of an earlier one for the same initiator and library.
        rule: AccessRule,
    },
    /// An initiator's rule for a library, or the one for all others, is gone.
    AccessRevoked {
        /// The initiator.
        initiator: String,
        /// The library; none means the rule for those that have none of their own.
        library: Option<LibraryId>,
    },
    /// A secret was made or replaced.
    SecretReplaced {
        /// The initiator that it belongs to.
        initiator: String,
        /// Who proves itself with it.
        whose: SecretOf,
    },
    /// What keeps a cartridge as it is: the lock and the hold that are in force from now on.
    RetentionSet {
        /// Why, where that has to be said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The cartridge.
        cartridge: Uuid,
        /// Both.
        retention: Retention,
    },
    /// A copy on physical tape was asked for.
    CopyStaged {
        /// Its identity.
        copy: Uuid,
        /// The cartridge.
        cartridge: Uuid,
        /// The cartridge's barcode at that time.
        barcode: Barcode,
        /// Which of several copies, from 1.
        number: u32,
    },
    /// A copy took a step of its walk.
    CopyAdvanced {
        /// The copy.
        copy: Uuid,
        /// What it is from now on.
        state: CopyState,
        /// What else is known from now on.
        facts: Box<CopyFacts>,
    },
    /// A document of rules about pools, groups and policies is in force, in the place of the one before.
    RulesApplied {
        /// The whole document.
        document: String,
    },
    /// Cartridges belong to another pool from now on.
    CartridgesPooled {
        /// The cartridges.
        cartridges: Vec<Uuid>,
        /// The pool; none means that they belong to none.
        pool: Option<String>,
    },
    /// The recovery of a group was rehearsed.
    DrillEnded {
        /// What came of it.
        #[serde(flatten)]
        drill: Box<DrillRecord>,
    },
    /// A copy does not count any more: somebody said so, with a reason. Where it was on its walk does not matter.
    CopyRetired {
        /// The copy.
        copy: Uuid,
        /// Why.
        reason: String,
        /// Whether it was the last proved one, and nothing else had the data.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_last: bool,
    },
    /// The daemon has run a policy by itself.
    PolicyRan {
        /// What came of it.
        run: Box<PolicyRun>,
    },
    /// A cartridge was made of a physical tape.
    CartridgeImported {
        /// The cartridge.
        cartridge: Uuid,
        /// Of which tape.
        source: Box<ImportSource>,
    },
    /// A physical drive did not do what it was told.
    DriveFailed {
        /// Its serial number.
        serial: String,
        /// The tape that was in it, by barcode or serial number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<String>,
        /// What it said, for people.
        message: String,
    },
    /// Nothing is written to a physical drive any more.
    DriveFenced {
        /// Its serial number.
        serial: String,
        /// Why, for people.
        reason: String,
    },
    /// A physical drive is used again; what it did before is forgiven.
    DriveCleared {
        /// Its serial number.
        serial: String,
    },
    /// A pool has a key, or its key is locked with something else: what is written on its cartridges is encrypted.
    PoolKeySet {
        /// The pool.
        pool: String,
        /// The key.
        key: Uuid,
        /// What unlocks it, for people.
        opens_with: String,
    },
    /// A pool has no key any more.
    PoolKeyRemoved {
        /// The pool.
        pool: String,
        /// The key that it had.
        key: Uuid,
    },
    /// The key of a cartridge was destroyed: what was written on it cannot be read any more.
    KeyDestroyed {
        /// The cartridge.
        cartridge: Uuid,
        /// The key of the pool that it was wrapped with.
        pool_key: Uuid,
        /// SHA-256 of the wrapped key.
        fingerprint: String,
    },
    /// Something broke.
    Fault {
        /// The cartridge concerned.
        #[serde(default)]
        cartridge: Option<Uuid>,
        /// The element concerned.
        #[serde(default)]
        place: Option<Place>,
        /// What happened, for people.
        message: String,
    },
}

/// One cartridge's part of a move or exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveStep {
    /// The cartridge.
    pub cartridge: Uuid,
    /// Where it was.
    pub from: Place,
    /// Where it will be.
    pub to: Place,
    /// The storage element that it last came from, once it is there.
    pub source: Option<Place>,
    /// How people call it.
    pub motion: Motion,
}

/// Whether a move stays inside a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    /// From one element to another, or between places outside of any library.
    Move,
    /// Out of a library.
    Eject,
    /// Into a library.
    Insert,
}

impl Motion {
    /// The motion between two places.
    pub fn between(from: &Place, to: &Place) -> Self {
        match (from.is_element(), to.is_element()) {
            (true, false) => Self::Eject,
            (false, true) => Self::Insert,
            _ => Self::Move,
        }
    }
}

impl Event {
    /// Whether the event only tells, and changes neither a library nor a cartridge nor a place.
    pub fn is_informational(&self) -> bool {
        matches!(
            self,
            Self::MediumLoaded { .. }
                | Self::MediumUnloaded { .. }
                | Self::RewindIntended { .. }
                | Self::Rewound { .. }
                | Self::Pruned { .. }
                | Self::DrillEnded { .. }
                | Self::Fault { .. }
        )
    }

    /// The name under which the event is recorded.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LibraryCreated { .. } => "library_created",
            Self::CreationIntended { .. } => "creation_intended",
            Self::CreationAbandoned { .. } => "creation_abandoned",
            Self::CartridgeCreated { .. } => "cartridge_created",
            Self::CartridgeDeleted { .. } => "cartridge_deleted",
            Self::MoveIntended { .. } => "move_intended",
            Self::ExchangeIntended { .. } => "exchange_intended",
            Self::MoveCommitted { .. } => "move_committed",
            Self::MoveAbandoned { .. } => "move_abandoned",
            Self::MediumLoaded { .. } => "medium_loaded",
            Self::MediumUnloaded { .. } => "medium_unloaded",
            Self::RewindIntended { .. } => "rewind_intended",
            Self::Rewound { .. } => "rewound",
            Self::SnapshotMembers { .. } => "snapshot_members",
            Self::SnapshotCreated { .. } => "snapshot_created",
            Self::SnapshotPresented { .. } => "snapshot_presented",
            Self::SnapshotDeleted { .. } => "snapshot_deleted",
            Self::Pruned { .. } => "pruned",
            Self::Verified { .. } => "verified",
            Self::ReservationsKept { .. } => "reservations_kept",
            Self::AccessGranted { .. } => "access_granted",
            Self::AccessRevoked { .. } => "access_revoked",
            Self::SecretReplaced { .. } => "secret_replaced",
            Self::RetentionSet { .. } => "retention_set",
            Self::CopyStaged { .. } => "copy_staged",
            Self::CopyAdvanced { .. } => "copy_advanced",
            Self::RulesApplied { .. } => "rules_applied",
            Self::CartridgesPooled { .. } => "cartridges_pooled",
            Self::DrillEnded { .. } => "drill_ended",
            Self::CopyRetired { .. } => "copy_retired",
            Self::PolicyRan { .. } => "policy_ran",
            Self::CartridgeImported { .. } => "cartridge_imported",
            Self::DriveFailed { .. } => "drive_failed",
            Self::DriveFenced { .. } => "drive_fenced",
            Self::DriveCleared { .. } => "drive_cleared",
            Self::PoolKeySet { .. } => "pool_key_set",
            Self::PoolKeyRemoved { .. } => "pool_key_removed",
            Self::KeyDestroyed { .. } => "key_destroyed",
            Self::Fault { .. } => "fault",
        }
    }
}

/// An event, whether this program knows it or not. A later program's event is kept and shown as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecordedEvent {
    /// One of ours.
    Known(Box<Event>),
    /// A later one.
    Unknown(Value),
}

impl RecordedEvent {
    /// The name under which the event is recorded.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(event) => event.name(),
            Self::Unknown(value) => value.get("type").and_then(Value::as_str).unwrap_or("unknown"),
        }
    }
}
