//! Groups, names of tapes and containers in situations that took somebody by surprise.

use super::*;
use crate::facts::test_entry;

const EARLY: &str = "2026-11-01T00:00:00Z";

fn copy(barcode: &str, number: u32, state: CopyState) -> CopyRecord {
    let staged = EARLY.parse().unwrap();
    CopyRecord {
        id: uuid::Uuid::now_v7(),
        cartridge: test_entry(barcode, None).uuid,
        barcode: vtl_media::Barcode::new(barcode).unwrap(),
        number,
        state,
        since: staged,
        staged,
        proved: Some(staged),
        facts: CopyFacts { as_of: Some(staged), ..CopyFacts::default() },
    }
}

fn rules() -> Rules {
    Rules::parse("[group.mail]\nmembers = [\"VTL*\"]\n").unwrap()
}

fn shipment(container: &str) -> Shipment {
    let (container, seal, site) = (container.to_owned(), "S1".to_owned(), "north".to_owned());
    Shipment { container, seal, site, expected: Timestamp::UNIX_EPOCH }
}

fn ids(steps: &[CopyStep]) -> Vec<uuid::Uuid> {
    steps.iter().map(|step| step.copy).collect()
}

/// Of two tapes of a group one was lost on arrival, and the policy had it made again. It was taken out, and could not be shipped: its group went
/// all or none, and the other one was off-site already. A tape of no group could not be shipped either.
#[test]
fn what_is_made_again_follows_its_group() {
    let lost = copy("VTL001L9", 1, CopyState::Lost);
    let again = copy("VTL001L9", 1, CopyState::Ejected);
    let mut ahead = copy("VTL002L9", 1, CopyState::Offsite);
    let other = copy("X00001L9", 1, CopyState::Ejected);
    let copies = |ahead: &CopyRecord| [lost.clone(), again.clone(), ahead.clone(), other.clone()];
    for state in [CopyState::Courier, CopyState::Offsite, CopyState::Recalled] {
        ahead.state = state;
        let steps = ship(&rules(), &copies(&ahead), &Choice::default(), &shipment("BOX2")).unwrap();
        assert_eq!(ids(&steps), [again.id, other.id], "{state}");
    }
    // One that is here has to go along.
    for (state, hint) in [(CopyState::Receipted, "so far"), (CopyState::Returned, "name it too")] {
        ahead.state = state;
        let error = ship(&rules(), &copies(&ahead), &Choice::default(), &shipment("BOX2"));
        assert!(error.unwrap_err().to_string().contains(hint), "{state}");
    }
}

/// Only one member of a group was written again, and its new copy was number 2: it waited for ever for copy 2 of the other member, whose copy 1
/// held all that was on it.
#[test]
fn a_copy_waits_for_no_copy_of_what_has_not_changed() {
    let first = test_entry("VTL001L9", Some("2026-11-20T00:00:00Z"));
    let mut second = test_entry("VTL002L9", Some(EARLY));
    let mut new = copy("VTL001L9", 2, CopyState::Receipted);
    new.facts.as_of = Some("2026-11-21T00:00:00Z".parse().unwrap());
    let copies = [
        copy("VTL001L9", 1, CopyState::Offsite),
        new.clone(),
        copy("VTL002L9", 1, CopyState::Offsite),
    ];
    let waits = Waits::of(&rules(), &copies, &[first.clone(), second.clone()]);
    assert_eq!(ids(&eject(&rules(), &copies, &waits)), [new.id]);
    // What was written since is to be copied first.
    second.last_written = Some("2026-11-20T00:00:00Z".parse().unwrap());
    let waits = Waits::of(&rules(), &copies, &[first, second]);
    assert!(eject(&rules(), &copies, &waits).is_empty());
    let waiting: Vec<&str> = waits.without_copy().map(|wait| wait.barcode.as_str()).collect();
    assert_eq!(waiting, ["VTL002L9"]);
}

/// A recall brought both tapes of a group, and calling it off left one of them recalled.
#[test]
fn a_recall_is_called_off_for_the_whole_group() {
    let copies = [
        copy("VTL001L9", 1, CopyState::Recalled),
        copy("VTL002L9", 1, CopyState::Recalled),
        copy("VTL002L9", 2, CopyState::Recalled),
        copy("X00001L9", 1, CopyState::Recalled),
    ];
    let named = Choice { barcodes: vec!["VTL001L9".into()], ..Choice::default() };
    let steps = call_off(&rules(), &copies, &named, &CopyFacts::default()).unwrap();
    assert_eq!(ids(&steps), [copies[0].id, copies[1].id]);
}
