//! Task Management Function Request and Response (RFC 7143 §11.5 and §11.6).

use super::fields::{Fields, HeaderWriter, flags_of};
use super::{
    Bhs, InitiatorTaskTag, Opcode, Sequence, TaskManagementFunctionCode, TaskManagementResponse,
};
use crate::serial::{CmdSn, StatSn};

/// A request about tasks.
///
/// ```text
///  1  1 function(7) │ 8 LUN │ 16 ITT │ 20 referenced task tag │ 24 CmdSN │ 28 ExpStatSN │ 32 RefCmdSN │ 36 ExpDataSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskManagementRequest {
    /// To be taken at once, outside the numbering.
    pub is_immediate: bool,
    /// What is asked.
    pub function: TaskManagementFunctionCode,
    /// The logical unit, where one is meant.
    pub lun: [u8; 8],
    /// The request's own name.
    pub itt: InitiatorTaskTag,
    /// The task to abort.
    pub referenced_task_tag: InitiatorTaskTag,
    /// The request's own number; that of the next command if it is immediate.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// The number of the task to abort.
    pub ref_cmd_sn: CmdSn,
}

impl TaskManagementRequest {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        Self {
            is_immediate: bhs.first().is_some_and(|first| first & 0x40 != 0),
            function: TaskManagementFunctionCode(flags_of(bhs) & 0x7f),
            lun: fields.array(),
            itt: fields.itt(),
            referenced_task_tag: fields.itt(),
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
            ref_cmd_sn: fields.cmd_sn(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let flags = 0x80 | (self.function.0 & 0x7f);
        HeaderWriter::new(Opcode::TASK_MANAGEMENT_REQUEST, self.is_immediate, flags)
            .bytes(&self.lun)
            .u32(self.itt.0)
            .u32(self.referenced_task_tag.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .u32(self.ref_cmd_sn.0)
            .finish()
    }
}

/// The answer to a request about tasks.
///
/// ```text
///  1  1 │ 2 response │ 16 ITT │ 24 StatSN ExpCmdSN MaxCmdSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskManagementAnswer {
    /// How it went.
    pub response: TaskManagementResponse,
    /// From the request.
    pub itt: InitiatorTaskTag,
    /// StatSN and the command window.
    pub sequence: Sequence,
}

impl TaskManagementAnswer {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, _, response, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        let itt = fields.itt();
        fields.skip(4);
        Self { response: TaskManagementResponse(response), itt, sequence: fields.sequence() }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let bytes = [0x80, self.response.0, 0];
        HeaderWriter::with_bytes_1_to_3(Opcode::TASK_MANAGEMENT_RESPONSE, false, bytes)
            .skip(8)
            .u32(self.itt.0)
            .skip(4)
            .sequence(self.sequence)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_management_survives_the_round_trip() {
        let request = TaskManagementRequest {
            is_immediate: true,
            function: TaskManagementFunctionCode::ABORT_TASK,
            lun: [1, 2, 3, 4, 5, 6, 7, 8],
            itt: InitiatorTaskTag(1),
            referenced_task_tag: InitiatorTaskTag(2),
            cmd_sn: CmdSn(3),
            exp_stat_sn: StatSn(4),
            ref_cmd_sn: CmdSn(5),
        };
        assert_eq!(TaskManagementRequest::parse(&request.encode()), request);
        let answer = TaskManagementAnswer {
            response: TaskManagementResponse::FUNCTION_REJECTED,
            itt: InitiatorTaskTag(1),
            sequence: Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) },
        };
        assert_eq!(TaskManagementAnswer::parse(&answer.encode()), answer);
    }
}
