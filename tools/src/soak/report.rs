//! The table at the end, and whether it is good.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use vtl::measure::percentiles;

use crate::host::{Counts, Times};
use crate::instance::Usage;

/// What the machine's other work may add to a median and to the slowest of a hundred, in microseconds.
const NOISE_MICROS: (u128, u128) = (200, 20_000);

/// What was measured at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    pub(crate) usage: Usage,
    /// Median and 99th percentile in microseconds.
    ready: (u128, u128),
    write: (u128, u128),
    count: (usize, usize),
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    pub(crate) counts: &'a Counts,
    /// Objects that were there at the end, and after a restart.
    pub(crate) kept: usize,
    pub(crate) kept_again: usize,
}

impl Moment {
    pub(crate) fn new(usage: Usage, times: Times) -> Self {
        let count = (times.ready.len(), times.write.len());
        let sorted = |times: Vec<Duration>| percentiles(times);
        Self { usage, ready: sorted(times.ready), write: sorted(times.write), count }
    }
}

impl Report<'_> {
    #[allow(clippy::print_stdout, reason = "the table is what the tool is for")]
    pub(crate) fn print(&self) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { written, read, asked, moves, logins, cuts, resets } = self.counts;
        println!(
            "{} blocks of 64 KiB written, {} read and compared, {} questions, {} moves, {} logins, {} connections cut, {} resets",
            get(written),
            get(read),
            get(asked),
            get(moves),
            get(logins),
            get(cuts),
            get(resets),
        );
        println!(
            "{} objects that filemarks acknowledged are there, and {} after a restart; 0 lost",
            self.kept, self.kept_again
        );
        let (one, two) = (&self.start, &self.end);
        let row = |name: &str, one: String, two: String| println!("{name:<32} {one:>14} {two:>14}");
        row("", "at the start".into(), "at the end".into());
        let mib = |moment: &Moment| format!("{} MiB", moment.usage.resident_bytes >> 20);
        row("memory", mib(one), mib(two));
        row("descriptors", one.usage.descriptors.to_string(), two.usage.descriptors.to_string());
        row("threads", one.usage.threads.to_string(), two.usage.threads.to_string());
        let times = |(median, slowest): (u128, u128)| format!("{median}/{slowest} us");
        row("TEST UNIT READY median/p99", times(one.ready), times(two.ready));
        row("WRITE of 64 KiB median/p99", times(one.write), times(two.write));
        let samples = |moment: &Moment| format!("{}, {}", moment.count.0, moment.count.1);
        row("measured", samples(one), samples(two));
    }

    /// An error if the end is not as the start.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let (one, two) = (&self.start, &self.end);
        ensure!(self.kept == self.kept_again, "a restart has changed what is there");
        ensure!(
            two.usage.is_back(&one.usage),
            "memory, descriptors or threads grow: {:?} and {:?}",
            one.usage,
            two.usage
        );
        for (name, one, two) in
            [("TEST UNIT READY", one.ready, two.ready), ("WRITE", one.write, two.write)]
        {
            let is_as_fast =
                two.0 <= 2 * one.0 + NOISE_MICROS.0 && two.1 <= 3 * one.1 + NOISE_MICROS.1;
            ensure!(is_as_fast, "{name} gets slower: {one:?} and {two:?} us");
        }
        ensure!(two.count.0 > 0 && two.count.1 > 0, "too short a time to measure anything");
        Ok(())
    }
}
