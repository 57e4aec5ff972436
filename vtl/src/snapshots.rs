//! `vtl snapshot …`: cartridges, each at one moment, shown as a library of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeKind, Moment, SnapshotRecord, Volume};

use crate::library::Library;
use crate::operations::find;
use crate::request::{Failure, SnapshotChoice};
use crate::undo::{explain, in_drive, is_drive_stuck};

/// Takes a snapshot of everything, of a pool, or of some cartridges.
pub(crate) fn create(
    library: &Library,
    choice: &SnapshotChoice,
    actor: &str,
) -> Result<Value, Failure> {
    let begun = Instant::now();
    let mut chosen = Vec::new();
    for barcode in &choice.barcodes {
        chosen.push(find(library, barcode)?);
    }
    if choice.barcodes.is_empty() {
        chosen = library.store.cartridges();
        chosen.retain(|entry| choice.pool.is_none() || entry.pool == choice.pool);
        if let Some(pool) = choice.pool.as_ref().filter(|_| chosen.is_empty()) {
            return Err(Failure::not_found(format!("there is no cartridge in a pool {pool}")));
        }
    }
    chosen.retain(|entry| entry.kind == CartridgeKind::Data);
    let mut loaded: HashMap<Uuid, Option<Moment>> = HashMap::new();
    for entry in &chosen {
        let moment = in_drive(library, entry, Volume::last_moment);
        if moment.is_none() && is_drive_stuck(library, entry) {
            return Err(Failure::failed(format!(
                "{} is in {}, which does not answer: no snapshot was made; see the log, or leave that cartridge out",
                entry.barcode, entry.place
            )));
        }
        if let Some(moment) = moment {
            let moment =
                moment.map_err(|error| Failure::failed(format!("{}: {error}", entry.barcode)))?;
            loaded.insert(entry.uuid, moment);
        }
    }
    let uuids: Vec<Uuid> = chosen.iter().map(|entry| entry.uuid).collect();
    let record = library
        .store
        .create_snapshot(&choice.name, &uuids, &loaded, actor)
        .map_err(|error| explain(&error))?;
    let mut row = shown(&record);
    if let Some(row) = row.as_object_mut() {
        row.insert("milliseconds".to_owned(), json!(begun.elapsed().as_millis()));
    }
    Ok(row)
}

/// All snapshots.
pub(crate) fn list(library: &Library) -> Value {
    Value::Array(library.store.snapshots().iter().map(shown).collect())
}

/// Shows a snapshot as a library with a target of its own, or hides it.
pub(crate) fn present(
    library: &Arc<Library>,
    name: &str,
    is_hidden: bool,
    actor: &str,
) -> Result<Value, Failure> {
    let record =
        library.store.present_snapshot(name, !is_hidden, actor).map_err(|error| explain(&error))?;
    if is_hidden {
        library.hide(name);
    } else if library.is_running() {
        library.show(&record).map_err(|error| Failure::failed(format!("{error:#}")))?;
    }
    Ok(shown(&record))
}

/// Deletes a snapshot. The cartridges stay; what only it needed may be pruned.
pub(crate) fn delete(library: &Library, name: &str, actor: &str) -> Result<Value, Failure> {
    library.store.delete_snapshot(name, actor).map_err(|error| explain(&error))?;
    Ok(json!({ "snapshot": name, "deleted": true }))
}

fn shown(record: &SnapshotRecord) -> Value {
    let written = record.members.iter().map(|member| member.moment().facts().written_bytes);
    json!({
        "snapshot": record.name,
        "created": record.created,
        "cartridges": record.members.len(),
        "written_bytes": written.fold(0, u64::saturating_add),
        "presented": record.is_presented,
        "target": record.library.iqn,
    })
}
