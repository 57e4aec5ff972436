//! The ledger: an append-only, hash-chained log of every fact that is not on a cartridge.
//!
//! It is the audit trail and, for places and identities, the truth; the catalogue is made from it. An append is durable
//! when it returns. STORE.md describes the files and has the byte maps.
//!
//! What is found when a ledger is opened or verified: every changed, removed, exchanged or inserted entry, by checksum and
//! chain; removed entries at the end, and a chain that was computed anew, by the head, a small file beside the segments
//! that names the last entry. Somebody who may write every file can also write a consistent forgery: keeping a printed
//! [`EntryHash`] elsewhere is the answer to that.

mod entry;
mod envelope;
mod error;
mod event;
mod filter;
mod frame;
mod head;
mod scan;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

pub use entry::{Entry, EntryHash};
pub use error::{Damage, LedgerError};
pub use event::{Event, Motion, MoveStep, RecordedEvent};
pub use filter::EntryFilter;

use crate::disk::Disk;
use crate::retention::ComplianceClock;
use envelope::Times;
use frame::genesis;
use head::HeadFile;
use scan::{Scan, Segment};
use writer::Writer;

/// An open ledger. All methods may be called from any thread; readers do not wait for an append's fsync.
#[derive(Debug)]
pub struct Ledger {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    id: Uuid,
    clock: Clock,
    compliance: OnceLock<ComplianceClock>,
    /// Held during an append, with its fsync.
    writer: Mutex<Writer>,
    /// What readers may read: all durable entries. Held only to copy it.
    durable: Mutex<Extent>,
}

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The host's clock.
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// How a ledger is opened.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Identity of the data directory; the chain is bound to it.
    pub id: Uuid,
    /// A new segment is begun when the current one would grow beyond this.
    pub segment_bytes: u64,
    /// Gives the entries their time.
    pub clock: Clock,
}

/// The last entry, which stands for all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// 0 in an empty ledger.
    pub sequence: u64,
    /// In an empty ledger the hash of the directory's identity.
    pub hash: EntryHash,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The last entry now.
    pub head: Head,
    /// The time that the new entries bear.
    pub time: Timestamp,
}

/// The end of a last append that was never acknowledged, as it was found on opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// How many bytes were dropped from the log.
    pub length_bytes: u64,
    /// The file that holds them now.
    pub kept_in: PathBuf,
}

/// The part of the ledger that is durable.
#[derive(Debug, Clone)]
struct Extent {
    segments: Vec<Segment>,
    /// End of the last segment.
    end_bytes: u64,
    head: Head,
}

impl Ledger {
    /// Makes the files of an empty ledger, durably. Its directory must be there and empty.
    pub fn create(disk: &dyn Disk, directory: &Path, id: Uuid) -> Result<(), LedgerError> {
        HeadFile::create(disk, directory, Head { sequence: 0, hash: genesis(id) })
    }

    /// Opens a ledger, reads every entry and hands it to `visit`, in order.
    ///
    /// The torn end of an append that was never acknowledged is put aside and reported; all other damage is an error, and
    /// then nothing on disk has been changed.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LedgerOptions,
        mut visit: impl FnMut(&Entry),
    ) -> Result<(Self, Option<TornTail>), LedgerError> {
        let (head_file, acknowledged) = HeadFile::open(&*disk, directory)?;
        let numbers = scan::segment_numbers(&*disk, directory)?;
        let mut scan = Scan::new(directory, options.id, acknowledged);
        for (index, number) in numbers.iter().enumerate() {
            let is_last = index + 1 == numbers.len();
            scan.segment(&*disk, *number, is_last, None, &mut visit)?;
        }
        let found = scan.finish()?;
        let torn = found.put_tail_aside(&*disk, directory, options.clock.now())?;
        let extent = found.extent;
        let writer =
            Writer::open(&disk, directory, &options, (extent.clone(), found.doubtful), head_file)?;
        let ledger = Self {
            disk,
            directory: directory.to_owned(),
            id: options.id,
            clock: options.clock,
            compliance: OnceLock::new(),
            writer: Mutex::new(writer),
            durable: Mutex::new(extent),
        };
        Ok((ledger, torn))
    }

    /// From now on entries have the time of this clock, too: it goes on from what the ledger has told of it.
    pub(crate) fn tell_compliance(&self, clock: &ComplianceClock) {
        self.compliance.get_or_init(|| clock.clone());
    }

    /// Records one event. It is durable on return.
    pub fn append(&self, event: &Event, actor: &str) -> Result<Appended, LedgerError> {
        self.append_all(std::slice::from_ref(event), actor)
    }

    /// Records several events with one fsync: after a crash either all of them are there or none.
    pub fn append_all(&self, events: &[Event], actor: &str) -> Result<Appended, LedgerError> {
        let time = self.clock.now();
        let times =
            Times { wall: time, compliance: self.compliance.get().map(ComplianceClock::now) };
        let mut writer = lock(&self.writer);
        let extent = writer.append(&*self.disk, events, actor, times)?;
        let head = extent.head;
        *lock(&self.durable) = extent;
        Ok(Appended { head, time })
    }

    /// The last entry.
    pub fn head(&self) -> Head {
        lock(&self.durable).head
    }

    /// Whether a failed sync has made it impossible to record anything until the ledger is opened again.
    pub fn is_fenced(&self) -> bool {
        lock(&self.writer).is_fenced()
    }

    /// The entries that a filter lets through, oldest first.
    pub fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, LedgerError> {
        let extent = lock(&self.durable).clone();
        let mut selection = filter.selection();
        let from = filter.from_sequence.unwrap_or(1);
        // The last segment that begins at or before the first wanted entry.
        let start = extent
            .segments
            .partition_point(|segment| segment.first_sequence <= from)
            .saturating_sub(1);
        for (index, segment) in extent.segments.iter().enumerate().skip(start) {
            let end =
                if index + 1 == extent.segments.len() { Some(extent.end_bytes) } else { None };
            scan::read_segment(&*self.disk, &self.directory, segment, end, &mut |entry| {
                selection.offer(entry)
            })?;
            if selection.is_full() {
                break;
            }
        }
        Ok(selection.into_entries())
    }

    /// Reads everything again and checks each checksum, the chain and the head. Appends go on meanwhile.
    pub fn verify(&self) -> Result<Head, LedgerError> {
        self.verify_with(|_| {})
    }

    /// The same, and hands every entry to `visit`, in order.
    pub fn verify_with(&self, visit: impl FnMut(&Entry)) -> Result<Head, LedgerError> {
        let head = self.replay(visit)?;
        lock(&self.writer).check_end()?;
        Ok(head)
    }

    /// Verifies all entries, and hands every one to `visit`, in order. An error may come after some of them.
    pub fn replay(&self, mut visit: impl FnMut(&Entry)) -> Result<Head, LedgerError> {
        let extent = lock(&self.durable).clone();
        let numbers = scan::segment_numbers(&*self.disk, &self.directory)?;
        // The head on disk may by now be newer than our copy of the extent, so the extent's own is asked for.
        let mut scan = Scan::new(&self.directory, self.id, extent.head);
        for (index, segment) in extent.segments.iter().enumerate() {
            if !numbers.contains(&segment.number) {
                return Err(LedgerError::damaged(
                    segment.number,
                    segment.first_sequence,
                    Damage::SegmentMissing,
                ));
            }
            let end =
                if index + 1 == extent.segments.len() { Some(extent.end_bytes) } else { None };
            scan.segment(&*self.disk, segment.number, false, end, &mut visit)?;
        }
        Ok(scan.finish()?.extent.head)
    }

    /// Makes the head durable as well, before an orderly end.
    pub fn close(&self) -> Result<(), LedgerError> {
        lock(&self.writer).close()
    }
}

/// A panic elsewhere leaves no half-made state behind these locks, so it does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name of a segment's file.
fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join(format!("{number:06}.log"))
}

/// The usual size of a segment.
pub const DEFAULT_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// No segment is longer than this; a longer file is not read.
pub const MAX_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
