//! Keys that hosts bring: where they are, and where they are not.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use vtl_tests::{Initiator, Scene, cdb, noise, poll};

const LIMIT: Duration = Duration::from_secs(20);

/// A Set Data Encryption page for all nexuses.
fn page(modes: (u8, u8), key: &[u8]) -> Vec<u8> {
    let mut page = vec![0x00, 0x10, 0, 0, 0x40, 0x40, modes.0, modes.1, 1, 0, 0];
    page.extend([0; 7]);
    page.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
    page.extend(key);
    let length = u16::try_from(page.len() - 4).unwrap().to_be_bytes();
    page[2..4].copy_from_slice(&length);
    page
}

fn set(initiator: &mut Initiator, page: &[u8]) {
    let length = u8::try_from(page.len()).unwrap();
    let cdb = [0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length, 0, 0];
    initiator.write_out(1, &cdb, page).good();
}

/// In how many places these bytes are in the memory of a process.
fn places_in_memory(pid: u32, wanted: &[u8]) -> usize {
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut count = 0;
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) =
            (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        let mut read = 0;
        // Pages that cannot be read have nothing in them.
        while let Ok(length) = memory.read_at(&mut bytes[read..], start + read as u64) {
            if length == 0 {
                break;
            }
            read += length;
        }
        count += memchr_count(&bytes[..read], wanted);
    }
    count
}

/// Waits until each of these keys is in as many places. What was answered may still be in the buffer it came in, or with a thread that
/// reads ahead, for the moment it takes to be wiped there.
#[track_caller]
fn wait_for_places(pid: u32, keys: &[(&[u8], usize)]) {
    let mut seen = Vec::new();
    let started = std::time::Instant::now();
    poll("the keys' places in memory", LIMIT * 2, || {
        seen = keys.iter().map(|(key, _)| places_in_memory(pid, key)).collect();
        let are_there = keys.iter().zip(&seen).all(|((_, wanted), found)| wanted == found);
        assert!(are_there || started.elapsed() < LIMIT, "the keys are in {seen:?} places");
        are_there.then_some(())
    });
}

fn memchr_count(bytes: &[u8], wanted: &[u8]) -> usize {
    const PAGE: usize = 4096;
    let mut count = 0;
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        // Most pages are empty, and looking at each byte takes long.
        if page == &[0; PAGE][..page.len()] {
            continue;
        }
        let start = number * PAGE;
        let end = (start + page.len() + wanted.len() - 1).min(bytes.len());
        count += bytes[start..end].windows(wanted.len()).filter(|window| window == &wanted).count();
    }
    count
}

fn is_in_files(directory: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(&path, wanted);
        }
        fs::read(&path).is_ok_and(|bytes| memchr_count(&bytes, wanted) > 0)
    })
}

#[test]
fn a_key_is_in_memory_while_it_is_set_and_nowhere_afterwards() {
    let scene = Scene::loaded();
    let mut initiator = scene.session("keys");
    let (key, other) = (noise(41, 32), noise(42, 32));
    let pid = scene.daemon().pid();
    if !rustix::process::geteuid().is_root() {
        // Its own user cannot look into the daemon: it is not dumpable. There is nothing to be compared then.
        assert!(File::open(format!("/proc/{pid}/mem")).is_err());
        return;
    }
    set(&mut initiator, &page((2, 3), &key));
    let secret = noise(43, 70_000);
    initiator.write_block(&secret).good();
    initiator.run(1, &cdb::write_filemarks(1)).good();
    initiator.run(1, &cdb::REWIND).good();
    assert_eq!(initiator.read_block(70_000).data, secret);
    wait_for_places(pid, &[(&key, 1)]);
    // Another key takes its place; then there is none.
    set(&mut initiator, &page((2, 3), &other));
    initiator.write_block(&noise(44, 100)).good();
    wait_for_places(pid, &[(&key, 0), (&other, 1)]);
    set(&mut initiator, &page((0, 0), &[]));
    initiator.write_block(&noise(44, 100)).good();
    initiator.run(1, &cdb::write_filemarks(1)).good();
    initiator.run(1, &cdb::REWIND).good();
    initiator.read_block(70_000).sense(7, 0x74, 0x01);
    wait_for_places(pid, &[(&key, 0), (&other, 0)]);
    // Neither the keys nor the block are in any file, and no core dump will bring them there.
    for wanted in [&key[..], &other, &secret[..64]] {
        assert!(!is_in_files(&scene.data(), wanted));
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
}
