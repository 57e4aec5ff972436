//! A cartridge: logical objects on an append-only journal.
//!
//! [`Cartridge`] is plain single-threaded code that knows its position; a thread of its own writes behind a bounded buffer.
//! Start with [`Cartridge::load`], [`Cartridge::write`] and [`Cartridge::read`].

mod capacity;
mod cleaning;
mod error;
mod life;
mod memory;
mod motion;
mod options;
mod origin;
mod outcome;
mod overwrite;
mod prune;
mod read;
mod reopen;
mod rest;
mod retention;
mod revert;
mod seal;
mod self_test;
mod side_check;
mod spec;
mod stream;
mod timeline;
mod traffic;
mod verify;
mod volume;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;

use self::capacity::Capacity;
pub use self::cleaning::{CLEANINGS_MAX, Cleaning};
pub use self::error::{CreateError, LoadError, MediumError};
pub use self::life::low_space_bytes;
pub use self::memory::MediumLife;
pub use self::options::{Clock, LoadOptions};
pub use self::outcome::{
    ObjectNumber, PartitionNumber, Position, ReadOutcome, SpaceOutcome, WriteOutcome,
};
pub use self::prune::Pruned;
pub use self::seal::NextObject;
use self::seal::Seals;
pub use self::spec::{CartridgeFacts, CartridgeSpec};
pub use self::timeline::{GenerationBegun, RecoveryPoint, WantedPoint};
pub use self::traffic::Traffic;
pub use self::verify::{Checkpoint, Verified, Verifier};
pub use self::volume::Volume;
use crate::disk::Disk;
use crate::journal::{
    Appender, Flow, Header, Layers, Point, Queue, ReadAhead, Reader, View, time_from_us,
};
use crate::label::Label;

/// A loaded cartridge.
#[derive(Debug)]
pub struct Cartridge {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    label: Label,
    options: LoadOptions,
    capacity: Capacity,
    layers: Arc<Layers>,
    view: Arc<Mutex<View>>,
    reader: Reader,
    ahead: ReadAhead,
    current: Option<Current>,
    /// Whether nothing is read ahead.
    is_sparing: bool,
    /// How many records have been found each right behind the one before.
    sequential_count: u32,
    writer: Option<Writer>,
    /// The moment before the next object.
    position: Point,
    /// The moment behind the last one. `position.objects <= end.objects`, but after a failed write.
    end: Point,
    generation: u32,
    /// The object at which the generation began.
    generation_start: u64,
    /// Whether it began by going back.
    is_reverted: bool,
    /// The last record that was believed when the cartridge was loaded.
    recovered_sequence: u64,
    /// Segments that were missing then, and not removed on purpose.
    missing_segments: Vec<u32>,
    /// Whether more records had been durable once than were found then.
    is_journal_short: bool,
    /// Whether objects are missing at the end that had been promised.
    is_end_missing: bool,
    initiator_name: String,
    /// Whether data is to be stored in less where it can be.
    is_compressing: bool,
    seals: Seals,
    /// What has been read and given out.
    read_flow: Flow,
    given_bytes: u64,
    last_written_us: Option<i64>,
}

/// The record that was read last.
#[derive(Debug)]
struct Current {
    header: Header,
    /// The object behind the last live one of the record; `header.start.objects < end <= header.end().objects`.
    end: u64,
    /// `None` if it is damaged.
    data: Option<Bytes>,
    /// The blocks of an encrypted record, once they have been asked for.
    opened: Option<Bytes>,
}

/// What writing takes.
#[derive(Debug)]
struct Writer {
    queue: Arc<Queue>,
    /// `None` only while the cartridge is being given up.
    worker: Option<JoinHandle<Appender>>,
    /// Whether the failure that ended all writing has been told.
    is_failure_told: bool,
}

impl Cartridge {
    /// What the cartridge says of itself.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// What is on it, accepted objects included.
    pub fn facts(&self) -> CartridgeFacts {
        let (journal_bytes, undo_bytes, live_bytes) = {
            let view = self.view();
            (view.journal_bytes(), view.undo_bytes(), view.live_bytes())
        };
        CartridgeFacts {
            generation: self.generation,
            written_bytes: self.end.bytes,
            block_count: self.end.objects.saturating_sub(self.end.filemarks),
            filemark_count: self.end.filemarks,
            last_written: self.last_written_us.and_then(time_from_us),
            load_count: self.label.facts.load_count,
            journal_bytes,
            undo_bytes,
            stored_bytes: if self.end.bytes == 0 { 0 } else { live_bytes },
            pool_key: self.label.pool_key(),
        }
    }

    /// Where it stands. This never waits for the disk.
    pub fn position(&self) -> Position {
        let buffered = self.buffered();
        Position {
            partition: PartitionNumber(0),
            object: ObjectNumber(self.position.objects),
            filemarks: self.position.filemarks,
            is_at_beginning: self.position.objects == 0,
            is_at_end_of_data: self.position.objects >= self.end.objects,
            is_past_early_warning: self.capacity.is_past_early_warning(self.position)
                || self.is_space_low(),
            is_past_capacity: self.capacity.room_bytes(self.position) == 0,
            buffered_objects: buffered.objects,
            buffered_bytes: buffered.bytes,
        }
    }

    /// How many bytes of blocks lie before the position.
    pub fn position_bytes(&self) -> u64 {
        self.position.bytes
    }

    /// The native capacity.
    pub fn capacity_bytes(&self) -> u64 {
        self.label.capacity_bytes
    }

    /// How many bytes from the end of the capacity writes begin to give early warning.
    pub fn early_warning_bytes(&self) -> u64 {
        self.capacity.early_warning_bytes()
    }

    /// Changes [`Cartridge::early_warning_bytes`] until the cartridge is unloaded.
    pub fn set_early_warning_bytes(&mut self, bytes: u64) {
        self.capacity.set_early_warning_bytes(bytes);
    }

    /// Whether the position is in the early-warning zone, or less than so many bytes before it.
    pub fn is_near_early_warning(&self, bytes: u64) -> bool {
        self.capacity.is_near_early_warning(self.position, bytes) || self.is_space_low()
    }

    /// Whether nothing can be written: loaded for reading only, or fenced after a failed write.
    pub fn is_read_only(&self) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.queue.state().failure.is_some())
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> i64 {
        (self.options.clock)().as_microsecond()
    }
}

#[cfg(test)]
mod tests;
