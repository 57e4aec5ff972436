//! `vtl bench`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use vtl_tests::{Scene, binary, poll, tree, vtl};

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

#[test]
fn a_bench_says_how_fast_it_is_and_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let place = directory.path().to_str().unwrap();
    let arguments = ["--format", "json", "bench", "--directory", place, "--mib", "2"];
    let more = ["--rounds", "2", "--blocks", "64,1024"];
    // There need not be a library.
    let nowhere = directory.path().join("nowhere");
    let rows = vtl(&nowhere, &[&arguments[..], &more].concat()).done().json();
    let rows = rows.as_array().unwrap();
    let heads: Vec<_> = rows
        .iter()
        .map(|row| (row["block_kib"].as_u64().unwrap(), row["command"].as_str().unwrap()))
        .collect();
    let commands = ["WRITE", "READ", "LOCATE, READ"];
    let expected: Vec<_> =
        [64, 1024].into_iter().flat_map(|kib| commands.map(|command| (kib, command))).collect();
    assert_eq!(heads, expected);
    for row in rows {
        assert!(row["p50_us"].as_u64().unwrap() > 0, "{row}");
        assert!(row["p99_us"].as_u64() >= row["p50_us"].as_u64(), "{row}");
        let is_rate = row["command"] != "LOCATE, READ";
        for key in ["mb_s", "loopback_mb_s", "disk_mb_s", "of_loopback", "of_disk"] {
            assert_eq!(row[key].as_f64().is_some_and(|rate| rate > 0.0), is_rate, "{key} in {row}");
        }
    }
    assert!(is_empty(directory.path()));
}

#[test]
fn a_bench_touches_no_cartridge_of_the_library() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let before = tree(&scene.data());
    vtl(&scene.data(), &["bench", "--mib", "1", "--rounds", "1", "--blocks", "256"]).done();
    assert!(tree(&scene.data()) == before);
}

#[test]
fn a_bench_that_is_interrupted_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let mut child = Command::new(binary())
        .args(["bench", "--mib", "64", "--rounds", "1000", "--directory"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let limit = Duration::from_mins(1);
    let is_loaded = || {
        let made = directory.path().read_dir().unwrap().next()?.unwrap().path();
        made.join("yardstick").exists().then_some(())
    };
    poll("the first round", limit, is_loaded);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = poll("the end", limit, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
    assert!(is_empty(directory.path()));
}

#[test]
fn a_bench_that_does_not_fit_on_the_disk_is_refused() {
    let directory = TempDir::new().unwrap();
    let place = directory.path().to_str().unwrap();
    vtl(directory.path(), &["bench", "--directory", place, "--mib", "1073741824"])
        .ended(3)
        .says("--mib 536870912");
    vtl(directory.path(), &["bench", "--directory", "/nowhere/at/all"]).ended(4);
    assert!(is_empty(directory.path()));
}
