//! A disk that fails on request.

mod plan;
mod site;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::plan::{Call, Fault, Reaction, Watch};
pub use self::site::Site;

use self::plan::{Manner, Plan, TRACED_MAX};
use super::{Disk, DiskFile, MemoryDisk, OpenMode};

/// Another disk, with the faults that have been asked for. Clones share faults and counters.
#[derive(Debug, Clone)]
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    /// The same disk where it is one in memory: a sync that fails there leaves what Linux would leave.
    memory: Option<MemoryDisk>,
    plan: Arc<Plan>,
}

impl FaultDisk {
    /// A disk that behaves like `inner` until it is told otherwise.
    pub fn new(inner: Arc<dyn Disk>) -> Self {
        Self { inner, memory: None, plan: Arc::default() }
    }

    /// The same for a disk in memory. There, a sync that is made to fail drops a part of the data and counts the rest as
    /// written, as [`MemoryDisk::fail_sync`] describes.
    pub fn over(memory: MemoryDisk) -> Self {
        Self { inner: Arc::new(memory.clone()), memory: Some(memory), plan: Arc::default() }
    }

    /// Has a function called before every call, whether it is made to fail or not, on the thread that makes it.
    pub fn watch(&self, watch: Watch) {
        self.plan.state().watch = Some(watch);
    }

    /// From now on, [`FaultDisk::failed_sites`] notes where calls that meet a fault were made, for the first few of them.
    pub fn trace(&self) {
        self.plan.state().traces_left = TRACED_MAX;
    }

    /// Where in the sources of this crate calls were made that met a fault, since [`FaultDisk::trace`].
    pub fn failed_sites(&self) -> BTreeSet<Site> {
        self.plan.state().sites.clone()
    }

    /// Files that were synced again through a descriptor on which a sync had failed, with nothing written in between: whoever
    /// does that is told that all is well by a kernel that has dropped the data. It must be empty.
    pub fn retried_syncs(&self) -> Vec<PathBuf> {
        self.plan.state().retried_syncs.clone()
    }

    /// Adds a fault; of several that meet one call, the one added first counts.
    pub fn inject(&self, fault: Fault) {
        self.plan.state().faults.push(fault);
    }

    /// Removes all faults and lets hanging calls go on.
    pub fn release(&self) {
        self.plan.release();
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
        Box::new(FaultFile {
            inner: file,
            path: path.to_owned(),
            memory: self.memory.clone(),
            plan: Arc::clone(&self.plan),
            has_failed_sync: AtomicBool::new(false),
        })
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
        match self.plan.check(Call::SyncDir, path)? {
            Manner::Lose => Ok(()),
            Manner::Plain | Manner::Short(_) => self.inner.sync_dir(path),
        }
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check(Call::Space, path)?;
        self.inner.free_bytes(path)
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check(Call::Space, path)?;
        self.inner.total_bytes(path)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        self.inner.mode(path)
    }
}

#[derive(Debug)]
struct FaultFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    memory: Option<MemoryDisk>,
    plan: Arc<Plan>,
    has_failed_sync: AtomicBool,
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
        self.has_failed_sync.store(false, Ordering::Relaxed);
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
        if self.has_failed_sync.load(Ordering::Relaxed) {
            self.plan.state().retried_syncs.push(self.path.clone());
        }
        match self.plan.check(Call::SyncData, &self.path) {
            Ok(Manner::Lose) => Ok(()),
            Ok(Manner::Plain | Manner::Short(_)) => self.inner.sync_data(),
            Err(error) => {
                self.has_failed_sync.store(true, Ordering::Relaxed);
                if let Some(memory) = &self.memory {
                    memory.fail_sync(&self.path, self.plan.state().counts.values().sum());
                }
                Err(error)
            }
        }
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
    fn a_failing_call_tells_where_it_was_made() {
        let disk = FaultDisk::over(MemoryDisk::new());
        disk.trace();
        disk.inject(Fault::forever(Call::Rename, "", Reaction::Errno(5)));
        let replaced = crate::whole::replace_whole(&disk, Path::new("/a"), b"1");
        assert!(replaced.is_err() && disk.exists(Path::new("/a.new")).unwrap());
        let sites = disk.failed_sites();
        let site = sites.first().unwrap();
        assert_eq!((sites.len(), site.file.as_str(), site.call), (1, "whole.rs", Call::Rename));
    }

    #[test]
    fn a_sync_that_is_made_again_is_noted() {
        let disk = FaultDisk::over(MemoryDisk::new());
        let file = disk.open(Path::new("/a"), OpenMode::Create).unwrap();
        disk.inject(Fault::once(Call::SyncData, "/a", Reaction::Errno(5)));
        assert!(file.sync_data().is_err() && disk.retried_syncs().is_empty());
        let other = disk.open(Path::new("/a"), OpenMode::Read).unwrap();
        assert!(other.sync_data().is_ok() && disk.retried_syncs().is_empty());
        assert!(file.sync_data().is_ok());
        assert_eq!(disk.retried_syncs(), [PathBuf::from("/a")]);
        write_all_at(file.as_ref(), b"x", 0).unwrap();
        disk.inject(Fault::once(Call::SyncData, "/a", Reaction::Errno(5)));
        assert!(file.sync_data().is_err());
        write_all_at(file.as_ref(), b"x", 0).unwrap();
        assert!(file.sync_data().is_ok());
        assert_eq!(disk.retried_syncs().len(), 1, "it was written again");
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
