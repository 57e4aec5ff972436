//! The handles of nexuses: whoever comes back is the same as before, so that what he had reserved is his again.

use std::collections::{BTreeMap, HashMap};

use vtl_scsi::{ItNexus, NexusName};

/// As many nexuses keep their handle; devices forget those longest away on their own.
const MAX_NEXUSES: usize = 4096;

/// Initiator and its port: what stays the same from one session to the next.
type Key = (String, String);

/// Who has which handle.
#[derive(Debug, Default)]
pub(crate) struct Nexuses {
    // Invariant: at most MAX_NEXUSES
    handles: BTreeMap<Key, ItNexus>,
    /// How many were given.
    given: u64,
}

impl Nexuses {
    /// The handle of a nexus: the same one each time it comes. Where there are too many, the oldest is forgotten of the initiator that
    /// has most of them: ports are an initiator's own choice, and a new one with each login costs nobody else his handle.
    pub(crate) fn handle(&mut self, name: &NexusName) -> ItNexus {
        let key = (name.initiator.to_string(), name.initiator_port.to_string());
        if let Some(nexus) = self.handles.get(&key) {
            return *nexus;
        }
        if self.handles.len() >= MAX_NEXUSES
            && let Some(victim) = self.victim(&key.0)
        {
            self.handles.remove(&victim);
        }
        // 0 is nobody's.
        self.given += 1;
        let nexus = ItNexus(self.given);
        self.handles.insert(key, nexus);
        nexus
    }

    /// The initiator of a nexus, as long as it is remembered.
    pub(crate) fn initiator(&self, nexus: ItNexus) -> Option<String> {
        let found = self.handles.iter().find(|(_, known)| **known == nexus);
        found.map(|((initiator, _), _)| initiator.clone())
    }

    fn victim(&self, newcomer: &str) -> Option<Key> {
        let mut counts: HashMap<&str, usize> = HashMap::from([(newcomer, 1)]);
        for (initiator, _) in self.handles.keys() {
            *counts.entry(initiator).or_default() += 1;
        }
        let count = |key: &Key| counts.get(key.0.as_str()).copied().unwrap_or_default();
        let most = self.handles.keys().map(count).max()?;
        let candidates = self.handles.iter().filter(|(key, _)| count(key) == most);
        candidates.min_by_key(|(_, nexus)| **nexus).map(|(key, _)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(initiator: &str, port: usize) -> NexusName {
        NexusName {
            initiator: initiator.into(),
            initiator_port: format!("{port:012x}").as_str().into(),
        }
    }

    // When the table was full, the first in the alphabet was forgotten. An initiator that may use one drive could log in 4096 times,
    // under a port of its own each time, and the backup server's persistent reservation of another drive was not its own any more
    // when it came back: it was locked out of its drive by itself.
    #[test]
    fn many_ports_of_one_initiator_cost_nobody_else_his_handle() {
        let mut nexuses = Nexuses::default();
        let server = nexuses.handle(&name("iqn.1994-05.com.example:a", 1));
        let mut last = ItNexus(0);
        for port in 0..2 * MAX_NEXUSES {
            last = nexuses.handle(&name("iqn.2026-11.example:z", port));
        }
        assert_eq!(nexuses.handle(&name("iqn.1994-05.com.example:a", 1)), server);
        assert_eq!(nexuses.initiator(server).as_deref(), Some("iqn.1994-05.com.example:a"));
        assert_eq!(nexuses.handle(&name("iqn.2026-11.example:z", 2 * MAX_NEXUSES - 1)), last);
        assert_eq!(nexuses.handles.len(), MAX_NEXUSES);
        // A handle that was forgotten is nobody's again.
        assert!(nexuses.handle(&name("iqn.2026-11.example:z", 0)) > last);
    }
}
