//! Data of writes: asked for and not, too early, too late, too much.

use vtl_tests::{Initiator, Pdu, Scene, cdb, opcode};

use super::Case;
use super::see::*;

const LENGTH: usize = 3000;

/// A write that waits for its data, and one PDU for it.
fn answered(scene: &Scene, pdu: impl FnOnce(u32, u32) -> Pdu) -> String {
    let mut session = patient(scene);
    session.run(1, &cdb::REWIND).good();
    let (tag, ttt) = asked_write(&mut session, LENGTH);
    let seen = sees(&mut session, &pdu(tag, ttt));
    format!("{seen}; {}", position(scene, session))
}

/// Where the tape is, asked in a new session.
fn position(scene: &Scene, session: Initiator) -> String {
    drop(session);
    format!("position {}", rude(scene).position())
}

/// A WRITE of so many bytes with so much immediate data.
fn immediate(session: &mut Initiator, length: usize, data: usize, is_final: bool) -> Pdu {
    let (_, mut pdu) = session.command_pdu(1, &cdb::write(length), length, 0);
    if !is_final {
        pdu.bhs[1] &= !FINAL;
    }
    pdu.with_data(&vec![5; data])
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "data for nothing",
        sent: "Data-Out with a tag that names no task",
        happens: "goes on; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let seen = sees(&mut session, &data_out(0x7777, NO_TAG, 0, &[1; 512]));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "data for a finished write",
        sent: "Data-Out with the tag of a WRITE that was answered",
        happens: "goes on; position 1",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let tag = session.write_block(&[1; 512]).good().tag;
            let seen = sees(&mut session, &data_out(tag, NO_TAG, 0, &[1; 512]));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "data for an aborted write",
        sent: "the answer to an R2T after ABORT TASK",
        happens: "goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let cmd_sn = session.cmd_sn;
            let (tag, ttt) = asked_write(&mut session, LENGTH);
            assert_eq!(session.manage(1, 1, tag, cmd_sn), 0);
            let seen = sees(&mut session, &data_out(tag, ttt, 0, &[1; LENGTH]));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "data for a read",
        sent: "Data-Out with the tag of a command that only reads",
        happens: "goes on",
        run: |scene| {
            let mut session = rude(scene);
            let (tag, pdu) = session.command_pdu(1, &cdb::inquiry(96), 0, 96);
            session.wire.send(&pdu).unwrap();
            session.wire.expect(opcode::DATA_IN);
            sees(&mut session, &data_out(tag, NO_TAG, 0, &[1; 96]))
        },
    },
    Case {
        name: "a wrong target tag",
        sent: "Data-Out with a TTT that nobody gave out",
        happens: "Reject 04; closed; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt ^ 0x55, 0, &[1; LENGTH])),
    },
    Case {
        name: "another logical unit",
        sent: "Data-Out that was asked for, with another LUN than the command",
        happens: "Reject 04; closed; position 0",
        run: |scene| {
            answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[1; LENGTH]).with(8, &[0, 2]))
        },
    },
    Case {
        name: "a wrong DataSN",
        sent: "Data-Out that begins with DataSN 1",
        happens: "Reject 04; closed; position 0",
        run: |scene| {
            answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[1; LENGTH]).with_word(36, 1))
        },
    },
    Case {
        name: "a hole in the data",
        sent: "Data-Out at offset 512 in place of 0",
        happens: "Reject 04; closed; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, 512, &[1; LENGTH - 512])),
    },
    Case {
        name: "data beyond the end",
        sent: "Data-Out at offset 4 GiB - 4",
        happens: "Reject 04; closed; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, u32::MAX - 3, &[1; LENGTH])),
    },
    Case {
        name: "more than was asked for",
        sent: "Data-Out with 4 bytes more than the R2T asked for",
        happens: "Reject 04; closed; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[1; LENGTH + 4])),
    },
    Case {
        name: "less than was asked for",
        sent: "Data-Out with the F bit and 1000 of 3000 bytes",
        happens: "CHECK b/0c/0d, 3000 too few; goes on; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[1; 1000])),
    },
    Case {
        name: "nothing of what was asked for",
        sent: "Data-Out with the F bit and no data",
        happens: "CHECK b/0c/0d, 3000 too few; goes on; position 0",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[])),
    },
    Case {
        name: "no end of the data",
        sent: "all that was asked for, without the F bit",
        happens: "GOOD; goes on; position 1",
        run: |scene| answered(scene, |tag, ttt| data_out(tag, ttt, 0, &[1; LENGTH]).with(1, &[0])),
    },
    Case {
        name: "the same data twice",
        sent: "the first half twice",
        happens: "Reject 04; closed; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let (tag, ttt) = asked_write(&mut session, LENGTH);
            let half = data_out(tag, ttt, 0, &[1; LENGTH / 2]).with(1, &[0]);
            session.wire.send(&half).unwrap();
            let seen = sees(&mut session, &half.with_word(36, 1));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "overlapping data",
        sent: "the second part 4 bytes before the end of the first",
        happens: "Reject 04; closed; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let (tag, ttt) = asked_write(&mut session, LENGTH);
            session.wire.send(&data_out(tag, ttt, 0, &[1; 1000]).with(1, &[0])).unwrap();
            let pdu = data_out(tag, ttt, 996, &[1; LENGTH - 996]).with_word(36, 1);
            let seen = sees(&mut session, &pdu);
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "the rest without being asked",
        sent: "unsolicited Data-Out for a WRITE whose data was asked for",
        happens: "CHECK b/0c/0c, 3000 too few; goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let (tag, ttt) = asked_write(&mut session, LENGTH);
            session.wire.send(&data_out(tag, NO_TAG, 0, &[1; 512])).unwrap();
            let seen = sees(&mut session, &data_out(tag, ttt, 0, &[1; LENGTH]));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "an R2T that is not answered",
        sent: "a WRITE, no data, and 10 commands for the changer",
        happens: "10 GOOD; goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.settle(0);
            session.run(1, &cdb::REWIND).good();
            asked_write(&mut session, LENGTH);
            for _ in 0..10 {
                session.run(0, &cdb::TEST_UNIT_READY).good();
            }
            let seen = see(&mut session);
            format!("10 GOOD; {seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "immediate data where there must be none",
        sent: "a WRITE with immediate data, ImmediateData=No",
        happens: "CHECK b/0c/0c, 512 too few; goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let pdu = immediate(&mut session, 512, 512, true);
            let seen = sees(&mut session, &pdu);
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "unsolicited data where there must be none",
        sent: "a WRITE without F bit and its Data-Out, InitialR2T=Yes",
        happens: "CHECK b/0c/0c, 512 too few; goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let pdu = immediate(&mut session, 512, 0, false);
            session.wire.send(&pdu).unwrap();
            let seen = sees(&mut session, &data_out(pdu.word(16), NO_TAG, 0, &[1; 512]));
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "immediate data beyond the first burst",
        sent: "a WRITE of 512 KiB with 256 KiB and 4 bytes of immediate data",
        happens: "CHECK b/0c/0d, 524288 too few; goes on; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let pdu = immediate(&mut session, 512 << 10, (256 << 10) + 4, true);
            let seen = sees(&mut session, &pdu);
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "unsolicited data beyond the first burst",
        sent: "256 KiB of immediate data, and 512 bytes of Data-Out",
        happens: "R2T for 262144 bytes at 262144; CHECK b/0c/0c, 524288 too few; goes on; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let pdu = immediate(&mut session, 512 << 10, 256 << 10, false);
            let tag = pdu.word(16);
            session.wire.send(&pdu).unwrap();
            let r2t = session.wire.expect(opcode::R2T);
            session.wire.send(&data_out(tag, NO_TAG, 256 << 10, &[1; 512])).unwrap();
            let rest = data_out(tag, r2t.word(20), 256 << 10, &vec![1; 256 << 10]);
            let seen = sees(&mut session, &rest);
            format!(
                "R2T for {} bytes at {}; {seen}; {}",
                r2t.word(44),
                r2t.word(40),
                position(scene, session)
            )
        },
    },
    Case {
        name: "more immediate data than the command announces",
        sent: "a WRITE of 100 bytes with 512 bytes of immediate data",
        happens: "CHECK b/0c/0d, 100 too few; goes on; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let pdu = immediate(&mut session, 100, 512, true);
            let seen = sees(&mut session, &pdu);
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "unsolicited data that is announced and does not come",
        sent: "a WRITE without F bit, then ABORT TASK",
        happens: "function response 00; goes on; position 0",
        run: |scene| {
            let mut session = rude(scene);
            session.run(1, &cdb::REWIND).good();
            let cmd_sn = session.cmd_sn;
            let pdu = immediate(&mut session, 512, 0, false);
            session.wire.send(&pdu).unwrap();
            let abort = numbered(&mut session, opcode::TASK_MANAGEMENT, FINAL | 1)
                .with(8, &LUN_1)
                .with_word(20, pdu.word(16))
                .with_word(32, cmd_sn);
            let seen = sees(&mut session, &abort);
            format!("{seen}; {}", position(scene, session))
        },
    },
    Case {
        name: "data for a command without data",
        sent: "TEST UNIT READY with 512 bytes of immediate data",
        happens: "CHECK b/0c/0c; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            sees(&mut session, &pdu.with_data(&[1; 512]))
        },
    },
    Case {
        name: "a read without F bit",
        sent: "INQUIRY without the F bit",
        happens: "CHECK b/0c/0c, 96 too few; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let (_, mut pdu) = session.command_pdu(1, &cdb::inquiry(96), 0, 96);
            pdu.bhs[1] &= !FINAL;
            sees(&mut session, &pdu)
        },
    },
];
