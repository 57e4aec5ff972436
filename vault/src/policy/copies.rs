//! Copies that policies want: how many, what is still missing, and which of them one policy writes by itself.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyRecord};

use super::{Policy, cartridges_of};
use crate::facts::Situation;
use crate::rules::Rules;

/// Of each cartridge, how many copies the policy wants that wants most, and its name.
pub(super) type Most<'a> = HashMap<Uuid, (u32, &'a str)>;

/// What a policy that runs by itself writes, and what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// These, in this order.
    pub next: Vec<CopyRecord>,
    /// Copies of its cartridges that were asked for, that it does not need, and that no other policy writes by itself.
    pub left: Vec<CopyRecord>,
}

/// Whether their triggers hold or not: a policy that waits today wants its copies tomorrow.
pub(super) fn most_wanted<'a>(rules: &'a Rules, situation: &Situation) -> Most<'a> {
    let mut most = Most::new();
    if !rules.policies.values().any(|policy| policy.free_disk) {
        return most;
    }
    for (name, policy) in &rules.policies {
        let wanted = policy.copies_wanted();
        for entry in cartridges_of(policy, rules, situation).into_values().flatten() {
            let known = most.entry(entry.uuid).or_insert((wanted, name));
            if wanted > known.0 {
                *known = (wanted, name);
            }
        }
    }
    most
}

/// The numbers that new copies of a cartridge get, of which these are there or being made.
pub(super) fn free_numbers<'a>(
    standing: impl Iterator<Item = &'a CopyRecord>,
) -> impl Iterator<Item = u32> {
    let taken: HashSet<u32> = standing.map(|copy| copy.number).collect();
    (1..).filter(move |number| !taken.contains(number))
}

/// The number that the next copy of a cartridge gets.
pub fn free_number(copies: &[CopyRecord], cartridge: Uuid) -> u32 {
    let is_standing = |copy: &&CopyRecord| copy.cartridge == cartridge && !copy.state.is_over();
    free_numbers(copies.iter().filter(is_standing)).next().unwrap_or(1)
}

/// Which copies have no receipt yet.
pub(super) fn unfinished(
    entry: &CartridgeEntry,
    current: &[&CopyRecord],
    wanted: u32,
) -> Option<String> {
    if wanted == 0 {
        return None;
    }
    if let Some(copy) = current.iter().find(|copy| !copy.state.is_receipted()) {
        return Some(format!(
            "copy {} of {} is {}, and has no receipt",
            copy.number, entry.barcode, copy.state
        ));
    }
    let made = current.len();
    let is_short = u32::try_from(made).is_ok_and(|made| made < wanted);
    is_short.then(|| format!("{made} of {wanted} copies have receipts"))
}

/// The copies that a policy writes now. Their numbers say nothing: a copy of what was on the cartridge a week ago keeps its own for as long as it
/// stands, and the next one gets another.
pub fn in_line(name: &str, rules: &Rules, situation: &Situation) -> Line {
    let Some(policy) = rules.policies.get(name) else { return Line::default() };
    let mut next: Vec<(bool, &CopyRecord)> = Vec::new();
    let mut line = Line::default();
    let others = written_by_others((name, policy), rules, situation);
    for entry in cartridges_of(policy, rules, situation).into_values().flatten() {
        let current: Vec<&CopyRecord> = situation.current_copies(entry).collect();
        let made = current.iter().filter(|copy| copy.state.is_receipted()).count();
        let wanted = usize::try_from(policy.copies_wanted()).unwrap_or(usize::MAX);
        let is_done = made >= wanted;
        let mut missing = wanted.saturating_sub(made);
        let standing = situation.standing_copies(entry.uuid);
        let mut under_way: Vec<&CopyRecord> =
            standing.filter(|copy| copy.state.is_under_way()).collect();
        under_way.sort_by_key(|copy| (Reverse(copy.state), copy.number));
        for copy in under_way {
            // It was written before a host went on with the cartridge: it is finished, and does not count.
            let is_stale = !current.iter().any(|one| one.id == copy.id);
            if !is_done && (is_stale || missing > 0) {
                missing -= usize::from(!is_stale);
                next.push((is_stale, copy));
            } else if !others.contains(&entry.uuid) {
                line.left.push(copy.clone());
            }
        }
    }
    // A drive has the tape of what was begun; in a library nothing waits for a tape that may be elsewhere.
    let has_arm = policy.library.is_some();
    next.sort_by_key(|(is_stale, copy)| {
        (has_arm && *is_stale, Reverse(copy.state), copy.staged, copy.number)
    });
    line.next = next.into_iter().map(|(_, copy)| copy.clone()).collect();
    line
}

/// Cartridges of which another policy, when it runs by itself, writes more copies than this one.
fn written_by_others(
    (name, policy): (&str, &Policy),
    rules: &Rules,
    situation: &Situation,
) -> HashSet<Uuid> {
    let writes_more = |(other, others): &(&String, &Policy)| {
        let writes = others.run.is_some() && (others.drive.is_some() || others.library.is_some());
        other.as_str() != name && writes && others.copies_wanted() > policy.copies_wanted()
    };
    let others = rules.policies.iter().filter(writes_more);
    let cartridges = others.flat_map(|(_, other)| cartridges_of(other, rules, situation));
    cartridges.flat_map(|(_, entries)| entries).map(|entry| entry.uuid).collect()
}
