//! Writing records to the end of the journal.

mod pack;
mod roll;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::batch::{AlignedBuffer, is_aligned};
use super::codec::Compressor;
use super::flight::{DiskThread, Flight, Memory};
use super::open_segment::{OpenSegment, move_records};
use super::packer::Packer;
use super::queue::{Content, Flow, Item};
use super::record::{
    Codec, HEADER_BYTES, Header, Kind, PAGE_BYTES, Place, REVERTED, SECTOR_BYTES, payload_offset,
    record_bytes,
};
use super::summary::SummaryWriter;
use super::view::View;
use crate::disk::{Disk, write_all_at};
use crate::payload::{HEADROOM_BYTES, Payload};

/// What the appender has to know of its cartridge.
#[derive(Debug)]
pub(crate) struct AppenderOptions {
    pub(crate) disk: Arc<dyn Disk>,
    /// The directory of the segments.
    pub(crate) directory: PathBuf,
    pub(crate) cartridge: Uuid,
    pub(crate) partition: u8,
    pub(crate) owner_epoch: u32,
    pub(crate) segment_bytes: u64,
}

/// The end of the journal.
#[derive(Debug)]
pub(crate) struct Appender {
    options: AppenderOptions,
    view: Arc<Mutex<View>>,
    sequence: u64,
    chain: u32,
    durable_sequence: u64,
    next_segment: u32,
    open: Option<OpenSegment>,
    batch: AlignedBuffer,
    headers: Vec<Header>,
    /// What is being written. The view learns of it when that has succeeded.
    disk_thread: DiskThread,
    /// Memory of a batch that has been written.
    spare: AlignedBuffer,
    compressor: Compressor,
    /// Compresses the next record meanwhile.
    packer: Packer,
    stored: Flow,
    /// Where closed segments are summed up, unless that has failed.
    summary: Option<SummaryWriter>,
    /// Set by a failure after which nothing may be written.
    is_broken: bool,
}

impl Appender {
    /// Goes on behind the record that has this number and checksum.
    pub(crate) fn new(
        options: AppenderOptions,
        view: Arc<Mutex<View>>,
        (sequence, chain): (u64, u32),
        next_segment: u32,
    ) -> Self {
        Self {
            options,
            view,
            sequence,
            chain,
            durable_sequence: sequence,
            next_segment,
            open: None,
            batch: AlignedBuffer::default(),
            headers: Vec::new(),
            disk_thread: DiskThread::default(),
            spare: AlignedBuffer::default(),
            compressor: Compressor::default(),
            packer: Packer::default(),
            stored: Flow::default(),
            summary: None,
            is_broken: false,
        }
    }

    /// Closed segments are to be summed up there from now on.
    pub(crate) fn sum_up(&mut self, summary: Option<SummaryWriter>) {
        self.summary = summary;
    }

    /// The last record.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.sequence
    }

    /// The last record that is known to be durable.
    pub(crate) fn durable_sequence(&self) -> u64 {
        self.durable_sequence
    }

    /// Preallocated bytes behind the last record, without those that closing the segment takes.
    pub(crate) fn free_bytes(&self) -> u64 {
        let free = self
            .open
            .as_ref()
            .map_or(0, |open| open.allocated_end.saturating_sub(self.end_of(open)));
        free.saturating_sub(self.seal_reserve())
    }

    /// Tries to have `wanted_bytes` free, in steps of `step_bytes`; what is there afterwards says [`Appender::free_bytes`].
    pub(crate) fn allocate(&mut self, wanted_bytes: u64, step_bytes: u64) -> io::Result<()> {
        let needed = wanted_bytes.saturating_add(self.seal_reserve());
        if self.open.is_none() {
            self.open = Some(self.create(needed, step_bytes)?);
            return Ok(());
        }
        let end = self.open.as_ref().map_or(0, |open| self.end_of(open));
        if let Some(open) = &mut self.open {
            let missing = end.saturating_add(needed).saturating_sub(open.allocated_end);
            open.extend(missing.max(step_bytes))?;
        }
        Ok(())
    }

    /// Adds one record; it may stay in memory until [`Appender::flush`]. `promised_bytes` of
    /// space must stay free behind the last record, this one included.
    pub(crate) fn append(
        &mut self,
        item: Item,
        promised_bytes: u64,
        step_bytes: u64,
    ) -> io::Result<()> {
        self.roll_if_due(promised_bytes, step_bytes)?;
        let (kind, time_us) = (item.kind, item.time_us);
        let result = match item.content {
            Content::Data { payload, length } => {
                let item = Item { content: Content::Own(Vec::new()), ..item };
                self.append_data(&item, payload, length)
            }
            Content::Pressing { .. } => self.append_pressed(&item),
            Content::Own(ref bytes) => {
                let header = self.header_of(&item, bytes.len());
                self.copy_in(header, bytes)
            }
        };
        if let Some(open) = self.open.as_mut().filter(|_| kind.is_change()) {
            open.last_written_us = time_us;
        }
        result
    }

    /// How much data there has been, and what its records hold.
    pub(crate) fn stored(&self) -> Flow {
        self.stored
    }

    /// Begins to write what is in memory; whether that has succeeded says [`Appender::settle`].
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.headers.is_empty() {
            return Ok(());
        }
        if self.open.as_ref().is_some_and(|open| open.file.alignment_bytes() as u64 > SECTOR_BYTES)
        {
            self.pad_to_page()?;
        }
        let batch = std::mem::replace(&mut self.batch, std::mem::take(&mut self.spare));
        let headers = std::mem::take(&mut self.headers);
        self.write_out(Memory::Batch(batch), headers)
    }

    /// Waits for the write that is under way. If it failed, it is done once more behind the place that is bad; then what is to
    /// follow moves too, by as many bytes as this returns, and follows the record that is the last one now.
    pub(crate) fn settle(&mut self) -> io::Result<u64> {
        let Some(done) = self.disk_thread.wait() else { return Ok(0) };
        debug_assert!(self.headers.is_empty(), "records in memory would have to move");
        let result = done.and_then(|(flight, result)| self.take_written(flight, result));
        self.is_broken |= result.is_err();
        result
    }

    fn take_written(&mut self, mut flight: Flight, result: io::Result<()>) -> io::Result<u64> {
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let mut skipped = 0;
        if let Err(error) = result {
            tracing::warn!(cartridge = %self.options.cartridge, segment = open.number, %error, "a write failed and is repeated elsewhere");
            skipped = flight.length.next_multiple_of(PAGE_BYTES);
            let (bytes, headers) = (flight.memory.bytes_mut(), &mut flight.headers);
            let chain = headers.first().map_or(self.chain, |header| header.chain);
            move_records(bytes, headers, skipped, chain);
            open.written_end = open.written_end.saturating_add(skipped);
            let offset = flight.offset.saturating_add(skipped);
            open.extend_to(offset.saturating_add(bytes.len() as u64))?;
            write_all_at(open.file.as_ref(), bytes, offset)?;
            self.chain = headers.last().map_or(chain, |header| header.crc);
        }
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        for header in &flight.headers {
            view.append(header);
        }
        drop(view);
        if let Memory::Batch(mut batch) = flight.memory {
            batch.clear();
            // Two are enough: one under way, one being filled.
            *(if self.batch.has_memory() { &mut self.spare } else { &mut self.batch }) = batch;
        }
        Ok(skipped)
    }

    /// Writes what is in memory and makes all of it durable. After an error nothing more can be written.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.pad_to_page()?;
        self.flush()?;
        self.settle()?;
        let Some(open) = &self.open else { return Ok(()) };
        if let Err(error) = open.file.sync_data() {
            // The kernel tells of lost pages once; another try would succeed without them.
            self.is_broken = true;
            return Err(error);
        }
        self.durable_sequence = self.sequence;
        Ok(())
    }

    /// A record that is nothing, so that the next one begins on a new page.
    fn pad_to_page(&mut self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let (number, end) = (open.number, self.end_of(open));
        let length = end.next_multiple_of(PAGE_BYTES).saturating_sub(end);
        if length == 0 {
            return Ok(());
        }
        let header = self.own_header(Kind::PAD, Place { segment: number, offset: end }, 0, length);
        self.copy_in(header, &[])
    }

    /// A header for a record that fills `length` bytes and belongs to the journal, not to the tape.
    fn own_header(
        &mut self,
        kind: Kind,
        place: Place,
        payload_length: usize,
        length: u64,
    ) -> Header {
        let (start, generation, generation_start, is_reverted) = {
            let view = self.view();
            // Records that are still in memory or under way are not in the view yet.
            match self.headers.last().or_else(|| self.disk_thread.last_header()) {
                Some(last) => {
                    (last.end(), last.generation, last.generation_start, last.is_reverted())
                }
                None => {
                    (view.end(), view.generation(), view.generation_start(), view.is_reverted())
                }
            }
        };
        self.sequence = self.sequence.saturating_add(1);
        let payload_offset = payload_offset(payload_length);
        let stored = length.saturating_sub(u64::from(payload_offset));
        Header {
            kind,
            codec: Codec::NONE,
            partition: self.options.partition,
            flags: flags(is_reverted),
            payload_offset,
            owner_epoch: self.options.owner_epoch,
            cartridge: self.options.cartridge,
            place,
            sequence: self.sequence,
            durable_sequence: self.durable_sequence,
            generation,
            generation_start,
            start,
            block_length: 0,
            block_count: 0,
            stored_length: u32::try_from(stored).unwrap_or(u32::MAX),
            body_crc: 0,
            data_crc: 0,
            time_us: 0,
            chain: self.chain,
            crc: 0,
        }
    }

    /// The header of a record with so many bytes of payload.
    fn header_of(&mut self, item: &Item, payload_length: usize) -> Header {
        let (number, end) =
            self.open.as_ref().map_or((0, 0), |open| (open.number, self.end_of(open)));
        let plain = record_bytes(
            payload_offset(payload_length),
            u32::try_from(payload_length).unwrap_or(u32::MAX),
        );
        let place = Place { segment: number, offset: end };
        let length = if item.kind == Kind::SYNC_POINT {
            // A sync point ends its page, so that no later write touches what is promised now.
            end.saturating_add(plain).next_multiple_of(PAGE_BYTES).saturating_sub(end)
        } else {
            plain
        };
        let own = self.own_header(item.kind, place, payload_length, length);
        let stored_length = if item.kind == Kind::SYNC_POINT {
            own.stored_length
        } else {
            u32::try_from(payload_length).unwrap_or(u32::MAX)
        };
        Header {
            generation: item.generation,
            generation_start: item.generation_start,
            flags: flags(item.is_reverted),
            start: item.start,
            block_length: item.block_length,
            block_count: item.block_count,
            time_us: item.time_us,
            stored_length,
            ..own
        }
    }

    /// A record of blocks, in the way that it is stored in.
    fn append_data(
        &mut self,
        item: &Item,
        payload: Box<dyn Payload>,
        length: usize,
    ) -> io::Result<()> {
        if item.is_compressed
            && self.append_packed(item, payload.data().get(..length).unwrap_or_default())?
        {
            return Ok(());
        }
        self.append_plain(item, payload, length)
    }

    /// Copies a record into the batch.
    fn copy_in(&mut self, mut header: Header, payload: &[u8]) -> io::Result<()> {
        self.check_open()?;
        let record = self.batch.extend(usize::try_from(header.record_bytes()).unwrap_or(0));
        fill(record, &mut header, payload);
        self.chain = header.crc;
        self.headers.push(header);
        if self.batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes a record from where its data is.
    fn write_frame(
        &mut self,
        item: &Item,
        mut payload: Box<dyn Payload>,
        length: usize,
    ) -> io::Result<()> {
        self.check_open()?;
        // What is before it goes first; only then is it certain where that ends.
        self.flush()?;
        let mut header = self.header_of(item, length);
        header.data_crc = header.data_checksum(payload.data().get(..length).unwrap_or_default());
        self.stored.add(&header);
        let record_length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let frame = payload.frame().and_then(|frame| frame.get_mut(..record_length));
        let frame = frame.unwrap_or_default();
        let (head, rest) = frame.split_at_mut_checked(HEADROOM_BYTES).unwrap_or_default();
        head.fill(0);
        rest.get_mut(length..).unwrap_or_default().fill(0);
        finish(frame, &mut header);
        self.chain = header.crc;
        self.write_out(Memory::Frame { payload, length: record_length }, vec![header])
    }

    /// Whether a record with this data can go to the disk from where it is.
    fn may_write_frame(&self, payload: &mut dyn Payload, length: usize) -> bool {
        let Some(open) = self.open.as_ref().filter(|_| length >= FRAME_BYTES_MIN) else {
            return false;
        };
        let stored = u32::try_from(length).unwrap_or(u32::MAX);
        let record_length = record_bytes(payload_offset(length), stored);
        let alignment = open.file.alignment_bytes();
        let fits =
            |frame: &mut [u8]| frame.len() as u64 >= record_length && is_aligned(frame, alignment);
        record_length.is_multiple_of(alignment as u64)
            && self.end_of(open).is_multiple_of(alignment as u64)
            && payload.frame().is_some_and(fits)
    }

    /// Begins to write encoded records to the end of the segment, as soon as what is before them has been written.
    fn write_out(&mut self, mut memory: Memory, mut headers: Vec<Header>) -> io::Result<()> {
        self.check_open()?;
        let chain = self.chain;
        let skipped = self.settle()?;
        if skipped > 0 {
            move_records(memory.bytes_mut(), &mut headers, skipped, self.chain);
        }
        self.chain = headers.last().map_or(chain, |header| header.crc);
        let length = memory.bytes_mut().len() as u64;
        let Some(open) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        let offset = open.written_end;
        open.written_end = offset.saturating_add(length);
        self.disk_thread.begin(&open.file, Flight { memory, headers, offset, length });
        Ok(())
    }

    fn end_of(&self, open: &OpenSegment) -> u64 {
        open.written_end.saturating_add(self.batch.len() as u64)
    }

    fn check_open(&self) -> io::Result<()> {
        if self.open.is_none() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            self.check_open_or_none()
        }
    }

    fn check_open_or_none(&self) -> io::Result<()> {
        if self.is_broken { Err(io::Error::other("an earlier write failed")) } else { Ok(()) }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flags(is_reverted: bool) -> u16 {
    if is_reverted { REVERTED } else { 0 }
}

/// Lays out a record: header, payload, zeros.
fn fill(record: &mut [u8], header: &mut Header, payload: &[u8]) {
    let start = usize::from(header.payload_offset).min(record.len());
    let (head, rest) = record.split_at_mut(start);
    let (data, padding) = rest.split_at_mut(payload.len().min(rest.len()));
    head.fill(0);
    data.copy_from_slice(payload.get(..data.len()).unwrap_or_default());
    padding.fill(0);
    finish(record, header);
}

/// Puts the checksum of the record's body into the header, and the header into the record.
fn finish(record: &mut [u8], header: &mut Header) {
    header.body_crc = crc32c::crc32c(record.get(HEADER_BYTES..).unwrap_or_default());
    let encoded = header.encode();
    if let Some(target) = record.get_mut(..HEADER_BYTES) {
        target.copy_from_slice(&encoded);
    }
}

/// Shorter records are collected.
const FRAME_BYTES_MIN: usize = 2 * 1024 * 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
