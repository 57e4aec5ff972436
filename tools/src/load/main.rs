//! `vtl-load`: writes blocks to a loaded drive through real TCP, reads them back, verifies each byte, and says how fast it was
//! beside two yardsticks of the same sizes in the same run: a bare loopback exchange, and one whose server also keeps the data
//! in a file. Other drives can be measured beside it, round by round, whoever made them.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use vtl::measure::{
    Direction, Sample, Scratch, Tape, exchanges, incompressible, mb, median, percentiles, spread,
};

/// Of text that looks like a log.
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
    /// Another drive to measure in the same rounds; can be given several times.
    #[arg(long, value_name = "PORTAL,TARGET,LUN")]
    beside: Vec<Place>,
    /// Block sizes in KiB.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 1024])]
    blocks: Vec<usize>,
    /// MiB to write and read at each block size and round.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Rounds; each alternates between the yardstick and the drives, and the median counts.
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

/// Where a drive is.
#[derive(Debug, Clone)]
struct Place {
    portal: String,
    target: String,
    lun: u64,
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut parts = text.split(',');
        let mut next = || parts.next().context("PORTAL,TARGET,LUN");
        let (portal, target) = (next()?.to_owned(), next()?.to_owned());
        Ok(Self { portal, target, lun: next()?.parse()? })
    }
}

/// All measurements of one command at one block size.
struct Samples {
    bare: Vec<f64>,
    with_file: Vec<f64>,
    drives: Vec<DriveSamples>,
}

#[derive(Default, Clone)]
struct DriveSamples {
    rates: Vec<f64>,
    times: Vec<Duration>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Several may run at once, each its own initiator.
    let name = format!("iqn.2026-11.io.vtl:load.{}", std::process::id());
    let own =
        Place { portal: options.portal.clone(), target: options.target.clone(), lun: options.lun };
    let mut drives = Vec::new();
    for place in [&own].into_iter().chain(&options.beside) {
        let tape = Tape::attach(&place.portal, &name, &place.target, place.lun)
            .with_context(|| format!("{} at {}", place.target, place.portal))?;
        drives.push(tape.with_queue_depth(options.queue_depth));
    }
    let scratch = Scratch::new(&options.scratch)?;
    print_heading(&options);
    for kib in &options.blocks {
        let (writes, reads) = measure(&mut drives, *kib, &options, &scratch)?;
        writes.print(*kib, "WRITE");
        reads.print(*kib, "READ");
    }
    drives.into_iter().try_for_each(Tape::detach)
}

/// All rounds at one block size.
fn measure(
    drives: &mut [Tape],
    kib: usize,
    options: &Options,
    scratch: &Scratch,
) -> anyhow::Result<(Samples, Samples)> {
    let pattern = content(options.data, kib * 1024);
    let count = (options.mib * 1024 / kib).max(1);
    let (mut writes, mut reads) = (Samples::new(drives.len()), Samples::new(drives.len()));
    for _ in 0..options.rounds {
        scratch.clear()?;
        writes.measure_yardsticks(Direction::Write, pattern.len(), count, options, scratch)?;
        for (tape, samples) in drives.iter_mut().zip(&mut writes.drives) {
            tape.rewind()?;
            samples.add(tape.write(&pattern, count)?);
        }
        if options.cold {
            scratch.cool()?;
        }
        reads.measure_yardsticks(Direction::Read, pattern.len(), count, options, scratch)?;
        for (tape, samples) in drives.iter_mut().zip(&mut reads.drives) {
            tape.rewind()?;
            samples.add(tape.read(pattern.len(), count)?);
        }
        if !options.no_verify {
            for tape in drives.iter_mut() {
                tape.rewind()?;
                tape.verify(&pattern, count)?;
            }
        }
    }
    Ok((writes, reads))
}

impl DriveSamples {
    fn add(&mut self, sample: Sample) {
        self.rates.push(sample.mb_per_second);
        self.times.extend(sample.times);
    }
}

impl Samples {
    fn new(drives: usize) -> Self {
        let drives = vec![DriveSamples::default(); drives];
        Self { bare: Vec::new(), with_file: Vec::new(), drives }
    }

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
        let bare = exchanges(direction, block_bytes, count, None)?;
        self.bare.push(mb(bytes) / bare.as_secs_f64());
        let with_file = exchanges(direction, block_bytes, count, Some(scratch))?;
        self.with_file.push(mb(bytes) / with_file.as_secs_f64());
        Ok(())
    }

    #[allow(clippy::print_stdout, reason = "the table is what the tool is for")]
    fn print(self, kib: usize, name: &str) {
        let (bare, with_file) = (median(self.bare), median(self.with_file));
        let mut first: Option<f64> = None;
        for (number, samples) in self.drives.into_iter().enumerate() {
            let (lowest, highest) = spread(&samples.rates);
            let drive = median(samples.rates);
            let (p50, p99) = percentiles(samples.times);
            let of_this = first.map_or(String::new(), |first| format!(" {:>8.2}", first / drive));
            println!(
                "{kib:>4}k   {:<9} {bare:>9.0} {with_file:>9.0} {drive:>11.0} {lowest:>6.0}-{highest:<6.0} {:>8.2} {:>8.2} {p50:>8} {p99:>8}{of_this}",
                if number == 0 { name.to_owned() } else { format!("  beside {number}") },
                drive / bare,
                drive / with_file,
            );
            first.get_or_insert(drive);
        }
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
        "block   command    raw MB/s file MB/s  drive MB/s (spread)    of raw  of file   p50 us   p99 us{}",
        if options.beside.is_empty() { "" } else { " first/this" },
    );
}

fn content(data: Data, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    match data {
        Data::Zero => bytes.resize(length, 0),
        // No compression makes it smaller.
        Data::Random => return incompressible(length),
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
