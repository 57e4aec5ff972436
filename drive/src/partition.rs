//! Partitions: mode page 11h, FORMAT MEDIUM and SET CAPACITY (SSC-5 §5.2, §6.11, §8.3.4).
//!
//! The page shows how the loaded cartridge is divided. MODE SELECT only says how it is to be; FORMAT MEDIUM does it, on the
//! cartridge, which is why it is the same after a restart and in another drive.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use vtl_media::{MediumError, PARTITIONS_MAX, Volume};
use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::mode::ModePage;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use crate::Drive;
use crate::append_only;
use crate::drive::Bay;
use crate::tape_alert::WORM_OVERWRITE;

pub(crate) const PAGE: u8 = 0x11;

// Bytes of the page behind its header.
const MAXIMUM_AT: usize = 0;
const DEFINED_AT: usize = 1;
const FLAGS_AT: usize = 2;
const UNITS_AT: usize = 4;
const SIZES_AT: usize = 6;

/// Bits of the flags: FDP, SDP and IDP say who decides on the sizes, PSUM in which unit they are, POFM that formatting is what
/// divides.
const FIXED: u8 = 7;
const SELECTED: u8 = 6;
const BY_INITIATOR: u8 = 5;
const UNIT_SHIFT: u8 = 3;
const FLAGS: u8 = 1 << BY_INITIATOR | 3 << UNIT_SHIFT | 0x04;
const FLAGS_CHANGEABLE: u8 = 0xf8;
/// The drive knows of format and partitions by itself.
const RECOGNITION: u8 = 0x03;
/// The size of a partition that gets all the rest.
const REST: u16 = 0xffff;
/// The powers of ten that stand for bytes, kilobytes and megabytes; 3 is what the units field says.
const UNITS_FIELD: u8 = 3;
const GIGABYTES: u8 = 9;
const CAPACITY_IN_GIGABYTES_MIN: u64 = 100_000_000_000;
/// FDP makes a second partition of this part of the whole.
const FIXED_PART: u64 = 40;

/// FORMAT MEDIUM: all that is on the cartridge is given up. It is done when it is answered, with IMMED or without.
pub(crate) fn format_medium(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, format, transfer_length, _control) = task.cdb.fields((be_u8, be_u8, be_u16, be_u8))?;
    if transfer_length != 0 {
        return Err(Sense::invalid_field_in_cdb(3, Some(7)).into());
    }
    let is_divided = match format & 0x0f {
        0 => false,
        1 | 2 => true,
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(3)).into()),
    };
    let prepared = drive.prepared_sizes.clone();
    check_format(drive, task.nexus)?;
    let volume = &drive.loaded()?.cartridge;
    let sizes = match prepared.filter(|_| is_divided) {
        Some(sizes) => sizes,
        None if is_divided => volume.partition_sizes(),
        None => vec![volume.usable_bytes()],
    };
    let formatted = drive.loaded()?.cartridge.format(&sizes);
    finish(drive, task.nexus, formatted)
}

/// SET CAPACITY: the first part of the tape is all that there is. What is on the cartridge is given up.
pub(crate) fn set_capacity(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, proportion, _control) = task.cdb.fields((take(2_usize), be_u16, be_u8))?;
    check_format(drive, task.nexus)?;
    let scaled = drive.loaded()?.cartridge.set_capacity(proportion);
    finish(drive, task.nexus, scaled)
}

/// The page for what is in the drive.
pub(crate) fn page(drive: &Drive) -> ModePage {
    let volume = match &drive.bay {
        Bay::Ready(loaded) | Bay::Unloaded(loaded) => Some(&loaded.cartridge),
        Bay::Empty | Bay::Refused(_) => None,
    };
    let most = partitions_max(volume, drive.profile.generation.media_type);
    let capacity = volume.map_or(drive.profile.generation.capacity_bytes, Volume::usable_bytes);
    let sizes = volume.map_or_else(|| vec![capacity], Volume::partition_sizes);
    let exponent = exponent_for(capacity);
    let defined = u8::try_from(sizes.len().saturating_sub(1)).unwrap_or(0);
    let mut values = vec![most.saturating_sub(1), defined, FLAGS, RECOGNITION, exponent, 0];
    for at in 0..usize::from(most) {
        let units = sizes.get(at).map_or(0, |bytes| bytes / 10_u64.pow(exponent.into()));
        values.extend(u16::try_from(units).unwrap_or(REST).to_be_bytes());
    }
    let mut changeable = vec![0; values.len()];
    for (at, mask) in [(DEFINED_AT, 0xff), (FLAGS_AT, FLAGS_CHANGEABLE), (UNITS_AT, 0x0f)] {
        if let Some(changeable) = changeable.get_mut(at) {
            *changeable = mask;
        }
    }
    if let Some(sizes) = changeable.get_mut(SIZES_AT..) {
        sizes.fill(0xff);
    }
    // st brings no more sizes than it wants partitions.
    ModePage::new(PAGE, 0, values, changeable).at_least(SIZES_AT)
}

/// The sizes that a page of a parameter list asks for; its values begin at this byte of the list.
pub(crate) fn wanted_sizes(
    drive: &Drive,
    values: &[u8],
    values_offset: u16,
) -> Result<Vec<u64>, Refusal> {
    let at = |index: usize, bit| {
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let byte = values_offset.saturating_add(index);
        Refusal(Sense::invalid_field_in_parameter_list(byte, bit))
    };
    let Bay::Ready(loaded) = &drive.bay else {
        return Err(Sense::medium_not_present().into());
    };
    let byte = |index: usize| values.get(index).copied().unwrap_or_default();
    let capacity = loaded.cartridge.usable_bytes();
    let count = usize::from(byte(DEFINED_AT)).saturating_add(1);
    if byte(DEFINED_AT) > byte(MAXIMUM_AT) {
        return Err(at(DEFINED_AT, Some(7)));
    }
    let flags = byte(FLAGS_AT);
    let deciders = [FIXED, SELECTED, BY_INITIATOR].map(|number| bit(flags, number));
    match deciders {
        [true, false, false] if byte(MAXIMUM_AT) == 0 => Err(at(FLAGS_AT, Some(FIXED))),
        [true, false, false] => {
            let second = capacity / FIXED_PART;
            Ok(vec![capacity.saturating_sub(second), second])
        }
        [false, true, false] => {
            let share = capacity / u64::try_from(count).unwrap_or(1);
            Ok(vec![share; count])
        }
        [false, false, true] => {
            let exponent = match flags >> UNIT_SHIFT & 0x03 {
                UNITS_FIELD => byte(UNITS_AT) & 0x0f,
                thousands => thousands * 3,
            };
            let sizes = values.get(SIZES_AT..).unwrap_or_default().as_chunks::<2>().0;
            if sizes.len() < count {
                let length_at = values_offset.saturating_sub(1);
                return Err(Sense::invalid_field_in_parameter_list(length_at, None).into());
            }
            let sizes = sizes.iter().take(count).map(|size| u16::from_be_bytes(*size));
            sizes_by_initiator(&sizes.collect::<Vec<_>>(), exponent, capacity)
                .map_err(|partition| at(SIZES_AT + 2 * partition, Some(7)))
        }
        _ => Err(at(FLAGS_AT, Some(FIXED))),
    }
}

/// The sizes in bytes, if they fit; else the partition that is at fault.
fn sizes_by_initiator(units: &[u16], exponent: u8, capacity: u64) -> Result<Vec<u64>, usize> {
    let unit = 10_u64.checked_pow(exponent.into()).ok_or(0_usize)?;
    if let [units] = units {
        // One partition is as large as the cartridge.
        let is_whole = matches!(*units, 0 | REST);
        let fits = u64::from(*units).checked_mul(unit).is_some_and(|bytes| bytes <= capacity);
        return if is_whole || fits { Ok(vec![capacity]) } else { Err(0) };
    }
    let (mut left, mut rest) = (capacity, None);
    let mut sizes = Vec::new();
    for (partition, units) in units.iter().enumerate() {
        if *units == REST {
            if rest.replace(partition).is_some() {
                return Err(partition);
            }
            sizes.push(0);
            continue;
        }
        let bytes = u64::from(*units).checked_mul(unit).filter(|bytes| *bytes != 0);
        let bytes = bytes.ok_or(partition)?;
        left = left.checked_sub(bytes).ok_or(partition)?;
        sizes.push(bytes);
    }
    if let Some(partition) = rest {
        let size = sizes.get_mut(partition).filter(|_| left != 0).ok_or(partition)?;
        *size = left;
    }
    Ok(sizes)
}

/// Whether the cartridge may be formatted, and stands where that is done.
fn check_format(drive: &mut Drive, nexus: ItNexus) -> Result<(), Refusal> {
    drive.writable(nexus)?;
    if drive.loaded()?.is_worm() {
        drive.tape_alerts.insert(WORM_OVERWRITE);
        return Err(Sense::worm_overwrite_attempted().into());
    }
    let position = drive.loaded()?.cartridge.position();
    if position.partition.0 != 0 || !position.is_at_beginning {
        return Err(Sense::position_past_beginning().into());
    }
    append_only::check_format(drive)
}

fn finish(drive: &mut Drive, nexus: ItNexus, formatted: Result<(), MediumError>) -> Executed {
    drive.show_medium();
    match formatted {
        Ok(()) => Ok(Completion::good()),
        Err(error) => Ok(drive.failed(nexus, &error)),
    }
}

/// As many partitions the medium may have.
fn partitions_max(volume: Option<&Volume>, of_drive: &str) -> u8 {
    let media_type = volume.map_or(of_drive, |volume| volume.label().media_type.as_str());
    match media_type {
        "lto3" | "lto4" => 1,
        "lto5" => 2,
        _ => u8::try_from(PARTITIONS_MAX).unwrap_or(u8::MAX),
    }
}

/// The power of ten in which sizes are told: gigabytes, as real drives do, but for small cartridges the finest that can be
/// told.
fn exponent_for(capacity: u64) -> u8 {
    if capacity >= CAPACITY_IN_GIGABYTES_MIN {
        return GIGABYTES;
    }
    let fits = |exponent: &u8| capacity / 10_u64.pow(u32::from(*exponent)) < u64::from(REST);
    (0..GIGABYTES).find(fits).unwrap_or(GIGABYTES)
}
