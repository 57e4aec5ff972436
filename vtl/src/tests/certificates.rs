//! Certificates of what was destroyed: none about what is still there, and none is lost.

use super::*;
use vtl_media::CartridgeEntry;
use vtl_media::disk::{Call, Fault, Reaction};
use vtl_media::store::RetentionChange;
use vtl_vault::receipt::Statement;

use crate::keys::dispose;

/// A cartridge in a slot, written on and due.
fn due() -> (Scene, CartridgeEntry) {
    let scene = Scene::new();
    assert_eq!(scene.write(A, &[1; 1000]).status, Status::GOOD);
    move_to(&scene, &Place::slot(1));
    let entry = scene.library.store.find(BARCODE).unwrap();
    let long_ago = Some("2020-01-01T00:00:00Z".parse().unwrap());
    let change = RetentionChange::Dispose(long_ago);
    scene.library.store.change_retention(entry.uuid, &change, None, "test").unwrap();
    (scene, entry)
}

fn move_to(scene: &Scene, place: &Place) {
    let entry = scene.library.store.find(BARCODE).unwrap();
    scene.library.relocate(&entry, place, "test").unwrap();
}

fn certificate(scene: &Scene, entry: &CartridgeEntry) -> Option<serde_json::Value> {
    let bytes = scene.library.receipts.report(entry.uuid).ok()?;
    Some(Statement::verify(&bytes).unwrap().content)
}

/// The ledger could not be written: there was a certificate of the deletion all the same, and after more had been written on the cartridge it was
/// the one that was kept, with less in it than was destroyed.
#[test]
fn there_is_no_certificate_of_what_is_still_there() {
    let (scene, entry) = due();
    let barcodes = [BARCODE.to_owned()];
    scene.disk.inject(Fault::once(Call::Write, "ledger", Reaction::Errno(28)));
    dispose(&scene.library, &barcodes, "op").unwrap_err();
    assert!(scene.library.store.find(BARCODE).is_some());
    assert_eq!(certificate(&scene, &entry), None);
    let again = Scene::boot(scene.memory.snapshot(), options());
    assert_eq!(certificate(&again, &entry), None);
    let prepared = again.library.receipts.prepared_reports().unwrap();
    assert!(prepared.is_empty(), "{prepared:?}");
    move_to(&again, &Place::drive(0));
    again.take_attentions(A);
    assert_eq!(again.write(A, &[2; 5000]).status, Status::GOOD);
    move_to(&again, &Place::slot(1));
    let entry = again.library.store.find(BARCODE).unwrap();
    dispose(&again.library, &barcodes, "op").unwrap();
    let kept = certificate(&again, &entry).unwrap();
    assert_eq!(kept["bytes"], entry.written_bytes);
    assert_eq!(entry.written_bytes, 5000);
}

/// What was destroyed just before the program was cut off has its certificate after the next start.
#[test]
fn a_certificate_that_was_prepared_is_kept_with_the_next_start() {
    let (scene, entry) = due();
    scene.disk.inject(Fault::once(Call::Rename, "prepared", Reaction::Errno(5)));
    let failure = dispose(&scene.library, &[BARCODE.to_owned()], "op").unwrap_err();
    assert!(failure.message.contains("is destroyed"), "{failure}");
    assert_eq!((scene.library.store.find(BARCODE), certificate(&scene, &entry)), (None, None));
    let again = Scene::boot(scene.memory.after_power_cut(), options());
    assert_eq!(certificate(&again, &entry).unwrap()["barcode"], BARCODE);
}
