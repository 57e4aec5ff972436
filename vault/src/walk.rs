//! The way of copies off-site and back, as an operator walks it: what may be shipped, what has arrived, what is asked back, and what of
//! that has come. Every answer is a list of steps for the ledger; none skips one of the walk.

use jiff::Timestamp;

use vtl_media::{CopyFacts, CopyRecord, CopyState, CopyStep};

use crate::rules::Rules;
use choosing::{choose, with_company, with_groups};
use name::is_same_container;
use stacks::Stacks;

mod arrival;
mod choosing;
mod error;
mod lists;
mod name;
mod stacks;
mod together;

pub use arrival::{Comparison, Unexpected, receive, take_back};
pub use error::WalkError;
pub use lists::{NextStep, manifest, next_steps, overdue, pick_list};
pub use name::{NameError, TapeName, container_named, meant};
pub use together::{Wait, Waits};

/// Which copies are meant: those with these names, or all that are ready if none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Tapes, or the cartridges that they are copies of.
    pub barcodes: Vec<TapeName>,
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

/// What the label of a copy's tape says: where nobody has said anything else, the cartridge's barcode.
pub fn volume_of(copy: &CopyRecord) -> &str {
    copy.facts.volume.as_deref().unwrap_or(copy.barcode.as_str())
}

/// Copies that left the house and have not come back.
fn is_away(copy: &CopyRecord) -> bool {
    copy.state.is_away()
}

/// Steps that put ejected tapes into a container and give it to the courier.
pub fn ship(
    rules: &Rules,
    copies: &[CopyRecord],
    choice: &Choice,
    shipment: &Shipment,
) -> Result<Vec<CopyStep>, WalkError> {
    let is_same = |copy: &&CopyRecord| {
        let known = copy.facts.container.as_deref();
        known.is_some_and(|known| is_same_container(known, &shipment.container))
    };
    if let Some(away) = copies.iter().filter(|copy| is_away(copy)).find(is_same) {
        return Err(WalkError::ContainerAway {
            container: away.facts.container.clone().unwrap_or_default(),
            state: away.state,
            since: away.since,
        });
    }
    let known = container_named(copies, &shipment.container);
    if known != shipment.container {
        let (container, known) = (shipment.container.clone(), known.to_owned());
        return Err(WalkError::ContainerCase { container, known });
    }
    // A tape that came back goes out again only if it is named; that it is taken out once more is a step of its own.
    let mut fresh = Choice { barcodes: Vec::new(), ..choice.clone() };
    let mut again: Vec<&CopyRecord> = Vec::new();
    for name in &choice.barcodes {
        let in_state = |state: CopyState| -> Vec<&CopyRecord> {
            let fits = |copy: &&CopyRecord| {
                copy.state == state
                    && name.fits(copy)
                    && choice.copy.is_none_or(|number| copy.number == number)
            };
            copies.iter().filter(fits).collect()
        };
        let returned = in_state(CopyState::Returned);
        if returned.is_empty() || !in_state(CopyState::Ejected).is_empty() {
            fresh.barcodes.push(name.clone());
        } else {
            again.extend(meant(returned, name)?);
        }
    }
    let mut chosen = Vec::new();
    if again.is_empty() || !fresh.barcodes.is_empty() {
        chosen = choose(copies, &fresh, CopyState::Ejected, CopyState::Courier, "ship")?;
    }
    // Scanned twice, or named by tape and by cartridge, it is one copy all the same.
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

/// Steps that ask tapes back. What a group's other members have at the other site comes with them.
pub fn recall(
    rules: &Rules,
    copies: &[CopyRecord],
    choice: &Choice,
    facts: &CopyFacts,
) -> Result<Vec<CopyStep>, WalkError> {
    let chosen = choose(copies, choice, CopyState::Offsite, CopyState::Recalled, "recall")?;
    let chosen = with_company(rules, copies, chosen, CopyState::Offsite)?;
    Ok(steps(&chosen, CopyState::Recalled, facts))
}

/// Steps that call a recall off: the tapes stay at the other site, and what was asked back with them as a group stays as well.
pub fn call_off(
    rules: &Rules,
    copies: &[CopyRecord],
    choice: &Choice,
    facts: &CopyFacts,
) -> Result<Vec<CopyStep>, WalkError> {
    let chosen = choose(copies, choice, CopyState::Recalled, CopyState::Offsite, "call off")?;
    let chosen = with_company(rules, copies, chosen, CopyState::Recalled)?;
    Ok(steps(&chosen, CopyState::Offsite, facts))
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

#[cfg(test)]
mod tests;
