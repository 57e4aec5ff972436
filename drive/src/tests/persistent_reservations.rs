//! PERSISTENT RESERVE IN and OUT byte by byte, with two nexuses at one drive.

use super::*;

const WRITE_EXCLUSIVE: u8 = 1;
const EXCLUSIVE_ACCESS: u8 = 3;
const EXCLUSIVE_ACCESS_REGISTRANTS_ONLY: u8 = 6;

/// PERSISTENT RESERVE OUT.
fn out(drive: &mut Drive, nexus: ItNexus, action: u8, kind: u8, keys: (u64, u64)) -> Completion {
    out_with_flags(drive, nexus, action, kind, keys, 0)
}

fn out_with_flags(
    drive: &mut Drive,
    nexus: ItNexus,
    action: u8,
    kind: u8,
    (key, action_key): (u64, u64),
    flags: u8,
) -> Completion {
    let mut list = key.to_be_bytes().to_vec();
    list.extend(action_key.to_be_bytes());
    list.extend([0, 0, 0, 0, flags, 0, 0, 0]);
    let task = Task::new(nexus, &[0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0]);
    device::execute(drive, task.with_data_out(&list))
}

/// PERSISTENT RESERVE IN.
fn about(drive: &mut Drive, action: u8) -> Vec<u8> {
    let completion = run(drive, B, &[0x5e, action, 0, 0, 0, 0, 0, 1, 0, 0]);
    good(&completion);
    completion.data_in.to_vec()
}

fn registered() -> Drive {
    let mut drive = drive();
    good(&write(&mut drive, b"one"));
    good(&out(&mut drive, A, 0x00, 0, (0, 0xa)));
    good(&out(&mut drive, B, 0x06, 0, (0xdead, 0xb)));
    drive
}

fn status(drive: &mut Drive, nexus: ItNexus, cdb: &[u8]) -> Status {
    run(drive, nexus, cdb).status
}

#[test]
fn keys_reservation_capabilities_and_full_status() {
    let mut drive = registered();
    assert_eq!(about(&mut drive, 0)[..8], [0, 0, 0, 2, 0, 0, 0, 16]);
    assert_eq!(about(&mut drive, 0)[15], 0xa);
    assert_eq!(about(&mut drive, 0)[23], 0xb);
    assert_eq!(about(&mut drive, 1), [0, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(about(&mut drive, 2), [0, 8, 0, 0x80, 0xea, 0x01, 0, 0]);
    good(&out(&mut drive, A, 0x01, EXCLUSIVE_ACCESS, (0xa, 0)));
    let expected =
        [0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xa, 0, 0, 0, 0, 0, EXCLUSIVE_ACCESS, 0, 0];
    assert_eq!(about(&mut drive, 1), expected);
    let full = about(&mut drive, 3);
    // Two descriptors of 24 bytes, each with a TransportID of 4 and the padded "iqn.2026-11.test:a,i,0x0" and its end.
    assert_eq!(full.len(), 8 + 2 * (24 + 4 + 28));
    assert_eq!(full[8..24], [0, 0, 0, 0, 0, 0, 0, 0xa, 0, 0, 0, 0, 1, EXCLUSIVE_ACCESS, 0, 0]);
    assert_eq!(full[24..36], [0, 0, 0, 1, 0, 0, 0, 32, 0x45, 0, 0, 28]);
    assert_eq!(&full[36..61], b"iqn.2026-11.test:a,i,0x0\0");
    assert_eq!(full[64 + 12..64 + 14], [0, 0]);
}

#[test]
fn exclusive_access_keeps_others_from_the_medium_but_not_from_asking() {
    let mut drive = registered();
    good(&out(&mut drive, A, 0x01, EXCLUSIVE_ACCESS, (0xa, 0)));
    for cdb in [
        &REWIND[..],
        &[0x08, 0, 0, 0, 1, 0],
        &[0x10, 0, 0, 0, 1, 0],
        &[0x11, 0, 0, 0, 1, 0],
        &[0x1a, 0, 0, 0, 12, 0],
        &[0x1b, 0, 0, 0, 0, 0],
        &[0x1e, 0, 0, 0, 1, 0],
        &[0x16, 0, 0, 0, 0, 0],
        &[0x17, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(status(&mut drive, B, cdb), Status::RESERVATION_CONFLICT, "{cdb:02x?}");
    }
    for cdb in [
        &TEST_UNIT_READY[..],
        &[0x12, 0, 0, 0, 36, 0],
        &[0x03, 0, 0, 0, 18, 0],
        &[0x05, 0, 0, 0, 0, 0],
        &[0x1e, 0, 0, 0, 0, 0],
        &[0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(status(&mut drive, B, cdb), Status::GOOD, "{cdb:02x?}");
    }
    good(&write(&mut drive, b"two"));
}

#[test]
fn write_exclusive_lets_others_read() {
    let mut drive = registered();
    good(&out(&mut drive, A, 0x01, WRITE_EXCLUSIVE, (0xa, 0)));
    good(&run(&mut drive, B, &REWIND));
    assert_eq!(&run(&mut drive, B, &[0x08, 0, 0, 0, 3, 0]).data_in[..], b"one");
    assert_eq!(status(&mut drive, B, &[0x10, 0, 0, 0, 1, 0]), Status::RESERVATION_CONFLICT);
}

#[test]
fn a_preempted_nexus_is_told_and_its_tasks_are_ended() {
    let mut drive = registered();
    good(&out(&mut drive, A, 0x01, EXCLUSIVE_ACCESS, (0xa, 0)));
    let stolen = out(&mut drive, B, 0x05, EXCLUSIVE_ACCESS, (0xb, 0xa));
    good(&stolen);
    assert_eq!(stolen.aborted, [A]);
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::registrations_preempted());
    assert_eq!(status(&mut drive, A, &REWIND), Status::RESERVATION_CONFLICT);
    good(&run(&mut drive, B, &REWIND));
    good(&out(&mut drive, B, 0x03, 0, (0xb, 0)));
    good(&run(&mut drive, A, &REWIND));
}

#[test]
fn releasing_tells_those_that_had_access() {
    let mut drive = registered();
    good(&out(&mut drive, A, 0x01, EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, (0xa, 0)));
    good(&run(&mut drive, B, &REWIND));
    assert_eq!(
        sense(&out(&mut drive, A, 0x02, EXCLUSIVE_ACCESS, (0xa, 0))),
        Sense::invalid_release_of_reservation()
    );
    good(&out(&mut drive, A, 0x02, EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, (0xa, 0)));
    assert_eq!(sense(&run(&mut drive, B, &TEST_UNIT_READY)), Sense::reservations_released());
}

#[test]
fn reservations_outlive_a_session_and_a_reset() {
    let mut drive = registered();
    good(&out(&mut drive, A, 0x01, EXCLUSIVE_ACCESS, (0xa, 0)));
    drive.nexus_ends(A);
    drive.reset();
    assert_eq!(sense(&run(&mut drive, B, &TEST_UNIT_READY)), Sense::device_reset());
    assert_eq!(status(&mut drive, B, &REWIND), Status::RESERVATION_CONFLICT);
}

#[test]
fn the_two_ways_of_reserving_exclude_each_other() {
    let mut drive = drive();
    good(&run(&mut drive, A, &[0x16, 0, 0, 0, 0, 0]));
    assert_eq!(out(&mut drive, B, 0x00, 0, (0, 0xb)).status, Status::RESERVATION_CONFLICT);
    good(&run(&mut drive, A, &[0x17, 0, 0, 0, 0, 0]));
    good(&out(&mut drive, B, 0x00, 0, (0, 0xb)));
    assert_eq!(status(&mut drive, A, &[0x16, 0, 0, 0, 0, 0]), Status::RESERVATION_CONFLICT);
}

#[test]
fn what_is_not_supported_or_wrong_changes_nothing() {
    let mut drive = registered();
    for (flag, bit) in [(0x08, 3), (0x04, 2), (0x01, 0)] {
        let refused = out_with_flags(&mut drive, A, 0x00, 0, (0xa, 0xc), flag);
        assert_eq!(sense(&refused), Sense::invalid_field_in_parameter_list(20, Some(bit)));
    }
    let refused = out(&mut drive, A, 0x01, 0x11, (0xa, 0));
    assert_eq!(sense(&refused), Sense::invalid_field_in_cdb(2, Some(7)));
    let refused = out(&mut drive, A, 0x01, 0x02, (0xa, 0));
    assert_eq!(sense(&refused), Sense::invalid_field_in_cdb(2, Some(3)));
    let refused = out(&mut drive, A, 0x07, 0, (0xa, 0));
    assert_eq!(sense(&refused), Sense::invalid_field_in_cdb(1, Some(4)));
    for (length, data) in [(23_u8, &[0; 23][..]), (24, &[0; 23]), (0, &[])] {
        let refused = run_with(&mut drive, &[0x5f, 0, 0, 0, 0, 0, 0, 0, length, 0], data);
        assert_eq!(sense(&refused), Sense::parameter_list_length_error());
    }
    assert_eq!(about(&mut drive, 0)[..4], [0, 0, 0, 2]);
}
