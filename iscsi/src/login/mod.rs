//! The login phase (RFC 7143 §6.3): one type per state, each consumed by the request that it handles.
//!
//! ```text
//!                           Choosing ──► Proving ──► Identified ─┐
//!                              ▲                                 │
//!            ┌────────────► Security ──────────────┬─────────────┤
//!  Start ──► Opening             │                 ▼             │
//!            └────────────► Operational ──────► Deciding ◄───────┘ ──► full feature phase
//! ```
//!
//! Opening collects the first text, which says who is there. Security agrees on AuthMethod: None, or CHAP with the three
//! steps above it, after which the initiator goes on as without. Deciding waits for the connection's owner.

mod authentication;
mod conversation;
mod parameters;

use std::sync::Arc;

use bytes::Bytes;

use crate::config::TargetConfig;
use crate::event::{LoginFailure, LoginReady};
use crate::pdu::{
    Bhs, InitiatorTaskTag, LoginRequest, LoginResponse, LoginStage, LoginStatus, Sequence,
};
use crate::serial::{CmdSn, StatSn};
use crate::text::Keys;
use authentication::{Choosing, Identified, Proving};
use conversation::{Conversation, Method};

pub(crate) use parameters::{KeyAnswer, Parameters};

/// Where a login stands.
#[derive(Debug)]
pub(crate) enum LoginState {
    Start(Start),
    Opening(Opening),
    Security(Security),
    Choosing(Choosing),
    Proving(Proving),
    Identified(Identified),
    Operational(Operational),
    Deciding(Deciding),
}

/// What a request led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The login goes on after this response.
    Answer { next: LoginState, bhs: Bhs, data: Bytes },
    /// Everything is negotiated. The response waits for the owner's consent.
    Ready { next: LoginState, ready: LoginReady },
    /// The login is over after this response; who was turned away for what, where that is worth knowing.
    Refuse { bhs: Bhs, failure: Option<(String, LoginFailure)> },
}

/// Why a login is over.
#[derive(Debug)]
pub(crate) struct Refused {
    status: LoginStatus,
    /// Who was turned away for what.
    failure: Option<(String, LoginFailure)>,
}

impl From<LoginStatus> for Refused {
    fn from(status: LoginStatus) -> Self {
        Self { status, failure: None }
    }
}

/// What a successful login leaves behind.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) initiator: String,
    /// None in a discovery session.
    pub(crate) target: Option<String>,
    pub(crate) is_authenticated: bool,
    pub(crate) cid: u16,
    pub(crate) parameters: Parameters,
    /// The number of the next status.
    pub(crate) stat_sn: StatSn,
    /// The number of the first command.
    pub(crate) cmd_sn: CmdSn,
}

/// Nothing has come yet.
#[derive(Debug)]
pub(crate) struct Start {
    config: Arc<TargetConfig>,
    /// Answers every login with this.
    refusal: Option<LoginStatus>,
}

/// The first text has not come to its end.
#[derive(Debug)]
pub(crate) struct Opening(Box<Conversation>);

/// Who is there.
#[derive(Debug)]
pub(crate) struct Security(Box<Conversation>);

/// How to talk.
#[derive(Debug)]
pub(crate) struct Operational(Box<Conversation>);

/// The last response, which waits for the owner's consent.
#[derive(Debug)]
pub(crate) struct Deciding {
    conversation: Box<Conversation>,
    response: LoginResponse,
    data: Bytes,
}

impl LoginState {
    pub(crate) fn new(config: Arc<TargetConfig>, refusal: Option<LoginStatus>) -> Self {
        Self::Start(Start { config, refusal })
    }

    /// Takes one request with its text.
    pub(crate) fn handle(self, request: &LoginRequest, data: &[u8]) -> Step {
        let result = match self {
            Self::Start(state) => state.handle(request, data),
            Self::Opening(state) => state.handle(request, data),
            Self::Security(state) => state.handle(request, data),
            Self::Choosing(state) => state.handle(request, data),
            Self::Proving(state) => state.handle(request, data),
            Self::Identified(state) => state.handle(request, data),
            Self::Operational(state) => state.handle(request, data),
            Self::Deciding(_) => Err(LoginStatus::INVALID_DURING_LOGIN.into()),
        };
        result.unwrap_or_else(|Refused { status, failure }| Step::Refuse {
            bhs: refusal(request, status),
            failure,
        })
    }
}

impl Start {
    fn handle(self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        if let Some(status) = self.refusal {
            return Err(status.into());
        }
        // Version 0 is the only one there is.
        if request.version_min > 0 {
            return Err(LoginStatus::UNSUPPORTED_VERSION.into());
        }
        if request.itt == InitiatorTaskTag::RESERVED {
            return Err(LoginStatus::INITIATOR_ERROR.into());
        }
        Opening(Box::new(Conversation::new(self.config, request))).handle(request, data)
    }
}

impl Opening {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let stage = request.current_stage;
        if stage != LoginStage::SECURITY_NEGOTIATION && stage != LoginStage::OPERATIONAL_NEGOTIATION
        {
            return Err(LoginStatus::INITIATOR_ERROR.into());
        }
        let Some(keys) = self.0.receive(request, data, stage)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Opening(self), bhs, data });
        };
        self.0.introduce(&keys)?;
        if stage == LoginStage::SECURITY_NEGOTIATION {
            Security(self.0).answer(request, &keys)
        } else if self.0.must_authenticate() {
            Err(self.0.refusal(LoginFailure::NotAuthenticated))
        } else {
            Operational(self.0).answer(request, &keys)
        }
    }
}

impl Security {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let Some(keys) = self.0.receive(request, data, LoginStage::SECURITY_NEGOTIATION)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Security(self), bhs, data });
        };
        self.answer(request, &keys)
    }

    fn answer(mut self, request: &LoginRequest, keys: &Keys) -> Result<Step, Refused> {
        match self.0.negotiate_security(keys)? {
            Some(Method::Chap(credentials)) => {
                let (response, data) = self.0.respond_within_stage(request)?;
                let next = LoginState::Choosing(Choosing::new(self.0, credentials));
                Ok(Step::Answer { next, bhs: response.encode(), data })
            }
            None if request.is_transit && self.0.must_authenticate() => {
                Err(self.0.refusal(LoginFailure::NotAuthenticated))
            }
            Some(Method::None) | None => {
                proceed(self.0, request, |conversation| LoginState::Security(Self(conversation)))
            }
        }
    }
}

/// Answers a request of the security stage, and goes on to the next stage if the initiator wants to.
fn proceed(
    mut conversation: Box<Conversation>,
    request: &LoginRequest,
    stay: impl FnOnce(Box<Conversation>) -> LoginState,
) -> Result<Step, Refused> {
    let (response, data) = conversation.respond(request)?;
    if !response.is_transit {
        return Ok(Step::Answer { next: stay(conversation), bhs: response.encode(), data });
    }
    if response.next_stage == LoginStage::FULL_FEATURE_PHASE {
        return Ok(Deciding { conversation, response, data }.ask());
    }
    let next = LoginState::Operational(Operational(conversation));
    Ok(Step::Answer { next, bhs: response.encode(), data })
}

impl Operational {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, Refused> {
        let Some(keys) = self.0.receive(request, data, LoginStage::OPERATIONAL_NEGOTIATION)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Operational(self), bhs, data });
        };
        self.answer(request, &keys)
    }

    fn answer(mut self, request: &LoginRequest, keys: &Keys) -> Result<Step, Refused> {
        self.0.negotiate_operation(keys)?;
        let (response, data) = self.0.respond(request)?;
        if response.is_transit {
            return Ok(Deciding { conversation: self.0, response, data }.ask());
        }
        Ok(Step::Answer { next: LoginState::Operational(self), bhs: response.encode(), data })
    }
}

impl Deciding {
    /// Lets the initiator in: the last response and what follows from the login.
    pub(crate) fn accept(mut self, tsih: u16) -> (Bhs, Bytes, Established) {
        self.response.tsih = tsih;
        (self.response.encode(), self.data, self.conversation.establish())
    }

    /// Turns the initiator away.
    pub(crate) fn refuse(self, status: LoginStatus) -> Bhs {
        let response = LoginResponse {
            is_transit: false,
            next_stage: LoginStage::SECURITY_NEGOTIATION,
            status,
            ..self.response
        };
        response.encode()
    }

    fn ask(self) -> Step {
        let ready = self.conversation.ready();
        Step::Ready { next: LoginState::Deciding(self), ready }
    }
}

/// The response to a login that fails. Its numbers mean nothing (RFC 7143 §11.13.4) but are kept plausible.
fn refusal(request: &LoginRequest, status: LoginStatus) -> Bhs {
    let sequence = Sequence {
        stat_sn: request.exp_stat_sn,
        exp_cmd_sn: request.cmd_sn,
        max_cmd_sn: request.cmd_sn,
    };
    LoginResponse {
        is_transit: false,
        is_continued: false,
        current_stage: request.current_stage,
        next_stage: LoginStage::SECURITY_NEGOTIATION,
        isid: request.isid,
        tsih: request.tsih,
        itt: request.itt,
        sequence,
        status,
    }
    .encode()
}
