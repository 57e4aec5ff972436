//! What an export needs of a physical drive with a tape in it.

use thiserror::Error;

use crate::receipt::{Attribute, Counters, DriveIdentity};

/// A drive. Whoever implements it has the drive for himself alone.
pub trait Tape: Send {
    /// Who the drive is.
    fn identity(&self) -> DriveIdentity;
    /// What is known of the tape that is in it now.
    fn medium(&mut self) -> Medium;
    /// What the drive counts of its errors.
    fn counters(&mut self, is_writing: bool) -> Counters;
    /// The longest block that it writes.
    fn max_block_bytes(&self) -> usize;
    /// Waits until the tape is ready. That another one was put in is no news: it is the beginning.
    fn ready(&mut self) -> Result<(), TapeError>;
    /// To the beginning of the partition in which it stands.
    fn rewind(&mut self) -> Result<(), TapeError>;
    /// To the beginning of a partition. A tape with one only is rewound.
    fn enter(&mut self, partition: u8) -> Result<(), TapeError> {
        if partition == 0 { self.rewind() } else { Err(TapeError::Refused(UNDIVIDED.to_owned())) }
    }
    /// Gives up all that is on the tape, and divides it into partitions of at least these sizes in bytes, of which the largest one gets the
    /// rest. It stands at the beginning of partition 0, before and afterwards.
    fn divide(&mut self, _sizes: &[u64]) -> Result<(), TapeError> {
        Err(TapeError::Refused(UNDIVIDED.to_owned()))
    }
    /// From here on blocks have checksums on their way, if the drive can.
    fn protect(&mut self) {}
    /// They have none any more, so that the next program finds the drive as it was.
    fn unprotect(&mut self) {}
    /// With which checksums blocks go: `none`, `crc32c` or `reed-solomon`.
    fn protection(&self) -> &'static str {
        NO_PROTECTION
    }
    /// To an object of the partition in which it stands.
    fn locate(&mut self, object: u64) -> Result<(), TapeError>;
    /// Out of its place and in again, so that what is read afterwards comes from the tape, and from the tape that is there.
    fn reload(&mut self) -> Result<(), TapeError>;
    /// Writes a block.
    fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError>;
    /// Writes a filemark.
    fn write_filemark(&mut self) -> Result<(), TapeError>;
    /// Waits until everything is on the tape.
    fn synchronize(&mut self) -> Result<(), TapeError>;
    /// Reads the next object; a block fills the buffer, which is as long as it afterwards.
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError>;
    /// What hosts have written into the tape's memory of a partition.
    fn attributes(&mut self, partition: u8) -> Result<Vec<Attribute>, TapeError>;
    /// Writes an attribute; one without a value is taken away.
    fn write_attribute(&mut self, attribute: &Attribute) -> Result<(), TapeError>;
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapeRead {
    /// A block.
    Block,
    /// A filemark.
    Filemark,
    /// There is nothing more.
    EndOfData,
}

/// A tape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Medium {
    /// The serial number in its memory.
    pub serial: Option<String>,
    /// Its maker.
    pub maker: Option<String>,
    /// Its barcode, if its memory or the library knows.
    pub barcode: Option<String>,
    /// How much fits, if anybody knows.
    pub capacity_bytes: Option<u64>,
    /// Whether it is write-protected.
    pub is_write_protected: bool,
    /// Partitions beside the first one.
    pub additional_partitions: u8,
    /// As many as the drive makes of it at most.
    pub additional_partitions_most: u8,
    /// The sizes of all partitions in bytes, as far as the drive tells them.
    pub partition_bytes: Vec<u64>,
}

const UNDIVIDED: &str = "it makes no partitions";
pub(super) const NO_PROTECTION: &str = "none";

/// Why a drive did not do what it was told. The texts have the drive's own words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TapeError {
    /// The tape is bad here.
    #[error("the tape is damaged ({0})")]
    Medium(String),
    /// The drive is bad.
    #[error("the drive is broken ({0}): use another one, and have this one looked at")]
    Hardware(String),
    /// The drive has to be cleaned first.
    #[error("the drive wants to be cleaned: put a cleaning cartridge in, then go on")]
    Cleaning,
    /// No tape is there.
    #[error("there is no tape in the drive")]
    NoMedium,
    /// The tape is another one, or was out meanwhile; or the drive was reset.
    #[error("the tape was taken out, or the drive was reset ({0})")]
    Changed(String),
    /// The end of the tape.
    #[error("the tape is full")]
    Full,
    /// It may not be written.
    #[error("the tape is write-protected: move its switch, or take another one")]
    Protected,
    /// The drive does not have the command, or not for this: nothing is broken.
    #[error("the drive refuses this ({0})")]
    Refused(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl TapeError {
    /// Whether the tape is to be blamed, so that what is on it is not to be relied on.
    pub fn is_of_tape(&self) -> bool {
        matches!(self, Self::Medium(_) | Self::Full | Self::Protected)
    }
}
