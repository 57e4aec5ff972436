//! The file by itself: what is read back, and what is not.

use super::*;
use crate::disk::{MemoryDisk, write_all_at};
use crate::journal::index::Counts;
use crate::journal::record::Point;

const DIRECTORY: &str = "/";
const CARTRIDGE: Uuid = Uuid::from_u128(7);

fn beginnings(count: u32) -> Vec<Beginning> {
    (0..count)
        .map(|generation| Beginning {
            offset: 512 * u64::from(generation),
            generation,
            start: Point { objects: 1, filemarks: 2, bytes: 3 },
            base: (generation % 2 == 1).then_some(Place { segment: 1, offset: 1024 }),
        })
        .collect()
}

fn closed(number: u32) -> Closed {
    let counts = Counts { entries: number, ..Counts::default() };
    let sequence = u64::from(number) * 100;
    Closed {
        number,
        seal: Seal { data_end: 512 * 9, counts, first_sequence: sequence - 99, ..Seal::default() },
        sequence,
        durable_sequence: sequence - 2,
        crc: number,
        owner_epoch: 3,
        chain_before: number - 1,
        beginnings: Some(beginnings(number % 20)),
    }
    .into_row()
}

fn written(disk: &MemoryDisk, rows: &[Closed]) -> Vec<u8> {
    let known = (&Summary::default(), rows);
    SummaryWriter::resume(disk, Path::new(DIRECTORY), CARTRIDGE, known).unwrap();
    read_file(disk, Path::new(DIRECTORY)).unwrap()
}

fn read(disk: &MemoryDisk) -> Summary {
    Summary::read(disk, Path::new(DIRECTORY), CARTRIDGE)
}

#[test]
fn rows_come_back_and_more_can_be_added() {
    let disk = MemoryDisk::new();
    let rows: Vec<Closed> = (1..=300).map(closed).collect();
    written(&disk, &rows[..200]);
    let summary = read(&disk);
    let mut writer =
        SummaryWriter::resume(&disk, Path::new(DIRECTORY), CARTRIDGE, (&summary, &rows[..210]))
            .unwrap();
    for row in &rows[210..] {
        writer.add(row).unwrap();
    }
    let summary = read(&disk);
    for row in &rows {
        assert_eq!(summary.row(row.number).as_ref(), Some(row));
        assert_eq!(summary.believed(row.number), None, "nothing has vouched for it");
    }
    assert_eq!(summary.row_count, rows.len());
    assert_eq!(summary.row(301), None);
}

#[test]
fn no_flipped_bit_and_no_cut_brings_another_row() {
    let disk = MemoryDisk::new();
    let rows: Vec<Closed> = (1..=40).map(closed).collect();
    let bytes = written(&disk, &rows);
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let summary = Summary::of(damaged, CARTRIDGE);
        let found: Vec<Closed> = rows.iter().filter_map(|row| summary.row(row.number)).collect();
        assert!(found.iter().all(|row| rows.contains(row)), "byte {at}");
        assert!(found.len() < rows.len(), "byte {at}");
    }
    for length in 0..bytes.len() {
        let summary = Summary::of(bytes[..length].to_vec(), CARTRIDGE);
        assert!(rows.iter().filter_map(|row| summary.row(row.number)).count() < rows.len());
    }
}

#[test]
fn another_cartridge_and_another_version_have_no_rows() {
    let disk = MemoryDisk::new();
    let mut bytes = written(&disk, &[closed(1)]);
    assert!(Summary::of(bytes.clone(), Uuid::from_u128(8)).rows.is_empty());
    assert_eq!(Summary::of(bytes.clone(), CARTRIDGE).rows.len(), 1);
    bytes[24] = 2;
    let end = BLOCK_BYTES - 4;
    let crc = crc32c::crc32c(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&crc);
    assert!(Summary::of(bytes, CARTRIDGE).rows.is_empty());
}

#[test]
fn a_row_that_was_written_again_counts_as_it_was_last() {
    let disk = MemoryDisk::new();
    let rows: Vec<Closed> = (1..=100).map(closed).collect();
    written(&disk, &rows);
    let other = Closed { crc: 999, ..closed(50) };
    let summary = read(&disk);
    let known = (&summary, std::slice::from_ref(&other));
    SummaryWriter::resume(&disk, Path::new(DIRECTORY), CARTRIDGE, known).unwrap();
    let summary = read(&disk);
    assert_eq!(summary.row(50), Some(other));
    assert_eq!(summary.row(1), Some(closed(1)), "it was before what was wrong");
}

#[test]
fn a_damaged_block_is_written_again() {
    let disk = MemoryDisk::new();
    let rows: Vec<Closed> = (1..=100).map(closed).collect();
    let bytes = written(&disk, &rows);
    let file = disk.open(&Path::new(DIRECTORY).join(NAME), OpenMode::ReadWrite).unwrap();
    write_all_at(file.as_ref(), &[0xff; 10], BLOCK_BYTES as u64 + 100).unwrap();
    let summary = read(&disk);
    assert!(summary.rows.len() < rows.len());
    SummaryWriter::resume(&disk, Path::new(DIRECTORY), CARTRIDGE, (&summary, &rows)).unwrap();
    assert_eq!(read(&disk).rows.len(), rows.len());
    assert_eq!(read_file(&disk, Path::new(DIRECTORY)).unwrap().len(), bytes.len());
}

#[test]
fn rows_of_segments_that_are_gone_do_not_pile_up() {
    let disk = MemoryDisk::new();
    let rows: Vec<Closed> = (1..=5000).map(closed).collect();
    written(&disk, &rows);
    let summary = read(&disk);
    let known = (&summary, &rows[4990..]);
    SummaryWriter::resume(&disk, Path::new(DIRECTORY), CARTRIDGE, known).unwrap();
    assert_eq!(read(&disk).rows.len(), 10);
}
