//! `vtl doctor --bundle`: what a bug report needs is in it, and nothing that is anybody's business.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use vtl_tests::{Scene, cdb, noise, vtl};

/// A secret as it may lie in a file or go over a wire.
const SECRET: &str = "canary-secret-8c1f5a";
const NOTE: &str = "canary-note-77d02e";

/// The parts by name.
fn parts(path: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let part = |entry: std::io::Result<tar::Entry<'_, File>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().strip_prefix("vtl-bundle").unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name, text)
    };
    archive.entries().unwrap().map(part).collect()
}

fn json(parts: &BTreeMap<String, String>, name: &str) -> Value {
    serde_json::from_str(&parts[name]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}

/// Panics if the bytes are in the file, as they are or in hexadecimal digits.
fn assert_absent(bundle: &Path, wanted: &[u8]) {
    let all = fs::read(bundle).unwrap();
    let lower = String::from_utf8_lossy(&all).to_lowercase().replace([' ', ':', ','], "");
    assert!(!all.windows(wanted.len()).any(|window| window == wanted), "{}", hex(wanted));
    assert!(!lower.contains(&hex(wanted)), "{}", hex(wanted));
}

#[test]
fn a_bundle_has_what_is_needed_and_no_key_no_secret_and_no_data() {
    let scene = Scene::loaded();
    let data = scene.data();
    let mut session = scene.session("bundle");
    // A key with its name (key-associated data), an attribute with a text, a block in the clear, one that is encrypted.
    let (key, block, sealed) = (noise(71, 32), noise(72, 5000), noise(73, 5000));
    session.write_block(&block).good();
    let mut page = vec![0x00, 0x10, 0, 0, 0x40, 0x40, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32];
    page.extend(&key);
    let name = b"canary-key-name";
    page.extend([0x00, 0x00, 0x00, u8::try_from(name.len()).unwrap()]);
    page.extend(name);
    let length = u8::try_from(page.len() - 4).unwrap();
    page[3] = length;
    let cdb = [0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length + 4, 0, 0];
    session.write_out(1, &cdb, &page).good();
    session.write_block(&sealed).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    // User medium text label, 160 bytes, text.
    let mut attribute = vec![0, 0, 0, 165, 0x08, 0x03, 0x02, 0x00, 160];
    attribute.extend(format!("{NOTE:<160}").bytes());
    let cdb = [0x8d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 169, 0, 0];
    session.write_out(1, &cdb, &attribute).good();
    // Something that fails, and is to be found again.
    session.run(1, &[0x1d, 0xff, 0, 0, 0, 0]);
    // A secret of CHAP, and one where an administrator may have put it.
    let file = scene.beside("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let rule = ["access", "add", "iqn.2026-11.test:chap", "--chap", "--secret-file"];
    scene.daemon().vtl(&[&rule[..], &[file.to_str().unwrap()]].concat()).done();
    let config = fs::read_to_string(data.join("vtl.toml")).unwrap();
    let changed = format!("# my password is {SECRET}\n{config}\n");
    fs::write(data.join("vtl.toml"), changed.replace("# keep = \"14d\"", "keep = \"15d\""))
        .unwrap();

    let file = scene.beside("report.tar");
    let ran = scene.daemon().vtl(&["doctor", "--bundle", file.to_str().unwrap()]).done();
    assert!(ran.stdout.contains("report.tar"), "{ran:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let parts = parts(&file);
    for wanted in [&key[..], &block[..64], &sealed[..64], SECRET.as_bytes(), NOTE.as_bytes(), name]
    {
        assert_absent(&file, wanted);
    }
    assert!(parts["config.toml"].contains("keep = \"15d\""), "{}", parts["config.toml"]);
    assert_eq!(json(&parts, "status.json")["running"], true);
    assert_eq!(json(&parts, "inventory.json").as_array().unwrap().len(), 21);
    assert!(parts["log.txt"].contains("session opened"), "{}", parts["log.txt"]);
    assert!(parts["process.txt"].contains("VmRSS"), "{}", parts["process.txt"]);
    assert!(parts["files.txt"].contains("secrets.toml"), "by name only");
    let trace = json(&parts, "trace-library-1.json");
    assert!(trace["last"]["commands"].as_array().unwrap().len() > 4, "{trace:#}");
    assert!(!trace["failures"]["commands"].as_array().unwrap().is_empty(), "{trace:#}");
    assert!(!json(&parts, "ledger.json").as_array().unwrap().is_empty());
    assert_eq!(json(&parts, "access.json")[0]["initiator"], "iqn.2026-11.test:chap");
    assert_eq!(json(&parts, "doctor.json").as_array().unwrap().len(), 10);

    // It does not write over what is there.
    let again = scene.daemon().vtl(&["doctor", "--bundle", file.to_str().unwrap()]);
    again.ended(2).says("is there already");
    scene
        .daemon()
        .vtl(&["doctor", "--bundle", "/nowhere/at/all.tar"])
        .ended(1)
        .says("cannot write");
}

#[test]
fn a_library_that_cannot_be_opened_still_gives_a_bundle() {
    let mut scene = Scene::new();
    let daemon = scene.take_daemon();
    daemon.stop();
    let data = scene.data();
    // The message about a line that is wrong quotes the line.
    fs::write(data.join("vtl.toml"), format!("[iscsi]\nsecret = \"{SECRET}\"\n")).unwrap();
    let ledger = data.join("ledger");
    fs::remove_dir_all(&ledger).unwrap();
    fs::write(&ledger, "no directory").unwrap();
    let file = scene.beside("report.tar");
    vtl(&data, &["doctor", "--bundle", file.to_str().unwrap()]).done();
    let parts = parts(&file);
    assert!(json(&parts, "status.json")["error"].is_string(), "{}", parts["status.json"]);
    assert!(parts["config.toml"].contains("cannot be used"));
    assert!(parts["log.txt"].contains("no daemon runs"));
    assert!(parts["files.txt"].contains("\"ledger\" mode"));
    assert_absent(&file, SECRET.as_bytes());
}
