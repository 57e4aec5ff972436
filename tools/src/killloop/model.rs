//! What the host knows of the library: where each cartridge is, and what is on it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::host::Elements;
use crate::tape::Tape;

const FIRST_DRIVE: u16 = 0x0101;
const FIRST_IMPORT_EXPORT: u16 = 0x0300;
const FIRST_STORAGE: u16 = 0x0400;

/// A change of places that was sent and not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Move {
    barcode: String,
    from: u16,
    to: u16,
}

/// The whole library.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Each element's address and what is in it, as acknowledged.
    places: BTreeMap<u16, Option<String>>,
    under_way: Option<Move>,
    tapes: BTreeMap<String, Tape>,
    /// Cartridges that were in a drive in this round.
    touched: BTreeSet<String>,
    /// Cartridges that were in a drive in any round.
    ever_touched: BTreeSet<String>,
    pub(crate) sync_points: u64,
    pub(crate) moves: u64,
}

impl Model {
    /// A fresh library.
    pub(crate) fn new(elements: Elements, inventory: &[Value]) -> anyhow::Result<Self> {
        let mut model = Self { places: elements.contents, ..Self::default() };
        for row in inventory.iter().filter(|row| text(row, "kind") == Some("data")) {
            let barcode = text(row, "barcode").context("a cartridge without barcode")?;
            model.tapes.insert(barcode.to_owned(), Tape::default());
        }
        model.check_inventory(inventory)?;
        ensure!(!model.drives().is_empty(), "the library has no drive");
        ensure!(!model.tapes.is_empty(), "the library has no data cartridge");
        Ok(model)
    }

    /// The drives' addresses.
    pub(crate) fn drives(&self) -> Vec<u16> {
        self.places.keys().copied().filter(|address| is_drive(*address)).collect()
    }

    /// The drives that hold a cartridge, with its barcode.
    pub(crate) fn loaded(&self) -> Vec<(u16, String)> {
        let barcode = |address| self.at(address).map(|barcode| (address, barcode.to_owned()));
        self.drives().into_iter().filter_map(barcode).collect()
    }

    /// What is in an element.
    pub(crate) fn at(&self, address: u16) -> Option<&str> {
        self.places.get(&address)?.as_deref()
    }

    /// Where a cartridge is.
    pub(crate) fn place_of(&self, barcode: &str) -> Option<u16> {
        self.places
            .iter()
            .find(|(_, content)| content.as_deref() == Some(barcode))
            .map(|(address, _)| *address)
    }

    /// Elements that a cartridge can come from, with the cartridge in them.
    pub(crate) fn occupied(&self) -> Vec<u16> {
        let movable = |address: &u16| *address >= FIRST_DRIVE && self.at(*address).is_some();
        self.places.keys().copied().filter(movable).collect()
    }

    /// Empty elements that this cartridge can go to.
    pub(crate) fn free_for(&self, barcode: &str) -> Vec<u16> {
        let has_data = self.tapes.contains_key(barcode);
        let fits = |address: &u16| {
            *address >= FIRST_DRIVE
                && self.at(*address).is_none()
                && (has_data || !is_drive(*address))
        };
        self.places.keys().copied().filter(fits).collect()
    }

    /// What is known of a cartridge's content.
    pub(crate) fn tape(&mut self, barcode: &str) -> anyhow::Result<&mut Tape> {
        self.tapes.get_mut(barcode).with_context(|| format!("{barcode} is no data cartridge"))
    }

    /// A sync point of this cartridge was answered. It counts if there was something to sync.
    pub(crate) fn synced(&mut self, barcode: &str) -> anyhow::Result<()> {
        let had_news = self.tape(barcode)?.synced();
        self.sync_points += u64::from(had_news);
        Ok(())
    }

    /// Everything that was written is acknowledged.
    pub(crate) fn all_synced(&mut self) -> anyhow::Result<()> {
        self.loaded().into_iter().try_for_each(|(_, barcode)| self.synced(&barcode))
    }

    /// A cartridge was or is in a drive.
    pub(crate) fn touch(&mut self, barcode: &str) {
        if self.tapes.contains_key(barcode) {
            self.touched.insert(barcode.to_owned());
            self.ever_touched.insert(barcode.to_owned());
        }
    }

    /// Whether this element's cartridge was in a drive in any round.
    pub(crate) fn has_history(&self, address: u16) -> bool {
        self.at(address).is_some_and(|barcode| self.ever_touched.contains(barcode))
    }

    /// From now on cartridges are touched in a new round; those in drives are.
    pub(crate) fn begin_round(&mut self) {
        self.touched.clear();
        for (_, barcode) in self.loaded() {
            self.touch(&barcode);
        }
    }

    /// The cartridges of this round, or of all rounds.
    pub(crate) fn touched(&self, all: bool) -> BTreeSet<String> {
        if all { self.ever_touched.clone() } else { self.touched.clone() }
    }

    /// A MOVE MEDIUM goes to the changer.
    pub(crate) fn moving(&mut self, from: u16, to: u16) -> anyhow::Result<()> {
        let barcode = self.at(from).context("nothing to move")?.to_owned();
        if is_drive(from) || is_drive(to) {
            self.touch(&barcode);
        }
        self.under_way = Some(Move { barcode, from, to });
        Ok(())
    }

    /// It was answered.
    pub(crate) fn moved(&mut self) -> anyhow::Result<()> {
        let Some(done) = self.under_way.take() else { bail!("no move was under way") };
        self.moves += 1;
        if is_drive(done.from) {
            self.synced(&done.barcode)?;
        }
        self.take_place(done)
    }

    /// After a crash: the elements are as acknowledged, and a move under way has happened or not.
    pub(crate) fn check_elements(&mut self, elements: &Elements) -> anyhow::Result<()> {
        let places = |contents: &BTreeMap<u16, Option<String>>| -> BTreeSet<(String, u16)> {
            contents
                .iter()
                .filter_map(|(address, content)| Some((content.clone()?, *address)))
                .collect()
        };
        ensure!(
            elements.contents.keys().eq(self.places.keys()),
            "the library has other elements than before"
        );
        let before = self.places.clone();
        if elements.contents != before
            && let Some(under_way) = self.under_way.clone()
        {
            self.take_place(under_way)?;
        }
        let under_way = self.under_way.take();
        if elements.contents == self.places {
            return Ok(());
        }
        let (expected, found) = (places(&before), places(&elements.contents));
        let list = |places: Vec<&(String, u16)>| {
            let names: Vec<_> = places
                .iter()
                .map(|(barcode, address)| format!("{barcode} in {address:#06x}"))
                .collect();
            names.join(", ")
        };
        bail!(
            "acknowledged and not there: [{}]; there and not acknowledged: [{}]; under way: {}",
            list(expected.difference(&found).collect()),
            list(found.difference(&expected).collect()),
            under_way.map_or("nothing".into(), |step| format!(
                "{} from {:#06x} to {:#06x}",
                step.barcode, step.from, step.to
            ))
        )
    }

    /// The inventory lists every cartridge, where it is, and no other.
    pub(crate) fn check_inventory(&self, inventory: &[Value]) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for row in inventory {
            let barcode = text(row, "barcode").context("a cartridge without barcode")?;
            let location = text(row, "location").context("a cartridge without location")?;
            let place = self.place_of(barcode).map(place_name);
            ensure!(
                place.as_deref() == Some(location),
                "the inventory has {barcode} in {location}, the changer in {}",
                place.unwrap_or("no element".into())
            );
            ensure!(found.insert(barcode), "the inventory has {barcode} twice");
            let state = text(row, "state").unwrap_or_default();
            ensure!(
                !["damaged", "missing"].contains(&state),
                "the inventory says that {barcode} is {state}"
            );
        }
        for barcode in self.places.values().flatten() {
            ensure!(found.contains(barcode.as_str()), "the inventory does not have {barcode}");
        }
        Ok(())
    }

    fn take_place(&mut self, step: Move) -> anyhow::Result<()> {
        if is_drive(step.to) {
            self.tape(&step.barcode)?.loaded();
        }
        self.places.insert(step.from, None);
        self.places.insert(step.to, Some(step.barcode));
        Ok(())
    }
}

/// Whether this is a data transfer element.
pub(crate) fn is_drive(address: u16) -> bool {
    (FIRST_DRIVE..FIRST_IMPORT_EXPORT).contains(&address)
}

/// Whether this is a storage element.
pub(crate) fn is_storage(address: u16) -> bool {
    address >= FIRST_STORAGE
}

/// The logical unit of the drive in this element.
pub(crate) fn lun(address: u16) -> u64 {
    u64::from(address.saturating_sub(FIRST_DRIVE)) + 1
}

/// What the command line calls an element.
fn place_name(address: u16) -> String {
    match address {
        FIRST_STORAGE.. => format!("slot:{}", address - FIRST_STORAGE + 1),
        FIRST_IMPORT_EXPORT.. => format!("mail:{}", address - FIRST_IMPORT_EXPORT + 1),
        _ => format!("drive:{}", address.saturating_sub(FIRST_DRIVE)),
    }
}

fn text<'a>(row: &'a Value, key: &str) -> Option<&'a str> {
    row.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn elements(contents: &[(u16, Option<&str>)]) -> Elements {
        let owned = |(address, tag): &(u16, Option<&str>)| (*address, tag.map(String::from));
        Elements { contents: contents.iter().map(owned).collect() }
    }

    fn row(barcode: &str, location: &str) -> Value {
        json!({ "barcode": barcode, "location": location, "kind": "data", "state": "empty" })
    }

    const BEFORE: [(u16, Option<&str>); 4] =
        [(1, None), (0x0101, None), (0x0400, Some("A")), (0x0401, Some("B"))];
    const AFTER: [(u16, Option<&str>); 4] =
        [(1, None), (0x0101, Some("A")), (0x0400, None), (0x0401, Some("B"))];

    fn model() -> Model {
        Model::new(elements(&BEFORE), &[row("A", "slot:1"), row("B", "slot:2")]).unwrap()
    }

    #[test]
    fn a_move_under_way_has_happened_or_not() {
        for found in [BEFORE, AFTER] {
            let mut model = model();
            model.moving(0x0400, 0x0101).unwrap();
            model.check_elements(&elements(&found)).unwrap();
            assert_eq!(model.places, elements(&found).contents);
            assert!(model.under_way.is_none());
        }
    }

    #[test]
    fn an_acknowledged_move_is_kept() {
        let mut model = model();
        model.moving(0x0400, 0x0101).unwrap();
        model.moved().unwrap();
        let why = model.check_elements(&elements(&BEFORE)).unwrap_err().to_string();
        assert!(why.contains("acknowledged and not there: [A in 0x0101]"), "{why}");
    }

    #[test]
    fn a_lost_and_a_doubled_cartridge_are_found() {
        let lost = [(1, None), (0x0101, None), (0x0400, None), (0x0401, Some("B"))];
        let doubled = [(1, None), (0x0101, Some("A")), (0x0400, Some("A")), (0x0401, Some("B"))];
        for found in [lost, doubled] {
            let mut model = model();
            model.moving(0x0400, 0x0101).unwrap();
            assert!(model.check_elements(&elements(&found)).is_err());
        }
    }

    #[test]
    fn the_inventory_has_to_agree() {
        let model = model();
        for rows in [
            vec![row("A", "slot:1")],
            vec![row("A", "slot:1"), row("B", "slot:3")],
            vec![row("A", "slot:1"), row("B", "slot:2"), row("C", "slot:3")],
            vec![row("A", "slot:1"), row("B", "slot:2"), row("B", "slot:2")],
        ] {
            assert!(model.check_inventory(&rows).is_err(), "{rows:?}");
        }
    }
}
