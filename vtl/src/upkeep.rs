//! What the daemon does by itself: giving up undo data that is too old or in the way, and reading cartridges back.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, info, warn};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState, Place, Pruned, UndoError};

use crate::library::Library;
use crate::operations::current;
use crate::undo::chain;
use crate::verification::{self, Manner};

/// In the ledger, what nobody asked for.
const ACTOR: &str = "upkeep";
/// Looks at the free space. A drive can fill a gigabyte in a second.
const SPACE_INTERVAL: Duration = Duration::from_millis(500);
/// Looks for undo data that is too old.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);
/// The first of these looks, so that it does not disturb the start.
const PRUNE_DELAY: Duration = Duration::from_mins(1);
/// Looks for something to read back.
const VERIFY_INTERVAL: Duration = Duration::from_secs(30);
/// A cartridge that was unloaded has so long a rest before it is read back: often it is wanted again.
const VERIFY_REST: SignedDuration = SignedDuration::from_mins(10);

/// How the daemon is to look after its cartridges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// How long what was overwritten can be brought back.
    pub(crate) keep: SignedDuration,
    /// The most bytes that undo may take; no limit if there is none.
    pub(crate) keep_bytes_max: Option<u64>,
    /// How old a proof may get before a cartridge is read again; never if there is none.
    pub(crate) scrub: Option<SignedDuration>,
    /// The share of the disk's time for that, in percent.
    pub(crate) share_percent: u32,
}

/// The daemon's own threads.
#[derive(Debug)]
pub(crate) struct Upkeep {
    stop: Arc<Stop>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
    is_given_up: AtomicBool,
}

impl Stop {
    /// Waits, and says whether it is time to end.
    fn wait(&self, timeout: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, timeout, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Upkeep {
    /// Begins to look after a library.
    pub(crate) fn start(library: &Arc<Library>, plan: Plan) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let mut threads = Vec::new();
        for (name, work) in [("upkeep", keep_space as Work), ("scrub", scrub as Work)] {
            let (library, stop) = (Arc::clone(library), Arc::clone(&stop));
            let thread = std::thread::Builder::new().name(name.to_owned());
            threads.push(thread.spawn(move || work(&library, plan, &stop))?);
        }
        Ok(Self { stop, threads })
    }

    /// Ends it, with what is under way.
    pub(crate) fn stop(self) {
        *self.stop.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.is_given_up.store(true, std::sync::atomic::Ordering::Relaxed);
        self.stop.changed.notify_all();
        for thread in self.threads {
            if thread.join().is_err() {
                warn!("a thread of the upkeep ended in disorder");
            }
        }
    }
}

type Work = fn(&Library, Plan, &Stop);

fn keep_space(library: &Library, plan: Plan, stop: &Stop) {
    let mut next_prune = Instant::now() + PRUNE_DELAY;
    while !stop.wait(SPACE_INTERVAL) {
        if is_space_short(library) {
            give_up_oldest(library, || is_space_short(library), "the disk is nearly full");
        }
        if Instant::now() >= next_prune {
            next_prune = Instant::now() + PRUNE_INTERVAL;
            prune_window(library, plan);
        }
    }
}

/// Whether drives will soon have to tell of the end of the medium because the host's disk is full.
fn is_space_short(library: &Library) -> bool {
    let (disk, directory) = (library.store.disk(), library.store.directory());
    let (Ok(free), Ok(total)) = (disk.free_bytes(directory), disk.total_bytes(directory)) else {
        return false;
    };
    free < 3 * vtl_media::low_space_bytes(total)
}

/// Gives up what is older than the window, and then as much as is beyond the limit.
pub(crate) fn prune_window(library: &Library, plan: Plan) {
    let before = Timestamp::now().checked_sub(plan.keep).unwrap_or(Timestamp::MIN);
    for entry in with_undo(library) {
        note(&entry, &prune(library, &entry, before), "older than the undo window");
    }
    if let Some(limit) = plan.keep_bytes_max {
        let undo_bytes = || with_undo(library).iter().map(|entry| entry.undo_bytes).sum::<u64>();
        give_up_oldest(library, || undo_bytes() > limit, "undo takes more than keep-bytes allows");
    }
}

/// Gives up the oldest undo data of all cartridges, a piece at a time, while it is needed and there is any.
pub(crate) fn give_up_oldest(library: &Library, is_needed: impl Fn() -> bool, why: &str) {
    let mut hopeless: HashSet<Uuid> = HashSet::new();
    while is_needed() {
        let candidates = with_undo(library).into_iter().filter(|e| !hopeless.contains(&e.uuid));
        let oldest = candidates
            .filter_map(|entry| Some((oldest_undo(library, &entry)?, entry)))
            .min_by_key(|(time, _)| *time);
        let Some((time, entry)) = oldest else {
            debug!(why, "there is no undo data left to give up");
            return;
        };
        let pruned = prune(library, &entry, time);
        if !matches!(&pruned, Ok(pruned) if pruned.bytes > 0) {
            hopeless.insert(entry.uuid);
        }
        note(&entry, &pruned, why);
    }
}

/// Data cartridges that hold anything that only undo needs, and that nobody reads back just now.
fn with_undo(library: &Library) -> Vec<CartridgeEntry> {
    let mut entries = current(library);
    entries.retain(|entry| entry.undo_bytes > 0 && !library.verifications.has(&entry.barcode));
    entries
}

fn oldest_undo(library: &Library, entry: &CartridgeEntry) -> Option<Timestamp> {
    let kept = library.store.kept_moments(entry.uuid);
    match crate::undo::in_drive(library, entry, |cartridge| cartridge.oldest_undo(&kept)) {
        Some(oldest) => oldest.ok().flatten(),
        None => library.store.oldest_undo(entry.uuid).ok().flatten(),
    }
}

/// Prunes a cartridge, in its drive if it is in one.
fn prune(
    library: &Library,
    entry: &CartridgeEntry,
    before: Timestamp,
) -> Result<Pruned, UndoError> {
    let Place::Drive { number, .. } = &entry.place else {
        return library.store.prune(entry.uuid, before, ACTOR);
    };
    let kept = library.store.kept_moments(entry.uuid);
    let pruned = library.drive(*number).and_then(|unit| {
        unit.with_drive(|drive| {
            let cartridge = drive.cartridge_mut()?;
            if cartridge.label().uuid != entry.uuid {
                return None;
            }
            let pruned = cartridge.prune(before, &kept);
            Some((pruned, cartridge.facts()))
        })
        .flatten()
    });
    let Some((pruned, facts)) = pruned else { return Ok(Pruned::default()) };
    let barcode = entry.barcode.clone();
    let pruned = pruned.map_err(|source| UndoError::Medium { barcode, source })?;
    library.store.note_pruned(entry.uuid, before, pruned, &facts, ACTOR)?;
    Ok(pruned)
}

fn note(entry: &CartridgeEntry, pruned: &Result<Pruned, UndoError>, why: &str) {
    match pruned {
        Ok(Pruned { bytes, segments }) if *segments > 0 => {
            info!(barcode = %entry.barcode, bytes, why, "undo data was given up");
        }
        // In the other case it went into a drive a moment ago: the next look finds it there.
        Ok(_) | Err(UndoError::InDrive { .. }) => {}
        Err(error) => {
            warn!(barcode = %entry.barcode, error = chain(error), "undo data could not be given up");
        }
    }
}

/// Reads back what was written and not proved, and then what was proved long ago.
fn scrub(library: &Library, plan: Plan, stop: &Stop) {
    while !stop.wait(VERIFY_INTERVAL) {
        let Some(scrub) = plan.scrub else { continue };
        while let Some(entry) = next_to_verify(library, scrub, Timestamp::now()) {
            let manner = Manner {
                share_percent: plan.share_percent,
                is_given_up: &stop.is_given_up,
                actor: ACTOR,
            };
            if let Err(failure) = verification::verify_one(library, &entry, manner) {
                debug!(barcode = %entry.barcode, %failure, "not read back to the end");
                break;
            }
        }
    }
}

/// What is most in need of being read back: first what never was since it was written, then what was longest ago.
fn next_to_verify(
    library: &Library,
    scrub: SignedDuration,
    now: Timestamp,
) -> Option<CartridgeEntry> {
    let is_older =
        |time: Timestamp, age: SignedDuration| time.checked_add(age).is_ok_and(|due| due <= now);
    let mut due: Vec<CartridgeEntry> = library.store.cartridges();
    due.retain(|entry| {
        let is_at_rest = !matches!(entry.place, Place::Drive { .. })
            && entry.last_written.is_none_or(|written| is_older(written, VERIFY_REST));
        let is_due = match (entry.state, entry.last_proved) {
            (CartridgeState::Written, _) => true,
            (CartridgeState::Proved, Some(proved)) => is_older(proved, scrub),
            // What is damaged is known to be; somebody has to act first.
            _ => false,
        };
        entry.kind == CartridgeKind::Data && is_at_rest && is_due
    });
    let key = |entry: &CartridgeEntry| {
        (entry.state == CartridgeState::Proved, entry.last_proved, entry.last_written)
    };
    due.into_iter().min_by_key(key)
}
