//! What a drive tells of itself, of its tape, and of its errors.

use std::time::Duration;

use crate::attribute::attributes_in;
use crate::partition::Division;
use crate::sg_io::Device;
use crate::tape::{TapeDrive, number};

/// INQUIRY and the unit serial number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriveFacts {
    /// T10 vendor identification.
    pub vendor: String,
    /// Product identification.
    pub product: String,
    /// Product revision level.
    pub revision: String,
    /// VPD page 80h.
    pub serial: String,
}

/// What is known of the tape in a drive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediumFacts {
    /// Attribute 0401h.
    pub serial: Option<String>,
    /// Attribute 0400h.
    pub maker: Option<String>,
    /// Attribute 0806h.
    pub barcode: Option<String>,
    /// Attribute 0001h of all partitions, in bytes.
    pub capacity_bytes: Option<u64>,
    /// The WP bit of the mode header.
    pub is_write_protected: bool,
    /// Mode page 11h; one partition where the drive does not have it.
    pub division: Division,
}

/// What a drive counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorCounters {
    /// Log pages 02h and 03h, parameter 0003h.
    pub corrected: Option<u64>,
    /// The same, parameter 0006h.
    pub uncorrected: Option<u64>,
    /// Log page 2Eh: the flags that are set.
    pub tape_alerts: Vec<u8>,
}

impl TapeDrive {
    /// Who it is; `None` if it is no tape drive.
    pub fn identify(&self) -> Option<DriveFacts> {
        let standard = self.ask(&[0x12, 0, 0, 0, 96, 0], 96)?;
        let field = |range: std::ops::Range<usize>| text(standard.get(range).unwrap_or_default());
        let serial = self.ask(&[0x12, 1, 0x80, 0, 252, 0], 252).unwrap_or_default();
        (standard.first()? & 0x1f == TYPE_TAPE).then(|| DriveFacts {
            vendor: field(8..16),
            product: field(16..32),
            revision: field(32..36),
            serial: text(serial.get(4..).unwrap_or_default()),
        })
    }

    /// What the tape's memory and the mode header say.
    pub fn medium(&self) -> MediumFacts {
        // MODE SENSE(6), page 00h or all of them: 2 device specific, WP 80h. Some drives have no page 00h.
        let header = [0x00, 0x3f].iter().find_map(|page| self.ask(&[0x1a, 0, *page, 0, 64, 0], 64));
        let flags = header.and_then(|header| header.get(2).copied()).unwrap_or(0);
        let words = |identifier| {
            self.attribute(identifier).map(|value| text(&value)).filter(|text| !text.is_empty())
        };
        let division = self.division().unwrap_or_default();
        let mebibytes = (0..=division.additional).map(|partition| {
            let value = self.attribute_of(partition, 0x0001)?;
            u64::try_from(number(&value)).ok().filter(|count| *count > 0)
        });
        let capacity: Option<u64> = mebibytes.sum();
        MediumFacts {
            serial: words(0x0401),
            maker: words(0x0400),
            barcode: words(0x0806),
            capacity_bytes: capacity.map(|count| count.saturating_mul(1 << 20)),
            is_write_protected: flags & 0x80 != 0,
            division,
        }
    }

    /// READ ATTRIBUTE: one attribute of partition 0. A drive or a tape without memory has none.
    pub fn attribute(&self, identifier: u16) -> Option<Vec<u8>> {
        self.attribute_of(0, identifier)
    }

    fn attribute_of(&self, partition: u8, identifier: u16) -> Option<Vec<u8>> {
        const ROOM: u16 = 1024;
        let [high, low] = identifier.to_be_bytes();
        let [room_high, room_low] = ROOM.to_be_bytes();
        let cdb = [0x8c, 0, 0, 0, 0, 0, 0, partition, high, low, 0, 0, room_high, room_low, 0, 0];
        attribute_in(&self.ask(&cdb, ROOM.into())?, identifier)
    }

    /// Error counters of writing or reading, and TapeAlert.
    pub fn counters(&self, is_writing: bool) -> ErrorCounters {
        let page = self.log_page(if is_writing { 0x02 } else { 0x03 });
        let alerts = self.log_page(TAPE_ALERT);
        ErrorCounters {
            corrected: parameter(&page, 0x0003),
            uncorrected: parameter(&page, 0x0006),
            tape_alerts: flags_in(&alerts),
        }
    }

    fn log_page(&self, page: u8) -> Vec<u8> {
        self.ask(&log_sense(page), LOG_ROOM.into()).unwrap_or_default()
    }
}

/// The TapeAlert flags that a drive has set, by their numbers; none where it does not say. Many drives forget them when they have been asked.
pub fn tape_alerts(drive: &Device, timeout: Duration) -> Vec<u8> {
    let page = drive.read(&log_sense(TAPE_ALERT), LOG_ROOM.into(), timeout);
    flags_in(&page.unwrap_or_default())
}

// PC 01b: cumulative values.
fn log_sense(page: u8) -> [u8; 10] {
    let [high, low] = LOG_ROOM.to_be_bytes();
    [0x4d, 0, 0x40 | page, 0, 0, 0, 0, high, low, 0]
}

fn flags_in(page: &[u8]) -> Vec<u8> {
    (1..=64).filter(|flag| parameter(page, (*flag).into()) == Some(1)).collect()
}

const TAPE_ALERT: u8 = 0x2e;
const LOG_ROOM: u16 = 4096;

fn attribute_in(answer: &[u8], identifier: u16) -> Option<Vec<u8>> {
    let mut there = attributes_in(answer).into_iter();
    there.find(|attribute| attribute.identifier == identifier).map(|attribute| attribute.value)
}

// 0-3 header; parameters: 0-1 code, 2 control, 3 length, value
fn parameter(page: &[u8], code: u16) -> Option<u64> {
    let mut rest = page.get(4..)?;
    while let Some((head, behind)) = rest.split_at_checked(4) {
        let (value, next) = behind.split_at_checked(head.get(3).copied()?.into())?;
        if number(head.get(..2)?) == usize::from(code) {
            return value
                .iter()
                .try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()));
        }
        rest = next;
    }
    None
}

fn text(bytes: &[u8]) -> String {
    let plain =
        bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' });
    plain.collect::<String>().trim().to_owned()
}

const TYPE_TAPE: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_parameters_are_found() {
        let mut answer = vec![0, 0, 0, 0, 0x04, 0x00, 1, 0, 2, b'A', b' ', 0x04, 0x01, 1, 0, 3];
        answer.extend(b"S1 ");
        assert_eq!(attribute_in(&answer, 0x0401).map(|value| text(&value)).as_deref(), Some("S1"));
        assert_eq!(attribute_in(&answer, 0x0806), None);
        let page = [0x2e, 0, 0, 10, 0, 3, 0, 1, 1, 0, 20, 0, 2, 1, 0];
        assert_eq!(
            (parameter(&page, 3), parameter(&page, 20), parameter(&page, 4)),
            (Some(1), Some(256), None)
        );
    }

    #[test]
    fn whatever_a_device_answers_is_taken() {
        for length in 0..64 {
            for fill in [0, 1, 0x7f, 0xff] {
                let bytes = vec![fill; length];
                let _found =
                    (attribute_in(&bytes, 0xffff), parameter(&bytes, 0x0101), text(&bytes));
            }
        }
    }
}
