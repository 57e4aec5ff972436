//! Additional sense codes (SPC-5 Annex F): the ones that this library reports.

use std::fmt;

/// An additional sense code and its qualifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asc(pub u8, pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $qualifier:literal, $text:literal;)+) => {
        impl Asc {
            $(#[doc = concat!($text, ".")] $(#[$doc])* pub const $name: Self = Self($code, $qualifier);)+

            /// The standard's words, where this library reports the code itself.
            pub fn text(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)+
                    _ => None,
                }
            }
        }
    };
}

codes! {
    NONE = 0x00, 0x00, "No additional sense information";
    FILEMARK_DETECTED = 0x00, 0x01, "Filemark detected";
    END_OF_PARTITION = 0x00, 0x02, "End-of-partition/medium detected";
    BEGINNING_OF_PARTITION = 0x00, 0x04, "Beginning-of-partition/medium detected";
    END_OF_DATA = 0x00, 0x05, "End-of-data detected";
    PROGRAMMABLE_EARLY_WARNING = 0x00, 0x07, "Programmable early warning detected";
    NOT_READY_CAUSE_NOT_REPORTABLE = 0x04, 0x00, "Logical unit not ready, cause not reportable";
    BECOMING_READY = 0x04, 0x01, "Logical unit is in process of becoming ready";
    INITIALIZING_COMMAND_REQUIRED = 0x04, 0x02, "Logical unit not ready, initializing command required";
    MANUAL_INTERVENTION_REQUIRED = 0x04, 0x03, "Logical unit not ready, manual intervention required";
    WRITE_ERROR = 0x0c, 0x00, "Write error";
    LOGICAL_BLOCK_GUARD_CHECK_FAILED = 0x10, 0x01, "Logical block guard check failed";
    UNRECOVERED_READ_ERROR = 0x11, 0x00, "Unrecovered read error";
    END_OF_DATA_NOT_FOUND = 0x14, 0x03, "End-of-data not found";
    LOCATE_OPERATION_FAILURE = 0x14, 0x07, "Locate operation failure";
    PARAMETER_LIST_LENGTH_ERROR = 0x1a, 0x00, "Parameter list length error";
    INVALID_OPERATION_CODE = 0x20, 0x00, "Invalid command operation code";
    NOT_IN_APPEND_ONLY_MODE = 0x20, 0x0c, "Illegal command when not in append-only mode";
    INVALID_ELEMENT_ADDRESS = 0x21, 0x01, "Invalid element address";
    INVALID_FIELD_IN_CDB = 0x24, 0x00, "Invalid field in CDB";
    LOGICAL_UNIT_NOT_SUPPORTED = 0x25, 0x00, "Logical unit not supported";
    INVALID_FIELD_IN_PARAMETER_LIST = 0x26, 0x00, "Invalid field in parameter list";
    INVALID_RELEASE_OF_RESERVATION = 0x26, 0x04, "Invalid release of persistent reservation";
    WRITE_PROTECTED = 0x27, 0x00, "Write protected";
    NOT_READY_TO_READY = 0x28, 0x00, "Not ready to ready change, medium may have changed";
    IMPORT_EXPORT_ACCESSED = 0x28, 0x01, "Import or export element accessed";
    POWER_ON_OR_RESET = 0x29, 0x00, "Power on, reset, or bus device reset occurred";
    POWER_ON = 0x29, 0x01, "Power on occurred";
    DEVICE_RESET = 0x29, 0x03, "Bus device reset function occurred";
    NEXUS_LOSS = 0x29, 0x07, "I_T nexus loss occurred";
    MODE_PARAMETERS_CHANGED = 0x2a, 0x01, "Mode parameters changed";
    LOG_PARAMETERS_CHANGED = 0x2a, 0x02, "Log parameters changed";
    RESERVATIONS_PREEMPTED = 0x2a, 0x03, "Reservations preempted";
    RESERVATIONS_RELEASED = 0x2a, 0x04, "Reservations released";
    REGISTRATIONS_PREEMPTED = 0x2a, 0x05, "Registrations preempted";
    TIMESTAMP_CHANGED = 0x2a, 0x10, "Timestamp changed";
    ENCRYPTION_PARAMETERS_CHANGED = 0x2a, 0x11, "Data encryption parameters changed by another I_T nexus";
    KEY_INSTANCE_COUNTER_CHANGED = 0x2a, 0x13, "Data encryption key instance counter has changed";
    COMMAND_SEQUENCE_ERROR = 0x2c, 0x00, "Command sequence error";
    COMMANDS_CLEARED = 0x2f, 0x00, "Commands cleared by another initiator";
    INCOMPATIBLE_MEDIUM = 0x30, 0x00, "Incompatible medium installed";
    UNKNOWN_FORMAT = 0x30, 0x01, "Cannot read medium, unknown format";
    INCOMPATIBLE_FORMAT = 0x30, 0x02, "Cannot read medium, incompatible format";
    CLEANING_CARTRIDGE_INSTALLED = 0x30, 0x03, "Cleaning cartridge installed";
    CANNOT_WRITE_FORMAT = 0x30, 0x05, "Cannot write medium, incompatible format";
    CLEANING_FAILED = 0x30, 0x07, "Cleaning failure";
    WORM_OVERWRITE_ATTEMPTED = 0x30, 0x0c, "WORM medium - overwrite attempted";
    MEDIUM_FORMAT_CORRUPTED = 0x31, 0x00, "Medium format corrupted";
    SAVING_NOT_SUPPORTED = 0x39, 0x00, "Saving parameters not supported";
    MEDIUM_NOT_PRESENT = 0x3a, 0x00, "Medium not present";
    POSITION_ERROR = 0x3b, 0x00, "Sequential positioning error";
    POSITION_PAST_BEGINNING = 0x3b, 0x0c, "Position past beginning of medium";
    DESTINATION_FULL = 0x3b, 0x0d, "Medium destination element full";
    SOURCE_EMPTY = 0x3b, 0x0e, "Medium source element empty";
    MAGAZINE_NOT_ACCESSIBLE = 0x3b, 0x11, "Medium magazine not accessible";
    SELF_TEST_FAILED = 0x3e, 0x03, "Logical unit failed self-test";
    INVENTORY_CHANGED = 0x3f, 0x0e, "Reported LUNs data has changed";
    ECHO_BUFFER_OVERWRITTEN = 0x3f, 0x0f, "Echo buffer overwritten";
    INTERNAL_TARGET_FAILURE = 0x44, 0x00, "Internal target failure";
    OVERLAPPED_COMMANDS = 0x4e, 0x00, "Overlapped commands attempted";
    LOAD_OR_EJECT_FAILED = 0x53, 0x00, "Media load or eject failed";
    UNLOAD_FAILURE = 0x53, 0x01, "Unload tape failure";
    REMOVAL_PREVENTED = 0x53, 0x02, "Medium removal prevented";
    INSUFFICIENT_REGISTRATION_RESOURCES = 0x55, 0x04, "Insufficient registration resources";
    AUXILIARY_MEMORY_OUT_OF_SPACE = 0x55, 0x06, "Auxiliary memory out of space";
    OPERATOR_SELECTED_WRITE_PROTECT = 0x5a, 0x02, "Operator selected write protect";
    SECURITY_ERROR = 0x74, 0x00, "Security error";
    UNABLE_TO_DECRYPT_DATA = 0x74, 0x01, "Unable to decrypt data";
    UNENCRYPTED_DATA_ENCOUNTERED = 0x74, 0x02, "Unencrypted data encountered while decrypting";
    INCORRECT_ENCRYPTION_KEY = 0x74, 0x03, "Incorrect data encryption key";
}

impl Asc {
    /// The additional sense code.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The additional sense code qualifier.
    pub const fn qualifier(self) -> u8 {
        self.1
    }
}

impl fmt::Display for Asc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}/{:02X}", self.0, self.1)?;
        self.text().map_or(Ok(()), |text| write!(f, " {text}"))
    }
}

impl fmt::Debug for Asc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asc({self})")
    }
}
