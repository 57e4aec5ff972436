//! How a CDB is laid out.

/// Which kind of device a CDB is for: some operation codes mean another command for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A tape drive.
    Drive,
    /// A media changer.
    Changer,
}

/// A field: its most significant bit, and how many bits it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) byte: u8,
    pub(super) bit: u8,
    pub(super) bits: u8,
    /// What values mean.
    pub(super) words: &'static [(u64, &'static str)],
}

/// A command as the standards have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// Whose; `None` for those that both have.
    pub(super) kind: Option<Kind>,
    pub(super) code: u8,
    pub(super) service_action: Option<u8>,
    /// Its name where no command table has it.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}
