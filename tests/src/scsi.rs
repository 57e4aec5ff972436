//! Commands as bytes, and sense data as facts. Written from the standards, not from the product.

/// Sense data in fixed or descriptor format (SPC-5 §4.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sense {
    /// Sense key, additional sense code, qualifier.
    pub code: (u8, u8, u8),
    /// An error of an earlier command.
    pub is_deferred: bool,
    /// The information field, if it is valid.
    pub information: Option<i64>,
    /// A filemark was met.
    pub filemark: bool,
    /// The end of the medium is near or here.
    pub eom: bool,
    /// A block of another length was met.
    pub ili: bool,
    /// The field in error: whether it is in the CDB, its byte, its bit.
    pub field: Option<(bool, u16, Option<u8>)>,
}

impl Sense {
    /// Reads fixed-format sense data, which is what a drive sends unless it is told otherwise.
    #[track_caller]
    pub fn parse(bytes: &[u8]) -> Self {
        assert!(bytes.len() >= 18, "sense data is too short: {bytes:02x?}");
        let response = bytes[0] & 0x7f;
        assert!(response == 0x70 || response == 0x71, "not in fixed format: {bytes:02x?}");
        let count = i32::from_be_bytes(bytes[3..7].try_into().unwrap());
        let field = (bytes[15] & 0x80 != 0 && bytes[2] & 0x0f == 5).then(|| {
            let bit = (bytes[15] & 0x08 != 0).then_some(bytes[15] & 0x07);
            (bytes[15] & 0x40 != 0, u16::from_be_bytes([bytes[16], bytes[17]]), bit)
        });
        Self {
            code: (bytes[2] & 0x0f, bytes[12], bytes[13]),
            is_deferred: response == 0x71,
            information: (bytes[0] & 0x80 != 0).then_some(i64::from(count)),
            filemark: bytes[2] & 0x80 != 0,
            eom: bytes[2] & 0x40 != 0,
            ili: bytes[2] & 0x20 != 0,
            field,
        }
    }
}

/// Command descriptor blocks.
pub mod cdb {
    /// TEST UNIT READY.
    pub const TEST_UNIT_READY: [u8; 6] = [0; 6];
    /// REWIND.
    pub const REWIND: [u8; 6] = [0x01, 0, 0, 0, 0, 0];
    /// All of it, at once.
    pub const ERASE: [u8; 6] = [0x19, 1, 0, 0, 0, 0];
    /// RESERVE(6).
    pub const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
    /// RELEASE(6).
    pub const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
    /// READ POSITION, short form: 20 bytes.
    pub const READ_POSITION: [u8; 10] = [0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    /// SPACE(6) to the end of data.
    pub const SPACE_END_OF_DATA: [u8; 6] = [0x11, 3, 0, 0, 0, 0];

    /// INQUIRY, standard data.
    pub fn inquiry(length: u8) -> [u8; 6] {
        [0x12, 0, 0, 0, length, 0]
    }

    /// REPORT LUNS, all of them.
    pub fn report_luns(length: u8) -> [u8; 12] {
        [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, length, 0, 0]
    }

    /// WRITE(6) of one block.
    pub fn write(length: usize) -> [u8; 6] {
        six(0x0a, 0, length)
    }

    /// WRITE(6) of blocks of the length that was set.
    pub fn write_fixed(count: usize) -> [u8; 6] {
        six(0x0a, 1, count)
    }

    /// READ(6) of one block.
    pub fn read(length: usize) -> [u8; 6] {
        six(0x08, 0, length)
    }

    /// READ(6) of one block, with SILI: any length will do.
    pub fn read_any_length(length: usize) -> [u8; 6] {
        six(0x08, 2, length)
    }

    /// READ(6) of blocks of the length that was set.
    pub fn read_fixed(count: usize) -> [u8; 6] {
        six(0x08, 1, count)
    }

    /// WRITE FILEMARKS(6), not immediate: a sync point.
    pub fn write_filemarks(count: usize) -> [u8; 6] {
        six(0x10, 0, count)
    }

    /// SPACE(6) over blocks, forward.
    pub fn space_blocks(count: usize) -> [u8; 6] {
        six(0x11, 0, count)
    }

    /// MOVE MEDIUM of the changer.
    pub fn move_medium(from: u16, to: u16) -> [u8; 12] {
        let ([from_high, from_low], [to_high, to_low]) = (from.to_be_bytes(), to.to_be_bytes());
        [0xa5, 0, 0, 0, from_high, from_low, to_high, to_low, 0, 0, 0, 0]
    }

    fn six(code: u8, flags: u8, count: usize) -> [u8; 6] {
        let [zero, high, middle, low] = u32::try_from(count).unwrap().to_be_bytes();
        assert_eq!(zero, 0, "three bytes are all there is");
        [code, flags, high, middle, low, 0]
    }
}
