//! Peers that mean harm.

use std::time::Duration;

use proptest::prelude::*;
use vtl_scsi::Completion;

use super::pair::*;
use crate::pdu::{
    LoginResponse, LoginStatus, NopOut, Opcode, Reject, RejectReason, TargetTransferTag,
};
use crate::{CloseReason, Event};

#[test]
fn a_login_with_more_text_than_anybody_needs_is_refused_before_the_text_comes() {
    let mut pair = Pair::new(config());
    let mut bhs = pair.login_request(0, 1, true, false).encode();
    bhs[5..8].copy_from_slice(&[0xff, 0xff, 0xff]);
    pair.send_bytes(&bhs);
    let response = LoginResponse::parse(&pair.receive(Opcode::LOGIN_RESPONSE).bhs);
    assert_eq!(response.status, LoginStatus::INITIATOR_ERROR);
    assert_eq!(pair.expect_closed(), CloseReason::LoginRefused);
}

#[test]
fn a_login_that_is_continued_for_ever_is_refused() {
    let mut pair = Pair::new(config());
    for round in 0.. {
        pair.send_login(0, 1, false, true, &"a".repeat(8192));
        let response = LoginResponse::parse(&pair.receive(Opcode::LOGIN_RESPONSE).bhs);
        if response.status != LoginStatus::SUCCESS {
            assert_eq!((round, response.status), (8, LoginStatus::INITIATOR_ERROR));
            break;
        }
    }
    assert_eq!(pair.expect_closed(), CloseReason::LoginRefused);
}

#[test]
fn a_data_segment_over_the_declared_length_ends_the_connection() {
    for opcode in [0x00, 0x01, 0x04, 0x05] {
        let mut pair = Pair::linux();
        let mut bhs = [0; 48];
        bhs[0] = opcode;
        bhs[5..8].copy_from_slice(&[0x10, 0, 1]);
        pair.send_bytes(&bhs);
        assert_eq!(
            Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
            RejectReason::PROTOCOL_ERROR
        );
        assert_eq!(pair.expect_closed(), CloseReason::ProtocolError);
    }
}

#[test]
fn a_peer_that_pings_and_does_not_listen_is_slowed_down_and_then_cut() {
    let mut settings = config();
    settings.limits.max_backlog_bytes = 100_000;
    let mut pair = Pair::new(settings);
    pair.login(LINUX_KEYS);
    let ping = NopOut {
        is_immediate: true,
        lun: [0; 8],
        itt: pair.new_tag(),
        ttt: TargetTransferTag::RESERVED,
        cmd_sn: pair.next_cmd_sn,
        exp_stat_sn: pair.exp_stat_sn,
    };
    let bytes = pair.encode(ping.encode(), &pattern(10_000));
    let mut count = 0;
    while pair.target.wants_receive() {
        pair.target.handle_bytes(&bytes, Duration::ZERO);
        count += 1;
    }
    assert_eq!(count, 10);
    assert!(pair.target.poll_event().is_none());
    for _ in 0..20 {
        pair.target.handle_bytes(&bytes, Duration::ZERO);
    }
    assert!(pair.target.transmit_backlog_bytes() < 300_000);
    assert!(matches!(
        pair.target.poll_event(),
        Some(Event::Closed { reason: CloseReason::Backlog, .. })
    ));
}

#[test]
fn early_pings_cannot_fill_the_memory() {
    let mut settings = config();
    settings.limits.max_backlog_bytes = 100_000;
    let mut pair = Pair::new(settings);
    pair.login(LINUX_KEYS);
    let mut count = 0;
    while !pair.target.is_closed() {
        count += 1;
        let ping = NopOut {
            is_immediate: false,
            lun: [0; 8],
            itt: pair.new_tag(),
            ttt: TargetTransferTag::RESERVED,
            cmd_sn: FIRST_CMD_SN.plus(count),
            exp_stat_sn: pair.exp_stat_sn,
        };
        pair.send(ping.encode(), &pattern(30_000));
    }
    assert_eq!(count, 4);
    assert_eq!(pair.expect_closed(), CloseReason::Backlog);
}

#[test]
fn lengths_of_zero_do_no_harm() {
    let mut pair = Pair::linux();
    for (reads, writes) in [(true, false), (false, true), (false, false)] {
        let mut command = pair.command(LUN_1, 0x34);
        (command.reads, command.writes) = (reads, writes);
        pair.send(command.encode(), b"");
        let (key, ..) = pair.expect_task();
        pair.complete(key, Completion::data_in(pattern(20)));
        assert!(pair.answer().data.is_empty());
    }
}

/// Answers whatever comes, as an owner would, and checks that memory stays within its limits.
fn serve(pair: &mut Pair) {
    while let Some(event) = pair.target.poll_event() {
        match event {
            Event::LoginReady(_) => {
                pair.target.accept_login(1, NEXUS);
            }
            Event::Task { key, task, .. } => {
                assert!(task.data_out.len() <= (16 << 20) + (64 << 10));
                pair.target.complete(key, Completion::data_in(pattern(3000)));
            }
            Event::TaskManagement { key, .. } => {
                let response = crate::TaskManagementResponse::FUNCTION_COMPLETE;
                pair.target.complete_task_management(key, response);
            }
            Event::Closed { .. } | Event::LoginFailed { .. } => {}
        }
    }
    assert!(pair.target.transmit_backlog_bytes() <= 2 * (16 << 20) + (1 << 20));
    while pair.target.poll_transmit().is_some() {}
}

/// Headers that are likely to get somewhere: known operation codes, small fields, lengths that may or may not fit.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        Just(0x00_u8),
        Just(0x40),
        Just(0x01),
        Just(0x41),
        Just(0x02),
        Just(0x42),
        Just(0x04),
        Just(0x44),
        Just(0x05),
        Just(0x10),
        any::<u8>()
    ];
    let length = prop_oneof![4 => 0..64_usize, 1 => 0..70_000_usize];
    (
        opcode,
        any::<u8>(),
        0..3_u8,
        length,
        prop::array::uniform8(0..4_u32),
        prop::array::uniform8(any::<u8>()),
    )
        .prop_map(|(opcode, flags, ahs_words, length, fields, noise)| {
            let mut bytes =
                vec![opcode, flags, noise[0], noise[1], if noise[2] < 20 { ahs_words } else { 0 }];
            bytes.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
            bytes.extend([0, noise[3] % 3, 0, 0, 0, 0, 0, 0]);
            // ITT, EDTL or TTT, CmdSN, ExpStatSN, then RefCmdSN or the beginning of a CDB.
            for (index, field) in fields.into_iter().enumerate() {
                let value = match index {
                    1 if noise[4] < 128 => u32::MAX,
                    1 if noise[4] < 160 => u32::from(noise[5]) << 18,
                    2 => FIRST_CMD_SN.0.wrapping_add(field),
                    7 if noise[4] >= 128 => field * 512,
                    _ => field,
                };
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            let ahs_bytes = usize::from(bytes[4]) * 4;
            bytes.resize(48 + ahs_bytes + length.next_multiple_of(4), noise[6]);
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..4000), piece in 1..500_usize, in_session: bool) {
        let mut pair = if in_session { Pair::linux() } else { Pair::new(config()) };
        for chunk in bytes.chunks(piece) {
            pair.target.handle_bytes(chunk, Duration::ZERO);
            serve(&mut pair);
        }
    }

    #[test]
    fn random_pdus_do_no_harm(pdus in prop::collection::vec(header(), 1..40), piece in 1..5000_usize) {
        let mut pair = Pair::linux();
        for chunk in pdus.concat().chunks(piece) {
            pair.target.handle_bytes(chunk, Duration::ZERO);
            serve(&mut pair);
        }
    }

    #[test]
    fn random_login_text_does_no_harm(text in "[A-Za-z0-9=,\\x00]{0,300}", known in 0..8_usize, csg in 0..4_u8, nsg in 0..4_u8, flags: (bool, bool)) {
        let key = ["InitialR2T=", "MaxBurstLength=", "HeaderDigest=", "AuthMethod=", "DefaultTime2Wait=", "", "=", "\0"][known];
        let mut pair = Pair::new(config());
        let text = normal_text(&format!("{key}{text}"));
        pair.send_login(csg, nsg, flags.0, flags.1, &text);
        serve(&mut pair);
        pair.target.handle_bytes(&[0x43; 100], Duration::ZERO);
        serve(&mut pair);
    }

    #[test]
    fn writes_arrive_whole_in_any_pieces(
        length in 0..40_000_usize,
        piece in 1..9000_usize,
        initial_r2t: bool,
        immediate_data: bool,
        first_burst in 512..9000_usize,
        more in 0..9000_usize,
        max_pdu in 1..9000_usize,
    ) {
        let agreed = Agreed { initial_r2t, immediate_data, first_burst, max_burst: first_burst + more, max_pdu };
        let mut pair = Pair::agreeing(agreed);
        pair.piece = piece;
        let data = pattern(length);
        let (key, task) = pair.write(LUN_1, &data);
        prop_assert!(*task.data_out == *data);
        pair.complete(key, Completion::good().after_data_out(length as u64));
        pair.answer();
    }
}
