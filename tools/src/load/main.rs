//! `vtl-load`: writes blocks to a loaded drive through real TCP, reads them back, verifies each byte, and says how fast it was
//! beside a bare loopback exchange of the same sizes in the same run.

#[path = "../initiator.rs"]
mod initiator;
mod raw;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Parser;

use crate::initiator::Initiator;
use crate::raw::Direction;

const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;
const UNIT_ATTENTION: u8 = 6;

/// Measures and verifies a tape drive over iSCSI. The cartridge in it is overwritten.
#[derive(Debug, Parser)]
struct Options {
    /// Where the target listens.
    #[arg(long, default_value = "127.0.0.1:3260")]
    portal: String,
    /// The target's name.
    #[arg(long)]
    target: String,
    /// The drive's logical unit.
    #[arg(long, default_value_t = 1)]
    lun: u64,
    /// Block sizes in KiB.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1024])]
    blocks: Vec<usize>,
    /// MiB to write and read at each block size and round.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Rounds; each alternates between the yardstick and the drive, and the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Commands under way at once.
    #[arg(long, default_value_t = 1)]
    queue_depth: usize,
    /// Do not compare what is read.
    #[arg(long)]
    no_verify: bool,
}

/// One measurement.
struct Sample {
    mb_per_second: f64,
    times: Vec<Duration>,
}

#[allow(clippy::print_stdout, reason = "the table is what the tool is for")]
fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Several may run at once, each its own initiator.
    let name = format!("iqn.2026-11.io.vtl:load.{}", std::process::id());
    let mut initiator = Initiator::login(&options.portal, &name, &options.target)?;
    ready(&mut initiator, options.lun)?;
    println!(
        "block   command  raw MB/s  drive MB/s  ratio   p50 us   p99 us   (queue depth {})",
        options.queue_depth
    );
    for kib in &options.blocks {
        let block_bytes = kib * 1024;
        let count = (options.mib * 1024 / kib).max(1);
        let mut samples: HashMap<&str, (Vec<f64>, Vec<Sample>)> = HashMap::new();
        for _ in 0..options.rounds {
            rewind(&mut initiator, options.lun)?;
            for (name, direction) in [("WRITE", Direction::Write), ("READ", Direction::Read)] {
                let bare = rate(block_bytes, &raw::exchanges(direction, block_bytes, count)?);
                let sample = match direction {
                    Direction::Write => write(&mut initiator, &options, block_bytes, count)?,
                    Direction::Read => {
                        rewind(&mut initiator, options.lun)?;
                        read(&mut initiator, &options, block_bytes, count)?
                    }
                };
                let entry = samples.entry(name).or_default();
                entry.0.push(bare);
                entry.1.push(sample);
            }
        }
        for name in ["WRITE", "READ"] {
            let Some((bare, drive)) = samples.remove(name) else { continue };
            let bare = median(bare);
            let speed = median(drive.iter().map(|sample| sample.mb_per_second).collect());
            let times = drive.into_iter().flat_map(|sample| sample.times).collect();
            let (p50, p99) = percentiles(times);
            println!(
                "{kib:>4}k   {name:<7} {bare:>9.0} {speed:>11.0} {:>6.2} {p50:>8} {p99:>8}",
                speed / bare
            );
        }
    }
    initiator.logout()
}

fn write(
    initiator: &mut Initiator,
    options: &Options,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<Sample> {
    let [_, high, middle, low] = u32::try_from(block_bytes)?.to_be_bytes();
    let cdb = [0x0a, 0, high, middle, low, 0];
    let mut template = incompressible(block_bytes);
    let (mut times, mut started) = (Vec::with_capacity(count), HashMap::new());
    let begin = Instant::now();
    for number in 0..count {
        stamp(&mut template, number);
        // A fresh buffer a command would measure the allocator; the clone is outside the command's time.
        let data = template.clone();
        let start = Instant::now();
        let tag = initiator.send(options.lun, &cdb, data, 0)?;
        started.insert(tag, start);
        if started.len() >= options.queue_depth {
            finish(initiator, &mut started, &mut times)?;
        }
    }
    while !started.is_empty() {
        finish(initiator, &mut started, &mut times)?;
    }
    // The filemark is the sync point: without it, some of the data is only in the drive's buffer.
    good(&initiator.run(options.lun, &[0x10, 0, 0, 0, 1, 0], Vec::new(), 0)?)?;
    Ok(Sample { mb_per_second: mb(block_bytes * count) / begin.elapsed().as_secs_f64(), times })
}

fn read(
    initiator: &mut Initiator,
    options: &Options,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<Sample> {
    let [_, high, middle, low] = u32::try_from(block_bytes)?.to_be_bytes();
    let cdb = [0x08, 0, high, middle, low, 0];
    let mut expected = incompressible(block_bytes);
    let mut times = Vec::with_capacity(count);
    let mut spent = Duration::ZERO;
    for number in 0..count {
        let start = Instant::now();
        let done = initiator.run(options.lun, &cdb, Vec::new(), u32::try_from(block_bytes)?)?;
        let took = start.elapsed();
        spent += took;
        times.push(took);
        good(&done)?;
        if !options.no_verify {
            stamp(&mut expected, number);
            ensure!(done.data == expected, "block {number} is not what was written");
        }
        initiator.recycle(done.data);
    }
    Ok(Sample { mb_per_second: mb(block_bytes * count) / spent.as_secs_f64(), times })
}

fn finish(
    initiator: &mut Initiator,
    started: &mut HashMap<u32, Instant>,
    times: &mut Vec<Duration>,
) -> anyhow::Result<()> {
    let done = initiator.wait()?;
    good(&done)?;
    if let Some(start) = started.remove(&done.tag) {
        times.push(start.elapsed());
    }
    Ok(())
}

/// Takes what there is of unit attentions, until the drive is ready.
fn ready(initiator: &mut Initiator, lun: u64) -> anyhow::Result<()> {
    for _ in 0..16 {
        let done = initiator.run(lun, &[0; 6], Vec::new(), 0)?;
        match (done.status, done.sense.get(2).map(|key| key & 0x0f)) {
            (GOOD, _) => return Ok(()),
            (CHECK_CONDITION, Some(UNIT_ATTENTION)) => {}
            _ => return good(&done),
        }
    }
    bail!("the drive does not become ready")
}

fn rewind(initiator: &mut Initiator, lun: u64) -> anyhow::Result<()> {
    good(&initiator.run(lun, &[0x01, 0, 0, 0, 0, 0], Vec::new(), 0)?)
}

fn good(done: &initiator::Done) -> anyhow::Result<()> {
    if done.status == GOOD {
        return Ok(());
    }
    let byte = |at: usize| done.sense.get(at).copied().unwrap_or(0);
    bail!(
        "status {:02x}, sense {:x}/{:02x}/{:02x}",
        done.status,
        byte(2) & 0x0f,
        byte(12),
        byte(13)
    )
}

/// Bytes that no compression makes smaller (xorshift64*).
fn incompressible(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Each block is another one.
fn stamp(block: &mut [u8], number: usize) {
    for (to, from) in block.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
}

fn rate(block_bytes: usize, times: &[Duration]) -> f64 {
    mb(block_bytes * times.len()) / times.iter().sum::<Duration>().as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn percentiles(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort();
    let at = |percent: usize| {
        times.get(times.len().saturating_sub(1) * percent / 100).map_or(0, Duration::as_micros)
    };
    (at(50), at(99))
}
