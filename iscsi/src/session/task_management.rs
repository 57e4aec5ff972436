//! Task management (RFC 7143 §11.5 and §4.2.3.3).
//!
//! Tasks that were not delivered yet are dropped here. What remains is the business of the connection's owner, who knows
//! the devices and the other sessions. Until the owner answers, a delivered task may still end with a status of its own,
//! as SAM allows; the answer FUNCTION COMPLETE ends those that are left.
//!
//! Data that an initiator still sends for an aborted task is let pass, so that no function has to wait for R2Ts that are
//! under way: nothing can be written through a tag that names no task any more.

use bytes::Bytes;

use super::task::{ActiveTask, TaskStage};
use super::window::Place;
use super::{Numbered, Session};
use crate::connection::Wire;
use crate::event::{CloseReason, Event, TaskKey, TaskManagement, TaskManagementKey};
use crate::pdu::{
    Bhs, InitiatorTaskTag, RejectReason, TaskManagementAnswer, TaskManagementFunctionCode,
    TaskManagementRequest, TaskManagementResponse,
};

/// Functions under way at a time; more are refused.
const MAX_FUNCTIONS: usize = 16;

/// A function that the owner works on.
#[derive(Debug)]
pub(super) struct PendingFunction {
    key: TaskManagementKey,
    function: TaskManagement,
    /// Delivered tasks that it ends.
    tasks: Vec<TaskKey>,
}

impl Session {
    /// The owner has carried a function out, or not.
    pub(crate) fn complete_task_management(
        &mut self,
        key: TaskManagementKey,
        response: TaskManagementResponse,
        wire: &mut Wire,
    ) {
        let Some(index) = self.functions.iter().position(|pending| pending.key == key) else {
            return;
        };
        let pending = self.functions.swap_remove(index);
        let is_complete = response == TaskManagementResponse::FUNCTION_COMPLETE;
        if is_complete {
            for task in &pending.tasks {
                self.tasks.remove(*task);
            }
        }
        self.answer_function(key.0.itt, response, wire);
        self.grant(wire);
        if is_complete && pending.function == TaskManagement::TargetColdReset {
            wire.end(CloseReason::TargetReset);
        }
    }

    /// Drops tasks that were not delivered, of one logical unit or of all. Their initiator is not told: a unit attention
    /// condition does that.
    pub(crate) fn abort_waiting_tasks(&mut self, lun: Option<[u8; 8]>, wire: &mut Wire) {
        let is_affected = |task: &&ActiveTask| {
            task.stage != TaskStage::Delivered && lun.is_none_or(|lun| task.lun == lun)
        };
        let keys: Vec<TaskKey> =
            self.tasks.iter().filter(is_affected).map(|task| task.key).collect();
        for key in keys {
            self.tasks.remove(key);
        }
        self.grant(wire);
    }

    /// Drops a task without an answer.
    pub(crate) fn drop_task(&mut self, key: TaskKey, wire: &mut Wire) {
        if let Some(task) = self.tasks.remove(key) {
            self.deliver(task.lun, wire);
            self.grant(wire);
        }
    }

    /// Whether a tag names something that is under way.
    pub(super) fn is_tag_in_use(&self, itt: InitiatorTaskTag) -> bool {
        self.tasks.contains_tag(itt)
            || self.is_text_tag(itt)
            || self.functions.iter().any(|pending| pending.key.0.itt == itt)
    }

    pub(super) fn finish_task_management(&mut self, bhs: &Bhs, wire: &mut Wire) {
        let request = TaskManagementRequest::parse(bhs);
        let refusal = if self.is_discovery() {
            Some(RejectReason::PROTOCOL_ERROR)
        } else if request.itt == InitiatorTaskTag::RESERVED {
            Some(RejectReason::INVALID_PDU_FIELD)
        } else if self.is_tag_in_use(request.itt) {
            Some(RejectReason::TASK_IN_PROGRESS)
        } else if self.functions.len() + self.waiting_functions.len() >= MAX_FUNCTIONS {
            Some(RejectReason::TOO_MANY_IMMEDIATE_COMMANDS)
        } else {
            None
        };
        let item = match refusal {
            Some(reason) => {
                self.reject(reason, bhs, wire);
                Numbered::Nothing
            }
            None => Numbered::Function(request),
        };
        self.take_number(request.is_immediate, request.cmd_sn, item, wire);
    }

    /// It is a function's turn. One that is immediate and acts on all older commands waits until these have come.
    pub(super) fn run_function(&mut self, request: &TaskManagementRequest, wire: &mut Wire) {
        type Code = TaskManagementFunctionCode;
        let lun = request.lun;
        let function = match request.function {
            Code::ABORT_TASK => {
                self.abort_task(request, wire);
                return;
            }
            Code::ABORT_TASK_SET => TaskManagement::AbortTaskSet { lun },
            Code::CLEAR_TASK_SET => TaskManagement::ClearTaskSet { lun },
            Code::LOGICAL_UNIT_RESET => TaskManagement::LogicalUnitReset { lun },
            Code::TARGET_WARM_RESET => TaskManagement::TargetWarmReset,
            Code::TARGET_COLD_RESET => TaskManagement::TargetColdReset,
            Code::TASK_REASSIGN => {
                self.answer_function(
                    request.itt,
                    TaskManagementResponse::REASSIGNMENT_NOT_SUPPORTED,
                    wire,
                );
                return;
            }
            _ => {
                self.answer_function(
                    request.itt,
                    TaskManagementResponse::FUNCTION_NOT_SUPPORTED,
                    wire,
                );
                return;
            }
        };
        let is_ahead = request.is_immediate && self.window.exp_cmd_sn().is_before(request.cmd_sn);
        if is_ahead && self.window.place(request.cmd_sn) != Place::Outside {
            self.waiting_functions.push(*request);
        } else {
            self.abort_tasks(request, function, wire);
        }
    }

    /// Runs the functions whose older commands have all come.
    pub(super) fn take_waiting_functions(&mut self, wire: &mut Wire) {
        let exp_cmd_sn = self.window.exp_cmd_sn();
        let waiting = std::mem::take(&mut self.waiting_functions);
        for request in waiting {
            if exp_cmd_sn.is_before(request.cmd_sn) {
                self.waiting_functions.push(request);
            } else {
                self.run_function(&request, wire);
            }
        }
    }

    /// RFC 7143 §11.6.1: a task that has not come yet, though its number could, counts as aborted, and its number as used.
    fn abort_task(&mut self, request: &TaskManagementRequest, wire: &mut Wire) {
        let referenced = self
            .tasks
            .by_tag_mut(request.referenced_task_tag)
            .filter(|task| task.lun == request.lun);
        if let Some(task) = referenced {
            let (key, lun, is_delivered) = (task.key, task.lun, task.stage == TaskStage::Delivered);
            if is_delivered {
                self.ask_owner(request, TaskManagement::AbortTask { lun }, vec![key], wire);
                return;
            }
            self.tasks.remove(key);
            self.answer_function(request.itt, TaskManagementResponse::FUNCTION_COMPLETE, wire);
            self.deliver(lun, wire);
            self.grant(wire);
            return;
        }
        let (ref_cmd_sn, place) = (request.ref_cmd_sn, self.window.place(request.ref_cmd_sn));
        let is_missing = place != Place::Outside && !self.early.contains_key(&ref_cmd_sn);
        if is_missing && ref_cmd_sn.is_before(request.cmd_sn) {
            self.take_number(false, ref_cmd_sn, Numbered::Nothing, wire);
            self.answer_function(request.itt, TaskManagementResponse::FUNCTION_COMPLETE, wire);
        } else {
            self.answer_function(request.itt, TaskManagementResponse::TASK_DOES_NOT_EXIST, wire);
        }
    }

    /// Ends the tasks that are older than the request: of one logical unit, or of all.
    fn abort_tasks(
        &mut self,
        request: &TaskManagementRequest,
        function: TaskManagement,
        wire: &mut Wire,
    ) {
        let lun = function.lun();
        let is_affected = |task: &&ActiveTask| {
            (task.is_immediate || task.cmd_sn.is_before(request.cmd_sn))
                && lun.is_none_or(|lun| task.lun == lun)
        };
        let mut delivered = Vec::new();
        let mut undelivered = Vec::new();
        for task in self.tasks.iter().filter(is_affected) {
            let list =
                if task.stage == TaskStage::Delivered { &mut delivered } else { &mut undelivered };
            list.push(task.key);
        }
        let removed: Vec<_> =
            undelivered.into_iter().filter_map(|key| self.tasks.remove(key)).collect();
        self.ask_owner(request, function, delivered, wire);
        for task in removed {
            self.deliver(task.lun, wire);
        }
        self.grant(wire);
    }

    fn ask_owner(
        &mut self,
        request: &TaskManagementRequest,
        function: TaskManagement,
        tasks: Vec<TaskKey>,
        wire: &mut Wire,
    ) {
        let key = TaskManagementKey(self.tasks.new_key(request.itt));
        self.functions.push(PendingFunction { key, function, tasks: tasks.clone() });
        wire.events.push_back(Event::TaskManagement { key, function, tasks });
    }

    fn answer_function(
        &mut self,
        itt: InitiatorTaskTag,
        response: TaskManagementResponse,
        wire: &mut Wire,
    ) {
        let sequence = self.status_sequence();
        wire.outbox.push(TaskManagementAnswer { response, itt, sequence }.encode(), Bytes::new());
    }
}

impl TaskManagement {
    /// The logical unit that the function is about; none if it is about all.
    pub fn lun(self) -> Option<[u8; 8]> {
        match self {
            Self::AbortTask { lun }
            | Self::AbortTaskSet { lun }
            | Self::ClearTaskSet { lun }
            | Self::LogicalUnitReset { lun } => Some(lun),
            Self::TargetWarmReset | Self::TargetColdReset => None,
        }
    }
}
