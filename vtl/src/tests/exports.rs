//! What an export reads and says, without a drive.

use super::*;
use vtl_media::{CopyFacts, CopyState};

use crate::exports::{begun_on, open_contents, standing};
use crate::request::ExportChoice;

/// A host writes on a loaded cartridge while it is exported: the copy had the time of the order, so that it counted as one of what was
/// written after the last sync point, which is not on it.
#[test]
fn a_copy_of_a_loaded_cartridge_is_of_its_last_sync_point() {
    let scene = Scene::new();
    let written = |length: usize| {
        assert_eq!(scene.write(A, &vec![1; length]).status, Status::GOOD);
        let entry = scene.library.store.find(BARCODE).unwrap();
        let facts = crate::undo::in_drive(&scene.library, &entry, vtl_media::Volume::facts);
        (entry, facts.unwrap().last_written.unwrap())
    };
    let (_, first) = written(1000);
    assert_eq!(scene.filemarks(A, false, 0).status, Status::GOOD);
    let (entry, later) = written(2000);
    let (verification, as_of) = open_contents(&scene.library, &entry).unwrap();
    assert_eq!(verification.cartridge.facts().written_bytes, 1000);
    assert!(first <= as_of && as_of < later, "{first} {as_of} {later}");
}

/// One of a group failed, and the same command was given again: the first one's copy was there, so that it ended before the one that had
/// failed. And a copy that was begun on one tape was gone on with on any other that the pattern had.
#[test]
fn what_is_done_is_passed_over_and_what_was_begun_wants_its_tape() {
    let scene = Scene::new();
    let store = &scene.library.store;
    let uuid = store.find(BARCODE).unwrap().uuid;
    let json = |anew: bool| {
        serde_json::json!({
            "barcodes": [BARCODE], "group": null, "verify": "full", "to": null, "library": "/dev/sg0",
            "scratch": "SCR*", "copy": 1, "overwrite": false, "anew": anew,
        })
    };
    let choice: ExportChoice = serde_json::from_value(json(false)).unwrap();
    let anew: ExportChoice = serde_json::from_value(json(true)).unwrap();
    let library = &scene.library;
    let copy = store.stage_copies(&[(uuid, 1)], "op").unwrap().remove(0);
    assert_eq!(begun_on(library, BARCODE, &choice).unwrap(), None);
    let facts = CopyFacts { volume: Some("SCR001L9".into()), ..CopyFacts::default() };
    store.advance_copy(copy.id, CopyState::Manifested, facts, "op").unwrap();
    assert_eq!(begun_on(library, BARCODE, &choice).unwrap().as_deref(), Some("SCR001L9"));
    assert_eq!(begun_on(library, BARCODE, &anew).unwrap(), None);
    assert!(standing(library, BARCODE, &choice).unwrap().is_none());
    for state in [CopyState::Written, CopyState::Proved, CopyState::Receipted] {
        store.advance_copy(copy.id, state, CopyFacts::default(), "op").unwrap();
    }
    assert_eq!(standing(library, BARCODE, &choice).unwrap().map(|copy| copy.id), Some(copy.id));
    assert_eq!(begun_on(library, BARCODE, &choice).unwrap(), None);
    // The same command a week later said that all was done, with the receipt of what had been there before.
    assert_eq!(scene.write(A, &[1; 1000]).status, Status::GOOD);
    let refused = standing(library, BARCODE, &choice).unwrap_err();
    assert_eq!(refused.kind, crate::request::FailureKind::Refused);
    assert!(refused.message.contains("not what is on it now: --copy 2"), "{refused}");
}

/// A drive with an empty tape in it that breaks at the first block, or finds the tape bad.
struct Broken(vtl_vault::TapeError);

impl vtl_vault::Tape for Broken {
    // Like many drives, it knows of no attributes.
    fn attributes(&mut self, _: u8) -> Result<Vec<vtl_vault::Attribute>, vtl_vault::TapeError> {
        Err(vtl_vault::TapeError::Refused("5/20/00".into()))
    }
    fn write_attribute(&mut self, _: &vtl_vault::Attribute) -> Result<(), vtl_vault::TapeError> {
        Err(vtl_vault::TapeError::Refused("5/20/00".into()))
    }
    fn identity(&self) -> vtl_vault::DriveIdentity {
        let text = || "X".to_owned();
        let serial = "DRV0001".to_owned();
        vtl_vault::DriveIdentity { vendor: text(), product: text(), revision: text(), serial }
    }
    fn medium(&mut self) -> vtl_vault::Medium {
        vtl_vault::Medium::default()
    }
    fn counters(&mut self, _: bool) -> vtl_vault::Counters {
        vtl_vault::Counters::default()
    }
    fn max_block_bytes(&self) -> usize {
        1 << 20
    }
    fn ready(&mut self) -> Result<(), vtl_vault::TapeError> {
        Ok(())
    }
    fn rewind(&mut self) -> Result<(), vtl_vault::TapeError> {
        Ok(())
    }
    fn locate(&mut self, _: u64) -> Result<(), vtl_vault::TapeError> {
        Ok(())
    }
    fn reload(&mut self) -> Result<(), vtl_vault::TapeError> {
        Ok(())
    }
    fn write_block(&mut self, _: &[u8]) -> Result<(), vtl_vault::TapeError> {
        Err(self.0.clone())
    }
    fn write_filemark(&mut self) -> Result<(), vtl_vault::TapeError> {
        Err(self.0.clone())
    }
    fn synchronize(&mut self) -> Result<(), vtl_vault::TapeError> {
        Ok(())
    }
    fn read(&mut self, _: &mut Vec<u8>) -> Result<vtl_vault::TapeRead, vtl_vault::TapeError> {
        Ok(vtl_vault::TapeRead::EndOfData)
    }
}

/// F18: a drive that had broken was given the next tape, and the next.
#[test]
fn nothing_is_written_to_a_drive_that_broke_until_it_is_cleared() {
    let scene = Scene::new();
    assert_eq!(scene.write(A, &[1; 1000]).status, Status::GOOD);
    assert_eq!(scene.filemarks(A, false, 1).status, Status::GOOD);
    let choice = ExportChoice { copy: 1, ..ExportChoice::default() };
    let given_up = std::sync::atomic::AtomicBool::new(false);
    let export = |error: vtl_vault::TapeError| {
        let open = || Ok(Broken(error));
        let at = (BARCODE, "/dev/nst0");
        let done = crate::exports::export_to(&scene.library, at, open, &choice, "op", &given_up);
        done.unwrap_err().failure
    };
    let ask = |request: serde_json::Value| {
        let caller = crate::operations::Caller { actor: "op", is_gone: &given_up };
        let request = serde_json::from_value(request).unwrap();
        crate::operations::answer(&scene.library, request, &caller)
    };
    let failed = || ask(serde_json::json!({ "operation": "drives", "action": "failed" })).unwrap();
    let bad = export(vtl_vault::TapeError::Medium("3/0c/00".into()));
    assert!(!bad.message.contains("fenced"), "a bad tape is no bad drive yet: {bad}");
    assert_eq!(failed()[0]["bad_tapes"], 1);
    let broken = export(vtl_vault::TapeError::Hardware("4/44/00".into()));
    assert!(broken.message.contains("`vtl physical clear DRV0001`"), "{broken}");
    let refused = export(vtl_vault::TapeError::Hardware("4/44/00".into()));
    assert_eq!(refused.kind, crate::request::FailureKind::Refused);
    assert!(refused.message.contains("4/44/00") && refused.message.contains("clear"), "{refused}");
    let host = serde_json::json!([{ "serial": "DRV0001" }, { "serial": "DRV0002" }]);
    let told = crate::fences::told(host, &failed());
    assert!(told[0]["fenced"].as_str().unwrap().contains("4/44/00"));
    assert!(told[1]["fenced"].is_null());
    let clear =
        serde_json::json!({ "operation": "drives", "action": "clear", "serial": "DRV0001" });
    ask(clear.clone()).unwrap();
    assert_eq!(ask(clear).unwrap_err().kind, crate::request::FailureKind::NotFound);
    let again = export(vtl_vault::TapeError::Hardware("4/44/00".into()));
    assert_eq!(again.kind, crate::request::FailureKind::Damaged, "it is tried again");
}

/// An export that had begun went on with the key that was destroyed, and the certificate did not know of its tape.
#[test]
fn what_is_being_exported_is_not_destroyed() {
    let scene = Scene::new();
    let store = scene.library.store();
    let entry = store.find(BARCODE).unwrap();
    scene.library.relocate(&entry, &Place::slot(1), "test").unwrap();
    store.assign_pool(&[entry.uuid], Some("mail"), "test").unwrap();
    let with = vtl_media::Protection::KeyFile { path: "/elsewhere/key".into() };
    store.create_pool_key("mail", (with, &[7; 32]), "test").unwrap();
    let move_to = |place: &Place| {
        let entry = store.find(BARCODE).unwrap();
        scene.library.relocate(&entry, place, "test").unwrap();
    };
    move_to(&Place::drive(0));
    scene.take_attentions(A);
    assert_eq!(scene.write(A, &[1; 1000]).status, Status::GOOD);
    move_to(&Place::slot(1));
    let entry = store.find(BARCODE).unwrap();
    let erase = || crate::keys::crypto_erase(&scene.library, &[BARCODE.to_owned()], "op");
    let exporting = scene.library.transfers.exports.take(&entry).unwrap();
    let refused = erase().unwrap_err();
    assert!(refused.message.contains("being exported"), "{refused}");
    drop(exporting);
    let done = erase().unwrap();
    let kept = Path::new("/data/reports").join(format!("{}.json", entry.uuid));
    assert_eq!(done[0]["certificate"], kept.to_str().unwrap());
    assert_eq!(store.find(BARCODE), None);
}
