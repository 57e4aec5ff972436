//! Pings, text, logout, rejects, and the end of connections.

use std::sync::Arc;
use std::time::Duration;

use vtl_scsi::{BufferPool, Completion};

use super::pair::*;
use crate::pdu::{
    AsyncEvent, AsyncMessage, Bhs, InitiatorTaskTag, LogoutReason, LogoutRequest, LogoutResponse,
    LogoutResponseCode, NopIn, NopOut, Opcode, Reject, RejectReason, TargetTransferTag,
    TextRequest, TextResponse,
};
use crate::{CloseReason, Connection, TargetConfig, TargetDescription};

fn ping(pair: &mut Pair, itt: InitiatorTaskTag, ttt: TargetTransferTag) -> Bhs {
    let (cmd_sn, exp_stat_sn) = (pair.next_cmd_sn, pair.exp_stat_sn);
    NopOut { is_immediate: true, lun: [0; 8], itt, ttt, cmd_sn, exp_stat_sn }.encode()
}

fn text_request(
    pair: &mut Pair,
    is_final: bool,
    is_continued: bool,
    ttt: TargetTransferTag,
) -> TextRequest {
    let itt = InitiatorTaskTag(0x7e47);
    let (cmd_sn, exp_stat_sn) = (pair.next_cmd_sn, pair.exp_stat_sn);
    TextRequest { is_immediate: true, is_final, is_continued, itt, ttt, cmd_sn, exp_stat_sn }
}

fn ask(pair: &mut Pair, text: &str) -> Vec<String> {
    let request = text_request(pair, true, false, TargetTransferTag::RESERVED);
    pair.send(request.encode(), text.as_bytes());
    let pdu = pair.receive(Opcode::TEXT_RESPONSE);
    let response = TextResponse::parse(&pdu.bhs);
    assert!(response.is_final && response.ttt == TargetTransferTag::RESERVED);
    pdu.text().iter().map(ToString::to_string).collect()
}

fn discovery(config: TargetConfig) -> Pair {
    let mut pair = Pair::new(config);
    enter_discovery(&mut pair, "");
    pair
}

fn enter_discovery(pair: &mut Pair, keys: &str) {
    let text = format!("InitiatorName={INITIATOR}\0SessionType=Discovery\0{keys}");
    pair.send_login(1, 3, true, false, &text);
    pair.expect_login_ready();
    assert!(pair.target.accept_login(1, NEXUS));
    pair.pump();
    pair.receive(Opcode::LOGIN_RESPONSE);
}

fn logout(pair: &mut Pair, reason: LogoutReason, cid: u16) -> LogoutResponseCode {
    let (cmd_sn, exp_stat_sn) = (pair.next_cmd_sn, pair.exp_stat_sn);
    let itt = pair.new_tag();
    let request = LogoutRequest { is_immediate: true, reason, itt, cid, cmd_sn, exp_stat_sn };
    pair.send(request.encode(), b"");
    let response = LogoutResponse::parse(&pair.receive(Opcode::LOGOUT_RESPONSE).bhs);
    assert_eq!((response.itt, response.time_to_wait_seconds), (itt, 2));
    response.response
}

#[test]
fn a_ping_comes_back_with_its_data() {
    let mut pair = Pair::linux();
    for length in [0, 1, 1000, 1 << 20] {
        let tag = pair.new_tag();
        let bhs = ping(&mut pair, tag, TargetTransferTag::RESERVED);
        pair.send(bhs, &pattern(length));
        let answer = pair.receive(Opcode::NOP_IN);
        assert_eq!(NopIn::parse(&answer.bhs).itt, tag);
        // No more than the initiator takes in one PDU.
        assert!(answer.data == pattern(length.min(256 << 10)));
    }
    let bhs = ping(&mut pair, InitiatorTaskTag::RESERVED, TargetTransferTag::RESERVED);
    pair.send(bhs, b"");
    pair.receive_nothing();
}

#[test]
fn a_silent_initiator_is_asked_and_then_given_up() {
    let mut pair = Pair::linux();
    pair.advance(Duration::from_secs(14));
    pair.receive_nothing();
    pair.advance(Duration::from_secs(1));
    let question = NopIn::parse(&pair.receive(Opcode::NOP_IN).bhs);
    assert_eq!(question.itt, InitiatorTaskTag::RESERVED);
    assert_ne!(question.ttt, TargetTransferTag::RESERVED);
    pair.advance(Duration::from_secs(14));
    let bhs = ping(&mut pair, InitiatorTaskTag::RESERVED, question.ttt);
    pair.send(bhs, b"");
    pair.advance(Duration::from_secs(14));
    pair.receive_nothing();
    pair.advance(Duration::from_secs(1));
    pair.receive(Opcode::NOP_IN);
    assert_eq!(pair.target.poll_timeout(), Some(pair.now + Duration::from_secs(15)));
    pair.advance(Duration::from_secs(15));
    assert_eq!(pair.expect_closed(), CloseReason::NopTimeout);
}

#[test]
fn send_targets_lists_targets_with_all_their_portals() {
    let mut settings = config();
    settings.targets.push(TargetDescription {
        portal_group_tag: 2,
        ..TargetDescription::new("iqn.2026-11.example:second")
    });
    let first = [
        format!("TargetName={TARGET}"),
        "TargetAddress=192.0.2.1:3260,1".into(),
        "TargetAddress=[2001:db8::1]:3260,1".into(),
    ];
    let mut pair = discovery(settings.clone());
    let all = ask(&mut pair, "SendTargets=All\0");
    assert_eq!(all[..3], first);
    assert_eq!(all[3..], ["TargetName=iqn.2026-11.example:second"]);
    assert_eq!(ask(&mut pair, &format!("SendTargets={TARGET}\0")), first);
    assert!(ask(&mut pair, "SendTargets=iqn.2026-11.example:none\0").is_empty());
    assert_eq!(ask(&mut pair, "SendTargets=\0"), ["SendTargets=Reject"]);
    // In a normal session there is one target.
    let mut pair = Pair::new(settings.clone());
    pair.login("");
    assert_eq!(ask(&mut pair, "SendTargets=\0"), first);
    assert_eq!(ask(&mut pair, "SendTargets=All\0"), ["SendTargets=Reject"]);
    assert!(ask(&mut pair, "SendTargets=iqn.2026-11.example:second\0").is_empty());
    // A target without portals of its own is where the initiator came in.
    let mut connection = Connection::new(Arc::new(settings), BufferPool::new(0), Duration::ZERO);
    connection.set_portal("198.51.100.7:3260");
    let mut pair = Pair::around(connection);
    enter_discovery(&mut pair, "");
    let all = ask(&mut pair, "SendTargets=All\0");
    assert_eq!(all[4..], ["TargetAddress=198.51.100.7:3260,2"]);
}

#[test]
fn long_lists_take_several_responses() {
    let targets = (0..50)
        .map(|index| TargetDescription::new(format!("iqn.2026-11.example:{index:040}")))
        .collect();
    let mut pair = Pair::new(TargetConfig::new(targets));
    enter_discovery(&mut pair, "MaxRecvDataSegmentLength=512\0");
    let mut request = text_request(&mut pair, true, false, TargetTransferTag::RESERVED);
    pair.send(request.encode(), b"SendTargets=All\0");
    let mut text = Vec::new();
    loop {
        let pdu = pair.receive(Opcode::TEXT_RESPONSE);
        assert!(pdu.data.len() <= 512);
        text.extend(pdu.data);
        let response = TextResponse::parse(&pdu.bhs);
        assert_eq!(response.is_final, !response.is_continued);
        if response.is_final {
            break;
        }
        request.ttt = response.ttt;
        pair.send(request.encode(), b"");
    }
    assert_eq!(String::from_utf8(text).unwrap().matches("TargetName=iqn").count(), 50);
}

#[test]
fn long_requests_take_several_pdus() {
    let mut pair = discovery(config());
    let request = text_request(&mut pair, false, true, TargetTransferTag::RESERVED);
    pair.send(request.encode(), b"SendTar");
    let pdu = pair.receive(Opcode::TEXT_RESPONSE);
    let response = TextResponse::parse(&pdu.bhs);
    assert!(!response.is_final && !response.is_continued && pdu.data.is_empty());
    let request = text_request(&mut pair, true, false, response.ttt);
    pair.send(request.encode(), b"gets=All\0X-a=1\0");
    let pdu = pair.receive(Opcode::TEXT_RESPONSE);
    assert_eq!(pdu.text().last(), Some(&"X-a=NotUnderstood"));
    // The exchange is over, and its tag with it.
    pair.send(request.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::INVALID_PDU_FIELD
    );
}

#[test]
fn text_that_is_too_long_or_no_text_is_rejected() {
    let mut pair = discovery(config());
    for text in [vec![b'a'; 65 << 10], b"SendTargets\0".to_vec(), b"A=1\0A=2\0".to_vec()] {
        let request = text_request(&mut pair, true, false, TargetTransferTag::RESERVED);
        pair.send(request.encode(), &text);
        assert_eq!(
            Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
            RejectReason::PROTOCOL_ERROR
        );
    }
    let request = text_request(&mut pair, true, true, TargetTransferTag::RESERVED);
    pair.send(request.encode(), b"A=1\0");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::PROTOCOL_ERROR
    );
    // The limit holds over all PDUs of an exchange.
    let mut request = text_request(&mut pair, false, true, TargetTransferTag::RESERVED);
    pair.send(request.encode(), &vec![b'a'; 40 << 10]);
    request.ttt = TextResponse::parse(&pair.receive(Opcode::TEXT_RESPONSE).bhs).ttt;
    pair.send(request.encode(), &vec![b'a'; 40 << 10]);
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::PROTOCOL_ERROR
    );
}

#[test]
fn the_initiator_may_change_the_length_of_pdus_later() {
    let mut pair = Pair::linux();
    let answers = ask(&mut pair, "MaxRecvDataSegmentLength=512\0InitialR2T=Yes\0");
    assert_eq!(answers, ["InitialR2T=Reject"]);
    let command = pair.read_command(LUN_1, 1024);
    pair.send(command.encode(), b"");
    let (key, ..) = pair.expect_task();
    pair.complete(key, Completion::data_in(pattern(1024)));
    assert_eq!(pair.inbox[0].data.len(), 512);
    assert!(pair.answer().data == pattern(1024));
}

#[test]
fn a_discovery_session_runs_no_commands() {
    let mut pair = discovery(config());
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::PROTOCOL_ERROR
    );
    pair.expect_no_event();
    assert_eq!(logout(&mut pair, LogoutReason::CLOSE_SESSION, 0), LogoutResponseCode::CLOSED);
    assert_eq!(pair.expect_closed(), CloseReason::Logout);
}

#[test]
fn logout_ends_the_session_and_its_tasks() {
    let mut pair = Pair::linux();
    let (key, _) = pair.run(LUN_1, 0);
    assert_eq!(
        logout(&mut pair, LogoutReason::CLOSE_CONNECTION, 99),
        LogoutResponseCode::CID_NOT_FOUND
    );
    let code = logout(&mut pair, LogoutReason::REMOVE_FOR_RECOVERY, 3);
    assert_eq!(code, LogoutResponseCode::RECOVERY_NOT_SUPPORTED);
    pair.expect_no_event();
    assert_eq!(logout(&mut pair, LogoutReason::CLOSE_CONNECTION, 3), LogoutResponseCode::CLOSED);
    assert_eq!(pair.expect_closed(), CloseReason::Logout);
    pair.complete(key, Completion::good());
    pair.receive_nothing();
}

#[test]
fn the_last_words_are_sent_before_the_connection_is_closed_but_not_awaited_for_ever() {
    let mut pair = Pair::linux();
    let (cmd_sn, exp_stat_sn) = (pair.next_cmd_sn, pair.exp_stat_sn);
    let request = LogoutRequest {
        is_immediate: true,
        reason: LogoutReason::CLOSE_SESSION,
        itt: InitiatorTaskTag(5),
        cid: 3,
        cmd_sn,
        exp_stat_sn,
    };
    pair.target.handle_bytes(&request.encode(), pair.now);
    assert!(pair.target.has_transmit() && !pair.target.is_closed());
    assert_eq!(pair.target.poll_timeout(), Some(Duration::from_secs(5)));
    // What comes now is let pass.
    assert!(!pair.target.receive_buffer().is_empty());
    pair.target.handle_bytes(&[0xff; 100], pair.now);
    pair.target.handle_timeout(Duration::from_secs(5));
    assert!(pair.target.is_closed());
}

#[test]
fn at_shutdown_the_initiator_is_asked_to_log_out() {
    let mut pair = Pair::linux();
    pair.target.request_logout(Duration::from_secs(3), pair.now);
    pair.pump();
    let message = AsyncMessage::parse(&pair.receive(Opcode::ASYNC_MESSAGE).bhs);
    assert_eq!((message.event, message.parameters), (AsyncEvent::LOGOUT_REQUESTED, [0, 0, 3]));
    // Commands still run.
    pair.run(LUN_1, 0);
    assert_eq!(pair.target.poll_timeout(), Some(Duration::from_secs(3)));
    pair.advance(Duration::from_secs(3));
    assert_eq!(pair.expect_closed(), CloseReason::LogoutTimeout);
    let mut pair = Pair::new(config());
    pair.target.request_logout(Duration::from_secs(3), pair.now);
    pair.pump();
    assert_eq!(pair.expect_closed(), CloseReason::Shutdown);
}

#[test]
fn pdus_that_make_no_sense_are_rejected_with_their_header() {
    let cases = [
        (0x10, RejectReason::SNACK_REJECT),
        (0x1c, RejectReason::COMMAND_NOT_SUPPORTED),
        (0x07, RejectReason::COMMAND_NOT_SUPPORTED),
        (0x21, RejectReason::PROTOCOL_ERROR),
        (0x3f, RejectReason::PROTOCOL_ERROR),
    ];
    for (opcode, reason) in cases {
        let mut pair = Pair::linux();
        let mut bhs = [0; 48];
        bhs[0] = opcode;
        bhs[47] = 9;
        pair.send(bhs, b"some data");
        let reject = pair.receive(Opcode::REJECT);
        assert_eq!(Reject::parse(&reject.bhs).reason, reason);
        assert_eq!((reject.data[0], reject.data[47], reject.data.len()), (opcode, 9, 48));
        pair.run(LUN_1, 0);
    }
    let mut pair = Pair::linux();
    let (cmd_sn, exp_stat_sn) = (pair.next_cmd_sn, pair.exp_stat_sn);
    let reason = LogoutReason(7);
    let itt = InitiatorTaskTag(5);
    let request = LogoutRequest { is_immediate: true, reason, itt, cid: 3, cmd_sn, exp_stat_sn };
    pair.send(request.encode(), b"");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::INVALID_PDU_FIELD
    );
}

#[test]
fn a_login_within_a_session_ends_it() {
    let mut pair = Pair::linux();
    pair.send_login(1, 3, true, false, "");
    assert_eq!(
        Reject::parse(&pair.receive(Opcode::REJECT).bhs).reason,
        RejectReason::PROTOCOL_ERROR
    );
    assert_eq!(pair.expect_closed(), CloseReason::ProtocolError);
}
