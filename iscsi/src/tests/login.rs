//! Login and negotiation.

use std::sync::Arc;
use std::time::Duration;

use vtl_scsi::BufferPool;

use super::pair::*;
use crate::pdu::{InitiatorTaskTag, Isid, LoginResponse, LoginStage, LoginStatus, Opcode};
use crate::{Admission, CloseReason, Connection, Event, TargetConfig, TargetDescription};

fn status_of(pair: &mut Pair) -> LoginStatus {
    LoginResponse::parse(&pair.receive(Opcode::LOGIN_RESPONSE).bhs).status
}

fn refused(pair: &mut Pair) -> LoginStatus {
    let status = status_of(pair);
    pair.receive_nothing();
    assert_eq!(pair.expect_closed(), CloseReason::LoginRefused);
    status
}

#[test]
fn linux_logs_in_with_security_and_operational_stage() {
    let mut pair = Pair::new(config());
    let text = normal_text("InitiatorAlias=host\0AuthMethod=CHAP,None\0");
    pair.send_login(0, 1, true, false, &text);
    let first = pair.receive(Opcode::LOGIN_RESPONSE);
    assert_eq!(
        first.text(),
        ["TargetAlias=a library", "TargetPortalGroupTag=1", "AuthMethod=None"]
    );
    let response = LoginResponse::parse(&first.bhs);
    assert_eq!(
        (response.is_transit, response.next_stage),
        (true, LoginStage::OPERATIONAL_NEGOTIATION)
    );
    assert_eq!((response.tsih, response.isid, response.itt), (0, ISID, InitiatorTaskTag(1)));
    assert_eq!(response.sequence.exp_cmd_sn, FIRST_CMD_SN);
    pair.send_login(1, 3, true, false, LINUX_KEYS);
    let ready = pair.expect_login_ready();
    assert_eq!((ready.initiator.as_str(), ready.isid, ready.tsih), (INITIATOR, ISID, 0));
    assert_eq!(ready.target.as_deref(), Some(TARGET));
    pair.receive_nothing();
    assert!(pair.target.accept_login(9, NEXUS));
    pair.pump();
    let last = pair.receive(Opcode::LOGIN_RESPONSE);
    assert_eq!(LoginResponse::parse(&last.bhs).tsih, 9);
    let text = last.text();
    assert!(text.contains(&"MaxRecvDataSegmentLength=1048576"), "{text:?}");
    assert!(
        text.contains(&"FirstBurstLength=262144") && text.contains(&"InitialR2T=No"),
        "{text:?}"
    );
    assert!(!pair.target.accept_login(9, NEXUS));
    pair.run(LUN_1, 0);
}

#[test]
fn the_security_stage_may_lead_straight_to_full_feature_phase() {
    let mut pair = Pair::new(config());
    let text = normal_text("AuthMethod=None\0");
    pair.send_login(0, 3, true, false, &text);
    pair.expect_login_ready();
    assert!(pair.target.accept_login(1, NEXUS));
    pair.pump();
    assert_eq!(status_of(&mut pair), LoginStatus::SUCCESS);
}

#[test]
fn an_initiator_may_take_several_rounds_in_one_stage() {
    let mut pair = Pair::new(config());
    let text = normal_text("");
    pair.send_login(0, 0, false, false, &text);
    assert!(!LoginResponse::parse(&pair.receive(Opcode::LOGIN_RESPONSE).bhs).is_transit);
    pair.send_login(0, 1, true, false, "AuthMethod=None\0");
    assert_eq!(pair.receive(Opcode::LOGIN_RESPONSE).text(), ["AuthMethod=None"]);
    pair.send_login(1, 1, false, false, "InitialR2T=No\0");
    let answers = ["InitialR2T=No", "MaxRecvDataSegmentLength=1048576"];
    assert_eq!(pair.receive(Opcode::LOGIN_RESPONSE).text(), answers);
    pair.send_login(1, 3, true, false, "");
    pair.expect_login_ready();
}

#[test]
fn text_may_be_continued_in_both_directions() {
    let mut pair = Pair::new(config());
    // Thousands of unknown keys are answered with more text than fits into one response.
    let unknown =
        (0..1000).map(|index| format!("X-com.example.{index}=1\0")).collect::<Vec<_>>().concat();
    let text = normal_text(&unknown);
    let pieces: Vec<&str> =
        text.as_bytes().chunks(5000).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    for piece in &pieces[..pieces.len() - 1] {
        pair.send_login(1, 1, false, true, piece);
        let response = pair.receive(Opcode::LOGIN_RESPONSE);
        assert!(response.data.is_empty() && !LoginResponse::parse(&response.bhs).is_transit);
    }
    pair.send_login(1, 3, true, false, pieces.last().unwrap());
    let mut answer = Vec::new();
    while let Some(pdu) = pair.inbox.pop_front() {
        let response = LoginResponse::parse(&pdu.bhs);
        assert!(pdu.data.len() <= 8192);
        answer.extend(pdu.data);
        assert!(response.is_continued && !response.is_transit);
        pair.send_login(1, 3, true, false, "");
    }
    pair.expect_login_ready();
    assert!(pair.target.accept_login(1, NEXUS));
    pair.pump();
    answer.extend(pair.receive(Opcode::LOGIN_RESPONSE).data);
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("=NotUnderstood\0").count(), 1000);
}

#[test]
fn discovery_needs_no_target() {
    let mut pair = Pair::new(config());
    let text = format!(
        "InitiatorName={INITIATOR}\0SessionType=Discovery\0InitialR2T=No\0HeaderDigest=CRC32C\0"
    );
    pair.send_login(1, 3, true, false, &text);
    assert_eq!(pair.expect_login_ready().target, None);
    assert!(pair.target.accept_login(1, NEXUS));
    pair.pump();
    let pdu = pair.receive(Opcode::LOGIN_RESPONSE);
    assert_eq!(
        pdu.text(),
        ["InitialR2T=Irrelevant", "HeaderDigest=CRC32C", "MaxRecvDataSegmentLength=1048576"]
    );
}

#[test]
fn logins_that_cannot_succeed_are_told_why() {
    let name = format!("InitiatorName={INITIATOR}\0");
    let target = format!("TargetName={TARGET}\0");
    let cases = [
        (format!("{target}AuthMethod=None\0"), LoginStatus::MISSING_PARAMETER),
        (name.clone(), LoginStatus::MISSING_PARAMETER),
        (format!("{name}TargetName=iqn.2026-11.example:other\0"), LoginStatus::NOT_FOUND),
        (format!("{name}{target}SessionType=Odd\0"), LoginStatus::SESSION_TYPE_NOT_SUPPORTED),
        (format!("{name}{target}AuthMethod=CHAP,KRB5\0"), LoginStatus::AUTHENTICATION_FAILURE),
        (format!("{name}{target}HeaderDigest\0"), LoginStatus::INITIATOR_ERROR),
        (format!("{name}{target}{name}"), LoginStatus::INITIATOR_ERROR),
        (format!("InitiatorName=\0{target}"), LoginStatus::INITIATOR_ERROR),
        (format!("InitiatorName={}\0{target}", "a".repeat(224)), LoginStatus::INITIATOR_ERROR),
    ];
    for (text, status) in cases {
        let mut pair = Pair::new(config());
        pair.send_login(0, 1, true, false, &text);
        assert_eq!(refused(&mut pair), status, "{text:?}");
    }
}

#[test]
fn requests_that_do_not_fit_the_login_end_it() {
    type Change = fn(&mut crate::pdu::LoginRequest);
    let first: [(Change, LoginStatus); 5] = [
        (
            |request| (request.version_min, request.version_max) = (1, 1),
            LoginStatus::UNSUPPORTED_VERSION,
        ),
        (
            |request| request.current_stage = LoginStage::FULL_FEATURE_PHASE,
            LoginStatus::INITIATOR_ERROR,
        ),
        (|request| request.next_stage = LoginStage(2), LoginStatus::INITIATOR_ERROR),
        (
            |request| request.next_stage = LoginStage::SECURITY_NEGOTIATION,
            LoginStatus::INITIATOR_ERROR,
        ),
        (|request| request.is_continued = true, LoginStatus::INITIATOR_ERROR),
    ];
    for (change, status) in first {
        let mut pair = Pair::new(config());
        let mut request = pair.login_request(0, 1, true, false);
        change(&mut request);
        let text = normal_text("");
        pair.send(request.encode(), text.as_bytes());
        assert_eq!(refused(&mut pair), status, "{request:?}");
    }
    let second: [Change; 5] = [
        |request| request.isid = Isid([9; 6]),
        |request| request.tsih = 5,
        |request| request.cid = 5,
        |request| request.itt = InitiatorTaskTag(5),
        |request| request.current_stage = LoginStage::SECURITY_NEGOTIATION,
    ];
    for change in second {
        let mut pair = Pair::new(config());
        let text = normal_text("");
        pair.send_login(0, 1, true, false, &text);
        pair.receive(Opcode::LOGIN_RESPONSE);
        let mut request = pair.login_request(1, 3, true, false);
        change(&mut request);
        pair.send(request.encode(), b"");
        assert_eq!(refused(&mut pair), LoginStatus::INVALID_DURING_LOGIN, "{request:?}");
    }
}

#[test]
fn a_key_is_negotiated_once() {
    let mut pair = Pair::new(config());
    let text = normal_text("InitialR2T=No\0");
    pair.send_login(1, 1, false, false, &text);
    pair.receive(Opcode::LOGIN_RESPONSE);
    pair.send_login(1, 3, true, false, "InitialR2T=Yes\0");
    assert_eq!(refused(&mut pair), LoginStatus::INITIATOR_ERROR);
}

/// libiscsi, and with it QEMU, names itself again in the operational stage.
#[test]
fn who_is_who_may_be_said_again_but_not_changed() {
    let again = format!("InitiatorName={INITIATOR}\0TargetName={TARGET}\0SessionType=Normal\0");
    let cases = [
        (again.as_str(), true),
        ("InitiatorName=iqn.2026-11.example:guest\0", false),
        ("TargetName=iqn.2026-11.example:other\0", false),
        ("SessionType=Discovery\0", false),
    ];
    for (text, is_fine) in cases {
        let mut pair = Pair::new(config());
        pair.send_login(0, 1, true, false, &normal_text(""));
        pair.receive(Opcode::LOGIN_RESPONSE);
        pair.send_login(1, 3, true, false, text);
        if is_fine {
            pair.expect_login_ready();
        } else {
            assert_eq!(refused(&mut pair), LoginStatus::INITIATOR_ERROR, "{text:?}");
        }
    }
}

#[test]
fn operational_keys_have_their_own_stage() {
    let mut pair = Pair::new(config());
    let text = normal_text(
        "InitialR2T=No\0MaxRecvDataSegmentLength=65536\0X-a=1\0HeaderDigest=NotUnderstood\0",
    );
    pair.send_login(0, 1, true, false, &text);
    let answers = pair.receive(Opcode::LOGIN_RESPONSE);
    assert_eq!(answers.text()[2..], ["InitialR2T=Reject", "X-a=NotUnderstood"]);
}

#[test]
fn the_owner_has_the_last_word() {
    let mut pair = Pair::new(config());
    let mut request = pair.login_request(1, 3, true, false);
    request.tsih = 77;
    let text = normal_text("");
    pair.send(request.encode(), text.as_bytes());
    assert_eq!(pair.expect_login_ready().tsih, 77);
    pair.target.refuse_login(LoginStatus::SESSION_DOES_NOT_EXIST);
    pair.pump();
    assert_eq!(refused(&mut pair), LoginStatus::SESSION_DOES_NOT_EXIST);
}

#[test]
fn an_initiator_that_does_not_wait_for_the_last_word_is_refused() {
    let mut pair = Pair::new(config());
    let text = normal_text("");
    pair.send_login(1, 3, true, false, &text);
    pair.expect_login_ready();
    pair.send_login(1, 3, true, false, "");
    assert_eq!(refused(&mut pair), LoginStatus::INVALID_DURING_LOGIN);
    assert!(!pair.target.accept_login(1, NEXUS));
}

#[test]
fn a_connection_too_many_is_told_so() {
    let status = LoginStatus::OUT_OF_RESOURCES;
    let target =
        Connection::refusing(Arc::new(config()), BufferPool::new(0), status, Duration::ZERO);
    let mut pair = Pair::around(target);
    let text = normal_text("");
    pair.send_login(0, 1, true, false, &text);
    assert_eq!(refused(&mut pair), status);
}

#[test]
fn a_login_that_does_not_end_in_time_is_cut() {
    let mut pair = Pair::new(config());
    let text = normal_text("");
    pair.send_login(0, 1, true, false, &text);
    pair.receive(Opcode::LOGIN_RESPONSE);
    pair.advance(Duration::from_millis(9_999));
    assert_eq!(pair.target.poll_timeout(), Some(Duration::from_secs(10)));
    pair.expect_no_event();
    pair.advance(Duration::from_millis(1));
    assert_eq!(pair.expect_closed(), CloseReason::LoginTimeout);
    assert_eq!(pair.target.poll_timeout(), None);
}

#[test]
fn nothing_but_logins_may_come_before_the_end_of_the_login() {
    let mut pair = Pair::new(config());
    let command = pair.command(LUN_1, 0);
    pair.send(command.encode(), b"");
    pair.receive_nothing();
    assert_eq!(pair.expect_closed(), CloseReason::ProtocolError);
}

#[derive(Debug)]
struct OnlyHost;

impl Admission for OnlyHost {
    fn admits(&self, initiator: &str, _target: &str, _is_authenticated: bool) -> bool {
        initiator == INITIATOR
    }
}

#[test]
fn a_target_that_is_not_meant_for_an_initiator_looks_absent() {
    let config = TargetConfig { admission: Arc::new(OnlyHost), ..config() };
    Pair::new(config.clone()).login("");
    let mut pair = Pair::new(config);
    let text = format!("InitiatorName=iqn.2026-11.example:stranger\0TargetName={TARGET}\0");
    pair.send_login(0, 1, true, false, &text);
    assert_eq!(refused(&mut pair), LoginStatus::NOT_FOUND);
}

#[test]
fn names_of_targets_are_compared_without_case() {
    let mut pair = Pair::new(config());
    let text = format!("InitiatorName={INITIATOR}\0TargetName={}\0", TARGET.to_uppercase());
    pair.send_login(1, 3, true, false, &text);
    assert_eq!(pair.expect_login_ready().target.as_deref(), Some(TARGET));
}

#[test]
fn digests_that_are_not_allowed_are_not_chosen() {
    let config =
        TargetConfig { accepts_header_crc32c: false, accepts_data_crc32c: false, ..config() };
    let pdu = Pair::new(config).login("HeaderDigest=CRC32C,None\0DataDigest=CRC32C\0");
    let text = pdu.text();
    assert!(text.contains(&"HeaderDigest=None") && text.contains(&"DataDigest=Reject"), "{text:?}");
}

#[test]
fn a_session_that_is_reinstated_ends_without_a_word() {
    let mut pair = Pair::linux();
    pair.run(LUN_1, 0);
    pair.target.close(CloseReason::Reinstated);
    pair.pump();
    pair.receive_nothing();
    assert!(matches!(
        pair.events.pop_front(),
        Some(Event::Closed { reason: CloseReason::Reinstated, had_session: true })
    ));
    assert!(pair.target.receive_buffer().is_empty());
}

#[test]
fn a_target_without_alias_sends_none() {
    let mut pair = Pair::new(TargetConfig::new(vec![TargetDescription::new(TARGET)]));
    let text = normal_text("");
    pair.send_login(0, 1, true, false, &text);
    assert_eq!(pair.receive(Opcode::LOGIN_RESPONSE).text(), ["TargetPortalGroupTag=1"]);
}
