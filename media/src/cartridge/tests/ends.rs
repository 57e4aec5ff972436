//! The ends of things: of the capacity, of the host's disk, of the buffer.

use super::*;
use crate::disk::{Call, Fault, FaultDisk, OpenMode, Reaction};

#[test]
fn a_full_cartridge_takes_two_filemarks_more() {
    let (disk, mut cartridge) = created(1_000_000);
    let data = block(1, 60_000);
    let mut outcomes = Vec::new();
    loop {
        let outcome = write_block(&mut cartridge, &data);
        outcomes.push(outcome);
        if matches!(outcome, WriteOutcome::EndOfPartition { .. }) {
            break;
        }
    }
    // The zone is a tenth of so small a cartridge: 900,000 bytes are reached with the fifteenth block.
    let expected: Vec<_> = std::iter::repeat_n(WriteOutcome::Written, 14)
        .chain([WriteOutcome::EarlyWarning; 2])
        .chain([WriteOutcome::EndOfPartition { blocks_not_written: 1 }])
        .collect();
    assert_eq!(outcomes, expected);
    assert_eq!(cartridge.position().object, ObjectNumber(16));
    let rest = cartridge.write(Box::new(vec![1; 50_000]), 10_000, 5).unwrap();
    assert_eq!(rest, WriteOutcome::EndOfPartition { blocks_not_written: 1 });
    assert!(cartridge.position().is_past_capacity && cartridge.position().is_past_early_warning);
    assert_eq!(cartridge.write_filemarks(1).unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(
        cartridge.write_filemarks(3).unwrap(),
        WriteOutcome::EndOfPartition { blocks_not_written: 2 }
    );
    cartridge.sync().unwrap();
    cartridge.unload().unwrap();
    let mut cartridge = load(&disk);
    let objects = read_all(&mut cartridge);
    assert_eq!(objects.len(), 16 + 4 + 2);
    assert_eq!(objects[15].as_deref(), Some(&data[..]));
    assert_eq!(objects[20..], [None, None]);
    // What is given up makes room again.
    cartridge.locate(ObjectNumber(1)).unwrap();
    assert_eq!(write_block(&mut cartridge, &data), WriteOutcome::Written);
}

#[test]
fn a_full_disk_is_met_before_data_is_accepted() {
    for capacity in (900..1100).step_by(7).map(|kib| kib * 1024_u64) {
        let disk = MemoryDisk::with_capacity(capacity);
        create(&disk, 1 << 40);
        let mut cartridge = load(&disk);
        let mut accepted = 0;
        let mut has_been_warned = false;
        loop {
            match write_block(&mut cartridge, &block(accepted, 30_000)) {
                WriteOutcome::EndOfPartition { blocks_not_written } => {
                    assert_eq!(blocks_not_written, 1);
                    break;
                }
                outcome => has_been_warned |= outcome == WriteOutcome::EarlyWarning,
            }
            accepted += 1;
        }
        assert!(accepted > 10, "only {accepted} blocks fit into {capacity} bytes");
        assert!(has_been_warned, "{capacity}");
        for _ in 0..2 {
            assert_eq!(cartridge.write_filemarks(1).unwrap(), WriteOutcome::EarlyWarning);
        }
        cartridge.sync().unwrap();
        assert!(cartridge.take_deferred().is_none());
        let mut after = load(&disk.after_power_cut());
        assert_eq!(after.facts().filemark_count, 2);
        for n in 0..accepted {
            assert_eq!(after.read().unwrap(), ReadOutcome::Block(block(n, 30_000).into()));
        }
        // Once there is room again, writing goes on.
        disk.set_capacity(capacity + (1 << 20));
        assert!(!matches!(
            write_block(&mut cartridge, &block(1, 30_000)),
            WriteOutcome::EndOfPartition { .. }
        ));
        assert_eq!(cartridge.unload().unwrap().block_count, accepted + 1);
    }
}

#[test]
fn blocks_of_one_command_are_whole_or_not_there() {
    let disk = MemoryDisk::with_capacity(600 * 1024);
    create(&disk, 1 << 40);
    let mut cartridge = load(&disk);
    let mut written = 0;
    let not_written = loop {
        match cartridge.write(Box::new(block(written, 7 * 10_000)), 10_000, 7).unwrap() {
            WriteOutcome::EndOfPartition { blocks_not_written } => {
                break u64::from(blocks_not_written);
            }
            WriteOutcome::Written | WriteOutcome::EarlyWarning => written += 1,
        }
    };
    assert!((1..=7).contains(&not_written));
    cartridge.rewind().unwrap();
    let found = read_all(&mut cartridge);
    assert_eq!(found.len() as u64, written * 7 + 7 - not_written);
    assert_eq!(found.last().unwrap().as_ref().unwrap().len(), 10_000);
}

#[test]
fn little_space_on_the_host_warns_early() {
    let disk = MemoryDisk::with_capacity(4 << 20);
    create(&disk, 1 << 40);
    let options = LoadOptions { reserve_bytes: Some(8 << 20), ..options() };
    let mut cartridge = Cartridge::load(Arc::new(disk), &directory(), options).unwrap();
    assert_eq!(write_block(&mut cartridge, &[1; 100]), WriteOutcome::EarlyWarning);
    assert!(cartridge.position().is_past_early_warning);
}

#[test]
fn a_full_buffer_makes_writers_wait() {
    let memory = MemoryDisk::new();
    create(&memory, 1 << 40);
    let disk = FaultDisk::new(Arc::new(memory));
    let options = LoadOptions { segment_bytes: 16 << 20, ..options() };
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    // The first block has the segment made, so that only writes hang from now on.
    write_block(&mut cartridge, &block(0, 100));
    cartridge.sync().unwrap();
    disk.inject(Fault::forever(Call::Write, ".seg", Reaction::Hang));
    let data = block(1, 100_000);
    assert!(!cartridge.write_would_block(data.len()));
    write_block(&mut cartridge, &data);
    while disk.hanging() == 0 {
        std::thread::yield_now();
    }
    write_block(&mut cartridge, &data);
    assert!(cartridge.write_would_block(data.len()) && !cartridge.write_would_block(1000));
    let position = cartridge.position();
    assert_eq!(
        (position.object.0, position.buffered_objects, position.buffered_bytes),
        (3, 2, 200_000)
    );
    let writer = std::thread::spawn(move || {
        write_block(&mut cartridge, &block(2, 100_000));
        cartridge
    });
    disk.release();
    let mut cartridge = writer.join().unwrap();
    cartridge.rewind().unwrap();
    assert_eq!(read_all(&mut cartridge).len(), 4);
}

#[test]
fn records_do_not_wait_for_ever() {
    let (disk, cartridge) = created(1 << 40);
    drop(cartridge);
    let disk = FaultDisk::new(Arc::new(disk));
    let options = LoadOptions {
        idle_flush: Duration::from_millis(1),
        background_sync: Duration::from_millis(2),
        ..options()
    };
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    write_block(&mut cartridge, &block(1, 100));
    while cartridge.position().buffered_objects > 0 {
        std::thread::yield_now();
    }
    // That was for safety's sake; a sync point is a promise, and still has to be made.
    assert!(cartridge.has_unsynced());
}

#[test]
fn long_segments_are_followed_by_others() {
    let (disk, mut cartridge) = created(1 << 40);
    for n in 0..300 {
        write_block(&mut cartridge, &block(n, 5_000));
        if n % 10 == 9 {
            cartridge.write_filemarks(1).unwrap();
        }
    }
    cartridge.unload().unwrap();
    assert!(segments(&disk).len() > 15, "{}", segments(&disk).len());
    for segment in segments(&disk) {
        let length = disk.open(&segment, OpenMode::Read).unwrap().length_bytes().unwrap();
        assert!(length <= 64 * 1024 + 16 * 1024, "{length}");
    }
    let mut cartridge = load(&disk);
    for mark in (0..30).rev() {
        assert_eq!(cartridge.locate_filemark(mark).unwrap(), SpaceOutcome::Done);
        let object = cartridge.position().object.0;
        assert_eq!(object, mark * 11);
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(mark * 10, 5_000).into()));
    }
}

#[test]
fn framed_payloads_are_the_same_records() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cartridge");
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk::new());
    Cartridge::create(&disk, &path, &spec(1 << 40), Timestamp::UNIX_EPOCH).unwrap();
    let mut cartridge = Cartridge::load(Arc::clone(&disk), &path, options()).unwrap();
    let blocks: Vec<Vec<u8>> = [262_144, 100, 1_048_576, 70_001, 3, 700_001]
        .iter()
        .map(|n| block(*n, usize::try_from(*n).unwrap()))
        .collect();
    for data in &blocks {
        let length = u32::try_from(data.len()).unwrap();
        cartridge.write(framed(data), length, 1).unwrap();
    }
    cartridge.write_filemarks(1).unwrap();
    cartridge.rewind().unwrap();
    let expected: Vec<_> = blocks.into_iter().map(Some).chain([None]).collect();
    assert_eq!(read_all(&mut cartridge), expected);
    cartridge.unload().unwrap();
    let mut cartridge = Cartridge::load(disk, &path, options()).unwrap();
    assert_eq!(read_all(&mut cartridge), expected);
}

#[test]
fn wrong_lengths_are_refused() {
    let (_disk, mut cartridge) = created(1 << 40);
    for (length, block_length, block_count) in [(10, 3, 3), (0, 0, 1), (0, 1, 0), (10, 0, 10)] {
        let refused = cartridge.write(Box::new(vec![0; length]), block_length, block_count);
        assert!(
            matches!(refused, Err(MediumError::WrongLength { .. })),
            "{length} {block_length} {block_count}"
        );
    }
    assert!(cartridge.position().is_at_beginning && !cartridge.has_unsynced());
}

#[test]
fn attributes_are_kept_and_read_only_is_respected() {
    let (disk, mut cartridge) = created(1 << 40);
    let attribute = crate::mam::Attribute {
        format: crate::mam::AttributeFormat::Text,
        value: b"weekly".to_vec(),
    };
    cartridge.change_attributes(0, vec![(0x0803, Some(attribute.clone()))]).unwrap();
    write_block(&mut cartridge, b"data");
    cartridge.unload().unwrap();
    let before = disk.snapshot();
    let options = LoadOptions { read_only: true, ..options() };
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    assert_eq!(cartridge.label().mam.attribute(0x0803), Some(&attribute));
    let refused = cartridge.change_attributes(0, vec![(1, Some(attribute))]);
    assert!(matches!(refused, Err(MediumError::ReadOnly)));
    assert!(matches!(cartridge.write(Box::new(vec![1]), 1, 1), Err(MediumError::ReadOnly)));
    assert!(matches!(cartridge.write_filemarks(1), Err(MediumError::ReadOnly)));
    assert!(matches!(cartridge.erase(), Err(MediumError::ReadOnly)));
    assert_eq!(read_all(&mut cartridge), [Some(b"data".to_vec())]);
    assert!(cartridge.is_read_only());
    cartridge.unload().unwrap();
    for path in segments(&disk)
        .into_iter()
        .chain([directory().join("label.a"), directory().join("label.b")])
    {
        assert_eq!(contents(&disk, &path), contents(&before, &path), "{}", path.display());
    }
}
