//! `vtl verify`: reading cartridges back, at the wish of people and by itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeKind, MediumError, ObjectNumber, UndoError, Verification,
    Verified, Volume, with_causes,
};

use crate::library::Library;
use crate::operations::find;
use crate::request::{Failure, FailureKind};
use crate::undo::{explain, in_drive};

/// Read between two looks at whether to go on: much for somebody who waits for it, little for what leaves the disk to others in between.
const STEP_BYTES: u64 = 32 << 20;
const SHARED_STEP_BYTES: u64 = 8 << 20;
/// A cartridge on its way into a drive is asked for so often.
const BEGIN_TRIES: u32 = 20;
const BEGIN_PAUSE: Duration = Duration::from_millis(100);
/// Runs of damaged objects that are named one by one.
const DAMAGE_TOLD_MAX: usize = 100;

/// What is being read back at this moment.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    is_stopping: AtomicBool,
    running: Mutex<BTreeMap<String, Progress>>,
}

#[derive(Debug, Clone, Copy)]
struct Progress {
    total_bytes: u64,
    done_bytes: u64,
    /// What an earlier program had read already.
    resumed_bytes: u64,
    begun: Instant,
}

/// How a verification is to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// The share of the time in which the disk may be read, in percent.
    // Invariant: 1 <= share_percent <= 100
    pub(crate) share_percent: u32,
    /// Set when nobody waits for the result any more.
    pub(crate) is_given_up: &'a AtomicBool,
    pub(crate) actor: &'a str,
}

impl Verifications {
    /// Ends all of them soon. What they have done is kept.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// What is being read, for people who wait.
    pub(crate) fn progress(&self) -> Value {
        let running = self.running();
        let rows = running.iter().map(|(barcode, progress)| {
            let seconds = progress.begun.elapsed().as_secs_f64();
            let read = progress.done_bytes.saturating_sub(progress.resumed_bytes);
            json!({
                "barcode": barcode,
                "total_bytes": progress.total_bytes,
                "done_bytes": progress.done_bytes,
                "bytes_per_second": rate(read, seconds),
            })
        });
        Value::Array(rows.collect())
    }

    /// Whether a cartridge is being read.
    pub(crate) fn has(&self, barcode: &Barcode) -> bool {
        self.running().contains_key(barcode.as_str())
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Progress>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_to_end(&self, manner: &Manner<'_>) -> bool {
        self.is_stopping.load(Ordering::Relaxed) || manner.is_given_up.load(Ordering::Relaxed)
    }
}

/// Takes a cartridge off the list of what is being read when it is done, however that ends.
struct Listed<'a> {
    verifications: &'a Verifications,
    barcode: String,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.verifications.running().remove(&self.barcode);
    }
}

/// Reads cartridges back, one after the other; all data cartridges if none is named.
pub(crate) fn verify(
    library: &Library,
    barcodes: &[String],
    all: bool,
    manner: Manner<'_>,
) -> Result<Value, Failure> {
    if all != barcodes.is_empty() {
        return Err(Failure::usage("name barcodes, or say --all"));
    }
    let entries: Vec<CartridgeEntry> = if all {
        let mut entries = library.store.cartridges();
        entries.retain(|entry| entry.kind == CartridgeKind::Data);
        entries
    } else {
        barcodes.iter().map(|barcode| find(library, barcode)).collect::<Result<_, _>>()?
    };
    let rows: Result<Vec<_>, _> =
        entries.iter().map(|entry| verify_one(library, entry, manner)).collect();
    rows.map(Value::Array)
}

/// Reads one cartridge back and records what that has shown.
pub(crate) fn verify_one(
    library: &Library,
    entry: &CartridgeEntry,
    manner: Manner<'_>,
) -> Result<Value, Failure> {
    if entry.kind == CartridgeKind::Cleaning {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", entry.barcode)));
    }
    let mut verification = match begin(library, entry)? {
        Begun::Reading(verification, _) => *verification,
        Begun::Blank => {
            let nothing = Verified { is_direct: true, ..Verified::default() };
            return Ok(result(entry, None, &nothing, &[]));
        }
        // A cartridge that cannot even be opened is the news, and no reason to stop before the others.
        Begun::Unreadable(why) => return Ok(unreadable(entry, &why)),
    };
    let listed = list(library, entry, &verification)?;
    let begun = Instant::now();
    read_all(library, entry, &mut verification, manner)?;
    drop(listed);
    let as_of = verification.as_of;
    let Verification { verifier, mut cartridge, .. } = verification;
    let verified = verifier.finish();
    let damage = damage(&mut cartridge, &verified);
    tell(entry, &verified, &damage);
    library
        .store
        .note_verified(entry.uuid, as_of, &verified, manner.actor)
        .map_err(Failure::failed)?;
    Ok(result(entry, Some(begun.elapsed()), &verified, &damage))
}

/// Where the damage is: objects, files, and partitions but for the first one.
fn damage(cartridge: &mut Volume, verified: &Verified) -> Vec<Value> {
    let of = |(number, verified): (u8, &Verified)| -> Vec<(u8, (u64, u64))> {
        verified.damaged.iter().map(|run| (number, *run)).collect()
    };
    let partitions = std::iter::once(verified).chain(&verified.partitions);
    let runs = (0..).zip(partitions).flat_map(of).take(DAMAGE_TOLD_MAX);
    let row = |(partition, (first, last))| {
        let is_there = cartridge.change_partition(partition).unwrap_or(false);
        let file = is_there.then(|| cartridge.file_of(ObjectNumber(first))).flatten();
        let mut row = json!({ "first_object": first, "last_object": last, "file": file });
        if let (Value::Object(row), true) = (&mut row, partition != 0) {
            row.insert("partition".to_owned(), partition.into());
        }
        row
    };
    runs.map(row).collect()
}

/// A failure if an answer says that something is damaged, for the exit code.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let is_damaged = |row: &&Value| row.get("verdict").and_then(Value::as_str) == Some("damaged");
    let damaged: Vec<&str> = answer
        .as_array()
        .into_iter()
        .flatten()
        .filter(is_damaged)
        .filter_map(|row| row.get("barcode").and_then(Value::as_str))
        .collect();
    if damaged.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Damaged,
        format!(
            "damaged: {}; what is named there has to be restored from another copy",
            damaged.join(", ")
        ),
    ))
}

/// How a verification begins.
pub(crate) enum Begun {
    /// For one that is loaded, with the time of the sync point that is read: what was written later is not there.
    Reading(Box<Verification>, Option<Timestamp>),
    /// It is loaded, and nothing has been synced on it yet.
    Blank,
    Unreadable(String),
}

pub(crate) fn begin(library: &Library, entry: &CartridgeEntry) -> Result<Begun, Failure> {
    for _ in 0..BEGIN_TRIES {
        let now = library.store.cartridge(entry.uuid);
        let entry = now.as_ref().unwrap_or(entry);
        // Both at once: the host writes on.
        let moment = in_drive(library, entry, |volume| -> Result<_, MediumError> {
            Ok(volume.last_moment()?.zip(volume.last_point()?.map(|point| point.time)))
        });
        let (at, synced) = match moment {
            Some(Ok(None)) => return Ok(Begun::Blank),
            Some(Ok(Some((moment, synced)))) => (Some(moment), Some(synced)),
            Some(Err(error)) => {
                return Err(Failure::failed(format!("{}: {}", entry.barcode, with_causes(&error))));
            }
            None => (None, None),
        };
        match library.store.begin_verification(entry.uuid, at) {
            Ok(verification) => return Ok(Begun::Reading(Box::new(verification), synced)),
            // It went into a drive or came out of one this moment.
            Err(UndoError::InDrive { .. }) => {}
            Err(error @ UndoError::NoCartridge(_)) => return Err(explain(&error)),
            Err(error) => return Ok(Begun::Unreadable(with_causes(&error))),
        }
        std::thread::sleep(BEGIN_PAUSE);
    }
    Err(Failure::refused(format!("{} is being moved or loaded: try again", entry.barcode)))
}

fn list<'a>(
    library: &'a Library,
    entry: &CartridgeEntry,
    verification: &Verification,
) -> Result<Listed<'a>, Failure> {
    let barcode = entry.barcode.as_str().to_owned();
    let verifier = &verification.verifier;
    let done_bytes = verifier.done_bytes();
    let progress = Progress {
        total_bytes: verifier.total_bytes(),
        done_bytes,
        resumed_bytes: done_bytes,
        begun: Instant::now(),
    };
    let mut running = library.verifications.running();
    if running.contains_key(&barcode) {
        return Err(Failure::refused(format!("{barcode} is being verified already")));
    }
    running.insert(barcode.clone(), progress);
    Ok(Listed { verifications: &library.verifications, barcode })
}

fn read_all(
    library: &Library,
    entry: &CartridgeEntry,
    verification: &mut Verification,
    manner: Manner<'_>,
) -> Result<(), Failure> {
    let step_bytes = if manner.share_percent < 100 { SHARED_STEP_BYTES } else { STEP_BYTES };
    loop {
        let begun = Instant::now();
        let goes_on = verification.verifier.step(step_bytes).map_err(|error| {
            Failure::failed(format!(
                "{}: {}; it can be taken up again",
                entry.barcode,
                with_causes(&error)
            ))
        })?;
        let done_bytes = verification.verifier.done_bytes();
        if let Some(progress) = library.verifications.running().get_mut(entry.barcode.as_str()) {
            progress.done_bytes = done_bytes;
        }
        if !goes_on {
            return Ok(());
        }
        library.store.keep_progress(verification);
        rest(library, begun.elapsed(), manner);
        if library.verifications.is_to_end(&manner) {
            return Err(Failure::failed(format!(
                "{} was not read to its end; `vtl verify {}` goes on where it was",
                entry.barcode, entry.barcode
            )));
        }
    }
}

/// Leaves the disk to others for as long as the share says.
fn rest(library: &Library, busy: Duration, manner: Manner<'_>) {
    let share = manner.share_percent.clamp(1, 100);
    let mut left = busy.saturating_mul(100 - share) / share;
    while !left.is_zero() && !library.verifications.is_to_end(&manner) {
        let piece = left.min(Duration::from_millis(200));
        std::thread::sleep(piece);
        left = left.saturating_sub(piece);
    }
}

fn tell(entry: &CartridgeEntry, verified: &Verified, damage: &[Value]) {
    let barcode = &entry.barcode;
    if verified.is_good() {
        tracing::info!(%barcode, bytes = verified.bytes, "read back and found good");
        return;
    }
    for run in damage {
        tracing::error!(%barcode, %run, "objects are damaged: restore them from another copy, then write the backup anew");
    }
    tracing::error!(%barcode, records = verified.damaged_records, indexes = verified.damaged_indexes.len(),
        segments = verified.missing_segments.len(), "damage was found; `vtl verify {barcode}` tells more");
}

fn result(
    entry: &CartridgeEntry,
    took: Option<Duration>,
    verified: &Verified,
    damage: &[Value],
) -> Value {
    let seconds = took.map_or(0.0, |took| took.as_secs_f64());
    let verdict = match (verified.is_good(), verified.is_direct) {
        (true, true) => "proved",
        (true, false) => "read, but perhaps from a cache",
        (false, _) => "damaged",
    };
    let mut row = json!({
        "barcode": entry.barcode,
        "verdict": verdict,
        "bytes": verified.bytes,
        "seconds": (seconds * 10.0).round() / 10.0,
        "bytes_per_second": rate(verified.bytes, seconds),
        "damaged_objects": verified.damaged_objects(),
        "damage": damage,
        "damaged_records": verified.damaged_records,
        "damaged_indexes": verified.damaged_indexes.len(),
        "missing_segments": verified.missing_segments,
        "is_label_damaged": verified.is_label_damaged,
        "is_end_missing": verified.is_end_missing,
        "why": null,
    });
    if let (Value::Object(row), false) = (&mut row, verified.partitions.is_empty()) {
        row.insert("partitions".to_owned(), json!(verified.partitions));
    }
    row
}

fn unreadable(entry: &CartridgeEntry, why: &str) -> Value {
    let mut row = result(entry, None, &Verified::default(), &[]);
    if let Some(row) = row.as_object_mut() {
        row.insert("verdict".to_owned(), json!("damaged"));
        row.insert("why".to_owned(), json!(why));
    }
    tracing::error!(barcode = %entry.barcode, why, "the cartridge cannot be read");
    row
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a figure for people"
)]
pub(crate) fn rate(bytes: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (bytes as f64 / seconds) as u64 } else { 0 }
}
