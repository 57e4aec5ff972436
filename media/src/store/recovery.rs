//! Opening a data directory: the ledger is read, what a crash left is put right, and the catalogue is compared.
//!
//! Each step may be interrupted and is then done again by the next start.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use uuid::Uuid;

use super::directory::DataDirectory;
use super::error::StoreError;
use super::files::{self, Found};
use super::{CatalogueKind, OpenReport, Store, StoreOptions};
use crate::at_rest::KeyRing;
use crate::catalogue::{
    Catalogue, CatalogueError, Change, MemoryCatalogue, SledCatalogue, Snapshot,
};
use crate::disk::Disk;
use crate::inventory::{CartridgeEntry, CartridgeState, Inventory};
use crate::ledger::{Event, Ledger, LedgerOptions};
use crate::retention::{ComplianceClock, Known};

pub(super) fn open(
    disk: Arc<dyn Disk>,
    directory: &Path,
    options: StoreOptions,
) -> Result<Store, StoreError> {
    let directory = DataDirectory::open(
        &*disk,
        directory,
        options.may_create,
        &options.clock,
        &options.random,
    )?;
    let mut report = OpenReport::default();
    let (ledger, mut inventory) = read_ledger(&disk, &directory, &options, &mut report)?;
    let mut names = Names::read(&*disk, &directory)?;
    if ledger.head().sequence == 0 && !names.all_cartridges.is_empty() {
        return Err(StoreError::LedgerMissing { directory: directory.cartridges() });
    }
    settle(&ledger, &mut inventory, &options, &mut report)?;
    names.remove_gone(&*disk, &directory, &inventory);
    report.strays = names.strays(&directory, &inventory);
    for stray in &report.strays {
        tracing::warn!(path = %stray.display(), "the ledger does not know this; it is left alone");
    }
    let (catalogue, snapshot) =
        open_catalogue(&disk, &directory, options.catalogue, options.clock.now());
    let facts = Facts { disk: &disk, directory: &directory, names: &names };
    facts.fill(&mut inventory, &snapshot, &mut report);
    let clocks = (options.clock.clone(), options.uptime);
    let known = Known { compliance: inventory.newest_compliance(), wall: inventory.newest() };
    let compliance = ComplianceClock::open(Arc::clone(&disk), &directory.path, clocks, known);
    ledger.tell_compliance(&compliance);
    let keys = KeyRing::default();
    for (pool, id) in inventory.pool_keys() {
        keys.put(*id, pool, None);
    }
    let store = Store {
        disk,
        directory,
        clock: options.clock,
        compliance,
        random: options.random,
        actor: options.actor,
        ledger,
        change: Mutex::new(()),
        retaining: Mutex::new(()),
        inventory: Mutex::new(inventory),
        catalogue: Mutex::new(catalogue),
        catalogue_kind: options.catalogue,
        reservations: super::reservation::Reservations::default(),
        keys,
        report,
    };
    store.bring_up_to_date(&snapshot);
    Ok(store)
}

impl Store {
    /// Writes into the catalogue what it says differently from the inventory.
    fn bring_up_to_date(&self, snapshot: &Snapshot) {
        let head = self.ledger.head();
        if let Some(mark) = snapshot.mark.filter(|mark| mark.sequence > head.sequence) {
            tracing::error!(
                catalogue = mark.sequence,
                ledger = head.sequence,
                "the catalogue knows later entries than the ledger has: has somebody put an older ledger in its place?"
            );
        }
        let rows: Vec<CartridgeEntry> = self.cartridges();
        if snapshot.mark.is_none() {
            self.with_catalogue(|catalogue| catalogue.replace(&sorted_by_identity(rows), head));
            return;
        }
        let changes = changes_between(&snapshot.rows, rows);
        if !changes.is_empty() || snapshot.mark != Some(head) {
            self.project(&changes, head);
            self.flush_catalogue();
        }
    }
}

pub(super) fn sorted_by_identity(mut rows: Vec<CartridgeEntry>) -> Vec<CartridgeEntry> {
    rows.sort_unstable_by_key(|row| row.uuid);
    rows
}

fn changes_between(old: &[CartridgeEntry], new: Vec<CartridgeEntry>) -> Vec<Change> {
    let mut old: HashMap<Uuid, &CartridgeEntry> = old.iter().map(|row| (row.uuid, row)).collect();
    let mut changes: Vec<Change> = new
        .into_iter()
        .filter_map(|row| {
            if old.remove(&row.uuid) == Some(&row) {
                None
            } else {
                Some(Change::Put(Box::new(row)))
            }
        })
        .collect();
    changes.extend(old.into_keys().map(Change::Remove));
    changes
}

/// Reads the whole ledger into an inventory.
fn read_ledger(
    disk: &Arc<dyn Disk>,
    directory: &DataDirectory,
    options: &StoreOptions,
    report: &mut OpenReport,
) -> Result<(Ledger, Inventory), StoreError> {
    let mut inventory = Inventory::default();
    let mut contradiction = None;
    let ledger_options = LedgerOptions {
        id: directory.id,
        segment_bytes: options.ledger_segment_bytes,
        clock: options.clock.clone(),
    };
    let (ledger, torn) =
        Ledger::open(Arc::clone(disk), &directory.ledger(), ledger_options, |entry| {
            if contradiction.is_none()
                && let Err(reason) = inventory.apply(entry)
            {
                contradiction =
                    Some(StoreError::Contradiction { sequence: entry.sequence, reason });
            }
        })?;
    if let Some(torn) = &torn {
        tracing::warn!(
            bytes = torn.length_bytes,
            kept_in = %torn.kept_in.display(),
            "the end of an append to the ledger that was never acknowledged was put aside"
        );
    }
    report.torn_ledger = torn;
    match contradiction {
        Some(error) => Err(error),
        None => Ok((ledger, inventory)),
    }
}

/// Ends what a crash has left open: neither a move nor a creation without its commit has happened.
fn settle(
    ledger: &Ledger,
    inventory: &mut Inventory,
    options: &StoreOptions,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    let intents = inventory.open_intents();
    let creations = inventory.open_creations();
    report.abandoned_moves = intents.len();
    report.abandoned_cartridges = creations.len();
    let mut events: Vec<Event> =
        intents.into_iter().map(|id| Event::MoveAbandoned { id }).collect();
    if !creations.is_empty() {
        events.push(Event::CreationAbandoned { cartridges: creations });
    }
    ledger.append_all(&events, &options.actor)?;
    for event in &events {
        inventory.apply_event(event, options.clock.now()).map_err(|reason| {
            StoreError::Contradiction { sequence: ledger.head().sequence, reason }
        })?;
    }
    Ok(())
}

/// Opens the catalogue; without one the store works as well.
pub(super) fn open_catalogue(
    disk: &Arc<dyn Disk>,
    directory: &DataDirectory,
    kind: CatalogueKind,
    now: Timestamp,
) -> (Option<Box<dyn Catalogue>>, Snapshot) {
    let opened: Result<(Box<dyn Catalogue>, Snapshot), CatalogueError> = match kind {
        CatalogueKind::Memory => Ok((Box::new(MemoryCatalogue::new()), Snapshot::default())),
        CatalogueKind::Sled => SledCatalogue::open(disk, &directory.catalogue(), now)
            .map(|(catalogue, snapshot)| (Box::new(catalogue) as Box<dyn Catalogue>, snapshot)),
    };
    match opened {
        Ok((catalogue, snapshot)) => (Some(catalogue), snapshot),
        Err(error) => {
            tracing::error!(%error, "there is no catalogue; vtl works without, and the next start is slower");
            (None, Snapshot::default())
        }
    }
}

/// The names under `cartridges/`.
pub(super) struct Names {
    /// Directories of cartridges.
    all_cartridges: HashSet<Uuid>,
    removed: HashSet<Uuid>,
    foreign: Vec<PathBuf>,
}

impl Names {
    pub(super) fn read(disk: &dyn Disk, directory: &DataDirectory) -> Result<Self, StoreError> {
        let path = directory.cartridges();
        let mut names =
            Self { all_cartridges: HashSet::new(), removed: HashSet::new(), foreign: Vec::new() };
        for name in disk.list(&path).map_err(StoreError::io("list", &path))? {
            let entry = path.join(name);
            match files::classify(&entry) {
                Found::Cartridge(uuid) => drop(names.all_cartridges.insert(uuid)),
                Found::Removed(uuid) => drop(names.removed.insert(uuid)),
                Found::Foreign => names.foreign.push(entry),
            }
        }
        Ok(names)
    }

    /// Finishes removals that the ledger has decided on. One that fails is tried again by the next start.
    fn remove_gone(&mut self, disk: &dyn Disk, directory: &DataDirectory, inventory: &Inventory) {
        let gone: HashSet<Uuid> = self
            .all_cartridges
            .union(&self.removed)
            .copied()
            .filter(|uuid| inventory.is_gone(*uuid))
            .collect();
        for uuid in gone {
            self.all_cartridges.remove(&uuid);
            self.removed.remove(&uuid);
            if let Err(error) = files::remove_cartridge(disk, &directory.cartridge(uuid)) {
                tracing::warn!(%uuid, %error, "what is left of a deleted cartridge could not be removed");
            }
        }
    }

    fn strays(&self, directory: &DataDirectory, inventory: &Inventory) -> Vec<PathBuf> {
        let unknown =
            self.all_cartridges.iter().filter(|uuid| inventory.cartridge(**uuid).is_none());
        let mut strays: Vec<PathBuf> = unknown.map(|uuid| directory.cartridge(*uuid)).collect();
        strays.extend(self.foreign.iter().cloned());
        strays.sort_unstable();
        strays
    }
}

/// Where the facts about cartridges' content come from.
pub(super) struct Facts<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) directory: &'a DataDirectory,
    pub(super) names: &'a Names,
}

impl Facts<'_> {
    /// From the catalogue where it may be believed, else from the cartridge itself.
    fn fill(&self, inventory: &mut Inventory, snapshot: &Snapshot, report: &mut OpenReport) {
        report.is_catalogue_rebuilt = snapshot.mark.is_none();
        let known: HashMap<Uuid, &CartridgeEntry> =
            snapshot.rows.iter().map(|row| (row.uuid, row)).collect();
        let believed_up_to = snapshot.mark.map_or(0, |mark| mark.sequence);
        let uuids: Vec<Uuid> = inventory.cartridges().map(|entry| entry.uuid).collect();
        for uuid in uuids {
            let row = known.get(&uuid).filter(|row| row.has_facts());
            let may_be_stale = inventory.was_in_drive_after(uuid, believed_up_to);
            match row {
                // Only in a drive can it have been written after the catalogue last heard of it.
                Some(row) if !may_be_stale => {
                    inventory.set_facts(uuid, &row.facts());
                    if !self.names.all_cartridges.contains(&uuid) {
                        inventory.set_state(uuid, CartridgeState::Missing);
                    }
                }
                _ => {
                    report.inspected_cartridges += 1;
                    self.inspect(inventory, uuid);
                }
            }
        }
    }

    /// Looks into one cartridge.
    pub(super) fn inspect(&self, inventory: &mut Inventory, uuid: Uuid) {
        if !self.names.all_cartridges.contains(&uuid) {
            tracing::error!(%uuid, "the directory of a cartridge is missing");
            inventory.set_state(uuid, CartridgeState::Missing);
            return;
        }
        match files::look_into(self.disk, &self.directory.cartridge(uuid)) {
            Ok(facts) => drop(inventory.set_facts(uuid, &facts)),
            Err(error) => {
                tracing::error!(%uuid, %error, "a cartridge cannot be read");
                inventory.set_state(uuid, CartridgeState::Damaged);
            }
        }
    }
}
