//! Reading everything back: each record of each segment, live or only kept for undo.
//!
//! A [`Verifier`] looks at the cartridge as it was when it was made; the cartridge may be written on meanwhile. It goes a
//! step at a time, so that whoever drives it decides how fast, and can be taken up where it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::side_check::{Checked, check_alongside};
use super::{Cartridge, MediumError};
use crate::journal::{
    Counts, Decoder, Extent, HEADER_BYTES, Header, IndexHome, Kind, Layers, PAGE_BYTES, Place,
    SECTOR_BYTES, SegmentReader, is_bad_sector, read_index, read_payload,
};

/// What reading a cartridge back has shown so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Bytes that were read.
    pub bytes: u64,
    /// Records that were checked.
    pub records: u64,
    /// Live objects that cannot be read: runs, both ends included.
    pub damaged: Vec<(u64, u64)>,
    /// Records that cannot be read, whether they are live or only kept for undo.
    pub damaged_records: u64,
    /// Segments whose index or seal is damaged. Their objects are found without it, more slowly.
    pub damaged_indexes: Vec<u32>,
    /// Segments that are missing.
    pub missing_segments: Vec<u32>,
    /// Whether records are missing at the end.
    pub is_end_missing: bool,
    /// Whether one of the two labels is damaged; it is written again with the next load.
    pub is_label_damaged: bool,
    /// Whether everything was read from the disk, and nothing from a cache.
    pub is_direct: bool,
    /// What was found in the partitions behind the first one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Verified>,
}

/// Where a verification was, so that another program can go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The label that it began with: if it has been written since, one begins anew.
    label_sequence: u64,
    /// How many segments are done.
    rows: usize,
    next: Vec<u64>,
    sequence: Option<u64>,
    so_far: Verified,
}

/// Reads a cartridge back.
#[derive(Debug)]
pub struct Verifier {
    layers: Arc<Layers>,
    segments: SegmentReader,
    decoder: Decoder,
    rows: Vec<Row>,
    extents: Vec<Extent>,
    label_sequence: u64,
    /// Whether all own segments should have been closed.
    is_closed: bool,
    /// The first object of each extent that has not been seen yet.
    next: Vec<u64>,
    /// Which row, and where in it.
    at: usize,
    offset: u64,
    /// The record before; `None` where any number may follow.
    sequence: Option<u64>,
    /// Broken records that may stand again further on, and are damage if they do not.
    pending: Vec<u64>,
    /// So many whole records have to come before anything is read ahead again.
    doubts: u32,
    so_far: Verified,
    /// Those of the other partitions, which come behind this one.
    others: Vec<Verifier>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    number: u32,
    /// The number of its first record; 0 if that is not known.
    first_sequence: u64,
    last_sequence: Option<u64>,
    end: u64,
    index: Option<(u64, Counts)>,
}

impl Verified {
    /// How many live objects are damaged.
    pub fn damaged_objects(&self) -> u64 {
        let runs = self.damaged.iter();
        let own = runs.map(|(first, last)| last.saturating_sub(*first).saturating_add(1));
        own.chain(self.partitions.iter().map(Self::damaged_objects)).fold(0, u64::saturating_add)
    }

    /// Whether there is nothing to complain about.
    pub fn is_good(&self) -> bool {
        self.damaged.is_empty()
            && self.damaged_records == 0
            && self.damaged_indexes.is_empty()
            && self.missing_segments.is_empty()
            && !self.is_end_missing
            && !self.is_label_damaged
            && self.partitions.iter().all(Self::is_good)
    }
}

impl Cartridge {
    /// Something that reads all of this cartridge back, from where `checkpoint` was if that still fits.
    pub fn verifier(&self, checkpoint: Option<Checkpoint>) -> Verifier {
        let view = self.view();
        let rows: Vec<Row> = view
            .rows()
            .iter()
            .map(|row| {
                let index = match &row.home {
                    IndexHome::Disk { offset, counts } => Some((*offset, *counts)),
                    IndexHome::Memory(_) => None,
                };
                Row {
                    number: row.number,
                    first_sequence: row.first_sequence,
                    last_sequence: row.last_sequence,
                    end: row.data_end,
                    index,
                }
            })
            .collect();
        let extents = view.extents().to_vec();
        drop(view);
        let mut verifier = Verifier {
            layers: Arc::clone(&self.layers),
            segments: self.own_reader(),
            decoder: Decoder::default(),
            rows,
            next: extents.iter().map(|extent| extent.start.objects).collect(),
            extents,
            label_sequence: self.label.sequence,
            is_closed: self.label.is_clean && self.options.at.is_none(),
            at: 0,
            offset: 0,
            sequence: None,
            pending: Vec::new(),
            doubts: 0,
            others: Vec::new(),
            so_far: Verified {
                missing_segments: self.missing_segments.clone(),
                is_end_missing: self.is_journal_short,
                is_label_damaged: self.label.is_single_copy,
                is_direct: true,
                ..Verified::default()
            },
        };
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| verifier.fits(checkpoint)) {
            verifier.at = checkpoint.rows;
            verifier.next = checkpoint.next;
            verifier.sequence = checkpoint.sequence;
            verifier.so_far = checkpoint.so_far;
        }
        verifier
    }
}

impl Cartridge {
    /// Whether a checkpoint is one of this state of this cartridge.
    pub fn fits(&self, checkpoint: &Checkpoint) -> bool {
        self.verifier(None).fits(checkpoint)
    }
}

impl Verifier {
    /// How many bytes there are to be read in all, about.
    pub fn total_bytes(&self) -> u64 {
        let own = self.rows.iter().map(|row| row.end);
        own.chain(self.others.iter().map(Self::total_bytes)).fold(0, u64::saturating_add)
    }

    /// How many bytes have been read.
    pub fn done_bytes(&self) -> u64 {
        let others = self.others.iter().map(Self::done_bytes);
        others.fold(self.so_far.bytes, u64::saturating_add)
    }

    /// Other partitions are read behind this one. They are read from the beginning if the program ends meanwhile.
    pub(super) fn with_partitions(mut self, others: Vec<Self>) -> Self {
        self.others = others;
        self
    }

    /// What has been seen so far.
    pub fn so_far(&self) -> &Verified {
        &self.so_far
    }

    /// Where to go on later; it tells of whole segments only.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        (self.offset == 0).then(|| Checkpoint {
            label_sequence: self.label_sequence,
            rows: self.at,
            next: self.next.clone(),
            sequence: self.sequence,
            so_far: self.so_far.clone(),
        })
    }

    /// Reads about so many bytes more. `false` when everything has been read; an error if the disk fails altogether.
    pub fn step(&mut self, bytes: u64) -> Result<bool, MediumError> {
        let until = self.so_far.bytes.saturating_add(bytes);
        while self.so_far.bytes < until {
            let Some(row) = self.rows.get(self.at).copied() else {
                return self.step_others(bytes);
            };
            if self.offset == 0 && !self.begin_row(row)? {
                continue;
            }
            if self.offset >= row.end {
                self.end_row(row)?;
                // A place to note how far it is.
                break;
            }
            let wanted = until.saturating_sub(self.so_far.bytes);
            if self.doubts > 0 || !self.run(row, wanted) {
                self.record(Place { segment: row.number, offset: self.offset }, row.end)?;
            }
        }
        Ok(true)
    }

    fn step_others(&mut self, bytes: u64) -> Result<bool, MediumError> {
        for other in &mut self.others {
            if other.step(bytes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads records that follow each other, about so many bytes, while another thread checks them. `false` where there is none:
    /// what is there instead, an error of the disk too, has to be looked at closely.
    fn run(&mut self, row: Row, wanted: u64) -> bool {
        let place = Place { segment: row.number, offset: self.offset };
        let until = self.offset.saturating_add(wanted);
        let checked = check_alongside(&mut self.segments, place, until, row.end);
        for Checked { header, is_whole } in &checked {
            self.settle(header, *is_whole);
        }
        !checked.is_empty()
    }

    /// The result, once everything has been read.
    pub fn finish(mut self) -> Verified {
        self.settle_pending();
        for (extent, next) in self.extents.iter().zip(&self.next) {
            if *next < extent.end.objects {
                add_run(&mut self.so_far.damaged, *next, extent.end.objects.saturating_sub(1));
            }
        }
        self.so_far.partitions = self.others.into_iter().map(Self::finish).collect();
        for other in &self.so_far.partitions {
            self.so_far.bytes = self.so_far.bytes.saturating_add(other.bytes);
            self.so_far.is_direct &= other.is_direct;
        }
        self.so_far
    }

    fn fits(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.label_sequence == self.label_sequence
            && checkpoint.rows <= self.rows.len()
            && checkpoint.next.len() == self.extents.len()
    }

    /// `false` if the segment cannot be read at all.
    fn begin_row(&mut self, row: Row) -> Result<bool, MediumError> {
        let before = self.at.checked_sub(1).and_then(|at| self.rows.get(at));
        if before.is_none_or(|before| before.number.saturating_add(1) != row.number) {
            self.sequence = row.first_sequence.checked_sub(1);
        }
        match self.segments.read_past_caches(row.number) {
            Ok(is_direct) => {
                self.so_far.is_direct &= is_direct;
                Ok(true)
            }
            // It was there when the cartridge was opened.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !self.layers.is_pruned(row.number) {
                    self.so_far.missing_segments.push(row.number);
                }
                self.at = self.at.saturating_add(1);
                self.sequence = None;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn end_row(&mut self, row: Row) -> Result<(), MediumError> {
        if let (Some(last), Some(sequence)) = (row.last_sequence, self.sequence) {
            let missing = last.saturating_sub(sequence);
            self.pending.retain(|broken| *broken > last);
            self.so_far.damaged_records = self.so_far.damaged_records.saturating_add(missing);
            self.sequence = Some(last.max(sequence));
        }
        if let Some((offset, counts)) = row.index {
            if !self.is_closing_whole(Place { segment: row.number, offset }, &counts)? {
                self.so_far.damaged_indexes.push(row.number);
            }
            // Index and seal have numbers of their own.
            self.sequence = self.sequence.map(|sequence| sequence.saturating_add(2));
        } else if self.is_closed && row.number >= self.layers.first_own() {
            // Its seal was not understood.
            self.so_far.damaged_indexes.push(row.number);
        }
        self.settle_pending();
        (self.at, self.offset) = (self.at.saturating_add(1), 0);
        Ok(())
    }

    /// Whether the index at a place and the seal behind it can be read. The cartridge may have been opened without either.
    fn is_closing_whole(&mut self, index: Place, counts: &Counts) -> Result<bool, MediumError> {
        let length = self.segments.length_bytes(index.segment)?;
        let seal = Place { offset: length.saturating_sub(PAGE_BYTES), ..index };
        let index = none_if_bad(read_index(&mut self.segments, index, counts))?;
        let seal = none_if_bad(read_payload(&mut self.segments, seal, Kind::SEAL))?;
        Ok(index.is_some() && seal.is_some())
    }

    fn record(&mut self, place: Place, end: u64) -> Result<(), MediumError> {
        let Ok(header) = self.segments.header(place, end)? else {
            self.doubts = DOUBTS;
            self.pass_sector();
            return Ok(());
        };
        let length = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let bytes = match self.segments.bytes(place, length, end) {
            Ok(bytes) => bytes,
            Err(error) if is_bad_sector(&error) => bytes::Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        let is_whole = header.is_whole(&bytes, &mut self.decoder);
        self.settle(&header, is_whole);
        Ok(())
    }

    /// The next record has been checked.
    fn settle(&mut self, header: &Header, is_whole: bool) {
        self.so_far.records = self.so_far.records.saturating_add(1);
        if !is_whole {
            self.doubts = DOUBTS;
            if self.sequence.is_none_or(|sequence| header.sequence > sequence) {
                self.pending.push(header.sequence);
            }
            // What follows may be anything: its length may be what is broken.
            return self.pass_sector();
        }
        self.doubts = self.doubts.saturating_sub(1);
        self.pending.retain(|sequence| *sequence != header.sequence);
        self.see(header);
        self.so_far.bytes = self.so_far.bytes.saturating_add(header.record_bytes());
        self.offset = header.behind().offset;
    }

    fn pass_sector(&mut self) {
        self.offset = self.offset.saturating_add(SECTOR_BYTES);
        self.so_far.bytes = self.so_far.bytes.saturating_add(SECTOR_BYTES);
    }

    /// A whole record: what should have been before it and was not is damage.
    fn see(&mut self, header: &Header) {
        if self.sequence.is_some_and(|sequence| header.sequence <= sequence) {
            // The first attempt of a write that was done again.
            return;
        }
        let before = self.sequence.unwrap_or(header.sequence.saturating_sub(1));
        let missing = header.sequence.saturating_sub(before).saturating_sub(1);
        if missing > 0 {
            let told = self.pending.len() as u64;
            self.pending.retain(|sequence| *sequence > header.sequence);
            let gone = missing.max(told.saturating_sub(self.pending.len() as u64));
            self.so_far.damaged_records = self.so_far.damaged_records.saturating_add(gone);
        }
        self.sequence = Some(header.sequence);
        if !header.has_objects() {
            return;
        }
        for (extent, next) in self.extents.iter().zip(&mut self.next) {
            let is_within = extent.from <= header.place && header.place < extent.until;
            if header.generation != extent.generation || !is_within {
                continue;
            }
            let (first, end) = (header.start.objects, header.end().objects.min(extent.end.objects));
            if first > *next && *next < extent.end.objects {
                let last = first.min(extent.end.objects).saturating_sub(1);
                add_run(&mut self.so_far.damaged, *next, last);
            }
            *next = (*next).max(end);
        }
    }

    /// Broken records that did not come again.
    fn settle_pending(&mut self) {
        let newer = self.pending.len();
        self.so_far.damaged_records = self.so_far.damaged_records.saturating_add(newer as u64);
        self.pending.clear();
    }
}

/// A sector that cannot be read holds nothing.
fn none_if_bad<T>(result: std::io::Result<Option<T>>) -> std::io::Result<Option<T>> {
    match result {
        Err(error) if is_bad_sector(&error) => Ok(None),
        result => result,
    }
}

fn add_run(runs: &mut Vec<(u64, u64)>, first: u64, last: u64) {
    match runs.last_mut() {
        Some((_, before)) if before.saturating_add(1) >= first => *before = last.max(*before),
        _ => runs.push((first, last)),
    }
}

impl Header {
    /// Whether the bytes of the record are those that were written: all of it, and the data bound to its place.
    pub(super) fn is_whole(&self, bytes: &bytes::Bytes, decoder: &mut Decoder) -> bool {
        let length = usize::try_from(self.record_bytes()).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        if bytes.len() != length || crc32c::crc32c(body) != self.body_crc {
            return false;
        }
        self.kind != Kind::DATA || self.checked_data(bytes, decoder).is_some()
    }
}

/// Reading ahead of the check is in vain where records are broken, so it has to prove worth its while first.
const DOUBTS: u32 = if cfg!(test) { 2 } else { 64 };
