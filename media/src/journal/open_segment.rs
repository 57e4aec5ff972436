//! The one segment that is being written.

use std::io;

use std::sync::Arc;

use super::record::{HEADER_BYTES, Header, PAGE_BYTES, Point};
use crate::disk::DiskFile;

/// The segment that records go to.
#[derive(Debug)]
pub(crate) struct OpenSegment {
    pub(crate) number: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the next write goes: behind what has been written or is under way. The batch in memory is not counted.
    pub(crate) written_end: u64,
    /// `written_end <= allocated_end`, but for file systems that gave less than they promised.
    pub(crate) allocated_end: u64,
    pub(crate) first_sequence: u64,
    /// What its first record continues; `None` if that is not known.
    pub(crate) chain_before: Option<u32>,
    pub(crate) start: Point,
    pub(crate) start_generation: u32,
    pub(crate) last_written_us: i64,
}

impl OpenSegment {
    /// Sets aside `length` more bytes, or as many as there are.
    pub(crate) fn extend(&mut self, length: u64) -> io::Result<()> {
        let end = self.allocated_end;
        allocate_most(self.file.as_ref(), end, length, ALLOCATION_BYTES_MIN)?;
        self.allocated_end = self.file.length_bytes()?;
        Ok(())
    }

    /// Sets aside what is missing up to `end`.
    pub(crate) fn extend_to(&mut self, end: u64) -> io::Result<()> {
        let missing = end.saturating_sub(self.allocated_end);
        if missing == 0 { Ok(()) } else { self.extend(missing) }
    }
}

/// Gives encoded records new places, `skipped` bytes further on, behind a record whose header has this checksum.
pub(crate) fn move_records(bytes: &mut [u8], headers: &mut [Header], skipped: u64, mut chain: u32) {
    let mut rest = bytes;
    for header in headers {
        header.place.offset = header.place.offset.saturating_add(skipped);
        header.chain = chain;
        let encoded = header.encode();
        chain = header.crc;
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX).min(rest.len());
        let (record, behind) = rest.split_at_mut(length);
        if let Some(target) = record.get_mut(..HEADER_BYTES) {
            target.copy_from_slice(&encoded);
        }
        rest = behind;
    }
}

/// Allocates `length` bytes, or as much as there is, but not less than `minimum`.
pub(crate) fn allocate_most(
    file: &dyn DiskFile,
    offset: u64,
    length: u64,
    minimum: u64,
) -> io::Result<()> {
    let mut length = length.next_multiple_of(PAGE_BYTES);
    let minimum = minimum.next_multiple_of(PAGE_BYTES);
    loop {
        match file.allocate(offset, length) {
            Err(error) if is_full(&error) && length > minimum => {
                length = (length / 2).max(minimum).next_multiple_of(PAGE_BYTES);
            }
            result => return result,
        }
    }
}

/// Whether there is no more room, for everybody or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

const ALLOCATION_BYTES_MIN: u64 = 16 * 1024;
