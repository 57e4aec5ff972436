//! Exporting: a cartridge to a physical tape, block for block and filemark for filemark, with proof.
//!
//! ```text
//! STAGED ── write ──► MANIFESTED ── everything is on the tape ──► WRITTEN ── unload, load, read back, equal ──► PROVED ── signed ──► RECEIPTED
//!    │ bad or full tape, or not equal ──► FAILED: that tape is not written again without being asked for
//!    └ stopped, tape gone, drive broken: it stays where it is, and goes on with the same tape
//! ```
//!
//! The steps are in the ledger before the next one begins; what goes with them is in files that are
//! durable before the step: how far it is, what was written and read, and the receipt's first and second phase.

mod attributes;
mod checks;
#[cfg(test)]
mod divided;
mod division;
mod files;
#[cfg(test)]
mod memories;
mod order;
mod pass;
#[cfg(test)]
mod power_cuts;
mod proving;
#[cfg(test)]
mod scripted;
mod stack;
mod stream;
mod tape;
#[cfg(test)]
mod tests;
mod volume;
mod writing;

pub use division::Share;
pub use order::{Exported, Exports, Order, Taken};
pub use stack::{Listed, Region, StackIndex, StackOrder, StackedCartridge, stack_of};
pub use stream::{Contents, Intake, Watcher, take_in};
pub use tape::{Medium, Tape, TapeError, TapeRead};
pub use volume::begun_on;

use thiserror::Error;

/// Why there is no copy, or not yet.
#[derive(Debug, Error)]
pub enum ExportError {
    /// It may not be; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// Nothing may be written on this tape: it is write-protected, or has something on it. Nothing was; another one will do.
    #[error("{0}")]
    NotFree(String),
    /// This cartridge cannot be written on this tape, and perhaps on another one. Nothing was written.
    #[error("{0}")]
    Unfit(String),
    /// The drive did not do it.
    #[error("object {object}{}: {error}", of_partition(*partition))]
    Tape {
        /// The partition in which it was.
        partition: u8,
        /// The object at which it was. A drive that buffers may say it some objects late.
        object: u64,
        /// Why.
        error: TapeError,
    },
    /// The tape's memory could not be written or read, and not because the drive has none.
    #[error("attribute {what} of the tape's memory: {error}")]
    Memory {
        /// Which one.
        what: String,
        /// Why.
        error: TapeError,
    },
    /// The drive does not write blocks of this length.
    #[error(
        "object {object}{} is a block of {bytes} bytes, and this drive writes {most} at most: use another drive",
        of_partition(*partition)
    )]
    BlockTooLong {
        /// The partition in which it is.
        partition: u8,
        /// The object.
        object: u64,
        /// Its length.
        bytes: usize,
        /// What the drive can do.
        most: usize,
    },
    /// The cartridge could not be read.
    #[error("the cartridge could not be read: {0}; `vtl verify` says what is damaged")]
    Cartridge(String),
    /// What came back from the tape is something else.
    #[error("what was read back from the tape is not what was written: {0}")]
    Different(String),
    /// Somebody stopped it.
    #[error("it was stopped")]
    GivenUp,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl ExportError {
    /// Whether the tape is not to be relied on any more.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Tape { error, .. } | Self::Memory { error, .. } => error.is_of_tape(),
            Self::Different(_) | Self::BlockTooLong { .. } => true,
            Self::Refused(_)
            | Self::NotFree(_)
            | Self::Unfit(_)
            | Self::Cartridge(_)
            | Self::GivenUp
            | Self::Failed(_) => false,
        }
    }

    /// Whether it may not be, and nothing was written.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NotFree(_) | Self::Unfit(_))
    }
}

/// Nobody who has one partition only wants to read of partitions.
fn of_partition(partition: u8) -> String {
    if partition == 0 { String::new() } else { format!(" of partition {partition}") }
}
