//! `vtl`: a tape library in one program.
//!
//! This crate puts the rooms together: sockets, timers and threads around the iSCSI state machine, the changer and the
//! drives; the configuration; the control socket; the command line.
//!
//! It is a library so that tests can run what the program runs, without its sockets: [`Library`] is the changer, its drives
//! and the store behind them, on any disk and with any clock; [`Unit`] takes SCSI tasks. The program itself is
//! [`command_line`].

mod access;
mod arm;
mod attached;
mod attributes;
mod audit;
mod barrier;
mod bays;
mod bench;
mod browse;
mod bundle;
mod capture;
mod cleaning;
mod cli;
mod client;
mod config;
mod connections;
mod control;
mod doctor;
mod drill;
mod elements;
mod explain;
mod export_choice;
mod exports;
mod failure;
mod failures;
mod fences;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod holdings;
mod identity;
mod imports;
mod inventory;
mod kept_reservations;
mod keys;
mod labels;
mod libraries;
mod library;
mod lineage;
mod loader;
mod logging;
mod management;
pub mod measure;
mod models;
mod moments;
mod nexuses;
mod operations;
mod output;
mod pending;
mod physical_library;
mod physical_tape;
mod portal;
mod posture;
mod profile_file;
mod profiles;
mod progress;
mod receipts;
mod refusals;
mod request;
mod retention;
mod robot;
mod rules;
mod runbook;
mod selftest;
mod serve;
mod session;
mod site;
mod small;
mod snapshots;
mod stacks;
mod stage;
mod status;
mod tapes;
mod targets;
mod thermometer;
mod trace;
mod undo;
mod unit;
mod upkeep;
mod vaulting;
mod verification;
mod whereabouts;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
pub use crate::library::Library;
use crate::request::Failure;
pub use crate::unit::{Device, DriveSnapshot, Reply, Ticket, Unit};
use crate::vaulting::VaultCommand;

/// The whole program: reads the command line, does what it says, and gives the exit code.
pub fn command_line() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vtl: {failure}");
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let directory = cli.global.data.map_or_else(default_directory, Ok)?;
    // What is relative has no directory above it that could be synced.
    let directory = std::path::absolute(&directory).unwrap_or(directory);
    let format = cli.global.format;
    let command = match cli.command.request() {
        Ok(request) => return ask_library(&directory, request, format),
        Err(command) => *command,
    };
    match command {
        Command::Serve { listen, user } => {
            logging::start(cli.global.log);
            serve::serve(&directory, listen, user.as_deref())
                .map_err(|error| Failure::failed(vtl_media::with_causes(error.as_ref())))
        }
        Command::Status { .. } => watch_status(&directory, format),
        Command::Doctor { bundle: None } => {
            let report = doctor::examine(&directory);
            output::print(&report.to_json(), format).map_err(Failure::failed)?;
            report.verdict()
        }
        Command::Explain { what } => {
            let explanation = explain::explain(&what)?;
            let is_for_people = format == cli::Format::Table;
            let explanation = if is_for_people { explain::brief(explanation) } else { explanation };
            output::print(&explanation, format).map_err(Failure::failed)
        }
        Command::Selftest(options) => {
            let answer = selftest::run(&directory, &options)?;
            let is_for_people = format == cli::Format::Table;
            let shown =
                if is_for_people { selftest::brief(answer.clone()) } else { answer.clone() };
            output::print(&shown, format).map_err(Failure::failed)?;
            selftest::verdict(&answer)
        }
        Command::Secret(_) => print_secret(format),
        Command::Trace(options) => trace::follow(&directory, &options, format),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "vtl", &mut std::io::stdout());
            Ok(())
        }
        Command::Receipt(command) => receipts::run(&directory, command, format),
        Command::Snapshot(cli::SnapshotCommand::Create(choice)) => {
            let (answer, verdict) = barrier::run(&directory, choice)?;
            output::print(&answer, format).map_err(Failure::failed)?;
            verdict
        }
        Command::Drill(command) => {
            let (answer, verdict) = drill::run(&directory, command)?;
            output::print(&answer, format).map_err(Failure::failed)?;
            verdict
        }
        Command::Restore(options) => {
            let (answer, verdict) = browse::restore(&directory, &options)?;
            output::print(&answer, format).map_err(Failure::failed)?;
            verdict
        }
        Command::Runbook(options) => runbook::run(&directory, &options),
        Command::Man => manual_page(),
        command => {
            let answer = plain_answer(&directory, command)?;
            output::print(&answer, format).map_err(Failure::failed)
        }
    }
}

/// What a command has to say that is done here, and is printed like any answer.
fn plain_answer(
    directory: &std::path::Path,
    command: Command,
) -> Result<serde_json::Value, Failure> {
    match command {
        Command::Doctor { bundle: Some(file) } => bundle::write(directory, &file),
        Command::Audit(cli::AuditCommand::Verify { against: Some(file) }) => {
            let against = Some(files::read_text(&file)?);
            client::ask(directory, request::Request::AuditVerify { against })
        }
        Command::Audit(cli::AuditCommand::Export { output }) => {
            audit::write(client::ask(directory, request::Request::AuditExport {})?, &output)
        }
        Command::Profile(cli::ProfileCommand::Capture { device, output }) => {
            capture::capture(&device, &output)
        }
        Command::Profile(command) => shown_profiles(directory, command),
        Command::Init(options) => small::run(directory, &options),
        Command::Bench(options) => bench::run(directory, &options),
        Command::Key(command) => client::ask(directory, request::Request::Keys(command.request()?)),
        Command::Physical(cli::PhysicalCommand::List) => {
            let failed = request::Request::Drives(fences::DrivesRequest::Failed {});
            // A host without a library has drives all the same.
            Ok(fences::told(attached::list()?, &client::ask(directory, failed).unwrap_or_default()))
        }
        Command::Label(options) => labels::run(directory, &options),
        Command::Vault(VaultCommand::Manifest { container, output: Some(file) }) => {
            labels::shipping::run(directory, container, &file)
        }
        _ => Err(Failure::usage("there is no such command")),
    }
}

fn ask_library(
    directory: &std::path::Path,
    mut request: request::Request,
    format: cli::Format,
) -> Result<(), Failure> {
    read_files(&mut request)?;
    let said: Option<fn(&serde_json::Value) -> serde_json::Value> = match &request {
        request::Request::Browse(_) => Some(browse::for_people),
        request::Request::Posture { .. } => Some(posture::for_people),
        _ => None,
    };
    let is_posture = matches!(request, request::Request::Posture { .. });
    let answer = client::ask(directory, request)?;
    let said = said.filter(|_| format == cli::Format::Table);
    let shown = said.map_or_else(|| answer.clone(), |said| said(&answer));
    output::print(&shown, format).map_err(Failure::failed)?;
    if is_posture {
        return posture::verdict(&answer);
    }
    verification::verdict(&answer).and(rules::verdict(&answer)).and(vaulting::verdict(&answer))?;
    undo::verdict(&answer)?;
    bays::verdict(&answer)
}

fn shown_profiles(
    directory: &std::path::Path,
    command: cli::ProfileCommand,
) -> Result<serde_json::Value, Failure> {
    let models = models::Models::of_directory(directory)
        .map_err(|error| Failure::failed(error.to_string()))?;
    match command {
        cli::ProfileCommand::Show { name } => profiles::show(&models, &name),
        _ => Ok(profiles::list(&models)),
    }
}

fn manual_page() -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::failed)?;
    std::io::stdout().write_all(&page).map_err(Failure::failed)
}

/// What a request has in files on this side.
fn read_files(request: &mut request::Request) -> Result<(), Failure> {
    match request {
        request::Request::LibraryCreate(new) => libraries::read_profile(new),
        request::Request::AccessAdd(new) => access::read_secrets(new),
        request::Request::Rules(request) => rules::read_document(request),
        _ => Ok(()),
    }
}

/// `vtl secret new`: bare for people and for shells, as in `vtl secret new > FILE`.
fn print_secret(format: cli::Format) -> Result<(), Failure> {
    let secret = access::random_secret()?;
    let answer = match format {
        cli::Format::Table => serde_json::Value::String(secret.reveal().to_owned()),
        _ => serde_json::json!({ "secret": secret.reveal() }),
    };
    output::print(&answer, format).map_err(Failure::failed)
}

/// `vtl status --watch`: the screen is written anew every two seconds.
fn watch_status(directory: &std::path::Path, format: cli::Format) -> Result<(), Failure> {
    const INTERVAL: std::time::Duration = std::time::Duration::from_secs(2);
    const CLEAR_SCREEN: &[u8] = b"\x1b[2J\x1b[H";
    let is_terminal = std::io::stdout().is_terminal();
    loop {
        let answer = client::ask(directory, request::Request::Status {})?;
        if is_terminal {
            std::io::stdout().write_all(CLEAR_SCREEN).map_err(Failure::failed)?;
        }
        output::print(&answer, format).map_err(Failure::failed)?;
        std::thread::sleep(INTERVAL);
    }
}

/// `/var/lib/vtl` for root, else `vtl` in the user's data directory (XDG Base Directory Specification).
fn default_directory() -> Result<PathBuf, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/vtl"));
    }
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("vtl"))
        .ok_or_else(|| {
            Failure::usage(
                "neither --data nor VTL_DATA, XDG_DATA_HOME or HOME says where the library is",
            )
        })
}
