//! Which cartridges a library has, and where: those of the store, or those of a snapshot.
//!
//! What is shown of a snapshot is read only, and where its cartridges are is nobody's business but that of its users: it
//! is kept in memory, and after a restart they are all back in their storage elements.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vtl_media::{
    Cartridge, CartridgeEntry, CartridgeFacts, Cleaning, LibraryRecord, LoadError, LoadOptions,
    MoveError, Place, SnapshotRecord, Store, StoreError, Volume,
};

/// Where a library's cartridges come from.
#[derive(Debug)]
pub(crate) enum Holdings {
    /// The store's.
    Store(Arc<Store>),
    /// A snapshot's.
    Snapshot(Box<Shown>),
}

/// The cartridges of a snapshot, in a library of their own.
#[derive(Debug)]
pub(crate) struct Shown {
    store: Arc<Store>,
    library: LibraryRecord,
    entries: Mutex<Entries>,
}

/// Cartridges, and where to find them: a library may have many elements, and all are asked for one after the other.
#[derive(Debug, Default)]
struct Entries {
    list: Vec<CartridgeEntry>,
    // Invariant: no two entries are in one element.
    by_element: HashMap<Place, usize>,
    by_barcode: HashMap<String, usize>,
}

impl Entries {
    fn at(&self, place: &Place) -> Option<&CartridgeEntry> {
        self.list.get(*self.by_element.get(place)?)
    }

    fn find(&self, barcode: &str) -> Option<&CartridgeEntry> {
        self.list.get(*self.by_barcode.get(barcode)?)
    }
}

impl Shown {
    /// All members in storage elements, sorted by barcode. What does not fit stays on the shelf.
    pub(crate) fn new(store: Arc<Store>, snapshot: &SnapshotRecord) -> Self {
        let mut elements = snapshot.library.storage();
        let mut entries = Entries::default();
        for (index, member) in snapshot.members.iter().enumerate() {
            let entry = member.entry(elements.next().unwrap_or(Place::Shelf));
            entries.by_barcode.insert(entry.barcode.as_str().to_owned(), index);
            if entry.place.is_element() {
                entries.by_element.insert(entry.place.clone(), index);
            }
            entries.list.push(entry);
        }
        Self { store, library: snapshot.library.clone(), entries: Mutex::new(entries) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves cartridges all at once, or none.
    fn relocate(&self, moves: &[(&Place, &Place)]) -> Result<(), MoveError> {
        let mut entries = self.entries();
        let mut found = Vec::new();
        for (from, to) in moves {
            if !self.library.has(to) {
                return Err(MoveError::NoSuchElement((*to).clone()));
            }
            let at = entries.by_element.get(from).copied();
            found.push(at.ok_or_else(|| MoveError::SourceEmpty((*from).clone()))?);
        }
        let is_taken =
            |to: &Place| entries.by_element.get(to).is_some_and(|other| !found.contains(other));
        if moves.iter().any(|(_, to)| is_taken(to)) {
            let (_, to) = moves.first().copied().unwrap_or((&Place::Shelf, &Place::Shelf));
            return Err(MoveError::DestinationFull(to.clone()));
        }
        for (from, _) in moves {
            entries.by_element.remove(from);
        }
        for (at, (from, to)) in found.into_iter().zip(moves) {
            entries.by_element.insert((*to).clone(), at);
            if let Some(entry) = entries.list.get_mut(at) {
                if matches!(from, Place::Storage { .. }) {
                    entry.source = Some((*from).clone());
                }
                entry.place = (*to).clone();
            }
        }
        Ok(())
    }
}

impl Holdings {
    #[cfg(test)]
    fn cartridges(&self) -> Vec<CartridgeEntry> {
        match self {
            Self::Store(store) => store.cartridges(),
            Self::Snapshot(shown) => shown.entries().list.clone(),
        }
    }

    /// The cartridge in an element.
    pub(crate) fn at(&self, place: &Place) -> Option<CartridgeEntry> {
        match self {
            Self::Store(store) => store.at(place),
            Self::Snapshot(shown) => shown.entries().at(place).cloned(),
        }
    }

    /// What is to be known of the cartridge in an element. `read` must ask for nothing else.
    pub(crate) fn read_at<T>(
        &self,
        place: &Place,
        read: impl FnOnce(&CartridgeEntry) -> T,
    ) -> Option<T> {
        match self {
            Self::Store(store) => store.read_at(place, read),
            Self::Snapshot(shown) => shown.entries().at(place).map(read),
        }
    }

    /// The cartridge with a barcode.
    pub(crate) fn find(&self, barcode: &str) -> Option<CartridgeEntry> {
        match self {
            Self::Store(store) => store.find(barcode),
            Self::Snapshot(shown) => shown.entries().find(barcode).cloned(),
        }
    }

    /// Moves a cartridge. In the store that is durable when it returns.
    pub(crate) fn relocate(
        &self,
        entry: &CartridgeEntry,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveError> {
        match self {
            Self::Store(store) => store.move_cartridge_by_id(entry.uuid, to, actor),
            Self::Snapshot(shown) => shown.relocate(&[(&entry.place, to)]),
        }
    }

    /// Moves two cartridges at once.
    pub(crate) fn exchange(
        &self,
        from: &Place,
        to: &Place,
        second_to: &Place,
        actor: &str,
    ) -> Result<(), MoveError> {
        match self {
            Self::Store(store) => store.exchange(from, to, second_to, actor),
            Self::Snapshot(shown) => shown.relocate(&[(from, to), (to, second_to)]),
        }
    }

    /// Loads a cartridge: as it is, or as it was when the snapshot was made.
    pub(crate) fn load(
        &self,
        entry: &CartridgeEntry,
        options: LoadOptions,
    ) -> Result<Volume, LoadError> {
        let (store, owner, at) = match self {
            Self::Store(store) => (store, entry.uuid, None),
            Self::Snapshot(shown) => {
                let owner = entry.origin.map_or(entry.uuid, |origin| origin.cartridge);
                (&shown.store, owner, entry.origin)
            }
        };
        let at_parts = if at.is_some() { entry.parts.clone() } else { Vec::new() };
        // Whoever works on it meanwhile, taking it back for example, is through in a moment.
        let _reserved = at.is_none().then(|| store.reserve(owner));
        let volume = Volume::load(
            store.disk(),
            &store.directory_of(owner),
            LoadOptions {
                at,
                at_parts,
                compliance: store.compliance_clock().as_clock(),
                keys: store.keys().clone(),
                pool: entry.pool.clone(),
                ..options
            },
        )?;
        // A host is better told that a tape cannot be had than that one block after the other cannot be read.
        match volume.closed() {
            Some(closed) => Err(closed.clone().into()),
            None => Ok(volume),
        }
    }

    /// A drive takes a cleaning cartridge in, which has one use less then; in a snapshot, where nothing can be written, none.
    pub(crate) fn use_for_cleaning(
        &self,
        entry: &CartridgeEntry,
        is_resumed: bool,
    ) -> anyhow::Result<Cleaning> {
        let Self::Store(store) = self else { return Ok(Cleaning::UsedUp) };
        let (cleaning, facts) = {
            let _reserved = store.reserve(entry.uuid);
            let directory = store.directory_of(entry.uuid);
            Cartridge::use_for_cleaning(store.disk().as_ref(), &directory, is_resumed)?
        };
        store.update_facts(entry.uuid, &facts)?;
        Ok(cleaning)
    }

    /// Notes what a drive knows of a cartridge.
    pub(crate) fn update_facts(
        &self,
        entry: &CartridgeEntry,
        facts: &CartridgeFacts,
    ) -> Result<(), StoreError> {
        match self {
            Self::Store(store) => store.update_facts(entry.uuid, facts),
            Self::Snapshot(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use vtl_media::{LibrarySpec, StoreOptions};

    use super::*;

    #[test]
    fn a_snapshots_cartridges_move_like_others_and_are_never_two_in_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(vtl_media::disk::RealDisk::new());
        let store = Arc::new(Store::open(disk, directory.path(), StoreOptions::default()).unwrap());
        store.initialize(LibrarySpec::default()).unwrap();
        let all: Vec<_> = store.cartridges().iter().take(3).map(|entry| entry.uuid).collect();
        let snapshot = store.create_snapshot("now", &all, &HashMap::new(), "test").unwrap();
        let id = snapshot.library.id.clone();
        let slot = |number| Place::Storage { library: id.clone(), number };
        let drive = Place::Drive { library: id.clone(), number: 0 };
        let shown = Holdings::Snapshot(Box::new(Shown::new(store, &snapshot)));
        let count = shown.cartridges().len();
        let first = shown.at(&slot(1)).unwrap();
        assert!(first.read_only && shown.find(first.barcode.as_str()).is_some());
        assert!(matches!(
            shown.relocate(&first, &slot(2), "test"),
            Err(MoveError::DestinationFull(_))
        ));
        assert!(matches!(
            shown.relocate(&first, &Place::slot(9), "test"),
            Err(MoveError::NoSuchElement(_))
        ));
        shown.relocate(&first, &drive, "test").unwrap();
        assert_eq!(shown.at(&drive).unwrap().source, Some(slot(1)));
        assert!(matches!(
            shown.exchange(&slot(1), &slot(2), &slot(1), "test"),
            Err(MoveError::SourceEmpty(_))
        ));
        shown.exchange(&drive, &slot(2), &slot(1), "test").unwrap();
        assert_eq!(shown.at(&slot(2)).unwrap().uuid, first.uuid);
        assert!(shown.at(&slot(1)).is_some() && shown.at(&drive).is_none());
        assert_eq!(shown.cartridges().len(), count);
        let loaded = shown.load(&first, LoadOptions::default()).unwrap();
        assert!(loaded.is_read_only());
    }
}
