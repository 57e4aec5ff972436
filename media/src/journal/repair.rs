//! Bringing a journal that was not closed in order into a state that can be written on.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use uuid::Uuid;

use super::scan::Torn;
use super::segment::file_name;
use crate::disk::{Disk, OpenMode, read_up_to_at, write_all_at};

/// Copies the torn ends of segments aside and then cuts them off. What is kept is durable before anything is cut.
pub(crate) fn set_aside(
    disk: &dyn Disk,
    directory: &Path,
    cartridge: Uuid,
    torn: &[Torn],
    now: Timestamp,
) -> io::Result<u64> {
    let mut dropped_bytes: u64 = 0;
    for Torn { place, end } in torn {
        let path = directory.join(file_name(place.segment));
        let aside = unused_name(disk, directory, place.segment, now)?;
        let source = disk.open(&path, OpenMode::ReadWrite)?;
        let target = disk.open(&aside, OpenMode::CreateNew)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = place.offset;
        while at < *end {
            let length =
                usize::try_from(end.saturating_sub(at)).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let piece = buffer.get_mut(..length).unwrap_or_default();
            if read_up_to_at(source.as_ref(), piece, at).is_err() {
                // A sector that cannot be read is kept as zeros.
                piece.fill(0);
            }
            write_all_at(target.as_ref(), piece, at.saturating_sub(place.offset))?;
            at = at.saturating_add(length as u64);
        }
        target.sync_data()?;
        disk.sync_dir(directory)?;
        source.set_length(place.offset)?;
        source.sync_data()?;
        let bytes = end.saturating_sub(place.offset);
        dropped_bytes = dropped_bytes.saturating_add(bytes);
        tracing::warn!(%cartridge, segment = place.segment, offset = place.offset, bytes, aside = %aside.display(),
            "the end of the journal was never promised and is not whole: it was kept aside");
    }
    Ok(dropped_bytes)
}

fn unused_name(
    disk: &dyn Disk,
    directory: &Path,
    segment: u32,
    now: Timestamp,
) -> io::Result<PathBuf> {
    let mut second = now.as_second();
    loop {
        let path = directory.join(format!("{segment:06}.torn-{second}"));
        if !disk.exists(&path)? {
            return Ok(path);
        }
        second = second.saturating_add(1);
    }
}

const COPY_BYTES: usize = 64 * 1024;
