//! Sense data as it comes from a device (SPC-5 §4.4), fixed or descriptor format.

use std::fmt;

/// What a device says of why a command did not end with GOOD, or of how it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sense {
    /// SENSE KEY.
    pub key: u8,
    /// ADDITIONAL SENSE CODE.
    pub asc: u8,
    /// ADDITIONAL SENSE CODE QUALIFIER.
    pub ascq: u8,
    /// FILEMARK: a filemark was met.
    pub filemark: bool,
    /// EOM: the early warning, an end or the beginning was met.
    pub eom: bool,
    /// ILI: the block had another length than was asked for.
    pub ili: bool,
    /// INFORMATION, if it is valid: as a rule what was asked for less what was done.
    pub information: Option<i64>,
    /// Whether it is of an earlier command than the one that it came with.
    pub is_deferred: bool,
}

impl Sense {
    /// NO SENSE.
    pub const NO_SENSE: u8 = 0x0;
    /// RECOVERED ERROR.
    pub const RECOVERED_ERROR: u8 = 0x1;
    /// NOT READY.
    pub const NOT_READY: u8 = 0x2;
    /// MEDIUM ERROR.
    pub const MEDIUM_ERROR: u8 = 0x3;
    /// HARDWARE ERROR.
    pub const HARDWARE_ERROR: u8 = 0x4;
    /// ILLEGAL REQUEST.
    pub const ILLEGAL_REQUEST: u8 = 0x5;
    /// UNIT ATTENTION.
    pub const UNIT_ATTENTION: u8 = 0x6;
    /// DATA PROTECT.
    pub const DATA_PROTECT: u8 = 0x7;
    /// BLANK CHECK.
    pub const BLANK_CHECK: u8 = 0x8;
    /// VOLUME OVERFLOW.
    pub const VOLUME_OVERFLOW: u8 = 0xd;

    /// Whether it says that nothing more was written on the tape. BLANK CHECK alone does not: with other codes a part of the tape cannot be read.
    pub fn is_end_of_data(&self) -> bool {
        self.key == Self::BLANK_CHECK && self.asc == 0 && matches!(self.ascq, 0 | 5)
    }

    /// `None` for what is no sense data.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let code = bytes.first()? & 0x7f;
        let sense = match code {
            0x70 | 0x71 => Self::fixed(bytes)?,
            0x72 | 0x73 => Self::with_descriptors(bytes)?,
            _ => return None,
        };
        Some(Self { is_deferred: code & 1 != 0, ..sense })
    }

    // 0 valid and response code, 2 filemark 80h, EOM 40h, ILI 20h, key; 3-6 information, 12 ASC, 13 ASCQ
    fn fixed(bytes: &[u8]) -> Option<Self> {
        let is_valid = bytes.first()? & 0x80 != 0;
        let flags = *bytes.get(2)?;
        let information = bytes.get(3..7).and_then(|field| field.try_into().ok());
        let information = information.map(i32::from_be_bytes).filter(|_| is_valid);
        Some(Self {
            key: flags & 0x0f,
            asc: bytes.get(12).copied().unwrap_or(0),
            ascq: bytes.get(13).copied().unwrap_or(0),
            filemark: flags & 0x80 != 0,
            eom: flags & 0x40 != 0,
            ili: flags & 0x20 != 0,
            information: information.map(i64::from),
            is_deferred: false,
        })
    }

    // 1 key, 2 ASC, 3 ASCQ, 8… descriptors: 0 type, 1 additional length; 00h information in 4-11; 04h stream bits in 3
    fn with_descriptors(bytes: &[u8]) -> Option<Self> {
        let mut sense = Self {
            key: bytes.get(1)? & 0x0f,
            asc: bytes.get(2).copied().unwrap_or(0),
            ascq: bytes.get(3).copied().unwrap_or(0),
            ..Self::default()
        };
        let mut rest = bytes.get(8..).unwrap_or_default();
        while let [kind, length, ..] = rest {
            let (whole, next) = rest.split_at_checked(usize::from(*length) + 2)?;
            match kind {
                0x00 => {
                    let field = whole.get(4..12).and_then(|field| field.try_into().ok());
                    sense.information = field.map(i64::from_be_bytes);
                }
                0x04 => {
                    let flags = whole.get(3).copied().unwrap_or(0);
                    sense.filemark = flags & 0x80 != 0;
                    sense.eom = flags & 0x40 != 0;
                    sense.ili = flags & 0x20 != 0;
                }
                _ => {}
            }
            rest = next;
        }
        Some(sense)
    }

    /// Whether the code is this one.
    pub fn is(&self, key: u8, asc: u8, ascq: u8) -> bool {
        (self.key, self.asc, self.ascq) == (key, asc, ascq)
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:02X}/{:02X}", self.key, self.asc, self.ascq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let fixed = [0xf0, 0, 0xa8, 0xff, 0xff, 0xfe, 0, 10, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let mut descriptors = vec![0x72, 8, 0, 1, 0, 0, 0, 16, 0x00, 10, 0x80, 0];
        descriptors.extend((-512_i64).to_be_bytes());
        descriptors.extend([0x04, 2, 0, 0xa0]);
        let sense = Sense::parse(&fixed).unwrap();
        assert_eq!(Sense::parse(&descriptors), Some(sense));
        assert_eq!((sense.information, sense.to_string().as_str()), (Some(-512), "8/00/01"));
        assert!(sense.filemark && sense.ili && !sense.eom && !sense.is_deferred);
        assert!(Sense::parse(&[0x71, 0, 3]).unwrap().is_deferred);
    }

    #[test]
    fn whatever_a_device_sends_is_taken() {
        for length in 0..96 {
            for first in [0, 0x70, 0x72, 0xf0, 0xff] {
                let mut bytes = vec![0xff; length];
                if let Some(place) = bytes.first_mut() {
                    *place = first;
                }
                let _sense = Sense::parse(&bytes);
            }
        }
    }
}
