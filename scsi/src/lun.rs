//! Logical unit numbers (SAM-5 §4.7).

use std::fmt;

/// The number of a logical unit below one target, decoded from the eight bytes of a transport.
///
/// ```
/// use vtl_scsi::Lun;
/// assert_eq!(Lun::decode([0, 4, 0, 0, 0, 0, 0, 0]), Some(Lun(4)));
/// assert_eq!(Lun::decode([0x41, 0x2c, 0, 0, 0, 0, 0, 0]), Some(Lun(300)));
/// assert_eq!(Lun(300).encode(), [0x41, 0x2c, 0, 0, 0, 0, 0, 0]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lun(pub u16);

impl Lun {
    /// The largest number that the flat addressing method can carry.
    pub const MAX: Self = Self(0x3fff);
    /// The REPORT LUNS well-known logical unit (SAM-5 §4.7.7), in the eight bytes of a transport.
    pub const REPORT_LUNS_WELL_KNOWN: [u8; 8] = [0xc1, 0x01, 0, 0, 0, 0, 0, 0];

    /// Reads a single-level LUN in peripheral device (bus 0) or flat space addressing; anything else is nobody's number.
    pub fn decode(bytes: [u8; 8]) -> Option<Self> {
        let [high, low, rest @ ..] = bytes;
        if rest != [0; 6] {
            return None;
        }
        match high >> 6 {
            0 if high == 0 => Some(Self(u16::from(low))),
            1 => Some(Self(u16::from_be_bytes([high & 0x3f, low]))),
            _ => None,
        }
    }

    /// The eight bytes of a transport: peripheral device addressing up to 255, flat space addressing above.
    pub fn encode(self) -> [u8; 8] {
        let [high, low] = self.0.to_be_bytes();
        let high = if self.0 > 255 { 0x40 | (high & 0x3f) } else { 0 };
        [high, low, 0, 0, 0, 0, 0, 0]
    }
}

impl fmt::Display for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_round_trip() {
        for number in 0..=Lun::MAX.0 {
            assert_eq!(Lun::decode(Lun(number).encode()), Some(Lun(number)));
        }
    }

    #[test]
    fn a_second_level_another_bus_or_a_well_known_unit_is_nobodys_number() {
        assert_eq!(Lun::decode([0, 1, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(Lun::decode([1, 1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Lun::decode([0x80, 1, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Lun::decode(Lun::REPORT_LUNS_WELL_KNOWN), None);
    }
}
