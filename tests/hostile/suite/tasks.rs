//! Tags and task management.

use vtl_tests::{Initiator, Pdu, Scene, cdb, opcode};

use super::Case;
use super::see::*;

fn function(session: &mut Initiator, code: u8, lun: u8, tag: u32, ref_cmd_sn: u32) -> Pdu {
    numbered(session, opcode::TASK_MANAGEMENT, FINAL | code)
        .with(8, &[0, lun])
        .with_word(20, tag)
        .with_word(32, ref_cmd_sn)
}

fn with_function(scene: &Scene, code: u8, lun: u8) -> String {
    let mut session = rude(scene);
    let pdu = function(&mut session, code, lun, NO_TAG, 0);
    sees(&mut session, &pdu)
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a tag in use",
        sent: "TEST UNIT READY with the tag of a WRITE that waits for its data",
        happens: "Reject 07; goes on",
        run: |scene| {
            let mut session = patient(scene);
            let (tag, _) = asked_write(&mut session, 3000);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            sees(&mut session, &pdu.with_word(16, tag))
        },
    },
    Case {
        name: "a tag of a finished command",
        sent: "TEST UNIT READY with the tag of one that was answered, which is allowed",
        happens: "GOOD; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let tag = session.run(1, &cdb::TEST_UNIT_READY).good().tag;
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            sees(&mut session, &pdu.with_word(16, tag))
        },
    },
    Case {
        name: "the reserved tag",
        sent: "TEST UNIT READY with ITT ffffffff",
        happens: "Reject 09; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let (_, pdu) = session.command_pdu(1, &cdb::TEST_UNIT_READY, 0, 0);
            sees(&mut session, &pdu.with_word(16, NO_TAG))
        },
    },
    Case {
        name: "a function with the reserved tag",
        sent: "ABORT TASK SET with ITT ffffffff",
        happens: "Reject 09; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = function(&mut session, 2, 1, NO_TAG, 0).with_word(16, NO_TAG);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "a function with a tag in use",
        sent: "ABORT TASK SET with the tag of a WRITE that waits for its data",
        happens: "Reject 07; goes on",
        run: |scene| {
            let mut session = patient(scene);
            let (tag, _) = asked_write(&mut session, 3000);
            let pdu = function(&mut session, 2, 1, NO_TAG, 0).with_word(16, tag);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the end of a finished task",
        sent: "ABORT TASK for a command that was answered",
        happens: "function response 01; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let cmd_sn = session.cmd_sn;
            let tag = session.run(1, &cdb::TEST_UNIT_READY).good().tag;
            let pdu = function(&mut session, 1, 1, tag, cmd_sn);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the end of itself",
        sent: "ABORT TASK for its own tag",
        happens: "function response 01; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let before = session.cmd_sn.wrapping_sub(1);
            let pdu = function(&mut session, 1, 1, 0, before);
            let tag = pdu.word(16);
            sees(&mut session, &pdu.with_word(20, tag))
        },
    },
    Case {
        name: "the end of a task of another unit",
        sent: "ABORT TASK for a waiting WRITE with another LUN",
        happens: "function response 01; goes on",
        run: |scene| {
            let mut session = patient(scene);
            let cmd_sn = session.cmd_sn;
            let (tag, _) = asked_write(&mut session, 3000);
            let pdu = function(&mut session, 1, 3, tag, cmd_sn);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the end of a task with a wrong number",
        sent: "ABORT TASK for a waiting WRITE with a RefCmdSN of long ago",
        happens: "function response 00; goes on",
        run: |scene| {
            let mut session = patient(scene);
            let (tag, _) = asked_write(&mut session, 3000);
            let pdu = function(&mut session, 1, 1, tag, session_start());
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the end of what was never sent",
        sent: "ABORT TASK for an unknown tag with a RefCmdSN beyond the window",
        happens: "function response 01; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let beyond = session.cmd_sn.wrapping_add(100_000);
            let pdu = function(&mut session, 1, 1, 0x7777, beyond);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "the end of everything twice",
        sent: "ABORT TASK SET twice for two waiting WRITEs",
        happens: "function response 00; function response 00; goes on; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            asked_write(&mut session, 3000);
            asked_write(&mut session, 3000);
            for _ in 0..2 {
                let pdu = function(&mut session, 2, 1, NO_TAG, 0);
                session.wire.send(&pdu).unwrap();
            }
            format!("{}; position {}", see_all(&mut session, 2), session.position())
        },
    },
    Case {
        name: "CLEAR ACA",
        sent: "function 3, where no device has ACA",
        happens: "function response 05; goes on",
        run: |scene| with_function(scene, 3, 1),
    },
    Case {
        name: "TASK REASSIGN",
        sent: "function 8, at error recovery level 0",
        happens: "function response 04; goes on",
        run: |scene| with_function(scene, 8, 1),
    },
    Case {
        name: "a function that does not exist",
        sent: "function 7fh",
        happens: "function response 05; goes on",
        run: |scene| with_function(scene, 0x7f, 1),
    },
    Case {
        name: "function 0",
        sent: "function 0",
        happens: "function response 05; goes on",
        run: |scene| with_function(scene, 0, 1),
    },
    Case {
        name: "a reset of a unit that is not there",
        sent: "LOGICAL UNIT RESET of LUN 99",
        happens: "function response 02; goes on",
        run: |scene| with_function(scene, 5, 99),
    },
    Case {
        name: "a reset of no unit",
        sent: "LOGICAL UNIT RESET with a LUN field of ones",
        happens: "function response 02; goes on",
        run: |scene| {
            let mut session = rude(scene);
            let pdu = function(&mut session, 5, 1, NO_TAG, 0).with(8, &[0xff; 8]);
            sees(&mut session, &pdu)
        },
    },
    Case {
        name: "a reset in the middle of a write",
        sent: "LOGICAL UNIT RESET while a WRITE waits for its data, and then the data",
        happens: "function response 00; goes on; CHECK 6/29/03; position 0",
        run: |scene| {
            let mut session = patient(scene);
            session.run(1, &cdb::REWIND).good();
            let (tag, ttt) = asked_write(&mut session, 3000);
            let reset = function(&mut session, 5, 1, NO_TAG, 0);
            session.wire.send(&reset).unwrap();
            let answer = session.wire.expect(opcode::TASK_MANAGEMENT_RESPONSE);
            let seen = sees(&mut session, &data_out(tag, ttt, 0, &[1; 3000]));
            let sense = session.run(1, &cdb::TEST_UNIT_READY).check().code;
            let position = session.position();
            format!(
                "function response {:02x}; {seen}; CHECK {:x}/{:02x}/{:02x}; position {position}",
                answer.bhs[2], sense.0, sense.1, sense.2
            )
        },
    },
    Case {
        name: "a reset of all that ends all",
        sent: "TARGET COLD RESET, which ends every session",
        happens: "function response 00; closed",
        run: |_| {
            // The one that behaves well would be ended too: another library's sessions are not concerned, so this needs its own.
            let own = Scene::loaded();
            let mut session = own.session("rude");
            let mut other = own.session("other");
            let pdu = function(&mut session, 7, 0, NO_TAG, 0);
            let _sent = session.wire.send(&pdu);
            let seen = see_end(&mut session.wire);
            assert!(other.wire.expect_closed().is_empty());
            own.session("again").logout();
            seen
        },
    },
    Case {
        name: "a warm reset of all",
        sent: "TARGET WARM RESET",
        happens: "function response 00; goes on",
        run: |scene| with_function(scene, 6, 0),
    },
    Case {
        name: "immediate commands without number",
        sent: "40 immediate WRITEs that wait for their data",
        happens: "16 of 40 taken, 24 Reject 06; goes on",
        run: |scene| {
            let mut session = patient(scene);
            for _ in 0..40 {
                let (_, pdu) = session.command_pdu(1, &cdb::write(512), 512, 0);
                session.cmd_sn = session.cmd_sn.wrapping_sub(1);
                session.wire.send(&pdu.with(0, &[0x41])).unwrap();
            }
            let seen = see_all(&mut session, 40);
            let (taken, refused) = (seen.matches("R2T").count(), seen.matches("Reject 06").count());
            let end = seen.rsplit("; ").next().unwrap_or_default();
            format!("{taken} of 40 taken, {refused} Reject 06; {end}")
        },
    },
];

/// The number that each session begins with.
fn session_start() -> u32 {
    1
}
