//! Keys and values of the catalogue's trees.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `cartridges` | identity, 16 bytes | version byte 5, then the cartridge's entry in postcard |
//! | `barcodes` | barcode | identity, 16 bytes |
//! | `elements` | kind (1 storage, 2 import/export, 3 drive), number (4 bytes, big-endian), library | identity, 16 bytes |
//! | `meta` | `state` | version byte 5, then [`Meta`] in postcard |

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::CatalogueError;
use crate::ledger::{EntryHash, Head};
use crate::place::Place;
use crate::store::CartridgeEntry;

/// What the catalogue knows of itself. It changes in the same transaction as the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Counts transactions.
    pub(super) generation: u64,
    /// How many rows there are.
    pub(super) count: u64,
    /// The wrapping sum of [`digest`] over all rows: a lost or stale row changes it.
    pub(super) checksum: u64,
    /// The last ledger entry that the rows show.
    pub(super) sequence: u64,
    /// Its hash.
    pub(super) hash: [u8; 32],
}

impl Meta {
    pub(super) fn mark(&self) -> Head {
        Head { sequence: self.sequence, hash: EntryHash(self.hash) }
    }

    pub(super) fn set_mark(&mut self, mark: Head) {
        self.sequence = mark.sequence;
        self.hash = mark.hash.0;
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, CatalogueError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CatalogueError> {
        decode(bytes)
    }
}

pub(super) fn encode_row(entry: &CartridgeEntry) -> Result<Vec<u8>, CatalogueError> {
    encode(entry)
}

pub(super) fn decode_row(bytes: &[u8]) -> Result<CartridgeEntry, CatalogueError> {
    decode(bytes)
}

/// The key of an element; `None` for places that are none.
pub(super) fn element_key(place: &Place) -> Option<Vec<u8>> {
    let (kind, number, library) = match place {
        Place::Storage { library, number } => (1, number, library),
        Place::ImportExport { library, number } => (2, number, library),
        Place::Drive { library, number } => (3, number, library),
        Place::Shelf | Place::Offsite(_) => return None,
    };
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(library.0.as_bytes());
    Some(key)
}

/// 64 bits that stand for one row.
pub(super) fn digest(uuid: Uuid, value: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(uuid.as_bytes());
    hasher.update(value);
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CatalogueError> {
    postcard::to_extend(value, vec![VERSION])
        .map_err(|_| CatalogueError::Damaged("a row cannot be encoded"))
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CatalogueError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            _ => Err(CatalogueError::Damaged("a row cannot be decoded")),
        },
        Some((&version, _)) if version < VERSION => {
            Err(CatalogueError::Damaged("an older vtl has made it"))
        }
        Some((&version, _)) => Err(CatalogueError::NewerFormat(version.into())),
        None => Err(CatalogueError::Damaged("a row is empty")),
    }
}

/// To be raised with every change to [`CartridgeEntry`], its parts or [`Meta`]: postcard stores no names.
const VERSION: u8 = 5;
