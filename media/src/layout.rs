//! How a cartridge is divided, now and before it was formatted the last time.

use serde::{Deserialize, Serialize};

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
