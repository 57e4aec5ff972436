//! Log pages whose figures move, LOG SELECT, and TapeAlert.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use crate::Thermometer;

const LOG_SENSE: u8 = 0x4d;
const LOADED_BYTES: u64 = 1 << 30;

fn page(drive: &mut Drive, page: u8) -> Vec<u8> {
    let completion = run(drive, A, &[LOG_SENSE, 0, 0x40 | page, 0, 0, 0, 0, 0x20, 0, 0]);
    good(&completion);
    let data = completion.data_in.to_vec();
    assert_eq!(data[..2], [page, 0]);
    assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len() - 4);
    data
}

/// The parameters of a page.
fn parameters(drive: &mut Drive, code: u8) -> BTreeMap<u16, Vec<u8>> {
    let data = page(drive, code);
    let mut rest = &data[4..];
    let mut found = BTreeMap::new();
    while let [high, low, _, length, after @ ..] = rest {
        let (value, next) = after.split_at(usize::from(*length));
        assert_eq!(found.insert(u16::from_be_bytes([*high, *low]), value.to_vec()), None);
        rest = next;
    }
    assert_eq!(rest, b"");
    found
}

fn counter(drive: &mut Drive, page: u8, code: u16) -> u64 {
    parameters(drive, page)[&code].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// What LOG SELECT says to this page.
fn select(drive: &mut Drive, flags: u8, page: u8, data: &[u8]) -> Completion {
    let length = u8::try_from(data.len()).unwrap();
    run_with(drive, &[0x4c, flags, page, 0, 0, 0, 0, 0, length, 0], data)
}

fn alerts(drive: &mut Drive) -> Vec<u16> {
    let response = parameters(drive, 0x12);
    let flags = u64::from_be_bytes(response[&0].clone().try_into().unwrap());
    (1..=64).filter(|flag| flags >> (64 - flag) & 1 == 1).collect()
}

fn codes(drive: &mut Drive) -> Vec<u8> {
    page(drive, 0x00)[4..].to_vec()
}

#[test]
fn every_page_that_is_named_is_there_with_and_without_a_cartridge() {
    let named = [
        0x00, 0x02, 0x03, 0x0c, 0x0d, 0x11, 0x12, 0x14, 0x15, 0x16, 0x17, 0x1b, 0x2e, 0x30, 0x31,
        0x32,
    ];
    for mut drive in [empty_drive(), recorded()] {
        assert_eq!(codes(&mut drive), named);
        for code in &named[1..] {
            parameters(&mut drive, *code);
        }
        let both = run(&mut drive, A, &[LOG_SENSE, 0, 0x40, 0xff, 0, 0, 0, 1, 0, 0]).data_in;
        assert_eq!(both[..2], [0x40, 0xff]);
        let pairs: Vec<_> = both[4..].chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let subpages = named.iter().map(|code| (*code, 0));
        let mut wanted: Vec<_> = subpages.collect();
        wanted.insert(1, (0, 0xff));
        assert_eq!(pairs, wanted);
    }
}

#[test]
fn the_temperature_is_that_of_a_sensor_or_not_available() {
    let mut drive = empty_drive();
    let degrees = |drive: &mut Drive| (counter(drive, 0x0d, 0), counter(drive, 0x0d, 1));
    assert_eq!(degrees(&mut drive), (0xff, 0xff));
    let now = Arc::new(AtomicU8::new(41));
    let sensor = Arc::clone(&now);
    drive.set_thermometer(Thermometer::new(move || Some(sensor.load(Ordering::Relaxed))));
    assert_eq!(degrees(&mut drive), (41, 0xff));
    now.store(43, Ordering::Relaxed);
    assert_eq!(degrees(&mut drive), (43, 0xff));
    assert!(parameters(&mut drive, 0x15).is_empty(), "no service buffers");
}

#[test]
fn a_page_that_there_is_not_is_refused_and_so_is_a_subpage() {
    let mut drive = drive();
    let ask = |page: u8, subpage: u8| [LOG_SENSE, 0, 0x40 | page, subpage, 0, 0, 0, 1, 0, 0];
    for code in [0x13, 0x18, 0x37] {
        let refused = sense(&run(&mut drive, A, &ask(code, 0)));
        assert_eq!(refused, Sense::invalid_field_in_cdb(2, Some(5)));
    }
    let refused = sense(&run(&mut drive, A, &ask(0x17, 1)));
    assert_eq!(refused, Sense::invalid_field_in_cdb(3, Some(7)));
}

#[test]
fn counters_of_writing_and_reading_move() {
    let mut drive = recorded();
    assert_eq!(counter(&mut drive, 0x02, 5), 600);
    assert_eq!(counter(&mut drive, 0x03, 5), 0);
    good(&read(&mut drive, 0, 100));
    assert_eq!(counter(&mut drive, 0x03, 5), 100);
    assert_eq!(counter(&mut drive, 0x0c, 0), 600);
    assert_eq!(counter(&mut drive, 0x0c, 3), 100);
    assert!(counter(&mut drive, 0x0c, 1) > 0);
    for page in [0x02, 0x03] {
        assert_eq!(counter(&mut drive, page, 6), 0);
    }
}

#[test]
fn counters_go_on_over_cartridges_and_those_of_the_load_begin_anew() {
    let mut drive = recorded();
    drive.remove().unwrap();
    assert_eq!(counter(&mut drive, 0x0c, 0), 600);
    assert_eq!(counter(&mut drive, 0x0c, 4), u64::from(u32::MAX), "there is no medium");
    drive.insert(cartridge("lto9", LOADED_BYTES));
    let again = sense(&run(&mut drive, A, &TEST_UNIT_READY));
    assert_eq!(again, Sense::medium_may_have_changed());
    good(&write(&mut drive, &[4; 400]));
    assert_eq!(counter(&mut drive, 0x02, 5), 1000);
    assert_eq!(counter(&mut drive, 0x32, 7), 400);
    assert_eq!(counter(&mut drive, 0x14, 0x0d), 2, "loads");
}

#[test]
fn capacities_follow_the_data() {
    const MEGABYTE: u64 = 1_000_000;
    let mut drive = drive();
    let megabytes = LOADED_BYTES / MEGABYTE;
    let early_warning = drive.cartridge().unwrap().early_warning_bytes();
    assert_eq!(counter(&mut drive, 0x17, 0x16), megabytes);
    for used in [0, 8, 16_u64] {
        let record = |megabytes: u64| [&[7, 0, 0, 0][..], &megabytes.to_be_bytes()[4..]].concat();
        let volume = parameters(&mut drive, 0x17);
        assert_eq!(volume[&0x0202], record(megabytes));
        assert_eq!(volume[&0x0203], record(used));
        let left = LOADED_BYTES - early_warning - used * MEGABYTE;
        assert_eq!(volume[&0x0204], record(left / MEGABYTE));
        assert_eq!(counter(&mut drive, 0x17, 0x17), used);
        assert_eq!(counter(&mut drive, 0x0c, 4), used);
        assert_eq!(counter(&mut drive, 0x0c, 7), used);
        let mebibytes = (LOADED_BYTES - used * MEGABYTE) >> 20;
        assert_eq!(counter(&mut drive, 0x31, 1), mebibytes);
        assert_eq!(counter(&mut drive, 0x31, 3), LOADED_BYTES >> 20);
        good(&write(&mut drive, &vec![1; 8_000_000]));
    }
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(counter(&mut drive, 0x0c, 4), 24);
    assert_eq!(counter(&mut drive, 0x0c, 7), 0);
    assert_eq!(parameters(&mut drive, 0x17)[&0x42], *b"VTL001L9                        ");
    assert_eq!(parameters(&mut drive, 0x17)[&0x45], *b"Ultrium-9");
    assert_eq!(counter(&mut drive, 0x17, 1), 1, "loads of the cartridge");
}

#[test]
fn volume_statistics_are_not_valid_without_a_cartridge() {
    assert_eq!(parameters(&mut empty_drive(), 0x17), BTreeMap::from([(0, vec![0])]));
    assert_eq!(parameters(&mut drive(), 0x17)[&0], [1]);
}

#[test]
fn device_status_says_what_is_in_the_drive_and_what_it_does() {
    const CMPR_DINIT: u8 = 0x11;
    let status = |drive: &mut Drive| parameters(drive, 0x11)[&0].clone();
    let mut drive = empty_drive();
    assert_eq!(status(&mut drive), [CMPR_DINIT, 0x20, 0, 0]);
    drive.insert(cartridge("lto9", LOADED_BYTES));
    run(&mut drive, A, &TEST_UNIT_READY);
    assert_eq!(status(&mut drive), [CMPR_DINIT | 0x20, 0x17, 0, 0]);
    good(&write(&mut drive, &[1; 100]));
    assert_eq!(status(&mut drive)[2], 0x06, "writing, until it is on disk");
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(status(&mut drive)[2], 0);
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 1, 0]));
    assert_eq!(status(&mut drive)[0] & 0x80, 0x80, "removal is prevented");
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 0, 0]));
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
    assert_eq!(status(&mut drive), [CMPR_DINIT | 0x40, 0x30, 0, 0]);
    drive.remove().unwrap();
    drive.refuse(crate::NotLoaded::Damaged);
    assert_eq!(status(&mut drive), [CMPR_DINIT, 0x30, 0, 1], "and a TapeAlert flag is lit");
}

#[test]
fn the_response_page_is_as_long_as_clients_demand() {
    let data = page(&mut drive(), 0x12);
    assert_eq!(data[2..8], [0, 0x0c, 0, 0, 0x03, 8]);
    assert_eq!(data.len(), 16);
}

// A cartridge of a generation that the drive does not know lit flag 0Dh, a torn tape. The unsupported format is 0Ch.
#[test]
fn flags_say_what_happened_and_are_shown_once() {
    let mut drive = empty_drive();
    drive.insert(cartridge("lto7", LOADED_BYTES));
    assert_eq!(alerts(&mut drive), [0x0c]);
    assert_eq!(counter(&mut drive, 0x2e, 0x0c), 1);
    assert_eq!(counter(&mut drive, 0x2e, 0x0c), 0);
    assert_eq!(alerts(&mut drive), [0x0c], "the response page shows what is lit");
    drive.remove().unwrap();
    drive.refuse(crate::NotLoaded::Damaged);
    assert_eq!(alerts(&mut drive), [0x04]);
    drive.remove().unwrap();
    drive.insert(cartridge("lto9", LOADED_BYTES));
    run(&mut drive, A, &TEST_UNIT_READY);
    assert_eq!(alerts(&mut drive), Vec::<u16>::new(), "the next cartridge has none of it");
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 1, 0]));
    assert_eq!(sense(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0])), Sense::removal_prevented());
    assert_eq!(alerts(&mut drive), [0x0a]);
    assert_eq!(counter(&mut drive, 0x2e, 0x0a), 1);
    // The robot asks for it as well.
    assert!(drive.refuses_removal());
    assert_eq!(alerts(&mut drive), [0x0a]);
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 0, 0]));
    assert!(!drive.refuses_removal());
}

// Whoever read the page first had the flag, and the other host was never told.
#[test]
fn each_nexus_is_shown_a_flag_once_and_again_when_it_is_lit_again() {
    let mut drive = drive();
    let shown = |drive: &mut Drive, nexus| {
        let data = run(drive, nexus, &[0x4d, 0, 0x6e, 0, 0, 0, 0, 2, 0, 0]).data_in;
        data[4..].chunks(5).filter(|flag| flag[4] == 1).count()
    };
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 1, 0]));
    for _ in 0..2 {
        assert!(drive.refuses_removal());
        for nexus in [A, B] {
            assert_eq!(shown(&mut drive, nexus), 1);
            assert_eq!(shown(&mut drive, nexus), 0);
        }
    }
    // It is not shown where the answer is cut off.
    assert!(drive.refuses_removal());
    run(&mut drive, B, &[0x4d, 0, 0x6e, 0, 0, 0, 0, 0, 100, 0]);
    assert_eq!(shown(&mut drive, B), 1);
    // A session that comes back has forgotten what it saw.
    drive.nexus_ends(B);
    let name = NexusName { initiator: "iqn.2026-11.test:b".into(), initiator_port: "0".into() };
    drive.nexus_begins(B, name);
    run(&mut drive, B, &TEST_UNIT_READY);
    assert_eq!(shown(&mut drive, B), 1);
    good(&select(&mut drive, 0x02, 0xee, &[]));
    assert_eq!(shown(&mut drive, A), 0);
    assert_eq!(alerts(&mut drive), Vec::<u16>::new());
}

#[test]
fn writing_where_it_cannot_be_lights_a_flag() {
    let mut drive =
        Drive::new(Profile::find("ibm-ult3580-td7").unwrap(), "1", 5, Arc::from([Lun(1)]));
    drive.insert(cartridge("lto5", LOADED_BYTES));
    assert_eq!(alerts(&mut drive), Vec::<u16>::new());
    assert_eq!(sense(&write(&mut drive, &[1])), Sense::cannot_write_format());
    assert_eq!(alerts(&mut drive), [0x11]);
}

#[test]
fn log_select_sets_one_page_back_or_all_and_the_others_are_told() {
    const PCR: u8 = 0x02;
    let mut drive = recorded();
    good(&select(&mut drive, PCR, 0xc2, &[]));
    let told = sense(&run(&mut drive, B, &TEST_UNIT_READY));
    assert_eq!((told, told.asc), (Sense::log_parameters_changed(), Asc(0x2a, 0x02)));
    good(&run(&mut drive, A, &TEST_UNIT_READY));
    assert_eq!(counter(&mut drive, 0x02, 5), 0);
    assert_eq!(counter(&mut drive, 0x0c, 0), 600, "another page");
    good(&write(&mut drive, &[1; 50]));
    assert_eq!(counter(&mut drive, 0x02, 5), 50);
    // Default cumulative values of all pages.
    good(&select(&mut drive, 0, 0xc0, &[]));
    assert_eq!(counter(&mut drive, 0x02, 5), 0);
    assert_eq!(counter(&mut drive, 0x0c, 0), 0);
    assert_eq!(counter(&mut drive, 0x32, 7), 0);
    assert_eq!(counter(&mut drive, 0x17, 0x16), LOADED_BYTES / 1_000_000, "that is no counter");
    // Current cumulative values stay what they are, and nobody is told.
    run(&mut drive, B, &TEST_UNIT_READY);
    good(&write(&mut drive, &[1; 50]));
    good(&select(&mut drive, 0, 0x42, &[]));
    assert_eq!(counter(&mut drive, 0x02, 5), 50);
    good(&run(&mut drive, B, &TEST_UNIT_READY));
}

#[test]
fn log_select_refuses_what_cannot_be_done_and_changes_nothing() {
    let mut drive = recorded();
    let list = [0x02, 0, 0, 8, 0, 5, 0, 4, 0, 0, 0, 0];
    let in_list = Sense::invalid_field_in_parameter_list;
    for (flags, page, data, refused) in [
        (0x03, 0xc2, &[][..], Sense::invalid_field_in_cdb(1, Some(0))),
        (0x02, 0xf7, &[], Sense::invalid_field_in_cdb(2, Some(5))),
        (0, 0x02, &[], Sense::invalid_field_in_cdb(2, Some(7))),
        (0x02, 0xc2, &list, Sense::invalid_field_in_cdb(1, Some(1))),
        (0, 0x40, &list, in_list(4, None)),
        (0, 0x40, &list[..11], Sense::parameter_list_length_error()),
        (0, 0x40, &list[..3], Sense::parameter_list_length_error()),
        (0, 0x40, &[0x3d, 0, 0, 0], in_list(0, Some(5))),
    ] {
        let completion = select(&mut drive, flags, page, data);
        assert_eq!(sense(&completion), refused, "{flags:02x} {page:02x} {data:02x?}");
    }
    // The list that was announced did not come.
    let cdb = [0x4c, 0, 0x40, 0, 0, 0, 0, 0, 12, 0];
    assert_eq!(sense(&run(&mut drive, A, &cdb)), Sense::parameter_list_length_error());
    assert_eq!(counter(&mut drive, 0x02, 5), 600);
    good(&run(&mut drive, B, &TEST_UNIT_READY));
}

/// Page 16h: per entry sense key, code, qualifier, operation code and the medium.
fn hard_errors(drive: &mut Drive) -> Vec<(u8, [u8; 2], u8, String)> {
    let entries = parameters(drive, 0x16);
    let decode = |entry: Vec<u8>| {
        assert_eq!((entry.len(), entry[2], entry[3]), (68, 0x60, 0x98));
        let medium = String::from_utf8(entry[28..60].to_vec()).unwrap();
        (entry[9] & 0x0f, [entry[10], entry[11]], entry[24], medium.trim_end().to_owned())
    };
    entries.into_values().map(decode).collect()
}

#[test]
fn a_write_that_fails_is_counted_and_remembered() {
    let (disk, mut drive) = drive_on_a_faulty_disk();
    disk.inject(Fault::forever(Call::SyncData, ".seg", Reaction::Errno(EIO)));
    good(&write(&mut drive, &[1; 100]));
    assert_eq!(sense(&run(&mut drive, A, &REWIND)).asc, Asc::WRITE_ERROR);
    assert_eq!(alerts(&mut drive), [0x03, 0x06]);
    assert_eq!(counter(&mut drive, 0x02, 6), 1);
    assert_eq!(counter(&mut drive, 0x03, 6), 0);
    assert_eq!(counter(&mut drive, 0x14, 0x0e), 1);
    assert_eq!(counter(&mut drive, 0x17, 0x0c), 1);
    let remembered = (3, [0x0c, 0x00], 0x0a, "VTL001L9".to_owned());
    assert_eq!(hard_errors(&mut drive), [remembered]);
    assert_eq!(parameters(&mut drive, 0x11)[&0][3], 0x21, "there is diagnostic data, and a flag");
    // What is told from now on is that nothing can be written, and that is a flag of its own.
    assert_eq!(sense(&write(&mut drive, &[1; 100])), Sense::write_protected());
    assert_eq!(alerts(&mut drive), [0x03, 0x06, 0x09]);
    good(&select(&mut drive, 0x02, 0x00, &[]));
    assert_eq!(hard_errors(&mut drive), []);
    assert_eq!(alerts(&mut drive), Vec::<u16>::new());
    assert_eq!(counter(&mut drive, 0x14, 0x0e), 0);
}

#[test]
fn a_read_that_fails_is_counted_and_remembered_and_no_more_than_sixteen() {
    let (disk, mut drive) = drive_on_a_faulty_disk();
    good(&write(&mut drive, &[1; 100]));
    good(&run(&mut drive, A, &REWIND));
    disk.inject(Fault::forever(Call::Read, ".seg", Reaction::Errno(EIO)));
    for _ in 0..20 {
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(sense(&read(&mut drive, 0, 100)).asc, Asc::UNRECOVERED_READ_ERROR);
    }
    assert_eq!(alerts(&mut drive), [0x03, 0x04, 0x05]);
    assert_eq!(counter(&mut drive, 0x03, 6), 20);
    assert_eq!(counter(&mut drive, 0x14, 0x0f), 20);
    let remembered = (3, [0x11, 0x00], 0x08, "VTL001L9".to_owned());
    assert_eq!(hard_errors(&mut drive), vec![remembered; 16]);
}

#[test]
fn a_disk_that_is_nearly_full_is_a_write_warning_as_long_as_it_is() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let directory = Path::new("/cartridge");
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 1 << 40);
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    // Whatever is free is to stay so.
    let options = LoadOptions { reserve_bytes: Some(u64::MAX), ..LoadOptions::default() };
    let mut drive = empty_drive();
    drive.insert(Volume::load(disk, directory, options).unwrap());
    run(&mut drive, A, &TEST_UNIT_READY);
    good(&filemarks(&mut drive, 0));
    let warned = sense(&write(&mut drive, &[1; 100]));
    assert_eq!(warned, Sense::early_warning());
    assert_eq!(alerts(&mut drive), [0x02]);
    assert_eq!(counter(&mut drive, 0x2e, 0x02), 1);
    assert_eq!(alerts(&mut drive), [0x02], "the disk is as full as before");
}

/// LTFS asks LTO-5 drives of any vendor, and its backend for HP asks every drive, for page 31h to learn how much room there is. Our HP
/// and HPE models had left it to IBM's, so that mkltfs could not tell; `vtl selftest` found it.
#[test]
fn drives_of_all_vendors_say_how_much_room_there_is() {
    for profile in Profile::ALL {
        let mut drive = Drive::new(profile, "1013000001", 7, Arc::from([Lun(0), Lun(1)]));
        assert!(codes(&mut drive).contains(&0x31), "{}", profile.name);
        assert_eq!(parameters(&mut drive, 0x31).len(), 4, "{}", profile.name);
    }
}
