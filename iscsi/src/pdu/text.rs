//! Text Request and Text Response (RFC 7143 §11.10 and §11.11).

use super::fields::{Fields, HeaderWriter, bit, flags_of};
use super::{Bhs, InitiatorTaskTag, Opcode, Sequence, TargetTransferTag};
use crate::serial::{CmdSn, StatSn};

/// Text keys from the initiator, in the data segment.
///
/// ```text
///  1  F C │ 8 LUN │ 16 ITT │ 20 TTT │ 24 CmdSN │ 28 ExpStatSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRequest {
    /// To be taken at once, outside the numbering.
    pub is_immediate: bool,
    /// The initiator has nothing to add.
    pub is_final: bool,
    /// The keys go on in the next request.
    pub is_continued: bool,
    /// The task's name, the same through the exchange.
    pub itt: InitiatorTaskTag,
    /// From our last response; reserved at the beginning.
    pub ttt: TargetTransferTag,
    /// The command's number.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl TextRequest {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let flags = flags_of(bhs);
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        Self {
            is_immediate: bhs.first().is_some_and(|first| first & 0x40 != 0),
            is_final: flags & 0x80 != 0,
            is_continued: flags & 0x40 != 0,
            itt: fields.itt(),
            ttt: fields.ttt(),
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let flags = bit(self.is_final, 0x80) | bit(self.is_continued, 0x40);
        HeaderWriter::new(Opcode::TEXT_REQUEST, self.is_immediate, flags)
            .skip(8)
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .finish()
    }
}

/// Text keys from the target, in the data segment.
///
/// ```text
///  1  F C │ 8 LUN │ 16 ITT │ 20 TTT │ 24 StatSN ExpCmdSN MaxCmdSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextResponse {
    /// The exchange is over.
    pub is_final: bool,
    /// The keys go on in the next response.
    pub is_continued: bool,
    /// From the request.
    pub itt: InitiatorTaskTag,
    /// For the next request; reserved if the exchange is over.
    pub ttt: TargetTransferTag,
    /// StatSN and the command window.
    pub sequence: Sequence,
}

impl TextResponse {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let flags = flags_of(bhs);
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        Self {
            is_final: flags & 0x80 != 0,
            is_continued: flags & 0x40 != 0,
            itt: fields.itt(),
            ttt: fields.ttt(),
            sequence: fields.sequence(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let flags = bit(self.is_final, 0x80) | bit(self.is_continued, 0x40);
        HeaderWriter::new(Opcode::TEXT_RESPONSE, false, flags)
            .skip(8)
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .sequence(self.sequence)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_the_round_trip() {
        let request = TextRequest {
            is_immediate: false,
            is_final: false,
            is_continued: true,
            itt: InitiatorTaskTag(1),
            ttt: TargetTransferTag::RESERVED,
            cmd_sn: CmdSn(2),
            exp_stat_sn: StatSn(3),
        };
        assert_eq!(TextRequest::parse(&request.encode()), request);
        let response = TextResponse {
            is_final: true,
            is_continued: false,
            itt: InitiatorTaskTag(1),
            ttt: TargetTransferTag(6),
            sequence: Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) },
        };
        assert_eq!(TextResponse::parse(&response.encode()), response);
    }
}
