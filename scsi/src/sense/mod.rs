//! Sense data: why a command ended in CHECK CONDITION (SPC-5 §4.4).
//!
//! Each condition has one named constructor in [`conditions`](self); nobody writes key and code as numbers. The format,
//! fixed or descriptor, is chosen when the sense is encoded, here and nowhere else.

mod asc;
mod conditions;
mod encode;

pub use asc::Asc;

use std::fmt;

/// The sense key (SPC-5 §4.4.7): the kind of condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SenseKey {
    /// Nothing is wrong; the stream bits or the code say what there is to know.
    NoSense = 0x0,
    /// Done after recovery.
    RecoveredError = 0x1,
    /// The logical unit cannot be accessed.
    NotReady = 0x2,
    /// The medium is at fault.
    MediumError = 0x3,
    /// The device is at fault.
    HardwareError = 0x4,
    /// The command is at fault.
    IllegalRequest = 0x5,
    /// Something happened since the last command of this nexus.
    UnitAttention = 0x6,
    /// The medium may not be written or read.
    DataProtect = 0x7,
    /// There is no data here: end of data.
    BlankCheck = 0x8,
    /// The command was ended before it was done.
    AbortedCommand = 0xb,
    /// The medium's end was reached; some data was not written.
    VolumeOverflow = 0xd,
}

/// Which form the sense data has when it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenseFormat {
    /// 18 bytes, response code 70h or 71h (SPC-5 §4.4.3).
    #[default]
    Fixed,
    /// A header and descriptors, response code 72h or 73h (SPC-5 §4.4.2).
    Descriptor,
}

/// Which byte, and within it which bit, an ILLEGAL REQUEST is about (SPC-5 §4.4.2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldPointer {
    /// True for the CDB, false for the parameter list.
    pub is_in_cdb: bool,
    /// The byte, counted from 0.
    pub byte: u16,
    /// The most significant bit of the field within the byte.
    pub bit: Option<u8>,
}

/// One condition, as a value. See the named constructors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// The kind of condition.
    pub key: SenseKey,
    /// The condition itself.
    pub asc: Asc,
    /// The INFORMATION field: a residual count, in bytes or blocks as the command says; negative where more was there than
    /// asked for.
    pub information: Option<i64>,
    /// The COMMAND-SPECIFIC INFORMATION field.
    pub command_specific: Option<u64>,
    /// A filemark (or setmark) was met.
    pub filemark: bool,
    /// The end, or the early warning position, or the beginning of the partition was met.
    pub eom: bool,
    /// A block of another length than asked for was met.
    pub ili: bool,
    /// Which field an ILLEGAL REQUEST is about.
    pub field_pointer: Option<FieldPointer>,
    /// How far a long operation has come, of 65536.
    pub progress: Option<u16>,
    /// The condition belongs to an earlier command that had been answered GOOD (SPC-5 §4.4.5).
    pub is_deferred: bool,
}

impl Sense {
    /// A condition with nothing but key and code.
    pub const fn new(key: SenseKey, asc: Asc) -> Self {
        Self {
            key,
            asc,
            information: None,
            command_specific: None,
            filemark: false,
            eom: false,
            ili: false,
            field_pointer: None,
            progress: None,
            is_deferred: false,
        }
    }

    /// With a residual count.
    #[must_use]
    pub const fn with_information(mut self, information: i64) -> Self {
        self.information = Some(information);
        self
    }

    /// With the field that is at fault.
    #[must_use]
    pub const fn with_field_pointer(mut self, pointer: FieldPointer) -> Self {
        self.field_pointer = Some(pointer);
        self
    }

    /// With the EOM bit.
    #[must_use]
    pub const fn with_eom(mut self) -> Self {
        self.eom = true;
        self
    }

    /// As a deferred error: the next command is told of what an earlier one could not do.
    #[must_use]
    pub const fn deferred(mut self) -> Self {
        self.is_deferred = true;
        self
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{}", self.key as u8, self.asc)
    }
}
