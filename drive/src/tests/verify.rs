//! VERIFY(6).

use super::*;

fn verify(drive: &mut Drive, flags: u8, count: usize) -> Completion {
    let [high, middle, low] = length(count);
    let completion = run(drive, A, &[0x13, flags, high, middle, low, 0]);
    assert!(completion.data_in.is_empty());
    completion
}

#[test]
fn one_block_is_looked_at_as_read_would_read_it() {
    let mut drive = recorded();
    good(&verify(&mut drive, 0, 0));
    assert_eq!(position(&mut drive), 0);
    good(&verify(&mut drive, 0, 100));
    assert_eq!(position(&mut drive), 1);
    assert_eq!(sense(&verify(&mut drive, 0, 500)), Sense::incorrect_length(300));
    assert_eq!(sense(&verify(&mut drive, 0, 500)), Sense::filemark_detected(500));
    assert_eq!(sense(&verify(&mut drive, 0, 100)), Sense::incorrect_length(-200));
    let end = Sense::end_of_data().with_information(9);
    assert_eq!(sense(&verify(&mut drive, 0, 9)), end);
    assert_eq!(position(&mut drive), 4);
}

#[test]
fn fixed_blocks_filemarks_and_everything() {
    let mut drive = recorded();
    assert_eq!(sense(&verify(&mut drive, 0x01, 1)), Sense::invalid_field_in_cdb(1, Some(0)));
    select_block_length(&mut drive, 100);
    assert_eq!(sense(&verify(&mut drive, 0x01, 3)), Sense::incorrect_length(2));
    assert_eq!(position(&mut drive), 2);
    good(&run(&mut drive, A, &REWIND));
    good(&verify(&mut drive, 0x01, 1));
    good(&verify(&mut drive, 0x08, 1));
    assert_eq!(position(&mut drive), 3);
    let end = Sense::end_of_data().with_information(2);
    assert_eq!(sense(&verify(&mut drive, 0x08, 2)), end);
    good(&run(&mut drive, A, &REWIND));
    good(&verify(&mut drive, 0x24, 0));
    assert_eq!(position(&mut drive), 4);
    for (flags, count, byte, bit) in [
        (0x20, 1, 2, 7),
        (0x28, 0, 1, 5),
        (0x09, 1, 1, 0),
        (0x21, 0, 1, 0),
        (0x02, 1, 1, 1),
        (0x10, 1, 1, 4),
    ] {
        let refused = sense(&verify(&mut drive, flags, count));
        assert_eq!(refused, Sense::invalid_field_in_cdb(byte, Some(bit)), "{flags:02x}");
    }
}
