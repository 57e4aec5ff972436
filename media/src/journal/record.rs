//! The header that every record of the journal begins with.
//!
//! ```text
//!   0 magic u32          4 version u8     5 kind u8        6 codec u8       7 partition u8
//!   8 flags u16         10 payload offset u16             12 owner epoch u32
//!  16 cartridge uuid [16]
//!  32 segment u32       36 sector u32 (of this record in the segment, in units of 512 bytes)
//!  40 sequence u64
//!  48 unsynced u32 (sequence of this record less that of the last one known to be durable)
//!  52 generation u32    56 generation start u64 (object at which the generation began)
//!  64 first object u64  72 filemarks before it u64        80 bytes before it u64
//!  88 block length u32  92 block count u32                96 stored length u32
//! 100 CRC32C of everything in the record behind the header
//! 104 CRC-64 of the raw data, bound to its place u64
//! 112 time i64 (microseconds since 1970)
//! 120 chain u32 (the header CRC32C of the record before)  124 CRC32C of bytes 0 to 123
//! ```

use jiff::Timestamp;
use nom::bytes::complete::take;
use nom::number::complete::{le_i64, le_u8, le_u16, le_u32, le_u64};
use nom::{IResult, Parser};
use uuid::Uuid;

use crate::seal::SealedBy;

/// What a record is. A reader skips a kind that it does not know; a kind that must not be skipped needs a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u8);

impl Kind {
    /// Logical blocks of one length.
    pub(crate) const DATA: Self = Self(1);
    /// As many filemarks as the block count says.
    pub(crate) const FILEMARKS: Self = Self(2);
    /// Everything before it was asked to be durable.
    pub(crate) const SYNC_POINT: Self = Self(3);
    /// Objects from the generation start on are given up.
    pub(crate) const GENERATION: Self = Self(4);
    /// The sparse index of a segment.
    pub(crate) const INDEX: Self = Self(7);
    /// The last record of a segment.
    pub(crate) const SEAL: Self = Self(8);
    /// Nothing, up to where the next record may begin.
    pub(crate) const PAD: Self = Self(6);
}

/// How the data of a record is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codec(pub(crate) u8);

impl Codec {
    /// As it came.
    pub(crate) const NONE: Self = Self(0);
    /// Not at all: there is nothing but zeros.
    pub(crate) const ZEROS: Self = Self(1);
    /// One zstd frame, which says how long the data is.
    pub(crate) const ZSTD: Self = Self(3);
    /// Added to another codec: what that makes is encrypted with a host's key, …
    const HOST: u8 = 16;
    /// … with the cartridge's own, …
    const AT_REST: u8 = 32;
    /// … or with both.
    const BOTH: u8 = Self::HOST | Self::AT_REST;

    /// The same, and encrypted.
    pub(crate) fn sealed(self, by: SealedBy) -> Self {
        Self(
            self.0
                | match by {
                    SealedBy::Host => Self::HOST,
                    SealedBy::AtRest => Self::AT_REST,
                    SealedBy::Both => Self::BOTH,
                },
        )
    }

    /// Whose keys it is encrypted with, if it is.
    pub(crate) fn sealed_by(self) -> Option<SealedBy> {
        match self.0 & !(Self::HOST - 1) {
            Self::HOST => Some(SealedBy::Host),
            Self::AT_REST => Some(SealedBy::AtRest),
            Self::BOTH => Some(SealedBy::Both),
            _ => None,
        }
    }

    /// The codec of what has been decrypted; `None` if the record is not encrypted.
    pub(crate) fn inside_seal(self) -> Option<Self> {
        self.sealed_by().map(|_| Self(self.0 & (Self::HOST - 1)))
    }

    /// Whether a host has to bring a key for it.
    pub(crate) fn is_sealed_by_host(self) -> bool {
        matches!(self.sealed_by(), Some(SealedBy::Host | SealedBy::Both))
    }
}

/// The generation began by going back: what lies before it is its base, and not what was live until then.
pub(crate) const REVERTED: u16 = 1;

/// A moment of the tape: how much of one partition lies before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Blocks and filemarks.
    pub(crate) objects: u64,
    /// Filemarks.
    pub(crate) filemarks: u64,
    /// Bytes of blocks.
    pub(crate) bytes: u64,
}

/// A place in the journal; places are ordered as records were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The segment's number, from 1.
    pub(crate) segment: u32,
    /// Bytes from the beginning of the segment; a multiple of [`SECTOR_BYTES`].
    pub(crate) offset: u64,
}

impl Place {
    /// A place whose offset is counted in sectors.
    pub(crate) fn of_sector(segment: u32, sector: u32) -> Self {
        Self { segment, offset: u64::from(sector).saturating_mul(SECTOR_BYTES) }
    }

    /// Its offset in sectors.
    pub(crate) fn sector(self) -> u32 {
        u32::try_from(self.offset / SECTOR_BYTES).unwrap_or(u32::MAX)
    }
}

/// A decoded header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) codec: Codec,
    pub(crate) partition: u8,
    pub(crate) flags: u16,
    /// `128 <= payload_offset <= 512`
    pub(crate) payload_offset: u16,
    pub(crate) owner_epoch: u32,
    pub(crate) cartridge: Uuid,
    pub(crate) place: Place,
    pub(crate) sequence: u64,
    /// `durable_sequence <= sequence`
    pub(crate) durable_sequence: u64,
    pub(crate) generation: u32,
    pub(crate) generation_start: u64,
    pub(crate) start: Point,
    /// `block_length * block_count <= RECORD_DATA_BYTES_MAX` for data
    pub(crate) block_length: u32,
    pub(crate) block_count: u32,
    /// `stored_length <= STORED_BYTES_MAX`
    pub(crate) stored_length: u32,
    pub(crate) body_crc: u32,
    pub(crate) data_crc: u64,
    pub(crate) time_us: i64,
    pub(crate) chain: u32,
    /// The header's own checksum, as decoded or as encoded last.
    pub(crate) crc: u32,
}

/// Why bytes are no header of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Not a header, or a damaged one.
    Invalid,
    /// A whole header of a version that is not known yet.
    NewerVersion(u8),
}

impl Kind {
    /// Whether a record of this kind changes what is on the cartridge: going back and erasing do so too.
    pub(crate) fn is_change(self) -> bool {
        matches!(self, Self::DATA | Self::FILEMARKS | Self::GENERATION)
    }
}

impl Header {
    /// Encodes the header, with its checksum.
    pub(crate) fn encode(&mut self) -> [u8; HEADER_BYTES] {
        let mut writer = Writer { bytes: [0; HEADER_BYTES], at: 0 };
        writer.put(MAGIC.to_le_bytes());
        writer.put([VERSION, self.kind.0, self.codec.0, self.partition]);
        writer.put(self.flags.to_le_bytes());
        writer.put(self.payload_offset.to_le_bytes());
        writer.put(self.owner_epoch.to_le_bytes());
        writer.put(*self.cartridge.as_bytes());
        writer.put(self.place.segment.to_le_bytes());
        writer
            .put(u32::try_from(self.place.offset / SECTOR_BYTES).unwrap_or(u32::MAX).to_le_bytes());
        writer.put(self.sequence.to_le_bytes());
        let unsynced = self.sequence.saturating_sub(self.durable_sequence);
        writer.put(u32::try_from(unsynced).unwrap_or(u32::MAX).to_le_bytes());
        writer.put(self.generation.to_le_bytes());
        writer.put(self.generation_start.to_le_bytes());
        writer.put(self.start.objects.to_le_bytes());
        writer.put(self.start.filemarks.to_le_bytes());
        writer.put(self.start.bytes.to_le_bytes());
        writer.put(self.block_length.to_le_bytes());
        writer.put(self.block_count.to_le_bytes());
        writer.put(self.stored_length.to_le_bytes());
        writer.put(self.body_crc.to_le_bytes());
        writer.put(self.data_crc.to_le_bytes());
        writer.put(self.time_us.to_le_bytes());
        writer.put(self.chain.to_le_bytes());
        let (covered, _) = writer.bytes.split_at(HEADER_BYTES - 4);
        self.crc = crc32c::crc32c(covered);
        writer.put(self.crc.to_le_bytes());
        writer.bytes
    }

    /// Decodes the header at the beginning of `bytes` and checks it against its checksum and all limits.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let (header, _) = bytes.split_at_checked(HEADER_BYTES).ok_or(HeaderError::Invalid)?;
        if !header.starts_with(&MAGIC.to_le_bytes()) {
            return Err(HeaderError::Invalid);
        }
        let (covered, stored) = header.split_at(HEADER_BYTES - 4);
        let crc = crc32c::crc32c(covered);
        if stored != crc.to_le_bytes() {
            return Err(HeaderError::Invalid);
        }
        match header.get(4) {
            Some(&VERSION) => {}
            Some(version) if *version > VERSION => return Err(HeaderError::NewerVersion(*version)),
            _ => return Err(HeaderError::Invalid),
        }
        let (_, header) = parse(covered, crc).map_err(|_| HeaderError::Invalid)?;
        if header.is_within_limits() { Ok(header) } else { Err(HeaderError::Invalid) }
    }

    /// Behind the record.
    pub(crate) fn behind(&self) -> Place {
        Place { offset: self.place.offset.saturating_add(self.record_bytes()), ..self.place }
    }

    /// How long the whole record is; a multiple of [`SECTOR_BYTES`].
    pub(crate) fn record_bytes(&self) -> u64 {
        record_bytes(self.payload_offset, self.stored_length)
    }

    /// The moment behind this record.
    pub(crate) fn end(&self) -> Point {
        let Point { objects, filemarks, bytes } = self.start;
        let count = u64::from(self.block_count);
        match self.kind {
            Kind::DATA => {
                let bytes =
                    bytes.saturating_add(count.saturating_mul(u64::from(self.block_length)));
                Point { objects: objects.saturating_add(count), filemarks, bytes }
            }
            Kind::FILEMARKS => Point {
                objects: objects.saturating_add(count),
                filemarks: filemarks.saturating_add(count),
                bytes,
            },
            _ => self.start,
        }
    }

    /// The moment before one object of this record.
    pub(crate) fn point_before(&self, object: u64) -> Point {
        let ahead = object.saturating_sub(self.start.objects).min(u64::from(self.block_count));
        let Point { objects, filemarks, bytes } = self.start;
        let objects = objects.saturating_add(ahead);
        if self.kind == Kind::FILEMARKS {
            return Point { objects, filemarks: filemarks.saturating_add(ahead), bytes };
        }
        let bytes = bytes.saturating_add(ahead.saturating_mul(u64::from(self.block_length)));
        Point { objects, filemarks, bytes }
    }

    /// Whether the record holds live objects, as opposed to facts about the journal.
    pub(crate) fn has_objects(&self) -> bool {
        matches!(self.kind, Kind::DATA | Kind::FILEMARKS)
    }

    /// The checksum of raw data, bound to where the data belongs, so that a block that is whole but stands in the place of
    /// another is found like a damaged one.
    pub(crate) fn data_checksum(&self, data: &[u8]) -> u64 {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Xz);
        digest.update(data);
        digest.update(self.cartridge.as_bytes());
        digest.update(&self.generation.to_le_bytes());
        digest.update(&[self.partition]);
        digest.update(&self.start.objects.to_le_bytes());
        digest.update(&self.block_length.to_le_bytes());
        digest.update(&self.block_count.to_le_bytes());
        digest.finalize()
    }

    /// What encrypted data is bound to: its envelope, whose tag does not count, its place on the tape, and how it is stored.
    pub(crate) fn bound(&self, envelope: &[u8]) -> Vec<u8> {
        let mut bound = envelope.to_vec();
        bound.extend_from_slice(self.cartridge.as_bytes());
        bound.extend_from_slice(&self.generation.to_le_bytes());
        bound.push(self.partition);
        bound.extend_from_slice(&self.start.objects.to_le_bytes());
        bound.extend_from_slice(&self.block_length.to_le_bytes());
        bound.extend_from_slice(&self.block_count.to_le_bytes());
        bound.push(self.codec.0);
        bound
    }

    /// Whether the generation began by going back to an earlier moment.
    pub(crate) fn is_reverted(&self) -> bool {
        self.flags & REVERTED != 0
    }

    /// Behind the last record of that moment; only where the record is the beginning itself.
    pub(crate) fn base(&self) -> Place {
        Place::of_sector(self.block_length, self.block_count)
    }

    fn is_within_limits(&self) -> bool {
        let data_bytes = self.data_bytes();
        (PAYLOAD_OFFSET_MIN..=PAYLOAD_OFFSET_MAX).contains(&self.payload_offset)
            && self.stored_length <= STORED_BYTES_MAX
            && (self.kind != Kind::DATA || (data_bytes <= RECORD_DATA_BYTES_MAX && data_bytes > 0))
            && (self.kind != Kind::FILEMARKS || self.block_count > 0)
    }
}

/// How long a record is; a multiple of [`SECTOR_BYTES`].
pub(crate) fn record_bytes(payload_offset: u16, stored_length: u32) -> u64 {
    u64::from(payload_offset)
        .saturating_add(u64::from(stored_length))
        .next_multiple_of(SECTOR_BYTES)
}

/// Where the payload of a record begins: behind the header if all of it fits into the first sector.
pub(crate) fn payload_offset(stored_length: usize) -> u16 {
    let fits = stored_length <= usize::from(PAYLOAD_OFFSET_MAX - PAYLOAD_OFFSET_MIN);
    if fits { PAYLOAD_OFFSET_MIN } else { PAYLOAD_OFFSET_MAX }
}

/// A time as headers keep it.
pub(crate) fn time_from_us(time_us: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(time_us).ok()
}

fn parse(input: &[u8], crc: u32) -> IResult<&[u8], Header> {
    let (input, (_magic, _version, kind, codec, partition)) =
        (le_u32, le_u8, le_u8, le_u8, le_u8).parse(input)?;
    let (input, (flags, payload_offset, owner_epoch, uuid)) =
        (le_u16, le_u16, le_u32, take(16_usize)).parse(input)?;
    let (input, (segment, sector, sequence, unsynced)) =
        (le_u32, le_u32, le_u64, le_u32).parse(input)?;
    let (input, (generation, generation_start)) = (le_u32, le_u64).parse(input)?;
    let (input, (objects, filemarks, bytes)) = (le_u64, le_u64, le_u64).parse(input)?;
    let (input, (block_length, block_count, stored_length)) =
        (le_u32, le_u32, le_u32).parse(input)?;
    let (input, (body_crc, data_crc, time_us, chain)) =
        (le_u32, le_u64, le_i64, le_u32).parse(input)?;
    let header = Header {
        kind: Kind(kind),
        codec: Codec(codec),
        partition,
        flags,
        payload_offset,
        owner_epoch,
        cartridge: Uuid::from_slice(uuid).unwrap_or_default(),
        place: Place { segment, offset: u64::from(sector).saturating_mul(SECTOR_BYTES) },
        sequence,
        durable_sequence: sequence.saturating_sub(u64::from(unsynced)),
        generation,
        generation_start,
        start: Point { objects, filemarks, bytes },
        block_length,
        block_count,
        stored_length,
        body_crc,
        data_crc,
        time_us,
        chain,
        crc,
    };
    Ok((input, header))
}

/// Fills an array from the front.
struct Writer {
    bytes: [u8; HEADER_BYTES],
    at: usize,
}

impl Writer {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        let end = self.at.saturating_add(N);
        if let Some(target) = self.bytes.get_mut(self.at..end) {
            target.copy_from_slice(&field);
        }
        self.at = end;
    }
}

/// The length of a header.
pub(crate) const HEADER_BYTES: usize = 128;
/// Records begin at multiples of this.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// The same, as a length in memory.
pub(crate) const SECTOR_SIZE: usize = 512;
/// Sync points end at multiples of this, and a page that holds synced data is never written again.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// The most data in one record.
pub(crate) const RECORD_DATA_BYTES_MAX: u64 = 64 * 1024 * 1024;
const PAYLOAD_OFFSET_MIN: u16 = 128;
const PAYLOAD_OFFSET_MAX: u16 = 512;
/// The most stored bytes in one record: some more than data, for codecs that add to it.
const STORED_BYTES_MAX: u32 = 65 * 1024 * 1024;
const MAGIC: u32 = u32::from_le_bytes(*b"VTLR");
/// The newest version of records that is understood, and the one that is written.
pub(crate) const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
