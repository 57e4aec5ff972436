//! What a disk in memory holds: a tree of names, as it is and as it is on the medium, and the files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path};

use super::content::{FileData, PAGE_BYTES};
use super::random::Random;

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) nodes: BTreeMap<u64, Node>,
    /// Changes of names that no sync of a directory has made durable, in their order.
    changes: Vec<Change>,
    pub(super) next: u64,
    pub(super) capacity_bytes: u64,
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory(Directory),
    File(File),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Directory {
    pub(super) current: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) data: FileData,
    /// The open file that holds the lock.
    pub(super) lock: Option<u64>,
    pub(super) open_count: u64,
}

/// A node's name that went, a name that it got, or both in one step.
#[derive(Debug, Clone)]
struct Change {
    node: u64,
    removed: Option<Name>,
    added: Option<Name>,
}

/// A name in a directory.
pub(super) type Name = (u64, OsString);

impl State {
    /// Only the root directory.
    pub(super) fn new(capacity_bytes: u64) -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Self { nodes, changes: Vec::new(), next: ROOT + 1, capacity_bytes }
    }

    /// The node that a path leads to.
    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        let mut at = ROOT;
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => {
                    let next = self.directory(at)?.current.get(name);
                    at = *next.ok_or(io::ErrorKind::NotFound)?;
                }
                Component::Prefix(_) | Component::ParentDir => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            }
        }
        Ok(at)
    }

    /// The directory that a path's last name is in or is to be in, and that name.
    pub(super) fn name(&self, path: &Path) -> io::Result<Name> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.find(parent)?;
        self.directory(directory)?;
        Ok((directory, name.to_owned()))
    }

    pub(super) fn directory(&self, node: u64) -> io::Result<&Directory> {
        match self.nodes.get(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file(&mut self, node: u64) -> io::Result<&mut File> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Makes a node under a name that is free.
    pub(super) fn create(&mut self, name: Name, node: Node) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.nodes.insert(number, node);
        self.change(Change { node: number, removed: None, added: Some(name) });
        number
    }

    pub(super) fn rename(&mut self, node: u64, from: Name, to: Name) {
        self.change(Change { node, removed: Some(from), added: Some(to) });
        self.drop_unnamed();
    }

    pub(super) fn remove(&mut self, node: u64, name: Name) {
        self.change(Change { node, removed: Some(name), added: None });
        self.drop_unnamed();
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync_directory(&mut self, node: u64) -> io::Result<()> {
        self.directory(node)?;
        let (now, later) =
            std::mem::take(&mut self.changes).into_iter().partition(|change| change.touches(node));
        self.changes = later;
        for change in now {
            self.make_durable(&change);
        }
        self.drop_unnamed();
        Ok(())
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let entries = self.nodes.values().filter_map(|node| match node {
            Node::Directory(directory) => Some(directory.current.values()),
            Node::File(_) => None,
        });
        let lengths = entries.flatten().filter_map(|node| match self.nodes.get(node) {
            Some(Node::File(file)) => Some(file.data.current.length),
            _ => None,
        });
        lengths
            .map(|length| length.next_multiple_of(PAGE_BYTES as u64))
            .fold(0, u64::saturating_add)
    }

    /// Makes a file at least so long, if there is room.
    pub(super) fn grow(&mut self, node: u64, length: u64) -> io::Result<()> {
        let page = PAGE_BYTES as u64;
        let current = self.file(node)?.data.current.length;
        let needed = length.next_multiple_of(page).saturating_sub(current.next_multiple_of(page));
        if needed > 0
            && self.capacity_bytes != u64::MAX
            && needed > self.capacity_bytes.saturating_sub(self.used_bytes())
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let data = &mut self.file(node)?.data;
        data.current.length = data.current.length.max(length);
        Ok(())
    }

    /// Lets any part of what was not synced reach the medium.
    pub(super) fn tear(&mut self, random: &mut Random) {
        let changes = std::mem::take(&mut self.changes);
        let manner = random.below(4);
        let bound = random.below(changes.len() as u64 + 1);
        for (at, change) in (0..).zip(&changes) {
            let survives = match manner {
                0 => false,
                1 => true,
                // As a journaling file system does it: everything up to some moment.
                2 => at < bound,
                // As one does it that keeps nothing but single steps together.
                _ => random.coin(),
            };
            if survives {
                self.make_durable(change);
            }
        }
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.data.tear(random);
            }
        }
    }

    /// What is on the medium is all there is.
    pub(super) fn forget_unsynced(&mut self) {
        self.changes.clear();
        for node in self.nodes.values_mut() {
            match node {
                Node::Directory(directory) => directory.current = directory.durable.clone(),
                Node::File(file) => file.data.forget_unsynced(),
            }
        }
        self.drop_unnamed();
    }

    /// Nobody has anything open or locked: the state as another machine finds it.
    pub(super) fn forget_users(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                (file.lock, file.open_count) = (None, 0);
            }
        }
        self.drop_unnamed();
    }

    fn change(&mut self, change: Change) {
        if let Some((directory, name)) = &change.removed
            && let Some(Node::Directory(directory)) = self.nodes.get_mut(directory)
        {
            directory.current.remove(name);
        }
        if let Some((directory, name)) = &change.added
            && let Some(Node::Directory(directory)) = self.nodes.get_mut(directory)
        {
            directory.current.insert(name.clone(), change.node);
        }
        self.changes.push(change);
    }

    /// Does a change on the medium. What an earlier change would have done that is not there, it does not need.
    fn make_durable(&mut self, change: &Change) {
        let is_filled = matches!(self.nodes.get(&change.node), Some(Node::Directory(directory)) if !directory.durable.is_empty());
        match (&change.removed, &change.added) {
            // A directory with names in it is not removed by anybody.
            (Some(_), None) if is_filled => {}
            (Some((directory, name)), None) => {
                if let Some(Node::Directory(directory)) = self.nodes.get_mut(directory)
                    && directory.durable.get(name) == Some(&change.node)
                {
                    directory.durable.remove(name);
                }
            }
            (_, Some((directory, name))) => {
                // A node has one name only.
                for node in self.nodes.values_mut() {
                    if let Node::Directory(directory) = node {
                        directory.durable.retain(|_, node| *node != change.node);
                    }
                }
                if let Some(Node::Directory(directory)) = self.nodes.get_mut(directory) {
                    directory.durable.insert(name.clone(), change.node);
                }
            }
            (None, None) => {}
        }
    }

    /// Forgets what no name leads to, now or after a power cut, and what nobody has open.
    fn drop_unnamed(&mut self) {
        let mut named = BTreeSet::new();
        let mut open: Vec<u64> = vec![ROOT];
        open.extend(self.changes.iter().map(|change| change.node));
        while let Some(node) = open.pop() {
            if named.insert(node)
                && let Some(Node::Directory(directory)) = self.nodes.get(&node)
            {
                open.extend(directory.current.values().chain(directory.durable.values()));
            }
        }
        self.nodes.retain(|number, node| {
            named.contains(number) || matches!(node, Node::File(file) if file.open_count > 0)
        });
    }
}

impl Change {
    fn touches(&self, directory: u64) -> bool {
        [&self.removed, &self.added].into_iter().flatten().any(|(parent, _)| *parent == directory)
    }
}

const ROOT: u64 = 0;
