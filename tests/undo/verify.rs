//! Reading back.

use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Scene, flip_bit_of, noise};

use crate::write_tape;

#[test]
fn planted_damage_is_named_and_good_cartridges_are_proved() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    let blocks: Vec<_> = (0..6).map(|n| noise(n, 40_000)).collect();
    write_tape(&mut session, &blocks);
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    // A loaded cartridge with nothing on it was said to be "read, but perhaps from a cache".
    let blank = vtl(&["load", "VTL002L9", "1"]).done().code;
    let row = vtl(&["verify", "VTL002L9", "--format", "json"]).done().json()[0].clone();
    assert_eq!((blank, &row["verdict"]), (Some(0), &"proved".into()));
    // Also while it is loaded.
    let row = vtl(&["verify", "VTL001L9", "--format", "json"]).done().json()[0].clone();
    assert_eq!((&row["verdict"], &row["damaged_objects"]), (&"proved".into(), &0.into()));
    assert!(row["bytes"].as_u64().unwrap() > 240_000);
    session.logout();
    vtl(&["unload", "0"]).done();
    let state = || {
        let row = vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json();
        row[0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "proved");
    vtl(&["inventory", "--state", "proved", "VTL001L9"]).done();
    vtl(&["verify", "--all"]).done();
    vtl(&["verify"]).ended(2);
    vtl(&["verify", "CLN001L9"]).ended(2).says("cleaning");
    vtl(&["verify", "NOSUCHL9"]).ended(4);

    // One bit in the middle of the fourth block.
    flip_bit_of(&scene.data(), &blocks[3][20_000..20_032]);
    let ran = vtl(&["verify", "VTL001L9", "VTL002L9", "--format", "json"]).ended(5);
    let rows = ran.json();
    assert_eq!(rows[0]["damage"][0]["first_object"], 3);
    assert_eq!((&rows[0]["damaged_objects"], &rows[1]["verdict"]), (&1.into(), &"proved".into()));
    ran.says("damaged: VTL001L9");
    assert_eq!(state(), "damaged");

    // What is behind it can still be read, and the damaged block is an error that names it.
    vtl(&["load", "VTL001L9", "0"]).done();
    let mut session = scene.session("host");
    for (n, block) in blocks.iter().enumerate() {
        let done = session.read_block(block.len());
        if n == 3 {
            assert_eq!(done.sense(3, 0x11, 0).information, Some(40_000));
        } else {
            assert!(done.good().data == *block, "block {n}");
        }
    }
    session.logout();
    // Once, the daemon's log had not a word about such a block.
    let (_, log) = scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    let told: Vec<_> = log.lines().filter(|line| line.contains("READ(6)")).collect();
    assert!(told.len() == 1 && told[0].contains("ERROR") && told[0].contains("VTL001L9"), "{log}");
}
