//! `vtl audit …`: the ledger listed, checked, and taken to where nobody here can change it.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::EntryFilter;
use vtl_vault::receipt::{Receipt, Statement};

use crate::files;
use crate::library::Library;
use crate::operations::find;
use crate::receipts;
use crate::request::{Failure, FailureKind};

/// Entries of the ledger that are listed unless more are asked for.
const LIST_LIMIT: usize = 1000;
const ABOUT: &str = "audit";

/// Something signed that says which entry there was at a number.
struct Anchor {
    entry: u64,
    hash: String,
    /// What says so, for people.
    source: String,
}

/// The newest entries, or those about one cartridge.
pub(crate) fn list(
    library: &Library,
    limit: Option<usize>,
    barcode: Option<&str>,
) -> Result<Value, Failure> {
    let cartridge =
        barcode.map(|barcode| find(library, barcode)).transpose()?.map(|entry| entry.uuid);
    let filter = EntryFilter { cartridge, ..EntryFilter::default() };
    let entries = library.store.ledger().list(&filter).map_err(Failure::failed)?;
    let skipped = entries.len().saturating_sub(limit.unwrap_or(LIST_LIMIT));
    let rows: Result<Vec<_>, _> = entries.iter().skip(skipped).map(serde_json::to_value).collect();
    rows.map(Value::Array).map_err(Failure::failed)
}

/// The whole ledger as a signed statement, which is a checkpoint too: whoever keeps it finds out if the ledger is ever put back.
pub(crate) fn export(library: &Library) -> Result<Value, Failure> {
    let ledger = library.store.ledger();
    let entries = ledger.list(&EntryFilter::default()).map_err(damaged)?;
    let last = entries.last().ok_or_else(|| Failure::failed("the ledger is empty"))?;
    let content = json!({
        "exported": Timestamp::now(),
        "entry": last.sequence,
        "hash": last.hash,
        "entries": entries,
    });
    let key = library.receipts.signing_key().map_err(receipts::failure)?;
    let statement = Statement::signed(ABOUT, &content, &key).map_err(Failure::failed)?;
    let text = String::from_utf8_lossy(statement.to_bytes());
    Ok(json!({
        "entries": last.sequence,
        "head": last.hash,
        "sha256": statement.sha256(),
        "text": text,
    }))
}

/// Writes what was exported to a new file.
pub(crate) fn write(mut exported: Value, file: &Path) -> Result<Value, Failure> {
    let text = exported.as_object_mut().and_then(|fields| fields.shift_remove("text"));
    let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
    files::create(file, text.as_bytes())?;
    if let Value::Object(fields) = &mut exported {
        fields.insert("file".to_owned(), json!(file));
    }
    Ok(exported)
}

/// Reads the whole ledger back, checks its chain, and that everything signed that names an entry of it names one that is there: receipts,
/// and an earlier export. A ledger that was put back, or was written anew, is found by these.
pub(crate) fn verify(library: &Library, against: Option<&str>) -> Result<Value, Failure> {
    let mut anchors = of_receipts(library);
    if let Some(text) = against {
        anchors.push(of_export(library, text)?);
    }
    anchors.sort_by_key(|anchor| anchor.entry);
    let mut waiting = anchors.iter().peekable();
    let mut other = None;
    let ledger = library.store.ledger();
    let visited = ledger.verify_with(|entry| {
        while let Some(anchor) = waiting.next_if(|anchor| anchor.entry <= entry.sequence) {
            if anchor.entry != entry.sequence || anchor.hash != entry.hash.to_string() {
                other = other.or(Some(anchor));
            }
        }
    });
    let head = visited.map_err(damaged)?;
    if let Some(anchor) = other {
        return Err(put_back(anchor, "there is another one at that number"));
    }
    if let Some(anchor) = waiting.next() {
        return Err(put_back(anchor, &format!("the ledger ends at entry {}", head.sequence)));
    }
    Ok(json!({
        "intact": true,
        "entries": head.sequence,
        "head": head.hash,
        "checkpoints": anchors.len(),
    }))
}

fn put_back(anchor: &Anchor, what: &str) -> Failure {
    Failure::new(
        FailureKind::Damaged,
        format!(
            "{} names entry {} of the ledger, and {what}: an older data directory was put back, or the ledger was written anew. What happened \
             since is not in it; compare with the export, and find out who did it",
            anchor.source, anchor.entry
        ),
    )
}

/// What our own receipts say of the ledger. Those that are none of ours are for `vtl receipt list` to tell of.
fn of_receipts(library: &Library) -> Vec<Anchor> {
    let ids: Vec<Uuid> = library.receipts.list().unwrap_or_default();
    let good = ids.into_iter().filter_map(|id| library.receipts.receipt(id).ok());
    good.filter_map(|receipt: Receipt| {
        let manifest = &receipt.content().manifest;
        let point = manifest.ledger.as_ref()?;
        let source = format!("receipt {} of {}", manifest.id, manifest.source.barcode);
        Some(Anchor { entry: point.entry, hash: point.hash.to_string(), source })
    })
    .collect()
}

fn of_export(library: &Library, text: &str) -> Result<Anchor, Failure> {
    let refused = |why: String| {
        Failure::new(FailureKind::Damaged, format!("the export to compare with: {why}"))
    };
    let statement =
        Statement::verify(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
    let keys = library.receipts.public_keys().map_err(receipts::failure)?;
    if !keys.contains(&statement.key) {
        let id = statement.key.id();
        return Err(refused(format!(
            "key {id} has signed it, which is none of this library's: another library, or the keys were put back or lost"
        )));
    }
    let entry = statement.content.get("entry").and_then(Value::as_u64);
    let hash = statement.content.get("hash").and_then(Value::as_str);
    match (statement.about.as_str(), entry, hash) {
        (ABOUT, Some(entry), Some(hash)) => {
            let hash = hash.to_owned();
            Ok(Anchor { entry, hash, source: "the export".to_owned() })
        }
        (about, ..) => Err(refused(format!("it is about something else: {about}"))),
    }
}

fn damaged(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Damaged, error.to_string())
}
