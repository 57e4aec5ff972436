//! What is in a container when it is opened, at the other site or here again.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;
use vtl_media::{CopyFacts, CopyRecord, CopyState, CopyStep};

use super::name::{TapeName, container_named, named, tapes, ways};
use super::{WalkError, steps};

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
    /// It was said to be damaged, which is noted nowhere.
    pub damaged: bool,
}

/// Steps that say that a container has arrived at the other site, but for what was missing in it.
pub fn receive(
    copies: &[CopyRecord],
    container: &str,
    missing: &[TapeName],
    facts: &CopyFacts,
    is_accepted: bool,
) -> Result<Vec<CopyStep>, WalkError> {
    let container = container_named(copies, container);
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
    if let Some(stranger) = strangers(&inside, missing).next() {
        let (barcode, container) = (stranger.to_string(), container.to_owned());
        return Err(WalkError::NotInContainer { barcode, container });
    }
    let missing = named(&tapes(&inside), missing)?;
    let (gone, there): (Vec<&CopyRecord>, Vec<&CopyRecord>) =
        inside.iter().copied().partition(|copy| missing.contains(&copy.id));
    let mut all = steps(&there, CopyState::Offsite, facts);
    let reason = format!("not in container {container} when it arrived");
    let lost = CopyFacts { reason: Some(reason), ..CopyFacts::default() };
    all.extend(steps(&gone, CopyState::Lost, &lost));
    Ok(all)
}

/// Compares what came back in a container with what was asked back in it, and says the steps. A damaged tape comes back and is never
/// relied on again; a tape that did not come is lost until it is found.
pub fn take_back(
    copies: &[CopyRecord],
    container: &str,
    came: &[TapeName],
    damaged: &[TapeName],
) -> Result<(Comparison, Vec<CopyStep>), WalkError> {
    let container = container_named(copies, container);
    let mut expected = in_container(copies, container, CopyState::Recalled);
    let names: Vec<&TapeName> = came.iter().chain(damaged).collect();
    // One that was given up and is in its container after all, unless the name is that of one that is expected.
    let is_asked = |name: &TapeName| expected.iter().any(|copy| name.is_tape_of(copy));
    let found: Vec<&TapeName> = names.iter().copied().filter(|name| !is_asked(name)).collect();
    let has_come = |copy: &&CopyRecord| found.iter().any(|name| name.is_tape_of(copy));
    let given_up = in_container(copies, container, CopyState::Lost);
    expected.extend(given_up.into_iter().filter(has_come));
    if expected.is_empty() {
        let container = container.to_owned();
        return Err(WalkError::NoContainer { container, state: "on its way back (recalled)" });
    }
    let tapes = tapes(&expected);
    // Each list by itself: a damaged tape may be in both, or only in its own.
    let (sound, bad) = (named(&tapes, came)?, named(&tapes, damaged)?);
    let mut comparison = Comparison::default();
    let mut all = Vec::new();
    let none = CopyFacts::default();
    for (tape, name) in tapes.iter().zip(ways(&tapes)) {
        let is_in = |ids: &BTreeSet<Uuid>| tape.iter().any(|copy| ids.contains(&copy.id));
        if is_in(&bad) {
            all.extend(steps(tape, CopyState::Returned, &none));
            let reason = Some(format!("came back damaged in container {container}"));
            let facts = CopyFacts { reason, ..CopyFacts::default() };
            all.extend(steps(tape, CopyState::Failed, &facts));
            comparison.damaged.push(name);
        } else if is_in(&sound) {
            all.extend(steps(tape, CopyState::Returned, &none));
            comparison.returned.push(name);
        } else {
            let reason = Some(format!("not in container {container} when it came back"));
            let facts = CopyFacts { reason, ..CopyFacts::default() };
            all.extend(steps(tape, CopyState::Lost, &facts));
            comparison.lost.push(name);
        }
    }
    for name in strangers(&expected, came).chain(strangers(&expected, damaged)) {
        let barcode = name.to_string();
        if !comparison.unexpected.iter().any(|known| known.barcode == barcode) {
            let damaged = damaged.contains(name);
            let reason = whereabouts(copies, name, damaged);
            comparison.unexpected.push(Unexpected { barcode, reason, damaged });
        }
    }
    Ok((comparison, all))
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

/// The names that no tape inside has.
fn strangers<'a>(
    inside: &[&CopyRecord],
    names: &'a [TapeName],
) -> impl Iterator<Item = &'a TapeName> {
    names.iter().filter(|name| !inside.iter().any(|copy| name.is_tape_of(copy)))
}

fn whereabouts(copies: &[CopyRecord], name: &TapeName, is_damaged: bool) -> String {
    let known = copies
        .iter()
        .filter(|copy| name.is_tape_of(copy))
        .max_by_key(|copy| (!copy.state.is_over(), copy.since));
    let Some(copy) = known else {
        return "no copy has this barcode: it is not ours, or not from this library; keep it apart"
            .to_owned();
    };
    let container = copy.facts.container.as_deref();
    let inside = container.map(|name| format!(" in container {name}")).unwrap_or_default();
    let damage = if is_damaged { ", with --damaged" } else { "" };
    let next = match (copy.state, container) {
        (CopyState::Offsite, Some(container)) => format!(
            "`vtl vault recall {name} --expect 1h` first, and then `vtl vault return --container {container}` once more{damage}"
        ),
        (CopyState::Recalled, Some(container)) => {
            format!("name it in `vtl vault return --container {container}`{damage}")
        }
        _ => "put it right there first".to_owned(),
    };
    format!(
        "copy {} of {} is {}{inside}, and was not asked back with this one; {next}",
        copy.number, copy.barcode, copy.state
    )
}
