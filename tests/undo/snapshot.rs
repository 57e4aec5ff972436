//! Snapshots as a second library.

use vtl_tests::{Login, Scene, cdb, noise};

use crate::{read_tape, write_tape};

#[test]
fn a_presented_snapshot_is_read_while_the_library_is_written() {
    let mut scene = Scene::loaded();
    let mut writer = scene.session("writer");
    let monday: Vec<_> = (0..4).map(|n| noise(n, 50_000)).collect();
    write_tape(&mut writer, &monday);
    let vtl = |scene: &Scene, arguments: &[&str]| scene.daemon().vtl(arguments);
    let made = vtl(&scene, &["snapshot", "create", "monday", "--format", "json"]).done().json();
    assert_eq!((&made["cartridges"], &made["presented"]), (&20.into(), &false.into()));
    vtl(&scene, &["snapshot", "create", "monday"]).ended(2).says("already");
    vtl(&scene, &["snapshot", "create", "a/b"]).ended(2);
    vtl(&scene, &["snapshot", "present", "tuesday"]).ended(4);
    let shown = vtl(&scene, &["snapshot", "present", "monday", "--format", "json"]).done().json();
    let target = shown["target"].as_str().unwrap().to_owned();
    assert_ne!(target, scene.daemon().target);
    // The changer of the second library has the same barcodes; its first drive takes the first cartridge.
    let open = |scene: &Scene| {
        let mut session = Login::new(scene.daemon().portal, &target, "reader").open();
        session.settle(0);
        session.settle(1);
        session
    };
    let mut reader = open(&scene);
    reader.run(0, &cdb::move_medium(0x0400, 0x0101)).good();
    reader.settle(1);
    write_tape(&mut writer, &[noise(77, 1000)]);
    assert!(read_tape(&mut reader) == monday);
    reader.run(1, &cdb::REWIND).good();
    reader.write_block(&noise(1, 100)).sense(7, 0x27, 0);
    reader.run(1, &cdb::REWIND).good();
    reader.run(1, &[0x19, 0, 0, 0, 0, 0]).sense(7, 0x27, 0);
    assert!(read_tape(&mut writer) == [noise(77, 1000)]);
    // The library itself does not see what is moved there, and each has its own reservations.
    reader.run(1, &cdb::RESERVE).good();
    writer.run(1, &cdb::TEST_UNIT_READY).good();
    vtl(&scene, &["snapshot", "delete", "monday"]).ended(3).says("--hide");

    // It is there after a restart, with everything in its storage element again.
    drop(reader);
    writer.logout();
    scene.take_daemon().kill();
    scene.start();
    let mut reader = open(&scene);
    reader.run(0, &cdb::move_medium(0x0400, 0x0101)).good();
    reader.settle(1);
    assert!(read_tape(&mut reader) == monday);
    vtl(&scene, &["snapshot", "present", "monday", "--hide"]).done();
    assert!(reader.try_wait().is_err(), "the session has ended with its target");
    assert!(Login::new(scene.daemon().portal, &target, "reader").try_open().is_err());
    let list = vtl(&scene, &["snapshot", "list", "--format", "json"]).done().json();
    assert_eq!(list[0]["presented"], false);
    vtl(&scene, &["snapshot", "delete", "monday"]).done();
    scene.assert_serves();
}

// The rules of a deleted snapshot went to the next one of that name, whatever was in it.
#[test]
fn a_snapshot_that_a_rule_names_is_not_deleted() {
    const INITIATOR: &str = "iqn.2026-11.test:reader";
    let scene = Scene::new();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["snapshot", "create", "monday", "VTL001L9"]).done();
    vtl(&["snapshot", "present", "monday"]).done();
    vtl(&["access", "add", INITIATOR, "--library", "snapshot-monday"]).done();
    vtl(&["snapshot", "present", "monday", "--hide"]).done();
    let refused = vtl(&["snapshot", "delete", "monday"]).ended(3).says(INITIATOR);
    refused.says("vtl access remove");
    vtl(&["access", "remove", INITIATOR, "--library", "snapshot-monday"]).done();
    vtl(&["snapshot", "delete", "monday"]).done();
}
