//! A tape that gets full.

use vtl_tests::{Scene, cdb, noise};

const CAPACITY_BYTES: usize = 100 << 20;
const BLOCK_BYTES: usize = 1 << 20;

#[test]
fn a_full_tape_warns_early_refuses_late_and_can_be_closed() {
    let scene = Scene::new();
    scene
        .daemon()
        .vtl(&["tape", "create", "SMALL1L9", "--capacity", "100MiB", "--to", "slot:24"])
        .done();
    scene.daemon().vtl(&["load", "SMALL1L9", "0"]).done();
    let mut session = scene.session("filler");
    let block = |index: usize| noise(index as u64, BLOCK_BYTES);
    let (mut written, mut warned_at) = (0, None);
    loop {
        let done = session.write_block(&block(written));
        match done.sense.map(|sense| sense.code) {
            None => assert_eq!(warned_at, None, "block {written}: a warning is not taken back"),
            Some((0, 0, 2)) => {
                let sense = done.check();
                assert!(sense.eom);
                assert_eq!(sense.information, Some(0), "the block is on the tape");
                warned_at.get_or_insert(written);
            }
            _ => {
                let sense = done.sense(0xd, 0, 2);
                assert!(sense.eom);
                assert_eq!(
                    sense.information,
                    Some(i64::try_from(BLOCK_BYTES).unwrap()),
                    "nothing of it is on the tape"
                );
                break;
            }
        }
        written += 1;
        assert!(written <= CAPACITY_BYTES / BLOCK_BYTES, "more than there is room for");
    }
    assert_eq!(session.position() as usize, written);
    assert_eq!(written, CAPACITY_BYTES / BLOCK_BYTES);
    let warned_at = warned_at.expect("an early warning comes before the end");
    assert!((85..=92).contains(&warned_at), "the warning came at {warned_at} of {written}");
    // Refused again, and the position stays.
    session.write_block(&block(0)).sense(0xd, 0, 2);
    assert_eq!(session.position() as usize, written);
    for _ in 0..2 {
        let sense = session.run(1, &cdb::write_filemarks(1)).sense(0, 0, 2);
        assert!(sense.eom);
    }
    session.run(1, &cdb::write_filemarks(1)).sense(0xd, 0, 2);
    assert_eq!(session.position() as usize, written + 2);
    session.run(1, &cdb::REWIND).good();
    for index in 0..written {
        assert!(session.read_block(BLOCK_BYTES).good().data == block(index), "block {index}");
    }
    assert!(session.read_block(1).sense(0, 0, 1).filemark);
    assert!(session.read_block(1).sense(0, 0, 1).filemark);
    session.read_block(1).sense(8, 0, 5);
    session.logout();
    let row = scene.daemon().vtl(&["tape", "show", "SMALL1L9", "--format", "json"]).done().json()
        [0]
    .clone();
    assert_eq!(row["capacity_bytes"], CAPACITY_BYTES);
    assert_eq!(row["written_bytes"], written * BLOCK_BYTES);
}

#[test]
fn a_full_tape_has_room_again_when_it_is_written_from_the_beginning() {
    let scene = Scene::new();
    scene.daemon().vtl(&["tape", "create", "SMALL2L9", "--capacity", "2MiB"]).done();
    scene.daemon().vtl(&["load", "SMALL2L9", "0"]).done();
    let mut session = scene.session("filler");
    for round in 0..3 {
        session.run(1, &cdb::REWIND).good();
        let mut written = 0;
        while session
            .write_block(&noise(round, 300_000))
            .sense
            .is_none_or(|sense| sense.code.0 != 0xd)
        {
            written += 1;
        }
        assert_eq!(written, (2 << 20) / 300_000, "round {round}");
        session.run(1, &cdb::REWIND).good();
        for _ in 0..written {
            assert!(
                session.read_block(300_000).good().data == noise(round, 300_000),
                "round {round}"
            );
        }
        session.read_block(1).sense(8, 0, 5);
    }
}
