//! Makes receipts of random tapes, and files that are nearly receipts, for another program to judge.
//!
//! Into a new directory: `NUMBER.json`, `NUMBER-KIND.json` for each alteration, and `verdicts`, one line for each file: what
//! `vtl_vault` says of it (valid, manifest, refused).

mod sample;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use vtl_tools::random::Random;
use vtl_vault::receipt::Receipt;

/// Makes receipts, and files that are nearly receipts.
#[derive(Debug, Parser)]
struct Options {
    /// The new directory.
    directory: PathBuf,
    /// How many receipts.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Where the random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    fs::create_dir(&options.directory)?;
    let mut verdicts = String::new();
    for number in 0..options.count {
        let mut random = Random::new(options.seed, number);
        let receipt = sample::receipt(&mut random)?;
        let bytes = receipt.to_bytes();
        keep(&options.directory, &format!("{number}"), bytes, &mut verdicts)?;
        for (kind, altered) in altered(bytes, &mut random) {
            keep(&options.directory, &format!("{number}-{kind}"), &altered, &mut verdicts)?;
        }
    }
    fs::write(options.directory.join("verdicts"), verdicts)?;
    Ok(())
}

fn keep(directory: &Path, name: &str, bytes: &[u8], verdicts: &mut String) -> anyhow::Result<()> {
    fs::write(directory.join(format!("{name}.json")), bytes)?;
    let verdict = match Receipt::verify(bytes, None) {
        Ok(content) if content.proof.is_some() => "valid",
        Ok(_) => "manifest",
        Err(_) => "refused",
    };
    writeln!(verdicts, "{verdict} {name}.json")?;
    Ok(())
}

/// The same file with one byte changed, added or missing, and cut short.
fn altered(bytes: &[u8], random: &mut Random) -> Vec<(&'static str, Vec<u8>)> {
    let at = random.index(bytes.len());
    let mut changed = bytes.to_vec();
    if let Some(byte) = changed.get_mut(at) {
        // Never 0, so that it is another byte.
        *byte ^= 1 << random.below(8);
    }
    let mut added = bytes.to_vec();
    added.insert(at, random.pick(b" \n\t0a\"}").unwrap_or(b' '));
    let mut missing = bytes.to_vec();
    missing.remove(at);
    let mut cut = bytes.to_vec();
    cut.truncate(at);
    vec![("changed", changed), ("added", added), ("missing", missing), ("cut", cut)]
}
