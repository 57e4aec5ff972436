//! What the inventory takes from events, and what it refuses.

use super::*;
use crate::ledger::Motion;

fn step(cartridge: u128, from: Place, to: Place) -> MoveStep {
    let motion = Motion::between(&from, &to);
    MoveStep { cartridge: Uuid::from_u128(cartridge), from, to, source: None, motion }
}

fn created(uuid: u128, barcode: &str, place: Place) -> Event {
    Event::CartridgeCreated {
        uuid: Uuid::from_u128(uuid),
        barcode: Barcode::new(barcode).unwrap(),
        kind: crate::label::CartridgeKind::Data,
        media_type: "lto9".into(),
        capacity_bytes: 1,
        worm: false,
        pool: None,
        place,
        origin: None,
        parts: Vec::new(),
        twin_of: None,
        read_only: false,
    }
}

fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let record = crate::store::tests_support::library_record();
    let time = jiff::Timestamp::UNIX_EPOCH;
    inventory.apply_event(&Event::LibraryCreated { library: record }, time).unwrap();
    inventory.apply_event(&created(1, "A00001L9", Place::slot(1)), time).unwrap();
    inventory.apply_event(&created(2, "A00002L9", Place::slot(2)), time).unwrap();
    inventory
}

fn refuses(event: &Event, expected: &Inconsistency) {
    let mut inventory = inventory();
    let before = format!("{inventory:?}").len();
    assert_eq!(inventory.apply_event(event, jiff::Timestamp::UNIX_EPOCH).as_ref(), Err(expected));
    assert_eq!(format!("{inventory:?}").len(), before, "a refused entry changes nothing");
}

#[test]
fn what_breaks_an_invariant_is_refused() {
    refuses(
        &created(3, "A00001L9", Place::slot(3)),
        &Inconsistency::BarcodeTaken(Barcode::new("A00001L9").unwrap()),
    );
    refuses(&created(3, "A00003L9", Place::slot(1)), &Inconsistency::Occupied(Place::slot(1)));
    refuses(&created(3, "A00003L9", Place::slot(999)), &Inconsistency::NoElement(Place::slot(999)));
    refuses(
        &created(1, "A00003L9", Place::Shelf),
        &Inconsistency::CartridgeExists(Uuid::from_u128(1)),
    );
    refuses(&Event::MoveCommitted { id: 9 }, &Inconsistency::NoIntent(9));
    let wrong = Event::MoveIntended { id: 1, step: step(1, Place::slot(2), Place::slot(3)) };
    refuses(&wrong, &Inconsistency::Elsewhere(Uuid::from_u128(1), Place::slot(2)));
}

#[test]
fn an_exchange_swaps_and_never_puts_two_in_one_element() {
    let time = jiff::Timestamp::UNIX_EPOCH;
    let mut good = inventory();
    let (first, second) =
        (step(1, Place::slot(1), Place::slot(2)), step(2, Place::slot(2), Place::slot(1)));
    good.apply_event(&Event::ExchangeIntended { id: 1, first, second }, time).unwrap();
    good.apply_event(&Event::MoveCommitted { id: 1 }, time).unwrap();
    assert_eq!(good.at(&Place::slot(1)).unwrap().uuid, Uuid::from_u128(2));
    assert_eq!(good.at(&Place::slot(2)).unwrap().uuid, Uuid::from_u128(1));

    let mut bad = inventory();
    let (first, second) =
        (step(1, Place::slot(1), Place::slot(2)), step(2, Place::slot(2), Place::slot(2)));
    bad.apply_event(&Event::ExchangeIntended { id: 1, first, second }, time).unwrap();
    assert_eq!(
        bad.apply_event(&Event::MoveCommitted { id: 1 }, time),
        Err(Inconsistency::Occupied(Place::slot(2)))
    );
}
