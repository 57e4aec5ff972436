//! In which order cartridges are listed.

use std::cmp::Ordering;

use jiff::Timestamp;
use vtl_media::{CartridgeKind, CartridgeState, CopyState, Place};

use super::Row;
use crate::request::Failure;

/// What of a cartridge is compared. Nothing comes before something.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    Text(Option<&'a str>),
    Number(u64),
    Time(Option<Timestamp>),
    Place(Option<&'a Place>),
    Identity(u128),
}

/// Several keys, of which the first that differs decides.
pub(super) struct Order {
    keys: Vec<(Key, bool)>,
}

type Key = for<'a> fn(&Row<'a>) -> Value<'a>;

impl Order {
    /// Reads `pool,-written_bytes`.
    pub(super) fn parse(text: &str, is_reversed: bool) -> Result<Self, Failure> {
        let keys = text.split(',').map(|word| {
            let name = word.strip_prefix('-').unwrap_or(word);
            let is_turned = (name.len() < word.len()) != is_reversed;
            let key = KEYS.iter().find(|(known, _)| *known == name);
            key.map(|(_, key)| (*key, is_turned)).ok_or_else(|| {
                let known: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
                Failure::usage(format!(
                    "--sort {name}: there is no such key; there are {}",
                    known.join(", ")
                ))
            })
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// Sorts, and leaves the first ones if not all are wanted. What is equal stands in the order of barcodes.
    pub(super) fn choose(&self, rows: &mut Vec<Row<'_>>, limit: Option<usize>) {
        let compare = |one: &Row<'_>, other: &Row<'_>| self.compare(one, other);
        if let Some(limit) = limit.filter(|limit| *limit < rows.len()) {
            // What is not wanted is not sorted.
            if let Some(last) = limit.checked_sub(1) {
                rows.select_nth_unstable_by(last, compare);
            }
            rows.truncate(limit);
        }
        rows.sort_by(compare);
    }

    fn compare(&self, one: &Row<'_>, other: &Row<'_>) -> Ordering {
        for (key, is_turned) in &self.keys {
            let ordering = key(one).cmp(&key(other));
            if ordering.is_ne() {
                return if *is_turned { ordering.reverse() } else { ordering };
            }
        }
        one.entry.barcode.cmp(&other.entry.barcode)
    }
}

/// All columns, by the names that they have in JSON.
const KEYS: [(&str, Key); 29] = [
    ("barcode", |row| Value::Text(Some(row.entry.barcode.as_str()))),
    ("uuid", |row| Value::Identity(row.entry.uuid.as_u128())),
    ("kind", |row| Value::Text(Some(kind(row.entry.kind)))),
    ("media_type", |row| Value::Text(Some(&row.entry.media_type))),
    ("generation", |row| Value::Number(row.entry.generation.into())),
    ("worm", |row| Value::Number(row.entry.worm.into())),
    ("location", |row| Value::Place(Some(&row.entry.place))),
    ("source", |row| Value::Place(row.entry.source.as_ref())),
    ("pool", |row| Value::Text(row.entry.pool.as_deref())),
    ("group", |row| Value::Text(row.group)),
    ("state", |row| Value::Text(Some(state(row.entry.state)))),
    ("capacity_bytes", |row| Value::Number(row.entry.capacity_bytes)),
    ("written_bytes", |row| Value::Number(row.entry.written_bytes)),
    ("block_count", |row| Value::Number(row.entry.block_count)),
    ("filemark_count", |row| Value::Number(row.entry.filemark_count)),
    ("journal_bytes", |row| Value::Number(row.entry.journal_bytes)),
    ("undo_bytes", |row| Value::Number(row.entry.undo_bytes)),
    ("stored_bytes", |row| Value::Number(row.entry.stored_bytes)),
    ("load_count", |row| Value::Number(row.entry.load_count)),
    ("last_written", |row| Value::Time(row.entry.last_written)),
    ("last_proved", |row| Value::Time(row.entry.last_proved)),
    ("damaged_objects", |row| Value::Number(row.entry.damaged_objects)),
    ("read_only", |row| Value::Number(row.entry.read_only.into())),
    ("twin_of", |row| Value::Text(row.entry.twin_of.as_ref().map(AsRef::as_ref))),
    ("created", |row| Value::Time(Some(row.entry.created))),
    ("copies", |row| Value::Number(row.copies.good.into())),
    ("stale_copies", |row| Value::Number(row.copies.stale.into())),
    ("copy_state", |row| Value::Text(row.copies.best.map(CopyState::name))),
    ("copy_proved", |row| Value::Time(row.copies.proved)),
];

fn kind(kind: CartridgeKind) -> &'static str {
    match kind {
        CartridgeKind::Data => "data",
        CartridgeKind::Cleaning => "cleaning",
    }
}

fn state(state: CartridgeState) -> &'static str {
    match state {
        CartridgeState::Empty => "empty",
        CartridgeState::Written => "written",
        CartridgeState::Proved => "proved",
        CartridgeState::Cleaning => "cleaning",
        CartridgeState::Damaged => "damaged",
        CartridgeState::Missing => "missing",
        _ => "",
    }
}
