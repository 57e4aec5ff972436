//! Data directories of every format version that was ever used are opened, and everything on them is as it was (G20).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests say what they expect")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use vtl_media::disk::RealDisk;
use vtl_media::{
    Barcode, Cartridge, CartridgeState, Key, KeyDescription, LoadError, LoadOptions, MediumError,
    NewTwin, NextObject, Opening, Origin, Place, ReadOutcome, Sealing, Store, StoreOptions, Volume,
    WantedPoint,
};

/// A copy, so that the original stays as it is: opening takes the lock.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn read(store: &Store, barcode: &str, at: Option<Origin>) -> Vec<Option<Vec<u8>>> {
    let owner = at.map_or_else(|| store.find(barcode).unwrap().uuid, |origin| origin.cartridge);
    let options = LoadOptions { read_only: true, at, ..LoadOptions::default() };
    let mut cartridge = Cartridge::load(store.disk(), &store.directory_of(owner), options).unwrap();
    let mut found = Vec::new();
    loop {
        match cartridge.read().unwrap() {
            ReadOutcome::Block(block) => found.push(Some(block.to_vec())),
            ReadOutcome::Filemark => found.push(None),
            ReadOutcome::EndOfData => return found,
        }
    }
}

/// The store of a copy.
fn open(golden: &str, directory: &Path) -> Store {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden), directory);
    // A version control system keeps no empty directories.
    for cartridge in std::fs::read_dir(directory.join("cartridges")).unwrap() {
        std::fs::create_dir_all(cartridge.unwrap().path().join("journal")).unwrap();
    }
    Store::open(Arc::new(RealDisk::new()), directory, StoreOptions::default()).unwrap()
}

/// Zeros, text, and what does not shrink, as the program that made the directory wrote them.
fn golden_block(number: u32) -> Vec<u8> {
    let length = 5_000 + number * 97 * u32::from(number != 4);
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    match number % 3 {
        0 => (0..length).map(|_| 0).collect(),
        1 => (0..length).map(|_| b'a' + next()[1] % 16).collect(),
        _ => (0..length).map(|_| next()[1]).collect(),
    }
}

#[test]
fn format_1_with_zero_fill_and_zstd() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("2", &temporary.path().join("data"));
    let mut expected: Vec<_> = (0..30).map(|number| Some(golden_block(number))).collect();
    expected.push(None);
    expected.extend((0..3).map(|_| Some(golden_block(4))));
    expected.extend((0..4).map(|_| Some(vec![0; 700])));
    expected.extend([Some(golden_block(4)), None]);
    assert_eq!(read(&store, "GOLD02L9", None), expected);
    let entry = store.find("GOLD02L9").unwrap();
    let mut codecs = [0; 256];
    let journal = store.directory_of(entry.uuid).join("journal");
    for segment in std::fs::read_dir(journal).unwrap() {
        let bytes = std::fs::read(segment.unwrap().path()).unwrap();
        let records = bytes.chunks(512).filter(|record| record.starts_with(b"VTLR\x01\x01"));
        records.for_each(|record| codecs[usize::from(record[6])] += 1);
    }
    assert_eq!(
        (codecs[0], codecs[1], codecs[3]),
        (11, 11, 11),
        "every third block, and the last three"
    );
    let mut verification = store.begin_verification(entry.uuid, None).unwrap();
    while verification.verifier.step(u64::MAX).unwrap() {}
    assert!(verification.verifier.finish().is_good());

    // Without a copy, a twin and a snapshot have the same records.
    let history = store.history(entry.uuid, 10).unwrap();
    let point = WantedPoint::Sequence(history.points[0].sequence);
    let twin = NewTwin { barcode: Barcode::new("TWIN02L9").unwrap(), read_only: false, to: None };
    store.make_twin(entry.uuid, point, twin, "test").unwrap();
    store.create_snapshot("test", &[entry.uuid], &HashMap::new(), "test").unwrap();
    let snapshot = store.snapshot("test").unwrap();
    assert_eq!(read(&store, "GOLD02L9", Some(snapshot.members[0].origin)), expected);
    let until = usize::try_from(history.points[0].objects).unwrap();
    assert!(until > 30);
    assert_eq!(read(&store, "TWIN02L9", None), expected[..until]);
    let directory = store.directory_of(store.find("TWIN02L9").unwrap().uuid);
    let mut twin = Cartridge::load(store.disk(), &directory, LoadOptions::default()).unwrap();
    twin.set_compression(true);
    twin.space_to_end_of_data().unwrap();
    twin.write(Box::new(golden_block(1)), 5_097, 1).unwrap();
    twin.unload().unwrap();
    expected.truncate(until);
    expected.push(Some(golden_block(1)));
    assert_eq!(read(&store, "TWIN02L9", None), expected);
}

#[test]
fn format_1_with_partitions() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("3", &temporary.path().join("data"));
    let entry = store.find("GOLD03L9").unwrap();
    let directory = store.directory_of(entry.uuid);
    let load = || {
        let options = LoadOptions { read_only: true, ..LoadOptions::default() };
        Volume::load(store.disk(), &directory, options).unwrap()
    };
    let all = |mut volume: Volume| {
        let mut found = Vec::new();
        for partition in 0..volume.partition_count() {
            assert!(volume.change_partition(partition).unwrap());
            let mut objects = Vec::new();
            loop {
                match volume.read().unwrap() {
                    ReadOutcome::Block(block) => objects.push(Some(block.to_vec())),
                    ReadOutcome::Filemark => objects.push(None),
                    ReadOutcome::EndOfData => break,
                }
            }
            found.push((volume.partition_bytes(partition), objects));
        }
        found
    };
    let one = |text: &str| vec![Some(text.as_bytes().to_vec())];
    let mut long: Vec<_> = (0..20).map(|number| Some(golden_block(number))).collect();
    long.push(None);
    let two = [(400_000_000, one("the first of two")), (500_000_000, long)];
    assert_eq!(all(load()), two);
    assert_eq!((entry.block_count, entry.filemark_count), (21, 1));
    // Undone and done again, by the times of the recovery points.
    let points = store.history(entry.uuid, 100).unwrap().points;
    let three = points.iter().rfind(|point| point.generation == 1 && point.partition == 0).unwrap();
    store.rewind_in_place(entry.uuid, WantedPoint::Sequence(three.sequence), "test").unwrap();
    let sizes: Vec<_> = all(load()).iter().map(|(bytes, _)| *bytes).collect();
    assert_eq!(sizes, [100_000_000, 200_000_000, 300_000_000]);
    store
        .rewind_in_place(entry.uuid, WantedPoint::Time(points.last().unwrap().time), "test")
        .unwrap();
    assert_eq!(all(load()), two);
}

#[test]
fn format_1() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("1", &temporary.path().join("data"));
    store.ledger().verify().unwrap();
    let place = |barcode: &str| store.find(barcode).unwrap().place;
    assert_eq!(place("GOLD01L9"), Place::mail(1));
    assert_eq!(place("GOLD02L9"), Place::slot(1));
    assert_eq!(place("TWIN01L9"), Place::slot(3));

    let first: Vec<_> =
        (0..40_u8).map(|n| Some(vec![n; 3000])).chain(std::iter::once(None)).collect();
    let mut second = first.clone();
    second.extend((0..4).map(|_| Some(vec![7; 512])));
    second.extend([None, None]);
    let mut third = first[..2].to_vec();
    third.extend([Some(b"overwritten from object 2 on".to_vec()), None]);
    assert_eq!(read(&store, "GOLD01L9", None), second);
    assert_eq!(read(&store, "TWIN01L9", None), first);
    assert_eq!(read(&store, "GOLD02L9", None), []);
    let snapshot = store.snapshot("golden").unwrap();
    assert_eq!(read(&store, "GOLD01L9", Some(snapshot.members[0].origin)), third);

    let entry = store.find("GOLD01L9").unwrap();
    assert_eq!((entry.state, entry.generation), (CartridgeState::Proved, 2));
    let history = store.history(entry.uuid, 100).unwrap();
    let reasons: Vec<_> = history.generations.iter().map(|g| g.reason.as_str()).collect();
    assert_eq!(reasons, ["overwritten", "rewound"]);
    let writer = history.points[0].initiator.as_deref();
    assert_eq!(writer, Some("iqn.2026-11.org.example:golden"));
    let mut verification = store.begin_verification(entry.uuid, None).unwrap();
    while verification.verifier.step(u64::MAX).unwrap() {}
    assert!(verification.verifier.finish().is_good());

    // It can be written on as well.
    let options = LoadOptions::default();
    let mut cartridge =
        Cartridge::load(store.disk(), &store.directory_of(entry.uuid), options).unwrap();
    cartridge.space_to_end_of_data().unwrap();
    cartridge.write(Box::new(b"goes on".to_vec()), 7, 1).unwrap();
    cartridge.unload().unwrap();
    second.push(Some(b"goes on".to_vec()));
    assert_eq!(read(&store, "GOLD01L9", None), second);
}

/// What three of four blocks were encrypted with.
fn golden_sealing() -> Sealing {
    let description = KeyDescription {
        format: 2,
        unauthenticated: b"golden".to_vec(),
        authenticated: vec![4; 12],
        is_raw_read_disabled: false,
    };
    Sealing { key: Key::new(&[0x6b; 32]).unwrap(), description }
}

#[test]
fn format_1_with_encrypted_records() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("4", &temporary.path().join("data"));
    let entry = store.find("GOLD04L9").unwrap();
    let options = LoadOptions { read_only: true, ..LoadOptions::default() };
    let directory = store.directory_of(entry.uuid);
    let mut cartridge = Cartridge::load(store.disk(), &directory, options).unwrap();
    let numbers = || (0..12).chain([4, 4]);
    cartridge.set_opening(&Opening::Mixed(golden_sealing().key));
    for number in numbers() {
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(golden_block(number).into()));
    }
    assert_eq!(cartridge.read().unwrap(), ReadOutcome::Filemark);
    cartridge.rewind().unwrap();
    assert!(matches!(cartridge.read(), Ok(ReadOutcome::Block(_))));
    let seal = Some((golden_sealing().description, true));
    assert_eq!(cartridge.next_object().unwrap(), NextObject::Block { is_compressed: true, seal });
    cartridge.set_opening(&Opening::Disabled);
    assert!(matches!(cartridge.read(), Err(MediumError::NoKey { object }) if object.0 == 1));
    // Without the key it can be proved.
    let mut verification = store.begin_verification(entry.uuid, None).unwrap();
    while verification.verifier.step(u64::MAX).unwrap() {}
    assert!(verification.verifier.finish().is_good());
}

/// What is on each partition.
fn partitions(volume: &mut Volume) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut found = Vec::new();
    for number in 0..volume.partition_count() {
        assert!(volume.change_partition(number).unwrap());
        volume.rewind().unwrap();
        let mut objects = Vec::new();
        loop {
            match volume.read().unwrap() {
                ReadOutcome::Block(block) => objects.push(Some(block.to_vec())),
                ReadOutcome::Filemark => objects.push(None),
                ReadOutcome::EndOfData => break,
            }
        }
        found.push(objects);
    }
    found
}

#[test]
fn a_clone_of_a_divided_cartridge_and_a_snapshot_of_both() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("5", &temporary.path().join("data"));
    let load = |uuid, options| {
        let options = LoadOptions { read_only: true, ..options };
        Volume::load(store.disk(), &store.directory_of(uuid), options).unwrap()
    };
    let mut shared: Vec<Option<Vec<u8>>> = (0..20).map(|n| Some(golden_block(n))).collect();
    shared.push(None);
    let with = |text: &[u8]| {
        let second = [&shared[..], &[Some(text.to_vec()), None]].concat();
        vec![vec![Some(b"the first of two".to_vec())], second]
    };
    let original = store.find("GOLD01L9").unwrap();
    assert_eq!(
        partitions(&mut load(original.uuid, LoadOptions::default())),
        with(b"of the original")
    );
    let clone = store.find("COPY01L9").unwrap();
    assert_eq!(clone.parts.len(), 2);
    // It was formatted since.
    assert_eq!(partitions(&mut load(clone.uuid, LoadOptions::default())), [vec![]]);
    let snapshot = store.snapshot("golden").unwrap();
    for (member, text) in snapshot.members.iter().zip([&b"of the clone"[..], b"of the original"]) {
        let moment = member.moment();
        let options = LoadOptions::default().at_moment(moment.clone());
        assert_eq!(partitions(&mut load(moment.origin.cartridge, options)), with(text));
    }
}

/// The key of its pool is opened with a key file.
const POOL_SECRET: [u8; 32] = [0x5a; 32];

/// Loads it with what keys there are.
fn load(store: &Store) -> Result<Volume, LoadError> {
    let entry = store.find("GOLD06L9").unwrap();
    let options =
        LoadOptions { keys: store.keys().clone(), pool: entry.pool, ..LoadOptions::default() };
    Volume::load(store.disk(), &store.directory_of(entry.uuid), options)
}

#[test]
fn format_1_with_encryption_at_rest() {
    let temporary = tempfile::tempdir().unwrap();
    let store = open("6", &temporary.path().join("data"));
    let entry = store.find("GOLD06L9").unwrap();
    let locked = load(&store).unwrap_err();
    assert!(locked.to_string().contains("golden"), "{locked}");
    // What is on it is proved without a key.
    let mut verification = store.begin_verification(entry.uuid, None).unwrap();
    while verification.verifier.step(u64::MAX).unwrap() {}
    assert!(verification.verifier.finish().is_good());
    store.unlock_pool_key("golden", &POOL_SECRET).unwrap();
    let mut volume = load(&store).unwrap();
    volume.set_opening(&Opening::Mixed(golden_sealing().key));
    let block = |number| Some(golden_block(number));
    let expected: Vec<_> =
        (0..6).map(block).chain([None]).chain((6..20).map(block)).chain([None]).collect();
    assert_eq!(partitions(&mut volume), [expected]);
}
