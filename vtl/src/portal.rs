//! The portal: who connects, and which sessions there are.

mod accept;
mod reinstatement;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, warn};
use vtl_iscsi::{
    Admission, Budget, CloseReason, LoginReady, LoginStatus, TargetConfig, TargetDescription,
};
use vtl_media::AccessRule;
use vtl_scsi::{BufferPool, ItNexus, Lun, NexusName, Rights};

use self::accept::ConnectionLimits;
pub(crate) use self::accept::Place;
use crate::access::{Access, Door, Gate};
use crate::library::Library;
use crate::pending::Waiting;
use crate::refusals::Refusals;
use crate::session::Message;
use crate::targets::{Layout, Target, View, targets};
use crate::unit::{Ticket, Unit};

/// Sessions of one initiator name with one target, each under an ISID of its own.
const MAX_SESSIONS_OF_NAME: usize = 32;
/// Discovery sessions together, for which no rule may be needed. The oldest is told to go for the next one, and there are never more
/// than twice as many.
const MAX_DISCOVERY: usize = 64;
/// Memory that all connections hold for their peers.
const BUDGET_BYTES: usize = 512 << 20;
/// How long a session whose place is taken may need to end.
const REINSTATEMENT_LIMIT: Duration = Duration::from_secs(5);
/// How long the devices may need to bring to disk what a session wrote.
const SESSION_END_LIMIT: Duration = Duration::from_secs(10);

/// All that connections share.
#[derive(Debug)]
pub(crate) struct Portal {
    /// The library; it knows those that show its snapshots.
    library: Arc<Library>,
    layout: Layout,
    pool: BufferPool,
    started: Instant,
    sessions: Mutex<HashMap<SessionKey, OpenEntry>>,
    next_tsih: AtomicU64,
    next_ticket: AtomicU64,
    pending: Arc<Waiting>,
    limits: ConnectionLimits,
    connections: Arc<Semaphore>,
    budget: Arc<Budget>,
    /// Logins that were refused, as the log is told of them.
    pub(crate) refusals: Refusals,
}

/// What makes two logins the same session (RFC 7143 §4.4.3, with one target portal group).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) initiator: String,
    isid: [u8; 6],
    pub(crate) target: Option<String>,
}

/// A session that has logged in.
pub(crate) struct OpenSession {
    pub(crate) key: SessionKey,
    pub(crate) tsih: u16,
    pub(crate) nexus: ItNexus,
    /// What it sees.
    pub(crate) library: Arc<Library>,
    /// Which of its logical units its target shows.
    pub(crate) view: View,
    /// What it sees and does there.
    pub(crate) rights: Rights,
}

#[derive(Debug)]
struct OpenEntry {
    tsih: u16,
    begun: Instant,
    sender: mpsc::UnboundedSender<Message>,
    grant: Option<Grant>,
    /// Closes when the session has ended in all devices.
    ended: watch::Receiver<()>,
    // Held for its drop, which tells those who wait.
    _alive: watch::Sender<()>,
}

impl OpenSession {
    /// The logical units that exist for it.
    pub(crate) fn units(&self) -> Vec<Arc<Unit>> {
        let mut units = self.library.units();
        units.retain(|unit| self.view.shows(unit.lun) && self.rights.sees(unit.lun));
        units
    }

    /// The number that it uses for a logical unit.
    pub(crate) fn lun(&self, unit: &Unit) -> Lun {
        self.view.outside(unit.lun)
    }

    /// The logical unit that a transport means, if it exists for it.
    pub(crate) fn unit(&self, lun: [u8; 8]) -> Option<Arc<Unit>> {
        let lun = Lun::decode(lun).and_then(|lun| self.view.inside(lun))?;
        self.rights.sees(lun).then(|| self.library.unit(lun))?
    }
}

/// What a session with a target was let in with.
#[derive(Debug, Clone)]
struct Grant {
    library: Arc<Library>,
    view: View,
    nexus: ItNexus,
    name: NexusName,
    /// If the initiator has proved who it is: which secret it proved.
    proved: Option<u64>,
    rights: Rights,
}

impl Grant {
    /// What it would be let in with now; a proof with a secret that was replaced is none.
    fn now(&self) -> Option<Rights> {
        let (access, id) = (&self.library.access, &self.library.record.id);
        let initiator = &self.name.initiator;
        let is_stale = self.proved.is_some_and(|epoch| epoch != access.secret_epoch(initiator));
        if is_stale {
            return None;
        }
        let rights = access.rights(initiator, id, self.proved.is_some())?;
        match self.view {
            View::All => Some(rights),
            View::Only(lun) => rights.sees(lun).then_some(Rights { is_alone: true, ..rights }),
        }
    }
}

impl Portal {
    pub(crate) fn new(library: Arc<Library>, layout: Layout, pool: BufferPool) -> Arc<Self> {
        let limits = ConnectionLimits::of_process();
        let portal = Arc::new(Self {
            library,
            layout,
            pool,
            started: Instant::now(),
            sessions: Mutex::default(),
            next_tsih: AtomicU64::new(1),
            next_ticket: AtomicU64::new(1),
            pending: Waiting::new(limits.pending),
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            budget: Budget::new(BUDGET_BYTES),
            refusals: Refusals::default(),
        });
        let weak = Arc::downgrade(&portal);
        portal.library.on_hide(move |iqn| {
            if let Some(portal) = weak.upgrade() {
                portal.target_gone(iqn);
            }
        });
        let weak = Arc::downgrade(&portal);
        portal.access().on_change(move || {
            if let Some(portal) = weak.upgrade() {
                portal.access_changed();
            }
        });
        portal
    }

    /// The first library.
    #[cfg(test)]
    pub(crate) fn library(&self) -> &Arc<Library> {
        &self.library
    }

    fn access(&self) -> &Arc<Access> {
        &self.library.access
    }

    /// The targets that there are at this moment, and who may use them.
    fn config(&self) -> (Arc<TargetConfig>, Arc<Gate>) {
        let all = self.targets();
        let targets = all.iter().map(|target| TargetDescription {
            alias: Some(target.alias.clone()),
            ..TargetDescription::new(target.name.clone())
        });
        let doors = all.iter().map(|target| Door {
            target: target.name.clone(),
            library: target.library.record.id.clone(),
            view: target.view,
        });
        let gate = Arc::new(Gate::new(Arc::clone(self.access()), doors.collect()));
        let config = TargetConfig {
            admission: Arc::clone(&gate) as Arc<dyn Admission>,
            chap: self.access().chap(),
            budget: Arc::clone(&self.budget),
            ..TargetConfig::new(targets.collect())
        };
        (Arc::new(config), gate)
    }

    fn targets(&self) -> Vec<Target> {
        targets(&self.library.targets(), self.layout)
    }

    /// A library is not there any more: neither are its sessions.
    fn target_gone(&self, iqn: &str) {
        for entry in self.lock().values() {
            let is_meant =
                entry.grant.as_ref().is_some_and(|grant| grant.library.record.iqn == iqn);
            if is_meant && entry.sender.send(Message::Close(CloseReason::TargetReset)).is_err() {
                debug!(tsih = entry.tsih, "the session is ending already");
            }
        }
    }

    /// Takes connections until the program ends.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    debug!(%peer, "connected");
                    self.take(stream, peer);
                }
                Err(error) => {
                    // Out of descriptors, most likely: those who are connected go on.
                    warn!(%error, "a connection was not taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Asks all initiators to log out, and waits until they have or the time is up.
    pub(crate) async fn close(&self, within: Duration) {
        self.tell_others(None, None, || Message::RequestLogout(within));
        let waiting: Vec<_> = self.lock().values().map(|entry| entry.ended.clone()).collect();
        let all = async {
            for mut ended in waiting {
                while ended.changed().await.is_ok() {}
            }
        };
        if tokio::time::timeout(within + Duration::from_secs(1), all).await.is_err() {
            warn!("some initiators did not log out in time");
        }
    }

    /// A login that is otherwise complete: the session that it replaces ends first.
    pub(crate) async fn open_session(
        &self,
        login: &LoginReady,
        gate: &Gate,
        sender: &mpsc::UnboundedSender<Message>,
    ) -> Result<OpenSession, LoginStatus> {
        // Whoever writes his name in another way is the same: for limits, for what he had reserved, and for rules anyway.
        let initiator = AccessRule::normal_name(&login.initiator);
        let key = SessionKey {
            initiator: initiator.clone(),
            isid: login.isid.0,
            target: login.target.clone(),
        };
        let name = NexusName {
            initiator: initiator.into(),
            initiator_port: login.isid.to_string().into(),
        };
        if login.tsih != 0 {
            let exists = self.lock().get(&key).is_some_and(|entry| entry.tsih == login.tsih);
            return Err(if exists {
                LoginStatus::TOO_MANY_CONNECTIONS
            } else {
                LoginStatus::SESSION_DOES_NOT_EXIST
            });
        }
        let (library, view) = match &login.target {
            // It may have gone away since the connection was made.
            Some(name) => {
                let found = self.targets().into_iter().find(|target| target.name == *name);
                found.map(|target| (target.library, target.view)).ok_or(LoginStatus::NOT_FOUND)?
            }
            None => (Arc::clone(&self.library), View::All),
        };
        // A discovery session reaches no device: whoever may use nothing takes nobody's place there.
        let nexus = login.target.as_ref().map_or(ItNexus(0), |_| library.nexus(&name));
        let mut grant = Grant {
            library: Arc::clone(&library),
            view,
            nexus,
            name: name.clone(),
            proved: login.authenticated.map(|_| gate.secret_epoch()),
            rights: Rights::default(),
        };
        if login.target.is_some() {
            grant.rights = grant.now().ok_or(LoginStatus::NOT_FOUND)?;
        }
        let rights = grant.rights.clone();
        let entered = login.target.is_some().then(|| grant.clone());
        let tsih = self.take_place(&key, sender, entered).await?;
        let open = OpenSession { key, tsih, nexus, library, view, rights };
        // A change that came before the session was in the list was not told to it.
        if login.target.is_some() && grant.now().as_ref() != Some(&grant.rights) {
            self.close_session(open).await;
            return Err(LoginStatus::NOT_FOUND);
        }
        if login.target.is_some()
            && !begin(&open.library, view, [None, Some(&open.rights)], nexus, &name)
        {
            warn!(
                initiator = login.initiator,
                "a logical unit is stuck; too many sessions began since"
            );
            self.close_session(open).await;
            return Err(LoginStatus::OUT_OF_RESOURCES);
        }
        Ok(open)
    }

    /// A session is over: its tasks end, and what it held in the devices. Whether everything that it wrote is on disk: a unit that
    /// is stuck is not waited for without end.
    pub(crate) async fn close_session(&self, session: OpenSession) -> bool {
        let OpenSession { key, tsih, nexus, library, view, .. } = session;
        let mut is_synced = true;
        if key.target.is_some() {
            // First all of them are told, and then those are waited for that have something to bring to disk.
            let ends: Vec<_> = library
                .units()
                .into_iter()
                .filter(|unit| view.shows(unit.lun))
                .filter_map(|unit| {
                    let (told, end) = oneshot::channel::<()>();
                    unit.nexus_ends(nexus, told).then_some(end)
                })
                .collect();
            let all = async {
                for end in ends {
                    // Nothing is ever sent: the end of the channel is the news.
                    let _ended = end.await;
                }
            };
            is_synced = tokio::time::timeout(SESSION_END_LIMIT, all).await.is_ok();
            if !is_synced {
                warn!(
                    initiator = key.initiator,
                    "a logical unit is stuck: the session ends without it"
                );
            }
        }
        let mut sessions = self.lock();
        if sessions.get(&key).is_some_and(|entry| entry.tsih == tsih) {
            sessions.remove(&key);
        }
        is_synced
    }

    /// Rules or secrets are others now: sessions that could not be opened any more as they are end, and those that may do
    /// more can do it. Returns when that is so, unless a session takes too long. Not to be called by the threads of the portal.
    fn access_changed(&self) {
        let mut ending = Vec::new();
        let mut widened = Vec::new();
        for entry in self.lock().values_mut() {
            let Some(grant) = &mut entry.grant else { continue };
            match grant.now() {
                Some(now) if now == grant.rights => {}
                Some(now) if !grant.rights.exceed(&now) => {
                    let before = std::mem::replace(&mut grant.rights, now);
                    widened.push((grant.clone(), before, entry.sender.clone()));
                }
                _ => {
                    if entry.sender.send(Message::Close(CloseReason::AccessRevoked)).is_err() {
                        debug!(tsih = entry.tsih, "the session is ending already");
                    }
                    ending.push(entry.ended.clone());
                }
            }
        }
        for (grant, before, sender) in widened {
            let Grant { library, view, nexus, name, rights, .. } = grant;
            if !begin(&library, view, [Some(&before), Some(&rights)], nexus, &name)
                || sender.send(Message::Rights(rights)).is_err()
            {
                debug!(%nexus, "the session does not get its new rights");
            }
        }
        let all = async {
            for mut ended in ending {
                while ended.changed().await.is_ok() {}
            }
        };
        if let Ok(runtime) = Handle::try_current()
            && runtime.block_on(tokio::time::timeout(REINSTATEMENT_LIMIT, all)).is_err()
        {
            warn!("a session that was shut out takes long to end");
        }
    }

    /// Sends something to all sessions of a target, or of all targets, but one session.
    pub(crate) fn tell_others(
        &self,
        target: Option<&str>,
        but: Option<u16>,
        message: impl Fn() -> Message,
    ) {
        for (key, entry) in self.lock().iter() {
            let is_meant = target.is_none() || key.target.as_deref() == target;
            if !is_meant || Some(entry.tsih) == but {
                continue;
            }
            if entry.sender.send(message()).is_err() {
                debug!(tsih = entry.tsih, "the session is ending already");
            }
        }
    }

    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// The time as connections count it.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A moment as connections count it.
    pub(crate) fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    pub(crate) fn instant(&self, time: Duration) -> Instant {
        self.started + time
    }

    fn free_tsih(&self, sessions: &HashMap<SessionKey, OpenEntry>) -> u16 {
        loop {
            let next = self.next_tsih.fetch_add(1, Ordering::Relaxed);
            // 1 to 65535; there are fewer sessions than numbers.
            let tsih = u16::try_from(next % u64::from(u16::MAX)).unwrap_or(0) + 1;
            if sessions.values().all(|entry| entry.tsih != tsih) {
                return tsih;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionKey, OpenEntry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session begins in the logical units that it sees, and has not seen before. `false` if one of them is stuck.
fn begin(
    library: &Library,
    view: View,
    [before, rights]: [Option<&Rights>; 2],
    nexus: ItNexus,
    name: &NexusName,
) -> bool {
    let sees = |rights: Option<&Rights>, lun| rights.is_some_and(|rights| rights.sees(lun));
    let is_new = |lun| view.shows(lun) && sees(rights, lun) && !sees(before, lun);
    let units = library.units();
    units.iter().filter(|unit| is_new(unit.lun)).all(|unit| unit.nexus_begins(nexus, name))
}
