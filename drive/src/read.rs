//! READ(6), READ(16) and READ BLOCK LIMITS (SSC-5 §7.4, §7.6).

use bytes::{Bytes, BytesMut};
use nom::number::complete::{be_u8, be_u24};

use vtl_media::{MediumError, ReadOutcome};
use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use crate::Drive;
use crate::drive::{MAX_BLOCK_BYTES, MAX_TRANSFER_BYTES};
use crate::explicit_address::{self, Request};
use crate::sense::of_medium_error;
use crate::{block_protection, encryption};

/// READ(6): one block of any length, or several of the length set by MODE SELECT.
pub(crate) fn read_6(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, length, _control) = task.cdb.fields((be_u8, be_u24, be_u8))?;
    read(drive, task.nexus, Request { flags, length, length_at: 2, address: None })
}

/// READ(16): the same from a place that the command names.
pub(crate) fn read_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let request = explicit_address::request(task)?;
    read(drive, task.nexus, request)
}

fn read(drive: &mut Drive, nexus: ItNexus, request: Request) -> Executed {
    let Request { flags, length, length_at, address } = request;
    let (is_fixed, suppresses_incorrect_length) = (bit(flags, 0), bit(flags, 1));
    if is_fixed && (drive.block_length_bytes == 0 || suppresses_incorrect_length) {
        let bit = u8::from(drive.block_length_bytes != 0);
        return Err(Sense::invalid_field_in_cdb(1, Some(bit)).into());
    }
    let block_length = if is_fixed { drive.block_length_bytes } else { 1 };
    if u64::from(length) * u64::from(block_length) > MAX_TRANSFER_BYTES {
        return Err(Sense::invalid_field_in_cdb(length_at, Some(7)).into());
    }
    if let Some(failed) = explicit_address::go_to(drive, nexus, address, length)? {
        return Ok(failed);
    }
    if length == 0 {
        return Ok(Completion::good());
    }
    if is_fixed {
        return read_fixed(drive, nexus, length);
    }
    read_variable(drive, nexus, length, suppresses_incorrect_length)
}

/// READ BLOCK LIMITS: the lengths that READ and WRITE take, or the highest object number.
pub(crate) fn read_block_limits(drive: &mut Drive, task: &mut Task) -> Executed {
    const SHORTEST_BLOCK_BYTES: u16 = 1;
    let (flags, _, _control) = task.cdb.fields((be_u8, be_u24, be_u8))?;
    if bit(flags, 0) {
        // MLOI: 12-19 maximum logical object identifier.
        let mut data = vec![0; 12];
        data.extend(u64::MAX.to_be_bytes());
        return Ok(Completion::data_in(data));
    }
    // A block counts as it travels: a protected one with its checksum.
    let shortest = match drive.block_protection.on_write(task.nexus) {
        Some(_) => block_protection::SHORTEST_PROTECTED_BYTES,
        None => SHORTEST_BLOCK_BYTES,
    };
    let mut data = MAX_BLOCK_BYTES.to_be_bytes().to_vec(); // the first byte is granularity: 0
    data.extend(shortest.to_be_bytes());
    Ok(Completion::data_in(data))
}

fn read_variable(
    drive: &mut Drive,
    nexus: ItNexus,
    length: u32,
    suppresses_incorrect_length: bool,
) -> Executed {
    let has_block_length = drive.block_length_bytes != 0;
    let requested = i64::from(length);
    let block = match next_object(drive, nexus)? {
        Ok(ReadOutcome::Block(block)) => block,
        Ok(ReadOutcome::Filemark) => return Ok(Sense::filemark_detected(requested).into()),
        Ok(ReadOutcome::EndOfData) => {
            return Ok(Sense::end_of_data().with_information(requested).into());
        }
        Err(error) => return Ok(read_error(drive, &error, requested, Bytes::new())),
    };
    let residual = requested - i64::try_from(block.len()).unwrap_or(i64::MAX);
    // Without SILI every other length is reported; with it only a longer block, and only where a block length is set.
    let is_reported =
        if suppresses_incorrect_length { residual < 0 && has_block_length } else { residual != 0 };
    let mut completion = Completion::data_in_allocated(block, length);
    if is_reported {
        let data_in = std::mem::take(&mut completion.data_in);
        completion = Completion { data_in, ..Sense::incorrect_length(residual).into() };
    }
    Ok(completion)
}

fn read_fixed(drive: &mut Drive, nexus: ItNexus, count: u32) -> Executed {
    let block_length = usize::try_from(drive.block_length_bytes).unwrap_or(usize::MAX);
    let mut data = BytesMut::new();
    for done in 0..count {
        let residual = i64::from(count - done);
        let sense = match next_object(drive, nexus)? {
            Ok(ReadOutcome::Block(block)) if block.len() == block_length => {
                if count == 1 {
                    return Ok(Completion::data_in(block));
                }
                if done == 0 {
                    data.reserve(block_length * usize::try_from(count).unwrap_or(1));
                }
                data.extend_from_slice(&block);
                continue;
            }
            Ok(ReadOutcome::Block(_)) => Sense::incorrect_length(residual),
            Ok(ReadOutcome::Filemark) => Sense::filemark_detected(residual),
            Ok(ReadOutcome::EndOfData) => Sense::end_of_data().with_information(residual),
            Err(error) => return Ok(read_error(drive, &error, residual, data.freeze())),
        };
        return Ok(Completion { data_in: data.freeze(), ..sense.into() });
    }
    Ok(Completion::data_in(data))
}

/// Reads the next object; a block comes as it is to travel to this nexus, protected or not.
pub(crate) fn next_object(
    drive: &mut Drive,
    nexus: ItNexus,
) -> Result<Result<ReadOutcome, MediumError>, Refusal> {
    let outcome = next_unprotected(drive, nexus)?;
    match (outcome, drive.block_protection.on_read(nexus)) {
        (Ok(ReadOutcome::Block(block)), Some(method)) => {
            Ok(Ok(ReadOutcome::Block(method.protect(&block))))
        }
        (outcome, _) => Ok(outcome),
    }
}

/// Where what had been written before it cannot be brought to disk, that is told to its writer, whose
/// command is not done; anybody else reads what there is.
fn next_unprotected(
    drive: &mut Drive,
    nexus: ItNexus,
) -> Result<Result<ReadOutcome, MediumError>, Refusal> {
    drive.append_only.forget();
    encryption::prepare_read(drive, nexus)?;
    match drive.loaded()?.cartridge.read() {
        Err(error @ MediumError::WriteFailed { .. }) => {
            drive.defer(&error);
            match drive.unit.take_deferred(nexus) {
                Some(sense) => Err(sense.into()),
                None => Ok(drive.loaded()?.cartridge.read()),
            }
        }
        outcome => Ok(outcome),
    }
}

pub(crate) fn read_error(
    drive: &mut Drive,
    error: &MediumError,
    residual: i64,
    data_in: Bytes,
) -> Completion {
    let is_closed = matches!(
        error,
        MediumError::NoKey { .. }
            | MediumError::WrongKey { .. }
            | MediumError::NotEncrypted { .. }
            | MediumError::AtRest(_)
    );
    if !is_closed {
        drive.note_read_failure(error);
    }
    Completion { data_in, ..of_medium_error(error, Some(residual)).into() }
}
