//! Memory that all connections have together.
//!
//! Each connection has limits of its own, but a thousand connections at their limits are more than a machine has. So what a
//! connection holds for its peer (data that has come, data that is asked for, answers that are not taken) is counted in one place
//! as well. While little is held nobody notices. When the limit is near, R2Ts and commands that read wait for others to end, nothing more is
//! received from those whose own commands are about to end, and whoever holds more than an equal share, or holds something and gets nothing done while others wait, is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// No share is smaller than this: a first burst and a few answers.
const MIN_SHARE_BYTES: usize = 1 << 20;

/// What all connections of a program may hold together.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// Connections that hold anything.
    holders: AtomicUsize,
    /// Connections that wait for others to let go.
    waiting: AtomicUsize,
}

/// What one connection holds. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    held_bytes: usize,
    is_waiting: bool,
}

impl Budget {
    /// A budget of so many bytes. What comes unasked cannot be held back, only let go: for a moment it can be up to twice as much.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// What is held at the moment.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

impl Share {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, held_bytes: 0, is_waiting: false }
    }

    /// Takes note of all that the connection holds.
    pub(crate) fn set(&mut self, held_bytes: usize) {
        let (before, budget) = (self.held_bytes, &self.budget);
        self.held_bytes = held_bytes;
        if held_bytes > before {
            budget.used_bytes.fetch_add(held_bytes - before, Ordering::Relaxed);
        } else if held_bytes < before {
            budget.used_bytes.fetch_sub(before - held_bytes, Ordering::Relaxed);
        }
        match (before, held_bytes) {
            (0, 1..) => budget.holders.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => budget.holders.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the connection may come to hold so much in all, without need: half of the limit is left to those who have nothing.
    pub(crate) fn has_room(&self, held_bytes: usize) -> bool {
        self.others_bytes().saturating_add(held_bytes) <= self.budget.limit_bytes / 2
    }

    /// Whether the connection may come to hold so much in all, so that it gets on at all.
    pub(crate) fn has_last_room(&self, held_bytes: usize) -> bool {
        self.others_bytes().saturating_add(held_bytes) <= self.budget.limit_bytes
    }

    /// Whether memory gets short, and this connection holds more of it than an equal share.
    pub(crate) fn is_large(&self) -> bool {
        self.is_unfair(self.budget.limit_bytes / 2)
    }

    /// Whether more is held than there is, and this connection holds more of it than an equal share.
    pub(crate) fn is_too_large(&self) -> bool {
        self.is_unfair(self.budget.limit_bytes)
    }

    /// Whether this connection holds something that somebody else waits for. Those who wait themselves may keep a little.
    pub(crate) fn is_wanted(&self) -> bool {
        let kept_bytes = if self.is_waiting { MIN_SHARE_BYTES } else { 0 };
        let waiting = self.budget.waiting.load(Ordering::Relaxed);
        let others = waiting.saturating_sub(usize::from(self.is_waiting));
        self.held_bytes > kept_bytes && others > 0
    }

    pub(crate) fn set_waiting(&mut self, is_waiting: bool) {
        match (self.is_waiting, is_waiting) {
            (false, true) => self.budget.waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.budget.waiting.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        self.is_waiting = is_waiting;
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    fn is_unfair(&self, limit_bytes: usize) -> bool {
        let holders = self.budget.holders.load(Ordering::Relaxed).max(1);
        let fair_bytes = (limit_bytes / holders).max(MIN_SHARE_BYTES);
        self.budget.used_bytes() > limit_bytes && self.held_bytes > fair_bytes
    }

    fn others_bytes(&self) -> usize {
        self.budget.used_bytes().saturating_sub(self.held_bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
        self.set_waiting(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_once_and_given_back() {
        let budget = Budget::new(100 << 20);
        let (mut one, mut two) = (Share::new(budget.clone()), Share::new(budget.clone()));
        one.set(40 << 20);
        two.set(8 << 20);
        assert_eq!(budget.used_bytes(), 48 << 20);
        assert!(two.has_room(10 << 20) && !two.has_room(11 << 20));
        assert!(two.has_last_room(60 << 20) && !two.has_last_room(61 << 20));
        assert!(!one.is_too_large() && !one.is_wanted());
        two.set_waiting(true);
        assert!(one.is_wanted());
        one.set(95 << 20);
        assert!(one.is_too_large() && !two.is_too_large());
        drop(two);
        assert!(!one.is_wanted());
        drop(one);
        assert_eq!(budget.used_bytes(), 0);
    }
}
