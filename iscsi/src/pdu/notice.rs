//! How connections and sessions end: logout, asynchronous messages, rejects (RFC 7143 §11.9 and §11.14 to §11.17).

use super::fields::{Fields, HeaderWriter, flags_of};
use super::{
    AsyncEvent, Bhs, InitiatorTaskTag, LogoutReason, LogoutResponseCode, Opcode, RejectReason,
    Sequence,
};
use crate::serial::{CmdSn, StatSn};

/// The initiator leaves.
///
/// ```text
///  1  1 reason(7) │ 16 ITT │ 20 CID │ 24 CmdSN │ 28 ExpStatSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutRequest {
    /// To be taken at once, outside the numbering.
    pub is_immediate: bool,
    /// What is to end.
    pub reason: LogoutReason,
    /// The request's name.
    pub itt: InitiatorTaskTag,
    /// Which connection.
    pub cid: u16,
    /// The command's number.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl LogoutRequest {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        let (itt, cid) = (fields.itt(), fields.u16());
        fields.skip(2);
        Self {
            is_immediate: bhs.first().is_some_and(|first| first & 0x40 != 0),
            reason: LogoutReason(flags_of(bhs) & 0x7f),
            itt,
            cid,
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::new(Opcode::LOGOUT_REQUEST, self.is_immediate, 0x80 | (self.reason.0 & 0x7f))
            .skip(8)
            .u32(self.itt.0)
            .u16(self.cid)
            .skip(2)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .finish()
    }
}

/// The answer to a logout.
///
/// ```text
///  1  1 │ 2 response │ 16 ITT │ 24 StatSN ExpCmdSN MaxCmdSN │ 40 Time2Wait │ 42 Time2Retain
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutResponse {
    /// How it went.
    pub response: LogoutResponseCode,
    /// From the request.
    pub itt: InitiatorTaskTag,
    /// StatSN and the command window.
    pub sequence: Sequence,
    /// Seconds to wait before coming back.
    pub time_to_wait_seconds: u16,
    /// Seconds for which tasks are kept after that.
    pub time_to_retain_seconds: u16,
}

impl LogoutResponse {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, _, response, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        let itt = fields.itt();
        fields.skip(4);
        let sequence = fields.sequence();
        fields.skip(4);
        Self {
            response: LogoutResponseCode(response),
            itt,
            sequence,
            time_to_wait_seconds: fields.u16(),
            time_to_retain_seconds: fields.u16(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::with_bytes_1_to_3(Opcode::LOGOUT_RESPONSE, false, [0x80, self.response.0, 0])
            .skip(8)
            .u32(self.itt.0)
            .skip(4)
            .sequence(self.sequence)
            .skip(4)
            .u16(self.time_to_wait_seconds)
            .u16(self.time_to_retain_seconds)
            .finish()
    }
}

/// News from the target.
///
/// ```text
///  1  1 │ 8 LUN │ 16 ffffffff │ 24 StatSN ExpCmdSN MaxCmdSN │ 36 event │ 37 vendor code │ 38, 40, 42 parameters
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncMessage {
    /// What happened.
    pub event: AsyncEvent,
    /// StatSN and the command window.
    pub sequence: Sequence,
    /// Details, by event.
    pub parameters: [u16; 3],
}

impl AsyncMessage {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(16);
        let sequence = fields.sequence();
        let event = AsyncEvent(fields.u8());
        fields.skip(1);
        Self { event, sequence, parameters: [fields.u16(), fields.u16(), fields.u16()] }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let [first, second, third] = self.parameters;
        HeaderWriter::new(Opcode::ASYNC_MESSAGE, false, 0x80)
            .skip(8)
            .u32(InitiatorTaskTag::RESERVED.0)
            .skip(4)
            .sequence(self.sequence)
            .bytes(&[self.event.0, 0])
            .u16(first)
            .u16(second)
            .u16(third)
            .finish()
    }
}

/// A PDU was refused; its header is the data segment.
///
/// ```text
///  1  1 │ 2 reason │ 16 ffffffff │ 24 StatSN ExpCmdSN MaxCmdSN │ 36 DataSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// StatSN and the command window.
    pub sequence: Sequence,
}

impl Reject {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, _, reason, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(16);
        Self { reason: RejectReason(reason), sequence: fields.sequence() }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::with_bytes_1_to_3(Opcode::REJECT, false, [0x80, self.reason.0, 0])
            .skip(8)
            .u32(InitiatorTaskTag::RESERVED.0)
            .skip(4)
            .sequence(self.sequence)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: Sequence =
        Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) };

    #[test]
    fn logout_survives_the_round_trip() {
        let request = LogoutRequest {
            is_immediate: true,
            reason: LogoutReason::CLOSE_CONNECTION,
            itt: InitiatorTaskTag(1),
            cid: 2,
            cmd_sn: CmdSn(3),
            exp_stat_sn: StatSn(4),
        };
        assert_eq!(LogoutRequest::parse(&request.encode()), request);
        let response = LogoutResponse {
            response: LogoutResponseCode::CID_NOT_FOUND,
            itt: InitiatorTaskTag(1),
            sequence: SEQUENCE,
            time_to_wait_seconds: 2,
            time_to_retain_seconds: 20,
        };
        assert_eq!(LogoutResponse::parse(&response.encode()), response);
    }

    #[test]
    fn notices_survive_the_round_trip() {
        let message = AsyncMessage {
            event: AsyncEvent::LOGOUT_REQUESTED,
            sequence: SEQUENCE,
            parameters: [1, 2, 3],
        };
        assert_eq!(AsyncMessage::parse(&message.encode()), message);
        let reject = Reject { reason: RejectReason::PROTOCOL_ERROR, sequence: SEQUENCE };
        assert_eq!(Reject::parse(&reject.encode()), reject);
    }
}
