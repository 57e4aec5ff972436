//! What all sessions share, and a session that is opened again whenever it is gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use vtl::measure::{Done, Initiator};

/// More unit attentions than a target keeps for one nexus.
const MAX_ATTENTIONS: u32 = 40;

/// Whoever has not logged in by then is locked out.
const LOGIN_LIMIT: Duration = Duration::from_secs(20);

/// How long commands took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// TEST UNIT READY.
    pub(crate) ready: Vec<Duration>,
    /// WRITE of 64 KiB.
    pub(crate) write: Vec<Duration>,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) asked: AtomicU64,
    pub(crate) moves: AtomicU64,
    pub(crate) logins: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) resets: AtomicU64,
}

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    portal: String,
    target: String,
    /// Taken for writing by a reset: commands that it ends are not answered, and would be waited for.
    calm: RwLock<()>,
    is_over: AtomicBool,
    failures: Mutex<Vec<String>>,
    times: Mutex<Times>,
    counts: Counts,
}

/// A session under a name.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
    initiator: Option<Initiator>,
}

impl Shared {
    pub(crate) fn new(portal: &str, target: &str) -> Self {
        Self {
            portal: portal.to_owned(),
            target: target.to_owned(),
            calm: RwLock::default(),
            is_over: AtomicBool::new(false),
            failures: Mutex::default(),
            times: Mutex::default(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn begin(&self) {
        self.is_over.store(false, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Nothing is reset while this is held.
    pub(crate) fn calm(&self) -> RwLockReadGuard<'_, ()> {
        self.calm.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// No command is under way while this is held.
    pub(crate) fn quiet(&self) -> RwLockWriteGuard<'_, ()> {
        self.calm.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn times(&self) -> MutexGuard<'_, Times> {
        lock(&self.times)
    }

    pub(crate) fn take_times(&self) -> Times {
        std::mem::take(&mut *self.times())
    }

    /// The first failure ends everything.
    pub(crate) fn note_failure(&self, result: anyhow::Result<()>, who: &str) {
        if let Err(error) = result {
            lock(&self.failures).push(format!("{who}: {error:#}"));
            self.stop();
        }
    }

    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        match lock(&self.failures).first() {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }
}

impl Host {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: format!("iqn.2026-11.io.vtl:soak.{name}"), initiator: None }
    }

    /// The session, which is opened if there is none.
    pub(crate) fn session(&mut self, shared: &Shared) -> anyhow::Result<&mut Initiator> {
        let session = if let Some(session) = self.initiator.take() {
            session
        } else {
            shared.counts.logins.fetch_add(1, Ordering::Relaxed);
            self.log_in(shared)?
        };
        Ok(self.initiator.insert(session))
    }

    /// Logs in, as often as needed: of more than a few logins under way from one address the oldest have to go.
    fn log_in(&self, shared: &Shared) -> anyhow::Result<Initiator> {
        let begin = Instant::now();
        loop {
            match Initiator::login(&shared.portal, &self.name, &shared.target) {
                Ok(session) => return Ok(session),
                Err(error) if begin.elapsed() > LOGIN_LIMIT => {
                    return Err(error).with_context(|| format!("login as {}", self.name));
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Ends the session in order.
    pub(crate) fn log_out(&mut self) -> anyhow::Result<()> {
        self.initiator.take().map_or(Ok(()), Initiator::logout)
    }

    /// Ends the connection in the middle of a command.
    pub(crate) fn cut(
        &mut self,
        shared: &Shared,
        lun: u64,
        cdb: &[u8],
        data: Vec<u8>,
    ) -> anyhow::Result<()> {
        self.session(shared)?.send(lun, cdb, data, 0)?;
        self.initiator = None;
        shared.counts.cuts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// TEST UNIT READY until nothing is left to be told.
    pub(crate) fn settle(&mut self, shared: &Shared, lun: u64) -> anyhow::Result<()> {
        for _ in 0..MAX_ATTENTIONS {
            let done = self.session(shared)?.run(lun, &[0; 6], Vec::new(), 0)?;
            if done.status == 0 {
                return Ok(());
            }
            if !is_attention(&done) {
                return vtl::measure::good(&done).context("TEST UNIT READY");
            }
        }
        bail!("logical unit {lun} never settles")
    }

    /// How long a TEST UNIT READY takes; not counted where there was something to be told.
    pub(crate) fn time_ready(&mut self, shared: &Shared, lun: u64) -> anyhow::Result<()> {
        let session = self.session(shared)?;
        let begin = Instant::now();
        let done = session.run(lun, &[0; 6], Vec::new(), 0)?;
        let took = begin.elapsed();
        if done.status == 0 {
            shared.times().ready.push(took);
        }
        Ok(())
    }
}

/// Whether a unit only had something to tell.
pub(crate) fn is_attention(done: &Done) -> bool {
    done.status == 2 && done.sense.get(2).is_some_and(|key| key & 0x0f == 6)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
