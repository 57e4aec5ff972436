//! Who runs a device: each logical unit has one queue, and one task at a time is carried out.
//!
//! A tape client waits for every answer, so a task that can be done without waiting for the disk is done at once, by whoever
//! brings it. Everything else goes through the queue to the unit's own thread, and a unit whose disk is stuck keeps nobody
//! else waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use vtl_changer::Changer;
use vtl_drive::{Drive, MediumState};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task, TaskAttribute, device};

/// As many tasks wait in one unit; the next one is answered TASK SET FULL (SAM-5 §5.3.1).
const MAX_TASK_SET: usize = 4096;

/// A task management function is answered after this long at the latest, even if the disk is stuck.
const RESET_LIMIT: Duration = Duration::from_secs(4);

/// What a logical unit is.
#[derive(Debug)]
pub enum Device {
    /// LUN 0.
    Changer(Box<Changer>),
    /// All the others.
    Drive(Box<Drive>),
}

/// What others may know of a drive while it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriveSnapshot {
    /// What is in it.
    pub medium: MediumState,
    /// Whether a host prevents the removal of the medium.
    pub is_removal_prevented: bool,
}

/// Where a completion goes. Called at most once; dropped uncalled if the task was aborted.
pub type Reply = Box<dyn FnOnce(Completion) + Send>;

/// Names a task that was submitted, over all nexuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// One logical unit with its queue.
#[derive(Debug)]
pub struct Unit {
    pub(crate) lun: Lun,
    device: Mutex<Device>,
    snapshot: Mutex<Option<DriveSnapshot>>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    // Invariant: waiting.len() <= MAX_TASK_SET
    waiting: VecDeque<(Ticket, Task, Reply)>,
    /// A task is being carried out, by the unit's thread or by the one who brought it.
    is_busy: bool,
    /// LOGICAL UNIT RESET came while a task was under way: to be done before the next one.
    is_reset_pending: bool,
    is_closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waiting", self.waiting.len())
    }
}

impl Device {
    fn execute(&mut self, task: Task) -> Completion {
        match self {
            Self::Changer(changer) => device::execute(changer.as_mut(), task),
            Self::Drive(drive) => device::execute(drive.as_mut(), task),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Changer(changer) => changer.reset(),
            Self::Drive(drive) => drive.reset(),
        }
    }

    fn would_block(&self, task: &Task) -> bool {
        match self {
            Self::Changer(changer) => changer.would_block(task),
            Self::Drive(drive) => drive.would_block(task),
        }
    }

    fn snapshot(&self) -> Option<DriveSnapshot> {
        match self {
            Self::Changer(_) => None,
            Self::Drive(drive) => Some(DriveSnapshot {
                medium: drive.medium_state(),
                is_removal_prevented: drive.is_removal_prevented(),
            }),
        }
    }
}

impl Unit {
    /// A unit with its thread, which ends with [`Unit::close`] or when nobody holds the unit any more.
    pub fn start(lun: Lun, device: Device) -> std::io::Result<Arc<Self>> {
        let unit = Arc::new(Self {
            lun,
            snapshot: Mutex::new(device.snapshot()),
            device: Mutex::new(device),
            queue: Mutex::default(),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&unit);
        thread::Builder::new().name(format!("lun-{lun}")).spawn(move || run(&weak))?;
        Ok(unit)
    }

    /// Takes a task. It is done at once where that needs no waiting: the completion comes back; else it goes to `reply` later.
    pub fn submit(
        &self,
        ticket: Ticket,
        task: Task,
        reply: impl FnOnce() -> Reply,
    ) -> Option<Completion> {
        let mut queue = lock(&self.queue);
        if !queue.is_busy && queue.waiting.is_empty() && !queue.is_reset_pending {
            // The device may be busy with something that is not a task; then this one waits in the queue.
            let device = self.device.try_lock().ok().filter(|device| !device.would_block(&task));
            if let Some(mut device) = device {
                queue.is_busy = true;
                drop(queue);
                let completion = device.execute(task);
                self.take_snapshot(&device);
                drop(device);
                self.finish();
                return Some(completion);
            }
        }
        if queue.waiting.len() >= MAX_TASK_SET {
            return Some(Completion::with_status(Status::TASK_SET_FULL));
        }
        let entry = (ticket, task, reply());
        match entry.1.attribute {
            TaskAttribute::HeadOfQueue => queue.waiting.push_front(entry),
            TaskAttribute::Simple | TaskAttribute::Ordered => queue.waiting.push_back(entry),
        }
        drop(queue);
        self.changed.notify_all();
        None
    }

    /// Takes tasks that have not begun out of the queue: those of one nexus, or all.
    pub fn abort(&self, nexus: Option<ItNexus>) {
        let mut queue = lock(&self.queue);
        queue.waiting.retain(|(_, task, _)| nexus.is_some_and(|nexus| task.nexus != nexus));
    }

    /// Takes one task out of the queue, if it has not begun.
    pub fn abort_task(&self, ticket: Ticket) {
        lock(&self.queue).waiting.retain(|(waiting, ..)| *waiting != ticket);
    }

    /// CLEAR TASK SET: no task is left in the queue, and the other nexuses are told.
    pub fn clear_task_set(&self, cause: Option<ItNexus>) {
        self.abort(None);
        self.with(|device| {
            let unit = match device {
                Device::Changer(changer) => device::Device::unit_mut(changer.as_mut()),
                Device::Drive(drive) => device::Device::unit_mut(drive.as_mut()),
            };
            match cause {
                Some(cause) => unit.raise_for_others(cause, Sense::commands_cleared()),
                None => unit.raise(Sense::commands_cleared()),
            }
        });
    }

    /// LOGICAL UNIT RESET: no task is left, and the device is as after power on. If a task is stuck it is done when that
    /// task ends; the answer does not wait for it longer than four seconds.
    pub fn reset(&self) {
        let deadline = Instant::now() + RESET_LIMIT;
        let mut queue = lock(&self.queue);
        queue.waiting.clear();
        queue.is_reset_pending = true;
        self.changed.notify_all();
        while queue.is_reset_pending && !queue.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                warn!(lun = %self.lun, "a task is stuck; the logical unit is reset as soon as it ends");
                return;
            }
            queue =
                self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Does something with the device, in its turn.
    pub fn with<T>(&self, work: impl FnOnce(&mut Device) -> T) -> T {
        let mut device = lock(&self.device);
        let result = work(&mut device);
        self.take_snapshot(&device);
        result
    }

    /// Does something with the drive; `None` at the changer.
    pub fn with_drive<T>(&self, work: impl FnOnce(&mut Drive) -> T) -> Option<T> {
        self.with(|device| match device {
            Device::Drive(drive) => Some(work(drive)),
            Device::Changer(_) => None,
        })
    }

    /// What is known of the drive without waiting for it.
    pub fn drive_snapshot(&self) -> Option<DriveSnapshot> {
        *lock(&self.snapshot)
    }

    /// A session began.
    pub fn nexus_begins(&self, nexus: ItNexus, name: &NexusName) {
        self.with(|device| match device {
            Device::Changer(changer) => changer.nexus_begins(nexus),
            Device::Drive(drive) => drive.nexus_begins(nexus, name.clone()),
        });
    }

    /// A session ended: its tasks, and what was its own.
    pub fn nexus_ends(&self, nexus: ItNexus) {
        self.abort(Some(nexus));
        self.with(|device| match device {
            Device::Changer(changer) => changer.nexus_ends(nexus),
            Device::Drive(drive) => drive.nexus_ends(nexus),
        });
    }

    /// Ends the unit's thread after the task that is under way.
    pub fn close(&self) {
        lock(&self.queue).is_closed = true;
        self.changed.notify_all();
    }

    fn take_snapshot(&self, device: &Device) {
        *lock(&self.snapshot) = device.snapshot();
    }

    fn finish(&self) {
        let mut queue = lock(&self.queue);
        queue.is_busy = false;
        let has_work = !queue.waiting.is_empty() || queue.is_reset_pending;
        drop(queue);
        if has_work {
            self.changed.notify_all();
        }
    }

    /// Waits for work for a while. `false` when the unit is closed.
    fn work(&self) -> bool {
        const LOOK_AGAIN: Duration = Duration::from_secs(5);
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return false;
        }
        if queue.is_busy || queue.waiting.is_empty() && !queue.is_reset_pending {
            queue = self
                .changed
                .wait_timeout(queue, LOOK_AGAIN)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if queue.is_busy || queue.is_closed {
            return !queue.is_closed;
        }
        if queue.is_reset_pending {
            queue.is_busy = true;
            drop(queue);
            self.with(Device::reset);
            let mut queue = lock(&self.queue);
            (queue.is_busy, queue.is_reset_pending) = (false, false);
            drop(queue);
            self.changed.notify_all();
            return true;
        }
        if let Some((_, task, reply)) = queue.waiting.pop_front() {
            queue.is_busy = true;
            drop(queue);
            let completion = self.with(|device| device.execute(task));
            self.finish();
            reply(completion);
        }
        true
    }
}

/// The unit's thread. It holds the unit only while it works, so that a unit that nobody wants ends.
fn run(weak: &Weak<Unit>) {
    while let Some(unit) = weak.upgrade() {
        if !unit.work() {
            debug!(lun = %unit.lun, "closed");
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
