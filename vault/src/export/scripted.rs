//! Exports to a drive in memory that fails when it is told to.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use jiff::Timestamp;
use vtl_media::disk::{Disk, FaultDisk, MemoryDisk};
use vtl_media::store::CatalogueKind;
use vtl_media::{
    Barcode, CartridgeEntry, CopyState, LibrarySpec, MediumError, NewCartridge, ReadOutcome, Store,
    StoreOptions,
};

use super::*;
use crate::receipt::{Archive, Attribute, Counters, DriveIdentity};

/// An object on a tape or on a cartridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Block(Vec<u8>),
    Filemark,
}

/// A tape in a drive in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Drive {
    /// Partition 0, or the one in which it stands.
    pub(super) objects: Vec<Object>,
    /// The other partitions, each in its place; that in which it stands is empty here.
    pub(super) others: Vec<Vec<Object>>,
    pub(super) partition: usize,
    pub(super) partitions_most: u8,
    /// What it was told to divide the tape into, and what that ends with.
    pub(super) divided: Vec<Vec<u64>>,
    pub(super) on_divide: Option<TapeError>,
    /// Which checksums it has, and whether blocks go with them.
    pub(super) method: Option<&'static str>,
    pub(super) is_protecting: bool,
    pub(super) at: usize,
    pub(super) serial: Option<String>,
    pub(super) barcode: Option<String>,
    pub(super) is_protected: bool,
    pub(super) additional_partitions: u8,
    pub(super) max_block_bytes: usize,
    /// Calls of the drive that write, and what the one with this number ends with.
    pub(super) writes: usize,
    pub(super) fault: Option<(usize, TapeError)>,
    /// Its memory, and what writing or reading it ends with, and for which attribute, if not for all.
    pub(super) memory: Vec<Attribute>,
    pub(super) on_memory_write: Option<(Option<u16>, TapeError)>,
    pub(super) on_memory_read: Option<TapeError>,
    /// What happens to the tape while it is out of its place.
    pub(super) on_reload: Option<Swap>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Swap {
    Stranger,
    Flip(usize),
    /// In another partition than the first one.
    FlipIn(usize, usize),
    Divided(u8),
    Forgets,
    Gone,
}

impl Drive {
    pub(super) fn blank() -> Self {
        Self { serial: Some("PHY1".into()), max_block_bytes: 4096, ..Self::default() }
    }

    /// What is in a partition, wherever it stands.
    pub(super) fn on(&self, partition: usize) -> &[Object] {
        if partition == self.partition { &self.objects } else { &self.others[partition] }
    }

    fn write(&mut self, object: Option<Object>) -> Result<(), TapeError> {
        self.writes += 1;
        if let Some((_, error)) = self.fault.take_if(|(at, _)| *at == self.writes) {
            return Err(error);
        }
        if let Some(object) = object {
            self.objects.truncate(self.at);
            self.objects.push(object);
            self.at += 1;
        }
        Ok(())
    }
}

impl Tape for Drive {
    fn identity(&self) -> DriveIdentity {
        let text = String::from;
        DriveIdentity {
            vendor: text("TEST"),
            product: text("DRIVE"),
            revision: text("1"),
            serial: text("D1"),
        }
    }
    fn medium(&mut self) -> Medium {
        Medium {
            serial: self.serial.clone(),
            barcode: self.barcode.clone(),
            is_write_protected: self.is_protected,
            additional_partitions: self.additional_partitions,
            additional_partitions_most: self.partitions_most,
            capacity_bytes: Some(1 << 20),
            ..Medium::default()
        }
    }
    fn counters(&mut self, _: bool) -> Counters {
        Counters::default()
    }
    fn max_block_bytes(&self) -> usize {
        self.max_block_bytes
    }
    fn ready(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn rewind(&mut self) -> Result<(), TapeError> {
        self.at = 0;
        Ok(())
    }
    fn enter(&mut self, partition: u8) -> Result<(), TapeError> {
        if partition > self.additional_partitions {
            return Err(TapeError::Refused("5/24/00".into()));
        }
        let count = usize::from(self.additional_partitions) + 1;
        self.others.resize(count, Vec::new());
        let left = std::mem::take(&mut self.objects);
        self.others[self.partition] = left;
        self.partition = usize::from(partition);
        self.objects = std::mem::take(&mut self.others[self.partition]);
        self.rewind()
    }
    fn divide(&mut self, sizes: &[u64]) -> Result<(), TapeError> {
        assert_eq!((self.partition, self.at), (0, 0), "a drive divides at the beginning only");
        if let Some(error) = self.on_divide.take() {
            return Err(error);
        }
        self.divided.push(sizes.to_vec());
        (self.objects, self.others) = (Vec::new(), Vec::new());
        self.additional_partitions = u8::try_from(sizes.len()).unwrap() - 1;
        Ok(())
    }
    fn protect(&mut self) {
        self.is_protecting = self.method.is_some();
    }
    fn unprotect(&mut self) {
        self.is_protecting = false;
    }
    fn protection(&self) -> &'static str {
        self.method.filter(|_| self.is_protecting).unwrap_or("none")
    }
    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.at = usize::try_from(object).unwrap().min(self.objects.len());
        Ok(())
    }
    fn reload(&mut self) -> Result<(), TapeError> {
        self.enter(0)?;
        match self.on_reload.take() {
            Some(Swap::Stranger) => self.serial = Some("STRANGER".into()),
            Some(Swap::Divided(additional)) => self.additional_partitions = additional,
            Some(Swap::FlipIn(partition, at)) => match &mut self.others[partition][at] {
                Object::Block(block) => block[0] ^= 1,
                Object::Filemark => unreachable!("a block is wanted"),
            },
            Some(Swap::Flip(at)) => match &mut self.objects[at] {
                Object::Block(block) => block[0] ^= 1,
                Object::Filemark => {
                    self.objects.remove(at);
                }
            },
            Some(Swap::Forgets) => drop(self.memory.pop()),
            Some(Swap::Gone) => return Err(TapeError::NoMedium),
            None => {}
        }
        Ok(())
    }
    fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        self.write(Some(Object::Block(block.to_vec())))
    }
    fn write_filemark(&mut self) -> Result<(), TapeError> {
        self.write(Some(Object::Filemark))
    }
    fn synchronize(&mut self) -> Result<(), TapeError> {
        self.write(None)
    }
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        let Some(object) = self.objects.get(self.at) else { return Ok(TapeRead::EndOfData) };
        self.at += 1;
        match object {
            Object::Block(block) => {
                buffer.clone_from(block);
                Ok(TapeRead::Block)
            }
            Object::Filemark => Ok(TapeRead::Filemark),
        }
    }
    fn attributes(&mut self, partition: u8) -> Result<Vec<Attribute>, TapeError> {
        if let Some(error) = &self.on_memory_read {
            return Err(error.clone());
        }
        let there = self.memory.iter().filter(|there| there.partition == partition);
        Ok(there.cloned().collect())
    }
    fn write_attribute(&mut self, attribute: &Attribute) -> Result<(), TapeError> {
        if let Some((at, error)) = &self.on_memory_write
            && at.is_none_or(|at| at == attribute.identifier)
        {
            return Err(error.clone());
        }
        self.memory.retain(|there| {
            (there.partition, there.identifier) != (attribute.partition, attribute.identifier)
        });
        self.memory.extend((!attribute.value.is_empty()).then(|| attribute.clone()));
        Ok(())
    }
}

/// What is on the cartridge.
pub(super) struct Script {
    partitions: Vec<Vec<Object>>,
    partition: usize,
    at: usize,
}

impl Script {
    pub(super) fn of(partitions: Vec<Vec<Object>>) -> Self {
        Self { partitions, partition: 0, at: 0 }
    }
}

impl Contents for Script {
    fn next(&mut self) -> Result<ReadOutcome, MediumError> {
        let object = self.partitions[self.partition].get(self.at).cloned();
        self.at += 1;
        Ok(match object {
            Some(Object::Block(block)) => ReadOutcome::Block(Bytes::from(block)),
            Some(Object::Filemark) => ReadOutcome::Filemark,
            None => ReadOutcome::EndOfData,
        })
    }
    fn go_to(&mut self, partition: u8, object: u64) -> Result<(), MediumError> {
        self.partition = usize::from(partition);
        self.at = usize::try_from(object).unwrap();
        Ok(())
    }
}

/// Nobody but who may stop it when so many bytes have gone.
#[derive(Debug)]
pub(super) struct Looker {
    pub(super) moved: AtomicU64,
    pub(super) stop_at: u64,
}

impl Watcher for Looker {
    fn is_given_up(&self) -> bool {
        self.moved.load(Ordering::Relaxed) >= self.stop_at
    }
    fn moved(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn clock_ms(&self) -> u64 {
        0
    }
}

pub(super) fn objects() -> Vec<Object> {
    let block = |length: usize, fill: u8| Object::Block(vec![fill; length]);
    let mark = Object::Filemark;
    vec![
        block(100, 1),
        block(7, 2),
        mark.clone(),
        mark.clone(),
        block(4096, 3),
        block(512, 4),
        mark,
        block(1, 5),
    ]
}

/// What is in a partition of a divided cartridge.
pub(super) fn of_partition(number: usize) -> Vec<Object> {
    objects().into_iter().skip(number - 1).collect()
}

pub(super) struct Scene {
    pub(super) disk: MemoryDisk,
    pub(super) store: Store,
    pub(super) exports: Exports,
    pub(super) receipts: Archive,
}

pub(super) fn open(disk: &MemoryDisk) -> Store {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    Store::open(disk, Path::new("/data"), options).unwrap()
}

pub(super) fn archive(disk: &MemoryDisk) -> Archive {
    Archive::new(Arc::new(disk.clone()), Path::new("/data"))
}

impl Scene {
    pub(super) fn new() -> Self {
        let disk = MemoryDisk::new();
        let store = open(&disk);
        let cartridges = vec![NewCartridge::new(Barcode::new("A00001L9").unwrap(), "lto9")];
        store.initialize(LibrarySpec { cartridges, ..LibrarySpec::default() }).unwrap();
        Self { receipts: archive(&disk), disk, store, exports: Exports::default() }
    }

    /// What a power cut leaves at each call to the disk while something is done.
    pub(super) fn cut_at_each_call(self, work: impl FnOnce(&Self)) -> Vec<MemoryDisk> {
        let Self { disk, store, receipts, .. } = self;
        drop(store);
        let cuts: Arc<Mutex<Vec<MemoryDisk>>> = Arc::default();
        let watched = FaultDisk::over(disk.clone());
        let (memory, noted) = (disk.clone(), Arc::clone(&cuts));
        let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
        let shared = Arc::new(watched.clone());
        let store = Store::open(shared, Path::new("/data"), options).unwrap();
        watched.watch(Arc::new(move |_, _| noted.lock().unwrap().push(memory.after_power_cut())));
        let scene = Self { disk, store, receipts, exports: Exports::default() };
        work(&scene);
        drop(scene);
        std::mem::take(&mut *cuts.lock().unwrap())
    }

    /// The program is started again.
    pub(super) fn restarted(self) -> Self {
        let Self { disk, store, receipts, .. } = self;
        drop(store);
        Self { store: open(&disk), disk, receipts, exports: Exports::default() }
    }

    pub(super) fn entry(&self) -> CartridgeEntry {
        self.store.find("A00001L9").unwrap()
    }

    pub(super) fn run_until(
        &self,
        drive: &mut Drive,
        stop_at: u64,
    ) -> Result<Exported, ExportError> {
        let entry = self.entry();
        let watcher = Looker { moved: AtomicU64::new(0), stop_at };
        self.watched(&self.order(&entry), drive, &watcher)
    }

    pub(super) fn run(&self, drive: &mut Drive) -> Result<Exported, ExportError> {
        self.run_until(drive, u64::MAX)
    }

    /// The same, whatever is on the tape.
    pub(super) fn run_over(&self, drive: &mut Drive) -> Result<Exported, ExportError> {
        let entry = self.entry();
        self.carry_out(&Order { overwrites: true, ..self.order(&entry) }, drive)
    }

    /// Copy 1 to whatever tape is in the drive.
    pub(super) fn order<'a>(&'a self, entry: &'a CartridgeEntry) -> Order<'a> {
        Order {
            store: &self.store,
            receipts: &self.receipts,
            entry,
            as_of: Timestamp::UNIX_EPOCH,
            partitions: &[],
            attributes: &[],
            number: 1,
            overwrites: false,
            begins_anew: false,
            actor: "op",
            software: "test",
        }
    }

    pub(super) fn carry_out(
        &self,
        order: &Order<'_>,
        drive: &mut Drive,
    ) -> Result<Exported, ExportError> {
        self.watched(order, drive, &Looker { moved: AtomicU64::new(0), stop_at: u64::MAX })
    }

    pub(super) fn watched(
        &self,
        order: &Order<'_>,
        drive: &mut Drive,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let partitions = match order.partitions.len() {
            0 => vec![objects()],
            // Each has something else on it, and the last one nothing.
            count => (1..count).map(of_partition).chain([Vec::new()]).collect(),
        };
        order.run(&self.exports, drive, &mut Script::of(partitions), watcher)
    }

    pub(super) fn states(&self) -> Vec<CopyState> {
        self.store.copies().iter().map(|copy| copy.state).collect()
    }
}
