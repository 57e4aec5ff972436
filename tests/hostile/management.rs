//! Reservations and task management.

use vtl_tests::{Initiator, Scene, cdb, opcode};

const ABORT_TASK: u8 = 1;
const ABORT_TASK_SET: u8 = 2;
const CLEAR_TASK_SET: u8 = 4;
const LOGICAL_UNIT_RESET: u8 = 5;
const TARGET_WARM_RESET: u8 = 6;
const TASK_REASSIGN: u8 = 8;
const NO_TAG: u32 = u32::MAX;

const DEVICE_RESET: (u8, u8, u8) = (6, 0x29, 0x03);
const COMMANDS_CLEARED: (u8, u8, u8) = (6, 0x2f, 0);
const RESERVATION_CONFLICT: u8 = 0x18;

/// Starts a write whose data is asked for and does not come; its tag and the number of its command.
fn hanging_write(session: &mut Initiator) -> (u32, u32) {
    let cmd_sn = session.cmd_sn;
    let (tag, pdu) = session.command_pdu(1, &cdb::write(1 << 20), 1 << 20, 0);
    session.wire.send(&pdu).unwrap();
    assert_eq!(session.wire.expect(opcode::R2T).word(16), tag);
    (tag, cmd_sn)
}

#[test]
fn a_reservation_keeps_others_out_until_it_ends() {
    let mut scene = Scene::loaded();
    let mut holder = scene.session("holder");
    let mut other = scene.session("other");
    let conflicts =
        |other: &mut Initiator, cdb: &[u8]| other.run(1, cdb).status == RESERVATION_CONFLICT;
    for ending in ["release", "logout", "lost"] {
        holder.run(1, &cdb::RESERVE).good();
        for cdb in
            [&cdb::TEST_UNIT_READY[..], &cdb::REWIND, &cdb::RESERVE, &cdb::write_filemarks(1)]
        {
            assert!(conflicts(&mut other, cdb), "{cdb:02x?} before {ending}");
        }
        assert_eq!(other.write_block(b"evil").status, RESERVATION_CONFLICT);
        other.read_in(1, &cdb::inquiry(96), 96).good();
        // To release what another holds is no error, and does nothing.
        other.run(1, &cdb::RELEASE).good();
        assert!(conflicts(&mut other, &cdb::REWIND));
        holder.run(1, &cdb::RESERVE).good();
        holder.run(1, &cdb::REWIND).good();
        match ending {
            "release" => {
                holder.run(1, &cdb::RELEASE).good();
            }
            "logout" => {
                holder.logout();
                holder = scene.session("holder");
            }
            _ => {
                drop(holder);
                // Its place is taken: the lost session has ended when this one is let in.
                holder = scene.session("holder");
            }
        }
        other.run(1, &cdb::REWIND).good();
    }
    assert_eq!(other.position(), 0);
    scene.assert_serves();
}

#[test]
fn a_reset_ends_a_reservation() {
    let mut scene = Scene::loaded();
    let mut holder = scene.session("holder");
    let mut other = scene.session("other");
    holder.run(1, &cdb::RESERVE).good();
    assert_eq!(other.manage(LOGICAL_UNIT_RESET, 1, NO_TAG, 0), 0);
    assert_eq!(other.settle(1), [DEVICE_RESET]);
    other.run(1, &cdb::RESERVE).good();
    // The holder has lost it, and hears of it as soon as it is let in again.
    assert_eq!(holder.run(1, &cdb::TEST_UNIT_READY).status, RESERVATION_CONFLICT);
    other.run(1, &cdb::RELEASE).good();
    assert_eq!(holder.settle(1), [DEVICE_RESET]);
    // The other logical units were not reset.
    assert!(holder.settle(0).is_empty());
    scene.assert_serves();
}

#[test]
fn a_reset_of_all_is_told_to_all() {
    let mut scene = Scene::loaded();
    let mut one = scene.session("one");
    let mut two = scene.session("two");
    one.write_block(b"kept").good();
    assert_eq!(one.manage(TARGET_WARM_RESET, 0, NO_TAG, 0), 0);
    for session in [&mut one, &mut two] {
        assert_eq!(session.settle(0), [DEVICE_RESET]);
        assert_eq!(session.settle(1), [DEVICE_RESET]);
    }
    two.run(1, &cdb::REWIND).good();
    assert_eq!(two.read_block(4).good().data, b"kept");
    scene.assert_serves();
}

#[test]
fn a_task_that_is_aborted_writes_nothing_and_is_not_answered() {
    let mut scene = Scene::loaded();
    let mut login = scene.login("impatient");
    login.immediate_data = false;
    login.initial_r2t = true;
    let mut session = login.open();
    session.settle(1);
    let (tag, cmd_sn) = hanging_write(&mut session);
    assert_eq!(session.manage(ABORT_TASK, 1, tag, cmd_sn), 0);
    session.ping();
    assert_eq!(session.position(), 0);
    session.write_block(b"after").good();
    assert_eq!(session.position(), 1);
    // A whole set of them.
    let set = [hanging_write(&mut session), hanging_write(&mut session)];
    assert_eq!(session.manage(ABORT_TASK_SET, 1, NO_TAG, 0), 0);
    session.ping();
    assert_eq!(session.position(), 1);
    // They are gone.
    for (tag, cmd_sn) in set {
        assert_eq!(session.manage(ABORT_TASK, 1, tag, cmd_sn), 1, "no such task");
    }
    scene.assert_serves();
}

// The function used to be answered before the victim's session had given up its waiting tasks; the victim's next command, if it came
// quickly enough, was aborted with them and never answered. One run in fifteen hung, where several ran at once.
#[test]
fn a_cleared_task_set_is_told_to_those_whose_tasks_are_gone() {
    let mut scene = Scene::loaded();
    let mut login = scene.login("victim");
    login.immediate_data = false;
    login.initial_r2t = true;
    let mut victim = login.open();
    victim.settle(1);
    let mut other = scene.session("other");
    hanging_write(&mut victim);
    assert_eq!(other.manage(CLEAR_TASK_SET, 1, NO_TAG, 0), 0);
    assert!(other.settle(1).is_empty(), "who did it knows");
    assert_eq!(victim.settle(1), [COMMANDS_CLEARED]);
    assert_eq!(victim.position(), 0);
    victim.write_block(b"after").good();
    scene.assert_serves();
}

#[test]
fn functions_that_make_no_sense() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("confused");
    assert_eq!(session.manage(LOGICAL_UNIT_RESET, 99, NO_TAG, 0), 2, "no such logical unit");
    assert_eq!(session.manage(CLEAR_TASK_SET, 99, NO_TAG, 0), 2, "no such logical unit");
    assert_eq!(session.manage(TASK_REASSIGN, 1, 5, 0), 4, "not at this recovery level");
    let long_ago = session.cmd_sn.wrapping_sub(1);
    assert_eq!(session.manage(ABORT_TASK, 1, 0x7777, long_ago), 1, "no such task");
    let function = session.manage(0x7f, 1, NO_TAG, 0);
    assert!([5, 255].contains(&function), "an unknown function was answered {function}");
    session.ping();
    session.run(1, &cdb::TEST_UNIT_READY).good();
    scene.assert_serves();
}
