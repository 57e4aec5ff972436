//! Small files that are read and written as a whole, over the [`Disk`] seam.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::disk::{Disk, OpenMode, read_exact_at, write_all_at};

/// The whole content of a file, which must not be longer than `limit_bytes` (else `FileTooLarge`).
pub fn read_whole(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = file.length_bytes()?;
    if length > limit_bytes {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let length = usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a small file in one step: a new file beside it is made durable and then takes its name.
pub fn replace_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let fresh = path.with_extension("new");
    let file = disk.open(&fresh, OpenMode::Create)?;
    file.set_length(0)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_data()?;
    disk.rename(&fresh, path)?;
    disk.sync_dir(parent)
}
