//! A real file system that gets full: ext4 of 160 MiB, which `tools/small-disk` mounts and gives as `TMPDIR`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

use std::fs::File;
use std::io::Write;
use std::path::Path;

use vtl_tests::{Initiator, Scene, cdb, noise};

const MIB: usize = 1 << 20;

/// Takes space away until so much is left.
fn fill(path: &Path, left_bytes: u64) {
    let free = free_bytes(path.parent().unwrap());
    let taken = free.checked_sub(left_bytes).expect("there is more free than that");
    let file = File::create(path).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, taken).unwrap();
}

/// Takes all space away.
fn fill_up(path: &Path) {
    fill(path, 1 << 20);
    let mut file = File::options().append(true).open(path).unwrap();
    // In pieces of a block, until there is none.
    while file.write_all(&[1; 4096]).and_then(|()| file.sync_data()).is_ok() {}
}

fn free_bytes(directory: &Path) -> u64 {
    let stat = rustix::fs::statvfs(directory).unwrap();
    stat.f_bavail * stat.f_frsize
}

/// Writes blocks of one length until one is refused; how many there are, and whether a warning came first. Each refusal has to say that
/// nothing of the block is on the tape.
fn write_until_refused(session: &mut Initiator, length: usize) -> (u64, bool) {
    let (mut written, mut is_warned) = (0, false);
    loop {
        let done = session.write_block(&noise(written, length));
        match done.sense.map(|sense| sense.code) {
            None => assert!(!is_warned, "block {written}: a warning is not taken back"),
            Some((0, 0, 2)) => {
                assert!(done.check().eom);
                is_warned = true;
            }
            Some(_) => {
                let sense = done.sense(0xd, 0, 2);
                assert!(sense.eom);
                assert_eq!(sense.information, Some(i64::try_from(length).unwrap()));
                assert_eq!(u64::from(session.position()), written, "no block in part");
                return (written, is_warned);
            }
        }
        written += 1;
    }
}

fn read_back(session: &mut Initiator, count: u64, length: usize) {
    session.run(1, &cdb::REWIND).good();
    for seed in 0..count {
        assert!(session.read_block(length).good().data == noise(seed, length), "block {seed}");
    }
}

#[test]
#[ignore = "needs a small file system: tools/small-disk runs it"]
fn a_full_disk_looks_like_a_full_tape_and_is_usable_again() {
    let mut scene = Scene::loaded();
    let filler = scene.beside("filler");
    fill(&filler, 40 << 20);
    let mut session = scene.session("filler");
    let (written, is_warned) = write_until_refused(&mut session, MIB);
    assert!(is_warned, "an early warning comes before the end");
    assert!((20..40).contains(&written), "{written} MiB of 40");
    // The set is closed, as backup programs do it.
    for _ in 0..2 {
        assert!(session.run(1, &cdb::write_filemarks(1)).sense(0, 0, 2).eom);
    }
    read_back(&mut session, written, MIB);
    assert!(session.read_block(1).sense(0, 0, 1).filemark);
    session.logout();
    // The library is there, whatever can still be written down; and nothing is lost without notice.
    scene.daemon().vtl(&["status"]).done();
    scene.daemon().vtl(&["audit", "verify"]).done();
    scene.take_daemon().kill();
    scene.start();
    let mut session = scene.session("reader");
    read_back(&mut session, written, MIB);
    for _ in 0..2 {
        assert!(session.read_block(1).sense(0, 0, 1).filemark);
    }
    session.read_block(1).sense(8, 0, 5);
    // Space comes back, and the tape goes on where it ended.
    std::fs::remove_file(filler).unwrap();
    scene.daemon().vtl(&["unload", "0"]).done();
    scene.daemon().vtl(&["load", "VTL001L9", "0"]).done();
    let mut session = scene.session("again");
    session.run(1, &cdb::SPACE_END_OF_DATA).good();
    assert_eq!(u64::from(session.position()), written + 2);
    session.write_block(&noise(9999, MIB)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    scene.take_daemon().stop();
}

#[test]
#[ignore = "needs a small file system: tools/small-disk runs it"]
fn whatever_is_left_no_acknowledged_block_is_lost() {
    // Space that is left is met at another place of the journal each time: in a record, at a page, at a new segment.
    let lengths = [511, 4096, 65_537, 262_144, 1_000_000];
    for (round, length) in (0..).zip(lengths) {
        let mut scene = Scene::loaded();
        let filler = scene.beside("filler");
        fill(&filler, (12 << 20) + round * 4096 * 37);
        let mut session = scene.session("filler");
        // Small blocks fill a disk slowly: long ones go first, then the last part with the length that is tried.
        let mut first = 0;
        while session.write_block(&noise(first, MIB)).status == 0 {
            first += 1;
        }
        let synced = session.run(1, &cdb::write_filemarks(1));
        assert!(synced.status == 0 || synced.sense(0, 0, 2).eom);
        let position = session.position();
        let mut more = 0;
        for seed in 0..2000 {
            let done = session.write_block(&noise(seed, length));
            if done.sense.is_some_and(|sense| sense.code.0 == 0xd) {
                break;
            }
            more += 1;
        }
        let last = session.run(1, &cdb::write_filemarks(0));
        let is_synced = last.status == 0 || last.sense.is_some_and(|sense| sense.code.0 == 0);
        scene.take_daemon().kill();
        drop(session);
        scene.start();
        let mut session = scene.session("reader");
        session.run(1, &cdb::REWIND).good();
        let blocks = position - 1;
        for seed in 0..u64::from(blocks) {
            assert!(session.read_block(MIB).good().data == noise(seed, MIB), "{length}: {seed}");
        }
        assert!(session.read_block(1).sense(0, 0, 1).filemark);
        if is_synced {
            for seed in 0..more {
                assert!(
                    session.read_block(length).good().data == noise(seed, length),
                    "{length}: block {seed} of {more}"
                );
            }
            session.read_block(1).sense(8, 0, 5);
        }
        session.logout();
        scene.take_daemon().stop();
    }
}

#[test]
#[ignore = "needs a small file system: tools/small-disk runs it"]
fn a_disk_without_any_space_refuses_and_does_not_break() {
    let mut scene = Scene::loaded();
    let before = scene.daemon().vtl(&["inventory", "--format", "json"]).done().stdout;
    let filler = scene.beside("filler");
    fill_up(&filler);
    // Not even the ledger has room for long: orders are done whole, or refused with their reason.
    let mut refused = 0;
    for number in 0..200 {
        let (from, to) = if number % 2 == 0 { ("slot:5", "mail:1") } else { ("mail:1", "slot:5") };
        let ran = scene.daemon().vtl(&["move", from, to]);
        match ran.code {
            Some(0) => {}
            Some(1 | 4) => refused += 1,
            _ => panic!("{ran:?}"),
        }
    }
    scene.daemon().vtl(&["status"]).done();
    assert!(refused > 0, "the disk was not full");
    std::fs::remove_file(filler).unwrap();
    scene.take_daemon().stop();
    scene.start();
    // Wherever it is now, it can be brought back, and everything else is where it was.
    if scene.daemon().vtl(&["inventory", "VTL005L9", "--location", "mail"]).code == Some(0) {
        scene.daemon().vtl(&["tape", "insert", "VTL005L9", "--to", "slot:5"]).done();
    }
    scene.daemon().vtl(&["audit", "verify"]).done();
    scene.daemon().vtl(&["catalog", "check"]).done();
    let after = scene.daemon().vtl(&["inventory", "--format", "json"]).done();
    assert_eq!(places(&after.stdout), places(&before), "{refused} were refused");
    scene.assert_serves();
}

/// Barcodes and where they are.
fn places(inventory: &str) -> Vec<(String, String)> {
    let rows: serde_json::Value = serde_json::from_str(inventory).unwrap();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| (text(row, "barcode"), text(row, "location"))).collect()
}
