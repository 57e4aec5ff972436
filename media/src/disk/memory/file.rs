//! An open file of a disk in memory.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::MemoryDisk;
use crate::disk::DiskFile;

#[derive(Debug)]
pub(super) struct MemoryFile {
    disk: MemoryDisk,
    node: u64,
    alignment_bytes: usize,
    is_writable: bool,
    /// The number under which this open file holds the lock.
    holder: Mutex<Option<u64>>,
}

impl MemoryFile {
    /// The node's open count includes this file.
    pub(super) fn new(
        disk: MemoryDisk,
        node: u64,
        alignment_bytes: usize,
        is_writable: bool,
    ) -> Self {
        Self { disk, node, alignment_bytes, is_writable, holder: Mutex::default() }
    }

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

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let holder = *self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(file) = self.disk.state().file(self.node) {
            file.open_count = file.open_count.saturating_sub(1);
            if holder.is_some() {
                file.lock = None;
            }
        }
    }
}

impl DiskFile for MemoryFile {
    fn length_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(self.node)?.data.current.length)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_alignment(buffer, offset)?;
        Ok(self.disk.state().file(self.node)?.data.read(buffer, offset))
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.check_alignment(buffer, offset)?;
        let mut state = self.disk.state();
        state.grow(self.node, offset.saturating_add(buffer.len() as u64))?;
        state.file(self.node)?.data.write(buffer, offset);
        Ok(buffer.len())
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.state().grow(self.node, offset.saturating_add(length))
    }

    fn set_length(&self, length_bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.disk.state();
        state.grow(self.node, length_bytes)?;
        state.file(self.node)?.data.set_length(length_bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.state().file(self.node)?.data.sync();
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
        let file = state.file(self.node)?;
        if file.lock.is_some() && file.lock != *holder {
            return Ok(false);
        }
        if holder.is_none() {
            file.lock = Some(number);
            *holder = Some(number);
        }
        Ok(true)
    }
}
