//! Numbers, pings, text and logout in full feature phase.

use vtl_tests::{Initiator, Pdu, Scene, cdb, login_pdu, opcode};

use super::Case;
use super::see::*;

const TEXT: u8 = 0x44;
const SNACK: u8 = 0x10;

/// TEST UNIT READY under this number; the number is given back.
fn under_number(scene: &Scene, distance: u32) -> String {
    let mut session = rude(scene);
    let own = session.cmd_sn;
    session.cmd_sn = own.wrapping_add(distance);
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    session.cmd_sn = own;
    let seen = sees(&mut session, &pdu);
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    session.wire.send(&pdu).unwrap();
    let count = if distance == 1 { 2 } else { 1 };
    format!("{seen}; then {}", see_all(&mut session, count))
}

fn text(session: &mut Initiator, flags: u8, text: &[u8]) -> Pdu {
    numbered(session, TEXT, flags).with_data(text)
}

fn with_text(scene: &Scene, words: &[u8]) -> String {
    let mut session = rude(scene);
    let pdu = text(&mut session, FINAL, words);
    sees(&mut session, &pdu)
}

fn with_snack(scene: &Scene, kind: u8) -> String {
    let mut session = rude(scene);
    let pdu = numbered(&mut session, SNACK, FINAL | kind).with_word(24, 0);
    sees(&mut session, &pdu)
}

fn with_logout(scene: &Scene, reason: u8, cid: u8) -> String {
    let mut session = rude(scene);
    let pdu = numbered(&mut session, opcode::LOGOUT, FINAL | reason).with(20, &[0, cid, 0, 0]);
    sees(&mut session, &pdu)
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a number before the window",
        sent: "a command with the CmdSN before the next one",
        happens: "goes on; then GOOD; goes on",
        run: |scene| under_number(scene, u32::MAX),
    },
    Case {
        name: "a number behind the window",
        sent: "a command with a CmdSN 100000 ahead",
        happens: "goes on; then GOOD; goes on",
        run: |scene| under_number(scene, 100_000),
    },
    Case {
        name: "a number half the circle away",
        sent: "a command with a CmdSN 2^31 ahead",
        happens: "goes on; then GOOD; goes on",
        run: |scene| under_number(scene, 1 << 31),
    },
    Case {
        name: "a number that is early",
        sent: "a command with the CmdSN behind the next one, and then that",
        happens: "goes on; then GOOD; GOOD; goes on",
        run: |scene| under_number(scene, 1),
    },
    Case {
        name: "a number used twice",
        sent: "two early commands with the same CmdSN",
        happens: "goes on; GOOD; GOOD; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let own = session.cmd_sn;
            for _ in 0..2 {
                session.cmd_sn = own.wrapping_add(1);
                let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
                session.wire.send(&pdu).unwrap();
            }
            session.cmd_sn = own;
            let seen = see(&mut session);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            session.wire.send(&pdu).unwrap();
            format!("{seen}; {}", see_all(&mut session, 2))
        },
    },
    Case {
        name: "an initiator that acknowledges the future",
        sent: "a command with ExpStatSN 2^31 - 1 ahead",
        happens: "GOOD; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            let ahead = session.exp_stat_sn.wrapping_add((1 << 31) - 1);
            sees(&mut session, &pdu.with_word(28, ahead))
        },
    },
    Case {
        name: "an initiator that acknowledges nothing",
        sent: "200 commands with the first ExpStatSN",
        happens: "200 GOOD; goes on",
        run: |scene| {
            let mut session = rude(scene);
            for _ in 0..200 {
                let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
                session.wire.send(&pdu.with_word(28, 1)).unwrap();
                assert_eq!(session.wire.expect(opcode::SCSI_RESPONSE).bhs[3], 0);
            }
            format!("200 GOOD; {}", see(&mut session))
        },
    },
    Case {
        name: "SNACK for data",
        sent: "SNACK of type 0, at error recovery level 0",
        happens: "Reject 03; goes on",
        run: |scene| with_snack(scene, 0),
    },
    Case {
        name: "SNACK for status",
        sent: "SNACK of type 1",
        happens: "Reject 03; goes on",
        run: |scene| with_snack(scene, 1),
    },
    Case {
        name: "DataACK SNACK",
        sent: "SNACK of type 2",
        happens: "Reject 03; goes on",
        run: |scene| with_snack(scene, 2),
    },
    Case {
        name: "R-Data SNACK",
        sent: "SNACK of type 3",
        happens: "Reject 03; goes on",
        run: |scene| with_snack(scene, 3),
    },
    Case {
        name: "SNACK of no type",
        sent: "SNACK of type 15",
        happens: "Reject 03; goes on",
        run: |scene| with_snack(scene, 15),
    },
    Case {
        name: "a second login on the connection",
        sent: "a good first login request in full feature phase",
        happens: "Reject 04; closed",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = first(scene);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the last login request once more",
        sent: "a login request of the operational stage in full feature phase",
        happens: "Reject 04; closed",
        run: |scene| {
            let mut session = rude(scene);
            sees(&mut session, &login_pdu(1, 3, ISID, &[]))
        },
    },
    Case {
        name: "a ping without a tag",
        sent: "NOP-Out with ITT ffffffff that answers no ping",
        happens: "goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = numbered(&mut session, opcode::NOP_OUT, FINAL).with_word(16, NO_TAG);
            sees(&mut session, &pdu.with_data(b"hello"))
        },
    },
    Case {
        name: "an answer to a ping that was not sent",
        sent: "NOP-Out with a TTT that nobody gave out",
        happens: "goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = numbered(&mut session, opcode::NOP_OUT, FINAL).with_word(16, NO_TAG);
            sees(&mut session, &pdu.with_word(20, 0x1234))
        },
    },
    Case {
        name: "all targets of a normal session",
        sent: "`SendTargets=All` in a normal session",
        happens: "text [SendTargets=Reject]; goes on",
        run: |scene| with_text(scene, b"SendTargets=All\0"),
    },
    Case {
        name: "the own target",
        sent: "`SendTargets=` in a normal session, which is allowed",
        happens: "text [TargetName, TargetAddress]; goes on",
        run: |scene| with_text(scene, b"SendTargets=\0"),
    },
    Case {
        name: "somebody else's target",
        sent: "`SendTargets=` with another name in a normal session",
        happens: "text []; goes on",
        run: |scene| with_text(scene, b"SendTargets=iqn.2026-07.nobody:nothing\0"),
    },
    Case {
        name: "all targets twice",
        sent: "`SendTargets` twice in one request",
        happens: "Reject 04; goes on",
        run: |scene| with_text(scene, b"SendTargets=\0SendTargets=\0"),
    },
    Case {
        name: "text without =",
        sent: "`SendTargets` without `=`",
        happens: "Reject 04; goes on",
        run: |scene| with_text(scene, b"SendTargets\0"),
    },
    Case {
        name: "text of zeros",
        sent: "a Text Request of 1000 zero bytes",
        happens: "text []; goes on",
        run: |scene| with_text(scene, &[0; 1000]),
    },
    Case {
        name: "what cannot be changed any more",
        sent: "`MaxBurstLength=512` in full feature phase",
        happens: "text [MaxBurstLength=Reject]; goes on",
        run: |scene| with_text(scene, b"MaxBurstLength=512\0"),
    },
    Case {
        name: "text that is final and goes on",
        sent: "a Text Request with F and C bit",
        happens: "Reject 04; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = text(&mut session, FINAL | 0x40, b"SendTargets=\0");
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "an exchange that was not begun",
        sent: "a Text Request with a TTT that nobody gave out",
        happens: "Reject 09; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = text(&mut session, FINAL, b"SendTargets=\0").with_word(20, 0x1234);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "text with the reserved tag",
        sent: "a Text Request with ITT ffffffff",
        happens: "Reject 09; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = text(&mut session, FINAL, b"SendTargets=\0").with_word(16, NO_TAG);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "text without end",
        sent: "Text Requests of 8 KiB, each to be continued, and each under the TTT of the answer",
        happens: "8 parts taken; Reject 04; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let mut pdu = text(&mut session, 0x40, &[b'a'; 8192]);
            let mut parts = 0;
            loop {
                session.wire.send(&pdu).unwrap();
                let answer = session.wire.receive().unwrap();
                if answer.opcode() == opcode::REJECT {
                    return format!(
                        "{parts} parts taken; Reject {:02x}; {}",
                        answer.bhs[2],
                        see(&mut session)
                    );
                }
                parts += 1;
                pdu = pdu.with_word(20, answer.word(20));
            }
        },
    },
    Case {
        name: "logout of another connection",
        sent: "Logout Request for CID 9",
        happens: "logout response 01; goes on",
        run: |scene| with_logout(scene, 1, 9),
    },
    Case {
        name: "logout for recovery",
        sent: "Logout Request to remove the connection for recovery",
        happens: "logout response 02; goes on",
        run: |scene| with_logout(scene, 2, 0),
    },
    Case {
        name: "logout for no reason",
        sent: "Logout Request with reason 7fh",
        happens: "Reject 09; goes on",
        run: |scene| with_logout(scene, 0x7f, 0),
    },
    Case {
        name: "commands behind a logout",
        sent: "Logout Request and a WRITE in one piece",
        happens: "logout response 00; closed; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let logout = numbered(&mut session, opcode::LOGOUT, FINAL).with(20, &[0; 4]);
            let (_, write) = session.command_pdu(1, &cdb::write(4), 4, 0);
            let both = [logout.encode(), write.with_data(b"late").encode()].concat();
            let _sent = session.wire.send_bytes(&both);
            let seen = see_end(&mut session.wire);
            format!("{seen}; position {}", rude(scene).position())
        },
    },
    Case {
        name: "half closed",
        sent: "a command, and the end of the stream",
        happens: "closed",
        run: |scene| {
            let mut session = rude(scene);
            session.ping();
            session.wire.finish();
            see_end(&mut session.wire)
        },
    },
];
