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
}
