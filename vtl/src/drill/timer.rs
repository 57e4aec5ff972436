//! Drills that run by themselves, when the calendars of their groups say so.
//!
//! The daemon runs its own command line for that: a drill is what a client does, and one that comes to grief takes nothing with it.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tracing::{error, info, warn};
use vtl_vault::{DrillTimer, Rules, drill_timers};

use super::{drills, drop_snapshot};
use crate::library::Library;
use crate::rules::rules_in_force;

/// One that could not begin is tried again after so long.
const RETRY: Duration = Duration::from_hours(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// Whoever has begun a drill and does not hold it within this time is gone.
const HOLD_LIMIT: Duration = Duration::from_mins(1);
/// So much of what it said last is looked at.
const OUTPUT_BYTES: u64 = 4096;

/// Runs the drills whose time has come, one after the other, and takes away what those left that have begun and are not there any more.
pub(crate) fn run_due(library: &Arc<Library>, is_given_up: &AtomicBool) {
    for snapshot in library.drills.unheld(HOLD_LIMIT) {
        warn!(snapshot, "the drill was broken off before it began");
        drop_snapshot(library, &snapshot, "system");
    }
    let Ok(rules) = rules_in_force(library) else { return };
    let now = library.store.now();
    for timer in timers_of(library, &rules, now) {
        if is_given_up.load(Ordering::Relaxed) {
            return;
        }
        if timer.is_due(now) && !library.drills.was_tried(timer.group, RETRY) {
            library.drills.note_try(timer.group);
            run_one(library, &timer, is_given_up);
        }
    }
}

/// What runs by itself, and when.
pub(crate) fn overview(library: &Library) -> Value {
    let Ok(rules) = rules_in_force(library) else { return json!([]) };
    let row = |timer: &DrillTimer<'_>| {
        json!({
            "group": timer.group,
            "drill": timer.calendar.to_string(),
            "level": timer.level,
            "last": timer.last,
            "next": timer.next,
        })
    };
    let now = library.store.now();
    Value::Array(timers_of(library, &rules, now).iter().map(row).collect())
}

fn timers_of<'a>(library: &Library, rules: &'a Rules, now: Timestamp) -> Vec<DrillTimer<'a>> {
    if rules.groups.values().all(|group| group.drill.is_none()) {
        return Vec::new();
    }
    let applied = library.store.rules().map_or(now, |record| record.applied);
    drill_timers(rules, &last_drills(library), applied, now, &TimeZone::system())
}

/// When each group was rehearsed last. The ledger is read for it once.
fn last_drills(library: &Library) -> BTreeMap<String, Timestamp> {
    if let Some(last) = library.drills.last() {
        return last;
    }
    let mut last = BTreeMap::new();
    for drill in drills(library, None).unwrap_or_default() {
        last.insert(drill.record.group, drill.time);
    }
    library.drills.set_last(last.clone());
    last
}

fn run_one(library: &Library, timer: &DrillTimer<'_>, is_given_up: &AtomicBool) {
    let group = timer.group;
    info!(group, level = timer.level, "a drill begins by itself");
    match ended(library, timer, is_given_up) {
        Ok(None) => {}
        Ok(Some((status, _))) if status.success() => info!(group, "the drill has passed"),
        Ok(Some((status, said))) => {
            // What it is, the report says; what keeps it from being one, the last line.
            let said = said.lines().last().unwrap_or_default();
            error!(group, %status, "the drill has failed: {said}; `vtl drill show {group}`");
        }
        Err(error) => warn!(group, %error, "the drill cannot be started"),
    }
}

/// Runs a drill; how it ended and what it said last, or nothing if the daemon ends.
fn ended(
    library: &Library,
    timer: &DrillTimer<'_>,
    is_given_up: &AtomicBool,
) -> std::io::Result<Option<(ExitStatus, String)>> {
    let mut output = tempfile::tempfile()?;
    // Not by its name: after an upgrade that is another program.
    let mut child = Command::new("/proc/self/exe")
        .args(["drill", "run", timer.group, "--level", &timer.level.to_string()])
        .arg("--data")
        .arg(library.store.directory())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output.try_clone()?)
        .spawn()?;
    let Some(status) = wait(&mut child, is_given_up)? else { return Ok(None) };
    let length = output.metadata()?.len();
    output.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES)))?;
    let mut said = Vec::new();
    output.take(OUTPUT_BYTES).read_to_end(&mut said)?;
    Ok(Some((status, String::from_utf8_lossy(&said).into_owned())))
}

fn wait(child: &mut Child, is_given_up: &AtomicBool) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if is_given_up.load(Ordering::Relaxed) {
            // Its snapshot goes with it.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(INTERVAL);
    }
}
