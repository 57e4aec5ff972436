//! A note outside the database of how far it had come, to notice when it comes back older or with rows missing.
//!
//! Payload of the twin file, little-endian: generation (8 bytes), row count (8), checksum (8), 1 if closed in order (1).

use std::path::Path;

use nom::IResult;
use nom::Parser;
use nom::number::complete::{le_u8, le_u64};

use super::CatalogueError;
use super::row::Meta;
use crate::disk::Disk;
use crate::twin::{TwinFile, TwinState};

/// The open note.
#[derive(Debug)]
pub(super) struct Tripwire {
    twin: TwinFile,
}

/// What the note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    generation: u64,
    count: u64,
    checksum: u64,
    pub(super) is_closed: bool,
}

impl Tripwire {
    /// Opens the note; there is none in a new catalogue.
    pub(super) fn open(
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<(Self, Option<Note>), CatalogueError> {
        let stem = directory.join("tripwire");
        let opened = TwinFile::open(disk, &stem, *MAGIC, true);
        let (twin, state) = opened.map_err(|source| CatalogueError::Io {
            operation: "open",
            path: stem.clone(),
            source,
        })?;
        let note = match state {
            TwinState::Absent => None,
            TwinState::Found(payload) => Some(
                decode(&payload).ok_or(CatalogueError::Damaged("its tripwire cannot be read"))?,
            ),
            TwinState::Damaged => {
                return Err(CatalogueError::Damaged("both copies of its tripwire are damaged"));
            }
            TwinState::Newer(version) => return Err(CatalogueError::NewerFormat(version)),
        };
        Ok((Self { twin }, note))
    }

    /// Writes down, durably, that the database has come so far.
    pub(super) fn set(&mut self, meta: &Meta, is_closed: bool) -> std::io::Result<()> {
        let mut payload = Vec::with_capacity(25);
        payload.extend_from_slice(&meta.generation.to_le_bytes());
        payload.extend_from_slice(&meta.count.to_le_bytes());
        payload.extend_from_slice(&meta.checksum.to_le_bytes());
        payload.push(u8::from(is_closed));
        self.twin.write(&payload)?;
        self.twin.sync()
    }
}

impl Note {
    /// Whether a database may have come to `meta` since the note was written.
    pub(super) fn check(&self, meta: &Meta) -> Result<(), CatalogueError> {
        if meta.generation < self.generation {
            return Err(CatalogueError::RolledBack {
                found: meta.generation,
                expected: self.generation,
            });
        }
        let is_same = meta.count == self.count && meta.checksum == self.checksum;
        if meta.generation == self.generation && !is_same {
            return Err(CatalogueError::Damaged("its rows are not those that were noted"));
        }
        if self.is_closed && meta.generation != self.generation {
            return Err(CatalogueError::Damaged("it was changed after it had been closed"));
        }
        Ok(())
    }
}

fn decode(payload: &[u8]) -> Option<Note> {
    let (rest, (generation, count, checksum, closed)) = fields(payload).ok()?;
    (rest.is_empty() && closed <= 1).then_some(Note {
        generation,
        count,
        checksum,
        is_closed: closed == 1,
    })
}

fn fields(bytes: &[u8]) -> IResult<&[u8], (u64, u64, u64, u8)> {
    (le_u64, le_u64, le_u64, le_u8).parse(bytes)
}

const MAGIC: &[u8; 8] = b"VTLTRIP\0";
