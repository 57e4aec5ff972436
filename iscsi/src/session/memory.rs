//! What a session may hold: within its own limits, and within what all connections have together.

use super::Session;
use crate::connection::Wire;

impl Session {
    /// Memory of this session that is not in the outbox.
    pub(crate) fn held_bytes(&self) -> usize {
        self.tasks.held_bytes() + self.early_bytes
    }

    /// Whether something will end, and its memory be free, without anything more from the peer.
    pub(crate) fn has_delivered(&self) -> bool {
        self.tasks.has_delivered()
    }

    /// Whether something waits only because memory is short.
    pub(crate) fn is_waiting_for_memory(&self) -> bool {
        self.has_held_back || !self.ungranted.is_empty()
    }

    /// Tries again what waits for memory, now that others may have let go of some.
    pub(crate) fn take_heart(&mut self, wire: &mut Wire) {
        if std::mem::take(&mut self.has_held_back) {
            for lun in self.tasks.waiting_luns() {
                self.deliver(lun, wire);
            }
        }
        self.grant(wire);
    }

    /// Whether so much data-out may be asked for. One command of a session always may, as long as there is any memory at all:
    /// whoever has it is older, waits for nobody younger, and so will be done some day.
    pub(super) fn may_grant(&self, bytes: usize, wire: &Wire) -> bool {
        let granted_bytes = self.tasks.granted_bytes();
        let held_bytes = self.all_held_bytes(wire).saturating_add(bytes);
        if granted_bytes == 0 {
            return wire.share.has_last_room(held_bytes);
        }
        granted_bytes.saturating_add(bytes) <= self.config.limits.max_solicited_bytes
            && wire.share.has_room(held_bytes)
    }

    /// Whether a command may be delivered that reads so much. One of a session always may once the peer has taken all answers.
    pub(super) fn may_promise(&self, bytes: usize, wire: &Wire) -> bool {
        if bytes == 0 {
            return true;
        }
        let unread_bytes = self.tasks.promised_bytes() + wire.unsent_bytes();
        let held_bytes = self.all_held_bytes(wire).saturating_add(bytes);
        if unread_bytes == 0 {
            return wire.share.has_last_room(held_bytes);
        }
        unread_bytes.saturating_add(bytes) <= self.config.limits.max_backlog_bytes
            && wire.share.has_room(held_bytes)
    }

    fn all_held_bytes(&self, wire: &Wire) -> usize {
        self.held_bytes() + wire.unsent_bytes()
    }
}
