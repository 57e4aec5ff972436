//! Memory that the disk can take without a copy.

use super::region::Region;

/// A growing buffer whose first byte stands at a multiple of the alignment of regions in memory.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    storage: Region,
    /// `length <= storage.len()`.
    length: usize,
}

impl AlignedBuffer {
    /// How many bytes are in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Makes it empty and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Takes away what is behind the first `length` bytes; it is still there if they are added again.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(..self.length).unwrap_or_default()
    }

    /// Adds `count` bytes of any content and gives them to be filled.
    pub(crate) fn extend(&mut self, count: usize) -> &mut [u8] {
        let end = self.length.saturating_add(count);
        if end > self.storage.len() {
            self.grow(end);
        }
        let from = self.length;
        self.length = end;
        self.storage.get_mut(from..end).unwrap_or_default()
    }

    /// `length` bytes that begin `gap` bytes behind the last one, in memory that was added before and taken away again.
    pub(crate) fn behind(&mut self, gap: usize, length: usize) -> &mut [u8] {
        let start = self.length.saturating_add(gap);
        self.storage.get_mut(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// Whether it has memory.
    pub(crate) fn has_memory(&self) -> bool {
        !self.storage.is_empty()
    }

    fn grow(&mut self, needed: usize) {
        let mut storage = Region::new(needed.next_power_of_two().max(CAPACITY_BYTES_MIN));
        if let Some(target) = storage.get_mut(..self.length) {
            target.copy_from_slice(self.bytes_mut());
        }
        self.storage = storage;
    }
}

/// Whether memory stands at a multiple of `alignment_bytes`.
pub(crate) fn is_aligned(bytes: &[u8], alignment_bytes: usize) -> bool {
    bytes.as_ptr().addr().is_multiple_of(alignment_bytes.max(1))
}

const CAPACITY_BYTES_MIN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it_stays_and_stays_aligned() {
        let mut buffer = AlignedBuffer::default();
        for n in 0..200_u8 {
            buffer.extend(1000).fill(n);
        }
        assert_eq!(buffer.len(), 200_000);
        let bytes = buffer.bytes_mut();
        assert!(is_aligned(bytes, 4096));
        assert!(bytes.chunks(1000).zip(0..).all(|(chunk, n)| chunk.iter().all(|byte| *byte == n)));
        buffer.clear();
        assert!(buffer.bytes_mut().is_empty());
    }
}
