//! What the disk itself can do: a file written and read from its beginning to its end, past the page cache where that is possible.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Disk, OpenMode, write_all_at};
use crate::journal::Region;

/// Written or read at once: as much as a cartridge does.
const PIECE_BYTES: usize = 4 << 20;

/// Makes a file of `length_bytes`, rounded up to whole MiB, and says how long it took to write it and to make it durable.
pub fn write_sequentially(
    disk: &dyn Disk,
    path: &Path,
    length_bytes: u64,
) -> io::Result<(u64, Duration)> {
    let file = disk.open_direct(path, OpenMode::CreateNew)?;
    let mut memory = Region::new(PIECE_BYTES);
    fill(&mut memory);
    let length_bytes = length_bytes.next_multiple_of(1 << 20);
    let begin = Instant::now();
    let mut offset = 0;
    while offset < length_bytes {
        let length = piece_bytes(length_bytes - offset);
        write_all_at(&*file, memory.get(..length).unwrap_or_default(), offset)?;
        offset = offset.saturating_add(length as u64);
    }
    file.sync_data()?;
    Ok((offset, begin.elapsed()))
}

/// Reads such a file, and says how much that was and how long it took.
pub fn read_sequentially(disk: &dyn Disk, path: &Path) -> io::Result<(u64, Duration)> {
    let file = disk.open_direct(path, OpenMode::Read)?;
    if file.alignment_bytes() == 1 {
        file.drop_cached()?;
    }
    let length_bytes = file.length_bytes()?;
    let mut memory = Region::new(PIECE_BYTES);
    let begin = Instant::now();
    let mut offset = 0;
    while offset < length_bytes {
        let length = piece_bytes(length_bytes - offset);
        let piece = memory.get_mut(..length).unwrap_or_default();
        super::read_exact_at(&*file, piece, offset)?;
        offset = offset.saturating_add(length as u64);
    }
    Ok((offset, begin.elapsed()))
}

fn piece_bytes(left_bytes: u64) -> usize {
    usize::try_from(left_bytes).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES))
}

/// Bytes that no file system makes smaller (xorshift64*).
fn fill(memory: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for word in memory.chunks_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bytes = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn what_is_written_is_what_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        // Two whole pieces and a part of one.
        let (written, _) = write_sequentially(&RealDisk, &path, (9 << 20) - 5).unwrap();
        assert_eq!(written, 9 << 20);
        assert_eq!(read_sequentially(&RealDisk, &path).unwrap().0, written);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 9 << 20);
        assert!(bytes.chunks(4096).all(|page| page.iter().any(|byte| *byte != 0)));
        let taken = write_sequentially(&RealDisk, &path, 1).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
    }
}
