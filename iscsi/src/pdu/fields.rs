//! Reading and writing the fields of a basic header segment.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};

use super::{InitiatorTaskTag, Isid, Opcode, TargetTransferTag};
use crate::serial::{CmdSn, StatSn};

/// The size of a basic header segment.
pub const BHS_BYTES: usize = 48;

/// A basic header segment as it is on the wire.
pub type Bhs = [u8; BHS_BYTES];

/// What every basic header segment says about itself (RFC 7143 §11.2.1).
///
/// ```text
///  0  . I opcode(6) │ 1-3 specific │ 4 TotalAHSLength (words) │ 5-7 DataSegmentLength (bytes)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// To be taken before the commands that wait for their turn.
    pub is_immediate: bool,
    /// What the PDU is.
    pub opcode: Opcode,
    /// Bytes of additional header segments that follow.
    pub ahs_bytes: usize,
    /// Bytes of data that follow, without padding.
    pub data_bytes: usize,
}

impl Lengths {
    /// Reads them from a header.
    pub fn parse(bhs: &Bhs) -> Self {
        let mut fields = Fields::new(bhs);
        let first = fields.u8();
        fields.skip(3);
        let words = usize::from(fields.u8());
        let data_bytes = usize::try_from(fields.u24()).unwrap_or(usize::MAX);
        Self {
            is_immediate: first & 0x40 != 0,
            opcode: Opcode(first & 0x3f),
            ahs_bytes: words * 4,
            data_bytes,
        }
    }

    /// Writes the length of the data segment into a header. A PDU of ours has no additional header segments.
    pub fn set_data_bytes(bhs: &mut Bhs, data_bytes: usize) {
        let [_, high, middle, low] = u32::try_from(data_bytes).unwrap_or(0x00ff_ffff).to_be_bytes();
        if let Some(field) = bhs.get_mut(5..8) {
            field.copy_from_slice(&[high, middle, low]);
        }
    }
}

/// The numbers that every PDU of a target carries: bytes 24 to 35.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sequence {
    /// The number of this status, or the next one where the PDU carries none.
    pub stat_sn: StatSn,
    /// The next command that we expect.
    pub exp_cmd_sn: CmdSn,
    /// The last command that we would take.
    pub max_cmd_sn: CmdSn,
}

/// A cursor over a header. The header has a fixed size, so that reading cannot fail; past the end it yields zeros.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bhs: &'a Bhs) -> Self {
        Self(bhs)
    }

    /// Behind the first eight bytes, which [`Lengths`] and the flags of byte 1 cover.
    pub(super) fn behind_lengths(bhs: &'a Bhs) -> Self {
        let mut fields = Self(bhs);
        fields.skip(8);
        fields
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.read(be_u8)
    }

    pub(super) fn u16(&mut self) -> u16 {
        self.read(be_u16)
    }

    pub(super) fn u24(&mut self) -> u32 {
        self.read(be_u24)
    }

    pub(super) fn u32(&mut self) -> u32 {
        self.read(be_u32)
    }

    pub(super) fn itt(&mut self) -> InitiatorTaskTag {
        InitiatorTaskTag(self.u32())
    }

    pub(super) fn ttt(&mut self) -> TargetTransferTag {
        TargetTransferTag(self.u32())
    }

    pub(super) fn cmd_sn(&mut self) -> CmdSn {
        CmdSn(self.u32())
    }

    pub(super) fn stat_sn(&mut self) -> StatSn {
        StatSn(self.u32())
    }

    pub(super) fn isid(&mut self) -> Isid {
        Isid(self.array())
    }

    pub(super) fn sequence(&mut self) -> Sequence {
        Sequence { stat_sn: self.stat_sn(), exp_cmd_sn: self.cmd_sn(), max_cmd_sn: self.cmd_sn() }
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        if let Ok((rest, bytes)) = take::<_, _, nom::error::Error<&[u8]>>(N).parse(self.0) {
            self.0 = rest;
            array.copy_from_slice(bytes);
        }
        array
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    fn read<O: Default>(
        &mut self,
        mut parser: impl Parser<&'a [u8], Output = O, Error = nom::error::Error<&'a [u8]>>,
    ) -> O {
        match parser.parse(self.0) {
            Ok((rest, value)) => {
                self.0 = rest;
                value
            }
            Err(_) => O::default(),
        }
    }
}

/// Byte 1 of any header: the flags, most of which begin with F or T in bit 7.
pub(super) fn flags_of(bhs: &Bhs) -> u8 {
    let [_, flags, ..] = *bhs;
    flags
}

/// A header in the making.
pub(super) struct HeaderWriter {
    bhs: Bhs,
    position: usize,
}

impl HeaderWriter {
    /// A header with its operation code and flags, positioned behind the lengths, which are zero.
    pub(super) fn new(opcode: Opcode, is_immediate: bool, flags: u8) -> Self {
        Self::with_bytes_1_to_3(opcode, is_immediate, [flags, 0, 0])
    }

    pub(super) fn with_bytes_1_to_3(opcode: Opcode, is_immediate: bool, bytes: [u8; 3]) -> Self {
        let mut writer = Self { bhs: [0; BHS_BYTES], position: 0 };
        let immediate = if is_immediate { 0x40 } else { 0 };
        writer = writer.bytes(&[opcode.0 | immediate]).bytes(&bytes).skip(4);
        writer
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn sequence(self, sequence: Sequence) -> Self {
        self.u32(sequence.stat_sn.0).u32(sequence.exp_cmd_sn.0).u32(sequence.max_cmd_sn.0)
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let end = self.position + bytes.len();
        if let Some(field) = self.bhs.get_mut(self.position..end) {
            field.copy_from_slice(bytes);
        }
        self.position = end;
        self
    }

    pub(super) fn skip(mut self, count: usize) -> Self {
        self.position += count;
        self
    }

    pub(super) fn finish(self) -> Bhs {
        self.bhs
    }
}

/// A flag as a bit of a byte.
pub(super) fn bit(is_set: bool, mask: u8) -> u8 {
    if is_set { mask } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_any_header() {
        let mut bhs = [0; BHS_BYTES];
        bhs[0] = 0x41;
        bhs[4] = 0xff;
        bhs[5..8].copy_from_slice(&[0xff, 0xfe, 0xfd]);
        let lengths = Lengths::parse(&bhs);
        assert!(lengths.is_immediate);
        assert_eq!(lengths.opcode, Opcode::SCSI_COMMAND);
        assert_eq!(lengths.ahs_bytes, 1020);
        assert_eq!(lengths.data_bytes, 0x00ff_fefd);
    }

    #[test]
    fn reading_past_the_end_yields_zeros() {
        let bhs = [0xff; BHS_BYTES];
        let mut fields = Fields::new(&bhs);
        fields.skip(46);
        assert_eq!(fields.u32(), 0);
        assert_eq!(fields.u16(), 0xffff);
        assert_eq!(fields.u8(), 0);
        assert_eq!(fields.array::<4>(), [0; 4]);
    }
}
