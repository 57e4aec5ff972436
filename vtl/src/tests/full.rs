//! The host's disk gets full under a cartridge: hosts are warned, then told of the end, and the tape is none the worse.

use super::*;

/// One disk, and what is written to it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "names carry units")]
struct Case {
    capacity_bytes: u64,
    segment_bytes: u64,
    block_bytes: usize,
}

impl Case {
    fn scene(self) -> Scene {
        let options = LoadOptions { segment_bytes: self.segment_bytes, ..options() };
        Scene::on(MemoryDisk::with_capacity(self.capacity_bytes), options)
    }
}

/// Writes until nothing more fits; the number of blocks that were written.
fn fill(scene: &Scene, case: Case) -> u64 {
    let mut written = 0;
    let mut is_warned = false;
    loop {
        let completion = scene.write(A, &block(written, case.block_bytes));
        match completion.sense {
            // Whoever has been warned is warned each time.
            None => assert!(!is_warned, "{case:?}: no warning at block {written}"),
            Some(sense) if sense == Sense::early_warning() => is_warned = true,
            sense => {
                let length = i64::try_from(case.block_bytes).unwrap();
                assert_eq!(sense, Some(Sense::volume_overflow(length)), "{case:?}, {written}");
                break;
            }
        }
        written += 1;
    }
    assert!(is_warned && written > 0, "{case:?}: {written} blocks and no warning");
    written
}

/// Reads all blocks and two filemarks, from the beginning.
fn expect_all(scene: &Scene, case: Case, blocks: u64) {
    good(&scene.send(A, &REWIND));
    for number in 0..blocks {
        let completion = scene.read(A, case.block_bytes);
        assert!(completion.data_in == block(number, case.block_bytes), "{case:?}, block {number}");
        good(&completion);
    }
    for _ in 0..2 {
        let length = i64::try_from(case.block_bytes).unwrap();
        assert_eq!(sense(&scene.read(A, case.block_bytes)), Sense::filemark_detected(length));
    }
}

/// Fills the disk, closes the tape, and goes on when there is room again.
fn check(case: Case) -> u64 {
    let scene = case.scene();
    let written = fill(&scene, case);
    // Nothing of the block that did not fit was written, and it is the same the next time.
    assert_eq!(scene.position(A).0, written, "{case:?}");
    let again = scene.write(A, &block(written, case.block_bytes));
    assert_eq!(sense(&again).key, SenseKey::VolumeOverflow, "{case:?}");
    for _ in 0..2 {
        let completion = scene.filemarks(A, false, 1);
        assert_eq!(sense(&completion), Sense::early_warning(), "{case:?}");
    }
    assert_eq!(scene.position(A), (written + 2, 0, 0));
    expect_all(&scene, case, written);
    let after = scene.memory.after_power_cut();
    after.set_capacity(case.capacity_bytes + (1 << 20));
    expect_all(&Scene::boot(after, options()), case, written);
    // The tape is still in the drive.
    scene.memory.set_capacity(case.capacity_bytes + (8 << 20) + 8 * case.block_bytes as u64);
    for number in 0..4 {
        good(&scene.write(A, &block(written + number, case.block_bytes)));
    }
    good(&scene.filemarks(A, false, 1));
    assert_eq!(scene.position(A), (written + 7, 0, 0));
    good(&scene.send(A, &[0x11, 1, 0, 0, 0, 0]));
    expect_all(&scene, case, written);
    for number in 0..4 {
        let data = scene.read(A, case.block_bytes).data_in;
        assert!(data == block(written + number, case.block_bytes));
    }
    assert!(scene.tape_alerts().is_empty(), "{case:?}: the tape is good");
    written
}

#[test]
fn a_full_disk_is_the_end_of_the_tape_at_every_fill_level() {
    let block_bytes: usize = 64 << 10;
    let mut most = 0;
    // More than a segment, a block at a time, with the end before, at and behind the end of a block.
    for blocks in 0..20_u64 {
        for delta in [0, 512, 4096, 32 << 10] {
            let capacity_bytes = (8 << 20) + blocks * (block_bytes as u64 + 512) + delta;
            let written = check(Case { capacity_bytes, segment_bytes: 1 << 20, block_bytes });
            assert!(written >= 110 + blocks / 2 && written + 1 >= most, "{written} of {blocks}");
            most = most.max(written);
        }
    }
}

#[test]
fn disks_segments_and_blocks_of_all_sizes_get_full() {
    // Blocks that were longer than the steps in which space is set aside met the end of the disk without a warning.
    for mib in [8, 16, 64] {
        for (segment_bytes, block_bytes) in
            [(64 << 10, 10_000), (1 << 20, 300_000), (4 << 20, 1 << 20), (256 << 20, 4 << 20)]
        {
            check(Case { capacity_bytes: mib << 20, segment_bytes, block_bytes });
        }
    }
}

#[test]
fn the_residue_of_fixed_blocks_counts_blocks() {
    const LENGTH: usize = 10_000;
    const COUNT: u8 = 7;
    for delta in (0..COUNT.into()).map(|n: u64| n * LENGTH as u64) {
        let case =
            Case { capacity_bytes: (8 << 20) + delta, segment_bytes: 1 << 20, block_bytes: LENGTH };
        let scene = case.scene();
        let [_, high, middle, low] = u32::try_from(LENGTH).unwrap().to_be_bytes();
        let list = [0, 0, 0x10, 8, 0, 0, 0, 0, 0, high, middle, low];
        good(&scene.send_with(A, &[0x15, 0x10, 0, 0, 12, 0], &list));
        let mut written = 0;
        let residue = loop {
            let data: Vec<u8> =
                (0..u64::from(COUNT)).flat_map(|n| block(written + n, LENGTH)).collect();
            let completion = scene.send_with(A, &[0x0a, 1, 0, 0, COUNT, 0], &data);
            match completion.sense {
                Some(sense) if sense.key == SenseKey::VolumeOverflow => {
                    assert!(sense.eom && !sense.is_deferred);
                    break sense.information.unwrap();
                }
                None => {}
                sense => assert_eq!(sense, Some(Sense::early_warning())),
            }
            written += u64::from(COUNT);
        };
        assert!((1..=i64::from(COUNT)).contains(&residue), "{residue}");
        written += u64::from(COUNT) - u64::try_from(residue).unwrap();
        assert_eq!(scene.position(A).0, written);
        for _ in 0..2 {
            assert_eq!(sense(&scene.filemarks(A, false, 1)), Sense::early_warning());
        }
        expect_all(&scene, case, written);
    }
}
