//! A library on some disk, and a host that sends it commands; there are no sockets between the two.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use vtl::{Library, Reply, Ticket};
use vtl_changer::{Element, ElementMap};
use vtl_media::disk::Disk;
use vtl_media::ledger::Clock;
use vtl_media::store::{CatalogueKind, RandomSource};
use vtl_media::{
    Barcode, CartridgeState, LibraryId, LibrarySpec, LoadOptions, NewCartridge, Place, Store,
    StoreOptions,
};
use vtl_scsi::sense::SenseKey;
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task};

use crate::promise::Places;
use vtl_tools::random::Random;

/// Small numbers: the more often elements are full, the more there is to go wrong.
pub(crate) const DRIVES: u16 = 2;
const STORAGE: u16 = 4;
const IMPORT_EXPORT: u16 = 1;
const CARTRIDGES: u32 = 3;

const DATA: &str = "/data";
const NEXUS: ItNexus = ItNexus(1);

/// How cartridges are loaded: small segments and buffers, so that there is much rolling and waiting.
pub(crate) fn load_options() -> LoadOptions {
    LoadOptions {
        write_buffer_bytes: 192 * 1024,
        segment_bytes: 64 * 1024,
        reserve_bytes: Some(0),
        // The cartridges' threads act when they are asked to and never because time has passed.
        idle_flush: Duration::from_hours(100),
        background_sync: Duration::from_hours(100),
        clock: Arc::new(now),
        ..LoadOptions::default()
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or_default()
}

/// A library that is switched on.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) library: Arc<Library>,
    tickets: AtomicU64,
}

impl Host {
    /// Makes an empty data directory into a small library.
    pub(crate) fn install(disk: Arc<dyn Disk>, seed: u64) -> anyhow::Result<()> {
        let store = open(disk, seed)?;
        let cartridges = (1..=CARTRIDGES).map(|number| {
            let barcode = Barcode::new(&format!("A{number:05}L9")).context("a barcode")?;
            let mut new = NewCartridge::new(barcode, "lto9");
            new.capacity_bytes = Some(1 << 40);
            Ok(new)
        });
        store.initialize(LibrarySpec {
            id: LibraryId::default(),
            drives: DRIVES.into(),
            storage_elements: STORAGE.into(),
            import_export_elements: IMPORT_EXPORT.into(),
            cartridges: cartridges.collect::<anyhow::Result<_>>()?,
            ..LibrarySpec::default()
        })?;
        store.close()?;
        Ok(())
    }

    /// Opens the data directory and switches the library on, as the program does it when it starts.
    pub(crate) fn boot(
        disk: Arc<dyn Disk>,
        options: LoadOptions,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(open(disk, seed)?);
        let library = Library::power_on(store, options)?;
        let name =
            NexusName { initiator: "iqn.2026-07.io.vtl:crash".into(), initiator_port: "1".into() };
        for unit in library.units() {
            unit.nexus_begins(NEXUS, &name);
        }
        let host = Self { library, tickets: AtomicU64::new(1) };
        for lun in 0..=DRIVES {
            host.take_attentions(lun)?;
        }
        Ok(host)
    }

    /// Sends one command and waits for its end.
    pub(crate) fn send(&self, lun: u16, cdb: &[u8], data: &[u8]) -> anyhow::Result<Completion> {
        let unit = self.library.unit(Lun(lun)).context("there is no such unit")?;
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let task = Task::new(NEXUS, cdb).with_data_out(data);
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply = || -> Reply {
            Box::new(move |completion| {
                // Nobody listens any more only where an error has ended everything already.
                drop(sender.send(completion));
            })
        };
        match unit.submit(ticket, task, reply) {
            Some(completion) => Ok(completion),
            None => receiver
                .recv_timeout(ANSWER_LIMIT)
                .map_err(|_| anyhow!("no answer to {cdb:02x?} from unit {lun}")),
        }
    }

    /// Takes all unit attentions of a unit.
    pub(crate) fn take_attentions(&self, lun: u16) -> anyhow::Result<()> {
        for _ in 0..20 {
            let completion = self.send(lun, &[0; 6], &[])?;
            let is_attention =
                completion.sense.is_some_and(|sense| sense.key == SenseKey::UnitAttention);
            if !is_attention {
                return Ok(());
            }
        }
        bail!("there is no end of unit attentions at unit {lun}")
    }

    /// Where every cartridge is. Two in one element are an error.
    pub(crate) fn places(&self) -> anyhow::Result<Places> {
        let mut places = Places::new();
        for entry in self.library.store().cartridges() {
            let is_double = places.values().any(|place| *place == entry.place);
            let barcode = entry.barcode.as_str().to_owned();
            if is_double || places.insert(barcode, entry.place.clone()).is_some() {
                bail!("{} is not in one element of its own: {}", entry.barcode, entry.place);
            }
        }
        Ok(places)
    }

    /// Whether all cartridges can be read.
    pub(crate) fn expect_sound(&self) -> anyhow::Result<()> {
        for entry in self.library.store().cartridges() {
            if matches!(entry.state, CartridgeState::Damaged | CartridgeState::Missing) {
                bail!("{} is {:?}", entry.barcode, entry.state);
            }
        }
        Ok(())
    }

    /// Ends without any order: nothing is unloaded.
    pub(crate) fn abandon(self) {
        for unit in self.library.units() {
            unit.close();
        }
    }

    /// Ends in order.
    pub(crate) fn shut_down(self) -> anyhow::Result<()> {
        self.library.power_off();
        self.library.store().flush().context("the store cannot be closed")
    }
}

/// All elements that can hold a cartridge.
pub(crate) fn elements() -> Vec<Element> {
    let storage = (0..STORAGE).map(Element::Storage);
    let import_export = (0..IMPORT_EXPORT).map(Element::ImportExport);
    storage.chain(import_export).chain((0..DRIVES).map(Element::Drive)).collect()
}

/// The place of an element.
pub(crate) fn place_of(element: Element) -> Place {
    let library = LibraryId::default();
    match element {
        Element::Storage(number) => Place::Storage { library, number: u32::from(number) + 1 },
        Element::ImportExport(number) => {
            Place::ImportExport { library, number: u32::from(number) + 1 }
        }
        Element::Drive(number) => Place::Drive { library, number: number.into() },
        Element::Transport(_) => Place::Shelf,
    }
}

/// The address of an element.
pub(crate) fn address_of(element: Element) -> u16 {
    let profile = vtl_changer::Profile::find("ibm-03584l32");
    let map: Option<ElementMap> =
        profile.and_then(|profile| profile.element_map(STORAGE, IMPORT_EXPORT, DRIVES));
    map.map_or(0, |map| map.address(element))
}

/// A command that was not answered GOOD where it should have been.
pub(crate) fn expect_good(completion: &Completion, what: &str) -> anyhow::Result<()> {
    if completion.status == Status::GOOD {
        return Ok(());
    }
    let sense = completion.sense.map(|sense| sense.to_string()).unwrap_or_default();
    bail!("{what}: {:?} {sense}", completion.status)
}

fn open(disk: Arc<dyn Disk>, seed: u64) -> anyhow::Result<Store> {
    let mut random = Random::new(seed, 0x1de);
    let random = std::sync::Mutex::new(move |buffer: &mut [u8]| {
        buffer.copy_from_slice(&random.bytes(buffer.len()));
    });
    let options = StoreOptions {
        clock: Clock(Arc::new(now)),
        random: RandomSource(Arc::new(move |buffer| {
            let mut fill = random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            fill(buffer);
            Ok(())
        })),
        ledger_segment_bytes: 1500,
        catalogue: CatalogueKind::Memory,
        ..StoreOptions::default()
    };
    Ok(Store::open(disk, Path::new(DATA), options)?)
}

/// Nothing in memory takes that long; whoever waits longer waits for ever.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
