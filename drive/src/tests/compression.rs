//! Data compression: mode pages 0Fh and 10h, log pages 1Bh and 32h.

use super::*;

/// A quarter of a megabyte that takes less than half of that.
fn text(number: u8) -> Vec<u8> {
    let random = random(250_000);
    random.iter().map(|byte| b"etao"[usize::from(byte.wrapping_add(number) % 4)]).collect()
}

/// Bytes that do not shrink.
fn random(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// The parameters of a log page, in their order.
fn log(drive: &mut Drive, page: u8) -> Vec<(u16, u64)> {
    let completion = run(drive, A, &[0x4d, 0, 0x40 | page, 0, 0, 0, 0, 0x10, 0, 0]);
    good(&completion);
    let mut rest = &completion.data_in[4..];
    let mut found = Vec::new();
    while let [high, low, _, length, after @ ..] = rest {
        let (value, next) = after.split_at(usize::from(*length));
        let value = value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        found.push((u16::from_be_bytes([*high, *low]), value));
        rest = next;
    }
    found
}

/// Ratios of reading and writing, and bytes to the host, from the tape, from the host, to the tape.
fn figures(drive: &mut Drive, page: u8) -> ([u64; 2], [u64; 4]) {
    let values: Vec<_> = log(drive, page).into_iter().map(|(_, value)| value).collect();
    let amounts = [2, 4, 6, 8].map(|at| values[at] * 1_000_000 + values[at + 1]);
    ([values[0], values[1]], amounts)
}

/// MODE SELECT of one page, whose other bytes stay as they are.
fn select(drive: &mut Drive, page: u8, at: usize, value: u8) {
    let mut list = run(drive, A, &[0x1a, 0x08, page, 0, 0xff, 0]).data_in.to_vec();
    list[0] = 0;
    list[4 + 2 + at] = value;
    let length = u8::try_from(list.len()).unwrap();
    good(&run_with(drive, &[0x15, 0x10, 0, 0, length, 0], &list));
}

/// What pages 0Fh and 10h say, and log page 1Bh.
fn is_on(drive: &mut Drive) -> bool {
    let data = run(drive, A, &[0x1a, 0x08, 0x0f, 0, 0xff, 0]).data_in;
    let again = run(drive, A, &[0x1a, 0x08, 0x10, 0, 0xff, 0]).data_in;
    let is_on = data[6] & 0x80 != 0;
    assert_eq!(again[4 + 2 + 12], u8::from(is_on));
    assert_eq!(log(drive, 0x1b).last(), Some(&(0x0100, u64::from(is_on))));
    is_on
}

#[test]
fn pages_0f_and_10_say_the_same_whichever_is_changed() {
    let mut drive = drive();
    assert!(is_on(&mut drive), "as on a drive that was just switched on");
    for (page, at, off, on) in [(0x0f, 0, 0x40, 0xc0), (0x10, 12, 0, 1)] {
        select(&mut drive, page, at, off);
        assert!(!is_on(&mut drive));
        select(&mut drive, page, at, on);
        assert!(is_on(&mut drive));
    }
    // All pages at once, as they were read, but for the one bit: page 10h comes last and still says what was before.
    let mut list = run(&mut drive, A, &[0x5a, 0, 0x3f, 0, 0, 0, 0, 0xff, 0xff, 0]).data_in.to_vec();
    list[..2].fill(0);
    let at = list.windows(2).position(|pair| pair == [0x0f, 0x0e]).unwrap();
    list[at + 2] ^= 0x80;
    let [high, low] = u16::try_from(list.len()).unwrap().to_be_bytes();
    good(&run_with(&mut drive, &[0x55, 0x10, 0, 0, 0, 0, 0, high, low, 0], &list));
    assert!(!is_on(&mut drive));
    drive.reset();
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)).key, SenseKey::UnitAttention);
    assert!(is_on(&mut drive));
}

#[test]
fn an_algorithm_that_there_is_not_is_refused() {
    let mut drive = drive();
    let mut list = run(&mut drive, A, &[0x1a, 0x08, 0x10, 0, 0xff, 0]).data_in.to_vec();
    list[0] = 0;
    list[4 + 2 + 12] = 3;
    let length = u8::try_from(list.len()).unwrap();
    let refused = sense(&run_with(&mut drive, &[0x15, 0x10, 0, 0, length, 0], &list));
    assert_eq!(refused, Sense::invalid_field_in_parameter_list(18, Some(1)));
    assert!(is_on(&mut drive));
}

#[test]
fn log_pages_tell_what_went_which_way() {
    let mut drive = drive();
    for page in [0x1b, 0x32] {
        assert_eq!(figures(&mut drive, page), ([0, 0], [0; 4]));
    }
    (0..10).for_each(|number| good(&write(&mut drive, &text(number))));
    good(&filemarks(&mut drive, 1));
    let (ratios, [given, read_from_tape, accepted, written]) = figures(&mut drive, 0x32);
    assert_eq!((given, read_from_tape, accepted), (0, 0, 2_500_000));
    assert!(ratios[0] == 0 && ratios[1] >= 200, "{ratios:?}");
    assert_eq!(ratios[1], accepted * 100 / written);
    good(&run(&mut drive, A, &REWIND));
    for number in 0..10 {
        assert_eq!(read(&mut drive, 0, 250_000).data_in, text(number));
    }
    let (ratios, amounts) = figures(&mut drive, 0x1b);
    assert_eq!(ratios[0], ratios[1]);
    assert_eq!(amounts, [2_500_000, written, 2_500_000, written]);
    assert_eq!(figures(&mut drive, 0x32), (ratios, amounts));
}

#[test]
fn what_does_not_shrink_and_what_must_not_are_stored_as_they_come() {
    let mut drive = drive();
    good(&write(&mut drive, &random(300_000)));
    good(&filemarks(&mut drive, 1));
    assert_eq!(figures(&mut drive, 0x32), ([0, 100], [0, 0, 300_000, 300_000]));
    select(&mut drive, 0x0f, 0, 0x40);
    good(&write(&mut drive, &text(1)));
    good(&filemarks(&mut drive, 1));
    assert_eq!(figures(&mut drive, 0x32).1[3], 550_000);
    // From one command to the next: the command decides.
    select(&mut drive, 0x0f, 0, 0xc0);
    good(&write(&mut drive, &text(2)));
    select(&mut drive, 0x0f, 0, 0x40);
    good(&filemarks(&mut drive, 1));
    assert!(figures(&mut drive, 0x32).1[3] < 550_000 + 125_000);
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(read(&mut drive, 0, 300_000).data_in, random(300_000));
    assert_eq!(sense(&read(&mut drive, 0, 1)), Sense::filemark_detected(1));
    for number in [1, 2] {
        assert_eq!(read(&mut drive, 0, 250_000).data_in, text(number));
        assert_eq!(sense(&read(&mut drive, 0, 1)), Sense::filemark_detected(1));
    }
}

#[test]
fn a_tape_of_zeros_has_the_highest_ratio_that_can_be_said() {
    let mut drive = drive();
    good(&write(&mut drive, &vec![0; 100_000]));
    good(&filemarks(&mut drive, 1));
    assert_eq!(figures(&mut drive, 0x1b), ([0, 0xffff], [0, 0, 100_000, 0]));
}
