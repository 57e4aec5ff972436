//! Commands that every device type has (SPC-5 §6), for use in a command table.

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};

use crate::cdb::bit;
pub use crate::data_buffer::rows as buffer_rows;
use crate::device::{
    ChangesMedium, Command, Device, Executed, UnderPersistentReservation, UnderReservation,
};
pub use crate::diagnostic::{is_self_test, rows as diagnostic_rows};
pub use crate::persistent::command::{
    in_rows as persistent_reserve_in_rows, out_rows as persistent_reserve_out_rows,
};
use crate::sense::{Sense, SenseFormat};
pub use crate::timestamp::rows as timestamp_rows;
use crate::{Completion, Lun, Status, Task};

/// Whether the task only asks what the logical unit is, or which there are: INQUIRY and REPORT LUNS, which are answered whatever
/// the state of the medium, and without looking at it.
pub fn is_about_identity(task: &Task) -> bool {
    let [inquiry, ..] = INQUIRY_USAGE;
    let [report_luns, ..] = REPORT_LUNS_USAGE;
    let code = task.cdb.operation_code();
    code == *inquiry || code == *report_luns
}

/// The operation code of PERSISTENT RESERVE OUT.
pub const PERSISTENT_RESERVE_OUT: u8 = 0x5f;

const INQUIRY_USAGE: &[u8; 6] = &[0x12, 0x01, 0xff, 0xff, 0xff, 0x00];
const REPORT_LUNS_USAGE: &[u8; 12] = &[0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];

/// INQUIRY (SPC-5 §6.6).
pub const fn inquiry_row<D: Device>() -> Command<D> {
    Command::new("INQUIRY", INQUIRY_USAGE, inquiry::<D>)
        .passes_attention()
        .under_reservation(UnderReservation::Allowed)
}

/// REQUEST SENSE (SPC-5 §6.39).
pub const fn request_sense_row<D: Device>() -> Command<D> {
    Command::new("REQUEST SENSE", &[0x03, 0x01, 0x00, 0x00, 0xff, 0x00], request_sense::<D>)
        .passes_attention()
        .under_reservation(UnderReservation::Allowed)
}

/// REPORT LUNS (SPC-5 §6.33).
pub const fn report_luns_row<D: Device>() -> Command<D> {
    Command::new("REPORT LUNS", REPORT_LUNS_USAGE, report_luns::<D>)
        .passes_attention()
        .under_reservation(UnderReservation::Allowed)
}

/// TEST UNIT READY (SPC-5 §6.47).
pub const fn test_unit_ready_row<D: Device>() -> Command<D> {
    Command::new("TEST UNIT READY", &[0x00, 0, 0, 0, 0, 0], |_, _| Ok(Completion::good()))
        .under_persistent_reservation(UnderPersistentReservation::Allowed)
}

/// RESERVE(6) and RESERVE(10) of the whole logical unit (SPC-2 §7.21, §7.22).
pub const fn reserve_rows<D: Device>() -> [Command<D>; 2] {
    [
        Command::new("RESERVE(6)", &[0x16, 0, 0, 0, 0, 0], reserve::<D>)
            .under_persistent_reservation(UnderPersistentReservation::Allowed),
        Command::new("RESERVE(10)", &[0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0], reserve::<D>)
            .under_persistent_reservation(UnderPersistentReservation::Allowed),
    ]
}

/// RELEASE(6) and RELEASE(10) (SPC-2 §7.17, §7.18).
pub const fn release_rows<D: Device>() -> [Command<D>; 2] {
    [
        Command::new("RELEASE(6)", &[0x17, 0, 0, 0, 0, 0], release::<D>)
            .under_reservation(UnderReservation::Allowed),
        Command::new("RELEASE(10)", &[0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0], release::<D>)
            .under_reservation(UnderReservation::Allowed),
    ]
}

/// MODE SENSE and MODE SELECT, both sizes.
pub const fn mode_rows<D: Device>() -> [Command<D>; 4] {
    use crate::mode;
    [
        Command::new("MODE SENSE(6)", &[0x1a, 0x08, 0xff, 0xff, 0xff, 0], mode::mode_sense_6::<D>)
            .only_reads(),
        Command::new(
            "MODE SENSE(10)",
            &[0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0],
            mode::mode_sense_10::<D>,
        )
        .only_reads(),
        Command::new("MODE SELECT(6)", &[0x15, 0x11, 0, 0, 0xff, 0], mode::mode_select_6::<D>)
            .changes_medium(ChangesMedium::WithPages),
        Command::new(
            "MODE SELECT(10)",
            &[0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
            mode::mode_select_10::<D>,
        )
        .changes_medium(ChangesMedium::WithPages),
    ]
}

/// LOG SENSE (SPC-5 §6.7).
pub const fn log_sense_row<D: Device>() -> Command<D> {
    Command::new(
        "LOG SENSE",
        &[0x4d, 0x01, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0],
        crate::log::log_sense::<D>,
    )
    .under_reservation(UnderReservation::Allowed)
}

/// LOG SELECT (SPC-5 §6.6).
pub const fn log_select_row<D: Device>() -> Command<D> {
    Command::new(
        "LOG SELECT",
        &[0x4c, 0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0],
        crate::log::log_select::<D>,
    )
}

/// REPORT SUPPORTED OPERATION CODES (SPC-5 §6.35).
pub const fn report_supported_operation_codes_row<D: Device>() -> Command<D> {
    Command::new(
        "REPORT SUPPORTED OPERATION CODES",
        &[0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        report_supported_operation_codes::<D>,
    )
    .service_action(0x0c)
    .under_reservation(UnderReservation::Allowed)
}

/// REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-5 §6.36).
pub const fn report_supported_task_management_functions_row<D: Device>() -> Command<D> {
    Command::new(
        "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
        &[0xa3, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        report_supported_task_management_functions,
    )
    .service_action(0x0d)
    .under_reservation(UnderReservation::Allowed)
}

/// What a target answers for a LUN behind which there is nothing (SPC-5 §6.6.2, SAM-5 §5.11).
pub fn execute_absent(task: &Task, luns: &[Lun]) -> Completion {
    const QUALIFIER_NOT_CAPABLE: u8 = 0x7f;
    let absent = Sense::logical_unit_not_supported();
    match task.cdb.operation_code() {
        0x12 => {
            let Ok((flags, _, length, _)) = task.cdb.fields((be_u8, be_u8, be_u16, be_u8)) else {
                return absent.into();
            };
            if bit(flags, 0) {
                return Sense::invalid_field_in_cdb(1, Some(0)).into();
            }
            let mut data = vec![QUALIFIER_NOT_CAPABLE, 0, 0x06, 0x02, 31];
            data.resize(36, 0);
            Completion::data_in_allocated(data, length.into())
        }
        0x03 => {
            let Ok((flags, _, length, _)) = task.cdb.fields((be_u8, be_u16, be_u8, be_u8)) else {
                return absent.into();
            };
            let format = if bit(flags, 0) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
            Completion::data_in_allocated(absent.encode(format), length.into())
        }
        0xa0 => lun_list(task, luns).unwrap_or_else(|refusal| refusal.0.into()),
        _ => absent.into(),
    }
}

fn inquiry<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, page, allocation_length, _control) =
        task.cdb.fields((be_u8, be_u8, be_u16, be_u8))?;
    let data = match (bit(flags, 0), page) {
        (false, 0) => device.inquiry_data(),
        (false, _) => return Err(Sense::invalid_field_in_cdb(2, None).into()),
        (true, page) => {
            device.vital_product_data(page).ok_or(Sense::invalid_field_in_cdb(2, Some(7)))?
        }
    };
    Ok(Completion::data_in_allocated(data, allocation_length.into()))
}

fn request_sense<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (flags, _, allocation_length, _control) = task.cdb.fields((be_u8, be_u16, be_u8, be_u8))?;
    let pending = device.unit_mut().take_attention(task.nexus);
    let sense = pending.or_else(|| device.not_ready()).unwrap_or(Sense::no_sense());
    let format = if bit(flags, 0) { SenseFormat::Descriptor } else { SenseFormat::Fixed };
    Ok(Completion::data_in_allocated(sense.encode(format), allocation_length.into()))
}

fn report_luns<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    if task.rights.is_alone {
        return lun_list(task, &[Lun(0)]);
    }
    let luns = device.unit().luns.clone();
    let seen: Vec<Lun> = luns.iter().copied().filter(|lun| task.rights.sees(*lun)).collect();
    lun_list(task, &seen)
}

// 0-3 LUN list length, 4-7 reserved, then eight bytes a LUN.
fn lun_list(task: &Task, luns: &[Lun]) -> Executed {
    const SELECT_ADDRESSED: u8 = 0x00;
    const SELECT_WELL_KNOWN: u8 = 0x01;
    const SELECT_ALL: u8 = 0x02;
    const LEAST_ALLOCATION_LENGTH: u32 = 16;
    let (_, select, _, allocation_length, ..) =
        task.cdb.fields((be_u8, be_u8, be_u24, be_u32, be_u8, be_u8))?;
    let luns = match select {
        SELECT_ADDRESSED | SELECT_ALL => luns,
        SELECT_WELL_KNOWN => &[],
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(7)).into()),
    };
    if allocation_length < LEAST_ALLOCATION_LENGTH {
        return Err(Sense::invalid_field_in_cdb(6, Some(7)).into());
    }
    let mut data = u32::try_from(luns.len() * 8).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    data.extend([0; 4]);
    data.extend(luns.iter().flat_map(|lun| lun.encode()));
    Ok(Completion::data_in_allocated(data, allocation_length))
}

fn reserve<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    // The two ways of reserving exclude each other (SPC-2 §5.5.1); CRH in REPORT CAPABILITIES is zero.
    if !device.unit().persistent().is_in_use() && device.unit_mut().reserve(task.nexus) {
        return Ok(Completion::good());
    }
    Ok(Completion::with_status(Status::RESERVATION_CONFLICT))
}

fn release<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    if device.unit().persistent().is_in_use() {
        return Ok(Completion::with_status(Status::RESERVATION_CONFLICT));
    }
    device.unit_mut().release(task.nexus);
    Ok(Completion::good())
}

fn report_supported_operation_codes<D: Device>(device: &mut D, task: &mut Task) -> Executed {
    let (_, options, code, service_action, allocation_length, ..) =
        task.cdb.fields((be_u8, be_u8, be_u8, be_u16, be_u32, take(2_usize)))?;
    let with_timeouts = bit(options, 7);
    let commands = || D::commands().iter().filter(|row| device.supports(row));
    let rows = || commands().filter(move |row| row.operation_code() == code);
    let data = match options & 0x07 {
        0 => all_commands(commands(), with_timeouts),
        1 if rows().any(|row| row.service_action.is_some()) => {
            return Err(Sense::invalid_field_in_cdb(2, Some(2)).into());
        }
        1 => one_command(rows().next(), with_timeouts),
        2 if rows().any(|row| row.service_action.is_none()) => {
            return Err(Sense::invalid_field_in_cdb(2, Some(2)).into());
        }
        2 | 3 => {
            let matches =
                |row: &&Command<D>| row.service_action.map_or(0, u16::from) == service_action;
            one_command(rows().find(matches), with_timeouts)
        }
        _ => return Err(Sense::invalid_field_in_cdb(2, Some(2)).into()),
    };
    Ok(Completion::data_in_allocated(data, allocation_length))
}

// 0-3 length; per command: 0 operation code, 2-3 service action, 5 CTDP, SERVACTV, 6-7 CDB length, then timeouts.
fn all_commands<D: Device>(
    rows: impl Iterator<Item = &'static Command<D>>,
    with_timeouts: bool,
) -> Vec<u8> {
    let mut list = Vec::new();
    for row in rows {
        let [sa_high, sa_low] = row.service_action.map_or(0, u16::from).to_be_bytes();
        let flags = u8::from(with_timeouts) << 1 | u8::from(row.service_action.is_some());
        let [length_high, length_low] = u16::try_from(row.usage.len()).unwrap_or(0).to_be_bytes();
        list.extend([row.operation_code(), 0, sa_high, sa_low, 0, flags, length_high, length_low]);
        if with_timeouts {
            list.extend(timeouts(row));
        }
    }
    let mut data = u32::try_from(list.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    data.extend(list);
    data
}

// 1 CTDP, SUPPORT; 2-3 CDB size; CDB usage data; timeouts.
fn one_command<D>(row: Option<&Command<D>>, with_timeouts: bool) -> Vec<u8> {
    const NOT_SUPPORTED: u8 = 0x01;
    const AS_THE_STANDARD_SAYS: u8 = 0x03;
    let Some(row) = row else {
        return vec![0, NOT_SUPPORTED, 0, 0];
    };
    let mut data = vec![0, u8::from(with_timeouts) << 7 | AS_THE_STANDARD_SAYS];
    data.extend(u16::try_from(row.usage.len()).unwrap_or(0).to_be_bytes());
    data.extend(row.usage);
    if with_timeouts {
        data.extend(timeouts(row));
    }
    data
}

// Command timeouts descriptor: 0-1 length, 4-7 nominal, 8-11 recommended, in seconds.
fn timeouts<D>(row: &Command<D>) -> Vec<u8> {
    let mut descriptor = vec![0, 0x0a, 0, 0];
    descriptor.extend(1_u32.to_be_bytes());
    descriptor.extend(row.timeout_seconds.to_be_bytes());
    descriptor
}

fn report_supported_task_management_functions<D: Device>(
    _device: &mut D,
    task: &mut Task,
) -> Executed {
    const LEAST_ALLOCATION_LENGTH: u32 = 4;
    // ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, and TARGET RESET.
    const FUNCTIONS: u8 = 0x80 | 0x40 | 0x10 | 0x08 | 0x02;
    let (_, options, _, allocation_length, ..) =
        task.cdb.fields((be_u8, be_u8, be_u24, be_u32, take(2_usize)))?;
    if allocation_length < LEAST_ALLOCATION_LENGTH {
        return Err(Sense::invalid_field_in_cdb(6, Some(7)).into());
    }
    let mut data = vec![FUNCTIONS, 0, 0, 0];
    if bit(options, 7) {
        data = vec![FUNCTIONS, 0, 0, 0x0c, 0, 0, 0, 0];
        data.extend([0, 0, 0, 50, 0, 0, 0, 50]); // in tenths of a second: long, short
    }
    Ok(Completion::data_in_allocated(data, allocation_length))
}
