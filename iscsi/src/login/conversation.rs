//! What all states of a login share: who talks to whom, what is agreed on, and text on its way in and out.

use std::sync::Arc;

use bytes::Bytes;

use super::Established;
use super::parameters::{KeyAnswer, Parameters};
use crate::config::{TargetConfig, TargetDescription};
use crate::event::LoginReady;
use crate::pdu::{Bhs, LoginRequest, LoginResponse, LoginStage, LoginStatus, Sequence};
use crate::serial::StatSn;
use crate::text::{Keys, TextInput, TextOutput};

/// The longest iSCSI name (RFC 7143 §4.2.7.1).
const MAX_NAME_BYTES: usize = 223;

/// Keys that say who talks to whom.
const IDENTITY: [&str; 4] = ["InitiatorName", "InitiatorAlias", "TargetName", "SessionType"];

/// Answers to something that we proposed. They are never proposals themselves.
const ANSWERS: [&str; 3] = ["NotUnderstood", "Irrelevant", "Reject"];

#[derive(Debug)]
pub(super) struct Conversation {
    config: Arc<TargetConfig>,
    /// The first request. Later ones must agree with it in ISID, TSIH, ITT and CID.
    first: LoginRequest,
    initiator: String,
    /// None in a discovery session.
    target: Option<TargetDescription>,
    is_discovery: bool,
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
            is_discovery: false,
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

    /// Learns from the first text who wants what, and announces the target.
    pub(super) fn introduce(&mut self, keys: &Keys) -> Result<(), LoginStatus> {
        let initiator = keys.value("InitiatorName").ok_or(LoginStatus::MISSING_PARAMETER)?;
        if !is_name(initiator) {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        initiator.clone_into(&mut self.initiator);
        match keys.value("SessionType").unwrap_or("Normal") {
            "Normal" => {}
            "Discovery" => {
                self.is_discovery = true;
                return Ok(());
            }
            _ => return Err(LoginStatus::SESSION_TYPE_NOT_SUPPORTED),
        }
        let name = keys.value("TargetName").ok_or(LoginStatus::MISSING_PARAMETER)?;
        let target =
            self.config.find_target(&self.initiator, name).ok_or(LoginStatus::NOT_FOUND)?;
        if let Some(alias) = &target.alias {
            self.output.push("TargetAlias", alias);
        }
        self.output.push("TargetPortalGroupTag", target.portal_group_tag);
        self.target = Some(target.clone());
        Ok(())
    }

    /// Answers the keys of the security stage.
    pub(super) fn negotiate_security(&mut self, keys: &Keys) -> Result<(), LoginStatus> {
        for (key, value) in keys.iter().filter(|(_, value)| !ANSWERS.contains(value)) {
            let answer = match key {
                "AuthMethod" if value.split(',').any(|method| method == "None") => {
                    KeyAnswer::Value("None".to_owned())
                }
                "AuthMethod" => return Err(LoginStatus::AUTHENTICATION_FAILURE),
                "MaxRecvDataSegmentLength" => {
                    self.parameters.negotiate(key, value, &self.config, self.is_discovery)
                }
                // Operational keys have their own stage.
                _ => match self.parameters.clone().negotiate(
                    key,
                    value,
                    &self.config,
                    self.is_discovery,
                ) {
                    KeyAnswer::Value(_) => KeyAnswer::Value("Reject".to_owned()),
                    answer => answer,
                },
            };
            self.answer(key, value, answer)?;
        }
        Ok(())
    }

    /// Answers the keys of the operational stage and declares our own.
    pub(super) fn negotiate_operation(&mut self, keys: &Keys) -> Result<(), LoginStatus> {
        for (key, value) in keys.iter().filter(|(_, value)| !ANSWERS.contains(value)) {
            let answer = match key {
                // Authentication cannot be taken up again.
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

    pub(super) fn ready(&self) -> LoginReady {
        LoginReady {
            initiator: self.initiator.clone(),
            isid: self.first.isid,
            tsih: self.first.tsih,
            target: self.target.as_ref().map(|target| target.name.clone()),
        }
    }

    pub(super) fn establish(self) -> Established {
        Established {
            initiator: self.initiator,
            target: self.target.map(|target| target.name),
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
                self.target.as_ref().is_none_or(|target| target.name.eq_ignore_ascii_case(value))
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
