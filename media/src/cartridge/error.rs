//! What can go wrong with a cartridge.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use super::ObjectNumber;
use crate::at_rest::AtRestError;
use crate::journal::{RECORD_VERSION, ScanError};
use crate::label::LabelError;
use crate::mam::MamError;

/// Why a medium did not do what it was asked to.
#[derive(Debug, Error)]
pub enum MediumError {
    /// An object is there and cannot be read; those behind it can.
    #[error("object {object} is damaged")]
    Damaged {
        /// The object.
        object: ObjectNumber,
    },
    /// Objects that were known to be durable are missing from here on.
    #[error("the end of the data is missing: nothing can be found from object {object} on")]
    EndOfDataMissing {
        /// The first object that is not there.
        object: ObjectNumber,
    },
    /// What was accepted could not be made durable. Nothing can be written until the cartridge has been loaded again.
    #[error("{objects_not_written} objects with {bytes_not_written} bytes could not be written")]
    WriteFailed {
        /// Blocks and filemarks that may not be on the medium.
        objects_not_written: u64,
        /// Bytes of these blocks.
        bytes_not_written: u64,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// An earlier write failed, and that has been told; the cartridge can only be read until it has been loaded again.
    #[error("the cartridge cannot be written since an earlier write failed")]
    Fenced,
    /// The record of a recovery point cannot be read any more.
    #[error("the record of recovery point p{sequence} is damaged")]
    PointLost {
        /// The number of the record.
        sequence: u64,
    },
    /// The cartridge was loaded for reading only.
    #[error("the cartridge was loaded for reading only")]
    ReadOnly,
    /// Partitions of these sizes do not fit.
    #[error("partitions of these sizes do not fit on the cartridge")]
    DoesNotFit,
    /// What was written may not be overwritten.
    #[error("the cartridge is WORM: what was written may not be overwritten")]
    Worm,
    /// A lock or a hold keeps what is on it.
    #[error("what is on the cartridge may not be given up: {reason}")]
    Locked {
        /// Which.
        reason: String,
    },
    /// The data is empty, is not a whole number of blocks, or is longer than one record may be.
    #[error(
        "{data_bytes} bytes are not {block_count} blocks of {block_length} bytes that fit into one record"
    )]
    WrongLength {
        /// The length of the data.
        data_bytes: usize,
        /// As asked for.
        block_length: u32,
        /// As asked for.
        block_count: u32,
    },
    /// A block is encrypted, and no key has been set to read with. The position is before it.
    #[error("object {object} is encrypted, and there is no key to read it with")]
    NoKey {
        /// The block.
        object: ObjectNumber,
    },
    /// A block is encrypted with another key than the one that has been set. The position is before it.
    #[error("object {object} is encrypted with another key")]
    WrongKey {
        /// The block.
        object: ObjectNumber,
    },
    /// Only encrypted blocks were to be read, and this one is not. The position is before it.
    #[error("object {object} is not encrypted")]
    NotEncrypted {
        /// The block.
        object: ObjectNumber,
    },
    /// An attribute does not fit.
    #[error(transparent)]
    Mam(#[from] MamError),
    /// The label cannot be written.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// What is encrypted at rest cannot be read, or not be written.
    #[error(transparent)]
    AtRest(#[from] AtRestError),
    /// A call to the disk failed, and nothing was lost by it.
    #[error("the disk failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for MediumError {
    fn from(error: io::Error) -> Self {
        let closed = error.get_ref().and_then(|inner| inner.downcast_ref::<AtRestError>());
        match closed {
            Some(closed) => Self::AtRest(closed.clone()),
            None => Self::Io(error),
        }
    }
}

/// Why a cartridge cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A newer program has written it; it was left alone.
    #[error(
        "the cartridge has format {found}, this program reads up to {supported}: use a newer version"
    )]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest that is understood.
        supported: u32,
    },
    /// The label cannot be read or written.
    #[error(transparent)]
    Label(LabelError),
    /// A call to the disk failed.
    #[error("the cartridge cannot be read")]
    Io(#[from] io::Error),
    /// It was made from a moment of another cartridge, and that one cannot be read.
    #[error("the cartridge {origin}, of which this one is a twin, cannot be read")]
    Origin {
        /// The other cartridge.
        origin: Uuid,
        /// Why.
        source: LabelError,
    },
    /// It is encrypted at rest, and cannot be opened to be written on.
    #[error(transparent)]
    AtRest(#[from] AtRestError),
    /// Cartridges were made from cartridges that were made from cartridges, and so on, too often.
    #[error("the cartridge rests on a chain of more than {0} others")]
    TooManyLayers(usize),
}

/// Why a cartridge cannot be made.
#[derive(Debug, Error)]
pub enum CreateError {
    /// There is a cartridge in that directory.
    #[error("there is a cartridge in that directory already")]
    Exists,
    /// The label cannot be written.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A call to the disk failed.
    #[error("the cartridge cannot be made")]
    Io(#[from] io::Error),
}

impl From<LabelError> for LoadError {
    fn from(error: LabelError) -> Self {
        match error {
            LabelError::NewerFormat { found, supported } => Self::NewerFormat { found, supported },
            other => Self::Label(other),
        }
    }
}

impl From<ScanError> for LoadError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io(error) => Self::Io(error),
            ScanError::NewerVersion(found) => {
                Self::NewerFormat { found: u32::from(found), supported: u32::from(RECORD_VERSION) }
            }
        }
    }
}
