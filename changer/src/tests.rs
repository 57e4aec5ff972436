//! Commands as byte arrays against a changer whose robot is a map.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use vtl_scsi::sense::{Asc, Sense};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task, device};

use crate::{Changer, DriveStatus, Element, MoveFailure, Occupant, Profile, Robot};

mod common_commands;
mod profiles;
mod rights;

const A: ItNexus = ItNexus(1);
const B: ItNexus = ItNexus(2);

type Elements = Arc<Mutex<BTreeMap<Element, Occupant>>>;

struct Map(Elements);

impl Robot for Map {
    fn occupant(&self, element: Element) -> Option<Occupant> {
        self.0.lock().unwrap().get(&element).cloned()
    }

    fn drive(&self, number: u16) -> Option<DriveStatus> {
        (number < 2).then(|| DriveStatus {
            vendor: "IBM".into(),
            product: "ULT3580-TD9".into(),
            serial: format!("101300000{number}"),
            is_accessible: number == 1,
            exception: (number == 1).then_some(Asc::INCOMPATIBLE_FORMAT),
        })
    }

    fn move_medium(&mut self, from: Element, to: Element) -> Result<(), MoveFailure> {
        let mut elements = self.0.lock().unwrap();
        if elements.contains_key(&to) {
            return Err(MoveFailure::DestinationFull);
        }
        let mut occupant = elements.remove(&from).ok_or(MoveFailure::SourceEmpty)?;
        occupant.source = Some(from);
        elements.insert(to, occupant);
        Ok(())
    }

    fn exchange_medium(
        &mut self,
        from: Element,
        to: Element,
        second_to: Element,
    ) -> Result<(), MoveFailure> {
        let mut elements = self.0.lock().unwrap();
        let first = elements.remove(&from).ok_or(MoveFailure::SourceEmpty)?;
        let second = elements.insert(to, first).ok_or(MoveFailure::SourceEmpty)?;
        elements.insert(second_to, second);
        Ok(())
    }
}

/// 3 storage elements of which 0 and 1 are full, 2 import/export elements, 2 drives with a cartridge in drive 0.
fn changer() -> (Changer, Elements) {
    let occupant = |tag: &str, source| Occupant {
        volume_tag: tag.into(),
        is_cleaning: tag.starts_with("CLN"),
        source,
        is_import: false,
    };
    let elements: Elements = Arc::default();
    elements.lock().unwrap().extend([
        (Element::Storage(0), occupant("VTL001L9", None)),
        (Element::Storage(1), occupant("CLN001L9", None)),
        (Element::Drive(0), occupant("VTL003L9", Some(Element::Storage(2)))),
    ]);
    let profile = Profile::find("ibm-03584l32").unwrap();
    let map = profile.element_map(3, 2, 2).unwrap();
    let robot = Box::new(Map(elements.clone()));
    let mut changer = Changer::new(profile, map, "LIB0000001", 7, Arc::from([Lun(0)]), robot);
    for nexus in [A, B] {
        let name = NexusName { initiator: "iqn.2026-11.test:a".into(), initiator_port: "0".into() };
        changer.nexus_begins(nexus, name);
        assert_eq!(sense(&run(&mut changer, nexus, &[0; 6])), Sense::power_on());
    }
    (changer, elements)
}

fn run(changer: &mut Changer, nexus: ItNexus, cdb: &[u8]) -> Completion {
    device::execute(changer, Task::new(nexus, cdb))
}

fn sense(completion: &Completion) -> Sense {
    assert_eq!(completion.status, Status::CHECK_CONDITION);
    completion.sense.unwrap()
}

fn status(
    changer: &mut Changer,
    kind: u8,
    start: u16,
    count: u16,
    dvcid: u8,
    allocation: u32,
) -> Vec<u8> {
    let [s1, s0] = start.to_be_bytes();
    let [c1, c0] = count.to_be_bytes();
    let [_, a2, a1, a0] = allocation.to_be_bytes();
    let cdb = [0xb8, 0x10 | kind, s1, s0, c1, c0, dvcid, a2, a1, a0, 0, 0];
    let completion = run(changer, A, &cdb);
    assert_eq!(completion.status, Status::GOOD);
    completion.data_in.to_vec()
}

fn move_medium(changer: &mut Changer, from: u16, to: u16) -> Completion {
    let ([f1, f0], [t1, t0]) = (from.to_be_bytes(), to.to_be_bytes());
    run(changer, A, &[0xa5, 0, 0, 0, f1, f0, t1, t0, 0, 0, 0, 0])
}

mod read_element_status {
    use super::*;

    #[test]
    fn one_storage_element() {
        let (mut changer, _) = changer();
        let data = status(&mut changer, 2, 0, 1, 0, 255);
        assert_eq!(data[..8], [0x04, 0x00, 0, 1, 0, 0, 0, 8 + 52]);
        assert_eq!(data[8..16], [2, 0x80, 0, 52, 0, 0, 0, 52]);
        assert_eq!(data[16..19], [0x04, 0x00, 0x09], "address, ACCESS and FULL");
        assert_eq!(data[25], 1, "data medium, no source");
        assert_eq!(&data[28..60], b"VTL001L9                        ");
        assert_eq!(data.len(), 68);
    }

    #[test]
    fn a_drive_has_its_identifier_its_source_and_what_is_wrong() {
        let (mut changer, _) = changer();
        let data = status(&mut changer, 4, 0, 0xffff, 1, 4096);
        assert_eq!(data[10..12], [0, 16 + 36 + 34], "descriptor length");
        assert_eq!(data[16..19], [0x01, 0x01, 0x01], "full, and the drive holds on to it");
        assert_eq!(data[25..28], [0x81, 0x04, 0x02], "source storage element 2");
        assert_eq!(data[64..68], [2, 1, 0, 34]);
        assert_eq!(&data[68..102], b"IBM     ULT3580-TD9     1013000000");
        let second = &data[102..];
        assert_eq!(second[..6], [0x01, 0x02, 0x0c, 0, 0x30, 0x02], "EXCEPT, ACCESS, 30/02");
    }

    #[test]
    fn the_byte_count_covers_everything_whatever_fits() {
        let (mut changer, _) = changer();
        let all = status(&mut changer, 0, 0, 0xffff, 0, 65_535);
        assert_eq!(all[2..4], [0, 8], "transport, 2 drives, 2 import/export, 3 storage");
        let count = usize::try_from(u32::from_be_bytes([0, all[5], all[6], all[7]])).unwrap();
        assert_eq!(count + 8, all.len());
        let cut = status(&mut changer, 0, 0, 0xffff, 0, 8);
        assert_eq!(cut, all[..8]);
        // The count limits elements, not pages: the arm and both drives.
        assert_eq!(status(&mut changer, 0, 0, 3, 0, 65_535)[2..4], [0, 3]);
    }

    #[test]
    fn an_unknown_type_is_refused() {
        let (mut changer, _) = changer();
        let completion = run(&mut changer, A, &[0xb8, 0x05, 0, 0, 0, 1, 0, 0, 0, 255, 0, 0]);
        assert_eq!(sense(&completion), Sense::invalid_field_in_cdb(1, Some(3)));
    }
}

mod moves {
    use super::*;

    #[test]
    fn a_medium_goes_and_its_source_is_remembered() {
        let (mut changer, elements) = changer();
        assert_eq!(move_medium(&mut changer, 0x400, 0x102).status, Status::GOOD);
        let moved = elements.lock().unwrap()[&Element::Drive(1)].clone();
        assert_eq!(
            (moved.volume_tag.as_str(), moved.source),
            ("VTL001L9", Some(Element::Storage(0)))
        );
    }

    #[test]
    fn what_cannot_be_is_refused_and_nothing_moves() {
        let (mut changer, elements) = changer();
        let before = elements.lock().unwrap().clone();
        assert_eq!(sense(&move_medium(&mut changer, 0x402, 0x102)), Sense::source_empty());
        assert_eq!(sense(&move_medium(&mut changer, 0x400, 0x401)), Sense::destination_full());
        assert_eq!(
            sense(&move_medium(&mut changer, 0x400, 0x9999)),
            Sense::invalid_element_address()
        );
        assert_eq!(
            sense(&move_medium(&mut changer, 0x400, 0x001)),
            Sense::invalid_field_in_cdb(6, Some(7))
        );
        assert_eq!(
            sense(&run(&mut changer, A, &[0xa5, 0, 4, 0, 4, 0, 1, 2, 0, 0, 0, 0])),
            Sense::invalid_element_address()
        );
        assert_eq!(
            sense(&run(&mut changer, A, &[0xa5, 0, 0, 1, 4, 0, 1, 2, 0, 0, 1, 0])),
            Sense::invalid_field_in_cdb(10, Some(0))
        );
        assert_eq!(*elements.lock().unwrap(), before);
    }

    #[test]
    fn an_open_element_is_out_of_reach_and_a_prevented_one_does_not_open() {
        let (mut changer, _) = changer();
        assert_eq!(run(&mut changer, A, &[0x1b, 0, 3, 0, 0, 0]).status, Status::GOOD);
        assert_eq!(
            sense(&move_medium(&mut changer, 0x400, 0x300)),
            Sense::import_export_not_accessible()
        );
        assert_eq!(run(&mut changer, A, &[0x1b, 0, 3, 0, 1, 0]).status, Status::GOOD);
        assert_eq!(run(&mut changer, B, &[0x1e, 0, 0, 0, 1, 0]).status, Status::GOOD);
        assert_eq!(
            sense(&run(&mut changer, A, &[0x1b, 0, 3, 0, 0, 0])),
            Sense::removal_prevented()
        );
        assert_eq!(move_medium(&mut changer, 0x400, 0x300).status, Status::GOOD);
    }

    #[test]
    fn an_exchange_moves_both() {
        let (mut changer, elements) = changer();
        let cdb = [0xa6, 0, 0, 1, 4, 0, 1, 1, 4, 2, 0, 0];
        assert_eq!(run(&mut changer, A, &cdb).status, Status::GOOD);
        let elements = elements.lock().unwrap();
        assert_eq!(elements[&Element::Drive(0)].volume_tag, "VTL001L9");
        assert_eq!(elements[&Element::Storage(2)].volume_tag, "VTL003L9");
    }
}

#[test]
fn the_element_page_has_the_length_that_strict_clients_ask_for() {
    let (mut changer, _) = changer();
    let data = run(&mut changer, A, &[0x1a, 0x08, 0x1d, 0, 255, 0]).data_in;
    assert_eq!(
        data[..],
        [23, 0, 0, 0, 0x1d, 0x12, 0, 1, 0, 1, 4, 0, 0, 3, 3, 0, 0, 2, 1, 1, 0, 2, 0, 0]
    );
}

#[test]
fn a_library_that_does_not_fit_into_the_addresses_is_refused() {
    let profile = Profile::find("ibm-03584l32").unwrap();
    assert!(profile.element_map(60_000, 200, 256).is_some());
    assert!(profile.element_map(64_513, 4, 4).is_none(), "addresses end at ffffh");
    assert!(profile.element_map(24, 257, 4).is_none(), "import/export would reach into storage");
}
