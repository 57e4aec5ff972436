//! When policies and drills run by themselves.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use vtl_media::PolicyRun;

use crate::calendar::Calendar;
use crate::rules::Rules;

/// What has a calendar of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job<'a> {
    /// The policy of this name.
    Policy(&'a str),
    /// The drill of the group of this name.
    Drill(&'a str),
}

impl fmt::Display for Job<'_> {
    /// As its runs are recorded. No policy has a name with a colon, so that the two are never taken for each other.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => f.write_str(name),
            Self::Drill(group) => write!(f, "drill:{group}"),
        }
    }
}

/// What runs by itself, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer<'a> {
    /// What that is.
    pub job: Job<'a>,
    /// The calendar.
    pub calendar: &'a Calendar,
    /// When it runs next. What is over was missed, and is caught up with once.
    pub next: Option<Timestamp>,
}

impl Timer<'_> {
    /// Whether it is to run now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

/// All policies and drills that run by themselves. `runs` are their last runs, and `applied` is since when the rules are in force: what came before that
/// was not missed.
pub fn timers<'a>(
    rules: &'a Rules,
    runs: &[PolicyRun],
    applied: Timestamp,
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Timer<'a>> {
    let timer = |(job, calendar): (Job<'a>, &'a Calendar)| {
        let name = job.to_string();
        let last = runs.iter().find(|run| run.policy == name);
        // Another calendar than that of the last run: its moments count since the rules are in force.
        let since = match last {
            Some(last) if last.calendar == calendar.to_string() => last.until,
            Some(last) => applied.max(last.until),
            None => applied,
        };
        // The clock was set back: whoever waited for it to come there again would wait for years.
        let next = if since > now { Some(now) } else { calendar.next_after(since, zone) };
        Timer { job, calendar, next }
    };
    let policies = rules
        .policies
        .iter()
        .filter_map(|(name, policy)| Some((Job::Policy(name), policy.run.as_ref()?)));
    let drills = rules
        .groups
        .iter()
        .filter_map(|(name, group)| Some((Job::Drill(name), group.drill.as_ref()?)));
    policies.chain(drills).map(timer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_missed_moment_is_caught_up_with_once_and_an_earlier_one_was_not_missed() {
        let rules = Rules::parse("[policy.night]\nverify = true\nrun = \"02:00\"\n").unwrap();
        let applied = at("2026-11-01T12:00:00Z");
        let next = |runs: &[PolicyRun], now: &str| {
            let timers = timers(&rules, runs, applied, at(now), &TimeZone::UTC);
            (timers[0].next.unwrap(), timers[0].is_due(at(now)))
        };
        let ran = |calendar: &str, until: &str| {
            let (policy, calendar) = ("night".to_owned(), calendar.to_owned());
            [PolicyRun { policy, calendar, until: at(until), ..PolicyRun::default() }]
        };
        assert_eq!(next(&[], "2026-11-01T20:00:00Z"), (at("2026-11-02T02:00:00Z"), false));
        assert_eq!(next(&[], "2026-11-02T02:00:00Z"), (at("2026-11-02T02:00:00Z"), true));
        // It was off for a week.
        assert!(next(&ran("02:00", "2026-11-03T02:00:05Z"), "2026-11-10T09:00:00Z").1);
        let caught_up = ran("02:00", "2026-11-10T09:00:00Z");
        assert_eq!(next(&caught_up, "2026-11-10T09:01:00Z"), (at("2026-11-11T02:00:00Z"), false));
        // It ran by another calendar in October, and this one is new.
        let other = ran("weekly", "2026-10-03T00:00:00Z");
        assert!(!next(&other, "2026-11-01T13:00:00Z").1);
        // The clock stood in 2035 for an hour.
        assert!(next(&ran("02:00", "2035-01-01T00:00:00Z"), "2026-11-10T09:00:00Z").1);
    }

    #[test]
    fn a_drill_and_a_policy_of_the_same_name_have_runs_of_their_own() {
        let document = "[policy.mail]\nverify = true\nrun = \"02:00\"\n\
                        [group.mail]\nmembers = [\"M*\"]\ndrill = \"Sun 04:00\"\n";
        let rules = Rules::parse(document).unwrap();
        let (applied, now) = (at("2026-11-02T12:00:00Z"), at("2026-11-09T12:00:00Z"));
        let ran = |policy: &str, calendar: &str| PolicyRun {
            policy: policy.to_owned(),
            calendar: calendar.to_owned(),
            until: now,
            ..PolicyRun::default()
        };
        let due = |runs: &[PolicyRun]| -> Vec<String> {
            let timers = timers(&rules, runs, applied, now, &TimeZone::UTC);
            let due = timers.into_iter().filter(|timer| timer.is_due(now));
            due.map(|timer| timer.job.to_string()).collect()
        };
        assert_eq!(due(&[]), ["mail", "drill:mail"]);
        assert_eq!(due(&[ran("mail", "02:00")]), ["drill:mail"]);
        assert_eq!(due(&[ran("drill:mail", "Sun 04:00")]), ["mail"]);
    }
}
