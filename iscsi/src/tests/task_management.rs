//! Task management functions.

use vtl_scsi::Completion;

use super::pair::*;
use crate::pdu::{
    InitiatorTaskTag, Opcode, Reject, RejectReason, ScsiCommand, TaskManagementAnswer,
    TaskManagementFunctionCode as Code, TaskManagementRequest, TaskManagementResponse as Response,
    TextRequest,
};
use crate::{CloseReason, CmdSn, TaskManagement};

fn request(pair: &mut Pair, function: Code, lun: [u8; 8]) -> TaskManagementRequest {
    TaskManagementRequest {
        is_immediate: true,
        function,
        lun,
        itt: pair.new_tag(),
        referenced_task_tag: InitiatorTaskTag::RESERVED,
        cmd_sn: pair.next_cmd_sn,
        exp_stat_sn: pair.exp_stat_sn,
        ref_cmd_sn: CmdSn(0),
    }
}

fn send(pair: &mut Pair, function: Code, lun: [u8; 8]) {
    let request = request(pair, function, lun);
    pair.send(request.encode(), b"");
}

fn abort(pair: &mut Pair, command: &ScsiCommand) {
    let request = TaskManagementRequest {
        referenced_task_tag: command.itt,
        ref_cmd_sn: command.cmd_sn,
        ..request(pair, Code::ABORT_TASK, command.lun)
    };
    pair.send(request.encode(), b"");
}

fn response(pair: &mut Pair) -> Response {
    TaskManagementAnswer::parse(&pair.receive(Opcode::TASK_MANAGEMENT_RESPONSE).bhs).response
}

fn solicited() -> Pair {
    Pair::agreeing(Agreed {
        initial_r2t: true,
        immediate_data: false,
        first_burst: 512,
        max_burst: 512,
        max_pdu: 512,
    })
}

#[test]
fn a_delivered_task_is_aborted_by_its_owner() {
    let mut pair = Pair::linux();
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    let (task, ..) = pair.expect_task();
    abort(&mut pair, &command);
    let (key, function, tasks) = pair.expect_function();
    assert_eq!((function, tasks), (TaskManagement::AbortTask { lun: LUN_1 }, vec![task]));
    pair.target.complete_task_management(key, Response::FUNCTION_COMPLETE);
    pair.pump();
    assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
    pair.complete(task, Completion::good());
    pair.receive_nothing();
    // An answer counts once.
    pair.target.complete_task_management(key, Response::FUNCTION_COMPLETE);
    pair.pump();
    pair.receive_nothing();
}

#[test]
fn a_task_that_ends_before_its_abort_keeps_its_status() {
    let mut pair = Pair::linux();
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    let (task, ..) = pair.expect_task();
    abort(&mut pair, &command);
    let (key, ..) = pair.expect_function();
    pair.complete(task, Completion::good());
    pair.answer();
    pair.target.complete_task_management(key, Response::TASK_DOES_NOT_EXIST);
    pair.pump();
    assert_eq!(response(&mut pair), Response::TASK_DOES_NOT_EXIST);
}

#[test]
fn a_waiting_task_is_aborted_at_once_and_lets_the_next_one_go() {
    let mut pair = solicited();
    let data = pattern(1000);
    let write = pair.begin_write(LUN_1, &data);
    let r2t = pair.inbox.pop_front().unwrap();
    pair.inbox.clear();
    let next = pair.command(LUN_1, 0x10);
    pair.send(next.encode(), b"");
    pair.expect_no_event();
    abort(&mut pair, &write);
    assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
    assert_eq!(pair.expect_task().2.cdb.operation_code(), 0x10);
    // Data that was on its way is let pass.
    let ttt = crate::pdu::ReadyToTransfer::parse(&r2t.bhs).ttt;
    pair.send_burst(&write, ttt, &data, 0..512);
    pair.receive_nothing();
    pair.expect_no_event();
}

#[test]
fn a_task_may_be_aborted_in_the_middle_of_its_data() {
    let mut pair = Pair::linux();
    let data = pattern(1000);
    let write = pair.write_command(LUN_1, data.len());
    let bytes = pair.encode(write.encode(), &data);
    pair.send_bytes(&bytes[..500]);
    pair.target.abort_waiting_tasks(Some(LUN_1));
    pair.send_bytes(&bytes[500..]);
    pair.expect_no_event();
    pair.receive_nothing();
    assert!(*pair.write(LUN_1, &data).1.data_out == *data);
}

#[test]
fn a_task_that_has_not_come_counts_as_aborted() {
    let mut pair = Pair::linux();
    let missing = pair.command(LUN_1, 0);
    let next = pair.command(LUN_1, 1);
    pair.send(next.encode(), b"");
    pair.expect_no_event();
    abort(&mut pair, &missing);
    assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
    assert_eq!(pair.expect_task().2.cdb.operation_code(), 1);
    // Its number is used.
    pair.send(missing.encode(), b"");
    pair.expect_no_event();
}

#[test]
fn a_task_that_is_gone_does_not_exist() {
    let mut pair = Pair::linux();
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    let (key, ..) = pair.expect_task();
    pair.complete(key, Completion::good());
    pair.answer();
    abort(&mut pair, &command);
    assert_eq!(response(&mut pair), Response::TASK_DOES_NOT_EXIST);
    // Nor does one of another logical unit.
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    pair.expect_task();
    abort(&mut pair, &ScsiCommand { lun: LUN_2, ..command });
    assert_eq!(response(&mut pair), Response::TASK_DOES_NOT_EXIST);
    pair.expect_no_event();
}

#[test]
fn functions_on_a_logical_unit_end_its_older_tasks_only() {
    for (code, expected) in [
        (Code::ABORT_TASK_SET, TaskManagement::AbortTaskSet { lun: LUN_1 }),
        (Code::CLEAR_TASK_SET, TaskManagement::ClearTaskSet { lun: LUN_1 }),
        (Code::LOGICAL_UNIT_RESET, TaskManagement::LogicalUnitReset { lun: LUN_1 }),
    ] {
        let mut pair = solicited();
        let (delivered, _) = pair.run(LUN_1, 0);
        let (other, _) = pair.run(LUN_2, 0);
        pair.begin_write(LUN_1, &pattern(100));
        let behind = pair.command(LUN_1, 0x10);
        pair.send(behind.encode(), b"");
        pair.inbox.clear();
        send(&mut pair, code, LUN_1);
        let (key, function, tasks) = pair.expect_function();
        assert_eq!((function, tasks), (expected, vec![delivered]));
        // A younger task is not affected.
        let (younger, _) = pair.run(LUN_1, 1);
        pair.target.complete_task_management(key, Response::FUNCTION_COMPLETE);
        pair.pump();
        assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
        for (key, is_answered) in [(delivered, false), (other, true), (younger, true)] {
            pair.complete(key, Completion::good());
            assert_eq!(pair.inbox.pop_front().is_some(), is_answered);
        }
        pair.expect_no_event();
    }
}

#[test]
fn an_immediate_function_waits_for_older_commands_that_are_missing() {
    let mut pair = Pair::linux();
    let missing = pair.command(LUN_1, 0);
    let early = pair.command(LUN_1, 1);
    pair.send(early.encode(), b"");
    send(&mut pair, Code::ABORT_TASK_SET, LUN_1);
    pair.expect_no_event();
    pair.send(missing.encode(), b"");
    let tasks = [pair.expect_task().0, pair.expect_task().0];
    let (_, _, mut aborted) = pair.expect_function();
    aborted.sort_by_key(|key| key.itt.0);
    assert_eq!(aborted, tasks);
}

#[test]
fn a_numbered_function_takes_its_turn() {
    let mut pair = Pair::linux();
    let first = pair.command(LUN_1, 0);
    let function = TaskManagementRequest {
        is_immediate: false,
        ..request(&mut pair, Code::ABORT_TASK_SET, LUN_1)
    };
    pair.next_cmd_sn = pair.next_cmd_sn.next();
    let last = pair.command(LUN_1, 1);
    pair.send(last.encode(), b"");
    pair.send(function.encode(), b"");
    pair.expect_no_event();
    pair.send(first.encode(), b"");
    let (first, ..) = pair.expect_task();
    assert_eq!(pair.expect_function().2, [first]);
    assert_eq!(pair.expect_task().2.cdb.operation_code(), 1);
}

#[test]
fn target_resets_end_everything_and_a_cold_one_the_session() {
    let mut pair = Pair::linux();
    pair.run(LUN_1, 0);
    pair.run(LUN_2, 0);
    send(&mut pair, Code::TARGET_WARM_RESET, [0; 8]);
    let (key, function, tasks) = pair.expect_function();
    assert_eq!((function, tasks.len(), function.lun()), (TaskManagement::TargetWarmReset, 2, None));
    pair.target.complete_task_management(key, Response::FUNCTION_COMPLETE);
    pair.pump();
    assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
    send(&mut pair, Code::TARGET_COLD_RESET, [0; 8]);
    let (key, function, tasks) = pair.expect_function();
    assert_eq!((function, tasks.len()), (TaskManagement::TargetColdReset, 0));
    pair.target.complete_task_management(key, Response::FUNCTION_COMPLETE);
    pair.pump();
    assert_eq!(response(&mut pair), Response::FUNCTION_COMPLETE);
    assert_eq!(pair.expect_closed(), CloseReason::TargetReset);
}

#[test]
fn functions_that_are_not_offered_are_refused() {
    let mut pair = Pair::linux();
    for (code, expected) in [
        (Code::TASK_REASSIGN, Response::REASSIGNMENT_NOT_SUPPORTED),
        (Code::CLEAR_ACA, Response::FUNCTION_NOT_SUPPORTED),
        (Code(9), Response::FUNCTION_NOT_SUPPORTED),
        (Code(0), Response::FUNCTION_NOT_SUPPORTED),
    ] {
        send(&mut pair, code, LUN_1);
        assert_eq!(response(&mut pair), expected);
    }
    pair.expect_no_event();
}

#[test]
fn functions_have_a_limit_and_tags_of_their_own() {
    let mut pair = Pair::linux();
    let first = request(&mut pair, Code::ABORT_TASK_SET, LUN_1);
    pair.send(first.encode(), b"");
    pair.send(first.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::TASK_IN_PROGRESS
    );
    for _ in 1..16 {
        send(&mut pair, Code::ABORT_TASK_SET, LUN_1);
    }
    assert_eq!(pair.events.len(), 16);
    pair.receive_nothing();
    send(&mut pair, Code::ABORT_TASK_SET, LUN_1);
    let reject = pair.receive(Opcode::REJECT);
    assert_eq!(Reject::parse(&reject.bhs).reason, RejectReason::TOO_MANY_IMMEDIATE_COMMANDS);
}

#[test]
fn a_text_exchange_holds_its_tag() {
    let mut pair = Pair::linux();
    let itt = pair.new_tag();
    let request = TextRequest {
        is_immediate: true,
        is_final: false,
        is_continued: false,
        itt,
        ttt: crate::pdu::TargetTransferTag::RESERVED,
        cmd_sn: pair.next_cmd_sn,
        exp_stat_sn: pair.exp_stat_sn,
    };
    pair.send(request.encode(), b"");
    pair.receive(Opcode::TEXT_RESPONSE);
    let command = ScsiCommand { itt, ..pair.command(LUN_1, 0) };
    pair.send(command.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::TASK_IN_PROGRESS
    );
}

#[test]
fn another_sessions_function_ends_tasks_without_a_word() {
    let mut pair = solicited();
    let (delivered, _) = pair.run(LUN_1, 0);
    pair.begin_write(LUN_1, &pattern(100));
    let (other, _) = pair.run(LUN_2, 0);
    pair.inbox.clear();
    pair.target.abort_task(delivered);
    pair.target.abort_waiting_tasks(Some(LUN_1));
    pair.complete(delivered, Completion::good());
    pair.receive_nothing();
    pair.complete(other, Completion::good());
    pair.answer();
    pair.run(LUN_1, 0);
}
