//! Files that unlock keys of pools: nobody else may be able to read them.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use vtl_media::{KEY_FILE_BYTES_MAX, KEY_FILE_BYTES_MIN};
use zeroize::Zeroizing;

use crate::request::{Failure, FailureKind};

/// All that is in a file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FailureKind::NotFound,
            _ => FailureKind::Failed,
        };
        Failure::new(kind, format!("key file {}: {error}", path.display()))
    };
    // A pipe in its place must not hold up the daemon.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Failure::refused(format!("key file {}: it is no file", path.display())));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Failure::refused(format!(
            "key file {path} can be read or written by others (mode {mode:04o}), and is not used: `chmod 600 {path}`; if others may have read \
             it, lock the key with another one (`vtl key change`)",
            path = path.display()
        )));
    }
    // Room for all of it, so that no copy is left behind where it had too little.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The same; a file that is not there is made, of randomness.
pub(super) fn read_or_make(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if path.exists() {
        return read(path);
    }
    let mut random = Zeroizing::new([0; KEY_FILE_BYTES_MIN]);
    getrandom::fill(random.as_mut_slice()).map_err(Failure::failed)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_FILE_BYTES_MIN + 1));
    for byte in random.iter() {
        write!(text, "{byte:02x}").map_err(Failure::failed)?;
    }
    text.push('\n');
    let make = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        File::open(directory)?.sync_all()
    };
    make().map_err(|error: io::Error| {
        Failure::failed(format!("key file {} cannot be made: {error}", path.display()))
    })?;
    read(path)
}

/// Whether a file is on the same file system as a directory.
pub(super) fn is_beside(path: &Path, directory: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(path).is_some() && device(path) == device(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_alone_and_one_that_others_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pool.key");
        assert_eq!(read(&path).unwrap_err().kind, FailureKind::NotFound);
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.len(), 65);
        assert_eq!(*read_or_make(&path).unwrap(), *made, "it is taken as it is");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = read(&path).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.contains("chmod 600"), "{failure}");
        assert!(is_beside(&path, directory.path()));
        assert_eq!(read(directory.path()).unwrap_err().kind, FailureKind::Refused);
    }
}
