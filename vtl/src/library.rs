//! The library while it runs: one changer, its drives, and the store behind them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use tracing::{error, info, warn};
use vtl_changer::{Changer, MoveFailure};
use vtl_drive::{Drive, NotLoaded};
use vtl_media::{
    Cartridge, CartridgeEntry, CartridgeKind, LibraryRecord, LoadOptions, MoveError, Place, Store,
};
use vtl_scsi::{ItNexus, Lun, NexusName};

use crate::robot::LibraryRobot;
use crate::unit::{Device, Unit};

/// The library, shared by all connections and by the control socket.
#[derive(Debug)]
pub struct Library {
    pub(crate) store: Arc<Store>,
    pub(crate) record: LibraryRecord,
    /// How cartridges are loaded into drives, except for whether they lay there.
    load_options: LoadOptions,
    /// The drives, in order: drive n is LUN n + 1. Empty where nothing runs and the CLI works on the directory itself.
    drives: Mutex<Vec<Arc<Unit>>>,
    changer: Mutex<Option<Arc<Unit>>>,
    /// One arm: moves come one after the other.
    arm: Mutex<()>,
    nexuses: Mutex<BTreeMap<NexusKey, ItNexus>>,
    next_nexus: AtomicU64,
}

/// Initiator and its port: what stays the same from one session to the next.
type NexusKey = (String, String);

/// As many nexuses keep their handle; devices forget those longest away on their own.
const MAX_NEXUSES: usize = 4096;

impl Library {
    /// The library without its devices, for work on the data directory itself.
    pub(crate) fn offline(store: Arc<Store>) -> anyhow::Result<Self> {
        Self::without_devices(store, LoadOptions::default())
    }

    fn without_devices(store: Arc<Store>, load_options: LoadOptions) -> anyhow::Result<Self> {
        let record = store
            .libraries()
            .into_iter()
            .next()
            .ok_or_else(|| anyhow!("there is no library in this directory"))?;
        Ok(Self {
            store,
            record,
            load_options,
            drives: Mutex::default(),
            changer: Mutex::default(),
            arm: Mutex::default(),
            nexuses: Mutex::default(),
            next_nexus: AtomicU64::new(1),
        })
    }

    /// The library with its devices switched on, and the cartridges that lay in drives loaded again. `load_options` say how
    /// cartridges are loaded, then and later; `is_resumed` is set here.
    pub fn power_on(store: Arc<Store>, load_options: LoadOptions) -> anyhow::Result<Arc<Self>> {
        let library = Arc::new(Self::without_devices(store, load_options)?);
        let drive_count = u16::try_from(library.record.drives.len()).context("too many drives")?;
        let luns: Arc<[Lun]> = (0..=drive_count).map(Lun).collect();
        let mut drives = Vec::new();
        for (number, record) in (0..drive_count).zip(&library.record.drives) {
            let profile = vtl_drive::Profile::find(&record.profile).with_context(|| {
                format!("drive {number} is a {}, which this version does not know", record.profile)
            })?;
            let mut drive = Drive::new(profile, &record.serial, naa(&record.serial), luns.clone());
            if let Some(cartridge) = library.store.at(&library.drive_place(number)) {
                library.load(&mut drive, number, &cartridge, true);
            }
            drives.push(Unit::start(Lun(number + 1), Device::Drive(Box::new(drive)))?);
        }
        *lock(&library.drives) = drives;
        let changer = library.build_changer(drive_count, luns)?;
        *lock(&library.changer) = Some(Unit::start(Lun(0), Device::Changer(Box::new(changer)))?);
        Ok(library)
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// All logical units, LUN 0 first.
    pub fn units(&self) -> Vec<Arc<Unit>> {
        lock(&self.changer).iter().cloned().chain(lock(&self.drives).iter().cloned()).collect()
    }

    /// The logical unit with this number.
    pub fn unit(&self, lun: Lun) -> Option<Arc<Unit>> {
        match lun.0.checked_sub(1) {
            None => lock(&self.changer).clone(),
            Some(drive) => lock(&self.drives).get(usize::from(drive)).cloned(),
        }
    }

    /// A drive, counted from 0.
    pub fn drive(&self, number: u32) -> Option<Arc<Unit>> {
        lock(&self.drives).get(usize::try_from(number).ok()?).cloned()
    }

    /// The place in a drive.
    pub fn drive_place(&self, number: u16) -> Place {
        Place::Drive { library: self.record.id.clone(), number: number.into() }
    }

    /// The handle of a nexus: the same one each time it comes.
    pub fn nexus(&self, name: &NexusName) -> ItNexus {
        let key = (name.initiator.to_string(), name.initiator_port.to_string());
        let mut nexuses = lock(&self.nexuses);
        if let Some(nexus) = nexuses.get(&key) {
            return *nexus;
        }
        let nexus = ItNexus(self.next_nexus.fetch_add(1, Ordering::Relaxed));
        if nexuses.len() >= MAX_NEXUSES {
            nexuses.pop_first();
        }
        nexuses.insert(key, nexus);
        nexus
    }

    /// All import/export elements in order.
    pub(crate) fn import_export(&self) -> impl Iterator<Item = Place> + '_ {
        (1..=self.record.import_export_elements)
            .map(|number| Place::ImportExport { library: self.record.id.clone(), number })
    }

    /// Moves a cartridge, out of a drive and into one if need be. After a failure it is where it was.
    pub(crate) fn move_cartridge(
        &self,
        from: &Place,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let entry = self.store.at(from).ok_or(MoveFailure::SourceEmpty)?;
        self.relocate(&entry, to, actor)
    }

    /// Moves a cartridge from wherever it is.
    pub(crate) fn relocate(
        &self,
        entry: &CartridgeEntry,
        to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let _arm = lock(&self.arm);
        let from = &entry.place;
        if self.store.find(entry.barcode.as_str()).is_none_or(|now| now.place != *from) {
            return Err(MoveFailure::SourceEmpty);
        }
        if to.is_element() && self.store.at(to).is_some() {
            return Err(MoveFailure::DestinationFull);
        }
        self.take_out(from, entry)?;
        let moved = self.store.move_cartridge_by_id(entry.uuid, to, actor);
        let end = if moved.is_ok() { to } else { from };
        self.put_in(end, entry);
        moved.map_err(|error| self.explain(entry, &error))
    }

    /// Moves two cartridges at once: `from` to `to`, and what was there to `second_to`.
    pub(crate) fn exchange(
        &self,
        from: &Place,
        to: &Place,
        second_to: &Place,
        actor: &str,
    ) -> Result<(), MoveFailure> {
        let _arm = lock(&self.arm);
        let first = self.store.at(from).ok_or(MoveFailure::SourceEmpty)?;
        let second = self.store.at(to).ok_or(MoveFailure::SourceEmpty)?;
        if second_to != from && self.store.at(second_to).is_some() {
            return Err(MoveFailure::DestinationFull);
        }
        self.take_out(from, &first)?;
        if let Err(failure) = self.take_out(to, &second) {
            self.put_in(from, &first);
            return Err(failure);
        }
        let moved = self.store.exchange(from, to, second_to, actor);
        let (first_end, second_end) = if moved.is_ok() { (to, second_to) } else { (from, to) };
        self.put_in(first_end, &first);
        self.put_in(second_end, &second);
        moved.map_err(|error| self.explain(&first, &error))
    }

    /// Everything to disk and all labels closed: the end of the program.
    pub fn power_off(&self) {
        for (number, unit) in (0_u32..).zip(lock(&self.drives).iter()) {
            let place = Place::Drive { library: self.record.id.clone(), number };
            let removed = unit.with_drive(Drive::remove);
            match (removed, self.store.at(&place)) {
                (Some(Ok(Some(facts))), Some(entry)) => self.note_facts(&entry, &facts),
                (Some(Err(failure)), Some(entry)) => {
                    error!(barcode = %entry.barcode, %failure, "the cartridge could not be closed cleanly");
                }
                _ => {}
            }
            unit.close();
        }
        if let Some(changer) = lock(&self.changer).take() {
            changer.close();
        }
        lock(&self.drives).clear();
    }

    fn build_changer(self: &Arc<Self>, drives: u16, luns: Arc<[Lun]>) -> anyhow::Result<Changer> {
        let record = &self.record;
        let profile = vtl_changer::Profile::find(&record.changer.profile).with_context(|| {
            format!("this version does not know the library model {}", record.changer.profile)
        })?;
        let storage =
            u16::try_from(record.storage_elements).context("too many storage elements")?;
        let import_export = u16::try_from(record.import_export_elements)
            .context("too many import/export elements")?;
        let map = profile
            .element_map(storage, import_export, drives)
            .with_context(|| format!("a {} has not so many element addresses", profile.product))?;
        let serial = &record.changer.serial;
        let robot = Box::new(LibraryRobot::new(Arc::downgrade(self)));
        Ok(Changer::new(profile, map, serial, naa(serial), luns, robot))
    }

    /// Opens a drive's door, if the cartridge is in one: everything is on disk afterwards.
    fn take_out(&self, place: &Place, entry: &CartridgeEntry) -> Result<(), MoveFailure> {
        let Some(unit) = self.unit_at(place) else {
            return Ok(());
        };
        let facts = unit.with_drive(|drive| {
            if drive.is_removal_prevented() {
                return Err(MoveFailure::RemovalPrevented);
            }
            drive.prepare_removal().map_err(|failure| {
                error!(barcode = %entry.barcode, %failure, "the drive keeps the cartridge: not everything is on disk");
                MoveFailure::DriveHoldsMedium
            })?;
            match drive.remove() {
                Ok(facts) => Ok(facts),
                Err(failure) => {
                    error!(barcode = %entry.barcode, %failure, "the label could not be closed; what was synced is there");
                    Ok(None)
                }
            }
        });
        if let Some(Some(facts)) = facts.transpose()? {
            self.note_facts(entry, &facts);
        }
        Ok(())
    }

    fn put_in(&self, place: &Place, entry: &CartridgeEntry) {
        if let (Place::Drive { number, .. }, Some(unit)) = (place, self.unit_at(place)) {
            let number = u16::try_from(*number).unwrap_or(u16::MAX);
            unit.with_drive(|drive| self.load(drive, number, entry, false));
        }
    }

    fn unit_at(&self, place: &Place) -> Option<Arc<Unit>> {
        match place {
            Place::Drive { number, .. } => self.drive(*number),
            _ => None,
        }
    }

    /// Threads a cartridge, or takes up one that lay in the drive when the program ended. One that cannot be loaded stays
    /// in the drive's door, and the drive says why.
    fn load(&self, drive: &mut Drive, number: u16, entry: &CartridgeEntry, is_resumed: bool) {
        if entry.kind == CartridgeKind::Cleaning {
            info!(barcode = %entry.barcode, drive = number, "cleaning cartridge in the drive");
            return drive.refuse(NotLoaded::Cleaning);
        }
        if drive.profile().access(&entry.media_type) == vtl_drive::Access::None {
            warn!(barcode = %entry.barcode, drive = number, media = entry.media_type, model = drive.profile().product,
                "the drive cannot read cartridges of this generation");
            return drive.refuse(NotLoaded::WrongGeneration);
        }
        let options = LoadOptions { is_resumed, ..self.load_options.clone() };
        match Cartridge::load(self.store.disk(), &self.store.directory_of(entry.uuid), options) {
            Ok(cartridge) => {
                info!(barcode = %entry.barcode, drive = number, "loaded");
                drive.insert(cartridge);
            }
            Err(failure) => {
                let failure = format!("{:#}", anyhow::Error::from(failure));
                error!(barcode = %entry.barcode, drive = number, failure, "the cartridge cannot be loaded");
                drive.refuse(NotLoaded::Damaged);
            }
        }
    }

    fn note_facts(&self, entry: &CartridgeEntry, facts: &vtl_media::CartridgeFacts) {
        if let Err(failure) = self.store.update_facts(entry.uuid, facts) {
            warn!(barcode = %entry.barcode, %failure, "the catalogue was not told; it will be at the next start");
        }
    }

    fn explain(&self, entry: &CartridgeEntry, error: &MoveError) -> MoveFailure {
        match error {
            MoveError::SourceEmpty { .. } => MoveFailure::SourceEmpty,
            MoveError::DestinationFull { .. } => MoveFailure::DestinationFull,
            other => {
                error!(barcode = %entry.barcode, library = %self.record.id, failure = %other, "the move was not made");
                MoveFailure::NotRecorded
            }
        }
    }
}

/// The NAA identifier of a device: IEEE registered form under IBM's number, the rest from the serial, which never changes.
fn naa(serial: &str) -> u64 {
    const NAA_REGISTERED_IBM: u64 = 0x5005_0763_0000_0000;
    let folded = serial.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    NAA_REGISTERED_IBM | (folded & 0xffff_ffff)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
