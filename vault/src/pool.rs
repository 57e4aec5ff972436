//! Pools: which cartridge is written next, until when a written one is kept, and where new ones come from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use vtl_media::{Barcode, CartridgeEntry, CartridgeKind, CartridgeState, Place};

use crate::age::Age;
use crate::calendar::Calendar;
use crate::facts::Situation;
use crate::gfs::{Gfs, MediaSet};

/// A pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pool {
    /// What it is for.
    pub description: Option<String>,
    /// Which cartridge is written next.
    pub allocation: Allocation,
    /// Until when what was written is kept.
    pub retention: Retention,
    /// In place of `retention`: grandfather, father, son.
    pub gfs: Option<Gfs>,
    /// The pool that gives away empty cartridges.
    pub scratch: Option<Spanned<String>>,
    /// So many empty cartridges are to be in the library.
    pub low: Option<Spanned<u32>>,
    /// If there are fewer and no scratch pool has any: so many are made, 1 to 10.
    pub create: Option<Spanned<u32>>,
    /// The media type of those that are made (default: lto9).
    pub media_type: Option<Spanned<String>>,
    /// What their barcodes begin with.
    pub prefix: Option<Spanned<String>>,
}

/// Which cartridge is written next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// The one that was written last, until it is full.
    #[default]
    Continue,
    /// An empty one each time.
    AlwaysNew,
    /// An empty one for the first backup after each of these moments.
    Calendar(Calendar),
}

/// Until when what was written is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Retention {
    /// For ever.
    #[default]
    Keep,
    /// So long after the last write.
    For(Age),
    /// Not at all: any of them may be written over.
    Overwrite,
}

impl TryFrom<String> for Retention {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "keep" => Ok(Self::Keep),
            "overwrite" => Ok(Self::Overwrite),
            span => Age::parse(span).map(Self::For).map_err(|_| {
                format!("`{span}` is no retention: write `keep`, `overwrite` or a span of time such as 30d")
            }),
        }
    }
}

/// What is to be done so that a pool does not run out of empty cartridges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Supply {
    /// These come from the scratch pool.
    Take {
        /// Which.
        barcodes: Vec<Barcode>,
        /// Why.
        reason: String,
    },
    /// New ones are made.
    Create {
        /// How many.
        count: u32,
        /// Why.
        reason: String,
    },
    /// There are too few, and nothing gives any.
    Short {
        /// What is missing, and what to do.
        reason: String,
    },
}

/// How one cartridge of a pool is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The cartridge.
    pub barcode: Barcode,
    /// The set it belongs to, where the pool has sets.
    pub set: Option<MediaSet>,
    /// Until when it is kept; none means for ever.
    pub kept_until: Option<Timestamp>,
    /// Whether it may be written over.
    pub is_expired: bool,
}

/// The cartridge to be written next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Which; none if there is none.
    pub barcode: Option<Barcode>,
    /// Why this one, or why none.
    pub reason: String,
}

impl Pool {
    /// What has to be done so that there are enough empty cartridges. `members` and `scratch` are what is in the two pools.
    pub fn supply(&self, members: &[&CartridgeEntry], scratch: &[&CartridgeEntry]) -> Vec<Supply> {
        let Some(low) = self.low.as_ref().map(|low| *low.as_ref()) else { return Vec::new() };
        let empty = members.iter().filter(|entry| is_available(entry)).count();
        let empty = u32::try_from(empty).unwrap_or(u32::MAX);
        let Some(missing) = low.checked_sub(empty).filter(|missing| *missing > 0) else {
            return Vec::new();
        };
        let reason = format!("{empty} empty cartridges are in the library, and low is {low}");
        let mut supplies = Vec::new();
        let wanted = usize::try_from(missing).unwrap_or(usize::MAX);
        let given = scratch.iter().filter(|entry| is_available(entry)).take(wanted);
        let barcodes: Vec<Barcode> = given.map(|entry| entry.barcode.clone()).collect();
        let is_enough = barcodes.len() == wanted;
        if !barcodes.is_empty() {
            supplies.push(Supply::Take { barcodes, reason: reason.clone() });
        }
        if is_enough {
            return supplies;
        }
        supplies.push(match &self.create {
            Some(create) => Supply::Create { count: *create.as_ref(), reason },
            None => Supply::Short {
                reason: format!(
                    "{reason}; the scratch pool has no more: put empty cartridges into it, or set create"
                ),
            },
        });
        supplies
    }

    /// How each written cartridge is kept, the oldest first.
    pub fn kept(&self, members: &[&CartridgeEntry], situation: &Situation) -> Vec<Kept> {
        let mut written: Vec<(Timestamp, &CartridgeEntry)> =
            members.iter().filter_map(|entry| Some((entry.last_written?, *entry))).collect();
        written.sort_unstable_by_key(|(time, entry)| (*time, entry.barcode.clone()));
        let times: Vec<Timestamp> = written.iter().map(|(time, _)| *time).collect();
        let sets = self.gfs.map(|gfs| gfs.memberships(&times, &situation.zone)).unwrap_or_default();
        let mut sets = sets.into_iter();
        let row = |(time, entry): (Timestamp, &CartridgeEntry)| {
            let membership = sets.next();
            let kept_until = match (&membership, &self.retention) {
                (Some(membership), _) => Some(membership.kept_until),
                (None, Retention::Keep) => None,
                (None, Retention::Overwrite) => Some(time),
                (None, Retention::For(age)) => {
                    Some(time.checked_add(age.duration()).unwrap_or(Timestamp::MAX))
                }
            };
            Kept {
                barcode: entry.barcode.clone(),
                set: membership.map(|membership| membership.set),
                kept_until,
                is_expired: kept_until.is_some_and(|until| until <= situation.now)
                    && !entry.worm
                    && !situation.locked.contains_key(&entry.uuid),
            }
        };
        written.into_iter().map(row).collect()
    }

    /// The cartridge that a backup should be written to now.
    pub fn next(&self, members: &[&CartridgeEntry], situation: &Situation) -> Next {
        let last = members
            .iter()
            .filter(|entry| entry.last_written.is_some() && is_writable(entry))
            .max_by_key(|entry| entry.last_written);
        if let Some(entry) = last
            && let Some(reason) = self.goes_on(entry, situation)
        {
            return Next { barcode: Some(entry.barcode.clone()), reason };
        }
        if let Some(entry) = members.iter().find(|entry| is_available(entry)) {
            let reason = "the first empty one".to_owned();
            return Next { barcode: Some(entry.barcode.clone()), reason };
        }
        let kept = self.kept(members, situation);
        let is_here = |kept: &&Kept| {
            let entry = members.iter().find(|entry| entry.barcode == kept.barcode);
            entry.is_some_and(|entry| is_writable(entry))
        };
        match kept.iter().filter(|kept| kept.is_expired).find(is_here) {
            Some(kept) => Next {
                barcode: Some(kept.barcode.clone()),
                reason: "none is empty, and of those whose time is over it is the oldest".to_owned(),
            },
            None => Next {
                barcode: None,
                reason: "none is empty, and the time of none is over: make cartridges, or set low and create".to_owned(),
            },
        }
    }

    /// Why the cartridge that was written last is written on, if it is.
    fn goes_on(&self, entry: &CartridgeEntry, situation: &Situation) -> Option<String> {
        let written = entry.last_written.filter(|_| !is_full(entry))?;
        match &self.allocation {
            Allocation::Continue => Some("it was written last and is not full".to_owned()),
            Allocation::AlwaysNew => None,
            Allocation::Calendar(calendar) => {
                let has_come = calendar.has_between(written, situation.now, &situation.zone);
                (!has_come)
                    .then(|| format!("it was written last, and `{calendar}` has not come since"))
            }
        }
    }
}

/// Whether a cartridge has no room worth the name.
pub(crate) fn is_full(entry: &CartridgeEntry) -> bool {
    let filled = u128::from(entry.written_bytes) * 100;
    entry.capacity_bytes > 0 && filled >= u128::from(entry.capacity_bytes) * FULL_PERCENT
}

/// Whether it can be given to a host for a new backup: empty, sound, and in a storage element.
fn is_available(entry: &CartridgeEntry) -> bool {
    entry.state == CartridgeState::Empty && is_writable(entry)
}

fn is_writable(entry: &CartridgeEntry) -> bool {
    let is_here = matches!(entry.place, Place::Storage { .. } | Place::Drive { .. });
    let is_sound = !matches!(entry.state, CartridgeState::Damaged | CartridgeState::Missing);
    entry.kind == CartridgeKind::Data && !entry.read_only && is_here && is_sound
}

/// What is left behind it is early warning on a real cartridge.
const FULL_PERCENT: u128 = 95;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{test_entry as entry, test_situation};

    fn pool(text: &str) -> Pool {
        toml::from_str(text).unwrap()
    }

    fn refs(entries: &[CartridgeEntry]) -> Vec<&CartridgeEntry> {
        entries.iter().collect()
    }

    #[test]
    fn a_pool_takes_from_scratch_first_and_makes_the_rest() {
        let pool = pool("low = 3\ncreate = 5\nscratch = \"scratch\"");
        let members = [entry("A00001L9", None), entry("A00002L9", Some("2026-11-01T00:00:00Z"))];
        let scratch = [entry("S00001L9", None)];
        let supply = pool.supply(&refs(&members), &refs(&scratch));
        let Supply::Take { barcodes, reason } = &supply[0] else { panic!("{supply:?}") };
        assert_eq!(barcodes[0].as_str(), "S00001L9");
        assert_eq!(reason, "1 empty cartridges are in the library, and low is 3");
        assert!(matches!(supply[1], Supply::Create { count: 5, .. }));
        let many = ["S00001L9", "S00002L9", "S00003L9"].map(|name| entry(name, None));
        let supply = pool.supply(&refs(&members), &refs(&many));
        assert_eq!(supply.len(), 1, "{supply:?}");
        assert!(pool.supply(&refs(&many), &[]).is_empty());
        let none = self::pool("low = 1\nscratch = \"scratch\"").supply(&[], &[]);
        assert!(matches!(&none[..], [Supply::Short { .. }]));
    }

    #[test]
    fn allocation_goes_on_or_begins_anew() {
        let members = [entry("A00001L9", Some("2026-11-27T20:00:00Z")), entry("A00002L9", None)];
        let next = |text: &str| {
            let next = pool(text).next(&refs(&members), &test_situation(Vec::new()));
            next.barcode.unwrap().to_string()
        };
        assert_eq!(next(""), "A00001L9");
        assert_eq!(next("allocation = \"always-new\""), "A00002L9");
        assert_eq!(next("allocation = { calendar = \"weekly\" }"), "A00001L9");
        assert_eq!(next("allocation = { calendar = \"daily\" }"), "A00002L9");
        let mut full = members;
        full[0].written_bytes = full[0].capacity_bytes;
        let next = pool("").next(&refs(&full), &test_situation(Vec::new()));
        assert_eq!(next.barcode.unwrap().as_str(), "A00002L9");
    }

    #[test]
    fn what_is_kept_is_not_written_over() {
        let members = [
            entry("A00001L9", Some("2026-10-01T20:00:00Z")),
            entry("A00002L9", Some("2026-11-27T20:00:00Z")),
        ];
        let next = |text: &str| {
            let pool = pool(&format!("allocation = \"always-new\"\n{text}"));
            pool.next(&refs(&members), &test_situation(Vec::new())).barcode
        };
        assert_eq!(next("retention = \"keep\""), None);
        assert_eq!(next("retention = \"30d\"").unwrap().as_str(), "A00001L9");
        assert_eq!(next("retention = \"90d\""), None);
        assert_eq!(next("retention = \"overwrite\"").unwrap().as_str(), "A00001L9");
        assert_eq!(next("gfs = { daily = 7, monthly = 6 }"), None);
        let mut locked = test_situation(Vec::new());
        locked.locked.insert(members[0].uuid, "it is held: case 7".into());
        let pool = pool("allocation = \"always-new\"\nretention = \"30d\"");
        assert_eq!(pool.next(&refs(&members), &locked).barcode, None, "a hold is stronger");
    }
}
