//! A second thread that compresses: every other record of a stream that shrinks, while the cartridge's worker compresses the
//! one before it.

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::codec::{Compressor, Packed, packed_length_max};
use crate::payload::Payload;

/// Data of one record, and what has become of it.
#[derive(Debug)]
pub(crate) struct Pressed {
    pub(crate) payload: Box<dyn Payload>,
    /// How many bytes of the payload are data.
    pub(crate) length: usize,
    /// `None` if the data has to be stored as it came.
    pub(crate) packed: Option<Packed>,
    memory: Vec<u8>,
}

impl Pressed {
    /// What is to be stored.
    pub(crate) fn bytes(&self) -> &[u8] {
        let length = self.packed.map_or(0, |packed| packed.stored_length);
        self.memory.get(..length).unwrap_or_default()
    }
}

/// The thread. It works on one record at a time.
#[derive(Default)]
pub(crate) struct Packer {
    channels: Option<(Sender<Pressed>, Receiver<Pressed>)>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
    /// There was no thread to be had: it is not asked for again.
    is_alone: bool,
    /// Memory of a record that has been taken.
    spare: Vec<u8>,
}

impl Packer {
    /// Whether it can take a record now.
    pub(crate) fn is_free(&self) -> bool {
        !self.is_busy && !self.is_alone
    }

    /// Begins with a record; it comes back if there is no thread that takes it.
    pub(crate) fn begin(
        &mut self,
        payload: Box<dyn Payload>,
        length: usize,
    ) -> Result<(), Box<dyn Payload>> {
        if self.channels.is_none() && !self.is_alone {
            self.start();
        }
        let memory = std::mem::take(&mut self.spare);
        let record = Pressed { payload, length, packed: None, memory };
        let refused = match &self.channels {
            Some((records, _)) if !self.is_busy => records.send(record).map_err(|error| error.0),
            _ => Err(record),
        };
        self.is_busy |= refused.is_ok();
        refused.map_err(|record| record.payload)
    }

    /// Waits for the record that was begun; `None` if its thread has come to grief, and the record with it.
    pub(crate) fn wait(&mut self) -> Option<Pressed> {
        self.is_busy = false;
        self.channels.as_ref()?.1.recv().ok()
    }

    /// Takes a record's memory, to be used for another one.
    pub(crate) fn take_back(&mut self, mut record: Pressed) -> Box<dyn Payload> {
        if record.memory.len() <= SPARE_BYTES_MAX {
            self.spare = std::mem::take(&mut record.memory);
        }
        record.payload
    }

    fn start(&mut self) {
        let (to_thread, records) = channel();
        let (to_front, done) = channel();
        match Builder::new().name("vtl-packer".to_owned()).spawn(move || run(&records, &to_front)) {
            Ok(thread) => {
                self.thread = Some(thread);
                self.channels = Some((to_thread, done));
            }
            Err(error) => {
                self.is_alone = true;
                tracing::warn!(%error, "there is no second thread to compress");
            }
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.channels = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread that compresses ended in disorder");
        }
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").field("is_busy", &self.is_busy).finish_non_exhaustive()
    }
}

fn run(records: &Receiver<Pressed>, to_front: &Sender<Pressed>) {
    let mut compressor = Compressor::default();
    for mut record in records {
        let data = record.payload.data().get(..record.length).unwrap_or_default();
        let length_max = packed_length_max(data.len());
        if record.memory.len() < length_max {
            record.memory.resize(length_max, 0);
        }
        let target = record.memory.get_mut(..length_max).unwrap_or_default();
        record.packed = compressor.pack_untried(data, target);
        if to_front.send(record).is_err() {
            break;
        }
    }
}

/// Memory for longer records is given back at once.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;
