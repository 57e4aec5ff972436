//! Receipts, and what inventory and `tape show` tell of copies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use vtl_media::disk::RealDisk;
use vtl_media::{CopyFacts, CopyState, Store, StoreOptions};
use vtl_tests::{Ran, Scene, vtl};
use vtl_vault::receipt::{Archive, Receipt, how_to_read};
use vtl_vault::{
    Counters, Digester, DriveIdentity, Manifest, PartitionDigest, Pass, Proof, Source, Target,
};

fn partition() -> PartitionDigest {
    let mut digester = Digester::new(0);
    digester.block(b"a label");
    digester.filemark();
    digester.block(&[5; 4000]);
    digester.filemark();
    digester.finish()
}

/// Writes copy `number` of a cartridge as the export does, with a receipt or only a manifest, and walks it on through `states`.
fn copy(
    store: &Store,
    archive: &Archive,
    barcode: &str,
    number: u32,
    states: &[CopyState],
) -> PathBuf {
    let entry = store.find(barcode).unwrap();
    let copy = store.stage_copies(&[(entry.uuid, number)], "test").unwrap().remove(0);
    let mut manifest = Manifest {
        id: copy.id,
        time: "2026-11-01T02:00:00Z".parse().unwrap(),
        source: Source {
            uuid: entry.uuid,
            barcode: barcode.to_owned(),
            media_type: entry.media_type.clone(),
            generation: entry.generation,
            as_of: None,
            worm: false,
            pool: None,
            group: None,
        },
        target: Target {
            barcode: Some(barcode.to_owned()),
            medium_serial: Some("S0001".to_owned()),
            medium_maker: None,
            copy: number,
        },
        partitions: vec![partition()],
        attributes: Vec::new(),
        attributes_left_out: Vec::new(),
        group_members: Vec::new(),
        stack: None,
        ledger: None,
        operator: "test".to_owned(),
        software: "vtl".to_owned(),
        how_to_read: String::new(),
    };
    manifest.how_to_read = how_to_read(&manifest);
    let key = archive.signing_key().unwrap();
    let mut receipt = Receipt::manifested(manifest, &key).unwrap();
    if states.contains(&CopyState::Receipted) {
        receipt = receipt.proved(proof(), &key).unwrap();
    }
    for state in states {
        let mut facts = CopyFacts {
            volume: Some(barcode.to_owned()),
            container: Some("C7".to_owned()),
            site: Some("IRON".to_owned()),
            ..CopyFacts::default()
        };
        if *state == CopyState::Receipted {
            facts.receipt = Some(receipt.content().sha256.to_string());
        }
        store.advance_copy(copy.id, *state, facts, "test").unwrap();
    }
    archive.keep(&receipt).unwrap()
}

fn proof() -> Proof {
    let text = str::to_owned;
    let pass = Pass {
        drive: DriveIdentity {
            vendor: text("IBM"),
            product: text("ULT3580-TD9"),
            revision: text("R3G3"),
            serial: text("D0001"),
        },
        begun: "2026-11-01T02:00:00Z".parse().unwrap(),
        ended: "2026-11-01T02:10:00Z".parse().unwrap(),
        elapsed_ms: 1000,
        bytes: partition().bytes,
        protection: text("crc32c"),
        before: Counters::default(),
        after: Counters::default(),
    };
    Proof {
        time: "2026-11-01T02:30:00Z".parse().unwrap(),
        written: pass.clone(),
        read: pass,
        partitions: vec![partition()],
        attributes: None,
        is_equal: true,
        mismatches: Vec::new(),
        not_checked: vec![text("the tape in another drive")],
        operator: text("test"),
    }
}

const UP_TO_RECEIPT: [CopyState; 4] =
    [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted];
const AWAY: [CopyState; 3] = [CopyState::Ejected, CopyState::Courier, CopyState::Offsite];

/// A library with copies: VTL001L9 has one off-site and one at home, VTL002L9 only a manifest. The file of the first receipt.
fn copied() -> (Scene, PathBuf, PathBuf) {
    let mut scene = Scene::new();
    scene.take_daemon().stop();
    let disk = Arc::new(RealDisk::new());
    let store = Store::open(disk.clone(), &scene.data(), StoreOptions::default()).unwrap();
    let archive = Archive::new(disk, &scene.data());
    let away = [&UP_TO_RECEIPT[..], &AWAY[..]].concat();
    let first = copy(&store, &archive, "VTL001L9", 1, &away);
    copy(&store, &archive, "VTL001L9", 2, &UP_TO_RECEIPT);
    let manifest = copy(&store, &archive, "VTL002L9", 1, &UP_TO_RECEIPT[..2]);
    store.close().unwrap();
    scene.start();
    (scene, first, manifest)
}

trait Prints {
    /// Panics unless standard output says this.
    fn prints(self, text: &str) -> Self;
}

impl Prints for Ran {
    #[track_caller]
    fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "`{text}` is not in {self:?}");
        self
    }
}

fn json(ran: Ran) -> Value {
    ran.done().json()
}

fn key_of(scene: &Scene) -> String {
    json(scene.daemon().vtl(&["receipt", "key", "--format", "json"]))[0]["key"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn verify(file: &Path, more: &[&str]) -> Ran {
    // Another machine: there is no library, and none is made.
    let nowhere = Path::new("/nonexistent/vtl");
    vtl(nowhere, &[&["receipt", "verify", file.to_str().unwrap()], more].concat())
}

#[test]
fn a_receipt_is_verified_anywhere_and_says_what_it_proves() {
    let (scene, file, manifest) = copied();
    let key = key_of(&scene);
    verify(&file, &["--key", &key]).done().prints("VALID").prints("another drive");
    verify(&file, &[]).done().prints("anybody can sign");
    verify(&manifest, &[]).ended(1).says("NOT read back");
    verify(&file, &["--key", &"0".repeat(64)]).ended(5).says("has signed this receipt");
    verify(&file, &["--key", "not-a-key"]).ended(2);
    verify(Path::new("/nonexistent.json"), &[]).ended(4);
    let altered = scene.beside("altered.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in
        [("VTL001L9", "VTL003L9"), ("\"blocks\":2", "\"blocks\":3"), ("rewind", "Rewind")]
    {
        assert!(text.contains(from));
        std::fs::write(&altered, text.replacen(from, to, 1)).unwrap();
        verify(&altered, &[]).ended(5).says("ALTERED");
    }
}

#[test]
fn receipts_are_listed_shown_and_given_away() {
    let (scene, file, _) = copied();
    let daemon = scene.daemon();
    let rows = json(daemon.vtl(&["receipt", "list", "--format", "json"]));
    let states: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["proved", "proved", "manifest only: nothing is proved"]);
    let shown = json(daemon.vtl(&["receipt", "show", "VTL001L9", "--format", "json"]));
    assert_eq!(shown["manifest"]["source"]["barcode"], "VTL001L9");
    assert_eq!(shown["manifest"]["target"]["copy"], 2, "the one that took the last step");
    daemon.vtl(&["receipt", "show", "vtl001l9"]).done().prints("ULT3580-TD9 R3G3 (D0001)");
    let sheet = daemon.vtl(&["receipt", "show", "VTL001L9", "--sheet"]).done().stdout;
    assert!(sheet.contains("dd if=/dev/nst0 bs=4000 | sha256sum"), "{sheet}");
    let out = scene.beside("for-the-auditor.json");
    let first = file.file_stem().unwrap().to_str().unwrap();
    daemon.vtl(&["receipt", "show", first, "--output", out.to_str().unwrap()]).done();
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&file).unwrap());
    daemon.vtl(&["receipt", "show", "VTL001L9", "--output", out.to_str().unwrap()]).ended(2);
    daemon.vtl(&["receipt", "show", "VTL009L9"]).ended(4).says("VTL009L9");
    daemon.vtl(&["receipt", "list", "VTL009L9"]).ended(4);
}

#[test]
fn a_receipt_that_was_altered_stands_in_the_list_as_such() {
    let (scene, file, _) = copied();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("IBM", "HPE", 1)).unwrap();
    let daemon = scene.daemon();
    daemon.vtl(&["receipt", "list"]).done().prints("ALTERED");
    let first = file.file_stem().unwrap().to_str().unwrap();
    daemon.vtl(&["receipt", "show", first]).ended(5).says("ALTERED");
    // The other copy has its own.
    let story = json(daemon.vtl(&["tape", "show", "VTL001L9", "--format", "json"]));
    assert_eq!(story[0]["newest_receipt"]["copy"], 2);
}

#[test]
fn old_receipts_stay_valid_after_the_key_is_replaced() {
    let (scene, file, _) = copied();
    let daemon = scene.daemon();
    let old = key_of(&scene);
    daemon.vtl(&["receipt", "rotate-key"]).done();
    assert_ne!(key_of(&scene), old);
    let keys = daemon.vtl(&["receipt", "key"]).done().stdout;
    let key_file = scene.beside("keys.txt");
    std::fs::write(&key_file, keys).unwrap();
    verify(&file, &["--key", key_file.to_str().unwrap()]).done();
    verify(&file, &["--key", &key_of(&scene)]).ended(5);
    daemon.vtl(&["receipt", "list", "VTL001L9"]).done().prints("proved");
}

#[test]
fn copies_are_in_the_inventory_and_in_the_story() {
    let (mut scene, ..) = copied();
    let barcodes = |scene: &Scene, arguments: &[&str]| -> Vec<String> {
        let all = [&["inventory", "--format", "json"], arguments].concat();
        let rows = json(scene.daemon().vtl(&all));
        let barcode = |row: &Value| row["barcode"].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(barcode).collect()
    };
    assert_eq!(barcodes(&scene, &["--copy-state", "receipted"]), Vec::<String>::new());
    assert_eq!(barcodes(&scene, &["--copy-state", "offsite"]), ["VTL001L9"]);
    assert_eq!(barcodes(&scene, &["--copies-below", "1"]).len(), 19, "no cleaning cartridge");
    assert_eq!(
        barcodes(&scene, &["--sort", "-copies,-barcode", "--limit", "2"]),
        ["VTL001L9", "VTL020L9"]
    );
    scene.daemon().vtl(&["inventory", "--copy-state", "gone"]).ended(2).says("offsite");
    let told = |scene: &Scene| scene.daemon().vtl(&["tape", "show", "VTL001L9"]).done();
    told(&scene)
        .prints("in slot:1: nothing")
        .prints("copy 1 is at IRON in container C7: `vtl vault recall VTL001L9 --copy 1")
        .prints("copy 2 was not taken out yet")
        .prints("newest receipt");
    scene.daemon().vtl(&["tape", "delete", "VTL001L9"]).done();
    told(&scene).prints("state: deleted").prints("copy 1 is at IRON");
    let daemon = scene.take_daemon();
    daemon.stop();
    vtl(&scene.data(), &["tape", "show", "VTL001L9"]).done().prints("copy 2 was not taken out yet");
}

/// What a scanner would read from a PDF; nothing where this machine has no such programs (packages poppler-utils and zbar-tools).
fn scanned(pdf: &Path, scratch: &Path) -> Option<Vec<String>> {
    use std::process::Command;

    std::fs::create_dir(scratch).unwrap();
    let page = scratch.join("page");
    let mut draw = Command::new("pdftoppm");
    draw.args(["-r", "300", "-png"]).arg(pdf).arg(&page).status().ok()?;
    let pictures = std::fs::read_dir(scratch).unwrap().map(|file| file.unwrap().path());
    let mut scan = Command::new("zbarimg");
    scan.args(["--quiet", "--raw", "-Sdisable", "-Scode39.enable"]).args(pictures);
    let found = String::from_utf8(scan.output().ok()?.stdout).unwrap();
    let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
    found.sort();
    Some(found)
}

#[test]
fn what_travels_is_a_list_that_can_be_scanned() {
    let (mut scene, ..) = copied();
    scene.take_daemon().stop();
    let disk = Arc::new(RealDisk::new());
    let store = Store::open(disk.clone(), &scene.data(), StoreOptions::default()).unwrap();
    let archive = Archive::new(disk, &scene.data());
    let away = [&UP_TO_RECEIPT[..], &AWAY[..]].concat();
    // With the first one, more than one sheet.
    let mut tapes = vec!["VTL001L9".to_owned()];
    tapes.extend((3..=20).map(|number| format!("VTL{number:03}L9")));
    tapes[1..].iter().for_each(|barcode| drop(copy(&store, &archive, barcode, 1, &away)));
    store.close().unwrap();
    let write = |name: &str| {
        let file = scene.beside(name);
        let arguments = ["vault", "manifest", "C7", "--output", file.to_str().unwrap()];
        vtl(&scene.data(), &arguments).done().prints("tapes: 19");
        file
    };
    let csv = std::fs::read_to_string(write("list.csv")).unwrap();
    let text = std::fs::read_to_string(write("list.txt")).unwrap();
    assert!(tapes.iter().all(|tape| csv.contains(tape) && text.contains(tape)), "{csv}{text}");
    let pdf = write("list.pdf");
    if let Some(found) = scanned(&pdf, &scene.beside("pictures")) {
        // The container's own bars are on both sheets.
        let mut expected = tapes.clone();
        expected.extend(["C7".to_owned(), "C7".to_owned()]);
        expected.sort();
        assert_eq!(found, expected);
    }
    let taken = ["vault", "manifest", "C7", "--output", pdf.to_str().unwrap()];
    vtl(&scene.data(), &taken).ended(2).says("is there already");
    let other = ["vault", "manifest", "C7", "--output", "list.doc"];
    vtl(&scene.data(), &other).ended(2).says(".pdf, .txt or .csv");
    let unknown = ["vault", "manifest", "C8", "--output", "list.pdf"];
    vtl(&scene.data(), &unknown).ended(4).says("C8");
}
