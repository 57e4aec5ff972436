//! WRITE, WRITE FILEMARKS and ERASE(6) (SSC-5 §5, §6).

use nom::number::complete::{be_u8, be_u24};

use vtl_media::{MediumError, Payload, WriteOutcome};
use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Buffer, Completion, ItNexus, Task};

use crate::Drive;
use crate::drive::{MAX_BLOCK_BYTES, MAX_TRANSFER_BYTES};
use crate::explicit_address::{self, Request};
use crate::sense::of_medium_error;
use crate::tape_alert::WORM_OVERWRITE;
use crate::{append_only, block_protection, encryption, mode_page};

/// The data of one WRITE, on its way from the transport to the journal without a copy.
#[derive(Debug)]
struct DataOut(Buffer);

impl Payload for DataOut {
    fn data(&self) -> &[u8] {
        &self.0
    }

    fn frame(&mut self) -> Option<&mut [u8]> {
        Some(self.0.frame())
    }
}

/// WRITE(6): one block of any length, or several of the length set by MODE SELECT.
pub(crate) fn write_6(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, length, _control) = task.cdb.fields((be_u8, be_u24, be_u8))?;
    write(drive, task, Request { flags, length, length_at: 2, address: None })
}

/// WRITE(16): the same at a place that the command names. The data ends behind it, as with any WRITE.
pub(crate) fn write_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let request = explicit_address::request(task)?;
    write(drive, task, request)
}

fn write(drive: &mut Drive, task: &mut Task, request: Request) -> Executed {
    let Request { flags, length, length_at, address } = request;
    let is_fixed = bit(flags, 0);
    if is_fixed && drive.block_length_bytes == 0 {
        return Err(Sense::invalid_field_in_cdb(1, Some(0)).into());
    }
    let (block_length, block_count) =
        if is_fixed { (drive.block_length_bytes, length) } else { (length, 1) };
    let total = u64::from(block_length) * u64::from(block_count);
    if block_length > MAX_BLOCK_BYTES || total > MAX_TRANSFER_BYTES {
        return Err(Sense::invalid_field_in_cdb(length_at, Some(7)).into());
    }
    // The medium has to be writable even where there is nothing to write.
    drive.writable(task.nexus)?;
    if total == 0 {
        let failed = explicit_address::go_to(drive, task.nexus, address, length)?;
        return Ok(failed.unwrap_or_else(Completion::good));
    }
    let mut data = std::mem::take(&mut task.data_out);
    if u64::try_from(data.len()).unwrap_or(u64::MAX) < total {
        // The transport was told of less than the CDB asks for: no part of a block is written.
        let refused = Completion::from(Sense::invalid_field_in_cdb(length_at, Some(7)));
        return Ok(refused.after_data_out(total));
    }
    if let Some(failed) = explicit_address::go_to(drive, task.nexus, address, length)? {
        return Ok(failed.after_data_out(total));
    }
    data.truncate(usize::try_from(total).unwrap_or(usize::MAX));
    let block_length = match drive.block_protection.on_write(task.nexus) {
        Some(method) => {
            let protected_bytes = usize::try_from(block_length).unwrap_or(usize::MAX);
            if !method.strip(&mut data, protected_bytes) {
                let refused = Sense::logical_block_guard_check_failed();
                return Ok(
                    Completion::from(refused.with_information(length.into())).after_data_out(total)
                );
            }
            block_protection::without_checksum(block_length)
        }
        None => block_length,
    };
    append_only::check_write(drive)?;
    encryption::prepare_write(drive, task.nexus)?;
    let compresses = mode_page::compresses(&drive.mode);
    let cartridge = &mut drive.loaded()?.cartridge;
    cartridge.set_compression(compresses);
    let outcome = cartridge.write(Box::new(DataOut(data)), block_length, block_count);
    let way = Way { nexus: task.nexus, is_buffered: drive.is_buffered, object_count: block_count };
    let completion = finish(drive, way, outcome, |blocks_not_written| {
        if is_fixed { i64::from(blocks_not_written) } else { i64::from(length) }
    });
    Ok(completion.after_data_out(total))
}

/// WRITE FILEMARKS(6): without IMMED a sync point, whatever the count.
pub(crate) fn write_filemarks_6(drive: &mut Drive, task: &mut Task) -> Executed {
    let (flags, length, _control) = task.cdb.fields((be_u8, be_u24, be_u8))?;
    write_filemarks(drive, task.nexus, Request { flags, length, length_at: 2, address: None })
}

/// WRITE FILEMARKS(16): the same at a place that the command names.
pub(crate) fn write_filemarks_16(drive: &mut Drive, task: &mut Task) -> Executed {
    let request = explicit_address::request(task)?;
    write_filemarks(drive, task.nexus, request)
}

fn write_filemarks(drive: &mut Drive, nexus: ItNexus, request: Request) -> Executed {
    let Request { flags, length: count, address, .. } = request;
    let is_immediate = bit(flags, 0);
    drive.writable(nexus)?;
    if let Some(failed) = explicit_address::go_to(drive, nexus, address, count)? {
        return Ok(failed);
    }
    if count != 0 {
        append_only::check_write(drive)?;
    }
    let cartridge = &mut drive.loaded()?.cartridge;
    let outcome =
        if count == 0 { Ok(WriteOutcome::Written) } else { cartridge.write_filemarks(count) };
    let way = Way { nexus, is_buffered: is_immediate, object_count: count };
    Ok(finish(drive, way, outcome, i64::from))
}

/// ERASE(6): the data ends here. LONG asks for the same: what was overwritten stays until the undo window has passed.
pub(crate) fn erase_6(drive: &mut Drive, task: &mut Task) -> Executed {
    drive.writable(task.nexus)?;
    append_only::check_write(drive)?;
    let erased = drive.loaded()?.cartridge.erase();
    let way = Way { nexus: task.nexus, is_buffered: false, object_count: 0 };
    Ok(finish(drive, way, erased.map(|()| WriteOutcome::Written), i64::from))
}

/// How a command writes.
#[derive(Clone, Copy)]
struct Way {
    nexus: ItNexus,
    /// It is answered when its data is in the buffer; else it is also a sync point.
    is_buffered: bool,
    /// How many objects it writes.
    object_count: u32,
}

fn finish(
    drive: &mut Drive,
    way: Way,
    outcome: Result<WriteOutcome, MediumError>,
    residual: impl Fn(u32) -> i64,
) -> Completion {
    let is_accepted = matches!(outcome, Ok(WriteOutcome::Written | WriteOutcome::EarlyWarning));
    let tells_zone = is_accepted && append_only::tells_zone(drive);
    let completion = match outcome {
        // It is told once, and before early warning.
        Ok(WriteOutcome::Written | WriteOutcome::EarlyWarning) if tells_zone => {
            Sense::programmable_early_warning().into()
        }
        Ok(WriteOutcome::Written) => Completion::good(),
        Ok(WriteOutcome::EarlyWarning) => Sense::early_warning().into(),
        Ok(WriteOutcome::EndOfPartition { blocks_not_written }) => {
            Sense::volume_overflow(residual(blocks_not_written)).into()
        }
        Err(error) => return not_accepted(drive, way, error),
    };
    if way.is_buffered {
        return completion;
    }
    // A failure to sync outweighs an early warning.
    match drive.loaded().map(|loaded| loaded.cartridge.sync()) {
        Ok(Err(error)) => drive.failed(way.nexus, &error),
        Ok(Ok(())) | Err(_) => completion,
    }
}

/// Nothing of what the command brought was accepted.
fn not_accepted(drive: &mut Drive, way: Way, error: MediumError) -> Completion {
    match error {
        // What failed had been answered before, and this command has not been carried out.
        MediumError::WriteFailed { .. } if way.is_buffered => {
            drive.defer(&error);
            let deferred = drive.unit.take_deferred(way.nexus);
            deferred.unwrap_or_else(|| of_medium_error(&error, None).deferred()).into()
        }
        MediumError::WriteFailed { objects_not_written, bytes_not_written, source } => {
            let objects_not_written = objects_not_written.saturating_add(way.object_count.into());
            let with_own =
                MediumError::WriteFailed { objects_not_written, bytes_not_written, source };
            drive.failed(way.nexus, &with_own)
        }
        // The disk failed before anything was accepted, and what was accepted before is not touched by it.
        MediumError::Io(_) | MediumError::Label(_) => {
            drive.note_failure(&error);
            Sense::write_error().into()
        }
        _ => {
            if matches!(error, MediumError::Worm) {
                drive.tape_alerts.insert(WORM_OVERWRITE);
            }
            of_medium_error(&error, None).into()
        }
    }
}
