//! `vtl snapshot …`: cartridges, each at one moment, shown as a library of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CartridgeKind, MediumError, Moment, SnapshotRecord, Volume, WantedPoint};

use crate::library::Library;
use crate::operations::find;
use crate::request::{Failure, SnapshotChoice};
use crate::rules;
use crate::undo::{explain, in_drive, is_drive_stuck};

/// Takes a snapshot of everything, of a pool, or of some cartridges.
pub(crate) fn create(
    library: &Library,
    choice: &SnapshotChoice,
    actor: &str,
) -> Result<Value, Failure> {
    let begun = Instant::now();
    let mut chosen = Vec::new();
    // All or none: a group that lacks a member has no moment.
    let members = choice.group.as_ref().map(|group| rules::members(library, group)).transpose()?;
    for barcode in members.iter().flatten().chain(&choice.barcodes) {
        chosen.push(find(library, barcode)?);
    }
    if choice.barcodes.is_empty() && members.is_none() {
        chosen = library.store.cartridges();
        chosen.retain(|entry| choice.pool.is_none() || entry.pool == choice.pool);
        if let Some(pool) = choice.pool.as_ref().filter(|_| chosen.is_empty()) {
            return Err(Failure::not_found(format!("there is no cartridge in a pool {pool}")));
        }
    }
    chosen.retain(|entry| entry.kind == CartridgeKind::Data);
    let mut loaded: HashMap<Uuid, Option<Moment>> = HashMap::new();
    // One moment for all: what a host syncs while the others are asked is not in it.
    let barrier = Timestamp::now();
    check_still(choice.still_until_ms)?;
    for entry in &chosen {
        let moment = in_drive(library, entry, |volume| moment_by(volume, barrier));
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
        .create_barrier(&choice.name, &uuids, &loaded, choice.is_quiesced, actor)
        .map_err(|error| explain(&error))?;
    let mut row = shown(&record);
    if let Some(row) = row.as_object_mut() {
        row.insert("milliseconds".to_owned(), json!(begun.elapsed().as_millis()));
    }
    Ok(row)
}

/// Whoever has frozen something lets it go on after a while, whether there was an answer or not.
fn check_still(until_ms: Option<u64>) -> Result<(), Failure> {
    let is_late = |until: u64| crate::barrier::uptime().as_millis() >= u128::from(until);
    if until_ms.is_some_and(is_late) {
        return Err(Failure::failed(
            "no snapshot was made: by the time that it was asked for, what was to be held still had been let go on",
        ));
    }
    Ok(())
}

/// The last sync point of a loaded cartridge by this time.
fn moment_by(volume: &Volume, time: Timestamp) -> Result<Option<Moment>, MediumError> {
    match volume.last_point()? {
        // Whoever has set the clock back has synced in the future: it was synced all the same.
        Some(last) if last.time > time => match volume.find_point(WantedPoint::Time(time))? {
            Some(point) => volume.moment_at(&point, time).map(Some),
            None => volume.last_moment(),
        },
        _ => volume.last_moment(),
    }
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
        "quiesced": record.is_quiesced,
        "target": record.library.iqn,
    })
}
