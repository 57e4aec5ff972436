//! Moments of cartridges, which twins begin with and snapshots show.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cartridge::CartridgeFacts;
use crate::layout;

/// A moment of another cartridge: behind one of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The other cartridge.
    pub cartridge: Uuid,
    /// The last of its segments that counts.
    pub segment: u32,
    /// How much of that segment counts, in units of 512 bytes.
    pub sector: u32,
    /// The last record that counts.
    pub sequence: u64,
    /// The blocks and filemarks that were live then, …
    pub objects: u64,
    /// … the filemarks among them, …
    pub filemarks: u64,
    /// … and the bytes of the blocks.
    pub bytes: u64,
}

impl Origin {
    /// The very beginning of a cartridge, when nothing was on it.
    pub fn beginning_of(cartridge: Uuid) -> Self {
        Self { cartridge, segment: 0, sector: 0, sequence: 0, objects: 0, filemarks: 0, bytes: 0 }
    }
}

/// One partition of a cartridge at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOrigin {
    /// How much fits.
    pub capacity_bytes: u64,
    /// The partition's own generation then.
    pub generation: u32,
    /// Its moment. The identity is that of the partition.
    pub origin: Origin,
}

/// A whole cartridge at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Of partition 0.
    pub origin: Origin,
    /// All partitions, 0 being the first one; none where there is one over everything.
    // Invariant: parts.len() <= PARTITIONS_MAX, and parts[0].origin == origin
    pub parts: Vec<PartOrigin>,
}

impl Moment {
    /// The very beginning of a cartridge, when nothing was on it.
    pub fn beginning_of(cartridge: Uuid) -> Self {
        Origin::beginning_of(cartridge).into()
    }

    /// What there was on it, in all partitions.
    pub fn facts(&self) -> CartridgeFacts {
        let mut origins = vec![self.origin];
        origins.extend(self.parts.iter().skip(1).map(|part| part.origin));
        let sum = |of: fn(&Origin) -> u64| origins.iter().map(of).fold(0, u64::saturating_add);
        CartridgeFacts {
            written_bytes: sum(|origin| origin.bytes),
            block_count: sum(|origin| origin.objects.saturating_sub(origin.filemarks)),
            filemark_count: sum(|origin| origin.filemarks),
            ..CartridgeFacts::default()
        }
    }
}

/// The moments that a moment consists of, each with the identity of the cartridge, as opposed to that of the partition.
pub(crate) fn origins_of(
    origin: Origin,
    parts: &[PartOrigin],
) -> impl Iterator<Item = (Uuid, Origin)> {
    let others = (1..).zip(parts.iter().skip(1));
    std::iter::once((origin.cartridge, origin)).chain(
        others.map(|(number, part)| (layout::uuid_of(part.origin.cartridge, number), part.origin)),
    )
}

impl From<Origin> for Moment {
    /// Of a cartridge that is not divided.
    fn from(origin: Origin) -> Self {
        Self { origin, parts: Vec::new() }
    }
}
