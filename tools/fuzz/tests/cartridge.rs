//! Labels and journals with any bytes: random ones, and real ones with damage of all kinds, with and without checksums that fit.

use std::path::Path;
use std::sync::Arc;

use bolero::check;
use jiff::Timestamp;
use uuid::Uuid;
use vtl_fuzz::disk_damage::{Damage, damage, files_below, mend_label};
use vtl_media::disk::{Disk, MemoryDisk, OpenMode, write_all_at};
use vtl_media::{
    Barcode, Cartridge, CartridgeSpec, Label, LoadOptions, ObjectNumber, ReadOutcome, WriteOutcome,
};

const DIRECTORY: &str = "/cartridge";
const BLOCK_BYTES: usize = 3000;
const MAX_OBJECTS: usize = 1000;

fn options(read_only: bool) -> LoadOptions {
    LoadOptions {
        segment_bytes: 64 << 10,
        write_buffer_bytes: 1 << 20,
        reserve_bytes: Some(0),
        read_only,
        ..LoadOptions::default()
    }
}

fn write(cartridge: &mut Cartridge, byte: u8, length: usize) {
    let outcome = cartridge.write(Box::new(vec![byte; length]), length.try_into().unwrap(), 1);
    assert!(matches!(outcome, Ok(WriteOutcome::Written)), "{outcome:?}");
}

/// A cartridge with several segments, filemarks, two generations, and an end without an orderly unload.
fn recorded() -> MemoryDisk {
    let memory = MemoryDisk::with_capacity(256 << 20);
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let directory = Path::new(DIRECTORY);
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 16 << 20);
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    let mut cartridge = Cartridge::load(disk.clone(), directory, options(false)).unwrap();
    for number in 0..40 {
        write(&mut cartridge, number, BLOCK_BYTES);
        if number % 10 == 9 {
            cartridge.write_filemarks(1).unwrap();
        }
    }
    cartridge.unload().unwrap();
    let mut cartridge = Cartridge::load(disk, directory, options(false)).unwrap();
    cartridge.locate(ObjectNumber(30)).unwrap();
    for number in 0..10 {
        write(&mut cartridge, 100 + number, 100);
    }
    cartridge.sync().unwrap();
    memory.snapshot()
}

/// Loads it, reads all of it, goes here and there, and writes.
fn use_it(disk: &MemoryDisk, places: &[u16]) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let directory = Path::new(DIRECTORY);
    for read_only in [true, false] {
        let Ok(mut cartridge) = Cartridge::load(shared.clone(), directory, options(read_only))
        else {
            continue;
        };
        read_all(&mut cartridge);
        for place in places.iter().take(4) {
            // Whether they succeed is the damage's business; that they end is ours.
            let _ = cartridge.locate(ObjectNumber(u64::from(*place) % 60));
            let _ = cartridge.read();
            let _ = cartridge.space_filemarks(i64::from(*place) - 32_768);
            let _ = cartridge.space_blocks(i64::from(*place) - 32_768);
        }
        if !read_only {
            let _ = cartridge.write(Box::new(vec![7; 100]), 100, 1);
            let _ = cartridge.sync();
            read_all(&mut cartridge);
            let _ = cartridge.unload();
        }
    }
}

fn read_all(cartridge: &mut Cartridge) {
    if cartridge.rewind().is_err() {
        return;
    }
    // A damaged record with checksums that fit may claim any number of objects before it, all of them lost.
    for _ in 0..MAX_OBJECTS {
        match cartridge.read() {
            Ok(ReadOutcome::EndOfData) => return,
            Ok(ReadOutcome::Block(block)) => assert!(block.len() <= 64 << 20),
            Ok(ReadOutcome::Filemark) => {}
            // A bad block is passed over, as a host does.
            Err(_) => match cartridge.space_blocks(1) {
                Ok(_) => {}
                Err(_) => return,
            },
        }
    }
}

#[test]
fn the_seed_reads_back() {
    // Nothing would be tried if what is damaged were no cartridge in the first place.
    let disk = recorded();
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let mut cartridge = Cartridge::load(shared, Path::new(DIRECTORY), options(false)).unwrap();
    let mut count = 0;
    while !matches!(cartridge.read().unwrap(), ReadOutcome::EndOfData) {
        count += 1;
    }
    assert_eq!(count, 40);
}

#[test]
fn damaged_cartridge() {
    vtl_fuzz::watch();
    let seed = recorded();
    check!().with_type::<(Vec<Damage>, Vec<u16>)>().for_each(|(damages, places)| {
        let disk = seed.snapshot();
        for one in damages.iter().take(6) {
            damage(&disk, &files_below(&disk, Path::new(DIRECTORY)), one);
        }
        use_it(&disk, places);
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}

#[test]
fn label_bytes() {
    vtl_fuzz::watch();
    check!().with_type::<(Vec<u8>, Vec<u8>, bool)>().for_each(|(one, other, mends)| {
        let disk = MemoryDisk::with_capacity(1 << 20);
        disk.create_dir(Path::new(DIRECTORY)).unwrap();
        for (name, body) in [("label.a", one), ("label.b", other)] {
            let mut bytes = body.clone();
            if *mends {
                bytes = [&[0; 64], &body[..]].concat();
                bytes[..8].copy_from_slice(b"VTLLABEL");
                bytes[8] = 1;
                bytes[12..16].copy_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
                mend_label(&mut bytes);
            }
            let file = disk.open(&Path::new(DIRECTORY).join(name), OpenMode::Create).unwrap();
            write_all_at(file.as_ref(), &bytes, 0).unwrap();
        }
        let _ = Label::read(&disk, Path::new(DIRECTORY));
        vtl_fuzz::executed();
    });
    vtl_fuzz::check();
}
