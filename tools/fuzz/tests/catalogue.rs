//! The catalogue's database with damage: it is an index, so it may be given up, and must never be believed or bring the program down.

use std::path::Path;
use std::sync::Arc;

use bolero::check;
use vtl_fuzz::disk_damage::{Damage, damage, files_below};
use vtl_fuzz::scene;
use vtl_media::disk::{Disk, RealDisk};
use vtl_media::{Store, StoreOptions};

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn open(directory: &Path) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new());
    Store::open(disk, directory, StoreOptions::default()).unwrap()
}

#[test]
fn damaged_catalogue() {
    // sled panics at some damage; that is caught, and so it is not counted. What is checked is that the store opens and is whole.
    let seed = tempfile::tempdir().unwrap();
    let store = open(seed.path());
    store.initialize(scene::spec()).unwrap();
    let barcodes: Vec<_> = store.cartridges().into_iter().map(|entry| entry.barcode).collect();
    store.close().unwrap();
    check!().with_type::<Vec<Damage>>().for_each(|damages| {
        let directory = tempfile::tempdir().unwrap();
        copy(seed.path(), directory.path());
        let disk = RealDisk::new();
        for one in damages.iter().take(6) {
            damage(&disk, &files_below(&disk, &directory.path().join("catalogue")), one);
        }
        let store = open(directory.path());
        let found: Vec<_> = store.cartridges().into_iter().map(|entry| entry.barcode).collect();
        assert_eq!(found, barcodes);
        assert_eq!(store.check_catalogue().unwrap(), []);
        store.close().unwrap();
    });
    vtl_fuzz::check();
}
