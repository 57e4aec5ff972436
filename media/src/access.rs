//! Who may use the libraries: rules for initiators, as the ledger keeps them. Secrets are not among them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::place::LibraryId;

/// What one initiator may do with one library, or with all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRule {
    /// The initiator's iSCSI name, in lower case.
    pub initiator: String,
    /// The library; none means each one that has no rule of its own for this initiator.
    #[serde(default)]
    pub library: Option<LibraryId>,
    /// Whether the initiator has to prove who it is.
    pub chap: bool,
    /// Whether the target has a secret to prove itself with.
    #[serde(default)]
    pub mutual: bool,
    /// The name that the initiator goes by in CHAP.
    #[serde(default)]
    pub user: Option<String>,
    /// The numbers of the logical units that it sees, ascending; none means all.
    #[serde(default)]
    pub luns: Option<Vec<u16>>,
    /// Whether it may change nothing on a cartridge.
    #[serde(default)]
    pub read_only: bool,
}

/// Whose secret was made or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretOf {
    /// The one that the initiator proves itself with.
    Initiator,
    /// The one that the target proves itself with, to this initiator.
    Target,
}

impl AccessRule {
    /// The form in which names of initiators are kept and compared (RFC 7143 §4.2.7.2).
    pub fn normal_name(initiator: &str) -> String {
        initiator.to_lowercase()
    }

    /// Whether it is about this initiator, whose name is in its normal form.
    pub fn is_about(&self, initiator: &str) -> bool {
        self.initiator == initiator
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.library {
            Some(library) => write!(f, "{} at {library}", self.initiator),
            None => f.write_str(&self.initiator),
        }
    }
}

/// The rules that are in force. Invariant: no two are about the same initiator and library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccessRules(Vec<AccessRule>);

impl AccessRules {
    /// A rule takes the place of the one that was there.
    pub(crate) fn grant(&mut self, rule: &AccessRule) {
        self.revoke(&rule.initiator, rule.library.as_ref());
        self.0.push(rule.clone());
        self.0.sort_by(|a, b| (&a.initiator, &a.library).cmp(&(&b.initiator, &b.library)));
    }

    pub(crate) fn revoke(&mut self, initiator: &str, library: Option<&LibraryId>) {
        self.0.retain(|rule| !(rule.is_about(initiator) && rule.library.as_ref() == library));
    }

    pub(crate) fn all(&self) -> &[AccessRule] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(initiator: &str, library: Option<&str>) -> AccessRule {
        AccessRule {
            initiator: initiator.to_owned(),
            library: library.map(|name| LibraryId(name.to_owned())),
            chap: true,
            mutual: false,
            user: None,
            luns: None,
            read_only: false,
        }
    }

    #[test]
    fn there_is_one_rule_for_each_initiator_and_library() {
        let mut rules = AccessRules::default();
        for new in [rule("b", None), rule("a", Some("x")), rule("a", None), rule("a", Some("x"))] {
            rules.grant(&new);
        }
        assert_eq!(rules.all(), [rule("a", None), rule("a", Some("x")), rule("b", None)]);
        rules.grant(&AccessRule { read_only: true, ..rule("b", None) });
        assert!(rules.all()[2].read_only);
        rules.revoke("a", None);
        rules.revoke("a", Some(&LibraryId("y".to_owned())));
        assert_eq!(rules.all().len(), 2);
        assert_eq!(AccessRule::normal_name("IQN.2026-11.Example:Host"), "iqn.2026-11.example:host");
    }
}
