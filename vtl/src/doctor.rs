//! `vtl doctor`: what could go wrong on this machine and in this library.

use std::path::Path;

use serde_json::{Value, json};
use vtl_media::AccessRule;

use crate::client;
use crate::config::Config;
use crate::fences::DrivesRequest;
use crate::request::{Failure, FailureKind, InventoryFilter, Request};

/// Less free space than this is worth a warning: drives stop taking data before the file system is full.
const LOW_SPACE_BYTES: u64 = 10 << 30;

/// What was looked at, and what was found.
pub(crate) struct Report(Vec<Finding>);

struct Finding {
    check: &'static str,
    /// `Err` says what is wrong and what to do next.
    result: Result<String, String>,
}

/// Looks at everything, and changes nothing.
pub(crate) fn examine(directory: &Path) -> Report {
    let finding = |check, result| Finding { check, result };
    let status = client::ask(directory, Request::Status {}).map_err(|failure| failure.message);
    let of_status = |look: fn(&Value) -> Result<String, String>| {
        status.as_ref().map_err(Clone::clone).and_then(look)
    };
    let portal = status.as_ref().ok().and_then(|status| status.get("portal")?.as_str());
    Report(vec![
        finding("configuration", configuration(directory, portal)),
        finding("free space", free_space(directory)),
        finding("library", of_status(|status| field(status, "running"))),
        finding("drives", of_status(last_failures)),
        finding("cartridges", damaged(directory)),
        finding("copies", of_status(copies)),
        finding("policies", of_status(policies)),
        finding("physical drives", fenced_drives(directory)),
        finding("ledger", asked(directory, Request::AuditVerify { against: None }, "entries")),
        finding("catalogue", asked(directory, Request::CatalogCheck {}, "consistent")),
    ])
}

impl Report {
    /// One object a finding.
    pub(crate) fn to_json(&self) -> Value {
        let rows = self.0.iter().map(|finding| {
            let (verdict, text) = match &finding.result {
                Ok(text) => ("ok", text),
                Err(text) => ("problem", text),
            };
            json!({ "check": finding.check, "verdict": verdict, "finding": text })
        });
        Value::Array(rows.collect())
    }

    /// A failure if anything is wrong.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        match self.0.iter().filter(|finding| finding.result.is_err()).count() {
            0 => Ok(()),
            count => Err(Failure::new(FailureKind::Failed, format!("{count} problem(s) found"))),
        }
    }
}

fn configuration(directory: &Path, portal: Option<&str>) -> Result<String, String> {
    let path = directory.join(crate::config::FILE_NAME);
    if !path.exists() {
        return Ok("no vtl.toml: all defaults".to_owned());
    }
    let config = Config::read_or_create(directory).map_err(|error| error.to_string())?;
    let rules =
        client::ask(directory, Request::AccessList {}).map_err(|failure| failure.message)?;
    let rules: Vec<AccessRule> =
        serde_json::from_value(rules).map_err(|error| error.to_string())?;
    config.check_listen(&rules).map_err(|error| error.to_string())?;
    // `vtl serve --listen` may have said something else.
    Ok(match portal {
        Some(portal) => format!("the library listens on {portal}"),
        None => format!("the library would listen on {}", config.iscsi.listen),
    })
}

fn free_space(directory: &Path) -> Result<String, String> {
    let usage = rustix::fs::statvfs(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let free = usage.f_bavail.saturating_mul(usage.f_frsize);
    let text = format!("{} GiB free in {}", free >> 30, directory.display());
    if free < LOW_SPACE_BYTES {
        return Err(format!(
            "{text}: drives will soon report the end of the medium; make room or delete cartridges"
        ));
    }
    Ok(text)
}

/// What failed last at each drive. That is for whoever looks for a reason; it is no problem of the library.
fn last_failures(status: &Value) -> Result<String, String> {
    let drives = status.get("drives").and_then(Value::as_array).cloned().unwrap_or_default();
    let lines: Vec<String> = drives
        .iter()
        .filter_map(|drive| {
            let failure = drive.get("last_failure")?.as_str()?;
            Some(format!("drive {}: {failure}", drive.get("drive")?))
        })
        .collect();
    if lines.is_empty() {
        return Ok("no command has failed since the start".to_owned());
    }
    Ok(format!("last failures: {}", lines.join("; ")))
}

/// Cartridges that are not on disk any more, and whose copies are lost or bad: nobody else would say so.
fn copies(status: &Value) -> Result<String, String> {
    let rows = status.get("lost").and_then(Value::as_array).cloned().unwrap_or_default();
    let lost: Vec<&str> = rows.iter().filter_map(Value::as_str).collect();
    if lost.is_empty() {
        return Ok("what is not on disk any more has a good copy".to_owned());
    }
    Err(format!(
        "LOST: {}: not on disk any more, and no copy on tape is good; `vtl vault list` says what became of them. What was given up on purpose is said \
         so by `vtl vault retire`",
        lost.join(", ")
    ))
}

/// Policies that run by themselves: whoever relies on that has to know when one failed.
fn policies(status: &Value) -> Result<String, String> {
    let rows = status.get("policies").and_then(Value::as_array).cloned().unwrap_or_default();
    let problem = |row: &Value| {
        let problem = row.get("problem")?.as_str()?;
        let policy = row.get("policy")?.as_str()?;
        Some(format!("policy {policy}: {problem}"))
    };
    let problems: Vec<String> = rows.iter().filter_map(problem).collect();
    if problems.is_empty() {
        return Ok(format!("{} run by themselves, none of them failed", rows.len()));
    }
    Err(format!("{}; `vtl policy plan` says what is left, and why", problems.join("; ")))
}

/// Drives that nothing is written to, so that copies may wait for them.
fn fenced_drives(directory: &Path) -> Result<String, String> {
    let failed = Request::Drives(DrivesRequest::Failed {});
    let rows = client::ask(directory, failed).map_err(|failure| failure.message)?;
    let fenced = |row: &Value| {
        let (serial, why) = (row.get("serial")?.as_str()?, row.get("fenced")?.as_str()?);
        Some(format!("{serial} is fenced: {why}"))
    };
    let fenced: Vec<String> = rows.as_array().into_iter().flatten().filter_map(fenced).collect();
    if fenced.is_empty() {
        return Ok("none is fenced".to_owned());
    }
    Err(format!(
        "{}; when it was repaired or replaced, `vtl physical clear SERIAL`",
        fenced.join("; ")
    ))
}

/// Cartridges that cannot be relied on, by name.
fn damaged(directory: &Path) -> Result<String, String> {
    let all = client::ask(directory, Request::Inventory(InventoryFilter::default()))
        .map_err(|failure| failure.message)?;
    let rows = all.as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| {
        row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_bad = |row: &&Value| ["damaged", "missing"].contains(&text(row, "state").as_str());
    let bad: Vec<String> = rows
        .iter()
        .filter(is_bad)
        .map(|row| format!("{} ({})", text(row, "barcode"), text(row, "state")))
        .collect();
    if bad.is_empty() {
        return Ok(format!("{}, none of them damaged or missing", rows.len()));
    }
    Err(format!(
        "{}; `vtl verify BARCODE` says what is damaged: restore that from another copy and write it anew",
        bad.join(", ")
    ))
}

fn asked(directory: &Path, request: Request, key: &str) -> Result<String, String> {
    let answer = client::ask(directory, request).map_err(|failure| failure.message)?;
    field(&answer, key)
}

fn field(answer: &Value, key: &str) -> Result<String, String> {
    Ok(format!("{key}: {}", answer.get(key).unwrap_or(answer)))
}
