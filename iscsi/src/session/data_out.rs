//! Data of writes on its way in.

use vtl_scsi::Buffer;

use super::Session;
use super::gathering::Announced;
use crate::connection::Wire;
use crate::event::TaskKey;
use crate::pdu::{Bhs, DataOut, RejectReason, TargetTransferTag};
use crate::receive::Destination;
use crate::sense;

impl Session {
    /// The header of a Data-Out PDU is complete. Data for a task that is gone was on its way when the task was aborted, or
    /// belongs to a command that was ignored; it is let pass.
    pub(super) fn begin_data_out(
        &mut self,
        bhs: &Bhs,
        length: usize,
        wire: &mut Wire,
    ) -> Destination {
        let pdu = DataOut::parse(bhs);
        let Some(task) = self.tasks.by_tag_mut(pdu.itt) else { return Destination::Discard };
        let key = task.key;
        // RFC 7143 §11.7.4: where the data was asked for, it names the logical unit of its command.
        if pdu.ttt != TargetTransferTag::RESERVED && pdu.lun != task.lun {
            self.break_off(RejectReason::PROTOCOL_ERROR, bhs, wire);
            return Destination::Discard;
        }
        let destination = match task.gathering.announce(&pdu, length) {
            Announced::Violation => {
                self.break_off(RejectReason::PROTOCOL_ERROR, bhs, wire);
                return Destination::Discard;
            }
            Announced::Wanted { offset } if length > 0 => match task.gathering.lend_buffer() {
                Some(buffer) => Destination::Task { key, buffer, offset },
                None => Destination::Discard,
            },
            Announced::Wanted { .. } | Announced::Unwanted => Destination::Discard,
        };
        self.settle(key, wire);
        destination
    }

    /// Data has come in completely.
    pub(super) fn data_arrived(
        &mut self,
        key: TaskKey,
        buffer: Buffer,
        length: usize,
        wire: &mut Wire,
    ) {
        // The task may have been aborted meanwhile.
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.gathering.give_back(buffer, length);
        self.settle(key, wire);
        self.grant(wire);
    }

    /// Data has come in damaged.
    pub(super) fn data_damaged(&mut self, key: TaskKey, buffer: Buffer, wire: &mut Wire) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        task.gathering.give_back(buffer, 0);
        task.gathering.fail(sense::protocol_service_crc_error());
        self.settle(key, wire);
        self.grant(wire);
    }
}
