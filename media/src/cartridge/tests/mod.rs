//! Cartridges as their users see them, on disks that keep, lose and spoil what they are given.

mod ahead;
mod basics;
mod compression;
mod damage;
mod divided_twins;
mod ends;
mod failed_sync;
mod faults;
mod model;
mod partitions;
mod promise;
mod seal;
mod summary;
mod undo;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::*;
use crate::barcode::Barcode;
use crate::disk::MemoryDisk;

/// Where all of these cartridges are.
fn directory() -> PathBuf {
    PathBuf::from("/cartridge")
}

fn spec(capacity_bytes: u64) -> CartridgeSpec {
    CartridgeSpec::new(
        Uuid::from_u128(0x00c0_ffee),
        Barcode::new("VTL001L9").unwrap(),
        "lto9",
        capacity_bytes,
    )
}

/// Small segments and buffers, and no time of its own accord: what is durable depends on calls alone.
fn options() -> LoadOptions {
    LoadOptions {
        write_buffer_bytes: 256 * 1024,
        segment_bytes: 64 * 1024,
        reserve_bytes: Some(0),
        idle_flush: Duration::from_hours(1),
        background_sync: Duration::from_hours(1),
        clock: Arc::new(|| Timestamp::from_second(1_800_000_000).unwrap()),
        ..LoadOptions::default()
    }
}

/// A new cartridge on a new disk.
fn create(disk: &MemoryDisk, capacity_bytes: u64) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Cartridge::create(&disk, &directory(), &spec(capacity_bytes), Timestamp::UNIX_EPOCH).unwrap();
}

fn load(disk: &MemoryDisk) -> Cartridge {
    Cartridge::load(Arc::new(disk.clone()), &directory(), options()).unwrap()
}

fn created(capacity_bytes: u64) -> (MemoryDisk, Cartridge) {
    let disk = MemoryDisk::new();
    create(&disk, capacity_bytes);
    let cartridge = load(&disk);
    (disk, cartridge)
}

/// A block that tells which one it is.
fn block(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

/// The same, but that every other one can be compressed.
fn mixed(seed: u64, length: usize) -> Vec<u8> {
    let mut data = block(seed, length);
    if seed % 2 == 1 {
        for byte in &mut data {
            *byte = b"etaoin s"[usize::from(*byte % 8)];
        }
    }
    data
}

/// One that stores blocks in less than they are long, where they can be.
fn compressing(mut cartridge: Cartridge) -> Cartridge {
    cartridge.set_compression(true);
    cartridge
}

fn write_block(cartridge: &mut Cartridge, data: &[u8]) -> WriteOutcome {
    cartridge.write(Box::new(data.to_vec()), u32::try_from(data.len()).unwrap(), 1).unwrap()
}

/// Everything from the position to the end of the data: blocks, and `None` for filemarks.
fn read_all(cartridge: &mut Cartridge) -> Vec<Option<Vec<u8>>> {
    let mut found = Vec::new();
    loop {
        match cartridge.read().unwrap() {
            ReadOutcome::Block(data) => found.push(Some(data.to_vec())),
            ReadOutcome::Filemark => found.push(None),
            ReadOutcome::EndOfData => return found,
        }
    }
}

/// The files of the journal that hold segments.
fn segments(disk: &MemoryDisk) -> Vec<PathBuf> {
    let journal = directory().join(life::JOURNAL);
    let names = disk.list(&journal).unwrap();
    names
        .into_iter()
        .filter(|name| name.extension().is_some_and(|e| e == "seg"))
        .map(|name| journal.join(name))
        .collect()
}

fn flip(disk: &MemoryDisk, path: &Path, offset: u64, mask: u8) {
    let file = disk.open(path, crate::disk::OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    crate::disk::read_exact_at(file.as_ref(), &mut byte, offset).unwrap();
    crate::disk::write_all_at(file.as_ref(), &[byte[0] ^ mask], offset).unwrap();
}

fn contents(disk: &MemoryDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, crate::disk::OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.length_bytes().unwrap()).unwrap()];
    crate::disk::read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    bytes
}

/// A payload as the portal makes them: aligned, with room before and behind.
#[derive(Debug)]
struct Framed {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl Framed {
    fn new(data: &[u8]) -> Self {
        let mut storage = vec![0xee; data.len() + 3 * 4096];
        let start = storage.as_ptr().align_offset(4096);
        storage[start + 512..start + 512 + data.len()].copy_from_slice(data);
        Self { storage, start, length: data.len() }
    }
}

impl crate::payload::Payload for Framed {
    fn data(&self) -> &[u8] {
        &self.storage[self.start + 512..self.start + 512 + self.length]
    }

    fn frame(&mut self) -> Option<&mut [u8]> {
        let end = self.start + (512 + self.length).next_multiple_of(512);
        self.storage.get_mut(self.start..end)
    }
}

fn framed(data: &[u8]) -> Box<dyn crate::payload::Payload> {
    Box::new(Framed::new(data))
}
