//! SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS (SPC-5 §6.42, §6.20).

use nom::number::complete::{be_u8, be_u16};

use crate::cdb::bit;
use crate::device::{Command, Device, Executed};
use crate::sense::Sense;
use crate::{Completion, Task};

const SELF_TEST_TIMEOUT_SECONDS: u32 = 300;
const SEND_DIAGNOSTIC_USAGE: &[u8; 6] = &[0x1d, 0xf7, 0, 0xff, 0xff, 0];

/// The only diagnostic page: which there are. It names itself.
const SUPPORTED_PAGES: [u8; 5] = [0x00, 0, 0, 1, 0x00];

/// SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS.
pub const fn rows<D: Device>() -> [Command<D>; 2] {
    [
        Command::new("SEND DIAGNOSTIC", SEND_DIAGNOSTIC_USAGE, send::<D>)
            .timeout_seconds(SELF_TEST_TIMEOUT_SECONDS),
        Command::new(
            "RECEIVE DIAGNOSTIC RESULTS",
            &[0x1c, 0x01, 0xff, 0xff, 0xff, 0],
            receive::<D>,
        )
        .only_reads(),
    ]
}

/// Whether the task is a SEND DIAGNOSTIC, whose self-test may wait for the disk.
pub fn is_self_test(task: &Task) -> bool {
    let [code, ..] = SEND_DIAGNOSTIC_USAGE;
    task.cdb.operation_code() == *code
}

// 1 self-test code (bits 7-5), PF (bit 4), SELFTEST (bit 2), DEVOFFL, UNITOFFL: nothing goes offline; 3-4 length
fn send<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    const NO_CODE: u8 = 0;
    const FOREGROUND_SHORT: u8 = 5;
    const FOREGROUND_EXTENDED: u8 = 6;
    let (flags, _, length, _control) = task.cdb.fields((be_u8, be_u8, be_u16, be_u8))?;
    let (code, is_default_test) = (flags >> 5, bit(flags, 2));
    if !matches!(code, NO_CODE | FOREGROUND_SHORT | FOREGROUND_EXTENDED)
        || is_default_test && code != NO_CODE
    {
        return Err(Sense::invalid_field_in_cdb(1, Some(7)).into());
    }
    if is_default_test || code != NO_CODE {
        if length != 0 {
            return Err(Sense::invalid_field_in_cdb(3, Some(7)).into());
        }
        return Ok(device.self_test().err().map_or_else(Completion::good, Completion::from));
    }
    let done = Completion::good().after_data_out(length.into());
    if length == 0 {
        return Ok(done);
    }
    if !bit(flags, 4) {
        return Err(Sense::invalid_field_in_cdb(1, Some(4)).into());
    }
    // 0 page, 1 page-specific, 2-3 length: of page 00h nothing follows.
    match task.parameter_list(length.into())? {
        [0x00, 0, 0, 0] => Ok(done),
        [0x00, 0, ..] | [] => Err(Sense::parameter_list_length_error().into()),
        [0x00, ..] => Err(Sense::invalid_field_in_parameter_list(1, None).into()),
        _ => Err(Sense::invalid_field_in_parameter_list(0, None).into()),
    }
}

fn receive<D: Device>(_device: &mut D, task: &mut Task) -> Executed {
    let (flags, page, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u16, be_u8))?;
    if bit(flags, 0) && page != 0 {
        return Err(Sense::invalid_field_in_cdb(2, Some(7)).into());
    }
    Ok(Completion::data_in_allocated(SUPPORTED_PAGES.to_vec(), allocation_length.into()))
}
