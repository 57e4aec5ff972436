//! Reports of drills, for people and for programs.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::ledger::RecordedEvent;
use vtl_media::{DrillRecord, EntryFilter, Event};
use vtl_vault::receipt::{ReceiptError, Statement};
use vtl_vault::{Job, Timer};

use super::{MemberReport, Report};
use crate::files;
use crate::library::Library;
use crate::receipts;
use crate::request::{Failure, FailureKind};
use crate::rules::rules_in_force;
use crate::rules::timer::timers_of;
use crate::verification::rate;

/// A drill as the ledger has it, and when.
#[derive(Debug, Clone)]
pub(crate) struct Drill {
    pub(crate) time: Timestamp,
    pub(crate) record: DrillRecord,
}

/// All drills, or those of a group, the newest last.
pub(crate) fn drills(library: &Library, of: Option<&str>) -> Result<Vec<Drill>, Failure> {
    let filter = EntryFilter { event: Some("drill_ended".to_owned()), ..EntryFilter::default() };
    let entries = library.store.ledger().list(&filter).map_err(Failure::failed)?;
    let drill = |entry: vtl_media::Entry| match entry.event {
        RecordedEvent::Known(event) => match *event {
            Event::DrillEnded { drill } => Some(Drill { time: entry.time, record: *drill }),
            _ => None,
        },
        RecordedEvent::Unknown(_) => None,
    };
    let is_wanted = |drill: &Drill| of.is_none_or(|group| drill.record.group == group);
    Ok(entries.into_iter().filter_map(drill).filter(is_wanted).collect())
}

pub(super) fn list(library: &Library, group: Option<&str>) -> Result<Value, Failure> {
    let done = drills(library, group)?.into_iter().map(|Drill { time, record: drill }| {
        let seconds = drill.recovery_ms.map(seconds);
        let is_there = |name: &String| library.store.snapshot(name).is_some();
        json!({
            "time": time,
            "group": drill.group,
            "level": drill.level,
            "result": result(drill.is_passed),
            "recovery_seconds": seconds,
            "bytes": drill.bytes,
            "bytes_per_second": seconds.map(|seconds| rate(drill.bytes, seconds)),
            "known_good": drill.known_good.filter(is_there),
            "report": drill.report,
        })
    });
    let mut rows: Vec<Value> = done.collect();
    rows.extend(planned(library, group));
    Ok(Value::Array(rows))
}

/// The drills that the daemon will run by itself.
fn planned(library: &Library, wanted: Option<&str>) -> Vec<Value> {
    let Ok(rules) = rules_in_force(library) else { return Vec::new() };
    let timers = timers_of(library, &rules, library.store.now());
    let row = |timer: &Timer<'_>| {
        let Job::Drill(group) = timer.job else { return None };
        let level = rules.groups.get(group)?.drill_level();
        wanted.is_none_or(|wanted| wanted == group).then(|| {
            json!({ "time": timer.next?, "group": group, "level": level, "result": "planned" })
                .into()
        })?
    };
    timers.iter().filter_map(row).collect()
}

pub(super) fn show(library: &Library, named: &str) -> Result<Value, Failure> {
    let all = drills(library, None)?;
    let all = all.into_iter().map(|drill| drill.record);
    let is_it = |drill: &DrillRecord| drill.group == named || drill.report.to_string() == named;
    let drill = all.rev().find(is_it).ok_or_else(|| {
        Failure::not_found(format!(
            "there was no drill of a group {named}, and none with that report; `vtl drill list` lists them"
        ))
    })?;
    let bytes = library.receipts.report(drill.report).map_err(receipts::failure)?;
    let verified = Statement::verify(&bytes).map_err(|error| altered(drill.report, &error))?;
    let keys = library.receipts.public_keys().map_err(receipts::failure)?;
    if !keys.contains(&verified.key) || verified.sha256.to_string() != drill.sha256 {
        let error = ReceiptError::Altered("it is not the one that the ledger tells of");
        return Err(altered(drill.report, &error));
    }
    let report: Report = serde_json::from_value(verified.content).map_err(|error| {
        Failure::new(FailureKind::Damaged, format!("{}: {error}", drill.report))
    })?;
    let mut shown = told(&report)?;
    if let Value::Object(shown) = &mut shown {
        let text = String::from_utf8(bytes).unwrap_or_default();
        shown.insert("signed".to_owned(), text.into());
    }
    Ok(shown)
}

fn altered(report: Uuid, error: &ReceiptError) -> Failure {
    Failure::new(FailureKind::Damaged, format!("the report {report}: {error}"))
}

/// The signed text goes to a file, or nowhere.
pub(super) fn shown(mut shown: Value, output: Option<&Path>) -> Result<Value, Failure> {
    let signed = shown.as_object_mut().and_then(|shown| shown.shift_remove("signed"));
    let Some(file) = output else { return Ok(shown) };
    let text = signed.as_ref().and_then(Value::as_str).unwrap_or_default();
    files::create(file, text.as_bytes())?;
    Ok(json!({ "report": shown.get("report"), "file": file }))
}

/// A report as it is printed: what it comes to first, then a row for each cartridge.
pub(super) fn told(report: &Report) -> Result<Value, Failure> {
    let bytes_per_second = report.recovery_seconds.map(|seconds| rate(report.bytes, seconds));
    let members: Vec<Value> = report.members.iter().map(member).collect();
    Ok(json!({
        "group": report.group,
        "result": result(report.is_passed),
        "level": report.level,
        "begun": report.begun,
        "recovery_seconds": report.recovery_seconds.map(hundredths),
        "hashes_seconds": hundredths(report.hashes_seconds),
        "bytes": report.bytes,
        "bytes_per_second": bytes_per_second,
        "is_damaged": report.is_damaged,
        "sources": report.sources,
        "known_good": (report.is_passed && report.level >= 2).then_some(&report.snapshot),
        "trouble": report.trouble,
        "command": serde_json::to_value(&report.command).map_err(Failure::failed)?,
        "report": report.id,
        "cartridges": members,
    }))
}

fn member(member: &MemberReport) -> Value {
    let (read, contents) = (member.read.as_ref(), member.contents.as_ref());
    // Of what was not even looked at there is nothing to be said.
    let is_begun = member.verified.is_object() || member.trouble.is_some();
    json!({
        "barcode": member.barcode,
        "result": is_begun.then(|| result(!member.is_damaged() && member.trouble.is_none())),
        "seconds": hundredths(member.seconds),
        "bytes": read.map(|tally| tally.bytes),
        "blocks": read.map(|tally| tally.blocks),
        "filemarks": read.map(|tally| tally.filemarks),
        "encrypted_blocks": read.map(|tally| tally.encrypted_blocks).filter(|count| *count > 0),
        "archives": contents.map(|contents| contents.archives),
        "files": contents.map(|contents| contents.files),
        "kinds": contents.map(|contents| &contents.kinds),
        "damaged_objects": read.map(|tally| tally.damaged_objects),
        "damage": read.map(|tally| &tally.damage),
        "archive_trouble": contents.map(|contents| &contents.trouble),
        "on_disk": member.verified.get("verdict"),
        "damage_on_disk": member.verified.get("damage"),
        "trouble": member.trouble,
    })
}

/// A failure if a drill has failed, which says what to do next.
pub(crate) fn verdict(report: &Value) -> Result<(), Failure> {
    let text = |name: &str| report.get(name).and_then(Value::as_str);
    if text("result") == Some(result(true)) {
        return Ok(());
    }
    let group = text("group").unwrap_or_default();
    if report.get("is_damaged").and_then(Value::as_bool) == Some(true) {
        let is_bad = |row: &&Value| row.get("result").and_then(Value::as_str) != Some(result(true));
        let rows = report.get("cartridges").and_then(Value::as_array).into_iter().flatten();
        let bad: Vec<&str> = rows
            .filter(is_bad)
            .filter_map(|row| row.get("barcode").and_then(Value::as_str))
            .collect();
        return Err(Failure::new(
            FailureKind::Damaged,
            format!(
                "group {group} does NOT come back whole: {}; `vtl tape show` says where their copies are",
                bad.join(", ")
            ),
        ));
    }
    let command = report.get("command").filter(|command| command.is_object());
    let why = text("trouble").map(str::to_owned).or_else(|| {
        let command = command?;
        let is_late = command.get("is_late").and_then(Value::as_bool) == Some(true);
        let code = command.get("exit_code").and_then(Value::as_i64);
        Some(match code {
            _ if is_late => "the command took longer than --limit and was ended".to_owned(),
            Some(code) => format!("the command ended with {code}"),
            None => "the command was ended by a signal".to_owned(),
        })
    });
    let why = why.unwrap_or_else(|| "see its cartridges above".to_owned());
    Err(Failure::failed(format!("the drill of group {group} failed: {why}")))
}

fn result(is_passed: bool) -> &'static str {
    if is_passed { "passed" } else { "FAILED" }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
