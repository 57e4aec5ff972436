//! What is in a container when it is opened, at the other site or here again.

use serde::Serialize;
use vtl_media::{Barcode, CopyFacts, CopyRecord, CopyState, CopyStep};

use super::{WalkError, steps, volume_of};

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
