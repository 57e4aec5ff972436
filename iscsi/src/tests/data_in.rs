//! Reads: Data-In, status, sense, residuals.

use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Status};

use super::pair::*;
use crate::pdu::{DataIn, Opcode, Residual, ScsiCommand, ScsiResponse};

fn pair_with(max_recv: u32, max_burst: usize) -> Pair {
    let mut pair = Pair::new(config());
    pair.login(&format!("MaxRecvDataSegmentLength={max_recv}\0MaxBurstLength={max_burst}\0"));
    pair
}

#[test]
fn data_is_cut_into_pdus_and_bursts() {
    let mut pair = pair_with(512, 1200);
    let data = pattern(3000);
    let command = pair.read_command(LUN_1, 3000);
    pair.send(command.encode(), b"");
    let (key, _, task) = pair.expect_task();
    assert_eq!(task.data_in_limit_bytes, 3000);
    pair.complete(key, Completion::data_in(data.clone()));
    let shapes: Vec<_> = pair
        .inbox
        .iter()
        .map(|pdu| {
            let data_in = DataIn::parse(&pdu.bhs);
            (pdu.data.len(), data_in.is_final, data_in.status.is_some())
        })
        .collect();
    let expected = [
        (512, false, false),
        (512, false, false),
        (176, true, false),
        (512, false, false),
        (512, false, false),
        (176, true, false),
        (512, false, false),
        (88, true, true),
    ];
    assert_eq!(shapes, expected);
    let answer = pair.answer();
    assert_eq!((answer.status, answer.residual), (Status::GOOD, Residual::None));
    assert!(answer.data == data);
}

#[test]
fn data_arrives_whole_at_every_boundary() {
    for (max_recv, max_burst) in [(512, 512), (512, 1024), (700, 1000), (4096, 512)] {
        let mut pair = pair_with(max_recv, max_burst);
        for length in [1, 3, 511, 512, 513, 700, 999, 1000, 1001, 1024, 1025, 9000] {
            let data = pattern(length);
            let command = pair.read_command(LUN_1, length as u32);
            pair.send(command.encode(), b"");
            let (key, ..) = pair.expect_task();
            pair.complete(key, Completion::data_in(data.clone()));
            let answer = pair.answer();
            assert!(answer.data == data);
            assert_eq!((answer.status, answer.residual), (Status::GOOD, Residual::None));
            pair.receive_nothing();
        }
    }
}

#[test]
fn residuals_of_reads_compare_what_was_expected_with_what_there_is() {
    let mut pair = Pair::linux();
    for (expected, there_is, residual) in [
        (100, 100, Residual::None),
        (100, 60, Residual::Underflow(40)),
        (100, 0, Residual::Underflow(100)),
        (60, 100, Residual::Overflow(40)),
        (0, 6, Residual::Overflow(6)),
        (0, 0, Residual::None),
    ] {
        let command = pair.read_command(LUN_1, expected);
        pair.send(command.encode(), b"");
        let (key, ..) = pair.expect_task();
        pair.complete(key, Completion::data_in(pattern(there_is)));
        let answer = pair.answer();
        assert_eq!((answer.status, answer.residual), (Status::GOOD, residual));
        assert_eq!(answer.data, pattern(there_is.min(expected as usize)));
    }
}

#[test]
fn data_for_a_command_that_expects_none_is_an_overflow() {
    let mut pair = Pair::linux();
    let (key, task) = pair.run(LUN_1, 0x05);
    assert_eq!(task.data_in_limit_bytes, 0);
    pair.complete(key, Completion::data_in(pattern(6)));
    let answer = pair.answer();
    assert_eq!((answer.residual, answer.data.len()), (Residual::Overflow(6), 0));
}

#[test]
fn a_short_block_comes_with_sense_and_with_the_same_residual() {
    let mut pair = Pair::linux();
    let command = pair.read_command(LUN_1, 65_536);
    pair.send(command.encode(), b"");
    let (key, ..) = pair.expect_task();
    let mut completion = Completion::check_condition(Sense::incorrect_length(65_536 - 1000));
    completion.data_in = pattern(1000).into();
    pair.complete(key, completion);
    let data_in = DataIn::parse(&pair.inbox[0].bhs);
    assert_eq!((data_in.is_final, data_in.status), (true, None));
    assert_eq!(ScsiResponse::parse(&pair.inbox[1].bhs).exp_data_sn, 1);
    let answer = pair.answer();
    assert_eq!(answer.status, Status::CHECK_CONDITION);
    assert_eq!(answer.residual, Residual::Underflow(64_536));
    assert_eq!(answer.data, pattern(1000));
    assert_eq!(answer.sense[2] & 0x20, 0x20);
    assert_eq!(answer.sense[3..7], 64_536_u32.to_be_bytes());
}

#[test]
fn check_condition_without_data_leaves_everything_as_residual() {
    let mut pair = Pair::linux();
    let command = pair.read_command(LUN_1, 512);
    pair.send(command.encode(), b"");
    let (key, ..) = pair.expect_task();
    pair.complete(key, Completion::check_condition(Sense::end_of_data()));
    let answer = pair.answer();
    assert_eq!(
        (answer.status, answer.residual),
        (Status::CHECK_CONDITION, Residual::Underflow(512))
    );
    assert!(!answer.sense.is_empty());
}

#[test]
fn a_bidirectional_command_is_no_command_of_ours() {
    let mut pair = Pair::linux();
    let command = ScsiCommand { writes: true, ..pair.read_command(LUN_1, 512) };
    pair.send(command.encode(), &pattern(512));
    pair.expect_no_event();
    let answer = pair.answer();
    assert_eq!(answer.status, Status::CHECK_CONDITION);
    assert_eq!((answer.sense[2], answer.sense[12]), (0x05, 0x20));
    pair.run(LUN_1, 0);
}

#[test]
fn a_long_cdb_is_put_together() {
    let mut pair = Pair::linux();
    let command = pair.command(LUN_1, 0x7f);
    let mut bytes = command.encode().to_vec();
    bytes[4] = 5;
    bytes.extend([0, 17, 1, 0]);
    bytes.extend(1..=16);
    pair.send_bytes(&bytes);
    let (_, _, task) = pair.expect_task();
    assert_eq!(task.cdb.bytes().len(), 32);
    assert_eq!(task.cdb.bytes()[16..], (1..=16).collect::<Vec<u8>>());
}

#[test]
fn digests_cover_what_is_sent() {
    // The pair checks every digest that it receives.
    let mut pair = Pair::new(config());
    pair.login("HeaderDigest=CRC32C,None\0DataDigest=CRC32C,None\0");
    let command = pair.read_command(LUN_1, 9001);
    pair.send(command.encode(), b"");
    let (key, ..) = pair.expect_task();
    pair.complete(key, Completion::data_in(pattern(9001)));
    assert_eq!(pair.inbox.front().unwrap().opcode(), Opcode::DATA_IN);
    assert!(pair.answer().data == pattern(9001));
}
