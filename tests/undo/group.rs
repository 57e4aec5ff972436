//! A group has one moment: it is taken back, and shown, all or none.

use std::fs;

use vtl_tests::{Scene, cdb, noise, poll};

const BARCODES: [&str; 3] = ["VTL001L9", "VTL002L9", "VTL003L9"];

fn write(scene: &Scene, barcode: &str, seed: u64) {
    scene.daemon().vtl(&["load", barcode, "0"]).done();
    let mut session = scene.session("writer");
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(seed, 50_000)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
}

fn assert_content(scene: &Scene, barcode: &str, seed: u64) {
    scene.daemon().vtl(&["load", barcode, "0"]).done();
    let mut session = scene.session("reader");
    session.run(1, &cdb::REWIND).good();
    assert!(session.read_block(50_000).good().data == noise(seed, 50_000), "{barcode}");
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
}

/// Three cartridges, of which the last one is blank when the moment passes that is given, and all are overwritten afterwards.
fn overwritten() -> (Scene, String) {
    let scene = Scene::new();
    write(&scene, BARCODES[0], 1);
    write(&scene, BARCODES[1], 2);
    let mut arguments = vec!["group", "create", "mail"];
    arguments.extend(BARCODES);
    scene.daemon().vtl(&arguments).done();
    let moment = jiff::Timestamp::now().to_string();
    for (barcode, seed) in BARCODES.into_iter().zip(11..) {
        write(&scene, barcode, seed);
    }
    (scene, moment)
}

#[test]
fn a_group_is_taken_back_to_one_moment() {
    let (scene, moment) = overwritten();
    let rewind = ["tape", "rewind", "--group", "mail", "--to", moment.as_str(), "--format", "json"];
    let rows = scene.daemon().vtl(&rewind).done().json();
    let results: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["result"]).collect();
    assert_eq!(results, ["rewound", "rewound", "blank again"]);
    assert_content(&scene, BARCODES[0], 1);
    assert_content(&scene, BARCODES[1], 2);
    scene.daemon().vtl(&["tape", "rewind", "--group", "mail", "--to", "p1"]).ended(2);
}

/// After an attack one cartridge under a legal hold kept the whole library as the attacker had left it: `--all` ended there, and did not say what had
/// been taken back before.
#[test]
fn what_may_not_go_back_does_not_keep_the_rest_of_the_library() {
    let (scene, moment) = overwritten();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["tape", "hold", BARCODES[0], "--reason", "case 7"]).done();
    let rewind = ["tape", "rewind", "--all", "--to", &moment, "--format", "json"];
    let ran = vtl(&rewind).ended(3).says("1 of ").says(BARCODES[0]);
    let rows = ran.json();
    let of = |barcode: &str| {
        rows.as_array().unwrap().iter().find(|row| row["barcode"] == *barcode).unwrap().clone()
    };
    assert_eq!(of(BARCODES[0])["result"], "left as it is");
    assert!(of(BARCODES[0])["why"].as_str().unwrap().contains("case 7"), "{rows}");
    assert_eq!(
        (&of(BARCODES[1])["result"], &of(BARCODES[2])["result"]),
        (&"rewound".into(), &"blank again".into())
    );
    assert_content(&scene, BARCODES[1], 2);
    assert_content(&scene, BARCODES[0], 11);
}

#[test]
fn what_stands_in_the_way_of_one_leaves_all_as_they_are() {
    let (scene, moment) = overwritten();
    let rewind = |says: &str, code| {
        scene
            .daemon()
            .vtl(&["tape", "rewind", "--group", "mail", "--to", &moment])
            .ended(code)
            .says(says)
            .says("nothing was changed");
    };
    scene.daemon().vtl(&["tape", "hold", BARCODES[2], "--reason", "case 7"]).done();
    rewind(BARCODES[2], 3);
    scene.daemon().vtl(&["tape", "hold", BARCODES[2], "--lift"]).done();
    scene.daemon().vtl(&["load", BARCODES[1], "0"]).done();
    rewind(BARCODES[1], 3);
    scene.daemon().vtl(&["unload", "0"]).done();
    for (barcode, seed) in BARCODES.into_iter().zip(11..) {
        assert_content(&scene, barcode, seed);
    }
    scene.daemon().vtl(&["tape", "delete", "--force", BARCODES[0]]).done();
    let lacks = scene.daemon().vtl(&["tape", "rewind", "--group", "mail", "--to", &moment]);
    lacks.ended(3).says(BARCODES[0]);
    scene
        .daemon()
        .vtl(&["snapshot", "create", "now", "--group", "mail"])
        .ended(3)
        .says(BARCODES[0]);
}

#[test]
fn a_barrier_freezes_before_thaws_whatever_happens_and_says_whether_it_was_quiet() {
    let (scene, _) = overwritten();
    let log = scene.beside("log");
    let said = |what: &str| format!("echo {what} >> {}", log.display());
    let (freeze, thaw) = (said("freeze"), said("thaw"));
    let barrier = |name: &str, freeze: &str, thaw: &str, limit: &str| {
        let arguments = [
            "snapshot",
            "create",
            name,
            "--group",
            "mail",
            "--freeze",
            freeze,
            "--thaw",
            thaw,
            "--hook-limit",
            limit,
            "--format",
            "json",
        ];
        scene.daemon().vtl(&arguments)
    };
    let quiet = barrier("quiet", &freeze, &thaw, "1m").done().json();
    assert_eq!((&quiet["quiesced"], &quiet["cartridges"]), (&true.into(), &3.into()));
    assert_eq!(fs::read_to_string(&log).unwrap(), "freeze\nthaw\n");
    let failed = barrier("loud", "exit 3", &thaw, "1m").ended(1).says("not quiesced");
    assert_eq!(failed.json()["quiesced"], false);
    barrier("late", "sleep 100", &thaw, "1s").ended(1).says("longer than 1 s");
    // No snapshot, and thawed all the same.
    barrier("quiet", &freeze, &thaw, "1m").ended(2);
    barrier("stuck", &freeze, "exit 1", "1m").ended(1).says("thaw").says("held still");
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log, "freeze\nthaw\nthaw\nthaw\nfreeze\nthaw\nfreeze\n");
    let rows = scene.daemon().vtl(&["snapshot", "list", "--format", "json"]).done().json();
    let marks: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| (&row["snapshot"], &row["quiesced"])).collect();
    let text = serde_json::to_string(&marks).unwrap();
    assert_eq!(text, r#"[["late",false],["loud",false],["quiet",true],["stuck",true]]"#);
}

/// Whoever presses Ctrl-C between freeze and thaw must not leave an application that stands still.
#[test]
fn what_was_frozen_is_thawed_also_after_an_interrupt() {
    let (scene, _) = overwritten();
    let (frozen, go, thawed) = (scene.beside("frozen"), scene.beside("go"), scene.beside("thawed"));
    let freeze =
        format!("touch {}; while [ ! -e {} ]; do sleep 0.05; done", frozen.display(), go.display());
    let thaw = format!("touch {}", thawed.display());
    let mut child = std::process::Command::new(vtl_tests::binary())
        .args([
            "snapshot", "create", "now", "--group", "mail", "--freeze", &freeze, "--thaw", &thaw,
            "--data",
        ])
        .arg(scene.data())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let limit = std::time::Duration::from_mins(1);
    poll("frozen", limit, || frozen.exists().then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    fs::write(&go, "").unwrap();
    child.wait().unwrap();
    assert!(thawed.exists(), "it was left frozen");
}
