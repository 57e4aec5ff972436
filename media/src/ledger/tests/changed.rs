//! Whatever is changed in a ledger is found, and nothing is touched (G13).

use super::*;

/// Opening must fail and leave every file as it is; a ledger that was open all the time must notice as well.
fn assert_found(original: &MemoryDisk, change: impl Fn(&MemoryDisk), what: &str) {
    let disk = original.snapshot();
    let running = open(Arc::new(disk.clone())).unwrap().ledger;
    change(&disk);
    let files = |disk: &MemoryDisk| -> Vec<_> {
        disk.list(Path::new(DIRECTORY))
            .unwrap()
            .into_iter()
            .map(|name| (content(disk, &Path::new(DIRECTORY).join(&name)), name))
            .collect()
    };
    let before = files(&disk);
    match open(Arc::new(disk.clone())) {
        Err(LedgerError::Damaged { .. }) => (),
        other => panic!("{what}: {:?}", other.map(|opened| opened.entries.len())),
    }
    assert_eq!(files(&disk), before, "{what}: nothing was changed");
    assert!(matches!(running.verify(), Err(LedgerError::Damaged { .. })), "{what}: verify");
}

#[test]
fn every_changed_byte_is_found() {
    let disk = sample();
    for number in segments(&disk) {
        let good = content(&disk, &path_of(number));
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1 << (position % 8);
            assert_found(
                &disk,
                |disk| put(disk, &path_of(number), &bad),
                &format!("{number}/{position}"),
            );
        }
    }
}

#[test]
fn every_removed_swapped_doubled_or_cut_entry_is_found() {
    let disk = sample();
    for number in segments(&disk) {
        let path = path_of(number);
        let good = content(&disk, &path);
        let (header, entries) = pieces(&good);
        let with = |entries: &[Vec<u8>]| [header.clone(), entries.concat()].concat();
        for index in 0..entries.len() {
            let mut removed = entries.clone();
            removed.remove(index);
            assert_found(&disk, |disk| put(disk, &path, &with(&removed)), "removed");
            let mut doubled = entries.clone();
            doubled.insert(index, entries[index].clone());
            assert_found(&disk, |disk| put(disk, &path, &with(&doubled)), "doubled");
            if index > 0 {
                let mut swapped = entries.clone();
                swapped.swap(index - 1, index);
                assert_found(&disk, |disk| put(disk, &path, &with(&swapped)), "swapped");
            }
        }
        for length in 0..good.len() {
            assert_found(
                &disk,
                |disk| put(disk, &path, &good[..length]),
                &format!("cut {number} to {length}"),
            );
        }
        assert_found(&disk, |disk| disk.remove(&path).unwrap(), "segment removed");
    }
}

/// The same with as many entries as a library has after some weeks: `LEDGER_ENTRIES=2000 cargo test --release -p vtl-media --lib long_ledger`.
#[test]
fn every_entry_of_a_long_ledger_that_is_changed_removed_or_swapped_is_found() {
    let count: u64 = std::env::var("LEDGER_ENTRIES").map_or(40, |text| text.parse().unwrap());
    let disk = new_disk();
    let ledger = open(Arc::new(disk.clone())).unwrap().ledger;
    for number in 1..=count {
        ledger.append(&event(number), "somebody").unwrap();
    }
    ledger.close().unwrap();
    let mut tried = 0;
    for number in segments(&disk) {
        let path = path_of(number);
        let (header, entries) = pieces(&content(&disk, &path));
        for index in 0..entries.len() {
            let mut changed = entries.clone();
            let middle = changed[index].len() / 2;
            changed[index][middle] ^= 0x10;
            let mut removed = entries.clone();
            removed.remove(index);
            let mut swapped = entries.clone();
            swapped.swap(index, (index + 1) % entries.len());
            let cut = entries[..index].to_vec();
            for (other, what) in
                [(changed, "changed"), (removed, "removed"), (swapped, "swapped"), (cut, "cut")]
            {
                if other == entries {
                    continue;
                }
                let bytes = [header.clone(), other.concat()].concat();
                assert_found(&disk, |disk| put(disk, &path, &bytes), what);
            }
            tried += 1;
        }
    }
    assert_eq!(tried, count);
}

#[test]
fn swapped_segments_and_those_of_another_directory_are_found() {
    let disk = sample();
    let (first, second) = (content(&disk, &path_of(1)), content(&disk, &path_of(2)));
    let swap = |disk: &MemoryDisk| {
        put(disk, &path_of(1), &second);
        put(disk, &path_of(2), &first);
    };
    assert_found(&disk, swap, "swapped");
    let other = MemoryDisk::new();
    other.create_dir(Path::new(DIRECTORY)).unwrap();
    let other_options = LedgerOptions { id: Uuid::from_u128(7), ..options() };
    Ledger::create(&other, Path::new(DIRECTORY), other_options.id).unwrap();
    let (ledger, _) =
        Ledger::open(Arc::new(other.clone()), Path::new(DIRECTORY), other_options, |_| {}).unwrap();
    ledger.append(&event(1), "x").unwrap();
    assert_found(&disk, |disk| put(disk, &path_of(1), &content(&other, &path_of(1))), "foreign");
}

#[test]
fn a_history_that_was_computed_anew_is_found_by_its_head() {
    let disk = sample();
    let forged = new_disk();
    let ledger = open(Arc::new(forged.clone())).unwrap().ledger;
    for number in 1..=9 {
        ledger.append(&event(number + 100), "forger").unwrap();
    }
    let replace = |disk: &MemoryDisk| {
        for number in segments(&forged) {
            put(disk, &path_of(number), &content(&forged, &path_of(number)));
        }
    };
    assert_found(&disk, replace, "forged");
}
