//! The head: which entry was the last. It shows when acknowledged entries have gone from the end of the log.
//!
//! It is written after each append, and made durable only now and then, because an append should cost one fsync: a killed
//! process leaves the newest head, a power cut one that may be up to [`APPENDS_PER_SYNC`] behind. So the log may be ahead
//! of the head and never behind it.
//!
//! Payload of the twin file: sequence (8 bytes, little-endian), hash (32 bytes).

use std::path::Path;

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::le_u64;

use super::entry::EntryHash;
use super::error::{Damage, LedgerError};
use super::{Head, frame};
use crate::disk::Disk;
use crate::twin::{TwinFile, TwinState};

/// The open head files.
#[derive(Debug)]
pub(super) struct HeadFile {
    twin: TwinFile,
    appends_since_sync: u32,
}

impl HeadFile {
    /// Makes both copies, durably.
    pub(super) fn create(disk: &dyn Disk, directory: &Path, head: Head) -> Result<(), LedgerError> {
        let stem = directory.join(STEM);
        let failed = || LedgerError::io("create", &stem);
        let (mut twin, _) = TwinFile::open(disk, &stem, *MAGIC, true).map_err(failed())?;
        for _ in 0..2 {
            twin.write(&encode(head)).and_then(|()| twin.sync()).map_err(failed())?;
        }
        Ok(())
    }

    pub(super) fn open(disk: &dyn Disk, directory: &Path) -> Result<(Self, Head), LedgerError> {
        let stem = directory.join(STEM);
        for path in TwinFile::names(&stem) {
            if !disk.exists(&path).map_err(LedgerError::io("look for", &path))? {
                return Err(LedgerError::damaged(0, 0, Damage::Head));
            }
        }
        let (twin, state) =
            TwinFile::open(disk, &stem, *MAGIC, false).map_err(LedgerError::io("open", &stem))?;
        let payload = match state {
            TwinState::Found(payload) => payload,
            TwinState::Newer(found) => {
                return Err(LedgerError::NewerFormat { found, supported: frame::FORMAT_VERSION });
            }
            TwinState::Absent | TwinState::Damaged => {
                return Err(LedgerError::damaged(0, 0, Damage::Head));
            }
        };
        let head = decode(&payload).ok_or(LedgerError::damaged(0, 0, Damage::Head))?;
        Ok((Self { twin, appends_since_sync: 0 }, head))
    }

    /// Follows an append. A failure is logged and not returned: the entry itself is durable.
    pub(super) fn advance(&mut self, head: Head) {
        self.appends_since_sync += 1;
        let mut result = self.twin.write(&encode(head));
        if result.is_ok() && self.appends_since_sync >= APPENDS_PER_SYNC {
            result = self.sync();
        }
        if let Err(error) = result {
            tracing::warn!(%error, "the ledger's head could not be written; a truncation of the ledger may go unnoticed");
        }
    }

    pub(super) fn sync(&mut self) -> std::io::Result<()> {
        self.twin.sync()?;
        self.appends_since_sync = 0;
        Ok(())
    }
}

fn encode(head: Head) -> Vec<u8> {
    let mut bytes = head.sequence.to_le_bytes().to_vec();
    bytes.extend_from_slice(&head.hash.0);
    bytes
}

fn decode(payload: &[u8]) -> Option<Head> {
    let (rest, (sequence, hash)) = fields(payload).ok()?;
    let hash = EntryHash(hash.try_into().ok()?);
    rest.is_empty().then_some(Head { sequence, hash })
}

fn fields(bytes: &[u8]) -> IResult<&[u8], (u64, &[u8])> {
    (le_u64, take(32_usize)).parse(bytes)
}

const STEM: &str = "head";
const MAGIC: &[u8; 8] = b"VTLHEAD\0";
const APPENDS_PER_SYNC: u32 = 32;
