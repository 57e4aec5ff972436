//! Who may log in, what he sees, and what nobody may ever see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod canary;
mod login;
mod luns;
mod planted;
mod read_only;
mod rules;

use vtl_tests::{Chap, Login, Ran, Scene};

/// The login of an initiator with the secret that was made for it.
fn secured(scene: &Scene, name: &str, arguments: &[&str]) -> Login {
    let login = scene.login(name);
    let answer =
        add(scene, &login, &[&["--chap", "--format", "json"], arguments].concat()).done().json();
    let secret = answer["secret"].as_str().expect("a new secret is shown");
    let user = answer["user"].as_str().unwrap();
    login.with_chap(Chap::new(user, secret))
}

fn add(scene: &Scene, login: &Login, arguments: &[&str]) -> Ran {
    scene.daemon().vtl(&[&["access", "add", login.name()], arguments].concat())
}

/// Panics unless a login ends with this status.
#[track_caller]
fn assert_refused(login: &Login, status: &str) {
    match login.try_open() {
        Ok(_) => panic!("{} is let in", login.name()),
        Err(error) => assert_eq!(error.to_string(), format!("login status {status}")),
    }
}

const AUTHENTICATION_FAILURE: &str = "[02, 01]";
const NOT_FOUND: &str = "[02, 03]";
