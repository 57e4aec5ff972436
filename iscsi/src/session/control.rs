//! Pings, logout and news.

use std::time::Duration;

use bytes::Bytes;

use super::Session;
use crate::connection::Wire;
use crate::event::CloseReason;
use crate::pdu::{
    AsyncEvent, AsyncMessage, Bhs, InitiatorTaskTag, LogoutReason, LogoutRequest, LogoutResponse,
    LogoutResponseCode, NopIn, NopOut, RejectReason, TargetTransferTag,
};

impl Session {
    /// Answers a ping with its own data. A NOP-Out without a tag is an answer to ours, or only tells ExpStatSN.
    pub(super) fn answer_ping(&mut self, ping: &NopOut, mut data: Vec<u8>, wire: &mut Wire) {
        if ping.itt == InitiatorTaskTag::RESERVED {
            return;
        }
        let max_bytes =
            usize::try_from(self.parameters.max_send_data_segment_bytes).unwrap_or(usize::MAX);
        data.truncate(max_bytes);
        let sequence = self.status_sequence();
        let answer =
            NopIn { lun: [0; 8], itt: ping.itt, ttt: TargetTransferTag::RESERVED, sequence };
        wire.outbox.push(answer.encode(), data);
    }

    /// Asks the initiator whether it is still there.
    pub(crate) fn send_ping(&mut self, wire: &mut Wire) {
        let ttt = self.new_ttt();
        let sequence = self.sequence();
        let ping = NopIn { lun: [0; 8], itt: InitiatorTaskTag::RESERVED, ttt, sequence };
        wire.outbox.push(ping.encode(), Bytes::new());
    }

    /// Asks the initiator to log out within a time.
    pub(crate) fn send_logout_request(&mut self, within: Duration, wire: &mut Wire) {
        let seconds = u16::try_from(within.as_secs()).unwrap_or(u16::MAX);
        let sequence = self.status_sequence();
        let message = AsyncMessage {
            event: AsyncEvent::LOGOUT_REQUESTED,
            sequence,
            parameters: [0, 0, seconds],
        };
        wire.outbox.push(message.encode(), Bytes::new());
    }

    /// Ends the session. Its tasks end with it, unanswered (RFC 7143 §11.14).
    pub(super) fn logout(&mut self, request: &LogoutRequest, bhs: &Bhs, wire: &mut Wire) {
        let response = match request.reason {
            LogoutReason::CLOSE_SESSION => LogoutResponseCode::CLOSED,
            LogoutReason::CLOSE_CONNECTION if request.cid == self.cid => LogoutResponseCode::CLOSED,
            LogoutReason::CLOSE_CONNECTION => LogoutResponseCode::CID_NOT_FOUND,
            LogoutReason::REMOVE_FOR_RECOVERY => LogoutResponseCode::RECOVERY_NOT_SUPPORTED,
            _ => {
                self.reject(RejectReason::INVALID_PDU_FIELD, bhs, wire);
                return;
            }
        };
        let answer = LogoutResponse {
            response,
            itt: request.itt,
            sequence: self.status_sequence(),
            time_to_wait_seconds: self.parameters.time_to_wait_seconds,
            time_to_retain_seconds: 0,
        };
        wire.outbox.push(answer.encode(), Bytes::new());
        if response == LogoutResponseCode::CLOSED {
            wire.end(CloseReason::Logout);
        }
    }
}
