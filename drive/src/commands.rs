//! Every command that a drive knows: the only home of operation codes, CDB lengths and usage masks.

use vtl_scsi::device::{ChangesMedium, Command, UnderReservation};
use vtl_scsi::spc;

use crate::Drive;
use crate::{
    access_order, append_only, attribute, density, encryption, medium, motion, partition, position,
    read, verify, write,
};

/// Seconds that rewinding, spacing and loading may take on an initiator's clock, as it would with a real drive.
const MOTION_TIMEOUT_SECONDS: u32 = 900;

pub(crate) const READ_6: u8 = 0x08;
pub(crate) const WRITE_6: u8 = 0x0a;
pub(crate) const WRITE_FILEMARKS_6: u8 = 0x10;
const REWIND: u8 = 0x01;
const FORMAT_MEDIUM: u8 = 0x04;
const SET_CAPACITY: u8 = 0x0b;
const SPACE_6: u8 = 0x11;
const VERIFY_6: u8 = 0x13;
const ERASE_6: u8 = 0x19;
const LOAD_UNLOAD: u8 = 0x1b;
const LOCATE_10: u8 = 0x2b;
const WRITE_FILEMARKS_16: u8 = 0x80;
const READ_16: u8 = 0x88;
const WRITE_16: u8 = 0x8a;
const VERIFY_16: u8 = 0x8f;
const SPACE_16: u8 = 0x91;
const LOCATE_16: u8 = 0x92;
const SECURITY_PROTOCOL_IN: u8 = 0xa2;
const SECURITY_PROTOCOL_OUT: u8 = 0xb5;
const WRITE_ATTRIBUTE: u8 = 0x8d;

/// Commands that look for a place on the medium, or bring it to a state that has to be on disk.
pub(crate) const MOVES_THE_MEDIUM: [u8; 15] = [
    REWIND,
    FORMAT_MEDIUM,
    SET_CAPACITY,
    SPACE_6,
    VERIFY_6,
    ERASE_6,
    LOAD_UNLOAD,
    LOCATE_10,
    WRITE_FILEMARKS_16,
    READ_16,
    WRITE_16,
    WRITE_ATTRIBUTE,
    VERIFY_16,
    SPACE_16,
    LOCATE_16,
];

/// Of GENERATE and RECEIVE RECOMMENDED ACCESS ORDER, which not all models have.
pub(crate) const RECOMMENDED_ACCESS_ORDER: u8 = 0x1d;

/// The usage of a CDB that names a partition, an object and a length, with these bits of byte 1.
macro_rules! explicit {
    ($code:expr, $flags:literal) => {
        &[
            $code, $flags, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0,
        ]
    };
}

/// The table.
pub(crate) static COMMANDS: &[Command<Drive>] = &[
    spc::test_unit_ready_row().needs_medium(),
    Command::new("REWIND", &[REWIND, 0x01, 0, 0, 0, 0], motion::rewind)
        .needs_medium()
        .only_reads()
        .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    spc::request_sense_row(),
    Command::new(
        "FORMAT MEDIUM",
        &[FORMAT_MEDIUM, 0x01, 0x0f, 0xff, 0xff, 0],
        partition::format_medium,
    )
    .changes_medium(ChangesMedium::Always)
    .needs_medium()
    .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new("READ BLOCK LIMITS", &[0x05, 0x01, 0, 0, 0, 0], read::read_block_limits)
        .under_reservation(UnderReservation::Allowed),
    Command::new("READ(6)", &[READ_6, 0x03, 0xff, 0xff, 0xff, 0], read::read_6)
        .needs_medium()
        .only_reads()
        .timeout_seconds(1500),
    Command::new("WRITE(6)", &[WRITE_6, 0x01, 0xff, 0xff, 0xff, 0], write::write_6)
        .changes_medium(ChangesMedium::Always)
        .needs_medium()
        .timeout_seconds(1500),
    Command::new("SET CAPACITY", &[SET_CAPACITY, 0x01, 0, 0xff, 0xff, 0], partition::set_capacity)
        .changes_medium(ChangesMedium::Always)
        .needs_medium()
        .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new(
        "WRITE FILEMARKS(6)",
        &[WRITE_FILEMARKS_6, 0x01, 0xff, 0xff, 0xff, 0],
        write::write_filemarks_6,
    )
    .changes_medium(ChangesMedium::Unless { first: 2, count: 3 })
    .needs_medium()
    .timeout_seconds(1500),
    Command::new("SPACE(6)", &[SPACE_6, 0x0f, 0xff, 0xff, 0xff, 0], motion::space_6)
        .needs_medium()
        .only_reads()
        .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    spc::inquiry_row(),
    Command::new("VERIFY(6)", &[VERIFY_6, 0x3d, 0xff, 0xff, 0xff, 0], verify::verify_6)
        .needs_medium()
        .only_reads()
        .timeout_seconds(28_800),
    MODE_ROWS[2],
    RESERVE_ROWS[0],
    RELEASE_ROWS[0],
    Command::new("ERASE(6)", &[ERASE_6, 0x03, 0, 0, 0, 0], write::erase_6)
        .changes_medium(ChangesMedium::Always)
        .needs_medium()
        .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    MODE_ROWS[0],
    Command::new("LOAD UNLOAD", &[LOAD_UNLOAD, 0x01, 0, 0, 0x03, 0], medium::load_unload)
        .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new(
        "PREVENT ALLOW MEDIUM REMOVAL",
        &[0x1e, 0, 0, 0, 0x01, 0],
        medium::prevent_allow_medium_removal,
    )
    .under_reservation(UnderReservation::AllowedUnless { byte: 4, mask: 0x01 }),
    Command::new(
        "LOCATE(10)",
        &[LOCATE_10, 0x07, 0, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0],
        motion::locate_10,
    )
    .only_reads()
    .needs_medium()
    .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new(
        "READ POSITION",
        &[0x34, 0x1f, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
        position::read_position,
    )
    .needs_medium()
    .under_reservation(UnderReservation::Allowed),
    Command::new(
        "REPORT DENSITY SUPPORT",
        &[0x44, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 0],
        density::report_density_support,
    )
    .under_reservation(UnderReservation::Allowed),
    spc::log_select_row(),
    spc::log_sense_row(),
    MODE_ROWS[3],
    RESERVE_ROWS[1],
    RELEASE_ROWS[1],
    MODE_ROWS[1],
    IN_ROWS[0],
    IN_ROWS[1],
    IN_ROWS[2],
    IN_ROWS[3],
    OUT_ROWS[0],
    OUT_ROWS[1],
    OUT_ROWS[2],
    OUT_ROWS[3],
    OUT_ROWS[4],
    OUT_ROWS[5],
    OUT_ROWS[6],
    Command::new(
        "WRITE FILEMARKS(16)",
        explicit!(WRITE_FILEMARKS_16, 0x01),
        write::write_filemarks_16,
    )
    .changes_medium(ChangesMedium::Unless { first: 12, count: 3 })
    .needs_medium()
    .timeout_seconds(1500),
    Command::new(
        "ALLOW OVERWRITE",
        &[0x82, 0, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        append_only::allow_overwrite,
    )
    .changes_medium(ChangesMedium::Always)
    .needs_medium(),
    Command::new("READ(16)", explicit!(READ_16, 0x03), read::read_16)
        .needs_medium()
        .only_reads()
        .timeout_seconds(1500),
    Command::new("WRITE(16)", explicit!(WRITE_16, 0x01), write::write_16)
        .changes_medium(ChangesMedium::Always)
        .needs_medium()
        .timeout_seconds(1500),
    Command::new(
        "READ ATTRIBUTE",
        &[0x8c, 0x1f, 0, 0, 0, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0],
        attribute::read_attribute,
    )
    .only_reads(),
    Command::new(
        "WRITE ATTRIBUTE",
        &[WRITE_ATTRIBUTE, 0x01, 0, 0, 0, 0xff, 0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        attribute::write_attribute,
    )
    .changes_medium(ChangesMedium::Always),
    Command::new("VERIFY(16)", explicit!(VERIFY_16, 0x3d), verify::verify_16)
        .needs_medium()
        .only_reads()
        .timeout_seconds(28_800),
    Command::new(
        "SPACE(16)",
        &[SPACE_16, 0x0f, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        motion::space_16,
    )
    .only_reads()
    .needs_medium()
    .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new(
        "LOCATE(16)",
        &[LOCATE_16, 0x3b, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        motion::locate_16,
    )
    .only_reads()
    .needs_medium()
    .timeout_seconds(MOTION_TIMEOUT_SECONDS),
    Command::new(
        "SECURITY PROTOCOL IN",
        &[SECURITY_PROTOCOL_IN, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        encryption::security_protocol_in,
    )
    .only_reads(),
    Command::new(
        "SECURITY PROTOCOL OUT",
        &[SECURITY_PROTOCOL_OUT, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        encryption::security_protocol_out,
    ),
    spc::report_luns_row(),
    BUFFER_ROWS[0],
    BUFFER_ROWS[1],
    DIAGNOSTIC_ROWS[0],
    DIAGNOSTIC_ROWS[1],
    TIMESTAMP_ROWS[0],
    TIMESTAMP_ROWS[1],
    Command::new(
        "RECEIVE RECOMMENDED ACCESS ORDER",
        &[0xa3, 0x9d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07, 0],
        access_order::receive,
    )
    .service_action(RECOMMENDED_ACCESS_ORDER)
    .only_reads(),
    Command::new(
        "GENERATE RECOMMENDED ACCESS ORDER",
        &[0xa4, 0x1d, 0x07, 0x07, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        access_order::generate,
    )
    .service_action(RECOMMENDED_ACCESS_ORDER)
    .needs_medium(),
    Command::new(
        "READ MEDIA SERIAL NUMBER",
        &[0xab, 0x01, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0],
        attribute::read_media_serial_number,
    )
    .service_action(0x01)
    .needs_medium()
    .under_reservation(UnderReservation::Allowed),
    spc::report_supported_operation_codes_row(),
    spc::report_supported_task_management_functions_row(),
];

const IN_ROWS: [Command<Drive>; 4] = spc::persistent_reserve_in_rows();
const OUT_ROWS: [Command<Drive>; 7] = spc::persistent_reserve_out_rows();
const MODE_ROWS: [Command<Drive>; 4] = spc::mode_rows();
const RESERVE_ROWS: [Command<Drive>; 2] = spc::reserve_rows();
const BUFFER_ROWS: [Command<Drive>; 2] = spc::buffer_rows();
const DIAGNOSTIC_ROWS: [Command<Drive>; 2] = spc::diagnostic_rows();
const TIMESTAMP_ROWS: [Command<Drive>; 2] = spc::timestamp_rows();
const RELEASE_ROWS: [Command<Drive>; 2] = spc::release_rows();
