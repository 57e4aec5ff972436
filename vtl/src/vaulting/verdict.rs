//! Whether an answer says that something is lost, damaged or not ours, for the exit code.

use serde_json::Value;

use crate::bays;
use crate::request::{Failure, FailureKind};

/// A failure if it does. What it says is in the ledger is there.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    if let Some(written) = answer.get("written") {
        return bays::verdict(written);
    }
    if let Value::Array(rows) = answer {
        return received(rows);
    }
    if answer.get("container").is_none() || answer.get("returned").is_none() {
        return Ok(());
    }
    let (damaged, lost, unexpected) =
        (names(answer, "damaged"), names(answer, "lost"), names(answer, "unexpected"));
    let mut told = Vec::new();
    for (names, what) in [(&damaged, "damaged"), (&lost, "lost"), (&unexpected, "unexpected")] {
        if !names.is_empty() {
            told.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    let mut message = format!("what came back is not what was sent; {}", told.join("; "));
    if !damaged.is_empty() || !lost.is_empty() {
        message.push_str(". What is damaged or lost is in the ledger");
    }
    if !unexpected.is_empty() {
        message.push_str(". Of what was not asked back nothing is noted: see to it");
    }
    for warning in names(answer, "warnings") {
        message.push_str(". ");
        message.push_str(&warning);
    }
    let is_damaged = |row: &Value| row.get("damaged").and_then(Value::as_bool).unwrap_or(false);
    let kind = if damaged.is_empty() && !rows(answer, "unexpected").any(is_damaged) {
        FailureKind::Failed
    } else {
        FailureKind::Damaged
    };
    Err(Failure::new(kind, message))
}

/// What was not in a container when it arrived is what somebody has said, unless nothing else has what was on it.
fn received(rows: &[Value]) -> Result<(), Failure> {
    let warning = |row: &Value| {
        row.get("volume").and(row.get("warning")).and_then(Value::as_str).map(str::to_owned)
    };
    let warnings: Vec<String> = rows.iter().filter_map(warning).collect();
    if warnings.is_empty() {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Failed, warnings.join(". ")))
}

fn names(answer: &Value, key: &str) -> Vec<String> {
    let name =
        |row: &Value| row.as_str().or_else(|| row.get("barcode")?.as_str()).map(str::to_owned);
    rows(answer, key).filter_map(name).collect()
}

fn rows<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    answer.get(key).and_then(Value::as_array).into_iter().flatten()
}
