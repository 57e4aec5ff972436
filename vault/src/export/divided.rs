//! Cartridges with several partitions, and blocks with checksums on their way.

use std::sync::atomic::AtomicU64;

use vtl_media::CopyState;

use super::scripted::{Drive, Looker, Object, Scene, Swap, of_partition};
use super::*;

const SHARES: [Share; 3] = [
    Share { bytes: 1000, written_bytes: 100, stored_bytes: 50 },
    Share { bytes: 500_000, written_bytes: 5000, stored_bytes: 0 },
    Share { bytes: 10, written_bytes: 0, stored_bytes: 0 },
];

fn drive() -> Drive {
    Drive { partitions_most: 3, ..Drive::blank() }
}

fn run(scene: &Scene, drive: &mut Drive) -> Result<Exported, ExportError> {
    let entry = scene.entry();
    scene.carry_out(&Order { partitions: &SHARES, ..scene.order(&entry) }, drive)
}

fn assert_there(drive: &Drive) {
    assert_eq!(drive.on(0), of_partition(1));
    assert_eq!(drive.on(1), of_partition(2));
    assert_eq!(drive.on(2), []);
}

/// A cartridge with partitions was refused: LTFS volumes could not be exported.
#[test]
fn each_partition_is_written_and_proved_on_a_tape_that_is_divided_alike() {
    let (scene, mut drive) = (Scene::new(), drive());
    let exported = run(&scene, &mut drive).unwrap();
    assert_there(&drive);
    assert_eq!(drive.divided, [[1000, (1 << 20) - 1010, 10]], "the largest gets the rest");
    let Exported { copy, manifest, proof } = exported;
    assert_eq!((manifest.partitions.len(), &manifest.partitions), (3, &proof.partitions));
    let bytes: Vec<u64> = manifest.partitions.iter().map(|digest| digest.bytes).collect();
    assert_eq!(copy.facts.bytes, Some(bytes.iter().sum()));
    assert!(bytes[0] > bytes[1] && bytes[2] == 0, "{bytes:?}");
    assert!(manifest.how_to_read.contains("mt -f /dev/nst0 setpartition 1\n"));
    let receipt = scene.receipts.receipt(copy.id).unwrap();
    assert_eq!(receipt.content().manifest, manifest);
}

/// Whatever ends it, and whenever, it goes on with the same tape, which is not divided once more when something is on it.
#[test]
fn it_goes_on_in_the_partition_in_which_it_was() {
    let calls = {
        let mut drive = drive();
        run(&Scene::new(), &mut drive).unwrap();
        drive.writes
    };
    for at in 1..=calls {
        let (scene, mut drive) = (Scene::new(), drive());
        drive.fault = Some((at, TapeError::NoMedium));
        let error = run(&scene, &mut drive).unwrap_err();
        assert!(!error.is_final());
        assert_eq!(
            error.to_string().contains(" of partition 1: "),
            (12..=21).contains(&at),
            "{at}: {error}"
        );
        let is_begun = drive.on(0).len() > 3;
        let scene = scene.restarted();
        drive.writes = 0;
        let exported = run(&scene, &mut drive).unwrap();
        assert_there(&drive);
        assert!(exported.proof.is_equal);
        assert_eq!(exported.manifest.partitions, exported.proof.partitions);
        if is_begun {
            assert_eq!(drive.divided.len(), 1, "{at}");
            assert!(drive.writes < calls, "{at}");
        }
    }
    for stop_at in (0..20_000).step_by(97) {
        let (scene, mut drive) = (Scene::new(), drive());
        let entry = scene.entry();
        let order = Order { partitions: &SHARES, ..scene.order(&entry) };
        let looker = Looker { moved: AtomicU64::new(0), stop_at };
        if scene.watched(&order, &mut drive, &looker).is_ok() {
            assert!(stop_at > 18_000, "{stop_at}");
            break;
        }
        let scene = scene.restarted();
        run(&scene, &mut drive).unwrap();
        assert_there(&drive);
    }
}

/// Another tape, divided alike, with the same in partition 0 and something else in partition 1: it is not gone on with.
#[test]
fn a_stranger_is_known_by_its_last_partition() {
    let (scene, mut drive) = (Scene::new(), Drive { serial: None, ..drive() });
    // Behind the first filemark of partition 1.
    drive.fault = Some((15, TapeError::NoMedium));
    run(&scene, &mut drive).unwrap_err();
    let mut stranger = drive.clone();
    stranger.enter(1).unwrap();
    stranger.objects[0] = Object::Block(vec![9; 7]);
    stranger.writes = 0;
    let refused = run(&scene, &mut stranger).unwrap_err();
    assert!(refused.to_string().contains("section 0 of partition 1 is not on it"), "{refused}");
    assert_eq!(stranger.writes, 0);
    run(&scene, &mut drive).unwrap();
    assert_there(&drive);
}

#[test]
fn a_partition_that_does_not_come_back_is_no_proof() {
    let (scene, mut tape) = (Scene::new(), drive());
    tape.on_reload = Some(Swap::FlipIn(1, 0));
    let failed = run(&scene, &mut tape).unwrap_err();
    assert!(failed.to_string().contains("partition 1, section 0: 1 blocks"), "{failed}");
    assert_eq!(scene.states(), [CopyState::Failed]);
    // Somebody has formatted it meanwhile.
    let (scene, mut tape) = (Scene::new(), drive());
    tape.on_reload = Some(Swap::Divided(1));
    let failed = run(&scene, &mut tape).unwrap_err();
    assert!(failed.to_string().ends_with("it has 2 partitions, and 3 were written"), "{failed}");
    assert_eq!(scene.states(), [CopyState::Failed]);
}

#[test]
fn what_cannot_be_divided_is_refused_before_anything_is_written() {
    let refused = |mut tape: Drive, why: &str| {
        let scene = Scene::new();
        let refused = run(&scene, &mut tape).unwrap_err();
        assert!(refused.is_refusal() && refused.to_string().contains(why), "{refused}");
        assert_eq!((tape.writes, scene.states().len(), tape.divided.len()), (0, 0, 0), "{why}");
    };
    refused(Drive::blank(), "makes 1 at most");
    refused(Drive { partitions_most: 1, ..Drive::blank() }, "makes 2 at most");
    refused(Drive { additional_partitions: 1, ..drive() }, "--overwrite");
    // What is in the second partition of a tape counts too.
    let others = vec![Vec::new(), vec![Object::Filemark], Vec::new()];
    refused(Drive { additional_partitions: 2, others, ..drive() }, "something on the tape");
    // The drive says only when it is told that it does not.
    let (scene, mut tape) = (Scene::new(), drive());
    tape.on_divide = Some(TapeError::Refused("5/20/00".into()));
    let error = run(&scene, &mut tape).unwrap_err();
    assert!(error.to_string().contains("does not divide the tape into 3 partitions (5/20/00)"));
    assert_eq!((tape.writes, scene.states()), (0, vec![CopyState::Staged]));
    run(&scene, &mut tape).unwrap();
    assert_there(&tape);
}

/// A tape that was divided for something else takes a cartridge with one partition when that is ordered.
#[test]
fn by_order_a_divided_tape_becomes_one() {
    let (scene, mut tape) = (Scene::new(), Drive { additional_partitions: 1, ..drive() });
    tape.others = vec![Vec::new(), vec![Object::Filemark]];
    scene.run(&mut tape).unwrap_err();
    scene.run_over(&mut tape).unwrap();
    assert_eq!((tape.additional_partitions, tape.on(0)), (0, &of_partition(1)[..]));
}

/// Where the tape is small, a partition gets what is in it, and not what it could take on the cartridge.
#[test]
fn partitions_shrink_to_what_is_in_them_and_no_further() {
    let sizes = |shares: &[Share]| {
        let (scene, mut tape) = (Scene::new(), drive());
        let entry = scene.entry();
        let order = Order { partitions: shares, ..scene.order(&entry) };
        scene.carry_out(&order, &mut tape).map(|_| tape.divided.remove(0))
    };
    let share = |bytes, written_bytes, stored_bytes| Share { bytes, written_bytes, stored_bytes };
    let capacity = 1 << 20;
    let small = sizes(&[share(3 << 20, 100, 0), share(2 << 20, 500_000, 0)]).unwrap();
    assert_eq!(small, [capacity - 510_000, 510_000]);
    let packed = sizes(&[share(3 << 20, 100, 0), share(2 << 20, 900_000, 100_000)]).unwrap();
    assert_eq!(packed, [capacity - 102_000, 102_000]);
    let refused = sizes(&[share(3 << 20, 600_000, 0), share(2 << 20, 700_000, 0)]).unwrap_err();
    assert!(refused.to_string().contains("does not fit"), "{refused}");
}

/// The receipt said that block protection had not been in use, and it was not.
#[test]
fn blocks_are_protected_and_the_drive_is_left_as_it_was() {
    let protected = || Drive { method: Some("crc32c"), ..Drive::blank() };
    let mut drive = protected();
    let Exported { proof, .. } = Scene::new().run(&mut drive).unwrap();
    assert_eq!((&*proof.written.protection, &*proof.read.protection), ("crc32c", "crc32c"));
    assert!(!drive.is_protecting && !proof.not_checked.iter().any(|line| line.contains("logical")));
    // Also when it fails, or is refused.
    let mut drive = Drive { fault: Some((3, TapeError::NoMedium)), ..protected() };
    Scene::new().run(&mut drive).unwrap_err();
    assert!(!drive.is_protecting);
    let mut drive = Drive { is_protected: true, ..protected() };
    Scene::new().run(&mut drive).unwrap_err();
    assert!(!drive.is_protecting);
    let Exported { proof, .. } = Scene::new().run(&mut Drive::blank()).unwrap();
    assert_eq!(
        proof.not_checked,
        [
            "logical block protection when writing and reading back: the drive has none, or not for each block"
        ]
    );
}
