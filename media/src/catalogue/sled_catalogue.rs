//! The catalogue in sled: the only module that knows that database.
//!
//! sled 0.34 has three habits that this module makes up for. Its `flush` is no barrier against power loss, so the database
//! file and the directories are synced afterwards through the [`Disk`] seam. It may open a damaged database without a word
//! and with rows missing, so counts and checksums are kept inside and outside of it. And it may panic, so every call is
//! made behind `catch_unwind`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sled::transaction::{
    ConflictableTransactionError, TransactionError, Transactional, TransactionalTree,
};
use uuid::Uuid;

use super::row::{Meta, decode_row, digest, element_key, encode_row};
use super::tripwire::{Note, Tripwire};
use super::{Catalogue, CatalogueError, Change, Snapshot};
use crate::disk::{Disk, OpenMode};
use crate::ledger::Head;
use crate::store::CartridgeEntry;

/// A catalogue on disk, in `DIRECTORY/sled`, with its tripwire beside it.
#[derive(Debug)]
pub struct SledCatalogue {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    trees: Trees,
    tripwire: Mutex<Tripwire>,
    now: Timestamp,
}

#[derive(Debug)]
struct Trees {
    database: sled::Db,
    cartridges: sled::Tree,
    barcodes: sled::Tree,
    elements: sled::Tree,
    meta: sled::Tree,
}

/// A change with everything computed that a transaction needs, because its closure may run more than once.
enum Prepared {
    Put { uuid: Uuid, value: Vec<u8>, barcode: Vec<u8>, element: Option<Vec<u8>> },
    Remove(Uuid),
}

/// sled opens its files by their paths: each of them is looked at before, so that none is a link or somebody else's.
fn check_names(disk: &dyn Disk, directory: &Path, depth: u32) -> Result<(), CatalogueError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| CatalogueError::Io { operation, path, source }
    };
    for name in disk.list(directory).map_err(failed("list", directory))? {
        let path = directory.join(name);
        match (disk.list(&path), depth.checked_sub(1)) {
            (Ok(_), Some(depth)) => check_names(disk, &path, depth)?,
            _ => drop(disk.open(&path, OpenMode::Read).map_err(failed("open", &path))?),
        }
    }
    Ok(())
}

/// There is one directory in sled's.
const MAX_DEPTH: u32 = 2;

impl SledCatalogue {
    /// Opens the catalogue and checks all of it. One that is damaged in any way is moved aside to
    /// `catalogue.damaged-TIME`, and a new, empty one is made; the caller then fills it. `now` goes into that name.
    pub fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        now: Timestamp,
    ) -> Result<(Self, Snapshot), CatalogueError> {
        let error = match Self::open_once(disk, directory, now) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let kept = move_aside(&**disk, directory, now)?;
        tracing::warn!(%error, kept_in = %kept.display(), "the catalogue is rebuilt from the ledger and the labels");
        Self::open_once(disk, directory, now)
    }

    fn open_once(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        now: Timestamp,
    ) -> Result<(Self, Snapshot), CatalogueError> {
        let database_directory = directory.join("sled");
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| CatalogueError::Io { operation, path, source }
        };
        disk.create_dir(directory).map_err(failed("create", directory))?;
        disk.create_dir(&database_directory).map_err(failed("create", &database_directory))?;
        disk.sync_dir(directory).map_err(failed("sync", directory))?;
        if let Some(parent) = directory.parent() {
            disk.sync_dir(parent).map_err(failed("sync", parent))?;
        }
        let (tripwire, note) = Tripwire::open(&**disk, directory)?;
        check_names(&**disk, &database_directory, MAX_DEPTH)?;
        let trees = guarded(|| Trees::open(&database_directory))?;
        let snapshot = checked_snapshot(&trees, note.as_ref())?;
        let tripwire = Mutex::new(tripwire);
        let catalogue =
            Self { disk: Arc::clone(disk), directory: directory.to_owned(), trees, tripwire, now };
        // From here on it counts as open: only an orderly close makes it clean again.
        catalogue.barrier(false)?;
        Ok((catalogue, snapshot))
    }

    /// Flushes the database, syncs what it has written, and then moves the tripwire forward.
    fn barrier(&self, is_closed: bool) -> Result<(), CatalogueError> {
        let mut tripwire = self.tripwire.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the flush: what is noted is then surely durable, and the database may be ahead of it.
        let meta = guarded(|| self.trees.meta())?;
        guarded(|| self.trees.database.flush().map(drop).map_err(database_error))?;
        let database = self.directory.join("sled");
        for name in ["db", "conf"] {
            let path = database.join(name);
            let result =
                self.disk.open(&path, OpenMode::ReadWrite).and_then(|file| file.sync_data());
            result.map_err(|source| CatalogueError::Io { operation: "sync", path, source })?;
        }
        self.disk.sync_dir(&database).map_err(|source| CatalogueError::Io {
            operation: "sync",
            path: database.clone(),
            source,
        })?;
        tripwire.set(&meta, is_closed).map_err(|source| CatalogueError::Io {
            operation: "write the tripwire in",
            path: self.directory.clone(),
            source,
        })
    }
}

impl Catalogue for SledCatalogue {
    fn load(&self) -> Result<Snapshot, CatalogueError> {
        let (meta, rows) = guarded(|| self.trees.load())?;
        Ok(Snapshot { rows, mark: (meta.generation > 0).then(|| meta.mark()), was_closed: false })
    }

    fn apply(&self, changes: &[Change], mark: Head) -> Result<(), CatalogueError> {
        let prepared = changes.iter().map(Prepared::new).collect::<Result<Vec<_>, _>>()?;
        guarded(|| self.trees.apply(&prepared, mark))
    }

    fn replace(&self, rows: &[CartridgeEntry], mark: Head) -> Result<(), CatalogueError> {
        guarded(|| self.trees.clear())?;
        let changes: Vec<Change> =
            rows.iter().map(|row| Change::Put(Box::new(row.clone()))).collect();
        for chunk in changes.chunks(ROWS_PER_TRANSACTION) {
            self.apply(chunk, mark)?;
        }
        if changes.is_empty() {
            self.apply(&[], mark)?;
        }
        self.flush()
    }

    fn flush(&self) -> Result<(), CatalogueError> {
        self.barrier(false)
    }

    fn close(&self) -> Result<(), CatalogueError> {
        self.barrier(true)
    }

    fn abandon(&self) -> Result<(), CatalogueError> {
        move_aside(&*self.disk, &self.directory, self.now).map(drop)
    }
}

impl Trees {
    fn open(directory: &Path) -> Result<Self, CatalogueError> {
        let database = sled::Config::new()
            .path(directory)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_INTERVAL_MS))
            .open()
            .map_err(database_error)?;
        let tree = |name: &str| database.open_tree(name).map_err(database_error);
        let (cartridges, barcodes) = (tree("cartridges")?, tree("barcodes")?);
        let (elements, meta) = (tree("elements")?, tree("meta")?);
        Ok(Self { database, cartridges, barcodes, elements, meta })
    }

    fn meta(&self) -> Result<Meta, CatalogueError> {
        match self.meta.get(STATE).map_err(database_error)? {
            Some(bytes) => Meta::decode(&bytes),
            None => Ok(Meta::default()),
        }
    }

    /// Reads everything and checks the trees against each other.
    fn load(&self) -> Result<(Meta, Vec<CartridgeEntry>), CatalogueError> {
        let meta = self.meta()?;
        let mut rows = Vec::new();
        let (mut checksum, mut element_count): (u64, usize) = (0, 0);
        for pair in &self.cartridges {
            let (key, value) = pair.map_err(database_error)?;
            let row = decode_row(&value)?;
            if *key != *row.uuid.as_bytes() {
                return Err(CatalogueError::Damaged("a row is under another row's key"));
            }
            checksum = checksum.wrapping_add(digest(row.uuid, &value));
            let points_here = |tree: &sled::Tree, key: &[u8]| {
                Ok::<_, CatalogueError>(
                    tree.get(key)
                        .map_err(database_error)?
                        .is_some_and(|found| found == key_of(row.uuid)),
                )
            };
            if !points_here(&self.barcodes, row.barcode.as_str().as_bytes())? {
                return Err(CatalogueError::Damaged("a barcode is not where it should be"));
            }
            if let Some(key) = element_key(&row.place) {
                element_count += 1;
                if !points_here(&self.elements, &key)? {
                    return Err(CatalogueError::Damaged("an element is not where it should be"));
                }
            }
            rows.push(row);
        }
        if rows.len() as u64 != meta.count || checksum != meta.checksum {
            return Err(CatalogueError::Damaged("rows are missing or stale"));
        }
        if self.barcodes.len() != rows.len() || self.elements.len() != element_count {
            return Err(CatalogueError::Damaged("its indexes have entries too many"));
        }
        Ok((meta, rows))
    }

    fn clear(&self) -> Result<(), CatalogueError> {
        for tree in [&self.cartridges, &self.barcodes, &self.elements] {
            tree.clear().map_err(database_error)?;
        }
        let meta = self.meta()?;
        let fresh = Meta { generation: meta.generation.saturating_add(1), ..Meta::default() };
        self.meta.insert(STATE, fresh.encode()?).map(drop).map_err(database_error)
    }

    fn apply(&self, changes: &[Prepared], mark: Head) -> Result<(), CatalogueError> {
        let trees = (&self.cartridges, &self.barcodes, &self.elements, &self.meta);
        let result = trees.transaction(|(cartridges, barcodes, elements, meta)| {
            let mut state = match meta.get(STATE)? {
                Some(bytes) => Meta::decode(&bytes).map_err(ConflictableTransactionError::Abort)?,
                None => Meta::default(),
            };
            state.generation = state.generation.saturating_add(1);
            state.set_mark(mark);
            // All old index entries go before any new one comes: in an exchange one's old element is the other's new one.
            for change in changes {
                forget(change.uuid(), cartridges, barcodes, elements, &mut state)?;
            }
            for change in changes {
                if let Prepared::Put { uuid, value, barcode, element } = change {
                    cartridges.insert(uuid.as_bytes(), value.as_slice())?;
                    barcodes.insert(barcode.as_slice(), uuid.as_bytes())?;
                    if let Some(element) = element {
                        elements.insert(element.as_slice(), uuid.as_bytes())?;
                    }
                    state.count = state.count.saturating_add(1);
                    state.checksum = state.checksum.wrapping_add(digest(*uuid, value));
                }
            }
            meta.insert(STATE, state.encode().map_err(ConflictableTransactionError::Abort)?)?;
            Ok(())
        });
        result.map_err(|error| match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => database_error(error),
        })
    }
}

impl Prepared {
    fn new(change: &Change) -> Result<Self, CatalogueError> {
        Ok(match change {
            Change::Put(entry) => Self::Put {
                uuid: entry.uuid,
                value: encode_row(entry)?,
                barcode: entry.barcode.as_str().as_bytes().to_vec(),
                element: element_key(&entry.place),
            },
            Change::Remove(uuid) => Self::Remove(*uuid),
        })
    }

    fn uuid(&self) -> Uuid {
        match self {
            Self::Put { uuid, .. } | Self::Remove(uuid) => *uuid,
        }
    }
}

/// Reads a database just opened and holds it against the note made outside of it.
fn checked_snapshot(trees: &Trees, note: Option<&Note>) -> Result<Snapshot, CatalogueError> {
    let (meta, rows) = guarded(|| trees.load())?;
    let Some(note) = note else {
        // Without a tripwire nothing vouches for the rows, unless there are none.
        return if meta.generation == 0 && rows.is_empty() {
            Ok(Snapshot::default())
        } else {
            Err(CatalogueError::Damaged("its tripwire is missing"))
        };
    };
    note.check(&meta)?;
    Ok(Snapshot {
        rows,
        mark: (meta.generation > 0).then(|| meta.mark()),
        was_closed: note.is_closed,
    })
}

/// Takes a row and its index entries out, inside a transaction.
fn forget(
    uuid: Uuid,
    cartridges: &TransactionalTree,
    barcodes: &TransactionalTree,
    elements: &TransactionalTree,
    state: &mut Meta,
) -> Result<(), ConflictableTransactionError<CatalogueError>> {
    let Some(value) = cartridges.remove(uuid.as_bytes())? else { return Ok(()) };
    let row = decode_row(&value).map_err(ConflictableTransactionError::Abort)?;
    barcodes.remove(row.barcode.as_str().as_bytes())?;
    if let Some(key) = element_key(&row.place) {
        elements.remove(key)?;
    }
    state.count = state.count.saturating_sub(1);
    state.checksum = state.checksum.wrapping_sub(digest(uuid, &value));
    Ok(())
}

/// Moves the directory out of the way, keeping it for whoever wants to know what happened.
fn move_aside(
    disk: &dyn Disk,
    directory: &Path,
    now: Timestamp,
) -> Result<PathBuf, CatalogueError> {
    let failed =
        |source| CatalogueError::Io { operation: "move aside", path: directory.to_owned(), source };
    let mut count: u32 = 1;
    let mut target = directory.with_extension(format!("damaged-{}", now.as_millisecond()));
    while disk.exists(&target).map_err(failed)? {
        count = count.saturating_add(1);
        target = directory.with_extension(format!("damaged-{}-{count}", now.as_millisecond()));
    }
    disk.rename(directory, &target).map_err(failed)?;
    if let Some(parent) = directory.parent() {
        disk.sync_dir(parent).map_err(failed)?;
    }
    Ok(target)
}

/// Calls the database, and takes a panic in it for what it is: a damaged database.
fn guarded<T>(call: impl FnOnce() -> Result<T, CatalogueError>) -> Result<T, CatalogueError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(CatalogueError::Panicked))
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can stand in map_err")]
fn database_error(error: sled::Error) -> CatalogueError {
    CatalogueError::Database(error.to_string())
}

fn key_of(uuid: Uuid) -> sled::IVec {
    sled::IVec::from(uuid.as_bytes())
}

const STATE: &[u8] = b"state";
/// sled's own default is 1 GiB; a row has some 200 bytes, so this holds all of a large library.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
const FLUSH_INTERVAL_MS: u64 = 500;
const ROWS_PER_TRANSACTION: usize = 500;
