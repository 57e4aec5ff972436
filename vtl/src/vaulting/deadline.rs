//! By when something is expected.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::moments;
use crate::request::Failure;

/// A day, which lasts until its end; a time; or in how long. It lies ahead.
pub(super) fn deadline(option: &str, text: &str, now: &Zoned) -> Result<Timestamp, Failure> {
    let ahead = |text: &str| {
        let span = vtl_vault::Age::parse(text).ok()?;
        now.timestamp().checked_add(span.duration()).ok()
    };
    let time = end_of_day(text, now).or_else(|| time_of_day(text, now)).or_else(|| ahead(text));
    match time {
        Some(time) if time > now.timestamp() => Ok(time),
        Some(_) => Err(Failure::usage(format!("{option} {text}: that is over already"))),
        None => Err(Failure::usage(format!(
            "{option} {text}: write a day such as 2027-01-31, a time such as '2027-01-31 12:00' or 2027-01-31T12:00:00Z, or in how long, such as 3d"
        ))),
    }
}

/// The last second of a day, here. A text with a time of day is none, although it can be read as a day.
fn end_of_day(text: &str, now: &Zoned) -> Option<Timestamp> {
    let day = match text {
        "today" => now.date(),
        _ if text.chars().all(|c| c.is_ascii_digit() || c == '-') => text.parse::<Date>().ok()?,
        _ => return None,
    };
    let next = day.tomorrow().ok()?.to_zoned(now.time_zone().clone()).ok()?;
    next.timestamp().checked_sub(SignedDuration::from_secs(1)).ok()
}

/// A moment; here, if the text has no zone. What has no time of day is left: `moments` takes 3d for a time that is over.
fn time_of_day(text: &str, now: &Zoned) -> Option<Timestamp> {
    let zoned = || text.parse::<Zoned>().ok().map(|zoned| zoned.timestamp());
    let here = || moments::time(text, now).filter(|_| text.contains(':'));
    text.parse::<Timestamp>().ok().or_else(zoned).or_else(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a zone the time of day was dropped, and the end of the day was taken: a container that was expected one minute after midnight
    /// was overdue a day later.
    #[test]
    fn a_time_of_day_is_not_dropped() {
        let now: Zoned = "2026-11-28T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        for (text, expected) in [
            ("2026-11-29 00:01", "2026-11-28T23:01:00Z"),
            ("2026-11-29T00:01", "2026-11-28T23:01:00Z"),
            ("2026-11-29 18:30:15", "2026-11-29T17:30:15Z"),
            ("2026-11-29T12:00:00Z", "2026-11-29T12:00:00Z"),
            ("2026-11-29T12:00:00-05:00", "2026-11-29T17:00:00Z"),
            ("2026-11-29T12:00[America/New_York]", "2026-11-29T17:00:00Z"),
            ("15:00", "2026-11-28T14:00:00Z"),
            ("today 15:00", "2026-11-28T14:00:00Z"),
            ("2026-11-29", "2026-11-29T22:59:59Z"),
            ("2026-11-28", "2026-11-28T22:59:59Z"),
            ("today", "2026-11-28T22:59:59Z"),
            ("2d", "2026-11-30T11:00:00Z"),
            ("1d 12h", "2026-11-29T23:00:00Z"),
        ] {
            let time = deadline("--expect", text, &now).unwrap();
            assert_eq!(time, expected.parse::<Timestamp>().unwrap(), "{text}");
        }
        for bad in [
            "yesterday",
            "2026-11-27",
            "2026-11-28 11:59",
            "11:00",
            "2026-11-29T12",
            "2026-11-29 noon",
            "-3d",
            "2026-11-29 25:00",
            "",
        ] {
            let failure = deadline("--expect", bad, &now).unwrap_err();
            assert!(failure.message.starts_with("--expect"), "{bad}: {failure}");
        }
    }
}
