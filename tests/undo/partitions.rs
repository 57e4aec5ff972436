//! Cartridges with partitions, and those that can be written once: through a session, the command line, and restarts.

use vtl_tests::{Initiator, Login, Scene, cdb, flip_bit_of, noise};

use crate::{points, read_tape, write_tape};

/// One of 100 GB, and the rest.
fn divide(session: &mut Initiator) {
    session.run(1, &cdb::REWIND).good();
    let page = session.read_in(1, &[0x5a, 0x08, 0x11, 0, 0, 0, 0, 0, 64, 0], 64).good().data;
    let mut list = page;
    list[..2].fill(0);
    (list[8 + 3], list[8 + 4], list[8 + 6]) = (1, 0x3c, 9);
    list[16..20].copy_from_slice(&[0, 100, 0xff, 0xff]);
    let cdb = [0x55, 0x10, 0, 0, 0, 0, 0, 0, u8::try_from(list.len()).unwrap(), 0];
    session.write_out(1, &cdb, &list).good();
    session.run(1, &[0x04, 0, 1, 0, 0, 0]).good();
}

fn locate(session: &mut Initiator, partition: u8) {
    session.run(1, &[0x92, 0x02, 0, partition, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).good();
}

#[test]
fn a_divided_cartridge_survives_a_kill_and_comes_back_undivided() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    let whole: Vec<_> = (0..3).map(|n| noise(n, 50_000)).collect();
    write_tape(&mut session, &whole);
    let before = points(&scene, "VTL001L9");
    divide(&mut session);
    let (first, second) = (vec![noise(10, 9_000)], vec![noise(11, 70_000), noise(12, 5)]);
    write_tape(&mut session, &first);
    locate(&mut session, 1);
    write_tape(&mut session, &second);
    scene.take_daemon().kill();
    scene.start();
    let mut session = scene.session("host");
    assert!(read_tape(&mut session) == first);
    locate(&mut session, 1);
    assert!(read_tape(&mut session) == second);
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    // Also while it is loaded.
    let row = vtl(&["verify", "VTL001L9", "--format", "json"]).done().json()[0].clone();
    assert_eq!((&row["verdict"], &row["damaged_objects"]), (&"proved".into(), &0.into()));
    assert!(row["bytes"].as_u64().unwrap() > 79_000, "{row}");
    vtl(&["unload", "0"]).done();
    vtl(&["verify", "VTL001L9"]).done();
    let row = vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json()[0].clone();
    assert_eq!(row["written_bytes"], 79_005);
    let history = vtl(&["tape", "history", "VTL001L9", "--format", "json"]).done().json();
    let shown = history["points"].as_array().unwrap();
    let of_second = shown.iter().rfind(|point| point["partition"] == 1).unwrap().clone();

    let back = |to: &str| {
        vtl(&["tape", "rewind", "VTL001L9", "--to", to, "--in-place"]).done();
        vtl(&["load", "VTL001L9", "0"]).done();
        scene.session("host")
    };
    let mut session = back(before.last().unwrap());
    assert!(read_tape(&mut session) == whole);
    session.run(1, &[0x2b, 0x02, 0, 0, 0, 0, 0, 0, 1, 0]).sense(5, 0x24, 0);
    session.logout();
    vtl(&["unload", "0"]).done();
    let mut session = back(of_second["point"].as_str().unwrap());
    assert!(read_tape(&mut session) == first);
    locate(&mut session, 1);
    assert!(read_tape(&mut session) == second);
    session.logout();
    vtl(&["unload", "0"]).done();
    vtl(&["group", "create", "divided", "VTL001L9"]).done();
    let drill = ["drill", "run", "divided", "--format", "json"];
    assert_eq!(vtl(&drill).done().json()["cartridges"][0]["blocks"], 3);
    // One bit in the first block of the second partition.
    flip_bit_of(&scene.data(), &second[0][20_000..20_032]);
    let bad = vtl(&drill).ended(5).json()["cartridges"][0].clone();
    let damage = &bad["damage"][0];
    assert_eq!((&damage["partition"], &damage["object"]), (&1.into(), &0.into()), "{bad:#}");
    let row = vtl(&["verify", "VTL001L9", "--format", "json"]).ended(5).json()[0].clone();
    assert_eq!((&row["damaged_objects"], &row["damage"][0]["partition"]), (&1.into(), &1.into()));
}

// Twins, clones and snapshots once had one partition only, so that a cartridge of LTFS could have none of them.
#[test]
fn clones_twins_and_snapshots_have_all_partitions() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    divide(&mut session);
    let index = vec![noise(1, 3_000)];
    let data = vec![noise(2, 60_000), noise(3, 70_000)];
    let later = vec![noise(4, 5_000)];
    write_tape(&mut session, &index);
    locate(&mut session, 1);
    write_here(&mut session, &data);
    let vtl = |scene: &Scene, arguments: &[&str]| {
        let ran = scene.daemon().vtl(&[arguments, &["--format", "json"]].concat());
        ran.done().json()
    };
    // While it is loaded, and goes on being written.
    let made = vtl(&scene, &["tape", "clone", "VTL001L9", "--as", "COPY01L9"]);
    assert_eq!(made["barcode"], "COPY01L9");
    let shown = vtl(&scene, &["snapshot", "create", "now", "VTL001L9"]);
    assert_eq!(shown["written_bytes"], 133_000);
    let target = vtl(&scene, &["snapshot", "present", "now"])["target"].clone();
    locate(&mut session, 1);
    write_here(&mut session, &later);
    session.logout();
    vtl(&scene, &["unload", "0"]);
    // When the index was written, and nothing on the other partition.
    let history = vtl(&scene, &["tape", "history", "VTL001L9"]);
    let mut points = history["points"].as_array().unwrap().iter();
    let is_it = |point: &&serde_json::Value| point["objects"] == 2 && point["partition"].is_null();
    let point = points.find(is_it).unwrap()["point"].as_str().unwrap();
    vtl(&scene, &["tape", "rewind", "VTL001L9", "--to", point, "--as", "TWIN01L9"]);
    scene.daemon().vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3).says("COPY01L9");
    // It is so after a kill, with the catalogue made anew.
    scene.take_daemon().kill();
    std::fs::remove_dir_all(scene.data().join("catalogue")).unwrap();
    scene.start();
    let read = |session: &mut Initiator| {
        let first = read_tape(session);
        locate(session, 1);
        (first, read_tape(session))
    };
    for (barcode, wanted) in [("COPY01L9", &data), ("TWIN01L9", &Vec::new()), ("VTL001L9", &later)]
    {
        vtl(&scene, &["load", barcode, "0"]);
        let mut session = scene.session("reader");
        let (found, second) = read(&mut session);
        assert!(found == index, "{barcode}");
        assert!(&second == wanted, "{barcode}: {} blocks", second.len());
        if barcode == "COPY01L9" {
            locate(&mut session, 1);
            write_here(&mut session, &later);
            session.run(1, &[0x01, 0, 0, 0, 0, 0]).good();
        }
        session.logout();
        vtl(&scene, &["unload", "0"]);
        let row = vtl(&scene, &["verify", barcode])[0].clone();
        assert_eq!(row["verdict"], "proved", "{row}");
    }
    let mut session = Login::new(scene.daemon().portal, target.as_str().unwrap(), "other").open();
    session.settle(0);
    session.settle(1);
    session.run(0, &cdb::move_medium(0x0400, 0x0101)).good();
    session.settle(1);
    assert!(read(&mut session) == (index, data));
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(1, 100)).sense(7, 0x27, 0);
}

/// Writes from the beginning of the partition on, with a filemark behind.
fn write_here(session: &mut Initiator, blocks: &[Vec<u8>]) {
    for block in blocks {
        session.write_block(block).good();
    }
    session.run(1, &cdb::write_filemarks(1)).good();
}

#[test]
fn what_can_be_written_once_is_not_taken_back_in_place() {
    let scene = Scene::new();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["tape", "create", "ONCE01L9", "--type", "lto9-worm"]).ended(2).says("LZ");
    vtl(&["tape", "create", "ONCE01LZ", "--type", "lto1-worm"]).ended(2).says("lto9");
    let made = vtl(&["tape", "create", "ONCE01LZ", "--type", "lto9-worm", "--format", "json"]);
    let made = made.done().json()[0].clone();
    assert_eq!((&made["worm"], &made["media_type"]), (&true.into(), &"lto9".into()));
    vtl(&["load", "ONCE01LZ", "0"]).done();
    let mut session = scene.session("host");
    write_tape(&mut session, &[noise(1, 1000)]);
    write_tape_end(&mut session);
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(2, 10)).sense(7, 0x30, 0x0c);
    let header = session.read_in(1, &[0x1a, 0x08, 0x3f, 0, 4, 0], 4).good().data;
    assert_eq!(header[1], 0x9c);
    session.logout();
    vtl(&["unload", "0"]).done();
    let first = points(&scene, "ONCE01LZ").remove(0);
    vtl(&["tape", "rewind", "ONCE01LZ", "--to", &first, "--in-place"]).ended(3).says("WORM");
    vtl(&["tape", "rewind", "ONCE01LZ", "--to", &first]).done();
}

/// A block more, behind the last one.
fn write_tape_end(session: &mut Initiator) {
    session.run(1, &[0x11, 3, 0, 0, 0, 0]).good();
    session.write_block(&noise(3, 1000)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
}
