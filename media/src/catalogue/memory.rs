//! A catalogue that forgets: for tests, and for disks on which no database can be opened.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::{Catalogue, CatalogueError, Change, Snapshot};
use crate::ledger::Head;
use crate::store::CartridgeEntry;

/// Rows in memory. Each start begins with an empty one and therefore looks into every cartridge.
#[derive(Debug, Default)]
pub struct MemoryCatalogue {
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    rows: BTreeMap<Uuid, CartridgeEntry>,
    mark: Option<Head>,
}

impl MemoryCatalogue {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Catalogue for MemoryCatalogue {
    fn load(&self) -> Result<Snapshot, CatalogueError> {
        let content = self.content();
        Ok(Snapshot {
            rows: content.rows.values().cloned().collect(),
            mark: content.mark,
            was_closed: false,
        })
    }

    fn apply(&self, changes: &[Change], mark: Head) -> Result<(), CatalogueError> {
        let mut content = self.content();
        for change in changes {
            match change {
                Change::Put(entry) => content.rows.insert(entry.uuid, (**entry).clone()),
                Change::Remove(uuid) => content.rows.remove(uuid),
            };
        }
        content.mark = Some(mark);
        Ok(())
    }

    fn replace(&self, rows: &[CartridgeEntry], mark: Head) -> Result<(), CatalogueError> {
        let mut content = self.content();
        content.rows = rows.iter().map(|entry| (entry.uuid, entry.clone())).collect();
        content.mark = Some(mark);
        Ok(())
    }

    fn flush(&self) -> Result<(), CatalogueError> {
        Ok(())
    }

    fn close(&self) -> Result<(), CatalogueError> {
        Ok(())
    }

    fn abandon(&self) -> Result<(), CatalogueError> {
        *self.content() = Content::default();
        Ok(())
    }
}
