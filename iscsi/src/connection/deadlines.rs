//! What happens because time passes.

use std::time::Duration;

use super::{Connection, Phase};
use crate::event::CloseReason;

impl Connection {
    /// When to call [`handle_timeout`](Self::handle_timeout), unless something else happens before. It changes with every
    /// other call.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Login { deadline, .. } | Phase::Draining { deadline } => *deadline,
            Phase::Session(_) => earlier(
                earlier(self.silence_deadline(), self.logout_deadline),
                self.memory_deadline(),
            ),
            Phase::Closed => None,
        }
    }

    /// Takes note of the time.
    pub fn handle_timeout(&mut self, now: Duration) {
        let memory_deadline = self.memory_deadline();
        self.now = now;
        let is_past = |deadline: Option<Duration>| deadline.is_some_and(|deadline| deadline <= now);
        let is_silent = is_past(self.silence_deadline());
        match &mut self.phase {
            Phase::Login { deadline, .. } if is_past(*deadline) => {
                self.close(CloseReason::LoginTimeout);
            }
            Phase::Draining { deadline } if is_past(*deadline) => self.phase = Phase::Closed,
            Phase::Session(_) if is_past(self.logout_deadline) => {
                self.close(CloseReason::LogoutTimeout);
            }
            Phase::Session(_) if is_silent && self.ping_sent.is_some() => {
                self.close(CloseReason::NopTimeout);
            }
            Phase::Session(session) if is_silent => {
                session.send_ping(&mut self.wire);
                self.ping_sent = Some(now);
            }
            _ => {}
        }
        if matches!(self.phase, Phase::Session(_)) && is_past(memory_deadline) {
            self.look_after_memory();
        }
    }

    /// When a silent initiator is asked whether it is there, or given up.
    fn silence_deadline(&self) -> Option<Duration> {
        match self.ping_sent {
            Some(sent) => sent.checked_add(self.config.timeouts.nop),
            None => self.last_received.checked_add(self.config.timeouts.nop_interval),
        }
    }
}

pub(super) fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
