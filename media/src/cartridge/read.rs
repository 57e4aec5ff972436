//! Reading.

use bytes::Bytes;

use super::{Cartridge, Current, MediumError, ObjectNumber, ReadOutcome};
use crate::journal::{Found, Header, Key, Kind, Record};

impl Cartridge {
    /// Reads the next object. After [`MediumError::Damaged`] the position is behind the damaged object, and reading can go on.
    pub fn read(&mut self) -> Result<ReadOutcome, MediumError> {
        self.sync()?;
        let object = self.position.objects;
        if !self.is_current(object) {
            if let Some(Record { header, end, data }) = self.ahead.take(object) {
                self.read_flow.add(&header);
                self.current = Some(Current { header, end, data: Some(data), opened: None });
            } else {
                match self.reader.find(Key::Object(object))? {
                    Found::Record(header, end) => self.read_record(header, end)?,
                    Found::Lost(next) => {
                        self.pass_lost(next.as_ref());
                        return Err(MediumError::Damaged { object: ObjectNumber(object) });
                    }
                    Found::Nothing => {
                        self.check_end()?;
                        return Ok(ReadOutcome::EndOfData);
                    }
                }
            }
        }
        self.take_object(object)
    }

    /// Reads the record that was found. When it is not the first one in a row, what follows is read ahead.
    fn read_record(&mut self, header: Header, end: u64) -> Result<(), MediumError> {
        let data =
            if header.kind == Kind::DATA { self.reader.data(&header)? } else { Some(Bytes::new()) };
        let follows =
            self.current.as_ref().is_some_and(|current| current.end == header.start.objects);
        self.sequential_count = match &data {
            Some(_) if follows => self.sequential_count.saturating_add(1),
            Some(_) | None => 0,
        };
        if data.is_some() {
            self.read_flow.add(&header);
        }
        self.current = Some(Current { header, end, data, opened: None });
        let is_row = self.sequential_count >= SEQUENTIAL_MIN && self.options.reads_ahead;
        if is_row && end < self.end.objects {
            let reader = &self.reader;
            self.ahead.start(end, || reader.another());
        }
        Ok(())
    }

    /// Forgets what was read and what was read ahead: objects have been given up.
    pub(super) fn forget_read(&mut self) {
        self.current = None;
        self.reader.release();
        self.ahead.cancel();
    }

    /// Whether reading would have to wait for the disk.
    pub fn read_would_block(&self) -> bool {
        let object = self.position.objects;
        self.has_unsynced()
            || (object < self.end.objects && !self.is_current(object) && !self.ahead.holds(object))
    }

    /// Whether the record that was read last holds an object.
    fn is_current(&self, object: u64) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.header.start.objects <= object && object < current.end)
    }

    /// Takes an object out of the current record.
    fn take_object(&mut self, object: u64) -> Result<ReadOutcome, MediumError> {
        let Some(Current { header, .. }) = &self.current else {
            return Ok(ReadOutcome::EndOfData);
        };
        let (behind, kind) = (header.point_before(object.saturating_add(1)), header.kind);
        let (block_length, first) = (header.block_length, header.start.objects);
        if kind == Kind::FILEMARKS {
            self.position = behind;
            return Ok(ReadOutcome::Filemark);
        }
        let data = self.current_blocks(object)?;
        self.position = behind;
        let damaged = MediumError::Damaged { object: ObjectNumber(object) };
        let Some(data) = data else { return Err(damaged) };
        let length = usize::try_from(block_length).unwrap_or(usize::MAX);
        let at = usize::try_from(object.saturating_sub(first)).unwrap_or(usize::MAX);
        let start = at.saturating_mul(length);
        let end = start.saturating_add(length);
        if end > data.len() {
            return Err(damaged);
        }
        self.given_bytes = self.given_bytes.saturating_add(block_length.into());
        Ok(ReadOutcome::Block(data.slice(start..end)))
    }

    /// Goes past an object that cannot be found.
    fn pass_lost(&mut self, next: Option<&Header>) {
        self.position.objects = self.position.objects.saturating_add(1);
        let passed = self.position.objects;
        // What lies between is not known; from the next record on, everything is again.
        if let Some(next) = next.filter(|next| next.start.objects <= passed) {
            self.position = next.start;
        } else if next.is_none() && passed >= self.end.objects {
            self.position = self.end;
        }
    }
}

/// So many records in a row, behind the first one, are a reason to expect that the next ones will be read too.
const SEQUENTIAL_MIN: u32 = 1;
