//! The state that the ledger's entries add up to: which cartridges there are, and where.
//!
//! Invariants: an element holds at most one cartridge, a cartridge is in exactly one place, and no two cartridges have one
//! barcode. [`Inventory::apply`] refuses an entry that would break one of them.

mod copies;
mod dependents;
mod entry;
mod keeping;
mod rules;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use thiserror::Error;
use uuid::Uuid;

pub use entry::{CartridgeEntry, CartridgeState};
pub use rules::RulesRecord;
pub use snapshot::{SnapshotMember, SnapshotRecord};

use crate::access::{AccessRule, AccessRules};
use crate::barcode::Barcode;
use crate::cartridge::CartridgeFacts;
use crate::copies::{CopyRecord, CopyState};
use crate::ledger::{Entry, Event, MoveStep, RecordedEvent};
use crate::place::{LibraryId, Place};
use crate::reservations::KeptReservations;
use crate::retention::Retention;
use crate::store::LibraryRecord;

/// All libraries and cartridges.
#[derive(Debug, Default, Clone)]
pub(crate) struct Inventory {
    libraries: BTreeMap<LibraryId, LibraryRecord>,
    cartridges: HashMap<Uuid, CartridgeEntry>,
    by_barcode: BTreeMap<Barcode, Uuid>,
    /// Only elements: the shelf and other sites hold many.
    by_element: HashMap<Place, Uuid>,
    /// Moves that are neither committed nor abandoned.
    intents: BTreeMap<u64, Vec<MoveStep>>,
    last_intent: u64,
    /// Cartridges whose directories may be half made.
    creations: BTreeSet<Uuid>,
    /// Cartridges whose directories are to be gone.
    deleted: HashSet<Uuid>,
    /// The last entry that took a cartridge into or out of a drive, as read from the ledger: what was known of the
    /// cartridge's content before may be out of date.
    drive_moves: HashMap<Uuid, u64>,
    snapshots: BTreeMap<String, SnapshotRecord>,
    /// Members of snapshots whose creation comes with a later entry.
    gathered: BTreeMap<String, Vec<SnapshotMember>>,
    /// Persistent reservations, by the serial number of the logical unit.
    reservations: BTreeMap<String, KeptReservations>,
    access: AccessRules,
    /// When the newest entry was made that was read from the ledger.
    newest: Option<jiff::Timestamp>,
    /// The latest time of the compliance clock in it.
    newest_compliance: Option<jiff::Timestamp>,
    copies: BTreeMap<Uuid, CopyRecord>,
    /// Locks and holds of cartridges that have some.
    retentions: HashMap<Uuid, Retention>,
    rules: Option<RulesRecord>,
    keeping: keeping::Keeping,
    /// Pools that are encrypted, and with which keys.
    pool_keys: BTreeMap<String, Uuid>,
}

/// Why an entry does not fit what was recorded before it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Inconsistency {
    /// A library of this name is there.
    #[error("library {0} exists already")]
    LibraryExists(LibraryId),
    /// No such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// The cartridge is there already.
    #[error("cartridge {0} exists already")]
    CartridgeExists(Uuid),
    /// The barcode is taken.
    #[error("barcode {0} is taken")]
    BarcodeTaken(Barcode),
    /// The element holds another cartridge.
    #[error("{0} is occupied")]
    Occupied(Place),
    /// The cartridge is not where it is said to be.
    #[error("cartridge {0} is not in {1}")]
    Elsewhere(Uuid, Place),
    /// No library has this element.
    #[error("there is no element {0}")]
    NoElement(Place),
    /// No open intent has this number.
    #[error("there is no open move {0}")]
    NoIntent(u64),
    /// A snapshot of this name is there.
    #[error("snapshot {0} exists already")]
    SnapshotExists(String),
    /// No such snapshot.
    #[error("there is no snapshot {0}")]
    NoSnapshot(String),
    /// A copy of this identity is there.
    #[error("copy {0} exists already")]
    CopyExists(Uuid),
    /// No such copy.
    #[error("there is no copy {0}")]
    NoCopy(Uuid),
    /// The walk of copies has no such step.
    #[error("copy {0} cannot go from {1} to {2}")]
    CopyStep(Uuid, CopyState, CopyState),
}

impl Inventory {
    /// Adds what one entry says. After an error nothing has changed.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Result<(), Inconsistency> {
        self.newest = self.newest.max(Some(entry.time));
        self.newest_compliance = self.newest_compliance.max(entry.compliance);
        match &entry.event {
            RecordedEvent::Known(event) => {
                self.note_drive_move(event, entry.sequence);
                self.apply_event(event, entry.time)
            }
            // A later program's event; one that this program must not ignore would have come with a new version.
            RecordedEvent::Unknown(_) => Ok(()),
        }
    }

    /// Adds what one event says.
    pub(crate) fn apply_event(
        &mut self,
        event: &Event,
        time: jiff::Timestamp,
    ) -> Result<(), Inconsistency> {
        match event {
            Event::LibraryCreated { library } => self.add_library(library),
            Event::CreationIntended { .. } | Event::CreationAbandoned { .. } => {
                self.apply_creation(event);
                Ok(())
            }
            Event::CartridgeCreated { .. } => {
                CartridgeEntry::created(event, time).map_or(Ok(()), |new| self.add(new))
            }
            Event::CartridgeDeleted { uuid, .. } => self.remove(*uuid),
            Event::MoveIntended { id, step } => self.intend(*id, vec![step.clone()]),
            Event::ExchangeIntended { id, first, second } => {
                self.intend(*id, vec![first.clone(), second.clone()])
            }
            Event::MoveCommitted { id } => self.commit(*id),
            Event::MoveAbandoned { id } => {
                self.intents.remove(id).map(|_| ()).ok_or(Inconsistency::NoIntent(*id))
            }
            Event::SnapshotMembers { .. }
            | Event::SnapshotCreated { .. }
            | Event::SnapshotPresented { .. }
            | Event::SnapshotDeleted { .. } => self.apply_snapshot(event, time),
            Event::Verified { cartridge, as_of, damaged_objects, is_direct, .. } => {
                let entry = self.cartridges.get_mut(cartridge);
                let entry = entry.ok_or(Inconsistency::NoCartridge(*cartridge))?;
                entry.set_verified(*as_of, *damaged_objects, *is_direct);
                Ok(())
            }
            Event::ReservationsKept { serial, reservations } => {
                self.reservations.insert(serial.clone(), reservations.clone());
                Ok(())
            }
            Event::AccessGranted { rule } => {
                self.access.grant(rule);
                Ok(())
            }
            Event::AccessRevoked { initiator, library } => {
                self.access.revoke(initiator, library.as_ref());
                Ok(())
            }
            Event::RetentionSet { cartridge, retention, .. } => {
                self.set_retention(*cartridge, retention)
            }
            Event::CopyStaged { .. } | Event::CopyAdvanced { .. } | Event::CopyRetired { .. } => {
                self.apply_copy(event, time)
            }
            Event::PolicyRan { .. }
            | Event::CartridgeImported { .. }
            | Event::DriveFailed { .. }
            | Event::DriveFenced { .. }
            | Event::DriveCleared { .. } => self.apply_keeping(event, time),
            Event::RulesApplied { .. } | Event::CartridgesPooled { .. } => {
                self.apply_rules_event(event, time)
            }
            Event::PoolKeySet { .. } | Event::PoolKeyRemoved { .. } => {
                self.apply_pool_key(event);
                Ok(())
            }
            Event::SecretReplaced { .. }
            | Event::KeyDestroyed { .. }
            | Event::MediumLoaded { .. }
            | Event::MediumUnloaded { .. }
            | Event::RewindIntended { .. }
            | Event::Rewound { .. }
            | Event::Pruned { .. }
            | Event::DrillEnded { .. }
            | Event::Fault { .. } => Ok(()),
        }
    }

    fn apply_creation(&mut self, event: &Event) {
        match event {
            Event::CreationIntended { cartridges } => self.creations.extend(cartridges),
            Event::CreationAbandoned { cartridges } => self.abandon_creation(cartridges),
            _ => {}
        }
    }

    fn apply_pool_key(&mut self, event: &Event) {
        match event {
            Event::PoolKeySet { pool, key, .. } => {
                self.pool_keys.insert(pool.clone(), *key);
            }
            Event::PoolKeyRemoved { pool, .. } => {
                self.pool_keys.remove(pool);
            }
            _ => {}
        }
    }

    fn set_retention(&mut self, uuid: Uuid, retention: &Retention) -> Result<(), Inconsistency> {
        if !self.cartridges.contains_key(&uuid) {
            return Err(Inconsistency::NoCartridge(uuid));
        }
        let kept = self.retentions.entry(uuid).or_default();
        kept.hold.clone_from(&retention.hold);
        kept.governed_until = retention.governed_until;
        kept.dispose_after = retention.dispose_after;
        // Whatever an entry says, no lock ends earlier than it was to.
        kept.until = kept.until.max(retention.until);
        Ok(())
    }

    /// When the newest entry was made that was read from the ledger.
    pub(crate) fn newest(&self) -> Option<jiff::Timestamp> {
        self.newest
    }

    /// The latest time that the compliance clock is known to have shown.
    pub(crate) fn newest_compliance(&self) -> Option<jiff::Timestamp> {
        self.newest_compliance
    }

    /// What keeps a cartridge as it is.
    pub(crate) fn retention(&self, uuid: Uuid) -> Retention {
        self.retentions.get(&uuid).cloned().unwrap_or_default()
    }

    /// The persistent reservations that were kept last for the logical unit with this serial number.
    pub(crate) fn kept_reservations(&self, serial: &str) -> Option<&KeptReservations> {
        self.reservations.get(serial)
    }

    /// Which pools are encrypted, and with which key.
    pub(crate) fn pool_keys(&self) -> &BTreeMap<String, Uuid> {
        &self.pool_keys
    }

    /// The rules about initiators that are in force.
    pub(crate) fn access(&self) -> &[AccessRule] {
        self.access.all()
    }

    pub(crate) fn libraries(&self) -> impl Iterator<Item = &LibraryRecord> {
        self.libraries.values()
    }

    pub(crate) fn library(&self, id: &LibraryId) -> Option<&LibraryRecord> {
        self.libraries.get(id)
    }

    /// All cartridges, sorted by barcode.
    pub(crate) fn cartridges(&self) -> impl Iterator<Item = &CartridgeEntry> {
        self.by_barcode.values().filter_map(|uuid| self.cartridges.get(uuid))
    }

    pub(crate) fn cartridge(&self, uuid: Uuid) -> Option<&CartridgeEntry> {
        self.cartridges.get(&uuid)
    }

    pub(crate) fn find(&self, barcode: &str) -> Option<&CartridgeEntry> {
        let barcode = Barcode::new(barcode).ok()?;
        self.cartridges.get(self.by_barcode.get(&barcode)?)
    }

    pub(crate) fn at(&self, place: &Place) -> Option<&CartridgeEntry> {
        self.cartridges.get(self.by_element.get(place)?)
    }

    /// Whether a cartridge may be put there: any site, and each existing element.
    pub(crate) fn has_place(&self, place: &Place) -> bool {
        match place.library() {
            Some(id) => self.libraries.get(id).is_some_and(|library| library.has(place)),
            None => true,
        }
    }

    /// Storage elements with nothing in them, in order.
    pub(crate) fn free_storage(&self) -> impl Iterator<Item = Place> + '_ {
        self.libraries
            .values()
            .flat_map(LibraryRecord::storage)
            .filter(|place| !self.by_element.contains_key(place))
    }

    /// Notes what is known of a cartridge's content.
    pub(crate) fn set_facts(&mut self, uuid: Uuid, facts: &CartridgeFacts) -> bool {
        self.cartridges.get_mut(&uuid).map(|entry| entry.set_facts(facts)).is_some()
    }

    /// Notes that a cartridge's content cannot be known.
    pub(crate) fn set_state(&mut self, uuid: Uuid, state: CartridgeState) {
        if let Some(entry) = self.cartridges.get_mut(&uuid) {
            entry.state = state;
        }
    }

    /// A number that no intent has had.
    pub(crate) fn next_intent(&self) -> u64 {
        self.last_intent.saturating_add(1)
    }

    pub(crate) fn open_intents(&self) -> Vec<u64> {
        self.intents.keys().copied().collect()
    }

    pub(crate) fn open_creations(&self) -> Vec<Uuid> {
        self.creations.iter().copied().collect()
    }

    /// Whether a directory of this name belongs to a cartridge that is deleted or was never finished.
    pub(crate) fn is_gone(&self, uuid: Uuid) -> bool {
        self.deleted.contains(&uuid)
    }

    /// Whether a cartridge was in a drive at any time after an entry.
    pub(crate) fn was_in_drive_after(&self, uuid: Uuid, sequence: u64) -> bool {
        let is_in_drive = |entry: &CartridgeEntry| matches!(entry.place, Place::Drive { .. });
        self.cartridges.get(&uuid).is_some_and(is_in_drive)
            || self.drive_moves.get(&uuid).is_some_and(|last| *last > sequence)
    }

    fn note_drive_move(&mut self, event: &Event, sequence: u64) {
        let Event::MoveCommitted { id } = event else { return };
        for step in self.intents.get(id).into_iter().flatten() {
            if [&step.from, &step.to].iter().any(|place| matches!(place, Place::Drive { .. })) {
                self.drive_moves.insert(step.cartridge, sequence);
            }
        }
    }

    fn add_library(&mut self, library: &LibraryRecord) -> Result<(), Inconsistency> {
        if self.libraries.contains_key(&library.id) {
            return Err(Inconsistency::LibraryExists(library.id.clone()));
        }
        self.libraries.insert(library.id.clone(), library.clone());
        Ok(())
    }

    fn abandon_creation(&mut self, cartridges: &[Uuid]) {
        for uuid in cartridges {
            if self.creations.remove(uuid) {
                self.deleted.insert(*uuid);
            }
        }
    }

    fn add(&mut self, new: CartridgeEntry) -> Result<(), Inconsistency> {
        if self.cartridges.contains_key(&new.uuid) || self.deleted.contains(&new.uuid) {
            return Err(Inconsistency::CartridgeExists(new.uuid));
        }
        if self.by_barcode.contains_key(&new.barcode) {
            return Err(Inconsistency::BarcodeTaken(new.barcode));
        }
        self.check_free(&new.place)?;
        self.creations.remove(&new.uuid);
        self.by_barcode.insert(new.barcode.clone(), new.uuid);
        self.occupy(&new.place, new.uuid);
        self.cartridges.insert(new.uuid, new);
        Ok(())
    }

    fn remove(&mut self, uuid: Uuid) -> Result<(), Inconsistency> {
        let entry = self.cartridges.remove(&uuid).ok_or(Inconsistency::NoCartridge(uuid))?;
        self.by_barcode.remove(&entry.barcode);
        self.by_element.remove(&entry.place);
        self.retentions.remove(&uuid);
        self.keeping.imports.remove(&uuid);
        self.deleted.insert(uuid);
        Ok(())
    }

    fn intend(&mut self, id: u64, steps: Vec<MoveStep>) -> Result<(), Inconsistency> {
        for step in &steps {
            let entry = self
                .cartridges
                .get(&step.cartridge)
                .ok_or(Inconsistency::NoCartridge(step.cartridge))?;
            if entry.place != step.from {
                return Err(Inconsistency::Elsewhere(step.cartridge, step.from.clone()));
            }
        }
        self.last_intent = self.last_intent.max(id);
        self.intents.insert(id, steps);
        Ok(())
    }

    /// Carries all steps of an intent out, or none.
    fn commit(&mut self, id: u64) -> Result<(), Inconsistency> {
        let steps = self.intents.get(&id).ok_or(Inconsistency::NoIntent(id))?.clone();
        for step in &steps {
            let entry = self
                .cartridges
                .get(&step.cartridge)
                .ok_or(Inconsistency::NoCartridge(step.cartridge))?;
            if entry.place != step.from {
                return Err(Inconsistency::Elsewhere(step.cartridge, step.from.clone()));
            }
            let is_left = steps.iter().any(|other| other.from == step.to);
            if !is_left {
                self.check_free(&step.to)?;
            } else if steps.iter().filter(|other| other.to == step.to).count() > 1
                && step.to.is_element()
            {
                return Err(Inconsistency::Occupied(step.to.clone()));
            }
        }
        for step in &steps {
            self.by_element.remove(&step.from);
        }
        for step in steps {
            self.occupy(&step.to, step.cartridge);
            if let Some(entry) = self.cartridges.get_mut(&step.cartridge) {
                entry.place = step.to;
                entry.source = step.source;
            }
        }
        self.intents.remove(&id);
        Ok(())
    }

    fn check_free(&self, place: &Place) -> Result<(), Inconsistency> {
        if !self.has_place(place) {
            return Err(Inconsistency::NoElement(place.clone()));
        }
        if self.by_element.contains_key(place) {
            return Err(Inconsistency::Occupied(place.clone()));
        }
        Ok(())
    }

    fn occupy(&mut self, place: &Place, uuid: Uuid) {
        if place.is_element() {
            self.by_element.insert(place.clone(), uuid);
        }
    }
}

#[cfg(test)]
mod tests;
