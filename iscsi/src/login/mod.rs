//! The login phase (RFC 7143 §6.3): one type per state, each consumed by the request that it handles.
//!
//! ```text
//!            ┌────────────► Security ──────────────┐
//!  Start ──► Opening             │                 ▼
//!            └────────────► Operational ──────► Deciding ──► full feature phase
//! ```
//!
//! Opening collects the first text, which says who is there. Security has only AuthMethod=None to offer; a method with
//! steps of its own belongs there. Deciding waits for the connection's owner.

mod conversation;
mod parameters;

use std::sync::Arc;

use bytes::Bytes;

use crate::config::TargetConfig;
use crate::event::LoginReady;
use crate::pdu::{
    Bhs, InitiatorTaskTag, LoginRequest, LoginResponse, LoginStage, LoginStatus, Sequence,
};
use crate::serial::{CmdSn, StatSn};
use crate::text::Keys;
use conversation::Conversation;

pub(crate) use parameters::{KeyAnswer, Parameters};

/// Where a login stands.
#[derive(Debug)]
pub(crate) enum LoginState {
    Start(Start),
    Opening(Opening),
    Security(Security),
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
    /// The login is over after this response.
    Refuse { bhs: Bhs },
}

/// What a successful login leaves behind.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) initiator: String,
    /// None in a discovery session.
    pub(crate) target: Option<String>,
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
            Self::Operational(state) => state.handle(request, data),
            Self::Deciding(_) => Err(LoginStatus::INVALID_DURING_LOGIN),
        };
        result.unwrap_or_else(|status| Step::Refuse { bhs: refusal(request, status) })
    }
}

impl Start {
    fn handle(self, request: &LoginRequest, data: &[u8]) -> Result<Step, LoginStatus> {
        if let Some(status) = self.refusal {
            return Err(status);
        }
        // Version 0 is the only one there is.
        if request.version_min > 0 {
            return Err(LoginStatus::UNSUPPORTED_VERSION);
        }
        if request.itt == InitiatorTaskTag::RESERVED {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        Opening(Box::new(Conversation::new(self.config, request))).handle(request, data)
    }
}

impl Opening {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, LoginStatus> {
        let stage = request.current_stage;
        if stage != LoginStage::SECURITY_NEGOTIATION && stage != LoginStage::OPERATIONAL_NEGOTIATION
        {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        let Some(keys) = self.0.receive(request, data, stage)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Opening(self), bhs, data });
        };
        self.0.introduce(&keys)?;
        if stage == LoginStage::SECURITY_NEGOTIATION {
            Security(self.0).answer(request, &keys)
        } else {
            Operational(self.0).answer(request, &keys)
        }
    }
}

impl Security {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, LoginStatus> {
        let Some(keys) = self.0.receive(request, data, LoginStage::SECURITY_NEGOTIATION)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Security(self), bhs, data });
        };
        self.answer(request, &keys)
    }

    fn answer(mut self, request: &LoginRequest, keys: &Keys) -> Result<Step, LoginStatus> {
        self.0.negotiate_security(keys)?;
        let (response, data) = self.0.respond(request)?;
        if !response.is_transit {
            return Ok(Step::Answer {
                next: LoginState::Security(self),
                bhs: response.encode(),
                data,
            });
        }
        if response.next_stage == LoginStage::FULL_FEATURE_PHASE {
            return Ok(Deciding { conversation: self.0, response, data }.ask());
        }
        let next = LoginState::Operational(Operational(self.0));
        Ok(Step::Answer { next, bhs: response.encode(), data })
    }
}

impl Operational {
    fn handle(mut self, request: &LoginRequest, data: &[u8]) -> Result<Step, LoginStatus> {
        let Some(keys) = self.0.receive(request, data, LoginStage::OPERATIONAL_NEGOTIATION)? else {
            let (bhs, data) = self.0.respond_empty(request);
            return Ok(Step::Answer { next: LoginState::Operational(self), bhs, data });
        };
        self.answer(request, &keys)
    }

    fn answer(mut self, request: &LoginRequest, keys: &Keys) -> Result<Step, LoginStatus> {
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
