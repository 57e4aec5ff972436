//! Exports to a drive that fails when it is told to: whatever happens, no copy is called one that is none.

use std::fmt;
use std::sync::Mutex;

use jiff::Timestamp;
use vtl_media::CopyState;

use super::scripted::{Drive, Object, Scene, Swap, objects};
use super::*;

#[test]
fn a_copy_is_what_the_cartridge_is_and_is_proved() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    let exported = scene.run(&mut drive).unwrap();
    assert_eq!(drive.objects, objects());
    assert_eq!(exported.copy.state, CopyState::Receipted);
    assert_eq!(exported.copy.facts.medium_serial.as_deref(), Some("PHY1"));
    assert!(exported.proof.is_equal && exported.proof.mismatches.is_empty());
    assert_eq!(exported.manifest.partitions, exported.proof.partitions);
    assert_eq!(exported.manifest.partitions[0].sections.len(), 4);
    assert!(scene.run(&mut drive).unwrap_err().is_refusal(), "it is there already");
}

/// Tries to export the same cartridge to another drive while it is being exported.
struct Rival<'a> {
    scene: &'a Scene,
    answers: Mutex<Vec<Result<CopyState, String>>>,
}

impl fmt::Debug for Rival<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rival")
    }
}

impl Watcher for Rival<'_> {
    fn is_given_up(&self) -> bool {
        false
    }
    fn moved(&self, _: u64) {
        let mut drive = Drive { serial: Some("PHY2".into()), ..Drive::blank() };
        let answer = self.scene.run(&mut drive);
        assert!(drive.objects.is_empty(), "both write");
        let answer = answer.map(|exported| exported.copy.state).map_err(|error| error.to_string());
        self.answers.lock().unwrap().push(answer);
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn clock_ms(&self) -> u64 {
        0
    }
}

/// F29: of two exports of one cartridge one goes on, and the other one is told; afterwards the next one may come.
#[test]
fn a_cartridge_is_exported_once_at_a_time() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    let rival = Rival { scene: &scene, answers: Mutex::default() };
    let entry = scene.entry();
    let order = Order { number: 2, ..scene.order(&entry) };
    scene.watched(&order, &mut drive, &rival).unwrap();
    assert_eq!(drive.objects, objects());
    let answers = rival.answers.into_inner().unwrap();
    assert!(answers.len() > 4);
    for answer in answers {
        assert_eq!(answer.unwrap_err(), "A00001L9 is being exported already");
    }
    let mut other = Drive { serial: Some("PHY2".into()), ..Drive::blank() };
    scene.run(&mut other).unwrap();
    assert_eq!(other.objects, objects());
}

/// F17: whichever write fails, the copy and its tape are marked as failed, and only an order for it writes on that tape again.
#[test]
fn a_write_error_at_every_object_fails_the_copy() {
    for at in 1..=objects().len() + 1 {
        for error in [TapeError::Medium("3/0C/00".into()), TapeError::Full, TapeError::Protected] {
            let (scene, mut drive) = (Scene::new(), Drive::blank());
            drive.fault = Some((at, error));
            let failed = scene.run(&mut drive).unwrap_err();
            assert!(failed.is_final(), "{at}: {failed}");
            let mut states = scene.states();
            assert_eq!(states, [CopyState::Failed], "{at}");
            assert!(scene.run(&mut drive).unwrap_err().is_refusal(), "{at}: reused");
            // Another tape takes it.
            let mut other = Drive { serial: Some("PHY2".into()), ..Drive::blank() };
            scene.run(&mut other).unwrap();
            states = scene.states();
            assert_eq!(states, [CopyState::Failed, CopyState::Receipted]);
            assert_eq!(other.objects, objects());
        }
    }
}

/// F18, F19: a broken drive or a tape that was out is no fault of the tape: it goes on with the same one, wherever it was.
#[test]
fn it_goes_on_with_the_same_tape_after_any_interruption() {
    for at in 1..=objects().len() + 1 {
        for error in [
            TapeError::Hardware("4/44/00".into()),
            TapeError::Cleaning,
            TapeError::NoMedium,
            TapeError::Changed("6/28/00".into()),
        ] {
            let (scene, mut drive) = (Scene::new(), Drive::blank());
            drive.fault = Some((at, error.clone()));
            assert!(!scene.run(&mut drive).unwrap_err().is_final());
            assert_eq!(scene.states(), [CopyState::Staged], "{at}");
            let scene = scene.restarted();
            let exported = scene.run(&mut drive).unwrap();
            assert!(exported.proof.is_equal);
            assert_eq!(drive.objects, objects(), "{at} {error}");
            assert_eq!(exported.manifest.partitions, exported.proof.partitions);
        }
    }
}

/// What was written before is not written once more.
#[test]
fn it_goes_on_behind_the_last_section_that_is_on_the_tape() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.fault = Some((8, TapeError::NoMedium));
    scene.run(&mut drive).unwrap_err();
    drive.writes = 0;
    scene.run(&mut drive).unwrap();
    let from_the_start = {
        let mut other = Drive::blank();
        Scene::new().run(&mut other).unwrap();
        other.writes
    };
    assert!(drive.writes < from_the_start, "{} of {from_the_start}", drive.writes);
}

/// F19: another tape in the drive is refused and left as it is, with another serial number, or with the same and other content.
#[test]
fn a_stranger_in_the_drive_is_not_touched() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.fault = Some((6, TapeError::NoMedium));
    scene.run(&mut drive).unwrap_err();
    let things = vec![Object::Block(vec![9; 9]), Object::Filemark, Object::Block(vec![8; 8])];
    for serial in ["OTHER", "PHY1"] {
        let mut stranger =
            Drive { objects: things.clone(), serial: Some(serial.into()), ..Drive::blank() };
        let refused = scene.run_over(&mut stranger).unwrap_err();
        assert!(refused.is_refusal(), "{serial}: {refused}");
        assert_eq!((stranger.objects, stranger.writes), (things.clone(), 0), "{serial}");
    }
    scene.run(&mut drive).unwrap();
}

#[test]
fn a_tape_that_is_gone_for_good_does_not_stand_in_the_way() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.fault = Some((6, TapeError::NoMedium));
    scene.run(&mut drive).unwrap_err();
    let mut other = Drive { serial: Some("PHY2".into()), ..Drive::blank() };
    scene.run(&mut other).unwrap_err();
    let entry = scene.entry();
    let order = Order { begins_anew: true, ..scene.order(&entry) };
    scene.carry_out(&order, &mut other).unwrap();
    assert_eq!(scene.states(), [CopyState::Failed, CopyState::Receipted]);
}

/// Whatever happens to the tape between writing and reading, there is no proof of it.
#[test]
fn what_does_not_come_back_is_not_proved() {
    for at in 0..objects().len() {
        let (scene, mut drive) = (Scene::new(), Drive::blank());
        drive.on_reload = Some(Swap::Flip(at));
        let failed = scene.run(&mut drive).unwrap_err();
        assert!(matches!(failed, ExportError::Different(_)), "{at}: {failed}");
        assert_eq!(scene.states(), [CopyState::Failed], "{at}");
    }
    for swap in [Swap::Stranger, Swap::Gone] {
        let (scene, mut drive) = (Scene::new(), Drive::blank());
        drive.on_reload = Some(swap.clone());
        assert!(!scene.run(&mut drive).unwrap_err().is_final());
        assert_eq!(scene.states(), [CopyState::Written]);
        // It is proved once the right one is there again, after a restart too, and nothing is written for it.
        let scene = scene.restarted();
        drive.serial = Some("PHY1".into());
        drive.writes = 0;
        scene.run(&mut drive).unwrap();
        assert_eq!((scene.states(), drive.writes), (vec![CopyState::Receipted], 0), "{swap:?}");
    }
}

#[test]
fn what_may_not_be_written_is_refused_before_anything_is() {
    let scene = Scene::new();
    let protected = Drive { is_protected: true, ..Drive::blank() };
    let used = Drive { objects: vec![Object::Filemark], ..Drive::blank() };
    let parted = Drive { additional_partitions: 1, ..Drive::blank() };
    for mut drive in [protected, parted, used.clone()] {
        let refused = scene.run(&mut drive).unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        assert_eq!((drive.writes, scene.states().len()), (0, 0));
    }
    let mut drive = used;
    scene.run_over(&mut drive).unwrap();
    assert_eq!(drive.objects, objects());
    // A tape with a copy that counts is not even overwritten by order.
    let uuid = scene.entry().uuid;
    let second = scene.store.stage_copies(&[(uuid, 2)], "op").unwrap();
    assert_eq!(second.len(), 1);
    let entry = scene.entry();
    let order = Order { number: 2, overwrites: true, ..scene.order(&entry) };
    let refused = scene.carry_out(&order, &mut drive).unwrap_err();
    assert!(refused.is_refusal(), "{refused}");
    assert_eq!(drive.objects, objects());
}

#[test]
fn a_block_that_the_drive_does_not_write_ends_it() {
    let (scene, mut drive) = (Scene::new(), Drive { max_block_bytes: 1024, ..Drive::blank() });
    let failed = scene.run(&mut drive).unwrap_err();
    assert!(matches!(
        failed,
        ExportError::BlockTooLong { partition: 0, object: 4, bytes: 4096, most: 1024 }
    ));
    assert_eq!(scene.states(), [CopyState::Failed]);
}

/// Ctrl-C at any byte, writing or reading back, and again.
#[test]
fn it_can_be_stopped_at_any_moment_and_taken_up() {
    let total: u64 = 100 + 7 + 4096 + 512 + 1;
    for stop_at in [0, 1, 100, 107, 4203, 4715, total, total + 1, total + 107, 2 * total] {
        let (mut scene, mut drive) = (Scene::new(), Drive::blank());
        let stopped = scene.run_until(&mut drive, stop_at).unwrap_err();
        assert!(matches!(stopped, ExportError::GivenUp), "{stop_at}: {stopped}");
        assert!(scene.states().iter().all(|state| *state < CopyState::Proved));
        scene = scene.restarted();
        scene.run(&mut drive).unwrap();
        assert_eq!(drive.objects, objects(), "{stop_at}");
    }
}

/// The export stops while the tape is read back, the host writes on the cartridge, and the export is taken up: the copy is of what was
/// written on the tape then, and does not count as one of what is there now.
#[test]
fn a_copy_that_is_taken_up_is_of_the_moment_that_was_written() {
    let (scene, mut drive) = (Scene::new(), Drive::blank());
    drive.on_reload = Some(Swap::Gone);
    scene.run(&mut drive).unwrap_err();
    let copy = scene.store.copies().remove(0);
    assert_eq!((copy.state, copy.facts.as_of), (CopyState::Written, Some(Timestamp::UNIX_EPOCH)));
    let mut entry = scene.entry();
    entry.generation += 1;
    let order = Order { as_of: Timestamp::MAX, ..scene.order(&entry) };
    let exported = scene.carry_out(&order, &mut drive).unwrap();
    let facts = exported.copy.facts;
    assert_eq!(facts.as_of, exported.manifest.source.as_of);
    assert_eq!((facts.as_of, facts.generation), (copy.facts.as_of, copy.facts.generation));
}

/// The drive does not tell the serial number of the tape, and the library reads its barcode: a tape with a copy that counts was
/// overwritten by order, and one that had failed was used again.
#[test]
fn a_tape_without_a_serial_number_is_known_by_its_barcode() {
    let labelled = |serial: Option<&str>| Drive {
        serial: serial.map(Into::into),
        barcode: Some("P1".into()),
        ..Drive::blank()
    };
    let order = |scene: &Scene, drive: &mut Drive, number, overwrites| {
        let entry = scene.entry();
        let order = Order { number, overwrites, ..scene.order(&entry) };
        scene.carry_out(&order, drive)
    };
    for (then, now) in [(None, None), (Some("PHY1"), None), (None, Some("PHY1"))] {
        let scene = Scene::new();
        order(&scene, &mut labelled(then), 1, false).unwrap();
        let mut again = labelled(now);
        let refused = order(&scene, &mut again, 2, true).unwrap_err();
        assert!(refused.is_refusal(), "{refused}");
        assert!(again.objects.is_empty());

        let scene = Scene::new();
        let full = Some((2, TapeError::Full));
        order(&scene, &mut Drive { fault: full, ..labelled(then) }, 1, false).unwrap_err();
        assert!(order(&scene, &mut labelled(now), 1, false).unwrap_err().is_refusal());
    }
    let scene = Scene::new();
    order(&scene, &mut labelled(None), 1, false).unwrap();
    order(&scene, &mut Drive { barcode: Some("P2".into()), ..labelled(None) }, 2, false).unwrap();
}

/// An export had begun on a tape and was stopped: the ledger did not know the tape yet, so that another copy was written over it by order.
#[test]
fn a_tape_that_a_copy_was_begun_on_is_not_given_to_another_one() {
    let (scene, mut drive) = (Scene::new(), Drive { barcode: Some("P1".into()), ..Drive::blank() });
    drive.fault = Some((6, TapeError::NoMedium));
    scene.run(&mut drive).unwrap_err();
    let begun = begun_on(&scene.store, &scene.store.copies().remove(0)).unwrap();
    assert_eq!(
        (begun.volume.as_deref(), begun.medium_serial.as_deref()),
        (Some("P1"), Some("PHY1"))
    );
    let (entry, before) = (scene.entry(), drive.objects.clone());
    let order = Order { number: 2, overwrites: true, ..scene.order(&entry) };
    let refused = scene.carry_out(&order, &mut drive).unwrap_err();
    assert!(refused.is_refusal(), "{refused}");
    assert_eq!(drive.objects, before);
    let copy = scene.run(&mut drive).unwrap().copy;
    assert_eq!(begun_on(&scene.store, &copy), None);
}
