//! Reading everything back finds whatever was planted, and names it.

use super::*;

/// Several segments, an overwritten generation, and a tar archive in the second tape file.
fn written() -> MemoryDisk {
    let (disk, mut cartridge) = created(1 << 40);
    for n in 0..3 {
        write_block(&mut cartridge, &block(n, 3000));
    }
    cartridge.sync().unwrap();
    cartridge.rewind().unwrap();
    write_block(&mut cartridge, &block(77, 500));
    cartridge.write_filemarks(1).unwrap();
    for chunk in archive().chunks(4096) {
        write_block(&mut cartridge, chunk);
    }
    cartridge.write_filemarks(1).unwrap();
    cartridge.unload().unwrap();
    let mut cartridge = load(&disk);
    cartridge.space_to_end_of_data().unwrap();
    write_block(&mut cartridge, &block(9, 900));
    cartridge.unload().unwrap();
    disk
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, length) in [("etc/passwd", 700), ("var/big", 30_000), ("var/small", 10)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_cksum();
        let data = block(length, usize::try_from(length).unwrap());
        builder.append_data(&mut header, name, &data[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn verify(disk: &MemoryDisk) -> Verified {
    let options = LoadOptions { read_only: true, ..options() };
    let cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    let run = |step_bytes| {
        let mut verifier = cartridge.verifier(None);
        while verifier.step(step_bytes).unwrap() {}
        verifier.finish()
    };
    let verified = run(u64::MAX);
    // Reading ahead of the check must not change what is found: record by record there is nothing ahead.
    assert_eq!(run(1), verified);
    verified
}

#[test]
fn a_whole_cartridge_is_good() {
    let verified = verify(&written());
    assert!(verified.is_good() && verified.is_direct, "{verified:?}");
    assert!(verified.records > 15 && verified.bytes > 40_000);
    // Also one that was not closed, and one with a write that was repeated.
    let (disk, mut cartridge) = created(1 << 40);
    write_block(&mut cartridge, &block(1, 3000));
    cartridge.sync().unwrap();
    let verified = verify(&disk);
    assert!(verified.is_good(), "{verified:?}");
}

#[test]
fn damage_at_any_byte_of_a_segment_is_found() {
    let disk = written();
    let mut found = 0;
    for path in segments(&disk) {
        let bytes = contents(&disk, &path);
        let headers: Vec<usize> = (0..bytes.len())
            .step_by(512)
            .filter(|at| bytes[*at..].starts_with(b"VTLR"))
            .flat_map(|at| at..at + 128)
            .collect();
        for at in headers.into_iter().chain((0..bytes.len()).step_by(97)) {
            flip(&disk, &path, at as u64, 1 << (at % 8));
            let verified = verify(&disk);
            assert!(!verified.is_good(), "{} byte {at}: {verified:?}", path.display());
            flip(&disk, &path, at as u64, 1 << (at % 8));
            found += 1;
        }
    }
    assert!(found > 3000, "{found}");
    assert!(verify(&disk).is_good());
}

#[test]
fn damaged_labels_lost_segments_and_lost_writes_are_found() {
    let disk = written();
    let label = directory().join("label.a");
    flip(&disk, &label, 100, 1);
    assert!(verify(&disk).is_label_damaged);
    flip(&disk, &label, 100, 1);

    for path in segments(&disk) {
        let lost = disk.snapshot();
        lost.remove(&path).unwrap();
        let verified = verify(&lost);
        assert!(!verified.is_good(), "{verified:?}");
        // A write that the disk said it had done, and had not: zeros where a page should be.
        let lost = disk.snapshot();
        let file = lost.open(&path, crate::disk::OpenMode::ReadWrite).unwrap();
        crate::disk::write_all_at(file.as_ref(), &[0; 4096], 0).unwrap();
        assert!(!verify(&lost).is_good());
    }
}

#[test]
fn live_damage_is_named_by_object_and_file() {
    let disk = written();
    let path = &segments(&disk)[0];
    let bytes = contents(&disk, path);
    // In the middle of the long file: object 2 is the first block of the archive.
    let needle = &archive()[3 * 4096 + 100..3 * 4096 + 140];
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    flip(&disk, path, at as u64, 4);
    let verified = verify(&disk);
    assert_eq!(verified.damaged, [(5, 5)]);
    assert_eq!((verified.damaged_objects(), verified.damaged_records), (1, 1));
    let mut cartridge = load(&disk);
    assert_eq!(cartridge.file_of(ObjectNumber(5)).as_deref(), Some("var/big"));
    assert_eq!(cartridge.file_of(ObjectNumber(0)), None);
}

#[test]
fn a_verification_can_be_taken_up_where_it_was() {
    let disk = written();
    let path = &segments(&disk)[0];
    flip(&disk, path, 700, 1);
    let whole = verify(&disk);
    assert!(!whole.is_good());
    let options = LoadOptions { read_only: true, ..options() };
    let cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options).unwrap();
    let mut checkpoint = None;
    let mut steps = 0;
    let resumed = loop {
        // Each step by a verifier of its own, as if the program had been started again.
        let mut verifier = cartridge.verifier(checkpoint.take());
        let mut goes_on = verifier.step(1).unwrap();
        while goes_on && verifier.checkpoint().is_none() {
            goes_on = verifier.step(1).unwrap();
        }
        steps += 1;
        if !goes_on {
            break verifier.finish();
        }
        let text = serde_json::to_string(&verifier.checkpoint().unwrap()).unwrap();
        checkpoint = Some(serde_json::from_str(&text).unwrap());
    };
    assert_eq!(resumed, whole);
    assert!(steps > 2, "{steps}");
    // One for another state of the cartridge is not used.
    let mut verifier = cartridge.verifier(None);
    while verifier.step(1).unwrap() && verifier.checkpoint().is_none() {}
    let old = verifier.checkpoint();
    load(&disk).unload().unwrap();
    assert_eq!(load(&disk).verifier(old).so_far().bytes, 0);
}
