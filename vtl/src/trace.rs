//! `vtl trace`: what a logical unit was asked lately, and what it answered.
//!
//! Each unit keeps its last commands, and beside them its last failures, which ordinary traffic must not wash away. Noting one is a copy
//! into memory that is there already, under a lock that is held for nothing else; words are found when somebody asks. No data of any
//! command is kept, so that no key can be shown.

mod alarm;
mod ring;
mod show;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use vtl_media::Volume;
use vtl_scsi::sense::{Sense, SenseKey};
use vtl_scsi::{Cdb, Completion, ItNexus, Status, Task};

use self::alarm::Alarm;
use self::ring::Ring;
use crate::library::lock;
use crate::unit::Device;

pub(crate) use show::{TraceOptions, answer, follow, last_failure};

/// Commands that each unit remembers.
const COMMANDS: usize = 256;
/// Failures that it remembers however many commands came afterwards.
const FAILURES: usize = 64;
/// As much of a barcode is noted; a cartridge cannot have a longer one.
const BARCODE_BYTES: usize = vtl_media::Barcode::LENGTH_MAX;

/// The last commands of a unit.
#[derive(Debug)]
pub(crate) struct Trace(Mutex<Noted>);

#[derive(Debug)]
struct Noted {
    /// How many commands have been noted since the unit was switched on.
    count: u64,
    commands: Ring<Entry, COMMANDS>,
    failures: Ring<Entry, FAILURES>,
    alarm: Alarm,
}

/// A command that begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Instant,
    nexus: ItNexus,
    cdb: Cdb,
    before: Option<Place>,
    barcode: [u8; BARCODE_BYTES],
}

/// Where a cartridge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    partition: u8,
    object: u64,
    file: u64,
}

/// A command that is done.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Counted from 1.
    number: u64,
    begun: Begun,
    after: Option<Place>,
    took: Duration,
    status: Status,
    sense: Option<Sense>,
    data_in_bytes: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Self(Mutex::new(Noted {
            count: 0,
            commands: Ring::new(),
            failures: Ring::new(),
            alarm: Alarm::default(),
        }))
    }
}

impl Begun {
    /// A task that is about to be done by a device; by none if it is answered without one.
    pub(crate) fn new(device: Option<&Device>, task: &Task) -> Self {
        let volume = device.and_then(volume);
        let mut barcode = [0; BARCODE_BYTES];
        let name = volume.map(|volume| volume.label().barcode.as_str()).unwrap_or_default();
        for (to, from) in barcode.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self {
            at: Instant::now(),
            nexus: task.nexus,
            cdb: task.cdb,
            before: volume.map(Place::of),
            barcode,
        }
    }
}

impl Trace {
    /// Notes how a command ended.
    pub(crate) fn note(&self, begun: Begun, device: Option<&Device>, done: &Completion) {
        let mut entry = Entry {
            number: 0,
            after: device.and_then(volume).map(Place::of),
            took: begun.at.elapsed(),
            status: done.status,
            sense: done.sense,
            data_in_bytes: done.data_in.len(),
            begun,
        };
        let mut noted = lock(&self.0);
        noted.count += 1;
        entry.number = noted.count;
        let mut has_to_be_told = false;
        if entry.is_failure() {
            has_to_be_told = noted.alarm.is_raised_by(&entry);
            noted.failures.push(entry);
        }
        noted.commands.push(entry);
        drop(noted);
        if has_to_be_told {
            alarm::tell(&entry);
        }
    }

    /// The commands with a higher number than this one, or only the failures among them, the oldest first; and how many there have been.
    fn since(&self, after: u64, only_failures: bool) -> (Vec<Entry>, u64) {
        let noted = lock(&self.0);
        let is_new = |entry: &&Entry| entry.number > after;
        let entries = if only_failures {
            noted.failures.iter().filter(is_new).copied().collect()
        } else {
            noted.commands.iter().filter(is_new).copied().collect()
        };
        (entries, noted.count)
    }
}

impl Entry {
    /// Whether somebody will ask why. What a tape drive says as a matter of course (a filemark, the end of data, another cartridge, that it
    /// is not ready when it is asked whether it is) is no failure.
    fn is_failure(&self) -> bool {
        const TEST_UNIT_READY: u8 = 0x00;
        if self.status == Status::GOOD {
            return false;
        }
        let Some(sense) = self.sense.filter(|sense| !sense.is_deferred) else { return true };
        match sense.key {
            SenseKey::NoSense
            | SenseKey::RecoveredError
            | SenseKey::UnitAttention
            | SenseKey::BlankCheck => false,
            SenseKey::NotReady => self.begun.cdb.operation_code() != TEST_UNIT_READY,
            _ => true,
        }
    }

    fn barcode(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.begun.barcode).ok()?.trim_end_matches('\0');
        (!text.is_empty()).then_some(text)
    }
}

impl Place {
    fn of(volume: &Volume) -> Self {
        let (partition, object, file) = volume.place();
        Self { partition: partition.0, object: object.0, file }
    }
}

fn volume(device: &Device) -> Option<&Volume> {
    match device {
        Device::Drive(drive) => drive.cartridge(),
        Device::Changer(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(trace: &Trace, cdb: &[u8], done: &Completion) {
        trace.note(Begun::new(None, &Task::new(ItNexus(1), cdb)), None, done);
    }

    fn numbers(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn failures_outlive_the_traffic_behind_them() {
        let trace = Trace::default();
        let failed = Completion::check_condition(Sense::write_protected());
        note(&trace, &[0x0a, 0, 0, 0, 1, 0], &failed);
        for _ in 0..1000 {
            note(&trace, &[0x08, 0, 0, 0, 1, 0], &Completion::good());
        }
        let (all, count) = trace.since(0, false);
        assert_eq!((all.len(), count), (COMMANDS, 1001));
        assert_eq!(numbers(&all), (746..=1001).collect::<Vec<_>>());
        let (failures, _) = trace.since(0, true);
        assert_eq!(numbers(&failures), [1]);
        assert_eq!(numbers(&trace.since(999, false).0), [1000, 1001]);
        for _ in 0..100 {
            note(&trace, &[0x0a, 0, 0, 0, 1, 0], &failed);
        }
        assert_eq!(numbers(&trace.since(0, true).0), (1038..=1101).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_tape_drive_says_as_a_matter_of_course_is_no_failure() {
        let read = [0x08, 0, 0, 0, 1, 0];
        let conditions: [(&[u8], Sense, bool); 8] = [
            (&read, Sense::filemark_detected(1), false),
            (&read, Sense::end_of_data(), false),
            (&read, Sense::incorrect_length(5), false),
            (&read, Sense::medium_may_have_changed(), false),
            (&[0; 6], Sense::medium_not_present(), false),
            (&read, Sense::medium_not_present(), true),
            (&read, Sense::unable_to_decrypt_data(), true),
            (&read, Sense::write_error().deferred(), true),
        ];
        for (cdb, sense, expected) in conditions {
            let trace = Trace::default();
            note(&trace, cdb, &Completion::check_condition(sense));
            assert_eq!(trace.since(0, true).0.len() == 1, expected, "{sense}");
        }
        let trace = Trace::default();
        note(&trace, &read, &Completion::with_status(Status::RESERVATION_CONFLICT));
        assert_eq!(trace.since(0, true).0.len(), 1);
    }
}
