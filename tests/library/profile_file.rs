//! Hardware that is not built in, from a file.

use std::fs;

use vtl_tests::{Scene, tree};

use crate::{element_status, names, session, shown};

const FILE: &str = r#"[library]
name = "acme-x1"
like = "ibm-3573-tl"
vendor = "ACME"
product = "X1 Library"
revision = "1.00"
elements = { transport = 9, storage = 0x2000, import-export = 0x20, drive = 0x80 }
identifier = { form = "serial", length = 14, always = true }
drives = "acme-lto8"

[[library.pages]]
code = 0xc0
data = "08 c0 00 03 41 42 43"

[[drive]]
name = "acme-lto8"
like = "ibm-ult3580-td8"
vendor = "ACME"
product = "Ultra 8"
"#;

#[test]
fn a_library_of_a_file_answers_as_the_file_says() {
    let mut scene = Scene::new();
    let path = scene.beside("acme.toml");
    fs::write(&path, FILE).unwrap();
    let file = path.to_str().unwrap();
    let create = ["library", "create", "acme", "--profile", file, "--drives", "2", "--slots", "9"];
    scene.daemon().vtl(&create).done();
    let before = shown(scene.daemon(), "acme");
    // The file is kept: what the library is does not change with what becomes of it.
    fs::remove_file(&path).unwrap();
    for round in 0..2 {
        let daemon = scene.daemon();
        assert_eq!(shown(daemon, "acme"), before, "round {round}");
        let mut session = session(daemon, "acme");
        assert_eq!(names(&mut session, 0), "ACME    X1 Library      1.00");
        assert_eq!(names(&mut session, 1), "ACME    Ultra 8         PA41");
        let page = session.read_in(0, &[0x12, 1, 0xc0, 0, 255, 0], 255).good().data;
        assert_eq!(page, [0x08, 0xc0, 0, 3, b'A', b'B', b'C']);
        let drives = element_status(&mut session, 4, 0, 0xffff, 4096);
        assert_eq!(drives[16..18], [0x00, 0x80]);
        assert_eq!(drives[16 + 48..16 + 52], [2, 0, 0, 14]);
        session.logout();
        scene.take_daemon().stop();
        scene.start();
    }
    let listed = scene.daemon().vtl(&["profile", "list", "--format", "json"]).done().json();
    let is_ours = |row: &serde_json::Value| row["profile"] == "acme-x1";
    assert!(listed.as_array().unwrap().iter().any(is_ours));
    // By its name it can be used again.
    let again = ["library", "create", "acme2", "--profile", "acme-x1", "--drives", "acme-lto8:1"];
    scene.daemon().vtl(&[&again[..], &["--slots", "3"]].concat()).done();
}

#[test]
fn a_mistake_in_a_file_names_file_line_and_field_and_changes_nothing() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let before = tree(&scene.data());
    let path = scene.beside("acme.toml");
    for (from, to, says) in [
        ("\"ACME\"", "\"LONGER THAN 8\"", ["line 4", "vendor"]),
        ("0x20,", "0x2000,", ["line 7", "elements"]),
        ("41 42 43", "41 42", ["line 1", "data"]),
        ("like = \"ibm-ult", "like = \"ibn-ult", ["line 17", "like"]),
    ] {
        fs::write(&path, FILE.replacen(from, to, 1)).unwrap();
        let file = path.to_str().unwrap();
        let create =
            ["library", "create", "acme", "--profile", file, "--drives", "2", "--slots", "9"];
        let ran = vtl_tests::vtl(&scene.data(), &create).ended(2).says("acme.toml");
        says.iter().fold(ran, |ran, text| ran.says(text));
        vtl_tests::vtl(&scene.data(), &["profile", "show", file]).ended(2).says(says[1]);
    }
    let changed: Vec<_> = {
        let after = tree(&scene.data());
        let differs = |name: &&std::path::PathBuf| before.get(*name) != after.get(*name);
        after.keys().filter(differs).cloned().collect()
    };
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn two_files_cannot_mean_different_things_by_one_name() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    let path = scene.beside("acme.toml");
    let create = |name: &str| {
        let file = path.to_str().unwrap();
        daemon.vtl(&["library", "create", name, "--profile", file, "--drives", "2", "--slots", "9"])
    };
    fs::write(&path, FILE).unwrap();
    create("one").done();
    create("two").done();
    fs::write(&path, FILE.replace("X1 Library", "X2 Library")).unwrap();
    create("three").ended(2).says("acme-x1");
    // It is kept once, under a name that nobody has chosen.
    let kept: Vec<_> = tree(&scene.data().join("profiles")).into_iter().collect();
    let [_, (name, (mode, text))] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((*mode & 0o777, text.as_slice()), (0o600, FILE.as_bytes()));
    assert!(!name.to_string_lossy().contains("acme"), "{name:?}");
}
