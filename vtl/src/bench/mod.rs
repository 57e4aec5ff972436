//! `vtl bench`: how fast a library would be on this machine and this disk, beside what the network and the disk can do alone.
//!
//! It is a library of its own in a directory that is removed afterwards; no cartridge of anybody is touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::{Value, json};
use vtl_media::LibrarySpec;
use vtl_media::disk::{Disk, RealDisk, read_sequentially, write_sequentially};

use crate::measure::{Direction, Tape, exchanges, incompressible, mb, median, percentiles};
use crate::request::{Failure, NewTapes, Request};
use crate::stage::Stage;

const BARCODE: &str = "BENCH1L9";
const INITIATOR: &str = "iqn.2026-11.io.vtl:bench";
/// LUN of the only drive; the changer is LUN 0.
const LUN: u64 = 1;
/// Blocks that are looked for in each round.
const LOCATES: u64 = 50;
/// What has to be free beside what is written: segments are made ahead.
const SPARE_BYTES: u64 = 1 << 30;

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchOptions {
    /// Where: on the file system that is to be measured (default: that of the data directory).
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// MiB to write and read at each block size and round.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) mib: u32,
    /// Rounds; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Block sizes in KiB.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1024],
        value_parser = clap::value_parser!(u32).range(1..=8192), value_name = "KIB")]
    pub(crate) blocks: Vec<u32>,
}

/// All rounds of one command at one block size.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    loopback: Vec<f64>,
    disk: Vec<f64>,
    times: Vec<Duration>,
}

/// Measures. The answer is a row for each block size and command.
pub(crate) fn run(data: &Path, options: &BenchOptions) -> Result<Value, Failure> {
    let parent = options.directory.clone().unwrap_or_else(|| nearest(data));
    let needed = (u64::from(options.mib) << 20).saturating_mul(3).saturating_add(SPARE_BYTES);
    let free = RealDisk
        .free_bytes(&parent)
        .map_err(|error| Failure::not_found(format!("{}: {error}", parent.display())))?;
    if free < needed {
        return Err(Failure::refused(format!(
            "{} MB are free in {}, and {} are needed: --mib {} writes less, --directory names another file system",
            free / 1_000_000,
            parent.display(),
            needed / 1_000_000,
            options.mib / 2,
        )));
    }
    measure(&parent, options).map_err(|error| Failure::failed(format!("{error:#}")))
}

fn measure(parent: &Path, options: &BenchOptions) -> anyhow::Result<Value> {
    let is_given_up = Arc::new(AtomicBool::new(false));
    let spec = LibrarySpec { drives: 1, cartridges: Vec::new(), ..LibrarySpec::default() };
    let stage = Stage::open(parent, "vtl-bench-", (spec, Arc::default()), &is_given_up)?;
    let mut rows = Vec::new();
    for kib in &options.blocks {
        let (mut writes, mut reads, mut locates) = Default::default();
        for _ in 0..options.rounds {
            round(
                (&stage, &is_given_up),
                *kib,
                options.mib,
                [&mut writes, &mut reads, &mut locates],
            )?;
        }
        rows.push(writes.row(*kib, "WRITE"));
        rows.push(reads.row(*kib, "READ"));
        rows.push(locates.row(*kib, "LOCATE, READ"));
    }
    stage.close()?;
    Ok(Value::Array(rows))
}

/// Writes a fresh cartridge, reads it, and looks for blocks of it, each beside its yardsticks.
fn round(
    (stage, is_given_up): (&Stage, &Arc<AtomicBool>),
    kib: u32,
    mib: u32,
    into: [&mut Rounds; 3],
) -> anyhow::Result<()> {
    let [writes, reads, locates] = into;
    let pattern = incompressible(usize::try_from(kib)? << 10);
    let count = usize::try_from((u64::from(mib) << 10) / u64::from(kib))?.max(1);
    let bytes = pattern.len() * count;
    let file = stage.directory().join("yardstick");
    let rate = |bytes: usize, took: Duration| mb(bytes) / took.as_secs_f64();

    let mut tape = load(stage)?.until(Arc::clone(is_given_up));
    writes.loopback.push(rate(bytes, exchanges(Direction::Write, pattern.len(), count, None)?));
    let (length, took) = write_sequentially(&RealDisk, &file, bytes as u64)?;
    writes.disk.push(rate(usize::try_from(length)?, took));
    let written = tape.write(&pattern, count)?;
    writes.rates.push(written.mb_per_second);
    writes.times.extend(written.times);

    reads.loopback.push(rate(bytes, exchanges(Direction::Read, pattern.len(), count, None)?));
    let (length, took) = read_sequentially(&RealDisk, &file)?;
    reads.disk.push(rate(usize::try_from(length)?, took));
    RealDisk.remove(&file)?;
    tape.rewind()?;
    let read = tape.read(pattern.len(), count)?;
    reads.rates.push(read.mb_per_second);
    reads.times.extend(read.times);

    // Far apart and in no order (a multiplicative hash).
    let blocks = (1..=LOCATES).map(|turn| usize::try_from(turn * 2_654_435_761 % count as u64));
    locates.times.extend(tape.locate(&pattern, &blocks.collect::<Result<Vec<_>, _>>()?)?);
    unload(stage, tape)
}

/// A fresh cartridge in the drive, and a session with it.
fn load(stage: &Stage) -> anyhow::Result<Tape> {
    stage.ask(Request::TapeCreate(NewTapes {
        barcodes: vec![BARCODE.to_owned()],
        count: 1,
        media_type: "lto9".to_owned(),
        ..NewTapes::default()
    }))?;
    stage.ask(Request::Load { barcode: BARCODE.to_owned(), drive: 0, library: None })?;
    Tape::attach(&stage.portal(), INITIATOR, stage.target(), LUN)
}

/// Ends the session, and deletes the cartridge: the next round finds the disk as this one did.
fn unload(stage: &Stage, tape: Tape) -> anyhow::Result<()> {
    tape.detach()?;
    stage.ask(Request::Unload { drive: 0, library: None })?;
    stage.ask(Request::TapeDelete { barcodes: vec![BARCODE.to_owned()], force: true })
}

impl Rounds {
    fn row(self, kib: u32, command: &str) -> Value {
        let is_rate = !self.rates.is_empty();
        let (own, loopback, disk) = (median(self.rates), median(self.loopback), median(self.disk));
        let (p50, p99) = percentiles(self.times);
        let rate = |value: f64| is_rate.then(|| whole(value));
        let ratio = |of: f64| (is_rate && of > 0.0).then(|| (own / of * 100.0).round() / 100.0);
        json!({
            "block_kib": kib,
            "command": command,
            "mb_s": rate(own),
            "p50_us": u64::try_from(p50).ok(),
            "p99_us": u64::try_from(p99).ok(),
            "loopback_mb_s": rate(loopback),
            "of_loopback": ratio(loopback),
            "disk_mb_s": rate(disk),
            "of_disk": ratio(disk),
        })
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a figure for people")]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

/// The directory itself, or the nearest one above it that is there: on its file system, or on that on which it would be made.
fn nearest(directory: &Path) -> PathBuf {
    let is_there = |path: &&Path| RealDisk.exists(path).unwrap_or(false);
    directory
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .find(is_there)
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
