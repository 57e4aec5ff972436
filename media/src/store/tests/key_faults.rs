//! Each call to the disk fails once, while keys are made, changed and destroyed, and while listings are kept.

use std::path::PathBuf;

use super::keys::{SECRET, TEXT, holds, locked_with, open, uuid_of, wrapped, write};
use super::*;
use crate::at_rest::Protection;
use crate::store::{KeysError, UndoError};

/// A store on a disk whose calls can fail.
fn with_faults() -> (MemoryDisk, FaultDisk, Store) {
    let memory = MemoryDisk::new();
    let disk = FaultDisk::over(memory.clone());
    let store = small_store(Arc::new(disk.clone()));
    (memory, disk, store)
}

/// From now on the call with this number fails, whatever it is.
fn fail_once(disk: &FaultDisk, number: u64) {
    let fault = Fault { call: None, ..Fault::once(Call::Write, "", Reaction::Errno(EIO)) };
    disk.trace();
    disk.inject(fault.after(number));
}

/// F24, S18: wherever it is cut off, it can be done again, and then the wrapped key is nowhere and nothing opens.
#[test]
fn a_destroyed_key_is_nowhere_even_if_each_call_fails_once() {
    let mut failures = 0;
    for number in 0.. {
        let (memory, disk, store) = with_faults();
        let uuid = uuid_of(&store, "A00001L9");
        store.assign_pool(&[uuid], Some("mail"), "test").unwrap();
        store.create_pool_key("mail", locked_with(), "test").unwrap();
        write(&store, "A00001L9", &[TEXT, "more"]);
        let text = wrapped(&store, "A00001L9");
        assert_eq!(holds(&memory, text.as_bytes()).len(), 2, "in both labels");
        fail_once(&disk, number);
        let first = store.destroy_key(uuid, "test");
        let is_last = first.is_ok() && disk.failed_sites().is_empty();
        let done = first.unwrap_or_else(|_| {
            failures += 1;
            drop(store);
            let store = open_memory(Arc::new(memory.clone()));
            store.unlock_pool_key("mail", SECRET).unwrap();
            let done = store.destroy_key(uuid, "test").unwrap();
            assert!(matches!(open(&store, "A00001L9", false), Err(UndoError::Load { .. })));
            done
        });
        assert_eq!((done.tried, done.block_count), (vec![(0, 0)], 2), "call {number}");
        for disk in [memory.snapshot(), memory.after_power_cut()] {
            assert_eq!(holds(&disk, text.as_bytes()), Vec::<PathBuf>::new(), "call {number}");
        }
        if is_last {
            assert!(done.searched_files > 5 && done.fingerprint.is_some());
            break;
        }
    }
    assert!(failures > 20, "{failures}");
}

/// Whatever fails, the keys that are in the ledger are those that open: the pool is encrypted and can be unlocked, or it has no key.
#[test]
fn each_call_that_changes_the_keys_of_pools_may_fail() {
    let mut failures = 0;
    for number in 0.. {
        let (memory, disk, store) = with_faults();
        fail_once(&disk, number);
        let other = || (Protection::KeyFile { path: "/elsewhere/other".into() }, &[7_u8; 32][..]);
        let done = store
            .create_pool_key("mail", locked_with(), "test")
            .and_then(|_| store.change_pool_key("mail", other(), "test"))
            .and_then(|_| store.remove_pool_key("mail", "test"))
            .and_then(|()| store.create_pool_key("mail", locked_with(), "test"));
        let is_last = done.is_ok() && disk.failed_sites().is_empty();
        failures += usize::from(done.is_err());
        drop(store);
        let store = open_memory(Arc::new(memory.clone()));
        if store.encrypted_pools().contains_key("mail") {
            let opened = store.unlock_pool_key("mail", SECRET);
            opened.or_else(|_| store.unlock_pool_key("mail", other().1)).unwrap();
            store.remove_pool_key("mail", "test").unwrap();
        }
        assert!(matches!(store.pool_key("mail"), Err(KeysError::NoKey(_))), "call {number}");
        if is_last {
            break;
        }
    }
    assert!(failures > 15, "{failures}");
}

#[test]
fn each_call_that_keeps_a_listing_may_fail() {
    for number in 0.. {
        let (_, disk, store) = with_faults();
        let uuid = uuid_of(&store, "A00001L9");
        fail_once(&disk, number);
        let kept = store.keep_listing(uuid, (0, 1), b"what was found");
        let found = store.listing(uuid, 0, 1);
        assert!(found.is_none() || found.as_deref() == Some(b"what was found"));
        if disk.failed_sites().is_empty() {
            assert!(kept.is_ok() && found.is_some());
            break;
        }
        store.keep_listing(uuid, (0, 1), b"what was found").unwrap();
        assert_eq!(store.listing(uuid, 0, 1).as_deref(), Some(&b"what was found"[..]));
    }
}
