//! `vtl serve --user`.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use vtl_tests::{Daemon, Initiator, Login, Ran, binary, cdb, noise, vtl};

/// A number that no user of a machine has.
pub(crate) const UID: u32 = 54_321;
const USER: &str = "54321";

/// A directory that every user gets through, unlike those of [`vtl_tests::Scene`]; none without root.
pub(crate) fn place() -> Option<TempDir> {
    if !geteuid().is_root() {
        return None;
    }
    let place = TempDir::with_prefix("vtl-test-").unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    Some(place)
}

fn start(data: &Path) -> Daemon {
    Daemon::start_with(data, &["--listen", "127.0.0.1:0", "--user", USER])
        .unwrap_or_else(|ran| panic!("{ran:?}"))
}

#[track_caller]
fn refused(data: &Path, user: &str) -> Ran {
    match Daemon::start_with(data, &["--listen", "127.0.0.1:0", "--user", user]) {
        Ok(_) => panic!("it runs"),
        Err(ran) => ran.ended(1),
    }
}

fn session(daemon: &Daemon) -> Initiator {
    let mut session = Login::new(daemon.portal, &daemon.target, "identity").open();
    session.settle(0);
    session.settle(1);
    session
}

/// Every thread's, as Linux keeps users and capabilities for each.
fn assert_has_no_rights(pid: u32) {
    let tasks: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("status"))
        .collect();
    assert!(tasks.len() > 1, "{tasks:?}");
    for task in tasks {
        // A thread may have ended meanwhile.
        let Ok(status) = fs::read_to_string(&task) else { continue };
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} in {status}"))
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for name in ["Uid:", "Gid:"] {
            assert_eq!(line(name), [USER; 4], "{name}");
        }
        assert!(line("Groups:").is_empty(), "{status}");
        for name in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(line(name), ["0000000000000000"], "{name}");
        }
        assert_eq!(line("NoNewPrivs:"), ["1"]);
        assert_eq!(line("Umask:"), ["0077"]);
    }
}

fn assert_all_belong_to_the_user(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (UID, UID), "{}", path.display());
        assert_eq!(metadata.mode() & 0o077, 0, "{} {:o}", path.display(), metadata.mode());
        if metadata.is_dir() {
            assert_all_belong_to_the_user(&path);
        }
    }
}

#[test]
fn it_writes_reads_and_starts_again_without_any_right() {
    let Some(place) = place() else { return };
    let data = place.path().join("data");
    let block = noise(6, 70_000);
    let daemon = start(&data);
    assert_has_no_rights(daemon.pid());
    let metadata = fs::metadata(&data).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (UID, UID, 0o700));
    // Root may still ask it.
    daemon.vtl(&["load", "VTL001L9", "0"]).done();
    let mut writer = session(&daemon);
    writer.write_block(&block).good();
    writer.run(1, &cdb::write_filemarks(1)).good();
    drop(writer);
    daemon.stop();
    assert_all_belong_to_the_user(&data);
    let daemon = start(&data);
    assert_has_no_rights(daemon.pid());
    let mut reader = session(&daemon);
    reader.run(1, &cdb::REWIND).good();
    assert!(reader.read_block(70_000).good().data == block);
    assert_has_no_rights(daemon.pid());
    daemon.stop();
    assert_all_belong_to_the_user(&data);
}

/// Root's command line used to leave root's files in a directory whose daemon is somebody else; that daemon did not start any more.
#[test]
fn root_works_on_the_directory_as_its_owner() {
    let Some(place) = place() else { return };
    let data = place.path().join("data");
    start(&data).stop();
    vtl(&data, &["tape", "create", "--count", "2", "--type", "lto9"]).done();
    vtl(&data, &["doctor", "--format", "json"]);
    assert_all_belong_to_the_user(&data);
    start(&data).stop();
}

#[test]
fn nobody_else_can_look_into_the_process() {
    let Some(place) = place() else { return };
    let daemon = start(&place.path().join("data"));
    // Not even the same user.
    for name in ["mem", "maps", "environ", "fd"] {
        let path = format!("/proc/{}/{name}", daemon.pid());
        let mut reader = Command::new(if name == "fd" { "ls" } else { "cat" });
        let output = reader.arg(&path).uid(UID).gid(UID).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("Permission denied"), "{path}: {errors:?}");
    }
    // The bundle says so, and has all else.
    let copy = place.path().join("vtl");
    fs::copy(binary(), &copy).unwrap();
    let room = place.path().join("room");
    fs::create_dir(&room).unwrap();
    chown(&room, Some(UID), Some(UID)).unwrap();
    let bundle = room.join("bundle.tar");
    let output = Command::new(&copy)
        .arg("--data")
        .arg(daemon.directory())
        .args(["doctor", "--bundle"])
        .arg(&bundle)
        .uid(UID)
        .gid(UID)
        .output()
        .unwrap();
    Ran::from(output).done();
    let text = String::from_utf8_lossy(&fs::read(&bundle).unwrap()).into_owned();
    assert!(text.contains("only root may look into the daemon"));
    assert!(text.contains("Max open files"), "what everybody may read is there");
    daemon.stop();
}

#[test]
fn a_directory_of_somebody_else_is_refused_with_the_command_that_helps() {
    let Some(place) = place() else { return };
    let data = place.path().join("data");
    Daemon::start(&data).stop();
    let command = format!("chown -R {UID}:{UID} {}", data.display());
    refused(&data, USER).says(&command);
    // The directory alone is not enough.
    chown(&data, Some(UID), Some(UID)).unwrap();
    refused(&data, USER).says(&command);
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    start(&data).stop();
    // A link is not followed by root.
    let link = place.path().join("link");
    symlink(&data, &link).unwrap();
    refused(&link, USER).says("is no directory");
    for user in ["root", "0", "nobody-of-that-name", ""] {
        refused(&place.path().join("other"), user).says("user");
    }
    assert!(!place.path().join("other").exists());
}

#[test]
fn a_port_that_needs_root_is_taken_before_root_is_left() {
    let Some(place) = place() else { return };
    // One that is free: nothing is on most of these.
    let port = (600..1024).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let listen = format!("127.0.0.1:{port}");
    let data = place.path().join("data");
    let daemon = Daemon::start_with(&data, &["--listen", &listen, "--user", USER]).unwrap();
    assert_eq!(daemon.portal.port(), port);
    session(&daemon);
    let (status, log) = daemon.end(Signal::TERM, Duration::from_secs(20));
    assert!(status.success(), "{log}");
}

#[test]
fn only_root_becomes_somebody_else() {
    let Some(place) = place() else { return };
    let copy = place.path().join("vtl");
    fs::copy(binary(), &copy).unwrap();
    let output = Command::new(&copy)
        .arg("--data")
        .arg(place.path().join("data"))
        .args(["serve", "--listen", "127.0.0.1:0", "--user", "54322"])
        .uid(UID)
        .gid(UID)
        .output()
        .unwrap();
    Ran::from(output).ended(1).says("only root can become somebody else");
}

/// Whoever made the directory by hand made it for everybody to look into.
#[test]
fn a_directory_that_others_could_look_into_is_closed() {
    let place = TempDir::with_prefix("vtl-test-").unwrap();
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    // Whoever could write into it may have put something there: that is looked at by a person first.
    fs::set_permissions(&data, Permissions::from_mode(0o775)).unwrap();
    let refused = Daemon::start_with(&data, &["--listen", "127.0.0.1:0"]).unwrap_err();
    assert!(refused.code == Some(1) && refused.stderr.contains("chmod 0700"), "{refused:?}");
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    let daemon = Daemon::start(&data);
    assert_eq!(fs::metadata(&data).unwrap().mode() & 0o7777, 0o700);
    daemon.stop();
}
