//! Encryption at rest: what lies on the disk, who can read it, and what destroying a key leaves.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::at_rest::{AtRestError, Protection};
use crate::cartridge::{LoadError, LoadOptions, MediumError, ReadOutcome, Volume, WantedPoint};
use crate::journal::Header;
use crate::seal::{Key, KeyDescription, Opening, Sealing};
use crate::store::{ErasureError, KeysError, NewTwin, UndoError};
use crate::whole::read_whole;

pub(super) const SECRET: &[u8] = &[0x5a; 32];
pub(super) const TEXT: &str = "the text that nobody may find on the disk";

pub(super) fn locked_with() -> (Protection, &'static [u8]) {
    (Protection::KeyFile { path: "/elsewhere/key".into() }, SECRET)
}

/// A store with A00001L9 in pool mail, which has a key.
pub(super) fn encrypted(disk: &MemoryDisk) -> Store {
    let store = small_store(Arc::new(disk.clone()));
    let uuid = uuid_of(&store, "A00001L9");
    store.assign_pool(&[uuid], Some("mail"), "test").unwrap();
    store.create_pool_key("mail", locked_with(), "test").unwrap();
    store
}

pub(super) fn uuid_of(store: &Store, barcode: &str) -> Uuid {
    store.find(barcode).unwrap().uuid
}

pub(super) fn open(store: &Store, barcode: &str, read_only: bool) -> Result<Volume, UndoError> {
    store.open_cartridge(&store.find(barcode).unwrap(), read_only)
}

pub(super) fn write(store: &Store, barcode: &str, texts: &[&str]) {
    let mut volume = open(store, barcode, false).unwrap();
    volume.space_to_end_of_data().unwrap();
    for text in texts {
        volume
            .write(Box::new(text.as_bytes().to_vec()), u32::try_from(text.len()).unwrap(), 1)
            .unwrap();
    }
    volume.write_filemarks(1).unwrap();
    let facts = volume.unload().unwrap();
    store.update_facts(uuid_of(store, barcode), &facts).unwrap();
}

pub(super) fn read(mut volume: Volume) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        match volume.read().unwrap() {
            ReadOutcome::Block(block) => found.push(String::from_utf8(block.to_vec()).unwrap()),
            ReadOutcome::Filemark => {}
            ReadOutcome::EndOfData => return found,
        }
    }
}

pub(super) fn read_tape(store: &Store, barcode: &str) -> Vec<String> {
    read(open(store, barcode, true).unwrap())
}

/// All files of a disk below a directory, but of segments only the beginning: behind what these tests write is room that was set aside.
fn files(disk: &dyn Disk, directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for name in disk.list(directory).unwrap() {
        let path = directory.join(name);
        if disk.list(&path).is_ok() {
            found.extend(files(disk, &path));
            continue;
        }
        let file = disk.open(&path, crate::disk::OpenMode::Read).unwrap();
        let length = file.length_bytes().unwrap().min(256 * 1024);
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        crate::disk::read_exact_at(&*file, &mut bytes, 0).unwrap();
        found.push((path, bytes));
    }
    found
}

pub(super) fn holds(disk: &MemoryDisk, text: &[u8]) -> Vec<PathBuf> {
    let has = |bytes: &[u8]| {
        let text = std::str::from_utf8(text).unwrap();
        String::from_utf8_lossy(bytes).contains(text)
    };
    let files = files(disk, Path::new("/data"));
    files.into_iter().filter(|(_, bytes)| has(bytes)).map(|(path, _)| path).collect()
}

pub(super) fn wrapped(store: &Store, barcode: &str) -> String {
    let label = Label::read(&*store.disk(), &store.directory_of(uuid_of(store, barcode))).unwrap();
    label.at_rest.unwrap().text().to_owned()
}

#[test]
fn a_pool_with_a_key_is_encrypted_and_read_as_before() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    assert_eq!(store.find("A00001L9").unwrap().pool_key, None, "it has not been loaded yet");
    write(&store, "A00001L9", &[TEXT, "more"]);
    write(&store, "A00002L9", &["in the clear"]);
    let key = store.pool_key("mail").unwrap();
    assert_eq!(store.find("A00001L9").unwrap().pool_key, Some(key.id));
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT, "more"]);
    assert_eq!(holds(&disk, &TEXT.as_bytes()[..16]), Vec::<PathBuf>::new());
    assert_eq!(holds(&disk, b"in the clear").len(), 1);
    drop(store);
    disk.power_cut();
    let store = open_memory(Arc::new(disk.clone()));
    // Without the key it is verified, and not read or written.
    let mut verifier = open(&store, "A00001L9", true).unwrap().verifier(None);
    while verifier.step(u64::MAX).unwrap() {}
    assert!(verifier.finish().is_good());
    let mut volume = open(&store, "A00001L9", true).unwrap();
    assert!(matches!(volume.closed(), Some(AtRestError::Locked(pool)) if pool == "mail"));
    assert!(matches!(volume.read(), Err(MediumError::AtRest(AtRestError::Locked(_)))));
    let refused = open(&store, "A00001L9", false).unwrap_err();
    assert!(refused.to_string().contains("vtl key list"), "{refused}");
    assert!(matches!(refused, UndoError::Load { source: LoadError::AtRest(_), .. }));
    assert!(matches!(store.unlock_pool_key("mail", &[1; 32]), Err(KeysError::Key(_))));
    assert!(matches!(store.unlock_pool_key("hr", SECRET), Err(KeysError::NoKey(_))));
    store.unlock_pool_key("mail", SECRET).unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT, "more"]);
    write(&store, "A00001L9", &["again"]);
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT, "more", "again"]);
    // Whoever opens it without the keys of pools writes nothing in the clear.
    let bare = Volume::load(
        store.disk(),
        &store.directory_of(uuid_of(&store, "A00001L9")),
        LoadOptions::default(),
    );
    assert!(matches!(bare, Err(LoadError::AtRest(AtRestError::Unknown(id))) if id == key.id));
}

/// A pool is encrypted because the ledger says so: a key that is lost, or taken away, must not lead to cartridges in the clear.
#[test]
fn a_lost_key_file_keeps_new_cartridges_from_being_written_in_the_clear() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    drop(store);
    disk.remove(Path::new("/data/keys.json")).unwrap();
    let store = open_memory(Arc::new(disk.clone()));
    let refused = store.unlock_pool_key("mail", SECRET).unwrap_err();
    assert!(refused.to_string().contains("put the file back from a copy"), "{refused}");
    assert!(open(&store, "A00001L9", false).is_err());
    assert!(matches!(
        store.create_pool_key("mail", locked_with(), "test"),
        Err(KeysError::Exists(_))
    ));
    disk.remove(Path::new("/data/keys.json")).unwrap_err();
    let file = disk.open(Path::new("/data/keys.json"), crate::disk::OpenMode::Create).unwrap();
    for (bytes, says) in
        [(&b"{"[..], "it is damaged"), (br#"{"version":2,"keys":[]}"#, "version 2")]
    {
        file.set_length(0).unwrap();
        crate::disk::write_all_at(&*file, bytes, 0).unwrap();
        let refused = store.pool_key("mail").unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

#[test]
fn a_key_can_be_locked_with_something_else_and_goes_when_nobody_needs_it() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    write(&store, "A00001L9", &[TEXT]);
    let few = Protection::Passphrase { iterations: 2 };
    store.change_pool_key("mail", (few.clone(), b"a long passphrase"), "test").unwrap();
    store.lock_pool_key("mail").unwrap();
    assert!(matches!(
        store.change_pool_key("mail", locked_with(), "test"),
        Err(KeysError::Closed(_))
    ));
    assert!(store.unlock_pool_key("mail", SECRET).is_err());
    store.unlock_pool_key("mail", b"a long passphrase").unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT]);
    let refused = store.remove_pool_key("mail", "test").unwrap_err();
    assert!(
        refused.to_string().contains("1 cartridges") && refused.to_string().contains("A00001L9")
    );
    store.create_pool_key("hr", (few, b"another passphrase"), "test").unwrap();
    store.remove_pool_key("hr", "test").unwrap();
    assert!(matches!(store.pool_key("hr"), Err(KeysError::NoKey(_))));
    drop(store);
    let store = open_memory(Arc::new(disk));
    assert_eq!(store.encrypted_pools().keys().collect::<Vec<_>>(), ["mail"]);
    let filter = EntryFilter::default();
    let names = store.ledger().list(&filter).unwrap();
    let count = |name: &str| names.iter().filter(|entry| entry.event.name() == name).count();
    assert_eq!((count("pool_key_set"), count("pool_key_removed")), (3, 1));
}

#[test]
fn a_hosts_key_lies_over_it_and_both_are_needed() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    let host = Key::new(&[1; 32]).unwrap();
    let sealing = Sealing { key: host.clone(), description: KeyDescription::default() };
    let mut volume = open(&store, "A00001L9", false).unwrap();
    volume.write(Box::new(TEXT.as_bytes().to_vec()), 41, 1).unwrap();
    volume.set_sealing(Some(&sealing)).unwrap();
    volume.write(Box::new(b"sealed by a host".to_vec()), 16, 1).unwrap();
    volume.sync().unwrap();
    volume.rewind().unwrap();
    volume.set_opening(&Opening::Decrypt(host.clone()));
    assert!(matches!(volume.read(), Err(MediumError::NotEncrypted { .. })), "to a host it is not");
    volume.set_opening(&Opening::Mixed(Key::new(&[2; 32]).unwrap()));
    assert!(matches!(volume.read(), Ok(ReadOutcome::Block(_))));
    assert!(matches!(volume.read(), Err(MediumError::WrongKey { .. })));
    volume.set_opening(&Opening::Disabled);
    assert!(matches!(volume.read(), Err(MediumError::NoKey { .. })));
    volume.set_opening(&Opening::Mixed(host.clone()));
    assert_eq!(volume.read().unwrap(), ReadOutcome::Block(b"sealed by a host".to_vec().into()));
    volume.unload().unwrap();
    store.lock_pool_key("mail").unwrap();
    let mut volume = open(&store, "A00001L9", true).unwrap();
    volume.set_opening(&Opening::Mixed(host));
    volume.space_blocks(1).unwrap();
    assert!(matches!(volume.read(), Err(MediumError::AtRest(AtRestError::Locked(_)))));
}

#[test]
fn twins_snapshots_partitions_and_points_in_time_are_encrypted_too() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    let uuid = uuid_of(&store, "A00001L9");
    write(&store, "A00001L9", &["one"]);
    let point = WantedPoint::Sequence(store.history(uuid, 9).unwrap().points[0].sequence);
    write(&store, "A00001L9", &["two"]);
    let all = HashMap::new();
    let member = store.create_snapshot("then", &[uuid], &all, "test").unwrap().members[0].clone();
    let new = NewTwin { barcode: Barcode::new("TWIN01L9").unwrap(), read_only: false, to: None };
    store.make_twin(uuid, point, new, "test").unwrap();
    write(&store, "TWIN01L9", &[TEXT]);
    assert_eq!(read_tape(&store, "TWIN01L9"), ["one", TEXT]);
    assert_ne!(wrapped(&store, "TWIN01L9"), wrapped(&store, "A00001L9"));
    store.rewind_in_place(uuid, point, "test").unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), ["one"]);
    let seen = store.read_cartridge(uuid, Some(member.origin.into())).unwrap();
    assert_eq!(read(seen), ["one", "two"]);
    let mut volume = open(&store, "TWIN01L9", false).unwrap();
    volume.format(&[1 << 30, 1 << 30]).unwrap();
    assert!(volume.change_partition(1).unwrap());
    volume.write(Box::new(TEXT.as_bytes().to_vec()), 41, 1).unwrap();
    volume.unload().unwrap();
    let mut volume = open(&store, "TWIN01L9", true).unwrap();
    assert!(volume.change_partition(1).unwrap());
    assert_eq!(volume.read().unwrap(), ReadOutcome::Block(TEXT.as_bytes().to_vec().into()));
    assert_eq!(volume.plain_segment_count(), 0);
    assert_eq!(holds(&disk, &TEXT.as_bytes()[..16]), Vec::<PathBuf>::new());
    store.lock_pool_key("mail").unwrap();
    let mut volume = open(&store, "TWIN01L9", true).unwrap();
    assert!(volume.change_partition(1).unwrap());
    assert!(matches!(volume.read(), Err(MediumError::AtRest(_))));
}

/// Records that were changed by somebody who can compute checksums do not open, and are damage.
#[test]
fn what_was_tampered_with_is_damaged() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    write(&store, "A00001L9", &[TEXT, "next"]);
    let segment = store.directory_of(uuid_of(&store, "A00001L9")).join("journal/000001.seg");
    let mut bytes = read_whole(&disk, &segment, u64::MAX).unwrap();
    let mut header = Header::decode(&bytes).unwrap();
    bytes[520] ^= 1;
    let length = usize::try_from(header.record_bytes()).unwrap();
    header.body_crc = crc32c::crc32c(&bytes[128..length]);
    let stored = usize::try_from(header.stored_length).unwrap();
    header.data_crc = header.data_checksum(&bytes[512..512 + stored]);
    bytes[..128].copy_from_slice(&header.encode());
    let file = disk.open(&segment, crate::disk::OpenMode::ReadWrite).unwrap();
    crate::disk::write_all_at(&*file, &bytes[..length], 0).unwrap();
    let mut volume = open(&store, "A00001L9", true).unwrap();
    assert!(matches!(volume.read(), Err(MediumError::Damaged { .. })));
    assert_eq!(volume.read().unwrap(), ReadOutcome::Block(b"next".to_vec().into()));
}

#[test]
fn destroying_a_key_is_refused_where_it_would_not_mean_anything() {
    let disk = MemoryDisk::new();
    let store = encrypted(&disk);
    let refused = |barcode: &str| store.check_erasure(uuid_of(&store, barcode)).unwrap_err();
    assert!(matches!(refused("A00002L9"), ErasureError::NotEncrypted(_)));
    write(&store, "A00002L9", &["in the clear"]);
    store.assign_pool(&[uuid_of(&store, "A00002L9")], Some("mail"), "test").unwrap();
    write(&store, "A00002L9", &["encrypted"]);
    assert_eq!(read_tape(&store, "A00002L9"), ["in the clear", "encrypted"]);
    assert!(matches!(refused("A00002L9"), ErasureError::InTheClear { segments: 1, .. }));
    // Once that is overwritten and pruned, there is nothing to be refused.
    let mut volume = open(&store, "A00002L9", false).unwrap();
    volume.write(Box::new(b"new".to_vec()), 3, 1).unwrap();
    volume.unload().unwrap();
    store.prune(uuid_of(&store, "A00002L9"), jiff::Timestamp::MAX, "test").unwrap();
    store.check_erasure(uuid_of(&store, "A00002L9")).unwrap();
    write(&store, "A00001L9", &[TEXT]);
    let uuid = uuid_of(&store, "A00001L9");
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    store.create_snapshot("s", &[uuid], &HashMap::new(), "test").unwrap();
    assert!(matches!(refused("A00001L9"), ErasureError::Delete(DeleteError::Needed { .. })));
    store.delete_snapshot("s", "test").unwrap();
    store.change_retention(uuid, &RetentionChange::Hold("trial".into()), None, "test").unwrap();
    assert!(matches!(refused("A00001L9"), ErasureError::Delete(DeleteError::Locked { .. })));
    store.change_retention(uuid, &RetentionChange::Lift, None, "test").unwrap();
    store.change_retention(uuid, &RetentionChange::LockUntil(until), None, "test").unwrap();
    let locked = store.destroy_key(uuid, "test").unwrap_err();
    assert!(matches!(locked, ErasureError::Delete(DeleteError::Locked { .. })), "{locked}");
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT]);
    let slot = store.find("A00002L9").unwrap().place;
    store.move_cartridge(&slot, &Place::drive(0), "test").unwrap();
    assert!(matches!(refused("A00002L9"), ErasureError::Undo(UndoError::InDrive { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// S17: over loads, overwriting, going back, twins and power cuts, no two records are encrypted with one key and one nonce. The salt is all
    /// of the key that differs between loads, and the sequence is the nonce.
    #[test]
    fn no_nonce_is_used_twice(steps in prop::collection::vec(0_u8..6, 8..20)) {
        let disk = MemoryDisk::new();
        let mut kept = Some(encrypted(&disk));
        let (mut tapes, mut seen) = (vec!["A00001L9".to_owned()], HashMap::new());
        for (number, step) in steps.into_iter().enumerate() {
            let store = kept.as_ref().unwrap();
            let barcode = tapes[number % tapes.len()].clone();
            let uuid = uuid_of(store, &barcode);
            let points = store.history(uuid, 9).unwrap().points;
            match (step, points.first()) {
                (0..=2, _) | (_, None) => write(store, &barcode, &[&format!("block {number}"), "same"]),
                (3, Some(point)) => {
                    store.rewind_in_place(uuid, WantedPoint::Sequence(point.sequence), "test").unwrap();
                }
                (4, Some(point)) => {
                    let name = format!("TWIN{number:02}L9");
                    let new = NewTwin { barcode: Barcode::new(&name).unwrap(), read_only: false, to: Some(Place::Shelf) };
                    store.make_twin(uuid, WantedPoint::Sequence(point.sequence), new, "test").unwrap();
                    tapes.push(name);
                }
                (_, Some(_)) => {
                    // Written, and not synced: what a cut takes away is written again with the same numbers.
                    let mut volume = open(store, &barcode, false).unwrap();
                    volume.write(Box::new(b"cut off".to_vec()), 7, 1).unwrap();
                    gather(&disk, &mut seen)?;
                    drop(volume);
                    gather(&disk, &mut seen)?;
                    drop(kept.take());
                    disk.torn_power_cut(number as u64);
                    let store = open_memory(Arc::new(disk.clone()));
                    store.unlock_pool_key("mail", SECRET).unwrap();
                    kept = Some(store);
                }
            }
            gather(&disk, &mut seen)?;
        }
        let salts: HashSet<_> = seen.keys().map(|(salt, _)| *salt).collect();
        prop_assert!(!salts.is_empty());
    }
}

/// Salt and sequence of each encrypted record, and what was encrypted with them, which must be one thing.
type Seen = HashMap<([u8; 16], u64), Vec<u8>>;

fn gather(disk: &MemoryDisk, seen: &mut Seen) -> Result<(), TestCaseError> {
    for (path, bytes) in files(disk, Path::new("/data/cartridges")) {
        if path.extension().is_none_or(|extension| extension != "seg") {
            continue;
        }
        let mut at = 0;
        while at + 512 <= bytes.len() {
            match Header::decode(&bytes[at..]) {
                Ok(header) if header.codec.inside_seal().is_some() => {
                    let salt = bytes[at + 144..at + 160].try_into().unwrap();
                    let stored = usize::try_from(header.stored_length).unwrap();
                    let sealed = bytes[at + 512..].get(..stored).unwrap_or_default().to_vec();
                    if sealed.len() == stored {
                        let before = seen.insert((salt, header.sequence), sealed.clone());
                        prop_assert!(before.is_none_or(|before| before == sealed));
                    }
                    at += 512;
                }
                _ => at += 512,
            }
        }
    }
    Ok(())
}

/// With the first load for writing the key is in both copies of the label, whatever becomes of that load.
#[test]
fn one_copy_of_the_label_is_enough_to_read_what_was_written_first() {
    for lost in ["label.a", "label.b"] {
        let disk = MemoryDisk::new();
        let store = encrypted(&disk);
        let mut volume = open(&store, "A00001L9", false).unwrap();
        volume.write(Box::new(TEXT.as_bytes().to_vec()), 41, 1).unwrap();
        volume.write_filemarks(1).unwrap();
        volume.sync().unwrap();
        let after = disk.after_power_cut();
        drop((volume, store));
        let store = open_memory(Arc::new(after.clone()));
        store.unlock_pool_key("mail", SECRET).unwrap();
        let path = store.directory_of(uuid_of(&store, "A00001L9")).join(lost);
        let file = after.open(&path, crate::disk::OpenMode::ReadWrite).unwrap();
        crate::disk::write_all_at(&*file, &[0xff; 64], 0).unwrap();
        assert_eq!(read_tape(&store, "A00001L9"), [TEXT], "{lost}");
    }
}

/// After each start of the program a pool with a passphrase is locked: no hold could be put on its cartridges then, though anybody could delete them.
#[test]
fn what_is_closed_can_be_held_and_locked() {
    let store = encrypted(&MemoryDisk::new());
    write(&store, "A00001L9", &[TEXT]);
    let uuid = uuid_of(&store, "A00001L9");
    store.lock_pool_key("mail").unwrap();
    let change = |change| store.change_retention(uuid, &change, None, "test").map(drop);
    change(RetentionChange::Hold("trial".into())).unwrap();
    let refused = store.delete_cartridge(uuid, "test").unwrap_err();
    assert!(matches!(refused, DeleteError::Locked { .. }), "{refused}");
    store.unlock_pool_key("mail", SECRET).unwrap();
    let mut volume = open(&store, "A00001L9", false).unwrap();
    let refused = volume.write(Box::new(vec![1]), 1, 1).unwrap_err();
    assert!(matches!(refused, MediumError::Locked { .. }), "{refused}");
    volume.unload().unwrap();
    store.lock_pool_key("mail").unwrap();
    change(RetentionChange::Lift).unwrap();
    store.unlock_pool_key("mail", SECRET).unwrap();
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT]);
    assert_eq!(open(&store, "A00001L9", true).unwrap().retention().hold, None);
    store.delete_cartridge(uuid, "test").unwrap();
}

/// A pool whose key is in use keeps it unlocked.
#[test]
fn a_key_that_cannot_be_removed_is_as_it_was() {
    let store = encrypted(&MemoryDisk::new());
    write(&store, "A00001L9", &[TEXT]);
    let refused = store.remove_pool_key("mail", "test").unwrap_err();
    assert!(matches!(refused, KeysError::InUse { count: 1, .. }), "{refused}");
    assert_eq!(read_tape(&store, "A00001L9"), [TEXT]);
}
