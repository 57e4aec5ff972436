//! Encryption at rest as a user has it: a pool gets a key, hosts notice nothing, and a cartridge is gone when its key is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use vtl_tests::{Scene, cdb, poll};

use crate::{tar, write_files};

const MARKER: &str = "a sentence that must not be found on the disk";

/// A library whose pool mail is encrypted, and ENC001L9 in it, with an archive and the marker on it.
fn encrypted(lock: &[&str]) -> (Scene, Vec<u8>) {
    let scene = Scene::new();
    let source = scene.beside("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("letter.txt"), MARKER).unwrap();
    let archive = tar(&source, &["--sort=name"]);
    let daemon = scene.daemon();
    daemon.vtl(&["key", "create", "mail", "--key-file", "/nowhere/x"]).ended(4);
    daemon.vtl(&["tape", "create", "--pool", "mail", "--prefix", "ENC"]).done();
    let created = daemon.vtl(&[&["key", "create", "mail", "--format", "json"], lock].concat());
    assert_eq!(created.done().json()["unlocked"], true);
    daemon.vtl(&["load", "ENC001L9", "0"]).done();
    let mut session = scene.session("writer");
    write_files(&mut session, &[(&archive, 10_240), (MARKER.as_bytes(), 512)]);
    session.logout();
    daemon.vtl(&["unload", "0"]).done();
    (scene, archive)
}

/// The files below a directory that have a text in them.
fn holding(directory: &Path, text: &str) -> Vec<String> {
    let tree = vtl_tests::tree(directory).into_iter();
    let has = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    tree.filter(|(_, (_, bytes))| has(bytes)).map(|(path, _)| path.display().to_string()).collect()
}

/// Whether drive 0 gives its first block.
fn first_block(scene: &Scene, archive: &[u8]) {
    let mut session = scene.session("reader");
    session.run(1, &cdb::REWIND).good();
    assert_eq!(session.read_block(10_240).good().data, archive[..10_240]);
    session.logout();
}

/// What drive 0 says to TEST UNIT READY when the unit attentions of a new session are through; nothing if it is ready.
fn told(scene: &Scene) -> Option<(u8, u8, u8)> {
    let mut session = scene.login("reader").open();
    let mut codes = std::iter::repeat_with(|| session.run(1, &cdb::TEST_UNIT_READY).sense);
    let told = codes.find(|sense| sense.is_none_or(|sense| sense.code.0 != 6)).unwrap();
    session.logout();
    told.map(|sense| sense.code)
}

#[test]
fn a_pool_with_a_key_file_is_encrypted_and_everything_reads_it_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("mail.key");
    let (mut scene, archive) = encrypted(&["--key-file", key.to_str().unwrap()]);
    assert_eq!(holding(&scene.data(), MARKER), Vec::<String>::new());
    let daemon = scene.daemon();
    let shown = daemon.vtl(&["tape", "show", "ENC001L9", "--format", "json"]).done().json();
    assert!(shown[0]["pool_key"].is_string(), "{shown:#}");
    assert!(daemon.vtl(&["browse", "ENC001L9"]).done().stdout.contains("letter.txt"));
    assert_eq!(holding(&scene.data(), "letter.txt"), Vec::<String>::new(), "nor is its name");
    let out = scene.beside("out");
    fs::create_dir_all(&out).unwrap();
    daemon.vtl(&["restore", "ENC001L9:letter.txt", "-C", out.to_str().unwrap()]).done();
    assert_eq!(fs::read_to_string(out.join("letter.txt")).unwrap(), MARKER);
    daemon.vtl(&["verify", "ENC001L9"]).done();
    daemon.vtl(&["group", "create", "mail", "ENC001L9"]).done();
    daemon.vtl(&["drill", "run", "mail"]).done();
    read_without_us(&scene, &key, &archive);
    // A restart opens it again by itself.
    scene.take_daemon().stop();
    scene.start();
    scene.daemon().vtl(&["load", "ENC001L9", "0"]).done();
    first_block(&scene, &archive);
    scene.take_daemon().stop();
    // Without the file the cartridge is in the drive and not ready, and nothing is written on it.
    fs::rename(&key, directory.path().join("aside")).unwrap();
    scene.start();
    assert_eq!(told(&scene), Some((2, 0x04, 0x03)));
    let mut session = scene.login("reader").open();
    session.run(1, &cdb::TEST_UNIT_READY);
    session.send(1, &cdb::write(512), vec![1; 512], 0);
    session.wait().sense(2, 0x04, 0x03);
    session.logout();
    scene.daemon().vtl(&["browse", "ENC001L9"]).ended(3).says("ENC001L9");
    let keys = scene.daemon().vtl(&["key", "list", "--format", "json"]).done().json();
    assert_eq!(keys[0]["unlocked"], false);
    // The table had no column for it when all keys were locked, and that was what somebody looked for.
    let table = scene.daemon().vtl(&["key", "list"]).done().stdout;
    assert!(table.contains(" locked"), "{table}");
    scene.take_daemon().stop();
    fs::rename(directory.path().join("aside"), &key).unwrap();
    scene.start();
    first_block(&scene, &archive);
}

/// The cartridge is read from its files by another program, with the key.
fn read_without_us(scene: &Scene, key: &Path, archive: &[u8]) {
    let has_module = Command::new("python3").args(["-c", "import cryptography"]).output();
    if !has_module.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "python3 has no module cryptography: that the cartridge is read without vtl was not tried"
        );
        return;
    }
    let shown = scene.daemon().vtl(&["tape", "show", "ENC001L9", "--format", "json"]).done().json();
    let cartridge = scene.data().join("cartridges").join(shown[0]["uuid"].as_str().unwrap());
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/read-cartridge");
    let read = |secret: &Path| {
        Command::new(tool)
            .arg(&cartridge)
            .args(["--file", "0"])
            .env("VTL_POOL_KEYS", scene.data().join("keys.json"))
            .env("VTL_POOL_SECRET_FILE", secret)
            .output()
            .unwrap()
    };
    let output = read(key);
    assert_eq!(output.stdout, archive, "{}", String::from_utf8_lossy(&output.stderr));
    let other = scene.beside("other.key");
    fs::write(&other, [7; 64]).unwrap();
    assert!(!read(&other).status.success());
}

#[test]
fn a_passphrase_has_to_be_given_after_each_start() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good"), directory.path().join("bad"));
    fs::write(&good, "correct horse battery staple\n").unwrap();
    fs::write(&bad, "incorrect horse battery staple\n").unwrap();
    let (mut scene, archive) = encrypted(&["--passphrase-file", good.to_str().unwrap()]);
    assert_eq!(holding(&scene.data(), "horse"), Vec::<String>::new());
    scene.daemon().vtl(&["load", "ENC001L9", "0"]).done();
    scene.take_daemon().stop();
    scene.start();
    assert_eq!(told(&scene), Some((2, 0x04, 0x03)));
    let unlock = |file: &Path| {
        scene.daemon().vtl(&["key", "unlock", "mail", "--passphrase-file", file.to_str().unwrap()])
    };
    unlock(&bad).ended(3).says("does not open with this passphrase");
    unlock(&good).done();
    // What lay in the drive is loaded now.
    poll("the cartridge", Duration::from_secs(30), || told(&scene).is_none().then_some(()));
    first_block(&scene, &archive);
    scene.daemon().vtl(&["key", "lock", "mail"]).done();
    scene.daemon().vtl(&["unload", "0"]).done();
    // What is encrypted is still listed, block by block, with the reason.
    let browsed = scene.daemon().vtl(&["browse", "ENC001L9"]).done();
    assert!(browsed.stdout.contains("vtl key list"), "{browsed:?}");
}

#[test]
fn a_cartridge_is_gone_with_its_key_and_a_certificate_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("mail.key");
    let (scene, _) = encrypted(&["--key-file", key.to_str().unwrap()]);
    let daemon = scene.daemon();
    daemon.vtl(&["tape", "crypto-erase", "VTL001L9"]).ended(3).says("VTL001L9 is not encrypted");
    daemon.vtl(&["tape", "hold", "ENC001L9", "--reason", "trial"]).done();
    daemon.vtl(&["tape", "crypto-erase", "ENC001L9"]).ended(3).says("trial");
    daemon.vtl(&["tape", "hold", "ENC001L9", "--lift"]).done();
    daemon.vtl(&["key", "remove", "mail"]).ended(3).says("ENC001L9");
    let erased =
        daemon.vtl(&["tape", "crypto-erase", "ENC001L9", "--format", "json"]).done().json();
    let certificate = erased[0]["certificate"].as_str().unwrap();
    let verified =
        daemon.vtl(&["receipt", "verify", certificate, "--format", "json"]).done().json();
    assert_eq!(verified["about"], "crypto-erase");
    let content = &verified["content"];
    assert_eq!(
        (&content["barcode"], &content["blocks"]),
        (&"ENC001L9".into(), &2.into()),
        "{content:#}"
    );
    let proof = content["proof"].to_string();
    assert!(proof.contains("block 0") && proof.contains("is in none"), "{proof}");
    daemon.vtl(&["inventory", "ENC001L9"]).ended(4);
    assert!(daemon.vtl(&["audit", "list"]).done().stdout.contains("key_destroyed"));
    daemon.vtl(&["audit", "verify"]).done();
    daemon.vtl(&["key", "remove", "mail"]).done();
    assert_eq!(
        daemon.vtl(&["key", "list", "--format", "json"]).done().json(),
        serde_json::json!([])
    );
}
