//! What has gone through a cartridge's drive since it was loaded.

use super::Cartridge;
use crate::journal::Flow;

/// How much data has gone which way since a cartridge was loaded, and what it takes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of blocks that were accepted.
    pub accepted_bytes: u64,
    /// Bytes of those blocks that have been laid out in records; the others are in the buffer.
    pub laid_out_bytes: u64,
    /// What these take: the payloads of the records.
    pub written_bytes: u64,
    /// Bytes of blocks that were read and given out.
    pub given_bytes: u64,
    /// Bytes of the blocks of all records that were read for that.
    pub unpacked_bytes: u64,
    /// What these take: the payloads of the records.
    pub read_bytes: u64,
}

impl Cartridge {
    /// What has gone which way since it was loaded.
    pub fn traffic(&self) -> Traffic {
        let (accepted_bytes, stored) =
            self.writer.as_ref().map_or((0, Flow::default()), |writer| {
                let state = writer.queue.state();
                (state.accepted.bytes, state.stored)
            });
        Traffic {
            accepted_bytes,
            laid_out_bytes: stored.data_bytes,
            written_bytes: stored.stored_bytes,
            given_bytes: self.given_bytes,
            unpacked_bytes: self.read_flow.data_bytes,
            read_bytes: self.read_flow.stored_bytes,
        }
    }
}
