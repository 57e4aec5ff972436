//! Locks and holds: what may not be overwritten, erased, pruned or deleted, and the clock that ends a lock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::ledger::Clock;
use crate::whole::{read_whole, replace_whole};

/// What keeps a cartridge as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Until when nothing on it may be given up. It can be made later, never earlier, by nobody.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Why nothing on it may be given up until the hold is lifted.
    #[serde(default)]
    pub hold: Option<String>,
    /// Until when nothing on it may be given up, unless somebody with the right to takes that back and says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governed_until: Option<Timestamp>,
    /// When it is to be disposed of. Nothing does that by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispose_after: Option<Timestamp>,
}

impl Retention {
    /// Why nothing may be given up at this time of the compliance clock.
    pub fn reason(&self, now: Timestamp) -> Option<String> {
        match (&self.hold, self.until) {
            (Some(hold), _) => Some(format!("it is held: {hold}")),
            (None, Some(until)) if until > now => Some(format!("it is locked until {until}")),
            _ => {
                let until = self.governed_until.filter(|until| *until > now)?;
                Some(format!(
                    "it is locked until {until}, in governance mode: `vtl tape lock BARCODE --lift-governance --reason TEXT` takes that back"
                ))
            }
        }
    }
}

/// Time since the machine was started, which nobody can set.
#[derive(Clone)]
pub struct Uptime(pub Arc<dyn Fn() -> Duration + Send + Sync>);

impl Uptime {
    /// The host's, with the time in which it slept.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let now = clock_gettime(ClockId::Boottime);
            let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
            Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
        }))
    }
}

impl std::fmt::Debug for Uptime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uptime")
    }
}

/// The clock that locks end by. It goes with the time in which the program runs, so that setting the host's clock forward ends no lock; where the
/// host's clock is ahead, because the program did not run for a while, it follows by seven days a year.
/// Setting the host's clock back does not move it.
#[derive(Debug, Clone)]
pub struct ComplianceClock {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    wall: Clock,
    uptime: Uptime,
    anchor: Mutex<Anchor>,
}

/// What the clock showed at a moment of the uptime.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Timestamp,
    uptime: Duration,
}

/// What the ledger tells of the time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// The latest that the compliance clock has shown.
    pub(crate) compliance: Option<Timestamp>,
    /// The latest of the host's clock, which can be set.
    pub(crate) wall: Option<Timestamp>,
}

/// What is kept from one start to the next.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    time: Timestamp,
}

impl ComplianceClock {
    /// Goes on where it was, as the data directory or the ledger knows. Only where neither does, from a host's clock: the earlier of what it shows
    /// now and what it showed last.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        (wall, uptime): (Clock, Uptime),
        known: Known,
    ) -> Self {
        let path = directory.join(FILE_NAME);
        let kept = match read(&*disk, &path) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::error!(
                    path = %path.display(), %error,
                    "the compliance clock was not kept well: it goes on from what the ledger knows of it, and locks may last longer than they would have"
                );
                None
            }
        };
        let is_kept = kept.is_some();
        let time = kept.max(known.compliance).unwrap_or_else(|| {
            let now = wall.now();
            known.wall.map_or(now, |newest| newest.min(now))
        });
        let anchor = Mutex::new(Anchor { time, uptime: (uptime.0)() });
        let clock = Self { state: Arc::new(State { disk, path, wall, uptime, anchor }) };
        // At once: what is newest in the ledger has the time of a clock that can be set.
        if !is_kept && let Err(error) = clock.keep() {
            tracing::warn!(%error, "the compliance clock cannot be kept");
        }
        clock
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let state = &*self.state;
        let mut anchor = state.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let uptime = (state.uptime.0)();
        let elapsed = uptime.saturating_sub(anchor.uptime);
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        let time = anchor.time.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        let behind = state.wall.now().duration_since(time);
        let catch_up = SignedDuration::from_millis_i128(elapsed.as_millis() * 7 / 365);
        let time = match behind.min(catch_up) {
            ahead if ahead.is_positive() => time.saturating_add(ahead).unwrap_or(time),
            _ => time,
        };
        // What was caught up with is not given twice; a short time in between does not get lost by rounding.
        if elapsed > SignedDuration::from_secs(1) {
            *anchor = Anchor { time, uptime };
        }
        time
    }

    /// Keeps what it shows for the next start.
    pub fn keep(&self) -> std::io::Result<()> {
        let kept = Kept { time: self.now() };
        let bytes = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
        replace_whole(&*self.state.disk, &self.state.path, &bytes)
    }

    /// As a cartridge takes it.
    pub fn as_clock(&self) -> crate::cartridge::Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// What was kept; nothing if there is no such file.
fn read(disk: &dyn Disk, path: &Path) -> std::io::Result<Option<Timestamp>> {
    let bytes = match read_whole(disk, path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(std::io::Error::other)?;
    Ok(Some(kept.time))
}

const FILE_NAME: &str = "compliance-clock.json";
const FILE_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;
    use crate::disk::MemoryDisk;

    const YEAR: i64 = 365 * 86_400;

    #[derive(Clone, Default)]
    struct Host {
        wall: Arc<AtomicI64>,
        uptime: Arc<AtomicU64>,
        disk: MemoryDisk,
    }

    impl Host {
        fn new() -> Self {
            let host = Self::default();
            host.disk.create_dir(Path::new("/data")).unwrap();
            host.wall.store(1_900_000_000, Ordering::Relaxed);
            host
        }

        fn start(&self) -> ComplianceClock {
            let (wall, uptime) = (Arc::clone(&self.wall), Arc::clone(&self.uptime));
            let wall = move || Timestamp::from_second(wall.load(Ordering::Relaxed)).unwrap();
            let uptime = move || Duration::from_secs(uptime.load(Ordering::Relaxed));
            let clocks = (Clock(Arc::new(wall)), Uptime(Arc::new(uptime)));
            let known = Known::default();
            ComplianceClock::open(Arc::new(self.disk.clone()), Path::new("/data"), clocks, known)
        }

        /// Time goes by in which the machine runs.
        fn pass(&self, seconds: i64) {
            self.wall.fetch_add(seconds, Ordering::Relaxed);
            self.uptime.fetch_add(seconds.unsigned_abs(), Ordering::Relaxed);
        }

        fn set_wall(&self, by: i64) {
            self.wall.fetch_add(by, Ordering::Relaxed);
        }
    }

    fn seconds(clock: &ComplianceClock) -> i64 {
        clock.now().as_second() - 1_900_000_000
    }

    #[test]
    fn setting_the_clock_moves_it_neither_forward_nor_back() {
        let host = Host::new();
        let clock = host.start();
        host.set_wall(10 * YEAR);
        assert_eq!(seconds(&clock), 0);
        host.pass(100);
        assert!((100..=102).contains(&seconds(&clock)), "{}", seconds(&clock));
        host.set_wall(-20 * YEAR);
        host.pass(100);
        assert!((200..=202).contains(&seconds(&clock)), "{}", seconds(&clock));
    }

    #[test]
    fn what_did_not_run_is_caught_up_with_slowly_and_a_restart_gives_nothing() {
        let host = Host::new();
        let clock = host.start();
        host.pass(1000);
        clock.keep().unwrap();
        // Switched off for a year.
        host.wall.fetch_add(YEAR, Ordering::Relaxed);
        host.uptime.store(5, Ordering::Relaxed);
        let clock = host.start();
        assert_eq!(seconds(&clock), 1000);
        for _ in 0..365 {
            host.pass(86_400);
            clock.now();
        }
        let caught_up = seconds(&clock) - 1000 - YEAR;
        assert!((7 * 86_400 - 400..=7 * 86_400).contains(&caught_up), "{caught_up}");
        // Over and over again: each start goes on where it was.
        for _ in 0..50 {
            clock.keep().unwrap();
            host.set_wall(YEAR);
            assert!(host.start().now() <= clock.now());
        }
    }

    #[test]
    fn it_does_not_run_ahead_of_a_host_that_is_right() {
        let host = Host::new();
        let clock = host.start();
        for _ in 0..1000 {
            host.pass(3600);
            assert_eq!(clock.now().as_second(), host.wall.load(Ordering::Relaxed));
        }
    }

    /// The ledger's newest entry may have the time of a host whose clock was days ahead: from there the clock went on when its file was damaged, and
    /// locks ended.
    #[test]
    fn a_damaged_file_does_not_set_it_forward() {
        let host = Host::new();
        host.start().keep().unwrap();
        let path = Path::new("/data/compliance-clock.json");
        let at = |second| Timestamp::from_second(second).unwrap();
        let shows = |wall: i64, known| {
            replace_whole(&host.disk, path, b"xx").unwrap();
            let clocks = (Clock(Arc::new(move || at(wall))), Uptime::system());
            let disk = Arc::new(host.disk.clone());
            ComplianceClock::open(disk, Path::new("/data"), clocks, known).now().as_second()
        };
        let ahead = Some(at(1_900_000_000));
        for wall in [1_800_000_000, 1_950_000_000] {
            let known = Known { compliance: Some(at(1_700_000_000)), wall: ahead };
            assert!((0..60).contains(&(shows(wall, known) - 1_700_000_000)), "{wall}");
        }
        // Before the ledger had both clocks.
        let known = Known { compliance: None, wall: ahead };
        assert!((0..60).contains(&(shows(1_800_000_000, known) - 1_800_000_000)));
        assert!((0..60).contains(&(shows(1_950_000_000, known) - 1_900_000_000)));
        // A file that was put back does not set it back behind what it has shown.
        let kept = serde_json::to_vec(&Kept { time: at(1_600_000_000) }).unwrap();
        replace_whole(&host.disk, path, &kept).unwrap();
        let known = Known { compliance: Some(at(1_700_000_000)), wall: None };
        let clocks = (Clock::system(), Uptime::system());
        let disk = Arc::new(host.disk.clone());
        let clock = ComplianceClock::open(disk, Path::new("/data"), clocks, known);
        assert!(clock.now() >= at(1_700_000_000));
    }

    #[test]
    fn a_hold_counts_more_than_the_end_of_a_lock() {
        let now = Timestamp::from_second(1000).unwrap();
        let until = Timestamp::from_second(1001).unwrap();
        assert_eq!(Retention::default().reason(now), None);
        let locked = Retention { until: Some(until), ..Retention::default() };
        assert!(locked.reason(now).is_some_and(|reason| reason.contains("locked until")));
        assert_eq!(locked.reason(until), None);
        let held = Retention { hold: Some("case 7".into()), ..Retention::default() };
        assert_eq!(held.reason(now).as_deref(), Some("it is held: case 7"));
        let governed = Retention { governed_until: Some(until), ..Retention::default() };
        assert!(governed.reason(now).is_some_and(|reason| reason.contains("--lift-governance")));
        assert_eq!(governed.reason(until), None);
        let due = Retention { dispose_after: Some(until), ..Retention::default() };
        assert_eq!(due.reason(now), None);
    }
}
