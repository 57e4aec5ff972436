//! Memory that a connection holds for its peer, and when it is let go because others need it.

use std::time::Duration;

use super::deadlines::earlier;
use super::{Connection, Phase, Wire};
use crate::event::CloseReason;

/// PDUs that wait to be sent above which nothing more is received: small ones take more memory than their bytes.
const MAX_BACKLOG_PDUS: usize = 16 << 10;
/// What waits for others to let go of memory is tried again this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

impl Wire {
    /// Bytes that the peer has not taken.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox.backlog_bytes() + self.in_flight_bytes
    }
}

impl Connection {
    /// Whether to receive at all. Not while too much waits to be sent; ask again after [`poll_transmit`](Self::poll_transmit).
    pub fn wants_receive(&self) -> bool {
        !self.is_closed()
            && self.wire.unsent_bytes() <= self.config.limits.max_backlog_bytes
            && self.wire.outbox.len() <= MAX_BACKLOG_PDUS
            && !self.is_to_hold_back()
    }

    /// Tells how much of what [`poll_transmit`](Self::poll_transmit) has given out is still in memory because the peer does not
    /// take it.
    pub fn set_in_flight(&mut self, bytes: usize, now: Duration) {
        if self.wire.in_flight_bytes == bytes && !self.is_held_up() {
            return;
        }
        self.now = now;
        self.wire.in_flight_bytes = bytes;
        self.finish_call();
    }

    /// Counts what is held, and tries again what waited for memory.
    pub(super) fn account(&mut self) {
        let mut held_bytes = self.wire.unsent_bytes() + self.receiver.held_bytes();
        let mut is_waiting = false;
        if let Phase::Session(session) = &mut self.phase {
            if session.is_waiting_for_memory() && self.wire.ending.is_none() {
                session.take_heart(&mut self.wire);
                is_waiting = session.is_waiting_for_memory();
                held_bytes = self.wire.unsent_bytes() + self.receiver.held_bytes();
            }
            held_bytes += session.held_bytes();
        }
        if held_bytes < self.wire.share.held_bytes() || self.wire.share.held_bytes() == 0 {
            self.last_progress = self.now;
        }
        self.wire.share.set(held_bytes);
        self.wire.share.set_waiting(is_waiting);
        if self.wire.share.is_too_large() {
            self.wire.end(CloseReason::Memory);
        }
    }

    /// When memory has to be looked after.
    pub(super) fn memory_deadline(&self) -> Option<Duration> {
        let share = &self.wire.share;
        let retry = share.is_waiting().then_some(RETRY_INTERVAL);
        let hoarding = (share.held_bytes() > 0).then_some(self.config.timeouts.hoarding);
        earlier(
            retry.and_then(|after| self.now.checked_add(after)),
            hoarding.and_then(|after| self.last_look.max(self.last_progress).checked_add(after)),
        )
    }

    /// Looks after memory at its deadline.
    pub(super) fn look_after_memory(&mut self) {
        let hoarding = self.config.timeouts.hoarding;
        let is_past =
            |since: Duration| since.checked_add(hoarding).is_some_and(|at| at <= self.now);
        if is_past(self.last_progress) && self.wire.share.is_wanted() {
            self.wire.end(CloseReason::Memory);
        }
        if is_past(self.last_look) {
            self.last_look = self.now;
        }
        self.finish_call();
    }

    /// Whether memory gets short and this connection has a large share, of which some will be free by itself.
    fn is_to_hold_back(&self) -> bool {
        self.wire.share.is_large()
            && matches!(&self.phase, Phase::Session(session) if session.has_delivered())
    }

    fn is_held_up(&self) -> bool {
        matches!(&self.phase, Phase::Session(session) if session.is_waiting_for_memory())
    }
}
