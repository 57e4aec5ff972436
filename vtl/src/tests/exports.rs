//! What an export reads and says, without a drive.

use super::*;
use crate::exports::open_contents;

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
