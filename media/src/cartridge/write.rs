//! Writing blocks and filemarks, erasing, and making it all durable.

use std::sync::{Arc, PoisonError};

use super::{Cartridge, MediumError, ObjectNumber, WriteOutcome};
use crate::journal::{
    Amount, Content, Item, Kind, PAGE_BYTES, Place, Point, RECORD_DATA_BYTES_MAX, SECTOR_SIZE,
    payload_offset, record_bytes,
};
use crate::payload::Payload;
use crate::seal::CHECKSUM_BYTES;

impl Cartridge {
    /// Says who writes; sync points carry the name. It is cut to 223 bytes, the longest name that iSCSI allows.
    pub fn set_writer(&mut self, initiator_name: &str) {
        let mut length = initiator_name.len().min(INITIATOR_NAME_BYTES_MAX);
        while !initiator_name.is_char_boundary(length) {
            length = length.saturating_sub(1);
        }
        initiator_name.get(..length).unwrap_or_default().clone_into(&mut self.initiator_name);
    }

    /// Whether blocks written from now on are stored in less than they are long, where they can be. Until it is told so, a
    /// cartridge stores them as they come.
    pub fn set_compression(&mut self, is_on: bool) {
        self.is_compressing = is_on;
    }

    /// Writes `block_count` blocks of `block_length` bytes at the position, in one record. What was there and behind is given
    /// up. The payload has been accepted, not written, when this returns; it waits only while the buffer is full. After an
    /// error nothing of it has been accepted.
    pub fn write(
        &mut self,
        payload: Box<dyn Payload>,
        block_length: u32,
        block_count: u32,
    ) -> Result<WriteOutcome, MediumError> {
        let data_bytes = payload.data().len();
        let expected = u64::from(block_length).saturating_mul(u64::from(block_count));
        if data_bytes as u64 != expected || expected == 0 || expected > RECORD_DATA_BYTES_MAX {
            return Err(MediumError::WrongLength { data_bytes, block_length, block_count });
        }
        self.check_writable()?;
        self.check_overwrite()?;
        let (fitting, is_next_sure) = self.fitting_blocks(block_length, block_count)?;
        let blocks_not_written = block_count.saturating_sub(fitting);
        if fitting == 0 {
            return Ok(WriteOutcome::EndOfPartition { blocks_not_written });
        }
        self.begin_generation_if_needed(Reason::Overwrite)?;
        let count = u64::from(fitting);
        let bytes = count.saturating_mul(u64::from(block_length));
        let length = usize::try_from(bytes).unwrap_or(data_bytes);
        let claim_bytes = self.data_record_bytes(bytes);
        let content = Content::Data { payload, length };
        self.push(Kind::DATA, content, block_length, fitting, claim_bytes)?;
        let Point { objects, filemarks, bytes: before } = self.position;
        self.advance(Point {
            objects: objects.saturating_add(count),
            filemarks,
            bytes: before.saturating_add(bytes),
        });
        if blocks_not_written > 0 {
            return Ok(WriteOutcome::EndOfPartition { blocks_not_written });
        }
        Ok(if is_next_sure { self.outcome() } else { WriteOutcome::EarlyWarning })
    }

    /// Writes filemarks at the position. They are accepted, not durable, when this returns; none is no change at all.
    pub fn write_filemarks(&mut self, count: u32) -> Result<WriteOutcome, MediumError> {
        self.check_writable()?;
        if count == 0 {
            return Ok(self.outcome());
        }
        self.check_overwrite()?;
        let room = u32::try_from(self.capacity.room_filemarks(self.position)).unwrap_or(u32::MAX);
        let needed = FILEMARKS_CLAIM_BYTES
            .saturating_add(self.generation_claim_bytes())
            .saturating_add(SYNC_BYTES);
        let has_space = self.available(needed)? >= needed;
        let fitting = if has_space { count.min(room) } else { 0 };
        let blocks_not_written = count.saturating_sub(fitting);
        if fitting == 0 {
            return Ok(WriteOutcome::EndOfPartition { blocks_not_written });
        }
        self.begin_generation_if_needed(Reason::Overwrite)?;
        self.push(Kind::FILEMARKS, Content::Own(Vec::new()), 0, fitting, FILEMARKS_CLAIM_BYTES)?;
        let Point { objects, filemarks, bytes } = self.position;
        self.advance(Point {
            objects: objects.saturating_add(u64::from(fitting)),
            filemarks: filemarks.saturating_add(u64::from(fitting)),
            bytes,
        });
        if blocks_not_written > 0 {
            return Ok(WriteOutcome::EndOfPartition { blocks_not_written });
        }
        Ok(self.outcome())
    }

    /// Makes everything accepted durable and marks the moment in the journal. Nothing happens if there is nothing new.
    pub fn sync(&mut self) -> Result<(), MediumError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        if writer.queue.state().failure.is_some() {
            return if writer.is_failure_told { Ok(()) } else { Err(self.tell_failure()) };
        }
        if !self.has_unsynced() {
            return Ok(());
        }
        let queue = Arc::clone(&writer.queue);
        // Where there is no room for the record of a sync point, the sync itself counts.
        if queue.available(SYNC_BYTES).is_ok_and(|available| available >= SYNC_BYTES) {
            let content = Content::Own(self.sync_payload());
            queue.push(self.item(Kind::SYNC_POINT, content, 0, 0, 0));
        } else {
            queue.skip_sync_record();
        }
        match queue.sync() {
            Ok(()) => Ok(()),
            Err(_) => Err(self.tell_failure()),
        }
    }

    /// Gives up everything from the position on; that is durable when this returns.
    pub fn erase(&mut self) -> Result<(), MediumError> {
        self.check_writable()?;
        if self.is_appending() {
            return self.sync();
        }
        self.check_erase()?;
        let needed = self.generation_claim_bytes().saturating_add(SYNC_BYTES);
        if self.available(needed)? < needed {
            return Err(MediumError::Io(std::io::ErrorKind::StorageFull.into()));
        }
        self.begin_generation_if_needed(Reason::Erase)?;
        self.sync()
    }

    /// Whether a payload of this length would have to wait: for room in the buffer, or for the disk to set space aside.
    pub fn write_would_block(&self, length: usize) -> bool {
        let overhead = self.generation_claim_bytes().saturating_add(FINAL_BYTES);
        let space_bytes =
            self.data_record_bytes(length as u64).saturating_mul(2).saturating_add(overhead);
        self.writer.as_ref().is_some_and(|writer| writer.queue.would_block(length, space_bytes))
    }

    /// Whether something has been accepted since the last sync point.
    pub fn has_unsynced(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| {
            let state = writer.queue.state();
            state.accepted.items != state.synced.items
        })
    }

    /// The failure of something that had been accepted, once.
    pub fn take_deferred(&mut self) -> Option<MediumError> {
        let writer = self.writer.as_ref()?;
        let is_new = writer.queue.state().failure.is_some() && !writer.is_failure_told;
        is_new.then(|| self.tell_failure())
    }

    /// What has been accepted and is not known to be durable.
    pub(super) fn buffered(&self) -> Amount {
        self.writer.as_ref().map_or_else(Amount::default, |writer| {
            let state = writer.queue.state();
            state.accepted.less(state.durable)
        })
    }

    /// Whether the disk behind it is nearly full.
    pub fn is_space_low(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.queue.state().is_space_low)
    }

    pub(super) fn check_writable(&mut self) -> Result<(), MediumError> {
        let Some(writer) = &self.writer else { return Err(MediumError::ReadOnly) };
        if writer.queue.state().failure.is_none() {
            return Ok(());
        }
        if writer.is_failure_told { Err(MediumError::Fenced) } else { Err(self.tell_failure()) }
    }

    /// Makes the failure known to the rest of the cartridge: what was lost is not there any more.
    fn tell_failure(&mut self) -> MediumError {
        let Some(writer) = &mut self.writer else { return MediumError::ReadOnly };
        writer.is_failure_told = true;
        let state = writer.queue.state();
        let lost = state.accepted.less(state.durable);
        let source = state.failure.clone();
        drop(state);
        self.end = self.view.lock().unwrap_or_else(PoisonError::into_inner).end();
        self.is_end_missing = true;
        self.forget_read();
        match source {
            Some(source) => MediumError::WriteFailed {
                objects_not_written: lost.objects,
                bytes_not_written: lost.bytes,
                source,
            },
            None => MediumError::Fenced,
        }
    }

    /// How many of these blocks fit, by the capacity and by the space on the host's disk; and whether there is space for as
    /// many again, without which the next command might be the first to hear of the end.
    fn fitting_blocks(
        &mut self,
        block_length: u32,
        block_count: u32,
    ) -> Result<(u32, bool), MediumError> {
        let length = u64::from(block_length);
        let by_capacity = self.capacity.room_bytes(self.position) / length;
        let wanted = u64::from(block_count).min(by_capacity);
        let overhead = self.generation_claim_bytes().saturating_add(FINAL_BYTES);
        let record = self.data_record_bytes(wanted.saturating_mul(length));
        let needed = record.saturating_add(overhead);
        let needed_next = needed.saturating_add(record);
        let mut available = match self.available(needed_next) {
            // That concerns this command only if there is not enough for it.
            Err(MediumError::Io(_)) => 0,
            available => available?,
        };
        if available < needed {
            available = self.available(needed)?;
        }
        if available >= needed {
            let fitting = u32::try_from(wanted).unwrap_or(block_count);
            return Ok((fitting, available >= needed_next));
        }
        let record = available.saturating_sub(overhead) / 512 * 512;
        let by_space = record.saturating_sub(512 + self.checksum_bytes()) / length;
        Ok((u32::try_from(wanted.min(by_space)).unwrap_or(block_count), false))
    }

    /// Preallocated space, after an attempt to have that much.
    pub(super) fn available(&mut self, needed: u64) -> Result<u64, MediumError> {
        let Some(writer) = &self.writer else { return Err(MediumError::ReadOnly) };
        let available = writer.queue.available(needed);
        self.check_writable()?;
        Ok(available?)
    }

    /// Whether the next record simply follows the last one.
    pub(super) fn is_appending(&self) -> bool {
        self.position.objects == self.end.objects && !self.is_end_missing
    }

    fn generation_claim_bytes(&self) -> u64 {
        if self.is_appending() { 0 } else { GENERATION_CLAIM_BYTES }
    }

    /// Begins a generation with nothing on the tape, durably, whatever there is now. The position is the beginning.
    pub(super) fn begin_blank(&mut self, reason: Reason) -> Result<(), MediumError> {
        self.sync()?;
        self.check_writable()?;
        self.check_space_for_generation()?;
        self.position = Point::default();
        self.begin_generation(reason)?;
        self.sync()
    }

    /// Whether there is space for a generation that begins durably.
    pub(super) fn check_space_for_generation(&mut self) -> Result<(), MediumError> {
        let needed = GENERATION_CLAIM_BYTES + SYNC_BYTES;
        if self.available(needed)? < needed {
            return Err(MediumError::Io(std::io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    fn begin_generation_if_needed(&mut self, reason: Reason) -> Result<(), MediumError> {
        if self.is_appending() { Ok(()) } else { self.begin_generation(reason) }
    }

    fn begin_generation(&mut self, reason: Reason) -> Result<(), MediumError> {
        let payload = self.generation_payload(reason, (0, Place::default()));
        self.generation = self.generation.saturating_add(1);
        self.generation_start = self.position.objects;
        self.is_reverted = false;
        self.is_end_missing = false;
        self.end = self.position;
        self.forget_read();
        self.push(Kind::GENERATION, Content::Own(payload), 0, 0, GENERATION_CLAIM_BYTES)
    }

    /// Why a generation begins, what was there until then, and what it goes back to.
    pub(super) fn generation_payload(&self, reason: Reason, base: (u64, Place)) -> Vec<u8> {
        let mut payload = vec![reason as u8, 0, 0, 0, 0, 0, 0, 0];
        let (sequence, place) = base;
        for number in [self.end.objects, self.end.filemarks, self.end.bytes, sequence] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(&place.segment.to_le_bytes());
        payload.extend_from_slice(&place.sector().to_le_bytes());
        payload
    }

    pub(super) fn push(
        &mut self,
        kind: Kind,
        content: Content,
        block_length: u32,
        block_count: u32,
        claim_bytes: u64,
    ) -> Result<(), MediumError> {
        let item = self.item(kind, content, block_length, block_count, claim_bytes);
        let Some(writer) = &self.writer else { return Err(MediumError::ReadOnly) };
        let time_us = item.time_us;
        // What was accepted right before a failure counts as accepted: the failure is that of all accepted data.
        if !writer.queue.push(item) {
            return Err(self.check_writable().err().unwrap_or(MediumError::Fenced));
        }
        self.last_written_us = Some(time_us);
        Ok(())
    }

    fn item(
        &self,
        kind: Kind,
        content: Content,
        block_length: u32,
        block_count: u32,
        claim_bytes: u64,
    ) -> Item {
        Item {
            kind,
            generation: self.generation,
            generation_start: self.generation_start,
            is_reverted: self.is_reverted,
            // A sync point stands at the end of the data, wherever the position is.
            start: if kind == Kind::SYNC_POINT { self.end } else { self.position },
            block_length,
            block_count,
            time_us: self.now_us(),
            is_compressed: self.is_compressing,
            sealer: self.seals.sealer().cloned(),
            content,
            claim_bytes,
        }
    }

    /// What a record of so much data takes on the disk at most.
    fn data_record_bytes(&self, data_bytes: u64) -> u64 {
        let stored_bytes = data_bytes.saturating_add(self.checksum_bytes());
        let length = u32::try_from(stored_bytes).unwrap_or(u32::MAX);
        let offset = if self.seals.sealer().is_some() {
            // An envelope fills the rest of the first sector.
            u16::try_from(SECTOR_SIZE).unwrap_or(u16::MAX)
        } else {
            payload_offset(usize::try_from(length).unwrap_or(usize::MAX))
        };
        record_bytes(offset, length)
    }

    /// What is stored with the blocks of a record where they are encrypted.
    fn checksum_bytes(&self) -> u64 {
        if self.seals.sealer().is_some() { CHECKSUM_BYTES as u64 } else { 0 }
    }

    fn advance(&mut self, to: Point) {
        self.position = to;
        self.end = to;
    }

    fn outcome(&self) -> WriteOutcome {
        if self.capacity.is_past_early_warning(self.position) || self.is_space_low() {
            WriteOutcome::EarlyWarning
        } else {
            WriteOutcome::Written
        }
    }

    fn sync_payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for number in [self.end.objects, self.end.filemarks, self.end.bytes] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        let name = self.initiator_name.as_bytes();
        payload.extend_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
        payload.extend_from_slice(name);
        payload
    }

    /// The error for reading at or behind the end.
    pub(super) fn check_end(&self) -> Result<(), MediumError> {
        if self.is_end_missing {
            return Err(MediumError::EndOfDataMissing { object: ObjectNumber(self.end.objects) });
        }
        Ok(())
    }
}

/// Why a generation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Overwrite = 1,
    Erase = 2,
    Revert = 3,
    Format = 4,
}

const INITIATOR_NAME_BYTES_MAX: usize = 223;
pub(super) const GENERATION_CLAIM_BYTES: u64 = 512;
const FILEMARKS_CLAIM_BYTES: u64 = 512;
/// What a sync point may take: its record, up to the end of the page behind it.
pub(super) const SYNC_BYTES: u64 = 2 * PAGE_BYTES;
/// What blocks leave free of the space that is set aside, so that filemarks and sync points can close the tape.
const FINAL_BYTES: u64 = 64 * 1024;
