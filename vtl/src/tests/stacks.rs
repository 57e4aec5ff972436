//! Several cartridges on one tape, as an operator asks for it, and each of them back from there.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use vtl_media::{LoadOptions, Volume};
use vtl_vault::{Attribute, Counters, DriveIdentity, Medium, Tape, TapeError, TapeRead};

use super::*;
use crate::bays::Undone;
use crate::imports::import_from;
use crate::request::{ExportChoice, Failure, FailureKind, ImportChoice};
use crate::stacks;

/// A tape in memory; a filemark is none. Its clones are the same tape.
#[derive(Debug, Clone, Default)]
struct Reel {
    objects: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
    at: usize,
    capacity_bytes: Option<u64>,
}

impl Reel {
    fn put(&mut self, object: Option<Vec<u8>>) {
        let mut objects = self.objects.lock().unwrap();
        objects.truncate(self.at);
        objects.push(object);
        self.at += 1;
    }

    fn is_empty(&self) -> bool {
        self.objects.lock().unwrap().is_empty()
    }
}

impl Tape for Reel {
    fn identity(&self) -> DriveIdentity {
        let text = || "X".to_owned();
        DriveIdentity { vendor: text(), product: text(), revision: text(), serial: text() }
    }
    fn medium(&mut self) -> Medium {
        let (barcode, serial) = (Some("STK001L9".into()), Some("S-STK".into()));
        Medium { barcode, serial, capacity_bytes: self.capacity_bytes, ..Medium::default() }
    }
    fn counters(&mut self, _: bool) -> Counters {
        Counters::default()
    }
    fn max_block_bytes(&self) -> usize {
        1 << 20
    }
    fn ready(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn rewind(&mut self) -> Result<(), TapeError> {
        self.at = 0;
        Ok(())
    }
    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.at = usize::try_from(object).unwrap();
        Ok(())
    }
    fn reload(&mut self) -> Result<(), TapeError> {
        self.rewind()
    }
    fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        self.put(Some(block.to_vec()));
        Ok(())
    }
    fn write_filemark(&mut self) -> Result<(), TapeError> {
        self.put(None);
        Ok(())
    }
    fn synchronize(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn attributes(&mut self, _: u8) -> Result<Vec<Attribute>, TapeError> {
        Ok(Vec::new())
    }
    fn write_attribute(&mut self, _: &Attribute) -> Result<(), TapeError> {
        Ok(())
    }
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        let object = self.objects.lock().unwrap().get(self.at).cloned();
        self.at += 1;
        Ok(match object {
            Some(Some(block)) => {
                *buffer = block;
                TapeRead::Block
            }
            Some(None) => TapeRead::Filemark,
            None => TapeRead::EndOfData,
        })
    }
}

/// Cartridges in the shelf with so many blocks each, and a filemark behind them.
fn cartridges(scene: &Scene, blocks: &[u64]) -> Vec<String> {
    let store = &scene.library.store;
    let make = |(number, blocks): (usize, &u64)| {
        let name = format!("SML00{number}L9");
        let mut new = NewCartridge::new(Barcode::new(&name).unwrap(), "lto9");
        new.to = Some(Place::Shelf);
        let entry = store.create_cartridges(vec![new], "op").unwrap().remove(0);
        let directory = store.directory_of(entry.uuid);
        let mut volume = Volume::load(store.disk(), &directory, LoadOptions::default()).unwrap();
        for block in 0..*blocks {
            let data = vec![u8::try_from(block % 250).unwrap(); 3000 + number];
            volume.write(Box::new(data), u32::try_from(3000 + number).unwrap(), 1).unwrap();
        }
        volume.write_filemarks(1).unwrap();
        volume.sync().unwrap();
        let facts = volume.unload().unwrap();
        store.update_facts(entry.uuid, &facts).unwrap();
        name
    };
    blocks.iter().enumerate().map(make).collect()
}

fn export(scene: &Scene, barcodes: &[String], reel: &Reel) -> Result<Value, Failure> {
    export_until(scene, barcodes, reel, false)
}

fn stop(scene: &Scene, barcodes: &[String], reel: &Reel) -> Failure {
    export_until(scene, barcodes, reel, true).unwrap_err()
}

fn export_until(
    scene: &Scene,
    barcodes: &[String],
    reel: &Reel,
    is_given_up: bool,
) -> Result<Value, Failure> {
    let choice = ExportChoice { copy: 1, stack: true, ..ExportChoice::default() };
    let given_up = AtomicBool::new(is_given_up);
    let open = || -> Result<Reel, Undone> { Ok(reel.clone()) };
    let at = (barcodes, "/dev/nst0");
    let done = stacks::export_to(&scene.library, at, open, &choice, "op", &given_up);
    done.map_err(|undone| undone.failure)
}

fn import(
    scene: &Scene,
    reel: &mut Reel,
    member: Option<&str>,
    barcode: Option<&str>,
) -> Result<Value, Failure> {
    let choice = ImportChoice {
        from: "the drive".into(),
        barcode: barcode.map(String::from),
        member: member.map(String::from),
        media_type: "lto9".into(),
    };
    import_from(&scene.library, reel, &choice, "op", &AtomicBool::new(false))
}

#[test]
fn small_cartridges_go_to_one_tape_and_each_comes_back_alone() {
    let scene = Scene::new();
    let names = cartridges(&scene, &[40, 3, 1]);
    let mut reel = Reel::default();
    let told = export(&scene, &names, &reel).unwrap();
    assert_eq!((&told["state"], &told["volume"]), (&json!("receipted"), &json!("STK001L9")));
    let members = told["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    let files: Vec<_> = members.iter().map(|one| one["first_file"].as_u64().unwrap()).collect();
    assert_eq!(files, [1, 3, 5]);
    for name in &names {
        let entry = scene.library.store.find(name).unwrap();
        let copy = scene.library.store.copies_of(entry.uuid, 1).remove(0);
        assert_eq!(
            (copy.state.name(), copy.facts.volume.as_deref()),
            ("receipted", Some("STK001L9"))
        );
    }
    let listed = import(&scene, &mut reel, None, None).unwrap_err();
    assert_eq!(listed.kind, FailureKind::Refused);
    assert!(names.iter().all(|name| listed.message.contains(name.as_str())), "{listed}");
    assert_eq!(
        import(&scene, &mut reel, Some("NOT001L9"), None).unwrap_err().kind,
        FailureKind::NotFound
    );
    assert_eq!(
        import(&scene, &mut reel, Some("SML001L9"), None).unwrap_err().kind,
        FailureKind::Refused,
        "F20"
    );
    let come = import(&scene, &mut reel, Some("SML001L9"), Some("IMP001L9")).unwrap();
    assert_eq!((&come["blocks"], &come["filemarks"]), (&json!(3), &json!(1)));
    assert_eq!(
        (&come["copy_of"], &come["is_what_receipt_says"]),
        (&json!("SML001L9"), &json!(true))
    );
    assert_eq!(come["root"], members[1]["root"]);
    // One that was deleted comes back under its own name.
    scene
        .library
        .store
        .delete_cartridge(scene.library.store.find("SML002L9").unwrap().uuid, "op")
        .unwrap();
    assert_eq!(import(&scene, &mut reel, Some("SML002L9"), None).unwrap()["barcode"], "SML002L9");
}

/// The vault's run takes the copy that was begun first: one that goes on with others only would have kept all others from their tapes.
#[test]
fn a_stack_that_was_stopped_keeps_no_other_copy_from_its_tape_and_goes_on() {
    let scene = Scene::new();
    let names = cartridges(&scene, &[40, 3]);
    let mut reel = Reel::default();
    let stopped = stop(&scene, &names, &reel);
    assert!(stopped.message.contains("SML000L9 SML001L9 --stack --copy 1"), "{stopped}");
    assert!(!reel.is_empty());
    // Its index says more than there is: half of a cartridge came in, and was called all of it.
    let half = import(&scene, &mut reel, Some("SML001L9"), Some("IMP001L9")).unwrap_err();
    assert!(
        half.kind == FailureKind::Damaged && half.message.contains("was not finished"),
        "{half}"
    );
    assert_eq!(scene.library.store.find("IMP001L9"), None);
    let caller = crate::operations::Caller { actor: "op", is_gone: &AtomicBool::new(false) };
    let run = json!({ "operation": "vault", "action": "run", "to": "/dev/nst4000" });
    let run = serde_json::from_value(run).unwrap();
    let told = crate::operations::answer(&scene.library, run, &caller).unwrap_err();
    assert!(told.message.contains("tape of its own"), "{told}");
    assert_eq!(export(&scene, &names, &reel).unwrap()["state"], "receipted");
}

#[test]
fn what_cannot_go_on_one_tape_is_refused_and_no_copy_is_begun() {
    let scene = Scene::new();
    let names = cartridges(&scene, &[40, 3]);
    let small = Reel { capacity_bytes: Some(10), ..Reel::default() };
    let refused = export(&scene, &names, &small).unwrap_err();
    assert!(refused.message.contains("leave some out") && small.is_empty(), "{refused}");
    let mut with_blank = names.clone();
    let mut new = NewCartridge::new(Barcode::new("BLK001L9").unwrap(), "lto9");
    new.to = Some(Place::Shelf);
    scene.library.store.create_cartridges(vec![new], "op").unwrap();
    with_blank.push("BLK001L9".into());
    let refused = export(&scene, &with_blank, &Reel::default()).unwrap_err();
    assert!(refused.message.contains("nothing on BLK001L9"), "{refused}");
    assert!(scene.library.store.copies().is_empty());
    // The plain tape of one cartridge has no members.
    let mut plain =
        Reel { objects: Arc::new(Mutex::new(vec![Some(vec![1; 10]), None])), ..Reel::default() };
    let refused = import(&scene, &mut plain, Some("SML001L9"), None).unwrap_err();
    assert!(refused.message.contains("without --member"), "{refused}");
}
