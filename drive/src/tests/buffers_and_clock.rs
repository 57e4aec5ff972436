//! READ and WRITE BUFFER, SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS, and the clock.

use std::sync::atomic::{AtomicU64, Ordering};

use vtl_scsi::Clock;

use super::*;

fn in_cdb(byte: u16, bit: u8) -> Sense {
    Sense::invalid_field_in_cdb(byte, Some(bit))
}

mod buffer {
    use super::*;

    const DATA: u8 = 0x02;
    const DESCRIPTOR: u8 = 0x03;
    const ECHO: u8 = 0x0a;
    const CAPACITY: usize = 64 << 10;

    fn cdb(code: u8, mode: u8, id: u8, offset: usize, count: usize) -> [u8; 10] {
        let ([o0, o1, o2], [l0, l1, l2]) = (length(offset), length(count));
        [code, mode, id, o0, o1, o2, l0, l1, l2, 0]
    }

    fn read_from(drive: &mut Drive, mode: u8, id: u8, offset: usize, count: usize) -> Completion {
        run(drive, A, &cdb(0x3c, mode, id, offset, count))
    }

    fn write_to(drive: &mut Drive, mode: u8, id: u8, offset: usize, data: &[u8]) -> Completion {
        run_with(drive, &cdb(0x3b, mode, id, offset, data.len()), data)
    }

    #[test]
    fn what_was_written_comes_back_as_far_as_the_buffer_goes() {
        let mut drive = empty_drive();
        assert_eq!(read_from(&mut drive, DESCRIPTOR, 0, 0, 4).data_in[..], [0, 1, 0, 0]);
        assert_eq!(read_from(&mut drive, DATA, 0, 0, 1 << 20).data_in, vec![0; CAPACITY]);
        good(&write_to(&mut drive, DATA, 0, 1000, b"tape"));
        good(&write_to(&mut drive, DATA, 0, 0, b"a"));
        assert_eq!(read_from(&mut drive, DATA, 0, 999, 6).data_in[..], *b"\0tape\0");
        assert_eq!(read_from(&mut drive, DATA, 0, 0, 2).data_in[..], *b"a\0");
        good(&write_to(&mut drive, DATA, 0, CAPACITY - 2, b"zz"));
        assert_eq!(read_from(&mut drive, DATA, 0, CAPACITY - 1, 100).data_in[..], *b"z");
        good(&read_from(&mut drive, DATA, 0, CAPACITY, 100));
        drive.reset();
        run(&mut drive, A, &TEST_UNIT_READY);
        assert_eq!(read_from(&mut drive, DATA, 0, 0, 1).data_in[..], [0]);
    }

    // LTFS asks for a dump after an error: the descriptor of a buffer, then its data, and goes on for ever where the first
    // says that there is some and the second has none.
    #[test]
    fn a_buffer_that_is_not_there_has_no_bytes() {
        let mut drive = empty_drive();
        assert_eq!(read_from(&mut drive, DESCRIPTOR, 1, 0, 4).data_in[..], [0; 4]);
        assert_eq!(sense(&read_from(&mut drive, DATA, 1, 0, 4)), in_cdb(2, 7));
    }

    #[test]
    fn what_does_not_fit_or_is_no_mode_is_refused() {
        let mut drive = empty_drive();
        assert_eq!(sense(&read_from(&mut drive, DATA, 0, CAPACITY + 1, 4)), in_cdb(3, 7));
        assert_eq!(sense(&write_to(&mut drive, DATA, 0, CAPACITY + 1, b"a")), in_cdb(3, 7));
        assert_eq!(sense(&write_to(&mut drive, DATA, 0, CAPACITY - 1, b"ab")), in_cdb(6, 7));
        assert_eq!(sense(&write_to(&mut drive, DATA, 1, 0, b"a")), in_cdb(2, 7));
        // Error history, and microcode.
        assert_eq!(sense(&read_from(&mut drive, 0x1c, 0, 0, 4)), in_cdb(1, 4));
        for mode in [0x00, 0x04, 0x05, 0x06, 0x07, 0x0d, 0x0e, 0x0f] {
            assert_eq!(sense(&write_to(&mut drive, mode, 0, 0, b"code")), in_cdb(1, 4));
        }
        // Less came than was announced.
        let cut = run_with(&mut drive, &cdb(0x3b, DATA, 0, 0, 8), b"seven b");
        assert_eq!(sense(&cut), Sense::parameter_list_length_error());
        assert_eq!(read_from(&mut drive, DATA, 0, 0, 8).data_in[..], [0; 8]);
    }

    #[test]
    fn an_echo_is_for_the_nexus_that_called() {
        let mut drive = empty_drive();
        assert_eq!(read_from(&mut drive, 0x0b, 0, 0, 4).data_in[..], [1, 0, 0x10, 0]);
        assert_eq!(sense(&read_from(&mut drive, ECHO, 0, 0, 4)), Sense::command_sequence_error());
        good(&write_to(&mut drive, ECHO, 0, 0, b"hello"));
        assert_eq!(read_from(&mut drive, ECHO, 0, 0, 100).data_in[..], *b"hello");
        let other = run(&mut drive, B, &cdb(0x3c, ECHO, 0, 0, 100));
        assert_eq!(sense(&other), Sense::echo_buffer_overwritten());
        assert_eq!(sense(&write_to(&mut drive, ECHO, 0, 0, &[0; 4097])), in_cdb(6, 7));
        good(&write_to(&mut drive, ECHO, 0, 0, &[7; 4096]));
        assert_eq!(read_from(&mut drive, ECHO, 0, 0, 1 << 16).data_in, vec![7; 4096]);
    }
}

mod diagnostic {
    use super::*;

    #[test]
    fn the_only_page_is_the_list_of_pages() {
        let mut drive = empty_drive();
        good(&run_with(&mut drive, &[0x1d, 0x10, 0, 0, 4, 0], &[0; 4]));
        for flags in [0, 1] {
            let data = run(&mut drive, A, &[0x1c, flags, 0, 0, 0xff, 0]).data_in;
            assert_eq!(data[..], [0, 0, 0, 1, 0]);
        }
        assert_eq!(sense(&run(&mut drive, A, &[0x1c, 1, 0x80, 0, 0xff, 0])), in_cdb(2, 7));
    }

    #[test]
    fn what_is_no_test_and_no_page_is_refused() {
        let mut drive = empty_drive();
        let in_list = |byte| Sense::invalid_field_in_parameter_list(byte, None);
        // Asks an IBM drive for a dump.
        let dump = [0x80, 0, 0, 4, 1, 0x60, 0, 0];
        assert_eq!(sense(&run_with(&mut drive, &[0x1d, 0x10, 0, 0, 8, 0], &dump)), in_list(0));
        for (list, refused) in [
            (&[0, 1, 0, 0][..], in_list(1)),
            (&[0, 0, 0], Sense::parameter_list_length_error()),
            (&[0, 0, 0, 1, 0], Sense::parameter_list_length_error()),
        ] {
            let length = u8::try_from(list.len()).unwrap();
            let completion = run_with(&mut drive, &[0x1d, 0x10, 0, 0, length, 0], list);
            assert_eq!(sense(&completion), refused, "{list:02x?}");
        }
        // No PF; background tests; a test and a code; a test and a list.
        for (cdb, refused) in [
            ([0x1d, 0, 0, 0, 4, 0], in_cdb(1, 4)),
            ([0x1d, 0x20, 0, 0, 0, 0], in_cdb(1, 7)),
            ([0x1d, 0xa4, 0, 0, 0, 0], in_cdb(1, 7)),
            ([0x1d, 0x04, 0, 0, 4, 0], in_cdb(3, 7)),
        ] {
            assert_eq!(sense(&run_with(&mut drive, &cdb, &[0; 4])), refused, "{cdb:02x?}");
        }
    }

    #[test]
    fn a_self_test_changes_nothing_and_brings_data_to_disk() {
        let mut drive = drive();
        good(&write(&mut drive, &[1; 100]));
        assert!(drive.cartridge().unwrap().has_unsynced());
        for flags in [0x04, 0xa0, 0xc0] {
            good(&run(&mut drive, A, &[0x1d, flags, 0, 0, 0, 0]));
            assert_eq!(position(&mut drive), 1);
        }
        assert!(!drive.cartridge().unwrap().has_unsynced());
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(read(&mut drive, 0, 100).data_in, vec![1; 100]);
        good(&run(&mut empty_drive(), A, &[0x1d, 0x04, 0, 0, 0, 0]));
    }

    #[test]
    fn a_self_test_waits_for_the_disk_only_where_there_is_a_cartridge() {
        let task = Task::new(A, &[0x1d, 0x04, 0, 0, 0, 0]);
        assert!(drive().would_block(&task));
        assert!(!empty_drive().would_block(&task));
    }

    #[test]
    fn a_disk_that_takes_nothing_fails_the_self_test() {
        let (disk, mut drive) = drive_on_a_faulty_disk();
        good(&run(&mut drive, A, &[0x1d, 0x04, 0, 0, 0, 0]));
        disk.inject(Fault::forever(Call::Write, "label", Reaction::Errno(EIO)));
        let failed = sense(&run(&mut drive, A, &[0x1d, 0x04, 0, 0, 0, 0]));
        assert_eq!((failed, failed.key), (Sense::self_test_failed(), SenseKey::HardwareError));
    }
}

mod timestamp {
    use super::*;

    const REPORT: [u8; 12] = [0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0];
    const SET: [u8; 12] = [0xa4, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0];

    /// A drive with a clock that is put forward.
    fn with_clock(ms: u64) -> (Drive, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(ms));
        let mut drive = empty_drive();
        let clock = now.clone();
        drive.set_clock(Clock::new(move || clock.load(Ordering::Relaxed)));
        (drive, now)
    }

    /// Origin and milliseconds.
    fn report(drive: &mut Drive) -> (u8, u64) {
        let data = run(drive, A, &REPORT).data_in;
        assert_eq!((data.len(), &data[..2]), (12, &[0, 0x0a][..]));
        let ms = data[4..10].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        (data[2], ms)
    }

    fn list(ms: u64) -> Vec<u8> {
        [&[0; 4][..], &ms.to_be_bytes()[2..], &[0; 2]].concat()
    }

    #[test]
    fn the_hosts_time_until_it_is_set_and_then_that_going_on() {
        let (mut drive, now) = with_clock(1_800_000_000_000);
        assert_eq!(report(&mut drive), (3, 1_800_000_000_000));
        good(&run_with(&mut drive, &SET, &list(5000)));
        assert_eq!(report(&mut drive), (2, 5000));
        now.fetch_add(250, Ordering::Relaxed);
        assert_eq!(report(&mut drive), (2, 5250));
        let told = sense(&run(&mut drive, B, &TEST_UNIT_READY));
        assert_eq!((told, told.asc), (Sense::timestamp_changed(), Asc(0x2a, 0x10)));
        let last = (1 << 48) - 1;
        good(&run_with(&mut drive, &SET, &list(last)));
        assert_eq!(report(&mut drive), (2, last));
    }

    #[test]
    fn a_clock_that_nobody_gave_stands_at_zero() {
        assert_eq!(report(&mut empty_drive()), (0, 0));
    }

    #[test]
    fn a_list_that_is_wrong_sets_nothing() {
        let (mut drive, _) = with_clock(77);
        let mut reserved = list(1);
        reserved[0] = 1;
        let refused = sense(&run_with(&mut drive, &SET, &reserved));
        assert_eq!(refused, Sense::invalid_field_in_parameter_list(0, None));
        for announced in [11, 13] {
            let mut cdb = SET;
            cdb[9] = announced;
            let list = vec![0; usize::from(announced)];
            let refused = sense(&run_with(&mut drive, &cdb, &list));
            assert_eq!(refused, Sense::parameter_list_length_error());
        }
        let cut = sense(&run_with(&mut drive, &SET, &[0; 11]));
        assert_eq!(cut, Sense::parameter_list_length_error());
        let mut nothing = SET;
        nothing[9] = 0;
        good(&run(&mut drive, A, &nothing));
        assert_eq!(report(&mut drive), (3, 77));
        good(&run(&mut drive, B, &[0x03, 0, 0, 0, 18, 0]));
    }

    #[test]
    fn it_is_read_under_a_reservation_and_not_set() {
        let (mut drive, _) = with_clock(1);
        good(&run(&mut drive, B, &[0x16, 0, 0, 0, 0, 0]));
        good(&run(&mut drive, A, &REPORT));
        let conflict = run_with(&mut drive, &SET, &list(1));
        assert_eq!(conflict.status, Status::RESERVATION_CONFLICT);
    }
}
