//! Groups leave together: which members the others wait for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vtl_media::{Barcode, CartridgeEntry, CartridgeKind, CopyRecord, CopyState};

use crate::facts::is_current;
use crate::rules::Rules;

/// What the copies of one number wait for that the members of a group have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The group.
    pub group: String,
    /// The number of the copies.
    pub copy: u32,
    /// The member.
    pub barcode: Barcode,
    /// Where its copy is on its way; none if it has no copy that counts.
    pub state: Option<CopyState>,
    /// What is to be done, in words.
    pub reason: String,
}

/// All groups that have a receipt for a copy, and have to wait for another one of the same number.
#[derive(Debug, Default)]
pub struct Waits(BTreeMap<(String, u32), Wait>);

impl Waits {
    /// What follows from the copies, and from the cartridges that have data.
    pub fn of(rules: &Rules, copies: &[CopyRecord], cartridges: &[CartridgeEntry]) -> Self {
        let ready = copies.iter().filter(|copy| copy.state == CopyState::Receipted);
        let ready: BTreeSet<(String, u32)> =
            ready.filter_map(|copy| Some((group(rules, &copy.barcode)?, copy.number))).collect();
        if ready.is_empty() {
            return Self::default();
        }
        let mut members: BTreeMap<String, Vec<&CartridgeEntry>> = BTreeMap::new();
        for entry in cartridges {
            let has_data = entry.kind == CartridgeKind::Data && entry.written_bytes > 0;
            if let Some(group) = group(rules, &entry.barcode).filter(|_| has_data) {
                members.entry(group).or_default().push(entry);
            }
        }
        let wait = |(group_name, number): (String, u32)| {
            let is_of_group =
                |copy: &&CopyRecord| group(rules, &copy.barcode).as_ref() == Some(&group_name);
            let of_group: Vec<&CopyRecord> = copies.iter().filter(is_of_group).collect();
            let receipted: Vec<&CopyRecord> =
                of_group.iter().copied().filter(|copy| copy.state.is_receipted()).collect();
            let under_way =
                of_group.iter().find(|copy| copy.number == number && copy.state.is_under_way());
            let without = || {
                // What is made again gets the first number that is free, which need not be that of the other members: one that holds what is
                // on its cartridge now is as good.
                let has_copy = |entry: &&&CartridgeEntry| {
                    let is_its = |copy: &&&CopyRecord| copy.cartridge == entry.uuid;
                    let mut its = receipted.iter().filter(is_its);
                    its.any(|copy| copy.number == number || is_current(copy, entry))
                };
                members.get(&group_name)?.iter().find(|entry| !has_copy(entry))
            };
            let wait = match (under_way, without()) {
                (Some(copy), _) => Wait::of(group_name, number, &copy.barcode, Some(copy.state)),
                (None, Some(entry)) => Wait::of(group_name, number, &entry.barcode, None),
                (None, None) => return None,
            };
            Some(((wait.group.clone(), number), wait))
        };
        Self(ready.into_iter().filter_map(wait).collect())
    }

    /// What a copy has to wait for.
    pub fn wait(&self, rules: &Rules, copy: &CopyRecord) -> Option<&Wait> {
        self.0.get(&(group(rules, &copy.barcode)?, copy.number))
    }

    /// The members that have no copy at all.
    pub fn without_copy(&self) -> impl Iterator<Item = &Wait> {
        self.0.values().filter(|wait| wait.state.is_none())
    }
}

impl Wait {
    fn of(group: String, copy: u32, barcode: &Barcode, state: Option<CopyState>) -> Self {
        let reason = match state {
            Some(state) => {
                format!("its group waits for copy {copy} of {barcode}, which is {state}")
            }
            None => format!(
                "its group waits for copy {copy} of {barcode}, which has none: `vtl export {barcode} --copy {copy} --to DEVICE`"
            ),
        };
        Self { group, copy, barcode: barcode.clone(), state, reason }
    }
}

fn group(rules: &Rules, barcode: &Barcode) -> Option<String> {
    rules.group_of(barcode).map(|(name, _)| name.to_owned())
}
