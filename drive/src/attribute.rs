//! READ ATTRIBUTE and WRITE ATTRIBUTE: the auxiliary memory of the cartridge (SPC-5 §6.17, §6.44, §7.4).
//!
//! What a host writes is kept with the cartridge and durable when it is answered. Everything else is told by the drive from
//! what it knows of the cartridge at that moment: [`values`] has it, [`table`] says which attributes there are.

mod table;
mod values;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use vtl_media::{Attribute, AttributeFormat, MediumError};
use vtl_scsi::device::{Device, Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use self::table::{Definition, find};
use self::values::{Value, all};
use crate::Drive;
use crate::drive::{Bay, Loaded};
use crate::sense::of_medium_error;

const ATTRIBUTE_VALUES: u8 = 0x00;
const ATTRIBUTE_LIST: u8 = 0x01;
const LOGICAL_VOLUME_LIST: u8 = 0x02;
const PARTITION_LIST: u8 = 0x03;
const SUPPORTED_ATTRIBUTES: u8 = 0x05;

/// READ MEDIA SERIAL NUMBER (SPC-5 §6.21): what attribute 0401h says, filled up to a multiple of four bytes.
pub(crate) fn read_media_serial_number(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, _, allocation_length, ..) =
        task.cdb.fields((be_u8, take(4_usize), be_u32, be_u8, be_u8))?;
    let mut serial = values::serial_number(drive.loaded()?.cartridge.label());
    serial.resize(serial.len().next_multiple_of(4), 0);
    Ok(Completion::data_in_allocated(with_length(serial), allocation_length))
}

/// What both commands ask for.
struct Asked {
    /// Byte 1: the service action, or WTC.
    flags: u8,
    volume: u8,
    partition: u8,
    /// The first identifier, which only READ ATTRIBUTE has.
    first: u16,
    length: u32,
}

fn asked(task: &Task) -> Result<Asked, Refusal> {
    let cdb = (be_u8, take(3_usize), be_u8, be_u8, be_u8, be_u16, be_u32, be_u8, be_u8);
    let (flags, _, volume, _, partition, first, length, ..) = task.cdb.fields(cdb)?;
    Ok(Asked { flags, volume, partition, first, length })
}

/// READ ATTRIBUTE. The memory can be read while the cartridge lies unloaded in the drive, too.
pub(crate) fn read_attribute(drive: &mut Drive, task: &mut Task) -> Executed {
    let Asked { flags: action, volume, partition, first, length: allocation_length } = asked(task)?;
    let partitions = memory(drive)?.cartridge.partition_count();
    let of_partition = || check_place(volume, partition, partitions);
    let data = match action & 0x1f {
        ATTRIBUTE_VALUES => {
            of_partition()?;
            let chosen = from_first(all(drive, partition)?, first)?;
            with_length(chosen.iter().flat_map(Value::encode).collect())
        }
        ATTRIBUTE_LIST => {
            of_partition()?;
            let chosen = from_first(all(drive, partition)?, first)?;
            with_length(chosen.iter().flat_map(|value| value.identifier.to_be_bytes()).collect())
        }
        // 0-1 available data, 2 the first one's number, 3 how many there are
        LOGICAL_VOLUME_LIST => vec![0, 2, 0, 1],
        PARTITION_LIST => vec![0, 2, 0, partitions],
        SUPPORTED_ATTRIBUTES => {
            of_partition()?;
            with_length(
                table::ALL.iter().flat_map(|known| known.identifier.to_be_bytes()).collect(),
            )
        }
        _ => return Err(Sense::invalid_field_in_cdb(1, Some(4)).into()),
    };
    Ok(Completion::data_in_allocated(data, allocation_length))
}

/// WRITE ATTRIBUTE: all of the list, or nothing. It is on disk when it is answered, with WTC or without.
pub(crate) fn write_attribute(drive: &mut Drive, task: &mut Task) -> Executed {
    let Asked { volume, partition, length, .. } = asked(task)?;
    let loaded = memory(drive)?;
    check_place(volume, partition, loaded.cartridge.partition_count())?;
    if loaded.is_read_only || loaded.cartridge.is_read_only() {
        return Err(Sense::write_protected().into());
    }
    let done = Completion::good().after_data_out(length.into());
    if length == 0 {
        return Ok(done);
    }
    let list = task.parameter_list(usize::try_from(length).unwrap_or(usize::MAX))?;
    let changes = parse(list)?;
    match memory(drive)?.cartridge.change_attributes(partition, changes) {
        Ok(()) => Ok(done),
        Err(error @ MediumError::Mam(_)) => Err(of_medium_error(&error, None).into()),
        Err(error) => {
            drive.note_failure(&error);
            Ok(Completion::from(of_medium_error(&error, None)).after_data_out(length.into()))
        }
    }
}

/// The cartridge, threaded or not.
fn memory(drive: &mut Drive) -> Result<&mut Loaded, Refusal> {
    let why_not = drive.not_ready();
    match &mut drive.bay {
        Bay::Ready(loaded) | Bay::Unloaded(loaded) => Ok(loaded),
        Bay::Empty | Bay::Refused(_) => Err(why_not.unwrap_or(Sense::medium_not_present()).into()),
    }
}

fn check_place(volume: u8, partition: u8, partitions: u8) -> Result<(), Refusal> {
    if volume != 0 {
        return Err(Sense::invalid_field_in_cdb(5, Some(7)).into());
    }
    if partition >= partitions {
        return Err(Sense::invalid_field_in_cdb(7, Some(7)).into());
    }
    Ok(())
}

/// What there is from an identifier on, which has to be there itself (SPC-5 §6.17.1). Zero asks for everything.
fn from_first(all: Vec<Value>, first: u16) -> Result<Vec<Value>, Refusal> {
    if first != 0 && !all.iter().any(|value| value.identifier == first) {
        return Err(Sense::invalid_field_in_cdb(8, Some(7)).into());
    }
    Ok(all.into_iter().filter(|value| value.identifier >= first).collect())
}

/// The length in front does not count itself, and is that of everything, whatever the allocation length.
fn with_length(body: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut data = length.to_be_bytes().to_vec();
    data.extend(body);
    data
}

/// What a parameter list wants to be changed: no value means that the attribute is to go.
fn parse(list: &[u8]) -> Result<Vec<(u16, Option<Attribute>)>, Refusal> {
    let cut_off = Refusal(Sense::parameter_list_length_error());
    // 0-3 length of what follows, which the length in the CDB says as well (SPC-5 §6.44: it is ignored).
    let mut rest = list.get(4..).ok_or(cut_off)?;
    let mut changes: Vec<(u16, Option<Attribute>)> = Vec::new();
    while !rest.is_empty() {
        let offset = u16::try_from(list.len() - rest.len()).unwrap_or(u16::MAX);
        let (behind, (identifier, flags, value)) = parsed(rest).map_err(|_| cut_off)?;
        rest = behind;
        let at = |byte: u16, bit| {
            Sense::invalid_field_in_parameter_list(offset.saturating_add(byte), bit)
        };
        let is_behind = changes.last().is_none_or(|(before, _)| *before < identifier);
        let known = find(identifier).filter(|known| !known.is_read_only && is_behind);
        let known = known.ok_or(Refusal(at(0, Some(7))))?;
        changes.push((identifier, checked(&known, flags, value, at)?));
    }
    Ok(changes)
}

// 0-1 identifier, 2 READ ONLY (bit 7), FORMAT (bits 1-0), 3-4 length, value
fn parsed(input: &[u8]) -> nom::IResult<&[u8], (u16, u8, &[u8])> {
    let (rest, (identifier, flags, length)) = (be_u16, be_u8, be_u16).parse(input)?;
    let (rest, value) = take(length)(rest)?;
    Ok((rest, (identifier, flags, value)))
}

/// The value, if it is one that the attribute may have.
fn checked(
    known: &Definition,
    flags: u8,
    value: &[u8],
    at: impl Fn(u16, Option<u8>) -> Sense,
) -> Result<Option<Attribute>, Refusal> {
    let format = match flags & 0x03 {
        0 => AttributeFormat::Binary,
        1 => AttributeFormat::Ascii,
        2 => AttributeFormat::Text,
        _ => return Err(at(2, Some(1)).into()),
    };
    if known.format.is_some_and(|wanted| wanted != format) {
        return Err(at(2, Some(1)).into());
    }
    if value.is_empty() {
        // The barcode is known of every cartridge: that a host has removed it has to be remembered.
        let is_told_by_drive = known.identifier == table::BARCODE;
        return Ok(is_told_by_drive.then(|| Attribute { format, value: Vec::new() }));
    }
    if !known.length.allows(value.len()) {
        return Err(at(3, Some(7)).into());
    }
    Ok(Some(Attribute { format, value: value.to_vec() }))
}
