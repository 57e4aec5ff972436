//! Connections that end in the middle of a WRITE, and sessions that take each other's place.

use vtl_tests::{Pdu, Scene, cdb, noise, opcode};

const NEXUS_LOSS: (u8, u8, u8) = (6, 0x29, 0x07);

/// No half block is on the tape, the position is what it was, and the initiator is told that its nexus was lost.
#[test]
fn a_write_that_is_cut_leaves_nothing_behind() {
    let mut scene = Scene::loaded();
    let mut objects = 0;
    let block = noise(5, 100_000);
    let login = scene.login("writer");
    scene.session("writer").logout();
    for cut in [1, 47, 48, 49, 100, 4096, 65_536, 100_000 + 47] {
        let mut session = login.open();
        session.settle(1);
        session.run(1, &cdb::SPACE_END_OF_DATA).good();
        session.write_block(&block).good();
        objects += 1;
        let (_, pdu) = session.command_pdu(1, &cdb::write(block.len()), block.len(), 0);
        let bytes = pdu.with_data(&block).encode();
        session.wire.send_bytes(&bytes[..cut]).unwrap();
        drop(session);
        let mut session = login.open();
        assert_eq!(session.settle(1), [NEXUS_LOSS], "cut at {cut}");
        assert_eq!(session.position(), objects, "cut at {cut}");
        session.read_block(10).sense(8, 0, 5);
        session.run(1, &cdb::REWIND).good();
        for index in 0..objects {
            assert!(
                session.read_block(block.len()).good().data == block,
                "block {index}, cut at {cut}"
            );
        }
        session.read_block(10).sense(8, 0, 5);
        scene.assert_serves();
    }
}

#[test]
fn a_write_that_is_cut_while_data_is_asked_for() {
    let mut scene = Scene::loaded();
    let block = noise(6, 3 << 20);
    let mut login = scene.login("writer");
    login.immediate_data = false;
    login.initial_r2t = true;
    for bursts in [0, 1, 2] {
        let mut session = login.open();
        session.settle(1);
        let (tag, pdu) = session.command_pdu(1, &cdb::write(block.len()), block.len(), 0);
        session.wire.send(&pdu).unwrap();
        for _ in 0..bursts {
            let r2t = session.wire.expect(opcode::R2T);
            let (offset, length) = (r2t.word(40) as usize, r2t.word(44) as usize);
            session.wire.send(&data_out(tag, &r2t, &block[offset..offset + length])).unwrap();
        }
        let r2t = session.wire.expect(opcode::R2T);
        // Half of what was asked for, and not the end of it.
        let (offset, length) = (r2t.word(40) as usize, r2t.word(44) as usize);
        let mut half = data_out(tag, &r2t, &block[offset..offset + length / 2]);
        half.bhs[1] = 0;
        session.wire.send(&half).unwrap();
        drop(session);
        let mut session = login.open();
        assert_eq!(session.settle(1), [NEXUS_LOSS]);
        assert_eq!(session.position(), 0, "after {bursts} bursts");
        session.read_block(10).sense(8, 0, 5);
    }
    scene.assert_serves();
}

#[test]
fn the_same_initiator_port_takes_its_own_place() {
    let mut scene = Scene::loaded();
    let mut first = scene.session("port");
    first.write_block(b"first").good();
    first.run(1, &cdb::RESERVE).good();
    let mut second = scene.login("port").open();
    assert!(first.wire.expect_closed().is_empty(), "the old session is closed");
    assert_eq!(second.settle(1), [NEXUS_LOSS]);
    assert_eq!(second.position(), 1);
    // Its reservation went with the old session.
    let mut other = scene.session("other");
    other.run(1, &cdb::REWIND).good();
    assert_eq!(second.read_block(5).good().data, b"first");
    // Another ISID is another session beside it.
    let mut login = scene.login("port");
    login.isid[5] = 2;
    let mut third = login.open();
    third.settle(1);
    second.run(1, &cdb::TEST_UNIT_READY).good();
    third.run(1, &cdb::TEST_UNIT_READY).good();
    scene.assert_serves();
}

#[test]
fn many_sessions_come_and_go_without_goodbye() {
    let mut scene = Scene::loaded();
    for round in 0..60 {
        let mut session = scene.session(["a", "b", "c"][round % 3]);
        session.send(1, &cdb::write(5000), vec![1; 5000], 0);
    }
    scene.assert_serves();
    let mut session = scene.session("a");
    session.run(1, &cdb::SPACE_END_OF_DATA).good();
    let end = session.position();
    session.run(1, &cdb::REWIND).good();
    for _ in 0..end {
        assert!(session.read_block(5000).good().data == [1; 5000]);
    }
}

fn data_out(tag: u32, r2t: &Pdu, data: &[u8]) -> Pdu {
    Pdu::new(opcode::DATA_OUT, 0x80)
        .with(8, &[0, 1])
        .with_word(16, tag)
        .with_word(20, r2t.word(20))
        .with_word(40, r2t.word(40))
        .with_data(data)
}
