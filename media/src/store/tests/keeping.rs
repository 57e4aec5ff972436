//! What the media manager remembers, and what it refuses to forget.

use std::collections::HashMap;

use super::*;
use crate::copies::{CopyFacts, CopyState};
use crate::keeping::{ImportSource, PolicyRun};
use crate::ledger::Clock;
use crate::store::{CopyError, DeleteError, RetentionChange};

const MADE: [CopyState; 4] =
    [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted];

fn receipted(store: &Store, barcode: &str, number: u32) -> Uuid {
    let uuid = store.find(barcode).unwrap().uuid;
    let copy = store.stage_copies(&[(uuid, number)], "op").unwrap().pop().unwrap();
    for state in MADE {
        store.advance_copy(copy.id, state, CopyFacts::default(), "op").unwrap();
    }
    copy.id
}

#[test]
fn the_last_proved_copy_of_what_is_not_on_disk_is_not_retired_by_accident() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let [first, second] = [1, 2].map(|number| receipted(&store, "A00001L9", number));
    store.delete_cartridge(uuid, "op").unwrap();
    let retired = store.retire_copy(first, "expired", false, "op").unwrap();
    assert_eq!(retired.state, CopyState::Retired);
    assert_eq!(retired.facts.reason.as_deref(), Some("expired"));
    let refused = store.retire_copy(second, "expired", false, "op").unwrap_err();
    assert!(matches!(refused, CopyError::Last { number: 2, .. }), "{refused}");
    assert_eq!(
        store.copy_summaries(&HashMap::new())[&uuid].good,
        1,
        "one counts, and one does not"
    );
    // It is as good as gone, and may turn up: that is given up on purpose as well.
    for state in [CopyState::Ejected, CopyState::Lost] {
        store.advance_copy(second, state, CopyFacts::default(), "op").unwrap();
    }
    assert!(store.retire_copy(second, "burnt", false, "op").is_err());
    store.retire_copy(second, "burnt", true, "op").unwrap();
    assert!(store.retire_copy(second, "again", true, "op").is_err());
    let before = store.copies();
    drop(store);
    let store = open_memory(Arc::new(disk));
    assert_eq!(store.copies(), before, "after a restart");
    let filter = EntryFilter { cartridge: Some(uuid), ..EntryFilter::default() };
    let told = store.ledger().list(&filter).unwrap();
    assert_eq!(told.iter().filter(|entry| entry.event.name() == "copy_retired").count(), 2);
}

#[test]
fn a_locked_cartridge_that_cannot_be_read_keeps_its_last_copy() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let copy = receipted(&store, "A00001L9", 1);
    let held = RetentionChange::Hold("case 7".into());
    store.change_retention(uuid, &held, None, "op").unwrap();
    store.inventory().set_state(uuid, CartridgeState::Damaged);
    let refused = store.retire_copy(copy, "expired", true, "op").unwrap_err();
    assert!(refused.to_string().contains("case 7"), "{refused}");
    store.inventory().set_state(uuid, CartridgeState::Written);
    store.retire_copy(copy, "expired", false, "op").unwrap();
}

/// Somebody retired the copy between the look at the plan and the deletion: both were gone.
#[test]
fn a_cartridge_is_not_given_up_for_a_copy_that_was_retired_meanwhile() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let entry = store.find("A00001L9").unwrap();
    let copy = receipted(&store, "A00001L9", 1);
    store.retire_copy(copy, "expired", false, "op").unwrap();
    let refused = store.delete_unchanged(&entry, &[copy], "op").unwrap_err();
    assert!(matches!(refused, DeleteError::Changed(_)), "{refused}");
    assert!(store.find("A00001L9").is_some());
    let another = receipted(&store, "A00001L9", 1);
    store.delete_unchanged(&entry, &[another], "op").unwrap();
}

#[test]
fn origins_of_imports_and_runs_of_policies_survive_a_restart_and_a_rebuilt_catalogue() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuids = ["A00001L9", "A00002L9"].map(|name| store.find(name).unwrap().uuid);
    let source = ImportSource { medium_serial: Some("HY47".into()), ..ImportSource::default() };
    for uuid in uuids {
        store.note_import(uuid, source.clone(), "op").unwrap();
    }
    assert!(store.note_import(Uuid::from_u128(1), source, "op").is_err());
    let run = |failed| PolicyRun { policy: "nightly".into(), failed, ..PolicyRun::default() };
    store.note_policy_run(run(1), "timer").unwrap();
    store.note_policy_run(run(0), "timer").unwrap();
    drop(store);
    let store = open_memory(Arc::new(disk));
    store.rebuild_catalogue().unwrap();
    let names = |store: &Store| {
        let source = ImportSource { medium_serial: Some("HY47".into()), ..ImportSource::default() };
        let made = store.imports_like(Uuid::nil(), &source).into_iter();
        made.map(|entry| entry.barcode.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&store), ["A00001L9", "A00002L9"]);
    let nothing = ImportSource::default();
    assert!(store.imports_like(Uuid::nil(), &nothing).is_empty(), "nothing known is not the same");
    assert!(store.import_of(uuids[0]).unwrap().time.is_some());
    assert_eq!(store.policy_runs(), [run(0)]);
    store.delete_cartridge(uuids[0], "op").unwrap();
    assert_eq!(names(&store), ["A00002L9"], "what is gone is no duplicate");
}

#[test]
fn a_broken_drive_and_one_that_finds_tape_after_tape_bad_are_fenced_until_they_are_cleared() {
    let disk = MemoryDisk::new();
    let time = Arc::new(std::sync::atomic::AtomicI64::new(1_800_000_000));
    let seconds = Arc::clone(&time);
    let clock = Clock(Arc::new(move || {
        let at = seconds.load(std::sync::atomic::Ordering::Relaxed);
        jiff::Timestamp::from_second(at).unwrap()
    }));
    let open = || {
        let options = StoreOptions { clock: clock.clone(), ..memory_options() };
        Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap()
    };
    let store = open();
    store.initialize(small_library()).unwrap();
    let fails = |store: &Store, serial: &str, tape: &str, is_broken| {
        let told = store.note_drive_failure(serial, Some(tape), is_broken, "4/44/00", "op");
        told.unwrap().fenced
    };
    assert_eq!(fails(&store, "D1", "T1", true).as_deref(), Some("4/44/00"));
    // The same tape is one tape, and what was a year ago is forgotten.
    for tape in ["T1", "T2", "T2"] {
        assert_eq!(fails(&store, "D2", tape, false), None);
    }
    time.fetch_add(365 * 86_400, std::sync::atomic::Ordering::Relaxed);
    for tape in ["T3", "T4"] {
        assert_eq!(fails(&store, "D2", tape, false), None);
    }
    assert!(fails(&store, "D2", "T5", false).unwrap().starts_with("3 tapes were bad in it"));
    drop(store);
    let store = open();
    let fenced = |serial: &str| store.drive(serial).is_some_and(|drive| drive.fenced.is_some());
    assert!(fenced("D1") && fenced("D2"), "after a restart");
    assert!(store.clear_drive("D1", "op").unwrap() && !store.clear_drive("D1", "op").unwrap());
    assert!(!fenced("D1") && fenced("D2"));
}
