//! Which drills are under way, and when groups were rehearsed last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// What the daemon knows of drills.
#[derive(Debug, Default)]
pub(crate) struct Drills(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Snapshots that are being used for a drill.
    running: BTreeMap<String, Running>,
    /// When each group was rehearsed last, once that has been asked for.
    last: Option<BTreeMap<String, Timestamp>>,
    /// When a drill of a group was started by itself.
    tried: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    /// Whether somebody is there.
    is_held: bool,
}

impl Drills {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, snapshot: &str) {
        let running = Running { since: Instant::now(), is_held: false };
        self.lock().running.insert(snapshot.to_owned(), running);
    }

    pub(super) fn hold(&self, snapshot: &str) {
        if let Some(running) = self.lock().running.get_mut(snapshot) {
            running.is_held = true;
        }
    }

    pub(super) fn is_running(&self, snapshot: &str) -> bool {
        self.lock().running.contains_key(snapshot)
    }

    pub(super) fn end(&self, snapshot: &str) {
        self.lock().running.remove(snapshot);
    }

    /// Snapshots that nobody has come for within this time.
    pub(super) fn unheld(&self, limit: Duration) -> Vec<String> {
        let state = self.lock();
        let is_left = |running: &Running| !running.is_held && running.since.elapsed() > limit;
        let left = state.running.iter().filter(|(_, running)| is_left(running));
        left.map(|(snapshot, _)| snapshot.clone()).collect()
    }

    pub(super) fn last(&self) -> Option<BTreeMap<String, Timestamp>> {
        self.lock().last.clone()
    }

    pub(super) fn set_last(&self, last: BTreeMap<String, Timestamp>) {
        self.lock().last = Some(last);
    }

    /// A group has been rehearsed.
    pub(super) fn note_end(&self, group: &str, time: Timestamp) {
        if let Some(last) = &mut self.lock().last {
            last.insert(group.to_owned(), time);
        }
    }

    pub(super) fn was_tried(&self, group: &str, within: Duration) -> bool {
        self.lock().tried.get(group).is_some_and(|tried| tried.elapsed() < within)
    }

    pub(super) fn note_try(&self, group: &str) {
        self.lock().tried.insert(group.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A drill whose process died between its two connections left its snapshot shown until the daemon was started again.
    #[test]
    fn a_drill_that_nobody_holds_is_told_of_and_one_that_is_held_is_not() {
        let drills = Drills::default();
        drills.begin("drill-1");
        drills.begin("drill-2");
        drills.hold("drill-2");
        assert_eq!(drills.unheld(Duration::ZERO), ["drill-1"]);
        assert!(drills.unheld(Duration::from_hours(1)).is_empty());
        drills.end("drill-1");
        assert!(drills.unheld(Duration::ZERO).is_empty());
        assert!(!drills.is_running("drill-1") && drills.is_running("drill-2"));
    }

    #[test]
    fn what_could_not_begin_is_not_tried_all_the_time() {
        let drills = Drills::default();
        assert!(!drills.was_tried("mail", Duration::from_hours(1)));
        drills.note_try("mail");
        assert!(drills.was_tried("mail", Duration::from_hours(1)));
        assert!(!drills.was_tried("mail", Duration::ZERO));
        drills.note_end("mail", Timestamp::UNIX_EPOCH);
        assert_eq!(drills.last(), None, "the ledger has to be read first");
    }
}
