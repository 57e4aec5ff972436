//! Whatever operators do and in whatever order: what the walk says is a step, the ledger takes; groups stay together; nothing that is
//! known of a tape is lost on the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use vtl_media::disk::MemoryDisk;
use vtl_media::store::CatalogueKind;
use vtl_media::{
    Barcode, CopyFacts, CopyState, CopyStep, LibrarySpec, NewCartridge, Store, StoreOptions,
};
use vtl_vault::Rules;
use vtl_vault::walk::{self, Choice, Shipment, TapeName, Waits, WalkError};

const TAPES: [&str; 5] = ["A00001L9", "A00002L9", "B00001L9", "C00001L9", "X00001L9"];
const BOXES: [&str; 3] = ["BOX1", "BOX2", "BOX3"];

#[derive(Debug, Clone)]
enum Deed {
    Make(usize),
    Eject,
    Ship(Vec<usize>, usize),
    Receive(usize, Vec<usize>, bool),
    Recall(Vec<usize>),
    RecallBox(usize),
    CallOff(Vec<usize>),
    TakeBack(usize, Vec<usize>, Vec<usize>),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let tapes = || proptest::collection::vec(0..TAPES.len(), 0..3);
    let deed = prop_oneof![
        2 => (0..4_usize).prop_map(Deed::Make),
        2 => Just(Deed::Eject),
        3 => (tapes(), 0..BOXES.len()).prop_map(|(tapes, name)| Deed::Ship(tapes, name)),
        3 => (0..BOXES.len(), tapes(), any::<bool>()).prop_map(|(name, tapes, seal)| Deed::Receive(name, tapes, seal)),
        2 => tapes().prop_map(Deed::Recall),
        2 => (0..BOXES.len()).prop_map(Deed::RecallBox),
        1 => tapes().prop_map(Deed::CallOff),
        3 => (0..BOXES.len(), tapes(), tapes()).prop_map(|(name, came, bad)| Deed::TakeBack(name, came, bad)),
    ];
    proptest::collection::vec(deed, 1..60)
}

fn library() -> Store {
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    let store = Store::open(Arc::new(MemoryDisk::new()), Path::new("/data"), options).unwrap();
    // The last one is a stranger.
    let cartridges = TAPES.iter().take(4).map(|name| NewCartridge::new(barcode(name), "lto9"));
    let cartridges = cartridges.collect();
    store
        .initialize(LibrarySpec { storage_elements: 4, cartridges, ..LibrarySpec::default() })
        .unwrap();
    store
}

fn barcode(text: &str) -> Barcode {
    Barcode::new(text).unwrap()
}

fn name(text: &str) -> TapeName {
    TapeName::new(text).unwrap()
}

fn named(tapes: &[usize]) -> Vec<TapeName> {
    tapes.iter().map(|tape| name(TAPES[*tape])).collect()
}

fn choice(tapes: &[usize]) -> Choice {
    let barcodes = tapes.iter().map(|tape| name(TAPES[*tape])).collect();
    Choice { barcodes, ..Choice::default() }
}

/// Copies 1 of two cartridges on one tape, and of a third on its own, all with receipts.
fn with_stack() -> Store {
    let store = library();
    let volumes = [(TAPES[0], "STK001L9"), (TAPES[2], "STK001L9"), (TAPES[3], TAPES[3])];
    for (cartridge, volume) in volumes {
        let uuid = store.find(cartridge).unwrap().uuid;
        let copy = store.stage_copies(&[(uuid, 1)], "policy").unwrap().remove(0);
        let states =
            [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted];
        for state in states {
            let facts = CopyFacts {
                volume: Some(volume.into()),
                medium_serial: Some(format!("S-{volume}")),
                bytes: Some(7),
                ..CopyFacts::default()
            };
            store.advance_copy(copy.id, state, facts, "op").unwrap();
        }
    }
    store
}

/// Several cartridges lie on one tape: whichever of them is named, all of them go, and the lists have the tape once.
#[test]
fn what_is_on_one_tape_goes_together() {
    let store = with_stack();
    let rules = Rules::default();
    let picked = walk::pick_list(&store.copies());
    let rows: Vec<_> = picked.rows.iter().map(|row| (row.barcode.as_str(), row.bytes)).collect();
    assert_eq!(rows, [(TAPES[3], 7), ("STK001L9", 14)]);
    let waits = Waits::of(&rules, &store.copies(), &[]);
    let out = walk::eject(&rules, &store.copies(), &waits);
    assert_eq!(out.len(), 3);
    store.advance_copies(&out, "op").unwrap();
    let shipment = Shipment {
        container: "BOX1".into(),
        seal: "1".into(),
        site: "bank".into(),
        expected: Timestamp::UNIX_EPOCH,
    };
    let ship = |text: &str| {
        let choice = Choice { barcodes: vec![name(text)], ..Choice::default() };
        walk::ship(&rules, &store.copies(), &choice, &shipment)
    };
    for name in [TAPES[0], TAPES[2], "STK001L9"] {
        assert_eq!(ship(name).unwrap().len(), 2, "{name}");
    }
    assert_eq!(ship(TAPES[3]).unwrap().len(), 1);
    store.advance_copies(&ship(TAPES[2]).unwrap(), "op").unwrap();
    let copies = store.copies();
    let there = walk::receive(&copies, "BOX1", &[], &CopyFacts::default(), true).unwrap();
    store.advance_copies(&there, "op").unwrap();
    let back = walk::recall(&rules, &store.copies(), &choice(&[0]), &CopyFacts::default()).unwrap();
    assert_eq!(back.len(), 2);
    store.advance_copies(&back, "op").unwrap();
    let off =
        walk::call_off(&rules, &store.copies(), &choice(&[2]), &CopyFacts::default()).unwrap();
    assert_eq!(off.len(), 2);
    let (found, steps) =
        walk::take_back(&store.copies(), "BOX1", &[name("STK001L9")], &[]).unwrap();
    assert_eq!((found.returned, steps.len()), (vec!["STK001L9".to_owned()], 2));
    store.advance_copies(&steps, "op").unwrap();
    assert_eq!(ship(TAPES[0]).unwrap().len(), 4, "taken out and shipped again, both");
    // One of them that is not so far keeps the tape here.
    let one = store.copies().into_iter().find(|copy| copy.barcode.as_str() == TAPES[0]).unwrap();
    store.advance_copy(one.id, CopyState::Ejected, CopyFacts::default(), "op").unwrap();
    let error = ship(TAPES[0]).unwrap_err();
    assert!(matches!(error, WalkError::Stack { .. }), "{error}");
}

/// Asks for a copy and makes it, if there is none.
fn make(store: &Store, tape: usize) {
    let uuid = store.find(TAPES[tape]).unwrap().uuid;
    let Ok(copies) = store.stage_copies(&[(uuid, 1)], "policy") else { return };
    let made = [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted];
    let facts = CopyFacts { bytes: Some(7), receipt: Some("ab".into()), ..CopyFacts::default() };
    for copy in copies {
        let steps = made.map(|state| CopyStep { copy: copy.id, state, facts: facts.clone() });
        store.advance_copies(&steps, "drive").unwrap();
    }
}

fn steps_of(rules: &Rules, store: &Store, deed: &Deed) -> Result<Vec<CopyStep>, WalkError> {
    let copies = store.copies();
    let later = Timestamp::now() + SignedDuration::from_hours(24);
    let facts = CopyFacts { expected: Some(later), ..CopyFacts::default() };
    match deed {
        Deed::Make(tape) => {
            make(store, *tape);
            Ok(Vec::new())
        }
        Deed::Eject => {
            let waits = Waits::of(rules, &copies, &store.cartridges());
            Ok(walk::eject(rules, &copies, &waits))
        }
        Deed::Ship(tapes, name) => {
            let shipment = Shipment {
                container: BOXES[*name].into(),
                seal: format!("S{name}"),
                site: "north".into(),
                expected: later,
            };
            walk::ship(rules, &copies, &choice(tapes), &shipment)
        }
        Deed::Receive(name, missing, is_right) => {
            let seal = if *is_right { format!("S{name}") } else { "other".into() };
            let facts = CopyFacts { seal: Some(seal), ..CopyFacts::default() };
            walk::receive(&copies, BOXES[*name], &named(missing), &facts, false)
        }
        Deed::Recall(tapes) => walk::recall(rules, &copies, &choice(tapes), &facts),
        Deed::RecallBox(name) => {
            let choice = Choice { container: Some(BOXES[*name].into()), ..Choice::default() };
            walk::recall(rules, &copies, &choice, &facts)
        }
        Deed::CallOff(tapes) => {
            walk::call_off(rules, &copies, &choice(tapes), &CopyFacts::default())
        }
        Deed::TakeBack(name, came, damaged) => {
            let (mut came, damaged) = (named(came), named(damaged));
            came.extend(damaged.iter().cloned());
            walk::take_back(&copies, BOXES[*name], &came, &damaged).map(|(_, steps)| steps)
        }
    }
}

/// A tape that had come back was scanned twice when it went out again, and the ledger refused the whole container: the tape was to be
/// taken out two times.
#[test]
fn a_tape_that_is_scanned_twice_goes_out_once() {
    let store = library();
    let rules = Rules::default();
    let all = [
        Deed::Make(2),
        Deed::Eject,
        Deed::Ship(vec![2], 0),
        Deed::Receive(0, Vec::new(), true),
        Deed::Recall(vec![2]),
        Deed::TakeBack(0, vec![2], Vec::new()),
        Deed::Ship(vec![2, 2], 1),
    ];
    for deed in &all {
        let steps = steps_of(&rules, &store, deed).unwrap();
        store.advance_copies(&steps, "operator").unwrap();
    }
    let copies = store.copies();
    assert_eq!((copies.len(), copies[0].state), (1, CopyState::Courier));
    assert_eq!(copies[0].facts.container.as_deref(), Some("BOX2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_ledger_takes_every_step_of_the_walk(deeds in deeds()) {
        let store = library();
        let rules = Rules::parse("[group.a]\nmembers = [\"A*\"]\n").unwrap();
        for deed in &deeds {
            let Ok(steps) = steps_of(&rules, &store, deed) else { continue };
            let taken = store.advance_copies(&steps, "operator");
            prop_assert!(taken.is_ok(), "{deed:?}: {}", taken.unwrap_err());
            if let Deed::Ship(..) = deed {
                // Of a group all that can be on their way are, or none.
                let states: Vec<CopyState> = store
                    .copies()
                    .iter()
                    .filter(|copy| copy.barcode.as_str().starts_with('A'))
                    .map(|copy| copy.state)
                    .collect();
                let left = states.iter().filter(|state| **state == CopyState::Ejected).count();
                let gone = steps.iter().any(|step| {
                    let copy = store.copy(step.copy).unwrap();
                    copy.barcode.as_str().starts_with('A')
                });
                prop_assert!(!(gone && left > 0), "{deed:?}: {states:?}");
            }
        }
        for copy in store.copies() {
            prop_assert_eq!(copy.facts.receipt.as_deref(), Some("ab"));
            let is_out = copy.state.is_away();
            prop_assert!(!is_out || (copy.facts.container.is_some() && copy.facts.seal.is_some()));
        }
        store.ledger().verify().unwrap();
    }
}
