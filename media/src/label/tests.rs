//! Labels: what is written, what is read back, and which copy counts.

use super::*;
use crate::disk::MemoryDisk;

fn label() -> Label {
    let uuid = Uuid::from_u128(7);
    Label::new(
        &CartridgeSpec::new(uuid, Barcode::new("VTL001L9").unwrap(), "lto9", 1 << 40),
        Timestamp::UNIX_EPOCH,
    )
}

fn written() -> (MemoryDisk, Label) {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("/c")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut label = label();
    label.write(&disk, Path::new("/c")).unwrap();
    label.write(&disk, Path::new("/c")).unwrap();
    (disk, label)
}

fn flip(disk: &MemoryDisk, name: &str, offset: u64, mask: u8) {
    let file = disk.open(&Path::new("/c").join(name), OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    read_exact_at(file.as_ref(), &mut byte, offset).unwrap();
    write_all_at(file.as_ref(), &[byte[0] ^ mask], offset).unwrap();
}

#[test]
fn the_newer_copy_counts_and_is_durable() {
    let (disk, mut label) = written();
    label.barcode = Barcode::new("NEW001L9").unwrap();
    label.write(&disk, Path::new("/c")).unwrap();
    disk.power_cut();
    let found = Label::read(&disk, Path::new("/c")).unwrap();
    assert_eq!((found.sequence, found.is_single_copy), (3, false));
    assert_eq!(found, label);
}

#[test]
fn every_flipped_bit_leaves_the_other_copy() {
    let (disk, label) = written();
    let length = label.encode(2).unwrap().len() as u64;
    for offset in 0..length {
        for bit in 0..8 {
            flip(&disk, COPY_B, offset, 1 << bit);
            let found = Label::read(&disk, Path::new("/c")).unwrap();
            assert!(found.sequence == 1 && found.is_single_copy, "byte {offset} bit {bit}");
            flip(&disk, COPY_B, offset, 1 << bit);
        }
    }
    flip(&disk, COPY_B, 70, 1);
    flip(&disk, COPY_A, 70, 1);
    assert!(matches!(Label::read(&disk, Path::new("/c")), Err(LabelError::Damaged(_))));
}

#[test]
fn a_newer_format_is_refused_by_either_copy() {
    let (disk, label) = written();
    let mut bytes = label.encode(3).unwrap();
    bytes[8] = 9;
    let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&crc);
    let file = disk.open(Path::new("/c/label.a"), OpenMode::ReadWrite).unwrap();
    write_all_at(file.as_ref(), &bytes, 0).unwrap();
    let refused = Label::read(&disk, Path::new("/c"));
    assert!(matches!(
        refused,
        Err(LabelError::NewerFormat { found: 9, supported: FORMAT_VERSION })
    ));
}

#[test]
fn a_label_that_is_cut_anywhere_is_damaged() {
    let bytes = label().encode(1).unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..length]), Copy::Damaged), "{length}");
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_and_changes_nothing() {
    let (disk, mut label) = written();
    label.hold = Some("x".repeat(LABEL_BYTES_MAX));
    assert!(matches!(label.write(&disk, Path::new("/c")), Err(LabelError::TooLarge { .. })));
    assert_eq!(Label::read(&disk, Path::new("/c")).unwrap().sequence, 2);
}

#[test]
fn a_copy_that_was_never_durable_is_made_so_before_the_other_one_is_given_up() {
    // The sync of a label failed, and its bytes stayed in the page cache, counted as written. The next load read them and
    // wrote the other copy: a power cut then left half of that one, and the older state of the first.
    let (disk, _) = written();
    let faulty = crate::disk::FaultDisk::new(std::sync::Arc::new(disk.clone()));
    let mut label = Label::read(&faulty, Path::new("/c")).unwrap();
    faulty.inject(crate::disk::Fault::once(
        crate::disk::Call::SyncData,
        "label",
        crate::disk::Reaction::Errno(5),
    ));
    label.owner_epoch = 7;
    assert!(label.write(&faulty, Path::new("/c")).is_err());
    let found = Label::read(&faulty, Path::new("/c")).unwrap();
    assert_eq!((found.sequence, found.owner_epoch), (3, 7), "only in memory");
    found.confirm(&faulty, Path::new("/c")).unwrap();
    // Half of the next write, to the other copy.
    flip(&disk, COPY_B, 100, 0xff);
    disk.power_cut();
    flip(&disk, COPY_B, 100, 0xff);
    assert_eq!(Label::read(&disk, Path::new("/c")).unwrap().owner_epoch, 7);
}

#[test]
fn the_label_of_another_cartridge_is_no_label_here() {
    // A sector of another cartridge's label that the disk had put into the newer copy was believed: all records were
    // foreign then, and the tape was cut off as a torn tail, down to nothing.
    let disk = MemoryDisk::new();
    let write = |number, times: u32| {
        let uuid = Uuid::from_u128(number);
        let directory = Path::new("/").join(uuid.to_string());
        disk.create_dir(&directory).unwrap();
        let barcode = Barcode::new(&format!("VTL{number:03}L9")).unwrap();
        let spec = CartridgeSpec::new(uuid, barcode, "lto9", 1 << 40);
        let mut label = Label::new(&spec, Timestamp::UNIX_EPOCH);
        (0..times).for_each(|_| label.write(&disk, &directory).unwrap());
        directory
    };
    let (own, other) = (write(1, 4), write(2, 6));
    disk.rename(&other.join(COPY_B), &own.join(COPY_B)).unwrap();
    let label = Label::read(&disk, &own).unwrap();
    assert_eq!((label.uuid, label.is_single_copy), (Uuid::from_u128(1), true));
    disk.rename(&other.join(COPY_A), &own.join(COPY_A)).unwrap();
    assert!(Label::read(&disk, &own).is_err());
}
