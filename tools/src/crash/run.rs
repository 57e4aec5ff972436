//! Workload after workload, and the cuts that come of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};

use anyhow::{Context, anyhow};
use vtl_media::disk::{FaultDisk, MemoryDisk};

use crate::check;
use crate::cut::{self, Cut, Rate};
use crate::host::{Host, load_options};
use crate::workload::{Workload, lock};
use vtl_tools::random::Random;

/// Commands of one workload.
const COMMANDS: u32 = 70;
/// Power cuts in one workload, at most; each can bring two more while it is recovered from.
const CUTS_PER_WORKLOAD: u64 = 60;
/// Cuts that wait to be checked.
const WAITING_CUTS: usize = 16;

/// What is to be run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many power cuts, at least.
    pub(crate) cuts: u64,
    pub(crate) seed: u64,
    /// Only this workload of the seed.
    pub(crate) workload: Option<u64>,
    /// How many cuts are checked at the same time.
    pub(crate) jobs: usize,
    /// What the disk under the work does wrong. Checks are made on a disk that does everything right.
    pub(crate) prepare: fn(&FaultDisk),
}

/// What was run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) cuts: u64,
    pub(crate) workloads: u64,
}

/// What all threads share.
#[derive(Debug, Default)]
struct Run {
    cuts: AtomicU64,
    is_over: AtomicBool,
    failure: Mutex<Option<String>>,
}

/// Runs a plan. An error says which workload shows it again.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Summary> {
    let run = Run::default();
    let (sender, receiver) = mpsc::sync_channel::<(u64, Cut)>(WAITING_CUTS);
    let receiver = Mutex::new(receiver);
    let workloads = std::thread::scope(|scope| {
        let (run, receiver) = (&run, &receiver);
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(move || check_cuts(run, receiver));
        }
        // It takes the only sender with it: those who check end when there is no more to come.
        work(run, plan, &{ sender })
    });
    match lock(&run.failure).take() {
        Some(failure) => Err(anyhow!("seed {}, {failure}", plan.seed)),
        None => Ok(Summary { cuts: run.cuts.load(Ordering::Relaxed), workloads }),
    }
}

/// One workload after the other, until there have been enough cuts.
fn work(run: &Run, plan: &Plan, sender: &SyncSender<(u64, Cut)>) -> u64 {
    let first = plan.workload.unwrap_or(0);
    let last = plan.workload.unwrap_or(u64::MAX);
    for number in first..=last {
        let is_enough = run.cuts.load(Ordering::Relaxed) >= plan.cuts;
        if run.is_over.load(Ordering::Relaxed) || is_enough && plan.workload.is_none() {
            return number - first;
        }
        if let Err(error) = workload(plan, number, sender) {
            run.fail(number, &error);
        }
    }
    1
}

/// The work on one library.
fn workload(plan: &Plan, number: u64, sender: &SyncSender<(u64, Cut)>) -> anyhow::Result<()> {
    let mut random = Random::new(plan.seed, number);
    let alignment = random.pick(&[1, 512, 4096]).unwrap_or(1);
    let memory = MemoryDisk::new().with_alignment(alignment);
    Host::install(Arc::new(memory.clone()), random.next()).context("making the library")?;
    let disk = FaultDisk::over(memory.clone());
    let host = Host::boot(Arc::new(disk.clone()), load_options(), random.next())?;
    (plan.prepare)(&disk);
    let mut workload = Workload::new(&host, random.next(), host.places()?);
    let rate = Rate { syncs_percent: 50, others_percent: 5, limit: CUTS_PER_WORKLOAD };
    let (own, cuts) = mpsc::sync_channel(0);
    let cut_seed = random.next();
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            for cut in cuts {
                drop(sender.send((number, cut)));
            }
        });
        cut::watch(&disk, memory, workload.promise(), cut_seed, rate, own, false);
        let result = workload.run(COMMANDS);
        // The watcher holds the channel.
        disk.watch(Arc::new(|_, _| {}));
        result
    });
    if let Some(failed) = result? {
        return Err(anyhow!("{failed:?}"));
    }
    host.shut_down()
}

fn check_cuts(run: &Run, receiver: &Mutex<Receiver<(u64, Cut)>>) {
    loop {
        let next = lock(receiver).recv();
        let Ok((number, cut)) = next else { return };
        if run.is_over.load(Ordering::Relaxed) {
            continue;
        }
        match check::check(cut) {
            Ok(count) => drop(run.cuts.fetch_add(count, Ordering::Relaxed)),
            Err(error) => run.fail(number, &error),
        }
    }
}

impl Run {
    fn fail(&self, workload: u64, error: &anyhow::Error) {
        self.is_over.store(true, Ordering::Relaxed);
        lock(&self.failure).get_or_insert_with(|| {
            format!("workload {workload} (--workload {workload}): {error:#}")
        });
    }
}

#[cfg(test)]
mod tests {
    use vtl_media::disk::{Call, Fault, Reaction};

    use super::*;

    fn plan(cuts: u64, prepare: fn(&FaultDisk)) -> Plan {
        Plan { cuts, seed: 20_261_124, workload: None, jobs: 2, prepare }
    }

    #[test]
    fn nothing_acknowledged_is_lost() {
        let summary = run(&plan(150, |_| {})).unwrap();
        assert!(summary.cuts >= 150, "{summary:?}");
    }

    /// A disk that says it has synced and has not: if that is not found, nothing would be.
    fn finds(prepare: fn(&FaultDisk), expected: &str) {
        let failure = format!("{:#}", run(&plan(3000, prepare)).unwrap_err());
        assert!(failure.contains(expected), "{failure}");
    }

    #[test]
    fn blocks_that_were_not_synced_are_missed() {
        finds(
            |disk| disk.inject(Fault::forever(Call::SyncData, ".seg", Reaction::Lose)),
            // Either the tape is short, or it says itself that its end is missing.
            "cut before",
        );
    }

    #[test]
    fn moves_that_were_not_synced_are_missed() {
        finds(
            |disk| disk.inject(Fault::forever(Call::SyncData, ".log", Reaction::Lose)),
            // Either a move is gone, or the ledger goes on behind entries that are.
            "cut before",
        );
    }

    #[test]
    fn segments_whose_names_were_not_synced_are_missed() {
        finds(
            |disk| disk.inject(Fault::forever(Call::SyncDir, "journal", Reaction::Lose)),
            "cut before",
        );
    }

    #[test]
    fn lost_writes_of_blocks_are_found() {
        finds(
            |disk| {
                disk.inject(Fault::once(Call::Write, ".seg", Reaction::Lose).after(20));
            },
            "workload",
        );
    }
}
