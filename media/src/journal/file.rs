//! Reading segments: aligned, ahead, and a window at a time.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::layers::Layers;
use super::record::{Header, HeaderError, Place, SECTOR_SIZE};
use super::region::Region;
use super::segment::file_name;
use crate::disk::{Disk, DiskFile, OpenMode, read_up_to_at};

/// Reads records of all segments of one journal, keeping one file open and one window in memory.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    disk: Arc<dyn Disk>,
    layers: Arc<Layers>,
    file: Option<(u32, Box<dyn DiskFile>)>,
    window: Window,
    /// How much is read at once; doubled while places follow each other.
    ahead_bytes: usize,
    /// How long that may get.
    ahead_bytes_max: usize,
    /// The length of the last piece that did not fit into a window: windows end where records of that length do.
    stride_bytes: usize,
    /// Memory of windows. What nobody looks at any more is used again: fresh memory costs more than reading the disk.
    // Invariant: kept.len() <= KEPT_MAX
    kept: Vec<Arc<Region>>,
}

/// Keeps a region from being used again for as long as somebody looks at it.
struct Held(Arc<Region>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A piece of a segment in memory.
#[derive(Debug, Default)]
struct Window {
    start: Place,
    bytes: Bytes,
}

impl SegmentReader {
    /// A reader of the segments in `layers`.
    pub(crate) fn new(disk: Arc<dyn Disk>, layers: Arc<Layers>) -> Self {
        Self {
            disk,
            layers,
            file: None,
            window: Window::default(),
            ahead_bytes: AHEAD_BYTES_MIN,
            ahead_bytes_max: AHEAD_BYTES_MAX,
            stride_bytes: SECTOR_SIZE,
            kept: Vec::new(),
        }
    }

    /// Reads little more than it is asked for, from now on.
    pub(crate) fn keep_close(&mut self) {
        self.ahead_bytes_max = AHEAD_BYTES_MIN;
    }

    /// Another reader of the same segments, with files and memory of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.disk), Arc::clone(&self.layers))
    }

    /// Gives back the memory of windows, as far as nobody looks at them.
    pub(crate) fn release(&mut self) {
        self.window = Window::default();
        self.ahead_bytes = AHEAD_BYTES_MIN;
        self.kept.clear();
    }

    /// `length` bytes at a place, none of them at or behind `limit`; fewer if the file or the limit ends before.
    pub(crate) fn bytes(&mut self, place: Place, length: usize, limit: u64) -> io::Result<Bytes> {
        let available = usize::try_from(limit.saturating_sub(place.offset)).unwrap_or(usize::MAX);
        let length = length.min(available);
        if length > SECTOR_SIZE {
            self.stride_bytes = length;
        }
        if let Some(found) = self.window.slice(place, length) {
            return Ok(found);
        }
        let follows =
            self.window.start.segment == place.segment && self.window.touches(place.offset);
        let doubled = self.ahead_bytes.saturating_mul(2).min(self.ahead_bytes_max);
        self.ahead_bytes = if follows { doubled } else { AHEAD_BYTES_MIN };
        let whole_records =
            self.ahead_bytes - self.ahead_bytes % self.stride_bytes.min(self.ahead_bytes);
        let wanted = length.max(whole_records).min(available);
        let bytes = match self.read(place, wanted) {
            // One bad sector must not hide its neighbours.
            Err(_) if wanted > length => self.read(place, length)?,
            result => result?,
        };
        self.window = Window { start: place, bytes };
        Ok(self.window.slice_up_to(length))
    }

    /// Reads something that says nothing of how long the records are that are read next.
    pub(crate) fn beside_records<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let stride_bytes = self.stride_bytes;
        let result = read(self);
        self.stride_bytes = stride_bytes;
        result
    }

    /// The header at a place, if there is one that belongs there.
    pub(crate) fn header(
        &mut self,
        place: Place,
        limit: u64,
    ) -> io::Result<Result<Header, HeaderError>> {
        let bytes = match self.bytes(place, SECTOR_SIZE, limit) {
            Ok(bytes) => bytes,
            Err(error) if is_bad_sector(&error) => return Ok(Err(HeaderError::Invalid)),
            Err(error) => return Err(error),
        };
        let cartridge = self.layers.cartridge_of(place.segment);
        Ok(Header::decode(&bytes).and_then(|header| {
            let belongs = header.place == place && header.cartridge == cartridge;
            if belongs { Ok(header) } else { Err(HeaderError::Invalid) }
        }))
    }

    /// How much of a segment's file belongs to the journal.
    pub(crate) fn length_bytes(&mut self, segment: u32) -> io::Result<u64> {
        let end = self.layers.end_of(segment);
        Ok(self.open(segment)?.length_bytes()?.min(end))
    }

    /// Whose segments are read.
    pub(crate) fn layers(&self) -> &Arc<Layers> {
        &self.layers
    }

    /// Makes sure that what is read of a segment from now on comes from the disk. `false` if that cannot be.
    pub(crate) fn read_past_caches(&mut self, segment: u32) -> io::Result<bool> {
        self.window = Window::default();
        let file = self.open(segment)?;
        Ok(file.alignment_bytes() > 1 || file.drop_cached()?)
    }

    fn read(&mut self, place: Place, length: usize) -> io::Result<Bytes> {
        let file = self.open(place.segment)?;
        let alignment = file.alignment_bytes();
        let from = place.offset - place.offset % alignment as u64;
        let skipped = usize::try_from(place.offset - from).unwrap_or(0);
        let wanted = skipped.saturating_add(length).next_multiple_of(alignment);
        let mut region = self.memory(wanted);
        let file = self.open(place.segment)?;
        let target = Arc::get_mut(&mut region).and_then(|region| region.get_mut(..wanted));
        let count = read_up_to_at(file, target.unwrap_or_default(), from);
        if self.kept.len() >= KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(Arc::clone(&region));
        let count = count?.saturating_sub(skipped).min(length);
        Ok(Bytes::from_owner(Held(region)).slice(skipped..skipped.saturating_add(count)))
    }

    /// At least so many bytes of any content, which nobody else has.
    fn memory(&mut self, needed: usize) -> Arc<Region> {
        self.window = Window::default();
        let is_free = |kept: &mut Arc<Region>| kept.len() >= needed && Arc::get_mut(kept).is_some();
        match self.kept.iter_mut().position(is_free) {
            Some(index) => self.kept.swap_remove(index),
            None => Arc::new(Region::new(needed.next_multiple_of(AHEAD_BYTES_MIN))),
        }
    }

    fn open(&mut self, segment: u32) -> io::Result<&dyn DiskFile> {
        if self.file.as_ref().is_none_or(|(number, _)| *number != segment) {
            let layer = self.layers.of(segment).ok_or(io::ErrorKind::NotFound)?;
            let path = layer.directory.join(file_name(segment));
            self.file = Some((segment, self.disk.open_direct(&path, OpenMode::Read)?));
        }
        match &self.file {
            Some((_, file)) => Ok(file.as_ref()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Window {
    fn slice(&self, place: Place, length: usize) -> Option<Bytes> {
        if self.start.segment != place.segment {
            return None;
        }
        let start = usize::try_from(place.offset.checked_sub(self.start.offset)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }

    fn slice_up_to(&self, length: usize) -> Bytes {
        self.bytes.slice(..length.min(self.bytes.len()))
    }

    fn touches(&self, offset: u64) -> bool {
        let end = self.start.offset.saturating_add(self.bytes.len() as u64);
        self.start.offset <= offset && offset <= end
    }
}

/// Whether a read failed because of the place and not because of the disk.
pub(crate) fn is_bad_sector(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

const AHEAD_BYTES_MIN: usize = 64 * 1024;
/// With what alignment adds, two huge pages.
const AHEAD_BYTES_MAX: usize = 4096 * 1024 - AHEAD_BYTES_MIN;
/// How many windows' memory is kept, at most [`AHEAD_BYTES_MAX`] or a record's length each.
const KEPT_MAX: usize = 5;
