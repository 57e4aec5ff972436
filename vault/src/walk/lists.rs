//! What an operator reads: what each copy waits for, what is overdue, what is in a container.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use vtl_media::{Barcode, CopyRecord, CopyState};

use super::stacks::Stacks;
use super::{Wait, Waits, container_named, is_away, volume_of};
use crate::age::moment;
use crate::rules::Rules;
use crate::shipping::{Row, ShippingList};

/// What a copy is waiting for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// What the tape's label says.
    pub volume: String,
    /// The cartridge.
    pub barcode: Barcode,
    /// Which copy.
    pub copy: u32,
    /// Where it is.
    pub state: CopyState,
    /// Whether `vtl vault run` takes the step.
    pub runs: bool,
    /// What comes next, and who does it.
    pub next: String,
}

/// What each copy waits for, but for those that are over.
pub fn next_steps(
    rules: &Rules,
    copies: &[CopyRecord],
    waits: &Waits,
    now: Timestamp,
) -> Vec<NextStep> {
    let stacks = Stacks::of(copies);
    let row = |copy: &CopyRecord| {
        // What one cartridge on a tape waits for, all wait for.
        let mut on_tape = stacks.members(copy).iter().copied().chain([copy]);
        let wait = on_tape.find_map(|copy| waits.wait(rules, copy));
        let (runs, next) = next_step(copy, wait, now);
        NextStep {
            volume: volume_of(copy).to_owned(),
            barcode: copy.barcode.clone(),
            copy: copy.number,
            state: copy.state,
            runs,
            next,
        }
    };
    copies.iter().filter(|copy| !copy.state.is_over()).map(row).collect()
}

/// The copies whose next step was expected by now and has not come, the longest overdue first.
pub fn overdue(copies: &[CopyRecord], now: Timestamp) -> Vec<&CopyRecord> {
    let is_late = |copy: &&CopyRecord| !copy.state.is_over() && copy.is_overdue(now);
    let mut late: Vec<&CopyRecord> = copies.iter().filter(is_late).collect();
    late.sort_by_key(|copy| (copy.facts.expected, volume_of(copy)));
    late
}

/// The tapes of a container that is away, or of one that came back if none is; none if there never was one.
pub fn manifest(copies: &[CopyRecord], container: &str) -> Option<ShippingList> {
    let container = container_named(copies, container);
    let mut inside: Vec<&CopyRecord> =
        copies.iter().filter(|copy| copy.facts.container.as_deref() == Some(container)).collect();
    if inside.iter().any(|copy| is_away(copy)) {
        inside.retain(|copy| is_away(copy));
    }
    let first = inside.first()?;
    let facts = &first.facts;
    Some(ShippingList {
        title: "Shipping manifest".to_owned(),
        container: container.to_owned(),
        seal: facts.seal.clone().unwrap_or_default(),
        from: HERE.to_owned(),
        to: facts.site.clone().map(|site| format!("offsite:{site}")).unwrap_or_default(),
        expected: facts.expected,
        rows: rows(&inside),
    })
}

/// The tapes that are to be packed: those that are out of their drives, or will be next.
pub fn pick_list(copies: &[CopyRecord]) -> ShippingList {
    let is_picked =
        |copy: &&CopyRecord| matches!(copy.state, CopyState::Receipted | CopyState::Ejected);
    let picked: Vec<&CopyRecord> = copies.iter().filter(is_picked).collect();
    ShippingList {
        title: "Pick list".to_owned(),
        container: String::new(),
        seal: String::new(),
        from: HERE.to_owned(),
        to: String::new(),
        expected: None,
        rows: rows(&picked),
    }
}

/// One row for each tape, also where it has several cartridges: the receipt of each of them names all.
fn rows(copies: &[&CopyRecord]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut tapes: HashMap<(&str, Option<&str>, u32), usize> = HashMap::new();
    for copy in copies {
        let bytes = copy.facts.bytes.unwrap_or(0);
        let tape = (volume_of(copy), copy.facts.medium_serial.as_deref(), copy.number);
        if let Some(row) = tapes.get(&tape).and_then(|at| rows.get_mut(*at)) {
            row.bytes = row.bytes.saturating_add(bytes);
            continue;
        }
        tapes.insert(tape, rows.len());
        rows.push(Row {
            barcode: Barcode::new(volume_of(copy)).unwrap_or_else(|_| copy.barcode.clone()),
            copy: copy.number,
            medium_serial: copy.facts.medium_serial.clone(),
            state: copy.state,
            bytes,
            receipt: copy.facts.receipt.clone(),
        });
    }
    rows.sort_by(|a, b| (&a.barcode, a.copy).cmp(&(&b.barcode, b.copy)));
    rows
}

fn next_step(copy: &CopyRecord, wait: Option<&Wait>, now: Timestamp) -> (bool, String) {
    let barcode = &copy.barcode;
    let late = if copy.is_overdue(now) { "OVERDUE: " } else { "" };
    let expected = copy
        .facts
        .expected
        .map(|time| format!(", expected by {}", moment(time)))
        .unwrap_or_default();
    let container = copy.facts.container.as_deref().unwrap_or("NAME");
    match copy.state {
        CopyState::Staged | CopyState::Manifested | CopyState::Written | CopyState::Proved => (
            false,
            format!(
                "it is to be written and proved: `vtl vault run --to DEVICE`, or `vtl export {barcode} --copy {} --to DEVICE`",
                copy.number
            ),
        ),
        CopyState::Receipted => match wait {
            Some(wait) => (false, wait.reason.clone()),
            None => (
                true,
                "take the tape out of the library: `vtl vault run` prints the pick list".to_owned(),
            ),
        },
        CopyState::Ejected => (false, "pack it and ship it: `vtl vault ship`".to_owned()),
        CopyState::Courier => (
            false,
            format!(
                "{late}the other site acknowledges it: `vtl vault receive {container}`{expected}"
            ),
        ),
        CopyState::Offsite => (false, format!("{late}it rests{expected}")),
        CopyState::Recalled => (
            false,
            format!(
                "{late}it comes back: `vtl vault return --container {container} BARCODE…`{expected}"
            ),
        ),
        CopyState::Returned => {
            (false, format!("it is here; `vtl vault ship {barcode}` sends it out again"))
        }
        CopyState::Failed | CopyState::Lost | CopyState::Retired => (false, String::new()),
    }
}

const HERE: &str = "this library";
