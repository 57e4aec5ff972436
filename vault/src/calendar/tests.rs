//! Against what `systemd-analyze calendar --base-time="2026-11-28 20:15:00 UTC"` says.

use super::*;

const BASE: &str = "2026-11-28T20:15:00Z";

fn times(calendar: &str, base: &str, zone: &TimeZone, count: usize) -> Vec<String> {
    let calendar: Calendar = calendar.parse().unwrap();
    let mut at = base.parse().unwrap();
    let mut found = Vec::new();
    while found.len() < count
        && let Some(next) = calendar.next_after(at, zone)
    {
        found.push(next.to_string());
        at = next;
    }
    found
}

#[test]
fn as_systemd_says() {
    #[rustfmt::skip]
    let known: [(&str, &[&str]); 31] = [
        ("Mon..Fri 02:00", &["2026-11-30T02:00:00Z", "2026-12-01T02:00:00Z", "2026-12-02T02:00:00Z"]),
        ("Mon-Fri 03:00", &["2026-11-30T03:00:00Z", "2026-12-01T03:00:00Z"]),
        ("*-*-01 03:00:00", &["2026-12-01T03:00:00Z", "2027-01-01T03:00:00Z", "2027-02-01T03:00:00Z"]),
        ("weekly", &["2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z", "2026-12-14T00:00:00Z"]),
        ("Monthly", &["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        ("daily", &["2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"]),
        ("hourly", &["2026-11-28T21:00:00Z", "2026-11-28T22:00:00Z", "2026-11-28T23:00:00Z", "2026-11-29T00:00:00Z"]),
        ("quarterly", &["2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z", "2027-07-01T00:00:00Z", "2027-10-01T00:00:00Z"]),
        ("semiannually", &["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("*-*~01", &["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z"]),
        ("*~1", &["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z"]),
        ("*-02~01", &["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z", "2029-02-28T00:00:00Z"]),
        ("*-*-* *:0/15", &["2026-11-28T20:30:00Z", "2026-11-28T20:45:00Z", "2026-11-28T21:00:00Z"]),
        ("Mon *-05~07/1", &["2027-05-31T00:00:00Z", "2028-05-29T00:00:00Z", "2029-05-28T00:00:00Z"]),
        ("*:0/10:30", &["2026-11-28T20:20:30Z", "2026-11-28T20:30:30Z", "2026-11-28T20:40:30Z"]),
        ("Sat *-*-1..7 18:00", &["2026-12-05T18:00:00Z", "2027-01-02T18:00:00Z", "2027-02-06T18:00:00Z"]),
        ("2027-12-24,25 9..17/4:00", &["2027-12-24T09:00:00Z", "2027-12-24T13:00:00Z", "2027-12-24T17:00:00Z"]),
        ("Sun *-02-29", &["2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z", "2088-02-29T00:00:00Z"]),
        ("*-*~03..05", &["2026-12-27T00:00:00Z", "2026-12-28T00:00:00Z", "2026-12-29T00:00:00Z"]),
        ("*-*~03..08/2", &["2026-12-25T00:00:00Z", "2026-12-27T00:00:00Z", "2026-12-29T00:00:00Z", "2027-01-25T00:00:00Z"]),
        ("*-12~10/4", &["2026-12-22T00:00:00Z", "2026-12-26T00:00:00Z", "2026-12-30T00:00:00Z", "2027-12-22T00:00:00Z"]),
        ("*-*-10/7", &["2026-12-10T00:00:00Z", "2026-12-17T00:00:00Z", "2026-12-24T00:00:00Z", "2026-12-31T00:00:00Z"]),
        ("Mon", &["2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"]),
        ("Mon,Wed 2026-*-*", &["2026-11-30T00:00:00Z", "2026-12-02T00:00:00Z", "2026-12-07T00:00:00Z"]),
        ("12:00:00", &["2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z"]),
        ("2026-11~02 10:00", &["2026-11-29T10:00:00Z"]),
        ("*-*-31 12:00", &["2026-12-31T12:00:00Z", "2027-01-31T12:00:00Z", "2027-03-31T12:00:00Z", "2027-05-31T12:00:00Z"]),
        ("*-2/3-1", &["2027-02-01T00:00:00Z", "2027-05-01T00:00:00Z", "2027-08-01T00:00:00Z", "2027-11-01T00:00:00Z"]),
        ("*-*-* 00/6:00", &["2026-11-29T00:00:00Z", "2026-11-29T06:00:00Z", "2026-11-29T12:00:00Z"]),
        ("Sun 2026-11-28..30 1:2:3", &["2026-11-29T01:02:03Z"]),
        ("11-30", &["2026-11-30T00:00:00Z", "2027-11-30T00:00:00Z", "2028-11-30T00:00:00Z", "2029-11-30T00:00:00Z"]),
    ];
    for (calendar, expected) in known {
        let found = times(calendar, BASE, &TimeZone::UTC, expected.len());
        assert_eq!(found, expected, "{calendar}");
    }
    assert_eq!(times("2026-11~02 10:00", BASE, &TimeZone::UTC, 2).len(), 1, "the second is never");
}

#[test]
fn what_systemd_refuses_is_refused_with_a_reason() {
    for bad in [
        "",
        "*-*-32",
        "25:00",
        "Foo",
        "12:60",
        "*-*-1,40",
        "*-*-5..2",
        "1:2:3:4",
        "*-*-*/0",
        "Mon 12",
        "Fri..Mon 10:00",
        "Mon Tue",
        "12:00 12:00",
        "-1-1",
        "99999-01-01",
        "é 10:00",
    ] {
        let error = bad.parse::<Calendar>().unwrap_err().to_string();
        assert!(error.contains("Write it as systemd does"), "{bad}: {error}");
    }
}

#[test]
fn summer_time_comes_and_goes() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    assert_eq!(
        times("02:30", "2027-03-27T20:15:00Z", &berlin, 2),
        ["2027-03-28T01:30:00Z", "2027-03-29T00:30:00Z"],
        "03:30 on the day that has no 02:30"
    );
    assert_eq!(
        times("02:30", "2027-10-30T21:15:00Z", &berlin, 2),
        ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"],
        "once on the day that has two"
    );
    assert_eq!(
        times("*:30", "2027-10-31T00:15:00Z", &berlin, 3),
        ["2027-10-31T00:30:00Z", "2027-10-31T02:30:00Z", "2027-10-31T03:30:00Z"]
    );
    let between = times("*:0/15", "2027-10-31T00:50:00Z", &berlin, 1);
    assert_eq!(between, ["2027-10-31T02:00:00Z"], "inside the hour that comes twice");
}

/// Somebody who looked at ten past three was told that the vault run of half past two, which comes at half past three on that day, comes a
/// week later; and a daemon that was started then left it out.
#[test]
fn what_the_clock_skips_is_still_to_come_just_after_the_gap() {
    let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let sunday = ["2027-03-28T01:30:00Z", "2027-04-04T00:30:00Z"];
    for seen_from in ["00:59:59", "01:00:00", "01:10:00", "01:29:59"] {
        let seen_from = format!("2027-03-28T{seen_from}Z");
        assert_eq!(times("Sun 02:30", &seen_from, &berlin, 2), sunday, "{seen_from}");
    }
    assert_eq!(times("Sun 02:30", "2027-03-28T01:30:00Z", &berlin, 1), sunday[1..], "it has come");
    // Half an hour is skipped: 02:20 comes at 02:50, and 02:35 comes before it.
    let lord_howe = TimeZone::posix("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").unwrap();
    assert_eq!(
        times("2:20,35", "2027-10-02T15:00:00Z", &lord_howe, 3),
        ["2027-10-02T15:35:00Z", "2027-10-02T15:50:00Z", "2027-10-03T15:20:00Z"]
    );
}

/// A policy that was to run on 30 February was taken, and never ran.
#[test]
fn what_never_comes_is_no_calendar() {
    for never in ["*-02-30", "*-2,4,6,9,11-31 03:00", "2027-02-29", "Sun 2026-11-30", "*-02~30"] {
        let error = never.parse::<Calendar>().unwrap_err().to_string();
        assert!(error.contains("it never comes"), "{never}: {error}");
    }
    // Over, or once in a man's life.
    for good in ["1999-12-31 23:59", "Sun *-02-29", "2199-12-31", "1970-01-01"] {
        good.parse::<Calendar>().unwrap();
    }
}

#[test]
fn a_fraction_of_a_second_is_no_moment() {
    let found = times("*:*:*", "2026-11-28T20:15:00.7Z", &TimeZone::UTC, 1);
    assert_eq!(found, ["2026-11-28T20:15:01Z"]);
}
