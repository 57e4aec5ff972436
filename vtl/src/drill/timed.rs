//! Drills that the daemon runs by itself, when the calendars of their groups say so.
//!
//! The drill is what it is for everybody else: this program, asking its own daemon. As a process of its own it costs the daemon nothing when
//! it fails, and it can be ended at any moment. It is never of level 4: a command from the rules would run with the daemon's rights, and the
//! rules are changed by whoever may ask the daemon.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use vtl_media::PolicyRun;
use vtl_vault::{Job, Timer};

use super::take_back;
use crate::library::Library;
use crate::request::Failure;
use crate::rules::rules_in_force;
use crate::rules::timer::{note, timers_of};

/// What this program is, also when its file was replaced by a newer one since it was started.
const PROGRAM: &str = "/proc/self/exe";
/// Between two looks at whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A drill that takes longer than a week would be in the way of the next one.
const LIMIT: Duration = Duration::from_hours(7 * 24);
/// So much of what it said last is looked through for the reason.
const SAID_BYTES: u64 = 4096;

/// A drill that is to be run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) group: &'a str,
    pub(crate) level: u8,
    /// The most that reading back may take of the disk's time, in percent.
    pub(crate) share_percent: u32,
}

/// Runs a drill to its end. Nothing if it was cut short because the daemon ends; else why it did not work, if it did not.
pub(crate) type Rehearse<'a> = &'a dyn Fn(&Order<'_>) -> Option<Result<(), Failure>>;

/// Runs the drills whose time has come, one after the other.
pub(crate) fn run_due(library: &Arc<Library>, share_percent: u32, is_given_up: &AtomicBool) {
    // A drill asks the daemon, which has to be there first.
    if library.portal().is_some() && library.is_running() {
        let rehearse = |order: &Order<'_>| in_a_process(library, order, is_given_up);
        run_due_with(library, share_percent, &rehearse);
    }
}

/// The same, with whatever runs them.
pub(crate) fn run_due_with(library: &Library, share_percent: u32, rehearse: Rehearse<'_>) {
    // Rules that cannot be read are told of by `vtl status` and by each command about them.
    let Ok(rules) = rules_in_force(library) else { return };
    let now = library.store.now();
    for timer in timers_of(library, &rules, now).into_iter().filter(|timer| timer.is_due(now)) {
        let Timer { job: Job::Drill(group), calendar, .. } = timer else { continue };
        let Some(level) = rules.groups.get(group).map(vtl_vault::Group::drill_level) else {
            continue;
        };
        let until = library.store.now();
        let Some(ended) = rehearse(&Order { group, level, share_percent }) else { return };
        let problem = ended.err().map(|failure| failure.message);
        let (done, failed) = if problem.is_none() { (1, 0) } else { (0, 1) };
        let (policy, calendar) = (timer.job.to_string(), calendar.to_string());
        let run =
            PolicyRun { policy, calendar, until, done, failed, problem, ..PolicyRun::default() };
        note(library, run, &format!("drill of {group}"));
    }
}

fn in_a_process(
    library: &Arc<Library>,
    order: &Order<'_>,
    is_given_up: &AtomicBool,
) -> Option<Result<(), Failure>> {
    let started = tempfile::tempfile().and_then(|said| Ok((start(library, order, &said)?, said)));
    let (mut child, mut said) = match started {
        Ok(started) => started,
        Err(error) => {
            let why = format!("the drill of {} cannot be started: {error}", order.group);
            return Some(Err(Failure::failed(why)));
        }
    };
    let clock = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => return Some(verdict(status, &mut said)),
            Err(error) => return Some(Err(Failure::failed(error))),
        }
        let is_late = clock.elapsed() > LIMIT;
        if is_late || is_given_up.load(Ordering::Relaxed) {
            end(&mut child);
            let why = "it took longer than a week and was ended";
            return is_late.then(|| Err(Failure::failed(why)));
        }
        take_back(library, super::BEGIN_LIMIT);
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn start(library: &Library, order: &Order<'_>, said: &File) -> std::io::Result<Child> {
    Command::new(PROGRAM)
        .arg0("vtl")
        .args(["drill", "run", "--level", &order.level.to_string()])
        .args(["--share", &order.share_percent.to_string(), "--data"])
        .arg(library.store.directory())
        .args(["--", order.group])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone()?)
        // Ctrl-C is for the daemon, which then ends the drill.
        .process_group(0)
        .spawn()
}

/// Ends it with all that it has started; its snapshot goes when its connection does.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::warn!(%error, "a drill cannot be ended");
    }
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "it is not known how a drill ended");
    }
}

/// What it said last is why it failed.
fn verdict(status: ExitStatus, said: &mut File) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    let read = said.metadata().and_then(|metadata| {
        said.seek(SeekFrom::Start(metadata.len().saturating_sub(SAID_BYTES)))?;
        said.read_to_end(&mut text)
    });
    let text = String::from_utf8_lossy(&text);
    let why = text.lines().filter_map(|line| line.strip_prefix("vtl: ")).next_back();
    Err(Failure::failed(match (read, why) {
        (Ok(_), Some(why)) => why.to_owned(),
        _ => format!("the drill ended without a word ({status})"),
    }))
}
