//! NOP-Out and NOP-In (RFC 7143 §11.18 and §11.19).

use super::fields::{Fields, HeaderWriter};
use super::{Bhs, InitiatorTaskTag, Opcode, Sequence, TargetTransferTag};
use crate::serial::{CmdSn, StatSn};

/// A ping from the initiator, or its answer to ours.
///
/// ```text
///  8 LUN │ 16 ITT │ 20 TTT │ 24 CmdSN │ 28 ExpStatSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopOut {
    /// To be taken at once, outside the numbering.
    pub is_immediate: bool,
    /// Copied from our ping.
    pub lun: [u8; 8],
    /// Reserved if no answer is wanted.
    pub itt: InitiatorTaskTag,
    /// Of the ping that this answers, or reserved.
    pub ttt: TargetTransferTag,
    /// The command's number.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
}

impl NopOut {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        Self {
            is_immediate: bhs.first().is_some_and(|first| first & 0x40 != 0),
            lun: fields.array(),
            itt: fields.itt(),
            ttt: fields.ttt(),
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::new(Opcode::NOP_OUT, self.is_immediate, 0x80)
            .bytes(&self.lun)
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .finish()
    }
}

/// A ping from the target, or its answer to the initiator's.
///
/// ```text
///  8 LUN │ 16 ITT │ 20 TTT │ 24 StatSN ExpCmdSN MaxCmdSN
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopIn {
    /// Any logical unit for a ping of ours.
    pub lun: [u8; 8],
    /// From the ping that this answers, or reserved.
    pub itt: InitiatorTaskTag,
    /// Of our ping, or reserved if no answer is wanted.
    pub ttt: TargetTransferTag,
    /// StatSN, which counts only in an answer, and the command window.
    pub sequence: Sequence,
}

impl NopIn {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        Self {
            lun: fields.array(),
            itt: fields.itt(),
            ttt: fields.ttt(),
            sequence: fields.sequence(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::new(Opcode::NOP_IN, false, 0x80)
            .bytes(&self.lun)
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
    fn pings_survive_the_round_trip() {
        let out = NopOut {
            is_immediate: true,
            lun: [1, 2, 3, 4, 5, 6, 7, 8],
            itt: InitiatorTaskTag(1),
            ttt: TargetTransferTag(2),
            cmd_sn: CmdSn(3),
            exp_stat_sn: StatSn(4),
        };
        assert_eq!(NopOut::parse(&out.encode()), out);
        let answer = NopIn {
            lun: [0; 8],
            itt: InitiatorTaskTag::RESERVED,
            ttt: TargetTransferTag(2),
            sequence: Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) },
        };
        assert_eq!(NopIn::parse(&answer.encode()), answer);
    }
}
