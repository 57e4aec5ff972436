//! PDUs of an initiator whose headers make some sense, so that more than the first check is reached.

use bolero::TypeGenerator;

use crate::text::Piece;

/// A PDU whose header makes some sense, so that more than the first check is reached.
#[derive(Debug, Clone, TypeGenerator)]
pub struct Pdu {
    opcode: Opcode,
    is_immediate: bool,
    flags: u8,
    lun: u8,
    tag: Tag,
    word_20: Tag,
    cmd_sn_ahead: CmdSnAhead,
    words: [u32; 4],
    cdb: [u8; 16],
    data: Data,
    /// The length that the header names differs from that of the data.
    wrong_length: Option<u32>,
    ahs_words: u8,
    /// Bits of the header that are turned over.
    flips: Vec<u16>,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Data {
    Raw(Vec<u8>),
    Text(Vec<Piece>),
    /// As much as is not sent in one piece without being asked for.
    Much(u16),
}

impl Data {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Text(pieces) => crate::text::keys(pieces),
            Self::Much(length) => vec![5; usize::from(*length)],
        }
    }
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Opcode {
    NopOut,
    Command,
    Management,
    Login,
    Text,
    DataOut,
    Logout,
    Snack,
    Other(u8),
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Tag {
    One,
    Two,
    Next,
    Reserved,
    Other(u32),
}

#[derive(Debug, Clone, Copy, TypeGenerator)]
enum CmdSnAhead {
    Right,
    RightToo,
    Early,
    Late,
    Other(u32),
}

/// What an initiator has to count.
#[derive(Debug)]
pub struct Numbers {
    /// Of the next command that is in order.
    pub cmd_sn: u32,
    /// The last tag.
    pub tag: u32,
}

impl Tag {
    fn value(self, numbers: &mut Numbers) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Next => {
                numbers.tag += 1;
                numbers.tag
            }
            Self::Reserved => u32::MAX,
            Self::Other(value) => value,
        }
    }
}

impl Pdu {
    /// The bytes, without digests.
    pub fn encode(&self, numbers: &mut Numbers) -> Vec<u8> {
        let code = match self.opcode {
            Opcode::NopOut => 0x00,
            Opcode::Command => 0x01,
            Opcode::Management => 0x02,
            Opcode::Login => 0x03,
            Opcode::Text => 0x04,
            Opcode::DataOut => 0x05,
            Opcode::Logout => 0x06,
            Opcode::Snack => 0x10,
            Opcode::Other(code) => code & 0x3f,
        };
        let mut bhs = [0_u8; 48];
        bhs[0] = code | u8::from(self.is_immediate) << 6;
        bhs[1] = self.flags;
        // Most have their few bytes of additional header announced and there; the others are out of step from here on.
        bhs[4] = self.ahs_words.checked_sub(250).unwrap_or(0);
        let data = self.data.bytes();
        let length = u32::try_from(data.len()).unwrap();
        bhs[5..8].copy_from_slice(&self.wrong_length.unwrap_or(length).to_be_bytes()[1..]);
        bhs[9] = self.lun;
        bhs[16..20].copy_from_slice(&self.tag.value(numbers).to_be_bytes());
        bhs[20..24].copy_from_slice(&self.word_20.value(numbers).to_be_bytes());
        let cmd_sn = match self.cmd_sn_ahead {
            CmdSnAhead::Right | CmdSnAhead::RightToo => numbers.cmd_sn,
            CmdSnAhead::Early => numbers.cmd_sn.wrapping_add(2),
            CmdSnAhead::Late => numbers.cmd_sn.wrapping_sub(1),
            CmdSnAhead::Other(value) => value,
        };
        if !self.is_immediate && cmd_sn == numbers.cmd_sn && code != 0x05 {
            numbers.cmd_sn = numbers.cmd_sn.wrapping_add(1);
        }
        bhs[24..28].copy_from_slice(&cmd_sn.to_be_bytes());
        match self.opcode {
            Opcode::Command => bhs[32..].copy_from_slice(&self.cdb),
            _ => {
                for (word, place) in self.words.iter().zip(bhs[32..].chunks_mut(4)) {
                    // Small numbers are the ones that matter for offsets and sequences.
                    place.copy_from_slice(&(word >> (word % 32)).to_be_bytes());
                }
            }
        }
        for flip in self.flips.iter().take(3) {
            bhs[usize::from(flip / 8) % 48] ^= 1 << (flip % 8);
        }
        let mut bytes = bhs.to_vec();
        bytes.resize(bytes.len() + usize::from(bhs[4]) * 4, 1);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

/// Puts digests that are right behind the header and, if it `has_right_data`, behind the data; else those of data are wrong.
pub fn add_digests(bytes: &mut Vec<u8>, has_right_data: bool) {
    let header = 48 + usize::from(bytes[4]) * 4;
    let digest = crc32c::crc32c(&bytes[..header]).to_le_bytes();
    if bytes.len() > header {
        let data = crc32c::crc32c(&bytes[header..]) ^ u32::from(!has_right_data);
        bytes.extend(data.to_le_bytes());
    }
    bytes.splice(header..header, digest);
}
