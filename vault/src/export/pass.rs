//! One way through a tape, for the proof.

use jiff::Timestamp;

use super::stream::Watcher;
use super::tape::{NO_PROTECTION, Tape};
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
            protection: tape.protection().to_owned(),
            before: self.before,
            after: tape.counters(self.is_writing),
        }
    }
}

/// The protection of all that a tape was written with, in this run and, if it goes on, in those before: what is said of a copy has to hold for
/// each block. An earlier program did not say what there was.
pub(super) fn protection_of(earlier: Option<&Option<String>>, now: &str) -> String {
    match earlier.map(|earlier| earlier.as_deref().unwrap_or(NO_PROTECTION)) {
        Some(NO_PROTECTION) => NO_PROTECTION.to_owned(),
        Some(earlier) if now != NO_PROTECTION && earlier != now => MIXED.to_owned(),
        _ => now.to_owned(),
    }
}

/// Some blocks with one checksum, some with another.
const MIXED: &str = "mixed";

/// What block protection there was not; nothing if there was all.
pub(super) fn unprotected(written: &Pass, read: &Pass) -> Option<String> {
    let when: Vec<&str> = [(written, "writing"), (read, "reading back")]
        .into_iter()
        .filter(|(pass, _)| pass.protection == NO_PROTECTION)
        .map(|(_, when)| when)
        .collect();
    let when = when.join(" and ");
    (!when.is_empty()).then(|| {
        format!("logical block protection when {when}: the drive has none, or not for each block")
    })
}
