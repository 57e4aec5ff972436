//! PDUs within a session that no initiator should send.

use vtl_tests::{Pdu, Scene, cdb, noise, opcode};

const PROTOCOL_ERROR: u8 = 0x04;
const COMMAND_NOT_SUPPORTED: u8 = 0x05;

#[test]
fn unknown_operation_codes_are_rejected_and_the_session_goes_on() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("rude");
    for code in [0x07, 0x0f, 0x1c, 0x1d, 0x1e, 0x1f] {
        let tag = session.new_tag();
        let pdu = Pdu::new(0x40 | code, 0x80).with_word(16, tag).with_word(24, session.cmd_sn);
        session.wire.send(&pdu).unwrap();
        let reject = session.wire.expect(opcode::REJECT);
        assert_eq!(reject.bhs[2], COMMAND_NOT_SUPPORTED, "{code:#04x}");
        assert_eq!(reject.data[..48], pdu.encode()[..48], "the header comes back");
        session.exp_stat_sn = reject.word(24).wrapping_add(1);
        session.ping();
    }
    session.run(1, &cdb::TEST_UNIT_READY).good();
    scene.assert_serves();
}

#[test]
fn an_oversize_claim_ends_the_connection_before_the_data_comes() {
    let mut scene = Scene::loaded();
    for code in [opcode::NOP_OUT, opcode::SCSI_COMMAND, opcode::DATA_OUT, 0x04] {
        let mut session = scene.session("rude");
        let pdu =
            Pdu::new(code, 0x80).with_word(16, session.new_tag()).with_word(24, session.cmd_sn);
        let mut bytes = pdu.encode();
        bytes[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
        session.wire.send_bytes(&bytes).unwrap();
        let reject = session.wire.expect(opcode::REJECT);
        assert_eq!(reject.bhs[2], PROTOCOL_ERROR, "{code:#04x}");
        assert!(session.wire.expect_closed().is_empty());
        scene.assert_serves();
    }
}

#[test]
fn a_pdu_cut_short() {
    let mut scene = Scene::loaded();
    let whole = |session: &mut vtl_tests::Initiator| {
        session.command_pdu(1, &cdb::inquiry(96), 0, 96).1.encode()
    };
    for cut in [1, 5, 20, 47] {
        let mut session = scene.session("rude");
        let bytes = whole(&mut session);
        session.wire.send_bytes(&bytes[..cut]).unwrap();
        session.wire.finish();
        assert!(session.wire.expect_closed().is_empty(), "cut at {cut}");
    }
    scene.assert_serves();
}

#[test]
fn additional_headers_that_lead_nowhere() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("rude");
    // 255 words are claimed and sent; they are no header segments.
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    let mut bytes = pdu.encode();
    bytes[4] = 255;
    bytes.extend(noise(3, 255 * 4));
    session.wire.send_bytes(&bytes).unwrap();
    let answer = session.wire.receive().unwrap();
    assert!([opcode::REJECT, opcode::SCSI_RESPONSE].contains(&answer.opcode()), "{answer:02x?}");
    scene.assert_serves();
}

#[test]
fn a_wrong_header_digest_ends_the_connection() {
    let mut scene = Scene::loaded();
    let mut login = scene.login("digests");
    (login.header_digest, login.data_digest) = (true, true);
    let mut session = login.open();
    session.settle(1);
    let block = noise(1, 1_500_000);
    session.write_block(&block).good();
    session.run(1, &cdb::REWIND).good();
    assert!(session.read_block(block.len()).good().data == block, "with digests on both ways");
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    let mut bytes = pdu.encode();
    let digest = crc32c::crc32c(&bytes) ^ 1;
    bytes.extend(digest.to_le_bytes());
    session.wire.send_bytes(&bytes).unwrap();
    assert!(session.wire.expect_closed().is_empty());
    scene.assert_serves();
}

#[test]
fn a_wrong_data_digest_writes_nothing() {
    let mut scene = Scene::loaded();
    let mut login = scene.login("digests");
    login.data_digest = true;
    let mut session = login.open();
    session.settle(1);
    session.write_block(b"good").good();
    let (_, pdu) = session.command_pdu(1, &cdb::write(4), 4, 0);
    let mut bytes = pdu.with_data(b"evil").encode();
    bytes.extend([1, 2, 3, 4]);
    session.wire.send_bytes(&bytes).unwrap();
    assert_eq!(session.wire.expect(opcode::REJECT).bhs[2], 0x02, "data digest error");
    assert!(session.wire.expect_closed().is_empty());
    let mut session = login.open();
    session.settle(1);
    assert_eq!(session.position(), 1);
    session.run(1, &cdb::REWIND).good();
    assert_eq!(session.read_block(4).good().data, b"good");
    session.read_block(4).sense(8, 0, 5);
    scene.assert_serves();
}

#[test]
fn data_that_nobody_asked_for() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("rude");
    let pdu = Pdu::new(opcode::DATA_OUT, 0x80)
        .with(8, &[0, 1])
        .with_word(16, 0x7777)
        .with_word(20, 0x8888)
        .with_data(&[0; 512]);
    session.wire.send(&pdu).unwrap();
    // Rejected or dropped, as data of a task that was just aborted is (RFC 7143 §4.6.4.1); the session goes on or is closed.
    scene.assert_serves();
    let mut session = scene.session("good");
    assert_eq!(session.position(), 0, "nothing was written");
}

#[test]
fn noise_after_the_login() {
    let mut scene = Scene::loaded();
    for seed in 0..40 {
        let mut session = scene.session("rude");
        let mut bytes = noise(seed, 3000);
        for pdu in bytes.chunks_mut(60) {
            // Likely enough to get somewhere: known operation codes, short data.
            pdu[0] =
                [0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10, 0x40, 0x41, 0x42][pdu[0] as usize % 10];
            if let Some(lengths) = pdu.get_mut(4..8) {
                lengths.copy_from_slice(&[0, 0, 0, 12]);
            }
        }
        let _sent = session.wire.send_bytes(&bytes);
        session.wire.finish();
        session.wire.expect_closed();
    }
    scene.assert_serves();
}

#[test]
fn numbers_out_of_the_window_are_ignored() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("rude");
    let real = session.cmd_sn;
    for wrong in [real.wrapping_sub(1), real.wrapping_add(100_000)] {
        session.cmd_sn = wrong;
        let (_, pdu) = session.command_pdu(1, &cdb::write(4), 4, 0);
        session.wire.send(&pdu.with_data(b"evil")).unwrap();
    }
    session.cmd_sn = real;
    session.ping();
    assert_eq!(session.position(), 0);
    scene.assert_serves();
}
