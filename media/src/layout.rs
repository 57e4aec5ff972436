//! How a cartridge is divided, now and before it was formatted the last time.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::label::PartOrigin;

/// How many partitions a cartridge may have.
pub const PARTITIONS_MAX: usize = 4;
/// As many formats can be gone back behind.
pub(crate) const LAYOUTS_MAX: usize = 64;

/// How a cartridge is divided from some generation of its partition 0 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The generation of partition 0 that begins with it.
    pub generation: u32,
    /// All partitions, 0 being the first one.
    // Invariant: 1 <= parts.len() <= PARTITIONS_MAX
    pub parts: Vec<Part>,
}

impl Layout {
    /// How a cartridge is divided from its beginning on that was made from a moment of another one.
    pub(crate) fn of_parts(parts: &[PartOrigin]) -> Vec<Self> {
        let part =
            |part: &PartOrigin| Part { bytes: part.capacity_bytes, generation: 0, back_to: None };
        if parts.is_empty() {
            return Vec::new();
        }
        vec![Self { generation: 0, parts: parts.iter().map(part).collect() }]
    }
}

/// One partition of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How much fits.
    pub bytes: u64,
    /// The partition's own generation that begins with the layout: what it holds of older ones is not live. 0 for partition 0.
    #[serde(default)]
    pub generation: u32,
    /// Where the layout was gone back to: the recovery point of the partition with which that generation begins. Else it begins
    /// blank.
    #[serde(default)]
    pub back_to: Option<u64>,
}

/// The layout in force when partition 0 is in a generation; `None` for one partition over everything.
pub(crate) fn layout_at(layouts: &[Layout], generation: u32) -> Option<&Layout> {
    layouts.iter().rev().find(|layout| layout.generation <= generation)
}

/// Whether what a label says of layouts can be.
pub(crate) fn are_sound(layouts: &[Layout]) -> bool {
    layouts.len() <= LAYOUTS_MAX
        && layouts.iter().all(|layout| (1..=PARTITIONS_MAX).contains(&layout.parts.len()))
        && layouts.is_sorted_by(|before, layout| before.generation < layout.generation)
}

/// The identity of a partition of a cartridge, so that no record of one can be taken for one of another; and, of a partition's
/// identity, that of its cartridge.
pub(crate) fn uuid_of(uuid: Uuid, partition: u8) -> Uuid {
    /// The bits that are turned are in the middle of the random ones.
    const PARTITION_SHIFT: u32 = 40;
    Uuid::from_u128(uuid.as_u128() ^ u128::from(partition) << PARTITION_SHIFT)
}
