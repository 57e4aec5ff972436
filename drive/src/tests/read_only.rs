//! A nexus that may only read, and which commands that concerns.

use vtl_scsi::Rights;
use vtl_scsi::device::{ChangesMedium, Device};

use super::encryption::{out, page};
use super::*;

/// Whoever adds a command has to say here which it is: what is in neither list fails.
const CHANGES: [&str; 11] = [
    "ALLOW OVERWRITE",
    "ERASE(6)",
    "FORMAT MEDIUM",
    "MODE SELECT(10)",
    "MODE SELECT(6)",
    "SET CAPACITY",
    "WRITE ATTRIBUTE",
    "WRITE FILEMARKS(16)",
    "WRITE FILEMARKS(6)",
    "WRITE(16)",
    "WRITE(6)",
];
const CHANGES_NOTHING: [&str; 42] = [
    "GENERATE RECOMMENDED ACCESS ORDER",
    "INQUIRY",
    "LOAD UNLOAD",
    "LOCATE(10)",
    "LOCATE(16)",
    "LOG SELECT",
    "LOG SENSE",
    "MODE SENSE(10)",
    "MODE SENSE(6)",
    "PERSISTENT RESERVE IN",
    "PERSISTENT RESERVE OUT",
    "PREVENT ALLOW MEDIUM REMOVAL",
    "READ ATTRIBUTE",
    "READ BLOCK LIMITS",
    "READ BUFFER",
    "READ MEDIA SERIAL NUMBER",
    "READ POSITION",
    "READ(16)",
    "READ(6)",
    "RECEIVE DIAGNOSTIC RESULTS",
    "RECEIVE RECOMMENDED ACCESS ORDER",
    "RELEASE(10)",
    "RELEASE(6)",
    "REPORT DENSITY SUPPORT",
    "REPORT LUNS",
    "REPORT SUPPORTED OPERATION CODES",
    "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS",
    "REPORT TIMESTAMP",
    "REQUEST SENSE",
    "RESERVE(10)",
    "RESERVE(6)",
    "REWIND",
    "SECURITY PROTOCOL IN",
    "SECURITY PROTOCOL OUT",
    "SEND DIAGNOSTIC",
    "SET TIMESTAMP",
    "SPACE(16)",
    "SPACE(6)",
    "TEST UNIT READY",
    "VERIFY(16)",
    "VERIFY(6)",
    "WRITE BUFFER",
];

#[test]
fn every_command_is_known_to_change_a_medium_or_not() {
    for row in Drive::commands() {
        let name = row.name;
        let changes = row.changes_medium != ChangesMedium::Never;
        assert_eq!(changes, CHANGES.contains(&name), "{name}");
        let is_listed = |other: &&str| name.starts_with(*other);
        let is_harmless = CHANGES_NOTHING.iter().any(is_listed);
        assert!(changes || is_harmless, "{name} is in no list");
    }
}

#[test]
fn a_refused_command_leaves_position_and_medium_alone() {
    let mut drive = drive_with("lto9", 1 << 30);
    let only_reads = |cdb: &[u8]| {
        let mut task = Task::new(B, cdb).with_data_out(b"another");
        task.rights = Rights { luns: None, is_read_only: true, is_alone: false };
        task
    };
    good(&run_with(&mut drive, &[0x0a, 0, 0, 0, 7, 0], b"content"));
    for cdb in [&[0x0a, 0, 0, 0, 7, 0][..], &[0x10, 0, 0, 0, 1, 0], &[0x19, 0, 0, 0, 0, 0]] {
        let completion = device::execute(&mut drive, only_reads(cdb));
        assert_eq!(sense(&completion), Sense::write_protected());
    }
    // Nothing is to be written; and nothing of it is the reader's.
    assert_eq!(drive.last_writer(), Some(A));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(run(&mut drive, A, &[0x08, 0, 0, 0, 7, 0]).data_in[..], b"content"[..]);
    // The end of data is where it was.
    assert_eq!(sense(&run(&mut drive, A, &[0x08, 0, 0, 0, 7, 0])).key, SenseKey::BlankCheck);
    // For others the medium is as before.
    let header = run(&mut drive, A, &[0x1a, 0, 0, 0, 4, 0]).data_in[2];
    let protected = device::execute(&mut drive, only_reads(&[0x1a, 0, 0, 0, 4, 0])).data_in[2];
    assert_eq!((header & 0x80, protected), (0, header | 0x80));
}

/// As whoever may only read.
fn reader(cdb: &[u8], list: &[u8]) -> Task {
    let mut task = Task::new(B, cdb).with_data_out(list);
    task.rights = Rights { luns: None, is_read_only: true, is_alone: false };
    task
}

// A reader could set a key for all nexuses: what the backup server wrote from then on was encrypted with a key that only the reader had.
// It could also take the backup server's own key out of use, and everything was written in the clear.
#[test]
fn the_key_of_a_reader_is_for_itself() {
    const ALL: u8 = 2;
    let mut drive = drive_with("lto9", 1 << 30);
    let set = |modes, key: &[u8]| {
        let page = page(ALL, 0, modes, key, &[]);
        let length = u8::try_from(page.len()).unwrap();
        reader(&[0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, length, 0, 0], &page)
    };
    let write = [0x0a, 0, 0, 0, 7, 0];
    good(&device::execute(&mut drive, set((2, 2), &[0xbb; 32])));
    good(&run_with(&mut drive, &write, b"content"));
    good(&run(&mut drive, A, &REWIND));
    assert_eq!(run(&mut drive, A, &[0x08, 0, 0, 0, 7, 0]).data_in[..], b"content"[..]);
    // The key of whoever writes stays when the reader wants none; and with its own key the reader reads.
    good(&out(&mut drive, A, &page(ALL, 0, (2, 2), &[0xaa; 32], &[])));
    good(&device::execute(&mut drive, set((0, 0), &[])));
    good(&run_with(&mut drive, &write, b"in code"));
    let read = |drive: &mut Drive| {
        good(&device::execute(drive, reader(&[0x2b, 0, 0, 0, 0, 0, 1, 0, 0, 0], &[])));
        device::execute(drive, reader(&[0x08, 0, 0, 0, 7, 0], &[]))
    };
    while device::execute(&mut drive, reader(&[0; 6], &[])).sense.is_some() {}
    assert_eq!(sense(&read(&mut drive)).key, SenseKey::DataProtect);
    good(&device::execute(&mut drive, set((0, 2), &[0xaa; 32])));
    assert_eq!(read(&mut drive).data_in[..], b"in code"[..]);
}

// Append-only mode keeps a backup from being overwritten when somebody else has wound the tape. A reader, who may wind it, could also switch
// that off, and the backup server's next block gave up all that was behind the place.
#[test]
fn a_reader_does_not_switch_append_only_mode() {
    let mut drive = drive_with("lto9", 1 << 30);
    let select = |write_mode: u8| {
        let mut list = vec![0, 0, 0x10, 0, 0x50, 0x01, 0, 28, 0, write_mode << 4 | 2];
        list.resize(4 + 4 + 28, 0);
        list
    };
    let cdb = [0x15, 0x10, 0, 0, 36, 0];
    good(&run_with(&mut drive, &cdb, &select(1)));
    good(&run_with(&mut drive, &[0x0a, 0, 0, 0, 7, 0], b"content"));
    while device::execute(&mut drive, reader(&[0; 6], &[])).sense.is_some() {}
    let refused = device::execute(&mut drive, reader(&cdb, &select(0)));
    assert_eq!(sense(&refused), Sense::write_protected());
    // As it is, it may be said again.
    good(&device::execute(&mut drive, reader(&cdb, &select(1))));
    good(&device::execute(&mut drive, reader(&REWIND, &[])));
    assert_eq!(sense(&run(&mut drive, A, &[0; 6])), Sense::mode_parameters_changed());
    let overwriting = run_with(&mut drive, &[0x0a, 0, 0, 0, 7, 0], b"another");
    assert_eq!(sense(&overwriting), Sense::operator_selected_write_protect());
    // Nor does it switch it on for others.
    let mut drive = drive_with("lto9", 1 << 30);
    while device::execute(&mut drive, reader(&[0; 6], &[])).sense.is_some() {}
    let refused = device::execute(&mut drive, reader(&cdb, &select(1)));
    assert_eq!(sense(&refused), Sense::write_protected());
}

// A reservation is what keeps others from winding the tape of whoever writes. A reader could register, preempt the backup server with PREEMPT AND
// ABORT in the middle of its backup, or CLEAR everything, and then wind: the next block was written somewhere else.
#[test]
fn a_reader_takes_no_reservation_from_others() {
    const EXCLUSIVE: u8 = 3;
    const ALL_REGISTRANTS: u8 = 8;
    let (reader_1, reader_2) = (ItNexus(3), ItNexus(4));
    let mut drive = drive_with("lto9", 1 << 30);
    for (nexus, initiator_port) in [(reader_1, "1"), (reader_2, "2")] {
        let initiator = "iqn.2026-11.test:reader".into();
        drive.nexus_begins(nexus, NexusName { initiator, initiator_port: initiator_port.into() });
    }
    let list =
        |(key, other): (u64, u64)| [&key.to_be_bytes()[..], &other.to_be_bytes(), &[0; 8]].concat();
    let cdb = |action: u8, kind: u8| [0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0];
    let writes = |drive: &mut Drive, action, kind, keys| {
        let task = Task::new(A, &cdb(action, kind)).with_data_out(&list(keys));
        good(&device::execute(drive, task));
    };
    let reads = |drive: &mut Drive, nexus, action, kind, keys| {
        loop {
            let mut task = Task::new(nexus, &cdb(action, kind)).with_data_out(&list(keys));
            task.rights = Rights { luns: None, is_read_only: true, is_alone: false };
            let completion = device::execute(drive, task);
            if completion.sense.is_none_or(|sense| sense.key != SenseKey::UnitAttention) {
                return completion;
            }
        }
    };
    for kind in [EXCLUSIVE, ALL_REGISTRANTS] {
        writes(&mut drive, 6, 0, (0, 0xa));
        writes(&mut drive, 1, kind, (0xa, 0));
        for (nexus, key) in [(reader_1, 1), (reader_2, 2)] {
            good(&reads(&mut drive, nexus, 6, 0, (0, key)));
        }
        let victim = if kind == EXCLUSIVE { 0xa } else { 0 };
        // CLEAR, PREEMPT, PREEMPT AND ABORT; and RELEASE, where all that are registered hold it.
        for (action, other) in [(3, 0), (4, victim), (5, victim), (2, 0)] {
            let completion = reads(&mut drive, reader_1, action, kind, (1, other));
            let is_harmless = action == 2 && kind == EXCLUSIVE;
            let expected = if is_harmless { Status::GOOD } else { Status::RESERVATION_CONFLICT };
            assert_eq!((completion.status, completion.aborted.as_slice()), (expected, &[][..]));
        }
        let reservation = run(&mut drive, A, &[0x5e, 1, 0, 0, 0, 0, 0, 1, 0, 0]).data_in;
        assert_eq!(reservation[21], kind, "{kind}");
        // What it left itself, under another port, it may take away; and others take it away as ever.
        good(&reads(&mut drive, reader_1, 4, kind, (1, 2)));
        writes(&mut drive, 3, 0, (0xa, 0));
    }
    // Where nobody else is in the way, it reserves for itself.
    good(&reads(&mut drive, reader_1, 6, 0, (0, 1)));
    good(&reads(&mut drive, reader_1, 1, EXCLUSIVE, (1, 0)));
    good(&reads(&mut drive, reader_1, 2, EXCLUSIVE, (1, 0)));
}
