//! The tape's auxiliary memory: READ ATTRIBUTE and WRITE ATTRIBUTE (SPC-5 §6.17, §6.44, §7.4).

use std::ops::RangeInclusive;

use crate::sg_io::Data;
use crate::tape::{SHORT, TapeDrive, TapeFault, fault, number};

/// One attribute as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryAttribute {
    /// Its identifier.
    pub identifier: u16,
    /// The FORMAT field: 0 binary, 1 ASCII, 2 text.
    pub format: u8,
    /// Whether the drive keeps it to itself: hosts only read it.
    pub is_read_only: bool,
    /// Its value; none takes the attribute away.
    pub value: Vec<u8>,
}

impl MemoryAttribute {
    /// Whether it is one of those that hosts write: the standard's, and the vendors' of hosts.
    fn is_hosts(&self) -> bool {
        !self.is_read_only && OF_HOSTS.iter().any(|range| range.contains(&self.identifier))
    }
}

impl TapeDrive {
    /// All attributes of a partition that hosts write, in the order of their identifiers.
    pub fn host_attributes(&self, partition: u8) -> Result<Vec<MemoryAttribute>, TapeFault> {
        // From the first one on: an identifier that is not there would be refused as a beginning.
        let [a, b, c, d] = u32::try_from(ROOM).unwrap_or(u32::MAX).to_be_bytes();
        let cdb = [0x8c, 0, 0, 0, 0, 0, 0, partition, 0, 0, a, b, c, d, 0, 0];
        let mut buffer = vec![0; ROOM];
        let answer = self.device.send(&cdb, &mut Data::In(&mut buffer), SHORT)?;
        if let Some(fault) = fault(&answer) {
            return Err(fault);
        }
        buffer.truncate(answer.transferred);
        let mut attributes = attributes_in(&buffer);
        attributes.retain(MemoryAttribute::is_hosts);
        Ok(attributes)
    }

    /// Writes one attribute, or takes it away. That it is alone in its command says which one is refused.
    pub fn write_attribute(
        &self,
        partition: u8,
        attribute: &MemoryAttribute,
    ) -> Result<(), TapeFault> {
        let list = parameter_list(attribute);
        let [a, b, c, d] = u32::try_from(list.len()).unwrap_or(u32::MAX).to_be_bytes();
        // Byte 1, bit 0 is WTC: the memory itself is written before the answer.
        let cdb = [0x8d, 1, 0, 0, 0, 0, 0, partition, 0, 0, a, b, c, d, 0, 0];
        let answer = self.device.send(&cdb, &mut Data::Out(&list), SHORT)?;
        fault(&answer).map_or(Ok(()), Err)
    }
}

// 0-3 length of what follows; attribute: 0-1 identifier, 2 READ ONLY (bit 7), FORMAT (bits 1-0), 3-4 length, value
fn parameter_list(attribute: &MemoryAttribute) -> Vec<u8> {
    let length = u16::try_from(attribute.value.len()).unwrap_or(u16::MAX);
    let mut list = (u32::from(length) + 5).to_be_bytes().to_vec();
    list.extend(attribute.identifier.to_be_bytes());
    list.push(attribute.format & 0x03);
    list.extend(length.to_be_bytes());
    list.extend(attribute.value.iter().take(length.into()));
    list
}

/// What READ ATTRIBUTE has answered; one that is cut off is not there.
pub(crate) fn attributes_in(answer: &[u8]) -> Vec<MemoryAttribute> {
    let (mut rest, mut found) = (answer.get(4..).unwrap_or_default(), Vec::new());
    while let Some(([high, low, flags, long, short], behind)) = rest.split_first_chunk() {
        let length = number(&[*long, *short]);
        let Some((value, next)) = behind.split_at_checked(length) else { break };
        found.push(MemoryAttribute {
            identifier: u16::from_be_bytes([*high, *low]),
            format: flags & 0x03,
            is_read_only: flags & 0x80 != 0,
            value: value.to_vec(),
        });
        rest = next;
    }
    found
}

const OF_HOSTS: [RangeInclusive<u16>; 2] = [0x0800..=0x0bff, 0x1400..=0x17ff];
/// More than any cartridge's memory has.
const ROOM: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let attribute = MemoryAttribute {
            identifier: 0x0800,
            format: 1,
            is_read_only: false,
            value: b"VENDOR  ".to_vec(),
        };
        let list = parameter_list(&attribute);
        assert_eq!(list.get(..9), Some(&[0, 0, 0, 13, 0x08, 0, 1, 0, 8][..]));
        assert_eq!(attributes_in(&list), vec![attribute.clone()]);
        assert_eq!(attributes_in(&list[..list.len() - 1]), vec![], "a value that is cut off");
        let gone = MemoryAttribute { value: Vec::new(), ..attribute };
        assert_eq!(parameter_list(&gone), [0, 0, 0, 5, 0x08, 0, 1, 0, 0]);
        // Some drives have attributes of their own among those of hosts: they were to be taken away from a tape that is used again.
        let hosts = |identifier, is_read_only| {
            let (format, value) = (0, vec![1]);
            MemoryAttribute { identifier, format, is_read_only, value }.is_hosts()
        };
        assert!(hosts(0x080c, false) && hosts(0x1623, false) && !hosts(0x0401, false));
        assert!(!hosts(0x1500, true));
    }
}
