//! `vtl init --small`: what it makes is what it says, and what is there is left as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use vtl_tests::{Daemon, Scene, vtl};

/// Every file below, with its length: to see that nothing was changed.
fn files(directory: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        all.push((entry.path().display().to_string(), entry.metadata().unwrap().len()));
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(&entry.path()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_small_library_is_made_once_and_runs_as_it_was_said() {
    let beside = tempfile::tempdir().unwrap();
    let data = beside.path().join("library");
    let made = vtl(&data, &["init", "--small", "--format", "json"]).done().json();
    assert_eq!(
        (&made["listen"], &made["initiators"]),
        (&"127.0.0.1:3260".into(), &serde_json::json!([]))
    );
    assert_eq!(made["next"].as_array().unwrap().len(), 3);
    for name in ["runbook.pdf", "runbook.md", "read-cartridge", "vtl.toml"] {
        assert!(data.join(name).is_file(), "{name}");
    }
    // The rules are in force, and the daemon takes all of it.
    let daemon = Daemon::start(&data);
    assert_eq!(daemon.target, made["target"].as_str().unwrap());
    let planned = daemon.vtl(&["drill", "list", "--format", "json"]).done().json();
    assert_eq!((&planned[0]["group"], &planned[0]["level"]), (&"everything".into(), &3.into()));
    assert_eq!(planned[0]["result"], "planned");
    daemon.vtl(&["load", "VTL001L9", "0"]).done();
    daemon.vtl(&["unload", "0"]).done();
    daemon.stop();
    let before = files(&data);
    let again = vtl(&data, &["init", "--small"]).ended(3);
    assert!(again.stderr.contains("is a library already"), "{again:?}");
    assert_eq!(files(&data), before);
    let other = beside.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "mine").unwrap();
    vtl(&other, &["init", "--small"]).ended(3).says("letter.txt");
    assert_eq!(files(&other).len(), 1);
    vtl(&other, &["init"]).ended(2);
}

#[test]
fn from_outside_nobody_is_let_in_who_does_not_prove_who_he_is() {
    let beside = tempfile::tempdir().unwrap();
    let data = beside.path().join("library");
    let open = ["init", "--small", "--listen", "0.0.0.0:0", "--format", "json"];
    vtl(&data, &open).ended(2).says("--initiator");
    vtl(&data, &[&open[..], &["--initiator", "somebody"]].concat())
        .ended(2)
        .says("no name of an initiator");
    assert!(!data.exists(), "nothing was made");
    let name = "iqn.2026-11.test:backup";
    let made = vtl(&data, &[&open[..], &["--initiator", name]].concat()).done().json();
    let secret = made["initiators"][0]["secret"].as_str().unwrap();
    assert!(secret.len() >= 12, "{made}");
    let daemon = Daemon::start(&data);
    let rules = daemon.vtl(&["access", "list", "--format", "json"]).done().json();
    assert_eq!(
        (&rules[0]["initiator"], &rules[0]["chap"], &rules[0]["has_secret"]),
        (&name.into(), &true.into(), &true.into())
    );
    let planned = daemon.vtl(&["drill", "list", "--format", "json"]).done().json();
    assert_eq!(planned[0]["level"], 3, "a drill needs no secret to log in");
    for file in ["runbook.md", "vtl.toml"] {
        assert!(!fs::read_to_string(data.join(file)).unwrap().contains(secret), "{file}");
    }
    daemon.stop();
}

/// What is on paper has to be what is in the file: a PDF that is cut off, or has a font that nobody has, is found when it is needed.
#[test]
fn a_runbook_on_paper_says_what_the_one_in_the_file_says() {
    let scene = Scene::new();
    scene.daemon().vtl(&["group", "create", "büro", "VTL00*"]).done();
    let (pdf, reader) = (scene.beside("book.pdf"), scene.beside("reader"));
    let options = ["--output", pdf.to_str().unwrap(), "--reader", reader.to_str().unwrap()];
    scene.daemon().vtl(&[&["runbook", "büro"], &options[..]].concat()).done();
    let bytes = fs::read(&pdf).unwrap();
    assert!(bytes.starts_with(b"%PDF-") && bytes.trim_ascii_end().ends_with(b"%%EOF"));
    let has = |what: &str| bytes.windows(what.len()).any(|window| window == what.as_bytes());
    assert!(has("VTL009L9") && has("4. There is no program any more") && has("page 1 of "));
    let listed = Command::new("python3").arg(&reader).output().unwrap();
    assert!(
        !listed.status.success() && !listed.stderr.is_empty(),
        "it says how it is used: {listed:?}"
    );
    match Command::new("pdftotext").arg("-layout").arg(&pdf).arg("-").output() {
        Err(error) => eprintln!("not compared: pdftotext: {error}"),
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            for needed in [
                "How to get `büro` back",
                "| VTL001L9 |",
                reader.to_str().unwrap(),
                "catalog rebuild",
            ] {
                assert!(text.contains(needed), "{needed} is not in {text}");
            }
        }
    }
    // It takes the place of nothing.
    scene.daemon().vtl(&["runbook", "büro", "--output", pdf.to_str().unwrap()]).ended(2);
}
