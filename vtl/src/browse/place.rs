//! Where a member of an archive is put: its name comes from whoever wrote the tape, so that it is never trusted.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};

/// The place of a member inside of a directory; the directories above it are made. There is none for a name with `..`, for one that is empty,
/// and for one below a symbolic link that leads out of the directory. A `/` at the beginning does not count.
pub(super) fn inside(directory: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => return Ok(None),
            _ => {}
        }
    }
    let Some(last) = names.pop() else { return Ok(None) };
    let base = directory.canonicalize()?;
    let mut place = base.clone();
    for name in names {
        place.push(name);
        match fs::create_dir(&place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // What is there already may be a symbolic link.
        place = place.canonicalize()?;
        if !place.starts_with(&base) {
            return Ok(None);
        }
    }
    Ok(Some(place.join(last)))
}

/// Makes a file that only its owner reads, until its own mode is set. What was there before is unlinked, never written to: it may have other
/// names, or be a symbolic link.
pub(super) fn new_file(target: &Path, is_overwritten: bool) -> io::Result<File> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
    match open() {
        Err(error) if is_overwritten && error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(target)?;
            open()
        }
        opened => opened,
    }
}

/// Makes a directory that only its owner may use, until its own mode is set; one that is there stays.
pub(super) fn directory(target: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(target)?.is_dir() { Ok(()) } else { Err(error) }
        }
        made => made,
    }
}

/// Opens a directory, but nothing that a symbolic link of its name leads to.
pub(super) fn open_directory(target: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(target, flags, Mode::empty()).map(File::from)?)
}

/// Makes a second name of what was restored before. A symbolic link is not followed.
pub(super) fn link(placed: &Path, target: &Path, is_overwritten: bool) -> io::Result<()> {
    if placed == target {
        return Ok(());
    }
    match fs::hard_link(placed, target) {
        Err(error) if is_overwritten && error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(target)?;
            fs::hard_link(placed, target)
        }
        linked => linked,
    }
}

/// Mode and time, as an archive has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) mode: Option<u32>,
    /// In seconds since 1970.
    pub(super) modified: Option<u64>,
}

impl Stamp {
    pub(super) fn of_tar(header: &tar::Header) -> Self {
        Self { mode: header.mode().ok(), modified: header.mtime().ok() }
    }
}

/// Gives a file or a directory its time and its mode, as the library for tar archives does it for others.
pub(super) fn set_time_and_mode(file: &File, stamp: Stamp) -> io::Result<()> {
    if let Some(seconds) = stamp.modified
        && let Some(then) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    {
        file.set_times(FileTimes::new().set_accessed(then).set_modified(then))?;
    }
    let Some(mode) = stamp.mode else { return Ok(()) };
    let allowed = if rustix::process::geteuid().is_root() { 0o7777 } else { 0o777 };
    file.set_permissions(Permissions::from_mode(mode & allowed))
}

/// Makes a symbolic link. Where it leads to does not matter: nothing is ever put behind one that leads out of the directory.
pub(super) fn symbolic_link(to: &Path, target: &Path, is_overwritten: bool) -> io::Result<()> {
    match std::os::unix::fs::symlink(to, target) {
        Err(error) if is_overwritten && error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(target)?;
            std::os::unix::fs::symlink(to, target)
        }
        made => made,
    }
}
