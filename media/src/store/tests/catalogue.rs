//! The catalogue lost, damaged, rolled back: the inventory stays the same.

use std::fs;

use super::*;

struct Bench {
    _temporary: tempfile::TempDir,
    path: PathBuf,
}

impl Bench {
    /// A closed library in which things have happened.
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        let bench = Self { _temporary: temporary, path };
        let store = bench.open();
        store.initialize(LibrarySpec::default()).unwrap();
        store.move_cartridge(&Place::slot(1), &Place::mail(1), "x").unwrap();
        store.exchange(&Place::slot(2), &Place::slot(3), &Place::slot(2), "x").unwrap();
        store.delete_cartridge(store.find("VTL005L9").unwrap().uuid, "x").unwrap();
        write_facts(&store, "VTL007L9", 777);
        store.close().unwrap();
        bench
    }

    fn open(&self) -> Store {
        Store::open(Arc::new(RealDisk::new()), &self.path, StoreOptions::default()).unwrap()
    }

    fn database(&self) -> PathBuf {
        self.path.join("catalogue/sled/db")
    }

    fn damaged_directories(&self) -> usize {
        let names = fs::read_dir(&self.path).unwrap();
        names
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().contains(".damaged-")
            })
            .count()
    }

    /// Damages a copy of everything, and expects the same inventory and a catalogue that is right again.
    fn check(&self, expected: &[CartridgeEntry], what: &str) {
        let store = self.open();
        for (found, expected) in store.cartridges().iter().zip(expected) {
            assert_eq!(found, expected, "{what}");
        }
        assert_eq!(store.cartridges().len(), expected.len(), "{what}");
        assert_eq!(store.check_catalogue().unwrap(), vec![], "{what}");
        store.close().unwrap();
    }
}

#[test]
fn a_lost_or_scrambled_catalogue_loses_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let expected = store.cartridges();
    assert_eq!(store.find("VTL007L9").unwrap().written_bytes, 777);
    assert_eq!(store.report().inspected_cartridges, 0);
    store.close().unwrap();

    fs::remove_dir_all(bench.path.join("catalogue")).unwrap();
    bench.check(&expected, "removed");
    assert_eq!(bench.damaged_directories(), 0);

    let length = fs::metadata(bench.database()).unwrap().len();
    let mut seed: u64 = 1;
    for round in 0..24 {
        let mut bytes = fs::read(bench.database()).unwrap();
        // A linear congruential generator: the same damage in every run.
        let mut random = || {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap()
        };
        if round % 3 == 0 {
            let start = random() % bytes.len();
            bytes.truncate(start);
        } else {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            let (start, count) = (random() % used, if round % 3 == 1 { 4096 } else { 64 });
            let end = bytes.len().min(start + count);
            bytes[start..end]
                .iter_mut()
                .for_each(|byte| *byte = u8::try_from(random() % 256).unwrap());
        }
        fs::write(bench.database(), bytes).unwrap();
        bench.check(&expected, &format!("round {round} of {length} bytes"));
    }
    assert!(bench.damaged_directories() > 0, "some of the damage was found when it was opened");
}

#[test]
fn an_older_database_under_a_newer_tripwire_is_found() {
    let bench = Bench::new();
    let old = fs::read(bench.database()).unwrap();
    let store = bench.open();
    write_facts(&store, "VTL008L9", 888);
    store.move_cartridge(&Place::slot(10), &Place::slot(24), "x").unwrap();
    let expected = store.cartridges();
    store.close().unwrap();
    fs::write(bench.database(), old).unwrap();
    for entry in fs::read_dir(bench.path.join("catalogue/sled")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("snap.") {
            fs::remove_file(path).unwrap();
        }
    }
    let store = bench.open();
    assert!(store.report().is_catalogue_rebuilt);
    assert_eq!(bench.damaged_directories(), 1);
    assert_same(&store.cartridges(), &expected);
}

#[test]
fn without_its_tripwire_a_database_is_not_believed() {
    let bench = Bench::new();
    for name in ["tripwire.a", "tripwire.b"] {
        fs::remove_file(bench.path.join("catalogue").join(name)).unwrap();
    }
    let store = bench.open();
    assert!(store.report().is_catalogue_rebuilt);
    assert_eq!(store.find("VTL007L9").unwrap().written_bytes, 777);
    assert_eq!(bench.damaged_directories(), 1);
}

#[test]
fn after_a_kill_only_cartridges_in_drives_are_looked_into() {
    let bench = Bench::new();
    let store = bench.open();
    store.move_cartridge(&Place::slot(9), &Place::drive(0), "x").unwrap();
    // The drive writes, and the program dies before it can tell.
    let directory = store.directory_of(store.at(&Place::drive(0)).unwrap().uuid);
    let mut label = Label::read(&*store.disk(), &directory).unwrap();
    label.facts.written_bytes = 999;
    label.write(&*store.disk(), &directory).unwrap();
    drop(store);
    let store = bench.open();
    assert_eq!(store.report().inspected_cartridges, 1);
    assert_eq!(store.at(&Place::drive(0)).unwrap().written_bytes, 999);
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
}

#[test]
fn what_was_in_a_drive_after_the_catalogues_last_change_is_looked_into() {
    let bench = Bench::new();
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk::new()), &bench.path, options).unwrap();
    store.move_cartridge(&Place::slot(9), &Place::drive(0), "x").unwrap();
    write_facts(&store, "VTL009L9", 999);
    store.move_cartridge(&Place::drive(0), &Place::slot(9), "x").unwrap();
    drop(store);
    let store = bench.open();
    assert!(!store.report().is_catalogue_rebuilt);
    assert_eq!(store.report().inspected_cartridges, 1);
    assert_eq!(store.find("VTL009L9").unwrap().written_bytes, 999);
}

#[test]
fn a_catalogue_behind_the_ledger_catches_up() {
    let bench = Bench::new();
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    let store = Store::open(Arc::new(RealDisk::new()), &bench.path, options).unwrap();
    store.move_cartridge(&Place::slot(10), &Place::slot(24), "x").unwrap();
    store.delete_cartridge(store.find("VTL011L9").unwrap().uuid, "x").unwrap();
    store.create_cartridges(vec![new_cartridge("NEW001L9")], "x").unwrap();
    let expected = store.cartridges();
    drop(store);
    let store = bench.open();
    assert_same(&store.cartridges(), &expected);
    assert!(!store.report().is_catalogue_rebuilt);
    assert_eq!(store.report().inspected_cartridges, 1, "the new one");
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
}

#[test]
fn a_catalogue_that_fails_is_given_up_and_fails_nothing_else() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data");
    let faulty = FaultDisk::new(Arc::new(RealDisk::new()));
    let open = || Store::open(Arc::new(faulty.clone()), &path, StoreOptions::default()).unwrap();
    let store = open();
    store.initialize(small_library()).unwrap();
    faulty.inject(Fault::once(Call::SyncData, "sled/db", Reaction::Errno(EIO)));
    write_facts(&store, "A00002L9", 5);
    assert!(matches!(store.check_catalogue(), Err(StoreError::NoCatalogue)));
    store.move_cartridge(&Place::slot(1), &Place::drive(0), "x").unwrap();
    let expected = store.cartridges();
    drop(store);
    let store = open();
    assert!(store.report().is_catalogue_rebuilt);
    assert_same(&store.cartridges(), &expected);

    faulty.inject(Fault::once(Call::SyncData, "sled/db", Reaction::Errno(EIO)));
    write_facts(&store, "A00003L9", 6);
    store.rebuild_catalogue().unwrap();
    assert_eq!(
        store.check_catalogue().unwrap(),
        vec![],
        "a failed catalogue can be made anew while running"
    );
}

#[test]
fn a_check_names_what_differs_and_a_rebuild_corrects_it() {
    let bench = Bench::new();
    let store = bench.open();
    let entry = store.find("VTL009L9").unwrap();
    let directory = store.directory_of(entry.uuid);
    let mut label = Label::read(&*store.disk(), &directory).unwrap();
    label.facts.written_bytes = 4;
    label.facts.block_count = 1;
    label.write(&*store.disk(), &directory).unwrap();
    let fields = |found: &[crate::catalogue::Difference]| -> Vec<(String, String)> {
        found
            .iter()
            .map(|difference| (difference.barcode.clone(), difference.field.clone()))
            .collect()
    };
    let expected = ["block_count", "state", "written_bytes"]
        .map(|field| ("VTL009L9".to_owned(), field.to_owned()));
    let mut found = fields(&store.check_catalogue().unwrap());
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(store.rebuild_catalogue().unwrap().len(), 3);
    assert_eq!(store.find("VTL009L9").unwrap().written_bytes, 4);
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
}

#[test]
fn two_thousand_cartridges_are_the_same_after_a_rebuild() {
    // In memory where there is such a file system: eight syncs for each cartridge are not what is tested here.
    let shared_memory = Path::new("/dev/shm");
    let temporary = if shared_memory.is_dir() {
        tempfile::tempdir_in(shared_memory)
    } else {
        tempfile::tempdir()
    }
    .unwrap();
    let path = temporary.path().join("data");
    let open = || Store::open(Arc::new(RealDisk::new()), &path, StoreOptions::default()).unwrap();
    let store = open();
    let cartridges = (0..2000).map(|number| new_cartridge(&format!("M{number:05}L9"))).collect();
    store
        .initialize(LibrarySpec { storage_elements: 1500, cartridges, ..LibrarySpec::default() })
        .unwrap();
    write_facts(&store, "M01999L9", 12);
    store.move_cartridge(&Place::slot(700), &Place::drive(3), "x").unwrap();
    let expected = store.cartridges();
    store.close().unwrap();
    let store = open();
    assert_eq!(store.report().inspected_cartridges, 1);
    assert_same(&store.cartridges(), &expected);
    drop(store);
    fs::remove_dir_all(path.join("catalogue")).unwrap();
    let store = open();
    assert_eq!(store.report().inspected_cartridges, 2000);
    assert_same(&store.cartridges(), &expected);
    assert_eq!(store.check_catalogue().unwrap(), vec![]);
}
