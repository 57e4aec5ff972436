//! Finding and reading the records that hold live objects.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::codec::Decoder;
use super::file::{SegmentReader, is_bad_sector};
use super::index::{Counts, Index};
use super::layers::Layers;
use super::record::{Header, Kind, Place, SECTOR_BYTES};
use super::view::{Extent, IndexHome, Key, View, starting_offset};
use crate::disk::Disk;

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The record that holds it, and the object behind the last one of it that is live.
    Record(Header, u64),
    /// It was there, and cannot be found; the next record that can be.
    Lost(Option<Header>),
    /// There is no such object.
    Nothing,
}

/// Where the record behind the last one that was found begins.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// Where the extent of that record begins.
    from: Place,
    place: Place,
    /// The object that is to be found there.
    objects: u64,
}

/// Reads one cartridge's live objects.
#[derive(Debug)]
pub(crate) struct Reader {
    segments: SegmentReader,
    view: Arc<Mutex<View>>,
    /// The one that was used last is at the end.
    // Invariant: at least one, or all of them together have at most INDEX_PARTS_MAX parts
    indexes: VecDeque<(u32, Arc<Index>)>,
    cursor: Option<Cursor>,
    decoder: Decoder,
}

impl Reader {
    /// A reader of what `view` says.
    pub(crate) fn new(disk: Arc<dyn Disk>, layers: Arc<Layers>, view: Arc<Mutex<View>>) -> Self {
        let segments = SegmentReader::new(disk, layers);
        let decoder = Decoder::default();
        Self { segments, view, indexes: VecDeque::new(), cursor: None, decoder }
    }

    /// Reads little more than it is asked for, from now on.
    pub(crate) fn keep_close(&mut self) {
        self.segments.keep_close();
    }

    /// Another reader of the same cartridge, for another thread.
    pub(crate) fn another(&self) -> Self {
        Self {
            segments: self.segments.another(),
            view: Arc::clone(&self.view),
            indexes: VecDeque::new(),
            cursor: None,
            decoder: Decoder::default(),
        }
    }

    /// Finds the record that holds an object or filemark.
    pub(crate) fn find(&mut self, key: Key) -> io::Result<Found> {
        let Some((extent, start)) = self.start_of(key)? else { return Ok(Found::Nothing) };
        let found = self.walk(&extent, start, key)?;
        if let Found::Record(header, _) = &found {
            let offset = header.place.offset.saturating_add(header.record_bytes());
            let place = Place { offset, ..header.place };
            self.cursor = Some(Cursor { from: extent.from, place, objects: header.end().objects });
        }
        Ok(found)
    }

    /// The data of a record; `None` if it is damaged.
    pub(crate) fn data(&mut self, header: &Header) -> io::Result<Option<Bytes>> {
        if let Some(data) = self.data_at(header)? {
            return Ok(Some(data));
        }
        // A write that failed was done again further on, and what it left here may begin like the real record.
        let mut place = header.place;
        let reach = header.record_bytes().saturating_mul(2).saturating_add(REPEAT_BYTES);
        let limit = self.data_end(place.segment).min(place.offset.saturating_add(reach));
        while place.offset.saturating_add(SECTOR_BYTES) < limit {
            place.offset = place.offset.saturating_add(SECTOR_BYTES);
            if let Ok(other) = self.segments.header(place, limit)?
                && other.sequence == header.sequence
            {
                return self.data_at(&other);
            }
        }
        Ok(None)
    }

    fn data_at(&mut self, header: &Header) -> io::Result<Option<Bytes>> {
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let limit = self.data_end(header.place.segment);
        let bytes = match self.segments.bytes(header.place, length, limit) {
            Ok(bytes) => bytes,
            Err(error) if is_bad_sector(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(header.checked_data(&bytes, &mut self.decoder))
    }

    /// How far a segment has been written.
    fn data_end(&self, segment: u32) -> u64 {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.row(segment).map_or(0, |row| row.data_end)
    }

    /// Forgets where it was; to be called when objects have been given up.
    pub(crate) fn forget(&mut self) {
        self.cursor = None;
    }

    /// Forgets the same and gives back its memory: who writes needs memory elsewhere.
    pub(crate) fn release(&mut self) {
        self.forget();
        self.segments.release();
        self.decoder.release();
    }

    /// The extent and the place from which to walk to an object.
    fn start_of(&mut self, key: Key) -> io::Result<Option<(Extent, Place)>> {
        let view = Arc::clone(&self.view);
        let view = view.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((extent, row)) = view.search(key) else { return Ok(None) };
        if let Some(cursor) = self.cursor
            && cursor.from == extent.from
            && key == Key::Object(cursor.objects)
        {
            return Ok(Some((extent, cursor.place)));
        }
        let number = row.number;
        let place_of = |index: &Index| Place {
            segment: number,
            offset: starting_offset(index, &extent, number, key),
        };
        let start = match &row.home {
            IndexHome::Memory(index) => place_of(index),
            IndexHome::Disk { offset, counts } => {
                let (place, counts) = (Place { segment: number, offset: *offset }, *counts);
                drop(view);
                place_of(self.index(place, &counts)?.as_ref())
            }
        };
        Ok(Some((extent, start)))
    }

    /// Walks records until what is looked for is found or passed.
    fn walk(&mut self, extent: &Extent, start: Place, key: Key) -> io::Result<Found> {
        let mut place = start;
        let mut has_gap = false;
        while let Some((limit, next_segment)) = self.bounds(extent, place) {
            if place.offset >= limit {
                let Some(segment) = next_segment else { break };
                place = Place { segment, offset: 0 };
                continue;
            }
            let Ok(header) = self.segments.header(place, limit)? else {
                has_gap = true;
                // A file may be shorter than the summary of the segments says.
                let is_cut = place.offset >= self.segments.length_bytes(place.segment)?;
                let next = place.offset.saturating_add(SECTOR_BYTES);
                place.offset = if is_cut { limit } else { next };
                continue;
            };
            let is_candidate = header.has_objects() && header.generation == extent.generation;
            if is_candidate && key.is_before(header.end()) {
                if key.is_at_or_behind(header.start.objects, header.start.filemarks) {
                    let end = header.end().objects.min(extent.end.objects);
                    return Ok(Found::Record(header, end));
                }
                return Ok(Found::Lost(Some(header)));
            }
            place.offset = place.offset.saturating_add(header.record_bytes());
        }
        tracing::debug!(place = ?start, ?key, has_gap, "a live object cannot be found");
        Ok(Found::Lost(None))
    }

    /// Where the records of an extent end in the segment of `place`, and the segment behind it.
    fn bounds(&self, extent: &Extent, place: Place) -> Option<(u64, Option<u32>)> {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if place.segment > extent.until.segment {
            return None;
        }
        let data_end = view.row(place.segment).map_or(0, |row| row.data_end);
        let limit = if place.segment == extent.until.segment {
            extent.until.offset.min(data_end)
        } else {
            data_end
        };
        let next = view
            .row_after(place.segment)
            .map(|row| row.number)
            .filter(|next| *next <= extent.until.segment);
        Some((limit, next))
    }

    /// A sealed segment's index, from memory or from the disk. A damaged one is empty: then the whole segment is walked.
    pub(crate) fn index(&mut self, place: Place, counts: &Counts) -> io::Result<Arc<Index>> {
        let cached = self.indexes.iter().rposition(|(number, _)| *number == place.segment);
        if let Some(entry) = cached.and_then(|at| self.indexes.remove(at)) {
            let index = Arc::clone(&entry.1);
            self.indexes.push_back(entry);
            return Ok(index);
        }
        let index = read_index(&mut self.segments, place, counts)?.unwrap_or_else(|| {
            let cartridge = self.segments.layers().cartridge_of(place.segment);
            tracing::warn!(%cartridge, segment = place.segment, "the index of a segment is damaged");
            Index::default()
        });
        // Only what finds objects; the rest is asked for by whoever looks at the history, and read again then.
        let index = Arc::new(Index { entries: index.entries, ..Index::default() });
        self.indexes.push_back((place.segment, Arc::clone(&index)));
        let parts = |indexes: &VecDeque<(u32, Arc<Index>)>| -> usize {
            indexes.iter().map(|(_, index)| index.entries.len().saturating_add(INDEX_PARTS)).sum()
        };
        while self.indexes.len() > 1 && parts(&self.indexes) > INDEX_PARTS_MAX {
            self.indexes.pop_front();
        }
        Ok(index)
    }
}

impl SegmentReader {
    /// What the index of a segment would say of it, from its records.
    pub(crate) fn walk_index(&mut self, segment: u32, end: u64) -> io::Result<Index> {
        let mut view = View::default();
        view.begin_segment(segment, 0);
        let mut place = Place { segment, offset: 0 };
        while place.offset < end {
            match self.header(place, end)? {
                Ok(header) => {
                    view.append(&header);
                    place = header.behind();
                }
                Err(_) => place.offset = place.offset.saturating_add(SECTOR_BYTES),
            }
        }
        Ok(view.last_index().map(|(_, index)| index.clone()).unwrap_or_default())
    }
}

/// Reads the index record at a place; `None` if it is damaged.
pub(crate) fn read_index(
    segments: &mut SegmentReader,
    place: Place,
    counts: &Counts,
) -> io::Result<Option<Index>> {
    let payload = segments.beside_records(|segments| {
        // All of it at once; what is read after that is in memory.
        match segments.bytes(place, counts.record_bytes(), u64::MAX) {
            Ok(_) => read_payload(segments, place, Kind::INDEX),
            Err(error) if is_bad_sector(&error) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    Ok(payload.and_then(|(_, payload)| Index::decode(&payload, counts)))
}

/// A record that is not data, with its stored payload; `None` if it is damaged or of another kind.
pub(crate) fn read_payload(
    segments: &mut SegmentReader,
    place: Place,
    kind: Kind,
) -> io::Result<Option<(Header, Bytes)>> {
    let header = match segments.header(place, u64::MAX)? {
        Ok(header) if header.kind == kind => header,
        Ok(_) | Err(_) => return Ok(None),
    };
    let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
    let bytes = match segments.bytes(place, length, u64::MAX) {
        Ok(bytes) => bytes,
        Err(error) if is_bad_sector(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let start = usize::from(header.payload_offset);
    let end = start.saturating_add(usize::try_from(header.stored_length).unwrap_or(usize::MAX));
    let is_whole = bytes.len() == length
        && crc32c::crc32c(bytes.get(super::record::HEADER_BYTES..).unwrap_or_default())
            == header.body_crc;
    Ok((is_whole && end <= bytes.len()).then(|| (header, bytes.slice(start..end))))
}

/// How many entries of sealed segments' indexes are kept in memory, 32 bytes each: 8 MiB, or all indexes of 64 GiB in blocks of 64 KiB.
const INDEX_PARTS_MAX: usize = 256 * 1024;
/// What an index costs beside its entries, in entries.
const INDEX_PARTS: usize = 8;
/// How much one write may hold, and so how far behind a failed one its repetition may be, beside a long record.
const REPEAT_BYTES: u64 = 5 * 1024 * 1024;
