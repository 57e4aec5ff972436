//! VERIFY(6) and VERIFY(16): reads without giving anything out (SSC-5 §6.16).

use nom::number::complete::{be_u8, be_u24};

use vtl_media::ReadOutcome;
use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Task};

use crate::Drive;
use crate::explicit_address::{self, Request};
use crate::read::{next_object, read_error};

const FIXED: u8 = 0;
const BY_FILEMARKS: u8 = 3;
/// The checksums of protected blocks are to be looked at, too: they are made of what has been read and found whole.
const VLBPM: u8 = 4;
const TO_END_OF_DATA: u8 = 5;

/// How far it goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// One block of this many bytes, as READ would read it.
    OneBlock(u32),
    /// So many blocks of the length that MODE SELECT has set.
    Blocks(u32),
    /// Behind so many filemarks.
    Filemarks(u32),
    ToEndOfData,
}

/// VERIFY(6). It is done when it is answered, with IMMED or without.
pub(crate) fn verify_6(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, length, _control) = task.cdb.fields((be_u8, be_u24, be_u8))?;
    verify(drive, task, Request { flags, length, length_at: 2, address: None })
}

/// VERIFY(16): the same from a place that the command names.
pub(crate) fn verify_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let request = explicit_address::request(task)?;
    verify(drive, task, request)
}

fn verify(drive: &mut Drive, task: &Task, request: Request) -> Executed {
    let way = way(&request, drive.block_length_bytes)?;
    if bit(request.flags, VLBPM) && !drive.block_protection.is_chosen(task.nexus) {
        return Err(Sense::invalid_field_in_cdb(1, Some(VLBPM)).into());
    }
    let Request { length, address, .. } = request;
    if let Some(failed) = explicit_address::go_to(drive, task.nexus, address, length)? {
        return Ok(failed);
    }
    loop_until_done(drive, task, way)
}

fn way(request: &Request, block_length: u32) -> Result<Way, vtl_scsi::device::Refusal> {
    let Request { flags, length, length_at, .. } = *request;
    match [FIXED, BY_FILEMARKS, TO_END_OF_DATA].map(|number| bit(flags, number)) {
        [false, false, false] => Ok(Way::OneBlock(length)),
        [true, false, false] if block_length != 0 => Ok(Way::Blocks(length)),
        [false, true, false] => Ok(Way::Filemarks(length)),
        [false, false, true] if length == 0 => Ok(Way::ToEndOfData),
        [false, false, true] => Err(Sense::invalid_field_in_cdb(length_at, Some(7)).into()),
        [true, ..] => Err(Sense::invalid_field_in_cdb(1, Some(FIXED)).into()),
        _ => Err(Sense::invalid_field_in_cdb(1, Some(TO_END_OF_DATA)).into()),
    }
}

fn loop_until_done(drive: &mut Drive, task: &Task, mut way: Way) -> Executed {
    loop {
        let (left, block_length) = match way {
            Way::OneBlock(0) | Way::Blocks(0) | Way::Filemarks(0) => return Ok(Completion::good()),
            Way::OneBlock(length) => (length, u64::from(length)),
            Way::Blocks(count) => (count, u64::from(drive.block_length_bytes)),
            Way::Filemarks(count) => (count, 0),
            Way::ToEndOfData => (0, 0),
        };
        let residual = i64::from(left);
        way = match (way, next_object(drive, task.nexus)?) {
            (_, Err(error)) => return Ok(read_error(drive, &error, residual, bytes::Bytes::new())),
            (Way::ToEndOfData, Ok(ReadOutcome::EndOfData)) => return Ok(Completion::good()),
            (_, Ok(ReadOutcome::EndOfData)) => {
                return Ok(Sense::end_of_data().with_information(residual).into());
            }
            (Way::Filemarks(count), Ok(ReadOutcome::Filemark)) => Way::Filemarks(count - 1),
            (Way::Filemarks(_) | Way::ToEndOfData, Ok(_)) => way,
            (_, Ok(ReadOutcome::Filemark)) => {
                return Ok(Sense::filemark_detected(residual).into());
            }
            (_, Ok(ReadOutcome::Block(block))) => {
                let found = u64::try_from(block.len()).unwrap_or(u64::MAX);
                match way {
                    Way::Blocks(count) if found == block_length => Way::Blocks(count - 1),
                    Way::OneBlock(_) if found == block_length => return Ok(Completion::good()),
                    Way::OneBlock(_) => {
                        let found = i64::try_from(found).unwrap_or(i64::MAX);
                        return Ok(Sense::incorrect_length(residual - found).into());
                    }
                    _ => return Ok(Sense::incorrect_length(residual).into()),
                }
            }
        };
    }
}
