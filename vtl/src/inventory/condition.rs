//! Which cartridges are wanted.

use jiff::{Timestamp, Zoned};
use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState, CopyState, CopySummary, Place};
use vtl_vault::matches_pattern;

use crate::moments;
use crate::request::{Failure, InventoryFilter};
use crate::tapes::parse_size;

/// All that has to be so; what is not asked for is so for each.
pub(super) struct Condition<'a> {
    filter: &'a InventoryFilter,
    pattern: Option<String>,
    location: Option<Location>,
    state: Option<CartridgeState>,
    copy_state: Option<CopyState>,
    written_before: Option<Timestamp>,
    written_since: Option<Timestamp>,
    min_bytes: Option<u64>,
    max_bytes: Option<u64>,
}

enum Location {
    Kind(String),
    Place(Place),
}

impl<'a> Condition<'a> {
    /// Reads what was asked for.
    pub(super) fn new(filter: &'a InventoryFilter, now: &Zoned) -> Result<Self, Failure> {
        let moment = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| time(option, text, now)).transpose()
        };
        let bytes = |option: &str, text: &Option<String>| {
            text.as_deref().map(|text| size(option, text)).transpose()
        };
        Ok(Self {
            pattern: filter.pattern.as_deref().map(str::to_ascii_uppercase),
            location: filter.location.as_deref().map(Location::parse).transpose()?,
            state: filter.state.as_deref().map(state).transpose()?,
            copy_state: filter.copy_state.as_deref().map(copy_state).transpose()?,
            written_before: moment("--older-than", &filter.older_than)?,
            written_since: moment("--newer-than", &filter.newer_than)?,
            min_bytes: bytes("--min-size", &filter.min_size)?,
            max_bytes: bytes("--max-size", &filter.max_size)?,
            filter,
        })
    }

    /// Whether a cartridge is wanted, for all but its group, which only the rules know.
    pub(super) fn holds(&self, entry: &CartridgeEntry, copies: &CopySummary) -> bool {
        self.holds_for_copies(entry, copies)
            && self.state.is_none_or(|state| state == entry.state)
            && is_none_or(self.filter.pool.as_ref(), entry.pool.as_ref())
            && self.location.as_ref().is_none_or(|location| location.has(&entry.place))
            && self.min_bytes.is_none_or(|bytes| entry.written_bytes >= bytes)
            && self.max_bytes.is_none_or(|bytes| entry.written_bytes <= bytes)
            && self
                .written_before
                .is_none_or(|time| entry.last_written.unwrap_or(entry.created) < time)
            && self
                .written_since
                .is_none_or(|time| entry.last_written.is_some_and(|written| written >= time))
            && self
                .pattern
                .as_deref()
                .is_none_or(|pattern| matches_pattern(pattern, entry.barcode.as_str()))
    }

    fn holds_for_copies(&self, entry: &CartridgeEntry, copies: &CopySummary) -> bool {
        let is_data = entry.kind == CartridgeKind::Data;
        self.filter.copies_below.is_none_or(|wanted| is_data && copies.good < wanted)
            && self.copy_state.is_none_or(|state| copies.best == Some(state))
    }
}

fn is_none_or(wanted: Option<&String>, value: Option<&String>) -> bool {
    wanted.is_none() || wanted == value
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

fn time(option: &str, text: &str, now: &Zoned) -> Result<Timestamp, Failure> {
    moments::time(text, now).ok_or_else(|| {
        Failure::usage(format!(
            "{option} {text}: how long ago, such as 30d or 12h, or a time such as 2026-07-01 or 'yesterday 18:00'"
        ))
    })
}

fn size(option: &str, text: &str) -> Result<u64, Failure> {
    text.parse().ok().or_else(|| parse_size(text)).ok_or_else(|| {
        Failure::usage(format!(
            "{option} {text}: a number of bytes, or with MB, GB, TB, MiB, GiB or TiB behind it"
        ))
    })
}

fn state(text: &str) -> Result<CartridgeState, Failure> {
    serde_json::from_value(text.into()).map_err(|_| {
        Failure::usage(format!(
            "--state {text}: there are empty, written, proved, cleaning, damaged and missing; the states of copies are for \
             --copy-state"
        ))
    })
}

fn copy_state(text: &str) -> Result<CopyState, Failure> {
    CopyState::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| {
        let known = CopyState::ALL.map(CopyState::name).join(", ");
        Failure::usage(format!("--copy-state {text}: there are {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes() {
        let now: Zoned = "2026-01-31T00:00:00Z[UTC]".parse().unwrap();
        let ago = |text| time("--older-than", text, &now).map(|time| time.to_string());
        assert_eq!(ago("30d").unwrap(), "2026-01-01T00:00:00Z");
        assert_eq!(ago("2h").unwrap(), "2026-01-30T22:00:00Z");
        assert_eq!(ago("2026-01-30").unwrap(), "2026-01-30T00:00:00Z");
        assert!(ago("soon").unwrap_err().message.contains("--older-than soon"));
        assert_eq!(size("--min-size", "0").unwrap(), 0);
        assert_eq!(size("--min-size", "5GB").unwrap(), 5_000_000_000);
        assert!(size("--min-size", "much").is_err());
    }

    #[test]
    fn states_that_there_are_not_are_refused_with_those_that_there_are() {
        assert_eq!(state("written").unwrap(), CartridgeState::Written);
        assert!(state("offsite").unwrap_err().message.contains("--copy-state"));
        assert_eq!(copy_state("offsite").unwrap(), CopyState::Offsite);
        assert!(copy_state("written?").unwrap_err().message.contains("receipted"));
    }
}
