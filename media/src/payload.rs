//! The bytes of one WRITE on their way from the socket to the journal.

use std::fmt::Debug;

/// The room that a frame leaves before the data: the record header and the area reserved behind it.
pub const HEADROOM_BYTES: usize = 512;

/// Bytes of one WRITE on their way to the journal; dropping it gives the memory back to its pool.
pub trait Payload: Send + Debug + 'static {
    /// The data, and nothing but the data.
    fn data(&self) -> &[u8];

    /// The region around the data: [`HEADROOM_BYTES`] before it, and padding up to a multiple of 512 bytes after it; `None`
    /// if there is no such room.
    ///
    /// The region should start at a multiple of 4096 bytes in memory; then the record goes to the disk from where it is. One
    /// that does not, or that is too short, is copied.
    fn frame(&mut self) -> Option<&mut [u8]>;
}

impl Payload for Vec<u8> {
    fn data(&self) -> &[u8] {
        self
    }

    fn frame(&mut self) -> Option<&mut [u8]> {
        None
    }
}
