//! Inventory queries: which cartridges there are, where, how old, how large, and how well they are copied.
//!
//! A query looks at each of perhaps 100,000 cartridges where the store has them, and copies those alone that are wanted.

mod condition;
mod order;

use std::collections::HashMap;

use jiff::Zoned;
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
struct Row {
    entry: CartridgeEntry,
    copies: CopySummary,
}

/// The cartridges that match, as JSON objects in the order that was asked for.
pub(crate) fn query(
    library: &Library,
    filter: &InventoryFilter,
    now: &Zoned,
) -> Result<Vec<Value>, Failure> {
    let condition = Condition::new(filter, now)?;
    let order = Order::parse(filter.sort.as_deref().unwrap_or("barcode"), filter.reverse)?;
    let summaries = library.store.copy_summaries();
    // Rules that this program cannot read name no groups; the commands about rules say so.
    let rules = rules_in_force(library).unwrap_or_default();
    let is_of_group = |entry: &CartridgeEntry| {
        let wanted = filter.group.as_deref();
        wanted.is_none_or(|wanted| group(&rules, entry).is_some_and(|name| name == wanted))
    };
    // What is in a drive is asked for what it knows, which takes too long to be done with the store's lock held.
    let wanted = |entry: &CartridgeEntry| {
        is_of_group(entry)
            && (is_in_drive(entry) || condition.holds(entry, &of(&summaries, entry.uuid)))
    };
    let entries = library.store.cartridges_where(wanted).into_iter();
    let rows = entries.map(|entry| refreshed(library, entry)).map(|mut entry| {
        entry.group = group(&rules, &entry).map(str::to_owned);
        let copies = of(&summaries, entry.uuid);
        Row { entry, copies }
    });
    let mut rows: Vec<Row> = rows.filter(|row| condition.holds(&row.entry, &row.copies)).collect();
    order.sort(&mut rows);
    rows.truncate(filter.limit.unwrap_or(usize::MAX));
    rows.iter().map(Row::to_json).collect()
}

/// A single barcode that looks like none of the patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

impl Row {
    fn to_json(&self) -> Result<Value, Failure> {
        let mut value = serde_json::to_value(&self.entry).map_err(Failure::failed)?;
        if let Some(fields) = value.as_object_mut() {
            let CopySummary { good, best, proved } = self.copies;
            fields.insert("copies".to_owned(), good.into());
            fields.insert("copy_state".to_owned(), best.map(CopyState::name).into());
            let proved = proved.map(|time| time.to_string());
            fields.insert("copy_proved".to_owned(), proved.into());
        }
        Ok(value)
    }
}

fn group<'a>(rules: &'a Rules, entry: &CartridgeEntry) -> Option<&'a str> {
    rules.group_of(&entry.barcode).map(|(name, _)| name)
}

fn of(summaries: &HashMap<Uuid, CopySummary>, uuid: Uuid) -> CopySummary {
    summaries.get(&uuid).copied().unwrap_or_default()
}
