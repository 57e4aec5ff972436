//! Which copies a vault run writes, and in which drives.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vtl_media::{CopyRecord, CopyState};
use vtl_vault::stack_of;

use crate::bays::{self, Job};
use crate::library::Library;
use crate::operations::Caller;
use crate::request::{ExportChoice, Failure};

/// Where a vault run writes to; nowhere if nothing is said.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct WhereTo {
    /// Write the next copy that was asked for to the tape in this drive (/dev/nstN) and prove it; nothing is taken out then. Given several
    /// times, the next copy goes to the first drive, the one after it to the second, and so on, at the same time.
    #[arg(long, value_name = "DEVICE", conflicts_with = "library")]
    #[serde(deserialize_with = "crate::export_choice::one_or_several")]
    pub(crate) to: Vec<String>,
    /// Write all copies that were asked for in this library (its changer, /dev/sgN), in as many of its drives as are free.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) library: Option<String>,
    /// Use so many of the library's free drives at most.
    #[arg(long, value_name = "N", requires = "library", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) drives: Option<u32>,
    /// Where no tape has the cartridge's barcode, or another copy is on it: take an empty one with a barcode like this, such as 'SCR*'.
    #[arg(long, value_name = "PATTERN", requires = "library")]
    pub(crate) scratch: Option<String>,
}

impl WhereTo {
    /// Whether anything is to be written.
    pub(crate) fn is_any(&self) -> bool {
        !self.to.is_empty() || self.library.is_some()
    }
}

/// Writes the copies that are first in line: those that were begun, then those that were asked for first. Nothing if no drive was said.
pub(super) fn write_next(
    library: &Library,
    drives: &WhereTo,
    caller: &Caller<'_>,
) -> Result<Option<Value>, Failure> {
    if !drives.is_any() {
        return Ok(None);
    }
    // What is begun on a tape with others goes on with all of them, by `vtl export --stack`, and must not keep the rest waiting.
    let is_alone = |copy: &CopyRecord| stack_of(&library.store, copy).is_none();
    let mut jobs = in_line(&library.store.copies(), is_alone);
    if jobs.is_empty() {
        return Err(Failure::refused(
            "no copy is to be written to a tape of its own; `vtl policy plan` says what the policies ask for",
        ));
    }
    let mut to = drives.to.clone();
    if drives.library.is_none() {
        jobs.truncate(to.len());
        // There may be less to be written than there are drives.
        to.truncate(jobs.len());
    }
    let choice = ExportChoice {
        to,
        library: drives.library.clone(),
        drives: drives.drives,
        scratch: drives.scratch.clone(),
        ..ExportChoice::default()
    };
    bays::carry_out(library, &choice, jobs, caller.actor, caller.is_gone).map(Some)
}

/// What was written, a line a copy.
pub(super) fn told(answer: &Value) -> String {
    let rows = match answer.get("written") {
        Some(Value::Array(rows)) => rows.iter().collect(),
        Some(row @ Value::Object(_)) => vec![row],
        _ => Vec::new(),
    };
    let mut text = String::new();
    for row in rows {
        let field = |key: &str| match row.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let (number, barcode, state) = (field("number"), field("barcode"), field("state"));
        let why = match field("reason") {
            reason if reason.is_empty() => " now.".to_owned(),
            reason => format!(": {reason}"),
        };
        let _infallible = writeln!(text, "Copy {number} of {barcode} is {state}{why}");
    }
    text
}

/// All copies that wait to be written to a tape of their own. The tape with a cartridge's barcode is for the first of them, unless some copy is on it.
fn in_line(copies: &[CopyRecord], is_alone: impl Fn(&CopyRecord) -> bool) -> Vec<Job> {
    let is_waiting = |copy: &&CopyRecord| copy.state.is_under_way() && is_alone(copy);
    let mut waiting: Vec<&CopyRecord> = copies.iter().filter(is_waiting).collect();
    waiting.sort_by_key(|copy| (copy.state == CopyState::Staged, copy.staged, copy.number));
    let has_own = |copy: &&CopyRecord| copy.facts.volume.as_deref() == Some(copy.barcode.as_str());
    let counts = |copy: &&CopyRecord| copy.state.is_receipted() || copy.state.is_under_way();
    let mut taken: BTreeSet<_> =
        copies.iter().filter(counts).filter(has_own).map(|copy| copy.cartridge).collect();
    let job = |copy: &CopyRecord| Job {
        barcode: copy.barcode.to_string(),
        copy: copy.number,
        is_for_scratch: !taken.insert(copy.cartridge),
        bay: None,
    };
    waiting.into_iter().map(job).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A vault run wrote one copy with one drive, and a group of twenty was twenty commands.
    #[test]
    fn those_that_were_begun_come_first_and_no_two_want_one_tape() {
        let copy = |barcode: &str, number: u32, state: &str, volume: Option<&str>| -> CopyRecord {
            let uuid = uuid::Uuid::from_u128(u128::from(barcode.as_bytes()[2]));
            CopyRecord {
                id: uuid::Uuid::from_u128(u128::from(number)),
                cartridge: uuid,
                barcode: vtl_media::Barcode::new(barcode).unwrap(),
                number,
                state: serde_json::from_value(json!(state)).unwrap(),
                staged: jiff::Timestamp::from_second(i64::from(number)).unwrap(),
                since: jiff::Timestamp::UNIX_EPOCH,
                proved: None,
                facts: vtl_media::CopyFacts {
                    volume: volume.map(str::to_owned),
                    ..vtl_media::CopyFacts::default()
                },
            }
        };
        let copies = [
            copy("AA1001L9", 1, "receipted", Some("AA1001L9")),
            copy("AA1001L9", 2, "staged", None),
            copy("AA2001L9", 2, "staged", None),
            copy("AA2001L9", 1, "staged", None),
            copy("AA3001L9", 3, "written", Some("SCR001L9")),
            copy("AA4001L9", 1, "failed", Some("AA4001L9")),
        ];
        let jobs: Vec<_> = in_line(&copies, |_| true)
            .into_iter()
            .map(|job| (job.barcode, job.copy, job.is_for_scratch))
            .collect();
        let job = |barcode: &str, copy, is_for_scratch| (barcode.to_owned(), copy, is_for_scratch);
        assert_eq!(
            jobs,
            [
                job("AA3001L9", 3, false),
                job("AA2001L9", 1, false),
                job("AA1001L9", 2, true),
                job("AA2001L9", 2, true),
            ]
        );
        let rows = json!({ "written": [
            { "barcode": "A", "number": 1, "state": "receipted" },
            { "barcode": "B", "number": 2, "state": "not-exported", "reason": "no tape" },
        ] });
        let text = "Copy 1 of A is receipted now.\nCopy 2 of B is not-exported: no tape\n";
        assert_eq!((told(&rows).as_str(), told(&json!({})).as_str()), (text, ""));
    }
}
