//! Logins over real TCP.

use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Chap, Scene, cdb};

use crate::{AUTHENTICATION_FAILURE, NOT_FOUND, add, assert_refused, secured};

#[test]
fn right_wrong_missing_and_unknown() {
    let mut scene = Scene::new();
    scene.session("host").logout();
    let right = secured(&scene, "host", &["--user", "backup"]);
    let Chap { secret, .. } = right.chap.clone().unwrap();
    let mut session = right.open();
    session.settle(0);
    session.logout();
    let plain = scene.login("host");
    assert_refused(&plain, AUTHENTICATION_FAILURE);
    assert_refused(
        &plain.clone().with_chap(Chap::new("backup", "wrong-8hT2mQx5Lz7")),
        AUTHENTICATION_FAILURE,
    );
    assert_refused(&plain.clone().with_chap(Chap::new("Backup", &secret)), AUTHENTICATION_FAILURE);
    for stranger in
        [scene.login("stranger"), scene.login("stranger").with_chap(Chap::new("backup", &secret))]
    {
        assert_refused(&stranger, AUTHENTICATION_FAILURE);
        assert_refused(&stranger.to("iqn.2026-07.test:none"), AUTHENTICATION_FAILURE);
    }
    // Only behind the proof is there a difference between targets.
    assert_refused(&right.clone().to("iqn.2026-07.test:none"), NOT_FOUND);
    let (_, log) = scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("login refused")).collect();
    assert_eq!(lines.len(), 8, "{log}");
    for line in &lines {
        assert!(line.contains("iqn.2026-07.test:") && line.contains("peer=\"127.0.0.1:"), "{line}");
    }
    assert!(log.contains("wrong user name or secret") && log.contains("chap=\"MD5\""), "{log}");
    assert!(!log.contains(&secret), "the secret is in the log");
}

#[test]
fn the_target_proves_itself() {
    let scene = Scene::new();
    let login = scene.login("host");
    let answer = add(&scene, &login, &["--chap", "--mutual", "--format", "json"]).done().json();
    let text = |key: &str| answer[key].as_str().unwrap().to_owned();
    assert_eq!(text("user"), login.name());
    let mut chap = Chap::new(&text("user"), &text("secret"));
    login.clone().with_chap(chap.clone()).open().logout();
    chap.target = Some((text("target_user"), text("target_secret")));
    login.clone().with_chap(chap).open().logout();
    // Without --mutual there is no proof to be had.
    add(&scene, &login, &["--chap"]).done();
    let mut chap = Chap::new(&text("user"), &text("secret"));
    chap.target = Some((text("target_user"), text("target_secret")));
    assert_refused(&login.with_chap(chap), AUTHENTICATION_FAILURE);
}

#[test]
fn without_chap_a_name_is_enough_on_loopback() {
    let scene = Scene::new();
    let host = scene.login("host");
    add(&scene, &host, &[]).done();
    host.open().logout();
    assert_refused(&scene.login("stranger"), NOT_FOUND);
    // The name in another case is the same name.
    scene.daemon().vtl(&["access", "add", "IQN.2026-07.TEST:OTHER"]).done();
    scene.login("other").open().logout();
    let removed = scene.daemon().vtl(&["access", "remove", host.name(), "--format", "json"]).done();
    assert_eq!(removed.json()["admits_everybody"], false);
    assert_refused(&host, NOT_FOUND);
    let removed =
        scene.daemon().vtl(&["access", "remove", "iqn.2026-07.test:other", "--format", "json"]);
    assert_eq!(removed.done().json()["admits_everybody"], true);
    scene.login("stranger").open().logout();
}

#[test]
fn a_rule_is_for_one_library_or_for_all() {
    let scene = Scene::new();
    let create =
        ["library", "create", "second", "--drives", "1", "--slots", "4", "--format", "json"];
    let created = scene.daemon().vtl(&create).done().json();
    let second = created["target"].as_str().unwrap().to_owned();
    let login = secured(&scene, "host", &["--library", "second"]);
    assert_refused(&login, NOT_FOUND);
    let mut session = login.clone().to(&second).open();
    let luns = session.read_in(0, &cdb::report_luns(255), 255).good();
    assert_eq!(luns.data[..4], [0, 0, 0, 16]);
    session.logout();
    // A rule for all the others beside it, which shows less.
    add(&scene, &login, &["--chap", "--luns", "0"]).done();
    let mut session = login.open();
    let luns = session.read_in(0, &cdb::report_luns(255), 255).good();
    assert_eq!(luns.data[..4], [0, 0, 0, 8]);
    let rows = scene.daemon().vtl(&["access", "list", "--format", "json"]).done().json();
    assert_eq!((rows[0]["library"].is_null(), rows[1]["library"].as_str()), (true, Some("second")));
}
