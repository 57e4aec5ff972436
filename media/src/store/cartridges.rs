//! Making and deleting cartridges and libraries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use jiff::Timestamp;
use uuid::Uuid;

use super::error::{CreateError, DeleteError, MAX_CARTRIDGES_AT_ONCE};
use super::files::Content;
use super::library::{LibraryRecord, LibrarySpec, MAX_DRIVES, MAX_ELEMENTS, make_record};
use super::{Store, files};
use crate::barcode::Barcode;
use crate::cartridge::CartridgeFacts;
use crate::catalogue::Change;
use crate::inventory::{CartridgeEntry, Inventory};
use crate::label::{CartridgeKind, Moment};
use crate::ledger::Event;
use crate::mam::Mam;
use crate::place::{LibraryId, Place};

/// What a new cartridge is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCartridge {
    /// Its barcode, which nobody else may have.
    pub barcode: Barcode,
    /// Data or cleaning.
    pub kind: CartridgeKind,
    /// For example `lto9`.
    pub media_type: String,
    /// The media type's native capacity if there is none.
    pub capacity_bytes: Option<u64>,
    /// Whether it can be written only once.
    pub worm: bool,
    /// The pool it belongs to.
    pub pool: Option<String>,
    /// Where it goes; a free storage element, else the shelf, if there is none.
    pub to: Option<Place>,
    /// What it begins with, if it is made from another cartridge.
    pub twin: Option<Twin>,
}

/// What a cartridge that is made from another one begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// The moment of the other one.
    pub moment: Moment,
    /// The other one's barcode.
    pub of: Barcode,
    /// Whether nothing may ever be written on it.
    pub read_only: bool,
    /// What there is on it.
    pub facts: CartridgeFacts,
    /// The attributes.
    pub mam: Mam,
}

impl NewCartridge {
    /// An erasable data cartridge of native capacity for any free storage element.
    pub fn new(barcode: Barcode, media_type: &str) -> Self {
        Self {
            barcode,
            kind: CartridgeKind::Data,
            media_type: media_type.to_owned(),
            capacity_bytes: None,
            worm: false,
            pool: None,
            to: None,
            twin: None,
        }
    }
}

/// Native capacity of a media type, in bytes; `None` for one that we do not know.
pub fn native_capacity_bytes(media_type: &str) -> Option<u64> {
    let gigabytes: u64 = match media_type {
        "lto1" => 100,
        "lto2" => 200,
        "lto3" => 400,
        "lto4" => 800,
        "lto5" => 1_500,
        "lto6" => 2_500,
        "lto7" => 6_000,
        "lto8" => 12_000,
        "lto9" => 18_000,
        "lto10" => 30_000,
        _ => return None,
    };
    Some(gigabytes * 1_000_000_000)
}

impl Store {
    /// Makes a library with its first cartridges: all of it, or after an error or crash nothing.
    pub fn initialize(&self, spec: LibrarySpec) -> Result<LibraryRecord, CreateError> {
        self.create_library(spec, &self.actor)
    }

    /// [`Store::initialize`], by somebody.
    pub fn create_library(
        &self,
        spec: LibrarySpec,
        actor: &str,
    ) -> Result<LibraryRecord, CreateError> {
        check_spec(&spec)?;
        let changing = self.begin_change();
        let record =
            make_record(&spec, &self.random, self.clock.now()).map_err(CreateError::Random)?;
        let mut planned = self.inventory().clone();
        let event = Event::LibraryCreated { library: record.clone() };
        if planned.library(&record.id).is_some() {
            return Err(CreateError::LibraryExists(record.id));
        }
        if !is_target_name(&record.iqn) || planned.libraries().any(|other| other.iqn == record.iqn)
        {
            return Err(CreateError::BadTargetName(record.iqn));
        }
        planned.apply_event(&event, self.clock.now())?;
        self.create(&planned, Some(&record.id), vec![event], spec.cartridges, actor)?;
        drop(changing);
        Ok(record)
    }

    /// Makes cartridges: all of them, or after an error or crash none. New ones go to free storage elements in order, and
    /// to the shelf when there is none.
    pub fn create_cartridges(
        &self,
        cartridges: Vec<NewCartridge>,
        actor: &str,
    ) -> Result<Vec<CartridgeEntry>, CreateError> {
        self.create_cartridges_in(None, cartridges, actor)
    }

    /// [`Store::create_cartridges`], in the storage elements of one library.
    pub fn create_cartridges_in(
        &self,
        library: Option<&LibraryId>,
        cartridges: Vec<NewCartridge>,
        actor: &str,
    ) -> Result<Vec<CartridgeEntry>, CreateError> {
        let changing = self.begin_change();
        let planned = self.inventory().clone();
        let made = self.create(&planned, library, Vec::new(), cartridges, actor)?;
        drop(changing);
        Ok(made)
    }

    /// Deletes a cartridge with everything on it. Whether that may be is the caller's decision; one in a drive is refused.
    pub fn delete_cartridge(&self, uuid: Uuid, actor: &str) -> Result<(), DeleteError> {
        self.delete_if(uuid, |_| true, actor)
    }

    /// The same, of a cartridge that is still what it was when somebody decided to: whoever has written on it meanwhile keeps it.
    /// So it is where one of these copies, which it was to be given up for, does not count any more.
    pub fn delete_unchanged(
        &self,
        expected: &CartridgeEntry,
        copies: &[Uuid],
        actor: &str,
    ) -> Result<(), DeleteError> {
        let content = |entry: &CartridgeEntry| (entry.generation, entry.facts());
        let counts = |id: &Uuid| self.copy(*id).is_some_and(|copy| copy.state.is_receipted());
        let is_expected = |entry: &CartridgeEntry| {
            content(entry) == content(expected) && copies.iter().all(counts)
        };
        self.delete_if(expected.uuid, is_expected, actor)
    }

    fn delete_if(
        &self,
        uuid: Uuid,
        is_expected: impl FnOnce(&CartridgeEntry) -> bool,
        actor: &str,
    ) -> Result<(), DeleteError> {
        // First the cartridge, as everybody does: whoever works on it may have to record something before he lets it go.
        let _reserved = self.reserve(uuid);
        let changing = self.begin_change();
        let entry =
            self.inventory().cartridge(uuid).cloned().ok_or(DeleteError::NoCartridge(uuid))?;
        if !is_expected(&entry) {
            return Err(DeleteError::Changed(entry.barcode));
        }
        self.check_deletion(&entry)?;
        // First the ledger, then the files: from here on every start finishes what is left to do.
        let event = Event::CartridgeDeleted { uuid, barcode: entry.barcode };
        let deleted = self.ledger.append(&event, actor)?;
        self.inventory().apply_event(&event, deleted.time)?;
        self.project(&[Change::Remove(uuid)], deleted.head);
        let directory = self.directory_of(uuid);
        if let Err(error) = files::remove_cartridge(&*self.disk, &directory) {
            tracing::warn!(%uuid, %error, "a deleted cartridge's directory is still there; the next start removes it");
        }
        drop(changing);
        Ok(())
    }

    /// What rests on cartridges and keeps them from being deleted, by name: twins and snapshots.
    pub fn dependents(&self) -> BTreeMap<Uuid, Vec<String>> {
        self.inventory().all_dependents()
    }

    /// Whether a cartridge may be given up for good.
    pub fn check_deletion(&self, entry: &CartridgeEntry) -> Result<(), DeleteError> {
        if matches!(entry.place, Place::Drive { .. }) {
            return Err(DeleteError::InDrive(entry.place.clone()));
        }
        let barcode = entry.barcode.clone();
        let by = self.inventory().dependents(entry.uuid);
        if !by.is_empty() {
            return Err(DeleteError::Needed { barcode, by });
        }
        match self.inventory().retention(entry.uuid).reason(self.compliance.now()) {
            Some(reason) => Err(DeleteError::Locked { barcode, reason }),
            None => Ok(()),
        }
    }

    /// Plans, makes the directories, records, and shows. `planned` already knows what `before` says.
    fn create(
        &self,
        planned: &Inventory,
        library: Option<&LibraryId>,
        before: Vec<Event>,
        cartridges: Vec<NewCartridge>,
        actor: &str,
    ) -> Result<Vec<CartridgeEntry>, CreateError> {
        if cartridges.len() > MAX_CARTRIDGES_AT_ONCE {
            return Err(CreateError::TooMany(cartridges.len()));
        }
        let places = assign_places(planned, library, &cartridges)?;
        let mut events = before;
        let mut identities = Vec::with_capacity(cartridges.len());
        let mut contents = HashMap::new();
        for (new, place) in cartridges.into_iter().zip(places) {
            let uuid = self.random.uuid().map_err(CreateError::Random)?;
            identities.push(uuid);
            if let Some(Twin { facts, mam, .. }) = &new.twin {
                contents.insert(uuid, Content { facts: facts.clone(), mam: mam.clone() });
            }
            events.push(created(uuid, new, place)?);
        }
        if !identities.is_empty() {
            let intent = Event::CreationIntended { cartridges: identities.clone() };
            let intended = self.ledger.append(&intent, actor)?;
            self.inventory().apply_event(&intent, intended.time)?;
        }
        let made = self
            .make_directories(&events, &contents)
            .and_then(|()| Ok(self.ledger.append_all(&events, actor)?));
        match made {
            Ok(appended) => {
                let entries = self.show(&events, &identities, &contents, appended.time)?;
                let changes: Vec<_> =
                    entries.iter().map(|entry| Change::Put(Box::new(entry.clone()))).collect();
                self.project(&changes, appended.head);
                Ok(entries)
            }
            Err(error) => {
                self.undo_creation(&identities, actor);
                Err(error)
            }
        }
    }

    fn make_directories(
        &self,
        events: &[Event],
        contents: &HashMap<Uuid, Content>,
    ) -> Result<(), CreateError> {
        let blank = Content::default();
        for event in events {
            if let Event::CartridgeCreated { uuid, barcode, .. } = event {
                let directory = self.directory_of(*uuid);
                let content = contents.get(uuid).unwrap_or(&blank);
                let now = self.clock.now();
                files::make_cartridge(&self.disk, &directory, event, content, now).map_err(
                    |source| CreateError::Cartridge { barcode: barcode.clone(), source },
                )?;
            }
        }
        let parent = self.directory.cartridges();
        self.disk.sync_dir(&parent).map_err(|source| {
            CreateError::Ledger(crate::ledger::LedgerError::Io {
                operation: "sync",
                path: parent,
                source,
            })
        })
    }

    fn show(
        &self,
        events: &[Event],
        identities: &[Uuid],
        contents: &HashMap<Uuid, Content>,
        time: Timestamp,
    ) -> Result<Vec<CartridgeEntry>, CreateError> {
        let mut inventory = self.inventory();
        for event in events {
            inventory.apply_event(event, time)?;
        }
        for (uuid, content) in contents {
            inventory.set_facts(*uuid, &content.facts);
        }
        Ok(identities.iter().filter_map(|uuid| inventory.cartridge(*uuid).cloned()).collect())
    }

    /// Takes half-made directories away again. What does not succeed now, the next start does.
    fn undo_creation(&self, identities: &[Uuid], actor: &str) {
        // If the failed append is on disk after all, the next start would find cartridges without directories.
        if identities.is_empty() || self.ledger.is_fenced() {
            return;
        }
        let abandoned = Event::CreationAbandoned { cartridges: identities.to_vec() };
        let appended = match self.ledger.append(&abandoned, actor) {
            Ok(appended) => appended,
            Err(error) => {
                tracing::warn!(%error, "an abandoned creation could not be recorded; the next start removes what it left");
                return;
            }
        };
        if let Err(error) = self.inventory().apply_event(&abandoned, appended.time) {
            tracing::error!(%error, "an abandoned creation contradicts the ledger");
        }
        for uuid in identities {
            remove_quietly(self, &self.directory_of(*uuid));
        }
    }
}

fn remove_quietly(store: &Store, directory: &Path) {
    if let Err(error) = files::remove_cartridge(&*store.disk, directory) {
        tracing::warn!(%error, directory = %directory.display(), "a half-made cartridge could not be removed yet");
    }
}

fn check_spec(spec: &LibrarySpec) -> Result<(), CreateError> {
    let others = u32::try_from(spec.other_drives.len()).unwrap_or(u32::MAX);
    let is_good = (1..=MAX_DRIVES).contains(&spec.drives.saturating_add(others))
        && (1..=MAX_ELEMENTS).contains(&spec.storage_elements)
        && spec.import_export_elements <= MAX_ELEMENTS
        && LibraryId::new(&spec.id.0).is_ok();
    if is_good { Ok(()) } else { Err(CreateError::BadSpec) }
}

/// The forms of RFC 7143 §4.2.7, in lower case as it is compared, and without what would need quoting anywhere.
fn is_target_name(name: &str) -> bool {
    let has_form = ["iqn.", "eui.", "naa."].iter().any(|form| name.starts_with(form));
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:".contains(&byte);
    has_form && name.len() <= MAX_TARGET_NAME_BYTES && name.bytes().all(is_plain)
}

/// Where each new cartridge goes; refuses what cannot be before anything is done.
fn assign_places(
    planned: &Inventory,
    library: Option<&LibraryId>,
    cartridges: &[NewCartridge],
) -> Result<Vec<Place>, CreateError> {
    let mut barcodes = HashSet::new();
    let mut wanted = HashSet::new();
    for new in cartridges {
        if planned.find(new.barcode.as_str()).is_some() || !barcodes.insert(&new.barcode) {
            return Err(CreateError::DuplicateBarcode(new.barcode.clone()));
        }
        let Some(place) = &new.to else { continue };
        if !planned.has_place(place) {
            return Err(CreateError::NoSuchElement(place.clone()));
        }
        if matches!(place, Place::Drive { .. }) {
            return Err(CreateError::InDrive(place.clone()));
        }
        if place.is_element() && (planned.at(place).is_some() || !wanted.insert(place.clone())) {
            return Err(CreateError::Occupied(place.clone()));
        }
    }
    let mut free = planned
        .free_storage()
        .filter(|place| library.is_none() || place.library() == library)
        .filter(|place| !wanted.contains(place));
    let place_of =
        |new: &NewCartridge| new.to.clone().or_else(|| free.next()).unwrap_or(Place::Shelf);
    Ok(cartridges.iter().map(place_of).collect())
}

fn created(uuid: Uuid, new: NewCartridge, place: Place) -> Result<Event, CreateError> {
    let capacity = new.capacity_bytes.or_else(|| native_capacity_bytes(&new.media_type));
    let (moment, twin_of, read_only) = match new.twin {
        Some(twin) => (Some(twin.moment), Some(twin.of), twin.read_only),
        None => (None, None, false),
    };
    let origin = moment.as_ref().map(|moment| moment.origin);
    Ok(Event::CartridgeCreated {
        uuid,
        barcode: new.barcode,
        kind: new.kind,
        capacity_bytes: capacity
            .ok_or_else(|| CreateError::UnknownMediaType(new.media_type.clone()))?,
        media_type: new.media_type,
        worm: new.worm,
        pool: new.pool,
        place,
        origin,
        parts: moment.map(|moment| moment.parts).unwrap_or_default(),
        twin_of,
        read_only,
    })
}

/// RFC 7143 §4.2.7.
const MAX_TARGET_NAME_BYTES: usize = 223;
