//! Barcode inventory queries.

use jiff::{SpanRelativeTo, Timestamp};
use serde_json::Value;
use vtl_media::{CartridgeEntry, Place};
use vtl_vault::matches_pattern;

use crate::request::{Failure, InventoryFilter};

/// The entries that match, as JSON objects in the order that was asked for.
pub(crate) fn query(
    entries: Vec<CartridgeEntry>,
    filter: &InventoryFilter,
    now: Timestamp,
) -> Result<Vec<Value>, Failure> {
    let written_before = filter.older_than.as_deref().map(|span| before(span, now)).transpose()?;
    let location = filter.location.as_deref().map(Location::parse).transpose()?;
    let pattern = filter.pattern.as_deref().map(str::to_ascii_uppercase);
    let mut rows = Vec::new();
    for entry in entries {
        let matches =
            pattern.as_deref().is_none_or(|pattern| matches_pattern(pattern, entry.barcode.as_str()))
                && filter.pool.is_none_or_is(entry.pool.as_deref())
                && filter.group.is_none_or_is(entry.group.as_deref())
                && location.as_ref().is_none_or(|location| location.has(&entry.place))
                && written_before
                    .is_none_or(|limit| entry.last_written.unwrap_or(entry.created) < limit);
        if matches {
            let row = serde_json::to_value(&entry).map_err(Failure::failed)?;
            if filter.state.is_none_or_is(row.get("state").and_then(Value::as_str)) {
                rows.push(row);
            }
        }
    }
    sort(&mut rows, filter.sort.as_deref().unwrap_or("barcode"))?;
    Ok(rows)
}

/// A single barcode that looks like none of the patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

trait Wanted {
    fn is_none_or_is(&self, value: Option<&str>) -> bool;
}

impl Wanted for Option<String> {
    fn is_none_or_is(&self, value: Option<&str>) -> bool {
        self.as_deref().is_none_or(|wanted| value == Some(wanted))
    }
}

enum Location {
    Kind(String),
    Place(Place),
}

impl Location {
    fn parse(text: &str) -> Result<Self, Failure> {
        if ["slot", "drive", "mail", "shelf", "offsite"].contains(&text) {
            return Ok(Self::Kind(text.to_owned()));
        }
        text.parse()
            .map(Self::Place)
            .map_err(|error| Failure::usage(format!("--location {text}: {error}")))
    }

    fn has(&self, place: &Place) -> bool {
        match self {
            Self::Place(wanted) => wanted == place,
            Self::Kind(kind) => {
                kind == match place {
                    Place::Storage { .. } => "slot",
                    Place::ImportExport { .. } => "mail",
                    Place::Drive { .. } => "drive",
                    Place::Shelf => "shelf",
                    Place::Offsite(_) => "offsite",
                }
            }
        }
    }
}

fn before(span: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let usage = |error: jiff::Error| Failure::usage(format!("--older-than {span}: {error}"));
    let span: jiff::Span = span.parse().map_err(usage)?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(usage)?;
    now.checked_sub(age).map_err(usage)
}

fn sort(rows: &mut [Value], key: &str) -> Result<(), Failure> {
    let (key, is_reversed) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
    if let Some(row) = rows.first()
        && row.get(key).is_none()
    {
        let known: Vec<_> =
            row.as_object().map(|row| row.keys().cloned().collect()).unwrap_or_default();
        return Err(Failure::usage(format!(
            "--sort {key}: there is no such key; there are {}",
            known.join(", ")
        )));
    }
    let text = |row: &Value| match row.get(key) {
        Some(Value::String(text)) => (u64::MAX, text.clone()),
        Some(Value::Number(number)) => (number.as_u64().unwrap_or(0), String::new()),
        Some(Value::Bool(is_set)) => (u64::from(*is_set), String::new()),
        _ => (0, String::new()),
    };
    rows.sort_by_cached_key(text);
    if is_reversed {
        rows.reverse();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        assert_eq!(before("30d", now).unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(before("2h", now).unwrap().to_string(), "2026-01-30T22:00:00Z");
        assert!(before("soon", now).is_err());
    }
}
