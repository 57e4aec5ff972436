//! Power cuts, killed processes and failing calls at every step of every change.

use super::*;

/// The changes of the workload, and what each of them does to the places.
type Change = (&'static str, fn(&Store) -> bool, fn(&mut Places));

fn set(places: &mut Places, barcode: &str, place: Place) {
    places.insert(barcode.to_owned(), place);
}

fn moved(store: &Store, from: &Place, to: &Place) -> bool {
    store.move_cartridge(from, to, "test").is_ok()
}

const WORKLOAD: &[Change] = &[
    (
        "load",
        |store| moved(store, &Place::slot(1), &Place::drive(0)),
        |p| set(p, "A00001L9", Place::drive(0)),
    ),
    (
        "exchange",
        |store| store.exchange(&Place::slot(2), &Place::slot(3), &Place::slot(2), "test").is_ok(),
        |places| {
            set(places, "A00002L9", Place::slot(3));
            set(places, "A00003L9", Place::slot(2));
        },
    ),
    (
        "create two",
        |store| {
            store
                .create_cartridges(
                    vec![new_cartridge("B00001L9"), new_cartridge("B00002L9")],
                    "test",
                )
                .is_ok()
        },
        |places| {
            set(places, "B00001L9", Place::slot(1));
            set(places, "B00002L9", Place::slot(4));
        },
    ),
    (
        "eject",
        |store| moved(store, &Place::slot(1), &Place::Shelf),
        |p| set(p, "B00001L9", Place::Shelf),
    ),
    (
        "delete",
        |store| match store.find("A00002L9") {
            Some(entry) => store.delete_cartridge(entry.uuid, "test").is_ok(),
            None => false,
        },
        |places| drop(places.remove("A00002L9")),
    ),
    (
        "unload",
        |store| moved(store, &Place::drive(0), &Place::slot(3)),
        |p| set(p, "A00001L9", Place::slot(3)),
    ),
];

/// Runs the workload until a change fails. Returns what must be there, and what may be there instead.
fn run(store: &Store) -> (Places, Option<Places>, bool) {
    let mut certain = places(store);
    for (name, change, effect) in WORKLOAD {
        let mut after = certain.clone();
        effect(&mut after);
        if change(store) {
            certain = after;
            assert_eq!(places(store), certain, "{name}");
        } else {
            assert_eq!(places(store), certain, "a failed {name} changes nothing that can be seen");
            return (certain, Some(after), false);
        }
    }
    (certain, None, true)
}

fn check_after_restart(disk: &MemoryDisk, certain: &Places, doubtful: Option<&Places>, what: &str) {
    let store = open_memory(Arc::new(disk.clone()));
    let found = places(&store);
    assert!(
        found == *certain || Some(&found) == doubtful,
        "{what}: {found:?}\n{certain:?}\n{doubtful:?}"
    );
    let mut directories = disk.list(Path::new("/data/cartridges")).unwrap();
    let mut expected: Vec<PathBuf> =
        store.cartridges().iter().map(|entry| PathBuf::from(entry.uuid.to_string())).collect();
    directories.sort();
    expected.sort();
    assert_eq!(
        directories, expected,
        "{what}: each cartridge has its directory, and nothing is left over"
    );
    assert!(
        store.cartridges().iter().all(CartridgeEntry::has_facts),
        "{what}: all labels can be read"
    );
    assert!(store.ledger().verify().is_ok());
    drop(store);
    let again = open_memory(Arc::new(disk.clone()));
    assert_eq!(places(&again), found, "{what}: a second start changes nothing");
    assert_eq!((again.report().abandoned_moves, again.report().abandoned_cartridges), (0, 0));
}

#[test]
fn after_any_crash_or_failure_each_cartridge_is_in_exactly_one_place() {
    let template = MemoryDisk::new();
    drop(small_store(Arc::new(template.clone())));
    for hit_count in [1, u64::MAX] {
        for skip_count in 0.. {
            let disk = template.snapshot();
            let faulty = FaultDisk::new(Arc::new(disk.clone()));
            let store = open_memory(Arc::new(faulty.clone()));
            let reaction = Reaction::Errno(EIO);
            faulty.inject(Fault {
                call: None,
                path_part: String::new(),
                skip_count,
                hit_count,
                reaction,
            });
            let before = faulty.count_all();
            let (certain, doubtful, is_complete) = run(&store);
            let calls = faulty.count_all() - before;
            drop(store);
            let what = format!("call {skip_count} of {calls}, {hit_count} hits");
            // In this order: the restart after a power cut works on a copy.
            check_after_restart(&disk.after_power_cut(), &certain, doubtful.as_ref(), &what);
            check_after_restart(&disk, &certain, doubtful.as_ref(), &what);
            if skip_count >= calls {
                assert!(is_complete && calls > 50, "{what}");
                break;
            }
        }
    }
}

#[test]
fn a_power_cut_during_recovery_is_recovered_from() {
    let template = MemoryDisk::new();
    let faulty = FaultDisk::new(Arc::new(template.clone()));
    let store = small_store(Arc::new(faulty.clone()));
    // A creation whose directories are there and whose record is not, and the write of the record torn.
    faulty.inject(Fault::forever(Call::SyncData, "ledger", Reaction::Errno(EIO)).after(1));
    assert!(store.create_cartridges(vec![new_cartridge("B00001L9")], "x").is_err());
    let certain = places(&store);
    drop(store);
    let mut doubtful = certain.clone();
    set(&mut doubtful, "B00001L9", Place::slot(4));
    for skip_count in 0.. {
        let disk = template.snapshot();
        let faulty = FaultDisk::new(Arc::new(disk.clone()));
        let fault = Fault { call: None, ..Fault::forever(Call::Open, "", Reaction::Errno(EIO)) };
        faulty.inject(fault.after(skip_count));
        let opened =
            Store::open(Arc::new(faulty.clone()), Path::new("/data"), memory_options()).map(drop);
        check_after_restart(
            &disk.after_power_cut(),
            &certain,
            Some(&doubtful),
            &format!("cut at {skip_count}"),
        );
        if opened.is_ok() && faulty.count_all() <= skip_count {
            break;
        }
    }
}

#[test]
fn a_library_is_made_as_a_whole_or_not_at_all() {
    for skip_count in 0.. {
        let disk = MemoryDisk::new();
        let faulty = FaultDisk::new(Arc::new(disk.clone()));
        let fault = Fault { call: None, ..Fault::forever(Call::Open, "", Reaction::Errno(EIO)) };
        faulty.inject(fault.after(skip_count));
        let made = Store::open(Arc::new(faulty.clone()), Path::new("/data"), memory_options())
            .ok()
            .and_then(|store| store.initialize(small_library()).ok());
        for left in [disk.after_power_cut(), disk.snapshot()] {
            let store = open_memory(Arc::new(left.clone()));
            if store.is_new() {
                assert!(made.is_none(), "what was acknowledged is there");
                assert_eq!(left.list(Path::new("/data/cartridges")).unwrap().len(), 0);
                store.initialize(small_library()).unwrap();
            } else if let Some(made) = &made {
                assert_eq!(&store.libraries()[0], made);
            }
            assert_eq!(store.cartridges().len(), 3);
        }
        if faulty.count_all() <= skip_count {
            assert!(made.is_some());
            break;
        }
    }
}

#[test]
fn a_full_disk_refuses_changes_and_accepts_them_again() {
    let disk = MemoryDisk::new();
    let faulty = FaultDisk::new(Arc::new(disk.clone()));
    let store = small_store(Arc::new(faulty.clone()));
    faulty.inject(Fault::forever(Call::Write, "", Reaction::Errno(28)));
    let before = places(&store);
    assert!(!moved(&store, &Place::slot(1), &Place::drive(0)));
    assert!(store.create_cartridges(vec![new_cartridge("B00001L9")], "x").is_err());
    assert_eq!(places(&store), before);
    faulty.release();
    assert!(moved(&store, &Place::slot(1), &Place::drive(0)));
    store.create_cartridges(vec![new_cartridge("B00001L9")], "x").unwrap();
    let after = places(&store);
    drop(store);
    check_after_restart(&disk.after_power_cut(), &after, None, "after a full disk");
}

#[test]
fn what_a_drive_has_synced_is_in_the_inventory_after_a_power_cut() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "x").unwrap();
    let uuid = store.at(&Place::drive(0)).unwrap().uuid;
    let options = crate::LoadOptions::default();
    let mut cartridge =
        crate::Cartridge::load(store.disk(), &store.directory_of(uuid), options).unwrap();
    cartridge.write(Box::new(vec![7_u8; 3000]), 1000, 3).unwrap();
    cartridge.sync().unwrap();
    let left = disk.after_power_cut();
    let facts = cartridge.unload().unwrap();
    store.update_facts(uuid, &facts).unwrap();
    let expected = store.cartridge(uuid).unwrap();
    assert_eq!(
        (expected.written_bytes, expected.block_count, expected.state),
        (3000, 3, CartridgeState::Written)
    );
    drop(store);
    for disk in [left, disk.after_power_cut()] {
        // The copy still has the lock of the process that was cut off.
        disk.remove(Path::new("/data/lock")).unwrap();
        let found = open_memory(Arc::new(disk)).cartridge(uuid).unwrap();
        assert_eq!(
            (found.written_bytes, found.block_count, found.state),
            (3000, 3, CartridgeState::Written)
        );
        assert_eq!(found.place, Place::drive(0));
    }
}
