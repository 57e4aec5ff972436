//! Blocks that only a key opens.

use proptest::prelude::*;

use super::*;
use crate::cartridge::NextObject;
use crate::seal::{Key, KeyDescription, Opening, Sealing};

fn key(number: u8) -> Key {
    Key::new(&[number; 32]).unwrap()
}

fn sealing(number: u8) -> Sealing {
    let description = KeyDescription {
        format: 2,
        unauthenticated: format!("key {number}").into_bytes(),
        authenticated: vec![number; 12],
        is_raw_read_disabled: number == 2,
    };
    Sealing { key: key(number), description }
}

fn words(seed: u64, length: usize) -> Vec<u8> {
    block(seed, length).iter().map(|byte| b"etaoin s"[usize::from(*byte % 8)]).collect()
}

/// Whether any file of the cartridge has these bytes in it.
fn is_on_disk(disk: &MemoryDisk, bytes: &[u8]) -> bool {
    let label = ["label.a", "label.b"].map(|name| directory().join(name));
    segments(disk)
        .iter()
        .chain(&label)
        .any(|path| contents(disk, path).windows(bytes.len()).any(|window| window == bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_block_opens_with_its_own_key_and_no_other(
        commands in prop::collection::vec(
            (0_u8..3, any::<bool>(), any::<bool>(), prop_oneof![Just(1_usize), 2_usize..2_000, 60_000_usize..70_000], 1_u32..4),
            1..20,
        ),
        alignment in prop::sample::select(vec![1_usize, 512, 4096]),
    ) {
        let disk = MemoryDisk::new().with_alignment(alignment);
        create(&disk, 1 << 40);
        let mut cartridge = load(&disk);
        let mut expected = Vec::new();
        for (seed, (key, is_text, is_compressed, length, count)) in (1..).zip(commands) {
            cartridge.set_sealing((key > 0).then(|| sealing(key)).as_ref()).unwrap();
            cartridge.set_compression(is_compressed);
            let blocks: Vec<_> = (0..u64::from(count))
                .map(|n| if is_text { words(seed * 10 + n, length) } else { block(seed * 10 + n, length) })
                .collect();
            cartridge.write(framed(&blocks.concat()), u32::try_from(length).unwrap(), count).unwrap();
            expected.extend(blocks.into_iter().map(|block| (key, block)));
        }
        cartridge.sync().unwrap();
        for mut cartridge in [load(&disk.after_power_cut()), cartridge] {
            for reader in 0..3_u8 {
                let opening = if reader == 0 { Opening::Disabled } else { Opening::Mixed(key(reader)) };
                cartridge.set_opening(&opening);
                cartridge.rewind().unwrap();
                for (number, (writer, block)) in (0..).zip(&expected) {
                    match cartridge.read() {
                        Ok(found) => {
                            prop_assert!(*writer == 0 || *writer == reader);
                            prop_assert_eq!(found, ReadOutcome::Block(block.clone().into()));
                        }
                        Err(MediumError::NoKey { object }) => {
                            prop_assert!(*writer > 0 && reader == 0);
                            prop_assert_eq!(object, ObjectNumber(number));
                        }
                        Err(MediumError::WrongKey { object }) => {
                            prop_assert!(*writer > 0 && reader > 0 && *writer != reader);
                            prop_assert_eq!(object, ObjectNumber(number));
                        }
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                    let is_open = *writer == 0 || *writer == reader;
                    // What cannot be read is still before the position.
                    prop_assert_eq!(cartridge.position().object.0, number + u64::from(is_open));
                    cartridge.locate(ObjectNumber(number + 1)).unwrap();
                }
                prop_assert_eq!(cartridge.read().unwrap(), ReadOutcome::EndOfData);
            }
            // Nobody needs a key to find out that it is all there.
            let mut verifier = cartridge.verifier(None);
            while verifier.step(u64::MAX).unwrap() {}
            prop_assert!(verifier.finish().is_good());
        }
    }
}

#[test]
fn neither_the_text_nor_the_key_is_on_the_disk() {
    for is_compressed in [false, true] {
        let (disk, mut cartridge) = created(1 << 40);
        cartridge.set_compression(is_compressed);
        let secret = words(1, 600);
        let random = block(2, 5_000);
        write_block(&mut cartridge, &random);
        cartridge.set_sealing(Some(&sealing(1))).unwrap();
        write_block(&mut cartridge, &secret);
        write_block(&mut cartridge, &block(3, 5_000));
        write_block(&mut cartridge, &block(3, 5_000));
        cartridge.sync().unwrap();
        cartridge.unload().unwrap();
        assert!(is_on_disk(&disk, &random[..64]) && is_on_disk(&disk, b"key 1"));
        assert!(!is_on_disk(&disk, &secret[..16]) && !is_on_disk(&disk, &block(3, 64)[..16]));
        assert!(!is_on_disk(&disk, &[1; 32]));
    }
}

#[test]
fn every_load_has_a_salt_of_its_own_and_equal_blocks_differ() {
    let (disk, mut cartridge) = created(1 << 40);
    let envelopes = |disk: &MemoryDisk| -> Vec<Vec<u8>> {
        let bytes: Vec<_> = segments(disk).iter().flat_map(|path| contents(disk, path)).collect();
        bytes
            .chunks(512)
            .zip(bytes.chunks(512).skip(1))
            .filter(|(header, _)| header.starts_with(b"VTLR\x01\x01\x10"))
            .map(|(header, payload)| [&header[144..160], &payload[..64]].concat())
            .collect()
    };
    for _ in 0..3 {
        cartridge.space_to_end_of_data().unwrap();
        cartridge.set_sealing(Some(&sealing(1))).unwrap();
        write_block(&mut cartridge, &block(1, 600));
        write_block(&mut cartridge, &block(1, 600));
        cartridge.unload().unwrap();
        cartridge = load(&disk);
    }
    let found = envelopes(&disk);
    assert_eq!(found.len(), 6);
    for (number, one) in found.iter().enumerate() {
        for (other_number, other) in found.iter().enumerate().skip(number + 1) {
            assert_eq!(one[..16] == other[..16], number / 2 == other_number / 2);
            assert_ne!(one[16..], other[16..]);
        }
    }
}

#[test]
fn only_encrypted_blocks_are_read_where_that_is_asked_for() {
    let (_, mut cartridge) = created(1 << 40);
    write_block(&mut cartridge, &block(1, 100));
    cartridge.set_sealing(Some(&sealing(1))).unwrap();
    write_block(&mut cartridge, &block(2, 100));
    cartridge.write_filemarks(1).unwrap();
    cartridge.rewind().unwrap();
    cartridge.set_opening(&Opening::Decrypt(key(1)));
    assert!(matches!(cartridge.read(), Err(MediumError::NotEncrypted { object }) if object.0 == 0));
    assert_eq!(cartridge.position().object.0, 0);
    // A key that is set later counts from then on, whatever was read or read ahead before.
    cartridge.set_opening(&Opening::Mixed(key(2)));
    assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(1, 100).into()));
    assert!(matches!(cartridge.read(), Err(MediumError::WrongKey { .. })));
    cartridge.set_opening(&Opening::Decrypt(key(1)));
    assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(2, 100).into()));
    cartridge.locate(ObjectNumber(1)).unwrap();
    cartridge.set_opening(&Opening::Disabled);
    assert!(matches!(cartridge.read(), Err(MediumError::NoKey { .. })));
    cartridge.locate(ObjectNumber(2)).unwrap();
    assert_eq!(cartridge.read().unwrap(), ReadOutcome::Filemark);
}

#[test]
fn what_comes_next_is_told_without_the_key() {
    let (_, mut cartridge) = created(1 << 40);
    cartridge.set_compression(true);
    write_block(&mut cartridge, &block(1, 5_000));
    cartridge.set_sealing(Some(&sealing(2))).unwrap();
    write_block(&mut cartridge, &words(1, 5_000));
    cartridge.write_filemarks(1).unwrap();
    cartridge.rewind().unwrap();
    let plain = NextObject::Block { is_compressed: false, seal: None };
    assert_eq!(cartridge.next_object().unwrap(), plain);
    cartridge.locate(ObjectNumber(1)).unwrap();
    for (opening, is_open) in [
        (Opening::Disabled, false),
        (Opening::Decrypt(key(1)), false),
        (Opening::Mixed(key(2)), true),
    ] {
        cartridge.set_opening(&opening);
        let seal = Some((sealing(2).description, is_open));
        assert_eq!(
            cartridge.next_object().unwrap(),
            NextObject::Block { is_compressed: true, seal }
        );
    }
    assert_eq!(cartridge.position().object.0, 1);
    cartridge.locate(ObjectNumber(2)).unwrap();
    assert_eq!(cartridge.next_object().unwrap(), NextObject::Filemark);
    cartridge.space_to_end_of_data().unwrap();
    assert_eq!(cartridge.next_object().unwrap(), NextObject::Unknown);
}

#[test]
fn damage_is_damage_and_not_a_wrong_key() {
    let (disk, mut cartridge) = created(1 << 40);
    cartridge.set_sealing(Some(&sealing(1))).unwrap();
    for seed in 0..3 {
        write_block(&mut cartridge, &block(seed, 1_000));
    }
    cartridge.unload().unwrap();
    let path = segments(&disk).remove(0);
    let bytes = contents(&disk, &path);
    let at = (0..bytes.len())
        .step_by(512)
        .filter(|at| bytes[*at..].starts_with(b"VTLR\x01\x01\x10"))
        .nth(1)
        .unwrap();
    // In the envelope: algorithm, lengths, salt, tag, name; the payload; the padding.
    for offset in [128, 131, 144, 160, 176, 511, 512, 1_511, 1_530] {
        let disk = disk.snapshot();
        flip(&disk, &path, (at + offset) as u64, 1);
        let mut cartridge = load(&disk);
        cartridge.set_opening(&Opening::Mixed(key(1)));
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(0, 1_000).into()));
        let error = cartridge.read().unwrap_err();
        assert!(matches!(error, MediumError::Damaged { object: ObjectNumber(1) }), "{offset}");
        assert_eq!(cartridge.read().unwrap(), ReadOutcome::Block(block(2, 1_000).into()));
        let mut verifier = cartridge.verifier(None);
        while verifier.step(u64::MAX).unwrap() {}
        assert_eq!(verifier.finish().damaged, [(1, 1)], "{offset}");
    }
}

/// An envelope takes a sector more than a short block does without one. Were that not counted beforehand, a disk that is full would be met
/// behind the answer.
#[test]
fn a_full_disk_is_met_before_encrypted_data_is_accepted() {
    for capacity in (900..1100).step_by(41).map(|kib| kib * 1024_u64) {
        let disk = MemoryDisk::with_capacity(capacity);
        create(&disk, 1 << 40);
        let mut cartridge = load(&disk);
        cartridge.set_sealing(Some(&sealing(1))).unwrap();
        let mut accepted = 0;
        while !matches!(write_block(&mut cartridge, &[7]), WriteOutcome::EndOfPartition { .. }) {
            accepted += 1;
        }
        assert!(accepted > 100, "only {accepted} blocks fit into {capacity} bytes");
        cartridge.sync().unwrap();
        assert!(cartridge.take_deferred().is_none());
        assert_eq!(load(&disk.after_power_cut()).facts().block_count, accepted);
    }
}

/// What was to be encrypted lay behind the end of a batch whose memory was too short by the padding of the record: the batch moved to other
/// memory without it, and zeros were encrypted in its place. How long the memory is depends on where the heap gives it.
#[test]
fn what_is_encrypted_is_what_was_written_wherever_the_memory_ends() {
    let mut kept = Vec::new();
    for length in (64_900..69_300).step_by(43) {
        let (_, mut cartridge) = created(1 << 40);
        cartridge.set_sealing(Some(&sealing(1))).unwrap();
        cartridge.set_opening(&Opening::Decrypt(key(1)));
        // This one's memory serves the next one.
        write_block(&mut cartridge, &block(2, 10));
        cartridge.sync().unwrap();
        write_block(&mut cartridge, &block(1, length));
        cartridge.locate(ObjectNumber(1)).unwrap();
        assert_eq!(
            cartridge.read().unwrap(),
            ReadOutcome::Block(block(1, length).into()),
            "{length}"
        );
        kept.push(vec![0_u8; length * 7 % 3_000 + 16]);
    }
    assert!(!kept.is_empty());
}

/// The checksum that is encrypted with the blocks was left out where the space for them had been counted, so a record that just fitted took a
/// sector of what is left free for closing the tape.
#[test]
fn several_blocks_at_a_nearly_full_disk_take_no_more_than_was_counted() {
    for capacity in (900..1100).step_by(3).map(|kib| kib * 1024_u64) {
        let disk = MemoryDisk::with_capacity(capacity);
        create(&disk, 1 << 40);
        let mut cartridge = load(&disk);
        cartridge.set_sealing(Some(&sealing(1))).unwrap();
        let mut accepted = 0;
        loop {
            let free = cartridge.available(0).unwrap();
            match cartridge.write(Box::new(vec![7; 64 * 512]), 512, 64).unwrap() {
                WriteOutcome::EndOfPartition { blocks_not_written } => {
                    let fitting = u64::from(64 - blocks_not_written);
                    accepted += fitting;
                    cartridge.sync().unwrap();
                    let taken = free - cartridge.available(0).unwrap();
                    // The blocks with their header's sector and that of the checksum, and a sync point.
                    assert!(
                        fitting == 0 || free - taken >= 60 * 1024,
                        "{capacity}: {free} {taken}"
                    );
                    break;
                }
                _ => accepted += 64,
            }
        }
        for _ in 0..2 {
            cartridge.write_filemarks(1).unwrap();
        }
        cartridge.sync().unwrap();
        assert!(cartridge.take_deferred().is_none());
        assert_eq!(load(&disk.after_power_cut()).facts().block_count, accepted);
    }
}
