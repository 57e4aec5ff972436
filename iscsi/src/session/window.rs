//! The command window (RFC 7143 §4.2.2.1): which numbers may come.

use crate::serial::CmdSn;

/// Where a number lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the next one.
    Next,
    /// It may come, but others come first.
    Early,
    /// It has come already, or may not come yet.
    Outside,
}

/// What the initiator may send.
#[derive(Debug)]
pub(super) struct CommandWindow {
    exp_cmd_sn: CmdSn,
    /// Never goes back, since the initiator may have used what it was promised.
    // Invariant: max_cmd_sn + 1 - exp_cmd_sn <= limit, on the circle
    max_cmd_sn: CmdSn,
    limit: u32,
}

impl CommandWindow {
    /// A window for this many commands at once.
    pub(super) fn new(first: CmdSn, limit: u32) -> Self {
        let limit = limit.clamp(1, 1 << 16);
        Self { exp_cmd_sn: first, max_cmd_sn: first.plus(limit - 1), limit }
    }

    pub(super) fn exp_cmd_sn(&self) -> CmdSn {
        self.exp_cmd_sn
    }

    pub(super) fn max_cmd_sn(&self) -> CmdSn {
        self.max_cmd_sn
    }

    pub(super) fn place(&self, cmd_sn: CmdSn) -> Place {
        if !cmd_sn.is_within(self.exp_cmd_sn, self.max_cmd_sn) {
            Place::Outside
        } else if cmd_sn == self.exp_cmd_sn {
            Place::Next
        } else {
            Place::Early
        }
    }

    /// The next number has come.
    pub(super) fn advance(&mut self) {
        self.exp_cmd_sn = self.exp_cmd_sn.next();
    }

    /// Opens the window as far as this many unanswered commands allow.
    pub(super) fn open(&mut self, count_outstanding: u32) {
        let count_free = self.limit.saturating_sub(count_outstanding);
        let max_cmd_sn = self.exp_cmd_sn.plus(count_free).plus(u32::MAX);
        if self.max_cmd_sn.is_before(max_cmd_sn) {
            self.max_cmd_sn = max_cmd_sn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_as_commands_come_and_opens_as_they_are_answered() {
        let mut window = CommandWindow::new(CmdSn(u32::MAX), 2);
        assert_eq!(window.place(CmdSn(u32::MAX)), Place::Next);
        assert_eq!(window.place(CmdSn(0)), Place::Early);
        assert_eq!(window.place(CmdSn(1)), Place::Outside);
        window.advance();
        window.open(1);
        window.advance();
        window.open(2);
        assert_eq!(window.place(CmdSn(1)), Place::Outside);
        window.open(1);
        assert_eq!(window.place(CmdSn(1)), Place::Next);
        assert_eq!(window.place(CmdSn(0)), Place::Outside);
    }

    #[test]
    fn the_end_of_the_window_never_goes_back() {
        let mut window = CommandWindow::new(CmdSn(10), 4);
        window.open(3);
        assert_eq!(window.max_cmd_sn(), CmdSn(13));
    }
}
