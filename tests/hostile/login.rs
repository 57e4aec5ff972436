//! Logins that must not succeed.

use vtl_tests::{Pdu, Scene, Wire, login_pdu, noise, opcode};

const ISID: [u8; 6] = [0x80, 1, 2, 3, 0, 9];

/// Sends a login request; the status of the response, after which the connection is closed.
#[track_caller]
fn refused(scene: &Scene, pdu: &Pdu) -> [u8; 2] {
    let mut wire = Wire::connect(scene.daemon().portal).unwrap();
    wire.send(pdu).unwrap();
    let status = status(&mut wire);
    assert!(wire.expect_closed().is_empty());
    status
}

#[track_caller]
fn status(wire: &mut Wire) -> [u8; 2] {
    let response = wire.expect(opcode::LOGIN_RESPONSE);
    [response.bhs[36], response.bhs[37]]
}

fn keys(scene: &Scene) -> Vec<String> {
    scene.login("stranger").security_keys()
}

#[test]
fn wrong_text() {
    let mut scene = Scene::new();
    let good = keys(&scene);
    let with = |index: usize, key: &str| {
        let mut keys = good.clone();
        keys[index] = key.into();
        login_pdu(0, 1, ISID, &keys)
    };
    let without = |index: usize| {
        let mut keys = good.clone();
        keys.remove(index);
        login_pdu(0, 1, ISID, &keys)
    };
    for (what, pdu, expected) in [
        ("another target", with(1, "TargetName=iqn.2026-07.nobody:nothing"), [2, 3]),
        ("no target", without(1), [2, 7]),
        ("no initiator", without(0), [2, 7]),
        ("an initiator without a name", with(0, "InitiatorName="), [2, 0]),
        ("a key without =", with(3, "AuthMethod"), [2, 0]),
        ("a method that is not there", with(3, "AuthMethod=KRB5"), [2, 1]),
        ("another type of session", with(2, "SessionType=Strange"), [2, 9]),
        ("the same key twice", with(2, "AuthMethod=None"), [2, 0]),
        ("a key that is too long", with(3, &format!("{}=1", "K".repeat(70))), [2, 0]),
        ("bytes that are no text", login_pdu(0, 1, ISID, &[]).with_data(&[0xff; 300]), [2, 0]),
    ] {
        assert_eq!(refused(&scene, &pdu), expected, "{what}");
    }
    scene.assert_serves();
}

#[test]
fn wrong_headers() {
    let mut scene = Scene::new();
    let good = || login_pdu(0, 1, ISID, &keys(&scene));
    let mut reserved_stage = good();
    reserved_stage.bhs[1] = 0x80 | 2 << 2 | 3;
    let mut backwards = good();
    backwards.bhs[1] = 0x80 | 1 << 2;
    for (what, pdu, expected) in [
        ("a later version", good().with(2, &[1, 1]), [2, 5]),
        (
            "a session that is not there",
            login_pdu(0, 3, ISID, &keys(&scene)).with(14, &[0x77, 0x77]),
            [2, 10],
        ),
        ("a stage that does not exist", reserved_stage, [2, 0]),
        ("a stage that is over", backwards, [2, 0]),
        ("a tag that is none", good().with_word(16, u32::MAX), [2, 0]),
    ] {
        assert_eq!(refused(&scene, &pdu), expected, "{what}");
    }
    scene.assert_serves();
}

#[test]
fn text_without_end() {
    let mut scene = Scene::new();
    let mut wire = Wire::connect(scene.daemon().portal).unwrap();
    let mut pdu = login_pdu(0, 0, ISID, &[]).with_data(&[b'a'; 8192]);
    pdu.bhs[1] = 0x40;
    let mut sent = 0;
    let refusal = loop {
        wire.send(&pdu).unwrap();
        sent += pdu.data.len();
        let status = status(&mut wire);
        if status != [0, 0] {
            break status;
        }
        assert!(sent <= 64 << 10, "{sent} bytes of text were taken");
    };
    assert_eq!(refusal, [2, 0]);
    assert!(wire.expect_closed().is_empty());
    scene.assert_serves();
}

#[test]
fn a_length_that_nobody_needs() {
    let mut scene = Scene::new();
    let mut wire = Wire::connect(scene.daemon().portal).unwrap();
    let mut bytes = login_pdu(0, 1, ISID, &[]).encode();
    bytes[5..8].copy_from_slice(&[0xff; 3]);
    wire.send_bytes(&bytes).unwrap();
    assert_eq!(status(&mut wire), [2, 0], "refused before the data has come");
    assert!(wire.expect_closed().is_empty());
    scene.assert_serves();
}

#[test]
fn something_else_than_a_login() {
    let mut scene = Scene::new();
    for first in [
        opcode::SCSI_COMMAND,
        opcode::NOP_OUT,
        opcode::TASK_MANAGEMENT,
        opcode::DATA_OUT,
        opcode::LOGOUT,
        0x04,
        0x1e,
    ] {
        let mut wire = Wire::connect(scene.daemon().portal).unwrap();
        wire.send(&Pdu::new(first, 0x80).with_word(16, 1).with_word(24, 1)).unwrap();
        assert!(wire.expect_closed().is_empty(), "{first:#04x} was answered");
    }
    scene.assert_serves();
}

#[test]
fn a_command_in_the_middle_of_a_login() {
    let mut scene = Scene::new();
    let mut wire = Wire::connect(scene.daemon().portal).unwrap();
    wire.send(&login_pdu(0, 1, ISID, &keys(&scene))).unwrap();
    assert_eq!(status(&mut wire), [0, 0]);
    wire.send(&Pdu::new(opcode::SCSI_COMMAND, 0x80).with_word(16, 2).with_word(24, 1)).unwrap();
    assert!(wire.expect_closed().is_empty());
    scene.assert_serves();
}

#[test]
fn garbage() {
    let mut scene = Scene::new();
    for seed in 0..40 {
        let mut wire = Wire::connect(scene.daemon().portal).unwrap();
        let mut bytes = noise(seed, 2000);
        if seed % 2 == 0 {
            bytes[0] = opcode::LOGIN;
            bytes[5] = 0;
        }
        // It may close before all has come.
        let _sent = wire.send_bytes(&bytes);
        wire.finish();
        for answer in wire.expect_closed() {
            assert_eq!(answer.opcode(), opcode::LOGIN_RESPONSE);
            assert_ne!(answer.bhs[36], 0, "garbage was let in");
        }
    }
    scene.assert_serves();
}

#[test]
fn a_login_in_pieces_and_a_connection_that_says_nothing() {
    let mut scene = Scene::new();
    let pdu = login_pdu(0, 1, ISID, &keys(&scene)).encode();
    for cut in [0, 1, 47, 48, 49, pdu.len() - 1] {
        let mut wire = Wire::connect(scene.daemon().portal).unwrap();
        wire.send_bytes(&pdu[..cut]).unwrap();
        wire.finish();
        assert!(wire.expect_closed().is_empty(), "cut at {cut}");
    }
    let mut wire = Wire::connect(scene.daemon().portal).unwrap();
    for byte in pdu {
        wire.send_bytes(&[byte]).unwrap();
    }
    assert_eq!(status(&mut wire), [0, 0], "byte by byte is a login too");
    scene.assert_serves();
}
