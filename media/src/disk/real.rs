//! The disk of this machine.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Mode, OFlags, StatVfs, StatxFlags};
use rustix::io::Errno;

use super::{Disk, DiskFile, OpenMode};

/// The file system as the kernel gives it. Files are made with mode 0600, directories with 0700.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl RealDisk {
    /// The file system of this process.
    pub fn new() -> Self {
        Self
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile::new(open_checked(path, mode)?)))
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile::direct(open_checked(path, mode)?)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && fs::symlink_metadata(path)?.is_dir() =>
            {
                Ok(())
            }
            result => result,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(PathBuf::from(entry?.file_name())))
            .collect::<io::Result<Vec<_>>>()?;
        // Paths are compared part by part, which takes long for many names.
        names.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        rustix::fs::fsync(&directory)?;
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let StatVfs { f_bavail, f_frsize, .. } = rustix::fs::statvfs(path)?;
        Ok(f_bavail.saturating_mul(f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let StatVfs { f_blocks, f_frsize, .. } = rustix::fs::statvfs(path)?;
        Ok(f_blocks.saturating_mul(f_frsize))
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        Ok(fs::symlink_metadata(path)?.mode() & MODE_BITS)
    }
}

/// What `chmod` sets.
pub(super) const MODE_BITS: u32 = 0o7777;

/// An open file of this machine.
#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    alignment_bytes: usize,
}

impl RealFile {
    /// A file that is read and written through the page cache.
    pub(super) fn new(file: File) -> Self {
        Self { file, alignment_bytes: 1 }
    }

    /// The same past the page cache, where that can be.
    pub(super) fn direct(file: File) -> io::Result<Self> {
        let Some(alignment_bytes) = direct_alignment(&file) else {
            return Ok(Self::new(file));
        };
        let flags = rustix::fs::fcntl_getfl(&file)? | OFlags::DIRECT;
        match rustix::fs::fcntl_setfl(&file, flags) {
            Ok(()) => Ok(Self { file, alignment_bytes }),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Self::new(file)),
            Err(error) => Err(error.into()),
        }
    }
}

impl DiskFile for RealFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buffer, offset)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, length) {
            // There is no such promise on this file system; the next best is to know that there is room now.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let StatVfs { f_bavail, f_frsize, .. } = rustix::fs::fstatvfs(&self.file)?;
                if f_bavail.saturating_mul(f_frsize) < length {
                    return Err(Errno::NOSPC.into());
                }
                let end = offset.saturating_add(length);
                if self.length_bytes()? < end { self.set_length(end) } else { Ok(()) }
            }
            result => Ok(result?),
        }
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.file.set_len(length_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn alignment_bytes(&self) -> usize {
        self.alignment_bytes
    }

    fn drop_cached(&self) -> io::Result<bool> {
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(true)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opens a file and makes sure that it is what we left there.
fn open_checked(path: &Path, mode: OpenMode) -> io::Result<File> {
    let flags = flags(mode) | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    checked(File::from(file), path)
}

/// How a file is opened. NONBLOCK, so that a planted pipe cannot hold the caller; it means nothing for a regular file.
pub(super) fn flags(mode: OpenMode) -> OFlags {
    OFlags::NONBLOCK
        | match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::ReadWrite => OFlags::RDWR,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            OpenMode::Create => OFlags::RDWR | OFlags::CREATE,
        }
}

/// The file, if it is a regular one, of this user or of root, and has no other name.
pub(super) fn checked(file: File, path: &Path) -> io::Result<File> {
    let metadata = file.metadata()?;
    let user = rustix::process::geteuid();
    let (owner, names) = (metadata.uid(), metadata.nlink());
    let path = path.display();
    let message = if !metadata.is_file() {
        format!("{path} is not a regular file and should be one; move it away")
    } else if owner != user.as_raw() && owner != 0 {
        format!(
            "{path} belongs to uid {owner}, and this program runs as uid {user}: run it as that user, or `chown {user} {path}`"
        )
    } else if names != 1 {
        format!(
            "{path} is one of {names} names of a file: whoever has another one could change it; put a copy in its place"
        )
    } else {
        return Ok(file);
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// The alignment that direct I/O asks for on this file; `None` if there is none or if it is not known.
fn direct_alignment(file: &File) -> Option<usize> {
    let status =
        rustix::fs::statx(file, "", rustix::fs::AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok()?;
    let needed = status.stx_dio_mem_align.max(status.stx_dio_offset_align);
    match usize::try_from(needed).ok()? {
        1..=512 => Some(512),
        513..=4096 => Some(4096),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

    #[test]
    fn files_are_private_and_names_are_exclusive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        write_all_at(file.as_ref(), b"abc", 5).unwrap();
        let mut bytes = [9; 8];
        read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0\0abc");
        file.allocate(4096, 4096).unwrap();
        assert_eq!(file.length_bytes().unwrap(), 8192);
        let taken = RealDisk.open(&path, OpenMode::CreateNew).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(RealDisk.list(directory.path()).unwrap(), [PathBuf::from("file")]);
    }

    #[test]
    fn links_and_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        drop(RealDisk.open(&path, OpenMode::Create).unwrap());
        std::os::unix::fs::symlink(&path, directory.path().join("soft")).unwrap();
        assert!(RealDisk.open(&directory.path().join("soft"), OpenMode::Read).is_err());
        assert!(RealDisk.open(directory.path(), OpenMode::Read).is_err());
        fs::hard_link(&path, directory.path().join("hard")).unwrap();
        assert!(RealDisk.open(&path, OpenMode::Read).is_err());
    }

    #[test]
    fn the_lock_has_one_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = RealDisk.open(&path, OpenMode::Create).unwrap();
        let second = RealDisk.open(&path, OpenMode::Create).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }

    #[test]
    fn a_direct_file_says_its_alignment() {
        let directory = tempfile::tempdir().unwrap();
        let file =
            RealDisk.open_direct(&directory.path().join("direct"), OpenMode::CreateNew).unwrap();
        assert!([1, 512, 4096].contains(&file.alignment_bytes()));
    }
}
