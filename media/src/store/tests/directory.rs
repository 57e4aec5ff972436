//! Which directories are opened, and which are left alone.

use super::*;
use crate::disk::{OpenMode, write_all_at};
use crate::whole::read_whole;

fn put(disk: &dyn Disk, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    disk.create_dir(path.parent().unwrap()).unwrap();
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.set_length(0).unwrap();
    write_all_at(&*file, bytes, 0).unwrap();
}

fn open(disk: &MemoryDisk, options: StoreOptions) -> StoreError {
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options).map(drop).unwrap_err()
}

#[test]
fn a_second_opener_is_told_at_once_who_holds_the_directory() {
    let memory: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let temporary = tempfile::tempdir().unwrap();
    let real: Arc<dyn Disk> = Arc::new(RealDisk::new());
    for (disk, path) in [(memory, Path::new("/data")), (real, temporary.path())] {
        let open = || Store::open(Arc::clone(&disk), path, memory_options());
        let holder = open().unwrap();
        let error = open().map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }));
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(holder);
        open().unwrap();
    }
}

#[test]
fn a_newer_or_damaged_marker_is_refused_untouched() {
    for (marker, is_newer) in [
        (&b"vtl data directory 2\nwho knows\n"[..], true),
        (b"vtl data directory 1\nid nonsense\n", false),
        (b"vtl data directory 0\n", false),
        (b"", false),
        (b"\xff\xfe", false),
        (&[b'x'; 5000], false),
    ] {
        let disk = MemoryDisk::new();
        put(&disk, "/data/FORMAT", marker);
        let error = open(&disk, memory_options());
        if is_newer {
            assert!(matches!(error, StoreError::NewerFormat { found: 2, supported: 1 }), "{error}");
        } else {
            assert!(matches!(error, StoreError::MarkerDamaged { .. }), "{error}");
        }
        assert_eq!(disk.list(Path::new("/data")).unwrap(), [Path::new("FORMAT")]);
        assert_eq!(read_whole(&disk, Path::new("/data/FORMAT"), 9999).unwrap(), marker);
    }
}

#[test]
fn a_directory_with_something_else_in_it_never_becomes_a_library() {
    for stranger in ["/data/photo.jpg", "/data/cartridges/x", "/data/ledger/000001.log"] {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/data")).unwrap();
        put(&disk, stranger, b"precious");
        let before = disk.list(Path::new("/data")).unwrap();
        let error = open(&disk, memory_options());
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
        assert_eq!(disk.list(Path::new("/data")).unwrap(), before);
    }
    let disk = MemoryDisk::new();
    put(&disk, "/data/vtl.toml", b"# configuration");
    open_memory(Arc::new(disk));
}

#[test]
fn where_a_library_is_expected_none_is_made() {
    let disk = MemoryDisk::new();
    let options = || StoreOptions { may_create: false, ..memory_options() };
    assert!(matches!(open(&disk, options()), StoreError::NoLibrary { .. }));
    assert!(!disk.exists(Path::new("/data")).unwrap());
    disk.create_dir(Path::new("/data")).unwrap();
    assert!(matches!(open(&disk, options()), StoreError::NoLibrary { .. }));
    assert!(disk.list(Path::new("/data")).unwrap().is_empty());
}

#[test]
fn cartridges_without_their_ledger_are_not_taken_for_a_new_library() {
    let disk = MemoryDisk::new();
    drop(small_store(Arc::new(disk.clone())));
    disk.remove(Path::new("/data/ledger/000001.log")).unwrap();
    assert!(
        matches!(open(&disk, memory_options()), StoreError::Ledger(_)),
        "the head still knows better"
    );
    for name in disk.list(Path::new("/data/ledger")).unwrap() {
        disk.remove(&Path::new("/data/ledger").join(name)).unwrap();
    }
    let marker = read_whole(&disk, Path::new("/data/FORMAT"), 999).unwrap();
    let id = String::from_utf8(marker).unwrap().lines().nth(1).unwrap()[3..].parse().unwrap();
    Ledger::create(&disk, Path::new("/data/ledger"), id).unwrap();
    assert!(matches!(open(&disk, memory_options()), StoreError::LedgerMissing { .. }));
}

#[test]
fn what_the_ledger_does_not_know_is_told_and_left_alone() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    let lost = store.find("A00003L9").unwrap().uuid;
    drop(store);
    let stranger = format!("/data/cartridges/{}", Uuid::from_u128(77));
    put(&disk, &format!("{stranger}/label.a"), b"x");
    put(&disk, "/data/cartridges/notes.txt", b"x");
    let directory = format!("/data/cartridges/{lost}");
    disk.rename(Path::new(&directory), Path::new("/elsewhere")).unwrap();
    let store = open_memory(Arc::new(disk.clone()));
    let expected = [PathBuf::from(&stranger), PathBuf::from("/data/cartridges/notes.txt")];
    assert_eq!(store.report().strays, expected);
    assert!(disk.exists(Path::new(&stranger)).unwrap());
    assert_eq!(store.find("A00003L9").unwrap().state, CartridgeState::Missing);
    assert_eq!(store.find("A00001L9").unwrap().state, CartridgeState::Empty);
}

#[test]
fn nobody_else_may_look_into_a_new_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("data");
    let store = Store::open(Arc::new(RealDisk::new()), &path, StoreOptions::default()).unwrap();
    store.initialize(small_library()).unwrap();
    let uuid = store.find("A00001L9").unwrap().uuid;
    let rooms = ["ledger", "cartridges", "catalogue", "catalogue/sled"].map(|room| path.join(room));
    for directory in rooms.iter().chain([&path, &store.directory_of(uuid)]) {
        let mode = std::fs::metadata(directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", directory.display());
    }
}
