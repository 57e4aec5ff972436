//! Calendars as systemd writes them: `Mon..Fri 02:00`, `*-*-01 03:00:00`, `weekly`.
//!
//! The grammar is that of `systemd.time(7)`, "Calendar Events", in whole seconds and without a time zone in the text: the zone is
//! an argument. A year has four digits.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::calendar::field::{Field, Range};

mod field;

/// Moments that come again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar {
    text: String,
    /// Bit 0 is Monday.
    weekdays: u8,
    years: Field,
    months: Field,
    days: Field,
    /// Days count from the end of the month: 1 is the last one.
    is_from_end: bool,
    hours: Field,
    minutes: Field,
    seconds: Field,
}

/// Why a text is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no calendar: {reason}. Write it as systemd does: `daily`, `Sun 03:00`, `Mon..Fri 02:00`, `*-*-01 04:30`, `*-*~01`"
)]
pub struct CalendarError {
    text: String,
    reason: String,
}

impl Calendar {
    /// The first of its moments after this one, if there is one before the year 2200.
    ///
    /// A moment that comes twice when summer time ends comes once, the first time, as with systemd. One that the clock's change to
    /// summer time skips comes as much later; systemd leaves it out, and with it a weekly vault run would be a week late.
    pub fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let by_clock = moment.to_zoned(zone.clone()).datetime();
        // What the clock has skipped is still to come for whoever has not put his clock forward.
        let day_before = zone.to_offset(moment.checked_sub(24.hours()).unwrap_or(moment));
        let mut from = by_clock.min(day_before.to_datetime(moment));
        let mut soonest: Option<Timestamp> = None;
        // The hour that comes twice lets a civil time that is later be a moment that is not: look on from there.
        for _ in 0..TRIES_MAX {
            let Some(found) = self.next_civil_after(from) else { break };
            let here = zone.to_ambiguous_zoned(found);
            let is_skipped = matches!(here.offset(), AmbiguousOffset::Gap { .. });
            let at = here.compatible().ok()?.timestamp();
            if at > moment {
                soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
                // Behind the gap there may be one that comes before what was skipped.
                if !is_skipped {
                    break;
                }
            }
            from = found;
        }
        soonest
    }

    /// Whether one of its moments lies after the first of these and not after the second.
    pub fn has_between(&self, after: Timestamp, until: Timestamp, zone: &TimeZone) -> bool {
        self.next_after(after, zone).is_some_and(|next| next <= until)
    }

    fn next_civil_after(&self, from: DateTime) -> Option<DateTime> {
        let begin = from.checked_add(1.second()).ok()?;
        let begin = begin
            .date()
            .to_datetime(Time::new(begin.hour(), begin.minute(), begin.second(), 0).ok()?);
        let mut date = self.next_date(begin.date())?;
        if date == begin.date() {
            if let Some(time) = self.next_time(begin.time()) {
                return Some(date.to_datetime(time));
            }
            date = self.next_date(date.tomorrow().ok()?)?;
        }
        Some(date.to_datetime(self.next_time(Time::midnight())?))
    }

    /// The first day from this one on.
    fn next_date(&self, from: Date) -> Option<Date> {
        let mut date = from;
        while date.year() <= YEAR_MAX {
            if !self.years.has(u16::try_from(date.year()).ok()?) {
                date = date.last_of_year().tomorrow().ok()?;
            } else if !self.months.has(number(date.month())?) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if self.has_day(date) {
                return Some(date);
            } else {
                date = date.tomorrow().ok()?;
            }
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let weekday = 1_u8 << date.weekday().to_monday_zero_offset();
        let day = if self.is_from_end { date.days_in_month() - date.day() + 1 } else { date.day() };
        self.weekdays & weekday != 0 && number(day).is_some_and(|day| self.days.has(day))
    }

    /// The first time of a day from this one on.
    fn next_time(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) =
            (number(from.hour())?, number(from.minute())?, number(from.second())?);
        let made = |hour: u16, minute: u16, second: u16| {
            let part = |value: u16| i8::try_from(value).ok();
            Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()
        };
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.from(second)
            {
                return made(hour, minute, second);
            }
            if let Some(minute) = self.minutes.from(minute + 1) {
                return made(hour, minute, self.seconds.from(0)?);
            }
        }
        made(self.hours.from(hour + 1)?, self.minutes.from(0)?, self.seconds.from(0)?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let expanded = SHORTHANDS
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map_or(text, |(_, meaning)| meaning);
        let mut weekdays = ALL_WEEKDAYS;
        let mut date = None;
        let mut time = None;
        for (index, word) in expanded.split_whitespace().enumerate() {
            if index == 0 && word.starts_with(|first: char| first.is_ascii_alphabetic()) {
                weekdays = parse_weekdays(word)?;
            } else if word.contains(':') && time.is_none() {
                time = Some(word);
            } else if date.is_none() && time.is_none() && word.contains(['-', '~']) {
                date = Some(word);
            } else {
                return Err(format!("`{word}` is not understood here"));
            }
        }
        if expanded.is_empty() {
            return Err("it is empty".to_owned());
        }
        let (years, months, days, is_from_end) = parse_date(date.unwrap_or("*-*-*"))?;
        let (hours, minutes, seconds) = parse_time(time.unwrap_or("00:00:00"))?;
        let calendar = Self {
            text: text.to_owned(),
            weekdays,
            years,
            months,
            days,
            is_from_end,
            hours,
            minutes,
            seconds,
        };
        // In no year: one that is over was good when it was written, and has to be read for as long as it stands somewhere.
        match calendar.next_date(Date::constant(YEAR_MIN, 1, 1)) {
            Some(_) => Ok(calendar),
            None => Err(format!(
                "no day from {YEAR_MIN} to {YEAR_MAX} is one of these, so that it never comes"
            )),
        }
    }
}

fn parse_weekdays(word: &str) -> Result<u8, String> {
    let mut days = 0;
    for part in word.trim_end_matches(',').split(',') {
        let range = part.split_once("..").or_else(|| part.split_once('-'));
        let (first, last) = range.unwrap_or((part, part));
        let (first, last) = (weekday(first)?, weekday(last)?);
        let (first, last) = (first.to_monday_zero_offset(), last.to_monday_zero_offset());
        if first > last {
            return Err(format!(
                "`{part}` goes over the end of the week: write two ranges, as in `Sat..Sun,Mon`"
            ));
        }
        days |= (first..=last).fold(0, |bits, day| bits | 1 << day);
    }
    Ok(days)
}

fn weekday(name: &str) -> Result<Weekday, String> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let lower = name.to_ascii_lowercase();
    let is_meant = |full: &str| full == lower || full.get(..3) == Some(lower.as_str());
    days.into_iter()
        .find(|(full, _)| is_meant(full))
        .map(|(_, day)| day)
        .ok_or_else(|| format!("`{name}` is no day of the week"))
}

fn parse_date(word: &str) -> Result<(Field, Field, Field, bool), String> {
    let (rest, days, is_from_end) = match (word.rsplit_once('~'), word.rsplit_once('-')) {
        (Some((rest, day)), _) => (rest, Field::parse_from_end(day, DAYS)?, true),
        (None, Some((rest, day))) => (rest, Field::parse(day, DAYS)?, false),
        (None, None) => return Err(format!("`{word}` is no date")),
    };
    let (year, month) = rest.split_once('-').unwrap_or(("*", rest));
    Ok((Field::parse(year, YEARS)?, Field::parse(month, MONTHS)?, days, is_from_end))
}

fn parse_time(word: &str) -> Result<(Field, Field, Field), String> {
    let mut parts = word.split(':');
    let hours = parts.next().unwrap_or_default();
    let minutes = parts.next().unwrap_or_default();
    let seconds = parts.next().unwrap_or("00");
    if parts.next().is_some() {
        return Err(format!("`{word}` has too many colons"));
    }
    Ok((Field::parse(hours, HOURS)?, Field::parse(minutes, SIXTY)?, Field::parse(seconds, SIXTY)?))
}

fn number(value: i8) -> Option<u16> {
    u16::try_from(value).ok()
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        Self::parse(text).map_err(|reason| CalendarError { text: text.to_owned(), reason })
    }
}

impl TryFrom<String> for Calendar {
    type Error = CalendarError;

    fn try_from(text: String) -> Result<Self, CalendarError> {
        text.parse()
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> Self {
        calendar.text
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

const ALL_WEEKDAYS: u8 = 0b111_1111;
const TRIES_MAX: u32 = 4 * 3600;
const YEAR_MIN: i16 = 1970;
/// Nothing is looked for behind it, as in systemd.
const YEAR_MAX: i16 = 2199;
const YEARS: Range = Range { first: YEAR_MIN.unsigned_abs(), last: YEAR_MAX.unsigned_abs() };
const MONTHS: Range = Range { first: 1, last: 12 };
const DAYS: Range = Range { first: 1, last: 31 };
const HOURS: Range = Range { first: 0, last: 23 };
const SIXTY: Range = Range { first: 0, last: 59 };
const SHORTHANDS: [(&str, &str); 9] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
];

#[cfg(test)]
mod tests;
