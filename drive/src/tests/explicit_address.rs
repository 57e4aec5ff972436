//! READ(16), WRITE(16), WRITE FILEMARKS(16), VERIFY(16): they go to the place that they name, and READ MEDIA SERIAL NUMBER.

use super::*;

fn cdb(code: u8, flags: u8, (partition, object): (u8, u8), count: usize) -> [u8; 16] {
    let [high, middle, low] = length(count);
    [code, flags, 0, partition, 0, 0, 0, 0, 0, 0, 0, object, high, middle, low, 0]
}

fn at(drive: &mut Drive, code: u8, flags: u8, object: u8, count: usize) -> Completion {
    run(drive, A, &cdb(code, flags, (0, object), count))
}

#[test]
fn read_goes_to_the_object_that_it_names() {
    let mut drive = recorded();
    for (object, value, bytes) in [(3, 3, 300), (0, 1, 100), (1, 2, 200)] {
        let completion = at(&mut drive, 0x88, 0, object, bytes);
        good(&completion);
        assert_eq!(completion.data_in, vec![value; bytes]);
        assert_eq!(position(&mut drive), u64::from(object) + 1);
    }
    // From where it is, it is what READ(6) is.
    assert_eq!(sense(&at(&mut drive, 0x88, 0, 2, 500)), Sense::filemark_detected(500));
    assert_eq!(sense(&at(&mut drive, 0x88, 0, 3, 500)), Sense::incorrect_length(200));
    good(&at(&mut drive, 0x88, 0, 1, 0));
    assert_eq!(position(&mut drive), 1);
    select_block_length(&mut drive, 100);
    assert_eq!(at(&mut drive, 0x88, 1, 0, 1).data_in, vec![1; 100]);
}

#[test]
fn nothing_is_there() {
    let mut drive = recorded();
    let failure = Sense::locate_operation_failure().with_information(77);
    assert_eq!((failure.key, failure.asc), (SenseKey::MediumError, Asc(0x14, 0x07)));
    for code in [0x88, 0x8f, 0x80] {
        good(&run(&mut drive, A, &REWIND));
        assert_eq!(sense(&at(&mut drive, code, 0, 5, 77)), failure, "{code:02x}");
        let refused = sense(&run(&mut drive, A, &cdb(code, 0, (1, 0), 77)));
        assert_eq!(refused, Sense::invalid_field_in_cdb(3, Some(7)), "{code:02x}");
    }
    good(&run(&mut drive, A, &REWIND));
    let completion = run_with(&mut drive, &cdb(0x8a, 0, (0, 9), 77), &[9; 77]);
    assert_eq!(sense(&completion), failure);
    assert_eq!(completion.data_out_length_bytes, 77);
    // The end of data is a place.
    assert_eq!(sense(&at(&mut drive, 0x88, 0, 4, 7)), Sense::end_of_data().with_information(7));
    // What had been there still is.
    for object in [0, 1, 3] {
        good(&at(&mut drive, 0x88, 0x02, object, 500));
    }
}

#[test]
fn lengths_that_cannot_be_are_pointed_at() {
    let mut drive = recorded();
    for code in [0x88, 0x8a, 0x8f] {
        let found = sense(&at(&mut drive, code, 1, 0, 1));
        assert_eq!(found, Sense::invalid_field_in_cdb(1, Some(0)), "{code:02x}");
    }
    let too_long = Sense::invalid_field_in_cdb(12, Some(7));
    assert_eq!(sense(&at(&mut drive, 0x8a, 0, 0, (8 << 20) + 1)), too_long);
    assert_eq!(sense(&run_with(&mut drive, &cdb(0x8a, 0, (0, 0), 100), &[1; 99])), too_long);
    select_block_length(&mut drive, 1 << 20);
    assert_eq!(sense(&at(&mut drive, 0x88, 1, 0, 17)), too_long);
    assert_eq!(sense(&at(&mut drive, 0x8f, 0x20, 0, 1)), too_long);
    // FCS and LCS: there are no sequences of writes here.
    let refused = sense(&at(&mut drive, 0x8a, 0x08, 0, 0));
    assert_eq!(refused, Sense::invalid_field_in_cdb(1, Some(3)));
}

#[test]
fn write_and_filemarks_end_the_data_where_they_were_told_to() {
    let mut drive = recorded();
    good(&run_with(&mut drive, &cdb(0x8a, 0, (0, 1), 50), &[5; 50]));
    assert_eq!(position(&mut drive), 2);
    assert_eq!(sense(&read(&mut drive, 0, 9)).key, SenseKey::BlankCheck);
    good(&at(&mut drive, 0x80, 0, 1, 2));
    assert_eq!(position(&mut drive), 3);
    assert_eq!(at(&mut drive, 0x88, 0, 0, 100).data_in, vec![1; 100]);
    assert_eq!(sense(&at(&mut drive, 0x88, 0, 1, 9)), Sense::filemark_detected(9));
    select_block_length(&mut drive, 10);
    good(&run_with(&mut drive, &cdb(0x8a, 1, (0, 2), 3), &[6; 30]));
    assert_eq!(position(&mut drive), 5);
    assert_eq!(at(&mut drive, 0x88, 1, 3, 2).data_in, vec![6; 20]);
}

#[test]
fn append_only_mode_holds_for_the_place_that_is_named() {
    let mut drive = recorded();
    let mut list = vec![0, 0, 0x10, 0, 0x50, 0x01, 0, 28, 0, 0x12];
    list.resize(4 + 32, 0);
    good(&run_with(&mut drive, &[0x15, 0x10, 0, 0, 36, 0], &list));
    let refused = sense(&run_with(&mut drive, &cdb(0x8a, 0, (0, 1), 50), &[5; 50]));
    assert_eq!((refused.key, refused.asc), (SenseKey::DataProtect, Asc(0x5a, 0x02)));
    let refused = sense(&at(&mut drive, 0x80, 0, 1, 1));
    assert_eq!(refused.asc, Asc(0x5a, 0x02));
    good(&run_with(&mut drive, &cdb(0x8a, 0, (0, 4), 50), &[5; 50]));
    assert_eq!(at(&mut drive, 0x88, 0, 3, 300).data_in, vec![3; 300]);
}

#[test]
fn verify_goes_to_the_object_that_it_names() {
    let mut drive = recorded();
    let verify = |drive: &mut Drive, flags, object, count| {
        let completion = at(drive, 0x8f, flags, object, count);
        assert!(completion.data_in.is_empty());
        completion
    };
    good(&verify(&mut drive, 0, 3, 300));
    assert_eq!(position(&mut drive), 4);
    assert_eq!(sense(&verify(&mut drive, 0, 0, 300)), Sense::incorrect_length(200));
    good(&verify(&mut drive, 0x08, 0, 1));
    assert_eq!(position(&mut drive), 3);
    good(&verify(&mut drive, 0x20, 1, 0));
    assert_eq!(position(&mut drive), 4);
}

#[test]
fn the_serial_number_of_the_medium_is_that_of_the_attribute() {
    let mut drive = recorded();
    let ask = [0xab, 0x01, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0];
    let serial = run(&mut drive, A, &ask).data_in;
    assert_eq!(serial[..4], [0, 0, 0, 32]);
    assert_eq!(&serial[4..], b"00000000000000000000000000000001");
    let attribute =
        run(&mut drive, A, &[0x8c, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x01, 0, 0, 0, 41, 0, 0]).data_in;
    assert_eq!(attribute[9..41], serial[4..]);
    let cut = run(&mut drive, A, &[0xab, 0x01, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0]).data_in;
    assert_eq!(cut, serial[..6]);
    good(&run(&mut drive, B, &[0x16, 0, 0, 0, 0, 0]));
    good(&run(&mut drive, A, &ask));
    let empty = sense(&run(&mut empty_drive(), A, &ask));
    assert_eq!(empty, Sense::medium_not_present());
}
