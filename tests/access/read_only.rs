//! An initiator that may read and change nothing.

use vtl_tests::{Scene, cdb, noise};

use crate::{add, secured};

#[test]
fn whatever_changes_a_cartridge_is_refused() {
    let scene = Scene::loaded();
    let data = noise(3, 3000);
    let mut writer = scene.session("writer");
    writer.write_block(&data).good();
    writer.run(1, &cdb::write_filemarks(1)).good();
    writer.logout();
    let reader = secured(&scene, "reader", &["--read-only"]);
    let mut session = reader.open();
    for lun in 0..=2 {
        session.settle(lun);
    }
    let block = vec![0x55; 512];
    let commands: [(&str, Vec<u8>, &[u8]); 11] = [
        ("WRITE(6)", cdb::write(512).to_vec(), &block),
        ("WRITE(16)", vec![0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0], &block),
        ("WRITE FILEMARKS(6)", cdb::write_filemarks(1).to_vec(), &[]),
        ("WRITE FILEMARKS(16)", vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], &[]),
        ("ERASE(6), short", vec![0x19, 0, 0, 0, 0, 0], &[]),
        ("ERASE(6), long", vec![0x19, 1, 0, 0, 0, 0], &[]),
        ("FORMAT MEDIUM", vec![0x04, 0, 0, 0, 0, 0], &[]),
        ("SET CAPACITY", vec![0x0b, 0, 0, 0x80, 0, 0], &[]),
        ("ALLOW OVERWRITE", vec![0x82, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
        (
            "WRITE ATTRIBUTE",
            vec![0x8d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0],
            &[0, 0, 0, 9, 8, 3, 0, 0, 4, b'm', b'i', b'n', b'e'],
        ),
        (
            "MODE SELECT(6), medium partition",
            vec![0x15, 0x10, 0, 0, 16, 0],
            &[0, 0, 0x10, 0, 0x11, 10, 1, 1, 0x3c, 3, 9, 0, 0xff, 0xff, 0, 1],
        ),
    ];
    for (name, cdb, out) in commands {
        for lun in [1, 2] {
            let done = session.write_out(lun, &cdb, out);
            let expected =
                if lun == 1 || name.starts_with("MODE") { (7, 0x27, 0) } else { (2, 0x3a, 0) };
            assert_eq!(done.check().code, expected, "{name}");
        }
    }
    // What only reads, or looks after what is there, is done.
    session.run(1, &cdb::write_filemarks(0)).good();
    let sense = session.read_in(1, &[0x1a, 0, 0x3f, 0, 255, 0], 255).good();
    assert_eq!(sense.data[2] & 0x80, 0x80, "write-protected");
    let sense = session.read_in(1, &[0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255, 0], 255).good();
    assert_eq!(sense.data[3] & 0x80, 0x80, "write-protected");
    session.run(1, &cdb::REWIND).good();
    let read = session.read_in(1, &cdb::read(data.len()), data.len()).good();
    assert_eq!(read.data, data);
    assert!(session.read_in(1, &cdb::read(10), 10).check().filemark);
    session.logout();
    // Nor is the drive protected for others, in the same moment.
    let writer = scene.login("writer");
    add(&scene, &writer, &[]).done();
    let (mut session, mut writer) = (reader.open(), writer.open());
    session.settle(1);
    writer.settle(1);
    let sense = writer.read_in(1, &[0x1a, 0, 0x3f, 0, 255, 0], 255).good();
    assert_eq!(sense.data[2] & 0x80, 0);
    writer.run(1, &cdb::SPACE_END_OF_DATA).good();
    writer.write_block(&block).good();
    session.write_block(&block).sense(7, 0x27, 0);
}

#[test]
fn cartridges_may_be_moved_to_be_read() {
    let scene = Scene::new();
    let mut session = secured(&scene, "reader", &["--read-only"]).open();
    session.settle(0);
    let status = |kind: u8| [0xb8, kind, 0, 0, 0, 30, 0, 0, 0x10, 0, 0, 0];
    let drives = session.read_in(0, &status(4), 4096).good().data;
    let slots = session.read_in(0, &status(2), 4096).good().data;
    let (drive, slot) =
        (u16::from_be_bytes([drives[16], drives[17]]), u16::from_be_bytes([slots[16], slots[17]]));
    session.run(0, &cdb::move_medium(slot, drive)).good();
    session.settle(1);
    session.run(1, &cdb::REWIND).good();
    session.run(0, &cdb::move_medium(drive, slot)).good();
}

// TARGET COLD RESET of an initiator that may only read ended the sessions of all others, in the middle of their backups.
#[test]
fn a_reader_ends_nobody_elses_session() {
    const TARGET_COLD_RESET: u8 = 7;
    const COMPLETE: u8 = 0;
    let scene = Scene::loaded();
    let (reader, writer) = (scene.login("reader"), scene.login("writer"));
    add(&scene, &reader, &["--read-only"]).done();
    add(&scene, &writer, &[]).done();
    let (mut reader, mut writer) = (reader.open(), writer.open());
    writer.settle(1);
    assert_eq!(reader.manage(TARGET_COLD_RESET, 0, 0xffff_ffff, 0), COMPLETE);
    assert!(reader.wire.expect_closed().is_empty());
    // Its unit was reset, and it is told so in its own session.
    assert_eq!(writer.settle(1), [(6, 0x29, 0x03)]);
    writer.run(1, &cdb::REWIND).good();
    // One that may write ends them, as the standard says.
    let other = scene.login("other");
    add(&scene, &other, &[]).done();
    let mut other = other.open();
    assert_eq!(other.manage(TARGET_COLD_RESET, 0, 0xffff_ffff, 0), COMPLETE);
    assert!(writer.wire.expect_closed().is_empty());
}
