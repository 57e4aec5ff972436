//! Two initiators that see different drives: neither reaches what is the other's.

use vtl_tests::{Initiator, Scene, cdb, noise};

use crate::{add, assert_refused};

const OWN: u8 = 1;
const THEIRS: u8 = 2;
/// Behind it there is nothing, for anybody.
const NOTHING: u8 = 40;
const NO_TAG: u32 = 0xffff_ffff;
/// RFC 7143 §11.6.1.
const COMPLETE: u8 = 0;
const LUN_DOES_NOT_EXIST: u8 = 2;

struct Two {
    scene: Scene,
    /// Sees the changer and drive 0.
    first: Initiator,
    /// Sees the changer and drive 1, in which there is a cartridge with data on it.
    second: Initiator,
    data: Vec<u8>,
}

fn two() -> Two {
    let scene = Scene::new();
    let (first, second) = (scene.login("first"), scene.login("second"));
    add(&scene, &first, &["--luns", "0,1"]).done();
    add(&scene, &second, &["--luns", "0,2"]).done();
    for (barcode, drive) in [("VTL001L9", "0"), ("VTL002L9", "1")] {
        scene.daemon().vtl(&["load", barcode, drive]).done();
    }
    let (mut first, mut second) = (first.open(), second.open());
    for (session, lun) in [(&mut first, OWN), (&mut second, THEIRS)] {
        session.settle(0);
        session.settle(lun);
    }
    let data = noise(7, 5000);
    second.write_out(THEIRS, &cdb::write(data.len()), &data).good();
    second.run(THEIRS, &cdb::write_filemarks(1)).good();
    // States that a stranger could undo: a reservation, a position, and a prevention.
    second.run(THEIRS, &cdb::RESERVE).good();
    Two { scene, first, second, data }
}

impl Two {
    /// The second initiator's drive is as it was, and there is nothing to tell about it.
    fn assert_untouched(&mut self) {
        let ready = self.second.run(THEIRS, &cdb::TEST_UNIT_READY);
        assert_eq!((ready.status, ready.sense), (0, None));
        let position = self.second.read_in(THEIRS, &cdb::READ_POSITION, 20).good();
        assert_eq!(position.data[4..8], [0, 0, 0, 2], "behind the filemark");
    }

    fn assert_data(&mut self) {
        self.second.run(THEIRS, &cdb::REWIND).good();
        let length = self.data.len();
        let read = self.second.read_in(THEIRS, &cdb::read(length), length).good();
        assert_eq!(read.data, self.data);
        let filemark = self.second.read_in(THEIRS, &cdb::read(100), 100).check();
        assert!(filemark.filemark);
    }
}

#[test]
fn every_operation_code_finds_nothing_where_nothing_is_mapped() {
    let mut two = two();
    for code in 0..=0xff_u8 {
        // Every length of the CDB's group, with a field that would do something.
        let mut cdb = [0; 16];
        (cdb[0], cdb[4]) = (code, 0x20);
        cdb[9] = 0x20;
        for service_action in [0, 1, 5, 0x0c, 0x1d] {
            cdb[1] = service_action;
            let mut answer = |lun: u8| {
                let done = two.first.read_in(lun, &cdb, 64);
                (done.status, done.sense.map(|sense| sense.code), done.data, done.residual)
            };
            assert_eq!(answer(THEIRS), answer(NOTHING), "{code:02x}h/{service_action:02x}h");
            let mut written = |lun: u8| {
                let done = two.first.write_out(lun, &cdb, &[0x55; 32]);
                (done.status, done.sense.map(|sense| sense.code))
            };
            assert_eq!(written(THEIRS), written(NOTHING), "{code:02x}h/{service_action:02x}h");
        }
    }
    let inquiry = two.first.read_in(THEIRS, &cdb::inquiry(36), 36).good();
    assert_eq!(inquiry.data[0], 0x7f);
    two.first.run(THEIRS, &cdb::TEST_UNIT_READY).sense(5, 0x25, 0);
    let luns = two.first.read_in(THEIRS, &cdb::report_luns(255), 255).good();
    assert_eq!(luns.data[..4], [0, 0, 0, 16]);
    assert_eq!((luns.data[9], luns.data[17]), (0, 1));
    two.assert_untouched();
    two.assert_data();
}

#[test]
fn task_management_does_not_reach_what_is_not_mapped() {
    let mut two = two();
    // ABORT TASK of a task that is not there says so wherever that is, and CLEAR ACA is nothing that there is anywhere.
    let functions =
        [(1, 1), (2, LUN_DOES_NOT_EXIST), (3, 5), (4, LUN_DOES_NOT_EXIST), (5, LUN_DOES_NOT_EXIST)];
    for (function, expected) in functions {
        for lun in [THEIRS, NOTHING] {
            let answer = two.first.manage(function, lun, NO_TAG, 0);
            assert_eq!(answer, expected, "{function} {lun}");
        }
        two.assert_untouched();
    }
    // TARGET WARM RESET: its own drive and the changer, which both see.
    assert_eq!(two.first.manage(6, 0, NO_TAG, 0), COMPLETE);
    assert_eq!(two.first.settle(OWN), [(6, 0x29, 0x03)]);
    two.assert_untouched();
    assert!(!two.second.settle(0).is_empty(), "the changer was reset");
    // TARGET COLD RESET: that, and its own session's end.
    assert_eq!(two.first.manage(7, 0, NO_TAG, 0), COMPLETE);
    assert!(two.first.wire.expect_closed().is_empty());
    two.assert_untouched();
    two.assert_data();
}

/// Through the changer, too, a drive is reached only by those who see it.
#[test]
fn the_arm_does_not_reach_into_drives_of_others() {
    let mut two = two();
    let status = [0xb8, 0x04, 0, 0, 0, 8, 0, 0, 0x10, 0, 0, 0];
    let drives = two.first.read_in(0, &status, 4096).good().data;
    let first_drive = u16::from_be_bytes([drives[16], drives[17]]);
    let storage = [0xb8, 0x02, 0, 0, 0, 30, 0, 0, 0x10, 0, 0, 0];
    let slots = two.first.read_in(0, &storage, 4096).good().data;
    let slot = u16::from_be_bytes([slots[16], slots[17]]);
    // Slot 1 is empty: its cartridge is in drive 0.
    for (from, to) in [(first_drive + 1, slot), (slot + 2, first_drive + 1)] {
        two.first.run(0, &cdb::move_medium(from, to)).sense(5, 0x21, 0x01);
    }
    let mut exchange = [0; 12];
    exchange[0] = 0xa6;
    exchange[4..6].copy_from_slice(&(slot + 2).to_be_bytes());
    exchange[6..8].copy_from_slice(&(first_drive + 1).to_be_bytes());
    exchange[8..10].copy_from_slice(&slot.to_be_bytes());
    two.first.run(0, &exchange).sense(5, 0x21, 0x01);
    two.assert_untouched();
    two.first.run(0, &cdb::move_medium(first_drive, slot)).good();
    two.assert_data();
    // Who sees all of them may.
    let all = two.scene.login("third");
    assert_refused(&all, crate::NOT_FOUND);
    add(&two.scene, &all, &[]).done();
    let mut all = all.open();
    all.settle(0);
    two.second.run(THEIRS, &cdb::RELEASE).good();
    all.run(0, &cdb::move_medium(first_drive + 1, slot + 1)).good();
}
