//! Reading ahead: a thread that finds and checks the records that will be asked for next.
//!
//! The thread does what the one who reads would do, with a [`Reader`] of its own, and keeps what is plain and good. Where it
//! meets anything else (damage, an error, the end) it stops and says nothing: whoever gets there finds it out for himself, at the
//! moment and in the words that he would have without this thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;

use super::reader::{Found, Reader};
use super::record::{Header, Kind};
use super::view::Key;

/// A record that has been read and whose checksum is right.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) header: Header,
    /// The object behind the last live one of the record.
    pub(crate) end: u64,
    pub(crate) data: Bytes,
}

impl Record {
    fn holds(&self, object: u64) -> bool {
        self.header.start.objects <= object && object < self.end
    }
}

/// The records behind the position, as far as they have been read.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    shared: Arc<Shared>,
    /// Made when it is needed first: most cartridges are written or asked what they are.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    to_thread: Condvar,
    to_front: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Records that follow each other.
    ready: VecDeque<Record>,
    // Invariant: the records in `ready` add up to it; below AHEAD_BYTES before each batch that the thread reads.
    ready_bytes: usize,
    /// The object behind `ready` that the thread finds next; `None` if it has stopped.
    next: Option<u64>,
    /// Counts what the thread was told to do: what it brings from an earlier run is not wanted any more.
    run: u64,
    is_front_waiting: bool,
    is_thread_waiting: bool,
    /// Whether the thread shall give back its memory.
    is_release_wanted: bool,
    is_ending: bool,
}

/// What the thread does next.
enum Task {
    /// Read on in this run, from this object.
    Read(u64, u64),
    Release,
    End,
}

impl ReadAhead {
    /// Nothing is read before [`ReadAhead::start`].
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), thread: None }
    }

    /// Reads on from an object. Whatever was read before is forgotten.
    pub(crate) fn start(&mut self, object: u64, reader: impl FnOnce() -> Reader) {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            let (shared, reader) = (Arc::clone(&self.shared), reader());
            let started =
                Builder::new().name("vtl-read-ahead".to_owned()).spawn(move || shared.run(reader));
            match started {
                Ok(thread) => self.thread = Some(thread),
                // Reading goes on without.
                Err(error) => return tracing::warn!(%error, "there is no thread to read ahead"),
            }
        }
        let mut state = self.shared.state();
        state.begin(Some(object));
        drop(state);
        self.shared.to_thread.notify_one();
    }

    /// Forgets what was read, and what is being read, and gives back its memory. To be called when objects have been given up.
    pub(crate) fn cancel(&self) {
        if self.thread.is_some() {
            let mut state = self.shared.state();
            state.begin(None);
            state.is_release_wanted = true;
            drop(state);
            self.shared.to_thread.notify_one();
        }
    }

    /// Whether the record that holds an object can be had without waiting.
    pub(crate) fn holds(&self, object: u64) -> bool {
        self.thread.is_some()
            && self.shared.state().ready.front().is_some_and(|record| record.holds(object))
    }

    /// The record that holds an object. It waits if that is being read; `None` if it is not, and then nothing else is either.
    pub(crate) fn take(&self, object: u64) -> Option<Record> {
        self.thread.as_ref()?;
        let mut state = self.shared.state();
        while state.ready.is_empty() && state.next == Some(object) {
            state.is_front_waiting = true;
            state = self.shared.to_front.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_front_waiting = false;
        if !state.ready.front().is_some_and(|record| record.holds(object)) {
            state.begin(None);
            return None;
        }
        let record = state.ready.pop_front()?;
        state.ready_bytes = state.ready_bytes.saturating_sub(size_of(&record));
        // A thread that is woken for each record costs more than it brings.
        if state.is_thread_waiting && state.ready_bytes < AHEAD_BYTES / 2 {
            drop(state);
            self.shared.to_thread.notify_one();
        }
        Some(record)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let mut state = self.shared.state();
        state.begin(None);
        state.is_ending = true;
        drop(state);
        self.shared.to_thread.notify_one();
        if thread.join().is_err() {
            tracing::error!("the thread that reads ahead ended in disorder");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn run(&self, mut reader: Reader) {
        let mut last_run = None;
        let _ending = Ending(self);
        loop {
            let (run, object) = match self.next_task() {
                Task::Read(run, object) => (run, object),
                Task::Release => {
                    reader.release();
                    continue;
                }
                Task::End => return,
            };
            if last_run.replace(run) != Some(run) {
                reader.forget();
            }
            let (records, next) = read_batch(&mut reader, object);
            let mut state = self.state();
            if state.run != run {
                continue;
            }
            state.ready_bytes =
                records.iter().map(size_of).fold(state.ready_bytes, usize::saturating_add);
            state.ready.extend(records);
            state.next = next;
            if state.is_front_waiting {
                self.to_front.notify_one();
            }
        }
    }

    /// Waits for something to do.
    fn next_task(&self) -> Task {
        let mut state = self.state();
        loop {
            if state.is_ending {
                return Task::End;
            }
            if std::mem::take(&mut state.is_release_wanted) {
                return Task::Release;
            }
            match state.next {
                Some(object) if state.ready_bytes < AHEAD_BYTES => {
                    return Task::Read(state.run, object);
                }
                Some(_) | None => {}
            }
            state.is_thread_waiting = true;
            state = self.to_thread.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_thread_waiting = false;
        }
    }
}

/// Whoever waits for the thread must not wait for ever, should it come to grief.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state().begin(None);
        self.0.to_front.notify_all();
    }
}

impl State {
    fn begin(&mut self, next: Option<u64>) {
        self.run = self.run.wrapping_add(1);
        self.ready.clear();
        self.ready_bytes = 0;
        self.next = next;
    }
}

/// Some records from an object on, and the object behind them; `None` where reading ahead ends.
fn read_batch(reader: &mut Reader, mut object: u64) -> (Vec<Record>, Option<u64>) {
    let mut records = Vec::new();
    let mut bytes: usize = 0;
    while bytes < BATCH_BYTES {
        let Some(record) = read_record(reader, object).filter(|record| record.holds(object)) else {
            return (records, None);
        };
        object = record.end;
        bytes = bytes.saturating_add(size_of(&record));
        records.push(record);
    }
    (records, Some(object))
}

fn read_record(reader: &mut Reader, object: u64) -> Option<Record> {
    let Ok(Found::Record(header, end)) = reader.find(Key::Object(object)) else { return None };
    let data = if header.kind == Kind::DATA { reader.data(&header).ok()?? } else { Bytes::new() };
    Some(Record { header, end, data })
}

/// What a record counts: its data, and what goes with it.
fn size_of(record: &Record) -> usize {
    record.data.len().saturating_add(super::record::SECTOR_SIZE)
}

/// The thread rests when so much is ready, and goes on at half of it. A single record may go beyond.
const AHEAD_BYTES: usize = 6 * 1024 * 1024;
/// Records are handed over when there are so many of them.
const BATCH_BYTES: usize = 128 * 1024;
