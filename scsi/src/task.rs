//! Tasks and task management functions (SAM-5 §5 and §7).

use std::fmt;

use std::sync::Arc;

use crate::{Buffer, ItNexus, Lun};

/// The longest CDB that is kept. No command of a tape drive or a changer has a longer one.
const MAX_CDB_BYTES: usize = 32;

/// A command descriptor block as it came, zero-padded by the transport where the transport has a fixed field for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cdb {
    bytes: [u8; MAX_CDB_BYTES],
    // Invariant: length <= MAX_CDB_BYTES
    length: usize,
}

impl Cdb {
    /// Takes over a CDB; what is longer than 32 bytes is cut, and such a CDB matches no command.
    pub fn new(cdb: &[u8]) -> Self {
        let length = cdb.len().min(MAX_CDB_BYTES);
        let mut bytes = [0; MAX_CDB_BYTES];
        for (to, from) in bytes.iter_mut().zip(cdb) {
            *to = *from;
        }
        Self { bytes, length }
    }

    /// All bytes that the transport delivered.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The first byte: which command this is.
    pub fn operation_code(&self) -> u8 {
        let [first, ..] = self.bytes;
        first
    }
}

impl From<&[u8]> for Cdb {
    fn from(cdb: &[u8]) -> Self {
        Self::new(cdb)
    }
}

impl fmt::Debug for Cdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cdb(")?;
        for (index, byte) in self.bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        f.write_str(")")
    }
}

/// The order in which a task wants to be taken (SAM-5 §8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskAttribute {
    /// In any order; here: in the order of arrival, which is one of them.
    #[default]
    Simple,
    /// After all older tasks and before all younger ones.
    Ordered,
    /// Before all tasks that have not begun.
    HeadOfQueue,
}

/// One command, with all of its data-out: it is consumed into exactly one [`Completion`](crate::Completion).
#[derive(Debug)]
pub struct Task {
    /// Who asks.
    pub nexus: ItNexus,
    /// What is asked.
    pub cdb: Cdb,
    /// When it wants to be done.
    pub attribute: TaskAttribute,
    /// What came with it; shorter than what the CDB asks for if the transport was told of less, or of more than it takes.
    pub data_out: Buffer,
    /// The most data-in that the initiator has room for, in bytes. The answer is cut to it by the transport; a device may
    /// look at it to avoid reading what nobody takes.
    pub data_in_limit_bytes: u32,
    /// What the nexus may see and do.
    pub rights: Rights,
}

/// What an initiator may see and do, as whoever runs the target decides. All of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The logical units that exist for it; none means all.
    pub luns: Option<Arc<[Lun]>>,
    /// Whether it may change nothing on a medium: for it, every medium is write-protected.
    pub is_read_only: bool,
    /// Whether the logical unit is the only one of its target, and LUN 0 there.
    pub is_alone: bool,
}

impl Rights {
    /// Whether a logical unit exists for the initiator.
    pub fn sees(&self, lun: Lun) -> bool {
        self.luns.as_ref().is_none_or(|luns| luns.contains(&lun))
    }

    /// Whether whoever has these may see or do something that whoever has the others may not.
    pub fn exceed(&self, others: &Self) -> bool {
        let sees_more = match (&self.luns, &others.luns) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(luns), Some(_)) => luns.iter().any(|lun| !others.sees(*lun)),
        };
        sees_more || !self.is_read_only && others.is_read_only
    }
}

impl Task {
    /// A task without data-out, for a nexus that takes as much data-in as there is.
    pub fn new(nexus: ItNexus, cdb: &[u8]) -> Self {
        Self {
            nexus,
            cdb: Cdb::new(cdb),
            attribute: TaskAttribute::Simple,
            data_out: Buffer::default(),
            data_in_limit_bytes: u32::MAX,
            rights: Rights::default(),
        }
    }

    /// The same task with this data-out.
    #[must_use]
    pub fn with_data_out(mut self, data: &[u8]) -> Self {
        self.data_out = Buffer::from(data);
        self
    }
}

/// A request about tasks instead of for one (SAM-5 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskManagementFunction {
    /// End all tasks of this nexus in the logical unit.
    AbortTaskSet,
    /// End all tasks of every nexus in the logical unit.
    ClearTaskSet,
    /// End all tasks of every nexus and bring the logical unit back to its state after power on.
    LogicalUnitReset,
    /// Reset every logical unit of the target.
    TargetReset,
}
