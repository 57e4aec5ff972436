//! Cartridges that come back from the disk other than they were left.

use super::*;
use crate::disk::{OpenMode, read_exact_at, write_all_at};

/// What is on the tapes of this file: ten blocks, a filemark, ten blocks.
fn objects() -> Vec<Option<Vec<u8>>> {
    let blocks = |from| (from..from + 10).map(|n| Some(block(n, 2_000)));
    blocks(0).chain([None]).chain(blocks(10)).collect()
}

fn written() -> (MemoryDisk, Cartridge) {
    let (disk, mut cartridge) = created(1 << 40);
    for object in objects() {
        match object {
            Some(data) => drop(write_block(&mut cartridge, &data)),
            None => drop(cartridge.write_filemarks(1)),
        }
    }
    cartridge.sync().unwrap();
    (disk, cartridge)
}

/// What a reader gets of one object.
#[derive(Debug, Clone, PartialEq)]
enum Found {
    Object(Option<Vec<u8>>),
    Damaged,
}

impl Found {
    fn is_damaged(&self) -> bool {
        *self == Self::Damaged
    }

    /// Damage is no wrong answer; anything else must be the object.
    fn is_no_lie(&self, expected: Option<&Vec<u8>>) -> bool {
        match self {
            Self::Object(object) => object.as_ref() == expected,
            Self::Damaged => true,
        }
    }
}

/// Reads all objects as far as they go.
fn read_around(cartridge: &mut Cartridge) -> Vec<Found> {
    let mut found = Vec::new();
    loop {
        let before = cartridge.position().object;
        match cartridge.read() {
            Ok(ReadOutcome::Block(data)) => found.push(Found::Object(Some(data.to_vec()))),
            Ok(ReadOutcome::Filemark) => found.push(Found::Object(None)),
            Ok(ReadOutcome::EndOfData) | Err(MediumError::EndOfDataMissing { .. }) => return found,
            Err(MediumError::Damaged { object }) => {
                assert_eq!(object, before);
                assert_eq!(cartridge.position().object.0, before.0 + 1);
                found.push(Found::Damaged);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_flipped_bit_costs_one_record_at_most() {
    let (disk, cartridge) = written();
    cartridge.unload().unwrap();
    let path = segments(&disk).remove(0);
    let length = disk.open(&path, OpenMode::Read).unwrap().length_bytes().unwrap();
    let expected = objects();
    let mut damaged = 0;
    for offset in (0..length).step_by(37) {
        flip(&disk, &path, offset, 1 << (offset % 8));
        let found = read_around(&mut load_read_only(&disk));
        flip(&disk, &path, offset, 1 << (offset % 8));
        assert_eq!(found.len(), expected.len(), "byte {offset}");
        let lost = found.iter().filter(|object| object.is_damaged()).count();
        assert!(lost <= 1, "byte {offset}: {lost}");
        let is_right =
            found.iter().zip(&expected).all(|(found, expected)| found.is_no_lie(expected.as_ref()));
        assert!(is_right, "byte {offset}");
        damaged += lost;
    }
    assert!(damaged > 500, "{damaged}");
}

fn load_read_only(disk: &MemoryDisk) -> Cartridge {
    let options = LoadOptions { read_only: true, ..options() };
    Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap()
}

#[test]
fn damage_below_a_promise_is_damage_in_an_open_segment_too() {
    let (disk, mut cartridge) = written();
    // The next sync point says that the first one held.
    write_block(&mut cartridge, b"more");
    cartridge.sync().unwrap();
    let disk = disk.after_power_cut();
    let path = segments(&disk).remove(0);
    let expected: Vec<_> = objects().into_iter().chain([Some(b"more".to_vec())]).collect();
    // The header of the third block, and the data of the sixth.
    for (offset, object) in [(2 * 2560 + 20, 2), (5 * 2560 + 600, 5)] {
        let disk = disk.snapshot();
        flip(&disk, &path, offset, 0x10);
        let mut cartridge = load(&disk);
        let found = read_around(&mut cartridge);
        assert_eq!(found.iter().position(Found::is_damaged), Some(object));
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(f, e)| f.is_no_lie(e.as_ref())));
        // Everything behind can be reached by motions, and the damage is still known after an orderly unload.
        assert_eq!(cartridge.locate_filemark(1).unwrap(), SpaceOutcome::Done);
        assert_eq!(cartridge.position().object, ObjectNumber(11));
        cartridge.unload().unwrap();
        assert_eq!(read_around(&mut load(&disk)), found);
    }
}

#[test]
fn a_torn_tail_is_kept_aside_and_never_read() {
    let (disk, mut cartridge) = written();
    let data_end = cartridge.facts().journal_bytes;
    write_block(&mut cartridge, &block(77, 5_000));
    write_block(&mut cartridge, &block(78, 5_000));
    // Everything was written and nothing promised; then the power went, and a page in the first block did not make it.
    cartridge.writer.as_ref().unwrap().queue.nudge();
    while cartridge.facts().journal_bytes == data_end {
        std::thread::yield_now();
    }
    let torn = disk.snapshot();
    let path = segments(&torn).remove(0);
    flip(&torn, &path, data_end + 3_000, 0xff);
    assert_eq!(read_all(&mut load_read_only(&torn)), objects());
    let mut cartridge = load(&torn);
    assert_eq!(read_all(&mut cartridge), objects());
    let journal = directory().join(life::JOURNAL);
    let names = torn.list(&journal).unwrap();
    let aside = names
        .iter()
        .find(|name| name.to_string_lossy().contains("torn"))
        .expect("the tail is kept");
    let kept = contents(&torn, &journal.join(aside));
    assert_eq!(kept[512..3_000], block(77, 5_000)[..2_488]);
    write_block(&mut cartridge, b"new");
    cartridge.unload().unwrap();
    let expected: Vec<_> = objects().into_iter().chain([Some(b"new".to_vec())]).collect();
    assert_eq!(read_all(&mut load(&torn.after_power_cut())), expected);
    // Without the damage all of it is whole, and nothing is lost.
    assert_eq!(read_all(&mut load(&disk)).len(), objects().len() + 2);
}

#[test]
fn a_promised_end_that_is_gone_is_no_short_tape() {
    let (disk, cartridge) = written();
    cartridge.unload().unwrap();
    let path = segments(&disk).remove(0);
    disk.open(&path, OpenMode::ReadWrite).unwrap().set_length(5 * 2560).unwrap();
    let mut cartridge = load(&disk);
    for n in 0..5 {
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(n, 2_000).into()));
    }
    assert!(matches!(
        cartridge.read(),
        Err(MediumError::EndOfDataMissing { object: ObjectNumber(5) })
    ));
    assert!(matches!(cartridge.space_to_end_of_data(), Err(MediumError::EndOfDataMissing { .. })));
    assert!(matches!(cartridge.locate(ObjectNumber(9)), Err(MediumError::EndOfDataMissing { .. })));
    // Loading and unloading does not make it good.
    cartridge.unload().unwrap();
    let mut cartridge = load(&disk);
    assert!(matches!(cartridge.locate(ObjectNumber(9)), Err(MediumError::EndOfDataMissing { .. })));
    // Writing over it does: what is behind is given up by that.
    cartridge.locate(ObjectNumber(2)).unwrap();
    write_block(&mut cartridge, b"over");
    cartridge.unload().unwrap();
    let found = read_all(&mut load(&disk));
    assert_eq!(found, [Some(block(0, 2_000)), Some(block(1, 2_000)), Some(b"over".to_vec())]);
}

#[test]
fn a_missing_segment_is_damage() {
    let (disk, mut cartridge) = created(1 << 40);
    (0..40).for_each(|n| {
        assert_eq!(write_block(&mut cartridge, &block(n, 9_000)), WriteOutcome::Written);
    });
    cartridge.unload().unwrap();
    let paths = segments(&disk);
    assert!(paths.len() > 4);
    disk.remove(&paths[1]).unwrap();
    let found = read_around(&mut load(&disk));
    assert_eq!(found.len(), 40);
    let lost: Vec<usize> = (0..40).filter(|n| found[*n].is_damaged()).collect();
    assert!(
        lost.len() >= 6 && lost[0] > 5 && lost.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{lost:?}"
    );
}

#[test]
fn a_record_in_the_place_of_another_is_found() {
    let (disk, mut cartridge) = written();
    let stale = contents(&disk, &segments(&disk)[0]);
    cartridge.locate(ObjectNumber(0)).unwrap();
    (50..60).for_each(|n| {
        assert_eq!(write_block(&mut cartridge, &block(n, 2_000)), WriteOutcome::Written);
    });
    cartridge.unload().unwrap();
    let path = segments(&disk).remove(0);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    let length = file.length_bytes().unwrap();
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    // Find the new generation's fourth block, and put other whole records in its place: its successor (a misdirected
    // write) and a block of the old generation (a stale one).
    let data = block(53, 2_000);
    let at = bytes.windows(2_000).position(|window| window == data).unwrap() - 512;
    let successor = bytes[at + 2560..at + 2 * 2560].to_vec();
    for wrong in [successor, stale[3 * 2560..4 * 2560].to_vec(), vec![0; 2560]] {
        write_all_at(file.as_ref(), &wrong, at as u64).unwrap();
        let found = read_around(&mut load_read_only(&disk));
        let expected: Vec<_> = (50..60)
            .map(|n| if n == 53 { Found::Damaged } else { Found::Object(Some(block(n, 2_000))) })
            .collect();
        assert_eq!(found, expected);
        // Only the data, with the right header before it.
        write_all_at(file.as_ref(), &bytes[at..at + 512], at as u64).unwrap();
        let found = read_around(&mut load_read_only(&disk));
        assert_eq!(found, expected);
        write_all_at(file.as_ref(), &bytes[at..at + 2560], at as u64).unwrap();
    }
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let (disk, cartridge) = written();
    drop(cartridge);
    let path = segments(&disk).remove(0);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    let mut header = [0; 128];
    read_exact_at(file.as_ref(), &mut header, 2560).unwrap();
    header[4] = 2;
    let crc = crc32c::crc32c(&header[..124]).to_le_bytes();
    header[124..].copy_from_slice(&crc);
    write_all_at(file.as_ref(), &header, 2560).unwrap();
    let before = disk.snapshot();
    let refused = Cartridge::load(Arc::new(disk.clone()), &directory(), options());
    assert!(matches!(refused, Err(LoadError::NewerFormat { found: 2, supported: 1 })));
    for path in segments(&disk)
        .into_iter()
        .chain([directory().join("label.a"), directory().join("label.b")])
    {
        assert_eq!(contents(&disk, &path), contents(&before, &path));
    }
}

#[test]
fn an_unclean_cartridge_is_inspected_by_its_journal() {
    let (disk, cartridge) = written();
    let facts = cartridge.facts();
    let shared: Arc<dyn Disk> = Arc::new(disk.after_power_cut());
    let found = Cartridge::inspect(&shared, &directory()).unwrap();
    assert_eq!((found.block_count, found.filemark_count, found.written_bytes), (20, 1, 40_000));
    assert_eq!(found.last_written, facts.last_written);
}
