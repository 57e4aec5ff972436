//! Who runs a device: each logical unit has one queue, and one task at a time is carried out.
//!
//! A tape client waits for every answer, so a task that can be done without waiting for the disk is done at once, by whoever
//! brings it. Everything else goes through the queue to the unit's own thread, and a unit whose disk is stuck keeps nobody
//! else waiting: whoever wants something of a device leaves it as a job in the same queue, and waits as long as it likes.

mod job;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, warn};
use vtl_changer::Changer;
use vtl_drive::{Drive, MediumState};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task, TaskAttribute, device, spc};

use self::job::Job;
use crate::trace::{Begun, Trace};

/// As many tasks wait in one unit; the next one is answered TASK SET FULL (SAM-5 §5.3.1).
const MAX_TASK_SET: usize = 4096;

/// As many sessions may begin while a unit is stuck; the next one is refused.
const MAX_JOBS: usize = 4096;

/// A task management function is answered after this long at the latest, even if the disk is stuck.
pub(crate) const RESET_LIMIT: Duration = Duration::from_secs(4);

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
    /// Until when the drive is being cleaned, in milliseconds since 1970.
    pub cleaning_until_ms: Option<u64>,
    /// Who wrote last.
    pub last_writer: Option<ItNexus>,
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
    /// A device of the same kind with nothing in it: it says what this unit is while the device itself is busy.
    stand_in: Mutex<Device>,
    snapshot: Mutex<Option<DriveSnapshot>>,
    queue: Mutex<Queue>,
    changed: Condvar,
    trace: Trace,
}

#[derive(Default)]
struct Queue {
    // Invariant: waiting.len() <= MAX_TASK_SET
    waiting: VecDeque<(Ticket, Task, Reply)>,
    /// What is to be done with the device before the next task, by the number that it is known by.
    jobs: VecDeque<(u64, Job)>,
    next_job: u64,
    /// How many wait for the device to do something with it themselves. They go before jobs and tasks.
    turns: usize,
    /// A task or a job is being carried out, by the unit's thread or by the one who brought it.
    is_busy: bool,
    reset: Reset,
    is_closed: bool,
}

/// Whether LOGICAL UNIT RESET is still to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reset {
    #[default]
    None,
    /// It came while a task was under way: to be done before the next one.
    Pending,
    /// It was answered and could not be done yet: the unit is stuck.
    Overdue,
}

impl Queue {
    /// Whether a task or a job that comes now can be done now.
    fn is_idle(&self) -> bool {
        !self.is_busy && self.turns == 0 && !self.has_work()
    }

    /// Whether there is anything for the unit's thread.
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.jobs.is_empty() || self.reset != Reset::None
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waiting, {} jobs", self.waiting.len(), self.jobs.len())
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

    /// The drive; `None` at the changer.
    pub fn drive(&mut self) -> Option<&mut Drive> {
        match self {
            Self::Drive(drive) => Some(drive),
            Self::Changer(_) => None,
        }
    }

    fn nexus_begins(&mut self, nexus: ItNexus, name: NexusName) {
        match self {
            Self::Changer(changer) => changer.nexus_begins(nexus, name),
            Self::Drive(drive) => drive.nexus_begins(nexus, name),
        }
    }

    fn nexus_ends(&mut self, nexus: ItNexus) {
        match self {
            Self::Changer(changer) => changer.nexus_ends(nexus),
            Self::Drive(drive) => drive.nexus_ends(nexus),
        }
    }

    fn clear_task_set(&mut self, cause: Option<ItNexus>) {
        let unit = match self {
            Self::Changer(changer) => device::Device::unit_mut(changer.as_mut()),
            Self::Drive(drive) => device::Device::unit_mut(drive.as_mut()),
        };
        match cause {
            Some(cause) => unit.raise_for_others(cause, Sense::commands_cleared()),
            None => unit.raise(Sense::commands_cleared()),
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
                cleaning_until_ms: drive.cleaning_until_ms(),
                last_writer: drive.last_writer(),
            }),
        }
    }
}

impl Unit {
    /// A unit with its thread, which ends with [`Unit::close`] or when nobody holds the unit any more. `stand_in` is another
    /// device with the same identity.
    pub fn start(lun: Lun, device: Device, stand_in: Device) -> std::io::Result<Arc<Self>> {
        let unit = Arc::new(Self {
            lun,
            snapshot: Mutex::new(device.snapshot()),
            device: Mutex::new(device),
            stand_in: Mutex::new(stand_in),
            queue: Mutex::default(),
            changed: Condvar::new(),
            trace: Trace::default(),
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
        if queue.is_idle() {
            let device = self.device.try_lock().ok().filter(|device| !device.would_block(&task));
            if let Some(mut device) = device {
                queue.is_busy = true;
                drop(queue);
                let completion = self.execute(&mut device, task);
                self.take_snapshot(&device);
                drop(device);
                self.abort_all(&completion.aborted);
                self.finish();
                return Some(completion);
            }
        }
        if task.attribute != TaskAttribute::Ordered && spc::is_about_identity(&task) {
            drop(queue);
            let begun = Begun::new(None, &task);
            let completion = lock(&self.stand_in).execute(task);
            self.trace.note(begun, None, &completion);
            return Some(completion);
        }
        let refusal = if queue.reset == Reset::Overdue {
            // Not queued: nobody could say when it would be done.
            Some(Completion::check_condition(Sense::internal_target_failure()))
        } else if queue.waiting.len() >= MAX_TASK_SET {
            Some(Completion::with_status(Status::TASK_SET_FULL))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(queue);
            self.trace.note(Begun::new(None, &task), None, &refusal);
            return Some(refusal);
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

    /// The same for several nexuses: their registrations were preempted.
    fn abort_all(&self, nexuses: &[ItNexus]) {
        for nexus in nexuses {
            self.abort(Some(*nexus));
        }
    }

    /// Takes one task out of the queue, if it has not begun.
    pub fn abort_task(&self, ticket: Ticket) {
        lock(&self.queue).waiting.retain(|(waiting, ..)| *waiting != ticket);
    }

    /// CLEAR TASK SET: no task is left in the queue, and the other nexuses are told.
    pub fn clear_task_set(&self, cause: Option<ItNexus>) {
        self.abort(None);
        if !self.do_soon(move |device| device.clear_task_set(cause)) {
            warn!(lun = %self.lun, "the unit is stuck: other initiators are not told that their tasks were cleared");
        }
    }

    /// LOGICAL UNIT RESET: no task is left, and the device is as after power on. If a task is stuck it is done when that
    /// task ends; the answer does not wait for it longer than four seconds.
    pub fn reset(&self) {
        self.begin_reset();
        self.finish_reset(Instant::now() + RESET_LIMIT);
    }

    /// The first half of [`Unit::reset`]: no task is left.
    pub(crate) fn begin_reset(&self) {
        let mut queue = lock(&self.queue);
        queue.waiting.clear();
        if queue.reset == Reset::None {
            queue.reset = Reset::Pending;
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// The second half: waits until it is done, but not for ever.
    pub(crate) fn finish_reset(&self, deadline: Instant) {
        let mut queue = lock(&self.queue);
        while queue.reset != Reset::None && !queue.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(queue);
                self.give_up_reset();
                return;
            }
            queue =
                self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether a reset that has begun is not done yet.
    pub(crate) fn is_reset_awaited(&self) -> bool {
        let queue = lock(&self.queue);
        queue.reset != Reset::None && !queue.is_closed
    }

    /// Nobody waits any longer for a reset that is not done yet; tasks are refused until it is.
    pub(crate) fn give_up_reset(&self) {
        let mut queue = lock(&self.queue);
        if queue.reset != Reset::None {
            warn!(lun = %self.lun, "a task is stuck; the logical unit is reset as soon as it ends");
            queue.reset = Reset::Overdue;
        }
    }

    /// What is known of the drive without waiting for it.
    pub fn drive_snapshot(&self) -> Option<DriveSnapshot> {
        *lock(&self.snapshot)
    }

    /// A session began: the device knows of it before the session's first task. `false` if the unit is stuck and too many have
    /// begun since.
    pub fn nexus_begins(&self, nexus: ItNexus, name: &NexusName) -> bool {
        let name = name.clone();
        self.do_soon(move |device| device.nexus_begins(nexus, name))
    }

    /// A session ended: its tasks, and what was its own. `told` is dropped when what it wrote is on disk, or when the unit is closed.
    /// Says whether it wrote anything, so that there is something to wait for: a task that is under way was not answered, and nobody
    /// counts on it.
    pub fn nexus_ends(&self, nexus: ItNexus, told: impl Send + 'static) -> bool {
        self.abort(Some(nexus));
        let has_written = lock(&self.snapshot).and_then(|drive| drive.last_writer) == Some(nexus);
        self.leave(move |device| {
            device.nexus_ends(nexus);
            told
        });
        has_written
    }

    /// Ends the unit's thread after the task that is under way.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        let undone = std::mem::take(&mut queue.jobs);
        drop(queue);
        // Whoever waits for them hears that they will not be done.
        drop(undone);
        self.changed.notify_all();
    }

    /// What it was asked lately.
    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    fn execute(&self, device: &mut Device, task: Task) -> Completion {
        let begun = Begun::new(Some(device), &task);
        let completion = device.execute(task);
        self.trace.note(begun, Some(device), &completion);
        completion
    }

    fn take_snapshot(&self, device: &Device) {
        *lock(&self.snapshot) = device.snapshot();
    }

    fn finish(&self) {
        let mut queue = lock(&self.queue);
        queue.is_busy = false;
        let is_awaited = queue.turns > 0 || queue.has_work();
        drop(queue);
        if is_awaited {
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
        if queue.is_busy || queue.turns > 0 || !queue.has_work() {
            queue = self
                .changed
                .wait_timeout(queue, LOOK_AGAIN)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if queue.is_busy || queue.turns > 0 || queue.is_closed {
            return !queue.is_closed;
        }
        if let Some((_, job)) = queue.jobs.pop_front() {
            queue.is_busy = true;
            drop(queue);
            let woken = self.with(job);
            self.finish();
            drop(woken);
        } else if queue.reset != Reset::None {
            queue.is_busy = true;
            drop(queue);
            self.with(Device::reset);
            lock(&self.queue).reset = Reset::None;
            self.finish();
            self.changed.notify_all();
        } else if let Some((_, task, reply)) = queue.waiting.pop_front() {
            queue.is_busy = true;
            drop(queue);
            let completion = self.with(|device| self.execute(device, task));
            self.abort_all(&completion.aborted);
            self.finish();
            reply(completion);
        }
        true
    }

    /// Does something with the device, by the one whose turn it is.
    fn with<T>(&self, work: impl FnOnce(&mut Device) -> T) -> T {
        let mut device = lock(&self.device);
        let result = work(&mut device);
        self.take_snapshot(&device);
        result
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
