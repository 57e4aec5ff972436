//! Reading segments: on opening, for verification, and for lists.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::entry::Entry;
use super::envelope::{BodyError, ENVELOPE_VERSION, decode_body};
use super::error::{Damage, LedgerError};
use super::frame::{
    FORMAT_VERSION, Frame, HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader, find_magic, genesis,
};
use super::{Extent, Head, MAX_SEGMENT_BYTES, TornTail, segment_path};
use crate::disk::{Disk, OpenMode, write_all_at};
use crate::whole::read_whole;

/// A segment as readers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) first_sequence: u64,
}

/// A walk over all segments, in order.
pub(super) struct Scan<'a> {
    directory: &'a Path,
    id: Uuid,
    /// The log must reach this entry.
    acknowledged: Head,
    extent: Extent,
    torn: Option<Torn>,
    doubtful: Doubtful,
}

/// The end of the last segment from the last acknowledged entry on. It was read, but if a sync of it has failed before, the
/// kernel may hold it in memory only and count it as written.
#[derive(Default)]
pub(super) struct Doubtful {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Bytes at the end of the last segment that are no acknowledged entry.
struct Torn {
    segment: u32,
    bytes: Vec<u8>,
    /// Where they begin; 0 if not even the header is whole.
    offset: u64,
}

/// What a finished walk knows.
pub(super) struct Found {
    pub(super) extent: Extent,
    pub(super) doubtful: Doubtful,
    torn: Option<Torn>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(directory: &'a Path, id: Uuid, acknowledged: Head) -> Self {
        let head = Head { sequence: 0, hash: genesis(id) };
        let extent = Extent { segments: Vec::new(), end_bytes: 0, head };
        Self { directory, id, acknowledged, extent, torn: None, doubtful: Doubtful::default() }
    }

    /// Reads the next segment, up to `end_bytes` if given. Only the last one may be torn.
    pub(super) fn segment(
        &mut self,
        disk: &dyn Disk,
        number: u32,
        may_be_torn: bool,
        end_bytes: Option<u64>,
        visit: &mut impl FnMut(&Entry),
    ) -> Result<(), LedgerError> {
        let next = self.extent.head.sequence.saturating_add(1);
        let expected_number =
            self.extent.segments.last().map_or(1, |last| last.number.saturating_add(1));
        if number != expected_number {
            return Err(LedgerError::damaged(expected_number, next, Damage::SegmentMissing));
        }
        let bytes = read_segment_bytes(disk, self.directory, number, next, end_bytes)?;
        match SegmentHeader::parse(&bytes) {
            Ok(header) => self.check_header(&header, number)?,
            Err(HeaderError::Newer(found)) => return Err(newer(found)),
            Err(HeaderError::Damaged) if may_be_torn && self.is_unacknowledged(&bytes, 0, next) => {
                self.torn = Some(Torn { segment: number, bytes, offset: 0 });
                return Ok(());
            }
            Err(HeaderError::Damaged) => {
                return Err(LedgerError::damaged(number, next, Damage::SegmentHeader));
            }
        }
        self.extent.segments.push(Segment { number, first_sequence: next });
        self.entries(&bytes, number, may_be_torn, visit)
    }

    /// Checks that the log reaches the acknowledged entry.
    pub(super) fn finish(self) -> Result<Found, LedgerError> {
        let Self { acknowledged, extent, torn, doubtful, .. } = self;
        if extent.head.sequence < acknowledged.sequence {
            let segment = extent.segments.last().map_or(1, |segment| segment.number);
            return Err(LedgerError::damaged(
                segment,
                extent.head.sequence.saturating_add(1),
                Damage::Truncated,
            ));
        }
        if acknowledged.sequence == 0 && acknowledged.hash != genesis(self.id) {
            return Err(LedgerError::damaged(0, 0, Damage::Head));
        }
        Ok(Found { extent, doubtful, torn })
    }

    fn check_header(&self, header: &SegmentHeader, number: u32) -> Result<(), LedgerError> {
        let next = self.extent.head.sequence.saturating_add(1);
        let is_own = header.number == number
            && header.id == self.id
            && header.first_sequence == next
            && header.previous_hash == self.extent.head.hash;
        if is_own { Ok(()) } else { Err(LedgerError::damaged(number, next, Damage::SegmentHeader)) }
    }

    /// Walks the entries. Those of one append are believed and shown only together.
    fn entries(
        &mut self,
        bytes: &[u8],
        number: u32,
        may_be_torn: bool,
        visit: &mut impl FnMut(&Entry),
    ) -> Result<(), LedgerError> {
        let mut rest = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
        let mut end = SEGMENT_HEADER_BYTES;
        let mut acknowledged_end = 0;
        self.extent.end_bytes = end as u64;
        let mut batch: Vec<Entry> = Vec::new();
        let mut head = self.extent.head;
        while let Some((after, frame)) = Frame::parse(rest) {
            let batch_first = self.extent.head.sequence.saturating_add(1);
            let next = head.sequence.saturating_add(1);
            if frame.sequence != next
                || frame.batch_first != batch_first
                || !frame.follows(head.hash)
            {
                return Err(LedgerError::damaged(number, next, Damage::Chain));
            }
            if frame.sequence == self.acknowledged.sequence && frame.hash != self.acknowledged.hash
            {
                return Err(LedgerError::damaged(number, next, Damage::Rewritten));
            }
            batch.push(to_entry(&frame, number)?);
            head = Head { sequence: frame.sequence, hash: frame.hash };
            rest = after;
            if frame.sequence <= self.acknowledged.sequence {
                acknowledged_end = bytes.len() - rest.len();
            }
            if frame.sequence == frame.batch_last {
                batch.drain(..).for_each(|entry| visit(&entry));
                end = bytes.len() - rest.len();
                self.extent.head = head;
                self.extent.end_bytes = end as u64;
            }
        }
        let doubtful = bytes.get(acknowledged_end..end).unwrap_or_default().to_vec();
        self.doubtful = Doubtful { offset: acknowledged_end as u64, bytes: doubtful };
        if end == bytes.len() {
            return Ok(());
        }
        let next = head.sequence.saturating_add(1);
        if may_be_torn && self.is_unacknowledged(bytes, end, next) {
            let tail = bytes.get(end..).unwrap_or_default().to_vec();
            self.torn = Some(Torn { segment: number, bytes: tail, offset: end as u64 });
            return Ok(());
        }
        Err(LedgerError::damaged(number, next, Damage::Checksum))
    }

    /// Whether what begins at `offset` can only be the rest of an append that was never acknowledged: the head does not
    /// know it, and no entry of a later append follows, which would show that this one had been durable.
    fn is_unacknowledged(&self, bytes: &[u8], offset: usize, next: u64) -> bool {
        if next <= self.acknowledged.sequence {
            return false;
        }
        let batch_first = self.extent.head.sequence.saturating_add(1);
        let mut position = offset;
        while let Some(found) = find_magic(bytes, position) {
            let frame = bytes.get(found..).and_then(Frame::parse);
            if frame.is_some_and(|(_, frame)| frame.batch_first > batch_first) {
                return false;
            }
            position = found + 1;
        }
        true
    }
}

impl Found {
    /// Copies the torn bytes to a file of their own and takes them out of the log.
    pub(super) fn put_tail_aside(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        now: Timestamp,
    ) -> Result<Option<TornTail>, LedgerError> {
        let Some(torn) = &self.torn else { return Ok(None) };
        let source = segment_path(directory, torn.segment);
        let kept_in = free_name(disk, directory, torn.segment, now)?;
        let length_bytes = torn.bytes.len() as u64;
        if torn.offset == 0 {
            disk.rename(&source, &kept_in).map_err(LedgerError::io("rename", &source))?;
        } else {
            let kept = disk
                .open(&kept_in, OpenMode::CreateNew)
                .map_err(LedgerError::io("create", &kept_in))?;
            write_all_at(&*kept, &torn.bytes, 0)
                .and_then(|()| kept.sync_data())
                .map_err(LedgerError::io("write", &kept_in))?;
            disk.sync_dir(directory).map_err(LedgerError::io("sync", directory))?;
            let log = disk
                .open(&source, OpenMode::ReadWrite)
                .map_err(LedgerError::io("open", &source))?;
            log.set_length(torn.offset)
                .and_then(|()| log.sync_data())
                .map_err(LedgerError::io("shorten", &source))?;
        }
        disk.sync_dir(directory).map_err(LedgerError::io("sync", directory))?;
        Ok(Some(TornTail { length_bytes, kept_in }))
    }
}

/// The numbers of the segments in a ledger's directory, ascending. Other names are not ours to judge.
pub(super) fn segment_numbers(disk: &dyn Disk, directory: &Path) -> Result<Vec<u32>, LedgerError> {
    let names = disk.list(directory).map_err(LedgerError::io("list", directory))?;
    let mut numbers: Vec<u32> = names
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter_map(|path| path.file_stem()?.to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads one segment's entries for a list, until `offer` answers `false`. Checksums are looked at, the chain is not.
pub(super) fn read_segment(
    disk: &dyn Disk,
    directory: &Path,
    segment: &Segment,
    end_bytes: Option<u64>,
    offer: &mut impl FnMut(Entry) -> bool,
) -> Result<(), LedgerError> {
    let bytes =
        read_segment_bytes(disk, directory, segment.number, segment.first_sequence, end_bytes)?;
    let mut rest = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    let mut next = segment.first_sequence;
    while !rest.is_empty() {
        let damaged = || LedgerError::damaged(segment.number, next, Damage::Checksum);
        let (after, frame) = Frame::parse(rest).ok_or_else(damaged)?;
        if frame.sequence != next {
            return Err(LedgerError::damaged(segment.number, next, Damage::Chain));
        }
        if !offer(to_entry(&frame, segment.number)?) {
            return Ok(());
        }
        next = next.saturating_add(1);
        rest = after;
    }
    Ok(())
}

fn read_segment_bytes(
    disk: &dyn Disk,
    directory: &Path,
    number: u32,
    next: u64,
    end_bytes: Option<u64>,
) -> Result<Vec<u8>, LedgerError> {
    let path = segment_path(directory, number);
    let mut bytes =
        read_whole(disk, &path, MAX_SEGMENT_BYTES).map_err(|source| match source.kind() {
            std::io::ErrorKind::FileTooLarge => {
                LedgerError::damaged(number, next, Damage::SegmentTooLong)
            }
            std::io::ErrorKind::NotFound => {
                LedgerError::damaged(number, next, Damage::SegmentMissing)
            }
            _ => LedgerError::Io { operation: "read", path, source },
        })?;
    if let Some(end) = end_bytes.and_then(|end| usize::try_from(end).ok()) {
        bytes.truncate(end);
    }
    Ok(bytes)
}

fn to_entry(frame: &Frame<'_>, segment: u32) -> Result<Entry, LedgerError> {
    let (times, actor, event) = decode_body(frame.body).map_err(|error| match error {
        BodyError::Malformed => LedgerError::damaged(segment, frame.sequence, Damage::Content),
        BodyError::Newer(found) => LedgerError::NewerFormat { found, supported: ENVELOPE_VERSION },
    })?;
    Ok(Entry {
        sequence: frame.sequence,
        time: times.wall,
        compliance: times.compliance,
        actor,
        event,
        hash: frame.hash,
    })
}

fn newer(found: u32) -> LedgerError {
    LedgerError::NewerFormat { found, supported: FORMAT_VERSION }
}

/// A name for the torn bytes that is not taken: a ledger may be torn twice at one time of a clock that stands still.
fn free_name(
    disk: &dyn Disk,
    directory: &Path,
    segment: u32,
    now: Timestamp,
) -> Result<PathBuf, LedgerError> {
    let time = now.as_millisecond();
    let mut path = directory.join(format!("{segment:06}.torn-{time}"));
    let mut count: u32 = 1;
    while disk.exists(&path).map_err(LedgerError::io("look for", &path))? {
        count = count.saturating_add(1);
        path = directory.join(format!("{segment:06}.torn-{time}-{count}"));
    }
    Ok(path)
}
