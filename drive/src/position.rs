//! READ POSITION in its three forms (SSC-5 §7.7).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use vtl_media::Position;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use crate::Drive;

const SHORT: u8 = 0x00;
const SHORT_VENDOR_SPECIFIC: u8 = 0x01;
const LONG: u8 = 0x06;
const EXTENDED: u8 = 0x08;

const BOP: u8 = 0x80;
const EOP: u8 = 0x40;
/// Behind the beginning of the programmable early-warning zone.
const BPEW: u8 = 0x01;
/// In the short and extended form: the position cannot be told in this form.
const LOLU: u8 = 0x04;

/// READ POSITION: where the next object is, and what has not left the buffer yet.
pub(crate) fn read_position(drive: &mut Drive, task: &mut Task) -> Executed {
    let (form, _, allocation_length, _control) =
        task.cdb.fields((be_u8, take(5_usize), be_u16, be_u8))?;
    let zone_bytes = drive.append_only.zone_bytes();
    let cartridge = &drive.loaded()?.cartridge;
    let position = cartridge.position();
    // Only where MODE SELECT has asked for a zone before early warning is there one to be in.
    let is_in_zone = zone_bytes != 0 && cartridge.is_near_early_warning(zone_bytes);
    let bpew = if is_in_zone { BPEW } else { 0 };
    match form & 0x1f {
        SHORT | SHORT_VENDOR_SPECIFIC => Ok(Completion::data_in(short(&position, bpew))),
        LONG => Ok(Completion::data_in(long(&position, bpew))),
        EXTENDED => {
            Ok(Completion::data_in_allocated(extended(&position, bpew), allocation_length.into()))
        }
        _ => Err(Sense::invalid_field_in_cdb(1, Some(4)).into()),
    }
}

fn flags(position: &Position, bpew: u8) -> u8 {
    let bop = if position.is_at_beginning { BOP } else { 0 };
    let eop = if position.is_past_early_warning { EOP } else { 0 };
    bop | eop | bpew
}

// 0 flags, 1 partition, 4-7 first object, 8-11 last object, 13-15 objects in the buffer, 16-19 bytes in the buffer
fn short(position: &Position, bpew: u8) -> Vec<u8> {
    let first = u32::try_from(position.object.0);
    let last = u32::try_from(position.object.0.saturating_sub(position.buffered_objects));
    let (Ok(first), Ok(last)) = (first, last) else {
        let mut data = vec![flags(position, bpew) | LOLU, position.partition.0];
        data.resize(20, 0);
        return data;
    };
    let objects = u32::try_from(position.buffered_objects).unwrap_or(u32::MAX).min(0x00ff_ffff);
    let bytes = u32::try_from(position.buffered_bytes).unwrap_or(u32::MAX);
    let mut data = vec![flags(position, bpew), position.partition.0, 0, 0];
    for field in [first, last, objects, bytes] {
        data.extend(field.to_be_bytes());
    }
    data
}

// 0 flags, 4-7 partition, 8-15 object, 16-23 file: filemarks before the position
fn long(position: &Position, bpew: u8) -> Vec<u8> {
    let mut data = vec![flags(position, bpew), 0, 0, 0];
    data.extend(u32::from(position.partition.0).to_be_bytes());
    data.extend(position.object.0.to_be_bytes());
    data.extend(position.filemarks.to_be_bytes());
    data.resize(32, 0);
    data
}

// 0 flags, 1 partition, 2-3 additional length, 5-7 objects in the buffer, 8-15 first, 16-23 last, 24-31 bytes in the buffer
fn extended(position: &Position, bpew: u8) -> Vec<u8> {
    const ADDITIONAL_LENGTH: u8 = 28;
    let objects = u32::try_from(position.buffered_objects).unwrap_or(u32::MAX).min(0x00ff_ffff);
    let mut data = vec![flags(position, bpew), position.partition.0, 0, ADDITIONAL_LENGTH];
    data.extend(objects.to_be_bytes());
    data.extend(position.object.0.to_be_bytes());
    data.extend(position.object.0.saturating_sub(position.buffered_objects).to_be_bytes());
    data.extend(position.buffered_bytes.to_be_bytes());
    data
}
