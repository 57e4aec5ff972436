//! The power fails at every call of the disk while a cartridge is exported: nothing is receipted without proof, and it goes on.

use std::path::Path;

use vtl_media::CopyState;
use vtl_media::disk::Disk;

use super::Exports;
use super::scripted::{Drive, Scene, archive, objects, open};

#[test]
fn after_a_power_cut_at_any_call_it_goes_on_and_nothing_is_receipted_without_proof() {
    let mut drive = Drive::blank();
    let cuts = Scene::new().cut_at_each_call(|scene| drop(scene.run(&mut drive).unwrap()));
    let mut seen = Vec::new();
    for (at, disk) in cuts.into_iter().enumerate() {
        let store = open(&disk);
        let scene = Scene { receipts: archive(&disk), store, exports: Exports::default(), disk };
        let copy = scene.store.copies().pop();
        seen.extend(copy.as_ref().map(|copy| copy.state));
        if let Some(copy) = copy.as_ref().filter(|copy| copy.state.is_receipted()) {
            let receipt = scene.receipts.receipt(copy.id).unwrap();
            assert!(receipt.content().proof.as_ref().is_some_and(|proof| proof.is_equal), "{at}");
            assert_eq!(copy.facts.receipt, Some(receipt.content().sha256.to_string()), "{at}");
            continue;
        }
        // Nothing was written before the file that says how far it is was there.
        let progress = copy
            .map(|copy| Path::new("/data/copies").join(copy.id.to_string()).join("progress.json"));
        let is_begun = progress.is_some_and(|path| scene.disk.exists(&path).unwrap());
        let mut there = if is_begun { drive.clone() } else { Drive::blank() };
        scene.run(&mut there).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(scene.states(), [CopyState::Receipted], "{at}");
        assert_eq!(there.objects, objects(), "{at}");
    }
    for state in [CopyState::Staged, CopyState::Manifested, CopyState::Written, CopyState::Proved] {
        assert!(seen.contains(&state), "no power cut in state {state}");
    }
}
