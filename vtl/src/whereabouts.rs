//! `vtl tape show`: a cartridge's whole story, where its copies are, and what it would take to restore it.

use jiff::Timestamp;
use serde_json::{Value, json};
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeState, CopyRecord, CopyState, CopySummary, Place,
};
use vtl_vault::receipt::VerifiedReceipt;

use crate::library::Library;
use crate::lineage;
use crate::operations::{find, refreshed};
use crate::receipts;
use crate::request::Failure;
use crate::rules;

/// The stories of cartridges, and of those that are gone and have copies.
pub(crate) fn show(library: &Library, barcodes: &[String]) -> Result<Value, Failure> {
    let now = Timestamp::now();
    let all = library.store.copies();
    let rows = barcodes.iter().map(|barcode| {
        let entry = match find(library, barcode) {
            Ok(entry) => {
                let mut entry = [refreshed(library, entry)];
                rules::name_groups(library, &mut entry);
                let [entry] = entry;
                Some(entry)
            }
            // A copy outlives its cartridge: that is what it is for.
            Err(_) if all.iter().any(|copy| is_called(&copy.barcode, barcode)) => None,
            Err(failure) => return Err(failure),
        };
        let is_of = |copy: &&CopyRecord| match &entry {
            Some(entry) => copy.cartridge == entry.uuid,
            None => is_called(&copy.barcode, barcode),
        };
        let mut copies: Vec<CopyRecord> = all.iter().filter(is_of).cloned().collect();
        // The best way to get it back comes first.
        copies.sort_by_key(|copy| (steps_away(copy.state), copy.number));
        story(library, barcode, entry.as_ref(), &copies, now)
    });
    rows.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn is_called(barcode: &Barcode, text: &str) -> bool {
    barcode.as_str().eq_ignore_ascii_case(text)
}

fn story(
    library: &Library,
    barcode: &str,
    entry: Option<&CartridgeEntry>,
    copies: &[CopyRecord],
    now: Timestamp,
) -> Result<Value, Failure> {
    let mut value = match entry {
        Some(entry) => serde_json::to_value(entry).map_err(Failure::failed)?,
        None => json!({ "barcode": barcode.to_ascii_uppercase(), "state": "deleted" }),
    };
    let mut summary = CopySummary::default();
    for copy in copies {
        summary.add(copy, entry);
    }
    let receipt = receipts::newest(library, copies);
    let mut restore: Vec<String> = entry.map(on_this_disk).into_iter().collect();
    restore.extend(copies.iter().map(|copy| way_back(copy, now)));
    if copies.is_empty() {
        restore.push("there is no copy on physical tape".to_owned());
    }
    let retention = entry.map(|entry| library.store.retention(entry.uuid)).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        add("retained_until", json!(retention.until));
        add("governed_until", json!(retention.governed_until));
        add("dispose_after", json!(retention.dispose_after));
        add("hold", retention.hold.into());
        let uuid = entry.map(|entry| entry.uuid).unwrap_or_default();
        add("imported", lineage::story(library, uuid));
        add("copies", summary.good.into());
        add("stale_copies", summary.stale.into());
        add("copy_state", summary.best.map(CopyState::name).into());
        add("copy_proved", summary.proved.map(|time| time.to_string()).into());
        add("copy_list", copies.iter().map(|copy| line(copy, now)).collect());
        add("newest_receipt", receipt.as_ref().map_or(Value::Null, receipt_line));
        add("restore", restore.into());
    }
    Ok(value)
}

fn line(copy: &CopyRecord, now: Timestamp) -> Value {
    json!({
        "copy": copy.number,
        "state": copy.state,
        "since": copy.since,
        "volume": copy.facts.volume,
        "medium_serial": copy.facts.medium_serial,
        "proved": copy.proved,
        "site": copy.facts.site,
        "container": copy.facts.container,
        "seal": copy.facts.seal,
        "expected": copy.facts.expected,
        "is_overdue": copy.is_overdue(now),
        "generation": copy.facts.generation,
        "reason": copy.facts.reason,
        "id": copy.id,
    })
}

fn receipt_line(receipt: &VerifiedReceipt) -> Value {
    json!({
        "receipt": receipt.manifest.id,
        "copy": receipt.manifest.target.copy,
        "proved": receipt.proof.as_ref().map(|proof| proof.time),
        "generation": receipt.manifest.source.generation,
        "as_of": receipt.manifest.source.as_of,
        "sha256": receipt.sha256,
    })
}

/// What it takes to read the cartridge itself.
fn on_this_disk(entry: &CartridgeEntry) -> String {
    let barcode = &entry.barcode;
    match (entry.state, &entry.place) {
        (CartridgeState::Missing, _) => format!(
            "its directory is gone from this disk: look for it in a backup of the data directory, or take a copy; {barcode} itself \
             cannot be read"
        ),
        (CartridgeState::Damaged, _) => format!(
            "on this disk, and damaged: `vtl verify {barcode}` says which files; `vtl tape history {barcode}` shows what it can \
             be taken back to"
        ),
        (_, place @ Place::Drive { .. }) => {
            format!("in {place}: nothing; the backup software can read it now")
        }
        (_, place @ (Place::Storage { .. } | Place::ImportExport { .. })) => format!(
            "in {place}: nothing; the backup software loads it by itself, or `vtl load {barcode} 0`"
        ),
        (_, place) => {
            format!(
                "on this disk, at {place}: `vtl tape insert {barcode}`, then the library can load it"
            )
        }
    }
}

/// How far a copy is from a drive. Those that cannot be relied on come last.
fn steps_away(state: CopyState) -> u8 {
    match state {
        CopyState::Receipted => 0,
        CopyState::Ejected | CopyState::Returned => 1,
        CopyState::Recalled => 2,
        CopyState::Offsite => 3,
        CopyState::Courier => 4,
        CopyState::Proved | CopyState::Written | CopyState::Manifested | CopyState::Staged => 5,
        CopyState::Lost => 6,
        CopyState::Failed | CopyState::Retired => 7,
    }
}

/// What it takes to get a cartridge back from a copy.
fn way_back(copy: &CopyRecord, now: Timestamp) -> String {
    let CopyRecord { number, barcode, facts, .. } = copy;
    let tape = facts.volume.as_deref().unwrap_or("without a known barcode");
    let site = facts.site.as_deref().unwrap_or("the other site");
    let container = facts.container.as_deref().unwrap_or("that it left in");
    let date = facts.expected.map(|time| time.strftime("%Y-%m-%d").to_string());
    let late = if copy.is_overdue(now) { ", which is OVERDUE" } else { "" };
    let expected = date.map_or_else(String::new, |date| format!(", expected {date}{late}"));
    let read = format!(
        "put tape {tape} into a drive, then `vtl import --from DEVICE`, or read it without vtl: `vtl receipt show {} --sheet`",
        copy.id
    );
    let back = format!("`vtl vault return {tape} --container {container}`");
    match copy.state {
        CopyState::Receipted => {
            format!("copy {number} was not taken out yet since it was written: {read}")
        }
        CopyState::Ejected => format!("copy {number} is here, ready to be packed: {read}"),
        CopyState::Returned => format!("copy {number} is here again: {read}"),
        CopyState::Recalled => format!(
            "copy {number} was asked back from {site}{expected}: when container {container} is here, {back}, then {read}"
        ),
        CopyState::Offsite => format!(
            "copy {number} is at {site} in container {container}: `vtl vault recall {barcode} --copy {number} --expect DATE`; when \
             it is here, {back}, then {read}"
        ),
        CopyState::Courier => format!(
            "copy {number} is on the way to {site} in container {container}{expected}: when it is there, `vtl vault receive \
             {container}`, then `vtl vault recall {barcode} --copy {number} --expect DATE`"
        ),
        CopyState::Staged | CopyState::Manifested | CopyState::Written | CopyState::Proved => {
            format!("copy {number} is being made ({}): it does not count yet", copy.state)
        }
        CopyState::Lost | CopyState::Failed | CopyState::Retired => {
            let why = facts.reason.as_deref().map_or_else(String::new, |why| format!(" ({why})"));
            let since = copy.since.strftime("%Y-%m-%d");
            format!(
                "copy {number}, tape {tape}, is {} since {since}{why}: do not count on it",
                copy.state
            )
        }
    }
}
