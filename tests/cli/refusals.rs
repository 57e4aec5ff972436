//! What is refused, and that a refusal says why and touches nothing.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use vtl_tests::{Daemon, Ran, Scene, tree, vtl};

/// Starts a daemon that must not start; how it ended.
#[track_caller]
fn refused(directory: &Path, arguments: &[&str]) -> Ran {
    let arguments = [&["--listen", "127.0.0.1:0"], arguments].concat();
    match Daemon::start_with(directory, &arguments) {
        Ok(daemon) => panic!("it runs: {daemon:?}"),
        Err(ran) => ran.ended(1),
    }
}

#[test]
fn a_barcode_that_is_none_is_told_the_grammar() {
    let scene = Scene::new();
    let grammar = "six characters A-Z or 0-9";
    for bad in
        ["short", "VTL00#L9", "VTL100L8", "vtl100L9", "VTL1000L9", "../../L9", "", "VTL 00L9"]
    {
        scene.daemon().vtl(&["tape", "create", bad]).ended(2).says(grammar);
    }
    scene.daemon().vtl(&["tape", "create", "VTL001L9"]).ended(2).says(grammar).says("VTL001L9");
    scene.daemon().vtl(&["tape", "create", "NEW001L9", "NEW001L9"]).ended(2).says(grammar);
    scene.daemon().vtl(&["tape", "create", "--prefix", "TOOLONG"]).ended(2).says(grammar);
    scene.daemon().vtl(&["tape", "create", "--count", "0"]).ended(2);
    scene
        .daemon()
        .vtl(&["tape", "create", "--prefix", "VTLAB", "--start", "9", "--count", "2"])
        .ended(2);
    let count =
        scene.daemon().vtl(&["status", "--format", "json"]).done().json()["cartridges"].clone();
    assert_eq!(count, 21, "nothing was made on the way");
}

#[test]
fn a_damaged_ledger_is_exit_code_5() {
    let scene = Scene::new();
    scene.daemon().vtl(&["audit", "verify"]).done();
    let ledger = scene.data().join("ledger");
    let mut files: Vec<_> =
        fs::read_dir(ledger).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let largest = files.last().unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(largest, bytes).unwrap();
    scene.daemon().vtl(&["audit", "verify"]).ended(5);
    scene.daemon().vtl(&["doctor"]).ended(1);
}

#[test]
fn a_bad_value_is_named_with_file_line_and_key() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let path = scene.data().join("vtl.toml");
    for (text, line, key) in [
        ("[iscsi]\nlisten = \"nowhere\"\n", "line 2", "listen"),
        ("[iscsi]\n\nlisten-to = \"127.0.0.1:0\"\n", "line 3", "listen-to"),
        ("# a comment\n[drives]\nwrite-buffer-mib = \"big\"\n", "line 3", "write-buffer-mib"),
        ("# a comment\n\n\n[drives]\nwrite-buffer-mib = 7\n", "line 5", "write-buffer-mib"),
        ("[drives]\nwrite-buffer-mib = 99999\n", "line 2", "write-buffer-mib"),
        ("[drives\n", "line 1", "drives"),
        ("[robots]\n", "line 1", "robots"),
    ] {
        fs::write(&path, text).unwrap();
        let ran = refused(&scene.data(), &[]);
        ran.says(path.to_str().unwrap()).says(line).says(key);
    }
    fs::write(&path, "[drives]\nwrite-buffer-mib = 8\n").unwrap();
    scene.start();
    scene.assert_serves();
}

#[test]
fn a_second_daemon_on_the_same_directory_names_the_first_at_once() {
    let mut scene = Scene::new();
    let started = Instant::now();
    let ran = refused(&scene.data(), &[]);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    ran.says(&scene.daemon().pid().to_string()).says(scene.data().to_str().unwrap());
    scene.assert_serves();
}

#[test]
fn a_newer_format_is_left_untouched() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let marker = scene.data().join("FORMAT");
    let text = fs::read_to_string(&marker).unwrap();
    let newer = text.replacen(" 1\n", " 2\n", 1);
    assert_ne!(newer, text, "the marker has another form than this test knows: {text}");
    fs::write(&marker, newer).unwrap();
    let before = tree(&scene.data());
    refused(&scene.data(), &[]).says("format 2").says("newer");
    for arguments in [&["inventory"][..], &["tape", "create"], &["catalog", "rebuild"], &["doctor"]]
    {
        vtl(&scene.data(), arguments).ended(1);
    }
    assert!(tree(&scene.data()) == before, "the directory was touched");
    fs::write(&marker, text).unwrap();
    scene.start();
    scene.assert_serves();
}

#[test]
fn a_marker_that_is_none_is_left_untouched() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    for text in [&b""[..], b"something else\n", b"vtl data directory 0\n", &[0xff; 10_000]] {
        fs::write(scene.data().join("FORMAT"), text).unwrap();
        let before = tree(&scene.data());
        refused(&scene.data(), &[]).says("FORMAT");
        assert!(tree(&scene.data()) == before, "the directory was touched");
    }
}

#[test]
fn a_directory_that_is_not_ours_is_left_untouched() {
    let scene = Scene::new();
    let other = scene.beside("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("holiday.txt"), "photographs").unwrap();
    let before = tree(&other);
    refused(&other, &[]).says("holiday.txt");
    vtl(&other, &["inventory"]).ended(4);
    vtl(&other, &["tape", "create"]).ended(4);
    assert!(tree(&other) == before, "the directory was touched");
    // Where there is nothing at all, a question does not make a library.
    let none = scene.beside("none");
    vtl(&none, &["inventory"]).ended(4).says("none");
    assert!(!none.exists());
}

#[test]
fn strangers_are_let_in_only_if_told_so() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let listen = ["--listen", "0.0.0.0:0"];
    let Err(ran) = Daemon::start_with(&scene.data(), &listen) else {
        panic!("it listens to everybody")
    };
    ran.ended(1).says("allow-unauthenticated").says("loopback");
    let path = scene.data().join("vtl.toml");
    fs::write(&path, "[iscsi]\nlisten = \"0.0.0.0:0\"\n").unwrap();
    let Err(ran) = Daemon::start_with(&scene.data(), &[]) else {
        panic!("it listens to everybody")
    };
    ran.ended(1).says("allow-unauthenticated");
    fs::write(&path, "[iscsi]\nallow-unauthenticated = true\n").unwrap();
    let daemon = Daemon::start_with(&scene.data(), &listen).expect("it was told so");
    assert!(daemon.portal.ip().is_unspecified() && daemon.portal.port() != 0);
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let scene = Scene::new();
    let portal = scene.daemon().portal.to_string();
    let Err(ran) = Daemon::start_with(&scene.beside("other"), &["--listen", &portal]) else {
        panic!("two programs on one port")
    };
    ran.ended(1).says(&portal);
}
