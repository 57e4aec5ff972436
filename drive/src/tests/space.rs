//! SPACE, both forms.

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
