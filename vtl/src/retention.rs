//! `vtl tape lock|hold`: what is on a cartridge stays, whatever hosts and people do.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_media::{CartridgeEntry, CartridgeKind, MediumError, Retention, RetentionChange, Volume};

use crate::library::Library;
use crate::operations::{find, is_in_drive};
use crate::request::Failure;
use crate::undo::explain;

/// A drive that does not answer within this time is stuck.
const DRIVE_LIMIT: Duration = Duration::from_secs(10);
const REASON_BYTES_MAX: usize = 200;

/// Cartridges to be locked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewLock {
    /// The cartridges.
    #[arg(required = true)]
    pub(crate) barcodes: Vec<String>,
    /// Until when: a time (RFC 3339), or a day, at the end of which it is over.
    #[arg(
        long,
        value_name = "DATE",
        required_unless_present_any = ["span", "lift_governance"],
        conflicts_with = "span"
    )]
    pub(crate) until: Option<String>,
    /// For how long from now on, such as 90d or 7y.
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) span: Option<String>,
    /// A lock that can be taken back, by somebody who says why; without this word nobody can make it shorter.
    #[arg(long)]
    pub(crate) governance: bool,
    /// Take back what --governance has locked. Other locks and holds stay.
    #[arg(long, requires = "reason", conflicts_with_all = ["until", "span", "governance"])]
    pub(crate) lift_governance: bool,
    /// Why it is taken back: it stands in the ledger with the name of whoever did it.
    #[arg(long, value_name = "TEXT", requires = "lift_governance")]
    pub(crate) reason: Option<String>,
}

/// Cartridges that are to be disposed of some day.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewDisposition {
    /// The cartridges.
    #[arg(required = true)]
    pub(crate) barcodes: Vec<String>,
    /// From when on: a time (RFC 3339), or a day, at the end of which it is due.
    #[arg(long, value_name = "DATE", required_unless_present_any = ["span", "never"], conflicts_with_all = ["span", "never"])]
    pub(crate) after: Option<String>,
    /// In how long from now, such as 7y.
    #[arg(long = "in", value_name = "SPAN", conflicts_with = "never")]
    pub(crate) span: Option<String>,
    /// Not any more.
    #[arg(long)]
    pub(crate) never: bool,
}

/// Cartridges to be held, or not any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HoldChange {
    /// The cartridges.
    #[arg(required = true)]
    pub(crate) barcodes: Vec<String>,
    /// Why, for whoever meets it.
    #[arg(long, value_name = "TEXT", required_unless_present = "lift", conflicts_with = "lift")]
    pub(crate) reason: Option<String>,
    /// Lift the hold. A lock stays.
    #[arg(long)]
    pub(crate) lift: bool,
}

/// Locks cartridges.
pub(crate) fn lock(library: &Library, new: &NewLock, actor: &str) -> Result<Value, Failure> {
    let now = library.store.compliance_clock().now();
    if new.lift_governance {
        let reason = new.reason.as_deref().unwrap_or_default();
        let lift = RetentionChange::LiftGovernance(one_line(reason)?);
        return change(library, &new.barcodes, &lift, actor);
    }
    let until = match (&new.until, &new.span) {
        (Some(text), None) => end_of(text)?,
        (None, Some(text)) => after(text, now)?,
        _ => return Err(Failure::usage("say --until or --for")),
    };
    if until <= now {
        return Err(Failure::usage(format!("{until} is over already: that would lock nothing")));
    }
    let lock = if new.governance {
        RetentionChange::GovernUntil(until)
    } else {
        RetentionChange::LockUntil(until)
    };
    change(library, &new.barcodes, &lock, actor)
}

/// Says when cartridges are to be disposed of.
pub(crate) fn disposition(
    library: &Library,
    new: &NewDisposition,
    actor: &str,
) -> Result<Value, Failure> {
    let now = library.store.compliance_clock().now();
    let time = match (&new.after, &new.span, new.never) {
        (Some(text), None, false) => Some(end_of(text)?),
        (None, Some(text), false) => Some(after(text, now)?),
        (None, None, true) => None,
        _ => return Err(Failure::usage("say --after, --in or --never")),
    };
    change(library, &new.barcodes, &RetentionChange::Dispose(time), actor)
}

/// Holds cartridges, or lifts their holds.
pub(crate) fn hold(library: &Library, wanted: &HoldChange, actor: &str) -> Result<Value, Failure> {
    let change_to = match (&wanted.reason, wanted.lift) {
        (None, true) => RetentionChange::Lift,
        (Some(reason), false) => RetentionChange::Hold(one_line(reason)?),
        _ => return Err(Failure::usage("say --reason or --lift")),
    };
    change(library, &wanted.barcodes, &change_to, actor)
}

fn one_line(reason: &str) -> Result<String, Failure> {
    let is_good = !reason.trim().is_empty()
        && reason.len() <= REASON_BYTES_MAX
        && !reason.chars().any(char::is_control);
    if !is_good {
        return Err(Failure::usage(format!("--reason: one line of 1 to {REASON_BYTES_MAX} bytes")));
    }
    Ok(reason.to_owned())
}

fn change(
    library: &Library,
    barcodes: &[String],
    change: &RetentionChange,
    actor: &str,
) -> Result<Value, Failure> {
    let entries: Vec<CartridgeEntry> =
        barcodes.iter().map(|barcode| find(library, barcode)).collect::<Result<_, _>>()?;
    if let Some(cleaning) = entries.iter().find(|entry| entry.kind == CartridgeKind::Cleaning) {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", cleaning.barcode)));
    }
    let mut rows = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    for entry in &entries {
        let retention = match change_one(library, entry, change, actor) {
            Ok(retention) => retention,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        rows.push(json!({
            "barcode": entry.barcode,
            "retained_until": retention.until,
            "governed_until": retention.governed_until,
            "dispose_after": retention.dispose_after,
            "hold": retention.hold,
        }));
    }
    let Some(kind) = failures.first().map(|failure| failure.kind) else {
        return Ok(Value::Array(rows));
    };
    let mut why: Vec<String> = failures.into_iter().map(|failure| failure.message).collect();
    if entries.len() > 1 {
        let done = rows.iter().filter_map(|row| row.get("barcode").and_then(Value::as_str));
        let done: Vec<&str> = done.collect();
        let done = if done.is_empty() { "none".to_owned() } else { done.join(", ") };
        why.push(format!("it was done for {done}"));
    }
    Err(Failure::new(kind, why.join("; ")))
}

fn change_one(
    library: &Library,
    entry: &CartridgeEntry,
    change: &RetentionChange,
    actor: &str,
) -> Result<Retention, Failure> {
    let store = &library.store;
    let mut is_answered = true;
    let done = if is_in_drive(entry) {
        let mut write = |retention: &Retention| {
            let written = write_in_drive(library, entry, retention);
            is_answered = written.is_some();
            written.unwrap_or(Err(MediumError::ReadOnly))
        };
        store.change_retention(entry.uuid, change, Some(&mut write), actor)
    } else {
        store.change_retention(entry.uuid, change, None, actor)
    };
    if !is_answered {
        return Err(Failure::failed(format!(
            "{}: {} does not say whether its label was written: try again",
            entry.barcode, entry.place
        )));
    }
    done.map_err(|error| explain(&error))
}

fn write_in_drive(
    library: &Library,
    entry: &CartridgeEntry,
    retention: &Retention,
) -> Option<Result<(), MediumError>> {
    let unit = library.drive_at(&entry.place)?;
    let is_it = |cartridge: &&mut Volume| cartridge.label().uuid == entry.uuid;
    unit.with_drive_within(DRIVE_LIMIT, {
        let retention = retention.clone();
        move |drive| {
            let cartridge = drive.cartridge_mut().filter(is_it)?;
            Some(cartridge.set_retention(&retention))
        }
    })
    .flatten()
}

/// A time, or the end of a day.
fn end_of(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day: Date = text.parse().map_err(|error| {
        Failure::usage(format!("--until {text}: {error}; for example 2033-12-31"))
    })?;
    let next =
        day.tomorrow().map_err(|error| Failure::usage(format!("--until {text}: {error}")))?;
    next.to_zoned(TimeZone::system())
        .map(|zoned| zoned.timestamp())
        .map_err(|error| Failure::usage(format!("--until {text}: {error}")))
}

fn after(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let usage = |error: jiff::Error| {
        Failure::usage(format!("--for {text}: {error}; for example 90d or 7y"))
    };
    let span: jiff::Span = text.parse().map_err(usage)?;
    let zoned = now.to_zoned(TimeZone::UTC);
    let length = span.to_duration(SpanRelativeTo::from(&zoned)).map_err(usage)?;
    now.checked_add(length).map_err(usage)
}
