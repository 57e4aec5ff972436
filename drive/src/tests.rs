//! Commands as byte arrays against a drive on a disk in memory: data, status, sense, position.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use vtl_media::disk::{Call, Disk, Fault, FaultDisk, MemoryDisk, Reaction};
use vtl_media::{Barcode, Cartridge, CartridgeSpec, LoadOptions, Volume};
use vtl_scsi::sense::{Asc, Sense, SenseKey};
use vtl_scsi::{Completion, ItNexus, Lun, NexusName, Status, Task, device};

use crate::{Drive, Profile};

mod access_order;
mod append_only;
mod attribute;
mod block_protection;
mod buffers_and_clock;
mod cleaning;
mod compression;
mod encryption;
mod explicit_address;
mod log_pages;
mod mode_pages;
mod partition;
mod persistent_reservations;
mod profiles;
mod verify;
mod vital_product_data;
mod worm;

const A: ItNexus = ItNexus(1);
const B: ItNexus = ItNexus(2);

const EIO: i32 = 5;

const REWIND: [u8; 6] = [0x01, 0, 0, 0, 0, 0];
const TEST_UNIT_READY: [u8; 6] = [0; 6];

fn cartridge(media_type: &str, capacity_bytes: u64) -> Volume {
    load(&created(&spec(media_type, capacity_bytes)))
}

fn spec(media_type: &str, capacity_bytes: u64) -> CartridgeSpec {
    let barcode = Barcode::new("VTL001L9").unwrap();
    CartridgeSpec::new(Uuid::from_u128(1), barcode, media_type, capacity_bytes)
}

fn created(spec: &CartridgeSpec) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Cartridge::create(&shared, Path::new("/cartridge"), spec, Timestamp::UNIX_EPOCH).unwrap();
    disk
}

fn load(disk: &MemoryDisk) -> Volume {
    let options =
        LoadOptions { segment_bytes: 1 << 20, reserve_bytes: Some(0), ..LoadOptions::default() };
    Volume::load(Arc::new(disk.clone()), Path::new("/cartridge"), options).unwrap()
}

/// A drive with the cartridge of that disk, which everybody knows to be there.
fn drive_on(disk: &MemoryDisk) -> Drive {
    let mut drive = empty_drive();
    drive.insert(load(disk));
    for nexus in [A, B] {
        assert_eq!(
            sense(&run(&mut drive, nexus, &TEST_UNIT_READY)),
            Sense::medium_may_have_changed()
        );
    }
    drive
}

fn empty_drive() -> Drive {
    let mut drive = Drive::new(
        Profile::find("ibm-ult3580-td9").unwrap(),
        "1013000001",
        5,
        Arc::from([Lun(0), Lun(1)]),
    );
    for nexus in [A, B] {
        let name = NexusName { initiator: "iqn.2026-11.test:a".into(), initiator_port: "0".into() };
        drive.nexus_begins(nexus, name);
        assert_eq!(sense(&run(&mut drive, nexus, &TEST_UNIT_READY)), Sense::power_on());
    }
    drive
}

fn drive_with(media_type: &str, capacity_bytes: u64) -> Drive {
    let mut drive = empty_drive();
    drive.insert(cartridge(media_type, capacity_bytes));
    for nexus in [A, B] {
        if drive.medium_state() == crate::MediumState::Ready {
            assert_eq!(
                sense(&run(&mut drive, nexus, &TEST_UNIT_READY)),
                Sense::medium_may_have_changed()
            );
        }
    }
    drive
}

fn drive() -> Drive {
    drive_with("lto9", 1 << 30)
}

/// A drive with a cartridge whose disk can be made to fail.
fn drive_on_a_faulty_disk() -> (FaultDisk, Drive) {
    let faulty = FaultDisk::over(MemoryDisk::new());
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    let directory = Path::new("/cartridge");
    let barcode = Barcode::new("VTL001L9").unwrap();
    let spec = CartridgeSpec::new(Uuid::from_u128(1), barcode, "lto9", 1 << 30);
    Cartridge::create(&disk, directory, &spec, Timestamp::UNIX_EPOCH).unwrap();
    let options = LoadOptions { reserve_bytes: Some(0), ..LoadOptions::default() };
    let mut drive = empty_drive();
    drive.insert(Volume::load(disk, directory, options).unwrap());
    for nexus in [A, B] {
        run(&mut drive, nexus, &TEST_UNIT_READY);
    }
    (faulty, drive)
}

fn run(drive: &mut Drive, nexus: ItNexus, cdb: &[u8]) -> Completion {
    device::execute(drive, Task::new(nexus, cdb))
}

fn run_with(drive: &mut Drive, cdb: &[u8], data: &[u8]) -> Completion {
    device::execute(drive, Task::new(A, cdb).with_data_out(data))
}

fn good(completion: &Completion) {
    assert_eq!((completion.status, completion.sense), (Status::GOOD, None));
}

fn sense(completion: &Completion) -> Sense {
    assert_eq!(completion.status, Status::CHECK_CONDITION);
    completion.sense.unwrap()
}

fn length(bytes: usize) -> [u8; 3] {
    let [_, high, middle, low] = u32::try_from(bytes).unwrap().to_be_bytes();
    [high, middle, low]
}

fn write(drive: &mut Drive, data: &[u8]) -> Completion {
    let [high, middle, low] = length(data.len());
    run_with(drive, &[0x0a, 0, high, middle, low, 0], data)
}

fn read(drive: &mut Drive, flags: u8, count: usize) -> Completion {
    let [high, middle, low] = length(count);
    run(drive, A, &[0x08, flags, high, middle, low, 0])
}

fn filemarks(drive: &mut Drive, count: u8) -> Completion {
    run(drive, A, &[0x10, 0, 0, 0, count, 0])
}

fn space(drive: &mut Drive, code: u8, count: i32) -> Completion {
    let [_, high, middle, low] = count.to_be_bytes();
    run(drive, A, &[0x11, code, high, middle, low, 0])
}

fn select_block_length(drive: &mut Drive, bytes: usize) {
    let [high, middle, low] = length(bytes);
    good(&run_with(
        drive,
        &[0x15, 0x10, 0, 0, 12, 0],
        &[0, 0, 0x10, 8, 0, 0, 0, 0, 0, high, middle, low],
    ));
}

/// The object number of READ POSITION, long form.
fn position(drive: &mut Drive) -> u64 {
    let completion = run(drive, A, &[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0]);
    good(&completion);
    assert_eq!(completion.data_in.len(), 32);
    u64::from_be_bytes(completion.data_in[8..16].try_into().unwrap())
}

/// Blocks of 100, 200 and 300 bytes with a filemark behind the second; at the beginning.
fn recorded() -> Drive {
    let mut drive = drive();
    good(&write(&mut drive, &[1; 100]));
    good(&write(&mut drive, &[2; 200]));
    good(&filemarks(&mut drive, 1));
    good(&write(&mut drive, &[3; 300]));
    good(&run(&mut drive, A, &REWIND));
    drive
}

mod read_6 {
    use super::*;

    #[test]
    fn variable_exact_length() {
        let mut drive = recorded();
        let completion = read(&mut drive, 0, 100);
        good(&completion);
        assert_eq!(completion.data_in, vec![1; 100]);
        assert_eq!(position(&mut drive), 1);
    }

    #[test]
    fn variable_short_block_says_ili_and_how_much_was_missing() {
        let mut drive = recorded();
        let completion = read(&mut drive, 0, 4096);
        assert_eq!(sense(&completion), Sense::incorrect_length(3996));
        assert_eq!(completion.data_in, vec![1; 100]);
        assert_eq!(position(&mut drive), 1);
    }

    #[test]
    fn variable_long_block_says_a_negative_count_and_is_passed() {
        let mut drive = recorded();
        let completion = read(&mut drive, 0, 60);
        assert_eq!(sense(&completion), Sense::incorrect_length(-40));
        assert_eq!(completion.data_in, vec![1; 60]);
        assert_eq!(position(&mut drive), 1);
    }

    #[test]
    fn sili_leaves_the_length_to_the_transport() {
        let mut drive = recorded();
        let completion = read(&mut drive, 0x02, 4096);
        good(&completion);
        assert_eq!(completion.data_in.len(), 100);
        // A longer block is no error either, while no block length is set.
        let completion = read(&mut drive, 0x02, 50);
        good(&completion);
        assert_eq!(completion.data_in.len(), 50);
    }

    #[test]
    fn sili_with_a_block_length_set_still_reports_a_longer_block() {
        let mut drive = recorded();
        select_block_length(&mut drive, 512);
        assert_eq!(sense(&read(&mut drive, 0x02, 50)), Sense::incorrect_length(-50));
    }

    #[test]
    fn a_filemark_ends_it_behind_the_mark() {
        let mut drive = recorded();
        good(&space(&mut drive, 0, 2));
        assert_eq!(sense(&read(&mut drive, 0, 4096)), Sense::filemark_detected(4096));
        assert_eq!(position(&mut drive), 3);
    }

    #[test]
    fn the_end_of_data_is_a_blank_check() {
        let mut drive = recorded();
        good(&space(&mut drive, 3, 0));
        let found = sense(&read(&mut drive, 0, 512));
        assert_eq!(found, Sense::end_of_data().with_information(512));
        assert_eq!((found.key, found.asc), (SenseKey::BlankCheck, Asc(0x00, 0x05)));
        assert_eq!(position(&mut drive), 4);
    }

    #[test]
    fn fixed_counts_blocks() {
        let mut drive = drive();
        select_block_length(&mut drive, 512);
        let data: Vec<u8> = (0..5 * 512_usize).map(|n| u8::try_from(n / 512).unwrap()).collect();
        good(&run_with(&mut drive, &[0x0a, 0x01, 0, 0, 5, 0], &data));
        good(&filemarks(&mut drive, 1));
        assert_eq!(position(&mut drive), 6);
        good(&run(&mut drive, A, &REWIND));
        let completion = read(&mut drive, 0x01, 3);
        good(&completion);
        assert_eq!(completion.data_in, data[..3 * 512]);
        let completion = read(&mut drive, 0x01, 10);
        assert_eq!(sense(&completion), Sense::filemark_detected(8));
        assert_eq!(completion.data_in, data[3 * 512..]);
        assert_eq!(position(&mut drive), 6);
    }

    #[test]
    fn fixed_meets_another_length() {
        let mut drive = recorded();
        select_block_length(&mut drive, 100);
        let completion = read(&mut drive, 0x01, 4);
        assert_eq!(sense(&completion), Sense::incorrect_length(3));
        assert_eq!(completion.data_in.len(), 100);
        assert_eq!(position(&mut drive), 2);
    }

    #[test]
    fn fixed_without_a_block_length_or_with_sili_is_refused() {
        let mut drive = recorded();
        assert_eq!(sense(&read(&mut drive, 0x01, 1)), Sense::invalid_field_in_cdb(1, Some(0)));
        select_block_length(&mut drive, 512);
        assert_eq!(sense(&read(&mut drive, 0x03, 1)), Sense::invalid_field_in_cdb(1, Some(1)));
        assert_eq!(position(&mut drive), 0);
    }

    #[test]
    fn a_count_of_zero_moves_nothing() {
        let mut drive = recorded();
        good(&read(&mut drive, 0, 0));
        assert_eq!(position(&mut drive), 0);
    }
}

mod write_6 {
    use super::*;

    #[test]
    fn data_shorter_than_announced_writes_nothing() {
        let mut drive = drive();
        let completion = run_with(&mut drive, &[0x0a, 0, 0, 4, 0, 0], &[0; 512]);
        assert_eq!(sense(&completion), Sense::invalid_field_in_cdb(2, Some(7)));
        assert_eq!(completion.data_out_length_bytes, 1024);
        assert_eq!(position(&mut drive), 0);
    }

    #[test]
    fn a_block_over_the_limit_is_refused() {
        let mut drive = drive();
        let completion = run_with(&mut drive, &[0x0a, 0, 0x80, 0, 1, 0], &vec![0; (8 << 20) + 1]);
        assert_eq!(sense(&completion), Sense::invalid_field_in_cdb(2, Some(7)));
        let completion = write(&mut drive, &vec![7; 8 << 20]);
        good(&completion);
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(read(&mut drive, 0, 8 << 20).data_in, vec![7; 8 << 20]);
    }

    #[test]
    fn early_warning_then_the_end() {
        let mut drive = drive_with("lto9", 8 << 20);
        let block = vec![5; 64 << 10];
        let mut written = 0;
        let mut warned = 0;
        let last = loop {
            let completion = write(&mut drive, &block);
            if completion.status == Status::GOOD {
                assert_eq!(warned, 0, "every write after the mark is warned of");
            } else if sense(&completion) == Sense::early_warning() {
                warned += 1;
            } else {
                break sense(&completion);
            }
            written += 1;
        };
        assert!(warned > 0 && written > 100, "{warned} of {written}");
        assert_eq!(last, Sense::volume_overflow(64 << 10));
        // Two filemarks always fit behind, and nothing of the last block was written.
        for _ in 0..2 {
            assert_eq!(sense(&filemarks(&mut drive, 1)), Sense::early_warning());
        }
        assert_eq!(position(&mut drive), written + 2);
        good(&run(&mut drive, A, &REWIND));
        for _ in 0..written {
            assert_eq!(read(&mut drive, 0, 64 << 10).data_in, block);
        }
        assert_eq!(sense(&read(&mut drive, 0, 64 << 10)), Sense::filemark_detected(64 << 10));
    }

    #[test]
    fn overwriting_ends_the_data_there() {
        let mut drive = recorded();
        good(&space(&mut drive, 0, 1));
        good(&write(&mut drive, &[9; 50]));
        assert_eq!(sense(&read(&mut drive, 0, 50)), Sense::end_of_data().with_information(50));
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(read(&mut drive, 0, 100).data_in, vec![1; 100]);
        assert_eq!(read(&mut drive, 0, 50).data_in, vec![9; 50]);
    }

    #[test]
    fn an_older_generation_is_only_read_and_a_stranger_not_at_all() {
        let mut drive =
            Drive::new(Profile::find("ibm-ult3580-td7").unwrap(), "1", 5, Arc::from([Lun(1)]));
        drive.insert(cartridge("lto5", 1 << 30));
        assert_eq!(sense(&write(&mut drive, &[1])), Sense::cannot_write_format());
        let header = run(&mut drive, A, &[0x1a, 0, 0, 0, 12, 0]).data_in;
        assert_eq!(header[2] & 0x80, 0x80, "write protected");
        let mut drive =
            Drive::new(Profile::find("ibm-ult3580-td9").unwrap(), "1", 5, Arc::from([Lun(1)]));
        drive.insert(cartridge("lto7", 1 << 30));
        assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::incompatible_format());
    }
}

mod space {
    use super::*;

    #[test]
    fn blocks_stop_behind_a_filemark_in_the_direction_of_motion() {
        let mut drive = recorded();
        assert_eq!(sense(&space(&mut drive, 0, 4)), Sense::filemark_detected(2));
        assert_eq!(position(&mut drive), 3);
        assert_eq!(sense(&space(&mut drive, 0, -1)), Sense::filemark_detected(1));
        assert_eq!(position(&mut drive), 2);
    }

    #[test]
    fn the_ends_are_told_with_what_was_left() {
        let mut drive = recorded();
        assert_eq!(sense(&space(&mut drive, 1, 3)), Sense::end_of_data().with_information(2));
        assert_eq!(position(&mut drive), 4);
        assert_eq!(sense(&space(&mut drive, 1, -3)), Sense::beginning_of_partition(2));
        assert_eq!(position(&mut drive), 0);
        assert_eq!(sense(&space(&mut drive, 0, -1)), Sense::beginning_of_partition(1));
    }

    #[test]
    fn a_count_of_zero_does_not_move_and_other_codes_are_refused() {
        let mut drive = recorded();
        good(&space(&mut drive, 0, 1));
        good(&space(&mut drive, 1, 0));
        assert_eq!(position(&mut drive), 1);
        for code in [2, 4, 5, 15] {
            assert_eq!(sense(&space(&mut drive, code, 1)), Sense::invalid_field_in_cdb(1, Some(3)));
        }
    }

    #[test]
    fn sixteen_byte_form() {
        let mut drive = recorded();
        let mut cdb = [0; 16];
        cdb[0] = 0x91;
        cdb[1] = 1;
        cdb[4..12].copy_from_slice(&1_i64.to_be_bytes());
        good(&run(&mut drive, A, &cdb));
        assert_eq!(position(&mut drive), 3);
    }
}

mod locate {
    use super::*;

    #[test]
    fn objects_files_and_the_end() {
        let mut drive = recorded();
        good(&run(&mut drive, A, &[0x2b, 0x04, 0, 0, 0, 0, 2, 0, 0, 0]));
        assert_eq!(position(&mut drive), 2);
        let mut cdb = [0; 16];
        cdb[0] = 0x92;
        cdb[1] = 1 << 3;
        cdb[11] = 1;
        good(&run(&mut drive, A, &cdb));
        assert_eq!(position(&mut drive), 3);
        cdb[1] = 3 << 3;
        good(&run(&mut drive, A, &cdb));
        assert_eq!(position(&mut drive), 4);
        cdb[1] = 2 << 3;
        assert_eq!(sense(&run(&mut drive, A, &cdb)), Sense::invalid_field_in_cdb(1, Some(5)));
    }

    #[test]
    fn beyond_the_data() {
        let mut drive = recorded();
        let found = sense(&run(&mut drive, A, &[0x2b, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
        assert_eq!((found.key, found.asc), (SenseKey::BlankCheck, Asc::END_OF_DATA));
        assert_eq!(position(&mut drive), 4);
    }
}

mod medium {
    use super::*;

    #[test]
    fn prevented_by_one_nexus_holds_against_all() {
        let mut drive = recorded();
        good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 1, 0]));
        assert_eq!(sense(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0])), Sense::removal_prevented());
        good(&run(&mut drive, B, &[0x1e, 0, 0, 0, 0, 0]));
        assert_eq!(sense(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0])), Sense::removal_prevented());
        drive.nexus_ends(A);
        good(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0]));
        assert_eq!(
            sense(&run(&mut drive, B, &TEST_UNIT_READY)),
            Sense::initializing_command_required()
        );
    }

    #[test]
    fn loading_again_is_a_unit_attention_and_the_beginning() {
        let mut drive = recorded();
        good(&space(&mut drive, 0, 1));
        good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
        good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 1, 0]));
        assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
        assert_eq!(position(&mut drive), 0);
    }

    #[test]
    fn what_was_written_is_there_after_the_robot_took_it() {
        let mut drive = recorded();
        let facts = drive.remove().unwrap().unwrap();
        assert_eq!((facts.block_count, facts.filemark_count, facts.written_bytes), (3, 1, 600));
        assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_not_present());
    }
}

mod checks {
    use super::*;

    #[test]
    fn unknown_codes_short_cdbs_and_reserved_bits() {
        let mut drive = recorded();
        assert_eq!(
            sense(&run(&mut drive, A, &[0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            Sense::invalid_operation_code()
        );
        assert_eq!(sense(&run(&mut drive, A, &[0x08, 0, 0])), Sense::invalid_field_in_cdb(0, None));
        assert_eq!(
            sense(&run(&mut drive, A, &[0x01, 0x10, 0, 0, 0, 0])),
            Sense::invalid_field_in_cdb(1, Some(4))
        );
        assert_eq!(
            sense(&run(&mut drive, A, &[0xa3, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            Sense::invalid_field_in_cdb(1, Some(4))
        );
    }

    #[test]
    fn a_reservation_keeps_others_out_but_not_from_asking() {
        let mut drive = recorded();
        good(&run(&mut drive, A, &[0x16, 0, 0, 0, 0, 0]));
        for cdb in
            [&REWIND[..], &[0x08, 0, 0, 0, 1, 0], &[0x16, 0, 0, 0, 0, 0], &[0x1e, 0, 0, 0, 1, 0]]
        {
            assert_eq!(run(&mut drive, B, cdb).status, Status::RESERVATION_CONFLICT, "{cdb:02x?}");
        }
        for cdb in [
            &[0x12, 0, 0, 0, 36, 0][..],
            &[0x03, 0, 0, 0, 18, 0],
            &[0x17, 0, 0, 0, 0, 0],
            &[0x1e, 0, 0, 0, 0, 0],
        ] {
            good(&run(&mut drive, B, cdb));
        }
        good(&run(&mut drive, A, &REWIND));
        drive.reset();
        assert_eq!(sense(&run(&mut drive, B, &REWIND)), Sense::device_reset());
        good(&run(&mut drive, B, &REWIND));
    }

    #[test]
    fn every_row_of_the_table_is_reported_with_its_own_length() {
        let mut drive = drive();
        let all = run(&mut drive, A, &[0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0]).data_in;
        let listed = usize::try_from(u32::from_be_bytes(all[..4].try_into().unwrap())).unwrap() / 8;
        assert_eq!(listed, crate::commands::COMMANDS.len());
        for row in crate::commands::COMMANDS {
            let (option, action) = row.service_action.map_or((1, 0), |action| (2, action));
            let cdb = [0xa3, 0x0c, option, row.operation_code(), 0, action, 0, 0, 0xff, 0xff, 0, 0];
            let one = run(&mut drive, A, &cdb).data_in;
            assert_eq!(&one[4..], row.usage, "{}", row.name);
        }
    }

    #[test]
    fn mode_pages_come_back_as_they_were_read() {
        let mut drive = recorded();
        let all = run(&mut drive, A, &[0x5a, 0, 0x3f, 0xff, 0, 0, 0, 0xff, 0xff, 0]).data_in;
        let mut list = all.to_vec();
        list[0] = 0;
        list[1] = 0;
        let [high, low] = u16::try_from(list.len()).unwrap().to_be_bytes();
        good(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list));
        assert_eq!(sense(&run(&mut drive, B, &TEST_UNIT_READY)), Sense::mode_parameters_changed());
        // Of page 10h only the algorithm can be changed.
        let at = list.windows(2).position(|pair| pair == [0x10, 0x0e]).unwrap();
        list[at + 2] ^= 1;
        let refused =
            sense(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list));
        assert_eq!(
            refused,
            Sense::invalid_field_in_parameter_list(u16::try_from(at + 2).unwrap(), Some(0))
        );
        let cut =
            sense(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list[..10]));
        assert_eq!(cut, Sense::parameter_list_length_error());
    }

    #[test]
    fn the_header_that_linux_reads_at_each_open() {
        let mut drive = drive();
        let header = run(&mut drive, A, &[0x1a, 0, 0, 0, 0x0c, 0]).data_in;
        assert_eq!(header[..], [11, 0x98, 0x10, 8, 0x60, 0, 0, 0, 0, 0, 0, 0]);
    }
}
