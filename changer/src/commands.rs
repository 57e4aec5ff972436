//! Every command that a changer knows: the only home of operation codes, CDB lengths and usage masks.

use vtl_scsi::device::{Command, UnderReservation};
use vtl_scsi::spc;

use crate::Changer;
use crate::{element_status, moves};

/// Seconds that a move may take on an initiator's clock, as it would with a real arm.
const MOVE_TIMEOUT_SECONDS: u32 = 600;

const MOVE_MEDIUM: u8 = 0xa5;
const EXCHANGE_MEDIUM: u8 = 0xa6;

/// Commands that change the inventory.
pub(crate) const MOVES: [u8; 2] = [MOVE_MEDIUM, EXCHANGE_MEDIUM];

/// The table.
pub(crate) static COMMANDS: &[Command<Changer>] = &[
    spc::test_unit_ready_row(),
    spc::request_sense_row(),
    Command::new("INITIALIZE ELEMENT STATUS", &[0x07, 0, 0, 0, 0, 0], element_status::initialize)
        .timeout_seconds(MOVE_TIMEOUT_SECONDS),
    spc::inquiry_row(),
    MODE_ROWS[2],
    RESERVE_ROWS[0],
    RELEASE_ROWS[0],
    MODE_ROWS[0],
    Command::new(
        "OPEN/CLOSE IMPORT/EXPORT ELEMENT",
        &[0x1b, 0, 0xff, 0xff, 0x1f, 0],
        moves::open_close_import_export,
    ),
    Command::new(
        "PREVENT ALLOW MEDIUM REMOVAL",
        &[0x1e, 0, 0, 0, 0x01, 0],
        moves::prevent_allow_medium_removal,
    )
    .under_reservation(UnderReservation::AllowedUnless { byte: 4, mask: 0x01 }),
    Command::new(
        "POSITION TO ELEMENT",
        &[0x2b, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0],
        moves::position_to_element,
    ),
    Command::new(
        "INITIALIZE ELEMENT STATUS WITH RANGE",
        &[0x37, 0x03, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0],
        element_status::initialize_with_range,
    )
    .timeout_seconds(MOVE_TIMEOUT_SECONDS),
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
    spc::report_luns_row(),
    BUFFER_ROWS[0],
    BUFFER_ROWS[1],
    DIAGNOSTIC_ROWS[0],
    DIAGNOSTIC_ROWS[1],
    TIMESTAMP_ROWS[0],
    TIMESTAMP_ROWS[1],
    spc::report_supported_operation_codes_row(),
    spc::report_supported_task_management_functions_row(),
    Command::new(
        "MOVE MEDIUM",
        &[MOVE_MEDIUM, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x01, 0],
        moves::move_medium,
    )
    .timeout_seconds(MOVE_TIMEOUT_SECONDS),
    Command::new(
        "EXCHANGE MEDIUM",
        &[EXCHANGE_MEDIUM, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x03, 0],
        moves::exchange_medium,
    )
    .timeout_seconds(MOVE_TIMEOUT_SECONDS),
    Command::new(
        "READ ELEMENT STATUS",
        &[0xb8, 0x1f, 0xff, 0xff, 0xff, 0xff, 0x03, 0xff, 0xff, 0xff, 0, 0],
        element_status::read_element_status,
    )
    .under_reservation(UnderReservation::AllowedIf { byte: 6, mask: 0x02 })
    .only_reads(),
    Command::new(
        "INITIALIZE ELEMENT STATUS WITH RANGE (vendor's code)",
        &[0xe7, 0x03, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0],
        element_status::initialize_with_range,
    )
    .timeout_seconds(MOVE_TIMEOUT_SECONDS),
];

const IN_ROWS: [Command<Changer>; 4] = spc::persistent_reserve_in_rows();
const OUT_ROWS: [Command<Changer>; 7] = spc::persistent_reserve_out_rows();
const MODE_ROWS: [Command<Changer>; 4] = spc::mode_rows();
const RESERVE_ROWS: [Command<Changer>; 2] = spc::reserve_rows();
const BUFFER_ROWS: [Command<Changer>; 2] = spc::buffer_rows();
const DIAGNOSTIC_ROWS: [Command<Changer>; 2] = spc::diagnostic_rows();
const TIMESTAMP_ROWS: [Command<Changer>; 2] = spc::timestamp_rows();
const RELEASE_ROWS: [Command<Changer>; 2] = spc::release_rows();
