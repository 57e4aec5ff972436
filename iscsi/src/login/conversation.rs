//! What all states of a login share: who talks to whom, what is agreed on, and text on its way in and out.

use std::sync::Arc;

use bytes::Bytes;

use super::parameters::{KeyAnswer, Parameters};
use super::{Established, Refused};
use crate::chap::{Authenticated, Credentials};
use crate::config::{Authentication, TargetConfig, TargetDescription};
use crate::event::{LoginFailure, LoginReady};
use crate::pdu::{Bhs, LoginRequest, LoginResponse, LoginStage, LoginStatus, Sequence};
use crate::serial::StatSn;
use crate::text::{Keys, TextInput, TextOutput};

/// The longest iSCSI name (RFC 7143 §4.2.7.1).
const MAX_NAME_BYTES: usize = 223;

/// Keys that say who talks to whom.
const IDENTITY: [&str; 4] = ["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"];

/// Answers to something that we proposed. They are never proposals themselves.
const ANSWERS: [&str; 3] = ["NotUnderstood", "Irrelevant", "Reject"];

/// What the keys of CHAP begin with.
const CHAP_PREFIX: &str = "CHAP_";

/// What was agreed on as AuthMethod.
#[derive(Debug)]
pub(super) enum Method {
    None,
    /// What the initiator has to know.
    Chap(Credentials),
}

impl Method {
    fn name(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Chap(_) => "CHAP",
        }
    }
}

#[derive(Debug)]
pub(super) struct Conversation {
    config: Arc<TargetConfig>,
    /// The first request. Later ones must agree with it in ISID, TSIH, ITT and CID.
    first: LoginRequest,
    initiator: String,
    /// None in a discovery session, and as long as the initiator has to prove who it is before it learns anything of it.
    target: Option<TargetDescription>,
    /// What the target was called that the initiator wants; none in a discovery session.
    wanted_target: Option<String>,
    is_discovery: bool,
    authentication: Authentication,
    authenticated: Option<Authenticated>,
    parameters: Parameters,
    /// Keys that we know and have answered. Each may be negotiated once.
    negotiated: Vec<String>,
    has_declared: bool,
    input: TextInput,
    output: TextOutput,
    stat_sn: StatSn,
}

impl Conversation {
    pub(super) fn new(config: Arc<TargetConfig>, first: &LoginRequest) -> Self {
        Self {
            config,
            first: *first,
            initiator: String::new(),
            target: None,
            wanted_target: None,
            is_discovery: false,
            authentication: Authentication::default(),
            authenticated: None,
            parameters: Parameters::default(),
            negotiated: Vec::new(),
            has_declared: false,
            input: TextInput::default(),
            output: TextOutput::default(),
            stat_sn: first.exp_stat_sn,
        }
    }

    /// Takes the text of a request. There are no keys as long as it goes on in the next request.
    pub(super) fn receive(
        &mut self,
        request: &LoginRequest,
        data: &[u8],
        stage: LoginStage,
    ) -> Result<Option<Keys>, LoginStatus> {
        let is_same = request.isid == self.first.isid
            && request.tsih == self.first.tsih
            && request.itt == self.first.itt
            && request.cid == self.first.cid;
        if !is_same || request.current_stage != stage {
            return Err(LoginStatus::INVALID_DURING_LOGIN);
        }
        // Whoever has more to say cannot go on to the next stage, nor interrupt what we have to say.
        if request.is_continued && request.is_transit || !self.output.is_empty() && !data.is_empty()
        {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        self.input
            .push(data, self.config.limits.max_text_bytes)
            .map_err(|_| LoginStatus::INITIATOR_ERROR)?;
        if request.is_continued {
            return Ok(None);
        }
        self.input.take().map(Some).map_err(|_| LoginStatus::INITIATOR_ERROR)
    }

    /// Learns from the first text who wants what, and announces the target to those who may know of it.
    pub(super) fn introduce(&mut self, keys: &Keys) -> Result<(), Refused> {
        let initiator = keys.value("InitiatorName").ok_or(LoginStatus::MISSING_PARAMETER)?;
        if !is_name(initiator) {
            return Err(LoginStatus::INITIATOR_ERROR.into());
        }
        initiator.clone_into(&mut self.initiator);
        self.is_discovery = match keys.value("SessionType").unwrap_or("Normal") {
            "Normal" => false,
            "Discovery" => true,
            _ => return Err(LoginStatus::SESSION_TYPE_NOT_SUPPORTED.into()),
        };
        if !self.is_discovery {
            let name = keys.value("TargetName").ok_or(LoginStatus::MISSING_PARAMETER)?;
            self.wanted_target = Some(name.to_owned());
        }
        let admission = &self.config.admission;
        self.authentication = admission.authentication(initiator, self.wanted_target.as_deref());
        if self.is_discovery {
            return Ok(());
        }
        if self.authentication.is_required {
            // The first response has it (RFC 7143 §13.9), whether there is such a target or not.
            let any = TargetDescription::new("").portal_group_tag;
            self.output.push("TargetPortalGroupTag", any);
            return Ok(());
        }
        self.find_target()?;
        let tag = self.target.as_ref().map(|target| target.portal_group_tag).unwrap_or_default();
        self.output.push("TargetPortalGroupTag", tag);
        Ok(())
    }

    /// Whether the initiator may not go on as it is.
    pub(super) fn must_authenticate(&self) -> bool {
        self.authentication.is_required && self.authenticated.is_none()
    }

    /// The initiator has proved who it is: the target that it wants may be there for it.
    pub(super) fn authenticated(&mut self, how: Authenticated) -> Result<(), Refused> {
        self.authenticated = Some(how);
        if self.is_discovery || self.target.is_some() { Ok(()) } else { self.find_target() }
    }

    /// Ends the login for this reason.
    pub(super) fn refusal(&self, failure: LoginFailure) -> Refused {
        let status = match failure {
            LoginFailure::NoTarget => LoginStatus::NOT_FOUND,
            LoginFailure::NoRandomNumbers => LoginStatus::TARGET_ERROR,
            _ => LoginStatus::AUTHENTICATION_FAILURE,
        };
        Refused { status, failure: Some((self.initiator.clone(), failure)) }
    }

    pub(super) fn config(&self) -> &TargetConfig {
        &self.config
    }

    /// Adds a key to the next response.
    pub(super) fn say(&mut self, key: &str, value: impl std::fmt::Display) {
        self.output.push(key, value);
    }

    /// Answers the keys of the security stage up to the choice of a method.
    pub(super) fn negotiate_security(&mut self, keys: &Keys) -> Result<Option<Method>, Refused> {
        let mut method = None;
        for (key, value) in keys.iter().filter(|(_, value)| !ANSWERS.contains(value)) {
            if key == "AuthMethod" {
                let chosen = self.choose_method(value)?;
                self.answer(key, value, KeyAnswer::Value(chosen.name().to_owned()))?;
                method = Some(chosen);
            } else {
                self.answer_in_security(key, value)?;
            }
        }
        Ok(method)
    }

    /// Answers the keys that come with those of CHAP, which are the business of the caller.
    pub(super) fn negotiate_beside_chap(
        &mut self,
        keys: &Keys,
        expected: &[&str],
    ) -> Result<(), LoginStatus> {
        let others = keys.iter().filter(|(key, _)| !expected.contains(key));
        for (key, value) in others.filter(|(_, value)| !ANSWERS.contains(value)) {
            if key == "AuthMethod" {
                return Err(LoginStatus::INITIATOR_ERROR);
            }
            self.answer_in_security(key, value)?;
        }
        Ok(())
    }

    fn choose_method(&self, offer: &str) -> Result<Method, Refused> {
        let offers = |name| offer.split(',').any(|method| method == name);
        let Authentication { is_required, credentials } = &self.authentication;
        match credentials {
            Some(credentials) if offers("CHAP") => Ok(Method::Chap(credentials.clone())),
            // Whom nobody knows is asked as well: it is not to learn that.
            None if *is_required && offers("CHAP") => Ok(Method::Chap(Credentials::default())),
            _ if *is_required => Err(self.refusal(LoginFailure::NotAuthenticated)),
            _ if offers("None") => Ok(Method::None),
            _ => Err(self.refusal(LoginFailure::NotExpected)),
        }
    }

    fn answer_in_security(&mut self, key: &str, value: &str) -> Result<(), LoginStatus> {
        if key.starts_with(CHAP_PREFIX) {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        let answer = if key == "MaxRecvDataSegmentLength" {
            self.parameters.negotiate(key, value, &self.config, self.is_discovery)
        } else {
            // Operational keys have their own stage.
            let mut parameters = self.parameters.clone();
            match parameters.negotiate(key, value, &self.config, self.is_discovery) {
                KeyAnswer::Value(_) => KeyAnswer::Value("Reject".to_owned()),
                answer => answer,
            }
        };
        self.answer(key, value, answer)
    }

    /// Looks for the target that the initiator wants, and tells its alias.
    fn find_target(&mut self) -> Result<(), Refused> {
        let wanted = self.wanted_target.as_deref().unwrap_or_default();
        let is_authenticated = self.authenticated.is_some();
        let target = self
            .config
            .find_target(&self.initiator, is_authenticated, wanted)
            .ok_or_else(|| self.refusal(LoginFailure::NoTarget))?;
        if let Some(alias) = &target.alias {
            self.output.push("TargetAlias", alias);
        }
        self.target = Some(target.clone());
        Ok(())
    }

    /// Answers the keys of the operational stage and declares our own.
    pub(super) fn negotiate_operation(&mut self, keys: &Keys) -> Result<(), LoginStatus> {
        for (key, value) in keys.iter().filter(|(_, value)| !ANSWERS.contains(value)) {
            let answer = match key {
                // Authentication cannot be taken up again.
                _ if key.starts_with(CHAP_PREFIX) => return Err(LoginStatus::INITIATOR_ERROR),
                "AuthMethod" => KeyAnswer::Value("Reject".to_owned()),
                _ => self.parameters.negotiate(key, value, &self.config, self.is_discovery),
            };
            self.answer(key, value, answer)?;
        }
        if !self.has_declared {
            self.has_declared = true;
            self.output
                .push("MaxRecvDataSegmentLength", self.config.limits.max_recv_data_segment_bytes);
        }
        Ok(())
    }

    /// The response to a request whose text is to be continued.
    pub(super) fn respond_empty(&mut self, request: &LoginRequest) -> (Bhs, Bytes) {
        let response = self.response(request, false, false);
        (response.encode(), Bytes::new())
    }

    /// The response to a request whose keys have been answered, with as much text as fits. The stage changes if the
    /// initiator wants it and all text is out.
    pub(super) fn respond(
        &mut self,
        request: &LoginRequest,
    ) -> Result<(LoginResponse, Bytes), LoginStatus> {
        let (current, next) = (request.current_stage.0, request.next_stage);
        let is_further = next.0 > current
            && (next == LoginStage::OPERATIONAL_NEGOTIATION
                || next == LoginStage::FULL_FEATURE_PHASE);
        if request.is_transit && !is_further {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        let data = self.output.next_segment(self.parameters.max_send_data_segment_bytes);
        let is_continued = !self.output.is_empty();
        let response = self.response(request, request.is_transit && !is_continued, is_continued);
        Ok((response, data))
    }

    /// The response to a request whose keys have been answered, where the stage is not at its end whatever the initiator
    /// wants.
    pub(super) fn respond_within_stage(
        &mut self,
        request: &LoginRequest,
    ) -> Result<(LoginResponse, Bytes), LoginStatus> {
        self.respond(&LoginRequest { is_transit: false, ..*request })
    }

    pub(super) fn ready(&self) -> LoginReady {
        LoginReady {
            initiator: self.initiator.clone(),
            isid: self.first.isid,
            tsih: self.first.tsih,
            target: self.target.as_ref().map(|target| target.name.clone()),
            authenticated: self.authenticated,
        }
    }

    pub(super) fn establish(self) -> Established {
        Established {
            initiator: self.initiator,
            target: self.target.map(|target| target.name),
            is_authenticated: self.authenticated.is_some(),
            cid: self.first.cid,
            parameters: self.parameters,
            stat_sn: self.stat_sn,
            cmd_sn: self.first.cmd_sn,
        }
    }

    /// Puts an answer into words. A key may be negotiated once. Who is who may be said again, as libiscsi does in every
    /// stage, but not changed.
    fn answer(&mut self, key: &str, value: &str, answer: KeyAnswer) -> Result<(), LoginStatus> {
        if IDENTITY.contains(&key) {
            return if self.is_identity(key, value) {
                Ok(())
            } else {
                Err(LoginStatus::INITIATOR_ERROR)
            };
        }
        if let KeyAnswer::NotUnderstood = answer {
            self.output.push(key, "NotUnderstood");
            return Ok(());
        }
        if self.negotiated.iter().any(|other| other == key) {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        self.negotiated.push(key.to_owned());
        if let KeyAnswer::Value(value) = answer {
            self.output.push(key, value);
        }
        Ok(())
    }

    /// Whether a key says the same about who is who as the first text.
    fn is_identity(&self, key: &str, value: &str) -> bool {
        match key {
            "InitiatorName" => value == self.initiator,
            "SessionType" => (value == "Discovery") == self.is_discovery,
            "TargetName" => {
                self.wanted_target.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
            }
            _ => true,
        }
    }

    /// A response with the next StatSN.
    fn response(
        &mut self,
        request: &LoginRequest,
        is_transit: bool,
        is_continued: bool,
    ) -> LoginResponse {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        let exp_cmd_sn = self.first.cmd_sn;
        let max_cmd_sn = exp_cmd_sn.plus(self.config.limits.max_commands.saturating_sub(1));
        LoginResponse {
            is_transit,
            is_continued,
            current_stage: request.current_stage,
            next_stage: request.next_stage,
            isid: self.first.isid,
            tsih: self.first.tsih,
            itt: self.first.itt,
            sequence: Sequence { stat_sn, exp_cmd_sn, max_cmd_sn },
            status: LoginStatus::SUCCESS,
        }
    }
}

/// Whether this can be an iSCSI name. The three types of names are not told apart: what they are for, being unique, is
/// the initiator's business.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text.chars().all(|character| !character.is_control() && !character.is_whitespace())
}
