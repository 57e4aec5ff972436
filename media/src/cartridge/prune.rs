//! Giving up what only undo needs: whole segments in which nothing is left that anybody could ask for.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::life::JOURNAL;
use super::origin::place_of;
use super::timeline::WantedPoint;
use super::{Cartridge, MediumError, RecoveryPoint};
use crate::journal::{Extent, Place, Point, View, number_of};
use crate::label::{Origin, UndoHorizon};

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Segments that are gone.
    pub segments: usize,
    /// Bytes on the host's disk that are free again.
    pub bytes: u64,
}

impl Cartridge {
    /// Removes the segments that nothing needs: neither the tape as it is, nor going back to any moment at or after `before`,
    /// nor any of the moments that other cartridges and snapshots rest on. A cartridge that is held or retained keeps all.
    ///
    /// The label says so durably before anything is removed.
    pub fn prune(&mut self, before: Timestamp, kept: &[Origin]) -> Result<Pruned, MediumError> {
        self.remove_left_behind()?;
        if self.is_kept_whole() {
            return Ok(Pruned::default());
        }
        let Some(horizon) = self.find_point(WantedPoint::Time(before))? else {
            return Ok(Pruned::default());
        };
        let gone = self.unneeded(&horizon, kept)?;
        let Some(pruned) = self.with_pruned(&gone) else { return Ok(Pruned::default()) };
        if gone.is_empty() {
            return Ok(Pruned::default());
        }
        let before = (self.label.pruned.clone(), self.label.undo_horizon);
        self.label.pruned = pruned;
        self.label.undo_horizon =
            Some(UndoHorizon { sequence: horizon.sequence, time: horizon.time });
        if let Err(error) = self.label.write(self.disk.as_ref(), &self.directory) {
            (self.label.pruned, self.label.undo_horizon) = before;
            return Err(error.into());
        }
        let bytes = {
            let mut view = self.view();
            let rows = view.own_rows().filter(|row| gone.contains(&row.number));
            let bytes = rows.map(|row| row.data_end).fold(0, u64::saturating_add);
            view.remove(&gone);
            bytes
        };
        self.remove_left_behind()?;
        Ok(Pruned { segments: gone.len(), bytes })
    }

    /// The earliest time before which something could be pruned, where that would free anything.
    pub fn oldest_undo(&self, kept: &[Origin]) -> Result<Option<Timestamp>, MediumError> {
        if self.is_kept_whole() || self.view().undo_bytes() == 0 {
            return Ok(None);
        }
        for point in self.points_behind_beginnings()? {
            if !self.unneeded(&point, kept)?.is_empty() {
                return Ok(Some(point.time));
            }
        }
        Ok(None)
    }

    /// The first point behind each beginning of a generation, oldest first: what came before may be unneeded from there on.
    fn points_behind_beginnings(&self) -> Result<Vec<RecoveryPoint>, MediumError> {
        let begun: Vec<Place> =
            self.view().lineage().beginnings().iter().map(|begun| begun.place).collect();
        let mut sequences = Vec::new();
        let mut later: Option<(Place, u64)> = None;
        let mut begun = begun.into_iter().rev().peekable();
        self.each_waypoint(|_, place, waypoint| {
            while begun.next_if(|beginning| place < *beginning).is_some() {
                sequences.extend(later.map(|(_, sequence)| sequence));
            }
            later = Some((place, waypoint.sequence));
            Ok(begun.peek().is_none())
        })?;
        sequences.dedup();
        let mut points = Vec::new();
        for sequence in sequences.into_iter().rev() {
            points.extend(self.find_point(WantedPoint::Sequence(sequence))?);
        }
        Ok(points)
    }

    /// Own segments that nothing needs if `horizon` is the oldest point to go back to.
    fn unneeded(
        &self,
        horizon: &RecoveryPoint,
        kept: &[Origin],
    ) -> Result<BTreeSet<u32>, MediumError> {
        let behind = self.behind(horizon)?;
        let moment = Point {
            objects: horizon.objects,
            filemarks: horizon.filemarks,
            bytes: horizon.written_bytes,
        };
        let view = self.view();
        let newest = view.rows().last().map_or(0, |row| row.number);
        let end = Place { segment: u32::MAX, offset: 0 };
        let mut needed = needed(&view, view.extents(), end);
        needed.extend(needed_at(&view, behind, moment));
        // What was gone back to since then was live at some moment behind the horizon, however old it is.
        let since = view.lineage().beginnings().iter().filter(|begun| begun.place >= behind);
        for (base, start) in since.filter_map(|begun| Some((begun.base?, begun.start))) {
            needed.extend(needed_at(&view, base, start));
        }
        for origin in kept.iter().filter(|origin| origin.cartridge == self.label.uuid) {
            let Origin { objects, filemarks, bytes, .. } = *origin;
            needed.extend(needed_at(&view, place_of(origin), Point { objects, filemarks, bytes }));
            // The walk to that moment ends in this segment, whatever is in it.
            needed.insert(origin.segment);
        }
        let is_unneeded =
            |number: &u32| *number < behind.segment && *number < newest && !needed.contains(number);
        Ok(view.own_rows().map(|row| row.number).filter(is_unneeded).collect())
    }

    /// The label's list with these segments added; `None` if it would be too long.
    fn with_pruned(&self, gone: &BTreeSet<u32>) -> Option<Vec<(u32, u32)>> {
        let mut numbers: BTreeSet<u32> = gone.clone();
        numbers.extend(self.label.pruned.iter().flat_map(|(first, last)| *first..=*last));
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if last.saturating_add(1) == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        (ranges.len() <= PRUNED_RANGES_MAX).then_some(ranges)
    }

    /// Removes files of segments that the label has given up.
    fn remove_left_behind(&mut self) -> Result<(), MediumError> {
        let directory = self.directory.join(JOURNAL);
        let mut has_removed = false;
        for name in self.disk.list(&directory)? {
            let number = name.to_str().and_then(number_of);
            let is_given_up = number.is_some_and(|number| {
                self.label.pruned.iter().any(|(first, last)| (*first..=*last).contains(&number))
            });
            if is_given_up {
                self.disk.remove(&directory.join(name))?;
                has_removed = true;
            }
        }
        if has_removed {
            self.forget_read();
            self.disk.sync_dir(&directory)?;
            tracing::info!(barcode = %self.label.barcode, "old undo data was removed");
        }
        Ok(())
    }
}

/// What the tape as it was at a moment needs.
fn needed_at(view: &View, until: Place, end: Point) -> BTreeSet<u32> {
    needed(view, &view.lineage().extents_at(until, end), until)
}

/// The segments of extents, and those of the beginnings without which others would count as live.
fn needed(view: &View, extents: &[Extent], until: Place) -> BTreeSet<u32> {
    let mut segments = view.segments_of(extents);
    segments.extend(view.lineage().bases_before(until).into_iter().map(|place| place.segment));
    segments
}

/// More would not fit into a label together with everything else.
const PRUNED_RANGES_MAX: usize = 256;
