//! Moving cartridges: intent, fsync, commit, fsync, and only then anybody sees it.

use uuid::Uuid;

use super::Store;
use super::error::MoveError;
use crate::catalogue::Change;
use crate::inventory::CartridgeEntry;
use crate::ledger::{Event, Motion, MoveStep};
use crate::place::Place;

impl Store {
    /// Moves the cartridge in one element to another place. On return it is durable; after an error it has not happened.
    ///
    /// A drive must have unloaded its cartridge before.
    pub fn move_cartridge(&self, from: &Place, to: &Place, actor: &str) -> Result<(), MoveError> {
        let changing = self.begin_change();
        let entry = self.occupant(from)?;
        let result = self.move_entry(&entry, to, actor);
        drop(changing);
        result
    }

    /// Moves a cartridge, wherever it is: also from the shelf and from other sites, where many can be.
    pub fn move_cartridge_by_id(
        &self,
        cartridge: Uuid,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveError> {
        let changing = self.begin_change();
        let entry = self
            .inventory()
            .cartridge(cartridge)
            .cloned()
            .ok_or(MoveError::NoCartridge(cartridge))?;
        let result = self.move_entry(&entry, to, actor);
        drop(changing);
        result
    }

    /// Moves the cartridge in `source` to `first_destination`, and the one there to `second_destination`, which may be
    /// `source`: both or none (SMC-3, EXCHANGE MEDIUM).
    pub fn exchange(
        &self,
        source: &Place,
        first_destination: &Place,
        second_destination: &Place,
        actor: &str,
    ) -> Result<(), MoveError> {
        let changing = self.begin_change();
        let first = self.occupant(source)?;
        let second = self.occupant(first_destination)?;
        self.check_exists(second_destination)?;
        if first.uuid == second.uuid {
            return Err(MoveError::DestinationFull(first_destination.clone()));
        }
        if second_destination != source && self.inventory().at(second_destination).is_some() {
            return Err(MoveError::DestinationFull(second_destination.clone()));
        }
        let id = self.inventory().next_intent();
        let intent = Event::ExchangeIntended {
            id,
            first: step(&first, first_destination),
            second: step(&second, second_destination),
        };
        let result = self.carry_out(id, &intent, &[first.uuid, second.uuid], actor);
        drop(changing);
        result
    }

    fn occupant(&self, place: &Place) -> Result<CartridgeEntry, MoveError> {
        if !place.is_element() {
            return Err(MoveError::AmbiguousSource(place.clone()));
        }
        self.check_exists(place)?;
        self.inventory().at(place).cloned().ok_or_else(|| MoveError::SourceEmpty(place.clone()))
    }

    fn check_exists(&self, place: &Place) -> Result<(), MoveError> {
        if self.inventory().has_place(place) {
            Ok(())
        } else {
            Err(MoveError::NoSuchElement(place.clone()))
        }
    }

    fn move_entry(&self, entry: &CartridgeEntry, to: &Place, actor: &str) -> Result<(), MoveError> {
        self.check_exists(to)?;
        if self.inventory().at(to).is_some() || entry.place == *to {
            return Err(MoveError::DestinationFull(to.clone()));
        }
        let id = self.inventory().next_intent();
        let intent = Event::MoveIntended { id, step: step(entry, to) };
        self.carry_out(id, &intent, &[entry.uuid], actor)
    }

    /// The change lock is held, so that between the intent and the commit nothing else moves.
    fn carry_out(
        &self,
        id: u64,
        intent: &Event,
        moved: &[Uuid],
        actor: &str,
    ) -> Result<(), MoveError> {
        let intended = self.ledger.append(intent, actor)?;
        self.inventory().apply_event(intent, intended.time)?;
        let commit = Event::MoveCommitted { id };
        let committed = match self.ledger.append(&commit, actor) {
            Ok(committed) => committed,
            Err(error) => {
                self.abandon(id, actor);
                return Err(error.into());
            }
        };
        let mut changes = Vec::with_capacity(moved.len());
        {
            let mut inventory = self.inventory();
            inventory.apply_event(&commit, committed.time)?;
            changes.extend(moved.iter().filter_map(|uuid| {
                Some(Change::Put(Box::new(inventory.cartridge(*uuid)?.clone())))
            }));
        }
        self.project(&changes, committed.head);
        Ok(())
    }

    /// Records that an intended move has not happened. If that cannot be recorded either, the next start does it; nothing
    /// more can be recorded until then if the ledger is fenced.
    fn abandon(&self, id: u64, actor: &str) {
        let abandoned = Event::MoveAbandoned { id };
        match self.ledger.append(&abandoned, actor) {
            Ok(appended) => {
                if let Err(error) = self.inventory().apply_event(&abandoned, appended.time) {
                    tracing::error!(%error, "an abandoned move contradicts the ledger");
                }
            }
            Err(error) => tracing::warn!(%error, "an abandoned move could not be recorded"),
        }
    }
}

/// The storage element that a cartridge leaves is remembered, so that it can be put back; outside of a library there is
/// nothing to remember.
fn step(entry: &CartridgeEntry, to: &Place) -> MoveStep {
    let source = match &entry.place {
        _ if !to.is_element() => None,
        Place::Storage { .. } => Some(entry.place.clone()),
        _ => entry.source.clone(),
    };
    MoveStep {
        cartridge: entry.uuid,
        from: entry.place.clone(),
        to: to.clone(),
        source,
        motion: Motion::between(&entry.place, to),
    }
}
