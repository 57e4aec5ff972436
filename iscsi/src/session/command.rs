//! Commands on their way in, up to their delivery.

use nom::bytes::complete::take;
use nom::multi::many0;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Cdb, Completion, Rights, Task};

use super::gathering::Gathering;
use super::task::{ActiveTask, TaskStage};
use super::window::Place;
use super::{Numbered, Session};
use crate::connection::Wire;
use crate::event::{Event, TaskKey};
use crate::pdu::{Bhs, InitiatorTaskTag, ReadyToTransfer, RejectReason, ScsiCommand};
use crate::receive::Destination;
use crate::sense;
use crate::transmit::padding_of;

/// No buffer takes less memory than this.
const SMALLEST_BUFFER_BYTES: usize = 24 << 10;

/// An additional header segment that carries the rest of a long CDB (RFC 7143 §11.2.2.3).
const EXTENDED_CDB: u8 = 1;

impl Session {
    /// The header of a command is complete.
    pub(super) fn begin_command(
        &mut self,
        bhs: &Bhs,
        ahs: &[u8],
        length: usize,
        wire: &mut Wire,
    ) -> Destination {
        let command = ScsiCommand::parse(bhs);
        let place =
            if command.is_immediate { Place::Next } else { self.window.place(command.cmd_sn) };
        if place == Place::Outside
            || place == Place::Early && self.early.contains_key(&command.cmd_sn)
        {
            tracing::debug!(
                cmd_sn = command.cmd_sn.0,
                "command outside the window or sent twice, ignored"
            );
            return Destination::Discard;
        }
        let cdb = match self.check_command(&command, ahs) {
            Ok(cdb) => cdb,
            Err(reason) => {
                self.reject(reason, bhs, wire);
                self.take_number(command.is_immediate, command.cmd_sn, Numbered::Nothing, wire);
                return Destination::Discard;
            }
        };
        let key = self.tasks.new_key(command.itt);
        let task = self.new_task(key, &command, cdb, length, place == Place::Next, wire);
        self.tasks.insert(task);
        let destination = self.lend_buffer(key, length);
        self.take_number(command.is_immediate, command.cmd_sn, Numbered::Task(key), wire);
        destination
    }

    /// It is a task's turn: it goes into the queue of its logical unit, and its data is asked for.
    pub(super) fn enter_task(&mut self, key: TaskKey, wire: &mut Wire) {
        self.tasks.enqueue(key);
        let Some(task) = self.tasks.get_mut(key) else { return };
        let room = self.parameters.unsolicited_bytes();
        let is_roomy = expected_bytes(task) <= room || task.granted_bytes > 0;
        match (task.writes && task.is_given_all, is_roomy) {
            (true, true) => task.gathering.allow_soliciting(),
            (true, false) => self.ungranted.push_back(key),
            (false, _) => {}
        }
        self.settle(key, wire);
        self.grant(wire);
    }

    /// Does what can be done for a task after something has changed: asks for data, delivers it, or ends it.
    pub(super) fn settle(&mut self, key: TaskKey, wire: &mut Wire) {
        self.send_r2ts(key, wire);
        let Some(task) = self.tasks.get(key) else { return };
        let lun = task.lun;
        if let Some(failure) = task.gathering.failure() {
            // RFC 7143 §11.17.1: the status waits until the last data that is under way has come.
            if task.gathering.is_quiet() {
                let completion = Completion::check_condition(*failure);
                self.finish_task(key, completion, wire);
            }
        }
        self.deliver(lun, wire);
    }

    /// Delivers what can be delivered to a logical unit. What may read more than the peer has taken so far leaves room for waits,
    /// and all behind it.
    pub(super) fn deliver(&mut self, lun: [u8; 8], wire: &mut Wire) {
        while let Some(task) = self.tasks.next_deliverable(lun) {
            let promised_bytes = promised_bytes(task, self.config.limits.max_data_out_bytes);
            if !self.may_promise(promised_bytes, wire) {
                self.has_held_back = true;
                return;
            }
            let Some(task) = self.tasks.take_next(lun, promised_bytes) else { return };
            let delivered = Task {
                nexus: self.nexus,
                cdb: task.cdb,
                attribute: task.attribute,
                data_out: task.gathering.take_data(),
                data_in_limit_bytes: if task.reads { task.expected_bytes } else { 0 },
                rights: Rights::default(),
            };
            wire.events.push_back(Event::Task { key: task.key, lun, task: delivered });
        }
    }

    /// Gives room to tasks that wait for it, oldest first. The first of them gets it in any case once nobody else has any:
    /// whoever has room is older, waits for nobody younger, and so will be done some day.
    pub(super) fn grant(&mut self, wire: &mut Wire) {
        while let Some(&key) = self.ungranted.front() {
            let bytes = self.tasks.get(key).map_or(0, expected_bytes);
            if !self.may_grant(bytes, wire) {
                return;
            }
            if let Some(task) = self.tasks.get_mut(key) {
                if !task.gathering.enlarge(&self.pool) {
                    return;
                }
                task.gathering.allow_soliciting();
                self.tasks.grant(key, bytes);
            }
            self.ungranted.pop_front();
            self.settle(key, wire);
        }
    }

    /// Hands a task's buffer to the receiver, for immediate data.
    fn lend_buffer(&mut self, key: TaskKey, length: usize) -> Destination {
        let Some(task) = self.tasks.get_mut(key) else { return Destination::Discard };
        if length == 0 || task.gathering.failure().is_some() {
            return Destination::Discard;
        }
        match task.gathering.lend_buffer() {
            Some(buffer) => Destination::Task { key, buffer, offset: 0 },
            None => Destination::Discard,
        }
    }

    /// Whether a command can become a task at all; if so, its whole CDB.
    fn check_command(&self, command: &ScsiCommand, ahs: &[u8]) -> Result<Cdb, RejectReason> {
        if self.is_discovery() {
            return Err(RejectReason::PROTOCOL_ERROR);
        }
        if command.itt == InitiatorTaskTag::RESERVED {
            return Err(RejectReason::INVALID_PDU_FIELD);
        }
        if self.is_tag_in_use(command.itt) {
            return Err(RejectReason::TASK_IN_PROGRESS);
        }
        if command.is_immediate
            && self.tasks.count_immediate() >= self.config.limits.max_immediate_commands
        {
            return Err(RejectReason::TOO_MANY_IMMEDIATE_COMMANDS);
        }
        let mut cdb = command.cdb.to_vec();
        if !ahs.is_empty() {
            cdb.extend_from_slice(extended_cdb(ahs).ok_or(RejectReason::INVALID_PDU_FIELD)?);
        }
        Ok(Cdb::new(&cdb))
    }

    fn new_task(
        &self,
        key: TaskKey,
        command: &ScsiCommand,
        cdb: Cdb,
        length: usize,
        is_in_turn: bool,
        wire: &Wire,
    ) -> ActiveTask {
        let mut task = ActiveTask {
            key,
            cmd_sn: command.cmd_sn,
            is_immediate: command.is_immediate,
            stage: TaskStage::Early,
            lun: command.lun,
            cdb,
            attribute: command.attribute(),
            reads: command.reads,
            writes: command.writes,
            expected_bytes: command.expected_data_transfer_bytes,
            gathering: Gathering::nothing(),
            is_given_all: true,
            granted_bytes: 0,
            buffer_bytes: 0,
            promised_bytes: 0,
        };
        if command.writes {
            self.prepare_data_out(&mut task, command, (length, is_in_turn), wire);
        } else if length > 0 || !command.is_final {
            task.gathering.fail(sense::unexpected_unsolicited_data());
        }
        if command.reads && command.writes {
            // No command of a tape drive or a changer is bidirectional, so that the operation code cannot be one of theirs.
            task.is_given_all = false;
            task.gathering.fail(Sense::invalid_operation_code());
        }
        task
    }

    /// Decides how much data is expected with a command, after it, and on request.
    fn prepare_data_out(
        &self,
        task: &mut ActiveTask,
        command: &ScsiCommand,
        (length, is_in_turn): (usize, bool),
        wire: &Wire,
    ) {
        let limits = &self.config.limits;
        let wanted_bytes = expected_bytes(task);
        let room = self.parameters.unsolicited_bytes().min(wanted_bytes);
        task.is_given_all = wanted_bytes <= limits.max_data_out_bytes;
        let mut buffer_bytes = room;
        if task.is_given_all
            && wanted_bytes > room
            && is_in_turn
            && self.ungranted.is_empty()
            && self.may_grant(wanted_bytes, wire)
        {
            task.granted_bytes = wanted_bytes;
            buffer_bytes = wanted_bytes;
        }
        task.buffer_bytes = buffer_bytes.max(SMALLEST_BUFFER_BYTES);
        task.gathering =
            Gathering::of(self.pool.take(buffer_bytes), wanted_bytes, length.min(room));
        if length > 0 && !self.parameters.immediate_data {
            task.gathering.fail(sense::unexpected_unsolicited_data());
        } else if length > room {
            task.gathering.fail(sense::incorrect_amount_of_data());
        }
        if !command.is_final {
            if self.parameters.initial_r2t {
                task.gathering.fail(sense::unexpected_unsolicited_data());
            }
            // Even where it is not allowed, what the initiator has announced is awaited before the command ends.
            task.gathering.expect_unsolicited(room);
        }
    }

    fn send_r2ts(&mut self, key: TaskKey, wire: &mut Wire) {
        let max_burst_bytes =
            usize::try_from(self.parameters.max_burst_bytes).unwrap_or(usize::MAX);
        let max_bursts = usize::try_from(self.parameters.max_outstanding_r2t).unwrap_or(usize::MAX);
        loop {
            let ttt = self.new_ttt();
            let Some(task) = self.tasks.get_mut(key) else { return };
            if task.stage != TaskStage::Waiting {
                return;
            }
            let Some(burst) = task.gathering.solicit(ttt, max_burst_bytes, max_bursts) else {
                return;
            };
            let (lun, itt) = (task.lun, task.key.itt);
            let r2t = ReadyToTransfer {
                lun,
                itt,
                ttt,
                sequence: self.sequence(),
                r2t_sn: burst.r2t_sn,
                buffer_offset: u32::try_from(burst.offset).unwrap_or(u32::MAX),
                desired_bytes: u32::try_from(burst.length).unwrap_or(u32::MAX),
            };
            wire.outbox.push(r2t.encode(), bytes::Bytes::new());
        }
    }
}

/// What a command announces.
fn expected_bytes(task: &ActiveTask) -> usize {
    usize::try_from(task.expected_bytes).unwrap_or(usize::MAX)
}

/// What may come of a command that reads: what it announces, but no more than any command has.
fn promised_bytes(task: &ActiveTask, limit_bytes: usize) -> usize {
    if task.reads { expected_bytes(task).min(limit_bytes) } else { 0 }
}

/// Finds the rest of a CDB among additional header segments. Segments of other types carry nothing that is needed here.
///
/// ```text
///  0-1 length, of what follows byte 2 │ 2 type │ 3 reserved │ 4 … CDB │ padding to four bytes
/// ```
fn extended_cdb(ahs: &[u8]) -> Option<&[u8]> {
    let (rest, segments) = many0(header_segment).parse(ahs).ok()?;
    if !rest.is_empty() {
        return None;
    }
    match segments.iter().find(|(kind, _)| *kind == EXTENDED_CDB) {
        Some((_, content)) => content.get(1..),
        None => Some(&[]),
    }
}

/// One additional header segment: its type and its content.
fn header_segment(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    let (input, (length, kind)) = (be_u16, be_u8).parse(input)?;
    let length = usize::from(length);
    let (input, content) = take(length).parse(input)?;
    let (input, _) = take(padding_of(3 + length).min(input.len())).parse(input)?;
    Ok((input, (kind, content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_long_cdb_is_found_among_additional_header_segments() {
        let ahs = [0, 5, 2, 0, 0, 0, 2, 0, 0, 5, 1, 0, 1, 2, 3, 4];
        assert_eq!(extended_cdb(&ahs), Some(&[1, 2, 3, 4][..]));
        assert_eq!(extended_cdb(&ahs[..8]), Some(&[][..]));
        assert_eq!(extended_cdb(&ahs[..12]), None);
        assert_eq!(extended_cdb(&[0, 0, 1, 0]), None);
    }
}
