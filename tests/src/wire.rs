//! PDUs as bytes on a socket (RFC 7143 §11), good ones and bad ones.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long one read or write may take.
const LIMIT: Duration = Duration::from_mins(2);
/// A target that claims more in one PDU than we declare is at fault.
const MAX_DATA_BYTES: usize = 16 << 20;

/// Operation codes, with the immediate bit where a PDU has to have it.
pub mod opcode {
    #![allow(missing_docs, reason = "the names are the standard's")]
    pub const NOP_OUT: u8 = 0x40;
    pub const SCSI_COMMAND: u8 = 0x01;
    pub const TASK_MANAGEMENT: u8 = 0x42;
    pub const LOGIN: u8 = 0x43;
    pub const DATA_OUT: u8 = 0x05;
    pub const LOGOUT: u8 = 0x46;
    pub const NOP_IN: u8 = 0x20;
    pub const SCSI_RESPONSE: u8 = 0x21;
    pub const TASK_MANAGEMENT_RESPONSE: u8 = 0x22;
    pub const LOGIN_RESPONSE: u8 = 0x23;
    pub const DATA_IN: u8 = 0x25;
    pub const LOGOUT_RESPONSE: u8 = 0x26;
    pub const R2T: u8 = 0x31;
    pub const ASYNC: u8 = 0x32;
    pub const REJECT: u8 = 0x3f;
}

/// One PDU without digests and padding.
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The header.
    pub bhs: [u8; 48],
    /// The data segment.
    pub data: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Whether headers are followed by CRC32C.
    pub has_header_digest: bool,
    /// Whether data is followed by CRC32C.
    pub has_data_digest: bool,
}

impl Pdu {
    /// A PDU with operation code and flags.
    pub fn new(opcode: u8, flags: u8) -> Self {
        let mut bhs = [0; 48];
        bhs[0] = opcode;
        bhs[1] = flags;
        Self { bhs, data: Vec::new() }
    }

    /// With these bytes in the header.
    #[must_use]
    pub fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bhs[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// With this word in the header.
    #[must_use]
    pub fn with_word(self, at: usize, word: u32) -> Self {
        self.with(at, &word.to_be_bytes())
    }

    /// With this data segment.
    #[must_use]
    pub fn with_data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }

    /// A word of the header.
    pub fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bhs[at..at + 4].try_into().unwrap())
    }

    /// The operation code without the immediate bit.
    pub fn opcode(&self) -> u8 {
        self.bhs[0] & 0x3f
    }

    /// The bytes, without digests; its length field says what the data has.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.bhs.to_vec();
        let length = u32::try_from(self.data.len()).unwrap().to_be_bytes();
        bytes[5..8].copy_from_slice(&length[1..]);
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

impl Wire {
    /// Connects, with limits on every read and write.
    pub fn connect(portal: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&portal, LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { stream, has_header_digest: false, has_data_digest: false })
    }

    /// How long one read or write may take from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        self.stream.set_write_timeout(Some(limit)).unwrap();
    }

    /// Sends a PDU.
    pub fn send(&mut self, pdu: &Pdu) -> io::Result<()> {
        let mut bytes = pdu.encode();
        if self.has_data_digest && !pdu.data.is_empty() {
            let digest = crc32c::crc32c(&bytes[48..]);
            bytes.extend_from_slice(&digest.to_le_bytes());
        }
        if self.has_header_digest {
            let digest = crc32c::crc32c(&bytes[..48]);
            bytes.splice(48..48, digest.to_le_bytes());
        }
        self.send_bytes(&bytes)
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Receives a PDU.
    pub fn receive(&mut self) -> io::Result<Pdu> {
        let mut pdu = Pdu { bhs: [0; 48], data: Vec::new() };
        self.stream.read_exact(&mut pdu.bhs)?;
        if self.has_header_digest {
            let digest = self.word()?;
            assert_eq!(digest, crc32c::crc32c(&pdu.bhs), "the header digest of {pdu:02x?}");
        }
        assert_eq!(pdu.bhs[4], 0, "a target has no additional headers to send");
        let length = (pdu.word(4) & 0x00ff_ffff) as usize;
        assert!(length <= MAX_DATA_BYTES, "a data segment of {length} bytes");
        pdu.data = vec![0; length.next_multiple_of(4)];
        self.stream.read_exact(&mut pdu.data)?;
        if self.has_data_digest && length > 0 {
            let digest = self.word()?;
            assert_eq!(digest, crc32c::crc32c(&pdu.data), "the data digest");
        }
        pdu.data.truncate(length);
        Ok(pdu)
    }

    /// Receives the PDU with this operation code next.
    #[track_caller]
    pub fn expect(&mut self, opcode: u8) -> Pdu {
        let pdu =
            self.receive().unwrap_or_else(|error| panic!("{error} in place of PDU {opcode:#04x}"));
        assert_eq!(pdu.opcode(), opcode, "{pdu:02x?}");
        pdu
    }

    /// Receives until the target closes the connection; what came before. Panics if it stays open.
    #[track_caller]
    pub fn expect_closed(&mut self) -> Vec<Pdu> {
        let mut pdus = Vec::new();
        loop {
            match self.receive() {
                Ok(pdu) => pdus.push(pdu),
                Err(error) => {
                    let is_closed = matches!(
                        error.kind(),
                        io::ErrorKind::UnexpectedEof
                            | io::ErrorKind::ConnectionReset
                            | io::ErrorKind::BrokenPipe
                    );
                    assert!(is_closed, "the connection was not closed but {error}");
                    return pdus;
                }
            }
        }
    }

    /// Says that nothing more will come, as a peer that ends in an orderly way does.
    pub fn finish(&self) {
        // The target may have closed first.
        let _ended = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn word(&mut self) -> io::Result<u32> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

/// A login request with keys that each end in a zero byte.
pub fn login_pdu(current_stage: u8, next_stage: u8, isid: [u8; 6], keys: &[String]) -> Pdu {
    let text = keys.join("\0") + if keys.is_empty() { "" } else { "\0" };
    Pdu::new(opcode::LOGIN, 0x80 | current_stage << 2 | next_stage)
        .with(8, &isid)
        .with_word(16, 1)
        .with_word(24, 1)
        .with_data(text.as_bytes())
}
