//! Memory that the disk is fast with.
//!
//! Direct I/O hands the disk the pages of the caller's memory. Where these are 4 KiB each and scattered, one MiB takes hundreds of
//! pieces, and a virtual disk spends its time with them: it read 1.1 GB/s here, and 2.8 GB/s into huge pages. So long pieces of
//! memory are asked from the kernel directly, as huge pages if it has them; else they are just memory.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

/// A piece of memory of a fixed length, zeroed when it is made, that begins at a multiple of [`ALIGNMENT_BYTES`].
#[derive(Debug)]
pub(crate) struct Region(Storage);

#[derive(Debug)]
enum Storage {
    Map(MmapMut),
    /// The aligned part begins at the number.
    Heap(Vec<u8>, usize),
}

impl Region {
    /// At least `length` bytes.
    pub(crate) fn new(length: usize) -> Self {
        if length >= MAP_BYTES_MIN
            && let Ok(map) = MmapMut::map_anon(length.next_multiple_of(HUGE_PAGE_BYTES))
        {
            if let Err(error) = map.advise(Advice::HugePage) {
                tracing::debug!(%error, "there are no huge pages");
            }
            return Self(Storage::Map(map));
        }
        let memory = vec![0; length.saturating_add(ALIGNMENT_BYTES)];
        let start = memory.as_ptr().align_offset(ALIGNMENT_BYTES).min(ALIGNMENT_BYTES);
        Self(Storage::Heap(memory, start))
    }
}

impl Default for Region {
    /// No memory at all.
    fn default() -> Self {
        Self(Storage::Heap(Vec::new(), 0))
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Storage::Map(map) => map,
            Storage::Heap(memory, start) => memory.get(*start..).unwrap_or_default(),
        }
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Storage::Map(map) => map,
            Storage::Heap(memory, start) => memory.get_mut(*start..).unwrap_or_default(),
        }
    }
}

/// What regions begin at a multiple of: pages are what direct I/O can ask for at most.
pub(crate) const ALIGNMENT_BYTES: usize = 4096;
/// The kernel puts a mapping of whole huge pages where huge pages can be.
const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Shorter pieces would waste more of a huge page than it brings.
const MAP_BYTES_MIN: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_is_long_enough_zeroed_and_aligned() {
        for length in [1, 4095, 65_536, MAP_BYTES_MIN - 1, MAP_BYTES_MIN, 5 * MAP_BYTES_MIN + 1] {
            let mut region = Region::new(length);
            assert!(region.len() >= length);
            assert!(region.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES));
            assert!(region.iter().all(|byte| *byte == 0));
            region.fill(7);
            assert_eq!(region.last(), Some(&7));
        }
        assert!(Region::default().is_empty());
    }
}
