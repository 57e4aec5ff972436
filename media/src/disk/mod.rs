//! The seam between this crate and the file system.
//!
//! Everything that is kept goes through [`Disk`]: the real one for users, one in memory for quick tests, and one that counts
//! its call sites and fails, tears or hangs on request. The trait is as narrow as the journal needs and promises no more
//! than Linux does: a write is durable only after [`DiskFile::sync_data`] on that file has succeeded, and a created,
//! renamed or removed name only after [`Disk::sync_dir`] on its directory has.
//!
//! A failed sync is final for that descriptor: the kernel reports the error once and may then count the lost pages as
//! clean. Callers must not call `sync_data` again on the same [`DiskFile`] and believe its answer.

mod beneath;
mod fault;
mod memory;
mod real;
mod sequential;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub use self::beneath::DirectoryDisk;
pub(crate) use self::beneath::is_no_file;
pub use self::fault::{Call, Fault, FaultDisk, Reaction, Site, Watch};
pub use self::memory::MemoryDisk;
pub use self::real::RealDisk;
pub use self::sequential::{read_sequentially, write_sequentially};
pub use crate::whole::{read_whole, replace_whole};

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
    /// Like [`Disk::open`], but past the page cache if the file system can; see [`DiskFile::alignment_bytes`].
    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// The names in a directory, without the directory, sorted.
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
    /// The size of the file system that holds `path`.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Who may do what with a file or directory, as `chmod` writes it: for what is kept secret. A disk of one's own knows no others.
    fn mode(&self, _path: &Path) -> io::Result<u32> {
        Ok(0o700)
    }
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
    /// What offsets, lengths and addresses in memory must be multiples of: 1, unless the file was opened with
    /// [`Disk::open_direct`]; then 512 or 4096.
    fn alignment_bytes(&self) -> usize;
    /// Drops what is kept of the file in memory, so that the next read comes from the disk. `false` if that cannot be done.
    fn drop_cached(&self) -> io::Result<bool> {
        Ok(false)
    }
    /// Takes the exclusive lock that only one program may hold, without waiting: `false` if somebody else holds it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Fills the buffer from `offset`; an end of the file before that is an error.
pub fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let length = buffer.len();
    match read_up_to_at(file, buffer, offset)? {
        count if count == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Fills the buffer from `offset` as far as the file goes, and says how far that was.
pub fn read_up_to_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let alignment = file.alignment_bytes();
    let mut done: usize = 0;
    let mut interrupts = 0;
    // A direct file ends where it gives less than whole sectors; to go on from there would be refused.
    while let Some(rest) =
        buffer.get_mut(done..).filter(|rest| !rest.is_empty() && done.is_multiple_of(alignment))
    {
        match file.read_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(count) => done = done.saturating_add(count),
            Err(error) => pass_interrupt(error, &mut interrupts)?,
        }
    }
    Ok(done)
}

/// Writes all of the buffer at `offset`.
pub fn write_all_at(file: &dyn DiskFile, buffer: &[u8], offset: u64) -> io::Result<()> {
    let mut done: usize = 0;
    let mut interrupts = 0;
    while let Some(rest) = buffer.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => done = done.saturating_add(count),
            Err(error) => pass_interrupt(error, &mut interrupts)?,
        }
    }
    Ok(())
}

/// An interrupted call is made again, but not for ever.
fn pass_interrupt(error: io::Error, interrupts: &mut u32) -> io::Result<()> {
    *interrupts = interrupts.saturating_add(1);
    if error.kind() == io::ErrorKind::Interrupted && *interrupts <= INTERRUPTS_MAX {
        Ok(())
    } else {
        Err(error)
    }
}

const INTERRUPTS_MAX: u32 = 100;
