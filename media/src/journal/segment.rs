//! Segments: their names, and the seal that closes them.

use nom::number::complete::{le_i64, le_u32, le_u64};
use nom::{IResult, Parser};

use super::index::Counts;
use super::record::{Point, SECTOR_BYTES};

/// The payload of a seal: everything of a segment that has to be known without reading it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The moment at the segment's beginning, and the generation then.
    pub(crate) start: Point,
    pub(crate) start_generation: u32,
    /// The moment at its end.
    pub(crate) end: Point,
    pub(crate) end_generation: u32,
    /// Bytes of records before the index.
    pub(crate) data_end: u64,
    pub(crate) index_offset: u64,
    pub(crate) counts: Counts,
    pub(crate) first_sequence: u64,
    pub(crate) last_written_us: i64,
}

impl Seal {
    /// The payload of a seal record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEAL_BYTES);
        put_point(&mut bytes, self.start);
        put_point(&mut bytes, self.end);
        bytes.extend_from_slice(&self.start_generation.to_le_bytes());
        bytes.extend_from_slice(&self.end_generation.to_le_bytes());
        bytes.extend_from_slice(&to_sector(self.data_end).to_le_bytes());
        bytes.extend_from_slice(&to_sector(self.index_offset).to_le_bytes());
        bytes.extend_from_slice(&self.counts.beginnings.to_le_bytes());
        bytes.extend_from_slice(&self.counts.entries.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.last_written_us.to_le_bytes());
        bytes.extend_from_slice(&self.counts.bases.to_le_bytes());
        bytes.extend_from_slice(&self.counts.waypoints.to_le_bytes());
        bytes
    }

    /// Decodes the payload of a seal record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], _> = (
            (point, point, le_u32, le_u32),
            (le_u32, le_u32, le_u32, le_u32, le_u64, le_i64, le_u32, le_u32),
        )
            .parse(bytes);
        let (_, ((start, end, start_generation, end_generation), rest)) = parsed.ok()?;
        let (
            data_end,
            index,
            beginnings,
            entries,
            first_sequence,
            last_written_us,
            bases,
            waypoints,
        ) = rest;
        Some(Self {
            start,
            start_generation,
            end,
            end_generation,
            data_end: to_offset(data_end),
            index_offset: to_offset(index),
            counts: Counts { beginnings, entries, bases, waypoints },
            first_sequence,
            last_written_us,
        })
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:06}{SUFFIX}")
}

/// The number of the segment that a file name stands for.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number: u32 = name.strip_suffix(SUFFIX)?.parse().ok()?;
    (number > 0 && file_name(number) == name).then_some(number)
}

pub(super) fn to_sector(offset: u64) -> u32 {
    u32::try_from(offset / SECTOR_BYTES).unwrap_or(u32::MAX)
}

pub(super) fn to_offset(sector: u32) -> u64 {
    u64::from(sector).saturating_mul(SECTOR_BYTES)
}

pub(super) fn put_point(bytes: &mut Vec<u8>, point: Point) {
    bytes.extend_from_slice(&point.objects.to_le_bytes());
    bytes.extend_from_slice(&point.filemarks.to_le_bytes());
    bytes.extend_from_slice(&point.bytes.to_le_bytes());
}

pub(super) fn point(input: &[u8]) -> IResult<&[u8], Point> {
    let (input, (objects, filemarks, bytes)) = (le_u64, le_u64, le_u64).parse(input)?;
    Ok((input, Point { objects, filemarks, bytes }))
}

/// The length of a seal's payload.
pub(super) const SEAL_BYTES: usize = 96;
const SUFFIX: &str = ".seg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_survives_the_round_trip_and_no_cut() {
        let seal = Seal {
            start: Point { objects: 1, filemarks: 2, bytes: 3 },
            start_generation: 3,
            end: Point { objects: 9, filemarks: 8, bytes: 7 },
            end_generation: 4,
            data_end: 512 * 500,
            index_offset: 4096 * 63,
            counts: Counts { beginnings: 2, entries: 3, bases: 1, waypoints: 4 },
            first_sequence: 12,
            last_written_us: -5,
        };
        let bytes = seal.encode();
        assert_eq!(bytes.len(), SEAL_BYTES);
        assert_eq!(Seal::decode(&bytes), Some(seal));
        for length in 0..bytes.len() {
            assert_eq!(Seal::decode(&bytes[..length]), None);
        }
    }

    #[test]
    fn names_are_numbers_in_one_form_only() {
        assert_eq!(number_of(&file_name(42)), Some(42));
        assert_eq!(number_of(&file_name(1_234_567)), Some(1_234_567));
        for name in
            ["000000.seg", "1.seg", "0000001.seg", "000001", "+00001.seg", "000001.seg.torn"]
        {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
