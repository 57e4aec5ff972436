//! Moments as people name them: a recovery point, a time of day, or how long ago.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp, ToSpan, Zoned};
use vtl_media::WantedPoint;

use crate::request::Failure;

/// What `--to` may say, as it is told to people.
const GRAMMAR: &str = "a recovery point such as p120, a time such as 2026-07-01T18:00:00Z, '2026-07-01 18:00' or 'yesterday \
                       18:00', or how long ago, such as 2h or 3d";

/// Reads a recovery point or a time.
pub(crate) fn parse(text: &str, now: &Zoned) -> Result<WantedPoint, Failure> {
    if let Some(sequence) = text.strip_prefix('p').and_then(|number| number.parse().ok()) {
        return Ok(WantedPoint::Sequence(sequence));
    }
    time(text, now)
        .map(WantedPoint::Time)
        .ok_or_else(|| Failure::usage(format!("`{text}` is no moment: {GRAMMAR}")))
}

/// How a recovery point is named.
pub(crate) fn name(sequence: u64) -> String {
    format!("p{sequence}")
}

/// A time, or how long ago.
pub(crate) fn time(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let at = |date: Date, time: Time| zoned(date.to_datetime(time), now.time_zone());
    let (day, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let date = match day {
        "today" => Some(now.date()),
        "yesterday" => now.date().checked_sub(1.day()).ok(),
        other => other.parse::<Date>().ok(),
    };
    if let Some(date) = date {
        let time = if rest.is_empty() { Time::midnight() } else { clock(rest)? };
        return at(date, time);
    }
    if let Some(time) = clock(text) {
        return at(now.date(), time);
    }
    let span: jiff::Span = text.trim_end_matches(" ago").parse().ok()?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    now.timestamp().checked_sub(age.abs()).ok()
}

fn clock(text: &str) -> Option<Time> {
    text.contains(':').then(|| text.parse::<Time>().ok())?
}

fn zoned(moment: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    moment.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Zoned = "2026-07-02T12:00:00+02:00[Europe/Berlin]".parse().unwrap();
        let time = |text: &str| match parse(text, &now) {
            Ok(WantedPoint::Time(time)) => time.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(time("2026-07-01T18:00:00Z"), "2026-07-01T18:00:00Z");
        assert_eq!(time("2026-07-01 18:00"), "2026-07-01T16:00:00Z");
        assert_eq!(time("2026-07-01"), "2026-06-30T22:00:00Z");
        assert_eq!(time("yesterday 18:00"), "2026-07-01T16:00:00Z");
        assert_eq!(time("today"), "2026-07-01T22:00:00Z");
        assert_eq!(time("03:30"), "2026-07-02T01:30:00Z");
        assert_eq!(time("2h"), "2026-07-02T08:00:00Z");
        assert_eq!(time("3d"), "2026-06-29T10:00:00Z");
        assert_eq!(time("90min ago"), "2026-07-02T08:30:00Z");
        assert_eq!(parse("p120", &now).unwrap(), WantedPoint::Sequence(120));
        for bad in ["", "p", "soon", "18", "2026-13-01", "yesterday 25:00", "pp1"] {
            let failure = parse(bad, &now).unwrap_err();
            assert!(failure.message.contains("p120"), "{bad}: {failure}");
        }
    }
}
