//! The control socket: whose it is from its first moment on, and what those can do who hold connections to it.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vtl_tests::{Daemon, Ran, Scene, Usage, binary};

use crate::user::{UID, place};

/// More than the daemon takes at once, so that some wait until others are thrown out.
const HOLDERS: usize = 100;
/// Two rounds of the daemon's limits (5 s for a request, 10 s for taking an answer), and a machine that is busy.
const TURN_LIMIT: Duration = Duration::from_mins(1);
const MAX_GROWTH_BYTES: u64 = 32 << 20;

/// The mode used to be changed behind the name's appearance.
#[test]
fn no_other_mode_is_ever_seen() {
    let place = TempDir::with_prefix("vtl-test-").unwrap();
    let data = place.path().join("data");
    for _ in 0..5 {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut modes = Vec::new();
                loop {
                    // Once more afterwards: this thread may have had no turn in between.
                    let is_last = is_over.load(Ordering::Relaxed);
                    if let Ok(metadata) = fs::symlink_metadata(data.join("control.sock")) {
                        modes.push(metadata.permissions().mode() & 0o777);
                        modes.dedup();
                    }
                    if is_last {
                        return modes;
                    }
                }
            });
            let daemon = Daemon::start_limited(&data, "umask 000");
            is_over.store(true, Ordering::Relaxed);
            let modes = watcher.join().unwrap();
            daemon.unwrap().stop();
            assert_eq!(modes, [0o600]);
        });
    }
}

#[test]
fn another_user_is_refused_even_where_the_files_let_him_in() {
    let Some(place) = place() else { return };
    let data = place.path().join("data");
    let daemon = Daemon::start(&data);
    let copy = place.path().join("vtl");
    fs::copy(binary(), &copy).unwrap();
    let status = |uid: u32| {
        let mut command = Command::new(&copy);
        command.arg("--data").arg(&data).arg("status").uid(uid).gid(uid);
        Ran::from(command.output().unwrap())
    };
    // As it is, he does not even see that there is one.
    status(UID).ended(4);
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    status(UID).ended(1).says("ermission denied");
    fs::set_permissions(data.join("control.sock"), Permissions::from_mode(0o777)).unwrap();
    status(UID).ended(3).says("only the owner of the library and root");
    status(0).done();
    daemon.stop();
}

fn connect(data: &Path) -> UnixStream {
    UnixStream::connect(data.join("control.sock")).unwrap()
}

/// Panics unless others get their turn while somebody holds these connections, and all is as before when they are gone.
fn held(mut hold: impl FnMut(&mut UnixStream)) {
    let scene = Scene::new();
    scene.daemon().vtl(&["status"]).done();
    let pid = scene.daemon().pid();
    let before = Usage::of(pid);
    let connections: Vec<UnixStream> = (0..HOLDERS)
        .map(|_| {
            let mut stream = connect(&scene.data());
            hold(&mut stream);
            stream
        })
        .collect();
    let started = Instant::now();
    scene.daemon().vtl(&["status"]).done();
    assert!(started.elapsed() < TURN_LIMIT, "{:?}", started.elapsed());
    // They are thrown out, although they are still held at this side.
    Usage::wait_back(pid, &before, MAX_GROWTH_BYTES, 64, TURN_LIMIT);
    drop(connections);
}

#[test]
fn silence_holds_nobody_up() {
    held(|_| ());
}

#[test]
fn half_a_head_holds_nobody_up() {
    held(|stream| stream.write_all(b"POST /api/request HTTP/1.1\r\nHost: v").unwrap());
}

#[test]
fn half_a_body_holds_nobody_up() {
    held(|stream| {
        let head = "POST /api/request HTTP/1.1\r\nHost: vtl\r\nContent-Type: application/json\r\n\
                    Content-Length: 1000000\r\n\r\n{\"operation\":";
        stream.write_all(head.as_bytes()).unwrap();
    });
}

#[test]
fn answers_that_are_not_taken_hold_nobody_up() {
    held(|stream| {
        stream.set_nonblocking(true).unwrap();
        let one = "GET /api/openapi.json HTTP/1.1\r\nHost: vtl\r\n\r\n";
        // Until it does not read on; what it answers stays where it is.
        match stream.write_all(one.repeat(1000).as_bytes()) {
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    });
}

#[test]
fn a_mebibyte_of_brackets_is_refused() {
    let mut scene = Scene::new();
    for (body, statuses) in [
        (format!("{{\"operation\":{}", "[".repeat((1 << 20) - 13)), ["400", "422"]),
        (format!("{{\"operation\":{}", "{\"a\":".repeat(200_000)), ["400", "422"]),
        ("[".repeat((1 << 20) + 1), ["413", "413"]),
    ] {
        let mut stream = connect(&scene.data());
        stream.set_read_timeout(Some(TURN_LIMIT)).unwrap();
        let head = format!(
            "POST /api/request HTTP/1.1\r\nHost: vtl\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A body that is too long is not taken to its end, and then the connection may be cut behind the answer.
        let sent = stream.write_all(body.as_bytes());
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(statuses.contains(&status.as_str()), "{text:?} {sent:?} {read:?}");
    }
    scene.assert_serves();
}
