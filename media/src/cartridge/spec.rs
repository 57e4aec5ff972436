//! What a cartridge is made as, and what is known of it without reading it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::barcode::Barcode;
use crate::label::{CartridgeKind, Origin, PartOrigin};
use crate::mam::Mam;

/// What a new cartridge is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CartridgeSpec {
    /// Its identity; never changes and is never used again.
    pub uuid: Uuid,
    /// The barcode on its label.
    pub barcode: Barcode,
    /// For data or for cleaning.
    pub kind: CartridgeKind,
    /// The kind of medium as configuration names it, such as `lto9`.
    pub media_type: String,
    /// The native capacity, `>= 1`.
    pub capacity_bytes: u64,
    /// Whether written objects may never be overwritten.
    pub worm: bool,
    /// The pool it belongs to.
    pub pool: Option<String>,
    /// The protection group it belongs to.
    pub group: Option<String>,
    /// Where it is at first, in words that mean something to the catalogue.
    pub last_element: Option<String>,
    /// The moment of another cartridge that it begins with, without a copy.
    pub origin: Option<Origin>,
    /// With it, all partitions at that moment, 0 being the first one, if there were several.
    pub parts: Vec<PartOrigin>,
    /// Whether nothing may ever be written on it.
    pub read_only: bool,
    /// What is on it from the beginning.
    pub facts: CartridgeFacts,
    /// The attributes that it begins with.
    pub mam: Mam,
}

impl CartridgeSpec {
    /// An erasable data cartridge that belongs nowhere yet.
    pub fn new(uuid: Uuid, barcode: Barcode, media_type: &str, capacity_bytes: u64) -> Self {
        Self {
            uuid,
            barcode,
            kind: CartridgeKind::Data,
            media_type: media_type.to_owned(),
            capacity_bytes,
            worm: false,
            pool: None,
            group: None,
            last_element: None,
            origin: None,
            parts: Vec::new(),
            read_only: false,
            facts: CartridgeFacts::default(),
            mam: Mam::default(),
        }
    }
}

/// A summary of what is on a cartridge; the label keeps the one of the last clean unload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CartridgeFacts {
    /// The journal's generation: how often written objects have been given up by overwriting or erasing.
    pub generation: u32,
    /// Bytes of live data, before compression.
    pub written_bytes: u64,
    /// Live logical blocks.
    pub block_count: u64,
    /// Live filemarks.
    pub filemark_count: u64,
    /// When the last block or filemark was accepted.
    pub last_written: Option<Timestamp>,
    /// How often the cartridge has been loaded for writing.
    pub load_count: u64,
    /// Bytes that the journal takes on the disk, all generations together.
    pub journal_bytes: u64,
    /// Bytes of these that hold nothing live: what going back costs.
    pub undo_bytes: u64,
    /// Bytes that what is live takes on the disk, with its headers, from the first record to the last one: less than
    /// `written_bytes` where it was compressed. What was overwritten in the midst of it is counted, and so is what lies on
    /// the cartridge that this one was made from.
    pub stored_bytes: u64,
    /// The key of a pool with which what is written on it is encrypted at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_key: Option<Uuid>,
}

impl CartridgeFacts {
    /// Whether there is nothing on it.
    pub fn is_blank(&self) -> bool {
        self.block_count == 0 && self.filemark_count == 0
    }
}
