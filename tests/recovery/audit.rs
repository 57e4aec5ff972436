//! The ledger, taken to where nobody here can change it.

use std::fs;
use std::path::Path;

use vtl_tests::{Scene, vtl};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A ledger that is whole in itself may still be an old one: somebody has put a copy of the data directory back.
#[test]
fn an_old_data_directory_that_is_put_back_is_found_by_an_export() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let old = scene.beside("old");
    copy(&scene.data(), &old);
    let run = |arguments: &[&str]| vtl(&scene.data(), arguments);
    run(&["tape", "delete", "VTL003L9"]).done();
    let file = scene.beside("ledger.json");
    let path = file.to_str().unwrap();
    let exported = run(&["audit", "export", "--output", path, "--format", "json"]).done().json();
    run(&["audit", "export", "--output", path]).ended(2).says("ledger.json");
    let said = run(&["receipt", "verify", path, "--format", "json"]).done().json();
    assert_eq!(
        (&said["about"], &said["content"]["entry"]),
        (&"audit".into(), &exported["entries"])
    );
    // It goes on, and the export stays true.
    run(&["tape", "delete", "VTL004L9"]).done();
    let whole = run(&["audit", "verify", "--against", path, "--format", "json"]).done().json();
    assert_eq!(whole["checkpoints"], 1);
    // Only the ledger and what is derived from it is put back; the keys stay, as they are of an earlier day.
    for name in ["ledger", "catalogue"] {
        let at = scene.data().join(name);
        if at.exists() {
            fs::remove_dir_all(&at).unwrap();
            copy(&old.join(name), &at);
        }
    }
    run(&["audit", "verify"]).done();
    run(&["audit", "verify", "--against", path]).ended(5).says("put back");
    // And it does not help to let it grow again.
    for barcode in ["VTL007L9", "VTL008L9", "VTL009L9"] {
        run(&["tape", "delete", barcode]).done();
    }
    run(&["audit", "verify", "--against", path]).ended(5).says("another one");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("VTL003L9", "VTL003L8", 1)).unwrap();
    run(&["audit", "verify", "--against", path]).ended(5).says("ALTERED");
}
