//! Checking and rebuilding the catalogue while the store is open.

use std::collections::HashMap;

use uuid::Uuid;

use super::error::StoreError;
use super::recovery::{Facts, Names, open_catalogue, sorted_by_identity};
use super::{Store, lock};
use crate::catalogue::Difference;
use crate::catalogue::differences;
use crate::inventory::{CartridgeEntry, Inventory};
use crate::place::Place;

impl Store {
    /// Compares the catalogue with the ledger and the labels, which are read again for this. An empty list is good news.
    ///
    /// Moves go on meanwhile; a cartridge that changes during the check is left out.
    pub fn check_catalogue(&self) -> Result<Vec<Difference>, StoreError> {
        let (rows, seen) = {
            let _changing = self.begin_change();
            (self.catalogue_rows()?, self.inventory().clone())
        };
        let truth = self.read_truth(&seen)?;
        let mut found = differences(&rows, &truth);
        let now: HashMap<Uuid, CartridgeEntry> =
            self.cartridges().into_iter().map(|entry| (entry.uuid, entry)).collect();
        found.retain(|difference| {
            now.get(&difference.cartridge) == seen.cartridge(difference.cartridge)
        });
        Ok(found)
    }

    /// Makes the catalogue anew from the ledger and the labels, and says what was different. Moves wait for it.
    pub fn rebuild_catalogue(&self) -> Result<Vec<Difference>, StoreError> {
        let _changing = self.begin_change();
        let seen = self.inventory().clone();
        // A catalogue that cannot be read has nothing to compare, and is the best reason to make a new one.
        let rows = self.catalogue_rows().ok();
        let truth = self.read_truth(&seen)?;
        let found = differences(rows.as_deref().unwrap_or_default(), &truth);
        for entry in &truth {
            let mut inventory = self.inventory();
            inventory.set_facts(entry.uuid, &entry.facts());
            inventory.set_state(entry.uuid, entry.state);
        }
        if lock(&self.catalogue).is_none() {
            let (catalogue, _) =
                open_catalogue(&self.disk, &self.directory, self.catalogue_kind, self.clock.now());
            *lock(&self.catalogue) = catalogue;
        }
        let head = self.ledger.head();
        self.with_catalogue(|catalogue| catalogue.replace(&truth, head));
        if lock(&self.catalogue).is_none() {
            return Err(StoreError::NoCatalogue);
        }
        Ok(found)
    }

    fn catalogue_rows(&self) -> Result<Vec<CartridgeEntry>, StoreError> {
        let slot = lock(&self.catalogue);
        let catalogue = slot.as_deref().ok_or(StoreError::NoCatalogue)?;
        Ok(catalogue.load()?.rows)
    }

    /// What the ledger and the labels say, sorted by identity. A drive's cartridge is not looked into while it is being
    /// written: for it `seen` counts.
    fn read_truth(&self, seen: &Inventory) -> Result<Vec<CartridgeEntry>, StoreError> {
        let mut truth = Inventory::default();
        let mut contradiction = None;
        self.ledger.replay(|entry| {
            if contradiction.is_none()
                && let Err(reason) = truth.apply(entry)
            {
                contradiction =
                    Some(StoreError::Contradiction { sequence: entry.sequence, reason });
            }
        })?;
        if let Some(error) = contradiction {
            return Err(error);
        }
        let names = Names::read(&*self.disk, &self.directory)?;
        let facts = Facts { disk: &self.disk, directory: &self.directory, names: &names };
        let entries: Vec<CartridgeEntry> = truth.cartridges().cloned().collect();
        for entry in entries {
            match seen.cartridge(entry.uuid).filter(|_| matches!(entry.place, Place::Drive { .. }))
            {
                Some(seen) => drop(truth.set_facts(entry.uuid, &seen.facts())),
                None => facts.inspect(&mut truth, entry.uuid),
            }
        }
        Ok(sorted_by_identity(truth.cartridges().cloned().collect()))
    }
}
