//! What differs from one model to another, seen through commands.

use super::*;

fn model(name: &str) -> Drive {
    let profile = Profile::find(name).unwrap();
    let mut drive = Drive::new(profile, "1013000001", 5, Arc::from([Lun(0), Lun(1)]));
    let name = NexusName { initiator: "iqn.2026-11.test:a".into(), initiator_port: "0".into() };
    drive.nexus_begins(A, name);
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::power_on());
    drive
}

fn loaded_model(name: &str) -> Drive {
    let mut drive = model(name);
    let media_type = drive.profile().generation.media_type;
    drive.insert(cartridge(media_type, 1 << 30));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
    drive
}

fn vpd(drive: &mut Drive, page: u8) -> Vec<u8> {
    let completion = run(drive, A, &[0x12, 0x01, page, 0x10, 0, 0]);
    good(&completion);
    let data = completion.data_in.to_vec();
    assert_eq!(data[..2], [0x01, page]);
    assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len() - 4);
    data
}

/// The logical file and the logical object, as READ POSITION (long) tells them.
fn position(drive: &mut Drive) -> (u64, u64) {
    let completion = run(drive, A, &[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]);
    good(&completion);
    let number = |at: usize| u64::from_be_bytes(completion.data_in[at..at + 8].try_into().unwrap());
    (number(16), number(8))
}

fn locate_file(drive: &mut Drive, file: u8) -> Completion {
    run(drive, A, &[0x92, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, file, 0, 0, 0, 0])
}

#[test]
fn locating_a_file_means_what_the_vendor_means() {
    // Objects: 0 block, 1 mark, 2 block, 3 mark, 4 block, 5 mark.
    for (name, to_file) in [
        // IBM: behind the nth filemark.
        ("ibm-ult3580-td9", [(0, 0), (1, 2), (2, 4), (3, 6)]),
        // HP: before it.
        ("hpe-ultrium-9", [(0, 0), (0, 1), (1, 3), (2, 5)]),
    ] {
        let mut drive = loaded_model(name);
        for _ in 0..3 {
            good(&write(&mut drive, &[1; 100]));
            good(&filemarks(&mut drive, 1));
        }
        for (file, expected) in (0..).zip(to_file) {
            good(&locate_file(&mut drive, file));
            assert_eq!(position(&mut drive), expected, "{name}, file {file}");
        }
        assert_eq!(sense(&locate_file(&mut drive, 4)).key, SenseKey::BlankCheck, "{name}");
    }
}

#[test]
fn proxmox_finds_a_file_on_either() {
    // LOCATE(16) to one file less, SPACE over one filemark, look where that is, and correct the number once.
    for name in ["ibm-ult3580-td9", "hp-ultrium-6"] {
        let mut drive = loaded_model(name);
        good(&filemarks(&mut drive, 6));
        let mut go = |file: u8, correction: u8| {
            good(&locate_file(&mut drive, file - 1 + correction));
            good(&space(&mut drive, 1, 1));
            position(&mut drive).0
        };
        let correction = 4 - go(4, 0);
        assert_eq!(correction, u64::from(name.starts_with("hp")));
        assert_eq!(go(5, u8::try_from(correction).unwrap()), 5);
    }
}

#[test]
fn medium_type_and_density_of_a_loaded_cartridge() {
    for (name, medium_type, density) in [
        ("ibm-ult3580-td5", 0x58, 0x58),
        ("ibm-ult3580-tda", 0xa8, 0x62),
        ("hp-ultrium-5", 0x00, 0x58),
        ("hpe-ultrium-9", 0x00, 0x60),
    ] {
        let mut drive = loaded_model(name);
        let completion = run(&mut drive, A, &[0x1a, 0, 0, 0, 12, 0]);
        good(&completion);
        assert_eq!(
            (completion.data_in[1], completion.data_in[4]),
            (medium_type, density),
            "{name}"
        );
    }
}

#[test]
fn each_vendor_has_its_own_pages() {
    for profile in Profile::ALL {
        let mut drive = model(profile.name);
        let listed = vpd(&mut drive, 0x00)[4..].to_vec();
        assert!(listed.is_sorted(), "{listed:02x?}");
        for page in &listed {
            vpd(&mut drive, *page);
        }
        assert!(listed.contains(&0xc0) && listed.contains(&0xc1));
        assert_eq!(listed.contains(&0xc5), profile.vendor != "IBM");
    }
    let mut ibm = model("ibm-ult3580-td9");
    let (revision, serials) = (vpd(&mut ibm, 0xc0), vpd(&mut ibm, 0xc1));
    assert_eq!((revision.len(), revision[3], serials[3]), (43, 0x27, 0x18));
    assert_eq!(&revision[4..16], b"Q3F5        ");
    assert_eq!(&serials[4..], b"1013000001  1013000001  ");
    let mut hpe = model("hpe-ultrium-9");
    let firmware = vpd(&mut hpe, 0xc0);
    assert_eq!((firmware.len(), firmware[3]), (96, 0x5c));
    assert_eq!(&firmware[4..12], b"Firmware");
    assert_eq!(&firmware[30..34], b"S2S1");
    // A page that a model has not is refused, and no other comes in its place.
    let refused = sense(&run(&mut ibm, A, &[0x12, 0x01, 0xc2, 0, 0xff, 0]));
    assert_eq!(refused.asc, Asc::INVALID_FIELD_IN_CDB);
}

#[test]
fn an_lto_10_drive_takes_lto_10_and_nothing_else() {
    let mut drive = model("ibm-ult3580-tda");
    let mut supported = run(&mut drive, A, &[0x44, 0, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    good(&supported);
    assert_eq!(supported.data_in.len(), 4 + 52);
    assert_eq!(supported.data_in.to_vec()[4..7], [0x62, 0x62, 0xa0]);
    drive.insert(cartridge("lto9", 1 << 30));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::incompatible_format());
    drive.remove().unwrap();
    drive.insert(cartridge("lto10", 1 << 30));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
    good(&write(&mut drive, &[1; 100]));
    supported = run(&mut drive, A, &[0x44, 0x01, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    let description = supported.data_in.to_vec()[4 + 24..4 + 52].to_vec();
    assert_eq!(String::from_utf8(description).unwrap().trim(), "U-1032  Ultrium 10/32T");
}
