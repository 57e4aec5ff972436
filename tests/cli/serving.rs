//! The daemon as a process: its files, its end, and the commands that need no library.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vtl_tests::{Daemon, Scene, cdb, vtl};

#[test]
fn the_directory_and_the_socket_are_the_owners_alone() {
    let mut scene = Scene::new();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(scene.data()), 0o700);
    let socket = scene.data().join("control.sock");
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    assert_eq!(mode(socket.clone()), 0o600);
    let config = fs::read_to_string(scene.data().join("vtl.toml")).unwrap();
    assert!(config.lines().any(|line| line.starts_with("# listen")), "{config}");
    scene.take_daemon().stop();
    assert!(!socket.exists());
}

#[test]
fn port_0_is_a_free_port_for_each() {
    let scene = Scene::new();
    let other = Daemon::start(&scene.beside("other"));
    let portal = scene.daemon().portal;
    assert_ne!(other.portal.port(), portal.port());
    assert!(other.portal.port() != 0 && portal.port() != 0);
    assert_ne!(other.target, scene.daemon().target);
    TcpStream::connect(other.portal).unwrap();
}

#[test]
fn names_and_serials_stay() {
    let mut scene = Scene::new();
    let target = scene.daemon().target.clone();
    let drives = |scene: &Scene| {
        scene.daemon().vtl(&["status", "--format", "json"]).done().json()["drives"].clone()
    };
    let before = drives(&scene);
    scene.take_daemon().stop();
    scene.start();
    assert_eq!((&scene.daemon().target, drives(&scene)), (&target, before));
}

#[test]
fn sigterm_and_sigint_end_it_in_order_with_a_session_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut scene = Scene::loaded();
        let mut session = scene.session("busy");
        session.write_block(&vec![5; 70_000]).good();
        let started = Instant::now();
        let (status, log) = scene.take_daemon().end(signal, Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        drop(session);
        // What was in the drive's buffer came to disk, and nothing was unloaded.
        scene.start();
        let mut session = scene.session("busy");
        session.run(1, &cdb::REWIND).good();
        assert!(session.read_block(70_000).good().data == vec![5; 70_000]);
    }
}

#[test]
fn doctor_looks_at_everything() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        let ran = vtl(&scene.data(), &["doctor", "--format", "json"]);
        let findings = ran.json();
        let checks: Vec<_> =
            findings.as_array().unwrap().iter().map(|row| row["check"].as_str().unwrap()).collect();
        assert_eq!(
            checks,
            [
                "configuration",
                "free space",
                "library",
                "drives",
                "cartridges",
                "copies",
                "policies",
                "physical drives",
                "ledger",
                "catalogue"
            ]
        );
        for finding in findings.as_array().unwrap() {
            // How much space there is, is the machine's business.
            assert!(finding["verdict"] == "ok" || finding["check"] == "free space", "{finding}");
        }
        if scene.data().join("control.sock").exists() {
            scene.take_daemon().stop();
        }
    }
    fs::write(scene.data().join("vtl.toml"), "[iscsi]\nlisten = 5\n").unwrap();
    let ran = vtl(&scene.data(), &["doctor", "--format", "json"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()[0]["verdict"], "problem");
}

#[test]
fn completions_and_the_manual_need_no_library() {
    let scene = Scene::new();
    let none = scene.beside("none");
    for shell in ["bash", "zsh", "fish"] {
        let ran = vtl(&none, &["completions", shell]).done();
        for word in ["inventory", "tape", "completions"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
    vtl(&none, &["completions", "abacus"]).ended(2);
    let manual = vtl(&none, &["man"]).done().stdout;
    assert!(manual.contains(".TH vtl") && manual.contains("inventory"), "{manual}");
    assert!(vtl(&none, &["--help"]).done().stdout.contains("inventory"));
    assert!(vtl(&none, &["--version"]).done().stdout.starts_with("vtl "));
    assert!(!none.exists());
}
