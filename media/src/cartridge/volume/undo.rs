//! Going back with all partitions, and giving up what only that needs.

use jiff::Timestamp;

use super::Volume;
use super::format::as_medium_error;
use crate::cartridge::write::Reason;
use crate::cartridge::{
    Cartridge, GenerationBegun, LoadOptions, MediumError, Pruned, RecoveryPoint, WantedPoint,
};
use crate::label::{Moment, Origin, PartOrigin};
use crate::layout::{Layout, Part, layout_at};

impl Volume {
    /// The newest recovery points of all partitions, at most so many, oldest first. Only those of partition 0 can be gone back
    /// to by their numbers; to those of others one goes by their time.
    pub fn recovery_points(&self, limit: usize) -> Result<Vec<RecoveryPoint>, MediumError> {
        let mut points = self.first.recovery_points(limit)?;
        for (number, cartridge) in (1..).zip(&self.others) {
            let others = cartridge.recovery_points(limit)?.into_iter();
            points.extend(others.map(|point| point.of_partition(number)));
        }
        points.sort_by_key(|point| point.time);
        let superfluous = points.len().saturating_sub(limit);
        points.drain(..superfluous);
        Ok(points)
    }

    /// The recovery point of partition 0 that is meant.
    pub fn find_point(&self, wanted: WantedPoint) -> Result<Option<RecoveryPoint>, MediumError> {
        self.first.find_point(wanted)
    }

    /// The newest recovery point of partition 0.
    pub fn last_point(&self) -> Result<Option<RecoveryPoint>, MediumError> {
        self.first.last_point()
    }

    /// The generations of partition 0.
    pub fn generations(&self) -> Result<Vec<GenerationBegun>, MediumError> {
        self.first.generations()
    }

    /// What other cartridges and snapshots need to know to read this one as it was: partition 0 at a point, and the others at that
    /// time.
    pub fn moment_at(&self, point: &RecoveryPoint, time: Timestamp) -> Result<Moment, MediumError> {
        let origin = self.first.origin_at(point)?;
        let Some(layout) = self.layout_at(point.generation) else { return Ok(origin.into()) };
        let of_first = |part: &Part| PartOrigin {
            capacity_bytes: part.bytes,
            generation: point.generation,
            origin,
        };
        let mut parts: Vec<_> = layout.parts.first().map(of_first).into_iter().collect();
        for (number, part) in Self::numbered(&layout.parts) {
            let then = self.with_partition(number, |cartridge| {
                let point = point_of(cartridge, part, time)?;
                let beginning = || Ok(Origin::beginning_of(cartridge.label.uuid));
                let origin = point.as_ref().map_or_else(beginning, |at| cartridge.origin_at(at))?;
                let generation = point.map_or(0, |point| point.generation);
                Ok(PartOrigin { capacity_bytes: part.bytes, generation, origin })
            })?;
            parts.push(then);
        }
        Ok(Moment { origin, parts })
    }

    /// The cartridge as it was at its last recovery point; `None` if there is none.
    pub fn last_moment(&self) -> Result<Option<Moment>, MediumError> {
        let point = self.first.last_point()?;
        point.map(|point| self.moment_at(&point, Timestamp::MAX)).transpose()
    }

    /// Whether a moment of partition 0 is the one that the whole cartridge is at.
    pub fn is_at(
        &self,
        point: Option<&RecoveryPoint>,
        time: Timestamp,
    ) -> Result<bool, MediumError> {
        let first = point.map_or(self.first.facts().is_blank(), |point| point.is_current);
        if !first || self.first.label.layouts.is_empty() {
            return Ok(first);
        }
        for cartridge in &self.others {
            let then = cartridge.find_point(WantedPoint::Time(time))?;
            if !then.map_or(cartridge.facts().is_blank(), |point| point.is_current) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the cartridge what it was: partition 0 at a point, or blank, and the others at that time. It is durable when this
    /// returns, and takes effect at once. The position is the beginning of partition 0.
    pub fn revert_to(
        &mut self,
        point: Option<&RecoveryPoint>,
        time: Timestamp,
    ) -> Result<(), MediumError> {
        self.rewind_to_first()?;
        if self.first.label.layouts.is_empty() {
            return match point {
                Some(point) => self.first.revert_to(point),
                None => self.first.erase(),
            };
        }
        let whole = Part { bytes: self.first.label.capacity_bytes, generation: 0, back_to: None };
        let target = self.layout_at(point.map_or(0, |point| point.generation)).cloned();
        let target = target.map_or_else(|| vec![whole], |layout| layout.parts);
        let mut parts: Vec<Part> = target.first().copied().into_iter().collect();
        for (number, part) in Self::numbered(&target) {
            parts.push(Part {
                bytes: part.bytes,
                generation: self.next_generation(number)?,
                back_to: self.point_of(number, part, time)?,
            });
        }
        self.divide(&parts, |first| match point {
            Some(point) => first.revert_to(point),
            None => first.begin_blank(Reason::Revert),
        })
    }

    /// Removes what nothing needs; see [`Cartridge::prune`].
    pub fn prune(&mut self, before: Timestamp, kept: &[Origin]) -> Result<Pruned, MediumError> {
        let mut pruned = self.first.prune(before, kept)?;
        if self.first.is_kept_whole() {
            return Ok(pruned);
        }
        for cartridge in &mut self.others {
            let Pruned { segments, bytes } = cartridge.prune(before, kept)?;
            pruned.segments = pruned.segments.saturating_add(segments);
            pruned.bytes = pruned.bytes.saturating_add(bytes);
        }
        Ok(pruned)
    }

    /// The earliest time before which pruning would free something.
    pub fn oldest_undo(&self, kept: &[Origin]) -> Result<Option<Timestamp>, MediumError> {
        let mut oldest = self.first.oldest_undo(kept)?;
        if self.first.is_kept_whole() {
            return Ok(oldest);
        }
        for cartridge in &self.others {
            let other = cartridge.oldest_undo(kept)?;
            oldest = oldest.into_iter().chain(other).min();
        }
        Ok(oldest)
    }

    /// Where a partition was at a time, within a layout.
    fn point_of(
        &self,
        number: u8,
        part: &Part,
        time: Timestamp,
    ) -> Result<Option<u64>, MediumError> {
        let found = self.with_partition(number, |cartridge| point_of(cartridge, part, time))?;
        Ok(found.map(|point| point.sequence))
    }

    /// Looks at a partition, whether the cartridge is still divided so or not any more.
    fn with_partition<T>(
        &self,
        number: u8,
        look: impl FnOnce(&Cartridge) -> Result<T, MediumError>,
    ) -> Result<T, MediumError> {
        if let Some(cartridge) = self.partition(number) {
            return look(cartridge);
        }
        let options = LoadOptions { read_only: true, ..self.first.options.clone() };
        let disk = std::sync::Arc::clone(&self.first.disk);
        let cartridge = Cartridge::load(disk, &self.directory_of(number), options);
        look(&cartridge.map_err(as_medium_error)?)
    }

    fn layout_at(&self, generation: u32) -> Option<&Layout> {
        layout_at(&self.first.label.layouts, generation)
    }
}

/// Where a partition was at a time, within a layout.
fn point_of(
    cartridge: &Cartridge,
    part: &Part,
    time: Timestamp,
) -> Result<Option<RecoveryPoint>, MediumError> {
    let found = cartridge.find_point(WantedPoint::Time(time))?;
    Ok(found.filter(|point| point.generation >= part.generation))
}
