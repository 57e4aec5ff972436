//! Which generation began where, and so what was live at any moment.
//!
//! A generation that began by overwriting or erasing keeps what was live before its first object. One that began by going
//! back keeps what was live at an earlier moment, its *base*. So the live extents of any moment follow from the beginnings
//! before it, and from nothing else.

use super::record::{Place, Point};

/// An unbroken run of live objects: records of one generation, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) generation: u32,
    pub(crate) start: Point,
    /// `start.objects <= end.objects`; the next extent starts at `end`.
    pub(crate) end: Point,
    pub(crate) from: Place,
    /// Behind the last record that was written for it; live objects may end before.
    pub(crate) until: Place,
}

/// A generation, and where it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) place: Place,
    pub(crate) generation: u32,
    pub(crate) start: Point,
    /// `base < place`. A base at the very beginning of the journal is one that is not known any more.
    pub(crate) base: Option<Place>,
}

/// All beginnings that are known, in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    begun: Vec<Begun>,
}

impl Lineage {
    /// Notes a beginning behind all others.
    pub(crate) fn note(&mut self, begun: Begun) {
        self.begun.push(begun);
    }

    /// All beginnings, oldest first.
    pub(crate) fn beginnings(&self) -> &[Begun] {
        &self.begun
    }

    /// What was live when the journal ended at `until` and the tape at `end`.
    pub(crate) fn extents_at(&self, until: Place, end: Point) -> Vec<Extent> {
        let mut extents = self.extents_before(until);
        clip(&mut extents, until, end);
        extents
    }

    /// Where the beginnings with a base are on which the extents at `until` rest. Losing one of them would bring back what
    /// had been given up.
    pub(crate) fn bases_before(&self, until: Place) -> Vec<Place> {
        self.ranges(until)
            .iter()
            .filter_map(|range| range.first().filter(|b| b.base.is_some()))
            .map(|b| b.place)
            .collect()
    }

    fn extents_before(&self, until: Place) -> Vec<Extent> {
        let mut extents = Vec::new();
        for range in self.ranges(until).into_iter().rev() {
            for begun in range {
                if let Some(base) = begun.base {
                    clip(&mut extents, base, begun.start);
                }
                begin(&mut extents, begun);
            }
        }
        extents
    }

    /// The beginnings that decide what is live at `until`, the newest ones first: from the last one with a base on, then from
    /// the last one with a base before that base, and so on.
    fn ranges(&self, until: Place) -> Vec<&[Begun]> {
        let mut ranges = Vec::new();
        let mut until = until;
        loop {
            let count = self.begun.partition_point(|begun| begun.place < until);
            let before = self.begun.get(..count).unwrap_or_default();
            let Some((at, base)) =
                before.iter().enumerate().rev().find_map(|(at, begun)| Some((at, begun.base?)))
            else {
                ranges.push(before);
                return ranges;
            };
            ranges.push(before.get(at..).unwrap_or_default());
            // Bases lie before what rests on them, or this would not end.
            until = base.min(before.get(at).map_or(base, |begun| begun.place));
        }
    }
}

/// Gives up what lies at and behind the start of a generation, and begins that.
pub(crate) fn begin(extents: &mut Vec<Extent>, begun: &Begun) {
    let Begun { place, generation, start, base } = *begun;
    if let Some(extent) = extents.last_mut().filter(|_| base.is_none()) {
        extent.until = extent.until.max(place);
    }
    while extents.last().is_some_and(|extent| extent.start.objects >= start.objects) {
        extents.pop();
    }
    match extents.last_mut() {
        Some(extent) => extent.end = start,
        // Nothing is known of what has to be there: reading it must be an error and not the end of the data.
        None if start.objects > 0 => {
            let start_of_tape = Point::default();
            extents.push(Extent {
                generation: LOST,
                start: start_of_tape,
                end: start,
                from: place,
                until: place,
            });
        }
        None => {}
    }
    extents.push(Extent { generation, start, end: start, from: place, until: place });
}

/// Lets extents end at a moment.
fn clip(extents: &mut Vec<Extent>, until: Place, end: Point) {
    while extents.last().is_some_and(|extent| extent.start.objects > end.objects) {
        extents.pop();
    }
    if let Some(extent) = extents.last_mut() {
        extent.until = until;
        extent.end = end;
    }
}

/// No record has this generation.
const LOST: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: u32) -> Place {
        Place { segment, offset: 0 }
    }

    fn point(objects: u64) -> Point {
        Point { objects, ..Point::default() }
    }

    fn lineage(beginnings: &[(u32, u64, Option<u32>)]) -> Lineage {
        let mut lineage = Lineage::default();
        for (generation, (segment, start, base)) in (0..).zip(beginnings) {
            let base = base.map(place);
            lineage.note(Begun { place: place(*segment), generation, start: point(*start), base });
        }
        lineage
    }

    fn runs(extents: &[Extent]) -> Vec<(u32, u64, u64)> {
        extents.iter().map(|e| (e.generation, e.start.objects, e.end.objects)).collect()
    }

    #[test]
    fn overwriting_keeps_what_lies_before() {
        let lineage = lineage(&[(1, 0, None), (3, 50, None), (5, 20, None)]);
        assert_eq!(runs(&lineage.extents_at(place(2), point(100))), [(0, 0, 100)]);
        assert_eq!(runs(&lineage.extents_at(place(4), point(80))), [(0, 0, 50), (1, 50, 80)]);
        assert_eq!(runs(&lineage.extents_at(place(6), point(30))), [(0, 0, 20), (2, 20, 30)]);
    }

    #[test]
    fn going_back_rests_on_what_was_live_then() {
        // 0: 100 objects; 1: everything overwritten; 2: back to 0; 3: appended and cut; 4: back to 1
        let lineage = lineage(&[
            (1, 0, None),
            (3, 0, None),
            (5, 100, Some(2)),
            (7, 60, None),
            (9, 30, Some(4)),
        ]);
        assert_eq!(runs(&lineage.extents_at(place(4), point(40))), [(1, 0, 40)]);
        let back = lineage.extents_at(place(6), point(110));
        assert_eq!(runs(&back), [(0, 0, 100), (2, 100, 110)]);
        assert_eq!(back[0].until, place(2));
        assert_eq!(runs(&lineage.extents_at(place(8), point(70))), [(0, 0, 60), (3, 60, 70)]);
        assert_eq!(runs(&lineage.extents_at(place(10), point(31))), [(1, 0, 30), (4, 30, 31)]);
        assert_eq!(lineage.bases_before(place(10)), [place(9)]);
        assert_eq!(lineage.bases_before(place(8)), [place(5)]);
        assert_eq!(lineage.bases_before(place(4)), []);
    }

    #[test]
    fn a_base_that_is_not_known_is_lost_and_not_empty() {
        let lineage = lineage(&[(1, 0, None), (3, 40, Some(0))]);
        assert_eq!(runs(&lineage.extents_at(place(4), point(41))), [(LOST, 0, 40), (1, 40, 41)]);
    }
}
