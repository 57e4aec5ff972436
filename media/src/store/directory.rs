//! The data directory itself: its marker, its lock and its rooms.
//!
//! The marker is written last when a directory is made, and nothing else in a directory without one is touched: a file
//! system that is not mounted must never become a fresh library underneath.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::StoreError;
use super::library::RandomSource;
use crate::disk::{Disk, DiskFile, OpenMode, read_up_to_at, write_all_at};
use crate::ledger::{Clock, Ledger};
use crate::whole::{read_whole, replace_whole};

/// An open data directory. Dropping it gives the lock back.
#[derive(Debug)]
pub(super) struct DataDirectory {
    pub(super) path: PathBuf,
    /// Identity of the directory, to which the ledger's chain is bound.
    pub(super) id: Uuid,
    /// Held, not read: the lock lasts as long as the descriptor.
    _lock: Box<dyn DiskFile>,
}

impl DataDirectory {
    /// Opens a directory, or makes one out of an empty or missing one if `may_create`.
    pub(super) fn open(
        disk: &dyn Disk,
        path: &Path,
        may_create: bool,
        clock: &Clock,
        random: &RandomSource,
    ) -> Result<Self, StoreError> {
        // Looked at before anything is written, so that what is not ours stays as it is.
        let found = read_marker(disk, path)?;
        if found.is_none() {
            check_unused(disk, path, may_create)?;
            make_directory(disk, path)?;
        }
        let lock = take_lock(disk, path, clock)?;
        // Another program may have been faster between the look and the lock.
        let id = match read_marker(disk, path)? {
            Some(id) => id,
            None => create(disk, path, random)?,
        };
        Ok(Self { path: path.to_owned(), id, _lock: lock })
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.path.join(LEDGER)
    }

    pub(super) fn catalogue(&self) -> PathBuf {
        self.path.join("catalogue")
    }

    pub(super) fn cartridges(&self) -> PathBuf {
        self.path.join(CARTRIDGES)
    }

    pub(super) fn cartridge(&self, uuid: Uuid) -> PathBuf {
        self.cartridges().join(uuid.to_string())
    }
}

/// The identity in the marker, or `None` if there is no marker.
fn read_marker(disk: &dyn Disk, directory: &Path) -> Result<Option<Uuid>, StoreError> {
    let path = directory.join(MARKER);
    if !disk.exists(&path).map_err(StoreError::io("look for", &path))? {
        return Ok(None);
    }
    let bytes = match read_whole(disk, &path, MAX_MARKER_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            return Err(StoreError::MarkerDamaged { path });
        }
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    let damaged = || StoreError::MarkerDamaged { path: path.clone() };
    let text = String::from_utf8(bytes).map_err(|_| damaged())?;
    let mut lines = text.lines();
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix(MARKER_PREFIX))
        .and_then(|number| number.parse().ok());
    match version {
        None | Some(0) => return Err(damaged()),
        Some(FORMAT_VERSION) => (),
        Some(found) => return Err(StoreError::NewerFormat { found, supported: FORMAT_VERSION }),
    }
    let id = lines
        .next()
        .and_then(|line| line.strip_prefix("id "))
        .and_then(|id| Uuid::parse_str(id).ok());
    id.map(Some).ok_or_else(damaged)
}

/// Makes sure that a directory without marker holds nothing but what an interrupted creation or the program itself leaves.
fn check_unused(disk: &dyn Disk, directory: &Path, may_create: bool) -> Result<(), StoreError> {
    let no_library = || StoreError::NoLibrary { directory: directory.to_owned() };
    if !disk.exists(directory).map_err(StoreError::io("look for", directory))? {
        return if may_create { Ok(()) } else { Err(no_library()) };
    }
    for name in disk.list(directory).map_err(StoreError::io("list", directory))? {
        let entry = directory.join(name);
        let name =
            entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_harmless = match name.as_str() {
            LEDGER => holds_only_a_new_head(disk, &entry)?,
            CARTRIDGES => disk.list(&entry).map_err(StoreError::io("list", &entry))?.is_empty(),
            _ => HARMLESS_NAMES.contains(&name.as_str()),
        };
        if !is_harmless {
            return Err(StoreError::NotEmpty { directory: directory.to_owned(), found: name });
        }
    }
    if may_create { Ok(()) } else { Err(no_library()) }
}

fn holds_only_a_new_head(disk: &dyn Disk, ledger: &Path) -> Result<bool, StoreError> {
    let names = disk.list(ledger).map_err(StoreError::io("list", ledger))?;
    Ok(names.iter().all(|path| path.file_stem().is_some_and(|stem| stem == "head")))
}

fn make_directory(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    disk.create_dir(path).map_err(StoreError::io("create", path))?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    disk.sync_dir(parent).map_err(StoreError::io("sync", parent))
}

/// Takes the lock at once or not at all, and writes into it who holds it.
fn take_lock(
    disk: &dyn Disk,
    directory: &Path,
    clock: &Clock,
) -> Result<Box<dyn DiskFile>, StoreError> {
    let path = directory.join("lock");
    let file = disk.open(&path, OpenMode::Create).map_err(StoreError::io("open", &path))?;
    if !file.try_lock().map_err(StoreError::io("lock", &path))? {
        return Err(StoreError::Locked { directory: directory.to_owned(), holder: holder(&*file) });
    }
    let text = format!("process {}, since {}\n", std::process::id(), clock.now());
    file.set_length(0)
        .and_then(|()| write_all_at(&*file, text.as_bytes(), 0))
        .map_err(StoreError::io("write", &path))?;
    Ok(file)
}

/// What the holder wrote, without what could upset a terminal.
fn holder(file: &dyn DiskFile) -> String {
    let mut bytes = [0; 200];
    let count = read_up_to_at(file, &mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
    let text: String = text.trim().chars().filter(|character| !character.is_control()).collect();
    if text.is_empty() { "which has not said who it is".to_owned() } else { text }
}

/// Makes the rooms, then the marker, each durable before the next.
fn create(disk: &dyn Disk, directory: &Path, random: &RandomSource) -> Result<Uuid, StoreError> {
    let id = random.uuid().map_err(StoreError::io("make an identity for", directory))?;
    for name in [LEDGER, CARTRIDGES] {
        let path = directory.join(name);
        disk.create_dir(&path).map_err(StoreError::io("create", &path))?;
    }
    let ledger = directory.join(LEDGER);
    // A head that an interrupted creation left is bound to an identity that nobody knows any more.
    for name in disk.list(&ledger).map_err(StoreError::io("list", &ledger))? {
        let left_over = ledger.join(name);
        disk.remove(&left_over).map_err(StoreError::io("remove", &left_over))?;
    }
    Ledger::create(disk, &ledger, id)?;
    disk.sync_dir(directory).map_err(StoreError::io("sync", directory))?;
    let marker = directory.join(MARKER);
    let text = format!("{MARKER_PREFIX}{FORMAT_VERSION}\nid {id}\n");
    replace_whole(disk, &marker, text.as_bytes()).map_err(StoreError::io("write", &marker))?;
    Ok(id)
}

/// The newest data directory that this program can open, and the one that it makes.
pub const FORMAT_VERSION: u32 = 1;
const MARKER: &str = "FORMAT";
const MARKER_PREFIX: &str = "vtl data directory ";
const LEDGER: &str = "ledger";
const CARTRIDGES: &str = "cartridges";
/// `FORMAT.new` and `lock` are left by an interrupted creation, `vtl.toml` and the socket belong to the program, and a new
/// ext4 file system is never quite empty.
const HARMLESS_NAMES: &[&str] = &["FORMAT.new", "lock", "vtl.toml", "control.sock", "lost+found"];
const MAX_MARKER_BYTES: u64 = 4096;
