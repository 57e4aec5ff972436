//! What the sense data says about the length and what iSCSI says about it are one story.

use vtl_tests::{Residual, Scene, cdb, noise};

use crate::transfer::set_block_length;

#[test]
fn blocks_shorter_and_longer_than_asked_for() {
    let scene = Scene::loaded();
    let mut session = scene.session("ili");
    let block = noise(1, 5000);
    for _ in 0..5 {
        session.write_block(&block).good();
    }
    session.run(1, &cdb::REWIND).good();
    // Shorter: all of it comes, and what is missing is counted twice.
    let done = session.read_block(8192);
    let sense = done.sense(0, 0, 0);
    assert!(sense.ili && !sense.filemark && !sense.eom, "{sense:?}");
    assert_eq!((sense.information, done.residual), (Some(3192), Residual::Underflow(3192)));
    assert!(done.data == block);
    // Longer: as much as was asked for comes. Nothing is missing from what iSCSI was told to expect.
    let done = session.read_block(1000);
    let sense = done.sense(0, 0, 0);
    assert!(sense.ili, "{sense:?}");
    assert_eq!((sense.information, done.residual), (Some(-4000), Residual::None));
    assert!(done.data == block[..1000]);
    // Any length will do: nothing to tell but the residual.
    let done = session.read_in(1, &cdb::read_any_length(8192), 8192).good();
    assert_eq!(done.residual, Residual::Underflow(3192));
    assert!(done.data == block);
    // The initiator makes room for less than the command asks for.
    let done = session.read_in(1, &cdb::read(5000), 2000).good();
    assert_eq!(done.residual, Residual::Overflow(3000));
    assert!(done.data == block[..2000]);
    // And for more.
    let done = session.read_in(1, &cdb::read(5000), 6000).good();
    assert_eq!(done.residual, Residual::Underflow(1000));
    assert!(done.data == block);
    assert_eq!(session.position(), 5, "each read took one block");
}

#[test]
fn a_filemark_and_the_end_of_data_leave_everything_unread() {
    let scene = Scene::loaded();
    let mut session = scene.session("marks");
    session.run(1, &cdb::write_filemarks(1)).good();
    session.run(1, &cdb::REWIND).good();
    let done = session.read_block(4096);
    let sense = done.sense(0, 0, 1);
    assert!(sense.filemark && !sense.ili);
    assert_eq!((sense.information, done.residual), (Some(4096), Residual::Underflow(4096)));
    assert_eq!(session.position(), 1, "behind the filemark");
    let done = session.read_block(4096);
    let sense = done.sense(8, 0, 5);
    assert_eq!((sense.information, done.residual), (Some(4096), Residual::Underflow(4096)));
    assert_eq!(session.position(), 1);
}

#[test]
fn fixed_blocks_count_blocks_in_the_sense_and_bytes_in_iscsi() {
    let scene = Scene::loaded();
    let mut session = scene.session("fixed");
    set_block_length(&mut session, 512);
    let data = noise(2, 100 * 512);
    session.write_out(1, &cdb::write_fixed(100), &data).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    set_block_length(&mut session, 0);
    session.write_block(&data[..700]).good();
    session.run(1, &cdb::REWIND).good();
    set_block_length(&mut session, 512);
    let done = session.read_in(1, &cdb::read_fixed(250), 250 * 512);
    let sense = done.sense(0, 0, 1);
    assert!(sense.filemark);
    assert_eq!((sense.information, done.residual), (Some(150), Residual::Underflow(150 * 512)));
    assert!(done.data == data);
    // A block of another length: read over, not counted as read.
    let done = session.read_in(1, &cdb::read_fixed(10), 10 * 512);
    let sense = done.sense(0, 0, 0);
    assert!(sense.ili);
    assert_eq!(sense.information, Some(10));
    assert!(
        matches!(done.residual, Residual::Underflow(bytes) if bytes as usize == 10 * 512 - done.data.len())
    );
    let done = session.read_in(1, &cdb::read_fixed(3), 3 * 512);
    assert_eq!(
        (done.sense(8, 0, 5).information, done.residual),
        (Some(3), Residual::Underflow(3 * 512))
    );
}

#[test]
fn an_inquiry_into_too_much_room_is_an_underflow() {
    let scene = Scene::new();
    let mut session = scene.session("roomy");
    let done = session.read_in(1, &cdb::inquiry(255), 4096).good();
    let missing = u32::try_from(4096 - done.data.len()).unwrap();
    assert_eq!(done.residual, Residual::Underflow(missing));
    let done = session.read_in(1, &cdb::inquiry(36), 36).good();
    assert_eq!((done.data.len(), done.residual), (36, Residual::None));
}
