//! A library while it runs: one changer, its drives, and the store behind them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tracing::{error, info, warn};
use vtl_changer::{Changer, Element};
use vtl_drive::{Drive, LibraryBay};
use vtl_media::{
    CartridgeEntry, CartridgeFacts, LibraryRecord, LoadOptions, Place, SnapshotRecord, Store,
};
use vtl_scsi::{ItNexus, Lun, NexusName};
use vtl_vault::receipt::Archive;

use crate::access::Access;
use crate::drill::Drills;
use crate::elements::host_clock;
use crate::exports::Transfers;
use crate::holdings::{Holdings, Shown};
use crate::keys;
use crate::loader::Loader;
use crate::models::Models;
use crate::nexuses::Nexuses;
use crate::robot::LibraryRobot;
use crate::site::Site;
use crate::thermometer::host_thermometer;
use crate::unit::{Device, Unit};
use crate::verification::Verifications;

/// The library, shared by all connections and by the control socket.
#[derive(Debug)]
pub struct Library {
    pub(crate) store: Arc<Store>,
    pub(crate) record: LibraryRecord,
    holdings: Arc<Holdings>,
    /// Who may use this library and the others.
    pub(crate) access: Arc<Access>,
    /// The libraries of the same store, of which this is one.
    pub(crate) site: Arc<Site>,
    /// At the first library of a store: the others, in the order in which they were made.
    others: Mutex<Vec<Arc<Library>>>,
    /// Libraries that show snapshots of this one, by the name of the snapshot.
    shown: Mutex<BTreeMap<String, Arc<Library>>>,
    /// Told the name of a target that is about to go away, so that its sessions end.
    on_hide: Mutex<Option<OnHide>>,
    undo_window: Mutex<String>,
    /// Where initiators connect, once they can.
    portal: OnceLock<SocketAddr>,
    /// What is being read back.
    pub(crate) verifications: Verifications,
    /// Rehearsals that are running.
    pub(crate) drills: Drills,
    /// What is on its way to or from physical tapes.
    pub(crate) transfers: Transfers,
    /// Receipts of copies, and the keys that sign them.
    pub(crate) receipts: Archive,
    /// How cartridges are loaded into drives, except for whether they lay there.
    load_options: LoadOptions,
    /// The drives, in order: drive n is LUN n + 1. Empty where nothing runs and the CLI works on the directory itself.
    drives: Mutex<Vec<Arc<Unit>>>,
    changer: Mutex<Option<Arc<Unit>>>,
    nexuses: Mutex<Nexuses>,
}

/// Ends the sessions of a target.
struct OnHide(Box<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for OnHide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnHide")
    }
}

/// The start of the program waits so long for cartridges that lay in drives, all together.
const START_LIMIT: Duration = Duration::from_secs(20);
/// The end of the program waits so long for each drive.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);

impl Library {
    /// The library without its devices, for work on the data directory itself.
    pub(crate) fn offline(store: Arc<Store>, models: Arc<Models>) -> anyhow::Result<Self> {
        Self::of_store(store, LoadOptions::default(), Site::new(models))
    }

    fn of_store(
        store: Arc<Store>,
        load_options: LoadOptions,
        site: Arc<Site>,
    ) -> anyhow::Result<Self> {
        keys::open_files(&store);
        let record = store
            .first_library()
            .ok_or_else(|| anyhow!("there is no library in this directory"))?;
        let holdings = Holdings::Store(Arc::clone(&store));
        let access = Arc::new(Access::new(Arc::clone(&store)));
        let library = Self::without_devices(store, record, holdings, access, load_options, site);
        keys::settle(&library.store, &library.receipts);
        Ok(library)
    }

    fn without_devices(
        store: Arc<Store>,
        record: LibraryRecord,
        holdings: Holdings,
        access: Arc<Access>,
        load_options: LoadOptions,
        site: Arc<Site>,
    ) -> Self {
        Self {
            receipts: Archive::new(store.disk(), store.directory()),
            store,
            record,
            site,
            others: Mutex::default(),
            holdings: Arc::new(holdings),
            access,
            shown: Mutex::default(),
            on_hide: Mutex::default(),
            undo_window: Mutex::default(),
            portal: OnceLock::new(),
            verifications: Verifications::default(),
            drills: Drills::default(),
            transfers: Transfers::default(),
            load_options,
            drives: Mutex::default(),
            changer: Mutex::default(),
            nexuses: Mutex::default(),
        }
    }

    /// All libraries of a store with their devices switched on, and the cartridges that lay in drives loaded again. The one
    /// that was made first is returned, and has the others. `load_options` say how cartridges are loaded, then and later;
    /// `is_resumed` is set here.
    pub fn power_on(store: Arc<Store>, load_options: LoadOptions) -> anyhow::Result<Arc<Self>> {
        Self::power_on_with(store, load_options, Arc::default())
    }

    /// [`Library::power_on`], with models beside those that are built in.
    pub(crate) fn power_on_with(
        store: Arc<Store>,
        load_options: LoadOptions,
        models: Arc<Models>,
    ) -> anyhow::Result<Arc<Self>> {
        let library = Arc::new(Self::of_store(store, load_options, Site::new(models))?);
        library.switch_on()?;
        let mut records = library.store.libraries();
        records.retain(|record| record.id != library.record.id);
        records.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        for record in records {
            let id = record.id.clone();
            // One that cannot be switched on, because nobody knows its model any more, must not keep the others from being there.
            if let Err(failure) = library.add(record) {
                error!(library = %id, failure = %format!("{failure:#}"), "the library is not there");
            }
        }
        for snapshot in library.store.snapshots().iter().filter(|snapshot| snapshot.is_presented) {
            // A snapshot that cannot be shown must not keep the library itself from being there.
            if let Err(failure) = library.show(snapshot) {
                error!(snapshot = snapshot.name, failure = %format!("{failure:#}"), "the snapshot cannot be shown");
            }
        }
        Ok(library)
    }

    /// At the first library: switches on another one of the same store.
    pub(crate) fn add(&self, record: LibraryRecord) -> anyhow::Result<()> {
        let name = record.id.clone();
        let library = Arc::new(Self::without_devices(
            Arc::clone(&self.store),
            record,
            Holdings::Store(Arc::clone(&self.store)),
            Arc::clone(&self.access),
            self.load_options.clone(),
            Arc::clone(&self.site),
        ));
        library.switch_on().with_context(|| format!("library {name}"))?;
        info!(library = %name, target = library.record.iqn, "there");
        lock(&self.others).push(library);
        Ok(())
    }

    /// Shows a snapshot as a library of its own, with its own target.
    pub(crate) fn show(&self, snapshot: &SnapshotRecord) -> anyhow::Result<()> {
        let mut shown = lock(&self.shown);
        if shown.contains_key(&snapshot.name) {
            return Ok(());
        }
        let snapshot = &self.cut_to_model(snapshot);
        let holdings = Holdings::Snapshot(Box::new(Shown::new(Arc::clone(&self.store), snapshot)));
        // It moves its cartridges for itself.
        let site = Site::new(Arc::clone(self.site.models()));
        let library = Arc::new(Self::without_devices(
            Arc::clone(&self.store),
            snapshot.library.clone(),
            holdings,
            Arc::clone(&self.access),
            self.load_options.clone(),
            site,
        ));
        library.switch_on()?;
        info!(snapshot = snapshot.name, target = snapshot.library.iqn, "shown");
        shown.insert(snapshot.name.clone(), library);
        Ok(())
    }

    /// A snapshot in as many storage elements as its library's model has addresses for: the other cartridges are on the shelf.
    fn cut_to_model(&self, snapshot: &SnapshotRecord) -> SnapshotRecord {
        let mut snapshot = snapshot.clone();
        let profile = self.site.models().library(&snapshot.library.changer.profile);
        if let Some(profile) = profile {
            let elements = &mut snapshot.library.storage_elements;
            *elements = profile.limits().storage.min(*elements);
        }
        snapshot
    }

    /// Ends the library that shows a snapshot, and the sessions with it.
    pub(crate) fn hide(&self, snapshot: &str) {
        let Some(library) = lock(&self.shown).remove(snapshot) else { return };
        if let Some(OnHide(tell)) = &*lock(&self.on_hide) {
            tell(&library.record.iqn);
        }
        library.power_off();
    }

    /// Whoever has sessions is told of targets that go away.
    pub(crate) fn on_hide(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        *lock(&self.on_hide) = Some(OnHide(Box::new(tell)));
    }

    /// At the first library: all libraries of the store, this one first.
    pub(crate) fn all(self: &Arc<Self>) -> Vec<Arc<Self>> {
        std::iter::once(Arc::clone(self)).chain(lock(&self.others).iter().cloned()).collect()
    }

    /// These, and those that show snapshots.
    pub(crate) fn targets(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut targets = self.all();
        targets.extend(lock(&self.shown).values().cloned());
        targets
    }

    /// Whether its devices are switched on.
    pub(crate) fn is_running(&self) -> bool {
        lock(&self.changer).is_some()
    }

    /// How long what was overwritten can be brought back, as the configuration says it.
    pub(crate) fn undo_window(&self) -> String {
        lock(&self.undo_window).clone()
    }

    /// Where initiators connect to the library that runs.
    pub(crate) fn portal(&self) -> Option<SocketAddr> {
        self.portal.get().copied()
    }

    /// Initiators can connect from now on.
    pub(crate) fn note_portal(&self, address: SocketAddr) {
        self.portal.get_or_init(|| address);
    }

    /// Notes what the configuration says of [`Library::undo_window`].
    pub(crate) fn set_undo_window(&self, window: &str) {
        window.clone_into(&mut lock(&self.undo_window));
    }

    /// Which cartridges there are, and where.
    pub(crate) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    fn switch_on(self: &Arc<Self>) -> anyhow::Result<()> {
        let library = self;
        library.site.join(library);
        let drive_count = u16::try_from(library.record.drives.len()).context("too many drives")?;
        let luns: Arc<[Lun]> = (0..=drive_count).map(Lun).collect();
        let map = library.element_map(drive_count)?;
        let mut drives = Vec::new();
        for (number, record) in (0..drive_count).zip(&library.record.drives) {
            let profile = library.site.models().drive(&record.profile).with_context(|| {
                format!("drive {number} is a {}, which this version does not know", record.profile)
            })?;
            let drive = || {
                let serial = &record.serial;
                let mut drive =
                    Drive::new(profile, serial, naa(profile.naa_base, serial), luns.clone());
                drive.set_clock(host_clock());
                drive.set_thermometer(host_thermometer());
                library.keep_reservations_of(&mut drive, serial);
                drive.join_library(LibraryBay {
                    changer_serial: library.record.changer.serial.clone(),
                    element_address: map.address(Element::Drive(number)),
                });
                let weak = Arc::downgrade(library);
                drive.on_failure(move |failure| {
                    if let Some(library) = weak.upgrade() {
                        library.note_failure(number, failure);
                    }
                });
                Device::Drive(Box::new(drive))
            };
            drives.push(Unit::start(Lun(number + 1), drive(), drive())?);
        }
        library.load_what_lies_in(&drives);
        *lock(&library.drives) = drives;
        let changer = || -> anyhow::Result<Device> {
            Ok(Device::Changer(Box::new(library.build_changer(drive_count, luns.clone())?)))
        };
        *lock(&library.changer) = Some(Unit::start(Lun(0), changer()?, changer()?)?);
        Ok(())
    }

    /// Loads the cartridges that lay in drives when the program ended. One whose disk is stuck keeps nobody from starting.
    fn load_what_lies_in(&self, drives: &[Arc<Unit>]) {
        let under_way: Vec<_> = (0..)
            .zip(drives)
            .filter_map(|(number, unit)| {
                let entry = self.holdings.at(&self.drive_place(number))?;
                Some(self.begin_load(unit, number, &entry, true))
            })
            .collect();
        let deadline = Instant::now() + START_LIMIT;
        for load in under_way {
            if !load.is_done_by(deadline) {
                warn!("a cartridge that lay in a drive is not loaded yet; its drive is not ready");
            }
        }
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

    /// The drive at a place, in whichever library of the store that is.
    pub(crate) fn drive_at(&self, place: &Place) -> Option<Arc<Unit>> {
        let Place::Drive { library, number } = place else { return None };
        if *library == self.record.id {
            return self.drive(*number);
        }
        self.site.library(library)?.drive(*number)
    }

    /// The place in a drive.
    pub fn drive_place(&self, number: u16) -> Place {
        Place::Drive { library: self.record.id.clone(), number: number.into() }
    }

    /// The handle of a nexus: the same one each time it comes.
    pub fn nexus(&self, name: &NexusName) -> ItNexus {
        lock(&self.nexuses).handle(name)
    }

    /// The initiator of a nexus, as long as it is remembered.
    pub(crate) fn nexus_name(&self, nexus: ItNexus) -> Option<String> {
        lock(&self.nexuses).initiator(nexus)
    }

    /// Everything to disk and all labels closed: the end of the program.
    pub fn power_off(&self) {
        self.verifications.stop();
        self.transfers.stop();
        let shown = std::mem::take(&mut *lock(&self.shown));
        for library in shown.values() {
            library.power_off();
        }
        let others = std::mem::take(&mut *lock(&self.others));
        for library in &others {
            library.power_off();
        }
        for (number, unit) in (0_u32..).zip(lock(&self.drives).iter()) {
            let place = Place::Drive { library: self.record.id.clone(), number };
            // The program ends all the same: there is nothing to undo.
            let removed =
                unit.ask(CLOSE_LIMIT, |device| device.drive().map(Drive::remove), |_, _| {});
            match (removed, self.holdings.at(&place)) {
                (Some(Some(Ok(Some(facts)))), Some(entry)) => self.note_facts(&entry, &facts),
                (Some(Some(Err(failure))), Some(entry)) => {
                    error!(barcode = %entry.barcode, %failure, "the cartridge could not be closed cleanly");
                }
                (None, Some(entry)) => {
                    error!(barcode = %entry.barcode, "the drive is stuck: the cartridge was not closed");
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
        let map = self.element_map(drives)?;
        let profile = self.changer_profile()?;
        let serial = &self.record.changer.serial;
        let robot = Box::new(LibraryRobot::new(Arc::downgrade(self)));
        let mut changer =
            Changer::new(profile, map, serial, naa(profile.naa_base, serial), luns, robot);
        changer.set_clock(host_clock());
        self.keep_reservations_of(&mut changer, serial);
        Ok(changer)
    }

    pub(crate) fn begin_load(
        &self,
        unit: &Unit,
        number: u16,
        entry: &CartridgeEntry,
        is_resumed: bool,
    ) -> UnderWay {
        let (loader, entry) = (self.loader(), entry.clone());
        let (sender, end) = mpsc::sync_channel::<()>(1);
        unit.leave(move |device| {
            if let Some(drive) = device.drive() {
                loader.load(drive, number, &entry, is_resumed);
            }
            sender
        });
        UnderWay(end)
    }

    pub(crate) fn loader(&self) -> Loader {
        Loader { holdings: Arc::clone(&self.holdings), options: self.load_options.clone() }
    }

    pub(crate) fn note_facts(&self, entry: &CartridgeEntry, facts: &CartridgeFacts) {
        if let Err(failure) = self.holdings.update_facts(entry, facts) {
            warn!(barcode = %entry.barcode, %failure, "the catalogue was not told; it will be at the next start");
        }
    }
}

/// Something that a unit's thread does; the end of the channel is the end of it.
pub(crate) struct UnderWay(mpsc::Receiver<()>);

impl UnderWay {
    pub(crate) fn is_done_by(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Disconnected)
    }
}

/// The NAA identifier of a device: the vendor's part, and the rest from the serial number, which never changes.
fn naa(base: u64, serial: &str) -> u64 {
    let folded = serial.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    base | (folded & 0xffff_ffff)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
