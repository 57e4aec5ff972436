//! What differs from one library model to another, and what a large library costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Every element is full, and it is counted how often one is looked at.
struct Full(Arc<AtomicUsize>);

impl Robot for Full {
    fn occupant(&self, element: Element) -> Option<Occupant> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let Element::Storage(number) = element else { return None };
        Some(Occupant {
            volume_tag: format!("A{number:05}L9"),
            is_cleaning: false,
            source: None,
            is_import: false,
        })
    }

    fn drive(&self, number: u16) -> Option<DriveStatus> {
        Some(DriveStatus {
            vendor: "HP".into(),
            product: "Ultrium 6-SCSI".into(),
            serial: format!("HU{number:08}"),
            is_accessible: true,
            exception: None,
        })
    }

    fn move_medium(&mut self, _: Element, _: Element) -> Result<(), MoveFailure> {
        Err(MoveFailure::NotRecorded)
    }

    fn exchange_medium(&mut self, _: Element, _: Element, _: Element) -> Result<(), MoveFailure> {
        Err(MoveFailure::NotRecorded)
    }
}

fn model(name: &str, [storage, import_export, drives]: [u16; 3]) -> (Changer, Arc<AtomicUsize>) {
    let profile = Profile::find(name).unwrap();
    let map = profile.element_map(storage, import_export, drives).unwrap();
    let looked_at = Arc::new(AtomicUsize::new(0));
    let robot = Box::new(Full(looked_at.clone()));
    let mut changer = Changer::new(profile, map, "LIB0000001", 7, Arc::from([Lun(0)]), robot);
    let name = NexusName { initiator: "iqn.2026-11.test:a".into(), initiator_port: "0".into() };
    changer.nexus_begins(A, name);
    assert_eq!(sense(&run(&mut changer, A, &[0; 6])), Sense::power_on());
    (changer, looked_at)
}

fn vpd(changer: &mut Changer, page: u8) -> Vec<u8> {
    let completion = run(changer, A, &[0x12, 0x01, page, 0x10, 0, 0]);
    assert_eq!(completion.status, Status::GOOD);
    completion.data_in.to_vec()
}

#[test]
fn drives_are_named_as_each_model_names_them() {
    // Without DVCID, with DVCID: descriptor length, and what names the drive.
    let serial_only = |length: usize| {
        [&[2, 0, 0, u8::try_from(length).unwrap()], "HU00000000".as_bytes()].concat()
    };
    for (name, plain, with_identifier, expected) in [
        ("stk-l700", 52, 86, [&[2, 1, 0, 34][..], b"HP      Ultrium 6-SCSI  HU00000000"].concat()),
        ("hp-msl-g3", 72, 72, serial_only(20)),
        ("spectra-python", 52, 84, serial_only(32)),
        ("spectra-gator", 52, 62, serial_only(10)),
    ] {
        let (mut changer, _) = model(name, [3, 2, 2]);
        for (dvcid, length) in [(0, plain), (1, with_identifier)] {
            let data = status(&mut changer, 4, 0, 0xffff, dvcid, 4096);
            let at = |from: usize| usize::from(u16::from_be_bytes([data[from], data[from + 1]]));
            assert_eq!((at(2), at(10)), (2, length), "{name}");
            assert_eq!(data.len(), 16 + 2 * length, "{name}");
            if length > 52 {
                assert_eq!(data[64..64 + expected.len()], expected, "{name}");
                assert!(data[64 + expected.len()..16 + length].iter().all(|byte| *byte == b' '));
            }
        }
        // Descriptors of slots stay short: clients have fixed buffers for them.
        assert_eq!(status(&mut changer, 2, 0, 1, 1, 4096)[11], 52, "{name}");
    }
}

#[test]
fn inquiry_data_has_what_each_model_puts_behind_the_names() {
    let inquiry = |name: &str| {
        let data = run(&mut model(name, [3, 2, 2]).0, A, &[0x12, 0, 0, 0, 96, 0]).data_in.to_vec();
        assert_eq!((data[0], data[1], data[2]), (0x08, 0x80, 0x06), "{name}");
        (data[6], data[36..56].to_vec(), String::from_utf8(data[8..36].to_vec()).unwrap())
    };
    let (_, vendor, names) = inquiry("ibm-3573-tl");
    assert_eq!(names, "IBM     3573-TL         F.11");
    assert_eq!((&vendor[2..14], vendor[19]), (&b"LIB0000001  "[..], 1));
    let (_, vendor, _) = inquiry("ibm-03584l32");
    assert_eq!((&vendor[2..16], vendor[19]), (&b"LIB0000001  00"[..], 0));
    let (flags, vendor, names) = inquiry("quantum-scalar-i500");
    assert_eq!(names, "ADIC    Scalar i500     607G");
    assert_eq!((flags, &vendor[..4], vendor[19]), (0x20, &b"607G"[..], 1));
    let (_, vendor, names) = inquiry("hp-msl-g3");
    assert_eq!((names.as_str(), vendor), ("HP      MSL G3 Series   5.30", vec![0; 20]));
}

#[test]
fn vital_product_data_of_each_model() {
    for profile in Profile::ALL {
        let (mut changer, _) = model(profile.name, [3, 2, 2]);
        let listed = vpd(&mut changer, 0x00)[4..].to_vec();
        assert!(listed.is_sorted() && listed.starts_with(&[0x00, 0x80]), "{listed:02x?}");
        for page in &listed {
            let data = vpd(&mut changer, *page);
            assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])) + 4, data.len());
        }
        assert_eq!(listed.contains(&0x83), profile.name != "stk-l700");
    }
    let serial = |name: &str| {
        String::from_utf8(vpd(&mut model(name, [3, 2, 2]).0, 0x80)[4..].to_vec()).unwrap()
    };
    // A library that was made before there were other models is known by this.
    assert_eq!(serial("ibm-03584l32"), "LIB0000001");
    assert_eq!(serial("ibm-3573-tl"), "00LIB0000001_LL0");
    assert_eq!(serial("quantum-scalar-i500"), "ADICLIB0000001          ");
    let mut l700 = model("stk-l700", [3, 2, 2]).0;
    let refused = sense(&run(&mut l700, A, &[0x12, 0x01, 0x83, 0, 0xff, 0]));
    assert_eq!(refused, Sense::invalid_field_in_cdb(2, Some(7)));
}

// Reading 60,000 elements in pieces of a few was quadratic: each piece looked at all elements behind it, too.
#[test]
fn a_large_library_is_read_in_small_pieces_without_looking_at_an_element_twice() {
    const SIZES: [u16; 3] = [60_000, 200, 256];
    const ALL: usize = 60_000 + 200 + 256 + 1;
    let (mut changer, looked_at) = model("ibm-03584l32", SIZES);
    let whole = status(&mut changer, 0, 0, 0xffff, 1, 0x00ff_ffff);
    assert_eq!(looked_at.swap(0, Ordering::Relaxed), ALL);
    let count = u32::from_be_bytes([0, whole[5], whole[6], whole[7]]);
    assert_eq!(usize::try_from(count).unwrap() + 8, whole.len());
    // As many as fit into 1,000 bytes each time, from the address behind the last one on.
    let mut start = 0_u32;
    let mut seen = 0;
    while let Ok(address) = u16::try_from(start) {
        let piece = status(&mut changer, 2, address, 0xffff, 1, 1_000);
        let complete = (piece.len().saturating_sub(16)) / 52;
        if complete == 0 {
            break;
        }
        let first = u16::from_be_bytes([piece[16], piece[17]]);
        assert!(u32::from(first) >= start);
        seen += complete;
        start = u32::from(first) + u32::try_from(complete).unwrap();
    }
    assert_eq!(seen, 60_000);
    let looked_at = looked_at.load(Ordering::Relaxed);
    assert!(looked_at < 60_000 + 60_000 / 10, "{looked_at} elements were looked at");
}
