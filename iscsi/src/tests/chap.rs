//! CHAP: its order, its refusals, and initiators that try to get in without a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pair::*;
use crate::chap::{encode_hex, parse_binary};
use crate::pdu::{LoginResponse, LoginStatus, Opcode};
use crate::{
    Admission, Authentication, ChallengeBook, Chap, ChapAlgorithm, CloseReason, Credentials,
    LoginFailure, Secret, TargetConfig,
};

const USER: &str = "host-user";
const SECRET: &str = "not-a-real-secret";
const TARGET_USER: &str = "library-user";
const TARGET_SECRET: &str = "another-unreal-secret";

/// One initiator, which may have a secret and a rule that requires it.
#[derive(Debug)]
struct Rule {
    is_required: bool,
    secret: Option<&'static str>,
    target_secret: Option<&'static str>,
}

impl Admission for Rule {
    fn admits(&self, initiator: &str, _target: &str, is_authenticated: bool) -> bool {
        initiator == INITIATOR && (is_authenticated || !self.is_required)
    }

    fn authentication(&self, initiator: &str, _target: Option<&str>) -> Authentication {
        let is_known = initiator == INITIATOR;
        let credentials = self.secret.filter(|_| is_known).map(|secret| Credentials {
            users: vec![USER.to_owned()],
            secret: Some(Secret::new(secret)),
            target: self.target_secret.map(|secret| (TARGET_USER.to_owned(), Secret::new(secret))),
        });
        Authentication { is_required: self.is_required, credentials }
    }
}

const REQUIRED: Rule =
    Rule { is_required: true, secret: Some(SECRET), target_secret: Some(TARGET_SECRET) };

/// A source that never says the same twice.
fn book() -> ChallengeBook {
    let next = AtomicU64::new(1);
    ChallengeBook::new(move |bytes| {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index as u32) as u8;
        }
        Ok(())
    })
}

fn with(rule: Rule) -> TargetConfig {
    let chap = Chap { challenges: book(), ..Chap::default() };
    TargetConfig { admission: Arc::new(rule), chap, ..config() }
}

/// Sends a text in the security stage and takes the answer: its status and its keys.
fn say(pair: &mut Pair, is_transit: bool, text: &str) -> (LoginStatus, Vec<(String, String)>) {
    pair.send_login(0, 1, is_transit, false, text);
    hear(pair)
}

fn hear(pair: &mut Pair) -> (LoginStatus, Vec<(String, String)>) {
    let pdu = pair.receive(Opcode::LOGIN_RESPONSE);
    let text = pdu.text();
    let pairs = text.iter().map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), value.to_owned())
    });
    (LoginResponse::parse(&pdu.bhs).status, pairs.collect())
}

fn value<'a>(keys: &'a [(String, String)], key: &str) -> &'a str {
    keys.iter().find(|(other, _)| other == key).map_or("", |(_, value)| value)
}

/// What a target asks: algorithm, identifier, challenge.
struct Asked {
    algorithm: ChapAlgorithm,
    identifier: u8,
    challenge: Vec<u8>,
}

impl Asked {
    fn response(&self, secret: &str) -> String {
        let response =
            self.algorithm.response(self.identifier, &Secret::new(secret), &self.challenge);
        encode_hex(&response)
    }
}

/// Up to the challenge, with this offer.
fn ask(pair: &mut Pair, offer: &str) -> Asked {
    let (status, keys) = say(pair, false, &normal_text("AuthMethod=CHAP,None\0"));
    assert_eq!((status, value(&keys, "AuthMethod")), (LoginStatus::SUCCESS, "CHAP"));
    assert_eq!(value(&keys, "TargetAlias"), "", "nothing is told before the proof");
    assert_eq!(value(&keys, "TargetPortalGroupTag"), "1");
    let (status, keys) = say(pair, false, &format!("CHAP_A={offer}\0"));
    assert_eq!(status, LoginStatus::SUCCESS);
    let number = value(&keys, "CHAP_A").parse().unwrap();
    Asked {
        algorithm: ChapAlgorithm::from_number(number).unwrap(),
        identifier: value(&keys, "CHAP_I").parse().unwrap(),
        challenge: parse_binary(value(&keys, "CHAP_C"), 1024).unwrap(),
    }
}

/// The end of a login that was refused: for which reason, as the target's owner hears it.
fn refused(pair: &mut Pair, status: LoginStatus) -> Option<LoginFailure> {
    assert_eq!(status, hear(pair).0);
    end(pair)
}

fn end(pair: &mut Pair) -> Option<LoginFailure> {
    pair.receive_nothing();
    assert_eq!(pair.expect_closed(), CloseReason::LoginRefused);
    pair.failures.pop().map(|(initiator, failure)| {
        assert!(!initiator.is_empty());
        failure
    })
}

#[test]
fn every_algorithm_lets_the_right_secret_in_and_the_strongest_is_taken() {
    let offers = [
        ("5", ChapAlgorithm::Md5),
        ("6,5", ChapAlgorithm::Sha1),
        ("5,6,7", ChapAlgorithm::Sha256),
        ("5,7,8,6", ChapAlgorithm::Sha3_256),
        ("0x7,5,99,abc,", ChapAlgorithm::Sha256),
    ];
    for (offer, algorithm) in offers {
        let mut pair = Pair::new(with(REQUIRED));
        let asked = ask(&mut pair, offer);
        assert_eq!(asked.algorithm, algorithm);
        assert!(asked.challenge.len() >= 16);
        let text = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
        let (status, keys) = say(&mut pair, true, &text);
        assert_eq!(status, LoginStatus::SUCCESS);
        assert_eq!(value(&keys, "TargetAlias"), "a library");
        assert_eq!(value(&keys, "CHAP_R"), "", "nobody asked the target");
        pair.send_login(1, 3, true, false, LINUX_KEYS);
        let ready = pair.expect_login_ready();
        let authenticated = ready.authenticated.unwrap();
        assert_eq!((authenticated.algorithm, authenticated.is_mutual), (algorithm, false));
        assert!(pair.target.accept_login(7, NEXUS) && pair.failures.is_empty());
    }
}

#[test]
fn the_target_proves_itself_to_whoever_asks() {
    for encode in
        [encode_hex, |bytes: &[u8]| encode_hex(bytes).to_uppercase().replacen('X', "x", 1)]
    {
        let mut pair = Pair::new(with(REQUIRED));
        let asked = ask(&mut pair, "5,7");
        let own_challenge: Vec<u8> = (0..24).collect();
        let text = format!(
            "CHAP_N={USER}\0CHAP_R={}\0CHAP_I=200\0CHAP_C={}\0",
            asked.response(SECRET),
            encode(&own_challenge)
        );
        // The last request of the stage may as well come without T, and an empty one with it.
        let (status, keys) = say(&mut pair, false, &text);
        assert_eq!((status, value(&keys, "CHAP_N")), (LoginStatus::SUCCESS, TARGET_USER));
        let mine = ChapAlgorithm::Sha256.response(200, &Secret::new(TARGET_SECRET), &own_challenge);
        assert_eq!(value(&keys, "CHAP_R"), encode_hex(&mine));
        assert_eq!(say(&mut pair, true, "").0, LoginStatus::SUCCESS);
        pair.send_login(1, 3, true, false, "");
        assert!(pair.expect_login_ready().authenticated.unwrap().is_mutual);
    }
}

#[test]
fn the_security_stage_with_chap_may_lead_straight_to_full_feature_phase() {
    let mut pair = Pair::new(with(REQUIRED));
    let asked = ask(&mut pair, "7");
    let text = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
    pair.send_login(0, 3, true, false, &text);
    assert!(pair.expect_login_ready().authenticated.is_some());
}

#[test]
fn a_transit_bit_that_comes_too_early_is_not_granted() {
    let mut pair = Pair::new(with(REQUIRED));
    for text in [normal_text("AuthMethod=CHAP\0"), "CHAP_A=7\0".to_owned()] {
        pair.send_login(0, 1, true, false, &text);
        let response = LoginResponse::parse(&pair.receive(Opcode::LOGIN_RESPONSE).bhs);
        assert_eq!((response.status, response.is_transit), (LoginStatus::SUCCESS, false));
    }
}

#[test]
fn wrong_user_wrong_secret_and_unknown_initiators_get_the_same_answer() {
    type Answer = fn(&Asked) -> (String, String);
    let wrong_user = |asked: &Asked| ("somebody".to_owned(), asked.response(SECRET));
    let wrong_secret = |asked: &Asked| (USER.to_owned(), asked.response("not-a-real-secreT"));
    let right = |asked: &Asked| (USER.to_owned(), asked.response(SECRET));
    let unknown = Rule { secret: None, ..REQUIRED };
    let cases: [(Rule, Answer, LoginFailure); 3] = [
        (REQUIRED, wrong_user, LoginFailure::WrongProof),
        (REQUIRED, wrong_secret, LoginFailure::WrongProof),
        (unknown, right, LoginFailure::UnknownInitiator),
    ];
    let mut answers = Vec::new();
    for (rule, answer, failure) in cases {
        let mut pair = Pair::new(with(rule));
        let (user, response) = answer(&ask(&mut pair, "5,7"));
        pair.send_login(0, 1, true, false, &format!("CHAP_N={user}\0CHAP_R={response}\0"));
        let pdu = pair.receive(Opcode::LOGIN_RESPONSE);
        assert_eq!(LoginResponse::parse(&pdu.bhs).status, LoginStatus::AUTHENTICATION_FAILURE);
        assert_eq!(end(&mut pair), Some(failure));
        answers.push((pdu.bhs, pdu.data));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:02x?}");
}

#[test]
fn a_target_that_does_not_exist_is_no_news_before_the_proof() {
    let text = normal_text("AuthMethod=CHAP\0").replace(TARGET, "iqn.2026-11.example:other");
    let mut pair = Pair::new(with(REQUIRED));
    let (status, keys) = say(&mut pair, false, &text);
    assert_eq!((status, value(&keys, "TargetPortalGroupTag")), (LoginStatus::SUCCESS, "1"));
    let (_, keys) = say(&mut pair, false, "CHAP_A=7\0");
    let asked = Asked {
        algorithm: ChapAlgorithm::Sha256,
        identifier: value(&keys, "CHAP_I").parse().unwrap(),
        challenge: parse_binary(value(&keys, "CHAP_C"), 1024).unwrap(),
    };
    let text = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
    pair.send_login(0, 1, true, false, &text);
    assert_eq!(refused(&mut pair, LoginStatus::NOT_FOUND), Some(LoginFailure::NoTarget));
}

#[test]
fn whoever_does_not_authenticate_gets_nowhere() {
    let texts = ["AuthMethod=None\0", "AuthMethod=KRB5,SRP\0", "", "AuthMethod=Reject\0"];
    for text in texts {
        let mut pair = Pair::new(with(REQUIRED));
        pair.send_login(0, 1, true, false, &normal_text(text));
        let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
        assert_eq!(failure, Some(LoginFailure::NotAuthenticated), "{text}");
    }
    // Straight to the operational stage, to the full feature phase, or out of the middle of CHAP.
    for (stages, before) in [((1, 3), 0), ((0, 3), 0), ((1, 3), 1), ((1, 3), 2)] {
        let mut pair = Pair::new(with(REQUIRED));
        let steps = [normal_text("AuthMethod=CHAP\0"), "CHAP_A=7\0".to_owned()];
        for step in &steps[..before] {
            assert_eq!(say(&mut pair, false, step).0, LoginStatus::SUCCESS);
        }
        let text = if before == 0 { normal_text("") } else { String::new() };
        pair.send_login(stages.0, stages.1, true, false, &text);
        let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
        assert_eq!(failure, Some(LoginFailure::NotAuthenticated), "{stages:?} {before}");
    }
    // In a discovery session, too.
    let discovery = format!("InitiatorName={INITIATOR}\0SessionType=Discovery\0AuthMethod=None\0");
    let mut pair = Pair::new(with(REQUIRED));
    pair.send_login(0, 1, true, false, &discovery);
    let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
    assert_eq!(failure, Some(LoginFailure::NotAuthenticated));
}

#[test]
fn the_method_follows_from_rule_and_offer() {
    type Case = (bool, Option<&'static str>, &'static str, Result<&'static str, LoginFailure>);
    let cases: [Case; 10] = [
        (true, Some(SECRET), "CHAP", Ok("CHAP")),
        (true, Some(SECRET), "None,CHAP", Ok("CHAP")),
        (true, Some(SECRET), "None", Err(LoginFailure::NotAuthenticated)),
        (true, None, "CHAP,None", Ok("CHAP")),
        (true, None, "None", Err(LoginFailure::NotAuthenticated)),
        (false, Some(SECRET), "CHAP,None", Ok("CHAP")),
        (false, Some(SECRET), "None", Ok("None")),
        (false, None, "CHAP,None", Ok("None")),
        (false, None, "CHAP", Err(LoginFailure::NotExpected)),
        (false, None, "None", Ok("None")),
    ];
    for (is_required, secret, offer, expected) in cases {
        let mut pair = Pair::new(with(Rule { is_required, secret, target_secret: None }));
        let (status, keys) = say(&mut pair, false, &normal_text(&format!("AuthMethod={offer}\0")));
        match expected {
            Ok(method) => {
                let found = (status, value(&keys, "AuthMethod"));
                assert_eq!(
                    found,
                    (LoginStatus::SUCCESS, method),
                    "{is_required} {secret:?} {offer}"
                );
            }
            Err(failure) => {
                assert_eq!(status, LoginStatus::AUTHENTICATION_FAILURE);
                assert_eq!(end(&mut pair), Some(failure), "{is_required} {secret:?} {offer}");
            }
        }
    }
}

#[test]
fn algorithms_that_are_not_allowed_are_not_taken() {
    let strict = || {
        let chap = Chap {
            algorithms: vec![ChapAlgorithm::Sha256, ChapAlgorithm::Sha3_256],
            challenges: book(),
        };
        TargetConfig { chap, ..with(REQUIRED) }
    };
    assert_eq!(ask(&mut Pair::new(strict()), "5,6,7").algorithm, ChapAlgorithm::Sha256);
    for offer in ["5,6", "9", "", "seven", "-7", "0x"] {
        let mut pair = Pair::new(strict());
        say(&mut pair, false, &normal_text("AuthMethod=CHAP\0"));
        pair.send_login(0, 1, false, false, &format!("CHAP_A={offer}\0"));
        let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
        assert_eq!(failure, Some(LoginFailure::NoCommonAlgorithm), "{offer}");
    }
}

#[test]
fn keys_out_of_order_or_malformed_end_the_login() {
    const MISSING: LoginStatus = LoginStatus::MISSING_PARAMETER;
    const WRONG: LoginStatus = LoginStatus::INITIATOR_ERROR;
    let digest = format!("0x{}", "00".repeat(32));
    // Before the method, and with it.
    for text in ["CHAP_A=7\0", "AuthMethod=CHAP\0CHAP_A=7\0", "CHAP_N=x\0AuthMethod=CHAP\0"] {
        let mut pair = Pair::new(with(REQUIRED));
        pair.send_login(0, 1, false, false, &normal_text(text));
        assert_eq!(refused(&mut pair, WRONG), None, "{text}");
    }
    // In place of the algorithm.
    let cases = [
        (String::new(), MISSING),
        (format!("CHAP_N={USER}\0CHAP_R={digest}\0"), MISSING),
        ("CHAP_A=7\0CHAP_N=x\0".to_owned(), WRONG),
        ("CHAP_A=7\0AuthMethod=CHAP\0".to_owned(), WRONG),
        ("CHAP_A=7\0CHAP_A=5\0".to_owned(), WRONG),
        ("CHAP_A=7\0CHAP_X=1\0".to_owned(), WRONG),
    ];
    for (text, status) in cases {
        let mut pair = Pair::new(with(REQUIRED));
        say(&mut pair, false, &normal_text("AuthMethod=CHAP\0"));
        pair.send_login(0, 1, false, false, &text);
        assert_eq!(refused(&mut pair, status), None, "{text}");
    }
    // In place of the response.
    let good = format!("CHAP_N={USER}\0CHAP_R={digest}\0");
    let long = format!("0x{}", "11".repeat(1025));
    let cases = [
        (String::new(), MISSING),
        (format!("CHAP_N={USER}\0"), MISSING),
        (format!("CHAP_R={digest}\0"), MISSING),
        (format!("{good}CHAP_I=1\0"), MISSING),
        (format!("{good}CHAP_C=0x1111\0"), MISSING),
        (format!("{good}CHAP_A=7\0"), WRONG),
        (format!("{good}AuthMethod=None\0"), WRONG),
        (format!("{good}{good}"), WRONG),
        (format!("{good}CHAP_I=256\0CHAP_C=0x1111\0"), WRONG),
        (format!("{good}CHAP_I=-1\0CHAP_C=0x1111\0"), WRONG),
        (format!("{good}CHAP_I=1\0CHAP_C=1111\0"), WRONG),
        (format!("{good}CHAP_I=1\0CHAP_C=0x\0"), WRONG),
        (format!("{good}CHAP_I=1\0CHAP_C={long}\0"), WRONG),
        (format!("CHAP_N={USER}\0CHAP_R={}\0", &digest[..64]), WRONG),
        (format!("CHAP_N={USER}\0CHAP_R={digest}00\0"), WRONG),
        (format!("CHAP_N={USER}\0CHAP_R={}\0", &digest[2..]), WRONG),
    ];
    for (text, status) in cases {
        let mut pair = Pair::new(with(REQUIRED));
        ask(&mut pair, "7");
        pair.send_login(0, 1, true, false, &text);
        assert_eq!(refused(&mut pair, status), None, "{text}");
    }
    // After it, in either stage.
    for (stage, text) in [(0, "CHAP_A=7\0"), (0, "AuthMethod=None\0"), (1, "CHAP_A=7\0")] {
        let mut pair = Pair::new(with(REQUIRED));
        let asked = ask(&mut pair, "7");
        let proof = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
        say(&mut pair, stage == 1, &proof);
        pair.send_login(stage, 3, true, false, text);
        assert_eq!(refused(&mut pair, WRONG), None, "{text}");
    }
}

#[test]
fn a_response_is_good_for_one_challenge() {
    let config = with(REQUIRED);
    let mut first = Pair::new(config.clone());
    let asked = ask(&mut first, "7");
    let recorded = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
    assert_eq!(say(&mut first, true, &recorded).0, LoginStatus::SUCCESS);
    let mut replay = Pair::new(config);
    assert_ne!(ask(&mut replay, "7").challenge, asked.challenge);
    replay.send_login(0, 1, true, false, &recorded);
    let failure = refused(&mut replay, LoginStatus::AUTHENTICATION_FAILURE);
    assert_eq!(failure, Some(LoginFailure::WrongProof));
}

#[test]
fn our_own_challenge_is_not_answered_on_any_connection() {
    // The attacker knows nothing. It opens a second connection and asks the target there what the target asks it here.
    let config = with(Rule { target_secret: Some(SECRET), ..REQUIRED });
    let mut here = Pair::new(config.clone());
    let asked = ask(&mut here, "7");
    let mut there = Pair::new(config.clone());
    ask(&mut there, "7");
    for pair in [&mut there, &mut here] {
        let text = format!(
            "CHAP_N={USER}\0CHAP_R=0x{}\0CHAP_I={}\0CHAP_C={}\0",
            "00".repeat(32),
            asked.identifier,
            encode_hex(&asked.challenge)
        );
        pair.send_login(0, 1, true, false, &text);
        let failure = refused(pair, LoginStatus::AUTHENTICATION_FAILURE);
        assert_eq!(failure, Some(LoginFailure::ReflectedChallenge));
    }
    // Nor with one secret for both directions, whose owner could be anybody who heard the target.
    let mut pair = Pair::new(config);
    let asked = ask(&mut pair, "7");
    let response = asked.response(SECRET);
    let text = format!("CHAP_N={USER}\0CHAP_R={response}\0CHAP_I=1\0CHAP_C=0x0102030405060708\0");
    pair.send_login(0, 1, true, false, &text);
    let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
    assert_eq!(failure, Some(LoginFailure::SameSecret));
}

#[test]
fn a_target_without_a_secret_proves_nothing() {
    let mut pair = Pair::new(with(Rule { target_secret: None, ..REQUIRED }));
    let response = ask(&mut pair, "7").response(SECRET);
    let text = format!("CHAP_N={USER}\0CHAP_R={response}\0CHAP_I=1\0CHAP_C=0x0102\0");
    pair.send_login(0, 1, true, false, &text);
    let failure = refused(&mut pair, LoginStatus::AUTHENTICATION_FAILURE);
    assert_eq!(failure, Some(LoginFailure::NoTargetSecret));
}

#[test]
fn without_random_numbers_nobody_gets_in() {
    let chap = Chap::default();
    let mut pair = Pair::new(TargetConfig { chap, ..with(REQUIRED) });
    say(&mut pair, false, &normal_text("AuthMethod=CHAP\0"));
    pair.send_login(0, 1, false, false, "CHAP_A=7\0");
    let failure = refused(&mut pair, LoginStatus::TARGET_ERROR);
    assert_eq!(failure, Some(LoginFailure::NoRandomNumbers));
}

#[test]
fn discovery_shows_what_the_proof_allows() {
    let mut pair = Pair::new(with(REQUIRED));
    let text = format!("InitiatorName={INITIATOR}\0SessionType=Discovery\0AuthMethod=CHAP,None\0");
    say(&mut pair, false, &text);
    let (_, keys) = say(&mut pair, false, "CHAP_A=5\0");
    let asked = Asked {
        algorithm: ChapAlgorithm::Md5,
        identifier: value(&keys, "CHAP_I").parse().unwrap(),
        challenge: parse_binary(value(&keys, "CHAP_C"), 1024).unwrap(),
    };
    let proof = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
    pair.send_login(0, 3, true, false, &proof);
    let ready = pair.expect_login_ready();
    assert_eq!((ready.target, ready.authenticated.is_some()), (None, true));
}

#[test]
fn texts_in_pieces_are_put_together() {
    let mut pair = Pair::new(with(REQUIRED));
    let asked = ask(&mut pair, "7");
    let text = format!("CHAP_N={USER}\0CHAP_R={}\0", asked.response(SECRET));
    let (first, rest) = text.split_at(20);
    pair.send_login(0, 1, false, true, first);
    assert_eq!(hear(&mut pair), (LoginStatus::SUCCESS, Vec::new()));
    assert_eq!(say(&mut pair, true, rest).0, LoginStatus::SUCCESS);
}
