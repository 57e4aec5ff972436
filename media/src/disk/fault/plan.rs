//! Which calls of a disk are to fail, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::site::{Site, caller};

/// The calls of the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`Disk::open`](crate::disk::Disk::open) and [`Disk::open_direct`](crate::disk::Disk::open_direct).
    Open,
    /// [`Disk::create_dir`](crate::disk::Disk::create_dir).
    CreateDir,
    /// [`Disk::list`](crate::disk::Disk::list).
    List,
    /// [`Disk::exists`](crate::disk::Disk::exists).
    Exists,
    /// [`Disk::rename`](crate::disk::Disk::rename); its path is the old name.
    Rename,
    /// [`Disk::remove`](crate::disk::Disk::remove).
    Remove,
    /// [`Disk::remove_dir`](crate::disk::Disk::remove_dir).
    RemoveDir,
    /// [`Disk::sync_dir`](crate::disk::Disk::sync_dir).
    SyncDir,
    /// [`Disk::free_bytes`](crate::disk::Disk::free_bytes) and [`Disk::total_bytes`](crate::disk::Disk::total_bytes).
    Space,
    /// [`DiskFile::length_bytes`](crate::disk::DiskFile::length_bytes).
    Length,
    /// [`DiskFile::read_at`](crate::disk::DiskFile::read_at).
    Read,
    /// [`DiskFile::write_at`](crate::disk::DiskFile::write_at).
    Write,
    /// [`DiskFile::allocate`](crate::disk::DiskFile::allocate).
    Allocate,
    /// [`DiskFile::set_length`](crate::disk::DiskFile::set_length).
    SetLength,
    /// [`DiskFile::sync_data`](crate::disk::DiskFile::sync_data).
    SyncData,
    /// [`DiskFile::try_lock`](crate::disk::DiskFile::try_lock).
    TryLock,
}

/// What happens to a call that a [`Fault`] meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It fails with this error number and does nothing.
    Errno(i32),
    /// A read or write does at most this many bytes; other calls are not affected.
    Short(usize),
    /// A write or a sync pretends to have been done; other calls are not affected.
    Lose,
    /// It waits until [`FaultDisk::release`](crate::disk::FaultDisk::release), then goes on.
    Hang,
}

/// Which calls are met, and what happens to them.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The kind of call; `None` meets all kinds.
    pub call: Option<Call>,
    /// A part of the path that must be there; empty meets all paths.
    pub path_part: String,
    /// How many calls that would be met are let through first.
    pub skip_count: u64,
    /// How many are met after that; `u64::MAX` is for ever.
    pub hit_count: u64,
    /// What happens to them.
    pub reaction: Reaction,
}

impl Fault {
    /// Meets the next such call only.
    pub fn once(call: Call, path_part: &str, reaction: Reaction) -> Self {
        Self {
            call: Some(call),
            path_part: path_part.to_owned(),
            skip_count: 0,
            hit_count: 1,
            reaction,
        }
    }

    /// Meets all such calls from now on.
    pub fn forever(call: Call, path_part: &str, reaction: Reaction) -> Self {
        Self { hit_count: u64::MAX, ..Self::once(call, path_part, reaction) }
    }

    /// The same, but only after `skip_count` calls have passed.
    #[must_use]
    pub fn after(self, skip_count: u64) -> Self {
        Self { skip_count, ..self }
    }
}

/// Called before every call of a disk.
pub type Watch = Arc<dyn Fn(Call, &Path) + Send + Sync>;

#[derive(Default)]
pub(super) struct Plan {
    state: Mutex<PlanState>,
    released: Condvar,
}

#[derive(Default)]
pub(super) struct PlanState {
    pub(super) faults: Vec<Fault>,
    pub(super) counts: BTreeMap<Call, u64>,
    pub(super) hanging: u64,
    pub(super) watch: Option<Watch>,
    /// How many calls that meet a fault are still to be asked where they were made.
    pub(super) traces_left: u32,
    /// Where calls that met a fault were made.
    pub(super) sites: BTreeSet<Site>,
    /// Files that were synced again through a descriptor on which a sync had failed, and not written in between.
    pub(super) retried_syncs: Vec<PathBuf>,
}

/// How a call that does not fail is to be done.
pub(super) enum Manner {
    Plain,
    Short(usize),
    Lose,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("faults", &self.state().faults).finish_non_exhaustive()
    }
}

impl Plan {
    /// Removes all faults and lets hanging calls go on.
    pub(super) fn release(&self) {
        self.state().faults.clear();
        self.released.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, PlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the watcher know of a call, counts it, and says what becomes of it.
    pub(super) fn check(&self, call: Call, path: &Path) -> io::Result<Manner> {
        let watch = self.state().watch.clone();
        if let Some(watch) = watch {
            watch(call, path);
        }
        let mut state = self.state();
        let count = state.counts.entry(call).or_default();
        *count = count.saturating_add(1);
        let met = state.meet(call, path);
        if met.is_some() && state.traces_left > 0 {
            state.traces_left = state.traces_left.saturating_sub(1);
            state.sites.extend(caller(call));
        }
        match met {
            None => Ok(Manner::Plain),
            Some(Reaction::Errno(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(Reaction::Short(bytes)) => Ok(Manner::Short(bytes)),
            Some(Reaction::Lose) => Ok(Manner::Lose),
            Some(Reaction::Hang) => {
                state.hanging += 1;
                let waiting = |state: &mut PlanState| {
                    state.faults.iter().any(|fault| fault.reaction == Reaction::Hang)
                };
                let mut state = self
                    .released
                    .wait_while(state, waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                state.hanging -= 1;
                Ok(Manner::Plain)
            }
        }
    }
}

impl PlanState {
    fn meet(&mut self, call: Call, path: &Path) -> Option<Reaction> {
        let path = path.to_string_lossy();
        for fault in &mut self.faults {
            let is_met =
                fault.call.is_none_or(|wanted| wanted == call) && path.contains(&fault.path_part);
            if !is_met || fault.hit_count == 0 {
                continue;
            }
            if fault.skip_count > 0 {
                fault.skip_count -= 1;
                continue;
            }
            if fault.hit_count != u64::MAX {
                fault.hit_count -= 1;
            }
            return Some(fault.reaction);
        }
        None
    }
}

/// To find out where a call was made is slow, and a fault that is met for ever is met at the same places.
pub(super) const TRACED_MAX: u32 = 24;
