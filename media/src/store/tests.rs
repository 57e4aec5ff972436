//! The store as its users meet it.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::disk::{MemoryDisk, RealDisk};

fn memory_options() -> StoreOptions {
    StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() }
}

fn open_memory(disk: &Arc<dyn Disk>) -> Store {
    Store::open(Arc::clone(disk), Path::new("/data"), memory_options()).unwrap()
}

/// Equality that prints the first difference only.
fn assert_same(found: &[CartridgeEntry], expected: &[CartridgeEntry]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn an_empty_directory_becomes_the_default_library_and_stays_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let open = || Store::open(Arc::new(RealDisk::new()), &path, StoreOptions::default()).unwrap();
    let store = open();
    assert!(store.is_new());
    let record = store.initialize(LibrarySpec::default()).unwrap();
    assert_eq!(record.drives.len(), 4);
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
    assert_eq!(store.report().inspected_cartridges, 0, "a closed catalogue knows everything");
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
}

#[test]
fn a_library_on_a_memory_disk_survives_a_power_cut() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let store = open_memory(&disk);
    store.initialize(LibrarySpec::default()).unwrap();
    let before = store.cartridges();
    drop(store);
    memory.power_cut();
    assert_same(&open_memory(&disk).cartridges(), &before);
}
