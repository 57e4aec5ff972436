//! Byte layout of the ledger's segments: a header, then framed entries without gaps. All numbers are little-endian.
//!
//! Segment header, 96 bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `VTLLEDGR` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | number of the segment, as in its name |
//! | 16 | 16 | identity of the data directory |
//! | 32 | 8 | sequence of the first entry |
//! | 40 | 32 | hash of the entry before it |
//! | 72 | 20 | zeros |
//! | 92 | 4 | CRC32C of the 92 bytes before it |
//!
//! Entry, 68 bytes and its body:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `VTLE` |
//! | 4 | 4 | length of the body in bytes, 1 to 1,048,576 |
//! | 8 | 8 | sequence |
//! | 16 | 8 | first sequence of the append that this entry belongs to |
//! | 24 | 8 | last sequence of that append |
//! | 32 | 32 | BLAKE3 of the previous hash, the 32 bytes before this field, and the body |
//! | 64 | 4 | CRC32C of the 64 bytes before it and the body |
//! | 68 | n | body: JSON |

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::{tag, take};
use nom::number::complete::{le_u32, le_u64};
use uuid::Uuid;

use super::entry::EntryHash;

/// What stands at the start of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u32,
    /// Identity of the data directory, so that no segment of another one is taken for ours.
    pub(super) id: Uuid,
    pub(super) first_sequence: u64,
    pub(super) previous_hash: EntryHash,
}

/// Why a header was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Too short, wrong magic or wrong checksum.
    Damaged,
    /// A later format version.
    Newer(u32),
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend_from_slice(SEGMENT_MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.previous_hash.0);
        bytes.resize(SEGMENT_HEADER_BYTES - 4, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the start of a segment.
    pub(super) fn parse(segment: &[u8]) -> Result<Self, HeaderError> {
        let (rest, covered) =
            take_bytes(segment, SEGMENT_HEADER_BYTES - 4).map_err(|_| HeaderError::Damaged)?;
        let (_, crc) = read_u32(rest).map_err(|_| HeaderError::Damaged)?;
        if crc != crc32c::crc32c(covered) {
            return Err(HeaderError::Damaged);
        }
        let (_, (version, header)) = header_fields(covered).map_err(|_| HeaderError::Damaged)?;
        if version > FORMAT_VERSION { Err(HeaderError::Newer(version)) } else { Ok(header) }
    }
}

/// An entry as it lies in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    /// ≤ `sequence`
    pub(super) batch_first: u64,
    /// ≥ `sequence`
    pub(super) batch_last: u64,
    pub(super) hash: EntryHash,
    pub(super) body: &'a [u8],
    /// The 32 bytes before the hash, which it covers.
    fixed: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads one entry whose checksum is right; `None` for anything else. The chain is not looked at.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(&'a [u8], Self)> {
        let (rest, (fixed, hash, crc)) = frame_fields(bytes).ok()?;
        let (_, (length, sequence, batch_first, batch_last)) = fixed_fields(fixed).ok()?;
        let length =
            usize::try_from(length).ok().filter(|length| (1..=MAX_BODY_BYTES).contains(length))?;
        let (rest, body) = take_bytes(rest, length).ok()?;
        let covered = bytes.get(..CRC_OFFSET)?;
        if crc32c::crc32c_append(crc32c::crc32c(covered), body) != crc {
            return None;
        }
        if !(batch_first..=batch_last).contains(&sequence) {
            return None;
        }
        Some((rest, Self { sequence, batch_first, batch_last, hash: to_hash(hash)?, body, fixed }))
    }

    /// Whether the entry continues a chain that has come to `previous`.
    pub(super) fn follows(&self, previous: EntryHash) -> bool {
        chain(previous, self.fixed, self.body) == self.hash
    }
}

/// Appends an entry to `bytes` and returns its hash. The body is 1 to [`MAX_BODY_BYTES`] long, as the caller has checked.
pub(super) fn encode_frame(
    bytes: &mut Vec<u8>,
    previous: EntryHash,
    sequence: u64,
    batch: (u64, u64),
    body: &[u8],
) -> Option<EntryHash> {
    let length =
        u32::try_from(body.len()).ok().filter(|_| (1..=MAX_BODY_BYTES).contains(&body.len()))?;
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES);
    frame.extend_from_slice(FRAME_MAGIC);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&sequence.to_le_bytes());
    frame.extend_from_slice(&batch.0.to_le_bytes());
    frame.extend_from_slice(&batch.1.to_le_bytes());
    let hash = chain(previous, &frame, body);
    frame.extend_from_slice(&hash.0);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame), body);
    frame.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&frame);
    bytes.extend_from_slice(body);
    Some(hash)
}

/// The hash "before the first entry", bound to the data directory.
pub(super) fn genesis(id: Uuid) -> EntryHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"vtl ledger 1");
    hasher.update(id.as_bytes());
    EntryHash(*hasher.finalize().as_bytes())
}

/// Where the next thing that looks like an entry starts, at or after `from`.
pub(super) fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(FRAME_MAGIC.len())
        .position(|window| window == FRAME_MAGIC)
        .map(|offset| from + offset)
}

fn chain(previous: EntryHash, fixed: &[u8], body: &[u8]) -> EntryHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&previous.0);
    hasher.update(fixed);
    hasher.update(body);
    EntryHash(*hasher.finalize().as_bytes())
}

fn to_hash(bytes: &[u8]) -> Option<EntryHash> {
    bytes.try_into().ok().map(EntryHash)
}

fn take_bytes(bytes: &[u8], count: usize) -> IResult<&[u8], &[u8]> {
    take(count)(bytes)
}

fn read_u32(bytes: &[u8]) -> IResult<&[u8], u32> {
    le_u32(bytes)
}

fn header_fields(bytes: &[u8]) -> IResult<&[u8], (u32, SegmentHeader)> {
    let (rest, (_, version, number, id, first_sequence, hash)) =
        (tag(&SEGMENT_MAGIC[..]), le_u32, le_u32, take(16_usize), le_u64, take(32_usize))
            .parse(bytes)?;
    let damaged = || nom::Err::Error(nom::error::Error::new(bytes, nom::error::ErrorKind::Verify));
    let id = Uuid::from_slice(id).map_err(|_| damaged())?;
    let previous_hash = to_hash(hash).ok_or_else(damaged)?;
    Ok((rest, (version, SegmentHeader { number, id, first_sequence, previous_hash })))
}

/// What the hash covers besides the body, the hash, and the checksum.
type FrameFields<'a> = (&'a [u8], &'a [u8], u32);

fn frame_fields(bytes: &[u8]) -> IResult<&[u8], FrameFields<'_>> {
    (take(32_usize), take(32_usize), le_u32).parse(bytes)
}

fn fixed_fields(bytes: &[u8]) -> IResult<&[u8], (u32, u64, u64, u64)> {
    nom::sequence::preceded(tag(&FRAME_MAGIC[..]), (le_u32, le_u64, le_u64, le_u64)).parse(bytes)
}

pub(super) const SEGMENT_HEADER_BYTES: usize = 96;
const FRAME_HEADER_BYTES: usize = 68;
/// The longest body: a library of several hundred drives, or the intent to make 10,000 cartridges, fits well.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
pub(super) const FORMAT_VERSION: u32 = 1;
const SEGMENT_MAGIC: &[u8; 8] = b"VTLLEDGR";
const FRAME_MAGIC: &[u8; 4] = b"VTLE";
const CRC_OFFSET: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, genesis(Uuid::nil()), 5, (5, 6), b"{\"v\":1}").unwrap();
        bytes
    }

    #[test]
    fn an_entry_is_read_back_and_keeps_the_chain() {
        let bytes = frame();
        let (rest, found) = Frame::parse(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!((found.sequence, found.batch_first, found.batch_last), (5, 5, 6));
        assert_eq!(found.body, b"{\"v\":1}");
        assert!(found.follows(genesis(Uuid::nil())));
        assert!(!found.follows(genesis(Uuid::from_u128(1))), "another directory's chain");
    }

    #[test]
    fn an_entry_with_any_bit_changed_or_cut_short_is_refused() {
        let good = frame();
        for length in 0..good.len() {
            assert!(Frame::parse(&good[..length]).is_none());
        }
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bytes).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_segment_header_is_read_back_and_guards_every_bit() {
        let header = SegmentHeader {
            number: 3,
            id: Uuid::from_u128(9),
            first_sequence: 77,
            previous_hash: genesis(Uuid::from_u128(9)),
        };
        let good = header.encode();
        assert_eq!(good.len(), SEGMENT_HEADER_BYTES);
        assert_eq!(SegmentHeader::parse(&good), Ok(header));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::parse(&bytes), Err(HeaderError::Damaged));
        }
        let mut newer = good;
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..92]).to_le_bytes();
        newer[92..].copy_from_slice(&crc);
        assert_eq!(SegmentHeader::parse(&newer), Err(HeaderError::Newer(2)));
    }
}
