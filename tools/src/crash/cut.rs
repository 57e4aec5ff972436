//! Where the power is cut: copies of the disk, taken while work is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use vtl_media::disk::{Call, FaultDisk, MemoryDisk};

use crate::promise::Promise;
use crate::workload::{SharedPromise, lock};
use vtl_tools::random::Random;

/// A disk at one moment, with what had been promised by then.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) disk: MemoryDisk,
    pub(crate) promise: Promise,
    /// What becomes of the unsynced data, and all else that is random about this cut, follows from it.
    pub(crate) seed: u64,
    /// Which call the power failed before, for people.
    pub(crate) name: String,
    /// Whether recovery was under way.
    pub(crate) is_in_recovery: bool,
}

/// In so many of 100 calls that are no syncs, the power is cut before them; before every sync it is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) syncs_percent: u64,
    pub(crate) others_percent: u64,
    pub(crate) limit: u64,
}

/// Has the power cut while `disk`, which is over `memory`, is worked with. Cuts go to `sender`.
pub(crate) fn watch(
    disk: &FaultDisk,
    memory: MemoryDisk,
    promise: SharedPromise,
    seed: u64,
    rate: Rate,
    sender: SyncSender<Cut>,
    is_in_recovery: bool,
) {
    let calls = AtomicU64::new(0);
    let taken = AtomicU64::new(0);
    disk.watch(Arc::new(move |call, path| {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::new(seed, number);
        let percent = match call {
            Call::SyncData | Call::SyncDir => rate.syncs_percent,
            _ => rate.others_percent,
        };
        if !random.percent(percent) || taken.fetch_add(1, Ordering::Relaxed) >= rate.limit {
            return;
        }
        // What was acknowledged is noted before the disk is copied: it can only grow.
        let promise = lock(&promise).clone();
        let name = format!("call {number}, {call:?} {}", path.display());
        let disk = memory.snapshot();
        let cut = Cut { disk, promise, seed: random.next(), name, is_in_recovery };
        // Where nobody checks cuts any more, one has failed.
        drop(sender.send(cut));
    }));
}
