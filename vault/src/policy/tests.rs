//! What policies would do, where they get in the way of each other or of what is on tape already.

use jiff::Timestamp;
use vtl_media::{CopyFacts, CopyState};

use super::*;
use crate::facts::{test_entry, test_situation};

const LONG_AGO: &str = "2026-10-01T20:00:00Z";

fn rules(document: &str) -> Rules {
    Rules::parse(document).unwrap()
}

/// A copy of what is on a cartridge, or, with fewer bytes, of what was on it before.
fn copy(entry: &CartridgeEntry, number: u32, state: CopyState, is_current: bool) -> CopyRecord {
    let staged: Timestamp = LONG_AGO.parse().unwrap();
    let facts = CopyFacts {
        as_of: Some(staged),
        bytes: Some(entry.written_bytes - u64::from(!is_current)),
        ..CopyFacts::default()
    };
    CopyRecord {
        id: Uuid::from_u128(entry.uuid.as_u128() + (u128::from(number) << 100)),
        cartridge: entry.uuid,
        barcode: entry.barcode.clone(),
        number,
        state,
        since: staged,
        staged,
        proved: None,
        facts,
    }
}

/// What stands in the way of each action of a kind, by policy and cartridge.
fn blocked(plan: &Plan, is_meant: impl Fn(Action) -> bool) -> Vec<(String, String)> {
    let row = |planned: &Planned| {
        let name = format!("{} {}", planned.policy, planned.barcode);
        (name, planned.blocked.clone().unwrap_or_default())
    };
    plan.actions.iter().filter(|planned| is_meant(planned.action)).map(row).collect()
}

fn is_free(action: Action) -> bool {
    action == Action::FreeDisk
}

/// A cartridge was deleted for the one copy that a policy wanted, while another policy, which waited for its day, still wanted a second one:
/// nothing was left that it could be made of.
#[test]
fn the_disk_is_kept_until_the_policy_that_wants_most_has_its_copies() {
    let entry = test_entry("A00001L9", Some(LONG_AGO));
    let mut situation = test_situation(vec![entry.clone()]);
    situation.copies = vec![copy(&entry, 1, CopyState::Receipted, true)];
    let free = "[policy.b]\ncopies = 1\nfree-disk = true\n";
    let with = |other: &str| rules(&format!("{free}{other}"));
    let told = |rules: &Rules, situation: &Situation| {
        let [(name, why)] = blocked(&plan(rules, situation), is_free).try_into().unwrap();
        assert_eq!(name, "b A00001L9");
        why
    };
    let waits = "policy a wants 2 copies of it: 1 of 2 copies have receipts";
    for other in [
        "[policy.a]\nwhen = { age = \"1d\" }\ncopies = 2\n",
        // Its day has not come.
        "[policy.a]\nwhen = { age = \"90d\" }\ncopies = 2\n",
        "[group.g]\nmembers = [\"A*\"]\n[policy.a]\ngroup = \"g\"\nwhen = \"full\"\ncopies = 2\n",
    ] {
        assert_eq!(told(&with(other), &situation), waits, "{other}");
    }
    for other in [
        "[policy.a]\nmembers = [\"B*\"]\ncopies = 2\n",
        "[policy.a]\ncopies = 1\n",
        "[policy.a]\nverify = true\n",
    ] {
        assert_eq!(told(&with(other), &situation), "", "{other}");
    }
    let two = with("[policy.a]\nwhen = \"full\"\ncopies = 2\n");
    situation.copies.push(copy(&entry, 2, CopyState::Offsite, true));
    assert_eq!(told(&two, &situation), "");
}

/// A plan said that a whole group could be given up; the run deleted one half and failed on the member that a snapshot rests on.
#[test]
fn a_group_that_something_rests_on_is_not_given_up_in_part() {
    let document =
        "[group.g]\nmembers = [\"A*\"]\n[policy.p]\ngroup = \"g\"\ncopies = 1\nfree-disk = true\n";
    let entries = ["A00001L9", "A00002L9"].map(|barcode| test_entry(barcode, Some(LONG_AGO)));
    let mut situation = test_situation(entries.to_vec());
    situation.copies =
        entries.iter().map(|entry| copy(entry, 1, CopyState::Receipted, true)).collect();
    let told = |situation: &Situation| {
        let rows = blocked(&plan(&rules(document), situation), is_free);
        rows.into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    assert_eq!(told(&situation), ["", ""]);
    situation.dependents.insert(entries[1].uuid, vec!["snapshot s".into(), "twin T".into()]);
    let why = "it holds what others rest on (snapshot s, twin T): delete these first";
    assert_eq!(told(&situation), [&*format!("its group waits for A00002L9: {why}"), why]);
}

/// Of a group with a damaged member the others were copied, and half of a database was on tape.
#[test]
fn a_group_with_a_damaged_member_is_not_copied_in_part() {
    let document =
        "[group.g]\nmembers = [\"A*\"]\n[policy.p]\ngroup = \"g\"\nverify = true\ncopies = 2\n";
    let mut entries = ["A00001L9", "A00002L9"].map(|barcode| test_entry(barcode, Some(LONG_AGO)));
    entries[1].state = CartridgeState::Damaged;
    let mut situation = test_situation(entries.to_vec());
    // One copy of it was made before: the number of the next one is another.
    situation.copies = vec![copy(&entries[1], 1, CopyState::Receipted, true)];
    let made = plan(&rules(document), &situation);
    let copies = blocked(&made, |action| matches!(action, Action::Export { .. }));
    let damaged = "it is damaged: `vtl verify A00002L9` names what cannot be read";
    let waits = format!("its group waits for A00002L9: {damaged}");
    let told: Vec<&str> = copies.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(told, [&waits, &waits, damaged]);
    let verified = blocked(&made, |action| action == Action::Verify);
    assert!(verified.iter().all(|(_, why)| why.is_empty()), "reading back harms nobody");
}

/// A policy that ran by itself wrote copy 1 and never another one: what was asked for after the cartridge had been appended to got number 2, and
/// only numbers up to `copies` were looked at. The plan counted what was asked for, and said that all is done.
#[test]
fn copies_are_in_line_by_what_is_on_them_and_not_by_their_numbers() {
    use CopyState::{Manifested, Offsite, Proved, Receipted, Staged, Written};
    let entry = test_entry("A00001L9", Some(LONG_AGO));
    let night = "[policy.night]\ncopies = 1\nrun = \"02:00\"\nlibrary = \"/dev/sg3\"\n";
    let line = |document: &str, copies: &[(u32, CopyState, bool)]| {
        let mut situation = test_situation(vec![entry.clone()]);
        let made = copies
            .iter()
            .map(|(number, state, is_current)| copy(&entry, *number, *state, *is_current));
        situation.copies = made.collect();
        let line = in_line("night", &rules(document), &situation);
        let numbers = |copies: &[CopyRecord]| copies.iter().map(|copy| copy.number).collect();
        (numbers(&line.next), numbers(&line.left)) as (Vec<u32>, Vec<u32>)
    };
    let none = Vec::new;
    assert_eq!(line(night, &[(1, Staged, true)]), (vec![1], none()));
    assert_eq!(line(night, &[(1, Offsite, false), (2, Staged, true)]), (vec![2], none()));
    let third = [(1, Offsite, false), (2, Receipted, false), (3, Staged, true)];
    assert_eq!(line(night, &third), (vec![3], none()));
    // As many as are wanted; those that were begun come first.
    let two = night.replace("copies = 1", "copies = 2");
    let begun = [(2, Receipted, true), (3, Staged, true), (4, Written, true)];
    assert_eq!(line(&two, &begun), (vec![4], vec![3]));
    assert_eq!(line(night, &begun), (none(), vec![4, 3]), "it has its copy, and somebody is told");
    // What is begun of older content is finished, and does not count; in a library it keeps nothing waiting.
    let stale = [(1, Manifested, false), (2, Staged, true)];
    assert_eq!(line(night, &stale), (vec![2, 1], none()));
    let drive = night.replace("library = \"/dev/sg3\"", "drive = \"/dev/nst0\"");
    assert_eq!(line(&drive, &stale), (vec![1, 2], none()));
    assert_eq!(line(night, &[(1, Proved, false), (2, Offsite, true)]), (none(), vec![1]));
    // Another policy that runs by itself writes what this one does not need; one that is run by hand does not.
    let other = "[policy.other]\ncopies = 2\n";
    let asked = [(1, Receipted, true), (2, Staged, true)];
    assert_eq!(line(&format!("{night}{other}"), &asked), (none(), vec![2]));
    let other = format!("{night}{other}run = \"04:00\"\ndrive = \"/dev/nst0\"\n");
    assert_eq!(line(&other, &asked), (none(), none()));
}
