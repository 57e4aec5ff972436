//! The sparse index of a segment: where to begin to look, and what one can go back to.

use nom::multi::count;
use nom::number::complete::{le_i64, le_u32, le_u64};
use nom::{IResult, Parser};

use super::record::{Place, Point};
use super::segment::{point, put_point, to_offset, to_sector};
use crate::payload::HEADROOM_BYTES;

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
    /// What lies before `start`, if it is not what the tape was until then but what it was at an earlier moment: behind the
    /// last record of that moment.
    pub(crate) base: Option<Place>,
}

/// A moment that one can go back to: a sync point, or filemarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waypoint {
    /// Where its record begins.
    pub(crate) offset: u64,
    pub(crate) generation: u32,
    /// The end of the tape then.
    pub(crate) moment: Point,
    pub(crate) sequence: u64,
    pub(crate) time_us: i64,
    /// Whether it was asked to be durable; else it is a filemark that became so later.
    pub(crate) is_sync: bool,
}

/// What was learnt of a segment while it was written or scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) beginnings: Vec<Beginning>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) waypoints: Vec<Waypoint>,
}

/// How many there are of each part of an index; the seal keeps them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// `<= BEGINNINGS_MAX`
    pub(crate) beginnings: u32,
    /// `<= ENTRIES_MAX`
    pub(crate) entries: u32,
    /// Beginnings with a base; `<= beginnings`
    pub(crate) bases: u32,
    /// `<= WAYPOINTS_MAX`
    pub(crate) waypoints: u32,
}

impl Counts {
    /// How long an index record with so many parts is; never longer than the longest that there can be.
    pub(crate) fn record_bytes(&self) -> usize {
        let bytes = |count: u32, limit: usize, each: usize| {
            usize::try_from(count).unwrap_or(limit).min(limit).saturating_mul(each)
        };
        let payload = bytes(self.beginnings, BEGINNINGS_MAX, 32)
            .saturating_add(bytes(self.entries, ENTRIES_MAX, 24))
            .saturating_add(bytes(self.bases, BEGINNINGS_MAX, 16))
            .saturating_add(bytes(self.waypoints, WAYPOINTS_MAX, 56));
        // The longest header, up to a whole page.
        payload.saturating_add(HEADROOM_BYTES).next_multiple_of(PAGE_SIZE)
    }
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

    /// Notes a moment that one can go back to. Several records of one moment are one waypoint, a sync point if there is one.
    pub(crate) fn note_waypoint(&mut self, waypoint: Waypoint) {
        let is_same = |last: &&mut Waypoint| {
            last.generation == waypoint.generation && last.moment == waypoint.moment
        };
        match self.waypoints.last_mut().filter(is_same) {
            Some(last) if waypoint.is_sync && !last.is_sync => *last = waypoint,
            Some(_) => {}
            None => self.waypoints.push(waypoint),
        }
    }

    /// Whether the segment has to be closed before `margin` more records may be noted.
    pub(crate) fn is_full(&self, margin: usize) -> bool {
        self.entries.len().saturating_add(margin) >= ENTRIES_MAX
            || self.beginnings.len().saturating_add(margin) >= BEGINNINGS_MAX
            || self.waypoints.len().saturating_add(margin) >= WAYPOINTS_MAX
    }

    /// How many there are of each part.
    pub(crate) fn counts(&self) -> Counts {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Counts {
            beginnings: count(self.beginnings.len()),
            entries: count(self.entries.len()),
            bases: count(
                self.beginnings.iter().filter(|beginning| beginning.base.is_some()).count(),
            ),
            waypoints: count(self.waypoints.len()),
        }
    }

    /// The payload of an index record.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
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
        for beginning in &self.beginnings {
            if let Some(base) = beginning.base {
                bytes.extend_from_slice(&to_sector(beginning.offset).to_le_bytes());
                bytes.extend_from_slice(&base.segment.to_le_bytes());
                bytes.extend_from_slice(&to_sector(base.offset).to_le_bytes());
                bytes.extend_from_slice(&[0; 4]);
            }
        }
        for waypoint in &self.waypoints {
            bytes.extend_from_slice(&to_sector(waypoint.offset).to_le_bytes());
            bytes.extend_from_slice(&waypoint.generation.to_le_bytes());
            put_point(&mut bytes, waypoint.moment);
            bytes.extend_from_slice(&waypoint.sequence.to_le_bytes());
            bytes.extend_from_slice(&waypoint.time_us.to_le_bytes());
            bytes.extend_from_slice(&u32::from(waypoint.is_sync).to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes
    }

    /// Decodes the payload of an index record that has these parts.
    pub(crate) fn decode(bytes: &[u8], counts: &Counts) -> Option<Self> {
        let within = |count: u32, limit: usize| usize::try_from(count).ok().filter(|n| *n <= limit);
        let beginnings = within(counts.beginnings, BEGINNINGS_MAX)?;
        let entries = within(counts.entries, ENTRIES_MAX)?;
        let bases = within(counts.bases, beginnings)?;
        let waypoints = within(counts.waypoints, WAYPOINTS_MAX)?;
        let parsed: IResult<&[u8], _> = (
            count(beginning, beginnings),
            count(entry, entries),
            count(base, bases),
            count(waypoint, waypoints),
        )
            .parse(bytes);
        let (_, (mut beginnings, entries, bases, waypoints)) = parsed.ok()?;
        for (offset, place) in bases {
            beginnings.iter_mut().find(|beginning| beginning.offset == offset)?.base = Some(place);
        }
        Some(Self { beginnings, entries, waypoints })
    }
}

fn beginning(input: &[u8]) -> IResult<&[u8], Beginning> {
    let (input, (sector, generation, start)) = (le_u32, le_u32, point).parse(input)?;
    Ok((input, Beginning { offset: to_offset(sector), generation, start, base: None }))
}

fn entry(input: &[u8]) -> IResult<&[u8], Entry> {
    let (input, (sector, generation, objects, filemarks)) =
        (le_u32, le_u32, le_u64, le_u64).parse(input)?;
    Ok((input, Entry { offset: to_offset(sector), generation, objects, filemarks }))
}

/// Where a generation began, and its base.
fn base(input: &[u8]) -> IResult<&[u8], (u64, Place)> {
    let (input, (sector, segment, base, _)) = (le_u32, le_u32, le_u32, le_u32).parse(input)?;
    Ok((input, (to_offset(sector), Place { segment, offset: to_offset(base) })))
}

fn waypoint(input: &[u8]) -> IResult<&[u8], Waypoint> {
    let (input, (sector, generation, moment)) = (le_u32, le_u32, point).parse(input)?;
    let (input, (sequence, time_us, flags, _)) = (le_u64, le_i64, le_u32, le_u32).parse(input)?;
    let is_sync = flags & 1 != 0;
    let offset = to_offset(sector);
    Ok((input, Waypoint { offset, generation, moment, sequence, time_us, is_sync }))
}

const PAGE_SIZE: usize = 4096;
/// How far apart the entries of an index are.
pub(crate) const INDEX_STRIDE_BYTES: u64 = 64 * 1024;
/// The most that an index may hold; a segment is closed before it has more.
pub(crate) const BEGINNINGS_MAX: usize = 4096;
/// As [`BEGINNINGS_MAX`]; each beginning may cost an entry too.
pub(crate) const ENTRIES_MAX: usize = 65_536;
/// As [`BEGINNINGS_MAX`]; a segment with that many sync points is closed early.
pub(crate) const WAYPOINTS_MAX: usize = 16_384;
/// What one waypoint takes of an index.
pub(crate) const WAYPOINT_BYTES: u64 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let start = Point { objects: 1, filemarks: 2, bytes: 3 };
        let base = Some(Place { segment: 1, offset: 512 * 8 });
        Index {
            beginnings: vec![
                Beginning { offset: 512, generation: 4, start, base: None },
                Beginning { offset: 1024, generation: 5, start, base },
            ],
            entries: (0..3)
                .map(|n| Entry { offset: n << 16, generation: 4, objects: n, filemarks: 2 })
                .collect(),
            waypoints: vec![Waypoint {
                offset: 2048,
                generation: 4,
                moment: start,
                sequence: 99,
                time_us: -7,
                is_sync: true,
            }],
        }
    }

    #[test]
    fn an_index_survives_the_round_trip_and_no_cut() {
        let (index, counts) = (index(), index().counts());
        let bytes = index.encode();
        assert_eq!(bytes.len(), 2 * 32 + 3 * 24 + 16 + 56);
        assert_eq!(Index::decode(&bytes, &counts), Some(index));
        for length in 0..bytes.len() {
            assert_eq!(Index::decode(&bytes[..length], &counts), None);
        }
        assert_eq!(Index::decode(&bytes, &Counts { entries: u32::MAX, ..counts }), None);
        assert_eq!(Index::decode(&bytes, &Counts { bases: 3, ..counts }), None);
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

    #[test]
    fn filemarks_and_the_sync_point_behind_them_are_one_waypoint() {
        let mut index = Index::default();
        let [first] = index_waypoint();
        index.note_waypoint(Waypoint { is_sync: false, ..first });
        index.note_waypoint(Waypoint { offset: 4096, ..first });
        index.note_waypoint(Waypoint { offset: 8192, ..first });
        index.note_waypoint(Waypoint { offset: 9216, generation: 5, ..first });
        let offsets: Vec<u64> = index.waypoints.iter().map(|waypoint| waypoint.offset).collect();
        assert_eq!(offsets, [4096, 9216]);
    }

    fn index_waypoint() -> [Waypoint; 1] {
        [index().waypoints[0]]
    }
}
