//! The catalogue is only an index: it may be lost or damaged in any way.

use std::fs;
use std::path::{Path, PathBuf};

use vtl_tests::{Scene, cdb, noise};

#[test]
fn without_its_directory() {
    check(|catalogue, _| fs::remove_dir_all(catalogue).unwrap(), 1);
}

#[test]
fn with_its_directory_empty() {
    check(
        |catalogue, _| files(catalogue).iter().for_each(|path| fs::remove_file(path).unwrap()),
        1,
    );
}

#[test]
fn with_a_file_in_its_place() {
    let replace = |catalogue: &Path, _| {
        fs::remove_dir_all(catalogue).unwrap();
        fs::write(catalogue, "not a directory").unwrap();
    };
    check(replace, 1);
}

/// The database behind the catalogue may panic when it opens what it has not written; this must not end the program.
#[test]
fn scrambled() {
    let scramble = |catalogue: &Path, seed: u64| {
        for (path, number) in files(catalogue).iter().zip(0..) {
            let mut bytes = fs::read(path).unwrap();
            let places = noise(seed * 1000 + number, 64 * 4);
            for place in places.chunks_exact(4) {
                let at = u32::from_le_bytes(place.try_into().unwrap()) as usize;
                if let Some(length) = (!bytes.is_empty()).then_some(bytes.len()) {
                    bytes[at % length] ^= place[0] | 1;
                }
            }
            fs::write(path, bytes).unwrap();
        }
    };
    check(scramble, 6);
}

#[test]
fn replaced_by_noise() {
    let replace = |catalogue: &Path, seed: u64| {
        for path in files(catalogue) {
            let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
            fs::write(&path, noise(seed, length.min(1 << 20))).unwrap();
        }
    };
    check(replace, 2);
}

#[test]
fn truncated() {
    let truncate = |catalogue: &Path, seed: u64| {
        for path in files(catalogue) {
            let file = fs::File::options().write(true).open(&path).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length * seed / 5).unwrap();
        }
    };
    check(truncate, 5);
}

/// Makes a library with cartridges in all kinds of places and data on one; then, for each seed: damages the catalogue of
/// the stopped or killed daemon, starts it again and compares.
fn check(damage: impl Fn(&Path, u64), seeds: u64) {
    let mut scene = Scene::loaded();
    let daemon = scene.daemon();
    daemon.vtl(&["move", "VTL002L9", "mail:1"]).done();
    daemon.vtl(&["move", "VTL003L9", "shelf"]).done();
    daemon.vtl(&["tape", "create", "POOL01L8", "--type", "lto8", "--pool", "weekly"]).done();
    daemon.vtl(&["tape", "delete", "VTL020L9"]).done();
    let mut session = scene.session("writer");
    session.write_block(&[9; 12_345]).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    let before = inventory(&scene);
    assert_eq!(before.matches("\"barcode\"").count(), 21);
    for seed in 0..seeds {
        let daemon = scene.take_daemon();
        if seed % 2 == 0 {
            daemon.stop();
        } else {
            daemon.kill();
        }
        let catalogue = scene.data().join("catalogue");
        assert!(catalogue.is_dir(), "there is nothing to damage");
        damage(&catalogue, seed);
        scene.start();
        assert_eq!(inventory(&scene), before, "seed {seed}");
        scene.assert_serves();
        scene.daemon().vtl(&["catalog", "check"]).done();
    }
}

fn inventory(scene: &Scene) -> String {
    scene.daemon().vtl(&["inventory", "--format", "json"]).done().stdout
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
