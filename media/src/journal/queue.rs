//! The bounded buffer between those who write to a cartridge and the one thread that writes to the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{Header, Kind, Point};
use crate::payload::Payload;
use crate::seal::Sealer;

/// One record on its way to the journal.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) generation: u32,
    pub(crate) generation_start: u64,
    /// Whether the generation began by going back.
    pub(crate) is_reverted: bool,
    pub(crate) start: Point,
    pub(crate) block_length: u32,
    pub(crate) block_count: u32,
    pub(crate) time_us: i64,
    /// Whether data is to be stored in a way that takes less.
    pub(crate) is_compressed: bool,
    /// What data is to be encrypted with.
    pub(crate) sealer: Option<Arc<Sealer>>,
    pub(crate) content: Content,
    /// Bytes of preallocated space that are set aside for it.
    pub(crate) claim_bytes: u64,
}

/// What a record holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// The first `length` bytes of a payload; `length <= payload.data().len()`.
    Data { payload: Box<dyn Payload>, length: usize },
    /// The same, while another thread compresses it. `buffer_bytes` is the length of the payload.
    Pressing { buffer_bytes: usize, length: usize },
    /// Bytes of our own.
    Own(Vec<u8>),
}

impl Item {
    /// What it takes of the buffer.
    pub(crate) fn buffer_bytes(&self) -> usize {
        match &self.content {
            Content::Data { payload, .. } => payload.data().len(),
            Content::Pressing { buffer_bytes, .. } => *buffer_bytes,
            Content::Own(bytes) => bytes.len(),
        }
    }

    /// What it adds to the tape.
    pub(crate) fn amount(&self) -> Amount {
        match (self.kind, &self.content) {
            (Kind::DATA, Content::Data { length, .. } | Content::Pressing { length, .. }) => {
                Amount { items: 1, objects: u64::from(self.block_count), bytes: *length as u64 }
            }
            (Kind::FILEMARKS, _) => {
                Amount { items: 1, objects: u64::from(self.block_count), bytes: 0 }
            }
            _ => Amount { items: 1, objects: 0, bytes: 0 },
        }
    }
}

/// How much has gone past some point of the path since the cartridge was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) items: u64,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, other: Self) {
        self.items = self.items.saturating_add(other.items);
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            items: self.items.saturating_sub(other.items),
            objects: self.objects.saturating_sub(other.objects),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// How much data has gone one way, and what it took on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Bytes of blocks.
    pub(crate) data_bytes: u64,
    /// Bytes of the payloads that hold them.
    pub(crate) stored_bytes: u64,
}

impl Flow {
    /// Counts one more record of data.
    pub(crate) fn add(&mut self, header: &Header) {
        if header.kind == Kind::DATA {
            self.data_bytes = self.data_bytes.saturating_add(header.data_bytes());
            self.stored_bytes = self.stored_bytes.saturating_add(header.stored_length.into());
        }
    }
}

/// What the worker has to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Append these records.
    Append(Vec<Item>),
    /// Try to make this much space available.
    Allocate(u64),
    /// Make durable what has been appended; a sync point if there is a number.
    Sync(Option<u64>),
    /// Nothing is left to be done.
    Stop,
}

/// When the worker acts of its own accord.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Records wait this long for others to go with them.
    pub(crate) idle: Duration,
    /// Appended records are made durable after this time, …
    pub(crate) dirty: Duration,
    /// … or when there are this many bytes of them.
    pub(crate) dirty_bytes: u64,
}

/// What both sides share.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    to_worker: Condvar,
    to_front: Condvar,
    capacity_bytes: usize,
    batch_bytes: usize,
    timing: Timing,
}

/// What is known at one moment.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a signal of its own between the two sides"
)]
pub(crate) struct State {
    items: VecDeque<Item>,
    /// Payload bytes that have been accepted and not yet been written.
    queued_bytes: usize,
    /// Those of them that are in `items`; `waiting_bytes <= queued_bytes`.
    waiting_bytes: usize,
    last_push: Option<Instant>,
    /// Preallocated bytes that nobody has a claim on.
    pub(crate) available_bytes: u64,
    /// Preallocated bytes that queued records have a claim on.
    pub(crate) claimed_bytes: u64,
    wanted_bytes: Option<u64>,
    /// Whether the last request for space could not be met.
    is_refused: bool,
    /// Why, unless the disk is full.
    space_error: Option<io::Error>,
    /// Whether the file system is nearly full.
    pub(crate) is_space_low: bool,
    sync_requested: u64,
    sync_done: u64,
    pub(crate) accepted: Amount,
    pub(crate) durable: Amount,
    /// The last record that is known to be durable; 0 before the first sync.
    pub(crate) durable_sequence: u64,
    /// What has been laid out in records.
    pub(crate) stored: Flow,
    /// What had been accepted at the last sync point.
    pub(crate) synced: Amount,
    pub(crate) failure: Option<Arc<io::Error>>,
    is_front_waiting: bool,
    is_stopping: bool,
}

impl Queue {
    /// An empty queue for `capacity_bytes` of payload.
    pub(crate) fn new(capacity_bytes: usize, timing: Timing) -> Self {
        let batch_bytes = WAKING_BYTES.min(capacity_bytes / 4);
        let (state, to_worker, to_front) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { state, to_worker, to_front, capacity_bytes, batch_bytes, timing }
    }

    /// What is known at this moment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().items.is_empty()
    }

    /// Whether a payload of this length that takes so much space on the disk would have to wait.
    pub(crate) fn would_block(&self, length: usize, space_bytes: u64) -> bool {
        let state = self.state();
        state.failure.is_none()
            && (!self.has_room(&state, length) || state.available_bytes < space_bytes)
    }

    /// Accepts a record, waiting for room if need be. After a failure it is dropped: `false`.
    pub(crate) fn push(&self, item: Item) -> bool {
        let mut state = self.state();
        while !self.has_room(&state, item.buffer_bytes()) && state.failure.is_none() {
            state = self.wait_for_worker(state);
        }
        if state.failure.is_some() {
            return false;
        }
        let is_first = state.items.is_empty();
        state.queued_bytes = state.queued_bytes.saturating_add(item.buffer_bytes());
        state.waiting_bytes = state.waiting_bytes.saturating_add(item.buffer_bytes());
        state.available_bytes = state.available_bytes.saturating_sub(item.claim_bytes);
        state.claimed_bytes = state.claimed_bytes.saturating_add(item.claim_bytes);
        state.accepted.add(item.amount());
        if item.kind == Kind::SYNC_POINT {
            state.synced = state.accepted;
        }
        state.last_push = Some(Instant::now());
        state.items.push_back(item);
        if is_first || state.waiting_bytes >= self.batch_bytes {
            self.to_worker.notify_one();
        }
        true
    }

    /// Preallocated bytes that may be claimed, after an attempt to have at least `wanted_bytes` of them. That there are fewer
    /// means that the disk is full; other reasons are errors.
    pub(crate) fn available(&self, wanted_bytes: u64) -> io::Result<u64> {
        let mut state = self.state();
        if state.available_bytes >= wanted_bytes {
            return Ok(state.available_bytes);
        }
        state.is_refused = false;
        while state.available_bytes < wanted_bytes && !state.is_refused && state.failure.is_none() {
            state.wanted_bytes = Some(wanted_bytes);
            state = self.wait_for_worker(state);
        }
        match state.space_error.take() {
            Some(error) if state.available_bytes < wanted_bytes => Err(error),
            Some(_) | None => Ok(state.available_bytes),
        }
    }

    /// Waits until everything accepted is durable, or until that has failed.
    pub(crate) fn sync(&self) -> Result<(), Arc<io::Error>> {
        let mut state = self.state();
        let ticket = state.sync_requested.saturating_add(1);
        state.sync_requested = ticket;
        while state.sync_done < ticket && state.failure.is_none() {
            state = self.wait_for_worker(state);
        }
        match &state.failure {
            Some(failure) => Err(Arc::clone(failure)),
            None => Ok(()),
        }
    }

    /// Counts what has been accepted as a sync point although no record says so, because there is no room for one.
    pub(crate) fn skip_sync_record(&self) {
        let mut state = self.state();
        state.synced = state.accepted;
    }

    /// Has what is queued written now and not only when there is more of it.
    #[cfg(test)]
    pub(crate) fn nudge(&self) {
        self.state().is_front_waiting = true;
        self.to_worker.notify_one();
    }

    /// Tells the worker to write what is left and to end.
    pub(crate) fn stop(&self) {
        self.state().is_stopping = true;
        self.to_worker.notify_one();
    }

    /// The worker's next task. `dirty` is what has been appended and is not durable: since when, and how many bytes.
    pub(crate) fn next(&self, dirty: Option<(Instant, u64)>) -> Work {
        let mut state = self.state();
        loop {
            if state.failure.is_some() {
                state.abandon();
                self.to_front.notify_all();
                if state.is_stopping {
                    return Work::Stop;
                }
                state = self.to_worker.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            match self.choose(&mut state, dirty, now) {
                Ok(work) => return work,
                Err(None) => {
                    state = self.to_worker.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Err(Some(deadline)) => {
                    let timeout = deadline.saturating_duration_since(now);
                    let waited = self.to_worker.wait_timeout(state, timeout);
                    (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Records with this claim are on their way, and so much is free behind them: what they did not need can be claimed again.
    pub(crate) fn under_way(&self, claimed_bytes: u64, available_bytes: u64, stored: Flow) {
        let mut state = self.state();
        state.stored = stored;
        state.claimed_bytes = state.claimed_bytes.saturating_sub(claimed_bytes);
        state.set_free(available_bytes);
        self.to_front.notify_all();
    }

    /// So much has been written and counts as buffered no more.
    pub(crate) fn written(&self, buffer_bytes: usize) {
        let mut state = self.state();
        state.queued_bytes = state.queued_bytes.saturating_sub(buffer_bytes);
        self.to_front.notify_all();
    }

    /// `free_bytes` of preallocated space are unused, claimed or not; `is_refused` if there should be more.
    pub(crate) fn allocated(
        &self,
        free_bytes: u64,
        is_refused: bool,
        is_space_low: bool,
        error: Option<io::Error>,
    ) {
        let mut state = self.state();
        state.space_error = error;
        state.set_free(free_bytes);
        state.is_refused = is_refused;
        state.is_space_low = is_space_low;
        self.to_front.notify_all();
    }

    /// Everything up to `durable`, and up to the record `sequence`, has been synced.
    pub(crate) fn synced(&self, durable: Amount, sequence: u64, ticket: Option<u64>) {
        let mut state = self.state();
        state.durable = durable;
        state.durable_sequence = sequence;
        if let Some(ticket) = ticket {
            state.sync_done = ticket;
        }
        self.to_front.notify_all();
    }

    /// Writing has failed for good.
    pub(crate) fn fail(&self, error: io::Error) {
        let mut state = self.state();
        state.failure.get_or_insert_with(|| Arc::new(error));
        state.abandon();
        self.to_front.notify_all();
    }

    fn choose(
        &self,
        state: &mut State,
        dirty: Option<(Instant, u64)>,
        now: Instant,
    ) -> Result<Work, Option<Instant>> {
        if let Some(wanted) = state.wanted_bytes.take() {
            return Ok(Work::Allocate(wanted));
        }
        let dirty_deadline = dirty.map(|(since, _)| since + self.timing.dirty);
        if dirty.is_some_and(|(_, bytes)| bytes >= self.timing.dirty_bytes) {
            return Ok(Work::Sync(None));
        }
        let is_sync_wanted = state.sync_requested > state.sync_done;
        let idle_deadline =
            state.last_push.map(|last| last + self.timing.idle).filter(|_| !state.items.is_empty());
        let is_due = state.waiting_bytes >= self.batch_bytes
            || is_sync_wanted
            || state.is_stopping
            || state.is_front_waiting
            || idle_deadline.is_some_and(|deadline| deadline <= now);
        if !state.items.is_empty() && is_due {
            return Ok(Work::Append(state.take_batch()));
        }
        if is_sync_wanted {
            return Ok(Work::Sync(Some(state.sync_requested)));
        }
        if state.is_stopping {
            return Ok(if dirty.is_some() { Work::Sync(None) } else { Work::Stop });
        }
        if dirty_deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(Work::Sync(None));
        }
        Err([idle_deadline, dirty_deadline].into_iter().flatten().min())
    }

    fn has_room(&self, state: &State, length: usize) -> bool {
        state.queued_bytes == 0 || state.queued_bytes.saturating_add(length) <= self.capacity_bytes
    }

    fn wait_for_worker<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.is_front_waiting = true;
        self.to_worker.notify_one();
        let mut state = self.to_front.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.is_front_waiting = false;
        state
    }
}

impl State {
    fn set_free(&mut self, free_bytes: u64) {
        self.available_bytes = free_bytes.saturating_sub(self.claimed_bytes);
    }

    fn take_batch(&mut self) -> Vec<Item> {
        let mut batch = Vec::new();
        let mut bytes: usize = 0;
        while bytes < BATCH_BYTES
            && let Some(item) = self.items.pop_front()
        {
            bytes = bytes.saturating_add(item.buffer_bytes());
            batch.push(item);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        batch
    }

    /// Gives up everything that waits.
    fn abandon(&mut self) {
        self.items.clear();
        (self.queued_bytes, self.waiting_bytes) = (0, 0);
        self.claimed_bytes = 0;
        self.wanted_bytes = None;
    }
}

/// The worker begins when there is so much, …
const WAKING_BYTES: usize = 1024 * 1024;
/// … and takes up to so much at once, and one record more: the longer a write is, the faster is the disk.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
