//! Libraries on simulated disks, and hosts that send them commands; no sockets.

mod access;
mod certificates;
mod cleaning;
mod conformance;
mod exports;
mod faults;
mod full;
mod imports;
mod kept_reservations;
mod libraries;
mod moments;
mod names;
mod rules;
mod sessions;
mod stacks;
mod timer;
mod vaulting;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use vtl_media::disk::{Disk, FaultDisk, MemoryDisk};
use vtl_media::store::CatalogueKind;
use vtl_media::{Barcode, LibrarySpec, LoadOptions, NewCartridge, Place, Store, StoreOptions};
use vtl_scsi::sense::{Sense, SenseKey};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task};

use crate::{Library, Reply, Ticket};

/// Two initiators.
const A: ItNexus = ItNexus(1);
const B: ItNexus = ItNexus(2);

pub(crate) const BARCODE: &str = "VTL001L9";
const REWIND: [u8; 6] = [0x01, 0, 0, 0, 0, 0];
const TEST_UNIT_READY: [u8; 6] = [0; 6];
const UNLOAD: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];
const LOAD: [u8; 6] = [0x1b, 0, 0, 0, 1, 0];

/// A library with one cartridge, which lies in the only drive.
pub(crate) struct Scene {
    memory: MemoryDisk,
    disk: FaultDisk,
    pub(crate) library: Arc<Library>,
    tickets: AtomicU64,
}

/// Small buffers, and nothing happens because time has passed.
fn options() -> LoadOptions {
    LoadOptions {
        write_buffer_bytes: 256 * 1024,
        segment_bytes: 1 << 20,
        reserve_bytes: Some(0),
        idle_flush: Duration::from_hours(100),
        background_sync: Duration::from_hours(100),
        ..LoadOptions::default()
    }
}

fn store(disk: Arc<dyn Disk>) -> Store {
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    Store::open(disk, Path::new("/data"), options).unwrap()
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::on(MemoryDisk::new(), options())
    }

    fn on(memory: MemoryDisk, load_options: LoadOptions) -> Self {
        let disk = FaultDisk::over(memory.clone());
        let made = store(Arc::new(disk.clone()));
        let mut new = NewCartridge::new(Barcode::new(BARCODE).unwrap(), "lto9");
        new.capacity_bytes = Some(1 << 40);
        made.initialize(LibrarySpec {
            drives: 1,
            storage_elements: 2,
            import_export_elements: 1,
            cartridges: vec![new],
            ..LibrarySpec::default()
        })
        .unwrap();
        let slot = made.find(BARCODE).unwrap().place;
        made.move_cartridge(&slot, &Place::drive(0), "test").unwrap();
        made.close().unwrap();
        Self::boot(memory, load_options)
    }

    /// What is on this disk, switched on.
    fn boot(memory: MemoryDisk, load_options: LoadOptions) -> Self {
        let disk = FaultDisk::over(memory.clone());
        let library = Library::power_on(Arc::new(store(Arc::new(disk.clone()))), load_options);
        let scene = Self { memory, disk, library: library.unwrap(), tickets: AtomicU64::new(1) };
        for nexus in [A, B] {
            let initiator = format!("iqn.2026-11.test:{nexus:?}").into();
            let name = NexusName { initiator, initiator_port: "1".into() };
            for unit in scene.library.units() {
                unit.nexus_begins(nexus, &name);
            }
            scene.take_attentions(nexus);
        }
        scene
    }

    /// Sends the drive a command and waits for its end.
    fn send_with(&self, nexus: ItNexus, cdb: &[u8], data: &[u8]) -> Completion {
        let unit = self.library.unit(Lun(1)).unwrap();
        let ticket = Ticket(self.tickets.fetch_add(1, Ordering::Relaxed));
        let task = Task::new(nexus, cdb).with_data_out(data);
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply = || -> Reply { Box::new(move |completion| sender.send(completion).unwrap()) };
        match unit.submit(ticket, task, reply) {
            Some(completion) => completion,
            None => receiver.recv_timeout(Duration::from_mins(1)).expect("an answer"),
        }
    }

    fn send(&self, nexus: ItNexus, cdb: &[u8]) -> Completion {
        self.send_with(nexus, cdb, &[])
    }

    fn write(&self, nexus: ItNexus, data: &[u8]) -> Completion {
        let [_, high, middle, low] = u32::try_from(data.len()).unwrap().to_be_bytes();
        self.send_with(nexus, &[0x0a, 0, high, middle, low, 0], data)
    }

    fn filemarks(&self, nexus: ItNexus, is_immediate: bool, count: u8) -> Completion {
        self.send(nexus, &[0x10, u8::from(is_immediate), 0, 0, count, 0])
    }

    fn read(&self, nexus: ItNexus, length: usize) -> Completion {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        self.send(nexus, &[0x08, 0, high, middle, low, 0])
    }

    /// READ POSITION, extended form: the next object, objects in the buffer, and bytes of these.
    fn position(&self, nexus: ItNexus) -> (u64, u64, u64) {
        let data = self.send(nexus, &[0x34, 0x08, 0, 0, 0, 0, 0, 0, 32, 0]).data_in;
        let number = |from: usize| u64::from_be_bytes(data[from..from + 8].try_into().unwrap());
        let objects = u32::from_be_bytes(data[4..8].try_into().unwrap());
        assert_eq!(number(16), number(8).saturating_sub(objects.into()));
        (number(8), objects.into(), number(24))
    }

    /// The `TapeAlert` flags that are set; reading clears them.
    fn tape_alerts(&self) -> Vec<u16> {
        let data = self.send(A, &[0x4d, 0, 0x6e, 0, 0, 0, 0, 2, 0, 0]).data_in;
        let flags = data[4..].chunks(5).filter(|parameter| parameter[4] & 1 == 1);
        flags.map(|parameter| u16::from_be_bytes([parameter[0], parameter[1]])).collect()
    }

    fn take_attentions(&self, nexus: ItNexus) {
        for _ in 0..20 {
            let sense = self.send(nexus, &TEST_UNIT_READY).sense;
            if sense.is_none_or(|sense| sense.key != SenseKey::UnitAttention) {
                return;
            }
        }
        panic!("there is no end of unit attentions");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.disk.release();
        for unit in self.library.units() {
            unit.close();
        }
    }
}

fn good(completion: &Completion) {
    assert_eq!((completion.status, completion.sense), (Status::GOOD, None));
}

fn sense(completion: &Completion) -> Sense {
    assert_eq!(completion.status, Status::CHECK_CONDITION, "{:?}", completion.sense);
    completion.sense.unwrap()
}

/// A block that tells which one it is, and of which no two sectors are the same.
fn block(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    // Nothing in it comes again: a disk gets full only of what a drive cannot compress.
    let mut data =
        std::iter::repeat_with(word).take(length.div_ceil(8)).collect::<Vec<_>>().concat();
    data.truncate(length);
    data
}
