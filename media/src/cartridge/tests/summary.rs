//! The summary of closed segments: what it spares, and what it cannot do harm to.

use super::*;
use crate::disk::{Call, Fault, FaultDisk, OpenMode, Reaction, write_all_at};

/// Blocks that fill at least so many segments, with a filemark behind each ten.
fn filled(disk: &MemoryDisk, blocks: u64) {
    let mut cartridge = load(disk);
    cartridge.space_to_end_of_data().unwrap();
    for number in 0..blocks {
        write_block(&mut cartridge, &block(number, 20_000));
        if number % 10 == 9 {
            cartridge.write_filemarks(1).unwrap();
        }
    }
    cartridge.unload().unwrap();
}

fn rows() -> PathBuf {
    directory().join(life::JOURNAL).join("rows")
}

/// How many segments are no longer known to be closed where their seal is spoilt: those are the ones that a load opens.
fn opened(disk: &MemoryDisk) -> usize {
    let numbers = segments(disk);
    let believed = |path: &&PathBuf| {
        let copy = disk.snapshot();
        let file = copy.open(path, OpenMode::ReadWrite).unwrap();
        let end = file.length_bytes().unwrap();
        write_all_at(file.as_ref(), &[0; 4096], end - 4096).unwrap();
        let cartridge = read_only(&copy);
        let number = crate::journal::number_of(path.file_name().unwrap().to_str().unwrap());
        let view = cartridge.view();
        view.row(number.unwrap()).unwrap().last_sequence.is_some()
    };
    numbers.len() - numbers.iter().filter(believed).count()
}

fn read_only(disk: &MemoryDisk) -> Cartridge {
    let options = LoadOptions { read_only: true, ..options() };
    Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap()
}

fn all(disk: &MemoryDisk) -> Vec<Option<Vec<u8>>> {
    read_all(&mut read_only(disk))
}

#[test]
fn only_the_last_segment_is_opened_however_many_there_are() {
    let disk = MemoryDisk::new();
    create(&disk, 1 << 30);
    for _ in 0..2 {
        filled(&disk, 40);
        assert!(segments(&disk).len() > 8);
        assert_eq!(opened(&disk), 1);
    }
}

#[test]
fn without_it_or_with_damage_in_it_the_seals_are_read() {
    let disk = MemoryDisk::new();
    create(&disk, 1 << 30);
    filled(&disk, 40);
    let expected = all(&disk);
    let without = disk.snapshot();
    without.remove(&rows()).unwrap();
    assert!(all(&without) == expected);
    assert_eq!(opened(&without), segments(&without).len());
    // The next load for writing makes it anew.
    load(&without).unload().unwrap();
    assert_eq!(opened(&without), 1);
    let damaged = disk.snapshot();
    flip(&damaged, &rows(), 77, 4);
    assert!(all(&damaged) == expected);
    load(&damaged).unload().unwrap();
    assert_eq!(opened(&damaged), 1);
}

#[test]
fn where_it_cannot_be_put_right_the_cartridge_works_without_it() {
    for call in [Call::Open, Call::Write, Call::SetLength] {
        let memory = MemoryDisk::new();
        create(&memory, 1 << 30);
        filled(&memory, 40);
        let expected = all(&memory);
        flip(&memory, &rows(), 77, 4);
        let disk = FaultDisk::over(memory.clone());
        disk.trace();
        disk.inject(Fault::forever(call, "rows", Reaction::Errno(5)));
        let mut cartridge =
            Cartridge::load(Arc::new(disk.clone()), &directory(), options()).unwrap();
        cartridge.space_to_end_of_data().unwrap();
        write_block(&mut cartridge, &block(40, 20_000));
        cartridge.unload().unwrap();
        assert!(!disk.failed_sites().is_empty(), "{call:?}");
        assert!(all(&memory).starts_with(&expected), "{call:?}");
        load(&memory).unload().unwrap();
        assert_eq!(opened(&memory), 1, "{call:?}");
    }
}

#[test]
fn one_of_another_time_is_harmless() {
    let disk = MemoryDisk::new();
    create(&disk, 1 << 30);
    filled(&disk, 20);
    let early = contents(&disk, &rows());
    let fork = disk.snapshot();
    filled(&disk, 30);
    let replace = |disk: &MemoryDisk, bytes: &[u8]| {
        let file = disk.open(&rows(), OpenMode::ReadWrite).unwrap();
        file.set_length(0).unwrap();
        write_all_at(file.as_ref(), bytes, 0).unwrap();
    };
    let (expected, late) = (all(&disk), contents(&disk, &rows()));
    replace(&disk, &early);
    assert!(all(&disk) == expected);
    // A cartridge that was copied and went another way has segments with the same numbers and another content.
    let mut cartridge = load(&fork);
    cartridge.space_to_end_of_data().unwrap();
    for number in 0..30 {
        write_block(&mut cartridge, &block(1000 + number, 15_000));
    }
    cartridge.unload().unwrap();
    let expected = all(&fork);
    replace(&fork, &late);
    assert!(all(&fork) == expected);
}

#[test]
fn a_segment_that_is_missing_or_shorter_is_damage() {
    let disk = MemoryDisk::new();
    create(&disk, 1 << 30);
    filled(&disk, 40);
    let third = segments(&disk)[2].clone();
    let missing = disk.snapshot();
    missing.remove(&third).unwrap();
    assert_eq!(read_only(&missing).missing_segments, [3]);
    let file = disk.open(&third, OpenMode::ReadWrite).unwrap();
    file.set_length(30_000).unwrap();
    let mut cartridge = read_only(&disk);
    let failed = (0..40).filter(|object| {
        cartridge.locate(ObjectNumber(*object)).is_err() || cartridge.read().is_err()
    });
    assert!(failed.count() > 0);
    let mut verifier = cartridge.verifier(None);
    while verifier.step(1 << 20).unwrap() {}
    let result = verifier.finish();
    assert_eq!(result.damaged_indexes, [3]);
    assert!(result.damaged_objects() > 0);
}

#[test]
fn a_power_cut_at_any_time_leaves_one_that_is_true_or_not_believed() {
    let disk = MemoryDisk::new();
    create(&disk, 1 << 30);
    let mut cartridge = load(&disk);
    let mut expected = Vec::new();
    for number in 0..24 {
        let data = block(number, 20_000);
        write_block(&mut cartridge, &data);
        cartridge.write_filemarks(1).unwrap();
        cartridge.sync().unwrap();
        expected.extend([Some(data), None]);
        for seed in 0..4 {
            let cut = disk.snapshot();
            cut.torn_power_cut(seed * 100 + number);
            assert!(all(&cut) == expected, "block {number}, seed {seed}");
            load(&cut).unload().unwrap();
            assert!(all(&cut) == expected, "block {number}, seed {seed}, loaded");
        }
    }
}
