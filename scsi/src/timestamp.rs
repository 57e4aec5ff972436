//! REPORT TIMESTAMP and SET TIMESTAMP (SPC-5 §6.38, §6.44, §5.6): the clock of a logical unit.

use std::fmt;
use std::sync::Arc;

use nom::bytes::complete::take;
use nom::number::complete::{be_u16, be_u32};
use nom::{IResult, Parser};

use crate::Completion;
use crate::Task;
use crate::device::{Command, Device, Executed, UnderReservation};
use crate::sense::Sense;

/// Milliseconds since 1970, in 48 bits.
const MAX_MS: u64 = (1 << 48) - 1;
const LIST_BYTES: usize = 12;

/// The clock of a logical unit. This room reads no clock: whoever assembles a device gives it one.
#[derive(Clone)]
pub struct Clock {
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    origin: Origin,
    /// What SET TIMESTAMP has added, modulo 2^64.
    offset_ms: u64,
}

/// Where the time comes from (SPC-5 §5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was zero at power on, and nobody has set it.
    PowerOn = 0,
    /// A host has set it.
    SetTimestamp = 2,
    /// It was set by other means: it is the time of the machine that the library runs on.
    Host = 3,
}

impl Clock {
    /// A clock that goes by this one, which tells milliseconds since 1970.
    pub fn new(now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { now_ms: Arc::new(now_ms), origin: Origin::Host, offset_ms: 0 }
    }

    /// What the clock says to hosts, in milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        (self.now_ms)().wrapping_add(self.offset_ms) & MAX_MS
    }

    /// The time for the device's own purposes, which nobody sets.
    pub fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }

    fn set(&mut self, timestamp_ms: u64) {
        self.offset_ms = timestamp_ms.wrapping_sub((self.now_ms)());
        self.origin = Origin::SetTimestamp;
    }
}

impl Default for Clock {
    /// A clock that stands still.
    fn default() -> Self {
        Self { now_ms: Arc::new(|| 0), origin: Origin::PowerOn, offset_ms: 0 }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?}, {} ms)", self.origin, self.timestamp_ms())
    }
}

/// REPORT TIMESTAMP and SET TIMESTAMP.
pub const fn rows<D: Device>() -> [Command<D>; 2] {
    [
        Command::new(
            "REPORT TIMESTAMP",
            &[0xa3, 0x0f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
            report::<D>,
        )
        .service_action(0x0f)
        .under_reservation(UnderReservation::Allowed),
        Command::new(
            "SET TIMESTAMP",
            &[0xa4, 0x0f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
            set::<D>,
        )
        .service_action(0x0f),
    ]
}

// 0-1 length, 2 origin, 4-9 milliseconds
fn report<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (_, allocation_length, ..) = task.cdb.fields((take(5_usize), be_u32, take(2_usize)))?;
    let clock = device.unit().clock();
    let mut data = vec![0, 0x0a, clock.origin as u8, 0];
    data.extend(clock.timestamp_ms().to_be_bytes().into_iter().skip(2));
    data.extend([0, 0]);
    Ok(Completion::data_in_allocated(data, allocation_length))
}

// 4-9 milliseconds
fn set<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (_, length, ..) = task.cdb.fields((take(5_usize), be_u32, take(2_usize)))?;
    let done = Completion::good().after_data_out(length.into());
    if length == 0 {
        return Ok(done);
    }
    if usize::try_from(length) != Ok(LIST_BYTES) {
        return Err(Sense::parameter_list_length_error().into());
    }
    let list = task.parameter_list(LIST_BYTES)?;
    let fields: IResult<&[u8], _> = (be_u32, be_u16, be_u32, be_u16).parse(list);
    let (_, (reserved, high, low, end)) =
        fields.map_err(|_| Sense::parameter_list_length_error())?;
    if reserved != 0 {
        return Err(Sense::invalid_field_in_parameter_list(0, None).into());
    }
    if end != 0 {
        return Err(Sense::invalid_field_in_parameter_list(10, None).into());
    }
    device.unit_mut().clock_mut().set(u64::from(high) << 32 | u64::from(low));
    device.unit_mut().raise_for_others(task.nexus, Sense::timestamp_changed());
    Ok(done)
}
