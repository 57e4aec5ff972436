//! Long tapes on little disk: makes one, and measures how long it takes to open it and to go to places on it.
//!
//! ```sh
//! cargo run --release -p vtl-benches --example long_tape -- write DIR BLOCKS BLOCK-BYTES SEGMENT-BYTES
//! cargo run --release -p vtl-benches --example long_tape -- open DIR
//! cargo run --release -p vtl-benches --example long_tape -- locate DIR
//! ```
//!
//! Blocks are zeros with a filemark behind every thousand, and pages of zeros are left out of the files: 64 GB of blocks of 64 KiB take 4 GB.
//! What is measured is the program's own code on the real file system.

#![allow(clippy::expect_used, reason = "where nothing can be set up, nothing can be measured")]
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;
use vtl_drive::{Drive, Profile};
use vtl_media::disk::{Disk, DiskFile, OpenMode, RealDisk};
use vtl_media::{
    Barcode, Cartridge, CartridgeSpec, LoadOptions, ObjectNumber, ReadOutcome, Volume,
};
use vtl_scsi::{ItNexus, Lun, NexusName, Status, Task, device};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u64>().expect("a number");
    match words.as_slice() {
        ["write", directory, blocks, block_bytes, segment_bytes] => {
            write(Path::new(directory), number(blocks), number(block_bytes), number(segment_bytes));
        }
        ["open", directory] => open(Path::new(directory)),
        ["locate", directory] => locate(Path::new(directory)),
        _ => println!("write DIR BLOCKS BLOCK-BYTES SEGMENT-BYTES | open DIR | locate DIR"),
    }
}

fn write(directory: &Path, blocks: u64, block_bytes: u64, segment_bytes: u64) {
    let disk: Arc<dyn Disk> = Arc::new(SparseDisk);
    let barcode = Barcode::new("VTL001L9").expect("a barcode");
    let spec = CartridgeSpec::new(Uuid::new_v4(), barcode, "lto9", 18_000_000_000_000);
    Cartridge::create(&disk, directory, &spec, Timestamp::now()).expect("a new cartridge");
    let options = LoadOptions { segment_bytes, reserve_bytes: Some(0), ..LoadOptions::default() };
    let mut cartridge = Cartridge::load(disk, directory, options).expect("a cartridge");
    let length = u32::try_from(block_bytes).expect("a block's length");
    let data = vec![0; usize::try_from(block_bytes).expect("a block's length")];
    for number in 1..=blocks {
        cartridge.write(Box::new(data.clone()), length, 1).expect("room");
        if number % MARK_EVERY == 0 {
            cartridge.write_filemarks(1).expect("room");
        }
    }
    println!("{:?}", cartridge.unload().expect("an orderly end"));
}

fn open(directory: &Path) {
    for read_only in [true, false] {
        let options = LoadOptions { read_only, ..LoadOptions::default() };
        let before = memory_kib("VmRSS");
        let begun = Instant::now();
        let mut cartridge =
            Cartridge::load(Arc::new(RealDisk::new()), directory, options).expect("a cartridge");
        let loaded = begun.elapsed();
        let peak = memory_kib("VmHWM").saturating_sub(before);
        let facts = cartridge.facts();
        let middle = u64::midpoint(facts.block_count, facts.filemark_count);
        cartridge.locate(ObjectNumber(middle)).expect("the middle");
        let found = begun.elapsed();
        let outcome = cartridge.read().expect("an object");
        let is_there = matches!(outcome, ReadOutcome::Block(_) | ReadOutcome::Filemark);
        let read = begun.elapsed();
        assert!(is_there, "there is an object in the middle");
        let closing = Instant::now();
        cartridge.unload().expect("an orderly end");
        println!(
            "read_only {read_only}: open {loaded:?}, {peak} KiB at most; to the middle {:?}, read there {:?}; unload {:?}",
            found.saturating_sub(loaded),
            read.saturating_sub(found),
            closing.elapsed(),
        );
    }
}

fn locate(directory: &Path) {
    let options = LoadOptions { read_only: true, ..LoadOptions::default() };
    let cartridge =
        Volume::load(Arc::new(RealDisk::new()), directory, options).expect("a cartridge");
    let facts = cartridge.facts();
    let objects = facts.block_count + facts.filemark_count;
    let marks = facts.filemark_count;
    let mut drive = drive_with(cartridge);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below.max(1)
    };
    println!("{} blocks, {} bytes", facts.block_count, facts.written_bytes);
    measure("LOCATE(16) to an object", &mut drive, || locate_16(0, next(objects)));
    measure("LOCATE(16) to a file", &mut drive, || locate_16(1, next(marks)));
    measure("SPACE(16) filemarks", &mut drive, {
        // From wherever it is to a random place.
        let mut at = 0;
        move || {
            let to = next(marks);
            let count = i64::try_from(to).unwrap_or(0) - i64::try_from(at).unwrap_or(0);
            at = to;
            space_16(1, count)
        }
    });
    let mut is_end = false;
    measure("LOCATE(16) to 0, SPACE to the end of data", &mut drive, move || {
        is_end = !is_end;
        if is_end { space_16(3, 0) } else { locate_16(0, 0) }
    });
}

fn measure(what: &str, drive: &mut Drive, mut cdb: impl FnMut() -> [u8; 16]) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let cdb = cdb();
            let begun = Instant::now();
            let completion = device::execute(drive, Task::new(NEXUS, &cdb));
            let time = begun.elapsed();
            let is_mark = completion.sense.is_some();
            assert!(completion.status == Status::GOOD || is_mark, "{completion:?}");
            time
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 1000).copied().unwrap_or_default();
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}

fn drive_with(cartridge: Volume) -> Drive {
    let profile = Profile::find("ibm-ult3580-td9").expect("a profile");
    let mut drive = Drive::new(profile, "1013000001", 5, Arc::from([Lun(0), Lun(1)]));
    let initiator = "iqn.2026-11.test:a".into();
    drive.nexus_begins(NEXUS, NexusName { initiator, initiator_port: "0".into() });
    drive.insert(cartridge);
    for _ in 0..4 {
        drop(device::execute(&mut drive, Task::new(NEXUS, &[0; 6])));
    }
    drive
}

fn locate_16(destination: u8, to: u64) -> [u8; 16] {
    let mut cdb = [0; 16];
    let head = [0x92, destination << 3, 0, 0];
    for (target, byte) in cdb.iter_mut().zip(head.into_iter().chain(to.to_be_bytes())) {
        *target = byte;
    }
    cdb
}

fn space_16(code: u8, count: i64) -> [u8; 16] {
    let mut cdb = [0; 16];
    let head = [0x91, code, 0, 0];
    for (target, byte) in cdb.iter_mut().zip(head.into_iter().chain(count.to_be_bytes())) {
        *target = byte;
    }
    cdb
}

/// A figure of `/proc/self/status`.
fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

/// The real file system, but that pages of zeros are left out and nothing is synced.
#[derive(Debug)]
struct SparseDisk;

impl Disk for SparseDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SparseFile(RealDisk.open(path, mode)?)))
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir(path)
    }
    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.open(path, mode)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX / 2)
    }
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.total_bytes(path)
    }
}

#[derive(Debug)]
struct SparseFile(Box<dyn DiskFile>);

impl DiskFile for SparseFile {
    fn length_bytes(&self) -> io::Result<u64> {
        self.0.length_bytes()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        if self.0.length_bytes()? < end {
            self.0.set_length(end)?;
        }
        let mut at = offset;
        for page in buffer.chunks(PAGE_BYTES) {
            if page.iter().any(|byte| *byte != 0) {
                vtl_media::disk::write_all_at(self.0.as_ref(), page, at)?;
            }
            at = at.saturating_add(page.len() as u64);
        }
        Ok(buffer.len())
    }
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        let end = offset.saturating_add(length);
        if self.0.length_bytes()? < end { self.0.set_length(end) } else { Ok(()) }
    }
    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.0.set_length(length_bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn alignment_bytes(&self) -> usize {
        1
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

const NEXUS: ItNexus = ItNexus(1);
const MARK_EVERY: u64 = 1000;
const ROUNDS: usize = 5000;
const PAGE_BYTES: usize = 4096;
