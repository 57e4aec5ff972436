//! What one initiator may take from others.

use super::{PersistentReservations, Registrant};
use crate::{ItNexus, NexusName};

/// As many of one initiator: it has one for each port that it ever registered, and chooses its ports itself.
const MAX_REGISTRANTS_OF_INITIATOR: usize = 128;

impl PersistentReservations {
    /// Whether other initiators than this nexus' own lose a registration, or their reservation, if it becomes like this.
    pub(crate) fn others_lose(
        &self,
        after: &Self,
        nexus: ItNexus,
        own: Option<&NexusName>,
    ) -> bool {
        let is_others = |(other, registrant): (&ItNexus, &Registrant)| {
            let initiator = |name: Option<&NexusName>| name.map(|name| name.initiator.clone());
            *other != nexus
                && (own.is_none() || initiator(registrant.name.as_ref()) != initiator(own))
        };
        let is_gone = |other: &ItNexus| !after.registrants.contains_key(other);
        let holder = self.reservation.and_then(|held| self.registrants.get_key_value(&held.maker));
        self.registrants.iter().any(|one| is_gone(one.0) && is_others(one))
            || self.reservation != after.reservation && holder.is_some_and(is_others)
    }

    /// Whether so many nexuses of an initiator are registered that there is no place for another one.
    pub(super) fn has_all_places(&self, name: Option<&NexusName>) -> bool {
        let Some(name) = name else { return false };
        let is_kin = |one: &&Registrant| {
            one.name.as_ref().is_some_and(|other| other.initiator == name.initiator)
        };
        self.registrants.values().filter(is_kin).count() >= MAX_REGISTRANTS_OF_INITIATOR
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Denied, MAX_REGISTRANTS};
    use super::*;

    // Registrations outlive sessions, and ports are an initiator's own choice: one initiator could take all 1024 places, and nobody else
    // could register, not even to clear them.
    #[test]
    fn one_initiator_does_not_take_all_places() {
        let name = |initiator: &str, port: u64| NexusName {
            initiator: initiator.into(),
            initiator_port: port.to_string().as_str().into(),
        };
        let mut all = PersistentReservations::default();
        let outcomes: Vec<_> = (0..MAX_REGISTRANTS as u64)
            .map(|port| all.register(ItNexus(port), Some(name("a", port)), None, 5))
            .collect();
        let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(done, MAX_REGISTRANTS_OF_INITIATOR);
        assert_eq!(outcomes.last(), Some(&Err(Denied::NoRoom)));
        all.register(ItNexus(5000), Some(name("b", 1)), None, 5).unwrap();
        // Who is registered may change its key all the same.
        all.register(ItNexus(0), Some(name("a", 0)), Some(5), 6).unwrap();
    }
}
