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
        task.rights = Rights { luns: None, is_read_only: true };
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
    task.rights = Rights { luns: None, is_read_only: true };
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
