//! Data-Out, Data-In and R2T (RFC 7143 §11.7 and §11.8).

use vtl_scsi::Status;

use super::fields::{Fields, HeaderWriter, bit, flags_of};
use super::{Bhs, InitiatorTaskTag, Opcode, Residual, Sequence, TargetTransferTag};
use crate::serial::StatSn;

/// Data of a write; the data segment is the data.
///
/// ```text
///  1  F │ 8 LUN │ 16 ITT │ 20 TTT │ 28 ExpStatSN │ 36 DataSN │ 40 buffer offset
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataOut {
    /// The last PDU of its burst.
    pub is_final: bool,
    /// The logical unit, where the data was asked for.
    pub lun: [u8; 8],
    /// The task.
    pub itt: InitiatorTaskTag,
    /// The R2T that this answers; reserved for unsolicited data.
    pub ttt: TargetTransferTag,
    /// The next status that the initiator expects.
    pub exp_stat_sn: StatSn,
    /// Counts the PDUs of a burst from zero.
    pub data_sn: u32,
    /// Where the data belongs.
    pub buffer_offset: u32,
}

impl DataOut {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        let (lun, itt, ttt) = (fields.array(), fields.itt(), fields.ttt());
        fields.skip(4);
        let exp_stat_sn = fields.stat_sn();
        fields.skip(4);
        let (data_sn, buffer_offset) = (fields.u32(), fields.u32());
        Self {
            is_final: flags_of(bhs) & 0x80 != 0,
            lun,
            itt,
            ttt,
            exp_stat_sn,
            data_sn,
            buffer_offset,
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::new(Opcode::DATA_OUT, false, bit(self.is_final, 0x80))
            .bytes(&self.lun)
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .skip(4)
            .u32(self.exp_stat_sn.0)
            .skip(4)
            .u32(self.data_sn)
            .u32(self.buffer_offset)
            .finish()
    }
}

/// Data of a read, and with the last of it possibly the status (phase collapse).
///
/// ```text
///  1  F A . . . O U S │ 3 status │ 8 LUN │ 16 ITT │ 20 TTT │ 24 StatSN ExpCmdSN MaxCmdSN
///  36 DataSN │ 40 buffer offset │ 44 residual
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataIn {
    /// The last PDU of its burst.
    pub is_final: bool,
    /// The status and the residual, if the command ends with this PDU.
    pub status: Option<(Status, Residual)>,
    /// The task.
    pub itt: InitiatorTaskTag,
    /// StatSN, which counts only together with a status, and the command window.
    pub sequence: Sequence,
    /// Counts the Data-In PDUs of the command from zero.
    pub data_sn: u32,
    /// Where the data belongs.
    pub buffer_offset: u32,
}

impl DataIn {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let [_, flags, _, status, ..] = *bhs;
        let mut fields = Fields::behind_lengths(bhs);
        fields.skip(8);
        let itt = fields.itt();
        fields.skip(4);
        let sequence = fields.sequence();
        let (data_sn, buffer_offset) = (fields.u32(), fields.u32());
        let residual = Residual::from_wire(flags, fields.u32());
        Self {
            is_final: flags & 0x80 != 0,
            status: (flags & 0x01 != 0).then_some((Status(status), residual)),
            itt,
            sequence,
            data_sn,
            buffer_offset,
        }
    }

    /// Writes a header, with lengths of zero. Nothing is ever acknowledged with SNACK, so that LUN and TTT stay reserved.
    pub fn encode(&self) -> Bhs {
        let (status, residual) = self.status.unwrap_or((Status::GOOD, Residual::None));
        let flags = bit(self.is_final, 0x80) | bit(self.status.is_some(), 0x01) | residual.flags();
        HeaderWriter::with_bytes_1_to_3(Opcode::DATA_IN, false, [flags, 0, status.0])
            .skip(8)
            .u32(self.itt.0)
            .u32(TargetTransferTag::RESERVED.0)
            .sequence(self.sequence)
            .u32(self.data_sn)
            .u32(self.buffer_offset)
            .u32(residual.count())
            .finish()
    }
}

/// Ready To Transfer: a request for one burst of a write's data.
///
/// ```text
///  1  F │ 8 LUN │ 16 ITT │ 20 TTT │ 24 StatSN ExpCmdSN MaxCmdSN │ 36 R2TSN │ 40 buffer offset │ 44 desired length
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyToTransfer {
    /// The logical unit.
    pub lun: [u8; 8],
    /// The task.
    pub itt: InitiatorTaskTag,
    /// The name of this request.
    pub ttt: TargetTransferTag,
    /// The next StatSN, which this PDU does not use up, and the command window.
    pub sequence: Sequence,
    /// Counts the R2Ts of the command from zero.
    pub r2t_sn: u32,
    /// Where the data begins.
    pub buffer_offset: u32,
    /// Bytes asked for.
    pub desired_bytes: u32,
}

impl ReadyToTransfer {
    /// Reads a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::behind_lengths(bhs);
        Self {
            lun: fields.array(),
            itt: fields.itt(),
            ttt: fields.ttt(),
            sequence: fields.sequence(),
            r2t_sn: fields.u32(),
            buffer_offset: fields.u32(),
            desired_bytes: fields.u32(),
        }
    }

    /// Writes a header, with lengths of zero.
    pub fn encode(&self) -> Bhs {
        HeaderWriter::new(Opcode::READY_TO_TRANSFER, false, 0x80)
            .bytes(&self.lun)
            .u32(self.itt.0)
            .u32(self.ttt.0)
            .sequence(self.sequence)
            .u32(self.r2t_sn)
            .u32(self.buffer_offset)
            .u32(self.desired_bytes)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serial::CmdSn;

    const SEQUENCE: Sequence =
        Sequence { stat_sn: StatSn(1), exp_cmd_sn: CmdSn(2), max_cmd_sn: CmdSn(3) };

    #[test]
    fn data_out_survives_the_round_trip() {
        let pdu = DataOut {
            is_final: true,
            lun: [1, 2, 3, 4, 5, 6, 7, 8],
            itt: InitiatorTaskTag(9),
            ttt: TargetTransferTag(10),
            exp_stat_sn: StatSn(11),
            data_sn: 12,
            buffer_offset: 13,
        };
        assert_eq!(DataOut::parse(&pdu.encode()), pdu);
    }

    #[test]
    fn data_in_survives_the_round_trip() {
        for status in [
            None,
            Some((Status::GOOD, Residual::Underflow(4))),
            Some((Status::BUSY, Residual::None)),
        ] {
            let pdu = DataIn {
                is_final: true,
                status,
                itt: InitiatorTaskTag(9),
                sequence: SEQUENCE,
                data_sn: 12,
                buffer_offset: 13,
            };
            assert_eq!(DataIn::parse(&pdu.encode()), pdu);
        }
    }

    #[test]
    fn r2t_survives_the_round_trip() {
        let pdu = ReadyToTransfer {
            lun: [1, 2, 3, 4, 5, 6, 7, 8],
            itt: InitiatorTaskTag(9),
            ttt: TargetTransferTag(10),
            sequence: SEQUENCE,
            r2t_sn: 1,
            buffer_offset: 13,
            desired_bytes: 14,
        };
        assert_eq!(ReadyToTransfer::parse(&pdu.encode()), pdu);
    }
}
