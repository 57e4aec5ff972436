//! What the inventory tells about one cartridge.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::barcode::Barcode;
use crate::cartridge::CartridgeFacts;
use crate::label::{CartridgeKind, Origin, PartOrigin};
use crate::ledger::Event;
use crate::place::Place;

/// One cartridge. As JSON it is a row of `vtl inventory --format json`: names stay, new ones may be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartridgeEntry {
    /// What people read on it. Unique, and may be used again after deletion.
    pub barcode: Barcode,
    /// What it is; never used again.
    pub uuid: Uuid,
    /// Data or cleaning.
    pub kind: CartridgeKind,
    /// For example `lto9`.
    pub media_type: String,
    /// The journal's generation: each overwriting begins a new one.
    pub generation: u32,
    /// Whether it can be written only once.
    pub worm: bool,
    /// Where it is.
    #[serde(rename = "location")]
    pub place: Place,
    /// The storage element that it last came from.
    pub source: Option<Place>,
    /// The pool it belongs to.
    pub pool: Option<String>,
    /// The protection group it belongs to.
    pub group: Option<String>,
    /// How it is.
    pub state: CartridgeState,
    /// Native capacity.
    pub capacity_bytes: u64,
    /// Bytes of live data.
    pub written_bytes: u64,
    /// Logical blocks of live data.
    pub block_count: u64,
    /// Filemarks in the live data.
    pub filemark_count: u64,
    /// Bytes on the host's disk, old generations included.
    pub journal_bytes: u64,
    /// Bytes of these that only undo needs.
    pub undo_bytes: u64,
    /// Bytes on the disk between the first and the last record of the live data: less than `written_bytes` where it was
    /// compressed.
    pub stored_bytes: u64,
    /// How often it was in a drive.
    pub load_count: u64,
    /// When it was last written.
    pub last_written: Option<Timestamp>,
    /// When it was last read back completely and found good.
    pub last_proved: Option<Timestamp>,
    /// Live objects that could not be read when it was last read back.
    pub damaged_objects: u64,
    /// Whether nothing may ever be written on it.
    pub read_only: bool,
    /// The barcode of the cartridge that it was made from, without a copy.
    pub twin_of: Option<Barcode>,
    /// The moment of that cartridge.
    pub origin: Option<Origin>,
    /// With it, all partitions at that moment, 0 being the first one, if there were several.
    pub parts: Vec<PartOrigin>,
    /// When it was made.
    pub created: Timestamp,
    /// The key of a pool with which what is written on it is encrypted at rest.
    pub pool_key: Option<Uuid>,
}

/// How a cartridge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CartridgeState {
    /// A data cartridge with nothing on it.
    Empty,
    /// A data cartridge with data on it.
    Written,
    /// All that is on it has been read back since it was last written.
    Proved,
    /// A cleaning cartridge.
    Cleaning,
    /// Its label or journal could not be read, or something on it when it was last read back.
    Damaged,
    /// Its directory is gone.
    Missing,
}

impl CartridgeEntry {
    /// The cartridge that a `CartridgeCreated` event describes; `None` for any other event.
    pub(super) fn created(event: &Event, time: Timestamp) -> Option<Self> {
        let Event::CartridgeCreated {
            uuid,
            barcode,
            kind,
            media_type,
            capacity_bytes,
            worm,
            pool,
            place,
            origin,
            parts,
            twin_of,
            read_only,
        } = event
        else {
            return None;
        };
        let mut entry = Self {
            kind: *kind,
            media_type: media_type.clone(),
            worm: *worm,
            pool: pool.clone(),
            capacity_bytes: *capacity_bytes,
            read_only: *read_only,
            twin_of: twin_of.clone(),
            origin: *origin,
            parts: parts.clone(),
            created: time,
            ..Self::new(*uuid, barcode.clone(), place.clone())
        };
        entry.set_facts(&CartridgeFacts::default());
        Some(entry)
    }

    /// An empty data cartridge of which nothing else is known.
    pub(super) fn new(uuid: Uuid, barcode: Barcode, place: Place) -> Self {
        Self {
            barcode,
            uuid,
            kind: CartridgeKind::Data,
            media_type: String::new(),
            generation: 0,
            worm: false,
            place,
            source: None,
            pool: None,
            group: None,
            state: CartridgeState::Empty,
            capacity_bytes: 0,
            written_bytes: 0,
            block_count: 0,
            filemark_count: 0,
            journal_bytes: 0,
            undo_bytes: 0,
            stored_bytes: 0,
            load_count: 0,
            last_written: None,
            last_proved: None,
            damaged_objects: 0,
            read_only: false,
            twin_of: None,
            origin: None,
            parts: Vec::new(),
            created: Timestamp::UNIX_EPOCH,
            pool_key: None,
        }
    }

    /// Takes over what is known of the content.
    pub fn set_facts(&mut self, facts: &CartridgeFacts) {
        self.generation = facts.generation;
        self.written_bytes = facts.written_bytes;
        self.block_count = facts.block_count;
        self.filemark_count = facts.filemark_count;
        self.journal_bytes = facts.journal_bytes;
        self.undo_bytes = facts.undo_bytes;
        self.stored_bytes = facts.stored_bytes;
        self.load_count = facts.load_count;
        self.last_written = facts.last_written;
        self.pool_key = facts.pool_key;
        self.judge();
    }

    /// Takes over what reading all of it back has shown.
    pub(super) fn set_verified(&mut self, time: Timestamp, damaged_objects: u64, is_direct: bool) {
        self.damaged_objects = damaged_objects;
        if damaged_objects == 0 && is_direct {
            self.last_proved = Some(time);
        }
        if self.has_facts() {
            self.judge();
        }
    }

    fn judge(&mut self) {
        let facts = self.facts();
        self.state = match self.kind {
            CartridgeKind::Cleaning => CartridgeState::Cleaning,
            CartridgeKind::Data if self.damaged_objects > 0 => CartridgeState::Damaged,
            CartridgeKind::Data if facts.block_count == 0 && facts.filemark_count == 0 => {
                CartridgeState::Empty
            }
            CartridgeKind::Data if self.last_proved > facts.last_written => CartridgeState::Proved,
            CartridgeKind::Data => CartridgeState::Written,
        };
    }

    /// What is known of the content.
    pub fn facts(&self) -> CartridgeFacts {
        CartridgeFacts {
            generation: self.generation,
            written_bytes: self.written_bytes,
            block_count: self.block_count,
            filemark_count: self.filemark_count,
            last_written: self.last_written,
            load_count: self.load_count,
            journal_bytes: self.journal_bytes,
            undo_bytes: self.undo_bytes,
            stored_bytes: self.stored_bytes,
            pool_key: self.pool_key,
        }
    }

    /// Whether the content is known, so that [`CartridgeEntry::facts`] means something.
    pub fn has_facts(&self) -> bool {
        match self.state {
            CartridgeState::Missing => false,
            CartridgeState::Damaged => self.damaged_objects > 0,
            _ => true,
        }
    }
}
