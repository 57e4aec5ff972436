//! A drill as it runs: on the side of whoever asked for it, like a host would recover.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::contents::{self, Contents};
use super::drive::{Host, Tally};
use super::{Begun, CommandReport, DrillRequest, Member, MemberReport, Report, RunOptions};
use crate::client;
use crate::progress::Watch;
use crate::request::{Failure, Request};

/// So much of what the command said last goes into the report.
const OUTPUT_BYTES: u64 = 4096;

/// Rehearses the recovery of a group, and says what the daemon has signed.
pub(super) fn run(data: &Path, options: &RunOptions) -> Result<Value, Failure> {
    let level = options.level.unwrap_or(if options.command.is_some() { 4 } else { 3 });
    if (level == 4) != options.command.is_some() {
        return Err(Failure::usage("level 4 runs --command, and only level 4 does"));
    }
    let ask = |request| client::ask(data, Request::Drill(request));
    let begun = ask(DrillRequest::Begin { group: options.group.clone() })?;
    let begun: Begun = serde_json::from_value(begun).map_err(Failure::failed)?;
    // As long as this connection is there, so is the snapshot; it ends with this process, however that ends.
    let (held, snapshot) = (data.to_owned(), begun.snapshot.clone());
    std::thread::spawn(move || client::ask(&held, Request::Drill(DrillRequest::Hold { snapshot })));
    let mut report = Report::new(&begun, level);
    let done = rehearse(data, options, &begun, &mut report);
    if let Err(failure) = done {
        report.trouble = Some(failure.message);
    }
    report.ended = Timestamp::now();
    report.judge();
    ask(DrillRequest::End { report: Box::new(report) })
}

fn rehearse(
    data: &Path,
    options: &RunOptions,
    begun: &Begun,
    report: &mut Report,
) -> Result<(), Failure> {
    if begun.members.iter().all(|member| member.written_bytes == 0) {
        return Err(Failure::failed(
            "there is nothing on its cartridges: nothing can be recovered",
        ));
    }
    let clock = Instant::now();
    let barcodes = begun.members.iter().map(|member| member.barcode.clone()).collect();
    let verify =
        Request::Verify { barcodes, all: false, group: None, share_percent: options.share };
    let rows = client::ask(data, verify)?;
    report.hashes_seconds = clock.elapsed().as_secs_f64();
    for (member, row) in report.members.iter_mut().zip(rows.as_array().into_iter().flatten()) {
        member.verified = row.clone();
    }
    if report.level >= 2 {
        let clock = Instant::now();
        read_members(begun, report)?;
        report.recovery_seconds = Some(clock.elapsed().as_secs_f64());
    }
    if let Some(command) = &options.command {
        let run = run_command(command, options.limit.duration().unsigned_abs(), begun)?;
        // What a user waits for is his own way to recover.
        report.recovery_seconds = Some(run.seconds);
        report.command = Some(run);
    }
    Ok(())
}

/// Levels 2 and 3: all that is on the cartridges, through the target.
fn read_members(begun: &Begun, report: &mut Report) -> Result<(), Failure> {
    let total: u64 = begun.members.iter().map(|member| member.written_bytes).sum();
    let state = Arc::new(Mutex::new((String::new(), 0_u64)));
    let (watched, clock) = (Arc::clone(&state), Instant::now());
    let _watch = Watch::start(move || {
        let (barcode, done) = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rate = crate::verification::rate(done, clock.elapsed().as_secs_f64());
        Some(
            json!([{ "barcode": barcode, "total_bytes": total, "done_bytes": done, "bytes_per_second": rate }]),
        )
    });
    let counted = Arc::clone(&state);
    let progress = move |bytes| counted.lock().unwrap_or_else(PoisonError::into_inner).1 += bytes;
    let failed = |error: anyhow::Error| {
        Failure::failed(format!("{error:#}, at {} of {}", begun.target, begun.portal))
    };
    let host = Host::login(&begun.portal, &begun.initiator, &begun.target, progress);
    let mut host = host.map_err(failed)?;
    let unpacks = report.level >= 3;
    for (member, row) in begun.members.iter().zip(&mut report.members) {
        member.barcode.clone_into(&mut state.lock().unwrap_or_else(PoisonError::into_inner).0);
        let clock = Instant::now();
        let read = read_member(&mut host, member, unpacks);
        row.seconds = clock.elapsed().as_secs_f64();
        match read {
            Ok((tally, contents)) => row.note(member, tally, contents),
            Err(error) => {
                row.trouble = Some(format!("{error:#}"));
                // It may lie in the drive still. Whether that works out shows with the next one.
                row.read = host.unload(&member.barcode).ok();
            }
        }
    }
    contents::join_volumes(report.members.iter_mut().filter_map(|row| row.contents.as_mut()));
    host.logout().map_err(failed)
}

fn read_member(
    host: &mut Host,
    member: &Member,
    unpacks: bool,
) -> anyhow::Result<(Tally, Contents)> {
    host.load(&member.barcode)?;
    let contents = contents::read_all(host, unpacks)?;
    Ok((host.unload(&member.barcode)?, contents))
}

/// Level 4: the user's own way to recover, from the snapshot's target.
fn run_command(command: &str, limit: Duration, begun: &Begun) -> Result<CommandReport, Failure> {
    let directory = tempfile::Builder::new().prefix("vtl-drill-").tempdir();
    let directory = directory.map_err(Failure::failed)?;
    let log = directory.path().join(".vtl-drill-output");
    let mut output = File::options().read(true).append(true).create_new(true).open(&log);
    let output = output.as_mut().map_err(|error| Failure::failed(&*error))?;
    let barcodes: Vec<&str> = begun.members.iter().map(|member| member.barcode.as_str()).collect();
    let clock = Instant::now();
    let child = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory.path())
        .env("VTL_DRILL_GROUP", &begun.group)
        .env("VTL_DRILL_TARGET", &begun.target)
        .env("VTL_DRILL_PORTAL", &begun.portal)
        .env("VTL_DRILL_INITIATOR", &begun.initiator)
        .env("VTL_DRILL_BARCODES", barcodes.join(" "))
        .env("VTL_DRILL_DIRECTORY", directory.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(Failure::failed)?)
        .stderr(output.try_clone().map_err(Failure::failed)?)
        .process_group(0)
        .spawn();
    let mut child = child.map_err(|error| Failure::failed(format!("sh: {error}")))?;
    let (status, is_late) = crate::barrier::wait(&mut child, limit).map_err(Failure::failed)?;
    let seconds = clock.elapsed().as_secs_f64();
    let length = output.metadata().map_err(Failure::failed)?.len();
    let mut said = Vec::new();
    output.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES))).map_err(Failure::failed)?;
    output.take(OUTPUT_BYTES).read_to_end(&mut said).map_err(Failure::failed)?;
    let restored = usage(directory.path());
    Ok(CommandReport {
        command: command.to_owned(),
        exit_code: status.code(),
        signal: status.signal(),
        is_late,
        seconds,
        output: String::from_utf8_lossy(&said).into_owned(),
        restored_bytes: restored.saturating_sub(length),
    })
}

/// Bytes of all files below a directory. Links are not followed.
fn usage(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => usage(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    };
    entries.map(of).fold(0, u64::saturating_add)
}

impl MemberReport {
    /// What came back, beside what the library says that there is.
    fn note(&mut self, member: &Member, tally: Tally, contents: Contents) {
        let (blocks, marks) = (member.block_count, member.filemark_count);
        if tally.damage.is_empty() && (tally.blocks, tally.filemarks) != (blocks, marks) {
            self.trouble = Some(format!(
                "{} blocks and {} filemarks came back where there are {blocks} and {marks}",
                tally.blocks, tally.filemarks
            ));
        }
        self.read = Some(tally);
        self.contents = Some(contents);
    }
}
