//! Copies on physical tape: what the ledger keeps of them, and which steps it refuses.

use super::*;
use crate::copies::{CopyFacts, CopyState};
use crate::store::{CopyError, CopyStep};

const MADE: [CopyState; 4] =
    [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted];

fn facts(reason: &str) -> CopyFacts {
    CopyFacts { reason: Some(reason.into()), ..CopyFacts::default() }
}

#[test]
fn a_copy_outlives_its_cartridge_and_a_restart() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let copy = store.stage_copies(&[(uuid, 1)], "op").unwrap().pop().unwrap();
    for state in MADE {
        let facts = CopyFacts { volume: Some("PHY001L9".into()), ..facts("made") };
        store.advance_copy(copy.id, state, facts, "op").unwrap();
    }
    let expected: jiff::Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
    store.advance_copy(copy.id, CopyState::Ejected, CopyFacts::default(), "op").unwrap();
    let shipped = CopyFacts {
        container: Some("C1".into()),
        expected: Some(expected),
        ..CopyFacts::default()
    };
    store.advance_copy(copy.id, CopyState::Courier, shipped, "op").unwrap();
    store.delete_cartridge(uuid, "op").unwrap();
    let before = store.copy(copy.id).unwrap();
    assert_eq!(before.facts.volume.as_deref(), Some("PHY001L9"));
    assert_eq!(before.facts.container.as_deref(), Some("C1"));
    assert!(before.proved.is_some() && before.facts.reason.is_none());
    assert!(before.is_overdue(expected + jiff::SignedDuration::from_secs(1)));
    assert!(!before.is_overdue(expected));
    drop(store);
    let store = open_memory(Arc::new(disk));
    assert_eq!(store.copies(), [before]);
    let filter = EntryFilter { cartridge: Some(uuid), ..EntryFilter::default() };
    let steps = store.ledger().list(&filter).unwrap();
    let of_copies = steps.iter().filter(|entry| entry.event.name().starts_with("copy_")).count();
    assert_eq!(of_copies, 7, "the audit trail of a cartridge has all steps of its copies");
}

#[test]
fn no_step_is_skipped_and_a_group_steps_together_or_not_at_all() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuids = ["A00001L9", "A00002L9"].map(|name| store.find(name).unwrap().uuid);
    let copies = store.stage_copies(&uuids.map(|uuid| (uuid, 1)), "op").unwrap();
    let refused = store
        .advance_copy(copies[0].id, CopyState::Receipted, CopyFacts::default(), "op")
        .unwrap_err();
    assert_eq!(refused.to_string(), "copy 1 of A00001L9 is staged: it cannot be receipted next");
    store.advance_copy(copies[0].id, CopyState::Manifested, CopyFacts::default(), "op").unwrap();
    let step =
        |copy: Uuid| CopyStep { copy, state: CopyState::Written, facts: CopyFacts::default() };
    let both = [step(copies[0].id), step(copies[1].id)];
    assert!(matches!(store.advance_copies(&both, "op"), Err(CopyError::Step { .. })));
    assert_eq!(store.copy(copies[0].id).unwrap().state, CopyState::Manifested);
}

#[test]
fn a_copy_is_asked_for_once_and_again_when_it_has_failed() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let first = store.stage_copies(&[(uuid, 1)], "op").unwrap().pop().unwrap();
    let again = store.stage_copies(&[(uuid, 2), (uuid, 1)], "op").unwrap_err();
    assert_eq!(again.to_string(), "copy 1 of A00001L9 is there already: it is staged");
    assert_eq!(store.copies().len(), 1, "all or none");
    store.advance_copy(first.id, CopyState::Failed, facts("write error"), "op").unwrap();
    assert_eq!(store.copy(first.id).unwrap().facts.reason.as_deref(), Some("write error"));
    store.stage_copies(&[(uuid, 2), (uuid, 1)], "op").unwrap();
    assert_eq!(store.copies().len(), 3);
}

#[test]
fn several_steps_of_one_copy_are_checked_one_after_the_other() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let copy = store.stage_copies(&[(uuid, 1)], "op").unwrap().pop().unwrap();
    let step = |state: CopyState| CopyStep { copy: copy.id, state, facts: facts("made") };
    let skipping = [step(CopyState::Manifested), step(CopyState::Proved)];
    assert!(matches!(store.advance_copies(&skipping, "op"), Err(CopyError::Step { .. })));
    assert_eq!(store.copy(copy.id).unwrap().state, CopyState::Staged);
    store.advance_copies(&MADE.map(step), "op").unwrap();
    assert_eq!(store.copy(copy.id).unwrap().state, CopyState::Receipted);
}
