//! A cartridge whose disk does not answer: nobody else may notice, and nothing may wait for it without end.
//!
//! The cartridge lies on a file system in user space whose process is stopped. That takes root, `/dev/fuse` and fuse2fs, so
//! `tools/stuck-disk` runs these, and says so where it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod slow_disk;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use vtl_tests::{Scene, cdb, noise, poll};

use crate::slow_disk::SlowDisk;

/// What RFC 7143 and backup programs can live with, and what is promised.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the arm may wait for a drive, and something for a busy machine.
const MOVE_LIMIT: Duration = Duration::from_secs(40);

/// Does something, and panics if that took too long.
#[track_caller]
fn within<T>(limit: Duration, what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    let took = begin.elapsed();
    assert!(took < limit, "{what} took {took:?}");
    result
}

#[test]
#[ignore = "needs FUSE and root: tools/stuck-disk runs it"]
fn a_stuck_drive_holds_up_nobody_else() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let disk = SlowDisk::under(&scene, "VTL001L9");
    scene.start();
    for (barcode, drive) in [("VTL001L9", "0"), ("VTL002L9", "1")] {
        scene.daemon().vtl(&["load", barcode, drive]).done();
    }
    let mut other = scene.login("other").open();
    for lun in [0, 1, 2] {
        other.settle(lun);
    }
    let mut writer = scene.session("writer");
    for number in 0..5 {
        writer.write_block(&noise(number, 70_000)).good();
    }
    writer.run(1, &cdb::write_filemarks(1)).good();

    disk.stop();
    writer.write_block(&noise(9, 70_000)).good();
    writer.send(1, &cdb::write_filemarks(1), Vec::new(), 0);

    // Another initiator comes, looks at the stuck drive, and works with the others.
    let mut new = within(LIMIT, "login", || scene.login("new").open());
    within(LIMIT, "INQUIRY", || new.read_in(1, &cdb::inquiry(96), 96).good());
    within(LIMIT, "REPORT LUNS", || new.read_in(1, &cdb::report_luns(255), 255).good());
    new.settle(0);
    within(LIMIT, "work with another drive", || {
        for number in 0..20 {
            other.write_out(2, &cdb::write(70_000), &noise(number, 70_000)).good();
        }
        other.run(2, &cdb::write_filemarks(1)).good();
    });
    within(LIMIT, "READ ELEMENT STATUS", || {
        new.read_in(0, &[0xb8, 0x10, 0, 0, 0xff, 0xff, 0, 0, 0x40, 0, 0, 0], 0x4000).good()
    });
    within(LIMIT, "MOVE MEDIUM elsewhere", || new.run(0, &cdb::move_medium(0x0405, 0x0300)).good());
    for command in [
        &["status"][..],
        &["inventory"],
        &["tape", "show", "VTL001L9"],
        &["move", "slot:8", "mail:2"],
    ] {
        within(LIMIT, "a command line", || scene.daemon().vtl(command).done());
    }
    within(LIMIT, "the logout of who wrote elsewhere", || other.logout());

    // ABORT TASK of a command that waits, LOGICAL UNIT RESET, and what is said of the unit then.
    let waiting = new.send(1, &cdb::TEST_UNIT_READY, Vec::new(), 0);
    assert_eq!(within(LIMIT, "ABORT TASK", || new.manage(1, 1, waiting, 0)), 0);
    new.forget(waiting);
    assert_eq!(within(LIMIT, "LOGICAL UNIT RESET", || new.manage(5, 1, 0xffff_ffff, 0)), 0);
    within(LIMIT, "the answer of a stuck unit", || {
        new.run(1, &cdb::TEST_UNIT_READY).sense(4, 0x44, 0)
    });
    within(LIMIT, "INQUIRY", || new.read_in(1, &cdb::inquiry(96), 96).good());

    // The drive keeps its cartridge, and the arm is free again.
    within(MOVE_LIMIT, "unloading", || scene.daemon().vtl(&["unload", "0"]).ended(5));
    within(LIMIT, "another move", || scene.daemon().vtl(&["unload", "1"]).done());
    drop((writer, new));

    // It moves again: what was acknowledged at the first filemark is there.
    disk.go_on();
    let mut new = scene.login("new").open();
    poll("the drive", Duration::from_secs(30), || {
        let done = new.run(1, &cdb::TEST_UNIT_READY);
        (done.status == 0).then_some(())
    });
    new.run(1, &cdb::REWIND).good();
    for number in 0..5 {
        assert!(new.read_block(70_000).good().data == noise(number, 70_000), "block {number}");
    }
    assert!(new.read_block(70_000).sense(0, 0, 1).filemark);
    new.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    scene.take_daemon().stop();
}

#[test]
#[ignore = "needs FUSE and root: tools/stuck-disk runs it"]
fn a_stuck_drive_does_not_keep_the_program_from_ending() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let disk = SlowDisk::under(&scene, "VTL001L9");
    scene.start();
    scene.daemon().vtl(&["load", "VTL001L9", "0"]).done();
    let mut writer = scene.session("writer");
    writer.write_block(&noise(1, 70_000)).good();
    disk.stop();
    writer.write_block(&noise(2, 70_000)).good();
    // SIGTERM: ten seconds for the session, twenty for the drive.
    let (_, log) = scene.take_daemon().end(Signal::TERM, Duration::from_mins(1));
    assert!(log.contains("the drive is stuck"), "{log}");
    disk.go_on();
    scene.start();
    let mut session = scene.session("reader");
    session.run(1, &cdb::REWIND).good();
    // Neither block was acknowledged at a sync point; what is there is whole.
    let first = session.read_block(70_000);
    if first.status == 0 {
        assert!(first.data == noise(1, 70_000));
    } else {
        first.sense(8, 0, 5);
    }
    session.logout();
    scene.take_daemon().stop();
}
