//! The seam between this crate and the file system.
//!
//! Everything that is kept goes through [`Disk`]: the real one for users, one in memory for quick tests, and one that counts
//! its call sites and fails, tears or hangs on request. The trait is as narrow as the journal needs and promises no more
//! than Linux does: a write is durable only after [`DiskFile::sync_data`] on that file has succeeded, and a created,
//! renamed or removed name only after [`Disk::sync_dir`] on its directory has.
//!
//! A failed sync is final for that descriptor: the kernel reports the error once and may then count the lost pages as
//! clean. Callers must not call `sync_data` again on the same [`DiskFile`] and believe its answer.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

/// How a file is to be opened. No call follows a symbolic link in the last component of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new file, for reading and writing; it is an error if the name is taken.
    CreateNew,
    /// A file for reading and writing, made if it is not there.
    Create,
}

/// A file system, or something that behaves like one.
pub trait Disk: Send + Sync + Debug {
    /// Opens one regular file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Makes one directory, mode 0700; its parent must be there. An existing directory is no error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether there is something under this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Replaces `to` by `from` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes one file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes one empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that this program may still allocate on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// One open file. All positions are explicit, so that a descriptor has no state but its sync error.
pub trait DiskFile: Send + Sync + Debug {
    /// The file's length in bytes.
    fn length_bytes(&self) -> io::Result<u64>;
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file or when interrupted.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `buffer.len()` bytes at `offset` and says how many.
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize>;
    /// Reserves `length` bytes at `offset`, so that a later write there cannot run out of space. The file grows.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_length(&self, length_bytes: u64) -> io::Result<()>;
    /// Makes the data durable, and as much of the metadata as is needed to read it back (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// Takes the exclusive lock that only one program may hold, without waiting: `false` if somebody else holds it.
    fn try_lock(&self) -> io::Result<bool>;
}
