//! `vtl export`: cartridges to physical tapes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeFacts, CartridgeKind, CopyRecord, CopyState, Verification,
    Volume,
};
use vtl_vault::{
    ExportError, Exported, Exports, Order, PartitionDigest, Share, Tape, Watcher, free_number,
    matches_pattern, root_of_all,
};

use crate::attributes;
use crate::bays::{DriveIs, Undone};
use crate::cleaning;
use crate::fences;
use crate::library::Library;
use crate::operations::{find, refreshed};
use crate::physical_tape::PhysicalTape;
use crate::request::{ExportChoice, Failure, FailureKind};
use crate::verification::{Begun, begin, rate};

/// What is on its way to or from physical tapes at this moment.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    is_stopping: AtomicBool,
    pub(crate) exports: Exports,
    import: Mutex<()>,
    policies: Mutex<()>,
    running: Mutex<BTreeMap<String, Progress>>,
    /// The cartridge that an import fills.
    filled: Mutex<Option<Barcode>>,
}

#[derive(Debug, Clone)]
struct Progress {
    /// The drive, if it is said.
    drive: Option<String>,
    total_bytes: u64,
    done_bytes: u64,
    begun: Instant,
}

impl Transfers {
    /// Ends all of them soon. They can be taken up again.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether all of them end, or the one that somebody has given up.
    pub(crate) fn is_stopping(&self, is_given_up: &AtomicBool) -> bool {
        self.is_stopping.load(Ordering::Relaxed) || is_given_up.load(Ordering::Relaxed)
    }

    /// How far they are.
    pub(crate) fn progress(&self) -> Value {
        let running = self.running();
        let rows = running.iter().map(|(barcode, progress)| {
            json!({
                "barcode": barcode,
                "drive": progress.drive,
                "total_bytes": progress.total_bytes,
                "done_bytes": progress.done_bytes,
                "bytes_per_second": rate(progress.done_bytes, progress.begun.elapsed().as_secs_f64()),
            })
        });
        Value::Array(rows.collect())
    }

    /// One import at a time.
    pub(crate) fn import_alone(&self) -> Result<MutexGuard<'_, ()>, Failure> {
        alone(&self.import, "a tape is being imported already: one at a time")
    }

    /// One run of policies at a time, whoever wants it.
    pub(crate) fn policies_alone(&self) -> Result<MutexGuard<'_, ()>, Failure> {
        alone(&self.policies, "policies are being run already: wait for the end of that run")
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

fn alone<'a>(mutex: &'a Mutex<()>, why: &str) -> Result<MutexGuard<'a, ()>, Failure> {
    match mutex.try_lock() {
        Ok(alone) => Ok(alone),
        Err(TryLockError::Poisoned(alone)) => Ok(alone.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Failure::refused(why)),
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
        let progress = Progress { drive: None, total_bytes, done_bytes: 0, begun };
        transfers.running().insert(barcode.to_owned(), progress);
        Self { transfers, barcode: barcode.to_owned(), is_given_up, begun }
    }

    /// Says in which drive it is.
    pub(crate) fn on(self, drive: &str) -> Self {
        if let Some(progress) = self.transfers.running().get_mut(&self.barcode) {
            progress.drive = Some(drive.to_owned());
        }
        self
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.transfers.running().remove(&self.barcode);
    }
}

impl Watcher for Watched<'_> {
    fn is_given_up(&self) -> bool {
        self.transfers.is_stopping(self.is_given_up)
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

/// The copy of this number that counts already. Of several cartridges those with one are passed over, so that the same command can be given again
/// after one of them has failed.
pub(crate) fn standing(
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
) -> Result<Option<CopyRecord>, Failure> {
    let mut copies = copies_of(library, barcode, choice)?.into_iter();
    let Some(copy) = copies.find(|copy| copy.state.is_receipted()) else { return Ok(None) };
    // What is in a drive has more on it than the store knows.
    let entry = refreshed(library, find(library, barcode)?);
    if copy.holds(&entry) {
        return Ok(Some(copy));
    }
    Err(Failure::refused(format!(
        "copy {} of {barcode} is {}, and holds what was on it at {}, not what is on it now: --copy {} makes another one",
        copy.number,
        copy.state,
        copy.facts.as_of.unwrap_or(copy.staged).strftime("%Y-%m-%d %H:%M:%SZ"),
        free_number(&library.store.copies(), entry.uuid)
    )))
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
    Ok(begun.and_then(|copy| volume_of(library, &copy)))
}

/// The barcode of a copy's tape, also while nobody but the file with how far it is knows it.
fn volume_of(library: &Library, copy: &CopyRecord) -> Option<String> {
    let known = copy.facts.volume.clone();
    known.or_else(|| vtl_vault::begun_on(&library.store, copy)?.volume)
}

fn copies_of(
    library: &Library,
    barcode: &str,
    choice: &ExportChoice,
) -> Result<Vec<CopyRecord>, Failure> {
    Ok(library.store.copies_of(find(library, barcode)?.uuid, choice.copy))
}

/// One cartridge to the tape in a drive.
pub(crate) fn export_one(
    library: &Library,
    (barcode, (to, label)): (&str, (&str, Option<&str>)),
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Undone> {
    let open = || {
        let mut tape = PhysicalTape::open(Path::new(to))
            .map_err(|failure| Undone::of_drive(failure, DriveIs::Unusable))?;
        if let Some(label) = label {
            tape.set_label(label);
        }
        Ok(tape)
    };
    export_to(library, (barcode, to), open, choice, actor, is_given_up)
}

/// The same, to a drive that is opened once the cartridge is known to be one that can be exported.
pub(crate) fn export_to<T: Tape>(
    library: &Library,
    (barcode, to): (&str, &str),
    open: impl FnOnce() -> Result<T, Undone>,
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Undone> {
    let entry = find(library, barcode)?;
    if entry.kind == CartridgeKind::Cleaning {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", entry.barcode)).into());
    }
    let (mut verification, as_of) = open_contents(library, &entry)?;
    let facts = verification.cartridge.facts();
    if facts.is_blank() {
        return Err(nothing_on(&entry.barcode).into());
    }
    let partitions = shares(&verification.cartridge);
    let mut entry = entry;
    entry.set_facts(&facts);
    let attributes = attributes::of_hosts(&verification.cartridge);
    let mut tape = open()?;
    let serial = tape.identity().serial;
    fences::check(&library.store, &serial)
        .map_err(|failure| Undone::of_drive(failure, DriveIs::Unusable))?;
    // Written once, and read once.
    let total_bytes = facts.written_bytes.saturating_mul(2);
    let watched =
        Watched::new(&library.transfers, entry.barcode.as_str(), total_bytes, is_given_up).on(to);
    let order = Order {
        store: &library.store,
        receipts: &library.receipts,
        entry: &entry,
        as_of,
        partitions: &partitions,
        attributes: &attributes,
        number: choice.copy,
        overwrites: choice.overwrite,
        begins_anew: choice.anew,
        actor,
        software: concat!("vtl ", env!("CARGO_PKG_VERSION")),
    };
    let contents = &mut verification.cartridge;
    let exported = order.run(&library.transfers.exports, &mut tape, contents, &watched);
    let exported = exported.map_err(|error| {
        let failure = explain(&error, (to, choice), entry.barcode.as_str());
        let tape = tape_of(library, &entry, choice.copy);
        let fenced = fences::note(&library.store, (&serial, tape.as_deref()), &error, actor);
        let is_fenced = fenced.is_some();
        let failure = match fenced {
            Some(fenced) => Failure::new(failure.kind, format!("{failure}; {fenced}")),
            None => failure,
        };
        if is_fenced {
            Undone::of_drive(failure, DriveIs::Unusable)
        } else {
            Undone::after(&error, failure)
        }
    })?;
    Ok(row(&exported))
}

/// How a cartridge is divided, and what is in each partition.
fn shares(cartridge: &Volume) -> Vec<Share> {
    let of = |(bytes, facts): (u64, CartridgeFacts)| Share {
        bytes,
        written_bytes: facts.written_bytes,
        stored_bytes: facts.stored_bytes,
    };
    cartridge.partition_sizes().into_iter().zip(cartridge.facts_by_partition()).map(of).collect()
}

/// The tape that a copy was being written to, as far as the ledger knows.
fn tape_of(library: &Library, entry: &CartridgeEntry, number: u32) -> Option<String> {
    let copies = library.store.copies_of(entry.uuid, number).into_iter();
    let facts = copies.max_by_key(|copy| copy.since)?.facts;
    facts.medium_serial.or(facts.volume).or_else(|| Some(format!("for {}", entry.barcode)))
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
pub(crate) fn is_scratch(library: &Library, pattern: Option<&str>, label: &str) -> bool {
    let is_named = pattern.is_some_and(|pattern| matches_pattern(pattern, label));
    let is_on_it = |copy: &CopyRecord| volume_of(library, copy).as_deref() == Some(label);
    let is_used = || {
        let mut copies = library.store.copies().into_iter().filter(is_on_it);
        copies.any(|copy| copy.state != CopyState::Retired)
    };
    is_named && !cleaning::is_cleaning(label) && library.store.find(label).is_none() && !is_used()
}

pub(crate) fn nothing_on(barcode: &Barcode) -> Failure {
    Failure::refused(format!("there is nothing on {barcode} to be exported"))
}

pub(crate) fn explain(
    error: &ExportError,
    (to, choice): (&str, &ExportChoice),
    barcode: &str,
) -> Failure {
    let text = format!("{barcode} to {to}: {error}");
    match error {
        error if error.is_refusal() => Failure::refused(text),
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
pub(crate) fn copy_row(copy: &CopyRecord) -> Value {
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

/// How fast it went.
pub(crate) fn speed(pass: &vtl_vault::Pass) -> Value {
    json!(rate(pass.bytes, std::time::Duration::from_millis(pass.elapsed_ms).as_secs_f64()))
}

fn row(exported: &Exported) -> Value {
    let Exported { copy, manifest, proof } = exported;
    let partitions = &manifest.partitions;
    let sum = |of: fn(&PartitionDigest) -> u64| partitions.iter().map(of).sum::<u64>();
    let mut row = copy_row(copy);
    let more = json!({
        "blocks": sum(|partition| partition.blocks),
        "filemarks": sum(|partition| partition.filemarks),
        "root": root_of_all(partitions),
        "partitions": partitions.len(),
        "protection": proof.read.protection,
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
