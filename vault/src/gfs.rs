//! Grandfather, father, son: the backups of a day, a week, a month and a year, each kept longer than the one before.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// How long the backups of each set are kept: so many days, weeks, months and years. 0 means that there is no such set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gfs {
    /// Days that a daily backup is kept.
    pub daily: u16,
    /// Weeks that the first backup of a week is kept.
    pub weekly: u16,
    /// Months that the first backup of a month is kept.
    pub monthly: u16,
    /// Years that the first backup of a year is kept.
    pub yearly: u16,
}

/// The set that a backup belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaSet {
    /// Any backup.
    Daily,
    /// The first one of its week, which begins on Monday.
    Weekly,
    /// The first one of its month.
    Monthly,
    /// The first one of its year.
    Yearly,
}

impl MediaSet {
    const LONGEST_FIRST: [Self; 4] = [Self::Yearly, Self::Monthly, Self::Weekly, Self::Daily];

    /// Whether two days are in the same period.
    fn is_same_period(self, a: Date, b: Date) -> bool {
        match self {
            Self::Daily => a == b,
            Self::Weekly => {
                a.iso_week_date().year() == b.iso_week_date().year()
                    && a.iso_week_date().week() == b.iso_week_date().week()
            }
            Self::Monthly => (a.year(), a.month()) == (b.year(), b.month()),
            Self::Yearly => a.year() == b.year(),
        }
    }
}

impl fmt::Display for MediaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        })
    }
}

/// Where a backup belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Membership {
    /// When it was written.
    pub written: Timestamp,
    /// The longest-kept set that it is of.
    pub set: MediaSet,
    /// It is kept until then.
    pub kept_until: Timestamp,
}

impl Gfs {
    /// The set of each backup, in the order of time. The first of a week, month or year is that period's; of several on one day, the
    /// first counts and the others are daily.
    pub fn memberships(self, written: &[Timestamp], zone: &TimeZone) -> Vec<Membership> {
        let mut times = written.to_vec();
        times.sort_unstable();
        let mut last: Option<Date> = None;
        let mut memberships = Vec::with_capacity(times.len());
        for time in times {
            let day = time.to_zoned(zone.clone()).date();
            // All earlier ones lie before the last one: what is of its period is of theirs or nobody's.
            let is_first = |set: &MediaSet| last.is_none_or(|last| !set.is_same_period(last, day));
            let set = MediaSet::LONGEST_FIRST
                .into_iter()
                .filter(|set| self.count(*set) > 0)
                .find(is_first)
                .unwrap_or_else(|| self.shortest());
            memberships.push(Membership {
                written: time,
                set,
                kept_until: self.kept_until(time, set, zone),
            });
            last = Some(day);
        }
        memberships
    }

    /// Whether any set is kept at all.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    fn kept_until(self, written: Timestamp, set: MediaSet, zone: &TimeZone) -> Timestamp {
        let count = i64::from(self.count(set));
        let span: Span = match set {
            MediaSet::Daily => count.days(),
            MediaSet::Weekly => count.weeks(),
            MediaSet::Monthly => count.months(),
            MediaSet::Yearly => count.years(),
        };
        // A time that the calendar does not have any more is for ever.
        let until = written.to_zoned(zone.clone()).checked_add(span);
        until.map_or(Timestamp::MAX, |until| until.timestamp())
    }

    fn count(self, set: MediaSet) -> u16 {
        match set {
            MediaSet::Daily => self.daily,
            MediaSet::Weekly => self.weekly,
            MediaSet::Monthly => self.monthly,
            MediaSet::Yearly => self.yearly,
        }
    }

    /// What is of no period's first is kept as long as the shortest set.
    fn shortest(self) -> MediaSet {
        let kept = MediaSet::LONGEST_FIRST.into_iter().rev().find(|set| self.count(*set) > 0);
        kept.unwrap_or(MediaSet::Daily)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(gfs: Gfs, times: &[&str]) -> Vec<(MediaSet, String)> {
        let times: Vec<Timestamp> = times.iter().map(|time| time.parse().unwrap()).collect();
        gfs.memberships(&times, &TimeZone::UTC)
            .into_iter()
            .map(|of| (of.set, of.kept_until.to_string()))
            .collect()
    }

    #[test]
    fn the_first_of_each_period_is_kept_longest() {
        let gfs = Gfs { daily: 7, weekly: 5, monthly: 12, yearly: 3 };
        let sets = of(
            gfs,
            &[
                "2026-12-30T22:00:00Z",
                "2026-12-31T22:00:00Z",
                "2027-01-01T22:00:00Z",
                "2027-01-02T22:00:00Z",
                "2027-01-04T22:00:00Z",
                "2027-02-01T22:00:00Z",
            ],
        );
        let expected = [
            (MediaSet::Yearly, "2029-12-30T22:00:00Z"),
            (MediaSet::Daily, "2027-01-07T22:00:00Z"),
            (MediaSet::Yearly, "2030-01-01T22:00:00Z"),
            (MediaSet::Daily, "2027-01-09T22:00:00Z"),
            (MediaSet::Weekly, "2027-02-08T22:00:00Z"),
            (MediaSet::Monthly, "2028-02-01T22:00:00Z"),
        ];
        assert_eq!(sets, expected.map(|(set, until)| (set, until.to_owned())));
    }

    #[test]
    fn a_set_that_is_not_kept_takes_nothing_away() {
        let gfs = Gfs { daily: 0, weekly: 2, monthly: 0, yearly: 0 };
        let sets = of(gfs, &["2026-11-23T22:00:00Z", "2026-11-24T22:00:00Z"]);
        assert_eq!(
            sets,
            [
                (MediaSet::Weekly, "2026-12-07T22:00:00Z".to_owned()),
                (MediaSet::Weekly, "2026-12-08T22:00:00Z".to_owned()),
            ]
        );
    }

    #[test]
    fn the_day_is_that_of_the_place() {
        let tokyo = TimeZone::fixed(jiff::tz::offset(9));
        let gfs = Gfs { daily: 7, monthly: 2, ..Gfs::default() };
        let times =
            ["2026-11-30T14:00:00Z", "2026-11-30T16:00:00Z"].map(|time| time.parse().unwrap());
        let sets: Vec<MediaSet> =
            gfs.memberships(&times, &tokyo).into_iter().map(|of| of.set).collect();
        assert_eq!(sets, [MediaSet::Monthly, MediaSet::Monthly], "the second is of December there");
    }
}
