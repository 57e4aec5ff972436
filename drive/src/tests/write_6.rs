//! WRITE(6) and WRITE FILEMARKS(6).

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
