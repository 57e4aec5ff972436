//! One data directory: its libraries, its cartridges, and where they are.
//!
//! A [`Store`] puts the [ledger](crate::ledger), the [catalogue](crate::catalogue) and the cartridges' directories
//! together. Changes go one after the other: recorded in the ledger and durable, then in memory, then in the catalogue.
//! Queries read the memory only and never wait for a disk.

mod access;
mod cartridges;
mod copies;
mod directory;
mod erasure;
mod error;
mod files;
mod keeping;
mod kept_reservations;
mod keys;
mod library;
mod listings;
mod moves;
mod recovery;
mod reservation;
mod retention;
mod rules;
mod snapshots;
mod undo;
mod upkeep;
mod verification;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

pub use cartridges::{NewCartridge, Twin, native_capacity_bytes};
pub use copies::{CopyError, CopyStep};
pub use directory::FORMAT_VERSION;
pub use erasure::{ErasureError, KeyDestroyed};
pub use error::{
    CreateError, DeleteError, MAX_CARTRIDGES_AT_ONCE, MoveError, StoreError, UndoError,
};
pub use keys::KeysError;
pub use library::{
    DeviceRecord, LibraryRecord, LibrarySpec, MAX_DRIVES, MAX_ELEMENTS, RandomSource,
};
pub use listings::LISTING_BYTES_MAX;
pub use reservation::Reservation;
pub use retention::{RetentionChange, WriteLabels};
pub use rules::RULES_BYTES_MAX;
pub use undo::{History, NewTwin, Rewound};
pub use verification::Verification;

pub use crate::inventory::{
    CartridgeEntry, CartridgeState, Inconsistency, RulesRecord, SnapshotMember, SnapshotRecord,
};
pub use crate::ledger::Clock;
pub use crate::place::{LibraryId, Place, PlaceError};

use crate::at_rest::KeyRing;
use crate::cartridge::CartridgeFacts;
use crate::catalogue::{Catalogue, Change};
use crate::disk::Disk;
use crate::inventory::Inventory;
use crate::ledger::{DEFAULT_SEGMENT_BYTES, Event, Head, Ledger, TornTail};
use crate::retention::{ComplianceClock, Uptime};
use directory::DataDirectory;

/// How a data directory is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Gives events their time.
    pub clock: Clock,
    /// What the clock that ends locks goes by.
    pub uptime: Uptime,
    /// Gives cartridges and devices their identities.
    pub random: RandomSource,
    /// Who is named in the ledger for what the store does by itself.
    pub actor: String,
    /// Size of the ledger's segments.
    pub ledger_segment_bytes: u64,
    /// Where the catalogue is kept.
    pub catalogue: CatalogueKind,
    /// Whether an empty or missing directory becomes a data directory.
    pub may_create: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            uptime: Uptime::system(),
            random: RandomSource::system(),
            actor: "system".to_owned(),
            ledger_segment_bytes: DEFAULT_SEGMENT_BYTES,
            catalogue: CatalogueKind::Sled,
            may_create: true,
        }
    }
}

/// Where the catalogue is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatalogueKind {
    /// In a database under the data directory, which must then be on the host's file system.
    Sled,
    /// In memory: each start looks into every cartridge. For disks that are not the host's.
    Memory,
}

/// What opening a data directory had to put right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The end of an append that was never acknowledged.
    pub torn_ledger: Option<TornTail>,
    /// Moves that were intended and not carried out.
    pub abandoned_moves: usize,
    /// Cartridges that were not finished and have been removed.
    pub abandoned_cartridges: usize,
    /// Whether the catalogue was made anew.
    pub is_catalogue_rebuilt: bool,
    /// Cartridges whose label or journal was looked at.
    pub inspected_cartridges: usize,
    /// Names under `cartridges/` that the ledger does not know; they are left alone.
    pub strays: Vec<PathBuf>,
}

/// An open data directory. It may be used from many threads at once.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    directory: DataDirectory,
    clock: Clock,
    compliance: ComplianceClock,
    random: RandomSource,
    actor: String,
    ledger: Ledger,
    /// Held for the whole of a change, so that nothing comes between its check and its record. Never taken by a query; taken after a
    /// cartridge is reserved, never before.
    change: Mutex<()>,
    /// Held while the lock or the hold of a cartridge changes, from the look at what is in force to its record. Taken before a reservation and before `change`.
    retaining: Mutex<()>,
    /// What queries read. Held only to read or to show a change that is durable; taken after `change`, never before it.
    inventory: Mutex<Inventory>,
    /// `None` after it has failed: the next start makes a new one.
    catalogue: Mutex<Option<Box<dyn Catalogue>>>,
    catalogue_kind: CatalogueKind,
    reservations: reservation::Reservations,
    keys: KeyRing,
    report: OpenReport,
}

impl Store {
    /// Opens a data directory and puts right what a crash has left. An empty or missing one is made into a data directory
    /// without libraries; see [`Store::initialize`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        recovery::open(disk, directory, options)
    }

    /// What opening had to put right.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Whether there is no library yet.
    pub fn is_new(&self) -> bool {
        self.inventory().libraries().next().is_none()
    }

    /// The libraries, sorted by name.
    pub fn libraries(&self) -> Vec<LibraryRecord> {
        self.inventory().libraries().cloned().collect()
    }

    /// The library that was made first: it is meant where nobody says which.
    pub fn first_library(&self) -> Option<LibraryRecord> {
        let inventory = self.inventory();
        inventory.libraries().min_by_key(|library| (library.created, &library.id)).cloned()
    }

    /// The library of this name.
    pub fn library(&self, id: &LibraryId) -> Option<LibraryRecord> {
        self.inventory().library(id).cloned()
    }

    /// The first storage element of a library with nothing in it.
    pub fn free_storage(&self, library: &LibraryId) -> Option<Place> {
        let inventory = self.inventory();
        let mut places = inventory.library(library)?.storage();
        places.find(|place| inventory.at(place).is_none())
    }

    /// All cartridges, sorted by barcode.
    pub fn cartridges(&self) -> Vec<CartridgeEntry> {
        self.inventory().cartridges().cloned().collect()
    }

    /// Has somebody look at all cartridges, sorted by barcode, without a copy of them. Nothing else goes on meanwhile: it has to be quick.
    pub fn look_at_cartridges<T>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = &CartridgeEntry>) -> T,
    ) -> T {
        look(&mut self.inventory().cartridges())
    }

    /// The cartridge with a barcode.
    pub fn find(&self, barcode: &str) -> Option<CartridgeEntry> {
        self.inventory().find(barcode).cloned()
    }

    /// The cartridge with an identity.
    pub fn cartridge(&self, uuid: Uuid) -> Option<CartridgeEntry> {
        self.inventory().cartridge(uuid).cloned()
    }

    /// The cartridge in an element; `None` for an empty one, and for the shelf and other sites.
    pub fn at(&self, place: &Place) -> Option<CartridgeEntry> {
        self.inventory().at(place).cloned()
    }

    /// What is to be known of the cartridge in an element, without a copy of all that there is. `read` must not ask the store
    /// for anything.
    pub fn read_at<T>(&self, place: &Place, read: impl FnOnce(&CartridgeEntry) -> T) -> Option<T> {
        self.inventory().at(place).map(read)
    }

    /// Where a cartridge's label and journal are.
    pub fn directory_of(&self, uuid: Uuid) -> PathBuf {
        self.directory.cartridge(uuid)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory.path
    }

    /// The disk that everything is on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// The ledger, for lists and for verification.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Records an event that only tells: a load, an unload, a fault. It is durable on return.
    pub fn record(&self, event: &Event, actor: &str) -> Result<Head, StoreError> {
        if event.is_informational() {
            Ok(self.ledger.append(event, actor)?.head)
        } else {
            Err(StoreError::NotInformational(event.name()))
        }
    }

    /// Takes over what a drive knows of a cartridge, after an unload or a sync. It goes into the catalogue, durably.
    pub fn update_facts(&self, uuid: Uuid, facts: &CartridgeFacts) -> Result<(), StoreError> {
        let changing = self.begin_change();
        let entry = {
            let mut inventory = self.inventory();
            inventory.set_facts(uuid, facts);
            inventory.cartridge(uuid).cloned().ok_or(StoreError::NoCartridge(uuid))?
        };
        self.project(&[Change::Put(Box::new(entry))], self.ledger.head());
        self.flush_catalogue();
        drop(changing);
        Ok(())
    }

    /// Ends in order, so that the next start need not look into any cartridge but those in drives.
    pub fn close(self) -> Result<(), StoreError> {
        self.flush()
    }

    /// What [`Store::close`] does, for a store that others still hold. A change after it is not lost either; the next
    /// start only makes a new catalogue then.
    pub fn flush(&self) -> Result<(), StoreError> {
        if let Err(error) = self.compliance.keep() {
            tracing::warn!(%error, "the compliance clock cannot be kept: locks last longer by the time of this run");
        }
        let changing = self.begin_change();
        self.with_catalogue(|catalogue| catalogue.close());
        self.ledger.close()?;
        drop(changing);
        Ok(())
    }

    fn begin_change(&self) -> MutexGuard<'_, ()> {
        lock(&self.change)
    }

    fn inventory(&self) -> MutexGuard<'_, Inventory> {
        lock(&self.inventory)
    }

    /// Shows changed rows in the catalogue. They need not be durable there: every start compares with the ledger.
    fn project(&self, changes: &[Change], mark: Head) {
        self.with_catalogue(|catalogue| catalogue.apply(changes, mark));
    }

    fn flush_catalogue(&self) {
        self.with_catalogue(|catalogue| catalogue.flush());
    }

    /// A catalogue that fails is given up and told of, and nothing else: it is an index, and the change is in the ledger.
    fn with_catalogue(
        &self,
        call: impl FnOnce(&dyn Catalogue) -> Result<(), crate::catalogue::CatalogueError>,
    ) {
        let mut slot = lock(&self.catalogue);
        let Some(catalogue) = slot.as_deref() else { return };
        if let Err(error) = call(catalogue) {
            tracing::error!(%error, "the catalogue has failed; the next start makes a new one");
            if let Err(error) = catalogue.abandon() {
                tracing::error!(%error, "the failed catalogue could not be moved aside");
            }
            *slot = None;
        }
    }
}

/// A panic elsewhere leaves no half-made state behind these locks, so it does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests_support;

#[cfg(test)]
mod tests;
