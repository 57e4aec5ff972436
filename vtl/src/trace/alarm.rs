//! Hard errors in the log: whoever reads it at 3 a.m. learns that a cartridge could not be read, even if no host says so.

use tracing::error;
use vtl_scsi::sense::{Sense, SenseKey};

use super::{Entry, Place, show};

/// What the log was told last. A host that tries a bad block again and again fills no log with it.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    last: Option<(Option<String>, Option<Place>, Sense)>,
}

impl Alarm {
    /// Whether this failure is one of the medium or of the drive, and not the one that was told last.
    pub(super) fn is_raised_by(&mut self, entry: &Entry) -> bool {
        let Some(sense) = entry.sense.filter(is_hard) else { return false };
        let now = Some((entry.barcode().map(str::to_owned), entry.begun.before, sense));
        let is_new = self.last != now;
        self.last = now;
        is_new
    }
}

/// Says it in one line.
pub(super) fn tell(entry: &Entry) {
    let barcode = entry.barcode().unwrap_or("none");
    let (partition, object) =
        entry.begun.before.map_or((0, 0), |place| (place.partition, place.object));
    let (command, why) = (show::command(entry), show::why(entry));
    let message = format!(
        "{command} failed: {why}; `vtl verify {barcode}` says what is damaged, `vtl trace --failures` what else was asked"
    );
    error!(barcode, partition, object, "{message}");
}

fn is_hard(sense: &Sense) -> bool {
    matches!(sense.key, SenseKey::MediumError | SenseKey::HardwareError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Begun;
    use std::time::Duration;
    use vtl_scsi::{ItNexus, Status, Task};

    fn entry(object: u64, sense: Sense) -> Entry {
        let mut begun = Begun::new(None, &Task::new(ItNexus(1), &[0x08, 0, 0, 0, 1, 0]));
        begun.before = Some(Place { partition: 0, object, file: 0 });
        Entry {
            number: 1,
            begun,
            after: None,
            took: Duration::ZERO,
            status: Status::CHECK_CONDITION,
            sense: Some(sense),
            data_in_bytes: 0,
        }
    }

    // A restore in the lab once failed with a read error, and the daemon's log had not a word about it.
    #[test]
    fn a_hard_error_is_told_once_for_each_place() {
        let mut alarm = Alarm::default();
        let damaged = Sense::unrecovered_read_error();
        assert!(alarm.is_raised_by(&entry(7, damaged)));
        assert!(!alarm.is_raised_by(&entry(7, damaged)), "tried again");
        assert!(alarm.is_raised_by(&entry(8, damaged)));
        assert!(!alarm.is_raised_by(&entry(9, Sense::write_protected())), "the host's own fault");
        assert!(alarm.is_raised_by(&entry(8, Sense::internal_target_failure())));
    }
}
