//! `vtl-killloop`: a real daemon under a real initiator's work is killed at random moments, again and again, and each time what it
//! had acknowledged has to be there.
//!
//! The page cache outlives a killed process, so a kill says nothing of power cuts. It says that no order of events in the running
//! program, with its threads and sockets, loses anything. With `--fs` the power goes, too: the data directory is in an image of that
//! file system, and each round goes on with what the image holds when the daemon stops.

mod catalogue;
mod check;
mod daemon;
mod host;
mod image;
mod model;
mod tape;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use crate::daemon::{Daemon, Doomed, Installation};
use crate::host::Host;
use crate::image::Image;
use crate::model::Model;
use crate::workload::{Workload, take_all_attentions, take_changer_attentions};
use vtl_tools::random::Random;

/// Rounds between losses of the catalogue.
const CATALOGUE_ROUNDS: u32 = 3;
/// Rounds between readings of every cartridge that was ever written.
const EVERYTHING_ROUNDS: u32 = 10;
/// A kill comes at the latest after this time.
const MAX_LIFE_MS: u64 = 1000;
/// A start that is not to succeed is killed at the latest after this time.
const MAX_START_MS: u64 = 120;

/// Kills a working daemon again and again, and checks that nothing acknowledged is lost.
#[derive(Debug, Parser)]
struct Options {
    /// How often the daemon is killed.
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// What the work follows from (default: the time). The moment of the kill is the scheduler's, too.
    #[arg(long)]
    seed: Option<u64>,
    /// Cut the power each time: the library is in an image of this file system, ext4 or xfs. Only root can mount it.
    #[arg(long)]
    fs: Option<String>,
    /// The program to kill.
    #[arg(long, default_value = "target/release/vtl")]
    binary: PathBuf,
}

/// The loop between two rounds.
struct Running {
    daemon: Daemon,
    host: Host,
    model: Model,
}

#[allow(clippy::print_stdout, reason = "one line a round is what the tool is for")]
fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
    });
    let directory = match tempfile::Builder::new().prefix("vtl-killloop-").tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("killloop: cannot make a temporary directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("seed {seed}");
    match run(&options, seed, directory.path()) {
        Ok(model) => {
            println!(
                "{} rounds, {} sync points noted, {} moves noted, 0 lost",
                options.rounds, model.sync_points, model.moves
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("killloop: seed {seed}, {error:#}");
            eprintln!("killloop: everything is kept in {}", directory.keep().display());
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, seed: u64, directory: &Path) -> anyhow::Result<Model> {
    let image = |kind: &String| {
        Image::new(directory, kind, options.rounds)
            .with_context(|| format!("a file system {kind} in an image"))
    };
    let image = options.fs.as_ref().map(image).transpose()?;
    let installation = Installation::new(&options.binary, directory, image);
    let mut running = first_start(&installation, seed).context("before the first round")?;
    for round in 1..=options.rounds {
        let is_last = round == options.rounds;
        running = one_round(&installation, running, seed, round, is_last)
            .with_context(|| format!("round {round}"))?;
    }
    running.host.logout().context("the last logout")?;
    running.daemon.end()?;
    Ok(running.model)
}

/// A fresh library, whose creation is interrupted as well.
fn first_start(installation: &Installation, seed: u64) -> anyhow::Result<Running> {
    let mut random = Random::new(seed, 0);
    for _ in 0..random.below(4) {
        installation.start_and_kill(Duration::from_millis(random.below(MAX_START_MS)))?;
    }
    let daemon = installation.start()?;
    let mut host = Host::login(&daemon.portal, &daemon.target)?;
    take_changer_attentions(&mut host)?;
    let model = Model::new(host.elements()?, &installation.inventory()?)?;
    take_all_attentions(&mut host, &model)?;
    Ok(Running { daemon, host, model })
}

#[allow(clippy::print_stdout, reason = "one line a round is what the tool is for")]
fn one_round(
    installation: &Installation,
    running: Running,
    seed: u64,
    round: u32,
    is_last: bool,
) -> anyhow::Result<Running> {
    let Running { daemon, host, mut model } = running;
    let mut random = Random::new(seed, u64::from(round) << 32 | 0xffff_ffff);
    let (portal, target) = (daemon.portal.clone(), daemon.target.clone());
    let (sync_points, moves) = (model.sync_points, model.moves);
    let life = Duration::from_millis(random.below(MAX_LIFE_MS));
    let doomed = daemon.kill_after(life, installation.switch());
    model.begin_round();
    let mut work = Workload::new(&mut model, seed, round);
    let end = work.until_failure(host, &portal, &target);
    let blocks = work.blocks();
    outlive(doomed, end)?;
    installation.power_on()?;
    let (sync_points, moves) = (model.sync_points - sync_points, model.moves - moves);

    let mut remarks = Vec::new();
    while random.percent(25) {
        let life = Duration::from_millis(random.below(MAX_START_MS));
        installation.start_and_kill(life)?;
        remarks.push(format!("killed again {} ms after its start", life.as_millis()));
    }
    if round.is_multiple_of(CATALOGUE_ROUNDS) {
        remarks.push(catalogue::lose(installation, &mut random)?);
    }

    let daemon = installation.start()?;
    let mut host = Host::login(&daemon.portal, &daemon.target)?;
    let everything = is_last || round.is_multiple_of(EVERYTHING_ROUNDS);
    let checked = check::library(&mut host, &mut model, seed, everything)?;
    check::command_line(installation, &model)?;
    remarks.push(format!("ready in {} ms", daemon.start.as_millis()));
    println!(
        "round {round}: killed after {} ms, {blocks} blocks, {sync_points} sync points, {moves} moves; {}; \
         {} cartridges with {} objects read back",
        life.as_millis(),
        remarks.join("; "),
        checked.cartridges,
        checked.objects
    );
    Ok(Running { daemon, host, model })
}

/// The work has come to an end: it has to be the kill's doing.
fn outlive(doomed: Doomed, end: anyhow::Error) -> anyhow::Result<()> {
    let is_killed = doomed.is_killed();
    // The daemon must not outlive this program, whatever has happened.
    if let Err(why) = doomed.wait() {
        return Err(end.context(format!("{why:#}")));
    }
    let is_broken_connection = end.chain().any(<dyn std::error::Error>::is::<std::io::Error>);
    if is_killed && is_broken_connection { Ok(()) } else { Err(end) }
}
