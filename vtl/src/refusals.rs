//! Logins that were refused, in the log: some of them each, and the others by their number, so that a stranger cannot fill a disk with
//! them (S21).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::library::lock;

/// So many lines within [`WINDOW`].
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// What was told lately.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Refusals {
    /// Tells of one, or only counts it.
    pub(crate) fn note(&self, initiator: &str, peer: &str, failure: &dyn std::fmt::Display) {
        let (untold, is_told) = lock(&self.0).step(Instant::now());
        if untold > 0 {
            warn!(logins = untold, "so many more logins were refused; the log does not name them");
        }
        if is_told {
            warn!(initiator, peer, %failure, "login refused");
        }
    }
}

impl Window {
    /// How many have not been told that are to be told now, and whether the next one is.
    fn step(&mut self, now: Instant) -> (u64, bool) {
        let is_over = self.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW);
        let untold = if is_over {
            (self.began, self.told) = (Some(now), 0);
            std::mem::take(&mut self.untold)
        } else {
            0
        };
        let is_told = self.told < LINES;
        if is_told {
            self.told += 1;
        } else {
            self.untold = self.untold.saturating_add(1);
        }
        (untold, is_told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Every login that failed was a line in the log: a stranger could write as much of it as he liked.
    #[test]
    fn a_flood_is_counted_and_not_listed() {
        let mut window = Window::default();
        let now = Instant::now();
        let told = (0..1000).filter(|_| window.step(now).1).count();
        assert_eq!(told, 20);
        let later = now + WINDOW;
        assert_eq!(window.step(later), (980, true));
        assert_eq!(window.step(later), (0, true));
    }
}
