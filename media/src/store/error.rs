//! What can go wrong with a data directory, each with a message that says what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use uuid::Uuid;

use crate::barcode::Barcode;
use crate::cartridge;
use crate::catalogue::CatalogueError;
use crate::inventory::Inconsistency;
use crate::ledger::LedgerError;
use crate::place::{LibraryId, Place};

/// Why a data directory cannot be opened or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another program has it open.
    #[error("{} is in use by another vtl ({holder}); stop that one first, or talk to it with the same --data", directory.display())]
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
    },
    /// There is something in it, and it is not a library.
    #[error(
        "{} holds `{found}` and no file FORMAT, so it is not a data directory of vtl. If its file system is not mounted, \
         mount it; for a new library name an empty directory", directory.display()
    )]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// One thing that is in it.
        found: String,
    },
    /// It is not there, or empty, and may not be made.
    #[error("{} holds no library. If its file system is not mounted, mount it", directory.display())]
    NoLibrary {
        /// The directory.
        directory: PathBuf,
    },
    /// A program that knows more has written it.
    #[error(
        "the data directory has format {found}, and this program knows {supported}: use a newer vtl. Nothing was changed"
    )]
    NewerFormat {
        /// The version found.
        found: u32,
        /// The newest known version.
        supported: u32,
    },
    /// The marker file is not readable as one.
    #[error("the file {} is damaged; restore it from a copy of the data directory. Nothing was changed", path.display())]
    MarkerDamaged {
        /// The marker.
        path: PathBuf,
    },
    /// There are cartridges and no ledger.
    #[error("there are cartridges in {} and the ledger is empty; restore the directory `ledger` from a copy", directory.display())]
    LedgerMissing {
        /// The directory of the cartridges.
        directory: PathBuf,
    },
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The entries of the ledger contradict each other.
    #[error("entry {sequence} of the ledger contradicts what was recorded before it: {reason}")]
    Contradiction {
        /// The entry.
        sequence: u64,
        /// What does not fit.
        reason: Inconsistency,
    },
    /// The catalogue has failed and could not be made anew.
    #[error(
        "there is no catalogue: it has failed, and the log says why. Check the disk, then rebuild the catalogue"
    )]
    NoCatalogue,
    /// The catalogue cannot be read.
    #[error("{0}; rebuild the catalogue")]
    Catalogue(#[from] CatalogueError),
    /// There is no such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// Such an event comes about by doing the thing, not by recording it.
    #[error("an event `{0}` cannot be recorded by itself")]
    NotInformational(&'static str),
}

/// Why a cartridge was not moved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MoveError {
    /// There is no cartridge there.
    #[error("{0} is empty")]
    SourceEmpty(Place),
    /// There is a cartridge already.
    #[error("{0} is occupied")]
    DestinationFull(Place),
    /// No library has that element.
    #[error("there is no element {0}")]
    NoSuchElement(Place),
    /// Many cartridges can be there, so that the place does not say which one.
    #[error("{0} can hold many cartridges: say which one by its barcode")]
    AmbiguousSource(Place),
    /// There is no such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// The move could not be recorded, so it has not happened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The move contradicts the ledger, which means a fault in this program.
    #[error("the move contradicts the ledger: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Why a library or cartridges were not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The barcode is in use.
    #[error("barcode {0} is in use")]
    DuplicateBarcode(Barcode),
    /// The place is taken.
    #[error("{0} is occupied")]
    Occupied(Place),
    /// No library has that element.
    #[error("there is no element {0}")]
    NoSuchElement(Place),
    /// A new cartridge is not put into a drive.
    #[error("a new cartridge cannot be made in {0}")]
    InDrive(Place),
    /// The media type is unknown, and no capacity was given.
    #[error("media type `{0}` is unknown: say lto1 to lto10, or give a capacity")]
    UnknownMediaType(String),
    /// More than can be made at once.
    #[error("{0} cartridges are too many to be made at once (at most {MAX_CARTRIDGES_AT_ONCE})")]
    TooMany(usize),
    /// The numbers of a library's specification are out of range.
    #[error("a library has 1 to {max_drives} drives and up to {max_elements} elements of each kind, one storage element at least",
        max_drives = super::MAX_DRIVES, max_elements = super::MAX_ELEMENTS)]
    BadSpec,
    /// The target's name is not one, or another library has it.
    #[error(
        "`{0}` cannot be the name of a target: it is in use, or not of the form iqn.YYYY-MM.DOMAIN:NAME in lower case"
    )]
    BadTargetName(String),
    /// A library of that name exists.
    #[error("library {0} exists already")]
    LibraryExists(LibraryId),
    /// The directory of a cartridge could not be made.
    #[error("cannot make cartridge {barcode}: {source}")]
    Cartridge {
        /// Which one.
        barcode: Barcode,
        /// Why not.
        source: cartridge::CreateError,
    },
    /// The operating system has no random numbers for us.
    #[error("no random numbers for identities: {0}")]
    Random(#[source] io::Error),
    /// It could not be recorded, so nothing was made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It contradicts the ledger, which means a fault in this program.
    #[error("the new cartridge contradicts the ledger: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Why a cartridge was not deleted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// It is in a drive.
    #[error("the cartridge is in {0}; unload it first")]
    InDrive(Place),
    /// Somebody has written on it, or read it back, since it was looked at.
    #[error("{0} is not what it was when it was decided to delete it")]
    Changed(Barcode),
    /// A lock or a hold keeps it.
    #[error("{barcode} may not be deleted: {reason}")]
    Locked {
        /// Its barcode.
        barcode: Barcode,
        /// Which.
        reason: String,
    },
    /// Others were made from it without a copy.
    #[error("{barcode} holds what others rest on ({}); delete these first", by.join(", "))]
    Needed {
        /// Its barcode.
        barcode: Barcode,
        /// Twins and snapshots.
        by: Vec<String>,
    },
    /// It could not be recorded, so it has not happened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It contradicts the ledger, which means a fault in this program.
    #[error("the deletion contradicts the ledger: {0}")]
    Inconsistent(#[from] Inconsistency),
}

/// Why a cartridge was not taken back, copied or snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UndoError {
    /// There is no such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// It is in a drive.
    #[error("{barcode} is in {place}: unload it first")]
    InDrive {
        /// Its barcode.
        barcode: Barcode,
        /// The drive.
        place: Place,
    },
    /// It has no such recovery point, or not any more.
    #[error(
        "{barcode} has no such recovery point; `vtl tape history {barcode}` lists those that there are"
    )]
    NoPoint {
        /// Its barcode.
        barcode: Barcode,
    },
    /// A cleaning cartridge has no history.
    #[error("{0} is a cleaning cartridge")]
    Cleaning(Barcode),
    /// It can only be read.
    #[error("{0} is a read-only twin: nothing on it can change")]
    ReadOnly(Barcode),
    /// Retention or a hold forbids it.
    #[error("{barcode} is locked: {reason}")]
    Locked {
        /// Its barcode.
        barcode: Barcode,
        /// By what.
        reason: String,
    },
    /// It cannot be read.
    #[error("{barcode} cannot be read: {source}")]
    Load {
        /// Its barcode.
        barcode: Barcode,
        /// Why.
        source: cartridge::LoadError,
    },
    /// Something on it cannot be read or written.
    #[error("{barcode}: {source}")]
    Medium {
        /// Its barcode.
        barcode: Barcode,
        /// Why.
        source: cartridge::MediumError,
    },
    /// The new cartridge could not be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It could not be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name is not one.
    #[error("`{0}` is no name for a snapshot: 1 to 40 letters, digits, `-`, `_` or `.`")]
    BadName(String),
    /// There is a snapshot of that name.
    #[error("there is a snapshot {0} already")]
    SnapshotExists(String),
    /// There is none.
    #[error("there is no snapshot {0}; `vtl snapshot list` lists those that there are")]
    NoSnapshot(String),
    /// It is shown as a library.
    #[error(
        "snapshot {0} is presented as a library: hide it first, with `vtl snapshot present {0} --hide`"
    )]
    Presented(String),
    /// A rule about initiators names the library that shows it: the next snapshot of the name would inherit that.
    #[error(
        "a rule lets {initiator} use {library}, which shows snapshot {snapshot}, and the next snapshot of that name would have it too: \
         `vtl access remove {initiator} --library {library}` first"
    )]
    Ruled {
        /// The snapshot.
        snapshot: String,
        /// The library that shows it.
        library: LibraryId,
        /// The initiator.
        initiator: String,
    },
    /// There is nothing to be taken into it.
    #[error("there is no data cartridge for the snapshot")]
    NothingChosen,
}

impl From<LedgerError> for UndoError {
    fn from(error: LedgerError) -> Self {
        Self::Store(StoreError::Ledger(error))
    }
}

impl StoreError {
    /// For `map_err`: names the call and the file.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}

/// Their intent must fit into one entry of the ledger.
pub const MAX_CARTRIDGES_AT_ONCE: usize = 10_000;
