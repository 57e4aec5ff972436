//! `vtl vault retire`: a copy that is lost, damaged or expired does not count any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vtl_media::CopyRecord;
use vtl_vault::walk;

use super::row;
use crate::library::Library;
use crate::request::Failure;
use crate::rules::policies::explain_copy;

/// A copy that does not count any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Retired {
    /// The barcode of the cartridge, or of the tape.
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
    let copy = find(&copies, &wanted.barcode, wanted.copy).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no copy {} of {}; `vtl vault list` shows those that there are",
            wanted.copy, wanted.barcode
        ))
    })?;
    if !copy.state.may_retire() {
        return Err(Failure::refused(explained(copy)));
    }
    let retired = library.store.retire_copy(copy.id, reason, wanted.last_copy, actor);
    let retired = retired.map_err(|error| explain_copy(&error))?;
    Ok(row(&retired, library.store.now()))
}

/// Of several that had this number, one that counts, else the newest.
fn find<'a>(copies: &'a [CopyRecord], barcode: &str, number: u32) -> Option<&'a CopyRecord> {
    let is_named = |copy: &&CopyRecord| {
        let names = [copy.barcode.as_str(), walk::volume_of(copy)];
        copy.number == number && names.iter().any(|name| name.eq_ignore_ascii_case(barcode))
    };
    let key = |copy: &&CopyRecord| (copy.state.may_retire(), !copy.state.is_over(), copy.staged);
    copies.iter().filter(is_named).max_by_key(key)
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

    /// The first one failed, the second was retired, the third counts: whoever names the cartridge means that, and whoever names a tape that one.
    #[test]
    fn of_several_copies_of_a_number_the_one_that_counts_is_meant() {
        let copies = [
            copy("2026-01-01T00:00:00Z", CopyState::Failed, "PHY001L9"),
            copy("2026-01-02T00:00:00Z", CopyState::Receipted, "PHY003L9"),
            copy("2026-01-03T00:00:00Z", CopyState::Retired, "PHY002L9"),
        ];
        let found = |barcode: &str| find(&copies, barcode, 1).map(walk::volume_of);
        assert_eq!(found("a00001l9"), Some("PHY003L9"));
        assert_eq!(found("PHY001L9"), Some("PHY001L9"));
        assert_eq!(found("PHY002L9"), Some("PHY002L9"));
        assert!(find(&copies, "A00001L9", 2).is_none());
        let away = copy("2026-01-03T00:00:00Z", CopyState::Courier, "PHY002L9");
        assert!(explained(&away).contains("vtl vault receive"));
    }
}
