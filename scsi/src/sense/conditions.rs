//! One named constructor per condition.

use super::{Asc, FieldPointer, Sense, SenseKey};

macro_rules! conditions {
    ($($(#[$doc:meta])+ $name:ident: $key:ident, $asc:ident;)+) => {
        impl Sense {
            $($(#[$doc])+ pub const fn $name() -> Self { Self::new(SenseKey::$key, Asc::$asc) })+
        }
    };
}

conditions! {
    /// Nothing to report.
    no_sense: NoSense, NONE;
    /// There is no cartridge.
    medium_not_present: NotReady, MEDIUM_NOT_PRESENT;
    /// There is a cartridge and it is about to be ready.
    becoming_ready: NotReady, BECOMING_READY;
    /// There is a cartridge, which has to be loaded first.
    initializing_command_required: NotReady, INITIALIZING_COMMAND_REQUIRED;
    /// There is a cleaning cartridge in the drive.
    cleaning_cartridge_installed: NotReady, CLEANING_CARTRIDGE_INSTALLED;
    /// The cleaning cartridge in the drive is used up.
    cleaning_failed: NotReady, CLEANING_FAILED;
    /// Somebody has to do something before the cartridge can be used.
    manual_intervention_required: NotReady, MANUAL_INTERVENTION_REQUIRED;
    /// Not ready, for a reason that has no code.
    not_ready: NotReady, NOT_READY_CAUSE_NOT_REPORTABLE;
    /// The cartridge is of a generation that the drive cannot read.
    incompatible_format: NotReady, INCOMPATIBLE_FORMAT;
    /// Data could not be brought to the medium.
    write_error: MediumError, WRITE_ERROR;
    /// A block cannot be read back as it was written.
    unrecovered_read_error: MediumError, UNRECOVERED_READ_ERROR;
    /// The data ends where there should be more.
    end_of_data_not_found: MediumError, END_OF_DATA_NOT_FOUND;
    /// A block did not arrive as its checksum says.
    logical_block_guard_check_failed: HardwareError, LOGICAL_BLOCK_GUARD_CHECK_FAILED;
    /// There is nothing at the place that a command has named.
    locate_operation_failure: MediumError, LOCATE_OPERATION_FAILURE;
    /// The medium cannot be made sense of.
    medium_format_corrupted: MediumError, MEDIUM_FORMAT_CORRUPTED;
    /// The position could not be reached.
    position_error: MediumError, POSITION_ERROR;
    /// A self-test found something wrong.
    self_test_failed: HardwareError, SELF_TEST_FAILED;
    /// The device failed in itself.
    internal_target_failure: HardwareError, INTERNAL_TARGET_FAILURE;
    /// The cartridge could not be loaded.
    load_failed: HardwareError, LOAD_OR_EJECT_FAILED;
    /// The drive does not let go of the cartridge.
    unload_failure: HardwareError, UNLOAD_FAILURE;
    /// The cartridge cannot be put into the drive: it is damaged, or of a format that is not known.
    medium_load_failed: MediumError, LOAD_OR_EJECT_FAILED;
    /// No such command.
    invalid_operation_code: IllegalRequest, INVALID_OPERATION_CODE;
    /// No such logical unit.
    logical_unit_not_supported: IllegalRequest, LOGICAL_UNIT_NOT_SUPPORTED;
    /// The parameter list is cut off in the middle of something.
    parameter_list_length_error: IllegalRequest, PARAMETER_LIST_LENGTH_ERROR;
    /// There are no saved mode pages.
    saving_not_supported: IllegalRequest, SAVING_NOT_SUPPORTED;
    /// A nexus holds the cartridge in.
    removal_prevented: IllegalRequest, REMOVAL_PREVENTED;
    /// No element has this address.
    invalid_element_address: IllegalRequest, INVALID_ELEMENT_ADDRESS;
    /// There is a cartridge where one was to be put.
    destination_full: IllegalRequest, DESTINATION_FULL;
    /// There is no cartridge where one was to be taken.
    source_empty: IllegalRequest, SOURCE_EMPTY;
    /// The import/export element is open: the arm cannot reach it.
    import_export_not_accessible: IllegalRequest, MAGAZINE_NOT_ACCESSIBLE;
    /// The position or length does not go with what is on the medium.
    incompatible_medium: IllegalRequest, INCOMPATIBLE_MEDIUM;
    /// The cartridge was changed, or has just become ready.
    medium_may_have_changed: UnitAttention, NOT_READY_TO_READY;
    /// Somebody put cartridges into import/export elements, or took them out.
    import_export_accessed: UnitAttention, IMPORT_EXPORT_ACCESSED;
    /// The target was started.
    power_on: UnitAttention, POWER_ON_OR_RESET;
    /// The logical unit was reset.
    device_reset: UnitAttention, DEVICE_RESET;
    /// This nexus was gone and came back.
    nexus_loss: UnitAttention, NEXUS_LOSS;
    /// Another nexus changed mode parameters that all share.
    mode_parameters_changed: UnitAttention, MODE_PARAMETERS_CHANGED;
    /// Another nexus set log counters back.
    log_parameters_changed: UnitAttention, LOG_PARAMETERS_CHANGED;
    /// Another nexus set the clock.
    timestamp_changed: UnitAttention, TIMESTAMP_CHANGED;
    /// Another nexus cleared all registrations and the reservation.
    reservations_preempted: UnitAttention, RESERVATIONS_PREEMPTED;
    /// The reservation under which this nexus had access is gone, or is another one.
    reservations_released: UnitAttention, RESERVATIONS_RELEASED;
    /// Another nexus ended this one's registration.
    registrations_preempted: UnitAttention, REGISTRATIONS_PREEMPTED;
    /// A persistent reservation was to be released as what it is not.
    invalid_release_of_reservation: IllegalRequest, INVALID_RELEASE_OF_RESERVATION;
    /// No more nexuses can be registered.
    insufficient_registration_resources: IllegalRequest, INSUFFICIENT_REGISTRATION_RESOURCES;
    /// Another nexus cleared the task set.
    commands_cleared: UnitAttention, COMMANDS_CLEARED;
    /// The medium, the drive or the operator forbids writing.
    write_protected: DataProtect, WRITE_PROTECTED;
    /// A block is encrypted, and there is no key to read it with.
    unable_to_decrypt_data: DataProtect, UNABLE_TO_DECRYPT_DATA;
    /// A block is not encrypted where only encrypted ones were to be read.
    unencrypted_data_encountered: DataProtect, UNENCRYPTED_DATA_ENCOUNTERED;
    /// A block is encrypted with another key.
    incorrect_encryption_key: DataProtect, INCORRECT_ENCRYPTION_KEY;
    /// The cartridge's format knows no encryption.
    security_error: DataProtect, SECURITY_ERROR;
    /// The key that a nexus relied on is not the one in use any more.
    key_instance_counter_changed: DataProtect, KEY_INSTANCE_COUNTER_CHANGED;
    /// Another nexus changed the key, or how it is used.
    encryption_parameters_changed: UnitAttention, ENCRYPTION_PARAMETERS_CHANGED;
    /// The drive can read this generation, but not write it.
    cannot_write_format: DataProtect, CANNOT_WRITE_FORMAT;
    /// What was written on a WORM medium may not be overwritten.
    worm_overwrite_attempted: DataProtect, WORM_OVERWRITE_ATTEMPTED;
    /// In append-only mode, what was written may not be overwritten.
    operator_selected_write_protect: DataProtect, OPERATOR_SELECTED_WRITE_PROTECT;
    /// The command is about append-only mode, which is off.
    not_in_append_only_mode: IllegalRequest, NOT_IN_APPEND_ONLY_MODE;
    /// The position is not the one that the command names.
    sequential_positioning_error: IllegalRequest, POSITION_ERROR;
    /// The command is for the beginning of the medium only.
    position_past_beginning: IllegalRequest, POSITION_PAST_BEGINNING;
    /// The attributes do not fit into the auxiliary memory.
    auxiliary_memory_out_of_space: IllegalRequest, AUXILIARY_MEMORY_OUT_OF_SPACE;
    /// Another nexus wrote to the echo buffer in between.
    echo_buffer_overwritten: AbortedCommand, ECHO_BUFFER_OVERWRITTEN;
    /// There is no command before this one that it could go with.
    command_sequence_error: IllegalRequest, COMMAND_SEQUENCE_ERROR;
    /// A task of this nexus with the same tag is under way.
    overlapped_commands: AbortedCommand, OVERLAPPED_COMMANDS;
}

impl Sense {
    /// A field of the CDB has a value that is not supported.
    pub const fn invalid_field_in_cdb(byte: u16, bit: Option<u8>) -> Self {
        Self::new(SenseKey::IllegalRequest, Asc::INVALID_FIELD_IN_CDB)
            .with_field_pointer(FieldPointer { is_in_cdb: true, byte, bit })
    }

    /// A field of the parameter list has a value that is not supported.
    pub const fn invalid_field_in_parameter_list(byte: u16, bit: Option<u8>) -> Self {
        Self::new(SenseKey::IllegalRequest, Asc::INVALID_FIELD_IN_PARAMETER_LIST)
            .with_field_pointer(FieldPointer { is_in_cdb: false, byte, bit })
    }

    /// READ met a block of another length: requested minus actual (SSC-5 §7.5, fixed: in blocks).
    pub const fn incorrect_length(residual: i64) -> Self {
        let mut sense = Self::no_sense().with_information(residual);
        sense.ili = true;
        sense
    }

    /// READ or SPACE met a filemark, with so much left to do.
    pub const fn filemark_detected(residual: i64) -> Self {
        let mut sense =
            Self::new(SenseKey::NoSense, Asc::FILEMARK_DETECTED).with_information(residual);
        sense.filemark = true;
        sense
    }

    /// READ, SPACE or LOCATE met the end of data.
    pub const fn end_of_data() -> Self {
        Self::new(SenseKey::BlankCheck, Asc::END_OF_DATA)
    }

    /// SPACE met the beginning of the partition, with so much left to do.
    pub const fn beginning_of_partition(residual: i64) -> Self {
        Self::new(SenseKey::NoSense, Asc::BEGINNING_OF_PARTITION)
            .with_information(residual)
            .with_eom()
    }

    /// All was written, and the end of the partition is near.
    pub const fn early_warning() -> Self {
        Self::new(SenseKey::NoSense, Asc::END_OF_PARTITION).with_information(0).with_eom()
    }

    /// All was written, and it has entered the zone that MODE SELECT has put before the early-warning position (SSC-5 §4.2.6).
    pub const fn programmable_early_warning() -> Self {
        Self::new(SenseKey::NoSense, Asc::PROGRAMMABLE_EARLY_WARNING).with_information(0).with_eom()
    }

    /// The partition is full; so much was not written.
    pub const fn volume_overflow(residual: i64) -> Self {
        Self::new(SenseKey::VolumeOverflow, Asc::END_OF_PARTITION)
            .with_information(residual)
            .with_eom()
    }
}
