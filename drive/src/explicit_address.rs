//! The forms of 16 bytes that name the place where they begin (SSC-5 §5): READ, WRITE, WRITE FILEMARKS and VERIFY.
//!
//! They go there first, as LOCATE would, and do then what the form of 6 bytes does, which is the same code.

use nom::number::complete::{be_u8, be_u24, be_u64};

use vtl_media::{ObjectNumber, SpaceOutcome};
use vtl_scsi::device::Refusal;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use crate::Drive;

/// What a command of either form asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// Byte 1 of the CDB.
    pub(crate) flags: u8,
    /// The transfer length, count or verification length, in its own unit.
    pub(crate) length: u32,
    /// The byte of the CDB where it stands.
    pub(crate) length_at: u16,
    /// Where to begin, if not where the medium is.
    pub(crate) address: Option<Address>,
}

/// A place on the medium.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    partition: u8,
    object: ObjectNumber,
}

/// Where a CDB names the partition.
const PARTITION_AT: u16 = 3;

// 1 flags, 3 partition, 4-11 logical object identifier, 12-14 length, 15 control
/// What a CDB of 16 bytes asks for.
pub(crate) fn request(task: &Task) -> Result<Request, Refusal> {
    let (flags, _, partition, object, length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u64, be_u24, be_u8))?;
    let address = Some(Address { partition, object: ObjectNumber(object) });
    Ok(Request { flags, length, length_at: 12, address })
}

/// Goes to the place, if there is one named and it is another one. What is returned says why that could not be done.
pub(crate) fn go_to(
    drive: &mut Drive,
    nexus: ItNexus,
    address: Option<Address>,
    length: u32,
) -> Result<Option<Completion>, Refusal> {
    let Some(Address { partition, object }) = address else {
        return Ok(None);
    };
    let volume = &mut drive.loaded()?.cartridge;
    let position = volume.position();
    if (position.partition.0, position.object) == (partition, object) {
        return Ok(None);
    }
    let is_there = volume.change_partition(partition);
    let located = match is_there {
        Ok(true) => drive.loaded()?.cartridge.locate(object),
        Ok(false) => return Err(Sense::invalid_field_in_cdb(PARTITION_AT, Some(7)).into()),
        Err(error) => Err(error),
    };
    drive.append_only.forget();
    Ok(match located {
        Ok(SpaceOutcome::Done) => None,
        Ok(_) => Some(Sense::locate_operation_failure().with_information(length.into()).into()),
        Err(error) => Some(drive.failed(nexus, &error)),
    })
}
