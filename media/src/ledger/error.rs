//! What can go wrong with a ledger.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the ledger could not be opened, read, verified or appended to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A system call failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The ledger was changed after it had been written.
    #[error(
        "the ledger is damaged in segment {segment:06} at entry {sequence}: {damage}. Nothing was changed; restore the \
         directory `ledger` from a copy, and find out who or what wrote to it"
    )]
    Damaged {
        /// Number of the segment, as in its file's name.
        segment: u32,
        /// The first entry that is not as it was written.
        sequence: u64,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A program that knows more has written here.
    #[error(
        "the ledger has format version {found}, and this program knows {supported}: use a newer vtl"
    )]
    NewerFormat {
        /// The version found.
        found: u32,
        /// The newest known version.
        supported: u32,
    },
    /// An event or a group of events is too long to be recorded.
    #[error(
        "{length_bytes} bytes are too many for one append to the ledger (at most {limit_bytes})"
    )]
    TooLong {
        /// How long.
        length_bytes: u64,
        /// How long it may be.
        limit_bytes: u64,
    },
    /// A sync has failed before: what is on disk is uncertain, so that nothing may be added.
    #[error(
        "the ledger takes no more entries since a sync failed; check the disk and start vtl again"
    )]
    Fenced,
}

/// What is wrong with an entry or a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Damage {
    /// Bytes of an entry have changed.
    #[error("its bytes have changed")]
    Checksum,
    /// An entry is missing, inserted or in the wrong order.
    #[error("it does not follow the entry before it")]
    Chain,
    /// The checksums are right and the content is nonsense.
    #[error("its content cannot be read")]
    Content,
    /// The start of a segment has changed, or it belongs elsewhere.
    #[error("the segment's header is not its own")]
    SegmentHeader,
    /// A segment's file is gone.
    #[error("the segment is missing")]
    SegmentMissing,
    /// A segment is longer than one can be.
    #[error("the segment is too long")]
    SegmentTooLong,
    /// Entries that were acknowledged are gone from the end.
    #[error("this and perhaps later entries were recorded and are gone")]
    Truncated,
    /// The entry is whole and not the one that was recorded.
    #[error("another entry was recorded here")]
    Rewritten,
    /// The head is gone or unreadable in both of its copies.
    #[error("the files head.a and head.b, which name the last entry, are missing or damaged")]
    Head,
}

impl LedgerError {
    pub(super) fn damaged(segment: u32, sequence: u64, damage: Damage) -> Self {
        Self::Damaged { segment, sequence, damage }
    }

    /// For `map_err`: names the call and the file.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}
