//! Task management functions that act on whole logical units: carried out beside the connection that brought them, without a thread
//! for each, so that a flood of them is no more than a list of things to look after.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::debug;
use vtl_scsi::ItNexus;

use crate::unit::{RESET_LIMIT, Unit};

/// Other sessions give up their waiting tasks within this time, or later than a task management function is answered.
const OTHERS_LIMIT: Duration = Duration::from_millis(500);
/// A reset that is not done at once is looked after this often, at first and at last.
const LOOK_INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Ends all tasks of these units, and resets them or only tells the other nexuses; `others` ends when other sessions have given up
/// what they had not handed over yet.
pub(crate) async fn carry_out(
    units: Vec<Arc<Unit>>,
    is_reset: bool,
    nexus: ItNexus,
    mut others: mpsc::Receiver<()>,
) {
    // Once this is answered, nobody's next command may be taken for one of those that were aborted.
    if tokio::time::timeout(OTHERS_LIMIT, others.recv()).await.is_err() {
        debug!("a session does not react; its waiting tasks are aborted when it does");
    }
    if !is_reset {
        for unit in &units {
            unit.clear_task_set(Some(nexus));
        }
        return;
    }
    // All at once, so that several that are stuck do not take longer than one.
    let deadline = Instant::now() + RESET_LIMIT;
    for unit in &units {
        unit.begin_reset();
    }
    let (mut interval, last) = LOOK_INTERVALS;
    while units.iter().any(|unit| unit.is_reset_awaited()) {
        if Instant::now() >= deadline {
            for unit in &units {
                unit.give_up_reset();
            }
            return;
        }
        tokio::time::sleep(interval).await;
        interval = (interval * 2).min(last);
    }
}
