//! SECURITY PROTOCOL IN and OUT byte by byte, with two nexuses at one drive.

use super::*;
use crate::drive::Bay;
use crate::{Access, Generation};

const LOCAL: u8 = 1;
const ALL: u8 = 2;
/// CEEM 01b, as stenc and Proxmox send it.
const NO_CHECK: u8 = 0x40;
const CLEAR_ON_DEMOUNT: u8 = 0x04;

/// A Set Data Encryption page.
pub(super) fn page(scope: u8, flags: u8, modes: (u8, u8), key: &[u8], kads: &[u8]) -> Vec<u8> {
    let mut page = vec![0x00, 0x10, 0, 0, scope << 5, flags, modes.0, modes.1, 1, 0, 2];
    page.extend([0; 7]);
    page.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
    page.extend(key);
    page.extend(kads);
    let length = u16::try_from(page.len() - 4).unwrap().to_be_bytes();
    page[2..4].copy_from_slice(&length);
    page
}

pub(super) fn out(drive: &mut Drive, nexus: ItNexus, page: &[u8]) -> Completion {
    let length = u8::try_from(page.len()).unwrap();
    let task = Task::new(nexus, &[0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length, 0, 0]);
    device::execute(drive, task.with_data_out(page))
}

fn about(drive: &mut Drive, nexus: ItNexus, number: u8) -> Vec<u8> {
    let completion = run(drive, nexus, &[0xa2, 0x20, 0, number, 0, 0, 0, 0, 0x20, 4, 0, 0]);
    good(&completion);
    let data = completion.data_in.to_vec();
    assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])) + 4, data.len());
    data
}

fn read(drive: &mut Drive, nexus: ItNexus) -> Completion {
    run(drive, nexus, &[0x08, 0, 0, 0, 100, 0])
}

fn write_as(drive: &mut Drive, nexus: ItNexus, data: &[u8]) -> Completion {
    let length = length(data.len());
    let task = Task::new(nexus, &[0x0a, 0, length[0], length[1], length[2], 0]);
    device::execute(drive, task.with_data_out(data))
}

fn refused_at(completion: &Completion, byte: u16) {
    let expected = Sense::invalid_field_in_parameter_list(byte, None);
    let found = sense(completion);
    assert_eq!((found.key, found.asc), (expected.key, expected.asc));
    assert_eq!(found.field_pointer.unwrap().byte, byte);
}

#[test]
fn what_clients_look_for_in_the_capabilities() {
    let mut drive = drive();
    assert_eq!(
        about(&mut drive, A, 0x00)[4..],
        [0, 0, 0, 1, 0, 0x10, 0, 0x11, 0, 0x12, 0, 0x20, 0, 0x21]
    );
    assert_eq!(about(&mut drive, A, 0x01)[4..], [0, 0x10]);
    let capabilities = about(&mut drive, A, 0x10);
    assert_eq!(capabilities.len(), 44);
    // Proxmox: an algorithm with a descriptor of 20 bytes, encryption and decryption in hardware, AES-256-GCM, 32 bytes of key.
    assert_eq!(capabilities[20..24], [1, 0, 0, 0x14]);
    assert_eq!(capabilities[24] & 0x0f, 0x0a);
    assert_eq!(capabilities[26..32], [0, 32, 0, 12, 0, 32]);
    assert_eq!(capabilities[40..], [0, 1, 0, 0x14]);
    // Valid for this volume, at this place.
    assert_eq!((capabilities[24] & 0x80, capabilities[25] & 0xc0), (0x80, 0x80));
    assert_eq!(about(&mut empty_drive(), A, 0x10)[24] & 0x80, 0);
    assert_eq!(about(&mut drive, A, 0x11)[4..], [0]);
    assert_eq!(about(&mut drive, A, 0x12)[4..8], [1, 4, 0, 7]);
    let protocols = run(&mut drive, A, &[0xa2, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0]);
    assert_eq!(protocols.data_in[..], [0, 0, 0, 0, 0, 0, 0, 2, 0, 0x20]);
    for (cdb, byte) in [
        ([0xa2, 0x21, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0], 1),
        ([0xa2, 0x20, 0, 0x30, 0, 0, 0, 0, 0, 100, 0, 0], 2),
        ([0xa2, 0x20, 0, 0, 0x80, 0, 0, 0, 0, 100, 0, 0], 4),
    ] {
        assert_eq!(sense(&run(&mut drive, A, &cdb)).field_pointer.unwrap().byte, byte);
    }
}

#[test]
fn blocks_are_encrypted_and_read_with_the_key_and_not_without() {
    let mut drive = drive();
    good(&write(&mut drive, b"plain"));
    let kads = [&[0, 0, 0, 4][..], b"name", &[1, 0, 0, 2], b"ak"].concat();
    // Proxmox: mixed mode, for all nexuses; it reads back what it has set.
    good(&out(&mut drive, A, &page(ALL, NO_CHECK, (2, 3), &[1; 32], &kads)));
    let status = about(&mut drive, A, 0x20);
    assert_eq!(status[4..14], [0x42, 2, 3, 1, 0, 0, 0, 1, 0x02, 2]);
    let expected = [&[0, 1, 0, 4][..], b"name", &[1, 2, 0, 2], b"ak"].concat();
    assert_eq!(status[24..], expected);
    good(&write(&mut drive, b"secret"));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(read(&mut drive, A).data_in, &b"plain"[..]);
    // Object 1, not compressed, encrypted with what is set; the name can be read.
    let next = about(&mut drive, A, 0x21);
    assert_eq!(next[4..16], [0, 0, 0, 0, 0, 0, 0, 1, 0x35, 1, 0, 2]);
    let expected = [&[0, 1, 0, 4][..], b"name", &[1, 3, 0, 2], b"ak"].concat();
    assert_eq!(next[16..], expected);
    assert_eq!(read(&mut drive, A).data_in, &b"secret"[..]);
    // Another key, none, and a key for nothing but encrypted blocks. The position stays before the block.
    let seek = [0x2b, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    good(&run(&mut drive, A, &seek));
    good(&out(&mut drive, A, &page(ALL, NO_CHECK, (2, 3), &[2; 32], &[])));
    for _ in 0..2 {
        let found = sense(&read(&mut drive, A));
        assert_eq!((found.key, found.asc), (SenseKey::DataProtect, Asc(0x74, 0x03)));
    }
    assert_eq!(about(&mut drive, A, 0x21)[12], 0x36);
    good(&out(&mut drive, A, &page(ALL, NO_CHECK, (0, 0), &[], &[])));
    let found = sense(&read(&mut drive, A));
    assert_eq!((found.key, found.asc), (SenseKey::DataProtect, Asc(0x74, 0x01)));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(about(&mut drive, A, 0x21)[12], 0x33);
    good(&out(&mut drive, A, &page(ALL, NO_CHECK, (2, 2), &[1; 32], &[])));
    let found = sense(&read(&mut drive, A));
    assert_eq!((found.key, found.asc), (SenseKey::DataProtect, Asc(0x74, 0x02)));
    good(&run(&mut drive, A, &seek));
    assert_eq!(read(&mut drive, A).data_in, &b"secret"[..]);
    assert_eq!(about(&mut drive, A, 0x21)[12], 0x11);
    // A key that is not there is not a fault of the medium.
    assert!(drive.lit_tape_alerts().is_empty());
}

#[test]
fn keys_hold_for_those_for_whom_they_were_set() {
    let mut drive = drive();
    // B has asked, so it is told; before, it is not.
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[1; 32], &[])));
    good(&run(&mut drive, B, &TEST_UNIT_READY));
    assert_eq!(about(&mut drive, B, 0x20)[4..8], [0x02, 2, 3, 1]);
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[2; 32], &[])));
    let found = sense(&run(&mut drive, B, &TEST_UNIT_READY));
    assert_eq!((found.key, found.asc), (SenseKey::UnitAttention, Asc(0x2a, 0x11)));
    good(&run(&mut drive, A, &TEST_UNIT_READY));
    // B with a key of its own: A's changes are nothing to it.
    good(&out(&mut drive, B, &page(LOCAL, 0, (2, 3), &[3; 32], &[])));
    assert_eq!(about(&mut drive, B, 0x20)[4], 0x21);
    assert_eq!(about(&mut drive, B, 0x20)[8..12], [0, 0, 0, 3]);
    good(&write_as(&mut drive, B, b"of B"));
    good(&write_as(&mut drive, A, b"of A"));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(sense(&read(&mut drive, A)).asc, Asc(0x74, 0x03));
    assert_eq!(read(&mut drive, B).data_in, &b"of B"[..]);
    assert_eq!(sense(&read(&mut drive, B)).asc, Asc(0x74, 0x03));
    assert_eq!(read(&mut drive, A).data_in, &b"of A"[..]);
    good(&out(&mut drive, A, &page(ALL, 0, (0, 0), &[], &[])));
    good(&run(&mut drive, B, &TEST_UNIT_READY));
    // PUBLIC gives its own up; and what is for one goes with its session.
    good(&out(&mut drive, B, &page(0, 0xff, (9, 9), &[], &[])));
    assert_eq!(about(&mut drive, B, 0x20)[4..8], [0x02, 0, 0, 1]);
    good(&out(&mut drive, B, &page(LOCAL, 0, (2, 3), &[3; 32], &[])));
    drive.nexus_ends(B);
    drive.nexus_begins(B, NexusName { initiator: "b".into(), initiator_port: "0".into() });
    drop(run(&mut drive, B, &TEST_UNIT_READY));
    assert_eq!(about(&mut drive, B, 0x20)[5..8], [0, 0, 1]);
    // A gives up what it had set for all.
    good(&out(&mut drive, A, &page(LOCAL, 0, (0, 0), &[], &[])));
    drop(run(&mut drive, B, &TEST_UNIT_READY));
    assert_eq!(about(&mut drive, B, 0x20)[4..8], [0, 0, 0, 0]);
}

#[test]
fn a_nexus_that_relies_on_a_key_does_not_write_with_another() {
    let mut drive = drive();
    let mut locked = page(ALL, 0, (2, 3), &[1; 32], &[]);
    locked[4] |= 1;
    good(&out(&mut drive, A, &locked));
    good(&write(&mut drive, b"one"));
    good(&out(&mut drive, B, &page(ALL, 0, (2, 3), &[2; 32], &[])));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)).asc, Asc(0x2a, 0x11));
    for completion in [write(&mut drive, b"two"), read(&mut drive, A)] {
        let found = sense(&completion);
        assert_eq!((found.key, found.asc), (SenseKey::DataProtect, Asc(0x2a, 0x13)));
    }
    good(&write_as(&mut drive, B, b"two"));
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[1; 32], &[])));
    good(&write(&mut drive, b"three"));
}

#[test]
fn keys_go_with_the_cartridge_where_that_was_asked_for_and_with_a_reset() {
    for (flags, mode_after) in [(0, 2), (CLEAR_ON_DEMOUNT, 0)] {
        let mut drive = drive();
        good(&out(&mut drive, A, &page(ALL, flags, (2, 3), &[1; 32], &[])));
        good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
        assert_eq!(about(&mut drive, A, 0x20)[5], mode_after);
        drive.reset();
        drop(run(&mut drive, A, &TEST_UNIT_READY));
        assert_eq!(about(&mut drive, A, 0x20)[5], 0);
    }
}

#[test]
fn a_key_cannot_go_with_a_volume_that_is_not_there() {
    let mut drive = empty_drive();
    refused_at(&out(&mut drive, A, &page(ALL, CLEAR_ON_DEMOUNT, (2, 3), &[1; 32], &[])), 5);
    assert_eq!(about(&mut drive, A, 0x20)[4..7], [0, 0, 0]);
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[1; 32], &[])));
}

#[test]
fn a_page_that_is_wrong_changes_nothing() {
    let mut drive = drive();
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[1; 32], &[])));
    let before = about(&mut drive, A, 0x20);
    let with = |at: usize, value: u8| {
        let mut page = page(ALL, 0, (2, 3), &[2; 32], &[]);
        page[at] = value;
        page
    };
    for (page, byte) in [
        (with(4, 0x60), 4),
        (with(5, 0x80), 5),
        (with(5, 0x20), 5),
        (with(5, 0x08), 5),
        (with(5, 0x02), 5),
        (with(5, 0x01), 5),
        (with(6, 1), 6),
        (with(6, 3), 6),
        (with(7, 1), 7),
        (with(7, 4), 7),
        (with(8, 0), 8),
        (with(8, 2), 8),
        (with(9, 1), 9),
        (with(10, 3), 10),
        (page(ALL, 0, (2, 3), &[2; 31], &[]), 18),
        (page(ALL, 0, (2, 3), &[2; 33], &[]), 18),
        (page(ALL, 0, (2, 0), &[], &[]), 18),
        (page(ALL, 0, (0, 2), &[], &[]), 18),
        // Key-associated data: too long, of a kind that is not there, twice, in the wrong order, cut off.
        (page(ALL, 0, (2, 3), &[2; 32], &[&[0, 0, 0, 33][..], &[1; 33]].concat()), 54),
        (page(ALL, 0, (2, 3), &[2; 32], &[&[1, 0, 0, 13][..], &[1; 13]].concat()), 54),
        (page(ALL, 0, (2, 3), &[2; 32], &[3, 0, 0, 1, 1]), 52),
        (page(ALL, 0, (2, 3), &[2; 32], &[0, 0, 0, 1, 1, 0, 0, 0, 1, 1]), 57),
        (page(ALL, 0, (2, 3), &[2; 32], &[1, 0, 0, 1, 1, 0, 0, 0, 1, 1]), 57),
        (page(ALL, 0, (2, 3), &[2; 32], &[0, 0, 0, 9, 1]), 54),
    ] {
        refused_at(&out(&mut drive, A, &page), byte);
    }
    let good_page = page(ALL, 0, (2, 3), &[2; 32], &[]);
    let mut longer = good_page.clone();
    longer[3] += 1;
    for page in [&good_page[..19], &good_page[..51], &longer, &with(3, 8)] {
        assert_eq!(sense(&out(&mut drive, A, page)).asc, Asc(0x1a, 0x00));
    }
    // Fewer bytes than the CDB says.
    let task = Task::new(A, &[0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, 60, 0, 0]);
    let completion = device::execute(&mut drive, task.with_data_out(&good_page));
    assert_eq!(sense(&completion).asc, Asc(0x1a, 0x00));
    let task = Task::new(A, &[0xb5, 0x20, 0, 0x11, 0, 0, 0, 0, 0, 52, 0, 0]);
    let completion = device::execute(&mut drive, task.with_data_out(&good_page));
    assert_eq!(sense(&completion).field_pointer.unwrap().byte, 2);
    assert_eq!(about(&mut drive, A, 0x20), before);
}

#[test]
fn a_format_that_knows_no_encryption_is_not_written_with_it() {
    let profile = Profile::find("ibm-ult3580-td5").unwrap();
    let generation = Generation::find("lto3").unwrap();
    assert_eq!(profile.access("lto3"), Access::Read(generation));
    // No drive here writes LTO-3, so that is as far as it gets; reading is not changed by a key.
    let mut drive = drive_with("lto9", 1_000_000);
    if let Bay::Ready(loaded) = &mut drive.bay {
        loaded.generation = generation;
    }
    assert_eq!(about(&mut drive, A, 0x10)[24] & 0x80, 0);
    good(&write(&mut drive, b"plain"));
    good(&out(&mut drive, A, &page(ALL, 0, (2, 3), &[1; 32], &[])));
    let found = sense(&write(&mut drive, b"secret"));
    assert_eq!((found.key, found.asc), (SenseKey::DataProtect, Asc(0x74, 0x00)));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(read(&mut drive, A).data_in, &b"plain"[..]);
}
