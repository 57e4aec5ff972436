//! How much fits on a cartridge, and when its end is near.

use crate::journal::Point;

/// The capacity of a partition. It is counted in bytes of data as they came, so that the host can rely on it whatever the
/// journal makes of them, and each filemark counts as [`FILEMARK_BYTES`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    total_bytes: u64,
    early_warning_bytes: u64,
}

impl Capacity {
    /// With an early-warning zone of one percent, at most 5 GB; at least 16 MiB, but not more than a tenth.
    pub(super) fn new(total_bytes: u64) -> Self {
        let least = (total_bytes / 10).min(EARLY_WARNING_BYTES_MIN);
        let early_warning_bytes = (total_bytes / 100).clamp(least, EARLY_WARNING_BYTES_MAX);
        Self { total_bytes, early_warning_bytes }
    }

    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    pub(super) fn early_warning_bytes(&self) -> u64 {
        self.early_warning_bytes
    }

    pub(super) fn set_early_warning_bytes(&mut self, bytes: u64) {
        self.early_warning_bytes = bytes.min(self.total_bytes);
    }

    /// Bytes of data that still fit behind a moment.
    pub(super) fn room_bytes(&self, point: Point) -> u64 {
        self.total_bytes.saturating_sub(used_bytes(point))
    }

    /// Filemarks that still fit: two more than there is capacity for, so that a full tape can be closed.
    pub(super) fn room_filemarks(&self, point: Point) -> u64 {
        let total = self.total_bytes.saturating_add(FILEMARKS_PAST_END * FILEMARK_BYTES);
        total.saturating_sub(used_bytes(point)) / FILEMARK_BYTES
    }

    /// Whether a moment lies in the early-warning zone, or less than so many bytes before it.
    pub(super) fn is_near_early_warning(&self, point: Point, bytes: u64) -> bool {
        let zone_bytes = self.early_warning_bytes.saturating_add(bytes);
        used_bytes(point) >= self.total_bytes.saturating_sub(zone_bytes)
    }

    /// Whether a moment lies in the early-warning zone.
    pub(super) fn is_past_early_warning(&self, point: Point) -> bool {
        used_bytes(point) >= self.total_bytes.saturating_sub(self.early_warning_bytes)
    }
}

fn used_bytes(point: Point) -> u64 {
    point.bytes.saturating_add(point.filemarks.saturating_mul(FILEMARK_BYTES))
}

/// What a filemark takes of the capacity: what its record takes of the disk.
const FILEMARK_BYTES: u64 = 512;
const FILEMARKS_PAST_END: u64 = 2;
const EARLY_WARNING_BYTES_MIN: u64 = 16 * 1024 * 1024;
const EARLY_WARNING_BYTES_MAX: u64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_fits_the_capacity() {
        let zone = |total| Capacity::new(total).early_warning_bytes();
        assert_eq!(zone(18_000_000_000_000), 5_000_000_000);
        assert_eq!(zone(100_000_000_000), 1_000_000_000);
        assert_eq!(zone(1_000_000_000), 16 * 1024 * 1024);
        assert_eq!(zone(1_000_000), 100_000);
        assert_eq!(zone(5), 0);
    }

    #[test]
    fn two_filemarks_fit_behind_the_end() {
        let capacity = Capacity::new(10_000);
        let full = Point { objects: 1, filemarks: 0, bytes: 10_000 };
        assert_eq!((capacity.room_bytes(full), capacity.room_filemarks(full)), (0, 2));
        let closed = Point { objects: 3, filemarks: 2, bytes: 10_000 };
        assert_eq!(capacity.room_filemarks(closed), 0);
        assert!(
            capacity.is_past_early_warning(full)
                && !capacity.is_past_early_warning(Point::default())
        );
    }
}
