//! Memory for the data of one command, from a pool.
//!
//! The bytes of a WRITE are received into a [`Buffer`] and stay there until they are on disk: [`HEADROOM_BYTES`] lie free
//! before them and the region is aligned, so that a record's header can be put in front and the whole written with direct
//! I/O without a copy. Fresh memory is dear (the kernel has to find and clear each page), so buffers go back to a pool.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Free bytes in front of a buffer's data, within the same aligned region.
pub const HEADROOM_BYTES: usize = 512;

/// The region's alignment, and the unit that its size is rounded up to.
const ALIGNMENT_BYTES: usize = 4096;

/// Regions are kept in classes, each twice the size of the one before, from this size on.
const SMALLEST_CLASS_BYTES: usize = 16 << 10;

/// Regions above this size are not kept.
const LARGEST_CLASS_BYTES: usize = 32 << 20;

/// A bounded stock of regions, shared by everybody who holds a clone.
#[derive(Clone)]
pub struct BufferPool(Arc<Mutex<Stock>>);

struct Stock {
    /// One stack per size class.
    // Invariant: the capacities of all regions add up to kept_bytes <= limit_bytes.
    classes: Vec<Vec<Vec<u8>>>,
    kept_bytes: usize,
    limit_bytes: usize,
}

/// The data of one command: readable and writable like a slice, of a length fixed when it was taken from the pool.
pub struct Buffer {
    region: Vec<u8>,
    /// Where the aligned part of the region begins.
    start: usize,
    // Invariant: start + HEADROOM_BYTES + length <= region.len()
    length: usize,
    pool: Option<BufferPool>,
}

impl BufferPool {
    /// A pool that keeps at most this many bytes for later.
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Stock { classes: Vec::new(), kept_bytes: 0, limit_bytes })))
    }

    /// A buffer of `length` bytes. What is in it is left over from earlier use and has to be overwritten before it is read.
    pub fn take(&self, length: usize) -> Buffer {
        let size = region_size(length);
        let region = self.lock().take(size).unwrap_or_else(|| vec![0; size]);
        Buffer::in_region(region, length, Some(self.clone()))
    }

    /// Bytes that lie in the pool unused.
    pub fn kept_bytes(&self) -> usize {
        self.lock().kept_bytes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// A buffer that belongs to no pool.
    pub fn unpooled(length: usize) -> Self {
        Self::in_region(vec![0; region_size(length)], length, None)
    }

    /// Shortens the data. The bytes behind become free room.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The aligned region around the data: [`HEADROOM_BYTES`] before it, and at least what fills it up to a multiple of 512
    /// after it.
    pub fn frame(&mut self) -> &mut [u8] {
        let padded = self.length.div_ceil(512) * 512;
        self.region.get_mut(self.start..self.start + HEADROOM_BYTES + padded).unwrap_or_default()
    }

    fn in_region(region: Vec<u8>, length: usize, pool: Option<BufferPool>) -> Self {
        let start = region.as_ptr().align_offset(ALIGNMENT_BYTES).min(ALIGNMENT_BYTES);
        Self { region, start, length, pool }
    }

    fn range(&self) -> std::ops::Range<usize> {
        let first = self.start + HEADROOM_BYTES;
        first..first + self.length
    }
}

impl Default for Buffer {
    /// No data at all.
    fn default() -> Self {
        Self { region: Vec::new(), start: 0, length: 0, pool: None }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.region.get(self.range()).unwrap_or_default()
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        self.region.get_mut(range).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Buffer {
    fn from(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::default();
        }
        let mut buffer = Self::unpooled(data.len());
        buffer.copy_from_slice(data);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.lock().put(std::mem::take(&mut self.region));
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.length)
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({} bytes kept)", self.kept_bytes())
    }
}

impl Stock {
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let region = self.classes.get_mut(class_of(size))?.pop()?;
        self.kept_bytes -= region.len();
        Some(region)
    }

    fn put(&mut self, region: Vec<u8>) {
        let size = region.len();
        if size == 0 || size > LARGEST_CLASS_BYTES + 2 * ALIGNMENT_BYTES || size > self.limit_bytes
        {
            return;
        }
        let class = class_of(size);
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Vec::new);
        }
        // What nobody asks for any more must not stand in the way of what is used now.
        while self.kept_bytes + size > self.limit_bytes {
            if !self.evict_other_than(class) {
                return;
            }
        }
        if let Some(stack) = self.classes.get_mut(class) {
            self.kept_bytes += size;
            stack.push(region);
        }
    }

    /// Frees one region of another class; `false` if there is none.
    fn evict_other_than(&mut self, class: usize) -> bool {
        let others = self.classes.iter_mut().enumerate().filter(|(other, _)| *other != class);
        let Some(region) = others.rev().find_map(|(_, stack)| stack.pop()) else { return false };
        self.kept_bytes -= region.len();
        true
    }
}

/// The size of the region that holds `length` bytes, wherever its aligned part begins: a power of two and the headroom.
fn region_size(length: usize) -> usize {
    length.max(SMALLEST_CLASS_BYTES).next_power_of_two() + 2 * ALIGNMENT_BYTES
}

fn class_of(size: usize) -> usize {
    let payload = size.saturating_sub(2 * ALIGNMENT_BYTES).max(SMALLEST_CLASS_BYTES);
    usize::try_from((payload / SMALLEST_CLASS_BYTES).ilog2()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_lies_behind_the_headroom_of_an_aligned_region() {
        let pool = BufferPool::new(1 << 20);
        for length in [0, 1, 511, 512, 513, 65_536, 262_144, 8 << 20] {
            let mut buffer = pool.take(length);
            buffer.fill(7);
            assert_eq!(buffer.len(), length);
            let data = buffer.as_ptr().addr();
            let frame = buffer.frame();
            assert_eq!(frame.as_ptr().addr() % ALIGNMENT_BYTES, 0);
            assert_eq!(frame.as_ptr().addr() + HEADROOM_BYTES, data);
            assert_eq!(frame.len(), HEADROOM_BYTES + length.div_ceil(512) * 512);
        }
    }

    #[test]
    fn a_dropped_buffer_serves_the_next_one_of_its_class() {
        let pool = BufferPool::new(1 << 20);
        let first = pool.take(100_000);
        let address = first.as_ptr().addr();
        drop(first);
        assert!(pool.kept_bytes() >= 100_000);
        let second = pool.take(120_000);
        assert_eq!(second.as_ptr().addr(), address);
        assert_eq!(pool.kept_bytes(), 0);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_limit() {
        let pool = BufferPool::new(300_000);
        let all: Vec<_> = (0..10).map(|_| pool.take(100_000)).collect();
        drop(all);
        assert!(pool.kept_bytes() <= 300_000);
    }

    #[test]
    fn regions_of_a_size_that_is_not_used_any_more_make_room() {
        // A client changed from blocks of 64 KiB to blocks of 1 MiB. The pool stayed full of small regions for ever, and every
        // large one was made anew, page by page.
        let pool = BufferPool::new(4 << 20);
        let small: Vec<_> = (0..100).map(|_| pool.take(64 << 10)).collect();
        drop(small);
        drop(pool.take(1 << 20));
        let kept = pool.kept_bytes();
        assert!(kept <= 4 << 20);
        let _large = pool.take(1 << 20);
        assert!(pool.kept_bytes() <= kept - (1 << 20), "the large one was not kept");
    }

    #[test]
    fn truncating_keeps_the_start() {
        let mut buffer = Buffer::from(&b"abcdef"[..]);
        buffer.truncate(3);
        assert_eq!(&*buffer, b"abc");
        buffer.truncate(9);
        assert_eq!(&*buffer, b"abc");
    }
}
