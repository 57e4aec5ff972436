//! The order of commands: numbers, windows, queues of logical units.

use vtl_scsi::{Completion, TaskAttribute};

use super::pair::*;
use crate::CmdSn;
use crate::pdu::{
    InitiatorTaskTag, NopIn, NopOut, Opcode, ReadyToTransfer, Reject, RejectReason, ScsiCommand,
};
use crate::pdu::{ScsiResponse, TargetTransferTag};

fn solicited() -> Pair {
    Pair::agreeing(Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 4096,
        max_pdu: 4096,
    })
}

/// Seen elsewhere: WRITE FILEMARKS overtook a WRITE that still waited for its data, and blocks ended up behind the mark.
#[test]
fn a_command_waits_behind_a_write_of_its_logical_unit_that_waits_for_data() {
    let mut pair = solicited();
    let data = pattern(1000);
    let write = pair.begin_write(LUN_1, &data);
    let filemarks = pair.command(LUN_1, 0x10);
    pair.send(filemarks.encode(), b"");
    let immediate =
        ScsiCommand { is_immediate: true, cmd_sn: pair.next_cmd_sn, ..pair.command(LUN_1, 0x03) };
    pair.next_cmd_sn = immediate.cmd_sn;
    pair.send(immediate.encode(), b"");
    pair.expect_no_event();
    // Another logical unit goes on.
    let (_, other) = pair.run(LUN_2, 0x00);
    assert_eq!(other.cdb.operation_code(), 0x00);
    pair.answer_r2ts(&write, &data);
    let codes: Vec<_> = (0..3).map(|_| pair.expect_task().2.cdb.operation_code()).collect();
    assert_eq!(codes, [0x0a, 0x10, 0x03]);
}

#[test]
fn head_of_queue_goes_ahead_of_what_waits() {
    let mut pair = solicited();
    let data = pattern(1000);
    let write = pair.begin_write(LUN_1, &data);
    let urgent = ScsiCommand { attribute_code: 3, ..pair.command(LUN_1, 0x03) };
    pair.send(urgent.encode(), b"");
    let task = pair.expect_task().2;
    assert_eq!((task.cdb.operation_code(), task.attribute), (0x03, TaskAttribute::HeadOfQueue));
    // A write of the same kind has to wait for its data and keeps its place.
    let urgent_write = ScsiCommand { attribute_code: 3, ..pair.write_command(LUN_1, 1000) };
    let r2t = pair.receive(Opcode::READY_TO_TRANSFER);
    pair.send(urgent_write.encode(), b"");
    pair.send_burst(&write, ReadyToTransfer::parse(&r2t.bhs).ttt, &data, 0..1000);
    assert_eq!(pair.expect_task().2.attribute, TaskAttribute::Simple);
}

#[test]
fn commands_that_come_early_wait_for_their_turn() {
    let mut pair = Pair::linux();
    let commands: Vec<_> = (0..4).map(|code| pair.command(LUN_1, code)).collect();
    for index in [2, 1, 3] {
        pair.send(commands[index].encode(), b"");
        pair.expect_no_event();
    }
    // Sent twice: ignored.
    pair.send(commands[2].encode(), b"");
    pair.send(commands[0].encode(), b"");
    for code in 0..4 {
        assert_eq!(pair.expect_task().2.cdb.operation_code(), code);
    }
    pair.expect_no_event();
    pair.receive_nothing();
}

#[test]
fn an_early_write_collects_its_unsolicited_data_and_asks_for_more_in_its_turn() {
    let mut pair = Pair::linux();
    let first = pair.command(LUN_1, 0);
    let data = pattern(300 << 10);
    let write = pair.begin_write(LUN_1, &data);
    pair.receive_nothing();
    pair.send(first.encode(), b"");
    assert_eq!(pair.expect_task().2.cdb.operation_code(), 0);
    pair.answer_r2ts(&write, &data);
    assert!(*pair.expect_task().2.data_out == *data);
}

#[test]
fn early_pings_and_commands_keep_their_order() {
    let mut pair = Pair::linux();
    let first = pair.command(LUN_1, 0);
    let ping = NopOut {
        is_immediate: false,
        lun: [0; 8],
        itt: pair.new_tag(),
        ttt: TargetTransferTag::RESERVED,
        cmd_sn: pair.next_cmd_sn,
        exp_stat_sn: pair.exp_stat_sn,
    };
    pair.next_cmd_sn = pair.next_cmd_sn.next();
    pair.send(ping.encode(), b"data");
    pair.receive_nothing();
    pair.send(first.encode(), b"");
    pair.expect_task();
    let answer = pair.receive(Opcode::NOP_IN);
    assert_eq!((NopIn::parse(&answer.bhs).itt, answer.data.as_slice()), (ping.itt, &b"data"[..]));
    assert_eq!(NopIn::parse(&answer.bhs).sequence.exp_cmd_sn, pair.next_cmd_sn);
}

#[test]
fn numbers_outside_the_window_are_ignored() {
    let mut pair = Pair::linux();
    for cmd_sn in [FIRST_CMD_SN.plus(64), FIRST_CMD_SN.plus(u32::MAX), FIRST_CMD_SN.plus(1 << 31)] {
        let command = ScsiCommand { cmd_sn, ..pair.command(LUN_1, 0) };
        pair.send(command.encode(), b"");
        let write = ScsiCommand { cmd_sn, ..pair.write_command(LUN_1, 100) };
        pair.send(write.encode(), &pattern(100));
    }
    pair.expect_no_event();
    pair.receive_nothing();
    pair.next_cmd_sn = FIRST_CMD_SN;
    pair.run(LUN_1, 0);
}

#[test]
fn the_window_closes_when_it_is_full_and_opens_with_each_answer() {
    let mut pair = Pair::linux();
    let keys: Vec<_> = (0..64).map(|_| pair.run(LUN_1, 0).0).collect();
    let one_too_many = pair.command(LUN_1, 1);
    pair.send(one_too_many.encode(), b"");
    pair.expect_no_event();
    let mut max_cmd_sn = FIRST_CMD_SN.plus(63);
    for key in keys {
        pair.complete(key, Completion::good());
        let response = ScsiResponse::parse(&pair.receive(Opcode::SCSI_RESPONSE).bhs);
        max_cmd_sn = max_cmd_sn.next();
        assert_eq!(response.sequence.exp_cmd_sn, FIRST_CMD_SN.plus(64));
        assert_eq!(response.sequence.max_cmd_sn, max_cmd_sn);
    }
    pair.send(one_too_many.encode(), b"");
    pair.expect_task();
}

#[test]
fn immediate_commands_have_a_limit_of_their_own() {
    let mut pair = Pair::linux();
    let immediate = |pair: &mut Pair| {
        let command = ScsiCommand { is_immediate: true, ..pair.command(LUN_1, 0) };
        pair.next_cmd_sn = command.cmd_sn;
        pair.send(command.encode(), b"");
    };
    for _ in 0..16 {
        immediate(&mut pair);
    }
    let (key, ..) = pair.expect_task();
    immediate(&mut pair);
    let reject = pair.receive(Opcode::REJECT);
    assert_eq!(Reject::parse(&reject.bhs).reason, RejectReason::TOO_MANY_IMMEDIATE_COMMANDS);
    pair.complete(key, Completion::good());
    pair.answer();
    immediate(&mut pair);
    pair.receive_nothing();
    assert_eq!(pair.events.len(), 16);
}

#[test]
fn a_tag_in_use_is_refused_and_the_first_task_goes_on() {
    let mut pair = solicited();
    let data = pattern(1000);
    let write = pair.begin_write(LUN_1, &data);
    let again = ScsiCommand { itt: write.itt, ..pair.command(LUN_1, 0x10) };
    let r2t = pair.receive(Opcode::READY_TO_TRANSFER);
    pair.send(again.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::TASK_IN_PROGRESS
    );
    let ttt = ReadyToTransfer::parse(&r2t.bhs).ttt;
    pair.send_burst(&write, ttt, &data, 0..1000);
    assert!(*pair.expect_task().2.data_out == *data);
    // The number of the refused command is used up.
    pair.run(LUN_2, 0);
}

#[test]
fn an_answer_counts_once_and_only_for_its_own_task() {
    let mut pair = Pair::linux();
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    let (first, ..) = pair.expect_task();
    pair.complete(first, Completion::good());
    pair.answer();
    pair.complete(first, Completion::good());
    pair.receive_nothing();
    // The same tag again, with the next number.
    let again = ScsiCommand { cmd_sn: pair.next_cmd_sn, ..command };
    pair.send(again.encode(), b"");
    let (second, ..) = pair.expect_task();
    pair.complete(first, Completion::good());
    pair.receive_nothing();
    pair.complete(second, Completion::good());
    pair.answer();
}

#[test]
fn the_reserved_tag_names_no_command() {
    let mut pair = Pair::linux();
    let command = ScsiCommand { itt: InitiatorTaskTag::RESERVED, ..pair.command(LUN_1, 0) };
    pair.send(command.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::INVALID_PDU_FIELD
    );
    pair.run(LUN_1, 0);
    assert_eq!(pair.next_cmd_sn, CmdSn(0));
}
