//! Cartridges, the ledger, and the catalogue: everything that is kept.
//!
//! This room knows what lies on disk and nothing of SCSI. A [`cartridge`] is an append-only journal that describes itself;
//! the [`ledger`] is the hash-chained log of every fact that is not on a cartridge; the [`catalogue`] is an index of both in
//! sled that any start may throw away; the [`store`] puts the three together into one data directory. All file I/O goes
//! through the [`disk::Disk`] seam.

mod access;
mod at_rest;
pub mod barcode;
pub mod cartridge;
pub mod catalogue;
mod causes;
mod copies;
pub mod disk;
mod inventory;
mod journal;
mod keeping;
pub mod label;
pub mod layout;
pub mod ledger;
pub mod mam;
pub mod payload;
pub mod place;
mod reservations;
mod retention;
pub mod seal;
pub mod store;
mod twin;
mod whole;

pub use self::access::{AccessRule, SecretOf};
pub use self::at_rest::{
    AtRestError, KEY_FILE_BYTES_MAX, KEY_FILE_BYTES_MIN, KeyError, KeyRing, PASSPHRASE_BYTES_MIN,
    PoolKey, Protection, WrappedKey,
};
pub use self::barcode::Barcode;
pub use self::cartridge::{
    CLEANINGS_MAX, Cartridge, CartridgeFacts, CartridgeSpec, Checkpoint, Cleaning, GenerationBegun,
    LoadError, LoadOptions, MediumError, MediumLife, NextObject, ObjectNumber, PartitionNumber,
    Position, Pruned, ReadOutcome, RecoveryPoint, SpaceOutcome, Traffic, Verified, Verifier,
    Volume, WantedPoint, WriteOutcome, low_space_bytes,
};
pub use self::causes::with_causes;
pub use self::copies::{CopyFacts, CopyRecord, CopyState, CopySummary};
pub use self::keeping::{
    BAD_TAPES_MAX, DrillMember, DrillRecord, DriveRecord, ImportSource, PolicyRun,
};
pub use self::label::{CartridgeKind, Label, LabelError, Moment, Origin, PartOrigin};
pub use self::layout::{Layout, PARTITIONS_MAX};
pub use self::ledger::{Entry, EntryFilter, Event, Ledger, LedgerError};
pub use self::mam::{Attribute, AttributeFormat, Mam, MamError};
pub use self::payload::{HEADROOM_BYTES, Payload};
pub use self::place::{LibraryId, Place, PlaceError};
pub use self::reservations::{KeptRegistrant, KeptReservation, KeptReservations};
pub use self::retention::{ComplianceClock, Retention, Uptime};
pub use self::seal::{
    AUTHENTICATED_BYTES_MAX, KEY_BYTES, Key, KeyDescription, Opening, Sealing,
    UNAUTHENTICATED_BYTES_MAX, forget as forget_key,
};
pub use self::store::{
    CartridgeEntry, CartridgeState, CopyError, CopyStep, CreateError, DeleteError, DeviceRecord,
    ErasureError, History, KeyDestroyed, KeysError, LibraryRecord, LibrarySpec, MoveError,
    NewCartridge, NewTwin, RULES_BYTES_MAX, RetentionChange, Rewound, RulesRecord, SnapshotMember,
    SnapshotRecord, Store, StoreError, StoreOptions, UndoError, Verification, WriteLabels,
};
