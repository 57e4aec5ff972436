//! What lies below one directory of this machine, and nothing else.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, StatVfs};
use rustix::io::Errno;

use super::real::{self, RealDisk, RealFile};
use super::{Disk, DiskFile, OpenMode};

/// The file system below one directory, which the kernel is held to: every name is looked up from a handle of that directory, and
/// no link on the way is followed, whoever puts one there and whenever. The directory itself may be reached through links.
///
/// It has to belong to this user, and nobody else may write into it.
#[derive(Debug)]
pub struct DirectoryDisk {
    path: PathBuf,
    /// Opened when it is first needed, as it may have to be made.
    root: OnceLock<OwnedFd>,
    /// Cleared where the kernel, or a filter of system calls, does not know `openat2`: then the way is gone step by step.
    has_openat2: AtomicBool,
}

impl DirectoryDisk {
    /// What is below this directory, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        let is_here = path.as_os_str().is_empty();
        let path = if is_here { Path::new(".") } else { path }.to_owned();
        Self { path, root: OnceLock::new(), has_openat2: AtomicBool::new(true) }
    }

    /// The same, as on a kernel without `openat2`.
    #[cfg(test)]
    fn without_openat2(path: &Path) -> Self {
        Self { has_openat2: AtomicBool::new(false), ..Self::new(path) }
    }

    fn root(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(root) = self.root.get() {
            return Ok(root.as_fd());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.path, flags, Mode::empty())?;
        check_root(&root, &self.path)?;
        Ok(self.root.get_or_init(|| root).as_fd())
    }

    /// What a path is called below the directory; empty for the directory itself.
    fn below<'a>(&self, path: &'a Path) -> io::Result<&'a Path> {
        let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
        path.strip_prefix(&self.path)
            .ok()
            .filter(|below| below.components().all(is_name))
            .ok_or_else(|| {
                let message = format!("{} is not below {}", path.display(), self.path.display());
                io::Error::new(io::ErrorKind::InvalidInput, message)
            })
    }

    /// Opens something below the directory, on a way without links.
    fn open_below(&self, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let below = self.below(path)?;
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        let root = self.root()?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.has_openat2.load(Ordering::Relaxed) {
            match openat2(root, below, flags, mode) {
                // EPERM is what some filters of system calls say; it is found out without them whether it was meant.
                Err(Errno::NOSYS | Errno::PERM) => {}
                result => return result.map_err(|error| explained(path, error)),
            }
        }
        let opened = step_by_step(root, below, flags, mode);
        if opened.is_ok() {
            self.has_openat2.store(false, Ordering::Relaxed);
        }
        opened.map_err(|error| explained(path, error))
    }

    fn directory(&self, path: &Path, access: OFlags) -> io::Result<OwnedFd> {
        self.open_below(path, access | OFlags::DIRECTORY, Mode::empty())
    }

    /// The directory that a name is in, and the name.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        self.below(path)?;
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.directory(parent, OFlags::PATH)?, name)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn open_checked(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        let file = self.open_below(path, real::flags(mode), Mode::RUSR | Mode::WUSR)?;
        real::checked(File::from(file), path)
    }

    fn space(&self, path: &Path) -> io::Result<StatVfs> {
        let directory = self.open_below(path, OFlags::PATH, Mode::empty())?;
        Ok(rustix::fs::fstatvfs(directory)?)
    }

    fn is_root(&self, path: &Path) -> bool {
        path == self.path
    }
}

impl Disk for DirectoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile::new(self.open_checked(path, mode)?)))
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile::direct(self.open_checked(path, mode)?)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if self.is_root(path) {
            // What is there may be a link to a directory; who may use it is seen when it is opened.
            return if path.is_dir() { Ok(()) } else { RealDisk.create_dir(path) };
        }
        let (parent, name) = self.place(path)?;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            // It is no error if it is a directory.
            Err(Errno::EXIST) => self.directory(path, OFlags::PATH).map(drop),
            result => Ok(result?),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let directory = Dir::new(self.directory(path, OFlags::RDONLY)?)?;
        let mut names = Vec::new();
        for entry in directory {
            let entry = entry?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(PathBuf::from(OsStr::from_bytes(name))),
            }
        }
        names.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        if self.is_root(path) {
            return RealDisk.exists(path);
        }
        let (parent, name) = match self.place(path) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_directory, from) = self.place(from)?;
        let (to_directory, to) = self.place(to)?;
        Ok(rustix::fs::renameat(&from_directory, from, &to_directory, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The name of the directory itself is in another one.
        if self.below(path).is_err() && self.path.starts_with(path) || self.path == Path::new(".") {
            return RealDisk.sync_dir(path);
        }
        Ok(rustix::fs::fsync(self.directory(path, OFlags::RDONLY)?)?)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let StatVfs { f_bavail, f_frsize, .. } = self.space(path)?;
        Ok(f_bavail.saturating_mul(f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let StatVfs { f_blocks, f_frsize, .. } = self.space(path)?;
        Ok(f_blocks.saturating_mul(f_frsize))
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        let found = self.open_below(path, OFlags::PATH, Mode::empty())?;
        Ok(rustix::fs::fstat(found)?.st_mode & real::MODE_BITS)
    }
}

fn openat2(
    root: BorrowedFd<'_>,
    below: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    // The kernel refuses a mode where nothing can be made.
    let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, below, flags, mode, resolve) {
            // Somebody renamed something on the way meanwhile.
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

/// Opens directory after directory, none of them through a link.
fn step_by_step(
    root: BorrowedFd<'_>,
    below: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    const DIRECTORY: OFlags =
        OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mut parts = below.components();
    let name = parts.next_back().map_or(OsStr::new("."), Component::as_os_str);
    let mut reached: Option<OwnedFd> = None;
    for part in parts {
        let from = reached.as_ref().map_or(root, AsFd::as_fd);
        let next = rustix::fs::openat(from, part.as_os_str(), DIRECTORY, Mode::empty());
        reached = Some(next.map_err(|error| link_or(from, part.as_os_str(), error))?);
    }
    let from = reached.as_ref().map_or(root, AsFd::as_fd);
    rustix::fs::openat(from, name, flags, mode).map_err(|error| link_or(from, name, error))
}

/// A link that should be a directory is told as "no directory"; it is a link all the same.
fn link_or(directory: BorrowedFd<'_>, name: &OsStr, error: Errno) -> Errno {
    let is_link = || {
        let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink())
    };
    if error == Errno::NOTDIR && is_link() { Errno::LOOP } else { error }
}

/// What is there in place of what should be.
fn explained(path: &Path, error: Errno) -> io::Error {
    let path = path.display();
    let message = match error {
        Errno::LOOP | Errno::XDEV => format!(
            "{path} is a symbolic link or lies behind one: nothing in a data directory may be one; put the file or directory itself there"
        ),
        Errno::ISDIR => format!("{path} is a directory and should be a file; move it away"),
        Errno::NXIO | Errno::NODEV => {
            format!("{path} is a socket or a device and should be a file; move it away")
        }
        other => return other.into(),
    };
    io::Error::new(io::ErrorKind::PermissionDenied, NotAFile(message))
}

/// What is there is no file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAFile(String);

/// Whether something could not be opened because it is a socket, a link, a device or a directory: there is nothing in it.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotAFile>)
}

/// The directory under which everything is belongs to this user, and to nobody else.
fn check_root(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let found = rustix::fs::fstat(root)?;
    let user = rustix::process::geteuid().as_raw();
    let path = path.display();
    let mode = found.st_mode & 0o7777;
    let message = if found.st_uid != user {
        format!(
            "{path} belongs to uid {}, and this program runs as uid {user}: run it as that user, or `chown -R {user} {path}`",
            found.st_uid
        )
    } else if mode & 0o022 != 0 {
        format!(
            "others than its owner may write into {path} (mode {mode:04o}): look for what they have put there, then `chmod 0700 {path}`"
        )
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

const TRIES_MAX: u32 = 100;

#[cfg(test)]
mod tests;
