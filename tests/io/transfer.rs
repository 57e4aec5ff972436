//! Blocks of all sizes, several commands at once.

use vtl_tests::{Initiator, Scene, cdb, noise};

/// MODE SELECT(6) with a block descriptor that sets this block length.
pub(super) fn set_block_length(session: &mut Initiator, length: u32) {
    let mut list = [0, 0, 0x10, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    list[9..12].copy_from_slice(&length.to_be_bytes()[1..]);
    session.write_out(1, &[0x15, 0x10, 0, 0, 12, 0], &list).good();
}

#[test]
fn four_writes_at_once_with_filemarks_between_keep_their_order() {
    let scene = Scene::loaded();
    let mut session = scene.session("deep");
    let lengths = [65_536, 1, 524_288, 262_144, 300_001, 1 << 20, 512];
    let mut expected: Vec<Option<Vec<u8>>> = Vec::new();
    let (mut since_filemark, mut outstanding) = (0, 0);
    for (seed, length) in (0..60).zip(lengths.into_iter().cycle()) {
        let block = noise(seed, length);
        session.send(1, &cdb::write(length), block.clone(), 0);
        expected.push(Some(block));
        since_filemark += length;
        outstanding += 1;
        if since_filemark >= 1 << 20 {
            session.send(1, &cdb::write_filemarks(1), Vec::new(), 0);
            expected.push(None);
            since_filemark = 0;
            outstanding += 1;
        }
        while outstanding >= 4 {
            session.wait().good();
            outstanding -= 1;
        }
    }
    while outstanding > 0 {
        session.wait().good();
        outstanding -= 1;
    }
    assert_eq!(session.position() as usize, expected.len());
    session.run(1, &cdb::REWIND).good();
    for (index, object) in expected.iter().enumerate() {
        match object {
            Some(block) => {
                assert!(session.read_block(block.len()).good().data == *block, "object {index}");
            }
            None => assert!(session.read_block(100).sense(0, 0, 1).filemark, "object {index}"),
        }
    }
    session.read_block(100).sense(8, 0, 5);
}

#[test]
fn reads_at_once_come_in_order() {
    let scene = Scene::loaded();
    let mut session = scene.session("deep");
    for seed in 0..16 {
        session.write_block(&noise(seed, 200_000)).good();
    }
    session.run(1, &cdb::REWIND).good();
    let tags: Vec<_> =
        (0..16).map(|_| session.send(1, &cdb::read(200_000), Vec::new(), 200_000)).collect();
    for (seed, tag) in (0..16).zip(tags) {
        let done = session.wait().good();
        assert_eq!(done.tag, tag);
        assert!(done.data == noise(seed, 200_000), "block {seed}");
    }
}

#[test]
fn large_blocks_with_and_without_immediate_data() {
    let scene = Scene::loaded();
    for immediate_data in [true, false] {
        let mut login = scene.login("large");
        login.immediate_data = immediate_data;
        login.initial_r2t = !immediate_data;
        let mut session = login.open();
        session.settle(1);
        session.run(1, &cdb::REWIND).good();
        let lengths = [
            1 << 20,
            4 << 20,
            (8 << 20) - 1,
            8 << 20,
            3,
            (1 << 20) + 1,
            (256 << 10) + 1,
            256 << 10,
        ];
        for (seed, length) in (0..).zip(lengths) {
            session.write_block(&noise(seed, length)).good();
        }
        session.run(1, &cdb::write_filemarks(1)).good();
        session.run(1, &cdb::REWIND).good();
        for (seed, length) in (0..).zip(lengths) {
            let done = session.read_block(length).good();
            assert!(
                done.data == noise(seed, length),
                "{length} bytes, immediate data: {immediate_data}"
            );
        }
        assert!(session.read_block(1).sense(0, 0, 1).filemark);
        session.logout();
    }
}

#[test]
fn a_block_over_the_limit_is_refused_whole() {
    let scene = Scene::loaded();
    let mut session = scene.session("large");
    let length = (8 << 20) + 1;
    let sense = session.write_block(&vec![1; length]).sense(5, 0x24, 0);
    assert_eq!(sense.field.map(|(is_cdb, byte, _)| (is_cdb, byte)), Some((true, 2)));
    assert_eq!(session.position(), 0);
    session.write_block(b"small").good();
    let limits = session.read_in(1, &[5, 0, 0, 0, 0, 0], 6).good().data;
    assert_eq!(limits, [0, 0x80, 0, 0, 0, 1], "READ BLOCK LIMITS says 8 MiB");
}

#[test]
fn fixed_blocks_many_in_one_command() {
    let scene = Scene::loaded();
    let mut session = scene.session("fixed");
    for length in [512, 65_536, 1000] {
        session.run(1, &cdb::REWIND).good();
        set_block_length(&mut session, u32::try_from(length).unwrap());
        let count = (1 << 20) / length;
        let data = noise(9, count * length);
        session.write_out(1, &cdb::write_fixed(count), &data).good();
        session.write_out(1, &cdb::write_fixed(1), &data[..length]).good();
        assert_eq!(session.position() as usize, count + 1, "each is an object of its own");
        session.run(1, &cdb::write_filemarks(1)).good();
        session.run(1, &cdb::REWIND).good();
        let done = session.read_in(1, &cdb::read_fixed(count), count * length).good();
        assert!(done.data == data, "blocks of {length}");
        assert!(session.read_in(1, &cdb::read_fixed(1), length).good().data == data[..length]);
        // One by one, and from the middle.
        session.run(1, &cdb::REWIND).good();
        session.run(1, &cdb::space_blocks(count / 2)).good();
        let at = count / 2 * length;
        let done = session.read_in(1, &cdb::read_fixed(1), length).good();
        assert!(done.data == data[at..at + length]);
        set_block_length(&mut session, 0);
        let done = session.read_block(length).good();
        assert!(
            done.data == data[at + length..at + 2 * length],
            "a fixed block read as a variable one"
        );
    }
}
