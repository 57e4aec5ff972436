//! Two libraries of one store, and cartridges that go from one to the other.

use vtl_media::LibraryId;

use super::*;

const SLOTS: u32 = 4;

/// The first library, with a cartridge in its first storage element, and `east`, with one in its own.
fn two_libraries() -> Arc<Library> {
    let store = store(Arc::new(MemoryDisk::new()));
    for (id, barcode) in [("library", "VTL001L9"), ("east", "EST001L9")] {
        let mut new = NewCartridge::new(Barcode::new(barcode).unwrap(), "lto9");
        new.capacity_bytes = Some(1 << 30);
        let spec = LibrarySpec {
            id: LibraryId(id.into()),
            drives: 1,
            storage_elements: SLOTS,
            import_export_elements: 1,
            cartridges: vec![new],
            ..LibrarySpec::default()
        };
        store.initialize(spec).unwrap();
    }
    Library::power_on(Arc::new(store), options()).unwrap()
}

fn east(number: u32) -> Place {
    Place::Storage { library: LibraryId("east".into()), number }
}

#[test]
fn each_library_has_an_arm_of_its_own() {
    let library = two_libraries();
    let arms = library.site.arms(&[&east(1)]);
    assert_eq!(arms.len(), 1);
    let held = arms[0].lock().unwrap();
    // The arm of the other library is busy, with a stuck drive perhaps; this one moves all the same.
    library.move_cartridge(&Place::slot(1), &Place::drive(0), "test").unwrap();
    library.move_cartridge(&Place::drive(0), &Place::slot(2), "test").unwrap();
    let waiting = {
        let library = Arc::clone(&library);
        std::thread::spawn(move || library.move_cartridge(&Place::slot(2), &east(2), "test"))
    };
    assert!(library.store.at(&east(2)).is_none(), "it needs the arm that is held");
    drop(held);
    waiting.join().unwrap().unwrap();
    assert_eq!(library.store.at(&east(2)).unwrap().barcode.as_str(), "VTL001L9");
    library.power_off();
}

#[test]
fn moves_in_both_directions_do_not_wait_for_each_other_for_ever() {
    let library = two_libraries();
    let go = |barcode: &'static str, here: [Place; 2]| {
        let library = Arc::clone(&library);
        std::thread::spawn(move || {
            for to in here.iter().cycle().take(100) {
                let entry = library.store.find(barcode).unwrap();
                library.relocate(&entry, to, "test").unwrap();
            }
        })
    };
    let movers =
        [go("VTL001L9", [east(3), Place::slot(3)]), go("EST001L9", [Place::slot(4), east(4)])];
    for mover in movers {
        mover.join().unwrap();
    }
    assert!(library.store.at(&Place::slot(3)).is_some() && library.store.at(&east(4)).is_some());
    library.power_off();
}

#[test]
fn the_shelf_is_held_first_and_each_arm_once() {
    let library = two_libraries();
    let arms = |places: &[&Place]| library.site.arms(places);
    let one = arms(&[&Place::slot(1), &Place::drive(0)]);
    let both = arms(&[&Place::slot(1), &east(1)]);
    let all = arms(&[&east(1), &Place::Shelf, &Place::slot(2), &Place::slot(1)]);
    assert_eq!((one.len(), both.len(), all.len()), (1, 2, 3));
    // By name: east comes before library, whoever is named first.
    assert!(Arc::ptr_eq(&both[1], &one[0]) && Arc::ptr_eq(&all[2], &one[0]));
    assert!(Arc::ptr_eq(&all[1], &both[0]));
    library.power_off();
}
