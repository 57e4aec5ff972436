//! What a changer has in common with drives: log pages, buffers, self-tests, the clock.

use vtl_scsi::Clock;

use super::*;

fn good(completion: &Completion) -> Vec<u8> {
    assert_eq!((completion.status, completion.sense), (Status::GOOD, None));
    completion.data_in.to_vec()
}

#[test]
fn the_self_test_fails_where_a_drive_is_not_to_be_seen() {
    const SELF_TEST: [u8; 6] = [0x1d, 0x04, 0, 0, 0, 0];
    let (mut changer, elements) = changer();
    good(&run(&mut changer, A, &SELF_TEST));
    // One drive more than the robot has.
    let profile = Profile::find("ibm-03584l32").unwrap();
    let map = profile.element_map(3, 2, 3).unwrap();
    let robot = Box::new(Map(elements));
    let mut changer = Changer::new(profile, map, "LIB0000001", 7, Arc::from([Lun(0)]), robot);
    assert_eq!(sense(&run(&mut changer, A, &SELF_TEST)), Sense::self_test_failed());
}

#[test]
fn no_tape_alert_flag_is_lit_and_setting_them_back_is_told_to_the_others() {
    let (mut changer, _) = changer();
    assert_eq!(good(&run(&mut changer, A, &[0x4d, 0, 0x40, 0, 0, 0, 0, 1, 0, 0]))[4..], [0, 0x2e]);
    let flags = good(&run(&mut changer, A, &[0x4d, 0, 0x6e, 0, 0, 0, 0, 4, 0, 0]));
    assert_eq!(flags.len(), 4 + 64 * 5);
    assert!(flags[4..].chunks(5).all(|flag| flag[4] == 0));
    good(&run(&mut changer, A, &[0x4c, 0x02, 0xc0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(sense(&run(&mut changer, B, &[0; 6])), Sense::log_parameters_changed());
    let refused = sense(&run(&mut changer, A, &[0x4c, 0x02, 0xd1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(refused, Sense::invalid_field_in_cdb(2, Some(5)));
}

#[test]
fn buffers_and_the_clock_are_its_own() {
    let (mut changer, _) = changer();
    changer.set_clock(Clock::new(|| 0x0102_0304_0506));
    let write = Task::new(A, &[0x3b, 2, 0, 0, 0, 9, 0, 0, 3, 0]).with_data_out(b"arm");
    good(&device::execute(&mut changer, write));
    let read = run(&mut changer, B, &[0x3c, 2, 0, 0, 0, 8, 0, 0, 5, 0]);
    assert_eq!(good(&read), b"\0arm\0");
    let time = run(&mut changer, B, &[0xa3, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0]);
    assert_eq!(good(&time), [0, 0x0a, 3, 0, 1, 2, 3, 4, 5, 6, 0, 0]);
    let set = Task::new(A, &[0xa4, 0x0f, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0]);
    good(&device::execute(&mut changer, set.with_data_out(&[0; 12])));
    assert_eq!(sense(&run(&mut changer, B, &[0; 6])), Sense::timestamp_changed());
    changer.reset();
    assert_eq!(sense(&run(&mut changer, B, &[0; 6])), Sense::device_reset());
    assert_eq!(good(&run(&mut changer, B, &[0x3c, 2, 0, 0, 0, 9, 0, 0, 3, 0])), [0; 3]);
}
