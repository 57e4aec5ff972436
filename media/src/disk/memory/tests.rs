//! What a disk in memory keeps, and what it loses.

use std::io;
use std::path::{Path, PathBuf};

use super::MemoryDisk;
use crate::disk::{Disk, OpenMode, read_exact_at, write_all_at};

fn contents(disk: &MemoryDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.length_bytes().unwrap()).unwrap()];
    read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    Some(bytes)
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), b"kept", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(contents(&disk.after_power_cut(), "/a"), None, "the name was not synced");
    disk.sync_dir(Path::new("/")).unwrap();
    write_all_at(file.as_ref(), b"lost!", 0).unwrap();
    assert_eq!(contents(&disk, "/a").unwrap(), b"lost!");
    disk.power_cut();
    assert_eq!(contents(&disk, "/a").unwrap(), b"kept");
}

#[test]
fn cutting_a_file_zeroes_what_was_behind() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), &[7; 10_000], 0).unwrap();
    file.set_length(5_000).unwrap();
    file.set_length(10_000).unwrap();
    let bytes = contents(&disk, "/a").unwrap();
    assert!(
        bytes[..5_000].iter().all(|byte| *byte == 7)
            && bytes[5_000..].iter().all(|byte| *byte == 0)
    );
    disk.sync_dir(Path::new("/")).unwrap();
    file.sync_data().unwrap();
    assert_eq!(contents(&disk.after_power_cut(), "/a").unwrap(), bytes);
}

#[test]
fn the_disk_fills_up() {
    let disk = MemoryDisk::with_capacity(8192);
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    file.allocate(0, 8192).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 0);
    assert_eq!(file.write_at(&[1], 8192).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.set_length(0).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 8192);
}

#[test]
fn a_directory_takes_its_names_along() {
    let disk = MemoryDisk::new();
    disk.create_dir(Path::new("/d")).unwrap();
    let file = disk.open(Path::new("/d/a"), OpenMode::CreateNew).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    assert!(
        !disk.after_power_cut().exists(Path::new("/d/a")).unwrap(),
        "the directory was not synced"
    );
    disk.sync_dir(Path::new("/")).unwrap();
    disk.rename(Path::new("/d"), Path::new("/e")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.power_cut();
    assert_eq!(disk.list(Path::new("/e")).unwrap(), [PathBuf::from("a")]);
    assert!(!disk.exists(Path::new("/d")).unwrap());
}

#[test]
fn direct_files_insist_on_alignment() {
    let disk = MemoryDisk::new().with_alignment(512);
    let file = disk.open_direct(Path::new("/a"), OpenMode::Create).unwrap();
    let bytes = vec![1; 2048];
    let start = bytes.as_ptr().align_offset(512);
    assert_eq!(file.alignment_bytes(), 512);
    assert!(file.write_at(&bytes[start..start + 512], 1024).is_ok());
    assert!(file.write_at(&bytes[start..start + 511], 1024).is_err());
    assert!(file.write_at(&bytes[start..start + 512], 1).is_err());
    assert!(file.write_at(&bytes[start + 1..start + 513], 1024).is_err());
}

#[test]
fn the_lock_has_one_holder() {
    let disk = MemoryDisk::new();
    let first = disk.open(Path::new("/lock"), OpenMode::Create).unwrap();
    let second = disk.open(Path::new("/lock"), OpenMode::Create).unwrap();
    assert!(first.try_lock().unwrap() && first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
}

/// Every outcome that seeds can give to a question about a disk.
fn outcomes<T: Ord>(disk: &MemoryDisk, ask: impl Fn(&MemoryDisk) -> T) -> Vec<T> {
    let mut outcomes: Vec<T> = (0..400)
        .map(|seed| {
            let copy = disk.snapshot();
            copy.torn_power_cut(seed);
            ask(&copy)
        })
        .collect();
    outcomes.sort();
    outcomes.dedup();
    outcomes
}

#[test]
fn a_torn_cut_keeps_any_sectors_in_any_version() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), &[1; 1024], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    write_all_at(file.as_ref(), &[2; 1024], 0).unwrap();
    write_all_at(file.as_ref(), &[3; 512], 0).unwrap();
    let found = outcomes(&disk, |disk| {
        let bytes = contents(disk, "/a").unwrap();
        assert!(bytes[..512].iter().all(|byte| *byte == bytes[0]), "a sector is never torn");
        (bytes[0], bytes[1023])
    });
    assert_eq!(found, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]);
}

#[test]
fn a_torn_cut_keeps_any_length_on_the_way() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.allocate(0, 2048).unwrap();
    let length = |disk: &MemoryDisk| contents(disk, "/a").unwrap().len();
    assert_eq!(outcomes(&disk, length), [0, 512, 1024, 1536, 2048]);
    file.sync_data().unwrap();
    assert_eq!(outcomes(&disk, length), [2048]);
}

#[test]
fn a_torn_cut_keeps_or_drops_each_change_of_a_name_as_a_whole() {
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/FORMAT"), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), b"old", 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.open(Path::new("/FORMAT.new"), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), b"new", 0).unwrap();
    file.sync_data().unwrap();
    disk.rename(Path::new("/FORMAT.new"), Path::new("/FORMAT")).unwrap();
    disk.create_dir(Path::new("/d")).unwrap();
    let found = outcomes(&disk, |disk| {
        let names = disk.list(Path::new("/")).unwrap().len();
        (contents(disk, "/FORMAT").unwrap(), contents(disk, "/FORMAT.new"), names)
    });
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    let mut expected = Vec::new();
    for directories in [0, 1] {
        expected.push((new.clone(), None, 1 + directories));
        expected.push((old.clone(), None, 1 + directories));
        expected.push((old.clone(), Some(new.clone()), 2 + directories));
    }
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_sync_after_a_failed_one_succeeds_without_the_data() {
    // As on Linux: who syncs again after an error is told that all is well, and it is not.
    let disk = MemoryDisk::new();
    let file = disk.open(Path::new("/a"), OpenMode::CreateNew).unwrap();
    file.set_length(8192).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let mut found = Vec::new();
    for seed in 0..64 {
        let copy = disk.snapshot();
        let file = copy.open(Path::new("/a"), OpenMode::ReadWrite).unwrap();
        write_all_at(file.as_ref(), &[7; 512], 4096).unwrap();
        copy.fail_sync(Path::new("/a"), seed);
        file.sync_data().unwrap();
        let is_read = contents(&copy, "/a").unwrap()[4096] == 7;
        let is_kept = contents(&copy.after_power_cut(), "/a").unwrap()[4096] == 7;
        found.push((is_read, is_kept));
        write_all_at(file.as_ref(), &[8; 512], 4096).unwrap();
        file.sync_data().unwrap();
        assert_eq!(contents(&copy.after_power_cut(), "/a").unwrap()[4096], 8);
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [(false, false), (true, false), (true, true)]);
}
