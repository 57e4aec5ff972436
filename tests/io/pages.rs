//! Log pages, buffers, the clock and cleaning, as they come over the wire.

use std::time::Duration;

use vtl_tests::{Initiator, Residual, Scene, cdb, noise, poll};

const LIMIT: Duration = Duration::from_mins(1);

/// One parameter of a log page as a number.
fn counter(session: &mut Initiator, page: u8, code: u16) -> u64 {
    let done = session.read_in(1, &[0x4d, 0, 0x40 | page, 0, 0, 0, 0, 0x10, 0, 0], 4096).good();
    let mut rest = &done.data[4..];
    while let [high, low, _, length, after @ ..] = rest {
        let (value, next) = after.split_at(usize::from(*length));
        if u16::from_be_bytes([*high, *low]) == code {
            return value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        rest = next;
    }
    panic!("page {page:02x} has no parameter {code:04x}");
}

#[test]
fn counters_move_and_are_set_back_and_the_other_session_is_told() {
    let scene = Scene::loaded();
    let mut session = scene.session("counting");
    let mut other = scene.session("other");
    for _ in 0..3 {
        session.write_block(&noise(1, 500_000)).good();
    }
    session.run(1, &cdb::write_filemarks(1)).good();
    assert_eq!(counter(&mut session, 0x02, 5), 1_500_000);
    assert_eq!(counter(&mut session, 0x17, 0x0e), 1, "megabytes");
    assert_eq!(counter(&mut session, 0x11, 0) >> 8 & 0xff, 0, "nothing is left to be done");
    session.run(1, &cdb::REWIND).good();
    session.read_block(500_000).good();
    assert_eq!(counter(&mut session, 0x03, 5), 500_000);
    session.run(1, &[0x4c, 0x02, 0xc2, 0, 0, 0, 0, 0, 0, 0]).good();
    assert_eq!(counter(&mut session, 0x02, 5), 0);
    assert_eq!(counter(&mut session, 0x03, 5), 500_000);
    other.run(1, &cdb::TEST_UNIT_READY).sense(6, 0x2a, 0x02);
    other.run(1, &cdb::TEST_UNIT_READY).good();
}

#[test]
fn what_is_written_into_the_buffer_comes_back_with_the_residual_it_has() {
    const WRITE: [u8; 10] = [0x3b, 0x02, 0, 0, 0, 100, 0, 0x40, 0, 0];
    const READ: [u8; 10] = [0x3c, 0x02, 0, 0, 0, 100, 0, 0x40, 0, 0];
    let mut scene = Scene::new();
    let data = noise(7, 0x4000);
    for lun in [0, 1] {
        let mut session = scene.session("buffer");
        session.write_out(lun, &WRITE, &data).good();
        let done = session.read_in(lun, &READ, 0x4000).good();
        assert!(done.data == data && done.residual == Residual::None);
        // Two bytes are left behind the last offset, whatever is asked for.
        let done = session.read_in(lun, &[0x3c, 2, 0, 0, 0xff, 0xfe, 0, 1, 0, 0], 256).good();
        assert_eq!((done.data.len(), done.residual), (2, Residual::Underflow(254)));
        session.write_out(lun, &WRITE, &data[..0x1000]).sense(5, 0x1a, 0);
        session.write_out(lun, &[0x3b, 0x05, 0, 0, 0, 0, 0, 0x40, 0, 0], &data).sense(5, 0x24, 0);
        session.run(lun, &[0x1d, 0x04, 0, 0, 0, 0]).good();
        session.logout();
    }
    scene.assert_serves();
}

#[test]
fn both_devices_tell_the_time_of_the_machine() {
    let scene = Scene::new();
    let mut session = scene.session("clock");
    for lun in [0, 1] {
        let ask = [0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0];
        let data = session.read_in(lun, &ask, 12).good().data;
        let ms = data[4..10].iter().fold(0_u64, |ms, byte| ms << 8 | u64::from(*byte));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let off = u128::from(ms).abs_diff(now.as_millis());
        assert!(data[2] == 3 && off < LIMIT.as_millis(), "{data:02x?}");
    }
}

#[test]
fn a_cleaning_cartridge_cleans_and_comes_out_with_one_use_less() {
    let mut scene = Scene::new();
    let uses = |scene: &Scene| {
        let shown = scene.daemon().vtl(&["tape", "show", "CLN001L9", "--format", "json"]).done();
        shown.json()[0]["load_count"].as_u64().expect("a count")
    };
    assert_eq!(uses(&scene), 0);
    let mut session = scene.session("cleaning");
    scene.daemon().vtl(&["load", "CLN001L9", "0"]).done();
    let ready = session.run(1, &cdb::TEST_UNIT_READY).check().code;
    // It may still be on its way into the drive.
    assert!([(2, 4, 1), (2, 0x30, 3), (2, 4, 0)].contains(&ready), "{ready:02x?}");
    poll("cleaned", LIMIT, || {
        (session.run(1, &cdb::TEST_UNIT_READY).check().code == (2, 4, 0)).then_some(())
    });
    // READ ELEMENT STATUS of the first drive: full, accessible, and what is in it.
    let ask = [0xb8, 0x04, 0x01, 0x01, 0, 1, 0, 0, 4, 0, 0, 0];
    session.settle(0);
    let data = session.read_in(0, &ask, 1024).good().data;
    assert_eq!((data[18], &data[20..22]), (0x0d, &[0x30, 0x03][..]));
    // A start of the program is no use.
    drop(session);
    scene.take_daemon().stop();
    scene.start();
    assert_eq!(uses(&scene), 1);
    scene.daemon().vtl(&["unload", "0"]).done();
    assert_eq!(uses(&scene), 1);
}
