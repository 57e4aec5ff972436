//! One way through a tape, for the proof.

use jiff::Timestamp;

use super::stream::Watcher;
use super::tape::Tape;
use crate::receipt::{Counters, Pass};

/// One way through the tape has begun.
pub(super) struct Begun {
    time: Timestamp,
    clock_ms: u64,
    before: Counters,
    is_writing: bool,
}

impl Begun {
    pub(super) fn new(tape: &mut dyn Tape, watcher: &dyn Watcher, is_writing: bool) -> Self {
        let before = tape.counters(is_writing);
        Self { time: watcher.now(), clock_ms: watcher.clock_ms(), before, is_writing }
    }

    pub(super) fn end(self, tape: &mut dyn Tape, watcher: &dyn Watcher, bytes: u64) -> Pass {
        Pass {
            drive: tape.identity(),
            begun: self.time,
            ended: watcher.now(),
            elapsed_ms: watcher.clock_ms().saturating_sub(self.clock_ms),
            bytes,
            protection: "none".to_owned(),
            before: self.before,
            after: tape.counters(self.is_writing),
        }
    }
}
