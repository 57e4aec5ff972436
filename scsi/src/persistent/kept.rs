//! Reservations that outlive the program.

use std::fmt;

use super::{MAX_REGISTRANTS, PersistentReservations, Registrant, Reservation, ReservationType};
use crate::{ItNexus, NexusName};

/// What is to be there again after a start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Who is registered, with which key.
    pub registrants: Vec<(NexusName, u64)>,
    /// The type of the reservation, and which of them made it.
    pub reservation: Option<(ReservationType, usize)>,
}

/// Makes reservations durable.
pub struct Keeper(Box<dyn Fn(&Kept) -> bool + Send>);

impl Keeper {
    /// `keep` returns when it is durable, and says whether it is.
    pub fn new(keep: impl Fn(&Kept) -> bool + Send + 'static) -> Self {
        Self(Box::new(keep))
    }

    pub(super) fn keep(&self, kept: &Kept) -> bool {
        (self.0)(kept)
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

impl PersistentReservations {
    /// Whether they outlive the program (`PTPL_A`).
    pub(crate) fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub(super) fn set_kept(&mut self, is_kept: bool) {
        self.is_kept = is_kept;
    }

    /// What has to be kept: nothing, if nobody wants it.
    pub(super) fn kept(&self) -> Kept {
        if !self.is_kept {
            return Kept::default();
        }
        let named =
            |(nexus, one): (&ItNexus, &Registrant)| Some((*nexus, one.name.clone()?, one.key));
        let registrants: Vec<_> = self.registrants.iter().filter_map(named).collect();
        let reservation = self.reservation.and_then(|reservation| {
            let maker = registrants.iter().position(|(nexus, ..)| *nexus == reservation.maker)?;
            Some((reservation.kind, maker))
        });
        let registrants = registrants.into_iter().map(|(_, name, key)| (name, key)).collect();
        Kept { registrants, reservation }
    }

    /// What had been kept. Nobody of them has come back yet.
    pub(crate) fn restore(&mut self, kept: &Kept) {
        self.registrants = (0..)
            .zip(kept.registrants.iter().take(MAX_REGISTRANTS))
            .filter(|(_, (_, key))| *key != 0)
            .map(|(number, (name, key))| {
                let registrant = Registrant { key: *key, name: Some(name.clone()) };
                (away(number), registrant)
            })
            .collect();
        self.reservation = kept.reservation.and_then(|(kind, maker)| {
            let maker = away(u64::try_from(maker).ok()?);
            self.registrants.contains_key(&maker).then_some(Reservation { kind, maker })
        });
        self.is_kept = !self.registrants.is_empty();
    }

    /// A nexus has begun, and this is who it is: its registration is its own again.
    pub(crate) fn nexus_is(&mut self, nexus: ItNexus, name: &NexusName) {
        let is_it = |(other, one): (&ItNexus, &Registrant)| {
            (*other >= FIRST_AWAY && one.name.as_ref() == Some(name)).then_some(*other)
        };
        let Some(other) = self.registrants.iter().find_map(is_it) else { return };
        if let Some(registrant) = self.registrants.remove(&other) {
            self.registrants.insert(nexus, registrant);
        }
        if let Some(reservation) = self.reservation.as_mut().filter(|held| held.maker == other) {
            reservation.maker = nexus;
        }
    }
}

/// Handles that no transport gives: those of nexuses that have not come back since the program began.
const FIRST_AWAY: ItNexus = ItNexus(u64::MAX / 2);

fn away(number: u64) -> ItNexus {
    let ItNexus(first) = FIRST_AWAY;
    ItNexus(first.saturating_add(number))
}

#[cfg(test)]
mod tests {
    use super::super::ReservationType::*;
    use super::*;

    fn name(initiator: &str) -> NexusName {
        NexusName { initiator: initiator.into(), initiator_port: "00023d000001".into() }
    }

    fn kept() -> PersistentReservations {
        let mut all = PersistentReservations::default();
        for (number, key) in [(1, 0xa), (2, 0xb)] {
            let who = name(if number == 1 { "a" } else { "b" });
            all.register(ItNexus(number), Some(who), None, key).unwrap();
            all.set_kept(true);
        }
        all.reserve(ItNexus(2), 0xb, ExclusiveAccess).unwrap();
        all
    }

    #[test]
    fn whoever_comes_back_has_what_he_had() {
        let mut all = PersistentReservations::default();
        all.restore(&kept().kept());
        assert!(all.is_kept());
        assert_eq!(all.reservation(), Some((ExclusiveAccess, 0xb)));
        // The same handles as before would be somebody else's now.
        assert!(all.in_the_way_of(ItNexus(2)).is_some());
        all.nexus_is(ItNexus(7), &name("c"));
        assert!(all.in_the_way_of(ItNexus(7)).is_some());
        all.nexus_is(ItNexus(8), &name("b"));
        assert_eq!(all.in_the_way_of(ItNexus(8)), None);
        assert!(all.is_holder(ItNexus(8)));
        // One that never comes back can be preempted, and what is kept next is without it.
        all.preempt(ItNexus(8), 0xb, 0xa, ExclusiveAccess).unwrap();
        assert_eq!(all.kept().registrants, [(name("b"), 0xb)]);
        assert_eq!(all.kept().reservation, Some((ExclusiveAccess, 0)));
    }

    #[test]
    fn nothing_is_kept_that_nobody_wants_kept() {
        let mut all = kept();
        all.set_kept(false);
        assert_eq!(all.kept(), Kept::default());
        all.restore(&Kept::default());
        assert!(!all.is_in_use() && !all.is_kept());
        // Nonsense from a damaged or hostile ledger is no reservation.
        all.restore(&Kept {
            registrants: vec![(name("a"), 0)],
            reservation: Some((WriteExclusive, 3)),
        });
        assert!(!all.is_in_use() && all.reservation().is_none());
        // Nor does it give one to somebody else.
        let registrants = vec![(name("a"), 0), (name("b"), 0xb)];
        all.restore(&Kept { registrants, reservation: Some((WriteExclusive, 0)) });
        assert!(all.is_in_use() && all.reservation().is_none());
    }
}
