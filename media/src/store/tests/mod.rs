//! The store as its users meet it.

mod catalogue;
mod copies;
mod crash;
mod directory;
mod erasure;
mod keeping;
mod key_faults;
mod keys;
mod retention;
mod rules;
mod undo;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::barcode::Barcode;
use crate::disk::{Call, Fault, FaultDisk, MemoryDisk, Reaction, RealDisk};
use crate::label::{CartridgeKind, Label};
use crate::ledger::EntryFilter;

const EIO: i32 = 5;

fn memory_options() -> StoreOptions {
    StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() }
}

fn open_memory(disk: Arc<dyn Disk>) -> Store {
    Store::open(disk, Path::new("/data"), memory_options()).unwrap()
}

/// A library of two drives, four storage and two import/export elements, with three cartridges in the first elements.
fn small_library() -> LibrarySpec {
    let cartridges = ["A00001L9", "A00002L9", "A00003L9"].map(new_cartridge).to_vec();
    LibrarySpec {
        drives: 2,
        storage_elements: 4,
        import_export_elements: 2,
        cartridges,
        ..LibrarySpec::default()
    }
}

fn new_cartridge(barcode: &str) -> NewCartridge {
    NewCartridge::new(Barcode::new(barcode).unwrap(), "lto9")
}

fn small_store(disk: Arc<dyn Disk>) -> Store {
    let store = open_memory(disk);
    store.initialize(small_library()).unwrap();
    store
}

/// Where everything is, by barcode.
type Places = BTreeMap<String, Place>;

fn places(store: &Store) -> Places {
    let cartridges = store.cartridges();
    for entry in &cartridges {
        if entry.place.is_element() {
            assert_eq!(store.at(&entry.place).as_ref(), Some(entry), "both ways of asking agree");
        }
    }
    cartridges.into_iter().map(|entry| (entry.barcode.to_string(), entry.place)).collect()
}

/// Equality that prints the first difference only.
fn assert_same(found: &[CartridgeEntry], expected: &[CartridgeEntry]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

/// What a drive leaves on a cartridge when it unloads it.
fn write_facts(store: &Store, barcode: &str, written_bytes: u64) {
    let entry = store.find(barcode).unwrap();
    let directory = store.directory_of(entry.uuid);
    let mut label = Label::read(&*store.disk(), &directory).unwrap();
    label.facts.written_bytes = written_bytes;
    label.facts.block_count = 1;
    label.facts.last_written = "2026-07-02T00:00:00Z".parse().ok();
    label.is_clean = true;
    label.write(&*store.disk(), &directory).unwrap();
    store.update_facts(entry.uuid, &label.facts).unwrap();
}

#[test]
fn an_empty_directory_becomes_the_default_library_and_stays_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let open = || Store::open(Arc::new(RealDisk::new()), &path, StoreOptions::default()).unwrap();
    let store = open();
    assert!(store.is_new());
    let record = store.initialize(LibrarySpec::default()).unwrap();
    assert_eq!(
        (record.drives.len(), record.storage_elements, record.import_export_elements),
        (4, 24, 4)
    );
    let mut serials: Vec<_> = record.drives.iter().map(|drive| drive.serial.clone()).collect();
    serials.push(record.changer.serial.clone());
    assert!(
        serials
            .iter()
            .all(|serial| serial.len() == 10 && serial.bytes().all(|c| c.is_ascii_alphanumeric()))
    );
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 5, "no two devices have one serial number");
    assert_eq!(store.find("VTL020L9").unwrap().place, Place::slot(20));
    assert_eq!(store.at(&Place::slot(21)).unwrap().barcode.as_str(), "CLN001L9");
    store.move_cartridge(&Place::slot(3), &Place::drive(1), "test").unwrap();
    let (cartridges, libraries) = (store.cartridges(), store.libraries());
    assert_eq!(cartridges.len(), 21);
    store.close().unwrap();

    let store = open();
    assert!(!store.is_new());
    assert_eq!(store.libraries(), libraries);
    assert_same(&store.cartridges(), &cartridges);
    assert_eq!(store.at(&Place::drive(1)).unwrap().source, Some(Place::slot(3)));
    assert_eq!(store.report().inspected_cartridges, 1, "only the one in the drive");
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
    assert!(matches!(store.initialize(LibrarySpec::default()), Err(CreateError::LibraryExists(_))));
}

#[test]
fn a_row_of_the_inventory_has_the_promised_names() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let row = serde_json::to_value(store.find("A00001L9").unwrap()).unwrap();
    for name in [
        "barcode",
        "uuid",
        "kind",
        "generation",
        "worm",
        "location",
        "pool",
        "group",
        "state",
        "capacity_bytes",
        "written_bytes",
        "last_written",
        "last_proved",
    ] {
        assert!(row.get(name).is_some(), "{name}");
    }
    assert_eq!(
        (&row["location"], &row["kind"], &row["state"]),
        (&"slot:1".into(), &"data".into(), &"empty".into())
    );
}

#[test]
fn a_move_is_refused_when_there_is_nothing_or_no_room() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let before = places(&store);
    let head = store.ledger().head();
    let refused = |from: Place, to: Place| store.move_cartridge(&from, &to, "test").unwrap_err();
    assert!(matches!(refused(Place::slot(4), Place::drive(0)), MoveError::SourceEmpty(_)));
    assert!(matches!(refused(Place::slot(1), Place::slot(2)), MoveError::DestinationFull(_)));
    assert!(matches!(refused(Place::slot(1), Place::slot(1)), MoveError::DestinationFull(_)));
    assert!(matches!(refused(Place::slot(5), Place::slot(1)), MoveError::NoSuchElement(_)));
    assert!(matches!(refused(Place::slot(1), Place::drive(2)), MoveError::NoSuchElement(_)));
    assert!(matches!(refused(Place::slot(1), Place::mail(3)), MoveError::NoSuchElement(_)));
    assert!(matches!(
        refused(Place::slot(1), "x/slot:1".parse().unwrap()),
        MoveError::NoSuchElement(_)
    ));
    assert!(matches!(refused(Place::Shelf, Place::slot(4)), MoveError::AmbiguousSource(_)));
    let nobody = store.move_cartridge_by_id(Uuid::from_u128(1), &Place::Shelf, "test").unwrap_err();
    assert!(matches!(nobody, MoveError::NoCartridge(_)));
    assert_eq!(
        (places(&store), store.ledger().head()),
        (before, head),
        "a refusal leaves no trace"
    );
}

#[test]
fn the_storage_element_a_cartridge_came_from_is_remembered_inside_the_library() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let source = || store.cartridge(uuid).unwrap().source;
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "x").unwrap();
    assert_eq!(source(), Some(Place::slot(1)));
    store.move_cartridge(&Place::drive(0), &Place::drive(1), "x").unwrap();
    assert_eq!(source(), Some(Place::slot(1)));
    store.move_cartridge(&Place::drive(1), &Place::mail(2), "x").unwrap();
    assert_eq!(source(), Some(Place::slot(1)));
    store.move_cartridge(&Place::mail(2), &Place::Shelf, "x").unwrap();
    assert_eq!((source(), store.at(&Place::Shelf)), (None, None));
    store.move_cartridge_by_id(uuid, &Place::Offsite("vault 7".into()), "x").unwrap();
    store.move_cartridge_by_id(uuid, &Place::mail(1), "x").unwrap();
    let motions: Vec<String> = store
        .ledger()
        .list(&EntryFilter { event: Some("move_intended".into()), ..EntryFilter::default() })
        .unwrap()
        .iter()
        .map(|entry| {
            serde_json::to_value(&entry.event).unwrap()["motion"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(motions, ["move", "move", "move", "eject", "move", "insert"]);
}

#[test]
fn an_exchange_moves_both_or_none() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    store.exchange(&Place::slot(1), &Place::slot(2), &Place::slot(1), "x").unwrap();
    assert_eq!(store.at(&Place::slot(1)).unwrap().barcode.as_str(), "A00002L9");
    assert_eq!(store.at(&Place::slot(2)).unwrap().barcode.as_str(), "A00001L9");
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "x").unwrap();
    store.exchange(&Place::slot(3), &Place::drive(0), &Place::slot(1), "x").unwrap();
    assert_eq!(store.at(&Place::drive(0)).unwrap().barcode.as_str(), "A00003L9");
    assert_eq!(store.at(&Place::slot(1)).unwrap().barcode.as_str(), "A00002L9");
    assert_eq!(store.at(&Place::slot(3)), None);
    let before = places(&store);
    let refused = |a: Place, b: Place, c: Place| store.exchange(&a, &b, &c, "x").unwrap_err();
    assert!(matches!(
        refused(Place::slot(4), Place::slot(1), Place::slot(3)),
        MoveError::SourceEmpty(_)
    ));
    assert!(matches!(
        refused(Place::slot(1), Place::slot(4), Place::slot(3)),
        MoveError::SourceEmpty(_)
    ));
    assert!(matches!(
        refused(Place::slot(1), Place::slot(2), Place::drive(0)),
        MoveError::DestinationFull(_)
    ));
    assert!(matches!(
        refused(Place::slot(1), Place::slot(1), Place::slot(3)),
        MoveError::DestinationFull(_)
    ));
    assert!(matches!(
        refused(Place::slot(1), Place::slot(2), Place::slot(9)),
        MoveError::NoSuchElement(_)
    ));
    assert_eq!(places(&store), before);
}

#[test]
fn new_cartridges_fill_free_storage_in_order_and_then_the_shelf() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    store.move_cartridge(&Place::slot(2), &Place::drive(0), "x").unwrap();
    let mail = NewCartridge { to: Some(Place::mail(1)), worm: true, ..new_cartridge("B00001L9") };
    let made = store
        .create_cartridges(
            vec![
                new_cartridge("B00002L9"),
                mail,
                new_cartridge("B00003L9"),
                new_cartridge("B00004L9"),
            ],
            "cli uid 0",
        )
        .unwrap();
    let found: Vec<&Place> = made.iter().map(|entry| &entry.place).collect();
    assert_eq!(found, [&Place::slot(2), &Place::mail(1), &Place::slot(4), &Place::Shelf]);
    assert!(made[1].worm && !made[0].worm);
    assert_eq!(made[0].capacity_bytes, 18_000_000_000_000);
    let label = Label::read(&*store.disk(), &store.directory_of(made[1].uuid)).unwrap();
    assert_eq!(
        (label.barcode.as_str(), label.worm, label.kind),
        ("B00001L9", true, CartridgeKind::Data)
    );
    assert_eq!(label.last_element.as_deref(), Some("mail:1"));
}

#[test]
fn what_cannot_be_made_is_refused_as_a_whole() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let before = (places(&store), store.ledger().head());
    let refused =
        |cartridges: Vec<NewCartridge>| store.create_cartridges(cartridges, "x").unwrap_err();
    let good = || new_cartridge("B00001L9");
    let to = |place: Place| NewCartridge { to: Some(place), ..new_cartridge("B00002L9") };
    assert!(matches!(
        refused(vec![good(), new_cartridge("A00001L9")]),
        CreateError::DuplicateBarcode(_)
    ));
    assert!(matches!(refused(vec![good(), good()]), CreateError::DuplicateBarcode(_)));
    assert!(matches!(refused(vec![good(), to(Place::slot(1))]), CreateError::Occupied(_)));
    assert!(matches!(refused(vec![good(), to(Place::slot(9))]), CreateError::NoSuchElement(_)));
    assert!(matches!(refused(vec![good(), to(Place::drive(0))]), CreateError::InDrive(_)));
    let odd = NewCartridge { media_type: "dat72".into(), ..new_cartridge("B00002L9") };
    assert!(matches!(refused(vec![good(), odd]), CreateError::UnknownMediaType(_)));
    let many = (0..=MAX_CARTRIDGES_AT_ONCE)
        .map(|number| new_cartridge(&format!("C{number:05}L9")))
        .collect();
    assert!(matches!(refused(many), CreateError::TooMany(_)));
    let uuid = store.find("A00001L9").unwrap().uuid;
    assert!(matches!(
        store.delete_cartridge(Uuid::from_u128(9), "x"),
        Err(DeleteError::NoCartridge(_))
    ));
    assert_eq!((places(&store), store.ledger().head()), before, "a refusal leaves no trace");
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "x").unwrap();
    assert!(matches!(store.delete_cartridge(uuid, "x"), Err(DeleteError::InDrive(_))));
    for spec in [
        LibrarySpec { drives: 0, ..LibrarySpec::default() },
        LibrarySpec { storage_elements: MAX_ELEMENTS + 1, ..LibrarySpec::default() },
        LibrarySpec { id: LibraryId("a/b".into()), ..LibrarySpec::default() },
    ] {
        assert!(matches!(store.initialize(spec), Err(CreateError::BadSpec)));
    }
}

#[test]
fn a_deleted_cartridge_is_gone_and_its_barcode_free() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let uuid = store.find("A00002L9").unwrap().uuid;
    store.delete_cartridge(uuid, "x").unwrap();
    assert_eq!(store.cartridge(uuid), None);
    assert!(!disk.exists(&store.directory_of(uuid)).unwrap());
    let made = store.create_cartridges(vec![new_cartridge("A00002L9")], "x").unwrap();
    assert_eq!(made[0].place, Place::slot(2));
    assert_ne!(made[0].uuid, uuid);
}

#[test]
fn a_second_library_has_its_own_elements() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let cartridges = vec![new_cartridge("E00001L9")];
    let spec = LibrarySpec { id: LibraryId("east".into()), cartridges, ..small_library() };
    store.initialize(spec).unwrap();
    assert_eq!(store.libraries().len(), 2);
    assert_eq!(store.find("E00001L9").unwrap().place.to_string(), "east/slot:1");
    store.move_cartridge(&Place::slot(1), &"east/drive:0".parse().unwrap(), "x").unwrap();
    assert_eq!(store.at(&"east/drive:0".parse().unwrap()).unwrap().barcode.as_str(), "A00001L9");
}

#[test]
fn a_target_name_is_checked_and_used_once() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let taken = store.libraries()[0].iqn.clone();
    let with_name = |name: &str| LibrarySpec {
        id: LibraryId("east".into()),
        iqn: Some(name.to_owned()),
        cartridges: vec![],
        ..small_library()
    };
    for name in
        [&taken, "", "x", "iqn.2026-07.A", "iqn.2026-07.a b", &format!("iqn.{}", "a".repeat(220))]
    {
        assert!(
            matches!(store.initialize(with_name(name)), Err(CreateError::BadTargetName(_))),
            "{name}"
        );
    }
    assert_eq!(
        store.initialize(with_name("iqn.2026-07.a:east")).unwrap().iqn,
        "iqn.2026-07.a:east"
    );
}

#[test]
fn only_events_that_tell_can_be_recorded() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let uuid = store.find("A00001L9").unwrap().uuid;
    let loaded = Event::MediumLoaded { cartridge: uuid, drive: Place::drive(0) };
    store.record(&loaded, "iscsi iqn.x").unwrap();
    let refused = store.record(&Event::MoveCommitted { id: 1 }, "x").unwrap_err();
    assert!(matches!(refused, StoreError::NotInformational("move_committed")));
    let history = store
        .ledger()
        .list(&EntryFilter { cartridge: Some(uuid), ..EntryFilter::default() })
        .unwrap();
    let names: Vec<_> = history.iter().map(|entry| entry.event.name().to_owned()).collect();
    assert_eq!(names, ["creation_intended", "cartridge_created", "medium_loaded"]);
}

#[test]
fn a_query_does_not_wait_for_the_fsync_of_a_move() {
    let faulty = FaultDisk::new(Arc::new(MemoryDisk::new()));
    let store = small_store(Arc::new(faulty.clone()));
    faulty.inject(Fault::once(Call::SyncData, "ledger", Reaction::Hang));
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| store.move_cartridge(&Place::slot(1), &Place::drive(0), "x"));
        while faulty.hanging() == 0 {
            std::thread::yield_now();
        }
        assert_eq!(
            store.find("A00001L9").unwrap().place,
            Place::slot(1),
            "not shown before it is durable"
        );
        assert_eq!(store.cartridges().len(), 3);
        assert!(store.ledger().list(&EntryFilter::default()).is_ok());
        faulty.release();
        mover.join().unwrap().unwrap();
    });
    assert_eq!(store.find("A00001L9").unwrap().place, Place::drive(0));
}

#[test]
fn threads_that_move_at_once_never_meet_in_an_element() {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Store>();
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let elements = [
        Place::slot(1),
        Place::slot(2),
        Place::slot(3),
        Place::slot(4),
        Place::drive(0),
        Place::mail(1),
    ];
    let done: usize = std::thread::scope(|scope| {
        let movers: Vec<_> = (0..4)
            .map(|thread| {
                let (store, elements) = (&store, &elements);
                scope.spawn(move || {
                    let pairs =
                        (0..60).map(|step| (step * (thread + 1) % 6, (step * 5 + thread) % 6));
                    pairs
                        .filter(|(from, to)| {
                            store.move_cartridge(&elements[*from], &elements[*to], "x").is_ok()
                        })
                        .count()
                })
            })
            .collect();
        movers.into_iter().map(|mover| mover.join().unwrap()).sum()
    });
    assert!(done > 10);
    let before = places(&store);
    let mut distinct: Vec<&Place> = before.values().collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!((before.len(), distinct.len()), (3, 3));
    drop(store);
    assert_eq!(places(&open_memory(Arc::new(disk.after_power_cut()))), before);
}
