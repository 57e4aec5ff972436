//! In which order cartridges are listed.

use std::cmp::Ordering;

use jiff::Timestamp;
use vtl_media::{CopyState, Place};

use super::Row;
use crate::request::Failure;

/// What of a cartridge is compared. Nothing comes before something.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    Text(Option<&'a str>),
    Number(u64),
    Time(Option<Timestamp>),
    Place(Option<&'a Place>),
    /// Of a state, as it is written.
    Written(String),
    Identity(u128),
}

/// Several keys, of which the first that differs decides.
pub(super) struct Order {
    keys: Vec<(Key, bool)>,
}

type Key = fn(&Row) -> Value<'_>;

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

    /// Sorts; what is equal stays in the order of barcodes.
    pub(super) fn sort(&self, rows: &mut [Row]) {
        rows.sort_by(|one, other| {
            let compared = self.keys.iter().map(|(key, is_turned)| {
                let ordering = key(one).cmp(&key(other));
                if *is_turned { ordering.reverse() } else { ordering }
            });
            compared.fold(Ordering::Equal, Ordering::then)
        });
    }
}

/// All columns, by the names that they have in JSON.
const KEYS: [(&str, Key); 28] = [
    ("barcode", |row| Value::Text(Some(row.entry.barcode.as_str()))),
    ("uuid", |row| Value::Identity(row.entry.uuid.as_u128())),
    ("kind", |row| written(&row.entry.kind)),
    ("media_type", |row| Value::Text(Some(&row.entry.media_type))),
    ("generation", |row| Value::Number(row.entry.generation.into())),
    ("worm", |row| Value::Number(row.entry.worm.into())),
    ("location", |row| Value::Place(Some(&row.entry.place))),
    ("source", |row| Value::Place(row.entry.source.as_ref())),
    ("pool", |row| Value::Text(row.entry.pool.as_deref())),
    ("group", |row| Value::Text(row.entry.group.as_deref())),
    ("state", |row| written(&row.entry.state)),
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
    ("copy_state", |row| Value::Text(row.copies.best.map(CopyState::name))),
    ("copy_proved", |row| Value::Time(row.copies.proved)),
];

/// What has a name of its own in JSON and nowhere else.
fn written<T: serde::Serialize>(value: &T) -> Value<'static> {
    Value::Written(serde_json::to_string(value).unwrap_or_default())
}
