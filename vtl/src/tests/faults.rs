//! A disk that fails under a cartridge: which host is told what, and what the operator hears of it.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use vtl_media::disk::{Call, Fault, Reaction};
use vtl_media::ledger::RecordedEvent;
use vtl_media::{EntryFilter, Event, Place, Protection, Volume};
use vtl_scsi::sense::SenseFormat;

use super::*;

const EIO: i32 = 5;
const LENGTH: usize = 20_000;

/// The answer to a command that could not bring `count` objects to the medium.
fn write_error(count: i64) -> Sense {
    Sense::write_error().with_information(count)
}

/// Two blocks and a filemark that are durable, and two blocks that are in the buffer.
fn scene() -> Scene {
    let scene = Scene::new();
    written(&scene);
    scene
}

fn written(scene: &Scene) {
    good(&scene.write(A, &block(0, LENGTH)));
    good(&scene.write(A, &block(1, LENGTH)));
    good(&scene.filemarks(A, false, 1));
    good(&scene.write(A, &block(2, LENGTH)));
    good(&scene.write(A, &block(3, LENGTH)));
}

fn fail_syncs(scene: &Scene) {
    scene.disk.inject(Fault::once(Call::SyncData, ".seg", Reaction::Errno(EIO)));
}

/// Has the disk fail behind the commands that have been answered, and waits until it has. The buffer is written when it is
/// a quarter full, which is the case with the fourth block since the sync point.
fn fail_behind(scene: &Scene) {
    scene.disk.inject(Fault::forever(Call::Write, ".seg", Reaction::Errno(EIO)));
    good(&scene.write(A, &block(4, LENGTH)));
    good(&scene.write(A, &block(5, LENGTH)));
    await_fence(scene);
}

fn await_fence(scene: &Scene) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let unit = scene.library.drive(0).unwrap();
    let is_fenced = |drive: &mut vtl_drive::Drive| drive.cartridge().is_some_and(Volume::is_fenced);
    while !unit.with_drive(is_fenced).unwrap() {
        assert!(Instant::now() < deadline, "nothing failed");
        std::thread::yield_now();
    }
}

/// What the ledger says of failures.
fn faults(scene: &Scene) -> Vec<Event> {
    let entries = scene.library.store().ledger().list(&EntryFilter::default()).unwrap();
    let events = entries.into_iter().filter_map(|entry| match entry.event {
        RecordedEvent::Known(event) => Some(*event),
        RecordedEvent::Unknown(_) => None,
    });
    events.filter(|event| matches!(event, Event::Fault { .. })).collect()
}

fn expect_one_fault(scene: &Scene) {
    let entry = scene.library.store().find(BARCODE).unwrap();
    let faults = faults(scene);
    let [Event::Fault { cartridge, place, message }] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((*cartridge, place.as_ref()), (Some(entry.uuid), Some(&Place::drive(0))));
    assert!(message.contains(BARCODE) && message.contains("load it again"), "{message}");
}

/// Nothing can be written, what is durable can be read; loaded again, all of that is there and more can be written.
fn expect_fenced_until_loaded_again(scene: &Scene) {
    assert_eq!(sense(&scene.write(A, &[1; 100])), Sense::write_protected());
    assert_eq!(sense(&scene.filemarks(A, false, 1)), Sense::write_protected());
    assert_eq!(sense(&scene.filemarks(A, false, 0)), Sense::write_protected());
    assert_eq!(sense(&scene.send(A, &[0x19, 0, 0, 0, 0, 0])), Sense::write_protected());
    let read_durable = || {
        good(&scene.send(A, &REWIND));
        for number in 0..2 {
            assert_eq!(scene.read(A, LENGTH).data_in, block(number, LENGTH));
        }
        assert_eq!(sense(&scene.read(A, LENGTH)).asc, Sense::filemark_detected(0).asc);
    };
    read_durable();
    scene.disk.release();
    good(&scene.send(A, &UNLOAD));
    good(&scene.send(A, &LOAD));
    scene.take_attentions(A);
    read_durable();
    good(&scene.send(A, &[0x11, 3, 0, 0, 0, 0]));
    good(&scene.write(A, &block(9, LENGTH)));
    good(&scene.filemarks(A, false, 1));
    let (end, buffered, _) = scene.position(A);
    assert!(end >= 5 && buffered == 0, "{end}, {buffered}");
    assert!(scene.disk.retried_syncs().is_empty());
    let after = Scene::boot(scene.memory.after_power_cut(), options());
    for number in 0..2 {
        assert_eq!(after.read(A, LENGTH).data_in, block(number, LENGTH));
    }
    good(&after.send(A, &[0x11, 3, 0, 0, 0, 0]));
    assert_eq!(after.position(A).0, end);
    good(&after.send(A, &[0x2b, 0, 0, 0, 0, 0, u8::try_from(end - 2).unwrap(), 0, 0, 0]));
    assert_eq!(after.read(A, LENGTH).data_in, block(9, LENGTH));
}

#[test]
fn a_failure_behind_the_buffer_is_told_to_the_writer_with_the_next_command() {
    for format in [SenseFormat::Fixed, SenseFormat::Descriptor] {
        let scene = scene();
        if format == SenseFormat::Descriptor {
            // Control mode page with D_SENSE.
            let page = [0x0a, 0x0a, 0x04, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let list = [&[0, 0, 0x10, 0][..], &page].concat();
            good(&scene.send_with(A, &[0x15, 0x10, 0, 0, 16, 0], &list));
            scene.take_attentions(B);
        }
        fail_behind(&scene);
        // What passes unit attentions passes this as well, and does not use it up.
        good(&scene.send(A, &[0x12, 0, 0, 0, 36, 0]));
        good(&scene.send(A, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0]));
        good(&scene.send(B, &TEST_UNIT_READY));
        assert_eq!(scene.position(B), (7, 4, 4 * LENGTH as u64));
        // REWIND is not carried out.
        let completion = scene.send(A, &REWIND);
        assert_eq!(sense(&completion), write_error(4).deferred());
        let encoded = sense(&completion).encode(completion.sense_format);
        match format {
            SenseFormat::Fixed => {
                assert_eq!(encoded[0], 0xf1, "VALID and 71h");
                assert_eq!((encoded[2] & 0x0f, encoded[12], encoded[13]), (3, 0x0c, 0x00));
                assert_eq!(encoded[3..7], 4_u32.to_be_bytes());
            }
            SenseFormat::Descriptor => assert_eq!(encoded[..4], [0x73, 3, 0x0c, 0x00]),
        }
        assert_eq!(scene.position(A), (7, 4, 4 * LENGTH as u64));
        assert_eq!(scene.tape_alerts(), [0x03, 0x06]);
        assert!(scene.tape_alerts().is_empty());
        expect_one_fault(&scene);
        expect_fenced_until_loaded_again(&scene);
        expect_one_fault(&scene);
    }
}

#[test]
fn request_sense_returns_a_deferred_error_as_data_once() {
    for (flags, first) in [(0, 0xf1), (1, 0x73)] {
        let scene = scene();
        fail_behind(&scene);
        let request = [0x03, flags, 0, 0, 64, 0];
        assert_eq!(scene.send(B, &request).data_in[0] & 0x7f, if flags == 0 { 0x70 } else { 0x72 });
        let completion = scene.send(A, &request);
        good(&completion);
        assert_eq!(completion.data_in[0], first);
        assert_eq!(sense(&scene.write(A, &[1; 100])), Sense::write_protected());
        expect_one_fault(&scene);
    }
}

#[test]
fn a_sync_point_tells_its_own_failure_as_current_sense() {
    // REWIND, SPACE, LOCATE and LOAD UNLOAD did not light the TapeAlert flags.
    let locate = [0x92, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let space = [0x91, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let cases: [(&[u8], i64); 11] = [
        (&[0x10, 0, 0, 0, 1, 0], 3),
        (&[0x10, 0, 0, 0, 5, 0], 7),
        (&[0x10, 0, 0, 0, 0, 0], 2),
        (&REWIND, 2),
        (&[0x11, 0, 0xff, 0xff, 0xff, 0], 2),
        (&[0x11, 3, 0, 0, 0, 0], 2),
        (&space, 2),
        (&[0x2b, 0, 0, 0, 0, 0, 1, 0, 0, 0], 2),
        (&locate, 2),
        (&UNLOAD, 2),
        (&LOAD, 2),
    ];
    for (cdb, count) in cases {
        let scene = scene();
        fail_syncs(&scene);
        let completion = scene.send(A, cdb);
        assert_eq!(sense(&completion), write_error(count), "{cdb:02x?}");
        let encoded = sense(&completion).encode(SenseFormat::Fixed);
        assert_eq!((encoded[0], encoded[6]), (0xf0, u8::try_from(count).unwrap()));
        assert_eq!(scene.position(A).1, u64::try_from(count).unwrap(), "{cdb:02x?}");
        assert_eq!(scene.tape_alerts(), [0x03, 0x06], "{cdb:02x?}");
        good(&scene.send(B, &TEST_UNIT_READY));
        expect_one_fault(&scene);
        expect_fenced_until_loaded_again(&scene);
        expect_one_fault(&scene);
    }
}

#[test]
fn an_unbuffered_write_tells_its_own_failure() {
    let scene = scene();
    good(&scene.send_with(A, &[0x15, 0x10, 0, 0, 4, 0], &[0, 0, 0, 0]));
    fail_syncs(&scene);
    assert_eq!(sense(&scene.write(A, &block(4, LENGTH))), write_error(3));
    assert_eq!(scene.position(A), (6, 3, 3 * LENGTH as u64));
    assert_eq!(scene.tape_alerts(), [0x03, 0x06]);
    expect_one_fault(&scene);
    expect_fenced_until_loaded_again(&scene);
}

#[test]
fn a_buffered_write_that_meets_an_earlier_failure_is_deferred_and_not_done() {
    // It was answered with current sense, as if its own block had failed and the earlier ones had not.
    let scene = scene();
    scene.disk.inject(Fault::forever(Call::Write, ".seg", Reaction::Errno(EIO)));
    // More than the buffer holds: it has to wait for the write that fails, or finds that it has failed.
    let mut accepted = 2;
    let told = loop {
        let completion = scene.write(A, &block(accepted, 100_000));
        match completion.sense {
            None => accepted += 1,
            Some(sense) => break sense,
        }
        assert!(accepted < 40, "the buffer has no end");
    };
    assert!(told.is_deferred, "{told:?}");
    assert_eq!(told, write_error(i64::try_from(accepted).unwrap()).deferred());
    assert_eq!(scene.position(A).0, 3 + accepted);
    expect_one_fault(&scene);
    expect_fenced_until_loaded_again(&scene);
}

#[test]
fn a_reader_meets_the_failure_of_its_own_writes_only() {
    // Whoever read was given the deferred error of the writer, who was never told.
    let own = scene();
    fail_syncs(&own);
    assert_eq!(sense(&own.read(A, LENGTH)), write_error(2).deferred());
    assert_eq!(sense(&own.write(A, &[1; 100])), Sense::write_protected());
    expect_one_fault(&own);

    let scene = scene();
    fail_syncs(&scene);
    assert_eq!(sense(&scene.read(B, LENGTH)).key, SenseKey::MediumError);
    assert_eq!(sense(&scene.send(A, &TEST_UNIT_READY)), write_error(2).deferred());
    good(&scene.send(B, &TEST_UNIT_READY));
    expect_one_fault(&scene);
    expect_fenced_until_loaded_again(&scene);
}

#[test]
fn the_sync_of_another_nexus_fails_and_the_writer_is_told_too() {
    // Only the nexus that moved the tape was told that data of another one is lost.
    let scene = scene();
    fail_syncs(&scene);
    assert_eq!(sense(&scene.send(B, &REWIND)), write_error(2));
    good(&scene.send(B, &TEST_UNIT_READY));
    assert_eq!(sense(&scene.send(A, &TEST_UNIT_READY)), write_error(2).deferred());
    expect_one_fault(&scene);
}

#[test]
fn what_one_nexus_has_written_is_not_the_failure_of_the_next_writer() {
    // Who wrote last got the deferred error for what others had written before.
    let scene = scene();
    fail_syncs(&scene);
    assert_eq!(sense(&scene.write(B, &block(4, LENGTH))), Sense::write_protected());
    assert_eq!(sense(&scene.write(A, &block(4, LENGTH))), write_error(2).deferred());
    assert_eq!(sense(&scene.write(A, &block(4, LENGTH))), Sense::write_protected());
    assert_eq!(scene.position(A).0, 5);
    expect_one_fault(&scene);
}

#[test]
fn a_move_that_cannot_empty_the_drive_tells_the_writer() {
    // The robot was refused the cartridge, and the nexus that had written was not told why it could not write any more.
    let scene = scene();
    fail_syncs(&scene);
    let slot = |number| Place::slot(number);
    let entry = scene.library.store().find(BARCODE).unwrap();
    assert!(scene.library.relocate(&entry, &slot(1), "test").is_err());
    assert_eq!(sense(&scene.send(A, &TEST_UNIT_READY)), write_error(2).deferred());
    assert_eq!(scene.tape_alerts(), [0x03, 0x06]);
    expect_one_fault(&scene);
    // Then it can be had, and is as good as new in the drive again.
    scene.library.relocate(&entry, &slot(1), "test").unwrap();
    let entry = scene.library.store().find(BARCODE).unwrap();
    scene.library.relocate(&entry, &Place::drive(0), "test").unwrap();
    scene.take_attentions(A);
    good(&scene.write(A, &[1; 100]));
    good(&scene.filemarks(A, false, 1));
    expect_one_fault(&scene);
}

#[test]
fn the_end_of_a_session_and_of_the_program_tell_of_failures_too() {
    let ended = scene();
    fail_syncs(&ended);
    let (sender, done) = mpsc::channel::<()>();
    ended.library.unit(Lun(1)).unwrap().nexus_ends(A, sender);
    let end = done.recv_timeout(Duration::from_mins(1));
    assert_eq!(end, Err(mpsc::RecvTimeoutError::Disconnected));
    expect_one_fault(&ended);
    let off = scene();
    fail_syncs(&off);
    off.library.power_off();
    expect_one_fault(&off);
}

#[test]
fn a_cartridge_that_cannot_be_loaded_again_says_so_and_can_be_taken_out() {
    let scene = scene();
    fail_syncs(&scene);
    assert_eq!(sense(&scene.send(A, &REWIND)), write_error(2));
    good(&scene.send(A, &UNLOAD));
    scene.disk.inject(Fault::forever(Call::Open, ".seg", Reaction::Errno(EIO)));
    assert_eq!(sense(&scene.send(A, &LOAD)).key, SenseKey::MediumError);
    assert_eq!(sense(&scene.send(A, &TEST_UNIT_READY)).key, SenseKey::MediumError);
    scene.disk.release();
    let entry = scene.library.store().find(BARCODE).unwrap();
    scene.library.relocate(&entry, &Place::slot(1), "test").unwrap();
    let entry = scene.library.store().find(BARCODE).unwrap();
    scene.library.relocate(&entry, &Place::drive(0), "test").unwrap();
    scene.take_attentions(A);
    good(&scene.write(A, &[1; 100]));
}

/// It was said to be damaged, with a flag of `TapeAlert`, though nothing but its key was missing.
#[test]
fn a_cartridge_whose_key_was_locked_meanwhile_is_not_damaged() {
    let scene = Scene::new();
    let store = scene.library.store();
    let move_to = |place: &Place| {
        let entry = store.find(BARCODE).unwrap();
        scene.library.relocate(&entry, place, "test").unwrap();
    };
    move_to(&Place::slot(1));
    store.assign_pool(&[store.find(BARCODE).unwrap().uuid], Some("mail"), "test").unwrap();
    let secret = [7; 32];
    let with = || (Protection::KeyFile { path: "/elsewhere/key".into() }, &secret[..]);
    store.create_pool_key("mail", with(), "test").unwrap();
    move_to(&Place::drive(0));
    scene.take_attentions(A);
    written(&scene);
    fail_syncs(&scene);
    assert_eq!(sense(&scene.send(A, &REWIND)), write_error(2));
    good(&scene.send(A, &UNLOAD));
    store.lock_pool_key("mail").unwrap();
    scene.tape_alerts();
    assert_eq!(sense(&scene.send(A, &LOAD)), Sense::manual_intervention_required());
    assert_eq!(sense(&scene.send(A, &TEST_UNIT_READY)), Sense::manual_intervention_required());
    assert_eq!(scene.tape_alerts(), Vec::<u16>::new());
    store.unlock_pool_key("mail", &secret).unwrap();
    move_to(&Place::slot(1));
    move_to(&Place::drive(0));
    scene.take_attentions(A);
    assert_eq!(scene.read(A, LENGTH).data_in, block(0, LENGTH));
}

#[test]
fn sync_points_name_the_writer_on_every_cartridge() {
    // The drive remembered who had written last over a change of cartridges, and did not tell the next one who writes.
    let scene = scene();
    let drive = scene.library.drive(0).unwrap();
    for place in [Place::slot(1), Place::drive(0)] {
        let entry = scene.library.store().find(BARCODE).unwrap();
        scene.library.relocate(&entry, &place, "test").unwrap();
    }
    scene.take_attentions(A);
    good(&scene.write(A, &block(0, LENGTH)));
    good(&scene.filemarks(A, false, 1));
    let points = drive.with_drive(|drive| drive.cartridge().unwrap().recovery_points(1).unwrap());
    assert_eq!(points.unwrap()[0].initiator, Some(format!("iqn.2026-11.test:{A:?}")));
}

/// Whoever had asked something of a drive when its unit was closed waited for as long as a move may take, because nobody dropped what he had left.
#[test]
fn nobody_waits_for_a_unit_that_is_closed() {
    let scene = Scene::new();
    let unit = scene.library.unit(Lun(1)).unwrap();
    unit.close();
    let (told, end) = mpsc::channel::<()>();
    unit.nexus_ends(A, told);
    assert_eq!(end.recv_timeout(Duration::from_secs(5)), Err(mpsc::RecvTimeoutError::Disconnected));
    let begun = Instant::now();
    assert_eq!(unit.ask(Duration::from_mins(2), |_| (), |_, ()| ()), None);
    assert!(begun.elapsed() < Duration::from_mins(1));
}
