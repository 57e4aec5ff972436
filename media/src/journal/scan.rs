//! Recovery: what of a journal can be believed.
//!
//! A record is believed if its checksums hold and it continues the chain. Where that ends, the question is whether more
//! had been promised. Every header says up to which record everything was durable when it was written, and so does the
//! label. What is bad below that promise is damage: it is passed over, and reading it is an error. What is bad above it is the
//! torn tail of writes that nobody was told were safe: there the tape ends.

mod closed;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::file::{SegmentReader, is_bad_sector};
use super::layers::Layers;
use super::record::{HEADER_BYTES, Header, HeaderError, Place, Point, SECTOR_BYTES, SECTOR_SIZE};
use super::summary::{Closed, Summaries, Summary};
use super::view::View;
use crate::disk::Disk;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) view: View,
    /// The last believed record, and its checksum, which the next one continues.
    pub(crate) sequence: u64,
    pub(crate) chain: u32,
    /// The highest owner that wrote a believed record.
    pub(crate) owner_epoch: u32,
    pub(crate) last_written_us: Option<i64>,
    /// Whether more had been promised than was found at the end.
    pub(crate) is_end_missing: bool,
    /// What is not believed at the ends of segments, to be kept aside.
    pub(crate) torn: Vec<Torn>,
    /// The last segment, if it has no seal.
    pub(crate) open: Option<OpenTail>,
    /// The highest number of any segment's file.
    pub(crate) last_file: u32,
    /// Segments that are missing, and were not removed on purpose; only the first ones of many.
    pub(crate) missing: Vec<u32>,
    /// The summary of the cartridge's own segments, and those closed ones whose seals had to be read.
    pub(crate) summary: Summary,
    pub(crate) read: Vec<Closed>,
}

/// A segment that was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenTail {
    pub(crate) number: u32,
    pub(crate) first_sequence: u64,
    pub(crate) start: Point,
    pub(crate) start_generation: u32,
    /// What its first record continues, if that is known.
    pub(crate) chain_before: Option<u32>,
    /// Where the first record is that nothing says was durable. It was read, but if a sync of it has failed before, the
    /// kernel may hold it in memory only and count it as written.
    pub(crate) doubtful_from: u64,
}

/// The end of a segment that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) place: Place,
    /// Behind the last byte that is not zero.
    pub(crate) end: u64,
}

/// Why a scan cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("the journal cannot be read")]
    Io(#[from] io::Error),
    #[error("a record has version {0}")]
    NewerVersion(u8),
}

/// Reads the ends of sealed segments and all of the others.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    layers: &Arc<Layers>,
    promised: u64,
) -> Result<Recovered, ScanError> {
    let numbers = layers.numbers(disk.as_ref())?;
    let first_own = layers.first_own();
    let last_file = numbers.last().copied().unwrap_or(0).max(first_own.saturating_sub(1));
    let mut segments = SegmentReader::new(Arc::clone(disk), Arc::clone(layers));
    let summaries = Summaries::read(disk.as_ref(), &mut segments, &numbers)?;
    let mut scan = Scan {
        segments,
        summaries,
        first_own,
        promised,
        has_gap: false,
        is_torn: false,
        recovered: Recovered { last_file, ..Recovered::default() },
        is_rest_known: false,
        doubtful: VecDeque::new(),
    };
    scan.recovered.view.begin_own(first_own);
    scan.recovered.view.reserve(numbers.len());
    let mut expected = 1;
    for (at, number) in numbers.iter().enumerate() {
        scan.look_for_missing(expected, *number);
        expected = number.saturating_add(1);
        let rest = numbers.get(at.saturating_add(1)..).unwrap_or_default();
        scan.segment(*number, rest)?;
    }
    scan.recovered.is_end_missing = scan.promised > scan.recovered.sequence;
    scan.forget_durable();
    if let (Some(tail), Some((_, place))) = (&mut scan.recovered.open, scan.doubtful.front()) {
        let is_in_tail = place.segment == tail.number;
        tail.doubtful_from = if is_in_tail { place.offset } else { 0 };
    }
    scan.recovered.summary = scan.summaries.into_own();
    Ok(scan.recovered)
}

struct Scan {
    segments: SegmentReader,
    summaries: Summaries,
    /// Segments before this one are another cartridge's, and are only read.
    first_own: u32,
    /// The highest record that is known to have been durable once.
    promised: u64,
    /// Whether records are missing before the next one, so that its chain cannot be checked.
    has_gap: bool,
    /// Whether the tape has ended; everything behind is torn.
    is_torn: bool,
    recovered: Recovered,
    /// Whether `promised` includes what the rest of the journal says.
    is_rest_known: bool,
    /// Believed records of segments without a seal that nothing has said were durable, by their sequence.
    doubtful: VecDeque<(u64, Place)>,
}

/// What is at a place.
enum Finding {
    Whole(Header),
    /// The header holds, the rest of the record does not.
    Damaged(Header),
    Nothing,
}

impl Scan {
    /// Segments between the last one and the next one are missing: on purpose, or lost.
    fn look_for_missing(&mut self, expected: u32, found: u32) {
        if expected == found {
            return;
        }
        self.has_gap = true;
        let layers = Arc::clone(self.segments.layers());
        let lost = (expected..found).filter(|number| !layers.is_pruned(*number));
        for segment in lost.take(MISSING_TOLD_MAX) {
            let cartridge = layers.cartridge_of(segment);
            tracing::error!(%cartridge, segment, "a segment of the journal is missing");
            self.recovered.missing.push(segment);
        }
    }

    fn segment(&mut self, number: u32, rest: &[u32]) -> Result<(), ScanError> {
        if let Some(closed) = self.believed(number)? {
            self.closed(&closed);
            return Ok(());
        }
        let length = self.segments.length_bytes(number)?;
        if self.is_torn {
            return self.tear(Place { segment: number, offset: 0 }, length);
        }
        if let Some((header, seal)) = self.seal(number, length)? {
            return self.sealed(&header, seal);
        }
        self.recovered.open = (number >= self.first_own).then(|| OpenTail {
            number,
            first_sequence: self.recovered.sequence.saturating_add(1),
            start: self.recovered.view.end(),
            start_generation: self.recovered.view.generation(),
            chain_before: (!self.has_gap).then_some(self.recovered.chain),
            doubtful_from: u64::MAX,
        });
        let first = if self.has_gap { 0 } else { self.recovered.sequence.saturating_add(1) };
        self.recovered.view.begin_segment(number, first);
        let mut place = Place { segment: number, offset: 0 };
        while place.offset < length {
            let finding = self.at(place, length)?;
            place.offset = match finding {
                Finding::Whole(header) if self.follows(&header) => self.believe(&header),
                finding => match self.pass_over(&finding, place, length, rest)? {
                    Some(offset) => offset,
                    None => return Ok(()),
                },
            };
        }
        Ok(())
    }

    fn at(&mut self, place: Place, length: u64) -> Result<Finding, ScanError> {
        let header = match self.segments.header(place, length)? {
            Ok(header) => header,
            Err(HeaderError::NewerVersion(version)) => {
                return Err(ScanError::NewerVersion(version));
            }
            Err(HeaderError::Invalid) => return Ok(Finding::Nothing),
        };
        let record_bytes = usize::try_from(header.record_bytes()).unwrap_or(usize::MAX);
        let bytes = match self.segments.bytes(place, record_bytes, length) {
            Ok(bytes) => bytes,
            Err(error) if is_bad_sector(&error) => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        let is_whole = bytes.len() == record_bytes && crc32c::crc32c(body) == header.body_crc;
        Ok(if is_whole { Finding::Whole(header) } else { Finding::Damaged(header) })
    }

    /// Whether a record is the next one.
    fn follows(&self, header: &Header) -> bool {
        if self.has_gap {
            return header.sequence > self.recovered.sequence;
        }
        header.sequence == self.recovered.sequence.saturating_add(1)
            && header.chain == self.recovered.chain
    }

    fn cartridge_of(&self, place: Place) -> Uuid {
        self.segments.layers().cartridge_of(place.segment)
    }

    /// Takes a record in, and says where the next one is.
    fn believe(&mut self, header: &Header) -> u64 {
        self.recovered.view.append(header);
        self.note(header);
        if header.kind.is_change() {
            self.recovered.last_written_us = Some(header.time_us);
        }
        self.has_gap = false;
        self.doubtful.push_back((header.sequence, header.place));
        self.forget_durable();
        header.place.offset.saturating_add(header.record_bytes())
    }

    fn forget_durable(&mut self) {
        while self.doubtful.front().is_some_and(|(sequence, _)| *sequence <= self.promised) {
            self.doubtful.pop_front();
        }
    }

    fn note(&mut self, header: &Header) {
        self.recovered.sequence = header.sequence;
        self.recovered.chain = header.crc;
        self.recovered.owner_epoch = self.recovered.owner_epoch.max(header.owner_epoch);
        self.promised = self.promised.max(header.durable_sequence);
    }

    /// Decides about something that is not the next record: where to go on, or that the tape ends.
    fn pass_over(
        &mut self,
        finding: &Finding,
        place: Place,
        length: u64,
        rest: &[u32],
    ) -> Result<Option<u64>, ScanError> {
        // A whole record may be the very one to go on with; anything else is behind us.
        let step = if matches!(finding, Finding::Whole(_)) { 0 } else { SECTOR_BYTES };
        let next = self
            .next_sequence(Place { offset: place.offset.saturating_add(step), ..place }, length)?;
        if let Some(offset) = next.continuing {
            // A write failed here and was done again further on.
            return Ok(Some(offset));
        }
        if next.later.is_none() && self.continues_in(rest.first().copied())? {
            // The segment could not be sealed, and the next one goes on where it ended.
            return Ok(None);
        }
        if !self.is_rest_known {
            self.is_rest_known = true;
            self.promised = self.promised.max(self.promise_of_rest(place, length, rest)?);
        }
        let expected = self.recovered.sequence.saturating_add(1);
        if expected > self.promised {
            self.is_torn = true;
            self.tear(place, length)?;
            return Ok(None);
        }
        tracing::error!(cartridge = %self.cartridge_of(place), segment = place.segment, offset = place.offset, "a record is damaged");
        if let Finding::Damaged(header) = finding
            && self.follows(header)
        {
            return Ok(Some(self.believe(header)));
        }
        self.has_gap = true;
        Ok(next.later)
    }

    /// Where the journal goes on, at a place or behind it.
    fn next_sequence(&mut self, place: Place, length: u64) -> Result<Next, ScanError> {
        let expected = self.recovered.sequence.saturating_add(1);
        let mut chain = self.recovered.chain;
        let mut next = Next::default();
        let mut at = place;
        while at.offset < length {
            let Finding::Whole(header) = self.at(at, length)? else {
                at.offset = at.offset.saturating_add(SECTOR_BYTES);
                continue;
            };
            if header.sequence > expected || (header.sequence == expected && header.chain != chain)
            {
                next.later = Some(at.offset);
                break;
            }
            if header.sequence == expected {
                self.recovered.chain = chain;
                next.continuing = Some(at.offset);
                break;
            }
            // The same records as before, written again together with those that failed.
            chain = header.crc;
            at.offset = at.offset.saturating_add(header.record_bytes());
        }
        Ok(next)
    }

    /// Whether the next record stands at the beginning of another segment.
    fn continues_in(&mut self, segment: Option<u32>) -> Result<bool, ScanError> {
        let Some(segment) = segment else { return Ok(false) };
        let length = self.segments.length_bytes(segment)?;
        let finding = self.at(Place { segment, offset: 0 }, length)?;
        Ok(matches!(finding, Finding::Whole(header) if !self.has_gap && self.follows(&header)))
    }

    /// The highest promise of the records behind a place, in this segment and all later ones.
    fn promise_of_rest(
        &mut self,
        place: Place,
        length: u64,
        rest: &[u32],
    ) -> Result<u64, ScanError> {
        let mut highest = self.promise_of(place, length)?;
        for number in rest {
            if let Some(closed) = self.believed(*number)? {
                highest = highest.max(closed.sequence);
                continue;
            }
            let length = self.segments.length_bytes(*number)?;
            highest = match self.seal(*number, length)? {
                // A segment is closed only when everything in it is durable, and so is everything before it.
                Some((header, _)) => highest.max(header.sequence),
                None => {
                    highest.max(self.promise_of(Place { segment: *number, offset: 0 }, length)?)
                }
            };
        }
        Ok(highest)
    }

    fn promise_of(&mut self, place: Place, length: u64) -> Result<u64, ScanError> {
        let mut highest = 0;
        let mut at = place;
        while at.offset < length {
            let step = match self.at(at, length)? {
                Finding::Whole(header) => {
                    highest = highest.max(header.durable_sequence);
                    header.record_bytes()
                }
                Finding::Damaged(_) | Finding::Nothing => SECTOR_BYTES,
            };
            at.offset = at.offset.saturating_add(step);
        }
        Ok(highest)
    }

    /// Notes the rest of a segment as torn, unless there is nothing in it.
    fn tear(&mut self, place: Place, length: u64) -> Result<(), ScanError> {
        let mut end = place.offset;
        let mut at = place;
        while at.offset < length {
            let piece = match self.segments.bytes(at, TEAR_STEP_BYTES, length) {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => piece,
                Err(error) if is_bad_sector(&error) => Bytes::from_static(&[0; SECTOR_SIZE]),
                Err(error) => return Err(error.into()),
            };
            if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
                end = at.offset.saturating_add(last as u64).saturating_add(1);
            }
            at.offset = at.offset.saturating_add(piece.len() as u64);
        }
        if end > place.offset {
            self.recovered.torn.push(Torn { place, end });
        }
        Ok(())
    }
}

/// Where the journal may go on.
#[derive(Default)]
struct Next {
    /// At the very record that was expected.
    continuing: Option<u64>,
    /// At a later one.
    later: Option<u64>,
}

const TEAR_STEP_BYTES: usize = 64 * 1024;
const MISSING_TOLD_MAX: usize = 100;
