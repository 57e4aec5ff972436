//! Policies: what happens to which cartridges and when. A plan is made of facts alone and says why, in words; nothing happens here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use uuid::Uuid;

use vtl_media::{Barcode, CartridgeEntry, CartridgeKind, CartridgeState, CopyRecord, Place};

use crate::age::moment;
use crate::calendar::Calendar;
use crate::facts::Situation;
use crate::group::{Group, matches_pattern};
use crate::rules::Rules;
use crate::trigger::Trigger;

pub use self::copies::{Line, free_number, in_line};
use self::copies::{Most, free_numbers, most_wanted, unfinished};

mod copies;

/// A policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// What it is for.
    pub description: Option<String>,
    /// The cartridges of this pool.
    pub pool: Option<Spanned<String>>,
    /// The cartridges of this group.
    pub group: Option<Spanned<String>>,
    /// Cartridges with these barcodes or patterns.
    pub members: Vec<Spanned<String>>,
    /// When.
    pub when: Trigger,
    /// Read it back from the disk, unless that was done since it was last written.
    pub verify: bool,
    /// So many copies on physical tape, 1 to 5; none if 0.
    pub copies: Option<Spanned<u32>>,
    /// Bring it to an import/export element when its copies have their receipts.
    pub eject: bool,
    /// Give up the cartridge on disk when its copies have their receipts and the undo window is over.
    pub free_disk: bool,
    /// When the daemon runs it by itself; never without.
    pub run: Option<Calendar>,
    /// The drive that it writes the copies to then, one a run: its tape is the operator's business.
    pub drive: Option<Spanned<String>>,
    /// The changer of the library that it writes them in then.
    pub library: Option<Spanned<String>>,
    /// The tapes that may be taken there where none has the cartridge's barcode.
    pub scratch: Option<Spanned<String>>,
}

/// What a policy does to a cartridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read it back from the disk.
    Verify,
    /// Ask for a copy on physical tape.
    Export {
        /// Which of several copies, from 1.
        copy: u32,
    },
    /// Bring it to an import/export element.
    Eject,
    /// Give up the cartridge on disk.
    FreeDisk,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Verify => f.pad("verify"),
            Self::Export { copy } => f.pad(&format!("export, copy {copy}")),
            Self::Eject => f.pad("eject"),
            Self::FreeDisk => f.pad("free the disk copy"),
        }
    }
}

/// One action of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The policy.
    pub policy: String,
    /// The cartridge.
    pub barcode: Barcode,
    /// Its identity.
    pub cartridge: Uuid,
    /// The group that it is handled with.
    pub group: Option<String>,
    /// What is to be done.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// What stands in the way; nothing if it can be done at once.
    pub blocked: Option<String>,
}

/// A cartridge that a policy is for, and that it leaves alone until its trigger holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The policy.
    pub policy: String,
    /// The cartridge.
    pub barcode: Barcode,
    /// Why nothing is done.
    pub reason: String,
}

/// What all policies would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done, in this order.
    pub actions: Vec<Planned>,
    /// What is left alone.
    pub waiting: Vec<Waiting>,
}

impl Policy {
    /// How many copies on physical tape it wants.
    pub fn copies_wanted(&self) -> u32 {
        self.copies.as_ref().map_or(0, |copies| *copies.as_ref())
    }

    fn names(&self, entry: &CartridgeEntry, rules: &Rules) -> bool {
        let is_of_pool = |pool: &Spanned<String>| entry.pool.as_ref() == Some(pool.as_ref());
        let is_of_group = |name: &Spanned<String>| {
            rules.groups.get(name.as_ref()).is_some_and(|group| group.has(&entry.barcode))
        };
        let is_member = self
            .members
            .iter()
            .any(|member| matches_pattern(member.as_ref(), entry.barcode.as_str()));
        self.pool.as_ref().is_none_or(is_of_pool)
            && self.group.as_ref().is_none_or(is_of_group)
            && (self.members.is_empty() || is_member)
    }
}

/// What the policies would do in this situation.
pub fn plan(rules: &Rules, situation: &Situation) -> Plan {
    let mut plan = Plan::default();
    let most = most_wanted(rules, situation);
    for (name, policy) in &rules.policies {
        let planning = Planning { name, policy, situation, most: &most };
        for (group, entries) in cartridges_of(policy, rules, situation) {
            match group {
                None => entries
                    .iter()
                    .for_each(|entry| planning.plan_together(None, &[entry], &mut plan)),
                Some(group) => planning.plan_together(Some(group), &entries, &mut plan),
            }
        }
    }
    plan
}

/// The cartridges that a policy is for, those of a group together.
pub fn cartridges_of<'a>(
    policy: &Policy,
    rules: &'a Rules,
    situation: &'a Situation,
) -> BTreeMap<Option<&'a str>, Vec<&'a CartridgeEntry>> {
    let has_data = |entry: &&CartridgeEntry| {
        entry.kind == CartridgeKind::Data
            && entry.last_written.is_some()
            && entry.state != CartridgeState::Empty
    };
    let of_group = |entry: &CartridgeEntry| rules.group_of(&entry.barcode);
    let named: Vec<&CartridgeEntry> = situation
        .cartridges
        .iter()
        .filter(has_data)
        .filter(|entry| policy.names(entry, rules))
        .collect();
    let of_themselves: HashSet<Uuid> = named.iter().map(|entry| entry.uuid).collect();
    // All or none: who names one member of a group means all of them.
    let groups: BTreeSet<&str> =
        named.iter().filter_map(|entry| of_group(entry)).map(|(name, _)| name).collect();
    let mut by_group: BTreeMap<Option<&str>, Vec<&CartridgeEntry>> = BTreeMap::new();
    for entry in situation.cartridges.iter().filter(has_data) {
        let group = of_group(entry).map(|(name, _): (&str, &Group)| name);
        let is_meant = match group {
            Some(group) => groups.contains(group),
            None => of_themselves.contains(&entry.uuid),
        };
        if is_meant {
            by_group.entry(group).or_default().push(entry);
        }
    }
    by_group
}

/// One policy, and what is known when its plan is made.
struct Planning<'a> {
    name: &'a str,
    policy: &'a Policy,
    situation: &'a Situation,
    most: &'a Most<'a>,
}

struct Step {
    action: Action,
    reason: String,
    blocked: Option<String>,
}

impl Planning<'_> {
    /// Plans for cartridges that are handled all or none.
    fn plan_together(&self, group: Option<&str>, entries: &[&CartridgeEntry], plan: &mut Plan) {
        let judge = |entry: &&CartridgeEntry| self.policy.when.judge(entry, self.situation);
        let judged: Vec<_> = entries.iter().map(|entry| (*entry, judge(entry))).collect();
        let hindrance = judged.iter().find(|(_, verdict)| !verdict.holds);
        for (entry, verdict) in &judged {
            let wait = |reason: String| Waiting {
                policy: self.name.to_owned(),
                barcode: entry.barcode.clone(),
                reason,
            };
            match hindrance {
                Some(_) if !verdict.holds => plan.waiting.push(wait(verdict.reason.clone())),
                Some((other, why)) => plan.waiting.push(wait(format!(
                    "group {} is handled all or none, and of {} {}",
                    group.unwrap_or_default(),
                    other.barcode,
                    why.reason
                ))),
                None => {
                    let steps = self.steps(entry, &verdict.reason);
                    if steps.is_empty() {
                        plan.waiting.push(wait("all that the policy asks for is done".to_owned()));
                    }
                    plan.actions.extend(steps.into_iter().map(|step| Planned {
                        policy: self.name.to_owned(),
                        barcode: entry.barcode.clone(),
                        cartridge: entry.uuid,
                        group: group.map(str::to_owned),
                        action: step.action,
                        reason: step.reason,
                        blocked: step.blocked,
                    }));
                }
            }
        }
        if group.is_some() {
            hold_together(entries, plan);
        }
    }

    /// What is left to be done to a cartridge whose trigger holds.
    fn steps(&self, entry: &CartridgeEntry, why: &str) -> Vec<Step> {
        let Self { policy, situation, .. } = self;
        let mut steps = Vec::new();
        let is_proved = entry.last_proved > entry.last_written;
        let damage = damage(entry);
        if policy.verify && !is_proved {
            let reason = format!("{why}; it was not read back since");
            steps.push(Step { action: Action::Verify, reason, blocked: missing(entry) });
        }
        let current: Vec<&CopyRecord> = situation.current_copies(entry).collect();
        let made = u32::try_from(current.len()).unwrap_or(u32::MAX);
        let wanted = policy.copies_wanted();
        let free = free_numbers(situation.standing_copies(entry.uuid));
        for copy in free.take(usize::try_from(wanted.saturating_sub(made)).unwrap_or(0)) {
            let reason = format!("{why}; {made} of {wanted} copies hold what is on it now");
            steps.push(Step { action: Action::Export { copy }, reason, blocked: damage.clone() });
        }
        if policy.eject && matches!(entry.place, Place::Storage { .. } | Place::Drive { .. }) {
            let unfinished = || unfinished(entry, &current, wanted);
            let blocked = damage.or_else(|| in_drive(entry)).or_else(unfinished);
            steps.push(Step { action: Action::Eject, reason: why.to_owned(), blocked });
        }
        if policy.free_disk {
            let reason = format!("{why}; {wanted} copies on tape");
            let blocked = self.keeps_disk(entry, &current);
            steps.push(Step { action: Action::FreeDisk, reason, blocked });
        }
        steps
    }

    /// Why the cartridge on disk is not given up yet.
    fn keeps_disk(&self, entry: &CartridgeEntry, current: &[&CopyRecord]) -> Option<String> {
        let Self { policy, situation, .. } = self;
        let wanted = policy.copies_wanted();
        // Once the disk has nothing, no other policy gets a copy any more.
        let most = self.most.get(&entry.uuid).filter(|(most, _)| *most > wanted);
        let others = || {
            let (most, name) = most?;
            let why = unfinished(entry, current, *most)?;
            Some(format!("policy {name} wants {most} copies of it: {why}"))
        };
        in_drive(entry)
            .or_else(|| unfinished(entry, current, wanted))
            .or_else(others)
            .or_else(|| situation.locked.get(&entry.uuid).cloned())
            .or_else(|| needed(entry, situation))
            .or_else(|| undoable(entry, situation))
    }
}

/// What one member cannot be copied, leave the library or be given up with, no other is.
fn hold_together(entries: &[&CartridgeEntry], plan: &mut Plan) {
    let is_member = |planned: &Planned| entries.iter().any(|entry| entry.uuid == planned.cartridge);
    let kinds: [fn(Action) -> bool; 3] = [
        |action| matches!(action, Action::Export { .. }),
        |action| action == Action::Eject,
        |action| action == Action::FreeDisk,
    ];
    for is_meant in kinds {
        let hindrance = plan
            .actions
            .iter()
            .filter(|planned| is_meant(planned.action) && is_member(planned))
            .find_map(|planned| Some((planned.barcode.clone(), planned.blocked.clone()?)));
        let Some((barcode, why)) = hindrance else { continue };
        for planned in &mut plan.actions {
            if is_meant(planned.action) && planned.blocked.is_none() && is_member(planned) {
                planned.blocked = Some(format!("its group waits for {barcode}: {why}"));
            }
        }
    }
}

fn damage(entry: &CartridgeEntry) -> Option<String> {
    missing(entry).or_else(|| {
        (entry.state == CartridgeState::Damaged).then(|| {
            format!("it is damaged: `vtl verify {}` names what cannot be read", entry.barcode)
        })
    })
}

fn missing(entry: &CartridgeEntry) -> Option<String> {
    let is_missing = entry.state == CartridgeState::Missing;
    is_missing.then(|| "its files are missing".to_owned())
}

fn in_drive(entry: &CartridgeEntry) -> Option<String> {
    matches!(entry.place, Place::Drive { .. }).then(|| format!("it is in {}", entry.place))
}

fn needed(entry: &CartridgeEntry, situation: &Situation) -> Option<String> {
    let by = situation.dependents.get(&entry.uuid)?.join(", ");
    Some(format!("it holds what others rest on ({by}): delete these first"))
}

fn undoable(entry: &CartridgeEntry, situation: &Situation) -> Option<String> {
    let end = entry.last_written?.checked_add(situation.undo_window).ok()?;
    (end > situation.now).then(|| format!("the undo window is open until {}", moment(end)))
}

#[cfg(test)]
mod tests;
