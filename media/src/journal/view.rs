//! The live view: which records of the journal make up the tape as it is now.

use std::collections::BTreeSet;
use std::ops::Range;

use super::index::{Beginning, Counts, Entry, Index, Waypoint};
pub(crate) use super::lineage::Extent;
use super::lineage::{Begun, Lineage, begin};
use super::record::{Header, Kind, Place, Point};
use super::segment::Seal;

/// What an object is looked for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// The object with this number.
    Object(u64),
    /// The filemark that has this many filemarks before it.
    Filemark(u64),
}

impl Key {
    /// Whether what is looked for lies at or behind a moment.
    pub(crate) fn is_at_or_behind(self, objects: u64, filemarks: u64) -> bool {
        match self {
            Self::Object(number) => objects <= number,
            Self::Filemark(number) => filemarks <= number,
        }
    }

    /// Whether what is looked for lies before a moment.
    pub(crate) fn is_before(self, point: Point) -> bool {
        !self.is_at_or_behind(point.objects, point.filemarks)
    }
}

/// One segment, as far as it has to be known at all times.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u32,
    /// The number of its first record; 0 if that is not known.
    pub(crate) first_sequence: u64,
    /// The number of the last one before its index, once it is closed.
    pub(crate) last_sequence: Option<u64>,
    /// The moment at the segment's beginning, when it was begun.
    pub(crate) start: Point,
    /// Bytes of whole records.
    pub(crate) data_end: u64,
    pub(crate) home: IndexHome,
}

/// Where a segment's index is.
#[derive(Debug)]
pub(crate) enum IndexHome {
    /// Not sealed.
    Memory(Box<Index>),
    /// In the segment, as its seal says.
    Disk { offset: u64, counts: Counts },
}

/// All segments, and the extents that are live.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// In the order of their numbers.
    rows: Vec<Row>,
    /// In the order of their objects.
    extents: Vec<Extent>,
    lineage: Lineage,
    /// Segments before this one belong to the cartridge that this one was made from.
    first_own: u32,
}

impl View {
    /// The moment behind the last live object.
    pub(crate) fn end(&self) -> Point {
        self.extents.last().map_or_else(Point::default, |extent| extent.end)
    }

    /// The generation that is written now.
    pub(crate) fn generation(&self) -> u32 {
        self.extents.last().map_or(0, |extent| extent.generation)
    }

    /// The object at which that generation began.
    pub(crate) fn generation_start(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.start.objects)
    }

    /// Whether that generation began by going back.
    pub(crate) fn is_reverted(&self) -> bool {
        self.lineage.beginnings().last().is_some_and(|begun| begun.base.is_some())
    }

    /// The cartridge's own segments' data in bytes.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.own_rows().map(|row| row.data_end).fold(0, u64::saturating_add)
    }

    /// Bytes of own segments in which nothing is live, but for the last one, which stays in any case.
    pub(crate) fn undo_bytes(&self) -> u64 {
        let mut live = self.runs_of(&self.extents);
        live.push(self.rows.len().saturating_sub(1)..self.rows.len());
        live.sort_unstable_by_key(|run| run.start);
        let (mut at, mut bytes) = (self.rows.partition_point(|r| r.number < self.first_own), 0_u64);
        for run in live {
            let dead = self.rows.get(at..run.start).unwrap_or_default();
            bytes = dead.iter().map(|row| row.data_end).fold(bytes, u64::saturating_add);
            at = at.max(run.end);
        }
        bytes
    }

    /// Bytes between the first and the last record of what is live: what it takes on the disk, with headers, and with what was
    /// overwritten in its midst.
    pub(crate) fn live_bytes(&self) -> u64 {
        let of = |extent: &Extent| {
            let rows = self.rows.iter().skip_while(|row| row.number < extent.from.segment);
            rows.take_while(|row| row.number <= extent.until.segment)
                .map(|row| {
                    let is_first = row.number == extent.from.segment;
                    let is_last = row.number == extent.until.segment;
                    let until = if is_last { extent.until.offset } else { row.data_end };
                    until.saturating_sub(if is_first { extent.from.offset } else { 0 })
                })
                .fold(0, u64::saturating_add)
        };
        self.extents.iter().map(of).fold(0, u64::saturating_add)
    }

    /// From here on, segments are the cartridge's own.
    pub(crate) fn begin_own(&mut self, first: u32) {
        self.first_own = first;
    }

    /// Makes room for so many segments, and for no more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.rows.reserve_exact(count);
    }

    /// The cartridge's own segments.
    pub(crate) fn own_rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.number >= self.first_own)
    }

    /// All segments.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Forgets segments that have been removed.
    pub(crate) fn remove(&mut self, gone: &BTreeSet<u32>) {
        self.rows.retain(|row| !gone.contains(&row.number));
    }

    /// Which generation began where.
    pub(crate) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The extents that are live now.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The segments that hold objects of these extents.
    pub(crate) fn segments_of(&self, extents: &[Extent]) -> BTreeSet<u32> {
        let runs = self.runs_of(extents);
        let rows = runs.into_iter().filter_map(|run| self.rows.get(run)).flatten();
        rows.map(|row| row.number).collect()
    }

    /// The same as runs of rows, one for each extent: the segments themselves may be many.
    fn runs_of(&self, extents: &[Extent]) -> Vec<Range<usize>> {
        let run_of = |extent: &Extent| {
            let (first, end) = self.span(extent);
            let rows = self.rows.get(first..end).unwrap_or_default();
            let live = rows.partition_point(|row| {
                row.number == extent.from.segment || row.start.objects < extent.end.objects
            });
            first..first.saturating_add(live)
        };
        extents.iter().map(run_of).collect()
    }

    /// From which row to which one an extent goes.
    fn span(&self, extent: &Extent) -> (usize, usize) {
        let first = self.rows.partition_point(|row| row.number < extent.from.segment);
        let end = self.rows.partition_point(|row| row.number <= extent.until.segment);
        (first, end.max(first))
    }

    /// Adds a segment that is about to be written or scanned.
    pub(crate) fn begin_segment(&mut self, number: u32, first_sequence: u64) {
        let row = Row {
            number,
            first_sequence,
            last_sequence: None,
            start: self.end(),
            data_end: 0,
            home: IndexHome::Memory(Box::default()),
        };
        self.rows.push(row);
    }

    /// Takes in one record of the last segment, whole and in its place.
    pub(crate) fn append(&mut self, header: &Header) {
        let until = Place {
            offset: header.place.offset.saturating_add(header.record_bytes()),
            ..header.place
        };
        if header.generation != self.generation()
            || header.kind == Kind::GENERATION
            || self.extents.is_empty()
        {
            self.begin(&beginning_of(header));
        }
        if let Some(extent) = self.extents.last_mut() {
            extent.until = until;
            if header.has_objects() {
                extent.end = header.end();
            }
        }
        if let Some(index) = self.open_index().filter(|_| header.has_objects()) {
            let Point { objects, filemarks, .. } = header.start;
            index.note(Entry {
                offset: header.place.offset,
                generation: header.generation,
                objects,
                filemarks,
            });
        }
        if let Some(index) = self.open_index()
            && matches!(header.kind, Kind::SYNC_POINT | Kind::FILEMARKS)
        {
            index.note_waypoint(Waypoint {
                offset: header.place.offset,
                generation: header.generation,
                moment: header.end(),
                sequence: header.sequence,
                time_us: header.time_us,
                is_sync: header.kind == Kind::SYNC_POINT,
            });
        }
        if let Some(row) = self.rows.last_mut() {
            row.data_end = until.offset;
        }
    }

    /// Takes in a whole sealed segment; its seal is the record `sequence`.
    pub(crate) fn append_sealed(
        &mut self,
        number: u32,
        seal: &Seal,
        sequence: u64,
        beginnings: &[Beginning],
    ) {
        let home = IndexHome::Disk { offset: seal.index_offset, counts: seal.counts };
        let first_sequence = seal.first_sequence;
        let (start, data_end) = (seal.start, seal.data_end);
        let last_sequence = Some(sequence.saturating_sub(CLOSING_RECORDS));
        self.rows.push(Row { number, first_sequence, last_sequence, start, data_end, home });
        // Where the beginning itself is not there any more, the first segment that has something of the generation tells.
        if self.extents.is_empty() || self.generation() != seal.start_generation {
            let place = Place { segment: number, offset: 0 };
            let (generation, start) = (seal.start_generation, seal.start);
            self.note_begun(&Begun { place, generation, start, base: None });
        }
        for beginning in beginnings {
            let place = Place { segment: number, offset: beginning.offset };
            let Beginning { generation, start, base, .. } = *beginning;
            self.note_begun(&Begun { place, generation, start, base });
        }
        if let Some(extent) = self.extents.last_mut() {
            extent.until = Place { segment: number, offset: seal.data_end };
            extent.end = seal.end;
        }
    }

    /// What there is to write into the index of the last segment; `None` if it is sealed.
    pub(crate) fn last_index(&self) -> Option<(&Row, &Index)> {
        let row = self.rows.last()?;
        match &row.home {
            IndexHome::Memory(index) => Some((row, index)),
            IndexHome::Disk { .. } => None,
        }
    }

    /// The last segment's index is in the file now, and its seal is the record `sequence`.
    pub(crate) fn note_sealed(&mut self, seal: &Seal, sequence: u64) {
        if let Some(row) = self.rows.last_mut() {
            row.last_sequence = Some(sequence.saturating_sub(CLOSING_RECORDS));
            row.home = IndexHome::Disk { offset: seal.index_offset, counts: seal.counts };
        }
    }

    /// The extent that holds what is looked for, and the segment in which to begin.
    pub(crate) fn search(&self, key: Key) -> Option<(Extent, &Row)> {
        let count = self
            .extents
            .partition_point(|e| key.is_at_or_behind(e.start.objects, e.start.filemarks));
        let extent = *self.extents.get(count.checked_sub(1)?)?;
        if !key.is_before(extent.end) {
            return None;
        }
        let (first, last) = self.span(&extent);
        let later = self.rows.get(first.saturating_add(1)..last).unwrap_or_default();
        let ahead = later
            .partition_point(|row| key.is_at_or_behind(row.start.objects, row.start.filemarks));
        Some((extent, self.rows.get(first.saturating_add(ahead))?))
    }

    /// One segment.
    pub(crate) fn row(&self, number: u32) -> Option<&Row> {
        let row = self.rows.get(self.rows.partition_point(|row| row.number < number))?;
        (row.number == number).then_some(row)
    }

    /// The first segment behind this number.
    pub(crate) fn row_after(&self, number: u32) -> Option<&Row> {
        self.rows.get(self.rows.partition_point(|row| row.number <= number))
    }

    fn begin(&mut self, beginning: &Beginning) {
        let segment = self.rows.last().map_or(0, |row| row.number);
        let Beginning { offset, generation, start, base } = *beginning;
        let is_first = self.extents.is_empty() && generation == 0 && base.is_none();
        self.note_begun(&Begun { place: Place { segment, offset }, generation, start, base });
        if let Some(Index { beginnings, .. }) = self.open_index().filter(|_| !is_first) {
            beginnings.push(*beginning);
        }
    }

    fn note_begun(&mut self, begun: &Begun) {
        if let Some(base) = begun.base {
            self.extents = self.lineage.extents_at(base, begun.start);
        }
        begin(&mut self.extents, begun);
        self.lineage.note(*begun);
    }

    fn open_index(&mut self) -> Option<&mut Index> {
        match self.rows.last_mut().map(|row| &mut row.home) {
            Some(IndexHome::Memory(index)) => Some(index),
            Some(IndexHome::Disk { .. }) | None => None,
        }
    }
}

/// Index and seal.
const CLOSING_RECORDS: u64 = 2;

/// The beginning that a record tells of: its own, or that of its generation if that was lost.
fn beginning_of(header: &Header) -> Beginning {
    let Header { place, generation, .. } = *header;
    let base = header.is_reverted().then(|| match header.kind {
        Kind::GENERATION => header.base(),
        _ => Place::default(),
    });
    let start = if header.start.objects == header.generation_start {
        header.start
    } else {
        // Filemarks and bytes are not known there; those of the record that is left are the nearest that are.
        Point { objects: header.generation_start, ..header.start }
    };
    Beginning { offset: place.offset, generation, start, base }
}

/// Where in one segment to begin to walk: the last indexed record of the extent that is not behind what is looked for.
pub(crate) fn starting_offset(index: &Index, extent: &Extent, segment: u32, key: Key) -> u64 {
    let low = if segment == extent.from.segment { extent.from.offset } else { 0 };
    let high = if segment == extent.until.segment { extent.until.offset } else { u64::MAX };
    let first = index.entries.partition_point(|entry| entry.offset < low);
    let last = index.entries.partition_point(|entry| entry.offset < high);
    let entries = index.entries.get(first..last).unwrap_or_default();
    let count =
        entries.partition_point(|entry| key.is_at_or_behind(entry.objects, entry.filemarks));
    count.checked_sub(1).and_then(|at| entries.get(at)).map_or(low, |entry| entry.offset)
}
