//! A disk in memory that forgets what was not synced.

mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::state::{Node, PAGE_BYTES, State};
use super::{Disk, DiskFile, OpenMode};

/// A file system in memory, for tests: it keeps what is durable apart from what is only written, so that
/// [`MemoryDisk::power_cut`] can take the difference away. Clones share one disk.
///
/// The root directory is there from the start. Directories are names like files are: without [`Disk::sync_dir`] on the
/// directory above, a power cut takes them and everything in them.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// What direct I/O asks for.
    alignment_bytes: usize,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::with_capacity(u64::MAX)
    }
}

impl MemoryDisk {
    /// An empty disk without bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk on which all files together have at most this length.
    pub fn with_capacity(capacity_bytes: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Directory)]);
        let state = State {
            durable_names: root.clone(),
            names: root,
            inodes: BTreeMap::new(),
            next: 0,
            capacity_bytes,
        };
        Self { state: Arc::new(Mutex::new(state)), alignment_bytes: 1 }
    }

    /// The same disk, with files that insist on this alignment when they are opened with [`Disk::open_direct`].
    #[must_use]
    pub fn with_alignment(self, alignment_bytes: usize) -> Self {
        Self { alignment_bytes: alignment_bytes.max(1), ..self }
    }

    /// Changes the size of the disk; what is on it stays.
    pub fn set_capacity(&self, capacity_bytes: u64) {
        self.state().capacity_bytes = capacity_bytes;
    }

    /// Drops everything that has not been synced: bytes, lengths and names. Files that are open keep working on what is
    /// left of them.
    pub fn power_cut(&self) {
        let mut state = self.state();
        let names = state.durable_names.clone();
        // A name below a directory that was lost is lost with it.
        let reachable = |path: &Path| {
            path.ancestors().all(|above| above.as_os_str().is_empty() || names.contains_key(above))
        };
        state.durable_names = names
            .iter()
            .filter(|(path, _)| reachable(path))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        state.names = state.durable_names.clone();
        for inode in state.inodes.values_mut() {
            inode.current = inode.durable.clone();
            inode.dirty.clear();
        }
    }

    /// Like [`MemoryDisk::power_cut`], but of what was not synced, any part may have reached the medium: each page and each
    /// file's new length stays or goes as `seed` decides.
    pub fn torn_power_cut(&self, seed: u64) {
        let mut random = seed | 1;
        let mut stays = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random.is_multiple_of(2)
        };
        for inode in self.state().inodes.values_mut() {
            if stays() {
                inode.durable.length = inode.current.length;
            }
            let dirty: Vec<u64> = inode.dirty.iter().copied().filter(|_| stays()).collect();
            for number in dirty {
                inode.sync_page(number);
            }
        }
        self.power_cut();
    }

    /// A copy that shares nothing with this disk, as it would be found after a power cut now.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let copy = self.snapshot();
        copy.power_cut();
        copy
    }

    /// A copy that shares nothing with this disk.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let state = Arc::new(Mutex::new(self.state().clone()));
        Self { state, alignment_bytes: self.alignment_bytes }
    }

    fn open_aligned(
        &self,
        path: &Path,
        mode: OpenMode,
        alignment_bytes: usize,
    ) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let found = state.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(Node::Directory), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(inode)), _) => inode,
            (None, OpenMode::Read | OpenMode::ReadWrite) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            (None, OpenMode::Create | OpenMode::CreateNew) => state.create(path)?,
        };
        let opened = state.inode(inode)?;
        opened.open_count = opened.open_count.saturating_add(1);
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            inode,
            alignment_bytes,
            is_writable: mode != OpenMode::Read,
            holder: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.open_aligned(path, mode, 1)
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.open_aligned(path, mode, self.alignment_bytes)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.names.get(path) {
            Some(Node::Directory) => return Ok(()),
            Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            None => state.check_parent(path)?,
        }
        state.names.insert(path.to_owned(), Node::Directory);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        match state.names.get(path) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(state.children(path).filter_map(|child| child.file_name().map(PathBuf::from)).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state().names.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check_parent(to)?;
        let node = state.names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        if matches!(state.names.get(to), Some(Node::Directory))
            && state.children(to).next().is_some()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let below: Vec<PathBuf> =
            state.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in below {
            let moved = path.strip_prefix(from).map_err(io::Error::other)?;
            let target = if moved.as_os_str().is_empty() { to.to_owned() } else { to.join(moved) };
            if let Some(node) = state.names.remove(&path) {
                state.names.insert(target.clone(), node);
            }
            // What was durable under the old name of a directory is as durable under its new one, once that name is.
            if matches!(node, Node::Directory)
                && path != from
                && let Some(node) = state.durable_names.get(&path).copied()
            {
                state.durable_names.insert(target, node);
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.names.get(path) {
            Some(Node::File(_)) => state.names.remove(path),
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        state.drop_unnamed();
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        match state.names.get(path) {
            Some(Node::Directory) if state.children(path).next().is_some() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Some(Node::Directory) => state.names.remove(path),
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !matches!(state.names.get(path), Some(Node::Directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let is_child = |name: &Path| name.parent() == Some(path);
        state.durable_names.retain(|name, _| !is_child(name));
        let now: Vec<_> = state
            .names
            .iter()
            .filter(|(name, _)| is_child(name))
            .map(|(p, n)| (p.clone(), *n))
            .collect();
        state.durable_names.extend(now);
        state.drop_unnamed();
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity_bytes.saturating_sub(state.used_bytes()))
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.state().capacity_bytes)
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    inode: u64,
    alignment_bytes: usize,
    is_writable: bool,
    /// The number under which this open file holds the lock.
    holder: Mutex<Option<u64>>,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let holder = *self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(inode) = self.disk.state().inode(self.inode) {
            inode.open_count = inode.open_count.saturating_sub(1);
            if holder.is_some() {
                inode.lock = None;
            }
        }
    }
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn check_alignment(&self, buffer: &[u8], offset: u64) -> io::Result<()> {
        let alignment = self.alignment_bytes;
        let is_aligned = buffer.as_ptr().addr().is_multiple_of(alignment)
            && buffer.len().is_multiple_of(alignment)
            && offset.is_multiple_of(alignment as u64);
        if is_aligned { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }
}

impl DiskFile for MemoryFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().inode(self.inode)?.current.length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_alignment(buffer, offset)?;
        let mut state = self.disk.state();
        let content = &state.inode(self.inode)?.current;
        let available = content.length.saturating_sub(offset);
        let length = buffer.len().min(usize::try_from(available).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < length {
            let (page, start, count) = piece(offset.saturating_add(done as u64), length - done);
            let Some(target) = buffer.get_mut(done..done + count) else { break };
            match content.pages.get(&page).and_then(|page| page.get(start..start + count)) {
                Some(source) => target.copy_from_slice(source),
                None => target.fill(0),
            }
            done += count;
        }
        Ok(length)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.check_alignment(buffer, offset)?;
        let mut state = self.disk.state();
        let end = offset.saturating_add(buffer.len() as u64);
        if state.inode(self.inode)?.current.length < end {
            state.grow(self.inode, end)?;
        }
        let inode = state.inode(self.inode)?;
        let mut done = 0;
        while done < buffer.len() {
            let (number, start, count) =
                piece(offset.saturating_add(done as u64), buffer.len() - done);
            let page =
                inode.current.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            let target = Arc::make_mut(page).get_mut(start..start + count);
            if let (Some(target), Some(source)) = (target, buffer.get(done..done + count)) {
                target.copy_from_slice(source);
            }
            inode.dirty.insert(number);
            done += count;
        }
        Ok(buffer.len())
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.state().grow(self.inode, offset.saturating_add(length))
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.disk.state();
        state.grow(self.inode, length_bytes)?;
        let inode = state.inode(self.inode)?;
        inode.current.length = length_bytes;
        let (last, within, _) = piece(length_bytes, 1);
        let cut = inode.current.pages.split_off(&last);
        inode.dirty.extend(cut.keys().copied());
        if let Some(mut page) = cut.get(&last).cloned() {
            Arc::make_mut(&mut page).iter_mut().skip(within).for_each(|byte| *byte = 0);
            inode.current.pages.insert(last, page);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let inode = state.inode(self.inode)?;
        for number in std::mem::take(&mut inode.dirty) {
            inode.sync_page(number);
        }
        inode.durable.length = inode.current.length;
        Ok(())
    }

    fn alignment_bytes(&self) -> usize {
        self.alignment_bytes
    }

    fn drop_cached(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.state();
        let number = state.next;
        state.next = state.next.wrapping_add(1);
        let mut holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = state.inode(self.inode)?;
        if inode.lock.is_some() && inode.lock != *holder {
            return Ok(false);
        }
        if holder.is_none() {
            inode.lock = Some(number);
            *holder = Some(number);
        }
        Ok(true)
    }
}

/// The page that holds `offset`, the place in it, and how many of `length` bytes are in that page.
fn piece(offset: u64, length: usize) -> (u64, usize, usize) {
    let page = PAGE_BYTES as u64;
    let start = usize::try_from(offset % page).unwrap_or(0);
    (offset / page, start, length.min(PAGE_BYTES - start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

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
}
