//! What the rules mean for one initiator.

use vtl_iscsi::{Authentication, Credentials};
use vtl_media::{AccessRule, LibraryId};
use vtl_scsi::{Lun, Rights};

use super::{Listener, StoredSecrets};

/// The rules as one initiator meets them.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    rules: &'a [AccessRule],
    /// In its normal form.
    initiator: String,
    listener: Listener,
}

impl<'a> Policy<'a> {
    pub(super) fn new(rules: &'a [AccessRule], initiator: String, listener: Listener) -> Self {
        Self { rules, initiator, listener }
    }

    pub(super) fn initiator(&self) -> &str {
        &self.initiator
    }

    pub(super) fn rights(&self, library: &LibraryId, is_authenticated: bool) -> Option<Rights> {
        if self.rules.is_empty() {
            return self.listener.trusts_names().then(Rights::default);
        }
        let rule = self.rule(library)?;
        let is_proved = if rule.chap { is_authenticated } else { self.listener.trusts_names() };
        is_proved.then(|| Rights {
            luns: rule.luns.as_ref().map(|luns| luns.iter().copied().map(Lun).collect()),
            is_read_only: rule.read_only,
            is_alone: false,
        })
    }

    /// What has to be proved before anything is said of a library, or of any in a discovery session.
    ///
    /// Where some rule requires CHAP, an initiator without a rule is treated as if it had one: whoever tries names does
    /// not learn from the answers which of them are worth trying secrets for.
    pub(super) fn authentication(
        &self,
        library: Option<&LibraryId>,
        stored: Option<&StoredSecrets>,
        target_user: &str,
    ) -> Authentication {
        let has_own = self.own().next().is_some();
        let is_required = match library.map(|library| self.rule(library)) {
            _ if self.rules.is_empty() => !self.listener.trusts_names(),
            _ if !has_own => {
                self.rules.iter().any(|rule| rule.chap) || !self.listener.trusts_names()
            }
            Some(Some(rule)) => rule.chap || !self.listener.trusts_names(),
            // Not the one that it may use without CHAP, if there is such a one: then another.
            Some(None) => self.own().any(|rule| rule.chap),
            // It sees those that it may use without.
            None => self.own().all(|rule| rule.chap) || !self.listener.trusts_names(),
        };
        Authentication { is_required, credentials: self.credentials(stored, target_user) }
    }

    fn credentials(
        &self,
        stored: Option<&StoredSecrets>,
        target_user: &str,
    ) -> Option<Credentials> {
        let stored = stored?;
        let secret = stored.secret.as_ref()?;
        let with_chap = || self.own().filter(|rule| rule.chap);
        let mut users: Vec<String> = with_chap()
            .map(|rule| rule.user.clone().unwrap_or_else(|| self.initiator.clone()))
            .collect();
        users.dedup();
        if users.is_empty() {
            return None;
        }
        let target = stored.target_secret.as_ref().filter(|_| with_chap().any(|rule| rule.mutual));
        Some(Credentials {
            users,
            secret: Some(secret.to_secret()),
            target: target.map(|secret| (target_user.to_owned(), secret.to_secret())),
        })
    }

    fn own(&self) -> impl Iterator<Item = &'a AccessRule> + '_ {
        self.rules.iter().filter(|rule| rule.is_about(&self.initiator))
    }

    /// The rule for a library, else the one for those that have none.
    fn rule(&self, library: &LibraryId) -> Option<&'a AccessRule> {
        let of = |wanted: Option<&LibraryId>| {
            self.own().find(move |rule| rule.library.as_ref() == wanted)
        };
        // The rule for all libraries is for those that there are.
        of(Some(library)).or_else(|| of(None).filter(|_| !library.0.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::SecretText;

    const OPEN: Listener = Listener { is_loopback: true, allows_unauthenticated: false };
    const OUTSIDE: Listener = Listener { is_loopback: false, allows_unauthenticated: false };
    const HOST: &str = "iqn.2026-11.example:host";

    fn rule(library: Option<&str>, chap: bool) -> AccessRule {
        AccessRule {
            initiator: HOST.to_owned(),
            library: library.map(library_id),
            chap,
            mutual: false,
            user: None,
            luns: None,
            read_only: false,
        }
    }

    fn library_id(name: &str) -> LibraryId {
        LibraryId(name.to_owned())
    }

    /// Whether CHAP is required, and whether the library is there without and with it.
    fn outcome(
        rules: &[AccessRule],
        initiator: &str,
        listener: Listener,
        library: &str,
    ) -> (bool, bool, bool) {
        let policy = Policy::new(rules, initiator.to_owned(), listener);
        let library = library_id(library);
        (
            policy.authentication(Some(&library), None, "").is_required,
            policy.rights(&library, false).is_some(),
            policy.rights(&library, true).is_some(),
        )
    }

    #[test]
    fn without_rules_the_listener_decides() {
        assert_eq!(outcome(&[], HOST, OPEN, "a"), (false, true, true));
        assert_eq!(outcome(&[], HOST, OUTSIDE, "a"), (true, false, false));
        let allowed = Listener { allows_unauthenticated: true, ..OUTSIDE };
        assert_eq!(outcome(&[], HOST, allowed, "a"), (false, true, true));
    }

    #[test]
    fn one_rule_shuts_everybody_else_out() {
        let open = [rule(None, false)];
        assert_eq!(outcome(&open, HOST, OPEN, "a"), (false, true, true));
        assert_eq!(outcome(&open, "iqn.2026-11.example:other", OPEN, "a"), (false, false, false));
        // A rule that came from somewhere else lets nobody in from outside.
        assert_eq!(outcome(&open, HOST, OUTSIDE, "a"), (true, false, false));
        // Strangers are asked as if they were known.
        let closed = [rule(None, true)];
        assert_eq!(outcome(&closed, HOST, OPEN, "a"), (true, false, true));
        assert_eq!(outcome(&closed, "iqn.2026-11.example:other", OPEN, "a"), (true, false, false));
    }

    #[test]
    fn a_rule_for_one_library_goes_before_the_one_for_all() {
        let rules = [rule(None, true), AccessRule { read_only: true, ..rule(Some("a"), false) }];
        assert_eq!(outcome(&rules, HOST, OPEN, "a"), (false, true, true));
        assert_eq!(outcome(&rules, HOST, OPEN, "b"), (true, false, true));
        let policy = Policy::new(&rules, HOST.to_owned(), OPEN);
        assert!(policy.rights(&library_id("a"), false).unwrap().is_read_only);
        assert!(!policy.rights(&library_id("b"), true).unwrap().is_read_only);
        // Discovery without CHAP shows what is there without it.
        assert!(!policy.authentication(None, None, "").is_required);
        let only = [rule(Some("a"), true)];
        assert_eq!(outcome(&only, HOST, OPEN, "b"), (true, false, false));
        assert!(
            Policy::new(&only, HOST.to_owned(), OPEN).authentication(None, None, "").is_required
        );
    }

    #[test]
    fn credentials_are_those_of_rules_with_chap() {
        let stored = StoredSecrets {
            secret: Some(SecretText::new("not-a-real-secret")),
            target_secret: Some(SecretText::new("another-unreal-secret")),
        };
        let of = |rules: &[AccessRule]| {
            let policy = Policy::new(rules, HOST.to_owned(), OPEN);
            policy.authentication(None, Some(&stored), "library").credentials
        };
        assert!(of(&[]).is_none() && of(&[rule(None, false)]).is_none());
        let one_way = of(&[rule(None, true)]).unwrap();
        assert_eq!(
            (one_way.users.as_slice(), one_way.target.is_none()),
            (&[HOST.to_owned()][..], true)
        );
        let user = Some("backup".to_owned());
        let both = of(&[AccessRule { mutual: true, user, ..rule(None, true) }]).unwrap();
        assert_eq!(both.users, ["backup"]);
        assert_eq!(both.target.unwrap().0, "library");
    }
}
