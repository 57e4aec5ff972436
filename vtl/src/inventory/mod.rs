//! Inventory queries: which cartridges there are, where, how old, how large, and how well they are copied.
//!
//! A query looks at each of perhaps 100,000 cartridges where the store has them, and copies those alone that are listed.

mod condition;
mod order;

use std::collections::HashMap;

use jiff::{Timestamp, Zoned};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyState, CopySummary};

use self::condition::Condition;
use self::order::Order;
use crate::library::Library;
use crate::operations::{is_in_drive, refreshed};
use crate::request::{Failure, InventoryFilter};
use crate::rules;

/// A cartridge and what its copies come to.
struct Row<'a> {
    entry: &'a CartridgeEntry,
    copies: CopySummary,
}

/// Everything that a query needs to know beside the cartridges.
struct Query<'a> {
    condition: Condition<'a>,
    order: Order,
    limit: Option<usize>,
    summaries: HashMap<Uuid, CopySummary>,
    /// What is in drives, with what the drives know.
    in_drives: HashMap<Uuid, CartridgeEntry>,
}

/// A line of the answer.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    entry: CartridgeEntry,
    copies: u32,
    copy_state: Option<CopyState>,
    copy_proved: Option<Timestamp>,
}

/// The cartridges that match, in the order that was asked for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Listing(Vec<Line>);

impl Listing {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn to_value(&self) -> Result<Value, Failure> {
        serde_json::to_value(self).map_err(Failure::failed)
    }

    /// The same as text, without the detour, which takes ten times as long.
    pub(crate) fn to_text(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(Failure::failed)
    }
}

/// The cartridges that match, in the order that was asked for.
pub(crate) fn query(
    library: &Library,
    filter: &InventoryFilter,
    now: &Zoned,
) -> Result<Listing, Failure> {
    let sort = filter.sort.as_deref().unwrap_or("barcode");
    // Drives take too long to answer to be asked while the store waits.
    let mut in_drives = library.store.look_at_cartridges(|all| {
        all.filter(|entry| is_in_drive(entry)).cloned().collect::<Vec<_>>()
    });
    in_drives = in_drives.into_iter().map(|entry| refreshed(library, entry)).collect();
    rules::name_groups(library, &mut in_drives);
    let query = Query {
        condition: Condition::new(filter, now)?,
        order: Order::parse(sort, filter.reverse)?,
        limit: filter.limit,
        summaries: library.store.copy_summaries(),
        in_drives: in_drives.into_iter().map(|entry| (entry.uuid, entry)).collect(),
    };
    let chosen = if filter.group.is_some() || sort.contains("group") {
        // The groups are the rules', not the store's: here all have to be known before one is chosen.
        let mut all = library.store.cartridges();
        rules::name_groups(library, &mut all);
        query.choose(&mut all.iter())
    } else {
        let mut chosen = library.store.look_at_cartridges(|all| query.choose(all));
        rules::name_groups(library, &mut chosen);
        chosen
    };
    let lines = chosen.into_iter().map(|entry| {
        let CopySummary { good, best, proved } = query.copies_of(&entry);
        Line { entry, copies: good, copy_state: best, copy_proved: proved }
    });
    Ok(Listing(lines.collect()))
}

impl Query<'_> {
    /// Copies of those cartridges that are wanted, in the order that is.
    fn choose(&self, all: &mut dyn Iterator<Item = &CartridgeEntry>) -> Vec<CartridgeEntry> {
        let now = all.map(|entry| self.in_drives.get(&entry.uuid).unwrap_or(entry));
        let rows = now.map(|entry| Row { entry, copies: self.copies_of(entry) });
        let is_wanted = |row: &Row<'_>| {
            self.condition.holds(row.entry, &row.copies) && self.condition.has_group(row.entry)
        };
        let mut rows: Vec<Row<'_>> = rows.filter(is_wanted).collect();
        self.order.choose(&mut rows, self.limit);
        rows.into_iter().map(|row| row.entry.clone()).collect()
    }

    fn copies_of(&self, entry: &CartridgeEntry) -> CopySummary {
        self.summaries.get(&entry.uuid).copied().unwrap_or_default()
    }
}

/// A single barcode that looks like none of the patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}
