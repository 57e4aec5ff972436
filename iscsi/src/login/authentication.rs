//! The steps of CHAP (RFC 7143 §12.1.3), in their only order:
//!
//! ```text
//!  initiator  AuthMethod=CHAP      CHAP_A=7,5                          CHAP_N CHAP_R [CHAP_I CHAP_C]
//!  target       AuthMethod=CHAP      CHAP_A=7 CHAP_I CHAP_C              [CHAP_N CHAP_R]
//! ```
//!
//! Whatever is wrong with a proof is answered in the same way; only the owner of the connection learns what it was.

use subtle::ConstantTimeEq;

use super::conversation::Conversation;
use super::{LoginState, Refused, Step, proceed};
use crate::chap::{
    Authenticated, Challenge, ChapAlgorithm, Credentials, MAX_CHALLENGE_BYTES, encode_hex,
    parse_binary,
};
use crate::event::LoginFailure;
use crate::pdu::{LoginRequest, LoginStage, LoginStatus};
use crate::text::{Keys, parse_number};

/// CHAP is agreed on, and its hash is not.
#[derive(Debug)]
pub(crate) struct Choosing {
    conversation: Box<Conversation>,
    credentials: Credentials,
}

/// The initiator has a challenge to answer.
#[derive(Debug)]
pub(crate) struct Proving {
    conversation: Box<Conversation>,
    credentials: Credentials,
    challenge: Challenge,
}

/// The initiator has proved who it is, and may go on to the next stage.
#[derive(Debug)]
pub(crate) struct Identified(Box<Conversation>);

/// What an initiator sends with its response.
struct Proof<'a> {
    user: &'a str,
    response: Vec<u8>,
    /// What the target has to answer in return.
    counter: Option<(u8, Vec<u8>)>,
}

impl Choosing {
    pub(super) fn new(conversation: Box<Conversation>, credentials: Credentials) -> Self {
        Self { conversation, credentials }
    }

    pub(super) fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let Some(keys) = receive(&mut self.conversation, request, data)? else {
            let (bhs, data) = self.conversation.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Choosing(self), bhs, data });
        };
        let offer = keys.value("CHAP_A").ok_or(LoginStatus::MISSING_PARAMETER)?;
        self.conversation.negotiate_beside_chap(&keys, &["CHAP_A"])?;
        let chap = &self.conversation.config().chap;
        let algorithm = strongest(offer, &chap.algorithms)
            .ok_or_else(|| self.conversation.refusal(LoginFailure::NoCommonAlgorithm))?;
        let challenge = chap
            .challenges
            .issue(algorithm)
            .map_err(|_| self.conversation.refusal(LoginFailure::NoRandomNumbers))?;
        self.conversation.say("CHAP_A", algorithm.number());
        self.conversation.say("CHAP_I", challenge.identifier());
        self.conversation.say("CHAP_C", encode_hex(challenge.bytes()));
        let (response, data) = self.conversation.respond_within_stage(request)?;
        let next =
            Proving { conversation: self.conversation, credentials: self.credentials, challenge };
        Ok(Step::Answer { next: LoginState::Proving(next), bhs: response.encode(), data })
    }
}

impl Proving {
    pub(super) fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let Some(keys) = receive(&mut self.conversation, request, data)? else {
            let (bhs, data) = self.conversation.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Proving(self), bhs, data });
        };
        let proof = Proof::read(&keys, self.challenge.algorithm())?;
        self.conversation
            .negotiate_beside_chap(&keys, &["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"])?;
        let answer = self.check(&proof).map_err(|failure| self.conversation.refusal(failure))?;
        let is_mutual = answer.is_some();
        if let Some((user, response)) = answer {
            self.conversation.say("CHAP_N", user);
            self.conversation.say("CHAP_R", encode_hex(&response));
        }
        let algorithm = self.challenge.algorithm();
        self.conversation.authenticated(Authenticated { algorithm, is_mutual })?;
        proceed(self.conversation, request, |conversation| {
            LoginState::Identified(Identified(conversation))
        })
    }

    /// What the target says to prove itself in return, if the initiator's proof is good and asks for it.
    fn check(&self, proof: &Proof<'_>) -> Result<Option<(String, Vec<u8>)>, LoginFailure> {
        let credentials = &self.credentials;
        let is_right = credentials.accept(proof.user, &proof.response, &self.challenge);
        let reflects = |bytes: &[u8]| self.challenge.book().is_ours(bytes);
        if proof.counter.as_ref().is_some_and(|(_, challenge)| reflects(challenge)) {
            return Err(LoginFailure::ReflectedChallenge);
        }
        if !is_right {
            let is_known = credentials.secret.is_some();
            return Err(if is_known {
                LoginFailure::WrongProof
            } else {
                LoginFailure::UnknownInitiator
            });
        }
        let Some((identifier, challenge)) = &proof.counter else { return Ok(None) };
        if credentials.is_symmetric() {
            return Err(LoginFailure::SameSecret);
        }
        let (user, secret) = credentials.target.as_ref().ok_or(LoginFailure::NoTargetSecret)?;
        let response = self.challenge.algorithm().response(*identifier, secret, challenge);
        if response.as_slice().ct_eq(&proof.response).into() {
            return Err(LoginFailure::SameSecret);
        }
        Ok(Some((user.clone(), response)))
    }
}

impl Identified {
    pub(super) fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let Some(keys) = self.0.receive(request, data, LoginStage::SECURITY_NEGOTIATION)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Identified(self), bhs, data });
        };
        self.0.negotiate_beside_chap(&keys, &[])?;
        proceed(self.0, request, |conversation| LoginState::Identified(Self(conversation)))
    }
}

impl<'a> Proof<'a> {
    fn read(keys: &'a Keys, algorithm: ChapAlgorithm) -> Result<Self, LoginStatus> {
        let present = |key| keys.value(key).ok_or(LoginStatus::MISSING_PARAMETER);
        let (user, response) = (present("CHAP_N")?, present("CHAP_R")?);
        let length = algorithm.digest_bytes();
        let response = parse_binary(response, length)
            .filter(|bytes| bytes.len() == length)
            .ok_or(LoginStatus::INITIATOR_ERROR)?;
        let counter = match (keys.value("CHAP_I"), keys.value("CHAP_C")) {
            (None, None) => None,
            (Some(identifier), Some(challenge)) => {
                let identifier = parse_number(identifier)
                    .and_then(|number| u8::try_from(number).ok())
                    .ok_or(LoginStatus::INITIATOR_ERROR)?;
                let challenge = parse_binary(challenge, MAX_CHALLENGE_BYTES)
                    .ok_or(LoginStatus::INITIATOR_ERROR)?;
                Some((identifier, challenge))
            }
            _ => return Err(LoginStatus::MISSING_PARAMETER),
        };
        Ok(Self { user, response, counter })
    }
}

/// The text of a step. Whoever leaves the stage before its end has proved nothing.
fn receive(
    conversation: &mut Conversation,
    request: &LoginRequest,
    data: &[u8],
) -> Result<Option<Keys>, Refused> {
    if request.current_stage != LoginStage::SECURITY_NEGOTIATION {
        return Err(conversation.refusal(LoginFailure::NotAuthenticated));
    }
    Ok(conversation.receive(request, data, LoginStage::SECURITY_NEGOTIATION)?)
}

/// The strongest algorithm of an offer that is allowed here, whatever the order of the offer.
fn strongest(offer: &str, allowed: &[ChapAlgorithm]) -> Option<ChapAlgorithm> {
    offer
        .split(',')
        .filter_map(|number| ChapAlgorithm::from_number(parse_number(number)?))
        .filter(|algorithm| allowed.contains(algorithm))
        .max()
}
