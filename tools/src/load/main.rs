//! `vtl-load`: writes blocks to a loaded drive through real TCP, reads them back, verifies each byte, and says how fast it was
//! beside two yardsticks of the same sizes in the same run: a bare loopback exchange, and one whose server also keeps the data
//! in a file.

#[path = "../initiator.rs"]
mod initiator;
mod raw;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Parser;

use crate::initiator::Initiator;
use crate::raw::{Direction, Scratch};

const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;
const UNIT_ATTENTION: u8 = 6;

const WORDS: [&str; 31] = [
    "the",
    "backup",
    "of",
    "a",
    "volume",
    "was",
    "written",
    "to",
    "tape",
    "and",
    "verified",
    "in",
    "session",
    "library",
    "drive",
    "error",
    "block",
    "file",
    "mark",
    "is",
    "not",
    "ready",
    "host",
    "cartridge",
    "at",
    "position",
    "with",
    "request",
    "complete",
    "from",
    "server",
];

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
    /// What the blocks hold: what a drive cannot compress, what it compresses to a half or a third, or nothing.
    #[arg(long, value_enum, default_value_t = Data::Random)]
    data: Data,
    /// Commands under way at once.
    #[arg(long, default_value_t = 1)]
    queue_depth: usize,
    /// Do not read once more to compare what was written.
    #[arg(long)]
    no_verify: bool,
    /// Measure the drive only.
    #[arg(long)]
    no_yardsticks: bool,
    /// Where the yardstick's file is made: on the file system that holds the cartridges.
    #[arg(long, default_value = ".")]
    scratch: PathBuf,
    /// Take the yardstick's file out of the page cache before it is read.
    #[arg(long)]
    cold: bool,
}

/// What the blocks hold.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Data {
    Random,
    Text,
    Zero,
}

/// One measurement.
struct Sample {
    mb_per_second: f64,
    times: Vec<Duration>,
}

/// All measurements of one command at one block size.
#[derive(Default)]
struct Samples {
    bare: Vec<f64>,
    with_file: Vec<f64>,
    drive: Vec<f64>,
    times: Vec<Duration>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Several may run at once, each its own initiator.
    let name = format!("iqn.2026-11.io.vtl:load.{}", std::process::id());
    let mut initiator = Initiator::login(&options.portal, &name, &options.target)?;
    ready(&mut initiator, options.lun)?;
    let scratch = Scratch::new(&options.scratch)?;
    print_heading(&options);
    for kib in &options.blocks {
        let block_bytes = kib * 1024;
        let count = (options.mib * 1024 / kib).max(1);
        let (mut writes, mut reads) = (Samples::default(), Samples::default());
        for _ in 0..options.rounds {
            rewind(&mut initiator, options.lun)?;
            scratch.clear()?;
            writes.measure_yardsticks(Direction::Write, block_bytes, count, &options, &scratch)?;
            writes.add(write(&mut initiator, &options, block_bytes, count)?);
            if options.cold {
                scratch.cool()?;
            }
            reads.measure_yardsticks(Direction::Read, block_bytes, count, &options, &scratch)?;
            rewind(&mut initiator, options.lun)?;
            reads.add(read(&mut initiator, &options, block_bytes, count)?);
            if !options.no_verify {
                rewind(&mut initiator, options.lun)?;
                verify(&mut initiator, &options, block_bytes, count)?;
            }
        }
        writes.print(*kib, "WRITE");
        reads.print(*kib, "READ");
    }
    initiator.logout()
}

impl Samples {
    /// The same sizes without a drive. Taken each time anew: what else the machine does changes.
    fn measure_yardsticks(
        &mut self,
        direction: Direction,
        block_bytes: usize,
        count: usize,
        options: &Options,
        scratch: &Scratch,
    ) -> anyhow::Result<()> {
        if options.no_yardsticks {
            return Ok(());
        }
        let bytes = block_bytes * count;
        let bare = raw::exchanges(direction, block_bytes, count, None)?;
        self.bare.push(mb(bytes) / bare.as_secs_f64());
        let with_file = raw::exchanges(direction, block_bytes, count, Some(scratch))?;
        self.with_file.push(mb(bytes) / with_file.as_secs_f64());
        Ok(())
    }

    fn add(&mut self, sample: Sample) {
        self.drive.push(sample.mb_per_second);
        self.times.extend(sample.times);
    }

    #[allow(clippy::print_stdout, reason = "the table is what the tool is for")]
    fn print(self, kib: usize, name: &str) {
        let (lowest, highest) = spread(&self.drive);
        let (bare, with_file, drive) =
            (median(self.bare), median(self.with_file), median(self.drive));
        let (p50, p99) = percentiles(self.times);
        println!(
            "{kib:>4}k   {name:<7} {bare:>9.0} {with_file:>9.0} {drive:>11.0} {lowest:>6.0}-{highest:<6.0} {:>8.2} {:>8.2} {p50:>8} {p99:>8}",
            drive / bare,
            drive / with_file,
        );
    }
}

#[allow(clippy::print_stdout, reason = "the table is what the tool is for")]
fn print_heading(options: &Options) {
    println!(
        "{} MiB, {} rounds, queue depth {}; the yardstick's file is read {}",
        options.mib,
        options.rounds,
        options.queue_depth,
        if options.cold { "from the disk" } else { "from the page cache" },
    );
    println!(
        "block   command  raw MB/s file MB/s  drive MB/s (spread)    of raw  of file   p50 us   p99 us"
    );
}

/// Writes blocks that are all different, and a filemark. Memory is used again: fresh memory would be measured instead.
fn write(
    initiator: &mut Initiator,
    options: &Options,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<Sample> {
    let [_, high, middle, low] = u32::try_from(block_bytes)?.to_be_bytes();
    let cdb = [0x0a, 0, high, middle, low, 0];
    let mut spare = vec![content(options.data, block_bytes); options.queue_depth.max(1)];
    let (mut times, mut started) = (Vec::with_capacity(count), HashMap::new());
    let begin = Instant::now();
    for number in 0..count {
        if spare.is_empty() {
            spare.push(finish(initiator, &mut started, &mut times)?);
        }
        let Some(mut data) = spare.pop() else { bail!("no memory to write from") };
        stamp(&mut data, number);
        let start = Instant::now();
        let tag = initiator.send(options.lun, &cdb, data, 0)?;
        started.insert(tag, start);
    }
    while !started.is_empty() {
        spare.push(finish(initiator, &mut started, &mut times)?);
    }
    // The filemark is the sync point: without it, some of the data is only in the drive's buffer.
    good(&initiator.run(options.lun, &[0x10, 0, 0, 0, 1, 0], Vec::new(), 0)?)?;
    Ok(Sample { mb_per_second: mb(block_bytes * count) / begin.elapsed().as_secs_f64(), times })
}

/// Reads, one command after the other without a pause in which the drive could get ahead.
fn read(
    initiator: &mut Initiator,
    options: &Options,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<Sample> {
    let mut times = Vec::with_capacity(count);
    let begin = Instant::now();
    for _ in 0..count {
        let start = Instant::now();
        let data = read_one(initiator, options.lun, block_bytes)?;
        times.push(start.elapsed());
        initiator.recycle(data);
    }
    Ok(Sample { mb_per_second: mb(block_bytes * count) / begin.elapsed().as_secs_f64(), times })
}

/// Reads once more, and compares each byte; that takes the time of the client, and so is not measured.
fn verify(
    initiator: &mut Initiator,
    options: &Options,
    block_bytes: usize,
    count: usize,
) -> anyhow::Result<()> {
    let mut expected = content(options.data, block_bytes);
    for number in 0..count {
        let data = read_one(initiator, options.lun, block_bytes)?;
        stamp(&mut expected, number);
        ensure!(data == expected, "block {number} is not what was written");
        initiator.recycle(data);
    }
    Ok(())
}

fn read_one(initiator: &mut Initiator, lun: u64, block_bytes: usize) -> anyhow::Result<Vec<u8>> {
    let [_, high, middle, low] = u32::try_from(block_bytes)?.to_be_bytes();
    let cdb = [0x08, 0, high, middle, low, 0];
    let done = initiator.run(lun, &cdb, Vec::new(), u32::try_from(block_bytes)?)?;
    good(&done)?;
    Ok(done.data)
}

/// Waits for a command; its memory comes back.
fn finish(
    initiator: &mut Initiator,
    started: &mut HashMap<u32, Instant>,
    times: &mut Vec<Duration>,
) -> anyhow::Result<Vec<u8>> {
    let done = initiator.wait()?;
    good(&done)?;
    if let Some(start) = started.remove(&done.tag) {
        times.push(start.elapsed());
    }
    Ok(done.data_out)
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

fn content(data: Data, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    match data {
        Data::Zero => bytes.resize(length, 0),
        // No compression makes it smaller.
        Data::Random => {
            let words = random().map(u64::to_le_bytes);
            bytes.extend(words.take(length.div_ceil(8)).flatten());
        }
        // Words and numbers, as in a log: zstd's first level makes two fifths of it.
        Data::Text => {
            for value in random() {
                if bytes.len() >= length {
                    break;
                }
                if let Some(word) = WORDS.get(usize::from(value.to_le_bytes()[7] % 64)) {
                    bytes.extend(word.bytes());
                } else {
                    bytes.extend((value >> 40).to_string().bytes());
                }
                bytes.push(b' ');
            }
        }
    }
    bytes.truncate(length);
    bytes
}

/// xorshift64*.
fn random() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// Each block is another one.
fn stamp(block: &mut [u8], number: usize) {
    for (to, from) in block.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn spread(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(*value), high.max(*value)))
}

fn percentiles(mut times: Vec<Duration>) -> (u128, u128) {
    times.sort();
    let at = |percent: usize| {
        times.get(times.len().saturating_sub(1) * percent / 100).map_or(0, Duration::as_micros)
    };
    (at(50), at(99))
}
