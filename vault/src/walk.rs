//! The way of copies off-site and back, as an operator walks it: what may be shipped, what has arrived, what is asked back, and what of
//! that has come. Every answer is a list of steps for the ledger; none skips one of the walk.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use vtl_media::{Barcode, CopyFacts, CopyRecord, CopyState, CopyStep};

use crate::rules::Rules;
use stacks::Stacks;

mod error;
mod lists;
mod stacks;
mod together;

pub use error::WalkError;
pub use lists::{NextStep, manifest, next_steps, overdue, pick_list};
pub use together::{Wait, Waits};

/// Which copies are meant: those with these barcodes, or all that are ready if none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Barcodes of tapes, or of the cartridges that they are copies of.
    pub barcodes: Vec<String>,
    /// Only copies of this number.
    pub copy: Option<u32>,
    /// Only those in this container.
    pub container: Option<String>,
}

/// A container on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The container's name.
    pub container: String,
    /// Its seal.
    pub seal: String,
    /// Where it goes.
    pub site: String,
    /// When it is expected there.
    pub expected: Timestamp,
}

/// What came back, compared with what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Came back, sound.
    pub returned: Vec<String>,
    /// Came back damaged.
    pub damaged: Vec<String>,
    /// Was asked back in this container, and did not come.
    pub lost: Vec<String>,
    /// Came, and was not asked back in this container; with what is known of it.
    pub unexpected: Vec<Unexpected>,
}

/// A tape that nobody had asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unexpected {
    /// What its label says.
    pub barcode: String,
    /// What is known of it, and what to do.
    pub reason: String,
}

/// What the label of a copy's tape says: where nobody has said anything else, the cartridge's barcode.
pub fn volume_of(copy: &CopyRecord) -> &str {
    copy.facts.volume.as_deref().unwrap_or(copy.barcode.as_str())
}

/// Copies that left the house and have not come back.
fn is_away(copy: &CopyRecord) -> bool {
    copy.state.is_away()
}

fn has_name(copy: &CopyRecord, name: &str) -> bool {
    volume_of(copy) == name || copy.barcode.as_str() == name
}

/// Steps that put ejected tapes into a container and give it to the courier.
pub fn ship(
    rules: &Rules,
    copies: &[CopyRecord],
    choice: &Choice,
    shipment: &Shipment,
) -> Result<Vec<CopyStep>, WalkError> {
    let same_name =
        |copy: &&CopyRecord| copy.facts.container.as_deref() == Some(shipment.container.as_str());
    if let Some(away) = copies.iter().filter(|copy| is_away(copy)).find(same_name) {
        return Err(WalkError::ContainerAway {
            container: shipment.container.clone(),
            state: away.state,
            since: away.since,
        });
    }
    // A tape that came back goes out again only if it is named; that it is taken out once more is a step of its own.
    let mut choice = choice.clone();
    let is_named = |copy: &&CopyRecord, name: &String| {
        has_name(copy, name) && choice.copy.is_none_or(|number| copy.number == number)
    };
    let in_state = |name: &String, state: CopyState| {
        copies.iter().filter(|copy| copy.state == state).find(|copy| is_named(copy, name))
    };
    let goes_again = |name: &String| in_state(name, CopyState::Ejected).is_none();
    let again: Vec<(String, &CopyRecord)> = choice
        .barcodes
        .iter()
        .filter(|name| goes_again(name))
        .filter_map(|name| Some((name.clone(), in_state(name, CopyState::Returned)?)))
        .collect();
    choice.barcodes.retain(|name| !again.iter().any(|(known, _)| known == name));
    let mut chosen = Vec::new();
    if again.is_empty() || !choice.barcodes.is_empty() {
        chosen = choose(copies, &choice, CopyState::Ejected, CopyState::Courier, "ship")?;
    }
    // Scanned twice, or named by tape and by cartridge, it is one copy all the same.
    let mut again: Vec<&CopyRecord> = again.into_iter().map(|(_, copy)| copy).collect();
    again.sort_unstable_by_key(|copy| copy.id);
    again.dedup_by_key(|copy| copy.id);
    let again = Stacks::of(copies).with(again, |copy| copy.state == CopyState::Returned)?;
    chosen.extend(&again);
    let is_ready = |copy: &CopyRecord| {
        copy.state == CopyState::Ejected || again.iter().any(|known| known.id == copy.id)
    };
    let together = with_groups(rules, copies, chosen, is_ready)?;
    let facts = CopyFacts {
        container: Some(shipment.container.clone()),
        seal: Some(shipment.seal.clone()),
        site: Some(shipment.site.clone()),
        expected: Some(shipment.expected),
        ..CopyFacts::default()
    };
    let mut all = steps(&again, CopyState::Ejected, &CopyFacts::default());
    all.extend(steps(&together, CopyState::Courier, &facts));
    Ok(all)
}

/// Steps that say that a container has arrived at the other site, but for what was missing in it.
pub fn receive(
    copies: &[CopyRecord],
    container: &str,
    missing: &[Barcode],
    facts: &CopyFacts,
    is_accepted: bool,
) -> Result<Vec<CopyStep>, WalkError> {
    let inside = in_container(copies, container, CopyState::Courier);
    let first = inside.first().ok_or_else(|| WalkError::NoContainer {
        container: container.to_owned(),
        state: "with the courier",
    })?;
    if let (Some(found), Some(shipped)) = (&facts.seal, &first.facts.seal)
        && found != shipped
        && !is_accepted
    {
        return Err(WalkError::Seal {
            container: container.to_owned(),
            shipped: shipped.clone(),
            found: found.clone(),
        });
    }
    check_inside(&inside, missing, container)?;
    let is_missing =
        |copy: &&&CopyRecord| missing.iter().any(|barcode| barcode.as_str() == volume_of(copy));
    let (gone, there): (Vec<&CopyRecord>, Vec<&CopyRecord>) =
        inside.iter().copied().partition(|copy| is_missing(&copy));
    let mut all = steps(&there, CopyState::Offsite, facts);
    let reason = format!("not in container {container} when it arrived");
    let lost = CopyFacts { reason: Some(reason), ..CopyFacts::default() };
    all.extend(steps(&gone, CopyState::Lost, &lost));
    Ok(all)
}

/// Steps that ask tapes back. What a group's other members have at the other site comes with them.
pub fn recall(
    rules: &Rules,
    copies: &[CopyRecord],
    choice: &Choice,
    facts: &CopyFacts,
) -> Result<Vec<CopyStep>, WalkError> {
    let mut chosen = choose(copies, choice, CopyState::Offsite, CopyState::Recalled, "recall")?;
    let stacks = Stacks::of(copies);
    loop {
        let count = chosen.len();
        let groups = groups_of(rules, &chosen);
        let follows = |copy: &&CopyRecord| {
            copy.state == CopyState::Offsite
                && rules
                    .group_of(&copy.barcode)
                    .is_some_and(|(name, _)| groups.contains(&(name, copy.number)))
        };
        for copy in copies.iter().filter(follows) {
            if !chosen.iter().any(|known| known.id == copy.id) {
                chosen.push(copy);
            }
        }
        chosen = stacks.with(chosen, |copy| copy.state == CopyState::Offsite)?;
        if chosen.len() == count {
            break;
        }
    }
    Ok(steps(&chosen, CopyState::Recalled, facts))
}

/// Steps that call a recall off: the tapes stay at the other site.
pub fn call_off(
    copies: &[CopyRecord],
    choice: &Choice,
    facts: &CopyFacts,
) -> Result<Vec<CopyStep>, WalkError> {
    let chosen = choose(copies, choice, CopyState::Recalled, CopyState::Offsite, "call off")?;
    Ok(steps(&chosen, CopyState::Offsite, facts))
}

/// Compares what came back in a container with what was asked back in it, and says the steps. A damaged tape comes back and is never
/// relied on again; a tape that did not come is lost until it is found.
pub fn take_back(
    copies: &[CopyRecord],
    container: &str,
    came: &[Barcode],
    damaged: &[Barcode],
) -> Result<(Comparison, Vec<CopyStep>), WalkError> {
    let mut expected = in_container(copies, container, CopyState::Recalled);
    // One that was given up and is in its container after all.
    let has_come = |copy: &&CopyRecord| came.iter().any(|came| came.as_str() == volume_of(copy));
    let found = in_container(copies, container, CopyState::Lost);
    expected.extend(found.into_iter().filter(has_come));
    if expected.is_empty() {
        let container = container.to_owned();
        return Err(WalkError::NoContainer { container, state: "on its way back (recalled)" });
    }
    check_inside(&expected, damaged, container)?;
    let mut comparison = Comparison::default();
    let mut all = Vec::new();
    for copy in &expected {
        let is_in = |list: &[Barcode]| list.iter().any(|one| one.as_str() == volume_of(copy));
        let volume = volume_of(copy).to_owned();
        if is_in(damaged) {
            all.extend(steps(&[copy], CopyState::Returned, &CopyFacts::default()));
            let reason = Some(format!("came back damaged in container {container}"));
            let facts = CopyFacts { reason, ..CopyFacts::default() };
            all.extend(steps(&[copy], CopyState::Failed, &facts));
            push_once(&mut comparison.damaged, volume);
        } else if is_in(came) {
            all.extend(steps(&[copy], CopyState::Returned, &CopyFacts::default()));
            push_once(&mut comparison.returned, volume);
        } else {
            let reason = Some(format!("not in container {container} when it came back"));
            let facts = CopyFacts { reason, ..CopyFacts::default() };
            all.extend(steps(&[copy], CopyState::Lost, &facts));
            push_once(&mut comparison.lost, volume);
        }
    }
    let is_stranger =
        |barcode: &&Barcode| !expected.iter().any(|copy| volume_of(copy) == barcode.as_str());
    for barcode in came.iter().filter(is_stranger) {
        let reason = whereabouts(copies, barcode);
        if !comparison.unexpected.iter().any(|known| known.barcode == barcode.as_str()) {
            comparison.unexpected.push(Unexpected { barcode: barcode.to_string(), reason });
        }
    }
    Ok((comparison, all))
}

/// Steps that note that tapes with a receipt are taken out of their drive or library, groups all or none.
pub fn eject(rules: &Rules, copies: &[CopyRecord], waits: &Waits) -> Vec<CopyStep> {
    let is_ready = |copy: &&CopyRecord| {
        copy.state == CopyState::Receipted && waits.wait(rules, copy).is_none()
    };
    let stacks = Stacks::of(copies);
    let are_ready = |copy: &&CopyRecord| stacks.members(copy).iter().all(is_ready);
    let ready: Vec<&CopyRecord> = copies.iter().filter(is_ready).filter(are_ready).collect();
    steps(&ready, CopyState::Ejected, &CopyFacts::default())
}

fn steps(copies: &[&CopyRecord], state: CopyState, facts: &CopyFacts) -> Vec<CopyStep> {
    copies.iter().map(|copy| CopyStep { copy: copy.id, state, facts: facts.clone() }).collect()
}

fn in_container<'a>(
    copies: &'a [CopyRecord],
    container: &str,
    state: CopyState,
) -> Vec<&'a CopyRecord> {
    let is_inside = |copy: &&CopyRecord| {
        copy.state == state && copy.facts.container.as_deref() == Some(container)
    };
    copies.iter().filter(is_inside).collect()
}

fn check_inside(
    inside: &[&CopyRecord],
    named: &[Barcode],
    container: &str,
) -> Result<(), WalkError> {
    let is_inside =
        |barcode: &Barcode| inside.iter().any(|copy| volume_of(copy) == barcode.as_str());
    match named.iter().find(|barcode| !is_inside(barcode)) {
        None => Ok(()),
        Some(stranger) => Err(WalkError::NotInContainer {
            barcode: stranger.clone(),
            container: container.to_owned(),
        }),
    }
}

/// The copies that are meant, all of which are where they have to be.
fn choose<'a>(
    copies: &'a [CopyRecord],
    choice: &Choice,
    from: CopyState,
    to: CopyState,
    verb: &'static str,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    let fits = |copy: &&CopyRecord| {
        choice.copy.is_none_or(|number| copy.number == number)
            && choice
                .container
                .as_ref()
                .is_none_or(|name| copy.facts.container.as_ref() == Some(name))
    };
    let mut chosen: Vec<&CopyRecord> = Vec::new();
    for barcode in &choice.barcodes {
        let named: Vec<&CopyRecord> =
            copies.iter().filter(fits).filter(|copy| has_name(copy, barcode)).collect();
        let mut ready: Vec<&CopyRecord> =
            named.iter().copied().filter(|copy| copy.state == from).collect();
        if ready.is_empty() {
            // The newest one tells most.
            let known =
                named.iter().copied().max_by_key(|copy| (!copy.state.is_over(), copy.staged));
            return Err(known.map_or_else(
                || WalkError::NoCopy(barcode.clone()),
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

/// The chosen copies, those of the same number of all members of their groups, and whatever is on the same tapes; all have to be ready.
fn with_groups<'a>(
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
        for copy in copies.iter().filter(is_member) {
            if !is_ready(copy) {
                return Err(WalkError::Group {
                    group: group.to_owned(),
                    barcode: copy.barcode.clone(),
                    number,
                    state: copy.state.to_string(),
                });
            }
            if !together.iter().any(|known| known.id == copy.id) {
                together.push(copy);
            }
        }
    }
    Ok(together)
}

fn whereabouts(copies: &[CopyRecord], barcode: &Barcode) -> String {
    let known = copies
        .iter()
        .filter(|copy| volume_of(copy) == barcode.as_str())
        .max_by_key(|copy| (!copy.state.is_over(), copy.since));
    match known {
        None => "no copy has this barcode: it is not ours, or not from this library; keep it apart"
            .to_owned(),
        Some(copy) => {
            let container = copy.facts.container.as_deref();
            let inside = container.map(|name| format!(" in container {name}")).unwrap_or_default();
            format!(
                "copy {} of {} is {}{inside}, and was not asked back with this one; put it right there first",
                copy.number, copy.barcode, copy.state
            )
        }
    }
}

fn push_once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
