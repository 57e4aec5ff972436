//! Where a cartridge stands, and how its operations end.

use std::fmt;

use bytes::Bytes;

/// The number of a logical object, block or filemark, in its partition; the first one is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectNumber(pub u64);

impl fmt::Display for ObjectNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a partition; the first one is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionNumber(pub u8);

impl fmt::Display for PartitionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a cartridge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as READ POSITION reports them"
)]
pub struct Position {
    /// The partition.
    pub partition: PartitionNumber,
    /// The next object.
    pub object: ObjectNumber,
    /// Filemarks before it.
    pub filemarks: u64,
    /// Whether it is the first object.
    pub is_at_beginning: bool,
    /// Whether there is no object here.
    pub is_at_end_of_data: bool,
    /// Whether the early-warning zone has been entered, or the host's disk is nearly full.
    pub is_past_early_warning: bool,
    /// Whether the capacity is used up.
    pub is_past_capacity: bool,
    /// Objects that have been accepted and are not known to be durable.
    pub buffered_objects: u64,
    /// Bytes of these.
    pub buffered_bytes: u64,
}

/// How a write ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything was accepted.
    Written,
    /// Everything was accepted, and the end is near.
    EarlyWarning,
    /// There was room for a part only.
    EndOfPartition {
        /// Blocks or filemarks that were not accepted; the others were.
        blocks_not_written: u32,
    },
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A block; the position is behind it.
    Block(Bytes),
    /// A filemark; the position is behind it.
    Filemark,
    /// There is nothing; the position is where it was.
    EndOfData,
}

/// How a motion ended that did not fail. A residual is what was asked for less what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceOutcome {
    /// All of it was done.
    Done,
    /// A filemark was met; the position is on its far side in the direction of motion.
    Filemark {
        /// Blocks that were not passed; the filemark is none of them.
        residual: u64,
    },
    /// The end of the data was met; the position is there.
    EndOfData {
        /// What was not passed.
        residual: u64,
    },
    /// The beginning was met; the position is there.
    BeginningOfPartition {
        /// What was not passed.
        residual: u64,
    },
}
