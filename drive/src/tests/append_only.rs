//! Append-only mode, ALLOW OVERWRITE and programmable early warning: page 10h, subpage 01h.

use super::*;

fn select(drive: &mut Drive, write_mode: u8, zone_megabytes: u16) -> Completion {
    let mut list = vec![0, 0, 0x10, 0, 0x50, 0x01, 0, 28, 0, write_mode << 4 | 2];
    list.extend(zone_megabytes.to_be_bytes());
    list.resize(4 + 4 + 28, 0);
    run_with(drive, &[0x15, 0x10, 0, 0, 36, 0], &list)
}

fn allow(drive: &mut Drive, what: u8, partition: u8, object: u8) -> Completion {
    run(drive, A, &[0x82, 0, what, partition, 0, 0, 0, 0, 0, 0, 0, object, 0, 0, 0, 0])
}

fn refused() -> Sense {
    let sense = Sense::operator_selected_write_protect();
    assert_eq!((sense.key, sense.asc), (SenseKey::DataProtect, Asc(0x5a, 0x02)));
    sense
}

#[test]
fn the_page_is_sensed_and_selected_in_its_long_form() {
    // mhvtl looked for the length of a subpage where a page has it.
    let mut drive = drive();
    let sensed = |drive: &mut Drive| {
        let completion = run(drive, A, &[0x5a, 0x08, 0x10, 0x01, 0, 0, 0, 0, 0xff, 0]);
        good(&completion);
        completion.data_in[8..].to_vec()
    };
    let page = sensed(&mut drive);
    assert_eq!((page.len(), &page[..6]), (32, &[0x50, 0x01, 0, 28, 0, 0x02][..]));
    good(&select(&mut drive, 1, 500));
    assert_eq!(sensed(&mut drive)[5..8], [0x12, 1, 0xf4]);
    assert_eq!(
        sense(&select(&mut drive, 2, 0)),
        Sense::invalid_field_in_parameter_list(4 + 4 + 1, Some(5))
    );
    drive.reset();
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::device_reset());
    assert_eq!(sensed(&mut drive), page);
}

#[test]
fn in_append_only_mode_blocks_are_not_given_up() {
    let mut drive = recorded();
    good(&select(&mut drive, 1, 0));
    for object in 0..4 {
        good(&run(&mut drive, A, &[0x2b, 0, 0, 0, 0, 0, object, 0, 0, 0]));
        assert_eq!(sense(&write(&mut drive, &[9; 9])), refused());
        assert_eq!(sense(&filemarks(&mut drive, 1)), refused());
        assert_eq!(sense(&run(&mut drive, A, &[0x19, 0, 0, 0, 0, 0])), refused());
        good(&filemarks(&mut drive, 0));
        assert_eq!(position(&mut drive), u64::from(object));
    }
    good(&space(&mut drive, 3, 0));
    good(&write(&mut drive, &[9; 9]));
    good(&filemarks(&mut drive, 2));
    good(&space(&mut drive, 1, -1));
    good(&write(&mut drive, &[8; 9]));
    good(&run(&mut drive, A, &REWIND));
    good(&select(&mut drive, 0, 0));
    good(&write(&mut drive, &[9; 9]));
}

#[test]
fn a_tape_of_filemarks_may_be_begun_anew() {
    let mut drive = drive();
    good(&filemarks(&mut drive, 2));
    good(&run(&mut drive, A, &REWIND));
    good(&select(&mut drive, 1, 0));
    good(&write(&mut drive, &[9; 9]));
}

#[test]
fn allow_overwrite_holds_for_one_command_at_one_place() {
    let mut drive = recorded();
    assert_eq!(sense(&allow(&mut drive, 1, 0, 0)), Sense::not_in_append_only_mode());
    good(&select(&mut drive, 1, 0));
    let elsewhere = Sense::sequential_positioning_error();
    assert_eq!((elsewhere.key, elsewhere.asc), (SenseKey::IllegalRequest, Asc(0x3b, 0x00)));
    assert_eq!(sense(&allow(&mut drive, 1, 0, 1)), elsewhere);
    assert_eq!(sense(&allow(&mut drive, 1, 1, 0)), elsewhere);
    let unknown = Sense::invalid_field_in_cdb(2, Some(3));
    assert_eq!(sense(&allow(&mut drive, 3, 0, 0)), unknown);
    // Going away and coming back, a refusal, and allowing something else take it back.
    for taken_back in 0..3 {
        good(&allow(&mut drive, 1, 0, 0));
        match taken_back {
            0 => {
                good(&space(&mut drive, 0, 1));
                good(&run(&mut drive, A, &REWIND));
            }
            1 => assert_eq!(sense(&allow(&mut drive, 3, 0, 0)), unknown),
            _ => good(&allow(&mut drive, 2, 0, 0)),
        }
        assert_eq!(sense(&write(&mut drive, &[9; 9])), refused());
    }
    good(&allow(&mut drive, 1, 0, 0));
    good(&write(&mut drive, &[9; 9]));
    assert_eq!(position(&mut drive), 1);
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(sense(&write(&mut drive, &[9; 9])), refused());
}

/// The flags of READ POSITION: EOP and BPEW.
fn zones(drive: &mut Drive) -> (bool, bool) {
    let forms = [0x00, 0x06, 0x08]
        .map(|form| run(drive, A, &[0x34, form, 0, 0, 0, 0, 0, 0, 32, 0]).data_in[0] & 0x41);
    assert!(forms.iter().all(|flags| *flags == forms[0]));
    (forms[0] & 0x40 != 0, forms[0] & 0x01 != 0)
}

#[test]
fn programmable_early_warning_is_told_once_and_is_another_one_than_early_warning() {
    // 100 MB: early warning is given for the last 10 MiB, and now also 50 MB earlier.
    let mut drive = drive_with("lto9", 100_000_000);
    good(&select(&mut drive, 0, 50));
    let block = vec![1; 1_000_000];
    let mut told = Vec::new();
    for number in 1..=100 {
        let completion = write(&mut drive, &block);
        if completion.status == Status::GOOD {
            continue;
        }
        let sense = sense(&completion);
        assert_eq!((sense.key, sense.information, sense.eom), (SenseKey::NoSense, Some(0), true));
        told.push((number, sense.asc));
        assert_eq!(zones(&mut drive), (number >= 90, true));
    }
    assert_eq!(told[0], (40, Asc(0x00, 0x07)));
    assert_eq!(told[1], (90, Asc(0x00, 0x02)));
    assert_eq!(told.len(), 12);
    // Again, when it was left and is entered again.
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(zones(&mut drive), (false, false));
    good(&write(&mut drive, &block));
    for number in 2..=40 {
        let completion = write(&mut drive, &block);
        assert_eq!(completion.status == Status::GOOD, number < 40);
    }
}

#[test]
fn without_a_zone_nobody_is_warned_of_it() {
    let mut drive = drive_with("lto9", 10_000_000);
    for number in 1..=10 {
        let completion = write(&mut drive, &vec![1; 1_000_000]);
        assert_eq!(completion.status == Status::GOOD, number < 9);
        assert!(!zones(&mut drive).1);
    }
}
