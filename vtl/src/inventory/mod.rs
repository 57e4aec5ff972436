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
use vtl_vault::Rules;

use self::condition::Condition;
use self::order::Order;
use crate::library::Library;
use crate::operations::{is_in_drive, refreshed};
use crate::request::{Failure, InventoryFilter};
use crate::rules::rules_in_force;

/// A cartridge and what its copies come to.
struct Row<'a> {
    entry: &'a CartridgeEntry,
    copies: CopySummary,
    /// The group that the rules put it in, where that matters.
    group: Option<&'a str>,
}

/// Everything that a query needs to know beside the cartridges.
struct Query<'a> {
    condition: Condition<'a>,
    order: Order,
    limit: Option<usize>,
    rules: Rules,
    group: Option<&'a str>,
    /// Whether each cartridge's group has to be known.
    needs_groups: bool,
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
    stale_copies: u32,
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
    let in_drives = library.store.look_at_cartridges(|all| {
        all.filter(|entry| is_in_drive(entry)).cloned().collect::<Vec<_>>()
    });
    let in_drives: HashMap<Uuid, CartridgeEntry> = in_drives
        .into_iter()
        .map(|entry| refreshed(library, entry))
        .map(|entry| (entry.uuid, entry))
        .collect();
    let query = Query {
        condition: Condition::new(filter, now)?,
        order: Order::parse(sort, filter.reverse)?,
        limit: filter.limit,
        // Rules that this program cannot read name no groups; the commands about rules say so.
        rules: rules_in_force(library).unwrap_or_default(),
        group: filter.group.as_deref(),
        needs_groups: filter.group.is_some() || sort.contains("group"),
        summaries: library.store.copy_summaries(&in_drives),
        in_drives,
    };
    let chosen = library.store.look_at_cartridges(|all| query.choose(all));
    let lines = chosen.into_iter().map(|mut entry| {
        entry.group = query.group_of(&entry).map(str::to_owned);
        let CopySummary { good, stale, best, proved } = query.copies_of(&entry);
        Line { entry, copies: good, stale_copies: stale, copy_state: best, copy_proved: proved }
    });
    Ok(Listing(lines.collect()))
}

impl Query<'_> {
    /// Copies of those cartridges that are wanted, in the order that is.
    fn choose(&self, all: &mut dyn Iterator<Item = &CartridgeEntry>) -> Vec<CartridgeEntry> {
        let now = all.map(|entry| self.in_drives.get(&entry.uuid).unwrap_or(entry));
        let rows = now.map(|entry| Row {
            entry,
            copies: self.copies_of(entry),
            group: if self.needs_groups { self.group_of(entry) } else { None },
        });
        let is_wanted = |row: &Row<'_>| {
            self.condition.holds(row.entry, &row.copies)
                && (self.group.is_none() || self.group == row.group)
        };
        let mut rows: Vec<Row<'_>> = rows.filter(is_wanted).collect();
        self.order.choose(&mut rows, self.limit);
        rows.into_iter().map(|row| row.entry.clone()).collect()
    }

    fn group_of(&self, entry: &CartridgeEntry) -> Option<&str> {
        self.rules.group_of(&entry.barcode).map(|(name, _)| name)
    }

    fn copies_of(&self, entry: &CartridgeEntry) -> CopySummary {
        self.summaries.get(&entry.uuid).copied().unwrap_or_default()
    }
}

/// A single barcode that looks like none of the patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}
