//! What destroying a key proves, and what it is refused for.

use std::collections::HashMap;
use std::path::Path;

use super::keys::{SECRET, TEXT, encrypted, holds, open, read_tape, uuid_of, wrapped, write};
use super::*;
use crate::at_rest::Protection;
use crate::cartridge::WantedPoint;
use crate::store::{ErasureError, NewTwin, UndoError};

/// A snapshot that was made while a key was being destroyed was acknowledged, and there was nothing in it.
#[test]
fn there_is_no_snapshot_of_what_was_destroyed() {
    let store = encrypted(&MemoryDisk::new());
    write(&store, "A00001L9", &[TEXT]);
    let uuid = uuid_of(&store, "A00001L9");
    store.destroy_key(uuid, "test").unwrap();
    let refused = store.create_snapshot("s", &[uuid], &HashMap::new(), "test").unwrap_err();
    assert!(matches!(refused, UndoError::Load { .. }), "{refused}");
    assert!(store.snapshots().is_empty());
}

/// A partition that was given up before there was a key is kept as it is: the certificate said that everything had been encrypted.
#[test]
fn what_is_in_the_clear_in_a_partition_that_was_given_up_counts() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    let uuid = uuid_of(&store, "A00002L9");
    let mut volume = open(&store, "A00002L9", false).unwrap();
    volume.format(&[1 << 30, 1 << 30]).unwrap();
    assert!(volume.change_partition(1).unwrap());
    volume.write(Box::new(TEXT.as_bytes().to_vec()), 41, 1).unwrap();
    volume.format(&[1 << 30]).unwrap();
    volume.unload().unwrap();
    store.assign_pool(&[uuid], Some("mail"), "test").unwrap();
    let mut volume = open(&store, "A00002L9", false).unwrap();
    volume.write(Box::new(b"new".to_vec()), 3, 1).unwrap();
    volume.unload().unwrap();
    store.prune(uuid, jiff::Timestamp::MAX, "test").unwrap();
    assert_eq!(holds(&disk, &TEXT.as_bytes()[..16]).len(), 1, "it is there");
    let refused = store.check_erasure(uuid).unwrap_err();
    assert!(matches!(refused, ErasureError::InTheClear { segments: 1.., .. }), "{refused}");
}

/// As long as the wrapped key is in another file, it is not destroyed: the second attempt once said that it was.
#[test]
fn a_wrapped_key_that_is_elsewhere_is_left_where_it_is() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    write(&store, "A00001L9", &[TEXT]);
    let uuid = uuid_of(&store, "A00001L9");
    let copy = Path::new("/data/label.a.bak");
    crate::whole::replace_whole(&disk, copy, wrapped(&store, "A00001L9").as_bytes()).unwrap();
    for _ in 0..2 {
        let refused = store.destroy_key(uuid, "test").unwrap_err();
        assert!(matches!(refused, ErasureError::Elsewhere { .. }), "{refused}");
        assert_eq!(read_tape(&store, "A00001L9"), [TEXT]);
    }
    disk.remove(copy).unwrap();
    assert!(store.destroy_key(uuid, "test").unwrap().searched_files > 0);
}

/// A certificate said that nothing had been written on a cartridge whose blocks were all in its second partition.
#[test]
fn a_block_of_each_partition_is_tried() {
    let store = encrypted(&MemoryDisk::new());
    let uuid = uuid_of(&store, "A00001L9");
    let mut volume = open(&store, "A00001L9", false).unwrap();
    volume.format(&[1 << 30, 1 << 30, 1 << 30]).unwrap();
    for partition in [1, 2] {
        assert!(volume.change_partition(partition).unwrap());
        volume.write_filemarks(u32::from(partition)).unwrap();
        volume.write(Box::new(TEXT.as_bytes().to_vec()), 41, 1).unwrap();
    }
    let facts = volume.unload().unwrap();
    store.update_facts(uuid, &facts).unwrap();
    let done = store.destroy_key(uuid, "test").unwrap();
    assert_eq!((done.tried, done.block_count), (vec![(1, 1), (2, 2)], 2));
}

/// What a twin was made from is not its own, and need not open: its own blocks are looked for behind it.
#[test]
fn a_twin_is_destroyed_while_the_key_of_its_origin_is_locked() {
    let store = encrypted(&MemoryDisk::new());
    write(&store, "A00001L9", &["one", "two"]);
    let origin = uuid_of(&store, "A00001L9");
    let point = WantedPoint::Sequence(store.history(origin, 9).unwrap().points[0].sequence);
    let new = NewTwin { barcode: Barcode::new("TWIN01L9").unwrap(), read_only: false, to: None };
    store.make_twin(origin, point, new, "test").unwrap();
    let twin = uuid_of(&store, "TWIN01L9");
    store.assign_pool(&[twin], Some("other"), "test").unwrap();
    let other = (Protection::KeyFile { path: "/elsewhere/other".into() }, &[0xa5; 32][..]);
    store.create_pool_key("other", other, "test").unwrap();
    write(&store, "TWIN01L9", &[TEXT]);
    assert_eq!(read_tape(&store, "TWIN01L9"), ["one", "two", TEXT]);
    let again = NewTwin { barcode: Barcode::new("TWIN02L9").unwrap(), read_only: false, to: None };
    store.make_twin(origin, point, again, "test").unwrap();
    let over = uuid_of(&store, "TWIN02L9");
    store.assign_pool(&[over], Some("other"), "test").unwrap();
    let mut volume = open(&store, "TWIN02L9", false).unwrap();
    volume.write(Box::new(vec![1]), 1, 1).unwrap();
    let facts = volume.unload().unwrap();
    store.update_facts(over, &facts).unwrap();
    store.lock_pool_key("mail").unwrap();
    assert_eq!(store.destroy_key(twin, "test").unwrap().tried, [(0, 3)]);
    assert_eq!(store.destroy_key(over, "test").unwrap().tried, [(0, 0)], "it was overwritten");
    store.unlock_pool_key("mail", SECRET).unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), ["one", "two"]);
}
