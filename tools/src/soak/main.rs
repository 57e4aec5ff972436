//! `vtl-soak`: many sessions work with one library for as long as wanted, and at the end everything is as at the beginning.
//!
//! Each of eight drives has an owner, who writes, syncs, reads back, changes cartridges, logs out, and cuts its connection in the
//! middle of a command. All other sessions ask the same drives and the changer whatever disturbs nobody, log in and out, and cut
//! theirs. Somebody resets logical units and the target. What a filemark has acknowledged has to be there: on the way, at the end,
//! and after a restart.

mod host;
mod instance;
mod others;
mod owner;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;

use crate::host::{Shared, Times};
use crate::instance::{Instance, Usage};
use crate::owner::Owner;
use crate::report::{Moment, Report};

/// Drives, and the sessions that own them.
const DRIVES: u16 = 8;
/// The part of the time that is compared with the last part, but no more than five minutes.
const FIRST_PERCENT: u32 = 20;
const FIRST_LIMIT: Duration = Duration::from_mins(5);
/// What is given back after sessions have ended is given back by then.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Works a library of eight drives with many sessions, and fails if anything is lost or grows.
#[derive(Debug, Parser)]
struct Options {
    /// For how long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// What is done follows from it, as far as the order of threads allows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sessions at a time, those of the drives' owners included.
    #[arg(long, default_value_t = 64)]
    sessions: u16,
    /// The program (default: `vtl` beside this one).
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the temporary data directory is made.
    #[arg(long)]
    directory: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!(options.sessions > DRIVES, "more than {DRIVES} sessions are needed");
    let binary = match &options.binary {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("vtl"),
    };
    let mut instance = Instance::start(&binary, options.directory.as_deref())?;
    instance.fill(DRIVES, DRIVES * owner::CARTRIDGES)?;
    let shared = Arc::new(Shared::new(instance.portal(), instance.target()));
    let all = Duration::try_from_secs_f64(options.minutes * 60.0).context("--minutes")?;
    let first = (all * FIRST_PERCENT / 100).min(FIRST_LIMIT);
    let owners: Vec<_> = (0..DRIVES).map(|drive| Owner::new(drive, options.seed)).collect();

    let (mut owners, times) = work(&shared, owners, &options, (1, first), Duration::ZERO)?;
    empty_drives(&instance, &mut owners)?;
    let start = Moment::new(settled(&instance, None)?, times);
    let (mut owners, times) =
        work(&shared, owners, &options, (2, all.saturating_sub(first)), first)?;
    empty_drives(&instance, &mut owners)?;
    let end = Moment::new(settled(&instance, Some(&start.usage))?, times);

    let mut kept = 0;
    for owner in &mut owners {
        kept += owner.verify_all(&shared)?;
    }
    instance.restart()?;
    let again = Arc::new(Shared::new(instance.portal(), instance.target()));
    let mut kept_again = 0;
    for owner in &mut owners {
        kept_again += owner.verify_all(&again)?;
    }
    let report = Report { start, end, counts: shared.counts(), kept, kept_again };
    report.print();
    instance.end()?;
    report.verdict()
}

/// All sessions for a while; the times of commands in the last part of it, or in all of it.
fn work(
    shared: &Arc<Shared>,
    owners: Vec<Owner>,
    options: &Options,
    (round, duration): (u64, Duration),
    last: Duration,
) -> anyhow::Result<(Vec<Owner>, Times)> {
    shared.begin();
    let end = Instant::now() + duration;
    let mut owning = Vec::new();
    for mut owner in owners {
        let shared = Arc::clone(shared);
        owning.push(thread::spawn(move || {
            let result = owner.work(&shared);
            shared.note_failure(result, "the owner of a drive");
            owner
        }));
    }
    let mut asking = Vec::new();
    for number in DRIVES..options.sessions {
        let (shared, seed) = (Arc::clone(shared), options.seed ^ round << 32);
        asking.push(thread::spawn(move || {
            let result = if number == DRIVES {
                others::reset(&shared, seed)
            } else {
                others::ask(&shared, number, seed)
            };
            shared.note_failure(result, "one of the others");
        }));
    }
    let window = end.checked_sub(last).filter(|_| !last.is_zero());
    wait_until(shared, window.unwrap_or_else(Instant::now));
    shared.take_times();
    wait_until(shared, end);
    let times = shared.take_times();
    shared.stop();
    let owners = owning.into_iter().map(thread::JoinHandle::join).collect::<Result<Vec<_>, _>>();
    for handle in asking {
        if handle.join().is_err() {
            bail!("a session's thread panicked");
        }
    }
    shared.verdict()?;
    match owners {
        Ok(owners) => Ok((owners, times)),
        Err(_) => bail!("the thread of a drive's owner panicked"),
    }
}

fn wait_until(shared: &Shared, when: Instant) {
    while Instant::now() < when && !shared.is_over() {
        thread::sleep(Duration::from_millis(100));
    }
}

/// How many threads and files a loaded cartridge has depends on what was done with it last: there is none when it is measured.
fn empty_drives(instance: &Instance, owners: &mut [Owner]) -> anyhow::Result<()> {
    for (drive, owner) in owners.iter_mut().enumerate() {
        if owner.give_up_cartridge() {
            instance.unload(drive)?;
        }
    }
    Ok(())
}

/// What the daemon uses once its sessions have ended; if it has to come back to something, what is left after a while.
fn settled(instance: &Instance, before: Option<&Usage>) -> anyhow::Result<Usage> {
    let begin = Instant::now();
    loop {
        let usage = instance.usage()?;
        let is_enough = match before {
            Some(before) => usage.is_back(before),
            None => begin.elapsed() > Duration::from_secs(3),
        };
        if is_enough || begin.elapsed() > SETTLE_LIMIT {
            return Ok(usage);
        }
        thread::sleep(Duration::from_millis(100));
    }
}
