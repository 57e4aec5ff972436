//! GENERATE and RECEIVE RECOMMENDED ACCESS ORDER (SSC-5 §7; IBM LTO SCSI reference, LTO-9): in which order to read pieces of the
//! tape so that little time goes into getting from one to the next.
//!
//! A real tape runs back and forth, so that the best order is not that of the objects; a disk is read best in the order in which
//! it was written, which is what is recommended here.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32, be_u64};
use nom::{IResult, Parser};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use crate::Drive;

/// As many user data segments are taken, as real drives take.
const MAX_SEGMENTS: u16 = 2730;
const SEGMENT_BYTES: u16 = 32;
/// Bytes of a descriptor behind its length.
const BEHIND_LENGTH: u16 = SEGMENT_BYTES - 2;
/// In front of the descriptors, in both directions.
const HEADER_BYTES: u16 = 8;
const NAME_BYTES: usize = 10;

const KEEPS_ORDER: u8 = 1;
const REORDERS: u8 = 2;

/// The segments in the order that was recommended last.
#[derive(Debug, Default)]
pub(crate) struct AccessOrder {
    process: u8,
    // Invariant: len() <= MAX_SEGMENTS
    segments: Vec<Segment>,
}

/// Objects that are read one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    name: [u8; NAME_BYTES],
    partition: u8,
    first: u64,
    last: u64,
}

impl Segment {
    /// A place rather than something to be read.
    fn is_point(&self) -> bool {
        self.first == self.last
    }

    /// Where the cartridge is unloaded.
    fn is_unloading(&self) -> bool {
        (self.partition, self.first, self.last) == (0, 0, 0)
    }
}

/// GENERATE RECOMMENDED ACCESS ORDER: takes segments, and puts them in order if it is asked to.
pub(crate) fn generate(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, process, kind, _, length, ..) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u16, be_u32, take(2_usize)))?;
    if !matches!(process, KEEPS_ORDER | REORDERS) {
        return Err(Sense::invalid_field_in_cdb(2, Some(2)).into());
    }
    if kind != 0 {
        // There is no geometry to tell.
        return Err(Sense::invalid_field_in_cdb(3, Some(2)).into());
    }
    let done = Completion::good().after_data_out(length.into());
    if length == 0 {
        return Ok(done);
    }
    let most = u32::from(HEADER_BYTES) + u32::from(MAX_SEGMENTS) * u32::from(SEGMENT_BYTES);
    if length > most {
        return Err(Sense::parameter_list_length_error().into());
    }
    let list = task.parameter_list(usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut segments = parse(list)?;
    drive.loaded()?;
    if process == REORDERS {
        reorder(&mut segments);
    }
    drive.access_order = AccessOrder { process, segments };
    Ok(done)
}

/// RECEIVE RECOMMENDED ACCESS ORDER: what was recommended last, or how many segments are taken.
pub(crate) fn receive(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, offset, allocation_length, kind, _control) =
        task.cdb.fields((be_u8, be_u32, be_u32, be_u8, be_u8))?;
    if kind != 0 {
        return Err(Sense::invalid_field_in_cdb(10, Some(2)).into());
    }
    if bit(flags, 7) {
        // 0-1 how many segments, 2-3 how long each may be
        let limits = [MAX_SEGMENTS.to_be_bytes(), SEGMENT_BYTES.to_be_bytes()].concat();
        return Ok(Completion::data_in_allocated(limits, allocation_length));
    }
    let descriptors: Vec<u8> = drive.access_order.segments.iter().flat_map(descriptor).collect();
    let wanted = usize::try_from(offset).ok().and_then(|offset| descriptors.get(offset..));
    let wanted = wanted.ok_or(Refusal(Sense::invalid_field_in_cdb(2, Some(7))))?;
    // 0 process, 1 status, 4-7 length of all descriptors, whatever the offset
    let mut data = vec![drive.access_order.process, 0, 0, 0];
    data.extend(u32::try_from(descriptors.len()).unwrap_or(u32::MAX).to_be_bytes());
    data.extend(wanted);
    Ok(Completion::data_in_allocated(data, allocation_length))
}

// Parameter list: 4-7 length of the descriptors
fn parse(list: &[u8]) -> Result<Vec<Segment>, Refusal> {
    let cut_off = Refusal(Sense::parameter_list_length_error());
    let header: IResult<&[u8], _> = (be_u32, be_u32).parse(list);
    let (mut rest, (_, length)) = header.map_err(|_| cut_off)?;
    if usize::try_from(length) != Ok(rest.len()) {
        return Err(cut_off);
    }
    let mut segments = Vec::new();
    while !rest.is_empty() {
        let at = |byte: usize| {
            let byte = u16::try_from(list.len() - rest.len() + byte).unwrap_or(u16::MAX);
            Refusal(Sense::invalid_field_in_parameter_list(byte, None))
        };
        let (behind, (descriptor_length, segment)) = segment(rest).map_err(|_| cut_off)?;
        if descriptor_length != BEHIND_LENGTH {
            return Err(at(0));
        }
        if segment.first > segment.last {
            return Err(at(16));
        }
        segments.push(segment);
        rest = behind;
    }
    Ok(segments)
}

// User data segment: 0-1 length of what follows, 5-14 name, 15 partition, 16-23 first and 24-31 last object
fn segment(input: &[u8]) -> IResult<&[u8], (u16, Segment)> {
    let (rest, (length, _, name, partition, first, last)) =
        (be_u16, be_u24, take(NAME_BYTES), be_u8, be_u64, be_u64).parse(input)?;
    let name = name.try_into().unwrap_or([0; NAME_BYTES]);
    Ok((rest, (length, Segment { name, partition, first, last })))
}

// The same; locating takes no time that is worth telling.
fn descriptor(segment: &Segment) -> Vec<u8> {
    let mut descriptor = BEHIND_LENGTH.to_be_bytes().to_vec();
    descriptor.extend([0; 3]);
    descriptor.extend(segment.name);
    descriptor.push(segment.partition);
    descriptor.extend(segment.first.to_be_bytes());
    descriptor.extend(segment.last.to_be_bytes());
    descriptor
}

/// In the order of the objects. A point at the very beginning, and those at the end, say where to begin and to end: they stay.
fn reorder(segments: &mut [Segment]) {
    let begins_at_a_point = segments.len() > 1 && segments.first().is_some_and(Segment::is_point);
    let from = usize::from(begins_at_a_point);
    let mut to = segments.len();
    let is_last = |to: usize, ask: fn(&Segment) -> bool| {
        to > from && segments.get(to.wrapping_sub(1)).is_some_and(ask)
    };
    if is_last(to, Segment::is_unloading) {
        to -= 1;
    }
    if is_last(to, Segment::is_point) {
        to -= 1;
    }
    if let Some(sorted) = segments.get_mut(from..to) {
        sorted.sort_by_key(|segment| (segment.partition, segment.first, segment.last));
    }
}
