//! Going back: the cartridge itself, or a twin of it.

use vtl_tests::{Scene, cdb, noise};

use crate::{points, read_tape, write_tape};

#[test]
fn an_overwritten_cartridge_comes_back_in_place_and_the_rewind_can_be_taken_back() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    let good: Vec<_> = (0..5).map(|n| noise(n, 70_000)).collect();
    let bad = vec![noise(99, 5_000)];
    write_tape(&mut session, &good);
    write_tape(&mut session, &bad);
    let vtl = |scene: &Scene, arguments: &[&str]| scene.daemon().vtl(arguments);
    let named = points(&scene, "VTL001L9");
    assert_eq!(named.len(), 2);
    let back = ["tape", "rewind", "VTL001L9", "--to", &named[0], "--in-place"];
    vtl(&scene, &back).ended(3).says("VTL001L9 is in drive:0: unload it first");
    session.logout();
    vtl(&scene, &["unload", "0"]).done();
    vtl(&scene, &["tape", "rewind", "VTL001L9", "--to", "p1", "--in-place"])
        .ended(4)
        .says("vtl tape history VTL001L9");
    vtl(&scene, &["tape", "rewind", "VTL001L9", "--to", "never"]).ended(2).says("2h");
    vtl(&scene, &["tape", "rewind", "NOSUCHL9", "--to", "p1"]).ended(4);
    vtl(&scene, &back).done();
    scene.take_daemon().kill();
    scene.start();
    vtl(&scene, &["load", "VTL001L9", "0"]).done();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == good);
    session.logout();
    vtl(&scene, &["unload", "0"]).done();
    // And forth again, with no daemon.
    scene.take_daemon().stop();
    vtl_tests::vtl(&scene.data(), &["tape", "rewind", "VTL001L9", "--to", &named[1], "--in-place"])
        .done();
    scene.start();
    vtl(&scene, &["load", "VTL001L9", "0"]).done();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == bad);
    session.logout();
}

#[test]
fn a_twin_is_a_cartridge_that_cannot_be_written_and_a_clone_is_one_that_can() {
    let scene = Scene::loaded();
    let mut session = scene.session("host");
    let old: Vec<_> = (0..3).map(|n| noise(n, 30_000)).collect();
    let new = vec![noise(50, 900)];
    write_tape(&mut session, &old);
    write_tape(&mut session, &new);
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    let first = points(&scene, "VTL001L9").remove(0);
    // A clone can be made of what is loaded and written.
    let clone = ["tape", "clone", "VTL001L9", "--to", &first, "--as", "COPY01L9"];
    vtl(&clone).done();
    vtl(&clone).ended(2).says("COPY01L9 already");
    vtl(&["tape", "clone", "VTL001L9", "--as", "COPY01L8"]).ended(2).says("L9");
    session.logout();
    vtl(&["unload", "0"]).done();
    let made = vtl(&["tape", "rewind", "VTL001L9", "--to", &first, "--format", "json"]).done();
    assert_eq!(made.json()[0]["barcode"], "RW0001L9");
    let row = vtl(&["tape", "show", "RW0001L9", "--format", "json"]).done().json()[0].clone();
    assert_eq!((&row["twin_of"], &row["read_only"]), (&"VTL001L9".into(), &true.into()));
    assert_eq!(row["journal_bytes"], 0, "nothing is copied");
    vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3).says("twin RW0001L9");

    vtl(&["load", "RW0001L9", "0"]).done();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == old);
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(1, 100)).sense(7, 0x27, 0);
    session.run(1, &cdb::write_filemarks(1)).sense(7, 0x27, 0);
    session.logout();
    vtl(&["unload", "0"]).done();

    vtl(&["load", "COPY01L9", "0"]).done();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == old);
    write_tape(&mut session, &[noise(7, 10)]);
    session.logout();
    vtl(&["unload", "0"]).done();
    vtl(&["load", "VTL001L9", "0"]).done();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == new);
    session.logout();
}
