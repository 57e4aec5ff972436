//! Persistent reservations (SPC-5 §5.14): who has registered a key, and which of them hold the logical unit reserved.
//!
//! They belong to I_T nexuses, and stay when a nexus is lost and when the logical unit is reset. With "activate persist through power
//! loss" (APTPL) they also stay when the program ends: a [`Keeper`] makes each change durable before it is answered.

use std::collections::BTreeMap;

use crate::{ItNexus, NexusName};

pub(crate) mod command;
mod kept;
mod others;

pub use self::kept::{Keeper, Kept};

/// As many nexuses may be registered at one logical unit.
const MAX_REGISTRANTS: usize = 1024;
/// What a reservation keeps from others (SPC-5 table 74).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationType {
    /// Only the holder writes.
    WriteExclusive,
    /// Only the holder reads and writes.
    ExclusiveAccess,
    /// Only those that are registered write.
    WriteExclusiveRegistrantsOnly,
    /// Only those that are registered read and write.
    ExclusiveAccessRegistrantsOnly,
    /// The same, and each of them is a holder.
    WriteExclusiveAllRegistrants,
    /// The same, and each of them is a holder.
    ExclusiveAccessAllRegistrants,
}

impl ReservationType {
    /// The type with this code.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::WriteExclusive),
            3 => Some(Self::ExclusiveAccess),
            5 => Some(Self::WriteExclusiveRegistrantsOnly),
            6 => Some(Self::ExclusiveAccessRegistrantsOnly),
            7 => Some(Self::WriteExclusiveAllRegistrants),
            8 => Some(Self::ExclusiveAccessAllRegistrants),
            _ => None,
        }
    }

    /// Its code.
    pub const fn code(self) -> u8 {
        match self {
            Self::WriteExclusive => 1,
            Self::ExclusiveAccess => 3,
            Self::WriteExclusiveRegistrantsOnly => 5,
            Self::ExclusiveAccessRegistrantsOnly => 6,
            Self::WriteExclusiveAllRegistrants => 7,
            Self::ExclusiveAccessAllRegistrants => 8,
        }
    }

    /// Whether others may read.
    pub const fn lets_others_read(self) -> bool {
        matches!(
            self,
            Self::WriteExclusive
                | Self::WriteExclusiveRegistrantsOnly
                | Self::WriteExclusiveAllRegistrants
        )
    }

    const fn is_of_all_registrants(self) -> bool {
        matches!(self, Self::WriteExclusiveAllRegistrants | Self::ExclusiveAccessAllRegistrants)
    }

    /// Whether every nexus that is registered has access.
    const fn lets_registrants(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }
}

/// One nexus that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registrant {
    pub(crate) key: u64,
    pub(crate) name: Option<NexusName>,
}

/// A reservation of the whole logical unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reservation {
    kind: ReservationType,
    /// Who made it. With a type of all registrants it stays when he goes, as long as another one is registered.
    // Invariant: registered.
    maker: ItNexus,
}

/// Who has to be told, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// RESERVATIONS PREEMPTED: somebody cleared everything.
    Cleared,
    /// RESERVATIONS RELEASED: there is no reservation any more, or another one.
    Released,
    /// REGISTRATIONS PREEMPTED: the nexus is not registered any more.
    Preempted,
}

/// Why a service action is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// RESERVATION CONFLICT.
    Conflict,
    /// INVALID RELEASE OF PERSISTENT RESERVATION.
    InvalidRelease,
    /// INSUFFICIENT REGISTRATION RESOURCES.
    NoRoom,
    /// The service action reservation key may not be zero.
    ZeroKey,
}

/// What a service action leads to beside itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Consequences {
    pub(crate) told: Vec<(ItNexus, Told)>,
}

/// All of it, of one logical unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersistentReservations {
    generation: u32,
    // Invariant: at most MAX_REGISTRANTS; no key is 0.
    registrants: BTreeMap<ItNexus, Registrant>,
    // Invariant: none if nobody is registered.
    reservation: Option<Reservation>,
    /// Whether the registration that came last wants all of it to outlive the program.
    is_kept: bool,
}

type Done = Result<Consequences, Denied>;

impl PersistentReservations {
    /// Counts the changes of registrations.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether anybody is registered.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.registrants.is_empty()
    }

    /// Everybody who is registered.
    pub(crate) fn registrants(&self) -> impl Iterator<Item = (ItNexus, &Registrant)> {
        self.registrants.iter().map(|(nexus, registrant)| (*nexus, registrant))
    }

    /// The type of the reservation that there is, and the holder's key: 0 where all registrants hold it.
    pub(crate) fn reservation(&self) -> Option<(ReservationType, u64)> {
        let reservation = self.reservation?;
        let key = self.registrants.get(&reservation.maker).map_or(0, |maker| maker.key);
        let key = if reservation.kind.is_of_all_registrants() { 0 } else { key };
        Some((reservation.kind, key))
    }

    /// Whether a nexus holds the reservation.
    pub(crate) fn is_holder(&self, nexus: ItNexus) -> bool {
        self.reservation.is_some_and(|reservation| {
            reservation.maker == nexus
                || (reservation.kind.is_of_all_registrants()
                    && self.registrants.contains_key(&nexus))
        })
    }

    /// The type of the reservation that stands in this nexus' way, if one does.
    pub(crate) fn in_the_way_of(&self, nexus: ItNexus) -> Option<ReservationType> {
        let reservation = self.reservation?;
        let has_access = self.is_holder(nexus)
            || (reservation.kind.lets_registrants() && self.registrants.contains_key(&nexus));
        (!has_access).then_some(reservation.kind)
    }

    /// REGISTER, with the key that the nexus says it has; `None` for REGISTER AND IGNORE EXISTING KEY. A new key of 0 ends the
    /// registration.
    pub(crate) fn register(
        &mut self,
        nexus: ItNexus,
        name: Option<NexusName>,
        old: Option<u64>,
        new: u64,
    ) -> Done {
        let current = self.registrants.get(&nexus).map_or(0, |registrant| registrant.key);
        if old.is_some_and(|old| old != current) {
            return Err(Denied::Conflict);
        }
        if new == 0 {
            if current == 0 {
                return Ok(Consequences::default());
            }
            self.changed();
            return Ok(self.unregister(nexus));
        }
        if current == 0
            && (self.registrants.len() >= MAX_REGISTRANTS || self.has_all_places(name.as_ref()))
        {
            return Err(Denied::NoRoom);
        }
        self.changed();
        self.registrants.insert(nexus, Registrant { key: new, name });
        Ok(Consequences::default())
    }

    /// RESERVE.
    pub(crate) fn reserve(&mut self, nexus: ItNexus, key: u64, kind: ReservationType) -> Done {
        self.check(nexus, key)?;
        match self.reservation {
            None => self.reservation = Some(Reservation { kind, maker: nexus }),
            Some(reservation) if reservation.kind == kind && self.is_holder(nexus) => {}
            Some(_) => return Err(Denied::Conflict),
        }
        Ok(Consequences::default())
    }

    /// RELEASE.
    pub(crate) fn release(&mut self, nexus: ItNexus, key: u64, kind: ReservationType) -> Done {
        self.check(nexus, key)?;
        let Some(reservation) = self.reservation.filter(|_| self.is_holder(nexus)) else {
            return Ok(Consequences::default());
        };
        if reservation.kind != kind {
            return Err(Denied::InvalidRelease);
        }
        self.reservation = None;
        Ok(self.released(reservation.kind, nexus))
    }

    /// CLEAR.
    pub(crate) fn clear(&mut self, nexus: ItNexus, key: u64) -> Done {
        self.check(nexus, key)?;
        self.changed();
        self.reservation = None;
        let all = std::mem::take(&mut self.registrants);
        let others = all.into_keys().filter(|other| *other != nexus);
        Ok(Consequences { told: others.map(|other| (other, Told::Cleared)).collect() })
    }

    /// PREEMPT: ends the registrations with the key `victim`; if that is the holder's, the reservation becomes one of this
    /// nexus. Those that are told [`Told::Preempted`] are the ones whose tasks PREEMPT AND ABORT ends.
    pub(crate) fn preempt(
        &mut self,
        nexus: ItNexus,
        key: u64,
        victim: u64,
        kind: ReservationType,
    ) -> Done {
        self.check(nexus, key)?;
        let held = self.reservation();
        let takes_over = match held {
            Some((old, _)) if old.is_of_all_registrants() => victim == 0,
            Some((_, holder)) => victim == holder,
            None => false,
        };
        if victim == 0 && !takes_over {
            return Err(Denied::ZeroKey);
        }
        let is_victim = |registrant: &Registrant| victim == 0 || registrant.key == victim;
        let removed: Vec<_> = self
            .registrants()
            .filter(|(other, registrant)| is_victim(registrant) && !(takes_over && *other == nexus))
            .map(|(other, _)| other)
            .collect();
        if removed.is_empty() && !takes_over {
            return Err(Denied::Conflict);
        }
        self.changed();
        let mut consequences = Consequences::default();
        if takes_over {
            for other in &removed {
                self.registrants.remove(other);
            }
            self.reservation = Some(Reservation { kind, maker: nexus });
            if let Some((old, _)) = held.filter(|(old, _)| *old != kind) {
                consequences = self.released(old, nexus);
            }
        } else {
            for other in &removed {
                consequences.told.extend(self.unregister(*other).told);
            }
            consequences.told.retain(|(other, _)| !removed.contains(other));
        }
        let others = removed.into_iter().filter(|other| *other != nexus);
        consequences.told.extend(others.map(|other| (other, Told::Preempted)));
        Ok(consequences)
    }

    /// Whether a nexus is registered with this key.
    fn check(&self, nexus: ItNexus, key: u64) -> Result<(), Denied> {
        let registrant = self.registrants.get(&nexus).filter(|registrant| registrant.key == key);
        registrant.map(|_| ()).ok_or(Denied::Conflict)
    }

    fn changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Ends a registration, and the reservation with it where the nexus held it alone.
    fn unregister(&mut self, nexus: ItNexus) -> Consequences {
        let was_holder = self.is_holder(nexus);
        self.registrants.remove(&nexus);
        let Some(reservation) = self.reservation.filter(|_| was_holder) else {
            return Consequences::default();
        };
        let heir = self.registrants.keys().next().copied();
        if let Some(heir) = heir.filter(|_| reservation.kind.is_of_all_registrants()) {
            if reservation.maker == nexus {
                self.reservation = Some(Reservation { maker: heir, ..reservation });
            }
            return Consequences::default();
        }
        self.reservation = None;
        self.released(reservation.kind, nexus)
    }

    /// Who is told that a reservation is gone: those that had something of it (SPC-5 §5.14.11).
    fn released(&self, kind: ReservationType, cause: ItNexus) -> Consequences {
        if !kind.lets_registrants() {
            return Consequences::default();
        }
        let others = self.registrants.keys().filter(|other| **other != cause);
        Consequences { told: others.map(|other| (*other, Told::Released)).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ItNexus = ItNexus(1);
    const B: ItNexus = ItNexus(2);
    const C: ItNexus = ItNexus(3);
    use ReservationType::*;

    /// A, B and C with the keys 1, 2 and 3.
    fn three() -> PersistentReservations {
        let mut all = PersistentReservations::default();
        for (nexus, key) in [(A, 1), (B, 2), (C, 3)] {
            all.register(nexus, None, Some(0), key).unwrap();
        }
        all
    }

    #[test]
    fn a_key_is_changed_only_by_who_knows_it() {
        let mut all = three();
        assert_eq!(all.register(A, None, Some(9), 7), Err(Denied::Conflict));
        assert_eq!(all.register(ItNexus(9), None, Some(1), 7), Err(Denied::Conflict));
        all.register(A, None, Some(1), 7).unwrap();
        all.register(A, None, None, 8).unwrap();
        assert_eq!(all.generation(), 5);
        assert_eq!(all.register(ItNexus(9), None, None, 0), Ok(Consequences::default()));
        assert_eq!(all.generation(), 5);
        assert_eq!(all.registrants().map(|(_, one)| one.key).collect::<Vec<_>>(), [8, 2, 3]);
    }

    #[test]
    fn each_type_keeps_out_whom_it_says() {
        let stranger = ItNexus(9);
        for (kind, others, strangers) in [
            (WriteExclusive, Some(true), Some(true)),
            (ExclusiveAccess, Some(false), Some(false)),
            (WriteExclusiveRegistrantsOnly, None, Some(true)),
            (ExclusiveAccessRegistrantsOnly, None, Some(false)),
            (WriteExclusiveAllRegistrants, None, Some(true)),
            (ExclusiveAccessAllRegistrants, None, Some(false)),
        ] {
            assert_eq!(ReservationType::from_code(kind.code()), Some(kind));
            let mut all = three();
            all.reserve(A, 1, kind).unwrap();
            let reads = |nexus| all.in_the_way_of(nexus).map(ReservationType::lets_others_read);
            assert_eq!(
                (reads(A), reads(B), reads(stranger)),
                (None, others, strangers),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn only_a_holder_releases_and_the_others_hear_of_it_if_it_matters() {
        let mut all = three();
        assert_eq!(all.reserve(ItNexus(9), 1, WriteExclusive), Err(Denied::Conflict));
        all.reserve(A, 1, ExclusiveAccessRegistrantsOnly).unwrap();
        all.reserve(A, 1, ExclusiveAccessRegistrantsOnly).unwrap();
        assert_eq!(all.reserve(A, 1, ExclusiveAccess), Err(Denied::Conflict));
        assert_eq!(all.reserve(B, 2, ExclusiveAccessRegistrantsOnly), Err(Denied::Conflict));
        assert_eq!(all.release(B, 2, ExclusiveAccess), Ok(Consequences::default()));
        assert_eq!(all.release(A, 1, ExclusiveAccess), Err(Denied::InvalidRelease));
        let told = all.release(A, 1, ExclusiveAccessRegistrantsOnly).unwrap().told;
        assert_eq!(told, [(B, Told::Released), (C, Told::Released)]);
        all.reserve(B, 2, ExclusiveAccess).unwrap();
        assert_eq!(all.release(B, 2, ExclusiveAccess).unwrap().told, []);
    }

    #[test]
    fn a_reservation_goes_with_its_holder_and_that_of_all_with_the_last() {
        let mut all = three();
        all.reserve(A, 1, WriteExclusiveRegistrantsOnly).unwrap();
        let told = all.register(A, None, Some(1), 0).unwrap().told;
        assert_eq!(told, [(B, Told::Released), (C, Told::Released)]);
        assert_eq!(all.reservation(), None);
        all.reserve(B, 2, ExclusiveAccessAllRegistrants).unwrap();
        assert_eq!(all.register(B, None, Some(2), 0).unwrap().told, []);
        assert_eq!(all.reservation(), Some((ExclusiveAccessAllRegistrants, 0)));
        assert!(all.is_holder(C) && !all.is_holder(B));
        all.register(C, None, Some(3), 0).unwrap();
        assert_eq!(all.reservation(), None);
    }

    #[test]
    fn preempting_the_holder_takes_the_reservation_over() {
        let mut all = three();
        all.reserve(A, 1, ExclusiveAccess).unwrap();
        assert_eq!(all.preempt(B, 9, 1, ExclusiveAccess), Err(Denied::Conflict));
        assert_eq!(all.preempt(B, 2, 0, ExclusiveAccess), Err(Denied::ZeroKey));
        assert_eq!(all.preempt(B, 2, 9, ExclusiveAccess), Err(Denied::Conflict));
        let told = all.preempt(B, 2, 1, WriteExclusiveRegistrantsOnly).unwrap().told;
        assert_eq!(told, [(A, Told::Preempted)]);
        assert_eq!(all.reservation(), Some((WriteExclusiveRegistrantsOnly, 2)));
        // The old type let C do something, and the new one does not.
        let told = all.preempt(C, 3, 2, ExclusiveAccess).unwrap().told;
        assert_eq!(told, [(B, Told::Preempted)]);
        assert_eq!(all.reservation(), Some((ExclusiveAccess, 3)));
        // A holder preempts itself to change the type.
        all.preempt(C, 3, 3, WriteExclusive).unwrap();
        assert_eq!(all.reservation(), Some((WriteExclusive, 3)));
    }

    #[test]
    fn preempting_others_leaves_the_reservation() {
        let mut all = three();
        all.reserve(A, 1, ExclusiveAccessRegistrantsOnly).unwrap();
        assert_eq!(all.preempt(B, 2, 3, ExclusiveAccess).unwrap().told, [(C, Told::Preempted)]);
        assert_eq!(all.reservation(), Some((ExclusiveAccessRegistrantsOnly, 1)));
        let told = all.clear(B, 2).unwrap().told;
        assert_eq!(told, [(A, Told::Cleared)]);
        assert!(!all.is_in_use() && all.reservation().is_none());
    }

    #[test]
    fn key_zero_preempts_all_of_all_registrants() {
        let mut all = three();
        all.reserve(A, 1, WriteExclusiveAllRegistrants).unwrap();
        let told = all.preempt(B, 2, 0, ExclusiveAccess).unwrap().told;
        assert_eq!(told, [(A, Told::Preempted), (C, Told::Preempted)]);
        assert_eq!(all.reservation(), Some((ExclusiveAccess, 2)));
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut all = PersistentReservations::default();
        for number in 0..1024 {
            all.register(ItNexus(number), None, None, 5).unwrap();
        }
        assert_eq!(all.register(ItNexus(5000), None, None, 5), Err(Denied::NoRoom));
    }
}
