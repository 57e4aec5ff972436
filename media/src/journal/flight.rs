//! One write at a time goes to the disk, while the next records are being prepared.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::batch::AlignedBuffer;
use super::record::Header;
use crate::disk::{DiskFile, write_all_at};
use crate::payload::Payload;

/// Encoded records, where they lie.
#[derive(Debug)]
pub(crate) enum Memory {
    /// Copied together.
    Batch(AlignedBuffer),
    /// The first `length` bytes of a payload's frame: one record.
    Frame { payload: Box<dyn Payload>, length: usize },
}

impl Memory {
    /// The bytes as they go to the disk.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Batch(batch) => batch.bytes_mut(),
            Self::Frame { payload, length } => {
                payload.frame().and_then(|frame| frame.get_mut(..*length)).unwrap_or_default()
            }
        }
    }
}

/// Records on their way to the disk.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) memory: Memory,
    pub(crate) headers: Vec<Header>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A thread that writes what it is given, so that the one who gives can go on.
#[derive(Debug, Default)]
pub(crate) struct DiskThread {
    channels: Option<(Sender<Job>, Receiver<Done>)>,
    thread: Option<JoinHandle<()>>,
    under_way: Option<(Vec<Header>, u64, u64)>,
    /// What was written without a thread, because there is none.
    done: Option<Done>,
}

type Job = (Memory, Arc<dyn DiskFile>, u64);
type Done = (Memory, io::Result<()>);

impl DiskThread {
    /// The last record under way.
    pub(crate) fn last_header(&self) -> Option<&Header> {
        self.under_way.as_ref().and_then(|(headers, ..)| headers.last())
    }

    /// How many records are under way.
    pub(crate) fn header_count(&self) -> usize {
        self.under_way.as_ref().map_or(0, |(headers, ..)| headers.len())
    }

    /// Begins to write. What was under way must have been waited for.
    pub(crate) fn begin(&mut self, file: &Arc<dyn DiskFile>, flight: Flight) {
        let Flight { memory, headers, offset, length } = flight;
        debug_assert!(self.under_way.is_none(), "two writes at once");
        self.under_way = Some((headers, offset, length));
        if self.channels.is_none() {
            self.start();
        }
        let job = (memory, Arc::clone(file), offset);
        let left = match &self.channels {
            Some((jobs, _)) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        // Without a thread it takes longer, and that is all.
        self.done = left.map(write);
    }

    /// Waits for what is under way; `None` if nothing is.
    pub(crate) fn wait(&mut self) -> Option<io::Result<(Flight, io::Result<()>)>> {
        let (headers, offset, length) = self.under_way.take()?;
        let done = self.done.take().or_else(|| self.channels.as_ref()?.1.recv().ok());
        let Some((memory, result)) = done else {
            return Some(Err(io::Error::other("the thread that writes ended in disorder")));
        };
        Some(Ok((Flight { memory, headers, offset, length }, result)))
    }

    fn start(&mut self) {
        let (to_thread, jobs) = channel::<Job>();
        let (to_front, done) = channel();
        let run = move || {
            for job in jobs {
                if to_front.send(write(job)).is_err() {
                    break;
                }
            }
        };
        match Builder::new().name("vtl-disk".to_owned()).spawn(run) {
            Ok(thread) => {
                self.thread = Some(thread);
                self.channels = Some((to_thread, done));
            }
            Err(error) => tracing::warn!(%error, "there is no thread to write"),
        }
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.channels = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread that writes ended in disorder");
        }
    }
}

fn write((mut memory, file, offset): Job) -> Done {
    let result = write_all_at(file.as_ref(), memory.bytes_mut(), offset);
    (memory, result)
}
