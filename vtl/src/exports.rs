//! `vtl export`: cartridges to physical tapes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use vtl_media::{Barcode, CartridgeEntry, CartridgeKind, CopyRecord, CopyState, Verification};
use vtl_vault::{ExportError, Exported, Exports, Order, Watcher, matches_pattern};

use crate::attributes;
use crate::library::Library;
use crate::operations::find;
use crate::physical_library::PhysicalLibrary;
use crate::physical_tape::PhysicalTape;
use crate::request::{ExportChoice, Failure, FailureKind};
use crate::rules;
use crate::verification::{Begun, begin, rate};

/// What is on its way to or from physical tapes at this moment.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    is_stopping: AtomicBool,
    exports: Exports,
    import: Mutex<()>,
    running: Mutex<BTreeMap<String, Progress>>,
    /// The cartridge that an import fills.
    filled: Mutex<Option<Barcode>>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    total_bytes: u64,
    done_bytes: u64,
    begun: Instant,
}

impl Transfers {
    /// Ends all of them soon. They can be taken up again.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// How far they are.
    pub(crate) fn progress(&self) -> Value {
        let running = self.running();
        let rows = running.iter().map(|(barcode, progress)| {
            json!({
                "barcode": barcode,
                "total_bytes": progress.total_bytes,
                "done_bytes": progress.done_bytes,
                "bytes_per_second": rate(progress.done_bytes, progress.begun.elapsed().as_secs_f64()),
            })
        });
        Value::Array(rows.collect())
    }

    /// One import at a time.
    pub(crate) fn import_alone(&self) -> Result<MutexGuard<'_, ()>, Failure> {
        match self.import.try_lock() {
            Ok(alone) => Ok(alone),
            Err(TryLockError::Poisoned(alone)) => Ok(alone.into_inner()),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::refused("a tape is being imported already: one at a time"))
            }
        }
    }

    /// From here on, until the answer is dropped, nobody else gets at the cartridge that is being filled.
    pub(crate) fn filling(&self, barcode: &Barcode) -> Filling<'_> {
        *self.filled() = Some(barcode.clone());
        Filling(self)
    }

    /// Whether a cartridge is being filled by an import: whoever waited for it would wait for hours.
    pub(crate) fn is_filling(&self, barcode: &Barcode) -> bool {
        self.filled().as_ref() == Some(barcode)
    }

    fn filled(&self) -> MutexGuard<'_, Option<Barcode>> {
        self.filled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Progress>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cartridge is being filled while this is there.
pub(crate) struct Filling<'a>(&'a Transfers);

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        *self.0.filled() = None;
    }
}

/// One transfer, on the list while this is there.
pub(crate) struct Watched<'a> {
    transfers: &'a Transfers,
    barcode: String,
    is_given_up: &'a AtomicBool,
    begun: Instant,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(
        transfers: &'a Transfers,
        barcode: &str,
        total_bytes: u64,
        is_given_up: &'a AtomicBool,
    ) -> Self {
        let begun = Instant::now();
        let progress = Progress { total_bytes, done_bytes: 0, begun };
        transfers.running().insert(barcode.to_owned(), progress);
        Self { transfers, barcode: barcode.to_owned(), is_given_up, begun }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.transfers.running().remove(&self.barcode);
    }
}

impl Watcher for Watched<'_> {
    fn is_given_up(&self) -> bool {
        self.transfers.is_stopping.load(Ordering::Relaxed)
            || self.is_given_up.load(Ordering::Relaxed)
    }

    fn moved(&self, bytes: u64) {
        if let Some(progress) = self.transfers.running().get_mut(&self.barcode) {
            progress.done_bytes = progress.done_bytes.saturating_add(bytes);
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn clock_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Exports cartridges: one to the tape in a drive, or each to the tape of its barcode in a library.
pub(crate) fn export(
    library: &Library,
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let barcodes = match &choice.group {
        Some(group) => rules::members(library, group)?,
        None => choice.barcodes.clone(),
    };
    let Some(path) = &choice.library else {
        let [barcode] = barcodes.as_slice() else {
            return Err(Failure::usage(
                "a drive has one tape, and a tape takes one cartridge: name one barcode, or a library by --library",
            ));
        };
        let Some(to) = &choice.to else {
            return Err(Failure::usage("where to? Say --to a drive, or --library"));
        };
        return export_one(library, (barcode, (to, None)), choice, actor, is_given_up);
    };
    let arm = PhysicalLibrary::open(path)?;
    // A cartridge that is not there is no reason to stop when others are written already.
    for barcode in &barcodes {
        find(library, barcode)?;
    }
    let mut rows = Vec::new();
    for barcode in &barcodes {
        let there = if barcodes.len() > 1 { standing(library, barcode, choice)? } else { None };
        let row = match there {
            Some(copy) => copy_row(&copy),
            None => export_by(&arm, library, barcode, choice, (actor, is_given_up))
                .map_err(|failure| with_done(failure, &rows))?,
        };
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

/// One cartridge to its tape, which the arm brings and takes back.
fn export_by(
    arm: &PhysicalLibrary,
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
    (actor, is_given_up): (&str, &AtomicBool),
) -> Result<Value, Failure> {
    let begun = begun_on(library, barcode, choice)?;
    let wanted = begun.clone().unwrap_or_else(|| barcode.to_ascii_uppercase());
    let brought = arm.bring(&wanted, &|label| {
        begun.is_none() && is_scratch(library, choice.scratch.as_deref(), label)
    })?;
    let to = (brought.drive.as_str(), Some(brought.barcode.as_str()));
    let done = export_one(library, (barcode, to), choice, actor, is_given_up);
    both(done, arm.bring_back(&brought))
}

/// What the export came to, and that the tape has not come back: neither hides the other.
fn both(done: Result<Value, Failure>, back: Result<(), Failure>) -> Result<Value, Failure> {
    match (done, back) {
        (Ok(row), back) => back.map(|()| row),
        (Err(failure), Ok(())) => Err(failure),
        (Err(failure), Err(back)) => {
            let text = format!("{failure}; and its tape was not brought back: {back}");
            Err(Failure::new(failure.kind, text))
        }
    }
}

/// Says which cartridges were exported before one failed.
fn with_done(failure: Failure, rows: &[Value]) -> Failure {
    let done: Vec<&str> =
        rows.iter().filter_map(|row| row.get("barcode").and_then(Value::as_str)).collect();
    if done.is_empty() {
        return failure;
    }
    let text = format!(
        "{failure}. Done before: {}; the same command goes on with the others",
        done.join(", ")
    );
    Failure::new(failure.kind, text)
}

/// The copy of this number that counts already. Of several cartridges those with one are passed over, so that the same command can be given again
/// after one of them has failed.
pub(crate) fn standing(
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
) -> Result<Option<CopyRecord>, Failure> {
    let mut copies = copies_of(library, barcode, choice)?.into_iter();
    Ok(copies.find(|copy| copy.state.is_receipted()))
}

/// The tape that a copy was begun on and is to be gone on with: no other one will do.
pub(crate) fn begun_on(
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
) -> Result<Option<String>, Failure> {
    if choice.anew {
        return Ok(None);
    }
    let mut copies = copies_of(library, barcode, choice)?.into_iter();
    let begun = copies.find(|copy| copy.state.is_under_way());
    Ok(begun.and_then(|copy| copy.facts.volume))
}

fn copies_of(
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
) -> Result<Vec<CopyRecord>, Failure> {
    Ok(library.store.copies_of(find(library, barcode)?.uuid, choice.copy))
}

fn export_one(
    library: &Library,
    (barcode, (to, label)): (&str, (&str, Option<&str>)),
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let entry = find(library, barcode)?;
    if entry.kind == CartridgeKind::Cleaning {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", entry.barcode)));
    }
    let (mut verification, as_of) = open_contents(library, &entry)?;
    let facts = verification.cartridge.facts();
    if facts.is_blank() {
        return Err(nothing_on(&entry.barcode));
    }
    if verification.cartridge.partition_count() > 1 {
        return Err(Failure::refused(format!(
            "{} has {} partitions: only cartridges with one can be exported",
            entry.barcode,
            verification.cartridge.partition_count()
        )));
    }
    let mut entry = entry;
    entry.set_facts(&facts);
    let attributes = attributes::of_hosts(&verification.cartridge);
    let mut tape = PhysicalTape::open(Path::new(to))?;
    if let Some(label) = label {
        tape.set_label(label);
    }
    // Written once, and read once.
    let total_bytes = facts.written_bytes.saturating_mul(2);
    let watched =
        Watched::new(&library.transfers, entry.barcode.as_str(), total_bytes, is_given_up);
    let order = Order {
        store: &library.store,
        receipts: &library.receipts,
        entry: &entry,
        as_of,
        attributes: &attributes,
        number: choice.copy,
        overwrites: choice.overwrite,
        begins_anew: choice.anew,
        actor,
        software: concat!("vtl ", env!("CARGO_PKG_VERSION")),
    };
    let contents = &mut verification.cartridge;
    let exported = order.run(&library.transfers.exports, &mut tape, contents, &watched);
    let exported =
        exported.map_err(|error| explain(&error, (to, choice), entry.barcode.as_str()))?;
    Ok(row(&exported))
}

/// The cartridge for reading, and the moment that it is read as it was at. What a host writes on one that is loaded after its last sync point is
/// not read, and a copy of it must not count as if it were.
pub(crate) fn open_contents(
    library: &Library,
    entry: &CartridgeEntry,
) -> Result<(Verification, Timestamp), Failure> {
    match begin(library, entry)? {
        Begun::Reading(verification, synced) => {
            let as_of = verification.as_of;
            Ok((*verification, synced.map_or(as_of, |synced| synced.min(as_of))))
        }
        Begun::Blank => Err(nothing_on(&entry.barcode)),
        Begun::Unreadable(why) => {
            let text = format!("{} cannot be read: {why}", entry.barcode);
            Err(Failure::new(FailureKind::Damaged, text))
        }
    }
}

/// Whether a tape may be taken for a cartridge of another barcode: it was said which, no cartridge has that barcode, and no copy is on it that counts
/// or has failed. Whether it is empty is looked at when it is in a drive.
fn is_scratch(library: &Library, pattern: Option<&str>, label: &str) -> bool {
    let is_named = pattern.is_some_and(|pattern| matches_pattern(pattern, label));
    let is_on_it = |copy: &CopyRecord| copy.facts.volume.as_deref() == Some(label);
    let is_used = || {
        let mut copies = library.store.copies().into_iter().filter(is_on_it);
        copies.any(|copy| copy.state != CopyState::Retired)
    };
    is_named && library.store.find(label).is_none() && !is_used()
}

fn nothing_on(barcode: &Barcode) -> Failure {
    Failure::refused(format!("there is nothing on {barcode} to be exported"))
}

fn explain(error: &ExportError, (to, choice): (&str, &ExportChoice), barcode: &str) -> Failure {
    let text = format!("{barcode} to {to}: {error}");
    match error {
        ExportError::Refused(_) => Failure::refused(text),
        error if error.is_final() => Failure::new(
            FailureKind::Damaged,
            format!(
                "{text}. This copy failed, and its tape is not used again without --overwrite; the cartridge is as it was: take another tape"
            ),
        ),
        ExportError::Cartridge(_) => Failure::new(FailureKind::Damaged, text),
        ExportError::Tape { error: vtl_vault::TapeError::Hardware(_), .. }
        | ExportError::Memory { error: vtl_vault::TapeError::Hardware(_), .. } => {
            Failure::new(FailureKind::Damaged, format!("{text}; {}", goes_on(choice, barcode)))
        }
        _ => Failure::failed(format!("{text}; {}", goes_on(choice, barcode))),
    }
}

fn goes_on(choice: &ExportChoice, barcode: &str) -> String {
    format!("`vtl export {barcode} --copy {}` with the same tape goes on where it was", choice.copy)
}

/// What there is to say of any copy.
fn copy_row(copy: &CopyRecord) -> Value {
    json!({
        "barcode": copy.barcode,
        "copy": copy.id,
        "number": copy.number,
        "state": copy.state,
        "receipt": copy.facts.receipt,
        "volume": copy.facts.volume,
        "medium_serial": copy.facts.medium_serial,
        "bytes": copy.facts.bytes,
    })
}

fn row(exported: &Exported) -> Value {
    let Exported { copy, manifest, proof } = exported;
    let partition = manifest.partitions.first();
    let speed = |pass: &vtl_vault::Pass| {
        rate(pass.bytes, std::time::Duration::from_millis(pass.elapsed_ms).as_secs_f64())
    };
    let mut row = copy_row(copy);
    let more = json!({
        "blocks": partition.map(|partition| partition.blocks),
        "filemarks": partition.map(|partition| partition.filemarks),
        "root": partition.map(|partition| partition.root),
        "drive": proof.read.drive,
        "write_bytes_per_second": speed(&proof.written),
        "read_bytes_per_second": speed(&proof.read),
        "tape_alerts": proof.read.after.tape_alerts,
        "attributes": attributes::names(&manifest.attributes),
        "attributes_not_on_tape": attributes::left_out(&manifest.attributes_left_out),
    });
    if let (Value::Object(row), Value::Object(more)) = (&mut row, more) {
        row.extend(more);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_hides_neither_what_was_done_nor_that_a_tape_stays_in_a_drive() {
        let failed = || Err(Failure::new(FailureKind::Damaged, "no"));
        let both_fail = both(failed(), Err(Failure::failed("stuck"))).unwrap_err();
        assert_eq!(both_fail.kind, FailureKind::Damaged);
        assert_eq!(both_fail.message, "no; and its tape was not brought back: stuck");
        assert_eq!(both(failed(), Ok(())).unwrap_err().message, "no");
        assert_eq!(both(Ok(json!(1)), Err(Failure::failed("stuck"))).unwrap_err().message, "stuck");
        let rows = [json!({ "barcode": "A1" }), json!({ "barcode": "A2" })];
        let told = with_done(both_fail, &rows);
        assert!(told.message.contains("Done before: A1, A2;"), "{told}");
        assert_eq!(with_done(Failure::failed("no"), &[]).message, "no");
    }
}
