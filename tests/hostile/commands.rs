//! Commands that are refused, each with the sense data that says why.

use vtl_tests::{Scene, cdb};

#[test]
fn a_logical_unit_that_is_not_there() {
    let mut scene = Scene::new();
    let mut session = scene.session("lost");
    for lun in [5, 6, 200, 255] {
        let inquiry = session.read_in(lun, &cdb::inquiry(96), 96).good();
        assert_eq!(inquiry.data[0], 0x7f, "there could not be a device");
        for cdb in [
            &cdb::TEST_UNIT_READY[..],
            &cdb::REWIND,
            &cdb::RESERVE,
            &[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ] {
            session.run(lun, cdb).sense(5, 0x25, 0);
        }
        session.write_out(lun, &cdb::write(100), &[1; 100]).sense(5, 0x25, 0);
        // REQUEST SENSE answers GOOD, and says in its data why nothing else is done.
        let sense = session.read_in(lun, &[0x03, 0, 0, 0, 18, 0], 18).good().data;
        assert_eq!((sense[2] & 0x0f, sense[12], sense[13]), (5, 0x25, 0), "{sense:02x?}");
    }
    scene.assert_serves();
}

#[test]
fn an_operation_code_that_is_not_there() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("new");
    for lun in [0, 1] {
        for code in [0xc0, 0xff, 0x28, 0x2a, 0x86, 0x87, 0x81, 0x7f] {
            let mut cdb = [0; 16];
            cdb[0] = code;
            session.run(lun, &cdb).sense(5, 0x20, 0);
        }
    }
    // A tape command to the changer, and the other way round.
    session.run(0, &cdb::REWIND).sense(5, 0x20, 0);
    session.run(1, &cdb::move_medium(0x0400, 0x0101)).sense(5, 0x20, 0);
    scene.assert_serves();
}

#[test]
fn a_field_that_is_not_supported_is_pointed_at() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("new");
    for (lun, cdb, byte, bit) in [
        (1, &[0x00, 0, 0, 0x04, 0, 0][..], 3, Some(2)),
        (1, &[0x01, 0x80, 0, 0, 0, 0], 1, Some(7)),
        (1, &[0x0a, 1, 0, 0, 1, 0], 1, Some(0)),
        (1, &[0x0a, 0, 0xff, 0xff, 0xff, 0], 2, Some(7)),
        (1, &[0x12, 0, 0x80, 0, 96, 0], 2, None),
        (1, &[0x34, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0], 1, Some(4)),
        (0, &[0x00, 0, 0x01, 0, 0, 0], 2, Some(0)),
    ] {
        let (pointed_byte, pointed_bit) = match session.run(lun, cdb).sense(5, 0x24, 0).field {
            Some((true, byte, bit)) => (byte, bit),
            other => panic!("{cdb:02x?}: {other:?}"),
        };
        assert_eq!(pointed_byte, byte, "{cdb:02x?}");
        if bit.is_some() {
            assert_eq!(pointed_bit, bit, "{cdb:02x?}");
        }
    }
    assert_eq!(session.position(), 0);
    scene.assert_serves();
}

#[test]
fn any_operation_code_with_any_field_is_answered() {
    let mut scene = Scene::new();
    let mut session = scene.session("fuzz");
    for lun in [0, 1] {
        for code in 0..=0xff {
            for fill in [0x00, 0x01, 0xff] {
                let mut cdb = [fill; 16];
                cdb[0] = code;
                let done = session.read_in(lun, &cdb, 4096);
                assert!([0, 2, 0x18].contains(&done.status), "{cdb:02x?}: {done:02x?}");
                assert!(done.data.len() <= 4096);
            }
        }
    }
    scene.assert_serves();
}

#[test]
fn a_write_with_less_data_than_the_command_says() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("short");
    session.write_out(1, &cdb::write(1000), &[1; 600]).check();
    assert_eq!(session.position(), 0, "no part of the block is on the tape");
    session.run(1, &cdb::write(1000)).check();
    session.write_block(&[2; 1000]).good();
    assert_eq!(session.position(), 1);
    scene.assert_serves();
}
