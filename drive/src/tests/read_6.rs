//! READ(6): lengths, marks and ends.

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
