//! Text in full feature phase: SendTargets, and keys that may still change (RFC 7143 §6.2.2 and appendix C).

use super::Session;
use crate::config::TargetDescription;
use crate::connection::Wire;
use crate::login::KeyAnswer;
use crate::pdu::{
    Bhs, InitiatorTaskTag, RejectReason, TargetTransferTag, TextRequest, TextResponse,
};
use crate::text::{Keys, TextError, TextInput, TextOutput};

/// An exchange that takes several PDUs. There is one at a time; a new one ends the one before.
#[derive(Debug)]
pub(super) struct TextExchange {
    itt: InitiatorTaskTag,
    /// From our last response.
    ttt: TargetTransferTag,
    input: TextInput,
    output: TextOutput,
}

impl Session {
    pub(super) fn text_request(
        &mut self,
        request: &TextRequest,
        data: &[u8],
        bhs: &Bhs,
        wire: &mut Wire,
    ) {
        let Some(mut exchange) = self.find_exchange(request) else {
            self.reject(RejectReason::INVALID_PDU_FIELD, bhs, wire);
            return;
        };
        if request.is_continued && request.is_final
            || self.take_text(&mut exchange, request, data).is_err()
        {
            self.reject(RejectReason::PROTOCOL_ERROR, bhs, wire);
            return;
        }
        let segment = exchange.output.next_segment(self.parameters.max_send_data_segment_bytes);
        let is_continued = !exchange.output.is_empty();
        let is_final = request.is_final && !is_continued;
        let ttt = if is_final { TargetTransferTag::RESERVED } else { self.new_ttt() };
        let sequence = self.status_sequence();
        let response = TextResponse { is_final, is_continued, itt: request.itt, ttt, sequence };
        wire.outbox.push(response.encode(), segment);
        if !is_final {
            exchange.ttt = ttt;
            self.text = Some(exchange);
        }
    }

    /// Whether a tag belongs to a text exchange.
    pub(super) fn is_text_tag(&self, itt: InitiatorTaskTag) -> bool {
        self.text.as_ref().is_some_and(|exchange| exchange.itt == itt)
    }

    /// The exchange that a request belongs to, which leaves its place.
    fn find_exchange(&mut self, request: &TextRequest) -> Option<TextExchange> {
        let present = self.text.take();
        if request.ttt == TargetTransferTag::RESERVED {
            let is_valid =
                request.itt != InitiatorTaskTag::RESERVED && !self.tasks.contains_tag(request.itt);
            return is_valid.then(|| TextExchange {
                itt: request.itt,
                ttt: TargetTransferTag::RESERVED,
                input: TextInput::default(),
                output: TextOutput::default(),
            });
        }
        present.filter(|exchange| exchange.itt == request.itt && exchange.ttt == request.ttt)
    }

    /// Takes a piece of text, and answers the whole once it is there.
    fn take_text(
        &mut self,
        exchange: &mut TextExchange,
        request: &TextRequest,
        data: &[u8],
    ) -> Result<(), TextError> {
        exchange.input.push(data, self.config.limits.max_text_bytes)?;
        if request.is_continued {
            return Ok(());
        }
        let keys = exchange.input.take()?;
        self.answer_keys(&keys, &mut exchange.output);
        Ok(())
    }

    fn answer_keys(&mut self, keys: &Keys, output: &mut TextOutput) {
        for (key, value) in keys.iter() {
            if key == "SendTargets" {
                self.send_targets(value, output);
                continue;
            }
            match self.parameters.renegotiate(key, value, &self.config) {
                KeyAnswer::Silent => {}
                KeyAnswer::Value(value) => output.push(key, value),
                KeyAnswer::NotUnderstood => output.push(key, "NotUnderstood"),
            }
        }
    }

    /// Lists targets: all of them or one by name in a discovery session, and only its own one in a normal session.
    fn send_targets(&self, value: &str, output: &mut TextOutput) {
        match (&self.target, value) {
            (None, "") | (Some(_), "All") => output.push("SendTargets", "Reject"),
            (None, "All") => {
                for target in self.config.visible_targets(&self.initiator, self.is_authenticated) {
                    self.describe(target, output);
                }
            }
            (None, name) => self.describe_by_name(name, output),
            (Some(own), "") => self.describe_by_name(own, output),
            (Some(own), name) if name.eq_ignore_ascii_case(own) => {
                self.describe_by_name(own, output);
            }
            // Other targets look absent.
            (Some(_), _) => {}
        }
    }

    fn describe_by_name(&self, name: &str, output: &mut TextOutput) {
        let found = self.config.find_target(&self.initiator, self.is_authenticated, name);
        if let Some(target) = found {
            self.describe(target, output);
        }
    }

    fn describe(&self, target: &TargetDescription, output: &mut TextOutput) {
        output.push("TargetName", &target.name);
        let own = self.portal.iter().filter(|_| target.portals.is_empty());
        for portal in target.portals.iter().chain(own) {
            output.push("TargetAddress", format_args!("{portal},{}", target.portal_group_tag));
        }
    }
}
