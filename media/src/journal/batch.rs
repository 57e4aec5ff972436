//! Memory that the disk can take without a copy.

/// A growing buffer whose first byte stands at a multiple of [`ALIGNMENT_BYTES`] in memory.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    storage: Vec<u8>,
    /// Where in `storage` the first byte is; `start + length <= storage.len()`.
    start: usize,
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

    /// The bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..self.start.saturating_add(self.length)).unwrap_or_default()
    }

    /// Adds `count` bytes of any content and gives them to be filled.
    pub(crate) fn extend(&mut self, count: usize) -> &mut [u8] {
        let end = self.length.saturating_add(count);
        if self.start.saturating_add(end) > self.storage.len() {
            self.grow(end);
        }
        let from = self.start.saturating_add(self.length);
        self.length = end;
        self.storage.get_mut(from..from.saturating_add(count)).unwrap_or_default()
    }

    fn grow(&mut self, needed: usize) {
        let capacity = needed.next_power_of_two().max(CAPACITY_BYTES_MIN);
        let mut storage = vec![0; capacity.saturating_add(ALIGNMENT_BYTES)];
        let start = storage.as_ptr().align_offset(ALIGNMENT_BYTES).min(ALIGNMENT_BYTES);
        if let Some(target) = storage.get_mut(start..start.saturating_add(self.length)) {
            target.copy_from_slice(self.bytes_mut());
        }
        self.storage = storage;
        self.start = start;
    }
}

/// Whether memory stands at a multiple of `alignment_bytes`.
pub(crate) fn is_aligned(bytes: &[u8], alignment_bytes: usize) -> bool {
    bytes.as_ptr().addr().is_multiple_of(alignment_bytes.max(1))
}

const ALIGNMENT_BYTES: usize = 4096;
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
