//! A secret that everything is searched for afterwards (S8).

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Chap, Ran, Scene, hex, tree};

use crate::{AUTHENTICATION_FAILURE, assert_refused};

const SECRET: &str = "canary-7hR2kq9XvTzL4-Wm";
const TARGET_SECRET: &str = "canary-Jx3bN8uPd6Yc-Qf";

#[test]
fn secrets_are_in_their_file_and_nowhere_else() {
    let mut scene = Scene::new();
    let (file, target_file) = (scene.beside("secret"), scene.beside("target-secret"));
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    fs::write(&target_file, TARGET_SECRET).unwrap();
    let (file, target_file) =
        (file.to_str().unwrap().to_owned(), target_file.to_str().unwrap().to_owned());
    let login = scene.login("host");
    let name = login.name().to_owned();
    let mut said = Vec::new();
    let mut run = |arguments: &[&str]| {
        let ran: Ran = scene.daemon().vtl(arguments);
        said.push(format!("{arguments:?}: {}{}", ran.stdout, ran.stderr));
        ran
    };
    run(&[
        "access",
        "add",
        &name,
        "--chap",
        "--mutual",
        "--secret-file",
        &file,
        "--target-secret-file",
        &target_file,
    ])
    .done();
    let process = format!("/proc/{}", scene.daemon().pid());
    let mut chap = Chap::new(&name, SECRET);
    login.clone().with_chap(chap.clone()).open().logout();
    chap.target = Some((scene.daemon().target.clone(), TARGET_SECRET.to_owned()));
    let mut session = login.clone().with_chap(chap).open();
    session.settle(0);
    // A user who types the secret where the name belongs.
    assert_refused(&login.clone().with_chap(Chap::new(SECRET, SECRET)), AUTHENTICATION_FAILURE);
    assert_refused(
        &login.clone().with_chap(Chap::new(&name, TARGET_SECRET)),
        AUTHENTICATION_FAILURE,
    );
    assert_refused(&login, AUTHENTICATION_FAILURE);
    every_command(&name, &file, &target_file, |arguments| drop(run(arguments)));
    run(&["man"]);
    run(&["completions", "bash"]);
    said.push(lossy(&fs::read(format!("{process}/cmdline")).unwrap()));
    said.push(lossy(&fs::read(format!("{process}/environ")).unwrap()));
    session.logout();
    let (_, log) = scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    assert!(log.contains("login refused"), "{log}");
    said.push(log);
    for text in &said {
        assert_clean(text.as_bytes(), text.get(..60).unwrap_or(text));
    }
    let mut has_file = false;
    for (path, (_, content)) in tree(&scene.data()) {
        if path.to_str() == Some("secrets.toml") {
            has_file = lossy(&content).contains(SECRET) && lossy(&content).contains(TARGET_SECRET);
        } else {
            assert_clean(&content, path.to_str().unwrap());
        }
    }
    assert!(has_file, "the secrets are where they belong, so that the search was for something");
}

/// All commands that answer, in every form.
fn every_command(name: &str, file: &str, target_file: &str, mut run: impl FnMut(&[&str])) {
    for format in ["table", "json", "csv"] {
        for command in [
            &["access", "list"][..],
            &["access", "add", name, "--chap", "--mutual"],
            &["audit", "list"],
            &["audit", "verify"],
            &["status"],
            &["inventory"],
            &["library", "list"],
            &["library", "show", "library"],
            &["catalog", "check"],
            &["catalog", "rebuild"],
            &["trace", "changer"],
            &["trace", "drive:0"],
            &["tape", "show", "VTL001L9"],
            &["tape", "history", "VTL001L9"],
            &["snapshot", "list"],
            &["profile", "list"],
            &["doctor"],
            &["secret", "new"],
            &["access", "add", name, "--chap", "--mutual", "--secret-file", target_file],
            &["access", "add", name, "--chap", "--luns", "99", "--secret-file", file],
        ] {
            run(&[command, &["--format", format]].concat());
        }
    }
}

/// In text, in hexadecimal digits of both cases, and in Base64 at each of the three places that it can begin at.
fn assert_clean(bytes: &[u8], place: &str) {
    for secret in [SECRET, TARGET_SECRET] {
        let mut forms =
            vec![secret.to_owned(), hex(secret.as_bytes()), hex(secret.as_bytes()).to_uppercase()];
        // Whole groups of three bytes look the same whatever comes before.
        forms.extend((0..3).map(|skip| base64(&secret.as_bytes()[skip..skip + 15])));
        for form in forms {
            let is_there = bytes.windows(form.len()).any(|window| window == form.as_bytes());
            assert!(!is_there, "{form} is in {place}");
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 0x3f) as usize]))
        })
        .collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
