//! Stacks on a drive that fails when it is told to: all members have a receipt, or none has.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use vtl_media::disk::{Disk, MemoryDisk};
use vtl_media::{Barcode, LibrarySpec, NewCartridge};

use super::super::scripted::{Drive, Looker, Object, Scene, Script, Swap, archive, open};
use super::super::stream::{Intake, take_in};
use super::*;

const NAMES: [&str; 3] = ["A00001L9", "A00002L9", "A00003L9"];

fn block(length: usize, fill: u8) -> Object {
    Object::Block(vec![fill; length])
}

/// One that ends with a block, one with two filemarks in a row at its end, one of a filemark alone.
fn contents() -> [Vec<Object>; 3] {
    let mark = || Object::Filemark;
    [
        vec![block(100, 1), mark(), block(7, 2)],
        vec![mark(), block(4096, 3), block(5, 4), mark(), mark()],
        vec![mark()],
    ]
}

fn scene() -> Scene {
    let disk = MemoryDisk::new();
    let store = open(&disk);
    let new = |name: &&str| NewCartridge::new(Barcode::new(name).unwrap(), "lto9");
    let cartridges = NAMES.iter().map(new).collect();
    store.initialize(LibrarySpec { cartridges, ..LibrarySpec::default() }).unwrap();
    Scene { receipts: archive(&disk), disk, store, exports: Exports::default() }
}

fn blank() -> Drive {
    Drive { barcode: Some("STK001L9".into()), ..Drive::blank() }
}

/// The cartridge as if that was on it.
fn entry(scene: &Scene, name: &str, objects: &[Object]) -> CartridgeEntry {
    let mut entry = scene.store.find(name).unwrap();
    let bytes = |object: &Object| match object {
        Object::Block(block) => u64::try_from(block.len()).unwrap(),
        Object::Filemark => 0,
    };
    let marks = objects.iter().filter(|object| **object == Object::Filemark).count();
    entry.filemark_count = u64::try_from(marks).unwrap();
    entry.block_count = u64::try_from(objects.len() - marks).unwrap();
    entry.written_bytes = objects.iter().map(bytes).sum();
    entry
}

#[derive(Clone, Copy, Default)]
struct How {
    anew: bool,
    overwrites: bool,
    stop_at: Option<u64>,
    /// The first cartridge was written on since.
    has_grown: bool,
}

fn run_these(
    scene: &Scene,
    drive: &mut Drive,
    numbers: &[usize],
    how: How,
) -> Result<Vec<Exported>, ExportError> {
    let mut all = contents();
    if how.has_grown {
        all[0].push(block(9, 9));
    }
    let entries: Vec<_> =
        numbers.iter().map(|&number| entry(scene, NAMES[number], &all[number])).collect();
    let cartridges: Vec<_> = entries
        .iter()
        .map(|entry| StackedCartridge { entry, as_of: Timestamp::UNIX_EPOCH, attributes: &[] })
        .collect();
    let mut scripts: Vec<_> =
        numbers.iter().map(|&number| Script::of(vec![all[number].clone()])).collect();
    let mut contents: Vec<&mut dyn Contents> = Vec::new();
    for script in &mut scripts {
        contents.push(script);
    }
    let order = StackOrder {
        store: &scene.store,
        receipts: &scene.receipts,
        cartridges: &cartridges,
        number: 1,
        overwrites: how.overwrites,
        begins_anew: how.anew,
        actor: "op",
        software: "test",
    };
    let stop_at = how.stop_at.unwrap_or(u64::MAX);
    let watcher = Looker { moved: AtomicU64::new(0), stop_at };
    order.run(&scene.exports, drive, &mut contents, &watcher)
}

fn run(scene: &Scene, drive: &mut Drive) -> Result<Vec<Exported>, ExportError> {
    run_these(scene, drive, &[0, 1, 2], How::default())
}

/// What lies on the tape between the two indexes is each cartridge and a filemark.
fn check_tape(drive: &Drive) {
    let middle: Vec<Object> =
        contents().into_iter().flat_map(|one| [one, vec![Object::Filemark]].concat()).collect();
    let first = drive.objects.iter().position(|object| *object == Object::Filemark).unwrap();
    let there = &drive.objects[first + 1..];
    assert_eq!(there[..middle.len()], middle);
    let is_text = |object: &Object| matches!(object, Object::Block(block) if block.is_ascii());
    assert!(drive.objects[..first].iter().all(is_text));
    let [texts @ .., Object::Filemark] = &there[middle.len()..] else { panic!("no filemark") };
    assert!(!texts.is_empty() && texts.iter().all(is_text));
}

fn check_receipts(scene: &Scene, exported: &[Exported]) {
    assert_eq!(scene.states(), [CopyState::Receipted; 3]);
    let first_files: Vec<u64> = exported
        .iter()
        .map(|one| {
            let receipt = scene.receipts.receipt(one.copy.id).unwrap();
            let content = receipt.content();
            assert_eq!(one.copy.facts.receipt, Some(content.sha256.to_string()));
            assert_eq!(one.copy.facts.volume.as_deref(), Some("STK001L9"));
            assert!(content.proof.as_ref().is_some_and(|proof| proof.is_equal));
            let stack = content.manifest.stack.as_ref().unwrap();
            assert_eq!(stack.members.iter().map(|one| &one.barcode).collect::<Vec<_>>(), NAMES);
            assert!(content.manifest.how_to_read.contains("A00001L9 A00002L9 A00003L9"));
            stack.first_file
        })
        .collect();
    assert_eq!(first_files, [1, 3, 7]);
}

/// Counts what it gets.
#[derive(Default)]
struct Taken(Vec<Object>);

impl Intake for Taken {
    fn partition(&mut self, number: u8) -> Result<(), String> {
        assert_eq!(number, 0);
        Ok(())
    }
    fn block(&mut self, data: &[u8]) -> Result<(), String> {
        self.0.push(Object::Block(data.to_vec()));
        Ok(())
    }
    fn filemark(&mut self) -> Result<(), String> {
        self.0.push(Object::Filemark);
        Ok(())
    }
}

#[test]
fn each_member_is_on_the_tape_as_it_is_and_comes_back_alone() {
    let (scene, mut drive) = (scene(), blank());
    let exported = run(&scene, &mut drive).unwrap();
    check_tape(&drive);
    check_receipts(&scene, &exported);
    let index = StackIndex::read(&mut drive).unwrap().unwrap();
    for ((name, wanted), exported) in NAMES.iter().zip(contents()).zip(&exported) {
        let (listed, mut region) = index.member(&mut drive, name).unwrap();
        assert_eq!(listed.copy, exported.copy.id);
        let mut taken = Taken::default();
        let watcher = Looker { moved: AtomicU64::new(0), stop_at: u64::MAX };
        let digest = take_in(&mut region, &mut taken, &watcher).unwrap();
        assert_eq!((taken.0, &digest), (wanted, &exported.manifest.partitions));
    }
    assert!(index.member(&mut drive, "A00009L9").is_none());
    let again = run(&scene, &mut drive).unwrap_err().to_string();
    assert!(again.contains("is there already"), "{again}");
    let mut plain = Drive { objects: contents()[1].clone(), ..blank() };
    assert_eq!(StackIndex::read(&mut plain).unwrap(), None);
}

#[test]
fn what_cannot_be_a_stack_is_refused_before_anything_is_written_or_staged() {
    let scene = scene();
    let refused = |mut drive: Drive, numbers: &[usize], wanted: &str| {
        let before = drive.objects.clone();
        let error = run_these(&scene, &mut drive, numbers, How::default()).unwrap_err();
        assert!(error.is_refusal(), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(drive.objects, before);
        assert!(scene.store.copies().is_empty());
    };
    refused(blank(), &[0], "2 to 500");
    refused(blank(), &[0, 1, 0], "named twice");
    refused(Drive { is_protected: true, ..blank() }, &[0, 1], "write-protected");
    refused(Drive { additional_partitions: 1, ..blank() }, &[0, 1], "several partitions");
    refused(Drive { barcode: Some("A00002L9".into()), ..blank() }, &[0, 1], "barcode of its own");
    refused(Drive { objects: vec![block(3, 1)], ..blank() }, &[0, 1], "--overwrite");
}

/// F17: whichever write fails, all members fail with their tape, and another tape takes all of them.
#[test]
fn a_write_error_at_every_object_fails_all_members() {
    let writes = {
        let mut drive = blank();
        run(&scene(), &mut drive).unwrap();
        drive.writes
    };
    assert!(writes > 15);
    for at in 1..=writes {
        let (scene, mut drive) = (scene(), blank());
        drive.fault = Some((at, TapeError::Medium("3/0C/00".into())));
        assert!(run(&scene, &mut drive).unwrap_err().is_final(), "{at}");
        assert_eq!(scene.states(), [CopyState::Failed; 3], "{at}");
        assert!(run(&scene, &mut drive).unwrap_err().is_refusal(), "{at}: reused");
        let mut other =
            Drive { serial: Some("PHY2".into()), barcode: Some("STK002L9".into()), ..blank() };
        run(&scene, &mut other).unwrap();
        check_tape(&other);
    }
}

/// F18, F19: it goes on with the same tape, behind the last member that is on it, whatever the order in which they are named then.
#[test]
fn it_goes_on_after_any_interruption() {
    let writes = {
        let mut drive = blank();
        run(&scene(), &mut drive).unwrap();
        drive.writes
    };
    let mut went_on = 0;
    for at in 1..=writes {
        let (scene, mut drive) = (scene(), blank());
        drive.fault = Some((at, TapeError::Hardware("4/44/00".into())));
        assert!(!run(&scene, &mut drive).unwrap_err().is_final());
        assert_eq!(scene.states(), [CopyState::Staged; 3], "{at}");
        let scene = scene.restarted();
        let before = drive.writes;
        let exported = run_these(&scene, &mut drive, &[2, 0, 1], How::default()).unwrap();
        went_on += usize::from(drive.writes - before < writes);
        check_tape(&drive);
        check_receipts(&scene, &exported);
    }
    assert!(went_on > 8, "{went_on}");
}

#[test]
fn another_tape_another_set_of_members_and_a_lone_member_are_refused_while_it_is_under_way() {
    let (scene, mut drive) = (scene(), blank());
    drive.fault = Some((14, TapeError::NoMedium));
    run(&scene, &mut drive).unwrap_err();
    let kept = drive.objects.clone();
    let mut text = run_these(&scene, &mut drive, &[0, 1], How::default()).unwrap_err().to_string();
    assert!(text.contains("A00001L9 A00002L9 A00003L9"), "{text}");
    text = scene.run(&mut drive).unwrap_err().to_string();
    assert!(text.contains("go on with --stack"), "{text}");
    let mut other = Drive { serial: Some("PHY2".into()), ..blank() };
    text = run(&scene, &mut other).unwrap_err().to_string();
    assert!(text.contains("begun on PHY1") && other.objects.is_empty(), "{text}");
    assert_eq!(drive.objects, kept);
    assert_eq!(scene.states(), [CopyState::Staged; 3]);
    let anew = How { anew: true, ..How::default() };
    let exported = run_these(&scene, &mut other, &[0, 1, 2], anew).unwrap();
    check_tape(&other);
    assert_eq!(exported.len(), 3);
}

/// Whatever is changed on the tape while it is out: no member has a receipt.
#[test]
fn a_change_anywhere_on_the_tape_fails_all_members() {
    let count = {
        let mut drive = blank();
        run(&scene(), &mut drive).unwrap();
        drive.objects.len()
    };
    for at in 0..count {
        let (scene, mut drive) = (scene(), blank());
        drive.on_reload = Some(Swap::Flip(at));
        let error = run(&scene, &mut drive).unwrap_err();
        assert!(matches!(error, ExportError::Different(_)), "{at}: {error}");
        assert_eq!(scene.states(), [CopyState::Failed; 3], "{at}");
    }
    let (scene, mut drive) = (scene(), blank());
    drive.on_reload = Some(Swap::Stranger);
    assert!(run(&scene, &mut drive).unwrap_err().is_refusal());
    drive.serial = Some("PHY1".into());
    check_receipts(&scene, &run(&scene, &mut drive).unwrap());
}

#[test]
fn it_can_be_stopped_anywhere_and_goes_on() {
    for stop_at in [0, 1, 100, 107, 4300, 4310, 8000] {
        let (scene, mut drive) = (scene(), blank());
        let how = How { stop_at: Some(stop_at), ..How::default() };
        assert!(matches!(
            run_these(&scene, &mut drive, &[0, 1, 2], how),
            Err(ExportError::GivenUp)
        ));
        let scene = scene.restarted();
        check_receipts(&scene, &run(&scene, &mut drive).unwrap());
        check_tape(&drive);
    }
}

/// The proof asked for what the cartridge had become, where the tape had what it was: a good tape was called bad.
#[test]
fn what_was_written_is_read_back_whatever_the_cartridges_have_become() {
    let (scene, mut drive) = (scene(), blank());
    let in_proof = How { stop_at: Some(4300), ..How::default() };
    run_these(&scene, &mut drive, &[0, 1, 2], in_proof).unwrap_err();
    assert_eq!(scene.states(), [CopyState::Written; 3]);
    let grown = How { has_grown: true, ..How::default() };
    let exported = run_these(&scene, &mut drive, &[0, 1, 2], grown).unwrap();
    check_tape(&drive);
    check_receipts(&scene, &exported);
}

/// It was refused for what it had written itself; and another tape would have been taken in its place.
#[test]
fn where_a_cartridge_was_written_on_it_begins_again_on_its_own_tape() {
    let (scene, mut drive) = (scene(), blank());
    let in_writing = How { stop_at: Some(107), ..How::default() };
    run_these(&scene, &mut drive, &[0, 1, 2], in_writing).unwrap_err();
    assert_eq!(scene.states(), [CopyState::Staged; 3]);
    let grown = How { has_grown: true, ..How::default() };
    let mut other = Drive { serial: Some("PHY2".into()), ..blank() };
    let text = run_these(&scene, &mut other, &[0, 1, 2], grown).unwrap_err().to_string();
    assert!(text.contains("begun on PHY1") && other.objects.is_empty(), "{text}");
    assert_eq!(run_these(&scene, &mut drive, &[0, 1, 2], grown).unwrap().len(), 3);
    assert!(drive.objects.contains(&block(9, 9)));
}

/// The receipt said that all blocks had gone with checksums where only those of the last run had.
#[test]
fn what_is_said_of_protection_holds_for_each_block() {
    let cases = [
        (None, Some("crc32c"), "none"),
        (Some("crc32c"), None, "none"),
        (Some("crc32c"), Some("reed-solomon"), "mixed"),
        (Some("crc32c"), Some("crc32c"), "crc32c"),
    ];
    for (first, then, said) in cases {
        let (scene, mut drive) = (scene(), blank());
        drive.method = first;
        let in_second = How { stop_at: Some(4200), ..How::default() };
        run_these(&scene, &mut drive, &[0, 1, 2], in_second).unwrap_err();
        assert_eq!(scene.states(), [CopyState::Staged; 3]);
        drive.method = then;
        let exported = run(&scene.restarted(), &mut drive).unwrap();
        assert_eq!(exported[0].proof.written.protection, said);
        let is_named = exported[0].proof.not_checked.iter().any(|line| line.contains("logical"));
        assert_eq!(is_named, said == "none" || then.is_none());
    }
}

#[test]
fn after_a_power_cut_at_any_call_it_goes_on_and_all_or_none_are_receipted() {
    let mut drive = blank();
    let cuts = scene().cut_at_each_call(|scene| drop(run(scene, &mut drive).unwrap()));
    let mut seen = Vec::new();
    for (at, disk) in cuts.into_iter().enumerate() {
        let store = open(&disk);
        let scene = Scene { receipts: archive(&disk), store, exports: Exports::default(), disk };
        let states = scene.states();
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "{at}: {states:?}");
        seen.extend(states.first().copied());
        if states.first().is_some_and(|state| state.is_receipted()) {
            for copy in scene.store.copies() {
                let receipt = scene.receipts.receipt(copy.id).unwrap();
                assert!(receipt.content().proof.is_some(), "{at}");
            }
            continue;
        }
        // Nothing is on the tape before a file says so.
        let is_begun = scene.store.copies().iter().any(|copy| {
            let path = Path::new("/data/copies").join(copy.id.to_string()).join("stack.json");
            scene.disk.exists(&path).unwrap()
        });
        let mut there = if is_begun { drive.clone() } else { blank() };
        // The tape's files may be fewer than those of the members: nothing is written before all of them are there.
        let all = How { overwrites: true, ..How::default() };
        run_these(&scene, &mut there, &[0, 1, 2], all)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        check_tape(&there);
        assert_eq!(scene.states(), [CopyState::Receipted; 3], "{at}");
    }
    for state in [CopyState::Staged, CopyState::Manifested, CopyState::Written, CopyState::Proved] {
        assert!(seen.contains(&state), "no power cut in state {state}");
    }
}
