//! `vtl vault …`: copies on physical tape on their way off-site and back. Every step is in the ledger with who took it.

mod cli;
mod deadline;
mod retire;
mod verdict;
mod write;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_media::{CopyFacts, CopyRecord, CopyState, CopyStep, Place};
use vtl_vault::ShippingList;
use vtl_vault::walk::{self, Choice, Shipment, TapeName, Waits, WalkError};

pub(crate) use self::cli::VaultCommand;
use self::cli::{Recalled, Received, Returned, Shipped};
use self::deadline::deadline;
pub(crate) use self::verdict::verdict;
use crate::cli::Format;
use crate::library::Library;
use crate::operations::{self, Caller};
use crate::request::{Failure, FailureKind};
use crate::rules::policies::explain_copy;
use crate::rules::rules_in_force;

/// What can be asked about copies and their way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum VaultRequest {
    /// What is next for each copy.
    Plan {},
    /// What can be done is done; with drives or a library, copies are written first.
    Run(write::WhereTo),
    /// Tapes go to the courier.
    Ship(Shipped),
    /// The other site has them.
    Receive(Received),
    /// They are asked back.
    Recall(Recalled),
    /// They are here again.
    Return(Returned),
    /// One does not count any more.
    Retire(retire::Retired),
    /// All copies.
    List { state: Option<String>, site: Option<String>, container: Option<String> },
    /// What has not come in time.
    Overdue {},
    /// The tapes of a container, or those to be packed.
    Manifest { container: Option<String> },
}

/// Carries a request out.
pub(crate) fn answer(
    library: &Library,
    request: VaultRequest,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    let now = Zoned::now();
    let actor = caller.actor;
    match request {
        VaultRequest::Plan {} => plan(library, now.timestamp()),
        VaultRequest::Run(drives) => {
            let written = write::write_next(library, &drives, caller)?;
            run(library, written.as_ref(), now.timestamp(), actor)
        }
        VaultRequest::Ship(shipped) => ship(library, shipped, &now, actor),
        VaultRequest::Receive(received) => receive(library, received, &now, actor),
        VaultRequest::Recall(recalled) => recall(library, recalled, &now, actor),
        VaultRequest::Return(returned) => take_back(library, &returned, actor),
        VaultRequest::Retire(wanted) => retire::retire(library, &wanted, actor),
        VaultRequest::List { state, site, container } => {
            list(library, state.as_deref(), site.as_deref(), container.as_deref())
        }
        VaultRequest::Overdue {} => {
            let copies = library.store.copies();
            let late = walk::overdue(&copies, now.timestamp());
            Ok(Value::Array(late.into_iter().map(|copy| row(copy, now.timestamp())).collect()))
        }
        VaultRequest::Manifest { container } => manifest(library, container.as_deref()),
    }
}

/// A list as it is printed on paper or loaded into a spreadsheet; nothing for other answers.
pub(crate) fn printed(answer: &Value, format: Format) -> Option<String> {
    if format == Format::Json {
        return None;
    }
    let list = answer.get("pick_list").unwrap_or(answer);
    let list: ShippingList = serde_json::from_value(list.clone()).ok()?;
    if format == Format::Csv {
        return Some(list.to_csv());
    }
    let rows = |key: &str| answer.get(key).and_then(Value::as_array).into_iter().flatten();
    let mut text = list.to_text();
    let told = write::told(answer);
    if !told.is_empty() {
        text = format!("{told}\n{text}");
    }
    let taken: Vec<&str> = rows("taken_out").filter_map(Value::as_str).collect();
    if !taken.is_empty() {
        text = format!("Taken out of the library now: {}\n\n{text}", taken.join(", "));
    }
    let field = |row: &Value, key: &str| {
        row.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    for row in rows("to_be_written") {
        let parts =
            ["copy", "barcode", "state", "next"].map(|key| field(row, key).unwrap_or_default());
        let [copy, barcode, state, next] = parts;
        let _infallible = write!(text, "\n  copy {copy} of {barcode} is {state}: {next}");
    }
    for row in rows("waiting") {
        let [group, reason] = ["group", "reason"].map(|key| field(row, key).unwrap_or_default());
        let _infallible = write!(text, "\n  group {group} stays: {reason}");
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Some(text)
}

fn plan(library: &Library, now: Timestamp) -> Result<Value, Failure> {
    let (rules, copies) = (rules_in_force(library)?, library.store.copies());
    let waits = Waits::of(&rules, &copies, &operations::current(library));
    let rows = walk::next_steps(&rules, &copies, &waits, now);
    serde_json::to_value(rows).map_err(Failure::failed)
}

fn run(
    library: &Library,
    written: Option<&Value>,
    now: Timestamp,
    actor: &str,
) -> Result<Value, Failure> {
    let rules = rules_in_force(library)?;
    // What was written just now is still in its drive.
    let cartridges = operations::current(library);
    let copies = library.store.copies();
    let waits = Waits::of(&rules, &copies, &cartridges);
    let steps = match written {
        Some(_) => Vec::new(),
        None => walk::eject(&rules, &copies, &waits),
    };
    let moved = advance(library, &steps, actor)?;
    let copies = library.store.copies();
    let left = walk::next_steps(&rules, &copies, &waits, now);
    let is_waiting = |step: &&walk::NextStep| step.state.is_under_way();
    Ok(json!({
        "written": written,
        "taken_out": moved.iter().map(walk::volume_of).collect::<Vec<_>>(),
        "pick_list": walk::pick_list(&copies),
        "to_be_written": left.iter().filter(is_waiting).collect::<Vec<_>>(),
        "waiting": waits.without_copy().collect::<Vec<_>>(),
    }))
}

fn ship(library: &Library, shipped: Shipped, now: &Zoned, actor: &str) -> Result<Value, Failure> {
    let Ok(Place::Offsite(site)) = shipped.to.parse::<Place>() else {
        return Err(Failure::usage(format!(
            "--to {}: write offsite:NAME, the other site's name",
            shipped.to
        )));
    };
    for (option, name) in [("--container", &shipped.container), ("--seal", &shipped.seal)] {
        check_name(option, name)?;
    }
    let shipment = Shipment {
        container: shipped.container.clone(),
        seal: shipped.seal,
        site,
        expected: deadline("--expect", &shipped.expect, now)?,
    };
    let barcodes = names("BARCODE", &shipped.barcodes)?;
    let choice = Choice { barcodes, copy: shipped.copy, container: None };
    let copies = library.store.copies();
    let steps = walk::ship(&rules_in_force(library)?, &copies, &choice, &shipment)
        .map_err(|error| explain(&error))?;
    advance(library, &steps, actor)?;
    manifest(library, Some(&shipped.container))
}

fn receive(
    library: &Library,
    received: Received,
    now: &Zoned,
    actor: &str,
) -> Result<Value, Failure> {
    let missing = names("--missing", &received.missing)?;
    let expected =
        received.return_by.as_deref().map(|text| deadline("--return-by", text, now)).transpose()?;
    let is_accepted = received.accept.is_some();
    let facts = CopyFacts {
        seal: received.seal,
        reason: received.accept,
        expected,
        ..CopyFacts::default()
    };
    let copies = library.store.copies();
    let steps = walk::receive(&copies, &received.container, &missing, &facts, is_accepted)
        .map_err(|error| explain(&error))?;
    let moved = advance(library, &steps, actor)?;
    let told = |copy: &CopyRecord| {
        let mut row = row(copy, now.timestamp());
        if let Value::Object(fields) = &mut row {
            fields.insert("warning".to_owned(), json!(warning(library, copy)));
        }
        row
    };
    Ok(Value::Array(moved.iter().map(told).collect()))
}

fn recall(
    library: &Library,
    recalled: Recalled,
    now: &Zoned,
    actor: &str,
) -> Result<Value, Failure> {
    let expected =
        recalled.expect.as_deref().map(|text| deadline("--expect", text, now)).transpose()?;
    let choice = Choice {
        barcodes: names("BARCODE", &recalled.barcodes)?,
        copy: recalled.copy,
        container: recalled.container,
    };
    let facts = CopyFacts { expected, reason: recalled.reason, ..CopyFacts::default() };
    let copies = library.store.copies();
    let step = if recalled.call_off { walk::call_off } else { walk::recall };
    let steps = step(&rules_in_force(library)?, &copies, &choice, &facts);
    let steps = steps.map_err(|error| explain(&error))?;
    rows(&advance(library, &steps, actor)?, now)
}

fn take_back(library: &Library, returned: &Returned, actor: &str) -> Result<Value, Failure> {
    let came = names("BARCODE", &returned.barcodes)?;
    let damaged = names("--damaged", &returned.damaged)?;
    if came.is_empty() && damaged.is_empty() {
        return Err(Failure::usage(
            "name the barcodes of all tapes in the container: those that are not named are lost",
        ));
    }
    let copies = library.store.copies();
    let (comparison, steps) = walk::take_back(&copies, &returned.container, &came, &damaged)
        .map_err(|error| explain(&error))?;
    let moved = advance(library, &steps, actor)?;
    let warnings: BTreeSet<String> =
        moved.iter().filter_map(|copy| warning(library, copy)).collect();
    let container = walk::container_named(&copies, &returned.container);
    let mut answer = json!({ "container": container, "warnings": warnings });
    if let (Value::Object(answer), Ok(Value::Object(fields))) =
        (&mut answer, serde_json::to_value(comparison))
    {
        answer.extend(fields);
    }
    Ok(answer)
}

/// What is to be said aloud when a copy is lost or damaged: that nothing else has what was on it.
fn warning(library: &Library, copy: &CopyRecord) -> Option<String> {
    let became = match copy.state {
        CopyState::Lost => "LOST",
        CopyState::Failed => "DAMAGED",
        _ => return None,
    };
    let (barcode, volume) = (&copy.barcode, walk::volume_of(copy));
    library.store.is_last_copy(copy).then(|| {
        format!(
            "THE LAST COPY OF {barcode} IS {became}: the cartridge is not on disk any more, or cannot be read there, and no other copy of it \
             that was proved counts. What was on it is gone unless tape {volume} can be found and read"
        )
    })
}

fn list(
    library: &Library,
    state: Option<&str>,
    site: Option<&str>,
    container: Option<&str>,
) -> Result<Value, Failure> {
    if let Some(state) =
        state.filter(|name| CopyState::ALL.iter().all(|state| state.name() != *name))
    {
        let names: Vec<&str> = CopyState::ALL.iter().map(|state| state.name()).collect();
        return Err(Failure::usage(format!("--state {state}: there are {}", names.join(", "))));
    }
    let site = site.map(|site| site.strip_prefix("offsite:").unwrap_or(site));
    let copies = library.store.copies();
    let container = container.map(|name| walk::container_named(&copies, name));
    let fits = |copy: &&CopyRecord| {
        state.is_none_or(|state| copy.state.name() == state)
            && site.is_none_or(|site| copy.facts.site.as_deref() == Some(site))
            && container.is_none_or(|name| copy.facts.container.as_deref() == Some(name))
    };
    let now = Timestamp::now();
    Ok(Value::Array(copies.iter().filter(fits).map(|copy| row(copy, now)).collect()))
}

fn manifest(library: &Library, container: Option<&str>) -> Result<Value, Failure> {
    let copies = library.store.copies();
    let list = match container {
        None => walk::pick_list(&copies),
        Some(container) => walk::manifest(&copies, container).ok_or_else(|| {
            Failure::not_found(format!(
                "no copy is or was in a container {container}; `vtl vault list` shows which container each is in"
            ))
        })?,
    };
    serde_json::to_value(list).map_err(Failure::failed)
}

fn rows(copies: &[CopyRecord], now: &Zoned) -> Result<Value, Failure> {
    Ok(Value::Array(copies.iter().map(|copy| row(copy, now.timestamp())).collect()))
}

fn row(copy: &CopyRecord, now: Timestamp) -> Value {
    let facts = &copy.facts;
    json!({
        "volume": walk::volume_of(copy),
        "barcode": copy.barcode,
        "copy": copy.number,
        "state": copy.state,
        "since": copy.since,
        "container": facts.container,
        "seal": facts.seal,
        "site": facts.site,
        "expected": facts.expected,
        "overdue": copy.is_overdue(now),
        "proved": copy.proved,
        "bytes": facts.bytes,
        "medium_serial": facts.medium_serial,
        "hash": facts.receipt,
        "reason": facts.reason,
        "id": copy.id,
        "cartridge": copy.cartridge,
    })
}

fn advance(library: &Library, steps: &[CopyStep], actor: &str) -> Result<Vec<CopyRecord>, Failure> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let mut moved =
        library.store.advance_copies(steps, actor).map_err(|error| explain_copy(&error))?;
    // One that took two steps is told of once.
    moved.dedup_by_key(|copy| copy.id);
    Ok(moved)
}

fn explain(error: &WalkError) -> Failure {
    let kind = match error {
        WalkError::NoCopy(_) | WalkError::NoContainer { .. } | WalkError::NotInContainer { .. } => {
            FailureKind::NotFound
        }
        _ => FailureKind::Refused,
    };
    Failure::new(kind, error.to_string())
}

fn names(option: &str, texts: &[String]) -> Result<Vec<TapeName>, Failure> {
    let read = |text: &String| {
        TapeName::new(text).map_err(|error| Failure::usage(format!("{option}: {error}")))
    };
    texts.iter().map(read).collect()
}

/// Containers and seals are written on paper and read out on the telephone.
fn check_name(option: &str, name: &str) -> Result<(), Failure> {
    let is_good = |c: char| c.is_alphanumeric() || "-_./ ".contains(c);
    if (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.trim() == name
        && name.chars().all(is_good)
    {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{option} {name:?}: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`, `/` and spaces within"
    )))
}

const NAME_BYTES_MAX: usize = 64;
