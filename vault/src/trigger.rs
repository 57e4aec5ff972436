//! Triggers: when a policy acts on a cartridge, with the reason in words either way.

use jiff::SignedDuration;
use serde::Deserialize;

use vtl_media::{CartridgeEntry, Place};

use crate::age::{Age, in_words, moment};
use crate::calendar::Calendar;
use crate::facts::Situation;
use crate::pool::is_full;

/// What has to be so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// Always, if there is anything on it.
    #[default]
    Always,
    /// It was last written so long ago, or longer.
    Age(Age),
    /// It is full.
    Full,
    /// It was written and is not in a drive any more: the backup has ended.
    Unloaded,
    /// The disk of the data directory is fuller than so many percent.
    DiskAbove(u8),
    /// One of these moments has come since it was last written.
    Calendar(Calendar),
    /// All of these.
    All(Vec<Trigger>),
    /// One of these at least.
    Any(Vec<Trigger>),
}

/// What a trigger says of a cartridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the policy acts.
    pub holds: bool,
    /// Why, or why not.
    pub reason: String,
}

impl Trigger {
    /// Looks at a cartridge.
    pub fn judge(&self, entry: &CartridgeEntry, situation: &Situation) -> Verdict {
        match self {
            Self::Always => verdict(true, "there is data on it".to_owned()),
            Self::Age(age) => judge_age(age, entry, situation),
            Self::Full => {
                let holds = is_full(entry);
                verdict(holds, format!("it is {}full", if holds { "" } else { "not " }))
            }
            Self::Unloaded => match &entry.place {
                Place::Drive { .. } => verdict(false, format!("it is in {}", entry.place)),
                _ => verdict(true, "it was unloaded after writing".to_owned()),
            },
            Self::DiskAbove(limit) => {
                let used = situation.disk_used_percent;
                let holds = used > *limit;
                let how = if holds { "above" } else { "not above" };
                verdict(holds, format!("the disk is {used} % full, {how} {limit} %"))
            }
            Self::Calendar(calendar) => judge_calendar(calendar, entry, situation),
            Self::All(parts) => judge_all(parts, entry, situation),
            Self::Any(parts) => judge_any(parts, entry, situation),
        }
    }

    /// What is wrong with it, if something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::DiskAbove(percent) if *percent > 99 => Err(format!(
                "disk-above {percent}: a disk is never fuller than 100 %, write 0 to 99"
            )),
            Self::All(parts) | Self::Any(parts) if parts.is_empty() => {
                Err("a list of triggers is empty".to_owned())
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().try_for_each(Self::check),
            _ => Ok(()),
        }
    }
}

fn judge_age(age: &Age, entry: &CartridgeEntry, situation: &Situation) -> Verdict {
    let written = entry.last_written.unwrap_or(entry.created);
    let old = situation.now.duration_since(written).max(SignedDuration::ZERO);
    let holds = old >= age.duration();
    let words = in_words(old);
    let tail = if holds { String::new() } else { format!(", and {age} is asked for") };
    verdict(holds, format!("it was last written {words} ago{tail}"))
}

fn judge_calendar(calendar: &Calendar, entry: &CartridgeEntry, situation: &Situation) -> Verdict {
    let written = entry.last_written.unwrap_or(entry.created);
    match calendar.next_after(written, &situation.zone) {
        Some(next) if next <= situation.now => {
            verdict(true, format!("`{calendar}` has come since it was last written"))
        }
        Some(next) => verdict(false, format!("`{calendar}` comes at {}", moment(next))),
        None => verdict(false, format!("`{calendar}` never comes again")),
    }
}

/// All reasons if it holds, else those that are missing.
fn judge_all(parts: &[Trigger], entry: &CartridgeEntry, situation: &Situation) -> Verdict {
    let verdicts: Vec<Verdict> = parts.iter().map(|part| part.judge(entry, situation)).collect();
    let holds = verdicts.iter().all(|verdict| verdict.holds);
    verdict(holds, joined(&verdicts, holds, ", and "))
}

/// The reasons that hold, or all if none does.
fn judge_any(parts: &[Trigger], entry: &CartridgeEntry, situation: &Situation) -> Verdict {
    let verdicts: Vec<Verdict> = parts.iter().map(|part| part.judge(entry, situation)).collect();
    let holds = verdicts.iter().any(|verdict| verdict.holds);
    verdict(holds, joined(&verdicts, holds, if holds { ", and " } else { "; " }))
}

fn joined(verdicts: &[Verdict], holds: bool, between: &str) -> String {
    let told = verdicts.iter().filter(|verdict| verdict.holds == holds);
    told.map(|verdict| verdict.reason.as_str()).collect::<Vec<_>>().join(between)
}

fn verdict(holds: bool, reason: String) -> Verdict {
    Verdict { holds, reason }
}
