//! Which copies a step is for: those that are named, and whatever goes with them.

use std::collections::BTreeSet;

use vtl_media::{CopyRecord, CopyState};

use super::name::{container_named, meant};
use super::stacks::Stacks;
use super::{Choice, WalkError, volume_of};
use crate::rules::Rules;

/// The copies that are meant, all of which are where they have to be.
pub(super) fn choose<'a>(
    copies: &'a [CopyRecord],
    choice: &Choice,
    from: CopyState,
    to: CopyState,
    verb: &'static str,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    let container = choice.container.as_deref().map(|name| container_named(copies, name));
    let fits = |copy: &&CopyRecord| {
        choice.copy.is_none_or(|number| copy.number == number)
            && (container.is_none() || copy.facts.container.as_deref() == container)
    };
    let mut chosen: Vec<&CopyRecord> = Vec::new();
    for name in &choice.barcodes {
        let named: Vec<&CopyRecord> =
            copies.iter().filter(fits).filter(|copy| name.fits(copy)).collect();
        let ready = named.iter().copied().filter(|copy| copy.state == from);
        let mut ready = meant(ready.collect(), name)?;
        if ready.is_empty() {
            // The newest one tells most.
            let known =
                named.iter().copied().max_by_key(|copy| (!copy.state.is_over(), copy.staged));
            return Err(known.map_or_else(
                || WalkError::NoCopy(name.to_string()),
                |copy| missing_steps(copy, from, to),
            ));
        }
        ready.retain(|copy| !chosen.iter().any(|known| known.id == copy.id));
        chosen.extend(ready);
    }
    if choice.barcodes.is_empty() {
        chosen = copies.iter().filter(fits).filter(|copy| copy.state == from).collect();
    }
    if chosen.is_empty() {
        return Err(WalkError::Nothing { state: from, verb });
    }
    Stacks::of(copies).with(chosen, |copy| copy.state == from)
}

fn missing_steps(copy: &CopyRecord, from: CopyState, to: CopyState) -> WalkError {
    let between = CopyState::ALL.into_iter().filter(|state| *state > copy.state && *state <= from);
    let names: Vec<&str> = between.map(CopyState::name).collect();
    let missing = if names.is_empty() { from.name().to_owned() } else { names.join(", ") };
    WalkError::Missing {
        volume: volume_of(copy).to_owned(),
        barcode: copy.barcode.clone(),
        number: copy.number,
        state: copy.state,
        to,
        missing,
    }
}

fn groups_of<'a>(rules: &'a Rules, chosen: &[&CopyRecord]) -> BTreeSet<(&'a str, u32)> {
    let of = |copy: &&CopyRecord| Some((rules.group_of(&copy.barcode)?.0, copy.number));
    chosen.iter().filter_map(of).collect()
}

/// The chosen copies, those of the same number of their groups' other members as far as they are in this state too, and whatever is on the
/// same tapes.
pub(super) fn with_company<'a>(
    rules: &Rules,
    copies: &'a [CopyRecord],
    chosen: Vec<&'a CopyRecord>,
    state: CopyState,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    let stacks = Stacks::of(copies);
    let mut together = chosen;
    loop {
        let count = together.len();
        let groups = groups_of(rules, &together);
        let follows = |copy: &&CopyRecord| {
            copy.state == state
                && rules
                    .group_of(&copy.barcode)
                    .is_some_and(|(name, _)| groups.contains(&(name, copy.number)))
        };
        let mut more: Vec<&CopyRecord> = copies.iter().filter(follows).collect();
        more.retain(|copy| !together.iter().any(|known| known.id == copy.id));
        together.extend(more);
        together = stacks.with(together, |copy| copy.state == state)?;
        if together.len() == count {
            return Ok(together);
        }
    }
}

/// The chosen copies, those of the same number of all members of their groups, and whatever is on the same tapes; all have to be ready.
pub(super) fn with_groups<'a>(
    rules: &Rules,
    copies: &'a [CopyRecord],
    chosen: Vec<&'a CopyRecord>,
    is_ready: impl Fn(&CopyRecord) -> bool,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    let stacks = Stacks::of(copies);
    let mut together = chosen;
    loop {
        let count = together.len();
        together = stacks.with(with_members(rules, copies, together, &is_ready)?, &is_ready)?;
        if together.len() == count {
            return Ok(together);
        }
    }
}

fn with_members<'a>(
    rules: &Rules,
    copies: &'a [CopyRecord],
    chosen: Vec<&'a CopyRecord>,
    is_ready: impl Fn(&CopyRecord) -> bool,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    let mut together = chosen;
    for (group, number) in groups_of(rules, &together.clone()) {
        let is_member = |copy: &&CopyRecord| {
            copy.number == number
                && !copy.state.is_over()
                && rules.group_of(&copy.barcode).is_some_and(|(name, _)| name == group)
        };
        // One that is with the courier or at the other site has gone ahead: what is made again in place of another one follows it.
        let stays = |copy: &&CopyRecord| is_member(copy) && !copy.state.is_away();
        for copy in copies.iter().filter(stays) {
            if !is_ready(copy) {
                return Err(WalkError::Group {
                    group: group.to_owned(),
                    barcode: copy.barcode.clone(),
                    number,
                    state: copy.state,
                });
            }
            if !together.iter().any(|known| known.id == copy.id) {
                together.push(copy);
            }
        }
    }
    Ok(together)
}
