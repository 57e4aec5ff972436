//! An iSCSI PDU as it passes by: nothing is understood that does not have to be changed.

use std::io::{self, Read};

use anyhow::ensure;

pub(crate) const SCSI_COMMAND: u8 = 0x01;
pub(crate) const SCSI_RESPONSE: u8 = 0x21;
pub(crate) const LOGIN_RESPONSE: u8 = 0x23;
pub(crate) const DATA_IN: u8 = 0x25;
/// In byte 1 of a Data-In PDU: it carries the status, too.
pub(crate) const STATUS: u8 = 0x01;
const BHS_BYTES: usize = 48;
/// More than either side declares.
const MAX_SEGMENT_BYTES: usize = 2 << 20;

/// One PDU without digests.
#[derive(Debug)]
pub(crate) struct Pdu {
    pub(crate) bhs: [u8; BHS_BYTES],
    pub(crate) ahs: Vec<u8>,
    /// Without padding; its length stays what the header says.
    pub(crate) data: Vec<u8>,
}

impl Pdu {
    /// The next PDU; `None` when the sender has ended the connection.
    pub(crate) fn read(from: &mut impl Read) -> anyhow::Result<Option<Self>> {
        let mut bhs = [0; BHS_BYTES];
        match from.read_exact(&mut bhs) {
            Ok(()) => {}
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof || super::is_gone(&error) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
        let mut pdu = Self { bhs, ahs: Vec::new(), data: Vec::new() };
        pdu.ahs = vec![0; usize::from(pdu.byte(4)) * 4];
        from.read_exact(&mut pdu.ahs)?;
        let length = usize::try_from(pdu.word(4) & 0x00ff_ffff)?;
        ensure!(length <= MAX_SEGMENT_BYTES, "a data segment of {length} bytes");
        pdu.data = vec![0; length.next_multiple_of(4)];
        from.read_exact(&mut pdu.data)?;
        pdu.data.truncate(length);
        Ok(Some(pdu))
    }

    /// As it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.bhs[..], &self.ahs, &self.data].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.byte(0) & 0x3f
    }

    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bhs.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn word(&self, at: usize) -> u32 {
        self.bhs
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_be_bytes)
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.bhs.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_passed_on() {
        let mut wire = vec![0; BHS_BYTES];
        wire[0] = SCSI_COMMAND;
        wire[4] = 1; // words of AHS
        wire[7] = 5; // bytes of data
        wire.extend([9; 4]);
        wire.extend([1, 2, 3, 4, 5, 0, 0, 0]);
        let mut rest = &wire[..];
        let pdu = Pdu::read(&mut rest).unwrap().unwrap();
        assert_eq!((pdu.ahs.len(), pdu.data.len()), (4, 5));
        assert_eq!(pdu.bytes(), wire);
        assert!(Pdu::read(&mut rest).unwrap().is_none());
    }

    #[test]
    fn a_long_segment_is_not_made_room_for() {
        let mut wire = [0; BHS_BYTES];
        wire[5] = 0xff;
        assert!(Pdu::read(&mut &wire[..]).is_err());
    }
}
