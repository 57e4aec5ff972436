//! `vtl vault retire`: a copy that is lost, damaged or expired does not count any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vtl_media::CopyRecord;
use vtl_vault::walk::{self, TapeName};

use super::{names, row};
use crate::library::Library;
use crate::request::Failure;
use crate::rules::policies::explain_copy;

/// A copy that does not count any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Retired {
    /// The barcode of the cartridge or of the tape, the medium's serial number, or the copy's id.
    pub(crate) barcode: String,
    /// Which of its copies.
    #[arg(long, value_name = "N")]
    pub(crate) copy: u32,
    /// Why, for whoever reads the ledger in five years.
    #[arg(long)]
    pub(crate) reason: String,
    /// It is the last proved copy, and the cartridge is not on disk any more: what is on it is given up for good.
    #[arg(long)]
    pub(crate) last_copy: bool,
}

pub(super) fn retire(library: &Library, wanted: &Retired, actor: &str) -> Result<Value, Failure> {
    let reason = wanted.reason.trim();
    if reason.is_empty() {
        return Err(Failure::usage("--reason is empty: say why the copy does not count any more"));
    }
    let copies = library.store.copies();
    let [name] = names("BARCODE", std::slice::from_ref(&wanted.barcode))?
        .try_into()
        .map_err(|_| Failure::usage("name one copy"))?;
    let copy = find(&copies, &name, wanted.copy)?;
    if !copy.state.may_retire() {
        return Err(Failure::refused(explained(copy)));
    }
    let retired = library.store.retire_copy(copy.id, reason, wanted.last_copy, actor);
    let retired = retired.map_err(|error| explain_copy(&error))?;
    Ok(row(&retired, library.store.now()))
}

/// Of several that had this number, one that counts, else the newest. A barcode that was given up may be used again, and a tape may have copies
/// of several cartridges: these are not taken for one another.
fn find<'a>(
    copies: &'a [CopyRecord],
    name: &TapeName,
    number: u32,
) -> Result<&'a CopyRecord, Failure> {
    let is_named = |copy: &&CopyRecord| copy.number == number && name.fits(copy);
    let mut fitting: Vec<&CopyRecord> = copies.iter().filter(is_named).collect();
    let better: [fn(&CopyRecord) -> bool; 2] =
        [|copy| !copy.state.is_over(), |copy| copy.state.may_retire()];
    for is_better in better {
        if fitting.iter().any(|copy| is_better(copy)) {
            fitting.retain(|copy| is_better(copy));
        }
    }
    if fitting.iter().any(|copy| name.is_tape_of(copy)) && !are_of_one(&fitting) {
        fitting.retain(|copy| name.is_tape_of(copy));
    }
    if !are_of_one(&fitting) {
        let known: Vec<String> = fitting.iter().map(|copy| described(copy)).collect();
        return Err(Failure::refused(format!(
            "{} different copies {number} may be meant by {name}: {}. Name the tape's barcode, the medium's serial number or the copy's id, \
             whichever only one of them has",
            fitting.len(),
            known.join("; ")
        )));
    }
    fitting.into_iter().max_by_key(|copy| copy.staged).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no copy {number} of {name}; `vtl vault list` shows those that there are"
        ))
    })
}

fn are_of_one(copies: &[&CopyRecord]) -> bool {
    copies.first().is_none_or(|first| copies.iter().all(|copy| copy.cartridge == first.cartridge))
}

fn described(copy: &CopyRecord) -> String {
    let medium = copy.facts.medium_serial.as_deref();
    let medium = medium.map(|serial| format!(", medium {serial}")).unwrap_or_default();
    let CopyRecord { barcode, state, id, .. } = copy;
    format!(
        "that of {barcode} on tape {}, which is {state} since {} (id {id}{medium})",
        walk::volume_of(copy),
        copy.since.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

/// What has to be done before.
fn explained(copy: &CopyRecord) -> String {
    let CopyRecord { number, barcode, state, facts, .. } = copy;
    let next = if state.is_under_way() {
        format!(
            "it is still being made and does not count yet; `vtl export {barcode} --copy {number}` goes on, and with --anew gives it up"
        )
    } else if state.is_away() {
        let container = facts.container.as_deref().unwrap_or("NAME");
        format!(
            "it is on its way: note first what came of container {container} (`vtl vault receive` or `return`; what is not in it is lost)"
        )
    } else {
        "it does not count already".to_owned()
    };
    format!("copy {number} of {barcode} is {state}: {next}")
}

#[cfg(test)]
mod tests {
    use vtl_media::{Barcode, CopyFacts, CopyState};

    use super::*;

    fn copy(staged: &str, state: CopyState, volume: &str) -> CopyRecord {
        CopyRecord {
            id: uuid::Uuid::now_v7(),
            cartridge: uuid::Uuid::nil(),
            barcode: Barcode::new("A00001L9").unwrap(),
            number: 1,
            state,
            since: staged.parse().unwrap(),
            staged: staged.parse().unwrap(),
            proved: None,
            facts: CopyFacts { volume: Some(volume.into()), ..CopyFacts::default() },
        }
    }

    fn name(text: &str) -> TapeName {
        TapeName::new(text).unwrap()
    }

    /// A cartridge was given up and a later one got its barcode: both had a copy 1, and the wrong one was retired.
    #[test]
    fn copies_of_two_cartridges_of_one_barcode_are_not_taken_for_one_another() {
        let mut old = copy("2026-01-01T00:00:00Z", CopyState::Offsite, "A00001L9");
        old.cartridge = uuid::Uuid::from_u128(1);
        old.facts.medium_serial = Some("HY1".into());
        let mut new = copy("2026-01-02T00:00:00Z", CopyState::Receipted, "A00001L9");
        new.facts.medium_serial = Some("HY2".into());
        let mut copies = [old, new];
        let error = find(&copies, &name("A00001L9"), 1).unwrap_err();
        assert_eq!(error.kind.exit_code(), 3);
        for part in ["medium HY1", "medium HY2", &copies[0].id.to_string()] {
            assert!(error.message.contains(part), "{error}");
        }
        let found = |copies: &[CopyRecord], text: &str| find(copies, &name(text), 1).unwrap().id;
        assert_eq!(found(&copies, "hy1"), copies[0].id);
        assert_eq!(found(&copies, "HY2"), copies[1].id);
        assert_eq!(found(&copies, &copies[0].id.to_string()), copies[0].id);
        // The name of a tape is rather that of the tape.
        copies[1].facts.volume = Some("PHY002L9".into());
        assert_eq!(found(&copies, "A00001L9"), copies[0].id);
        assert_eq!(found(&copies, "PHY002L9"), copies[1].id);
    }

    /// The first one failed, the second was retired, the third counts: whoever names the cartridge means that, and whoever names a tape that one.
    #[test]
    fn of_several_copies_of_a_number_the_one_that_counts_is_meant() {
        let copies = [
            copy("2026-01-01T00:00:00Z", CopyState::Failed, "PHY001L9"),
            copy("2026-01-02T00:00:00Z", CopyState::Receipted, "PHY003L9"),
            copy("2026-01-03T00:00:00Z", CopyState::Retired, "PHY002L9"),
        ];
        let found = |barcode: &str| find(&copies, &name(barcode), 1).ok().map(walk::volume_of);
        assert_eq!(found("a00001l9"), Some("PHY003L9"));
        assert_eq!(found("PHY001L9"), Some("PHY001L9"));
        assert_eq!(found("PHY002L9"), Some("PHY002L9"));
        let none = find(&copies, &name("A00001L9"), 2).unwrap_err();
        assert_eq!(none.kind.exit_code(), 4);
        let away = copy("2026-01-03T00:00:00Z", CopyState::Courier, "PHY002L9");
        assert!(explained(&away).contains("vtl vault receive"));
    }
}
