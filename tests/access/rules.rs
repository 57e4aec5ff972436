//! Rules: that they stay, that they take effect at once, and which are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Chap, Daemon, Scene, cdb, vtl};

use crate::{AUTHENTICATION_FAILURE, add, assert_refused, secured};

#[test]
fn rules_and_secrets_outlive_the_program_however_it_ends() {
    let mut scene = Scene::new();
    let login = secured(&scene, "host", &["--luns", "0,2"]);
    let shown = scene.daemon().vtl(&["access", "list", "--format", "json"]).done().stdout;
    let check = |scene: &Scene| {
        assert_eq!(
            scene.daemon().vtl(&["access", "list", "--format", "json"]).done().stdout,
            shown
        );
        // The port is another one after each start.
        let again = scene.login("host").with_chap(login.chap.clone().unwrap());
        again.open().logout();
        assert_refused(&scene.login("host"), AUTHENTICATION_FAILURE);
        assert_refused(&scene.login("stranger"), AUTHENTICATION_FAILURE);
    };
    check(&scene);
    scene.take_daemon().kill();
    scene.start();
    check(&scene);
    scene.take_daemon().stop();
    fs::remove_dir_all(scene.data().join("catalogue")).unwrap();
    // Without a daemon the command line says the same.
    assert_eq!(vtl(&scene.data(), &["access", "list", "--format", "json"]).done().stdout, shown);
    scene.start();
    check(&scene);
    let audit = scene.daemon().vtl(&["audit", "list", "--format", "json"]).done().stdout;
    assert!(audit.contains("access_granted") && audit.contains("cli uid"), "{audit}");
    scene.daemon().vtl(&["access", "remove", login.name()]).done();
    scene.take_daemon().kill();
    scene.start();
    assert_eq!(
        scene.daemon().vtl(&["access", "list", "--format", "json"]).done().json(),
        serde_json::json!([])
    );
    let audit = scene.daemon().vtl(&["audit", "list", "--format", "json"]).done().stdout;
    assert!(audit.contains("access_revoked"), "{audit}");
    assert!(!fs::read_to_string(scene.data().join("secrets.toml")).unwrap().contains(login.name()));
}

#[test]
fn a_change_ends_the_sessions_that_it_shuts_out_or_narrows_and_no_others() {
    let scene = Scene::new();
    let host = secured(&scene, "host", &[]);
    let other = secured(&scene, "other", &[]);
    let mut bystander = other.open();
    bystander.settle(0);
    let narrower = [
        vec!["--luns", "0-2"],
        vec!["--luns", "0-2", "--read-only"],
        vec!["--luns", "1", "--read-only"],
    ];
    for arguments in narrower {
        let mut session = host.open();
        session.settle(1);
        add(&scene, &host, &[&["--chap"][..], &arguments].concat()).done();
        assert!(session.wire.expect_closed().is_empty(), "{arguments:?}");
    }
    // Wider: the session goes on, and can do more from now on.
    let mut session = host.open();
    session.settle(1);
    assert_eq!(session.read_in(1, &cdb::report_luns(255), 255).good().data[..4], [0, 0, 0, 8]);
    add(&scene, &host, &["--chap", "--luns", "0-1"]).done();
    assert_eq!(session.read_in(1, &cdb::report_luns(255), 255).good().data[..4], [0, 0, 0, 16]);
    session.settle(0);
    // A new secret: whoever has the old one is out.
    let made =
        scene.daemon().vtl(&["secret", "new", host.name(), "--format", "json"]).done().json();
    assert!(session.wire.expect_closed().is_empty());
    assert_refused(&host, AUTHENTICATION_FAILURE);
    let host = host.clone().with_chap(Chap::new(host.name(), made["secret"].as_str().unwrap()));
    let mut session = host.open();
    session.settle(0);
    scene.daemon().vtl(&["access", "remove", host.name()]).done();
    assert!(session.wire.expect_closed().is_empty());
    assert_refused(&host, AUTHENTICATION_FAILURE);
    bystander.run(0, &cdb::TEST_UNIT_READY).good();
    bystander.logout();
}

/// A login that had begun with the old secret once came to its end after that was replaced: whoever had stolen it could keep a
/// login waiting, and answer the challenge when he was believed to be shut out.
#[test]
fn a_secret_that_is_replaced_does_not_finish_a_login() {
    let scene = Scene::new();
    let old = secured(&scene, "host", &[]);
    let name = old.name().to_owned();
    let replace = || drop(scene.daemon().vtl(&["secret", "new", &name]).done());
    assert!(old.try_open_after(replace).is_err());
    let old = secured(&scene, "other", &[]);
    let name = old.name().to_owned();
    let add_again = || {
        scene.daemon().vtl(&["access", "remove", &name]).done();
        scene.daemon().vtl(&["access", "add", &name, "--chap"]).done();
    };
    assert!(old.try_open_after(add_again).is_err());
    assert_refused(&old, AUTHENTICATION_FAILURE);
}

/// The first rule shuts out those who were let in without one.
#[test]
fn the_first_rule_ends_the_sessions_of_strangers() {
    let scene = Scene::new();
    let mut stranger = scene.login("stranger").open();
    stranger.settle(0);
    secured(&scene, "host", &[]);
    assert!(stranger.wire.expect_closed().is_empty());
    assert_refused(&scene.login("stranger"), AUTHENTICATION_FAILURE);
}

#[test]
fn secrets_and_rules_that_are_no_good_are_refused() {
    let scene = Scene::new();
    let host = scene.login("host");
    let file = scene.beside("secret");
    let path = file.to_str().unwrap();
    for weak in [
        "short",
        "aaaaaaaaaaaaaaaa",
        "123456789012",
        "iqn.2026-07.test:host",
        "",
        "two\nlines-of-text",
    ] {
        fs::write(&file, weak).unwrap();
        let ran = add(&scene, &host, &["--chap", "--secret-file", path]).ended(2);
        assert!(
            weak.is_empty() || !ran.stderr.contains(weak) || weak.starts_with("short"),
            "{ran:?}"
        );
    }
    fs::write(&file, "7hR2kq9XvTzL4\r\n").unwrap();
    let same = ["--chap", "--mutual", "--secret-file", path, "--target-secret-file", path];
    add(&scene, &host, &same).ended(2).says("must differ");
    for wrong in [
        &["--mutual"][..],
        &["--user", "x"],
        &["--secret-file", path],
        &["--chap", "--secret", "7hR2kq9XvTzL4"],
        &["--luns", "0,5"],
        &["--luns", "1-"],
        &["--chap", "--user", ""],
    ] {
        add(&scene, &host, wrong).ended(2);
    }
    add(&scene, &host, &["--library", "nowhere"]).ended(4);
    scene.daemon().vtl(&["access", "add", "host"]).ended(2);
    scene.daemon().vtl(&["access", "remove", host.name()]).ended(4);
    assert_eq!(
        scene.daemon().vtl(&["access", "list", "--format", "json"]).done().json(),
        serde_json::json!([])
    );
    scene.login("anybody").open().logout();
    // The good one is taken as it is, and not shown.
    let ran = add(&scene, &host, &["--chap", "--secret-file", path]).done();
    assert!(!ran.stdout.contains("7hR2kq9XvTzL4"));
    host.with_chap(Chap::new("iqn.2026-07.test:host", "7hR2kq9XvTzL4")).open().logout();
}

#[test]
fn a_secrets_file_that_others_can_read_is_not_used() {
    let mut scene = Scene::new();
    secured(&scene, "host", &[]);
    let path = scene.data().join("secrets.toml");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    scene.take_daemon().stop();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = Daemon::start_with(&scene.data(), &["--listen", "127.0.0.1:0"]).unwrap_err();
    ran.ended(1).says("chmod 600");
    vtl(&scene.data(), &["secret", "new", "iqn.2026-07.test:host"]).ended(1).says("chmod 600");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    scene.start();
}

/// Nobody is let in from outside by accident (S1).
#[test]
fn an_address_outside_needs_rules_with_chap() {
    let mut scene = Scene::new();
    let host = scene.login("host");
    let refused = |scene: &Scene| {
        let ran = Daemon::start_with(&scene.data(), &["--listen", "0.0.0.0:0"]).unwrap_err();
        ran.ended(1)
    };
    add(&scene, &host, &[]).done();
    let (status, _) = scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    assert!(status.success());
    refused(&scene).says(host.name());
    vtl(&scene.data(), &["access", "add", host.name(), "--chap"]).done();
    vtl(&scene.data(), &["access", "add", "iqn.2026-07.test:other"]).done();
    refused(&scene).says("iqn.2026-07.test:other");
    vtl(&scene.data(), &["access", "remove", "iqn.2026-07.test:other"]).done();
    vtl(&scene.data(), &["access", "remove", host.name()]).done();
    refused(&scene).says("not a loopback address");
}
