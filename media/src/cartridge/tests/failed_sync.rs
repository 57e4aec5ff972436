//! A sync that fails, on a disk that then behaves as Linux does: it counts what it has lost as written.

use super::*;
use crate::disk::{Call, Fault, FaultDisk, Reaction};

const EIO: i32 = 5;

fn blocks(count: u64) -> Vec<Option<Vec<u8>>> {
    (0..count).map(|n| Some(block(n, 3000))).collect()
}

fn failing_syncs(skip_count: u64, block_count: u64) -> (MemoryDisk, FaultDisk, Cartridge) {
    let memory = MemoryDisk::new();
    create(&memory, 1 << 40);
    let disk = FaultDisk::over(memory.clone());
    let mut cartridge = Cartridge::load(Arc::new(disk.clone()), &directory(), options()).unwrap();
    for n in 0..block_count {
        write_block(&mut cartridge, &block(n, 3000));
    }
    let fault = Fault::once(Call::SyncData, ".seg", Reaction::Errno(EIO));
    disk.inject(fault.after(skip_count));
    (memory, disk, cartridge)
}

#[test]
fn what_only_memory_holds_is_written_again_by_the_next_load() {
    // After a failed sync, the next load read the records from the page cache, believed them, synced the file and sealed it.
    // That sync succeeded without them, and a power cut took what the drive had by then given out as good.
    let mut kept = 0;
    for count in 1..20 {
        let (memory, disk, mut cartridge) = failing_syncs(0, count);
        assert!(cartridge.sync().is_err());
        disk.release();
        drop(cartridge);
        let mut again = load(&memory);
        let found = read_all(&mut again);
        assert!(blocks(count).starts_with(&found), "{count}");
        kept += found.len();
        let mut after = load(&memory.after_power_cut());
        assert_eq!(read_all(&mut after), found, "{count}");
    }
    assert!(kept > 0, "some of it has to be in memory for this to say anything");
}

#[test]
fn a_failed_sync_of_a_seal_is_not_made_again() {
    // Where the sync of a seal had failed, the seal was cut off and the file synced once more through the same descriptor,
    // which says nothing; the journal then went on in the next segment.
    for skip_count in 0..5 {
        // Several segments, so that one is sealed while there is more to come.
        let (memory, disk, mut cartridge) = failing_syncs(skip_count, 60);
        let synced = cartridge.sync();
        let unloaded = cartridge.unload();
        assert!(unloaded.is_err(), "{skip_count}");
        assert_eq!(disk.retried_syncs(), Vec::<PathBuf>::new(), "{skip_count}");
        let found = read_all(&mut load(&memory.after_power_cut()));
        assert!(blocks(60).starts_with(&found));
        assert!(synced.is_err() || found.len() == 60, "{skip_count}: {}", found.len());
    }
}
