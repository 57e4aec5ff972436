//! Going from one segment to the next.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::batch::AlignedBuffer;
use super::super::open_segment::{OpenSegment, allocate_most};
use super::super::record::{Kind, PAGE_BYTES, Place, payload_offset, record_bytes};
use super::super::scan::OpenTail;
use super::super::segment::{BEGINNINGS_MAX, ENTRIES_MAX, INDEX_STRIDE_BYTES, Seal, file_name};
use super::{Appender, fill};
use crate::disk::{DiskFile, OpenMode, write_all_at};

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
        file.sync_data()?;
        let data_end = self.view().row(tail.number).map_or(0, |row| row.data_end);
        self.open = Some(OpenSegment {
            number: tail.number,
            allocated_end: file.length_bytes()?,
            file,
            // The last page may be as old as its promises; it is not written again.
            written_end: data_end.next_multiple_of(PAGE_BYTES),
            first_sequence: tail.first_sequence,
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
        if let Err(error) = self.write_seal(&open) {
            tracing::warn!(cartridge = %self.options.cartridge, segment = open.number, %error, "a segment was not sealed");
            (self.sequence, self.chain) = (sequence, chain);
            // Half a seal must not stay: its records have numbers that others will have now.
            let result = open.file.set_length(end).and_then(|()| open.file.sync_data());
            self.is_broken = result.is_err();
            return result;
        }
        Ok(())
    }

    fn write_seal(&mut self, open: &OpenSegment) -> io::Result<()> {
        let (index, mut seal) = {
            let view = self.view();
            let Some((_, index)) = view.last_index() else { return Ok(()) };
            let seal = Seal {
                start: open.start,
                start_generation: open.start_generation,
                end: view.end(),
                end_generation: view.generation(),
                data_end: open.written_end,
                index_offset: open.written_end,
                beginning_count: u32::try_from(index.beginnings.len()).unwrap_or(u32::MAX),
                entry_count: u32::try_from(index.entries.len()).unwrap_or(u32::MAX),
                first_sequence: open.first_sequence,
                last_written_us: open.last_written_us,
            };
            (index.encode(), seal)
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
        self.encode_own(Kind::SEAL, place, &seal.encode(), PAGE_BYTES, &mut bytes);
        write_all_at(open.file.as_ref(), bytes.bytes_mut(), seal.index_offset)?;
        open.file.set_length(place.offset.saturating_add(PAGE_BYTES))?;
        open.file.sync_data()?;
        self.durable_sequence = self.sequence;
        self.view().note_sealed(&seal);
        Ok(())
    }

    /// Encodes a record of our own with a length of its own choice.
    fn encode_own(
        &mut self,
        kind: Kind,
        place: Place,
        payload: &[u8],
        length: u64,
        bytes: &mut AlignedBuffer,
    ) {
        let mut header = self.own_header(kind, place, payload.len(), length);
        let record = bytes.extend(usize::try_from(length).unwrap_or(0));
        fill(record, &mut header, payload);
        self.chain = header.crc;
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
        let is_index_full = self.view().last_index().is_some_and(|(_, index)| {
            let margin = self.headers.len().saturating_add(self.disk_thread.header_count());
            index.entries.len().saturating_add(margin) >= ENTRIES_MAX
                || index.beginnings.len().saturating_add(margin) >= BEGINNINGS_MAX
        });
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
        let mut view = self.view();
        let (start, start_generation) = (view.end(), view.generation());
        view.begin_segment(number);
        drop(view);
        let first_sequence = self.sequence.saturating_add(1);
        Ok(OpenSegment {
            number,
            file,
            written_end: 0,
            allocated_end,
            first_sequence,
            start,
            start_generation,
            last_written_us: 0,
        })
    }

    /// What the index and the seal of a segment will take.
    pub(super) fn seal_reserve(&self) -> u64 {
        let entries = self.options.segment_bytes / INDEX_STRIDE_BYTES;
        entries.saturating_mul(24).saturating_add(SEAL_RESERVE_BYTES_MIN)
    }
}

const SEAL_RESERVE_BYTES_MIN: u64 = 16 * 1024;
