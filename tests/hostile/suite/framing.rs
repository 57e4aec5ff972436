//! Lengths, additional headers, digests, operation codes.

use vtl_tests::{Initiator, Pdu, Scene, cdb, noise, opcode};

use super::Case;
use super::see::*;

/// A header that announces more than a PDU may have.
fn oversize(scene: &Scene, code: u8) -> String {
    let mut session = rude(scene);
    let mut bytes = numbered(&mut session, code, FINAL).encode();
    bytes[5..8].copy_from_slice(&[0x10, 0, 4]);
    let _sent = session.wire.send_bytes(&bytes);
    see_end(&mut session.wire)
}

/// TEST UNIT READY with these additional header segments.
fn with_ahs(session: &mut Initiator, ahs: &[u8]) -> Vec<u8> {
    let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
    let mut bytes = pdu.encode();
    bytes[4] = u8::try_from(ahs.len() / 4).unwrap();
    bytes.extend_from_slice(ahs);
    bytes
}

fn sees_ahs(scene: &Scene, ahs: &[u8]) -> String {
    let mut session = rude(scene);
    let bytes = with_ahs(&mut session, ahs);
    sees_bytes(&mut session, &bytes)
}

fn with_opcode(scene: &Scene, code: u8) -> String {
    let mut session = rude(scene);
    let pdu = numbered(&mut session, 0x40 | code, FINAL);
    sees(&mut session, &pdu)
}

/// A session with digests.
fn digests(scene: &Scene, header: bool, data: bool) -> Initiator {
    rude_with(scene, |login| (login.header_digest, login.data_digest) = (header, data))
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a command that is too long",
        sent: "SCSI Command that announces 4 bytes over MaxRecvDataSegmentLength",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, opcode::SCSI_COMMAND),
    },
    Case {
        name: "a ping that is too long",
        sent: "NOP-Out, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, opcode::NOP_OUT),
    },
    Case {
        name: "data that is too long",
        sent: "Data-Out, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, opcode::DATA_OUT),
    },
    Case {
        name: "text that is too long",
        sent: "Text Request, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, 0x44),
    },
    Case {
        name: "a function that is too long",
        sent: "Task Management Function Request, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, opcode::TASK_MANAGEMENT),
    },
    Case {
        name: "a logout that is too long",
        sent: "Logout Request, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, opcode::LOGOUT),
    },
    Case {
        name: "a SNACK that is too long",
        sent: "SNACK Request, likewise",
        happens: "Reject 04; closed",
        run: |scene| oversize(scene, 0x10),
    },
    Case {
        name: "a ping of the greatest length",
        sent: "NOP-Out with 1 MiB, which is what was agreed on",
        happens: "pong with 1048576 bytes; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = numbered(&mut session, opcode::NOP_OUT, FINAL).with_data(&noise(1, 1 << 20));
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "a function with data",
        sent: "ABORT TASK with a data segment, which it cannot have",
        happens: "function response 01; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = numbered(&mut session, opcode::TASK_MANAGEMENT, FINAL | 1)
                .with(8, &LUN_1)
                .with_word(20, 0x7777)
                .with_word(32, session.cmd_sn.wrapping_sub(1))
                .with_data(&[7; 1000]);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "a command cut short",
        sent: "30 bytes of a command, and the end of the stream",
        happens: "closed",
        run: |scene| {
            let mut session = rude(scene);
            let (_, pdu) = session.command_pdu(1, &cdb::inquiry(96), 0, 96);
            session.wire.send_bytes(&pdu.encode()[..30]).unwrap();
            session.wire.finish();
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "data cut short",
        sent: "a WRITE with half of its immediate data, and the end of the stream",
        happens: "closed; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let (_, pdu) = session.command_pdu(1, &cdb::write(1000), 1000, 0);
            session.wire.send_bytes(&pdu.with_data(&[1; 1000]).encode()[..500]).unwrap();
            session.wire.finish();
            let seen = see_end(&mut session.wire);
            format!("{seen}; position {}", rude(scene).position())
        },
    },
    Case {
        name: "additional headers of no meaning",
        sent: "an AHS of an unknown type, well formed",
        happens: "GOOD; goes on",
        run: |scene| sees_ahs(scene, &[0, 5, 0x3f, 0, 1, 2, 3, 4]),
    },
    Case {
        name: "an extended CDB",
        sent: "an AHS with 16 more bytes of CDB behind TEST UNIT READY",
        happens: "GOOD; goes on",
        run: |scene| {
            let mut ahs = vec![0, 17, 1, 0];
            ahs.resize(20, 0);
            sees_ahs(scene, &ahs)
        },
    },
    Case {
        name: "an additional header without end",
        sent: "an AHS that claims 65535 bytes in 8",
        happens: "Reject 09; goes on",
        run: |scene| sees_ahs(scene, &[0xff, 0xff, 1, 0, 0, 0, 0, 0]),
    },
    Case {
        name: "additional headers of zeros",
        sent: "1020 bytes of additional header segments of length 0",
        happens: "GOOD; goes on",
        run: |scene| sees_ahs(scene, &[0; 1020]),
    },
    Case {
        name: "additional headers of noise",
        sent: "1020 random bytes as additional header segments",
        happens: "Reject 09; goes on",
        run: |scene| sees_ahs(scene, &noise(3, 1020)),
    },
    Case {
        name: "a read length for what only writes",
        sent: "an AHS with the read length of a bidirectional command",
        happens: "GOOD; goes on",
        run: |scene| sees_ahs(scene, &[0, 5, 2, 0, 0, 0, 2, 0]),
    },
    Case {
        name: "a wrong header digest",
        sent: "a command whose header digest is off by one bit",
        happens: "closed",
        run: |scene| {
            let mut session = digests(scene, true, false);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            let mut bytes = pdu.encode();
            bytes.extend((crc32c::crc32c(&bytes) ^ 1).to_le_bytes());
            session.wire.send_bytes(&bytes).unwrap();
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "half a header digest",
        sent: "a command with two bytes of its digest, and the end of the stream",
        happens: "closed",
        run: |scene| {
            let mut session = digests(scene, true, false);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            let mut bytes = pdu.encode();
            bytes.extend(&crc32c::crc32c(&bytes).to_le_bytes()[..2]);
            session.wire.send_bytes(&bytes).unwrap();
            session.wire.finish();
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "no header digest",
        sent: "two commands without the digest that was agreed on",
        happens: "closed",
        run: |scene| {
            let mut session = digests(scene, true, false);
            for _ in 0..2 {
                let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
                let _sent = session.wire.send_bytes(&pdu.encode());
            }
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "a wrong data digest with a command",
        sent: "a WRITE whose immediate data does not match its digest",
        happens: "Reject 02; closed; position 0",
        run: |scene| {
            let mut session = digests(scene, false, true);
            session.run(1, &cdb::REWIND).good();
            let (_, pdu) = session.command_pdu(1, &cdb::write(4), 4, 0);
            let mut bytes = pdu.with_data(b"evil").encode();
            bytes.extend([1, 2, 3, 4]);
            session.wire.send_bytes(&bytes).unwrap();
            let seen = see_end(&mut session.wire);
            format!("{seen}; position {}", rude(scene).position())
        },
    },
    Case {
        name: "a wrong data digest with data",
        sent: "Data-Out that was asked for, with a wrong digest",
        happens: "Reject 02; CHECK b/47/05, 1000 too few; goes on",
        run: |scene| {
            let mut session = rude_with(scene, |login| {
                (login.immediate_data, login.initial_r2t, login.data_digest) = (false, true, true);
            });
            let (tag, ttt) = asked_write(&mut session, 1000);
            let mut bytes = data_out(tag, ttt, 0, &[9; 1000]).encode();
            bytes.extend([1, 2, 3, 4]);
            sees_bytes(&mut session, &bytes)
        },
    },
    Case {
        name: "a wrong data digest of a ping",
        sent: "NOP-Out with data that does not match its digest",
        happens: "Reject 02; closed",
        run: |scene| {
            let mut session = digests(scene, false, true);
            let mut bytes =
                numbered(&mut session, opcode::NOP_OUT, FINAL).with_data(b"ping").encode();
            bytes.extend([1, 2, 3, 4]);
            session.wire.send_bytes(&bytes).unwrap();
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "a reserved operation code",
        sent: "operation code 07h",
        happens: "Reject 05; goes on",
        run: |scene| with_opcode(scene, 0x07),
    },
    Case {
        name: "a vendor's operation code",
        sent: "operation code 1ch",
        happens: "Reject 05; goes on",
        run: |scene| with_opcode(scene, 0x1c),
    },
    Case {
        name: "a target's R2T",
        sent: "R2T, which only targets send",
        happens: "Reject 04; goes on",
        run: |scene| with_opcode(scene, opcode::R2T),
    },
    Case {
        name: "a target's response",
        sent: "SCSI Response, which only targets send",
        happens: "Reject 04; goes on",
        run: |scene| with_opcode(scene, opcode::SCSI_RESPONSE),
    },
    Case {
        name: "a target's rejection",
        sent: "Reject, which only targets send",
        happens: "Reject 04; goes on",
        run: |scene| with_opcode(scene, opcode::REJECT),
    },
    Case {
        name: "all ones",
        sent: "a header of 48 bytes ffh",
        happens: "Reject 04; closed",
        run: |scene| {
            let mut session = rude(scene);
            let mut bytes = [0xff; 48 + 1020];
            bytes[48..].fill(0);
            let _sent = session.wire.send_bytes(&bytes);
            see_end(&mut session.wire)
        },
    },
    Case {
        name: "all zeros",
        sent: "480 zero bytes: ten NOP-Out PDUs that are not immediate, with tag 0",
        happens: "goes on",
        run: |scene| {
            let mut session = rude(scene);
            session.wire.send(&Pdu::new(0, 0)).unwrap();
            sees_bytes(&mut session, &[0; 432])
        },
    },
];
