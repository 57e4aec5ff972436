//! Cartridges whose blocks take less on the disk than they are long.

use proptest::prelude::*;

use super::*;
use crate::label::Origin;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Zeros,
    Random,
    Text,
    Mixed,
}

fn content(nature: Nature, seed: u64, length: usize) -> Vec<u8> {
    let mut data = block(seed, length);
    match nature {
        Nature::Zeros => data.fill(0),
        Nature::Random => {}
        Nature::Text => {
            for byte in &mut data {
                *byte = b"etaoin s"[usize::from(*byte % 8)];
            }
        }
        Nature::Mixed => data.iter_mut().skip(length / 3).step_by(2).for_each(|byte| *byte = 7),
    }
    data
}

fn text(seed: u64, length: usize) -> Vec<u8> {
    content(Nature::Text, seed, length)
}

/// One command.
fn command() -> impl Strategy<Value = (Nature, usize, u32, bool)> {
    let nature =
        prop::sample::select(vec![Nature::Zeros, Nature::Random, Nature::Text, Nature::Mixed]);
    let size = prop_oneof![
        6 => (1_usize..2_000, 1_u32..20),
        4 => (prop::sample::select(vec![1_usize, 383, 384, 385, 896, 897, 65_536, 262_144]), 1_u32..4),
        1 => (1_048_570_usize..=1_048_576, Just(1_u32)),
        1 => (prop::sample::select(vec![1_048_576_usize]), 3_u32..5),
    ];
    (nature, size, prop::bool::weighted(0.8))
        .prop_map(|(nature, (length, count), is_on)| (nature, length, count, is_on))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_come_back_whatever_they_hold(
        commands in prop::collection::vec(command(), 1..25),
        alignment in prop::sample::select(vec![1_usize, 512, 4096]),
        is_framed in any::<bool>(),
    ) {
        let disk = MemoryDisk::new().with_alignment(alignment);
        create(&disk, 1 << 40);
        let mut cartridge = load(&disk);
        let mut expected = Vec::new();
        for (seed, (nature, length, count, is_on)) in (1..).zip(commands) {
            cartridge.set_compression(is_on);
            let blocks: Vec<_> =
                (0..u64::from(count)).map(|n| content(nature, seed * 100 + n, length)).collect();
            let all = blocks.concat();
            let payload = if is_framed { framed(&all) } else { Box::new(all) };
            cartridge.write(payload, u32::try_from(length).unwrap(), count).unwrap();
            expected.extend(blocks.into_iter().map(Some));
        }
        cartridge.rewind().unwrap();
        prop_assert_eq!(&read_all(&mut cartridge), &expected);
        prop_assert!(cartridge.traffic().written_bytes <= cartridge.traffic().laid_out_bytes);
        // After a power cut and after an unload too; and each block by itself, from behind.
        let mut cut = load(&disk.after_power_cut());
        prop_assert_eq!(&read_all(&mut cut), &expected);
        let facts = cartridge.unload().unwrap();
        let mut cartridge = load(&disk);
        prop_assert_eq!(facts.stored_bytes, cartridge.facts().stored_bytes);
        for (number, block) in expected.iter().enumerate().rev().take(40) {
            cartridge.locate(ObjectNumber(number as u64)).unwrap();
            let found = cartridge.read().unwrap();
            prop_assert_eq!(found, ReadOutcome::Block(block.clone().unwrap().into()));
        }
        let mut verifier = cartridge.verifier(None);
        while verifier.step(u64::MAX).unwrap() {}
        prop_assert!(verifier.finish().is_good());
    }
}

/// Twenty blocks of text and of nothing, compressed, with what they take on the disk.
fn written() -> (MemoryDisk, Vec<Option<Vec<u8>>>) {
    let (disk, mut cartridge) = created(1 << 40);
    cartridge.set_compression(true);
    let blocks: Vec<_> =
        (0..20_u64).map(|n| if n % 5 == 4 { vec![0; 9_000] } else { text(n, 9_000) }).collect();
    for block in &blocks {
        assert_eq!(write_block(&mut cartridge, block), WriteOutcome::Written);
    }
    cartridge.unload().unwrap();
    (disk, blocks.into_iter().map(Some).collect())
}

#[test]
fn text_and_zeros_take_less_than_they_are_long() {
    let (disk, blocks) = written();
    let facts = load(&disk).facts();
    assert_eq!(facts.written_bytes, 180_000);
    // 3 bits of 8 for text, and a sector for nothing.
    assert!((40_000..90_000).contains(&facts.stored_bytes), "{facts:?}");
    let mut cartridge = load(&disk);
    assert_eq!(read_all(&mut cartridge), blocks);
    let traffic = cartridge.traffic();
    assert_eq!((traffic.given_bytes, traffic.unpacked_bytes), (180_000, 180_000));
    assert!((40_000..80_000).contains(&traffic.read_bytes), "{traffic:?}");
    // Without compression nothing is made shorter.
    let (_, mut plain) = created(1 << 40);
    write_block(&mut plain, &text(1, 9_000));
    plain.sync().unwrap();
    assert_eq!((plain.traffic().laid_out_bytes, plain.traffic().written_bytes), (9_000, 9_000));
    assert!(plain.facts().stored_bytes > 9_000);
}

#[test]
fn damage_in_a_compressed_payload_costs_its_blocks_and_no_others() {
    let (disk, blocks) = written();
    for path in segments(&disk) {
        let bytes = contents(&disk, &path);
        let records: Vec<_> = (0..bytes.len() / 512)
            .map(|at| at * 512)
            .filter(|at| bytes[*at..].starts_with(b"VTLR\x01\x01\x03"))
            .collect();
        assert!(!records.is_empty());
        for at in records {
            let stored = u32::from_le_bytes(bytes[at + 96..at + 100].try_into().unwrap());
            let object = usize::from(bytes[at + 64]);
            for offset in [0, 1, 4, 5, 9, stored / 2, stored - 1] {
                let place = at as u64 + 512 + u64::from(offset);
                flip(&disk, &path, place, 0x10);
                let mut options = options();
                options.read_only = true;
                let mut cartridge =
                    Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
                for (number, block) in blocks.iter().enumerate() {
                    match cartridge.read() {
                        Ok(found) => {
                            assert_ne!(number, object);
                            assert_eq!(found, ReadOutcome::Block(block.clone().unwrap().into()));
                        }
                        Err(MediumError::Damaged { object: damaged }) => {
                            assert_eq!((damaged.0, number), (object as u64, object));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!(cartridge.read().unwrap(), ReadOutcome::EndOfData);
                let mut verifier = cartridge.verifier(None);
                while verifier.step(u64::MAX).unwrap() {}
                assert_eq!(verifier.finish().damaged, [(object as u64, object as u64)]);
                flip(&disk, &path, place, 0x10);
            }
        }
    }
}

#[test]
fn a_whole_record_of_a_frame_that_lies_is_one_error() {
    // Both checksums of the record hold, as only a faulty or hostile writer can have it: the frame becomes more than the block, or
    // it becomes another block of the same length, which the CRC-64 finds.
    let (disk, blocks) = written();
    let path = segments(&disk).remove(0);
    let bytes = contents(&disk, &path);
    let at = (0..bytes.len())
        .step_by(512)
        .filter(|at| bytes[*at..].starts_with(b"VTLR\x01\x01\x03"))
        .nth(1)
        .unwrap();
    let stored = u32::from_le_bytes(bytes[at + 96..at + 100].try_into().unwrap()) as usize;
    let longer = zstd::bulk::compress(&vec![7; 1 << 20], 1).unwrap();
    let other = zstd::bulk::compress(&[7; 9_000], 1).unwrap();
    for frame in [longer, other] {
        let disk = disk.snapshot();
        let mut record = bytes[at..at + (512 + stored).next_multiple_of(512)].to_vec();
        record[512..].fill(0);
        record[512..512 + frame.len()].copy_from_slice(&frame);
        // The record keeps its length: what is behind the frame is a skippable frame.
        let rest = stored - frame.len() - 8;
        record[512 + frame.len()..512 + frame.len() + 4]
            .copy_from_slice(&0x184d_2a50_u32.to_le_bytes());
        record[516 + frame.len()..520 + frame.len()]
            .copy_from_slice(&u32::try_from(rest).unwrap().to_le_bytes());
        let body = crc32c::crc32c(&record[128..]);
        record[100..104].copy_from_slice(&body.to_le_bytes());
        let header = crc32c::crc32c(&record[..124]);
        record[124..128].copy_from_slice(&header.to_le_bytes());
        let file = disk.open(&path, crate::disk::OpenMode::ReadWrite).unwrap();
        crate::disk::write_all_at(file.as_ref(), &record, at as u64).unwrap();
        let mut cartridge = load(&disk);
        let object = usize::from(bytes[at + 64]);
        for (number, block) in blocks.iter().enumerate() {
            match cartridge.read() {
                Err(MediumError::Damaged { .. }) if number == object => {}
                found => {
                    assert_eq!(found.unwrap(), ReadOutcome::Block(block.clone().unwrap().into()));
                }
            }
        }
    }
}

#[test]
fn what_compression_leaves_of_the_space_can_be_used() {
    // Space is claimed for all of the data and given back: otherwise the disk would be full at half of this.
    let disk = MemoryDisk::with_capacity(8 << 20);
    create(&disk, 1 << 40);
    let mut cartridge = load(&disk);
    cartridge.set_compression(true);
    let write =
        |cartridge: &mut Cartridge, count: u64| write_block(cartridge, &text(count, 20_000));
    let mut count = 0;
    while write(&mut cartridge, count) == WriteOutcome::Written {
        count += 1;
    }
    count += 1;
    assert!(count * 20_000 > 14 << 20, "{count}");
    // There is more room: that is known at once, although it is not needed for long.
    disk.set_capacity(16 << 20);
    write(&mut cartridge, count);
    cartridge.write_filemarks(1).unwrap();
    cartridge.sync().unwrap();
    assert_eq!(write(&mut cartridge, count + 1), WriteOutcome::Written);
    disk.set_capacity(9 << 20);
    count += 2;
    let end = loop {
        match write(&mut cartridge, count) {
            WriteOutcome::Written | WriteOutcome::EarlyWarning => count += 1,
            end @ WriteOutcome::EndOfPartition { .. } => break end,
        }
    };
    assert_eq!(end, WriteOutcome::EndOfPartition { blocks_not_written: 1 });
    cartridge.write_filemarks(1).unwrap();
    cartridge.sync().unwrap();
    cartridge.rewind().unwrap();
    let blocks = read_all(&mut cartridge).into_iter().flatten();
    assert!(blocks.eq((0..count).map(|number| text(number, 20_000))));
}

#[test]
fn the_capacity_counts_what_is_written_and_not_what_it_takes() {
    let (_, mut cartridge) = created(100_000);
    cartridge.set_compression(true);
    let outcomes: Vec<_> = (0..12).map(|_| write_block(&mut cartridge, &[0; 10_000])).collect();
    let full = WriteOutcome::EndOfPartition { blocks_not_written: 1 };
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == full).count(), 2);
}

#[test]
fn a_moment_of_compressed_data_reads_as_it_was() {
    let (disk, blocks) = written();
    let mut cartridge = load(&disk);
    cartridge.set_compression(true);
    let point = cartridge.last_point().unwrap();
    let origin: Option<Origin> = point.and_then(|point| cartridge.origin_at(&point).ok());
    cartridge.locate(ObjectNumber(3)).unwrap();
    write_block(&mut cartridge, &text(99, 5_000));
    cartridge.unload().unwrap();
    assert!(origin.is_some());
    let options = LoadOptions { at: origin, ..options() };
    let mut then = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    assert_eq!(read_all(&mut then), blocks);
    let mut now = blocks[..3].to_vec();
    now.push(Some(text(99, 5_000)));
    assert_eq!(read_all(&mut load(&disk)), now);
}
