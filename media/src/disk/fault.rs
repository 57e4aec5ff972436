//! A disk that fails on request.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, OpenMode};

/// The calls of the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`Disk::open`] and [`Disk::open_direct`].
    Open,
    /// [`Disk::create_dir`].
    CreateDir,
    /// [`Disk::list`].
    List,
    /// [`Disk::exists`].
    Exists,
    /// [`Disk::rename`]; its path is the old name.
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::remove_dir`].
    RemoveDir,
    /// [`Disk::sync_dir`].
    SyncDir,
    /// [`Disk::free_bytes`] and [`Disk::total_bytes`].
    Space,
    /// [`DiskFile::length_bytes`].
    Length,
    /// [`DiskFile::read_at`].
    Read,
    /// [`DiskFile::write_at`].
    Write,
    /// [`DiskFile::allocate`].
    Allocate,
    /// [`DiskFile::set_length`].
    SetLength,
    /// [`DiskFile::sync_data`].
    SyncData,
    /// [`DiskFile::try_lock`].
    TryLock,
}

/// What happens to a call that a [`Fault`] meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It fails with this error number and does nothing.
    Errno(i32),
    /// A read or write does at most this many bytes; other calls are not affected.
    Short(usize),
    /// A write pretends to have been done; other calls are not affected.
    Lose,
    /// It waits until [`FaultDisk::release`], then goes on.
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

/// Another disk, with the faults that have been asked for. Clones share faults and counters.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    plan: Arc<Plan>,
}

impl FaultDisk {
    /// A disk that behaves like `inner` until it is told otherwise.
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Adds a fault; of several that meet one call, the one added first counts.
    pub fn inject(&self, fault: Fault) {
        self.plan.state().faults.push(fault);
    }

    /// Removes all faults and lets hanging calls go on.
    pub fn release(&self) {
        self.plan.state().faults.clear();
        self.plan.released.notify_all();
    }

    /// How many calls of one kind have been made, failed ones included.
    pub fn count(&self, call: Call) -> u64 {
        self.plan.state().counts.get(&call).copied().unwrap_or(0)
    }

    /// How many calls have been made.
    pub fn count_all(&self) -> u64 {
        self.plan.state().counts.values().sum()
    }

    /// How many calls are hanging now.
    pub fn hanging(&self) -> u64 {
        self.plan.state().hanging
    }

    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultFile { inner: file, path: path.to_owned(), plan: Arc::clone(&self.plan) })
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.plan.check(Call::Open, path)?;
        Ok(self.wrap(path, self.inner.open(path, mode)?))
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.plan.check(Call::Open, path)?;
        Ok(self.wrap(path, self.inner.open_direct(path, mode)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Call::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.plan.check(Call::List, path)?;
        self.inner.list(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.plan.check(Call::Exists, path)?;
        self.inner.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(Call::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Call::Remove, path)?;
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Call::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.check(Call::SyncDir, path)?;
        self.inner.sync_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check(Call::Space, path)?;
        self.inner.free_bytes(path)
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check(Call::Space, path)?;
        self.inner.total_bytes(path)
    }
}

#[derive(Debug, Default)]
struct Plan {
    state: Mutex<PlanState>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct PlanState {
    faults: Vec<Fault>,
    counts: BTreeMap<Call, u64>,
    hanging: u64,
}

/// How a call that does not fail is to be done.
enum Manner {
    Plain,
    Short(usize),
    Lose,
}

impl Plan {
    fn state(&self) -> MutexGuard<'_, PlanState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, call: Call, path: &Path) -> io::Result<Manner> {
        let mut state = self.state();
        let count = state.counts.entry(call).or_default();
        *count = count.saturating_add(1);
        match state.meet(call, path) {
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

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    plan: Arc<Plan>,
}

impl DiskFile for FaultFile {
    fn length_bytes(&self) -> io::Result<u64> {
        self.plan.check(Call::Length, &self.path)?;
        self.inner.length_bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = match self.plan.check(Call::Read, &self.path)? {
            Manner::Short(bytes) => buffer.len().min(bytes),
            Manner::Plain | Manner::Lose => buffer.len(),
        };
        self.inner.read_at(buffer.get_mut(..length).unwrap_or_default(), offset)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        match self.plan.check(Call::Write, &self.path)? {
            Manner::Plain => self.inner.write_at(buffer, offset),
            Manner::Short(bytes) => {
                self.inner.write_at(buffer.get(..bytes).unwrap_or(buffer), offset)
            }
            Manner::Lose => Ok(buffer.len()),
        }
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.plan.check(Call::Allocate, &self.path)?;
        self.inner.allocate(offset, length)
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.plan.check(Call::SetLength, &self.path)?;
        self.inner.set_length(length_bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.check(Call::SyncData, &self.path)?;
        self.inner.sync_data()
    }

    fn alignment_bytes(&self) -> usize {
        self.inner.alignment_bytes()
    }

    fn drop_cached(&self) -> io::Result<bool> {
        self.inner.drop_cached()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.plan.check(Call::TryLock, &self.path)?;
        self.inner.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{MemoryDisk, write_all_at};

    #[test]
    fn the_nth_call_fails_and_calls_are_counted() {
        let disk = FaultDisk::new(Arc::new(MemoryDisk::new()));
        let file = disk.open(Path::new("/a"), OpenMode::Create).unwrap();
        disk.inject(Fault::once(Call::Write, "/a", Reaction::Errno(5)).after(1));
        assert!(file.write_at(b"x", 0).is_ok());
        assert_eq!(file.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(5));
        assert!(file.write_at(b"x", 0).is_ok());
        assert_eq!((disk.count(Call::Write), disk.count(Call::Open), disk.count_all()), (3, 1, 4));
    }

    #[test]
    fn short_and_lost_writes() {
        let disk = FaultDisk::new(Arc::new(MemoryDisk::new()));
        let file = disk.open(Path::new("/a"), OpenMode::Create).unwrap();
        disk.inject(Fault::forever(Call::Write, "", Reaction::Short(2)));
        write_all_at(file.as_ref(), b"abcde", 0).unwrap();
        assert_eq!(disk.count(Call::Write), 3);
        disk.release();
        disk.inject(Fault::once(Call::Write, "", Reaction::Lose));
        write_all_at(file.as_ref(), b"12345678", 0).unwrap();
        assert_eq!(file.length_bytes().unwrap(), 5);
    }

    #[test]
    fn a_hanging_call_goes_on_when_released() {
        let disk = FaultDisk::new(Arc::new(MemoryDisk::new()));
        let file = disk.open(Path::new("/a"), OpenMode::Create).unwrap();
        disk.inject(Fault::once(Call::SyncData, "/a", Reaction::Hang));
        let waiter = std::thread::spawn(move || file.sync_data());
        while disk.hanging() == 0 {
            std::thread::yield_now();
        }
        disk.release();
        waiter.join().unwrap().unwrap();
    }
}
