//! What the daemon does by itself: giving up undo data that is too old or in the way, and reading cartridges back.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, info, warn};
use uuid::Uuid;
use vtl_media::{
    CartridgeEntry, CartridgeKind, CartridgeState, Place, Pruned, UndoError, with_causes,
};

use crate::drill;
use crate::library::Library;
use crate::operations::current;
use crate::rules;
use crate::verification::{self, Manner};

/// The one reason for pruning that was agreed upon.
const WINDOW: &str = "older than the undo window";
/// In the ledger, what nobody asked for.
const ACTOR: &str = "upkeep";
/// Looks at the free space. A drive can fill a gigabyte in a second.
const SPACE_INTERVAL: Duration = Duration::from_millis(500);
/// The clock of the locks loses so much at most when the program is killed.
const KEEP_INTERVAL: Duration = Duration::from_mins(10);
/// Looks for undo data that is too old.
const PRUNE_INTERVAL: Duration = Duration::from_hours(1);
/// The first of these looks, so that it does not disturb the start.
const PRUNE_DELAY: Duration = Duration::from_mins(1);
/// Looks at the calendars of policies, the finest of which are in minutes.
const POLICY_INTERVAL: Duration = Duration::from_secs(10);
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

const DRIVE_LIMIT: Duration = Duration::from_secs(5);

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
        for (name, work) in [
            ("upkeep", keep_space as Work),
            ("scrub", scrub as Work),
            ("policies", run_policies as Work),
            ("drills", run_drills as Work),
        ] {
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

type Work = fn(&Arc<Library>, Plan, &Stop);

fn keep_space(library: &Arc<Library>, plan: Plan, stop: &Stop) {
    let mut next_prune = Instant::now() + PRUNE_DELAY;
    let mut next_keep = Instant::now();
    while !stop.wait(SPACE_INTERVAL) {
        if is_space_short(library) {
            give_up_oldest(library, || is_space_short(library), "the disk is nearly full");
        }
        if Instant::now() >= next_keep {
            next_keep = Instant::now() + KEEP_INTERVAL;
            if let Err(error) = library.store.compliance_clock().keep() {
                warn!(%error, "the compliance clock cannot be kept: locks last longer by the time until it can");
            }
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
    let before = window_begin(library, plan.keep, Timestamp::now());
    for entry in with_undo(library) {
        note(&entry, &prune(library, &entry, before), WINDOW);
    }
    if let Some(limit) = plan.keep_bytes_max {
        let undo_bytes = || with_undo(library).iter().map(|entry| entry.undo_bytes).sum::<u64>();
        give_up_oldest(library, || undo_bytes() > limit, "undo takes more than keep-bytes allows");
    }
}

/// When what can be undone begins, by the earlier of both clocks: a host's clock that was set forward makes nothing old (F16).
fn window_begin(library: &Library, keep: SignedDuration, wall: Timestamp) -> Timestamp {
    let now = wall.min(library.store.compliance_clock().now());
    now.checked_sub(keep).unwrap_or(Timestamp::MIN)
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
    if !matches!(entry.place, Place::Drive { .. }) {
        return library.store.prune(entry.uuid, before, ACTOR);
    }
    let pruned = library.drive_at(&entry.place).and_then(|unit| {
        // Where the drive is busy for long, the next look finds it in a better moment.
        unit.with_drive_within(DRIVE_LIMIT, |drive| {
            let cartridge = drive.cartridge_mut()?;
            if cartridge.label().uuid != entry.uuid {
                return None;
            }
            // Not before: somebody may have made a twin of an old moment while the drive was waited for.
            let kept = library.store.kept_moments(entry.uuid);
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
        Ok(Pruned { bytes, segments }) if *segments > 0 && why == WINDOW => {
            info!(barcode = %entry.barcode, bytes, why, "undo data was given up");
        }
        Ok(Pruned { bytes, segments }) if *segments > 0 => {
            warn!(barcode = %entry.barcode, bytes, why, "undo data was given up before its time; make room, or set a shorter [undo] keep");
        }
        // In the other case it went into a drive a moment ago: the next look finds it there.
        Ok(_) | Err(UndoError::InDrive { .. }) => {}
        Err(error) => {
            warn!(barcode = %entry.barcode, error = with_causes(error), "undo data could not be given up");
        }
    }
}

/// Runs the policies whose time has come.
fn run_policies(library: &Arc<Library>, _: Plan, stop: &Stop) {
    while !stop.wait(POLICY_INTERVAL) {
        rules::timer::run_due(library, &stop.is_given_up);
    }
}

/// Runs the drills whose time has come, and takes back what somebody has left behind who began one.
fn run_drills(library: &Arc<Library>, plan: Plan, stop: &Stop) {
    while !stop.wait(POLICY_INTERVAL) {
        drill::take_back(library, drill::BEGIN_LIMIT);
        drill::timed::run_due(library, plan.share_percent, &stop.is_given_up);
    }
}

/// Reads back what was written and not proved, and then what was proved long ago.
fn scrub(library: &Arc<Library>, plan: Plan, stop: &Stop) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vtl_media::disk::MemoryDisk;
    use vtl_media::store::CatalogueKind;
    use vtl_media::{
        EntryFilter, LibrarySpec, LoadOptions, Store, StoreOptions, WantedPoint, WriteOutcome,
    };

    use super::*;

    const TAPE: &str = "VTL001L9";

    fn library(capacity_bytes: u64) -> Arc<Library> {
        let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
        let disk = Arc::new(MemoryDisk::with_capacity(capacity_bytes));
        let store = Arc::new(Store::open(disk, Path::new("/data"), options).unwrap());
        store.initialize(LibrarySpec::default()).unwrap();
        let load = LoadOptions { segment_bytes: 1 << 20, ..LoadOptions::default() };
        Library::power_on(store, load).unwrap()
    }

    fn slot_to_drive(library: &Library, is_back: bool) {
        let (slot, drive) = (Place::slot(1), Place::drive(0));
        let (from, to) = if is_back { (drive, slot) } else { (slot, drive) };
        library.move_cartridge(&from, &to, "test").unwrap();
    }

    /// Overwrites the tape in drive 0 with so many blocks of 256 KiB.
    fn overwrite(library: &Library, blocks: u8) {
        let unit = library.drive(0).unwrap();
        unit.with_drive(|drive| {
            let cartridge = drive.cartridge_mut().unwrap();
            cartridge.rewind().unwrap();
            for n in 0..blocks {
                let outcome = cartridge.write(Box::new(vec![n; 256 << 10]), 256 << 10, 1).unwrap();
                assert_eq!(outcome, WriteOutcome::Written, "a warning came first");
            }
            cartridge.sync().unwrap();
        });
    }

    fn pruned_events(library: &Library) -> usize {
        let filter = EntryFilter { event: Some("pruned".to_owned()), ..EntryFilter::default() };
        library.store.ledger().list(&filter).unwrap().len()
    }

    #[test]
    fn a_nearly_full_disk_costs_old_undo_data_before_anybody_is_warned() {
        let library = library(96 << 20);
        slot_to_drive(&library, false);
        for round in 0..60 {
            overwrite(&library, 8);
            if round % 7 == 6 {
                slot_to_drive(&library, true);
                slot_to_drive(&library, false);
            }
            if is_space_short(&library) {
                give_up_oldest(&library, || is_space_short(&library), "test");
            }
        }
        assert!(pruned_events(&library) > 3);
        // The newest generations but one are still there: what was given up was the oldest.
        let points = library
            .drive(0)
            .unwrap()
            .with_drive(|drive| drive.cartridge().unwrap().recovery_points(1000).unwrap());
        let points = points.unwrap();
        assert!((2..40).contains(&points.len()), "{}", points.len());
        library.power_off();
    }

    #[test]
    fn the_window_and_the_limit_are_kept() {
        let library = library(1 << 30);
        for _ in 0..4 {
            slot_to_drive(&library, false);
            overwrite(&library, 12);
            slot_to_drive(&library, true);
        }
        let undo_bytes = || library.store.find(TAPE).unwrap().undo_bytes;
        let before = undo_bytes();
        assert!(before > 8 << 20, "{before}");
        let plan = Plan {
            keep: SignedDuration::from_hours(1),
            keep_bytes_max: None,
            scrub: None,
            share_percent: 100,
        };
        prune_window(&library, plan);
        assert_eq!((undo_bytes(), pruned_events(&library)), (before, 0), "nothing is old enough");
        prune_window(&library, Plan { keep_bytes_max: Some(4 << 20), ..plan });
        let limited = undo_bytes();
        assert!(limited <= 4 << 20 && limited > 0, "{limited}");
        prune_window(&library, Plan { keep: SignedDuration::ZERO, ..plan });
        assert_eq!(undo_bytes(), 0);
        let uuid = library.store.find(TAPE).unwrap().uuid;
        let last = library.store.history(uuid, 10).unwrap().points.pop().unwrap();
        assert!(last.is_current);
        let again = WantedPoint::Sequence(last.sequence);
        assert!(!library.store.rewind_in_place(uuid, again, "test").unwrap().is_changed);
        library.power_off();
    }

    /// A host's clock was set forward by 20 days, and what had been overwritten a minute before was pruned for its age.
    #[test]
    fn a_clock_that_is_set_forward_makes_nothing_old() {
        let library = library(1 << 30);
        let (day, wall) = (SignedDuration::from_hours(24), Timestamp::now());
        let ahead = window_begin(&library, day, wall + day * 20);
        assert!(ahead <= Timestamp::now() - day, "{ahead}");
        let behind = window_begin(&library, day, wall - day * 20);
        assert_eq!(behind, wall - day * 21);
        library.power_off();
    }

    #[test]
    fn what_was_written_is_read_back_and_what_was_proved_long_ago_is_again() {
        let library = library(1 << 30);
        slot_to_drive(&library, false);
        overwrite(&library, 2);
        let month = SignedDuration::from_hours(30 * 24);
        let now = Timestamp::now();
        let later = |hours| now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        assert_eq!(next_to_verify(&library, month, later(24)), None, "it is in a drive");
        slot_to_drive(&library, true);
        assert_eq!(next_to_verify(&library, month, now), None, "it may be wanted again soon");
        let due = next_to_verify(&library, month, later(1)).unwrap();
        assert_eq!(due.barcode.as_str(), TAPE);
        let is_given_up = AtomicBool::new(false);
        let manner = Manner { share_percent: 100, is_given_up: &is_given_up, actor: ACTOR };
        verification::verify_one(&library, &due, manner).unwrap();
        assert_eq!(library.store.find(TAPE).unwrap().state, CartridgeState::Proved);
        assert_eq!(next_to_verify(&library, month, later(29 * 24)), None);
        assert!(next_to_verify(&library, month, later(31 * 24)).is_some());
        library.power_off();
    }
}
