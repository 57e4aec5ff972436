//! The catalogue: an index of the cartridges that any start may throw away.
//!
//! It is a projection of the ledger (identities and places) and of the cartridges' labels (what is on them). Its worth is
//! that a start need not look into every cartridge. Nothing is true because the catalogue says so: places are always
//! taken from the ledger, and content only if the catalogue as a whole passes its own checks.

mod memory;
mod row;
mod sled_catalogue;
mod tripwire;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

pub use memory::MemoryCatalogue;
pub use sled_catalogue::SledCatalogue;

use crate::ledger::Head;
use crate::store::CartridgeEntry;

/// An index of the cartridges.
pub trait Catalogue: Send + Sync + Debug {
    /// Everything in it, after checking that nothing is missing or stale.
    fn load(&self) -> Result<Snapshot, CatalogueError>;
    /// Changes some rows in one transaction, so that they now show what the ledger says up to `mark`.
    fn apply(&self, changes: &[Change], mark: Head) -> Result<(), CatalogueError>;
    /// Replaces all rows.
    fn replace(&self, rows: &[CartridgeEntry], mark: Head) -> Result<(), CatalogueError>;
    /// Makes everything applied so far durable.
    fn flush(&self) -> Result<(), CatalogueError>;
    /// Makes everything durable and notes that there was an orderly end.
    fn close(&self) -> Result<(), CatalogueError>;
    /// Gives it up: the next start must not find it.
    fn abandon(&self) -> Result<(), CatalogueError>;
}

/// One changed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new or changed cartridge.
    Put(Box<CartridgeEntry>),
    /// A deleted one.
    Remove(Uuid),
}

/// The content of a catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The rows, sorted by identity.
    pub rows: Vec<CartridgeEntry>,
    /// The last ledger entry that the rows show; `None` in a new catalogue.
    pub mark: Option<Head>,
    /// Whether it had been closed in order before this program opened it.
    pub was_closed: bool,
}

/// A place where the catalogue does not say what is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The cartridge concerned.
    pub cartridge: Uuid,
    /// Its barcode.
    pub barcode: String,
    /// What differs: the name of a field, or `row` for all of it.
    pub field: String,
    /// What the catalogue says.
    pub catalogue: Option<String>,
    /// What the ledger or the label says.
    pub truth: Option<String>,
}

/// Why a catalogue cannot be used. The answer is always to rebuild it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// A system call failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was being done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database reported an error.
    #[error("the catalogue's database failed: {0}")]
    Database(String),
    /// The database panicked, as it may when it is damaged.
    #[error("the catalogue's database is damaged so that it could not even say so")]
    Panicked,
    /// Rows are missing, stale or contradict each other.
    #[error("the catalogue is damaged: {0}")]
    Damaged(&'static str),
    /// It is older than it was: changes that were durable are gone.
    #[error("the catalogue has lost changes: it has generation {found} and had {expected}")]
    RolledBack {
        /// The generation inside.
        found: u64,
        /// The generation noted outside.
        expected: u64,
    },
    /// Written by a program that knows more.
    #[error("the catalogue has format version {0}, which this program does not know")]
    NewerFormat(u32),
}

/// Compares two lists of cartridges, both sorted by identity, field by field.
pub(crate) fn differences(
    catalogue: &[CartridgeEntry],
    truth: &[CartridgeEntry],
) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut rows = catalogue.iter().peekable();
    for entry in truth {
        while let Some(extra) = rows.next_if(|row| row.uuid < entry.uuid) {
            found.push(whole_row(extra, true));
        }
        match rows.next_if(|row| row.uuid == entry.uuid) {
            Some(row) => compare(row, entry, &mut found),
            None => found.push(whole_row(entry, false)),
        }
    }
    found.extend(rows.map(|extra| whole_row(extra, true)));
    found
}

fn whole_row(entry: &CartridgeEntry, is_in_catalogue: bool) -> Difference {
    let text = Some(entry.place.to_string());
    let (catalogue, truth) = if is_in_catalogue { (text, None) } else { (None, text) };
    Difference {
        cartridge: entry.uuid,
        barcode: entry.barcode.to_string(),
        field: "row".to_owned(),
        catalogue,
        truth,
    }
}

/// Compares by the JSON form, so that no field can be forgotten here.
fn compare(row: &CartridgeEntry, truth: &CartridgeEntry, found: &mut Vec<Difference>) {
    if row == truth {
        return;
    }
    let fields = |entry| match serde_json::to_value(entry) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (row_fields, truth_fields) = (fields(row), fields(truth));
    for (name, value) in &truth_fields {
        let other = row_fields.get(name);
        if other != Some(value) {
            found.push(Difference {
                cartridge: truth.uuid,
                barcode: truth.barcode.to_string(),
                field: name.clone(),
                catalogue: other.map(ToString::to_string),
                truth: Some(value.to_string()),
            });
        }
    }
}
