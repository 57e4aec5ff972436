//! What is refused before a command does anything.

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
    for cdb in [&REWIND[..], &[0x08, 0, 0, 0, 1, 0], &[0x16, 0, 0, 0, 0, 0], &[0x1e, 0, 0, 0, 1, 0]]
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
    let refused = sense(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list));
    assert_eq!(
        refused,
        Sense::invalid_field_in_parameter_list(u16::try_from(at + 2).unwrap(), Some(0))
    );
    let cut = sense(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list[..10]));
    assert_eq!(cut, Sense::parameter_list_length_error());
}

#[test]
fn the_header_that_linux_reads_at_each_open() {
    let mut drive = drive();
    let header = run(&mut drive, A, &[0x1a, 0, 0, 0, 0x0c, 0]).data_in;
    assert_eq!(header[..], [11, 0x98, 0x10, 8, 0x60, 0, 0, 0, 0, 0, 0, 0]);
}
