//! Answers to commands on their way out: Data-In, status, sense, residuals.

use bytes::Bytes;
use vtl_scsi::{Completion, Status};

use super::Session;
use super::task::{ActiveTask, TaskStage};
use crate::connection::Wire;
use crate::event::TaskKey;
use crate::pdu::{DataIn, InitiatorTaskTag, Residual, ScsiResponse};

impl Session {
    /// Sends the answer to a delivered task. A task that is gone has been aborted, and nobody waits for its answer.
    pub(crate) fn complete(&mut self, key: TaskKey, completion: Completion, wire: &mut Wire) {
        if self.tasks.get(key).is_some_and(|task| task.stage == TaskStage::Delivered) {
            self.finish_task(key, completion, wire);
            self.grant(wire);
        }
    }

    /// Ends a task with an answer.
    pub(super) fn finish_task(
        &mut self,
        key: TaskKey,
        mut completion: Completion,
        wire: &mut Wire,
    ) {
        let Some(task) = self.tasks.remove(key) else { return };
        let residual = residual_of(&task, &completion);
        let mut data =
            if task.reads { std::mem::take(&mut completion.data_in) } else { Bytes::new() };
        data.truncate(usize::try_from(task.expected_bytes).unwrap_or(usize::MAX));
        // RFC 7143 §11.7.3: status comes with the data only if it is not CHECK CONDITION.
        let is_collapsed =
            !data.is_empty() && completion.status == Status::GOOD && completion.sense.is_none();
        let collapsed = is_collapsed.then_some((completion.status, residual));
        let count_data_in = self.send_data_in(key.itt, &data, collapsed, wire);
        if is_collapsed {
            return;
        }
        let response = ScsiResponse {
            response: 0,
            status: completion.status,
            itt: key.itt,
            sequence: self.status_sequence(),
            exp_data_sn: count_data_in + task.gathering.count_r2ts(),
            residual,
        };
        wire.outbox.push(response.encode(), sense_segment(&completion));
    }

    /// Sends data in PDUs that the initiator can take, in bursts of MaxBurstLength, the last one with the status if there
    /// is one to go with it. Returns the number of PDUs.
    fn send_data_in(
        &mut self,
        itt: InitiatorTaskTag,
        data: &Bytes,
        status: Option<(Status, Residual)>,
        wire: &mut Wire,
    ) -> u32 {
        let max_burst_bytes =
            usize::try_from(self.parameters.max_burst_bytes).unwrap_or(usize::MAX);
        let max_pdu_bytes =
            usize::try_from(self.parameters.max_send_data_segment_bytes).unwrap_or(usize::MAX);
        let (mut offset, mut burst_bytes, mut data_sn) = (0, 0, 0);
        while offset < data.len() {
            let length =
                (data.len() - offset).min(max_pdu_bytes).min(max_burst_bytes - burst_bytes);
            let end = offset + length;
            burst_bytes += length;
            let is_last = end == data.len();
            let is_final = is_last || burst_bytes == max_burst_bytes;
            let status = status.filter(|_| is_last);
            let sequence = if status.is_some() { self.status_sequence() } else { self.sequence() };
            let buffer_offset = u32::try_from(offset).unwrap_or(u32::MAX);
            let pdu = DataIn { is_final, status, itt, sequence, data_sn, buffer_offset };
            wire.outbox.push(pdu.encode(), data.slice(offset..end));
            if is_final {
                burst_bytes = 0;
            }
            offset = end;
            data_sn += 1;
        }
        data_sn
    }
}

/// Compares what a command moves with what the initiator announced. A command without an announcement expects nothing, and
/// one that moves data in the direction that was not announced moves nothing of what was.
fn residual_of(task: &ActiveTask, completion: &Completion) -> Residual {
    let data_in_bytes = u64::try_from(completion.data_in.len()).unwrap_or(u64::MAX);
    if task.reads {
        Residual::between(task.expected_bytes, data_in_bytes)
    } else if task.writes {
        Residual::between(task.expected_bytes, completion.data_out_length_bytes)
    } else {
        Residual::between(0, data_in_bytes.max(completion.data_out_length_bytes))
    }
}

/// Sense data as the data segment of a response: its length in two bytes, then itself.
fn sense_segment(completion: &Completion) -> Bytes {
    let sense = completion.sense_bytes();
    let Ok(length) = u16::try_from(sense.len()) else { return Bytes::new() };
    if length == 0 {
        return Bytes::new();
    }
    [&length.to_be_bytes()[..], &sense].concat().into()
}
