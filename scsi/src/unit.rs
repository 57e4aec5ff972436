//! The state that every logical unit has: who has to be told what, and who holds it reserved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::data_buffer::DataBuffers;
use crate::sense::{Sense, SenseFormat};
use crate::{Clock, ItNexus, Keeper, Kept, Lun, NexusName, PersistentReservations};

/// As many conditions are kept for one nexus; the oldest goes first when there are more (SAM-5 §5.14 allows it).
const MAX_ATTENTIONS_PER_NEXUS: usize = 16;

/// As many nexuses are remembered. Beyond that the one that was away the longest is forgotten, and is a new one next time.
const MAX_NEXUSES: usize = 4096;

/// Unit attentions per I_T nexus, reservations, and the form of sense data.
#[derive(Debug)]
pub struct LogicalUnit {
    /// What REPORT LUNS answers at this logical unit.
    pub luns: Arc<[Lun]>,
    /// The D_SENSE bit of the control mode page.
    pub sense_format: SenseFormat,
    nexuses: BTreeMap<ItNexus, NexusState>,
    reserved_by: Option<ItNexus>,
    persistent: PersistentReservations,
    keeper: Option<Keeper>,
    pub(crate) buffers: DataBuffers,
    clock: Clock,
    /// Counts losses of nexuses, to know which was lost first.
    losses: u64,
}

#[derive(Debug, Default)]
struct NexusState {
    // Invariant: len() <= MAX_ATTENTIONS_PER_NEXUS
    attentions: VecDeque<Sense>,
    deferred: Option<Sense>,
    name: Option<NexusName>,
    /// Set while the nexus is away: the number of the loss.
    lost: Option<u64>,
}

impl LogicalUnit {
    /// A logical unit just after power on.
    pub fn new(luns: Arc<[Lun]>) -> Self {
        Self {
            luns,
            sense_format: SenseFormat::Fixed,
            nexuses: BTreeMap::new(),
            reserved_by: None,
            persistent: PersistentReservations::default(),
            keeper: None,
            buffers: DataBuffers::default(),
            clock: Clock::default(),
            losses: 0,
        }
    }

    /// A session began: a nexus that was here before is told that it had been lost, a new one that the unit was powered on.
    pub fn nexus_begins(&mut self, nexus: ItNexus) {
        if let Some(state) = self.nexuses.get_mut(&nexus) {
            if state.lost.take().is_some() {
                state.add(Sense::nexus_loss());
            }
            return;
        }
        self.forget_the_longest_away();
        let mut state = NexusState::default();
        state.add(Sense::power_on());
        self.nexuses.insert(nexus, state);
    }

    /// Says who a nexus is that has begun.
    pub fn nexus_is(&mut self, nexus: ItNexus, name: NexusName) {
        if let Some(state) = self.nexuses.get_mut(&nexus) {
            self.persistent.nexus_is(nexus, &name);
            state.name = Some(name);
        }
    }

    /// Who a nexus is.
    pub fn name(&self, nexus: ItNexus) -> Option<NexusName> {
        self.nexuses.get(&nexus)?.name.clone()
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The clock, to set it.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// Persistent reservations that hosts want to outlive the program are kept by this from now on; those that it had kept are there
    /// again.
    pub fn keep_reservations(&mut self, keeper: Keeper, kept: &Kept) {
        self.keeper = Some(keeper);
        self.persistent.restore(kept);
    }

    pub(crate) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    /// The persistent reservations.
    pub fn persistent(&self) -> &PersistentReservations {
        &self.persistent
    }

    /// The persistent reservations, to change them.
    pub(crate) fn persistent_mut(&mut self) -> &mut PersistentReservations {
        &mut self.persistent
    }

    /// A session ended: its reservation by RESERVE goes with it (SPC-2 §5.5.1).
    pub fn nexus_ends(&mut self, nexus: ItNexus) {
        self.losses += 1;
        if let Some(state) = self.nexuses.get_mut(&nexus) {
            state.lost = Some(self.losses);
        }
        self.release(nexus);
    }

    /// Back to the state after power on, as LOGICAL UNIT RESET asks for. Persistent reservations stay.
    pub fn reset(&mut self) {
        self.reserved_by = None;
        self.sense_format = SenseFormat::Fixed;
        self.buffers = DataBuffers::default();
        for state in self.nexuses.values_mut() {
            state.deferred = None;
            state.add(Sense::device_reset());
        }
    }

    /// Every nexus is told this with its next command.
    pub fn raise(&mut self, attention: Sense) {
        for state in self.nexuses.values_mut() {
            state.add(attention);
        }
    }

    /// This nexus is told this with its next command.
    pub fn raise_for(&mut self, nexus: ItNexus, attention: Sense) {
        if let Some(state) = self.nexuses.get_mut(&nexus) {
            state.add(attention);
        }
    }

    /// Every nexus but the one that caused it is told this with its next command.
    pub fn raise_for_others(&mut self, cause: ItNexus, attention: Sense) {
        for (nexus, state) in &mut self.nexuses {
            if *nexus != cause {
                state.add(attention);
            }
        }
    }

    /// A condition of an earlier command that had been answered GOOD: told to the nexus that wrote, once.
    pub fn defer(&mut self, nexus: ItNexus, sense: Sense) {
        if let Some(state) = self.nexuses.get_mut(&nexus) {
            state.deferred = Some(sense.deferred());
        }
    }

    /// The deferred error of this nexus alone, once: for a command that finds out in the middle that it cannot be done.
    pub fn take_deferred(&mut self, nexus: ItNexus) -> Option<Sense> {
        self.nexuses.get_mut(&nexus)?.deferred.take()
    }

    /// What this nexus has to be told first: a deferred error before any unit attention. It is told once.
    pub fn take_attention(&mut self, nexus: ItNexus) -> Option<Sense> {
        let state = self.nexuses.get_mut(&nexus)?;
        state.deferred.take().or_else(|| state.attentions.pop_front())
    }

    /// Reserves the unit for a nexus; `false` if another one has it (SPC-2 §7.21).
    pub fn reserve(&mut self, nexus: ItNexus) -> bool {
        if self.conflicts(nexus) {
            return false;
        }
        self.reserved_by = Some(nexus);
        true
    }

    /// Ends a reservation of this nexus; one of another nexus stays (SPC-2 §7.17).
    pub fn release(&mut self, nexus: ItNexus) {
        if self.reserved_by == Some(nexus) {
            self.reserved_by = None;
        }
    }

    /// Whether another nexus holds the unit reserved.
    pub fn conflicts(&self, nexus: ItNexus) -> bool {
        self.reserved_by.is_some_and(|holder| holder != nexus)
    }

    fn forget_the_longest_away(&mut self) {
        if self.nexuses.len() < MAX_NEXUSES {
            return;
        }
        let away =
            self.nexuses.iter().filter_map(|(nexus, state)| Some((state.lost?, *nexus))).min();
        if let Some((_, nexus)) = away {
            self.nexuses.remove(&nexus);
        }
    }
}

impl NexusState {
    /// The same condition is not queued twice: one cartridge that was changed is one thing to be told.
    fn add(&mut self, attention: Sense) {
        if self.attentions.contains(&attention) {
            return;
        }
        if self.attentions.len() >= MAX_ATTENTIONS_PER_NEXUS {
            self.attentions.pop_front();
        }
        self.attentions.push_back(attention);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ItNexus = ItNexus(1);
    const B: ItNexus = ItNexus(2);

    fn unit() -> LogicalUnit {
        let mut unit = LogicalUnit::new(Arc::from([Lun(0)]));
        unit.nexus_begins(A);
        unit.nexus_begins(B);
        assert_eq!(unit.take_attention(A), Some(Sense::power_on()));
        assert_eq!(unit.take_attention(B), Some(Sense::power_on()));
        unit
    }

    #[test]
    fn each_nexus_is_told_once() {
        let mut unit = unit();
        unit.raise(Sense::medium_may_have_changed());
        unit.raise(Sense::medium_may_have_changed());
        assert_eq!(unit.take_attention(A), Some(Sense::medium_may_have_changed()));
        assert_eq!(unit.take_attention(A), None);
        assert_eq!(unit.take_attention(B), Some(Sense::medium_may_have_changed()));
        unit.raise_for_others(A, Sense::mode_parameters_changed());
        assert_eq!(unit.take_attention(A), None);
        assert_eq!(unit.take_attention(B), Some(Sense::mode_parameters_changed()));
    }

    #[test]
    fn a_nexus_that_comes_back_is_told_of_its_loss_and_has_no_reservation() {
        let mut unit = unit();
        assert!(unit.reserve(A));
        assert!(!unit.reserve(B));
        unit.nexus_ends(A);
        assert!(unit.reserve(B));
        unit.nexus_begins(A);
        assert_eq!(unit.take_attention(A), Some(Sense::nexus_loss()));
        assert_eq!(unit.take_attention(A), None);
    }

    #[test]
    fn a_deferred_error_comes_first_and_only_to_its_nexus() {
        let mut unit = unit();
        unit.raise(Sense::medium_may_have_changed());
        unit.defer(A, Sense::write_error());
        assert_eq!(unit.take_attention(A), Some(Sense::write_error().deferred()));
        assert_eq!(unit.take_attention(A), Some(Sense::medium_may_have_changed()));
        assert_eq!(unit.take_attention(B), Some(Sense::medium_may_have_changed()));
        assert_eq!(unit.take_attention(B), None);
    }

    #[test]
    fn nexuses_beyond_the_limit_push_out_the_one_longest_away() {
        let mut unit = LogicalUnit::new(Arc::from([Lun(0)]));
        for number in 0..5000 {
            unit.nexus_begins(ItNexus(number));
            unit.nexus_ends(ItNexus(number));
        }
        assert_eq!(unit.nexuses.len(), MAX_NEXUSES);
        unit.nexus_begins(ItNexus(4999));
        assert_eq!(unit.take_attention(ItNexus(4999)), Some(Sense::power_on()));
        assert_eq!(unit.take_attention(ItNexus(4999)), Some(Sense::nexus_loss()));
    }
}
