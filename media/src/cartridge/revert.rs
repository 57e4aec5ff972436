//! Going back to an earlier moment: nothing is copied and nothing is removed.

use super::write::{GENERATION_CLAIM_BYTES, Reason};
use super::{Cartridge, MediumError, RecoveryPoint};
use crate::journal::{Content, Kind, Point};

impl Cartridge {
    /// Makes the tape what it was at a point, durably. What it has been since then stays in the journal, so that this can be
    /// taken back as well. The position is at the beginning afterwards.
    pub fn revert_to(&mut self, point: &RecoveryPoint) -> Result<(), MediumError> {
        self.sync()?;
        self.check_writable()?;
        let base = self.behind(point)?;
        self.check_space_for_generation()?;
        let (objects, filemarks) = (point.objects, point.filemarks);
        let end = Point { objects, filemarks, bytes: point.written_bytes };
        let payload = self.generation_payload(Reason::Revert, (point.sequence, base));
        self.generation = self.generation.saturating_add(1);
        self.generation_start = end.objects;
        self.is_reverted = true;
        self.is_end_missing = false;
        (self.position, self.end) = (end, end);
        self.forget_read();
        // The header of such a record names the base: one checksum covers both.
        self.push(
            Kind::GENERATION,
            Content::Own(payload),
            base.segment,
            base.sector(),
            GENERATION_CLAIM_BYTES,
        )?;
        self.sync()?;
        self.rewind()
    }
}
