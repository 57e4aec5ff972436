//! What others want of a device, in its turn and before the tasks that wait: done by themselves, or left to the unit's thread.

use std::any::Any;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vtl_drive::Drive;

use super::{Device, MAX_JOBS, Unit, lock};

/// Whoever wants to do something with a drive gives up after this time: it is stuck.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Something that is done with the device. What it returns is dropped as soon as what it did can be seen from outside.
pub(super) type Job = Box<dyn FnOnce(&mut Device) -> Box<dyn Any> + Send>;

/// Where the answer to a question is left.
enum Answer<T> {
    /// Somebody waits for it.
    Awaited,
    /// It is there.
    Given(T),
    /// Nobody waits any more: what was done is to be undone.
    Unwanted,
}

impl Unit {
    /// Does something with the drive. `None` at the changer, and if the drive is stuck.
    pub fn with_drive<T>(&self, work: impl FnOnce(&mut Drive) -> T) -> Option<T> {
        self.with_drive_within(TURN_LIMIT, work)
    }

    /// Does something with the drive, if that can begin within a time.
    pub fn with_drive_within<T>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Drive) -> T,
    ) -> Option<T> {
        if !self.take_turn(within) {
            return None;
        }
        let result = self.with(|device| match device {
            Device::Drive(drive) => Some(work(drive)),
            Device::Changer(_) => None,
        });
        self.finish();
        result
    }

    /// Waits until the device is free, and takes it. [`Unit::finish`] gives it back.
    fn take_turn(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let mut queue = lock(&self.queue);
        queue.turns += 1;
        while queue.is_busy {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue =
                self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.turns -= 1;
        if queue.is_busy {
            // Others have held back for this one.
            drop(queue);
            self.changed.notify_all();
            return false;
        }
        queue.is_busy = true;
        true
    }

    /// Does something that needs no disk: now if the device is idle, else before the next task. `false`, and nothing is done, if
    /// too much waits already because the unit is stuck.
    pub(crate) fn do_soon(&self, job: impl FnOnce(&mut Device) + Send + 'static) -> bool {
        let mut queue = lock(&self.queue);
        if queue.is_idle() {
            queue.is_busy = true;
            drop(queue);
            self.with(job);
            self.finish();
            return true;
        }
        if queue.jobs.len() >= MAX_JOBS {
            return false;
        }
        drop(queue);
        self.leave(job);
        true
    }

    /// Has something done by the unit's thread, whenever that is. What the job returns is dropped when it is done and what it did
    /// can be seen, in [`Unit::drive_snapshot`] too: the place for a sender whose end others wait for.
    pub(crate) fn leave<T: 'static>(
        &self,
        job: impl FnOnce(&mut Device) -> T + Send + 'static,
    ) -> u64 {
        let mut queue = lock(&self.queue);
        let number = queue.next_job;
        queue.next_job = number.wrapping_add(1);
        if queue.is_closed {
            // Nobody is going to do it: whoever waits hears so when the job is dropped, which has to be without the lock.
            drop(queue);
            drop(job);
            return number;
        }
        queue.jobs.push_back((number, Box::new(|device| Box::new(job(device)))));
        drop(queue);
        self.changed.notify_all();
        number
    }

    /// Has something done by the unit's thread and waits for what comes of it. If that takes too long the answer is `None`, and
    /// nothing was done: if it had begun, `undo` is called with its result when it ends.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        within: Duration,
        job: impl FnOnce(&mut Device) -> T + Send + 'static,
        undo: impl FnOnce(&mut Device, T) + Send + 'static,
    ) -> Option<T> {
        let answer = Arc::new(Mutex::new(Answer::Awaited));
        let (sender, receiver) = mpsc::sync_channel::<()>(1);
        let theirs = Arc::clone(&answer);
        let number = self.leave(move |device| {
            let result = job(device);
            let mut answer = lock(&theirs);
            if let Answer::Unwanted = *answer {
                drop(answer);
                undo(device, result);
            } else {
                *answer = Answer::Given(result);
            }
            // Dropping it wakes the one who waits, as it does if the unit ends with the job undone.
            sender
        });
        // Nothing is ever sent: the end of the channel is the news.
        let _ended = receiver.recv_timeout(within);
        lock(&self.queue).jobs.retain(|(waiting, _)| *waiting != number);
        match std::mem::replace(&mut *lock(&answer), Answer::Unwanted) {
            Answer::Given(result) => Some(result),
            Answer::Awaited | Answer::Unwanted => None,
        }
    }
}
