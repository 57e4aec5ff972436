//! Segments: their names, their sparse index, and the seal that closes them.

use nom::multi::count;
use nom::number::complete::{le_i64, le_u32, le_u64};
use nom::{IResult, Parser};

use super::record::{Point, SECTOR_BYTES};

/// Where to begin to look for an object: the first record at or behind every [`INDEX_STRIDE_BYTES`] of a segment, and the
/// first one of every generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) generation: u32,
    pub(crate) objects: u64,
    pub(crate) filemarks: u64,
}

/// A generation that began in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) offset: u64,
    pub(crate) generation: u32,
    /// Objects from here on were given up.
    pub(crate) start: Point,
}

/// What was learnt of a segment while it was written or scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) beginnings: Vec<Beginning>,
    pub(crate) entries: Vec<Entry>,
}

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
    /// `beginning_count <= BEGINNINGS_MAX`, `entry_count <= ENTRIES_MAX`
    pub(crate) beginning_count: u32,
    pub(crate) entry_count: u32,
    pub(crate) first_sequence: u64,
    pub(crate) last_written_us: i64,
}

impl Index {
    /// Notes one record that begins at `offset`.
    pub(crate) fn note(&mut self, entry: Entry) {
        let is_due = self.entries.last().is_none_or(|last| {
            last.generation != entry.generation
                || entry.offset / INDEX_STRIDE_BYTES != last.offset / INDEX_STRIDE_BYTES
        });
        if is_due {
            self.entries.push(entry);
        }
    }

    /// The payload of an index record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        for beginning in &self.beginnings {
            bytes.extend_from_slice(&to_sector(beginning.offset).to_le_bytes());
            bytes.extend_from_slice(&beginning.generation.to_le_bytes());
            put_point(&mut bytes, beginning.start);
        }
        for entry in &self.entries {
            bytes.extend_from_slice(&to_sector(entry.offset).to_le_bytes());
            bytes.extend_from_slice(&entry.generation.to_le_bytes());
            bytes.extend_from_slice(&entry.objects.to_le_bytes());
            bytes.extend_from_slice(&entry.filemarks.to_le_bytes());
        }
        bytes
    }

    /// How long [`Index::encode`]'s result is.
    pub(crate) fn encoded_bytes(&self) -> usize {
        let beginnings = self.beginnings.len().saturating_mul(BEGINNING_BYTES);
        beginnings.saturating_add(self.entries.len().saturating_mul(ENTRY_BYTES))
    }

    /// Decodes the payload of an index record that a seal describes.
    pub(crate) fn decode(bytes: &[u8], seal: &Seal) -> Option<Self> {
        let beginning_count =
            usize::try_from(seal.beginning_count).ok().filter(|count| *count <= BEGINNINGS_MAX)?;
        let entry_count =
            usize::try_from(seal.entry_count).ok().filter(|count| *count <= ENTRIES_MAX)?;
        let parsed: IResult<&[u8], _> =
            (count(beginning, beginning_count), count(entry, entry_count)).parse(bytes);
        let (_, (beginnings, entries)) = parsed.ok()?;
        Some(Self { beginnings, entries })
    }
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
        bytes.extend_from_slice(&self.beginning_count.to_le_bytes());
        bytes.extend_from_slice(&self.entry_count.to_le_bytes());
        bytes.extend_from_slice(&self.first_sequence.to_le_bytes());
        bytes.extend_from_slice(&self.last_written_us.to_le_bytes());
        bytes
    }

    /// Decodes the payload of a seal record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], _> =
            ((point, point, le_u32, le_u32), (le_u32, le_u32, le_u32, le_u32, le_u64, le_i64))
                .parse(bytes);
        let (_, ((start, end, start_generation, end_generation), rest)) = parsed.ok()?;
        let (data_end, index, beginning_count, entry_count, first_sequence, last_written_us) = rest;
        Some(Self {
            start,
            start_generation,
            end,
            end_generation,
            data_end: to_offset(data_end),
            index_offset: to_offset(index),
            beginning_count,
            entry_count,
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

fn to_sector(offset: u64) -> u32 {
    u32::try_from(offset / SECTOR_BYTES).unwrap_or(u32::MAX)
}

fn to_offset(sector: u32) -> u64 {
    u64::from(sector).saturating_mul(SECTOR_BYTES)
}

fn put_point(bytes: &mut Vec<u8>, point: Point) {
    bytes.extend_from_slice(&point.objects.to_le_bytes());
    bytes.extend_from_slice(&point.filemarks.to_le_bytes());
    bytes.extend_from_slice(&point.bytes.to_le_bytes());
}

fn point(input: &[u8]) -> IResult<&[u8], Point> {
    let (input, (objects, filemarks, bytes)) = (le_u64, le_u64, le_u64).parse(input)?;
    Ok((input, Point { objects, filemarks, bytes }))
}

fn beginning(input: &[u8]) -> IResult<&[u8], Beginning> {
    let (input, (sector, generation, start)) = (le_u32, le_u32, point).parse(input)?;
    Ok((input, Beginning { offset: to_offset(sector), generation, start }))
}

fn entry(input: &[u8]) -> IResult<&[u8], Entry> {
    let (input, (sector, generation, objects, filemarks)) =
        (le_u32, le_u32, le_u64, le_u64).parse(input)?;
    Ok((input, Entry { offset: to_offset(sector), generation, objects, filemarks }))
}

/// How far apart the entries of an index are.
pub(crate) const INDEX_STRIDE_BYTES: u64 = 64 * 1024;
/// The most that an index may hold; a segment is closed before it has more.
pub(crate) const BEGINNINGS_MAX: usize = 4096;
/// As [`BEGINNINGS_MAX`]; each beginning may cost an entry too.
pub(crate) const ENTRIES_MAX: usize = 65_536;
const BEGINNING_BYTES: usize = 32;
const ENTRY_BYTES: usize = 24;
const SEAL_BYTES: usize = 88;
const SUFFIX: &str = ".seg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_and_indexes_survive_the_round_trip_and_no_cut() {
        let start = Point { objects: 1, filemarks: 2, bytes: 3 };
        let index = Index {
            beginnings: vec![Beginning { offset: 512, generation: 4, start }],
            entries: (0..3)
                .map(|n| Entry { offset: n << 16, generation: 4, objects: n, filemarks: 2 })
                .collect(),
        };
        let seal = Seal {
            start,
            start_generation: 3,
            end: Point { objects: 9, filemarks: 8, bytes: 7 },
            end_generation: 4,
            data_end: 512 * 500,
            index_offset: 4096 * 63,
            beginning_count: 1,
            entry_count: 3,
            first_sequence: 12,
            last_written_us: -5,
        };
        let bytes = seal.encode();
        assert_eq!(bytes.len(), SEAL_BYTES);
        assert_eq!(Seal::decode(&bytes), Some(seal));
        for length in 0..bytes.len() {
            assert_eq!(Seal::decode(&bytes[..length]), None);
        }
        let bytes = index.encode();
        assert_eq!(Index::decode(&bytes, &seal), Some(index));
        for length in 0..bytes.len() {
            assert_eq!(Index::decode(&bytes[..length], &seal), None);
        }
        assert_eq!(Index::decode(&bytes, &Seal { entry_count: u32::MAX, ..seal }), None);
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

    #[test]
    fn an_index_has_one_entry_per_stride_and_generation() {
        let mut index = Index::default();
        for n in 0..1000 {
            index.note(Entry {
                offset: n * 512,
                generation: u32::from(n >= 600),
                objects: n,
                filemarks: 0,
            });
        }
        let offsets: Vec<u64> = index.entries.iter().map(|entry| entry.offset / 512).collect();
        assert_eq!(offsets, [0, 128, 256, 384, 512, 600, 640, 768, 896]);
    }
}
