//! Who may log in, and what he sees: rules from the ledger, secrets from their file.
//!
//! Without any rule, whoever reaches a listener that is meant for everybody is let in. With the first rule only those are
//! let in that have one. Everything is decided anew for each login, so that a change counts at once.

mod orders;
mod policy;
mod secret_text;
mod secrets;
mod strength;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vtl_iscsi::{Admission, Authentication, ChallengeBook, Chap, ChapAlgorithm, RandomFailed};
use vtl_media::{AccessRule, LibraryId, Store};
use vtl_scsi::Rights;

pub(crate) use orders::{
    add, initiator_name, list, new_secret, random_secret, read_secret, read_secrets, remove,
};
pub(crate) use secret_text::SecretText;
pub(crate) use secrets::SecretsError;

use crate::targets::View;
use policy::Policy;
use secrets::{Secrets, StoredSecrets};

/// Who may log in, for all libraries of a data directory.
#[derive(Debug)]
pub(crate) struct Access {
    store: Arc<Store>,
    listener: Mutex<Listener>,
    chap: Mutex<Chap>,
    /// As they were when they were last read or written.
    secrets: Mutex<Secrets>,
    /// How often an initiator's secrets were replaced: a proof counts as long as the secret behind it does.
    epochs: Mutex<HashMap<String, u64>>,
    on_change: Mutex<Option<OnChange>>,
    /// Whoever rehearses a recovery logs in under a name that nobody else has been told, and sees one library.
    guests: Mutex<HashMap<String, LibraryId>>,
}

/// What the configuration says of the place where initiators connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener {
    /// Whether only this machine can reach it.
    pub(crate) is_loopback: bool,
    /// Whether somebody has said in so many words that CHAP is not needed.
    pub(crate) allows_unauthenticated: bool,
}

impl Listener {
    /// Whether an initiator may be let in that proves nothing.
    pub(crate) fn trusts_names(self) -> bool {
        self.is_loopback || self.allows_unauthenticated
    }
}

impl Default for Listener {
    /// Nobody listens: the command line works on the directory itself.
    fn default() -> Self {
        Self { is_loopback: true, allows_unauthenticated: false }
    }
}

/// Whether the secrets of a data directory can be used, before anything is switched on.
pub(crate) fn check_secrets(directory: &Path) -> Result<(), SecretsError> {
    Secrets::read(directory).map(drop)
}

/// Told of changes; it returns when they have taken effect.
struct OnChange(Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for OnChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnChange")
    }
}

impl Access {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|_| RandomFailed);
        let chap = Chap { challenges: ChallengeBook::new(random), ..Chap::default() };
        Self {
            store,
            listener: Mutex::default(),
            chap: Mutex::new(chap),
            secrets: Mutex::default(),
            epochs: Mutex::default(),
            on_change: Mutex::default(),
            guests: Mutex::default(),
        }
    }

    /// A name under which somebody may read one library until [`Access::dismiss`], whatever the rules say: a drill must not need rules of its
    /// own, which others could use as well.
    pub(crate) fn invite(&self, library: &LibraryId) -> String {
        let name = format!("{GUEST}{}", uuid::Uuid::new_v4().simple());
        lock(&self.guests).insert(name.clone(), library.clone());
        name
    }

    /// Nobody is a guest of a library any more.
    pub(crate) fn dismiss(&self, library: &LibraryId) {
        lock(&self.guests).retain(|_, of| of != library);
    }

    fn is_guest(&self, initiator: &str, library: Option<&LibraryId>) -> bool {
        let name = AccessRule::normal_name(initiator);
        library.is_some() && lock(&self.guests).get(&name) == library
    }

    /// Before anybody may connect: what the configuration says, and the secrets.
    pub(crate) fn start(
        &self,
        listener: Listener,
        algorithms: &[ChapAlgorithm],
    ) -> Result<(), SecretsError> {
        *lock(&self.listener) = listener;
        algorithms.clone_into(&mut lock(&self.chap).algorithms);
        let secrets = Secrets::read(self.directory())?;
        for rule in self.store.access_rules().iter().filter(|rule| rule.chap) {
            if secrets.of(&rule.initiator).is_none_or(|stored| stored.secret.is_none()) {
                tracing::warn!(
                    initiator = rule.initiator,
                    "it has to authenticate, and no secret is stored for it: `vtl secret new` makes one"
                );
            }
        }
        *lock(&self.secrets) = secrets;
        Ok(())
    }

    /// Whoever has sessions is told of changes.
    pub(crate) fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        *lock(&self.on_change) = Some(OnChange(Arc::new(tell)));
    }

    /// What an initiator may see and do in a library; none if it may not log in there.
    pub(crate) fn rights(
        &self,
        initiator: &str,
        library: &LibraryId,
        is_authenticated: bool,
    ) -> Option<Rights> {
        if self.is_guest(initiator, Some(library)) {
            return Some(Rights { is_read_only: true, ..Rights::default() });
        }
        let rules = self.store.access_rules();
        self.policy(&rules, initiator).rights(library, is_authenticated)
    }

    /// Which of an initiator's secrets counts now.
    pub(crate) fn secret_epoch(&self, initiator: &str) -> u64 {
        let name = AccessRule::normal_name(initiator);
        lock(&self.epochs).get(&name).copied().unwrap_or_default()
    }

    fn next_secret_epoch(&self, initiator: &str) {
        *lock(&self.epochs).entry(initiator.to_owned()).or_default() += 1;
    }

    /// The negotiation of CHAP, as it is configured.
    pub(crate) fn chap(&self) -> Chap {
        lock(&self.chap).clone()
    }

    fn listener(&self) -> Listener {
        *lock(&self.listener)
    }

    fn policy<'a>(&self, rules: &'a [AccessRule], initiator: &str) -> Policy<'a> {
        Policy::new(rules, AccessRule::normal_name(initiator), self.listener())
    }

    fn authentication(&self, initiator: &str, library: Option<&LibraryId>) -> Authentication {
        if self.is_guest(initiator, library) {
            return Authentication { is_required: false, credentials: None };
        }
        let rules = self.store.access_rules();
        let policy = self.policy(&rules, initiator);
        let secrets = lock(&self.secrets);
        let target_user = self.target_user();
        policy.authentication(library, secrets.of(policy.initiator()), &target_user)
    }

    /// The name that the target goes by in CHAP: the same for all its libraries, as an initiator may know only one.
    fn target_user(&self) -> String {
        self.store.first_library().map(|library| library.iqn).unwrap_or_default()
    }

    fn directory(&self) -> &Path {
        self.store.directory()
    }

    fn tell(&self) {
        // Not called under the lock: it waits for sessions, which ask for rights.
        let tell = lock(&self.on_change).as_ref().map(|OnChange(tell)| Arc::clone(tell));
        if let Some(tell) = tell {
            tell();
        }
    }
}

/// What a connection asks: targets are known to it by their names.
#[derive(Debug)]
pub(crate) struct Gate {
    access: Arc<Access>,
    targets: Vec<Door>,
    /// That of the secret which the initiator is to know.
    secret_epoch: AtomicU64,
}

/// A target's name, and what is behind it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) target: String,
    pub(crate) library: LibraryId,
    pub(crate) view: View,
}

impl Gate {
    pub(crate) fn new(access: Arc<Access>, targets: Vec<Door>) -> Self {
        Self { access, targets, secret_epoch: AtomicU64::new(0) }
    }

    /// Which secret the connection was asked to prove: not the one that counts now if it was replaced meanwhile.
    pub(crate) fn secret_epoch(&self) -> u64 {
        self.secret_epoch.load(Ordering::Relaxed)
    }

    fn door(&self, target: &str) -> Option<&Door> {
        self.targets.iter().find(|door| door.target.eq_ignore_ascii_case(target))
    }
}

impl Admission for Gate {
    fn admits(&self, initiator: &str, target: &str, is_authenticated: bool) -> bool {
        // Discovery sessions ask again and again: what was proved with a secret that was replaced since is not proved any more.
        let is_proved =
            is_authenticated && self.access.secret_epoch(initiator) == self.secret_epoch();
        self.door(target).is_some_and(|Door { library, view, .. }| {
            let rights = self.access.rights(initiator, library, is_proved);
            rights.is_some_and(|rights| match view {
                View::All => true,
                View::Only(lun) => rights.sees(*lun),
            })
        })
    }

    fn authentication(&self, initiator: &str, target: Option<&str>) -> Authentication {
        // First: a secret that is replaced from now on may be taken, and is then found to be too old.
        self.secret_epoch.store(self.access.secret_epoch(initiator), Ordering::Relaxed);
        // A target that does not exist is one that nobody has a rule for.
        let none = LibraryId(String::new());
        let library = target.map(|target| self.door(target).map_or(&none, |door| &door.library));
        self.access.authentication(initiator, library)
    }
}

/// What the names of guests begin with; 32 digits follow.
const GUEST: &str = "iqn.2026-11.io.vtl:drill.";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
