//! Whose segments a journal is made of.
//!
//! Most journals have one layer: the cartridge's own directory. A cartridge that was made from a moment of another one reads
//! that one's segments up to the moment, and has its own behind it; nothing is copied. Numbers of segments go on from layer to layer, so that a
//! number says whose segment it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::record::Place;
use super::segment::number_of;
use crate::disk::Disk;

/// The segments of one cartridge, as far as they belong to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Where the segments are.
    pub(crate) directory: PathBuf,
    /// Whose records they hold.
    pub(crate) cartridge: Uuid,
    /// Behind the last byte that belongs to the journal; everything if there is none.
    pub(crate) until: Option<Place>,
    /// Segments that have been removed on purpose, as ranges of numbers, both ends included.
    pub(crate) pruned: Vec<(u32, u32)>,
}

/// All layers of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layers {
    /// Oldest first. Never empty, and all but the last one have an end.
    list: Vec<Layer>,
}

impl Layers {
    /// A journal whose layers are `below`, oldest first, and `last`.
    pub(crate) fn new(mut below: Vec<Layer>, last: Layer) -> Arc<Self> {
        below.retain(|layer| layer.until.is_some());
        below.push(last);
        Arc::new(Self { list: below })
    }

    /// The layer that a segment belongs to.
    pub(crate) fn of(&self, segment: u32) -> Option<&Layer> {
        self.list.get(self.position_of(segment)?)
    }

    /// Which one that is, counted from the oldest.
    pub(crate) fn position_of(&self, segment: u32) -> Option<usize> {
        let is_within = |layer: &Layer| layer.until.is_none_or(|until| segment <= until.segment);
        self.list.iter().position(is_within)
    }

    /// All layers' directories and whose records are in them, the oldest one first.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Path, Uuid)> {
        self.list.iter().map(|layer| (layer.directory.as_path(), layer.cartridge))
    }

    /// Whose records are in a segment.
    pub(crate) fn cartridge_of(&self, segment: u32) -> Uuid {
        self.of(segment).map_or(Uuid::nil(), |layer| layer.cartridge)
    }

    /// How much of a segment belongs to the journal, at most.
    pub(crate) fn end_of(&self, segment: u32) -> u64 {
        let until = self.of(segment).and_then(|layer| layer.until);
        until.filter(|until| until.segment == segment).map_or(u64::MAX, |until| until.offset)
    }

    /// The first segment that can belong to the last layer.
    pub(crate) fn first_own(&self) -> u32 {
        let below = self.list.iter().rev().nth(1).and_then(|layer| layer.until);
        below.map_or(0, |until| until.segment.saturating_add(1))
    }

    /// Whether a segment was removed on purpose.
    pub(crate) fn is_pruned(&self, segment: u32) -> bool {
        self.of(segment).is_some_and(|layer| {
            layer.pruned.iter().any(|(first, last)| (*first..=*last).contains(&segment))
        })
    }

    /// The numbers of all segments that are there, in order.
    pub(crate) fn numbers(&self, disk: &dyn Disk) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for (at, layer) in self.list.iter().enumerate() {
            let names: Vec<PathBuf> = disk.list(&layer.directory)?;
            let found = names.iter().filter_map(|name| number_of(name.to_str()?));
            numbers.extend(found.filter(|number| {
                self.position_of(*number) == Some(at) && !self.is_pruned(*number)
            }));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}
