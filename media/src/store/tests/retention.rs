//! Locks and holds against whoever sets clocks, restarts, and tries everything that gives something up (G12).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::cartridge::{Cartridge, LoadOptions, ReadOutcome, WantedPoint};
use crate::retention::Uptime;
use crate::store::{RetentionChange, UndoError};

const FIRST: &[u8] = b"what must stay";
const DAY: i64 = 86_400;
const OPERATIONS: usize = 4000;

/// A host whose clocks can be set.
#[derive(Clone)]
struct Host {
    disk: MemoryDisk,
    wall: Arc<AtomicI64>,
    uptime: Arc<AtomicU64>,
    /// What a clock shows that nobody has set.
    real: i64,
    begun: i64,
}

impl Host {
    fn new() -> Self {
        let begun = 1_900_000_000;
        let wall = Arc::new(AtomicI64::new(begun));
        Self { disk: MemoryDisk::new(), wall, uptime: Arc::default(), real: begun, begun }
    }

    fn open(&self) -> Store {
        let (wall, uptime) = (Arc::clone(&self.wall), Arc::clone(&self.uptime));
        let now = move || Timestamp::from_second(wall.load(Ordering::Relaxed)).unwrap();
        let options = StoreOptions {
            clock: Clock(Arc::new(now)),
            uptime: Uptime(Arc::new(move || Duration::from_secs(uptime.load(Ordering::Relaxed)))),
            ..memory_options()
        };
        Store::open(Arc::new(self.disk.clone()), Path::new("/data"), options).unwrap()
    }

    fn pass(&mut self, seconds: i64) {
        self.real += seconds;
        self.wall.fetch_add(seconds, Ordering::Relaxed);
        self.uptime.fetch_add(seconds.unsigned_abs(), Ordering::Relaxed);
    }

    /// The latest that the clock of the locks may show: seven days a year ahead.
    fn latest(&self) -> i64 {
        self.real + (self.real - self.begun) * 7 / 365 + 1
    }

    fn set_wall(&self, by: i64) {
        let now = self.wall.load(Ordering::Relaxed);
        // Timestamps end with the year 9999.
        self.wall.store((now + by).clamp(0, 200_000_000_000), Ordering::Relaxed);
    }
}

fn put(store: &Store, data: &[u8]) -> Result<(), String> {
    let entry = store.find("A00001L9").ok_or("gone")?;
    let directory = store.directory_of(entry.uuid);
    let options =
        LoadOptions { compliance: store.compliance_clock().as_clock(), ..LoadOptions::default() };
    let mut cartridge = Cartridge::load(store.disk(), &directory, options).unwrap();
    let length = u32::try_from(data.len()).unwrap();
    let written = cartridge.write(Box::new(data.to_vec()), length, 1);
    cartridge.unload().unwrap();
    written.map(drop).map_err(|error| error.to_string())
}

fn has_first(store: &Store) -> bool {
    let Some(entry) = store.find("A00001L9") else { return false };
    let mut cartridge = store.read_cartridge(entry.uuid, None).unwrap();
    matches!(cartridge.read().unwrap(), ReadOutcome::Block(block) if block == FIRST)
}

/// A library whose first cartridge has something on it.
fn begin(store: &Store) {
    store.initialize(small_library()).unwrap();
    put(store, FIRST).unwrap();
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Tries one of the ways to give something up, and says whether it was.
fn gives_up(store: &Store, host: &Host, how: u64) -> bool {
    let entry = store.find("A00001L9").unwrap();
    match how {
        8 => put(store, b"something else").is_ok(),
        9 => store.delete_cartridge(entry.uuid, "x").is_ok(),
        10 => {
            let then = WantedPoint::Time(entry.created);
            store.rewind_in_place(entry.uuid, then, "x").is_ok_and(|rewound| rewound.is_changed)
        }
        _ => {
            // What pruning gives up is what was overwritten: with the first block there, nothing of it.
            let now = Timestamp::from_second(host.real).unwrap();
            store.prune(entry.uuid, now, "x").is_ok_and(|gone| gone.bytes > 0)
        }
    }
}

/// Lets go of what governance mode keeps, and has the cartridge disposed of from now on: neither may end anything else.
fn lift_governance(store: &Store) {
    let uuid = store.find("A00001L9").unwrap().uuid;
    let due = RetentionChange::Dispose(Some(Timestamp::UNIX_EPOCH));
    for change in [RetentionChange::LiftGovernance("a reason".into()), due] {
        store.change_retention(uuid, &change, None, "x").unwrap();
    }
}

/// Something happens to the host: its clock is set, time goes by, or it is started again.
fn befall(host: &mut Host, mut store: Store, what: u64, random: &mut Random) -> Store {
    let mut days = |limit| i64::try_from(random.below(limit)).unwrap() * DAY;
    match what {
        4 => host.set_wall(days(20 * 365)),
        5 => host.set_wall(-days(20 * 365)),
        6 => host.pass(days(30)),
        _ => {
            // In order, or not.
            if days(2) == 0 {
                store.flush().unwrap();
            }
            drop(store);
            // Switched off for some days.
            let off = days(3);
            host.real += off;
            host.wall.fetch_add(off, Ordering::Relaxed);
            host.uptime.store(0, Ordering::Relaxed);
            store = host.open();
        }
    }
    store
}

#[test]
fn nothing_is_given_up_early_whatever_is_tried() {
    let rounds = std::env::var("RETENTION_ROUNDS").map_or(1, |text| text.parse().unwrap());
    let (mut refused, mut given_up) = (0, 0);
    for round in 0..rounds {
        let of_round = try_everything(0x5eed_1234_5678_9abc + round);
        refused += of_round.0;
        given_up += of_round.1;
    }
    assert!(refused > 100 && given_up > 3, "{refused} {given_up}");
}

/// A round: how often something was refused and given up; `RETENTION_ROUNDS=250` makes a million operations of it.
fn try_everything(seed: u64) -> (u64, u64) {
    let mut random = Random(seed);
    let mut host = Host::new();
    let mut store = host.open();
    begin(&store);
    let uuid = |store: &Store| store.find("A00001L9").unwrap().uuid;
    // What nobody shortens, what governance mode keeps, and the hold.
    let (mut until, mut governed, mut is_held) = (0, 0, false);
    let (mut refused, mut given_up) = (0, 0);
    for operation in 0..OPERATIONS {
        match random.below(14) {
            0 => {
                let wanted = host.real + i64::try_from(random.below(15)).unwrap() * DAY;
                let change = RetentionChange::LockUntil(Timestamp::from_second(wanted).unwrap());
                match store.change_retention(uuid(&store), &change, None, "x") {
                    Ok(_) => {
                        assert!(wanted >= until, "a lock was made shorter");
                        until = wanted;
                    }
                    Err(error) => {
                        assert!(matches!(error, UndoError::Locked { .. }), "{error}");
                        assert!(wanted < until);
                    }
                }
            }
            1 => {
                let hold = RetentionChange::Hold("case".into());
                store.change_retention(uuid(&store), &hold, None, "x").unwrap();
                is_held = true;
            }
            2 | 3 => {
                store.change_retention(uuid(&store), &RetentionChange::Lift, None, "x").unwrap();
                is_held = false;
            }
            12 => {
                let wanted = host.real + i64::try_from(random.below(6)).unwrap() * DAY;
                let change = RetentionChange::GovernUntil(Timestamp::from_second(wanted).unwrap());
                match store.change_retention(uuid(&store), &change, None, "x") {
                    Ok(_) => {
                        assert!(wanted >= governed, "made shorter without a word");
                        governed = wanted;
                    }
                    Err(error) => assert!(wanted < governed, "{error}"),
                }
            }
            13 => {
                lift_governance(&store);
                governed = 0;
            }
            what @ 4..8 => store = befall(&mut host, store, what, &mut random),
            tried => {
                if gives_up(&store, &host, tried) {
                    assert!(!is_held, "{tried}: given up while held, in operation {operation}");
                    let kept = until.max(governed);
                    assert!(
                        host.latest() >= kept,
                        "{tried}: given up {} days early, in operation {operation}",
                        (kept - host.latest()) / DAY
                    );
                    given_up += 1;
                    host = Host::new();
                    store = host.open();
                    begin(&store);
                    (until, governed) = (0, 0);
                } else {
                    refused += 1;
                }
            }
        }
        assert!(has_first(&store), "operation {operation}");
    }
    (refused, given_up)
}

#[test]
fn what_was_overwritten_before_is_not_pruned_while_it_is_locked() {
    let mut host = Host::new();
    let store = host.open();
    begin(&store);
    put(&store, b"newer").unwrap();
    let uuid = store.find("A00001L9").unwrap().uuid;
    let until = Timestamp::from_second(host.real).unwrap() + SignedDuration::from_hours(24 * 100);
    store.change_retention(uuid, &RetentionChange::LockUntil(until), None, "x").unwrap();
    host.pass(50 * DAY);
    // The host's clock says that the lock has ended.
    host.set_wall(1000 * DAY);
    let before = Timestamp::from_second(host.wall.load(Ordering::Relaxed)).unwrap();
    let is_pruned = |store: &Store| store.prune(uuid, before, "x").is_ok_and(|gone| gone.bytes > 0);
    assert!(!is_pruned(&store));
    host.pass(51 * DAY);
    assert!(is_pruned(&store));
}

#[test]
fn a_power_cut_leaves_a_cartridge_rather_locked_than_not() {
    let host = Host::new();
    let store = host.open();
    begin(&store);
    let uuid = store.find("A00001L9").unwrap().uuid;
    let fault = FaultDisk::new(Arc::new(host.disk.clone()));
    drop(store);
    let faulty =
        Store::open(Arc::new(fault.clone()), Path::new("/data"), memory_options()).unwrap();
    fault.inject(Fault::forever(Call::SyncData, "ledger", Reaction::Errno(EIO)));
    let hold = RetentionChange::Hold("case".into());
    faulty.change_retention(uuid, &hold, None, "x").unwrap_err();
    drop(faulty);
    // It was not acknowledged; what is on the label keeps the data all the same, and can be lifted.
    let store = host.open();
    assert!(put(&store, b"something else").unwrap_err().contains("case"));
    store.change_retention(uuid, &RetentionChange::Lift, None, "x").unwrap();
    put(&store, b"something else").unwrap();
}

// Two commands that overlapped both looked at what was in force, and then the second wrote what it had made of that over the first: a hold or a
// longer lock was lost after it had been acknowledged. And a hold that met a deletion waited for it, and it for the hold, for ever.
#[test]
fn changes_that_meet_are_made_one_after_the_other() {
    let host = Host::new();
    let store = host.open();
    begin(&store);
    for round in 0..30 {
        let uuid = store.find("A00002L9").unwrap().uuid;
        let far = Timestamp::from_second(host.real + (200 + round) * DAY).unwrap();
        let near = Timestamp::from_second(host.real + (100 + round) * DAY).unwrap();
        let other = store.find("A00003L9").unwrap().uuid;
        std::thread::scope(|scope| {
            let change = |change: RetentionChange| {
                let store = &store;
                scope.spawn(move || drop(store.change_retention(uuid, &change, None, "x")));
            };
            change(RetentionChange::LockUntil(far));
            change(RetentionChange::LockUntil(near));
            change(RetentionChange::Hold("case".into()));
            let store = &store;
            let hold = RetentionChange::Hold("case".into());
            scope.spawn(move || drop(store.change_retention(other, &hold, None, "x")));
            scope.spawn(move || drop(store.delete_cartridge(other, "x")));
        });
        let kept = store.retention(uuid);
        assert_eq!((kept.until, kept.hold.as_deref()), (Some(far), Some("case")), "{round}");
        store.change_retention(uuid, &RetentionChange::Lift, None, "x").unwrap();
        if store.find("A00003L9").is_some() {
            store.change_retention(other, &RetentionChange::Lift, None, "x").unwrap();
            store.delete_cartridge(other, "x").unwrap();
        }
        store.create_cartridges(vec![new_cartridge("A00003L9")], "x").unwrap();
    }
}

// A policy that gave cartridges up had planned all of it at once: one that a host wrote on meanwhile was deleted with what was new on it.
#[test]
fn what_was_written_since_is_not_deleted() {
    let host = Host::new();
    let store = host.open();
    begin(&store);
    let write = |data: &[u8]| {
        put(&store, data).unwrap();
        let uuid = store.find("A00001L9").unwrap().uuid;
        let cartridge = store.read_cartridge(uuid, None).unwrap();
        store.update_facts(uuid, &cartridge.facts()).unwrap();
        store.find("A00001L9").unwrap()
    };
    let planned = write(b"old");
    write(b"new");
    let refused = store.delete_unchanged(&planned, &[], "x").unwrap_err();
    assert!(refused.to_string().contains("A00001L9"), "{refused}");
    let now = store.find("A00001L9").unwrap();
    store.delete_unchanged(&now, &[], "x").unwrap();
    assert!(store.find("A00001L9").is_none());
}

// Whoever deleted a cartridge held the lock for all changes while he waited for those who worked on it; they needed that lock to come to their
// end, and the library stood still for ever. An import holds its cartridge for hours.
#[test]
fn a_deletion_waits_without_holding_others_up() {
    let host = Host::new();
    let store = host.open();
    begin(&store);
    let uuid = store.find("A00002L9").unwrap().uuid;
    let reserved = store.reserve(uuid);
    std::thread::scope(|scope| {
        let deletion = scope.spawn(|| store.delete_cartridge(uuid, "x"));
        // It has begun to wait, or will: either way changes go on.
        for _ in 0..200 {
            store.update_facts(uuid, &CartridgeFacts::default()).unwrap();
            std::thread::yield_now();
        }
        drop(reserved);
        deletion.join().unwrap().unwrap();
    });
    assert!(store.find("A00002L9").is_none());
}
