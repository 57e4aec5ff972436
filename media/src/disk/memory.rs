//! A disk in memory that forgets what was not synced.

mod content;
mod file;
pub(super) mod random;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::file::MemoryFile;
use self::random::Random;
use self::state::{Directory, File, Node, State};
use super::{Disk, DiskFile, OpenMode};

/// A file system in memory, for tests: it keeps what is durable apart from what is only written, so that
/// [`MemoryDisk::power_cut`] can take the difference away. Clones share one disk.
///
/// What a power cut may take is decided sector by sector, 512 bytes each, and name by name. The root directory is there from
/// the start. Directories are names like files are: without [`Disk::sync_dir`] on the directory above, a power cut takes
/// them and everything in them.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// What direct I/O asks for.
    alignment_bytes: usize,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::with_capacity(u64::MAX)
    }
}

impl MemoryDisk {
    /// An empty disk without bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk on which all files together have at most this length.
    pub fn with_capacity(capacity_bytes: u64) -> Self {
        let state = State::new(capacity_bytes);
        Self { state: Arc::new(Mutex::new(state)), alignment_bytes: 1 }
    }

    /// The same disk, with files that insist on this alignment when they are opened with [`Disk::open_direct`].
    #[must_use]
    pub fn with_alignment(self, alignment_bytes: usize) -> Self {
        Self { alignment_bytes: alignment_bytes.max(1), ..self }
    }

    /// Changes the size of the disk; what is on it stays.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.state().capacity_bytes = capacity_bytes;
    }

    /// Drops everything that has not been synced: bytes, lengths and names. Files that are open keep working on what is
    /// left of them.
    pub fn power_cut(&self) {
        self.state().forget_unsynced();
    }

    /// Like [`MemoryDisk::power_cut`], but of what was not synced, any part may have reached the medium, as `seed` decides:
    /// each sector by itself and in any of the versions that were written, each file's new length or one on the way to it,
    /// and each new, changed or removed name.
    pub fn torn_power_cut(&self, seed: u64) {
        let mut state = self.state();
        state.tear(&mut Random::new(seed));
        state.forget_unsynced();
    }

    /// A copy that shares nothing with this disk, as it would be found after a power cut now.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let copy = self.snapshot();
        copy.power_cut();
        copy
    }

    /// A copy that shares nothing with this disk; nobody has anything open there.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let mut state = self.state().clone();
        state.forget_users();
        Self { state: Arc::new(Mutex::new(state)), alignment_bytes: self.alignment_bytes }
    }

    /// What a sync of this file does that fails, as Linux does it: any part of the data has reached the medium, and all of
    /// it counts as clean from now on, so that another sync succeeds without writing it. `seed` decides which part, and
    /// whether the rest can still be read.
    pub fn fail_sync(&self, path: &Path, seed: u64) {
        let mut state = self.state();
        if let Ok(node) = state.find(path)
            && let Ok(file) = state.file(node)
        {
            file.data.fail_sync(&mut Random::new(seed));
        }
    }

    fn open_aligned(
        &self,
        path: &Path,
        mode: OpenMode,
        alignment_bytes: usize,
    ) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let node = match (state.find(path), mode) {
            (Ok(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Ok(node), _) => node,
            (Err(error), OpenMode::Create | OpenMode::CreateNew)
                if error.kind() == io::ErrorKind::NotFound =>
            {
                let name = state.name(path)?;
                state.create(name, Node::File(File::default()))
            }
            (Err(error), _) => return Err(error),
        };
        let file = state.file(node)?;
        file.open_count = file.open_count.saturating_add(1);
        let is_writable = mode != OpenMode::Read;
        Ok(Box::new(MemoryFile::new(self.clone(), node, alignment_bytes, is_writable)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.open_aligned(path, mode, 1)
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.open_aligned(path, mode, self.alignment_bytes)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if let Ok(node) = state.find(path) {
            return state
                .directory(node)
                .map(drop)
                .map_err(|_| io::ErrorKind::AlreadyExists.into());
        }
        let name = state.name(path)?;
        state.create(name, Node::Directory(Directory::default()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let directory = state.directory(state.find(path)?)?;
        Ok(directory.current.keys().map(PathBuf::from).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().find(path).is_ok())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(from)?;
        let (old, new) = (state.name(from)?, state.name(to)?);
        if let Ok(replaced) = state.find(to) {
            if replaced == node {
                return Ok(());
            }
            let is_directory = state.directory(node).is_ok();
            match state.directory(replaced) {
                Ok(_) if !is_directory => return Err(io::ErrorKind::IsADirectory.into()),
                Ok(directory) if !directory.current.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                Err(error) if is_directory => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        state.rename(node, old, new);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.file(node)?;
        let name = state.name(path)?;
        state.remove(node, name);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        if !state.directory(node)?.current.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let name = state.name(path)?;
        state.remove(node, name);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = state.find(path)?;
        state.sync_directory(node)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity_bytes.saturating_sub(state.used_bytes()))
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.state().capacity_bytes)
    }
}

#[cfg(test)]
mod tests;
