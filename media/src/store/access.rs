//! Rules about who may use the libraries, which the ledger keeps.

use super::Store;
use super::error::UndoError;
use crate::access::{AccessRule, SecretOf};
use crate::ledger::Event;

impl Store {
    /// The rules in force, sorted by initiator and library.
    pub fn access_rules(&self) -> Vec<AccessRule> {
        self.inventory().access().to_vec()
    }

    /// Puts rules in force, all of them or none; they are durable when this returns.
    pub fn grant_access(&self, rules: &[AccessRule], actor: &str) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        let events: Vec<Event> =
            rules.iter().map(|rule| Event::AccessGranted { rule: rule.clone() }).collect();
        self.record_changes(&events, actor)
    }

    /// Takes rules away, all of them or none.
    pub fn revoke_access(&self, rules: &[AccessRule], actor: &str) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        let revoked = |rule: &AccessRule| Event::AccessRevoked {
            initiator: rule.initiator.clone(),
            library: rule.library.clone(),
        };
        let events: Vec<Event> = rules.iter().map(revoked).collect();
        self.record_changes(&events, actor)
    }

    /// Notes that a secret was made or replaced; the ledger never has the secret itself.
    pub fn note_secret(
        &self,
        initiator: &str,
        whose: SecretOf,
        actor: &str,
    ) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        let event = Event::SecretReplaced { initiator: initiator.to_owned(), whose };
        self.record_changes(&[event], actor)
    }
}
