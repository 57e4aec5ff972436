//! Where a member of an archive is put: its name comes from whoever wrote the tape, so that it is never trusted.

use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use tempfile::TempPath;

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

/// Makes a file, of what `fill` writes. Until all of it is there it has another name, in the same directory, and nobody but its owner reads it: if
/// it cannot be had to its end, nothing is left of it, and what was there before stays. That is never written to: it may have other names, or be
/// a symbolic link.
pub(super) fn new_file(
    target: &Path,
    is_overwritten: bool,
    stamp: Stamp,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Else all of it would be read for nothing.
    refuse_what_is_there(target, is_overwritten)?;
    // With mode 0600.
    let mut made = temporary().tempfile_in(directory_of(target))?;
    fill(made.as_file_mut())?;
    set_stamp(made.as_file(), stamp)?;
    put(made.into_temp_path(), target, is_overwritten)
}

/// Gives what was made its name. What has that name is replaced in one step.
fn put(made: TempPath, target: &Path, is_overwritten: bool) -> io::Result<()> {
    let put = if is_overwritten { made.persist(target) } else { made.persist_noclobber(target) };
    put.map_err(|error| error.error)
}

fn refuse_what_is_there(target: &Path, is_overwritten: bool) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) if !is_overwritten => Err(Errno::EXIST.into()),
        Ok(there) if there.is_dir() => Err(Errno::ISDIR.into()),
        Ok(_) => Ok(()),
    }
}

fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vtl-restore-");
    builder
}

fn directory_of(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("/"))
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
    refuse_what_is_there(target, is_overwritten)?;
    let one_of = |path: &Path| fs::symlink_metadata(path).map(|one| (one.dev(), one.ino()));
    // Between two names of one file `rename` does nothing.
    if one_of(target).is_ok_and(|there| one_of(placed).is_ok_and(|placed| placed == there)) {
        return Ok(());
    }
    let made = temporary().make_in(directory_of(target), |path| fs::hard_link(placed, path))?;
    put(made.into_temp_path(), target, is_overwritten)
}

/// Mode, owner and time, as an archive has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) mode: Option<u32>,
    /// The numbers of the user and of the group.
    pub(super) owner: Option<(u64, u64)>,
    /// In seconds since 1970.
    pub(super) modified: Option<u64>,
}

impl Stamp {
    pub(super) fn of_tar(header: &tar::Header) -> Self {
        let owner = header.uid().ok().zip(header.gid().ok());
        Self { mode: header.mode().ok(), owner, modified: header.mtime().ok() }
    }

    /// To whom it belonged, if whoever restores may give files away.
    fn owner(self) -> Option<(Uid, Gid)> {
        let (user, group) = self.owner.filter(|_| rustix::process::geteuid().is_root())?;
        // To the kernel the highest number means that nothing is changed.
        let number = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        Some((Uid::from_raw(number(user)?), Gid::from_raw(number(group)?)))
    }
}

/// Gives a file or a directory its owner, if it is restored by root, its time and its mode. What does not belong to whom it belonged, as where the
/// file system knows no owners, must not give anybody the rights of its owner or its group.
pub(super) fn set_stamp(file: &File, stamp: Stamp) -> io::Result<()> {
    let is_owned = stamp.owner().is_some_and(|(user, group)| {
        // It takes such rights away, so that it comes before the mode.
        rustix::fs::fchown(file, Some(user), Some(group)).is_ok()
    });
    if let Some(seconds) = stamp.modified
        && let Some(then) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    {
        file.set_times(FileTimes::new().set_accessed(then).set_modified(then))?;
    }
    let Some(mode) = stamp.mode else { return Ok(()) };
    let allowed = if is_owned { 0o7777 } else { 0o777 };
    file.set_permissions(Permissions::from_mode(mode & allowed))
}

/// The same for a symbolic link, which has no mode. It leads to the same without.
fn set_stamp_of_link(link: &Path, stamp: Stamp) {
    if let Some((user, group)) = stamp.owner() {
        let _ = rustix::fs::chownat(CWD, link, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW);
    }
    if let Some(seconds) = stamp.modified.and_then(|seconds| seconds.try_into().ok()) {
        let then = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: then, last_modification: then };
        let _ = rustix::fs::utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Why what is no file, no directory and no link is left out.
pub(super) fn not_made() -> io::Error {
    io::Error::other("it is a device, a pipe or a socket, which are not made")
}

/// Makes a symbolic link. Where it leads to does not matter: nothing is ever put behind one that leads out of the directory.
pub(super) fn symbolic_link(
    to: &Path,
    target: &Path,
    is_overwritten: bool,
    stamp: Stamp,
) -> io::Result<()> {
    refuse_what_is_there(target, is_overwritten)?;
    let symlink = |path: &Path| std::os::unix::fs::symlink(to, path);
    let made = temporary().make_in(directory_of(target), symlink)?.into_temp_path();
    set_stamp_of_link(&made, stamp);
    put(made, target, is_overwritten)
}
