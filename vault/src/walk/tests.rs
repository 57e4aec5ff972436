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

fn names(texts: &[&str]) -> Vec<TapeName> {
    texts.iter().map(|text| TapeName::new(text).unwrap()).collect()
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
    let named = Choice { barcodes: names(&["VTL001L9"]), ..Choice::default() };
    let steps = call_off(&rules(), &copies, &named, &CopyFacts::default()).unwrap();
    assert_eq!(ids(&steps), [copies[0].id, copies[1].id]);
}

fn on_tape(barcode: &str, number: u32, state: CopyState, volume: &str, serial: &str) -> CopyRecord {
    let mut copy = copy(barcode, number, state);
    copy.facts.volume = Some(volume.to_owned());
    copy.facts.medium_serial = (!serial.is_empty()).then(|| serial.to_owned());
    copy.facts.container = Some("BOX1".to_owned());
    copy
}

/// What came of each copy, in words.
fn told(copies: &[CopyRecord], steps: &[CopyStep]) -> Vec<String> {
    let said = |copy: &CopyRecord| {
        let last = steps.iter().rfind(|step| step.copy == copy.id)?;
        Some(format!("{}#{} {}", copy.barcode, copy.number, last.state))
    };
    copies.iter().filter_map(said).collect()
}

/// Copies 1 and 2 of a cartridge had been written in a standalone drive, both to tapes with the label VTL001L9. One of them came back, was scanned
/// once, and both were noted as returned; and one that was missing on arrival made both lost.
#[test]
fn two_tapes_with_one_label_are_not_taken_for_one() {
    let pair = |state, serial: &str| {
        [1, 2].map(|number| on_tape("VTL001L9", number, state, "VTL001L9", serial))
    };
    let copies = pair(CopyState::Recalled, "");
    let back = |came: &[&str], damaged: &[&str]| {
        take_back(&copies, "BOX1", &names(came), &names(damaged))
            .map(|(found, steps)| (found, told(&copies, &steps)))
    };
    let error = back(&["VTL001L9"], &[]).unwrap_err();
    assert!(error.to_string().contains("VTL001L9#1 or VTL001L9#2"), "{error}");
    back(&["VTL001L9"], &["VTL001L9"]).unwrap_err();
    let (found, steps) = back(&["vtl001l9#2"], &[]).unwrap();
    assert_eq!(steps, ["VTL001L9#1 lost", "VTL001L9#2 returned"]);
    assert_eq!((found.lost, found.returned), (names_of("#1"), names_of("#2")));
    let (_, steps) = back(&["VTL001L9", "VTL001L9"], &["VTL001L9#2"]).unwrap();
    assert_eq!(steps, ["VTL001L9#1 returned", "VTL001L9#2 failed"]);
    let (_, steps) = back(&["VTL001L9", "VTL001L9#1"], &[]).unwrap();
    assert_eq!(steps, ["VTL001L9#1 returned", "VTL001L9#2 returned"]);

    let copies = pair(CopyState::Courier, "");
    let missing = |names: &[TapeName]| {
        receive(&copies, "BOX1", names, &CopyFacts::default(), false)
            .map(|steps| told(&copies, &steps))
    };
    assert!(matches!(missing(&names(&["VTL001L9"])), Err(WalkError::Ambiguous { .. })));
    let steps = missing(&names(&["VTL001L9#1"])).unwrap();
    assert_eq!(steps, ["VTL001L9#1 lost", "VTL001L9#2 offsite"]);

    // Two cartridges of one barcode, of which one was given up: the number is no help.
    let mut copies = pair(CopyState::Recalled, "HY1");
    copies[1].number = 1;
    copies[1].facts.medium_serial = Some("HY2".into());
    let back = |came: &[&str]| take_back(&copies, "BOX1", &names(came), &[]);
    let error = back(&["VTL001L9#1"]).unwrap_err();
    assert!(error.to_string().contains("HY1 or HY2"), "{error}");
    assert_eq!(back(&["hy2"]).unwrap().0.returned, ["HY2"]);
}

fn names_of(number: &str) -> Vec<String> {
    vec![format!("VTL001L9{number}")]
}

/// A tape that was lost and made again under the same label: who scans the new one has not found the old one.
#[test]
fn what_is_expected_is_rather_meant_than_what_was_lost() {
    let copies = [
        on_tape("VTL001L9", 1, CopyState::Lost, "VTL001L9", "HY1"),
        on_tape("VTL001L9", 1, CopyState::Recalled, "VTL001L9", "HY2"),
    ];
    let back = |came: &str| take_back(&copies, "BOX1", &names(&[came]), &[]).unwrap().1;
    let of_first = |steps: &[CopyStep]| steps.iter().any(|step| step.copy == copies[0].id);
    assert!(!of_first(&back("VTL001L9")));
    assert!(of_first(&back("HY1")));
}

/// A damaged tape that lay in the box and had not been asked back made the whole return be refused, as if it were not in the box.
#[test]
fn a_damaged_tape_that_was_not_asked_back_holds_nothing_up() {
    let copies = [
        on_tape("X00001L9", 1, CopyState::Recalled, "PHY001L9", ""),
        on_tape("X00003L9", 1, CopyState::Offsite, "PHY003L9", ""),
    ];
    let came = names(&["PHY001L9", "PHY003L9"]);
    let (found, steps) =
        take_back(&copies, "BOX1", &came, &names(&["PHY003L9", "XYZ001L9"])).unwrap();
    assert_eq!(told(&copies, &steps), ["X00001L9#1 returned"]);
    let [known, stranger] = &found.unexpected[..] else { unreachable!("{found:?}") };
    assert_eq!((known.barcode.as_str(), known.damaged), ("PHY003L9", true));
    assert!(known.reason.contains("`vtl vault recall PHY003L9"), "{}", known.reason);
    assert_eq!((stranger.barcode.as_str(), stranger.damaged), ("XYZ001L9", true));
}

/// Two cartridges had one barcode, one after the other; who named it asked back the tapes of both.
#[test]
fn tapes_of_two_cartridges_are_not_asked_back_by_one_name() {
    let old = on_tape("VTL020L9", 1, CopyState::Offsite, "VTL020L9", "HY1");
    let mut new = on_tape("VTL020L9", 1, CopyState::Offsite, "SCR001L9", "HY2");
    new.cartridge = uuid::Uuid::from_u128(7);
    let mut copies = vec![old, new];
    let back = |copies: &[CopyRecord], name: &str| {
        let choice = Choice { barcodes: names(&[name]), ..Choice::default() };
        let steps = recall(&Rules::default(), copies, &choice, &CopyFacts::default())?;
        Ok::<_, WalkError>(ids(&steps))
    };
    assert_eq!(back(&copies, "VTL020L9").unwrap(), [copies[0].id], "rather the tape of that name");
    assert_eq!(back(&copies, "SCR001L9").unwrap(), [copies[1].id]);
    copies[1].facts.volume = Some("VTL020L9".into());
    let error = back(&copies, "VTL020L9").unwrap_err();
    assert!(error.to_string().contains("HY1 or HY2"), "{error}");
    assert_eq!(back(&copies, "HY2").unwrap(), [copies[1].id]);
    // Two copies of one cartridge are both asked back.
    copies[1].cartridge = copies[0].cartridge;
    copies[1].number = 2;
    assert_eq!(back(&copies, "VTL020L9").unwrap().len(), 2);
    assert_eq!(back(&copies, "VTL020L9#2").unwrap(), [copies[1].id]);
}

#[test]
fn names_of_tapes() {
    for good in ["VTL001L9", "vtl001l9#2", "HY-0004711", &uuid::Uuid::nil().to_string()] {
        assert_eq!(TapeName::new(good).unwrap().to_string(), good.to_ascii_uppercase());
    }
    for bad in ["", "#1", "VTL001L9#", "VTL001L9#0", "VTL001L9,VTL002L9", "A B", "VTL001L9#1#2"] {
        assert!(TapeName::new(bad).is_err(), "{bad}");
    }
}

/// The bars on a list have capital letters only: what was shipped as `box1` was scanned as BOX1, and no such container was on its way.
#[test]
fn a_container_has_its_name_in_small_and_in_capital_letters() {
    let mut copies = [on_tape("X00001L9", 1, CopyState::Courier, "PHY001L9", "")];
    copies[0].facts.container = Some("box1".to_owned());
    let facts = CopyFacts::default();
    assert_eq!(receive(&copies, "BOX1", &[], &facts, false).unwrap().len(), 1);
    assert_eq!(manifest(&copies, "Box1").unwrap().container, "box1");
    copies[0].state = CopyState::Offsite;
    let choice = Choice { container: Some("BOX1".to_owned()), ..Choice::default() };
    assert_eq!(recall(&Rules::default(), &copies, &choice, &facts).unwrap().len(), 1);
    copies[0].state = CopyState::Recalled;
    let (found, _) = take_back(&copies, "BOX1", &names(&["PHY001L9"]), &[]).unwrap();
    assert_eq!(found.returned, ["PHY001L9"]);
    // No second one that is the same when it is scanned.
    let mut other = on_tape("X00002L9", 1, CopyState::Ejected, "PHY002L9", "");
    other.facts.container = None;
    let ship = |first: &CopyRecord, name: &str| {
        let copies = [first.clone(), other.clone()];
        let choice = Choice { barcodes: names(&["PHY002L9"]), ..Choice::default() };
        ship(&Rules::default(), &copies, &choice, &shipment(name)).map(|steps| steps.len())
    };
    assert!(matches!(ship(&copies[0], "BOX1"), Err(WalkError::ContainerAway { .. })));
    copies[0].state = CopyState::Returned;
    assert!(matches!(ship(&copies[0], "BOX1"), Err(WalkError::ContainerCase { .. })));
    assert_eq!(ship(&copies[0], "box1"), Ok(1));
    assert_eq!(ship(&copies[0], "BOX2"), Ok(1));
    copies[0].facts.container = Some("KISTE-\u{c4}".to_owned());
    assert_eq!(container_named(&copies, "kiste-\u{e4}"), "KISTE-\u{c4}");
}
