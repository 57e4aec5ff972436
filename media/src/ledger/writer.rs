//! Appending to the last segment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::entry::EntryHash;
use super::envelope::{Times, encode_body};
use super::error::{Damage, LedgerError};
use super::event::Event;
use super::frame::{MAX_BODY_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, encode_frame};
use super::head::HeadFile;
use super::scan::{Doubtful, Segment};
use super::{Extent, Head, LedgerOptions, MAX_SEGMENT_BYTES, segment_path};
use crate::disk::{Disk, DiskFile, OpenMode, write_all_at};

/// The end of the log. Invariant: `extent` is durable, and the file ends there unless the writer is fenced.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    id: Uuid,
    segment_bytes: u64,
    extent: Extent,
    /// The last segment; `None` before the first append.
    file: Option<Box<dyn DiskFile>>,
    head_file: HeadFile,
    is_fenced: bool,
}

impl Writer {
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        options: &LedgerOptions,
        (extent, doubtful): (Extent, Doubtful),
        head_file: HeadFile,
    ) -> Result<Self, LedgerError> {
        let file = match extent.segments.last() {
            Some(segment) => {
                let path = segment_path(directory, segment.number);
                let file = disk
                    .open(&path, OpenMode::ReadWrite)
                    .map_err(LedgerError::io("open", &path))?;
                // From here on these entries count, so they must be durable. A sync alone is not enough: where one has failed
                // before, the kernel takes the lost pages for written. The same bytes again make it write them.
                write_all_at(&*file, &doubtful.bytes, doubtful.offset)
                    .and_then(|()| file.sync_data())
                    .map_err(LedgerError::io("sync", &path))?;
                Some(file)
            }
            None => None,
        };
        let segment_bytes = options.segment_bytes.min(MAX_SEGMENT_BYTES);
        let directory = directory.to_owned();
        Ok(Self {
            directory,
            id: options.id,
            segment_bytes,
            extent,
            file,
            head_file,
            is_fenced: false,
        })
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    /// Appends events as one unit, makes them durable and returns the new extent.
    pub(super) fn append(
        &mut self,
        disk: &dyn Disk,
        events: &[Event],
        actor: &str,
        times: Times,
    ) -> Result<Extent, LedgerError> {
        if self.is_fenced {
            return Err(LedgerError::Fenced);
        }
        if events.is_empty() {
            return Ok(self.extent.clone());
        }
        let (bytes, head) = self.encode(events, actor, times)?;
        let length = bytes.len() as u64;
        let limit = MAX_SEGMENT_BYTES - SEGMENT_HEADER_BYTES as u64;
        if length > limit {
            return Err(LedgerError::TooLong { length_bytes: length, limit_bytes: limit });
        }
        let has_entries = self.extent.end_bytes > SEGMENT_HEADER_BYTES as u64;
        let is_full =
            has_entries && self.extent.end_bytes.saturating_add(length) > self.segment_bytes;
        if self.file.is_none() || is_full {
            self.begin_segment(disk)?;
        }
        self.write_durably(&bytes)?;
        self.extent.end_bytes = self.extent.end_bytes.saturating_add(length);
        self.extent.head = head;
        self.head_file.advance(head);
        Ok(self.extent.clone())
    }

    /// Checks that nobody else has added anything. After a failed sync the end is in doubt, and nothing is said of it.
    pub(super) fn check_end(&self) -> Result<(), LedgerError> {
        let (Some(file), Some(segment)) = (&self.file, self.extent.segments.last()) else {
            return Ok(());
        };
        let path = segment_path(&self.directory, segment.number);
        let length_bytes = file.length_bytes().map_err(LedgerError::io("look at", &path))?;
        if self.is_fenced || length_bytes == self.extent.end_bytes {
            return Ok(());
        }
        let next = self.extent.head.sequence.saturating_add(1);
        Err(LedgerError::damaged(segment.number, next, Damage::Chain))
    }

    pub(super) fn close(&mut self) -> Result<(), LedgerError> {
        self.head_file.sync().map_err(LedgerError::io("sync", &self.directory))
    }

    fn encode(
        &self,
        events: &[Event],
        actor: &str,
        times: Times,
    ) -> Result<(Vec<u8>, Head), LedgerError> {
        let actor: String = actor.chars().take(MAX_ACTOR_CHARACTERS).collect();
        let first = self.extent.head.sequence.saturating_add(1);
        let last = self.extent.head.sequence.saturating_add(events.len() as u64);
        let mut hash: EntryHash = self.extent.head.hash;
        let mut bytes = Vec::new();
        for (sequence, event) in (first..=last).zip(events) {
            let body = encode_body(times, &actor, event).map_err(|error| {
                LedgerError::io("encode an entry of", &self.directory)(io::Error::other(error))
            })?;
            hash = encode_frame(&mut bytes, hash, sequence, (first, last), &body).ok_or(
                LedgerError::TooLong {
                    length_bytes: body.len() as u64,
                    limit_bytes: MAX_BODY_BYTES as u64,
                },
            )?;
        }
        Ok((bytes, Head { sequence: last, hash }))
    }

    /// Makes the next segment with its header, durably. On failure the old one stays the last.
    fn begin_segment(&mut self, disk: &dyn Disk) -> Result<(), LedgerError> {
        let number =
            self.extent.segments.last().map_or(1, |segment| segment.number.saturating_add(1));
        let first_sequence = self.extent.head.sequence.saturating_add(1);
        let header = SegmentHeader {
            number,
            id: self.id,
            first_sequence,
            previous_hash: self.extent.head.hash,
        };
        let path = segment_path(&self.directory, number);
        let file = disk.open(&path, OpenMode::Create).map_err(LedgerError::io("create", &path))?;
        let begun = file
            .set_length(0)
            .and_then(|()| write_all_at(&*file, &header.encode(), 0))
            .and_then(|()| file.sync_data())
            .and_then(|()| disk.sync_dir(&self.directory));
        if let Err(error) = begun {
            // A shorter append may still fit the old segment; this one must not be found behind it then.
            let removed = disk.remove(&path).and_then(|()| disk.sync_dir(&self.directory));
            self.is_fenced = removed.is_err();
            return Err(LedgerError::io("begin", &path)(error));
        }
        self.extent.segments.push(Segment { number, first_sequence });
        self.extent.end_bytes = SEGMENT_HEADER_BYTES as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Writes at the end and syncs. A failed write is taken back, so that the next append finds a clean end; after a
    /// failed sync nobody knows what the disk holds, and the kernel reports it only once, so the ledger is fenced.
    fn write_durably(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let number = self.extent.segments.last().map_or(1, |segment| segment.number);
        let path = segment_path(&self.directory, number);
        let Some(file) = &self.file else { return Err(LedgerError::Fenced) };
        if let Err(error) = write_all_at(&**file, bytes, self.extent.end_bytes) {
            let undone = file.set_length(self.extent.end_bytes).and_then(|()| file.sync_data());
            self.is_fenced = undone.is_err();
            return Err(LedgerError::io("write", &path)(error));
        }
        if let Err(error) = file.sync_data() {
            self.is_fenced = true;
            return Err(LedgerError::io("sync", &path)(error));
        }
        Ok(())
    }
}

/// An iSCSI name has at most 223 bytes; what is longer than this says nothing more about who it was.
const MAX_ACTOR_CHARACTERS: usize = 512;
