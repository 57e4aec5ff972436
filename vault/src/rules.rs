//! The document of rules: pools, groups and policies in TOML. It is good as a whole or refused as a whole, with the line and the key.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use vtl_media::{Barcode, CartridgeEntry, RULES_BYTES_MAX};

use crate::group::{Group, check_member};
use crate::policy::Policy;
use crate::pool::Pool;

/// All rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Pools by name: `[pool.daily]`.
    #[serde(rename = "pool")]
    pub pools: BTreeMap<String, Pool>,
    /// Groups by name: `[group.mail]`.
    #[serde(rename = "group")]
    pub groups: BTreeMap<String, Group>,
    /// Policies by name: `[policy.offsite]`.
    #[serde(rename = "policy")]
    pub policies: BTreeMap<String, Policy>,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {key}{}{message}", if key.is_empty() { "" } else { ": " })]
pub struct RulesError {
    /// From 1.
    pub line: usize,
    /// The key, as in `policy.offsite.copies`; empty where the line has none.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

type Complaint = (Option<Range<usize>>, String);

impl Rules {
    /// Reads a document and checks that it makes sense.
    pub fn parse(document: &str) -> Result<Self, RulesError> {
        if document.len() > RULES_BYTES_MAX {
            let message = format!("the document is longer than {RULES_BYTES_MAX} bytes");
            return Err(located(document, None, &message));
        }
        let rules: Self = toml::from_str(document)
            .map_err(|error| located(document, error.span(), error.message()))?;
        rules.check().map_err(|(span, message)| located(document, span, &message))?;
        Ok(rules)
    }

    /// The group of a cartridge. Where several have it, it is the first by name; [`Rules::ambiguous`] tells of that.
    pub fn group_of(&self, barcode: &Barcode) -> Option<(&str, &Group)> {
        let found = self.groups.iter().find(|(_, group)| group.has(barcode));
        found.map(|(name, group)| (name.as_str(), group))
    }

    /// A cartridge that would be in two groups, with their names: it cannot be handled with both, all or none.
    pub fn ambiguous<'a>(
        &'a self,
        cartridges: &'a [CartridgeEntry],
    ) -> Option<(&'a Barcode, &'a str, &'a str)> {
        cartridges.iter().find_map(|entry| {
            let mut groups = self.groups.iter().filter(|(_, group)| group.has(&entry.barcode));
            let (first, second) = (groups.next()?, groups.next()?);
            Some((&entry.barcode, first.0.as_str(), second.0.as_str()))
        })
    }

    fn check(&self) -> Result<(), Complaint> {
        let names = self.pools.keys().chain(self.groups.keys()).chain(self.policies.keys());
        for name in names {
            check_name(name).map_err(|message| (None, message))?;
        }
        for (name, pool) in &self.pools {
            self.check_pool(name, pool)?;
        }
        for (name, group) in &self.groups {
            if group.members.is_empty() {
                return Err((
                    None,
                    format!("group {name}: it has no members: name barcodes or patterns"),
                ));
            }
            check_members(&group.members)?;
            group.check_drill().map_err(|(key, message)| at(key, message))?;
        }
        for (name, policy) in &self.policies {
            self.check_policy(name, policy)?;
        }
        Ok(())
    }

    fn check_pool(&self, name: &str, pool: &Pool) -> Result<(), Complaint> {
        if let Some(scratch) = &pool.scratch {
            if scratch.as_ref() == name {
                return Err(at(scratch, "a pool is not its own scratch pool"));
            }
            if !self.pools.contains_key(scratch.as_ref()) {
                return Err(at(
                    scratch,
                    format!("there is no pool `{}` in this document", scratch.as_ref()),
                ));
            }
        }
        if let Some(create) =
            pool.create.as_ref().filter(|count| !(1..=10).contains(count.as_ref()))
        {
            return Err(at(
                create,
                format!("{} cartridges at once: write 1 to 10", create.as_ref()),
            ));
        }
        if let Some(low) = &pool.low {
            if !(1..=LOW_MAX).contains(low.as_ref()) {
                return Err(at(low, format!("write 1 to {LOW_MAX}")));
            }
            if pool.scratch.is_none() && pool.create.is_none() {
                return Err(at(low, "low does nothing without scratch or create"));
            }
        } else if let Some(create) = &pool.create {
            return Err(at(create, "create does nothing without low"));
        }
        if let Some(kind) = &pool.media_type
            && vtl_media::store::native_capacity_bytes(kind.as_ref()).is_none()
        {
            return Err(at(
                kind,
                format!("media type `{}` is unknown: write lto1 to lto10", kind.as_ref()),
            ));
        }
        if let Some(prefix) = &pool.prefix {
            let is_good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
            if !(1..=4).contains(&prefix.as_ref().len()) || !prefix.as_ref().chars().all(is_good) {
                return Err(at(prefix, "a prefix has 1 to 4 characters A to Z or 0 to 9"));
            }
        }
        if pool.gfs.is_some_and(crate::gfs::Gfs::is_empty) {
            return Err((
                None,
                format!("pool {name}: gfs keeps nothing: set daily, weekly, monthly or yearly"),
            ));
        }
        Ok(())
    }

    fn check_policy(&self, name: &str, policy: &Policy) -> Result<(), Complaint> {
        if let Some(pool) =
            policy.pool.as_ref().filter(|pool| !self.pools.contains_key(pool.as_ref().as_str()))
        {
            return Err(at(pool, format!("there is no pool `{}` in this document", pool.as_ref())));
        }
        if let Some(group) =
            policy.group.as_ref().filter(|group| !self.groups.contains_key(group.as_ref().as_str()))
        {
            return Err(at(
                group,
                format!("there is no group `{}` in this document", group.as_ref()),
            ));
        }
        check_members(&policy.members)?;
        if let Some(copies) =
            policy.copies.as_ref().filter(|copies| !(1..=5).contains(copies.as_ref()))
        {
            return Err(at(copies, format!("{} copies: write 1 to 5", copies.as_ref())));
        }
        check_timer(policy)?;
        let complain = |message: &str| Err((None, format!("policy {name}: {message}")));
        policy.when.check().map_err(|message| (None, format!("policy {name}: when: {message}")))?;
        if policy.free_disk && policy.copies.is_none() {
            return complain("free-disk needs copies: nothing else would have the data");
        }
        if !policy.verify && policy.copies.is_none() && !policy.eject {
            return complain("it does nothing: set verify, copies or eject");
        }
        Ok(())
    }
}

/// Where copies are written when the policy runs by itself.
fn check_timer(policy: &Policy) -> Result<(), Complaint> {
    let Policy { drive, library, scratch, .. } = policy;
    for device in [drive, library].into_iter().flatten() {
        if policy.run.is_none() {
            return Err(at(
                device,
                "it is for a policy that runs by itself: set run, or name the device with `vtl export`",
            ));
        }
        if policy.copies.is_none() {
            return Err(at(device, "nothing is written there without copies"));
        }
        if !device.as_ref().starts_with("/dev/") {
            return Err(at(
                device,
                format!(
                    "`{}` is no device: write /dev/…, as `vtl physical list` shows it",
                    device.as_ref()
                ),
            ));
        }
    }
    match (drive, library, scratch) {
        (Some(drive), Some(_), _) => Err(at(drive, "name a drive or a library, not both")),
        (_, None, Some(scratch)) => Err(at(scratch, "scratch does nothing without library")),
        (.., Some(scratch)) => {
            check_member(scratch.as_ref()).map_err(|message| at(scratch, message))
        }
        _ => Ok(()),
    }
}

fn check_members(members: &[Spanned<String>]) -> Result<(), Complaint> {
    members
        .iter()
        .try_for_each(|member| check_member(member.as_ref()).map_err(|message| at(member, message)))
}

fn check_name(name: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.trim() == name
        && name.chars().all(is_good)
    {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(format!(
        "{shown:?} is no name: 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.` and spaces within"
    ))
}

fn at<T>(value: &Spanned<T>, message: impl Into<String>) -> Complaint {
    (Some(value.span()), message.into())
}

/// Finds line and key of a place in the document. Without a place it is the line of the table that the message names.
fn located(document: &str, span: Option<Range<usize>>, message: &str) -> RulesError {
    let start = span.map(|span| span.start).or_else(|| named_table(document, message)).unwrap_or(0);
    let before = document.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let text = document.lines().nth(line - 1).unwrap_or_default();
    let header = document.lines().take(line).filter_map(table_header).last().unwrap_or_default();
    let key = match text.split_once('=') {
        Some((key, _)) if table_header(text).is_none() => {
            let key = key.trim();
            if header.is_empty() { key.to_owned() } else { format!("{header}.{key}") }
        }
        _ => header.to_owned(),
    };
    RulesError { line, key, message: message.trim().replace('\n', ", ") }
}

fn table_header(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix('[')?
        .split_once(']')
        .map(|(name, _)| name.trim_start_matches('[').trim())
}

/// A complaint about a table begins with its kind and name, as in `policy offsite: …`.
fn named_table(document: &str, message: &str) -> Option<usize> {
    let (subject, _) = message.split_once(':')?;
    let (kind, name) = subject.split_once(' ')?;
    let wanted = [format!("{kind}.{name}"), format!("{kind}.\"{name}\"")];
    let mut at = 0;
    for line in document.split_inclusive('\n') {
        if table_header(line).is_some_and(|header| wanted.iter().any(|wanted| wanted == header)) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

const NAME_BYTES_MAX: usize = 64;
/// More empty cartridges than any library of ours has elements for are a slip of the pen.
const LOW_MAX: u32 = 10_000;

#[cfg(test)]
mod tests;
