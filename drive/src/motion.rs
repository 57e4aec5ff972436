//! REWIND, SPACE and LOCATE (SSC-5 §6, §7).

use nom::bytes::complete::take;
use nom::number::complete::{be_i24, be_i64, be_u8, be_u16, be_u32, be_u64};

use vtl_media::{Cartridge, MediumError, ObjectNumber, SpaceOutcome};
use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use crate::Drive;
use crate::profile::FileMeaning;

const SPACE_BLOCKS: u8 = 0;
const SPACE_FILEMARKS: u8 = 1;
const SPACE_END_OF_DATA: u8 = 3;

const LOCATE_OBJECT: u8 = 0;
const LOCATE_FILE: u8 = 1;
const LOCATE_END_OF_DATA: u8 = 3;

/// REWIND: to the beginning of the partition. It is done when it is answered, with IMMED or without.
pub(crate) fn rewind(drive: &mut Drive, task: &mut Task) -> Executed {
    let rewound = drive.loaded()?.cartridge.rewind();
    Ok(finish(drive, task.nexus, rewound.map(|()| SpaceOutcome::Done)))
}

/// SPACE(6).
pub(crate) fn space_6(drive: &mut Drive, task: &mut Task) -> Executed {
    let (code, count, _control) = task.cdb.fields((be_u8, be_i24, be_u8))?;
    space(drive, task.nexus, code & 0x0f, count.into())
}

/// SPACE(16).
pub(crate) fn space_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let (code, _, count, _parameter_length, ..) =
        task.cdb.fields((be_u8, be_u16, be_i64, be_u16, be_u16))?;
    space(drive, task.nexus, code & 0x0f, count)
}

/// LOCATE(10): an object number of 32 bits. BT asks for a device-specific number, which is the same one here.
pub(crate) fn locate_10(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, _, object, _, partition, _control) =
        task.cdb.fields((be_u8, be_u8, be_u32, be_u8, be_u8, be_u8))?;
    if let Err(error) = change_partition(drive, (bit(flags, 1), partition, 8))? {
        return Ok(finish(drive, task.nexus, Err(error)));
    }
    let located = drive.loaded()?.cartridge.locate(ObjectNumber(object.into()));
    Ok(finish(drive, task.nexus, located))
}

/// LOCATE(16): an object, a file, or the end of data.
pub(crate) fn locate_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, _, partition, identifier, _) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u64, take(4_usize)))?;
    if ![LOCATE_OBJECT, LOCATE_FILE, LOCATE_END_OF_DATA].contains(&(flags >> 3 & 0x07)) {
        return Err(Sense::invalid_field_in_cdb(1, Some(5)).into());
    }
    if let Err(error) = change_partition(drive, (bit(flags, 1), partition, 3))? {
        return Ok(finish(drive, task.nexus, Err(error)));
    }
    let meaning = drive.profile.file_meaning;
    let cartridge = &mut drive.loaded()?.cartridge;
    let located = match flags >> 3 & 0x07 {
        LOCATE_OBJECT => cartridge.locate(ObjectNumber(identifier)),
        LOCATE_FILE => locate_file(cartridge, meaning, identifier),
        _ => cartridge.space_to_end_of_data(),
    };
    Ok(finish(drive, task.nexus, located))
}

/// To a file, as the vendor means it.
fn locate_file(
    cartridge: &mut Cartridge,
    meaning: FileMeaning,
    file: u64,
) -> Result<SpaceOutcome, MediumError> {
    let located = cartridge.locate_filemark(file)?;
    if located == SpaceOutcome::Done && file > 0 && meaning == FileMeaning::BeforeFilemark {
        return cartridge.space_filemarks(-1);
    }
    Ok(located)
}

fn space(drive: &mut Drive, nexus: ItNexus, code: u8, count: i64) -> Executed {
    let cartridge = &mut drive.loaded()?.cartridge;
    let spaced = match code {
        SPACE_BLOCKS => cartridge.space_blocks(count),
        SPACE_FILEMARKS => cartridge.space_filemarks(count),
        SPACE_END_OF_DATA => cartridge.space_to_end_of_data(),
        _ => return Err(Sense::invalid_field_in_cdb(1, Some(3)).into()),
    };
    Ok(finish(drive, nexus, spaced))
}

/// Goes to the partition of a LOCATE that changes it; the byte is where the CDB names it. What has to be brought to disk before
/// that may fail.
fn change_partition(
    drive: &mut Drive,
    (changes, partition, byte): (bool, u8, u16),
) -> Result<Result<(), MediumError>, Refusal> {
    if !changes {
        return Ok(Ok(()));
    }
    match drive.loaded()?.cartridge.change_partition(partition) {
        Ok(true) => Ok(Ok(())),
        Ok(false) => Err(Sense::invalid_field_in_cdb(byte, Some(7)).into()),
        Err(error) => Ok(Err(error)),
    }
}

fn finish(
    drive: &mut Drive,
    nexus: ItNexus,
    outcome: Result<SpaceOutcome, MediumError>,
) -> Completion {
    drive.append_only.forget();
    let residual = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match outcome {
        Ok(SpaceOutcome::Done) => Completion::good(),
        Ok(SpaceOutcome::Filemark { residual: left }) => {
            Sense::filemark_detected(residual(left)).into()
        }
        Ok(SpaceOutcome::EndOfData { residual: left }) => {
            Sense::end_of_data().with_information(residual(left)).into()
        }
        Ok(SpaceOutcome::BeginningOfPartition { residual: left }) => {
            Sense::beginning_of_partition(residual(left)).into()
        }
        Err(error) => drive.failed(nexus, &error),
    }
}
