//! Rewinding, twins, snapshots, pruning and proofs, as the data directory keeps them.

use std::collections::HashMap;

use uuid::Uuid;

use super::*;
use crate::cartridge::{Cartridge, LoadOptions, ReadOutcome, WantedPoint};
use crate::store::{NewTwin, UndoError};

fn write(store: &Store, barcode: &str, texts: &[&str]) {
    let uuid = store.find(barcode).unwrap().uuid;
    let mut cartridge =
        Cartridge::load(store.disk(), &store.directory_of(uuid), LoadOptions::default()).unwrap();
    for text in texts {
        let data = text.as_bytes().to_vec();
        cartridge.write(Box::new(data), u32::try_from(text.len()).unwrap(), 1).unwrap();
    }
    cartridge.write_filemarks(1).unwrap();
    let facts = cartridge.unload().unwrap();
    store.update_facts(uuid, &facts).unwrap();
}

fn read_at(store: &Store, origin: crate::label::Origin) -> Vec<String> {
    let options = LoadOptions { at: Some(origin), ..LoadOptions::default() };
    read(Cartridge::load(store.disk(), &store.directory_of(origin.cartridge), options).unwrap())
}

fn read_tape(store: &Store, barcode: &str) -> Vec<String> {
    let options = LoadOptions { read_only: true, ..LoadOptions::default() };
    let uuid = store.find(barcode).unwrap().uuid;
    read(Cartridge::load(store.disk(), &store.directory_of(uuid), options).unwrap())
}

fn read(mut cartridge: Cartridge) -> Vec<String> {
    let mut found = Vec::new();
    while let ReadOutcome::Block(block) = cartridge.read().unwrap() {
        found.push(String::from_utf8(block.to_vec()).unwrap());
    }
    found
}

fn twin(barcode: &str) -> NewTwin {
    NewTwin { barcode: Barcode::new(barcode).unwrap(), read_only: true, to: None }
}

#[test]
fn a_rewind_is_recorded_survives_a_power_cut_and_is_refused_in_a_drive() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    write(&store, "A00001L9", &["good", "data"]);
    let good = store.history(uuid, 10).unwrap().points.pop().unwrap();
    write(&store, "A00001L9", &["ransom"]);
    let point = WantedPoint::Sequence(good.sequence);
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "test").unwrap();
    let refused = store.rewind_in_place(uuid, point, "test").unwrap_err();
    assert!(refused.to_string().contains("A00001L9 is in drive:0"), "{refused}");
    assert!(matches!(
        store.make_twin(uuid, point, twin("TWIN01L9"), "test"),
        Err(UndoError::InDrive { .. })
    ));
    store.move_cartridge(&Place::drive(0), &Place::slot(1), "test").unwrap();
    assert!(matches!(
        store.rewind_in_place(uuid, WantedPoint::Sequence(9999), "test"),
        Err(UndoError::NoPoint { .. })
    ));
    store.rewind_in_place(uuid, point, "test").unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), ["good", "data"]);
    assert_eq!(store.find("A00001L9").unwrap().block_count, 2);
    drop(store);
    disk.power_cut();
    let store = open_memory(Arc::new(disk));
    assert_eq!(read_tape(&store, "A00001L9"), ["good", "data"]);
    let filter = EntryFilter { cartridge: Some(uuid), ..Default::default() };
    let names: Vec<_> =
        store.ledger().list(&filter).unwrap().iter().map(|e| e.event.name().to_owned()).collect();
    assert!(names.ends_with(&["rewind_intended".to_owned(), "rewound".to_owned()]), "{names:?}");
}

#[test]
fn a_twin_is_a_cartridge_like_others_and_keeps_its_original() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    write(&store, "A00001L9", &["one"]);
    write(&store, "A00001L9", &["two"]);
    let first = store.history(uuid, 10).unwrap().points.remove(0);
    let point = WantedPoint::Sequence(first.sequence);
    let (made, _) = store.make_twin(uuid, point, twin("TWIN01L9"), "test").unwrap();
    assert_eq!(made.twin_of.as_ref().map(Barcode::as_str), Some("A00001L9"));
    assert_eq!((made.block_count, made.read_only), (1, true));
    assert!(matches!(made.place, Place::Storage { .. }), "{}", made.place);
    assert_eq!(read_tape(&store, "TWIN01L9"), ["one"]);
    assert!(matches!(store.rewind_in_place(made.uuid, point, "test"), Err(UndoError::ReadOnly(_))));
    let refused = store.delete_cartridge(uuid, "test").unwrap_err();
    assert!(refused.to_string().contains("twin TWIN01L9"), "{refused}");
    // Nothing that the twin needs is pruned, however short the window is.
    store.prune(uuid, jiff::Timestamp::MAX, "test").unwrap();
    drop(store);
    disk.power_cut();
    let store = open_memory(Arc::new(disk));
    assert_eq!(store.find("TWIN01L9").unwrap(), made);
    assert_eq!(read_tape(&store, "TWIN01L9"), ["one"]);
    store.delete_cartridge(made.uuid, "test").unwrap();
    assert!(store.prune(uuid, jiff::Timestamp::MAX, "test").unwrap().bytes > 0);
    assert_eq!(read_tape(&store, "A00001L9"), ["two"]);
    store.delete_cartridge(uuid, "test").unwrap();
}

#[test]
fn a_snapshot_stays_while_everything_is_overwritten() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuids: Vec<Uuid> = store.cartridges().iter().map(|entry| entry.uuid).collect();
    write(&store, "A00001L9", &["monday"]);
    let record = store.create_snapshot("monday", &uuids, &HashMap::new(), "test").unwrap();
    let data = store.cartridges().iter().filter(|e| e.kind == CartridgeKind::Data).count();
    assert_eq!(record.members.len(), data);
    write(&store, "A00001L9", &["tuesday"]);
    store.prune(uuids[0], jiff::Timestamp::MAX, "test").unwrap();
    assert!(matches!(
        store.create_snapshot("monday", &uuids, &HashMap::new(), "test"),
        Err(UndoError::SnapshotExists(_))
    ));
    for bad in ["", "a/b", "über", &"x".repeat(41)] {
        let made = store.create_snapshot(bad, &uuids, &HashMap::new(), "test");
        assert!(matches!(made, Err(UndoError::BadName(_))), "{bad}");
    }
    assert!(store.present_snapshot("monday", true, "test").unwrap().is_presented);
    drop(store);
    disk.power_cut();
    let store = open_memory(Arc::new(disk));
    let record = store.snapshot("monday").unwrap();
    assert!(record.is_presented);
    let member = record.members.iter().find(|m| m.barcode.as_str() == "A00001L9").unwrap();
    assert_eq!(read_at(&store, member.origin), ["monday"]);
    let blank = record.members.iter().find(|m| m.origin.sequence == 0).unwrap();
    assert_eq!(read_at(&store, blank.origin), Vec::<String>::new());
    assert!(matches!(store.delete_snapshot("monday", "test"), Err(UndoError::Presented(_))));
    store.present_snapshot("monday", false, "test").unwrap();
    store.delete_snapshot("monday", "test").unwrap();
    assert!(matches!(store.delete_snapshot("monday", "test"), Err(UndoError::NoSnapshot(_))));
    assert!(store.prune(member.cartridge, jiff::Timestamp::MAX, "test").unwrap().bytes > 0);
}

#[test]
fn written_becomes_proved_by_reading_and_written_again_by_writing() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    write(&store, "A00001L9", &["one"]);
    assert_eq!(store.find("A00001L9").unwrap().state, CartridgeState::Written);
    let prove = |store: &Store| {
        let mut verification = store.begin_verification(uuid, None).unwrap();
        while verification.verifier.step(1).unwrap() {
            store.keep_progress(&verification);
        }
        let verified = verification.verifier.finish();
        store.note_verified(uuid, verification.as_of, &verified, "test").unwrap();
        verified
    };
    assert!(prove(&store).is_good());
    assert_eq!(store.find("A00001L9").unwrap().state, CartridgeState::Proved);
    drop(store);
    disk.power_cut();
    let store = open_memory(Arc::new(disk.clone()));
    assert_eq!(store.find("A00001L9").unwrap().state, CartridgeState::Proved);
    write(&store, "A00001L9", &["two"]);
    assert_eq!(store.find("A00001L9").unwrap().state, CartridgeState::Written);
    // The last block of the tape, in the second segment.
    let path = store.directory_of(uuid).join("journal/000002.seg");
    let file = disk.open(&path, crate::disk::OpenMode::ReadWrite).unwrap();
    crate::disk::write_all_at(file.as_ref(), b"x", 512 + 129).unwrap();
    assert_eq!(prove(&store).damaged, [(0, 0)]);
    let entry = store.find("A00001L9").unwrap();
    assert_eq!((entry.state, entry.damaged_objects), (CartridgeState::Damaged, 1));
}

// Going back and erasing were no change when a cartridge was opened: what was last written became that of before, or 1970, and an old proof, an
// old copy and an old age counted for what was there now.
#[test]
fn going_back_and_erasing_are_changes_after_any_load() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    write(&store, "A00001L9", &["good"]);
    let good = store.history(uuid, 10).unwrap().points.pop().unwrap();
    write(&store, "A00001L9", &["ransom"]);
    let load = |work: &dyn Fn(&mut Cartridge)| {
        let options = LoadOptions::default();
        let mut cartridge =
            Cartridge::load(store.disk(), &store.directory_of(uuid), options).unwrap();
        work(&mut cartridge);
        let facts = cartridge.unload().unwrap();
        store.update_facts(uuid, &facts).unwrap();
        facts.last_written.unwrap()
    };
    let ransom = store.find("A00001L9").unwrap().last_written.unwrap();
    store.rewind_in_place(uuid, WantedPoint::Sequence(good.sequence), "test").unwrap();
    let back = store.find("A00001L9").unwrap().last_written.unwrap();
    assert!(back > ransom);
    assert_eq!(load(&|_| ()), back);
    assert_eq!(load(&|_| ()), back);
    let erased = load(&|cartridge| cartridge.erase().unwrap());
    assert!(erased > back);
    assert_eq!(load(&|_| ()), erased);
    assert_eq!(load(&|_| ()), erased);
}
