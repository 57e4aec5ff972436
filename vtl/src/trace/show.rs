//! Commands that were noted, in words.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use vtl_scsi::Lun;

use super::{Entry, Place};
use crate::cli::Format;
use crate::explain::{self, Kind, View};
use crate::library::Library;
use crate::request::{Failure, Request};
use crate::unit::Unit;
use crate::{client, libraries, output};

/// Commands that are shown unless more are asked for.
const COUNT: usize = 20;
/// How often a unit is asked while it is followed.
const INTERVAL: Duration = Duration::from_millis(250);

/// Whose commands are shown, and which.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TraceOptions {
    /// A LUN, drive:N, or changer.
    #[arg(value_name = "LUN|DRIVE|changer")]
    pub(crate) unit: String,
    /// Of which library (default: the first).
    #[arg(long, value_name = "NAME")]
    pub(crate) library: Option<String>,
    /// Only what failed, and why.
    #[arg(long)]
    pub(crate) failures: bool,
    /// As they happen, until Ctrl-C.
    #[arg(long)]
    pub(crate) follow: bool,
    /// How many of those that are over.
    #[arg(long, value_name = "N", default_value_t = COUNT)]
    pub(crate) count: usize,
}

/// Carries the request out.
pub(crate) fn answer(
    library: &Library,
    (unit, of): (&str, Option<&str>),
    only_failures: bool,
    count: Option<usize>,
    after: Option<u64>,
) -> Result<Value, Failure> {
    if !library.is_running() {
        return Err(Failure::failed(
            "no daemon runs in this directory: there are no commands to show",
        ));
    }
    let record = match of {
        Some(name) => libraries::named(library, name)?,
        None => library.record.clone(),
    };
    let lun = lun(unit)?;
    let running = library.site.library(&record.id);
    let found = running.and_then(|running| Some((running.unit(lun)?, running)));
    let Some((unit, running)) = found else {
        return Err(Failure::not_found(format!(
            "library {} has no logical unit {lun}; `vtl status` shows what there is",
            record.id
        )));
    };
    let (entries, noted) = unit.trace().since(after.unwrap_or(0), only_failures);
    let first = entries.first().map_or(noted + 1, |entry| entry.number);
    let missed = match after {
        // Of failures nobody can say how many there would have been.
        Some(after) if !only_failures => first.saturating_sub(after.saturating_add(1)),
        _ => 0,
    };
    let skipped = match after {
        None => entries.len().saturating_sub(count.unwrap_or(COUNT)),
        Some(_) => 0,
    };
    let now = (Timestamp::now(), Instant::now());
    let rows = entries.iter().skip(skipped).map(|entry| row(entry, &running, lun, now));
    Ok(json!({
        "library": record.id,
        "lun": lun.0,
        "next": noted,
        "missed": missed,
        "commands": rows.collect::<Vec<_>>(),
    }))
}

/// What failed last at a unit, in one line.
pub(crate) fn last_failure(unit: &Unit) -> Option<String> {
    let (failures, _) = unit.trace().since(0, true);
    let entry = failures.last()?;
    let time = time(entry, (Timestamp::now(), Instant::now()));
    let command = explain::line(kind(unit.lun), command_bytes(entry));
    let on = entry.barcode().map(|barcode| format!(" on {barcode}")).unwrap_or_default();
    Some(format!("{}{on} at {}: {}", command, time.strftime("%F %TZ"), why(entry)))
}

fn lun(unit: &str) -> Result<Lun, Failure> {
    let unknown = || {
        Failure::usage(format!("{unit}: name a LUN such as 1, a drive such as drive:0, or changer"))
    };
    let number = |text: &str| text.parse::<u16>().ok();
    let lun = match unit.strip_prefix("drive:") {
        Some(drive) => number(drive).and_then(|drive| drive.checked_add(1)),
        None if unit == "changer" => Some(0),
        None => number(unit),
    };
    lun.map(Lun).ok_or_else(unknown)
}

fn kind(lun: Lun) -> Kind {
    if lun.0 == 0 { Kind::Changer } else { Kind::Drive }
}

/// The clock that counts may have been set since: only how long ago it was is certain.
fn time(entry: &Entry, (now, instant): (Timestamp, Instant)) -> Timestamp {
    let ago = instant.saturating_duration_since(entry.begun.at);
    SignedDuration::try_from(ago).ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(now)
}

/// The CDB without the zeros that the transport fills it up with.
fn command_bytes(entry: &Entry) -> &[u8] {
    let bytes = entry.begun.cdb.bytes();
    explain::cdb_length(bytes).and_then(|length| bytes.get(..length)).unwrap_or(bytes)
}

/// The command in words. Only a drive with a cartridge is somewhere on it.
pub(super) fn command(entry: &Entry) -> String {
    let kind = if entry.begun.before.is_some() { Kind::Drive } else { Kind::Changer };
    explain::line(kind, command_bytes(entry))
}

pub(super) fn why(entry: &Entry) -> String {
    match &entry.sense {
        Some(sense) => View::of(sense).line(),
        None => format!("{:?}", entry.status),
    }
}

fn row(entry: &Entry, library: &Library, lun: Lun, now: (Timestamp, Instant)) -> Value {
    let view = entry.sense.as_ref().map(View::of);
    let place = |place: Option<Place>| {
        place.map(|place| {
            json!({ "partition": place.partition, "object": place.object, "file": place.file })
        })
    };
    let took_us = u64::try_from(entry.took.as_nanos()).unwrap_or(u64::MAX).div_ceil(1000);
    json!({
        "number": entry.number,
        "time": time(entry, now),
        "initiator": library.nexus_name(entry.begun.nexus),
        "command": explain::line(kind(lun), command_bytes(entry)),
        "cdb": explain::hex(command_bytes(entry)),
        "status": format!("{:?}", entry.status),
        "sense": view.map(|view| view.line()),
        "next": view.and_then(|view| view.next()),
        "failed": entry.is_failure(),
        "barcode": entry.barcode(),
        "before": place(entry.begun.before),
        "after": place(entry.after),
        "data_in_bytes": entry.data_in_bytes,
        "took_us": took_us,
    })
}

/// `vtl trace`: prints what there is and, with `--follow`, what comes.
pub(crate) fn follow(
    directory: &Path,
    options: &TraceOptions,
    format: Format,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let request = Request::Trace {
            unit: options.unit.clone(),
            library: options.library.clone(),
            failures: options.failures,
            count: Some(options.count),
            after,
        };
        let answer = client::ask(directory, request)?;
        print(&answer, options, format).map_err(Failure::failed)?;
        if !options.follow {
            return Ok(());
        }
        after = answer.get("next").and_then(Value::as_u64);
        std::thread::sleep(INTERVAL);
    }
}

fn print(answer: &Value, options: &TraceOptions, format: Format) -> std::io::Result<()> {
    let commands = answer.get("commands").cloned().unwrap_or_default();
    let rows = commands.as_array().map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Json if !options.follow => output::print(answer, format),
        Format::Csv => output::print(&commands, format),
        Format::Json => {
            let mut out = std::io::stdout().lock();
            rows.iter().try_for_each(|row| writeln!(out, "{row}"))
        }
        Format::Table => {
            let mut out = std::io::stdout().lock();
            if let Some(missed) = answer.get("missed").and_then(Value::as_u64).filter(|n| *n > 0) {
                writeln!(out, "… {missed} commands came too fast to be shown …")?;
            }
            if rows.is_empty() && !options.follow {
                let what =
                    if options.failures { "no command has failed" } else { "nothing was asked" };
                writeln!(out, "{what} since the library was started")?;
            }
            let mut rows = rows.iter().filter_map(Value::as_object);
            rows.try_for_each(|row| writeln!(out, "{}", for_people(row, options.failures)))
        }
    }
}

/// One line a command.
fn for_people(row: &Map<String, Value>, is_why: bool) -> String {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let time = text("time").parse::<Timestamp>().map(|time| time.strftime("%T%.3f").to_string());
    let time = time.unwrap_or_default();
    let outcome = if text("sense").is_empty() { text("status") } else { text("sense") };
    let before = row.get("before").and_then(place);
    let on = text("barcode");
    if is_why {
        let at = before.map(|before| format!(" at {before}")).unwrap_or_default();
        let on = if on.is_empty() { String::new() } else { format!(" on {on}{at}") };
        let next = text("next");
        let next = if next.is_empty() { String::new() } else { format!("; {next}") };
        return format!("{time} {} of {}{on}: {outcome}{next}", text("command"), text("initiator"));
    }
    let mut line = format!("{time} {}: {outcome}", text("command"));
    if let (Some(before), Some(after)) = (before, row.get("after").and_then(place)) {
        let moved = if before == after { before } else { format!("{before} → {after}") };
        line = format!("{line}  [{on} {moved}]");
    }
    let took = row.get("took_us").and_then(Value::as_u64).unwrap_or(0);
    format!("{line}  {took} µs  {}", text("initiator"))
}

fn place(value: &Value) -> Option<String> {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let (object, file) = (number("object")?, number("file")?);
    let partition = match number("partition")? {
        0 => String::new(),
        partition => format!("partition {partition} "),
    };
    Some(format!("{partition}object {object} file {file}"))
}
