//! Status codes (SAM-5 §5.3).

use std::fmt;

/// The status byte of a finished task.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// The command did what it was asked to.
    pub const GOOD: Self = Self(0x00);
    /// The sense data says what happened.
    pub const CHECK_CONDITION: Self = Self(0x02);
    /// The logical unit cannot take the command at the moment.
    pub const BUSY: Self = Self(0x08);
    /// Another I_T nexus holds a reservation.
    pub const RESERVATION_CONFLICT: Self = Self(0x18);
    /// The logical unit's task set has no room.
    pub const TASK_SET_FULL: Self = Self(0x28);
    /// The task was aborted on behalf of another I_T nexus.
    pub const TASK_ABORTED: Self = Self(0x40);
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::GOOD => f.write_str("GOOD"),
            Self::CHECK_CONDITION => f.write_str("CHECK CONDITION"),
            Self::BUSY => f.write_str("BUSY"),
            Self::RESERVATION_CONFLICT => f.write_str("RESERVATION CONFLICT"),
            Self::TASK_SET_FULL => f.write_str("TASK SET FULL"),
            Self::TASK_ABORTED => f.write_str("TASK ABORTED"),
            Self(other) => write!(f, "status {other:02x}h"),
        }
    }
}
