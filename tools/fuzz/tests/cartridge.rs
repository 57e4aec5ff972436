//! Labels and journals with any bytes: random ones, and real ones with damage of all kinds, with and without checksums that fit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bolero::{TypeGenerator, check};
use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Disk, MemoryDisk, OpenMode, read_up_to_at, write_all_at};
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

/// One change of one file.
#[derive(Debug, Clone, TypeGenerator)]
struct Damage {
    file: u8,
    place: u32,
    kind: Kind,
    /// Puts the checksum of the record or the label right again, so that what it names is looked at.
    mends_checksum: bool,
}

#[derive(Debug, Clone, TypeGenerator)]
enum Kind {
    Flip(u8),
    /// In the header of a record: a field of four bytes becomes this.
    Field {
        at: u8,
        value: u32,
    },
    Bytes(Vec<u8>),
    Cut,
    Extend(u16),
    /// Another part of the file, such as a whole record, comes here.
    Copy {
        from: u32,
        length: u16,
    },
    /// The body of a label: bytes that JSON is made of.
    Json(Vec<u8>),
    Remove,
}

fn files(disk: &MemoryDisk) -> Vec<PathBuf> {
    let directory = Path::new(DIRECTORY);
    let journal = directory.join("journal");
    let mut files: Vec<_> =
        disk.list(&journal).unwrap().iter().map(|name| journal.join(name)).collect();
    files.extend(["label.a", "label.b"].map(|name| directory.join(name)));
    files
}

fn damage(disk: &MemoryDisk, damage: &Damage) {
    let files = files(disk);
    let path = &files[usize::from(damage.file) % files.len()];
    let Ok(file) = disk.open(path, OpenMode::ReadWrite) else { return };
    let mut bytes = vec![0; usize::try_from(file.length_bytes().unwrap()).unwrap()];
    read_up_to_at(file.as_ref(), &mut bytes, 0).unwrap();
    if bytes.is_empty() {
        return;
    }
    let is_label = path.extension().is_some_and(|end| end == "a" || end == "b");
    let place = damage.place as usize % bytes.len();
    // A record begins at a multiple of 512.
    let record = place & !511;
    match &damage.kind {
        Kind::Flip(bit) => bytes[place] ^= 1 << (bit % 8),
        Kind::Field { at, value } => {
            let start = if is_label { 0 } else { record } + usize::from(at % 31) * 4;
            for (to, from) in bytes.iter_mut().skip(start).zip(value.to_le_bytes()) {
                *to = from;
            }
        }
        Kind::Bytes(new) => {
            for (to, from) in bytes.iter_mut().skip(place).zip(new) {
                *to = *from;
            }
        }
        Kind::Cut => bytes.truncate(place),
        Kind::Extend(count) => bytes.resize(bytes.len() + usize::from(*count), 0),
        Kind::Copy { from, length } => {
            let from = (*from as usize % bytes.len()) & !511;
            let part: Vec<_> = bytes[from..].iter().copied().take(usize::from(*length)).collect();
            for (to, from) in bytes.iter_mut().skip(record).zip(part) {
                *to = from;
            }
        }
        Kind::Json(new) if is_label => {
            const ALPHABET: &[u8] = b"{}[]\":,0123456789-eE.truefalsn\\u";
            for (to, from) in bytes.iter_mut().skip(64 + place % 1024).zip(new) {
                *to = ALPHABET[usize::from(*from) % ALPHABET.len()];
            }
        }
        Kind::Json(_) => {}
        Kind::Remove => {
            disk.remove(path).unwrap();
            return;
        }
    }
    if damage.mends_checksum {
        if is_label { mend_label(&mut bytes) } else { mend_record(&mut bytes, record) }
    }
    file.set_length(bytes.len() as u64).unwrap();
    write_all_at(file.as_ref(), &bytes, 0).unwrap();
}

// 12 length of the body, 40 its CRC32C, 60 CRC32C of bytes 0 to 59, 64 body
fn mend_label(bytes: &mut [u8]) {
    if bytes.len() < 64 {
        return;
    }
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    if let Some(body) = bytes.get(64..64_usize.saturating_add(length)) {
        let crc = crc32c::crc32c(body);
        bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
}

// 10 payload offset, 96 stored length, 100 CRC32C of what is behind the header, 124 CRC32C of bytes 0 to 123
fn mend_record(bytes: &mut [u8], at: usize) {
    let Some(record) = bytes.get_mut(at..).filter(|record| record.len() >= 128) else { return };
    let offset = usize::from(u16::from_le_bytes(record[10..12].try_into().unwrap()));
    let stored = u32::from_le_bytes(record[96..100].try_into().unwrap()) as usize;
    let end = offset.saturating_add(stored).next_multiple_of(512);
    if let Some(body) = record.get(128..end) {
        let crc = crc32c::crc32c(body);
        record[100..104].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&record[..124]);
    record[124..128].copy_from_slice(&crc.to_le_bytes());
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
            damage(&disk, one);
        }
        use_it(&disk, places);
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
    });
    vtl_fuzz::check();
}
