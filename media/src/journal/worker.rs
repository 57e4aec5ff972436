//! The one thread that writes a loaded cartridge's journal.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use super::appender::Appender;
use super::open_segment::is_full;
use super::promise::Promise;
use super::queue::{Amount, Item, Queue, Work};
use crate::disk::Disk;
use crate::label::Label;

/// What the worker has to know of the file system.
#[derive(Debug)]
pub(crate) struct SpaceOptions {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    /// With less than this free, writers are warned.
    pub(crate) reserve_bytes: u64,
    /// Space is set aside in steps of this.
    pub(crate) step_bytes: u64,
}

/// Starts the thread; it gives the appender back when it ends.
pub(crate) fn start(
    appender: Appender,
    promise: Promise,
    queue: Arc<Queue>,
    space: SpaceOptions,
) -> io::Result<JoinHandle<Appender>> {
    let worker = Worker {
        appender,
        promise,
        queue,
        space,
        appended: Amount::default(),
        dirty: None,
        under_way_bytes: 0,
        is_refused: false,
    };
    Builder::new().name("vtl-cartridge".to_owned()).spawn(move || worker.run())
}

struct Worker {
    appender: Appender,
    promise: Promise,
    queue: Arc<Queue>,
    space: SpaceOptions,
    appended: Amount,
    /// Since when there have been appended records that are not durable, and how many bytes of them.
    dirty: Option<(Instant, u64)>,
    /// Payload bytes of the write that is under way.
    under_way_bytes: usize,
    /// Whether the last attempt to set space aside failed: then what is free, by a quota or for others, does not count.
    is_refused: bool,
}

impl Worker {
    fn run(mut self) -> Appender {
        loop {
            let result = match self.queue.next(self.dirty) {
                Work::Append(items) => self.append(items),
                Work::Allocate(wanted_bytes) => {
                    self.allocate(wanted_bytes);
                    Ok(())
                }
                Work::Sync(ticket) => self.sync(ticket),
                Work::Stop => return self.appender,
            };
            if let Err(error) = result {
                let cause = error.to_string();
                self.dirty = None;
                self.queue.fail(error);
                self.tell_operator(&cause);
            }
        }
    }

    /// People know a cartridge by its barcode. Nobody waits for this: the failure has been noted before.
    fn tell_operator(&self, cause: &str) {
        let directory = self.space.directory.parent().unwrap_or(&self.space.directory);
        // The disk may not even be read any more.
        let label = Label::read(self.space.disk.as_ref(), directory);
        let barcode =
            label.map_or_else(|_| "unknown".to_owned(), |label| label.barcode.to_string());
        tracing::error!(barcode, directory = %directory.display(), cause,
            "the disk failed: what was written to the cartridge since its last sync point may be lost, and nothing more can be \
             written to it. Look after the disk, then unload the cartridge and load it again, and repeat the backup");
    }

    fn append(&mut self, items: Vec<Item>) -> io::Result<()> {
        let mut buffer_bytes: usize = 0;
        let mut claimed: u64 = 0;
        // What has been promised to anybody must still be there when the segment changes.
        let outstanding = {
            let state = self.queue.state();
            state.claimed_bytes.saturating_add(state.available_bytes)
        };
        let mut items = items.into_iter();
        let mut next = items.next();
        while let Some(item) = next {
            next = items.next();
            if let Some(next) = &mut next {
                self.appender.prepare(next);
            }
            buffer_bytes = buffer_bytes.saturating_add(item.buffer_bytes());
            self.appended.add(item.amount());
            let (_, dirty_bytes) = self.dirty.unwrap_or((Instant::now(), 0));
            let since = self.dirty.map_or_else(Instant::now, |(since, _)| since);
            self.dirty = Some((since, dirty_bytes.saturating_add(item.buffer_bytes() as u64)));
            let claim = item.claim_bytes;
            self.appender.append(
                item,
                outstanding.saturating_sub(claimed),
                self.space.step_bytes,
            )?;
            claimed = claimed.saturating_add(claim);
        }
        // That waits for what was under way before.
        self.appender.flush()?;
        self.queue.under_way(claimed, self.appender.free_bytes(), self.appender.stored());
        self.queue.written(std::mem::replace(&mut self.under_way_bytes, buffer_bytes));
        if self.queue.is_empty() {
            // A failure must not stay unknown because nothing follows.
            self.appender.settle()?;
            self.queue.written(std::mem::take(&mut self.under_way_bytes));
        }
        if self.queue.state().available_bytes < self.space.step_bytes / 2 {
            self.allocate(self.space.step_bytes / 2);
        } else if !self.is_refused && self.queue.state().is_space_low {
            // Where data shrinks it may be long before more space is needed, and there may be some again.
            self.queue.state().is_space_low = self.is_space_low();
        }
        Ok(())
    }

    fn sync(&mut self, ticket: Option<u64>) -> io::Result<()> {
        self.appender.sync()?;
        if let Err(error) = self.promise.keep(self.appender.durable_sequence()) {
            tracing::debug!(directory = %self.space.directory.display(), %error, "the promise was not written");
        }
        self.queue.written(std::mem::take(&mut self.under_way_bytes));
        self.dirty = None;
        self.queue.synced(self.appended, self.appender.durable_sequence(), ticket);
        Ok(())
    }

    fn allocate(&mut self, wanted_bytes: u64) {
        let wanted = wanted_bytes.saturating_add(self.queue.state().claimed_bytes);
        let mut is_low = false;
        let mut failure = None;
        if let Err(error) = self.appender.allocate(wanted, self.space.step_bytes) {
            is_low = true;
            failure = Some(error).filter(|error| !is_full(error));
        }
        self.is_refused = is_low;
        is_low |= self.is_space_low();
        let free = self.appender.free_bytes();
        self.queue.allocated(free, free < wanted, is_low, failure);
    }

    /// Whoever is about to meet the end of the disk must have been warned before.
    fn is_space_low(&self) -> bool {
        match self.space.disk.free_bytes(&self.space.directory) {
            Ok(free) => free < self.space.reserve_bytes.max(self.space.step_bytes),
            Err(_) => true,
        }
    }
}
