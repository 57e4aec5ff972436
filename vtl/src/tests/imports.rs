//! A tape becomes a cartridge, whole or not at all.

use std::sync::atomic::AtomicBool;

use serde_json::json;
use vtl_media::AttributeFormat;
use vtl_media::disk::{Call, Fault, Reaction};
use vtl_vault::{Attribute, Counters, DriveIdentity, Medium, Tape, TapeError, TapeRead};

use super::*;
use crate::imports::{forget_half_imports, import_from};
use crate::operations::{self, Caller};
use crate::request::{FailureKind, ImportChoice};

/// A tape of blocks with a filemark behind each, in a drive that may fail.
struct Reel {
    blocks: u64,
    block_bytes: usize,
    at: u64,
    barcode: Option<String>,
    serial: Option<String>,
    fails_at: u64,
    additional_partitions: u8,
    /// The one in which it stands. Each has a block less than the one before, and other bytes.
    partition: u8,
    memory: Result<Vec<Attribute>, TapeError>,
    /// Called when so much has been read.
    midway: Option<(u64, Box<dyn FnMut() + Send>)>,
}

impl Reel {
    fn of(blocks: u64) -> Self {
        let barcode = Some("PHY001L9".into());
        Self {
            blocks,
            block_bytes: 100_000,
            at: 0,
            barcode,
            serial: None,
            fails_at: u64::MAX,
            additional_partitions: 0,
            partition: 0,
            memory: Ok(Vec::new()),
            midway: None,
        }
    }
}

impl Tape for Reel {
    fn identity(&self) -> DriveIdentity {
        let text = || "X".to_owned();
        DriveIdentity { vendor: text(), product: text(), revision: text(), serial: text() }
    }
    fn medium(&mut self) -> Medium {
        let (barcode, additional_partitions) = (self.barcode.clone(), self.additional_partitions);
        let serial = self.serial.clone();
        // The first is three times as large as each of the others.
        let mut partition_bytes = vec![1_000; usize::from(additional_partitions) + 1];
        partition_bytes[0] = 3_000;
        Medium { barcode, additional_partitions, serial, partition_bytes, ..Medium::default() }
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
    fn enter(&mut self, partition: u8) -> Result<(), TapeError> {
        self.partition = partition;
        self.rewind()
    }
    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.at = object;
        Ok(())
    }
    fn reload(&mut self) -> Result<(), TapeError> {
        self.rewind()
    }
    fn write_block(&mut self, _: &[u8]) -> Result<(), TapeError> {
        Err(TapeError::Protected)
    }
    fn write_filemark(&mut self) -> Result<(), TapeError> {
        Err(TapeError::Protected)
    }
    fn synchronize(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn attributes(&mut self, _: u8) -> Result<Vec<Attribute>, TapeError> {
        self.memory.clone()
    }
    fn write_attribute(&mut self, _: &Attribute) -> Result<(), TapeError> {
        Err(TapeError::Protected)
    }
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        let at = self.at;
        if at == self.fails_at {
            return Err(TapeError::Medium("3/11/00".into()));
        }
        if let Some((_, call)) = self.midway.as_mut().filter(|(then, _)| *then == at) {
            call();
        }
        self.at += 1;
        let blocks = self.blocks.saturating_sub(self.partition.into());
        if at >= blocks * 2 {
            return Ok(TapeRead::EndOfData);
        }
        if at % 2 == 1 {
            return Ok(TapeRead::Filemark);
        }
        // What no compression makes shorter.
        let mut state = (at + 1) << self.partition;
        buffer.clear();
        buffer.resize_with(self.block_bytes, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        });
        Ok(TapeRead::Block)
    }
}

fn choice(barcode: Option<&str>) -> ImportChoice {
    ImportChoice {
        from: "the drive".into(),
        barcode: barcode.map(String::from),
        member: None,
        media_type: "lto9".into(),
    }
}

fn import(
    scene: &Scene,
    reel: &mut Reel,
    barcode: Option<&str>,
) -> Result<serde_json::Value, crate::Failure> {
    import_from(&scene.library, reel, &choice(barcode), "op", &AtomicBool::new(false))
}

#[test]
fn a_tape_becomes_a_cartridge_under_its_own_barcode_or_another() {
    let scene = Scene::new();
    let answer = import(&scene, &mut Reel::of(5), None).unwrap();
    assert_eq!((&answer["blocks"], &answer["filemarks"]), (&5.into(), &5.into()));
    let entry = scene.library.store.find("PHY001L9").unwrap();
    assert_eq!((entry.place, entry.block_count, entry.written_bytes), (Place::Shelf, 5, 500_000));
    // F20: no barcode is there twice.
    let twice = import(&scene, &mut Reel::of(5), None).unwrap_err();
    assert_eq!(twice.kind, FailureKind::Refused);
    let root = import(&scene, &mut Reel::of(5), Some("phy002l9")).unwrap()["root"].clone();
    assert_eq!(root, answer["root"]);
    let nameless = &mut Reel { barcode: None, ..Reel::of(1) };
    assert_eq!(import(&scene, nameless, None).unwrap_err().kind, FailureKind::Usage);
}

/// Attributes come with the tape. A drive that does not read any does not stop the import, and neither does a memory that is broken: a tape that
/// could be read to its end could never be imported, because its chip was worn out.
#[test]
fn the_memory_of_the_tape_comes_with_it() {
    let scene = Scene::new();
    let text =
        |identifier, value: &[u8]| Attribute::new(0, identifier, AttributeFormat::Ascii, value);
    let memory = vec![text(0x0801, b"Backup"), text(0x0806, b"OLD001L9"), text(0x0808, b"weekly")];
    let mut reel = Reel { memory: Ok(memory), ..Reel::of(1) };
    let answer = import(&scene, &mut reel, None).unwrap();
    assert_eq!(answer["attributes"], json!(["0801h", "0808h"]));
    let store = &scene.library.store;
    let directory = store.directory_of(store.find("PHY001L9").unwrap().uuid);
    let volume = vtl_media::Volume::load(store.disk(), &directory, options()).unwrap();
    let pool = volume.mam().attribute(0x0808).unwrap();
    assert_eq!((pool.format, pool.value.as_slice()), (AttributeFormat::Ascii, &b"weekly"[..]));
    assert!(volume.mam().attribute(0x0806).is_none(), "its barcode is PHY001L9");
    assert_eq!(crate::attributes::of_hosts(&volume).len(), 2);
    let mut mute = Reel { memory: Err(TapeError::Refused("5/20/00".into())), ..Reel::of(1) };
    let answer = import(&scene, &mut mute, Some("PHY002L9")).unwrap();
    assert!(answer["attributes"].is_null());
    let mut bad = Reel { memory: Err(TapeError::Medium("3/11/12".into())), ..Reel::of(1) };
    let answer = import(&scene, &mut bad, Some("PHY003L9")).unwrap();
    assert!(answer["attributes"].is_null());
    assert!(store.find("PHY003L9").is_some());
}

/// The disk is full, the tape is bad, or nobody waits any more: there is no half cartridge afterwards, and it can be done again.
#[test]
fn what_does_not_come_in_whole_does_not_stay() {
    let scene = Scene::on(MemoryDisk::with_capacity(16 << 20), options());
    let before = scene.library.store.cartridges().len();
    let full = import(&scene, &mut Reel::of(1000), None).unwrap_err();
    assert_eq!(full.kind, FailureKind::Failed, "{full}");
    let mut bad = Reel { fails_at: 4, ..Reel::of(5) };
    let damaged = import(&scene, &mut bad, None).unwrap_err();
    assert_eq!(damaged.kind, FailureKind::Damaged, "{damaged}");
    let left = AtomicBool::new(true);
    let given_up = import_from(&scene.library, &mut Reel::of(5), &choice(None), "op", &left);
    assert_eq!(given_up.unwrap_err().kind, FailureKind::Failed);
    assert_eq!(scene.library.store.cartridges().len(), before);
    import(&scene, &mut Reel::of(5), None).unwrap();
}

/// The power fails in the midst of it: the next start takes away what there is.
#[test]
fn the_next_start_takes_half_an_import_away() {
    let scene = Scene::new();
    let store = &scene.library.store;
    import(&scene, &mut Reel::of(2), Some("HALF01L9")).unwrap();
    let uuid = store.find("HALF01L9").unwrap().uuid;
    let mark = store.directory().join("importing");
    let text = format!("HALF01L9 {uuid}");
    vtl_media::disk::replace_whole(&*store.disk(), &mark, text.as_bytes()).unwrap();
    forget_half_imports(store);
    assert!(store.find("HALF01L9").is_none() && store.find(BARCODE).is_some());
    assert!(!store.disk().exists(&mark).unwrap());
    forget_half_imports(store);
}

/// Only the first partition was read, and the cartridge was said to be all of the tape.
/// A tape with an index partition was refused: LTFS volumes could not be imported.
#[test]
fn a_divided_tape_becomes_a_divided_cartridge() {
    let scene = Scene::new();
    let parted = || Reel { additional_partitions: 1, ..Reel::of(3) };
    let answer = import(&scene, &mut parted(), None).unwrap();
    assert_eq!((&answer["partitions"], &answer["blocks"]), (&2.into(), &5.into()));
    let store = &scene.library.store;
    let entry = store.find("PHY001L9").unwrap();
    let (mut volume, mut reel) = (load(store, entry.uuid), parted());
    let sizes = volume.partition_sizes();
    assert!(sizes[0] / 3 == sizes[1], "{sizes:?}");
    for partition in 0..2 {
        assert!(volume.change_partition(partition).unwrap());
        reel.enter(partition).unwrap();
        let mut buffer = Vec::new();
        loop {
            let there = reel.read(&mut buffer).unwrap();
            match volume.read().unwrap() {
                vtl_media::ReadOutcome::Block(block) => {
                    assert_eq!((there, &block[..]), (TapeRead::Block, &buffer[..]));
                }
                vtl_media::ReadOutcome::Filemark => assert_eq!(there, TapeRead::Filemark),
                vtl_media::ReadOutcome::EndOfData => break assert_eq!(there, TapeRead::EndOfData),
            }
        }
    }
    // Two tapes that are the same but for their second partition are not the same.
    let mut other = Reel { barcode: Some("PHY002L9".into()), ..parted() };
    other.additional_partitions = 2;
    let answer = import(&scene, &mut other, None).unwrap();
    assert_eq!(answer["also_imported_as"], json!([]));
    let mut third = Reel { barcode: Some("PHY003L9".into()), ..parted() };
    assert_eq!(import(&scene, &mut third, None).unwrap()["also_imported_as"], json!(["PHY001L9"]));
    // No drive would make so many of a cartridge of that type.
    let of_type = |media_type: &str, barcode: &str| ImportChoice {
        media_type: media_type.into(),
        ..choice(Some(barcode))
    };
    let old = of_type("lto4", "OLD001L4");
    let refused = import_from(&scene.library, &mut parted(), &old, "op", &AtomicBool::new(false))
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Refused);
    assert!(refused.message.contains("2 partitions") && store.find("OLD001L4").is_none());
}

fn load(store: &Store, uuid: uuid::Uuid) -> vtl_media::Volume {
    let options = LoadOptions::default();
    vtl_media::Volume::load(store.disk(), &store.directory_of(uuid), options).unwrap()
}

/// A mark was left behind, and somebody made another cartridge of that barcode: the next start deleted it, with all that was on it. One that
/// was loaded since is somebody's too.
#[test]
fn a_mark_that_was_left_behind_takes_nothing_of_anybody() {
    let scene = Scene::new();
    let store = &scene.library.store;
    import(&scene, &mut Reel::of(2), Some("MINE01L9")).unwrap();
    let mut entry = store.find("MINE01L9").unwrap();
    let mark = store.directory().join("importing");
    let leave = |text: &str| {
        vtl_media::disk::replace_whole(&*store.disk(), &mark, text.as_bytes()).unwrap();
        forget_half_imports(store);
        assert!(store.find("MINE01L9").is_some(), "{text}");
        assert!(!store.disk().exists(&mark).unwrap());
    };
    leave("MINE01L9");
    leave(&format!("MINE01L9 {}", store.find(BARCODE).unwrap().uuid));
    let directory = store.directory_of(entry.uuid);
    let volume = vtl_media::Volume::load(store.disk(), &directory, options()).unwrap();
    store.update_facts(entry.uuid, &volume.unload().unwrap()).unwrap();
    entry = store.find("MINE01L9").unwrap();
    leave(&format!("MINE01L9 {}", entry.uuid));
}

/// As long as the mark cannot be removed the next start would delete the cartridge: such an import has failed, and leaves none.
#[test]
fn an_import_whose_mark_stays_has_failed() {
    let scene = Scene::new();
    scene.disk.inject(Fault::forever(Call::Remove, "importing", Reaction::Errno(5)));
    let failed = import(&scene, &mut Reel::of(2), None).unwrap_err();
    assert_eq!(failed.kind, FailureKind::Failed, "{failed}");
    assert!(scene.library.store.find("PHY001L9").is_none());
    scene.disk.release();
    import(&scene, &mut Reel::of(2), None).unwrap();
}

// Whoever deleted, loaded or locked a cartridge while it was being imported waited for the end of the import, with a lock in hand that the
// import needed to end, or with the arm.
#[test]
fn nobody_waits_for_a_cartridge_that_is_being_imported() {
    let scene = Scene::new();
    let library = Arc::clone(&scene.library);
    let (told, refused) = mpsc::channel();
    let ask = move || {
        for request in [
            json!({ "operation": "tape-delete", "barcodes": ["PHY001L9"], "force": true }),
            json!({ "operation": "load", "barcode": "PHY001L9", "drive": 0 }),
            json!({ "operation": "tape-hold", "barcodes": ["PHY001L9"], "reason": "x", "lift": false }),
            json!({ "operation": "browse", "barcode": "PHY001L9" }),
        ] {
            let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
            let request = serde_json::from_value(request).unwrap();
            told.send(operations::answer(&library, request, &caller)).unwrap();
        }
    };
    let mut reel = Reel { midway: Some((5, Box::new(ask))), ..Reel::of(5) };
    import(&scene, &mut reel, None).unwrap();
    drop(reel);
    let answers: Vec<_> = refused.iter().collect();
    assert_eq!(answers.len(), 4);
    for answer in answers {
        let failure = answer.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.contains("PHY001L9 is being imported"), "{failure}");
    }
    let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
    let request = json!({ "operation": "browse", "barcode": "PHY001L9" });
    operations::answer(&scene.library, serde_json::from_value(request).unwrap(), &caller).unwrap();
}

/// F20: one tape was imported under two barcodes, and nobody could tell afterwards.
#[test]
fn where_a_cartridge_came_from_is_known_and_the_same_tape_twice_is_named() {
    let scene = Scene::new();
    let serial = || Some("HY0004711".to_owned());
    let mut reel = Reel { serial: serial(), ..Reel::of(2) };
    let first = import(&scene, &mut reel, None).unwrap();
    assert_eq!(first["also_imported_as"], json!([]));
    // The same tape, written again meanwhile.
    let mut reel = Reel { serial: serial(), ..Reel::of(3) };
    let second = import(&scene, &mut reel, Some("PHY002L9")).unwrap();
    assert_eq!(second["also_imported_as"], json!(["PHY001L9"]));
    // Another one with the same on it.
    let mut reel = Reel { serial: Some("HY0004712".into()), ..Reel::of(3) };
    let third = import(&scene, &mut reel, Some("PHY003L9")).unwrap();
    assert_eq!(third["also_imported_as"], json!(["PHY002L9"]));
    let memory = scene.memory.clone();
    drop(scene);
    let scene = Scene::boot(memory, options());
    let library = &scene.library;
    let story = crate::whereabouts::show(library, &["PHY002L9".to_owned()]).unwrap();
    let told = &story[0]["imported"];
    assert_eq!(
        (&told["medium_serial"], &told["medium_barcode"]),
        (&json!("HY0004711"), &json!("PHY001L9"))
    );
    assert_eq!(told["also_imported_as"], json!(["PHY001L9", "PHY003L9"]));
    let story = crate::whereabouts::show(library, &[BARCODE.to_owned()]).unwrap();
    assert!(story[0]["imported"].is_null());
}
