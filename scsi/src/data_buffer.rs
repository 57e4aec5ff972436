//! READ BUFFER and WRITE BUFFER (SPC-5 §6.18, §6.49): memory of a logical unit for trying the way to it.

use nom::number::complete::{be_u8, be_u24};

use crate::device::{Command, Device, Executed, Refusal};
use crate::sense::Sense;
use crate::{Completion, ItNexus, Task};

/// How much the data buffer holds, which is buffer 0.
const DATA_BYTES: usize = 64 << 10;
/// How much the echo buffer holds.
const ECHO_BYTES: usize = 4096;

const MODE_DATA: u8 = 0x02;
const MODE_DESCRIPTOR: u8 = 0x03;
const MODE_ECHO: u8 = 0x0a;
const MODE_ECHO_DESCRIPTOR: u8 = 0x0b;

/// What was written with WRITE BUFFER.
#[derive(Debug, Default)]
pub(crate) struct DataBuffers {
    /// Bytes behind its end are zero.
    // Invariant: data.len() <= DATA_BYTES
    data: Vec<u8>,
    /// Whose echo data it is.
    // Invariant: its length <= ECHO_BYTES
    echo: Option<(ItNexus, Vec<u8>)>,
}

/// READ BUFFER(10) and WRITE BUFFER.
pub const fn rows<D: Device>() -> [Command<D>; 2] {
    [
        Command::new(
            "READ BUFFER(10)",
            &[0x3c, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            read::<D>,
        ),
        Command::new(
            "WRITE BUFFER",
            &[0x3b, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            write::<D>,
        ),
    ]
}

fn read<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (mode, id, offset, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u24, be_u24, be_u8))?;
    let buffers = &device.unit().buffers;
    let data = match mode {
        MODE_DATA => {
            let offset = offset_in_data(id, offset)?;
            let mut data = buffers.data.clone();
            data.resize(DATA_BYTES, 0);
            data.split_off(offset)
        }
        MODE_DESCRIPTOR => descriptor(id),
        MODE_ECHO => match &buffers.echo {
            Some((nexus, data)) if *nexus == task.nexus => data.clone(),
            Some(_) => return Err(Sense::echo_buffer_overwritten().into()),
            None => return Err(Sense::command_sequence_error().into()),
        },
        // 0 EBOS: who finds somebody else's data there is told; 2-3 capacity
        MODE_ECHO_DESCRIPTOR => {
            let [high, low] = u16::try_from(ECHO_BYTES).unwrap_or(u16::MAX).to_be_bytes();
            vec![0x01, 0, high, low]
        }
        _ => return Err(no_such_mode()),
    };
    Ok(Completion::data_in_allocated(data, allocation_length))
}

fn write<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (mode, id, offset, length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u24, be_u24, be_u8))?;
    let length_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    let too_long = || Refusal(Sense::invalid_field_in_cdb(6, Some(7)));
    match mode {
        MODE_DATA => {
            let offset = offset_in_data(id, offset)?;
            let end = offset.checked_add(length_bytes).filter(|end| *end <= DATA_BYTES);
            let end = end.ok_or_else(too_long)?;
            let list = task.parameter_list(length_bytes)?;
            let data = &mut device.unit_mut().buffers.data;
            data.resize(data.len().max(end), 0);
            data.splice(offset..end, list.iter().copied());
        }
        MODE_ECHO => {
            if length_bytes > ECHO_BYTES {
                return Err(too_long());
            }
            let data = task.parameter_list(length_bytes)?.to_vec();
            device.unit_mut().buffers.echo = Some((task.nexus, data));
        }
        // Microcode among others: the program is the drive's, and nothing that comes this way changes it.
        _ => return Err(no_such_mode()),
    }
    Ok(Completion::good().after_data_out(length.into()))
}

// 0 boundary of offsets: any byte; 1-3 capacity. A buffer that is not there has none.
fn descriptor(id: u8) -> Vec<u8> {
    let capacity = if id == 0 { u32::try_from(DATA_BYTES).unwrap_or(u32::MAX) } else { 0 };
    capacity.to_be_bytes().to_vec()
}

fn offset_in_data(id: u8, offset: u32) -> Result<usize, Refusal> {
    if id != 0 {
        return Err(Sense::invalid_field_in_cdb(2, Some(7)).into());
    }
    usize::try_from(offset)
        .ok()
        .filter(|offset| *offset <= DATA_BYTES)
        .ok_or(Refusal(Sense::invalid_field_in_cdb(3, Some(7))))
}

fn no_such_mode() -> Refusal {
    Sense::invalid_field_in_cdb(1, Some(4)).into()
}
