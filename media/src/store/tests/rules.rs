//! Rules about cartridges: what the ledger keeps of them.

use super::*;

const DOCUMENT: &str = "# kept word for word\n[pool.daily]\nretention = \"30d\"\n";

#[test]
fn rules_and_pools_survive_a_restart_and_a_rebuilt_catalogue() {
    let disk = MemoryDisk::new();
    let store = small_store(Arc::new(disk.clone()));
    assert!(store.rules().is_none());
    store.apply_rules("[pool.old]", "op").unwrap();
    store.apply_rules(DOCUMENT, "op").unwrap();
    let uuids = ["A00001L9", "A00002L9"].map(|name| store.find(name).unwrap().uuid);
    store.assign_pool(&uuids, Some("daily"), "op").unwrap();
    store.assign_pool(&uuids[1..], None, "op").unwrap();
    assert!(store.check_catalogue().unwrap().is_empty(), "the catalogue shows the pools at once");
    let record = store.rules().unwrap();
    drop(store);
    let store = open_memory(Arc::new(disk));
    assert_eq!(store.rules(), Some(record.clone()));
    assert_eq!(record.document, DOCUMENT);
    let pool = |name: &str| store.find(name).unwrap().pool;
    let pools = ["A00001L9", "A00002L9"].map(pool);
    assert_eq!(pools, [Some("daily".to_owned()), None]);
    store.rebuild_catalogue().unwrap();
    assert_eq!(store.find("A00001L9").unwrap().pool.as_deref(), Some("daily"));
    let filter = EntryFilter { cartridge: Some(uuids[0]), ..EntryFilter::default() };
    let told = store.ledger().list(&filter).unwrap();
    assert!(
        told.iter().any(|entry| entry.event.name() == "cartridges_pooled" && entry.actor == "op")
    );
}

#[test]
fn a_pool_takes_all_cartridges_or_none() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let known = store.find("A00001L9").unwrap().uuid;
    let stranger = Uuid::from_u128(1);
    assert!(store.assign_pool(&[known, stranger], Some("daily"), "op").is_err());
    assert_eq!(store.find("A00001L9").unwrap().pool, None);
}

#[test]
fn the_longest_document_fits_into_one_entry() {
    let store = small_store(Arc::new(MemoryDisk::new()));
    let longest = "\u{1}".repeat(RULES_BYTES_MAX);
    store.apply_rules(&longest, "op").unwrap();
    assert_eq!(store.rules().unwrap().document, longest);
}
