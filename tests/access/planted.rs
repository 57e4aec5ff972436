//! What somebody plants in a data directory under the names that the program opens: nothing outside is read, written or removed.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use vtl_tests::{Daemon, Scene, cdb, copy_tree, noise, tree, vtl};

/// What is put in place of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    /// A symbolic link to something of somebody else's.
    Link,
    /// A symbolic link to nowhere, where a file would be made.
    Dangling,
    /// Another name of somebody else's file.
    HardLink,
    /// A pipe, which nobody ever writes to.
    Pipe,
    /// A directory in place of a file.
    Directory,
}

const ALL: [Planted; 5] =
    [Planted::Link, Planted::Dangling, Planted::HardLink, Planted::Pipe, Planted::Directory];

/// Puts it there in place of what is there.
fn plant(planted: Planted, at: &Path, outside: &Path) {
    let is_directory = at.is_dir();
    let _gone = if is_directory { fs::remove_dir_all(at) } else { fs::remove_file(at) };
    let theirs = outside.join(if is_directory { "room" } else { "file" });
    match planted {
        Planted::Link => symlink(theirs, at).unwrap(),
        Planted::Dangling => symlink(outside.join("nowhere"), at).unwrap(),
        Planted::HardLink if is_directory => symlink("..", at).unwrap(),
        Planted::HardLink => fs::hard_link(theirs, at).unwrap(),
        Planted::Pipe => mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
        Planted::Directory if is_directory => fs::write(at, "a file").unwrap(),
        Planted::Directory => fs::create_dir(at).unwrap(),
    }
}

/// Somebody else's things.
fn make_theirs(outside: &Path) {
    fs::create_dir_all(outside.join("room")).unwrap();
    fs::write(outside.join("room/file"), "theirs, in a room").unwrap();
    fs::write(outside.join("file"), "theirs").unwrap();
    File::open(outside.join("file")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn is_untouched(outside: &Path) -> bool {
    let file = outside.join("file");
    let is_same = |path: &str, text: &str| {
        fs::read_to_string(outside.join(path)).is_ok_and(|found| found == text)
    };
    is_same("file", "theirs")
        && is_same("room/file", "theirs, in a room")
        && fs::metadata(file).unwrap().modified().unwrap() == SystemTime::UNIX_EPOCH
        && fs::read_dir(outside.join("room")).unwrap().count() == 1
        && fs::symlink_metadata(outside.join("nowhere")).is_err()
}

/// A data directory with a cartridge that has been written on, and the names that the program opens in it.
fn written() -> (Scene, Vec<String>) {
    let mut scene = Scene::loaded();
    let mut session = scene.session("writer");
    session.write_block(&noise(1, 50_000)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    scene.daemon().vtl(&["access", "add", "iqn.2026-11.test:x", "--chap"]).done();
    let row = scene.daemon().vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json();
    let cartridge = format!("cartridges/{}", row[0]["uuid"].as_str().unwrap());
    scene.take_daemon().stop();
    let own = |path: &PathBuf| path.starts_with(&cartridge) || !path.starts_with("cartridges/");
    let names = tree(&scene.data()).into_keys().filter(own);
    let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
    let more = ["control.sock", "FORMAT.new", "secrets.toml.new", "profiles"].map(str::to_owned);
    let names = names.into_iter().filter(|name| !name.is_empty()).chain(more).collect();
    (scene, names)
}

#[test]
fn whatever_is_planted_under_a_name_leads_nowhere() {
    let (scene, names) = written();
    assert!(names.len() > 20, "{names:?}");
    let outside = scene.beside("outside");
    make_theirs(&outside);
    for name in &names {
        for planted in ALL {
            let what = format!("{planted:?} at {name}");
            let data = scene.beside("planted");
            copy_tree(&scene.data(), &data);
            plant(planted, &data.join(name), &outside);
            // It starts without what was planted, or says what is in the way; it never waits for a pipe.
            match Daemon::start_with(&data, &["--listen", "127.0.0.1:0"]) {
                Ok(daemon) => {
                    // A cartridge or the catalogue may be lost without the library; that which says what is true may not.
                    let is_the_truth = ["FORMAT", "lock", "vtl.toml", "secrets.toml"]
                        .contains(&name.as_str())
                        || name.starts_with("ledger");
                    assert!(!is_the_truth, "{what}");
                    for words in
                        [&["load", "VTL001L9", "0"][..], &["unload", "0"], &["verify", "VTL001L9"]]
                    {
                        let _whichever = daemon.vtl(words);
                    }
                    daemon.stop();
                }
                Err(ran) => {
                    let last = name.rsplit('/').next().unwrap();
                    assert!(ran.code == Some(1) && ran.stderr.contains(last), "{what}: {ran:?}");
                }
            }
            let _whichever = vtl(&data, &["tape", "delete", "VTL001L9", "--force"]);
            assert!(is_untouched(&outside), "{what}");
            fs::remove_dir_all(&data).unwrap();
        }
    }
}
