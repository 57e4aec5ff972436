//! Every order, once against a daemon and once on the directory itself: the answers are the same.

use std::path::Path;

use serde_json::Value;
use vtl_tests::{Daemon, Ran, Scene, copy_tree, vtl};

/// Orders and questions, in this order, with the exit code of each.
const SCRIPT: &[(&[&str], i32)] = &[
    (&["inventory", "--format", "json"], 0),
    (&["tape", "create", "--count", "2", "--format", "json"], 0),
    (
        &[
            "tape",
            "create",
            "--prefix",
            "AB",
            "--start",
            "7",
            "--type",
            "lto8",
            "--capacity",
            "10GB",
            "--pool",
            "daily",
        ],
        0,
    ),
    (&["tape", "create", "XYZ001L9", "--to", "shelf", "--format", "json"], 0),
    (&["tape", "create", "XYZ001L9"], 2),
    (&["tape", "create", "xyz002L9"], 2),
    (&["tape", "create", "XYZ002L8"], 2),
    (&["tape", "create", "XYZ002L9", "--to", "slot:1"], 3),
    (&["tape", "create", "XYZ002L9", "--to", "slot:99"], 4),
    (&["tape", "create", "--type", "lto99"], 2),
    (&["tape", "create", "--capacity", "many"], 2),
    (&["tape", "show", "XYZ001L9", "AB0007L8", "--format", "json"], 0),
    (&["tape", "show", "NONE01L9"], 4),
    (&["move", "slot:1", "mail:1", "--format", "json"], 0),
    (&["move", "slot:1", "mail:2"], 4),
    (&["move", "VTL002L9", "mail:1"], 3),
    (&["move", "VTL002L9", "mail:9"], 4),
    (&["move", "VTL002L9", "nowhere"], 2),
    (&["move", "shelf", "slot:1"], 2),
    (&["move", "NONE01L9", "slot:1"], 4),
    (&["move", "VTL002L9", "slot:1", "--format", "csv"], 0),
    (&["load", "VTL003L9", "0", "--format", "json"], 0),
    (&["load", "VTL004L9", "0"], 3),
    (&["load", "VTL004L9", "9"], 4),
    (&["load", "NONE01L9", "1"], 4),
    (&["inventory", "--location", "drive", "--format", "json"], 0),
    (&["tape", "delete", "VTL003L9"], 3),
    (&["unload", "0", "--format", "json"], 0),
    (&["unload", "0"], 4),
    (&["unload", "9"], 4),
    (&["tape", "eject", "VTL005L9", "VTL006L9", "VTL007L9", "--format", "json"], 0),
    (&["tape", "eject", "VTL008L9"], 3),
    (&["tape", "eject", "VTL005L9", "--format", "json"], 0),
    (&["tape", "eject", "VTL008L9", "NONE01L9"], 4),
    (&["tape", "insert", "VTL005L9", "VTL006L9", "--format", "json"], 0),
    (&["tape", "insert", "VTL005L9"], 3),
    (&["tape", "insert", "XYZ001L9", "--to", "slot:6", "--format", "json"], 0),
    (&["tape", "insert", "NONE01L9"], 4),
    (&["tape", "delete", "XYZ001L9", "AB0007L8", "--format", "json"], 0),
    (&["tape", "delete", "XYZ001L9"], 4),
    (&["inventory", "--format", "json"], 0),
    (&["inventory", "--format", "csv"], 0),
    (&["inventory"], 0),
    (&["catalog", "check", "--format", "json"], 0),
    (&["catalog", "rebuild", "--format", "json"], 0),
    (&["catalog", "check", "--format", "json"], 0),
    (&["audit", "list", "--format", "json"], 0),
    (&["audit", "list", "--limit", "3", "--format", "json"], 0),
    (&["audit", "list", "--barcode", "VTL003L9", "--format", "json"], 0),
    (&["audit", "list", "--barcode", "NONE01L9"], 4),
    (&["audit", "verify", "--format", "json"], 0),
    (&["frobnicate"], 2),
    (&["inventory", "--sort", "colour"], 2),
    (&["inventory", "--older-than", "soon"], 2),
    (&["inventory", "--location", "moon"], 2),
];

#[test]
fn every_order_does_the_same_with_a_daemon_and_without() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let other = scene.beside("other");
    copy_tree(&scene.data(), &other);
    scene.start();
    let with_daemon = run_script(&scene.data());
    scene.take_daemon().stop();
    let without = run_script(&other);
    for ((arguments, _), (one, two)) in SCRIPT.iter().zip(with_daemon.into_iter().zip(without)) {
        if one != two {
            let lines = |ran: &Ran| ran.stdout.replace("},{", "},\n{");
            panic!(
                "{arguments:?}: {one:?}\n{}\n--- without a daemon: {two:?}\n{}",
                lines(&one),
                lines(&two)
            );
        }
    }
}

#[test]
fn questions_are_answered_alike_before_and_after_the_daemon_ends() {
    let mut scene = Scene::loaded();
    let questions: [&[&str]; 6] = [
        &["inventory", "--format", "json"],
        &["inventory", "--format", "csv"],
        &["inventory"],
        &["tape", "show", "VTL001L9", "--format", "json"],
        &["audit", "list", "--format", "json"],
        &["audit", "verify", "--format", "json"],
    ];
    let ask = |directory: &Path| questions.map(|question| vtl(directory, question).done());
    let while_running = ask(&scene.data());
    scene.take_daemon().stop();
    let afterwards = ask(&scene.data());
    for (one, two) in while_running.iter().zip(&afterwards) {
        assert_eq!(one, two);
    }
}

#[test]
fn status_says_whether_a_daemon_runs_and_what_is_in_the_drives() {
    let mut scene = Scene::loaded();
    let target = scene.daemon().target.clone();
    for is_running in [true, false] {
        let status = vtl(&scene.data(), &["status", "--format", "json"]).done().json();
        assert_eq!(status["running"], is_running);
        assert_eq!(status["target"], target);
        assert_eq!(status["cartridges"], 21);
        assert_eq!(status["storage_elements"], 24);
        assert_eq!(status["import_export_elements"], 4);
        let drives = status["drives"].as_array().unwrap();
        assert_eq!(drives.len(), 4);
        assert_eq!((&drives[0]["lun"], &drives[0]["barcode"]), (&1.into(), &"VTL001L9".into()));
        assert_eq!(drives[1]["barcode"], Value::Null);
        assert!(vtl(&scene.data(), &["status"]).done().stdout.contains(&target));
        if is_running {
            scene.take_daemon().stop();
        }
    }
}

/// Runs the script; its answers without what differs from one library to the next.
fn run_script(directory: &Path) -> Vec<Ran> {
    let run = |(arguments, code): &(&[&str], i32)| {
        let ran = vtl(directory, arguments);
        assert_eq!(ran.code, Some(*code), "{arguments:?}: {ran:?}");
        anonymous(ran, arguments)
    };
    SCRIPT.iter().map(run).collect()
}

/// New cartridges have identities and times of their own, and the ledger's hashes follow from them.
fn anonymous(mut ran: Ran, arguments: &[&str]) -> Ran {
    if ran.code == Some(0) && arguments.contains(&"json") {
        let mut value = ran.json();
        forget(&mut value);
        ran.stdout = value.to_string();
    } else if ran.code == Some(0) && arguments == ["inventory", "--format", "csv"] {
        let columns: Vec<_> = ran.stdout.lines().next().unwrap().split(',').collect();
        let keeps = |index: &usize| !DIFFERS.contains(&columns[*index]);
        let kept: Vec<usize> = (0..columns.len()).filter(keeps).collect();
        let row = |line: &str| {
            let fields: Vec<_> = line.split(',').collect();
            kept.iter().map(|index| fields[*index]).collect::<Vec<_>>().join(",")
        };
        ran.stdout = ran.stdout.lines().map(row).collect::<Vec<_>>().join("\n");
    } else if arguments.starts_with(&["tape", "create"]) {
        // For people: the same, in lines.
        ran.stdout.clear();
    }
    ran
}

fn forget(value: &mut Value) {
    match value {
        Value::Array(rows) => rows.iter_mut().for_each(forget),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
            if DIFFERS.contains(&key.as_str()) && !value.is_array() {
                *value = Value::Null;
            } else {
                forget(value);
            }
        }),
        Value::String(text) if is_uuid(text) => *value = Value::Null,
        _ => {}
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
}

/// Random, or a matter of time; and without a daemon there is no drive that would thread a cartridge and count it.
const DIFFERS: [&str; 11] = [
    "uuid",
    "created",
    "time",
    "compliance",
    "hash",
    "head",
    "cartridge",
    "move",
    "id",
    "previous",
    "load_count",
];

/// The daemon of a directory answers there, whatever the working directory of the caller is.
#[test]
fn the_directory_may_come_from_the_environment() {
    let scene = Scene::new();
    let output = std::process::Command::new(vtl_tests::binary())
        .args(["inventory", "VTL001L9", "--format", "json"])
        .env("VTL_DATA", scene.data())
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(Ran::from(output).done().json()[0]["barcode"], "VTL001L9");
    let nowhere = Daemon::start_with(Path::new("/proc/none"), &[]).unwrap_err();
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
}
