//! `vtl explain`, `vtl trace` and `vtl selftest`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;
use vtl_tests::{Scene, binary, cdb, vtl};

const NOWHERE: &str = "/nowhere/at/all";

#[test]
fn explain_needs_no_library() {
    let nowhere = Path::new(NOWHERE);
    let ran = vtl(nowhere, &["explain", "5/24/00"]).done();
    assert!(ran.stdout.contains("Invalid field in CDB"), "{}", ran.stdout);
    let sense = "70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 c9 00 04";
    let words: Vec<_> =
        ["--format", "json", "explain"].into_iter().chain(sense.split(' ')).collect();
    let value = vtl(nowhere, &words).done().json();
    assert_eq!(
        (value["sense"].as_str(), value["field"].as_str()),
        (Some("5/24/00"), Some("byte 4 bit 1 of the CDB"))
    );
    let log = "st 3:0:0:1: [st0] Sense Key : Data Protect [current] ASC=74 ASCQ=1";
    let value = vtl(nowhere, &["--format", "json", "explain", log]).done().json();
    assert_eq!(value["condition"], "Unable to decrypt data");
    assert!(value["next"].as_str().unwrap().contains("set it"), "{value}");
    let value = vtl(nowhere, &["--format", "json", "explain", "08 02 01 00 00 00"]).done().json();
    assert_eq!(value["command"], "READ(6)");
    assert_eq!(value["fields"]["TRANSFER LENGTH"], 65536);
    vtl(nowhere, &["explain", "gibberish"]).ended(2).says("neither sense data");
    vtl(nowhere, &["explain"]).ended(2);
}

#[test]
fn trace_says_what_was_asked_and_why_it_failed() {
    let scene = Scene::loaded();
    let mut session = scene.session("traced");
    session.write_block(&[7; 1000]).good();
    session.run(1, &[0x01, 0x80, 0, 0, 0, 0]).sense(5, 0x24, 0);
    session.run(1, &cdb::REWIND).good();
    let trace = |more: &[&str]| {
        let arguments = [&["--format", "json", "trace"], more].concat();
        scene.daemon().vtl(&arguments).done().json()
    };
    let all = trace(&["drive:0"]);
    let rows = all["commands"].as_array().unwrap();
    let write = rows.iter().find(|row| row["command"] == "WRITE(6) TRANSFER LENGTH=1000").unwrap();
    assert_eq!((&write["status"], &write["barcode"]), (&"GOOD".into(), &"VTL001L9".into()));
    assert_eq!((&write["before"]["object"], &write["after"]["object"]), (&0.into(), &1.into()));
    assert!(write["initiator"].as_str().unwrap().contains("traced"), "{write}");
    assert_eq!(rows.last().unwrap()["command"], "REWIND");
    assert_eq!(trace(&["1", "--count", "1"])["commands"].as_array().unwrap().len(), 1);
    let failures = trace(&["drive:0", "--failures"]);
    let failed = failures["commands"].as_array().unwrap();
    assert_eq!(failed.len(), 1, "{failures}");
    assert_eq!(
        failed[0]["sense"],
        "5/24/00 ILLEGAL REQUEST: Invalid field in CDB, byte 1 bit 7 of the CDB"
    );
    let line = scene.daemon().vtl(&["trace", "1", "--failures"]).done().stdout;
    for word in ["REWIND", "traced", "VTL001L9", "object 1", "5/24/00"] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    let status = scene.daemon().vtl(&["--format", "json", "status"]).done().json();
    assert!(status["drives"][0]["last_failure"].as_str().unwrap().contains("5/24/00"), "{status}");
    assert!(status["drives"][1]["last_failure"].is_null());
    let changer = trace(&["changer"]);
    assert!(
        changer["commands"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["command"] == "TEST UNIT READY")
    );
    let quiet = scene.daemon().vtl(&["trace", "drive:3", "--failures"]).done().stdout;
    assert!(quiet.contains("no command has failed"), "an empty answer looks like a broken one");
    // The port that was asked for was 0: what it became is of interest.
    let portal = scene.daemon().portal.to_string();
    assert_eq!(status["portal"], portal.as_str());
    let findings = scene.daemon().vtl(&["doctor", "--format", "json"]).done().json();
    assert!(findings[0]["finding"].as_str().unwrap().contains(&portal), "{findings}");
    scene.daemon().vtl(&["trace", "99"]).ended(4);
    scene.daemon().vtl(&["trace", "drive:x"]).ended(2);
    scene.daemon().vtl(&["trace", "1", "--library", "nobody"]).ended(4);
}

/// Keys pass through SECURITY PROTOCOL OUT as data, of which nothing may be kept or shown.
#[test]
fn a_trace_never_shows_a_key() {
    let scene = Scene::loaded();
    let mut session = scene.session("secret");
    let key = [0xc3, 0x5e].repeat(16);
    let mut page = vec![0x00, 0x10, 0, 48, 0x40, 0, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    page.extend(&key);
    let length = u8::try_from(page.len()).unwrap();
    session.write_out(1, &[0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length, 0, 0], &page).good();
    for format in ["json", "csv", "table"] {
        let shown = scene.daemon().vtl(&["--format", format, "trace", "1"]).done().stdout;
        assert!(shown.contains("SECURITY PROTOCOL OUT"), "{shown}");
        let digits: String = shown.chars().filter(char::is_ascii_hexdigit).collect();
        assert!(!digits.to_lowercase().contains("c35ec35e"), "{shown}");
    }
}

#[test]
fn a_trace_that_is_followed_shows_what_comes() {
    let scene = Scene::loaded();
    let mut session = scene.session("followed");
    let mut child = Command::new(binary())
        .arg("--data")
        .arg(scene.data())
        .args(["--format", "json", "trace", "1", "--follow", "--count", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, inbox) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let limit = Duration::from_mins(1);
    // What was there before comes first, so that it is certain that the rest came while it was followed.
    inbox.recv_timeout(limit).unwrap();
    session.run(1, &[0x19, 0x80, 0, 0, 0, 0]).sense(5, 0x24, 0);
    let line = loop {
        let line = inbox.recv_timeout(limit).unwrap();
        if line.contains("ERASE(6)") {
            break line;
        }
    };
    let row: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(row["failed"], true);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
}

#[test]
fn a_trace_needs_a_daemon() {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    vtl(&scene.data(), &["trace", "1"]).ended(1).says("no daemon runs");
}

#[test]
fn a_selftest_finds_nothing_wrong_and_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let place = directory.path().to_str().unwrap();
    let nowhere = Path::new(NOWHERE);
    let arguments = ["--format", "json", "selftest", "--directory", place];
    for models in [
        &["--library-profile", "hp-msl-g3", "--drive-profile", "hpe-ultrium-9"][..],
        &["--library-profile", "stk-l700", "--drive-profile", "ibm-ult3580-td5"],
    ] {
        let rows = vtl(nowhere, &[&arguments[..], models].concat()).done().json();
        let rows = rows.as_array().unwrap();
        for client in ["st", "bacula", "amanda", "ltfs", "proxmox", "netbackup"] {
            let own = rows.iter().filter(|row| row["profile"] == client);
            assert!(own.count() > 8, "{client}");
        }
    }
    let one = [&arguments[..], &["--profile", "st"]].concat();
    let rows = vtl(nowhere, &one).done().json();
    assert!(rows.as_array().unwrap().iter().all(|row| row["profile"] == "st"));
    vtl(nowhere, &[&arguments[..], &["--drive-profile", "nothing"]].concat()).ended(2);
    assert!(directory.path().read_dir().unwrap().next().is_none());
}
