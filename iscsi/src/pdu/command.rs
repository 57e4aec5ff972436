//! SCSI Command and SCSI Response (RFC 7143 §11.3 and §11.4).

use vtl_scsi::{Status, TaskAttribute};

use super::fields::{Fields, HeaderWriter, bit, flags_of};
use super::{Bhs, InitiatorTaskTag, Opcode, Sequence};
use crate::serial::{CmdSn, StatSn};

/// A command, without its data and its additional header segments.
///
/// ```text
///  1  F R W . . ATTR(3) │ 8 LUN │ 16 ITT │ 20 ExpectedDataTransferLength │ 24 CmdSN │ 28 ExpStatSN │ 32 CDB (16)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiCommand {
    /// To be taken at once, outside the numbering.
    pub is_immediate: bool,
    /// No unsolicited data follows in Data-Out PDUs.
    pub is_final: bool,
    /// The initiator expects data.
    pub reads: bool,
    /// The initiator has data.
    pub writes: bool,
    /// The order in which the task wants to be taken, as its code.
    pub attribute_code: u8,
    /// The logical unit.
    pub lun: [u8; 8],
    /// The task's name.
    pub itt: InitiatorTaskTag,
    /// Bytes that the initiator has, or has room for.
    pub expected_data_transfer_bytes: u32,
    /// The command's number; that of the next command if it is immediate.
    pub cmd_sn: CmdSn,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// The first 16 bytes of the CDB.
    pub cdb: [u8; 16],
}

impl ScsiCommand {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let flags = flags_of(bhs);
        let mut fields = Fields::behind_lengths(bhs);
        Self {
            is_immediate: bhs.first().is_some_and(|first| first & 0x40 != 0),
            is_final: flags & 0x80 != 0,
            reads: flags & 0x40 != 0,
            writes: flags & 0x20 != 0,
            attribute_code: flags & 0x07,
            lun: fields.array(),
            itt: fields.itt(),
            expected_data_transfer_bytes: fields.u32(),
            cmd_sn: fields.cmd_sn(),
            exp_stat_sn: fields.stat_sn(),
            cdb: fields.array(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let flags = bit(self.is_final, 0x80)
            | bit(self.reads, 0x40)
            | bit(self.writes, 0x20)
            | (self.attribute_code & 0x07);
        HeaderWriter::new(Opcode::SCSI_COMMAND, self.is_immediate, flags)
            .bytes(&self.lun)
            .u32(self.itt.0)
            .u32(self.expected_data_transfer_bytes)
            .u32(self.cmd_sn.0)
            .u32(self.exp_stat_sn.0)
            .bytes(&self.cdb)
            .finish()
    }

    /// The task attribute: untagged counts as simple, and so do ACA and the reserved codes, which no device here treats
    /// differently.
    pub fn attribute(&self) -> TaskAttribute {
        match self.attribute_code {
            2 => TaskAttribute::Ordered,
            3 => TaskAttribute::HeadOfQueue,
            _ => TaskAttribute::Simple,
        }
    }
}

/// By how much the data that a command moves differs from what the initiator expected (RFC 7143 §11.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residual {
    /// Not at all.
    #[default]
    None,
    /// So many bytes fewer.
    Underflow(u32),
    /// So many bytes more, which were not moved.
    Overflow(u32),
}

impl Residual {
    /// Compares what the initiator expected with what the command moves.
    pub fn between(expected_bytes: u32, actual_bytes: u64) -> Self {
        let expected = u64::from(expected_bytes);
        let saturated = |difference: u64| u32::try_from(difference).unwrap_or(u32::MAX);
        match actual_bytes {
            actual if actual < expected => Self::Underflow(saturated(expected - actual)),
            actual if actual > expected => Self::Overflow(saturated(actual - expected)),
            _ => Self::None,
        }
    }

    pub(super) fn from_wire(flags: u8, count: u32) -> Self {
        match flags & 0x06 {
            0x02 => Self::Underflow(count),
            0x04 => Self::Overflow(count),
            _ => Self::None,
        }
    }

    pub(super) fn flags(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Underflow(_) => 0x02,
            Self::Overflow(_) => 0x04,
        }
    }

    pub(super) fn count(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Underflow(count) | Self::Overflow(count) => count,
        }
    }
}

/// The end of a command. Sense data, behind two bytes of length, is its data segment.
///
/// ```text
///  1  1 . . o u O U . │ 2 response │ 3 status │ 16 ITT │ 20 SNACK tag │ 24 StatSN ExpCmdSN MaxCmdSN
///  36 ExpDataSN │ 40 bidirectional read residual │ 44 residual
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiResponse {
    /// Zero: the command was completed at the target. Nothing else is sent at error recovery level 0.
    pub response: u8,
    /// The SCSI status.
    pub status: Status,
    /// The task's name.
    pub itt: InitiatorTaskTag,
    /// StatSN and the command window.
    pub sequence: Sequence,
    /// Data-In and R2T PDUs that were sent for the command.
    pub exp_data_sn: u32,
    /// Too much or too little data.
    pub residual: Residual,
}

impl ScsiResponse {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, flags, response, status, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        let itt = fields.itt();
        fields.skip(4);
        let sequence = fields.sequence();
        let exp_data_sn = fields.u32();
        fields.skip(4);
        let residual = Residual::from_wire(flags, fields.u32());
        Self { response, status: Status(status), itt, sequence, exp_data_sn, residual }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        let bytes = [0x80 | self.residual.flags(), self.response, self.status.0];
        HeaderWriter::with_bytes_1_to_3(Opcode::SCSI_RESPONSE, false, bytes)
            .skip(8)
            .u32(self.itt.0)
            .skip(4)
            .sequence(self.sequence)
            .u32(self.exp_data_sn)
            .skip(4)
            .u32(self.residual.count())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_the_round_trip() {
        let command = ScsiCommand {
            is_immediate: true,
            is_final: true,
            reads: false,
            writes: true,
            attribute_code: 3,
            lun: [0, 1, 0, 0, 0, 0, 0, 0],
            itt: InitiatorTaskTag(0x1234_5678),
            expected_data_transfer_bytes: 262_144,
            cmd_sn: CmdSn(7),
            exp_stat_sn: StatSn(9),
            cdb: *b"0123456789abcdef",
        };
        let bhs = command.encode();
        assert_eq!(bhs[..2], [0x41, 0xa3]);
        assert_eq!(ScsiCommand::parse(&bhs), command);
        assert_eq!(command.attribute(), TaskAttribute::HeadOfQueue);
    }

    #[test]
    fn a_response_survives_the_round_trip() {
        for residual in [Residual::None, Residual::Underflow(5), Residual::Overflow(u32::MAX)] {
            let response = ScsiResponse {
                response: 0,
                status: Status::CHECK_CONDITION,
                itt: InitiatorTaskTag(1),
                sequence: Sequence {
                    stat_sn: StatSn(2),
                    exp_cmd_sn: CmdSn(3),
                    max_cmd_sn: CmdSn(4),
                },
                exp_data_sn: 5,
                residual,
            };
            assert_eq!(ScsiResponse::parse(&response.encode()), response);
        }
    }

    #[test]
    fn a_residual_is_the_difference_between_expected_and_actual() {
        assert_eq!(Residual::between(10, 10), Residual::None);
        assert_eq!(Residual::between(10, 4), Residual::Underflow(6));
        assert_eq!(Residual::between(0, 4), Residual::Overflow(4));
        assert_eq!(Residual::between(0, u64::MAX), Residual::Overflow(u32::MAX));
    }
}
