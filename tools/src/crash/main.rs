//! `vtl-crash`: the library, its drives and its changer, without sockets and on a disk in memory, are given random work; the power
//! is cut before every sync and at random moments between, and after each cut everything that was acknowledged has to be there.
//!
//! A cut is a copy of the disk at that moment, so one run of the work gives many of them. What was written and not synced is
//! then torn at random, 512 bytes by 512 bytes and name by name.
//!
//! With `--faults`, every call to the disk fails in turn instead, in every way, and no command may be answered GOOD for what
//! was not done.
//!
//! All of it follows from the seed, but for one thing: the thread that writes a cartridge's journal and the drive's own take
//! turns as the scheduler likes while neither waits for the other. A failure that depends on that may need a few runs of its
//! workload to show again.

mod check;
mod command;
mod cut;
mod every_call;
mod faults;
mod flips;
mod host;
mod promise;
mod run;
mod sites;
mod tape;
mod workload;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use crate::run::{Plan, run};

/// Cuts the power under a working library again and again, and checks that nothing acknowledged is lost.
#[derive(Debug, Parser)]
struct Options {
    /// How many power cuts, at least.
    #[arg(long, default_value_t = 1000)]
    cuts: u64,
    /// What everything follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this workload of the seed: to repeat a failure.
    #[arg(long)]
    workload: Option<u64>,
    /// How many cuts are checked at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Instead of cutting the power, let every call to the disk fail in turn, in every way.
    #[arg(long)]
    faults: bool,
    /// Instead of cutting the power, spoil a cartridge: flip every bit in turn, lose and misplace every sector.
    #[arg(long)]
    flips: bool,
    /// Let only every so-manieth call fail, or flip only every so-manieth bit.
    #[arg(long, default_value_t = 1)]
    stride: u64,
}

#[allow(clippy::print_stdout, reason = "the last line is the result")]
fn main() -> ExitCode {
    let options = Options::parse();
    let start = Instant::now();
    let result = if options.faults {
        every_call::run(options.seed, options.stride).map(|report| report.to_string())
    } else if options.flips {
        flips::run(options.seed, options.stride).map(|report| report.to_string())
    } else {
        let Options { cuts, seed, workload, jobs, .. } = options;
        run(&Plan { cuts, seed, workload, jobs, prepare: |_| {} }).map(|summary| {
            format!(
                "seed {seed}: {} power cuts in {} workloads, 0 lost",
                summary.cuts, summary.workloads
            )
        })
    };
    match result {
        Ok(report) => {
            println!("{report}, {:.1} s", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("crash: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
