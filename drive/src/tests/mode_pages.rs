//! Mode pages that nothing can be changed in, the test of TapeAlert, and MODE SELECT lists that are wrong.

use super::*;

/// One page with its header.
fn page(drive: &mut Drive, page: u8) -> Vec<u8> {
    let completion = run(drive, A, &[0x1a, 0x08, page, 0, 0xff, 0]);
    good(&completion);
    let data = completion.data_in.to_vec();
    assert_eq!(usize::from(data[0]), data.len() - 1);
    data[4..].to_vec()
}

/// MODE SELECT(6) of pages, without a block descriptor.
fn select(drive: &mut Drive, pages: &[u8]) -> Completion {
    let list = [&[0, 0, 0x10, 0][..], pages].concat();
    run_with(drive, &[0x15, 0x10, 0, 0, u8::try_from(list.len()).unwrap(), 0], &list)
}

fn everything(drive: &mut Drive) -> Vec<u8> {
    run(drive, A, &[0x5a, 0x08, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0]).data_in.to_vec()
}

fn lit(drive: &mut Drive) -> u64 {
    let data = run(drive, A, &[0x4d, 0, 0x52, 0, 0, 0, 0, 0, 0xff, 0]).data_in;
    u64::from_be_bytes(data[8..16].try_into().unwrap())
}

/// Page 1Ch with these flags and this flag to be tested.
fn test_of(flags: u8, flag: i32) -> Vec<u8> {
    [&[0x1c, 0x0a, flags, 0, 0, 0, 0, 0][..], &flag.to_be_bytes()].concat()
}

#[test]
fn every_page_has_the_length_that_clients_demand() {
    let mut drive = drive();
    for (code, length) in [
        (0x01, 0x0a),
        (0x02, 0x0e),
        (0x0a, 0x0a),
        (0x0f, 0x0e),
        (0x18, 0x06),
        (0x19, 0x06),
        (0x1a, 0x26),
        (0x1c, 0x0a),
        (0x1d, 0x1e),
        (0x24, 0x06),
        (0x25, 0x1e),
        (0x2f, 0x08),
    ] {
        let page = page(&mut drive, code);
        assert_eq!(page[..2], [code, length], "{code:02x}");
        assert_eq!(page.len(), usize::from(length) + 2, "{code:02x}");
    }
    // All of them fit into the answer of the six-byte form, with the block descriptor.
    let all = run(&mut drive, A, &[0x1a, 0, 0x3f, 0, 0xff, 0]);
    good(&all);
    assert_eq!(usize::from(all.data_in[0]), all.data_in.len() - 1);
}

#[test]
fn the_protocol_is_iscsi() {
    for code in [0x18, 0x19] {
        assert_eq!(page(&mut drive(), code)[2] & 0x0f, 5);
    }
}

#[test]
fn medium_configuration_says_whether_the_cartridge_is_write_once() {
    let mut drive = empty_drive();
    assert_eq!(page(&mut drive, 0x1d)[2], 0);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let directory = Path::new("/cartridge");
    let mut spec =
        CartridgeSpec::new(Uuid::from_u128(1), Barcode::new("VTL001L9").unwrap(), "lto9", 1 << 30);
    spec.worm = true;
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    drive.insert(Volume::load(disk, directory, LoadOptions::default()).unwrap());
    run(&mut drive, A, &TEST_UNIT_READY);
    assert_eq!(page(&mut drive, 0x1d)[2], 1);
    drive.remove().unwrap();
    assert_eq!(page(&mut drive, 0x1d)[2], 0);
}

#[test]
fn a_test_lights_a_flag_and_puts_it_out() {
    let mut drive = drive();
    assert_eq!(lit(&mut drive), 0);
    good(&select(&mut drive, &test_of(0x04, 0x14)));
    assert_eq!(lit(&mut drive), 1 << (64 - 0x14));
    // It was asked for once: the page does not ask again when it comes back as it was read.
    let read = page(&mut drive, 0x1c);
    assert_eq!(read, test_of(0, 0));
    good(&select(&mut drive, &test_of(0x04, -0x14)));
    assert_eq!(lit(&mut drive), 0);
    good(&select(&mut drive, &read));
    assert_eq!(lit(&mut drive), 0);
    good(&select(&mut drive, &test_of(0x04, 32_767)));
    assert_eq!(lit(&mut drive), u64::MAX);
}

#[test]
fn a_test_that_cannot_be_done_is_refused_and_changes_nothing() {
    let mut drive = drive();
    let before = everything(&mut drive);
    // The flags are byte 6 of the list, the number of the flag begins at byte 12.
    for (flags, flag, (byte, bit)) in [
        (0x0c, 1, (6, 2)),
        (0x04, 0, (12, 7)),
        (0x04, 65, (12, 7)),
        (0x04, -65, (12, 7)),
        (0x04, i32::MIN, (12, 7)),
        (0x08, 1, (12, 7)),
    ] {
        let refused = sense(&select(&mut drive, &test_of(flags, flag)));
        let wanted = Sense::invalid_field_in_parameter_list(byte, Some(bit));
        assert_eq!(refused, wanted, "{flags:02x} {flag}");
    }
    assert_eq!(everything(&mut drive), before);
    assert_eq!(lit(&mut drive), 0);
    good(&run(&mut drive, B, &TEST_UNIT_READY));
}

#[test]
fn lists_too_long_too_short_or_of_what_cannot_change_change_nothing() {
    let mut drive = drive();
    let before = everything(&mut drive);
    let compression = |flags: u8| {
        let mut page = page(&mut self::drive(), 0x0f);
        page[2] = flags;
        page
    };
    let in_list = |byte, bit| Sense::invalid_field_in_parameter_list(byte, bit);
    // What could be changed comes first each time, and stays as it is.
    let off = compression(0x40);
    let behind = 4 + u16::try_from(off.len()).unwrap();
    let long = [&[0x1c, 0x0b][..], &[8; 11]].concat();
    let short = [&[0x1c, 0x09][..], &[8; 9]].concat();
    let cut = vec![0x1c, 0x0a, 8, 0];
    let fixed = [&[0x01, 0x0a][..], &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
    let unknown = vec![0x3d, 0x02, 0, 0];
    for (page, refused) in [
        (long, in_list(behind + 1, None)),
        (short, in_list(behind + 1, None)),
        (cut, Sense::parameter_list_length_error()),
        (fixed, in_list(behind + 3, Some(0))),
        (unknown, in_list(behind, Some(5))),
    ] {
        let completion = select(&mut drive, &[off.clone(), page.clone()].concat());
        assert_eq!(sense(&completion), refused, "{page:02x?}");
        assert_eq!(everything(&mut drive), before, "{page:02x?}");
        good(&run(&mut drive, B, &TEST_UNIT_READY));
    }
    good(&select(&mut drive, &off));
    assert_ne!(everything(&mut drive), before);
}

#[test]
fn pages_of_ibm_are_ibms() {
    let pages = |vendor| {
        let pages = crate::mode_page::all(vendor).pages;
        pages.iter().map(|page| page.page).filter(|page| *page >= 0x20).collect::<Vec<_>>()
    };
    assert_eq!(pages("IBM"), [0x24, 0x25, 0x2f]);
    assert_eq!(pages("HP"), [0; 0]);
}
