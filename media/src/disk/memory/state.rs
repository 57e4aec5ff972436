//! What a disk in memory holds: names, and pages of files, each as it is and as a power cut would leave it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) names: BTreeMap<PathBuf, Node>,
    pub(super) durable_names: BTreeMap<PathBuf, Node>,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) next: u64,
    pub(super) capacity_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Content,
    pub(super) durable: Content,
    pub(super) dirty: BTreeSet<u64>,
    /// The open file that holds the lock.
    pub(super) lock: Option<u64>,
    pub(super) open_count: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) length: u64,
    pub(super) pages: BTreeMap<u64, Arc<Page>>,
}

pub(super) type Page = [u8; PAGE_BYTES];

impl State {
    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        self.check_parent(path)?;
        let inode = self.next;
        self.next = self.next.wrapping_add(1);
        self.inodes.insert(inode, Inode::default());
        self.names.insert(path.to_owned(), Node::File(inode));
        Ok(inode)
    }

    pub(super) fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().map(|parent| self.names.get(parent)) {
            Some(Some(Node::Directory)) => Ok(()),
            Some(Some(Node::File(_))) => Err(io::ErrorKind::NotADirectory.into()),
            Some(None) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn children<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        self.names.keys().filter(move |name| name.parent() == Some(path))
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let named = self.names.values().filter_map(|node| match node {
            Node::File(inode) => self.inodes.get(inode),
            Node::Directory => None,
        });
        named
            .map(|inode| inode.current.length.next_multiple_of(PAGE_BYTES as u64))
            .fold(0, u64::saturating_add)
    }

    /// Forgets files that no name leads to, now or after a power cut, and that nobody has open.
    pub(super) fn drop_unnamed(&mut self) {
        let named: BTreeSet<u64> = self
            .names
            .values()
            .chain(self.durable_names.values())
            .filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None })
            .collect();
        self.inodes.retain(|number, inode| named.contains(number) || inode.open_count > 0);
    }

    pub(super) fn inode(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn grow(&mut self, number: u64, length: u64) -> io::Result<()> {
        let free = self.capacity_bytes.saturating_sub(self.used_bytes());
        let inode = self.inode(number)?;
        let page = PAGE_BYTES as u64;
        let needed = length
            .next_multiple_of(page)
            .saturating_sub(inode.current.length.next_multiple_of(page));
        if needed > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.current.length = inode.current.length.max(length);
        Ok(())
    }
}

impl Inode {
    pub(super) fn sync_page(&mut self, number: u64) {
        match self.current.pages.get(&number) {
            Some(page) => self.durable.pages.insert(number, Arc::clone(page)),
            None => self.durable.pages.remove(&number),
        };
    }
}

pub(super) const PAGE_BYTES: usize = 4096;
