//! How a cartridge is to be loaded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::label::{Moment, Origin, PartOrigin};

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a cartridge is to be loaded.
#[derive(Clone)]
pub struct LoadOptions {
    /// How much may have been accepted without being written.
    pub write_buffer_bytes: usize,
    /// How long a segment of the journal gets, about.
    pub segment_bytes: u64,
    /// How much of the host's file system is to stay free; below, writes give early warning. `None` is 1 GiB or one percent,
    /// whichever is less.
    pub reserve_bytes: Option<u64>,
    /// Whether nothing may be changed, not even the label.
    pub read_only: bool,
    /// The moment to be read, in place of the newest one. Then nothing can be changed either.
    pub at: Option<Origin>,
    /// With it, all partitions at that moment, 0 being the first one, if there were several.
    pub at_parts: Vec<PartOrigin>,
    /// Whether it lay in the drive all the while and only the program was started again, which is not counted as a load.
    pub is_resumed: bool,
    /// Whether what follows is read before it is asked for: good for a host, and in vain where a few blocks of a long tape are wanted.
    pub reads_ahead: bool,
    /// How long records wait for others to be written with them.
    pub idle_flush: Duration,
    /// How long written records may stay without being made durable.
    pub background_sync: Duration,
    /// How many bytes of written records may stay without being made durable.
    pub background_sync_bytes: u64,
    /// The time that records and labels get.
    pub clock: Clock,
    /// The time that ends a lock.
    pub compliance: Clock,
}

impl LoadOptions {
    /// For reading a moment.
    #[must_use]
    pub fn at_moment(self, moment: Moment) -> Self {
        Self { at: Some(moment.origin), at_parts: moment.parts, ..self }
    }
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 32 * 1024 * 1024,
            segment_bytes: 256 * 1024 * 1024,
            reserve_bytes: None,
            read_only: false,
            at: None,
            at_parts: Vec::new(),
            is_resumed: false,
            reads_ahead: true,
            idle_flush: Duration::from_millis(20),
            background_sync: Duration::from_millis(250),
            background_sync_bytes: 64 * 1024 * 1024,
            clock: Arc::new(Timestamp::now),
            compliance: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("write_buffer_bytes", &self.write_buffer_bytes)
            .field("segment_bytes", &self.segment_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("read_only", &self.read_only)
            .field("at", &self.at)
            .field("at_parts", &self.at_parts)
            .field("is_resumed", &self.is_resumed)
            .field("reads_ahead", &self.reads_ahead)
            .finish_non_exhaustive()
    }
}
