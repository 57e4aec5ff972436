//! Going from one segment to the next.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::batch::AlignedBuffer;
use super::super::index::{INDEX_STRIDE_BYTES, WAYPOINT_BYTES};
use super::super::open_segment::{OpenSegment, allocate_most};
use super::super::record::{Header, Kind, PAGE_BYTES, Place, payload_offset, record_bytes};
use super::super::scan::OpenTail;
use super::super::segment::{Seal, file_name};
use super::super::summary::Closed;
use super::{Appender, fill};
use crate::disk::{DiskFile, OpenMode, read_up_to_at, write_all_at};

impl Appender {
    /// Closes a segment that recovery found open. Its records are made durable before anybody is told of them.
    pub(crate) fn close_recovered(
        &mut self,
        tail: &OpenTail,
        last_written_us: Option<i64>,
    ) -> io::Result<()> {
        let path = self.options.directory.join(file_name(tail.number));
        let file: Arc<dyn DiskFile> =
            Arc::from(self.options.disk.open_direct(&path, OpenMode::ReadWrite)?);
        let data_end = self.view().row(tail.number).map_or(0, |row| row.data_end);
        rewrite(file.as_ref(), tail.doubtful_from, data_end)?;
        file.sync_data()?;
        self.open = Some(OpenSegment {
            number: tail.number,
            allocated_end: file.length_bytes()?,
            file,
            // The last page may be as old as its promises; it is not written again.
            written_end: data_end.next_multiple_of(PAGE_BYTES),
            first_sequence: tail.first_sequence,
            chain_before: tail.chain_before,
            start: tail.start,
            start_generation: tail.start_generation,
            last_written_us: last_written_us.unwrap_or(0),
        });
        self.seal()
    }

    /// Makes everything durable and closes the segment, if there is one.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            return Ok(());
        }
        self.sync()?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let (sequence, chain) = (self.sequence, self.chain);
        let end = open.written_end;
        let closed = match self.write_seal(&open) {
            Ok(closed) => closed,
            Err(error) => {
                tracing::warn!(cartridge = %self.options.cartridge, segment = open.number, %error, "a segment was not sealed");
                (self.sequence, self.chain) = (sequence, chain);
                // Half a seal must not stay: its records have numbers that others will have now.
                let result = open.file.set_length(end).and_then(|()| open.file.sync_data());
                self.is_broken = result.is_err();
                return result;
            }
        };
        if let Err(error) = open.file.sync_data() {
            // Not even to take the seal away again: another sync would succeed whatever became of it. The next load finds
            // either the whole seal or a segment without one.
            self.is_broken = true;
            return Err(error);
        }
        self.durable_sequence = self.sequence;
        if let Some(closed) = closed {
            self.view().note_sealed(&closed.seal, closed.sequence);
            self.summarise(closed, open.chain_before.is_some());
        }
        Ok(())
    }

    /// Adds a segment that is closed to the summary. It is a cache, so that nothing depends on whether that succeeds.
    fn summarise(&mut self, closed: Closed, is_chain_known: bool) {
        let Some(summary) = self.summary.as_mut().filter(|_| is_chain_known) else { return };
        let number = closed.number;
        if let Err(error) = summary.add(&closed.into_row()) {
            tracing::warn!(cartridge = %self.options.cartridge, segment = number, %error, "no summary of the segments is kept");
            self.summary = None;
        }
    }

    /// Writes index and seal behind the data, and cuts the file there. They are not durable yet.
    fn write_seal(&mut self, open: &OpenSegment) -> io::Result<Option<Closed>> {
        let (index, beginnings, mut seal) = {
            let view = self.view();
            let Some((_, index)) = view.last_index() else { return Ok(None) };
            let seal = Seal {
                start: open.start,
                start_generation: open.start_generation,
                end: view.end(),
                end_generation: view.generation(),
                data_end: open.written_end,
                index_offset: open.written_end,
                counts: index.counts(),
                first_sequence: open.first_sequence,
                last_written_us: open.last_written_us,
            };
            (index.encode(), index.beginnings.clone(), seal)
        };
        seal.index_offset = seal.index_offset.next_multiple_of(PAGE_BYTES);
        let mut bytes = AlignedBuffer::default();
        let place = Place { segment: open.number, offset: seal.index_offset };
        let index_bytes = record_bytes(
            payload_offset(index.len()),
            u32::try_from(index.len()).unwrap_or(u32::MAX),
        );
        let index_bytes = index_bytes.next_multiple_of(PAGE_BYTES);
        self.encode_own(Kind::INDEX, place, &index, index_bytes, &mut bytes);
        let place = Place { offset: place.offset.saturating_add(index_bytes), ..place };
        let header = self.encode_own(Kind::SEAL, place, &seal.encode(), PAGE_BYTES, &mut bytes);
        write_all_at(open.file.as_ref(), bytes.bytes_mut(), seal.index_offset)?;
        open.file.set_length(place.offset.saturating_add(PAGE_BYTES))?;
        Ok(Some(Closed {
            number: open.number,
            seal,
            sequence: header.sequence,
            durable_sequence: header.durable_sequence,
            crc: header.crc,
            owner_epoch: header.owner_epoch,
            chain_before: open.chain_before.unwrap_or(0),
            beginnings: Some(beginnings),
        }))
    }

    /// Encodes a record of our own with a length of its own choice.
    fn encode_own(
        &mut self,
        kind: Kind,
        place: Place,
        payload: &[u8],
        length: u64,
        bytes: &mut AlignedBuffer,
    ) -> Header {
        let mut header = self.own_header(kind, place, payload.len(), length);
        let record = bytes.extend(usize::try_from(length).unwrap_or(0));
        fill(record, &mut header, payload);
        self.chain = header.crc;
        header
    }

    /// Goes on to a new segment if this one is long enough, or to the first one.
    pub(super) fn roll_if_due(&mut self, promised_bytes: u64, step_bytes: u64) -> io::Result<()> {
        self.check_open_or_none()?;
        let needed = promised_bytes.saturating_add(self.seal_reserve());
        let Some(open) = &self.open else {
            self.open = Some(self.create(needed, step_bytes)?);
            return Ok(());
        };
        let is_long = self.end_of(open) >= self.options.segment_bytes;
        let margin = self.headers.len().saturating_add(self.disk_thread.header_count());
        let is_index_full =
            self.view().last_index().is_some_and(|(_, index)| index.is_full(margin));
        if !is_long && !is_index_full {
            return Ok(());
        }
        // The next segment comes first: where there is no room for it, this one just goes on.
        let path = self.options.directory.join(file_name(self.next_segment));
        match self.create_file(needed, step_bytes) {
            Ok(()) => {}
            Err(error) if is_index_full => return Err(error),
            Err(_) => return Ok(()),
        }
        if let Err(error) = self.seal() {
            self.remove_unused(&path);
            return Err(error);
        }
        self.open = Some(self.adopt(&path, self.next_segment)?);
        self.next_segment = self.next_segment.saturating_add(1);
        Ok(())
    }

    pub(super) fn create(&mut self, needed: u64, step_bytes: u64) -> io::Result<OpenSegment> {
        self.create_file(needed, step_bytes)?;
        let number = self.next_segment;
        let path = self.options.directory.join(file_name(number));
        let open = self.adopt(&path, number)?;
        self.next_segment = number.saturating_add(1);
        Ok(open)
    }

    /// Makes the next segment's file, with room in it, and its name durable.
    fn create_file(&self, needed: u64, step_bytes: u64) -> io::Result<()> {
        let (disk, directory) = (self.options.disk.as_ref(), &self.options.directory);
        let path = directory.join(file_name(self.next_segment));
        let file = disk.open(&path, OpenMode::Create)?;
        let room = allocate_most(file.as_ref(), 0, needed.max(step_bytes), needed);
        let result = room.and_then(|()| disk.sync_dir(directory));
        if result.is_err() {
            drop(file);
            self.remove_unused(&path);
        }
        result
    }

    /// Removes a segment that was not begun. If that fails, it is an empty one, and the next load passes over it.
    fn remove_unused(&self, path: &Path) {
        if let Err(error) = self.options.disk.remove(path) {
            tracing::warn!(path = %path.display(), %error, "an unused segment was left behind");
        }
    }

    /// Begins to write in a file that is there and empty.
    fn adopt(&mut self, path: &Path, number: u32) -> io::Result<OpenSegment> {
        let file: Arc<dyn DiskFile> =
            Arc::from(self.options.disk.open_direct(path, OpenMode::ReadWrite)?);
        let allocated_end = file.length_bytes()?;
        let first_sequence = self.sequence.saturating_add(1);
        let mut view = self.view();
        let (start, start_generation) = (view.end(), view.generation());
        view.begin_segment(number, first_sequence);
        drop(view);
        Ok(OpenSegment {
            number,
            file,
            written_end: 0,
            allocated_end,
            first_sequence,
            chain_before: Some(self.chain),
            start,
            start_generation,
            last_written_us: 0,
        })
    }

    /// What the index and the seal of a segment will take.
    pub(super) fn seal_reserve(&self) -> u64 {
        let entries = self.options.segment_bytes / INDEX_STRIDE_BYTES;
        let waypoints = self.view().last_index().map_or(0, |(_, index)| index.waypoints.len());
        entries
            .saturating_mul(24)
            .saturating_add((waypoints as u64).saturating_mul(WAYPOINT_BYTES))
            .saturating_add(SEAL_RESERVE_BYTES_MIN)
    }
}

/// Writes what is in a file to the same place. Where a sync has failed before, the kernel counts the pages that it has lost
/// as written, and a sync alone would succeed without them.
fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let page = PAGE_BYTES.max(file.alignment_bytes() as u64);
    // A sync ends its page, so that nothing in the first one is durable either.
    let (mut at, to) = (from - from % page, to.next_multiple_of(page));
    let mut buffer = AlignedBuffer::default();
    while from < to && at < to {
        let left = usize::try_from(to.saturating_sub(at)).unwrap_or(REWRITE_BYTES);
        buffer.clear();
        let piece = buffer.extend(left.min(REWRITE_BYTES));
        // Behind the end of the file there are zeros.
        piece.fill(0);
        read_up_to_at(file, piece, at)?;
        write_all_at(file, piece, at)?;
        at = at.saturating_add(piece.len() as u64);
    }
    Ok(())
}

const REWRITE_BYTES: usize = 1024 * 1024;
const SEAL_RESERVE_BYTES_MIN: u64 = 16 * 1024;
