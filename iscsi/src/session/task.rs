//! The tasks of a session, from the header of their command to their answer.

use std::collections::{HashMap, VecDeque};

use vtl_scsi::{Cdb, TaskAttribute};

use super::gathering::Gathering;
use crate::event::TaskKey;
use crate::pdu::InitiatorTaskTag;
use crate::serial::CmdSn;

/// A command under way.
#[derive(Debug)]
pub(super) struct ActiveTask {
    pub(super) key: TaskKey,
    pub(super) cmd_sn: CmdSn,
    pub(super) is_immediate: bool,
    pub(super) stage: TaskStage,
    pub(super) lun: [u8; 8],
    pub(super) cdb: Cdb,
    pub(super) attribute: TaskAttribute,
    pub(super) reads: bool,
    pub(super) writes: bool,
    pub(super) expected_bytes: u32,
    pub(super) gathering: Gathering,
    /// False for a command that announces more data than is taken: it gets what comes unasked.
    pub(super) is_given_all: bool,
    /// What this task holds of the session's budget for solicited data.
    pub(super) granted_bytes: usize,
    /// Memory for its data-out, wherever it is at the moment.
    pub(super) buffer_bytes: usize,
    /// What it may read, from its delivery on.
    pub(super) promised_bytes: usize,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskStage {
    /// Commands with lower numbers are missing.
    Early,
    /// It stands in the queue of its logical unit and waits for its data, or for a task before it.
    Waiting,
    /// The owner of the connection has it.
    Delivered,
}

/// All tasks of a session.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_tag: HashMap<InitiatorTaskTag, ActiveTask>,
    /// Per logical unit, the waiting tasks in the order in which they have to be delivered. No queue is empty.
    queues: HashMap<[u8; 8], VecDeque<TaskKey>>,
    next_ordinal: u64,
    count_immediate: usize,
    /// Unanswered tasks that came in their turn and were not immediate.
    count_numbered: u32,
    /// The sums over all tasks.
    granted_bytes: usize,
    buffer_bytes: usize,
    promised_bytes: usize,
    count_delivered: usize,
}

impl Tasks {
    /// A name that no task ever had.
    pub(super) fn new_key(&mut self, itt: InitiatorTaskTag) -> TaskKey {
        self.next_ordinal += 1;
        TaskKey { itt, ordinal: self.next_ordinal }
    }

    pub(super) fn contains_tag(&self, itt: InitiatorTaskTag) -> bool {
        self.by_tag.contains_key(&itt)
    }

    pub(super) fn by_tag_mut(&mut self, itt: InitiatorTaskTag) -> Option<&mut ActiveTask> {
        self.by_tag.get_mut(&itt)
    }

    pub(super) fn get(&self, key: TaskKey) -> Option<&ActiveTask> {
        self.by_tag.get(&key.itt).filter(|task| task.key == key)
    }

    pub(super) fn get_mut(&mut self, key: TaskKey) -> Option<&mut ActiveTask> {
        self.by_tag.get_mut(&key.itt).filter(|task| task.key == key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ActiveTask> {
        self.by_tag.values()
    }

    pub(super) fn count_immediate(&self) -> usize {
        self.count_immediate
    }

    pub(super) fn count_numbered(&self) -> u32 {
        self.count_numbered
    }

    pub(super) fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    /// Memory of all tasks, and what may come of those that read.
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer_bytes + self.promised_bytes
    }

    /// Whether the owner has any, which will end without anything more from the peer.
    pub(super) fn has_delivered(&self) -> bool {
        self.count_delivered > 0
    }

    /// What those tasks may read that are delivered.
    pub(super) fn promised_bytes(&self) -> usize {
        self.promised_bytes
    }

    /// The logical units for which tasks wait.
    pub(super) fn waiting_luns(&self) -> Vec<[u8; 8]> {
        self.queues.keys().copied().collect()
    }

    /// Takes in a task whose numbers are not in turn yet.
    pub(super) fn insert(&mut self, task: ActiveTask) {
        self.count_immediate += usize::from(task.is_immediate);
        self.granted_bytes += task.granted_bytes;
        self.buffer_bytes += task.buffer_bytes;
        self.by_tag.insert(task.key.itt, task);
    }

    /// Puts a task, whose turn it is, into the queue of its logical unit: at its end, except that a HEAD OF QUEUE task
    /// whose data is there goes ahead of all that wait. One that has to wait for data itself keeps its place, so that no
    /// task for which data has been asked can be held up by one for which it has not.
    pub(super) fn enqueue(&mut self, key: TaskKey) {
        let Some(task) = self.get_mut(key) else { return };
        task.stage = TaskStage::Waiting;
        let is_numbered = !task.is_immediate;
        let is_ahead = task.attribute == TaskAttribute::HeadOfQueue
            && task.gathering.is_complete(task.is_given_all);
        let queue = task.lun;
        self.count_numbered += u32::from(is_numbered);
        let queue = self.queues.entry(queue).or_default();
        if is_ahead { queue.push_front(key) } else { queue.push_back(key) }
    }

    /// The next task of a logical unit, if it can be delivered.
    pub(super) fn next_deliverable(&self, lun: [u8; 8]) -> Option<&ActiveTask> {
        let task = self.get(*self.queues.get(&lun)?.front()?)?;
        task.gathering.is_complete(task.is_given_all).then_some(task)
    }

    /// Takes the next task of a logical unit out of its queue, to be delivered. It may read so much.
    pub(super) fn take_next(
        &mut self,
        lun: [u8; 8],
        promised_bytes: usize,
    ) -> Option<&mut ActiveTask> {
        let queue = self.queues.get_mut(&lun)?;
        let key = *queue.front()?;
        let task = self.by_tag.get_mut(&key.itt).filter(|task| task.key == key)?;
        task.stage = TaskStage::Delivered;
        task.promised_bytes = promised_bytes;
        self.promised_bytes += promised_bytes;
        self.count_delivered += 1;
        queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&lun);
        }
        self.by_tag.get_mut(&key.itt)
    }

    /// Takes note of a task's share of the budget.
    pub(super) fn grant(&mut self, key: TaskKey, bytes: usize) {
        if let Some(task) = self.get_mut(key) {
            let more_bytes = bytes.saturating_sub(task.buffer_bytes);
            task.granted_bytes += bytes;
            task.buffer_bytes += more_bytes;
            self.granted_bytes += bytes;
            self.buffer_bytes += more_bytes;
        }
    }

    /// Ends a task.
    pub(super) fn remove(&mut self, key: TaskKey) -> Option<ActiveTask> {
        self.get(key)?;
        let task = self.by_tag.remove(&key.itt)?;
        self.count_immediate -= usize::from(task.is_immediate);
        self.granted_bytes -= task.granted_bytes;
        self.buffer_bytes -= task.buffer_bytes;
        self.promised_bytes -= task.promised_bytes;
        self.count_delivered -= usize::from(task.stage == TaskStage::Delivered);
        if task.stage != TaskStage::Early {
            self.count_numbered -= u32::from(!task.is_immediate);
        }
        if task.stage == TaskStage::Waiting
            && let Some(queue) = self.queues.get_mut(&task.lun)
        {
            queue.retain(|other| *other != key);
            if queue.is_empty() {
                self.queues.remove(&task.lun);
            }
        }
        Some(task)
    }
}
