//! WORM media.

use super::*;

fn worm() -> MemoryDisk {
    created(&CartridgeSpec { worm: true, ..spec("lto9", 1 << 30) })
}

/// Two blocks and two filemarks, as hosts close a tape.
fn closed() -> Drive {
    let mut drive = drive_on(&worm());
    for _ in 0..2 {
        good(&write(&mut drive, &[1; 100]));
    }
    good(&filemarks(&mut drive, 2));
    drive
}

fn locate(drive: &mut Drive, object: u8) {
    good(&run(drive, A, &[0x2b, 0, 0, 0, 0, 0, object, 0, 0, 0]));
}

fn erase(drive: &mut Drive) -> Completion {
    run(drive, A, &[0x19, 0, 0, 0, 0, 0])
}

#[test]
fn what_was_written_is_not_overwritten() {
    let mut drive = closed();
    for object in 0..3 {
        locate(&mut drive, object);
        let refused = Sense::worm_overwrite_attempted();
        assert_eq!((refused.key, refused.asc), (SenseKey::DataProtect, Asc(0x30, 0x0c)));
        for refusing in [write(&mut drive, &[2; 100]), filemarks(&mut drive, 1), erase(&mut drive)]
        {
            assert_eq!(sense(&refusing), refused, "{object}");
        }
        good(&filemarks(&mut drive, 0));
        assert_eq!(position(&mut drive), u64::from(object));
    }
    locate(&mut drive, 0);
    let completion = read(&mut drive, 0, 100);
    good(&completion);
    assert_eq!(completion.data_in, vec![1; 100]);
    let alerts = run(&mut drive, A, &[0x4d, 0, 0x6e, 0, 0, 0, 0, 0xff, 0xff, 0]).data_in;
    assert_eq!(alerts[4 + 5 * 0x3b + 4], 1);
}

#[test]
fn it_is_appended_to_at_the_end_and_between_the_closing_filemarks() {
    let mut drive = closed();
    // Behind the first of two filemarks: as st leaves a tape that it has closed, and goes on there.
    locate(&mut drive, 3);
    assert_eq!(sense(&erase(&mut drive)), Sense::worm_overwrite_attempted());
    good(&write(&mut drive, &[2; 100]));
    good(&filemarks(&mut drive, 1));
    good(&erase(&mut drive));
    good(&run(&mut drive, A, &REWIND));
    good(&space(&mut drive, 1, 1));
    let completion = read(&mut drive, 0, 100);
    good(&completion);
    assert_eq!(completion.data_in, vec![2; 100]);
}

#[test]
fn filemarks_alone_may_go_but_for_the_first_one() {
    let mut drive = drive_on(&worm());
    good(&filemarks(&mut drive, 3));
    locate(&mut drive, 0);
    assert_eq!(sense(&write(&mut drive, &[1; 9])), Sense::worm_overwrite_attempted());
    locate(&mut drive, 1);
    good(&write(&mut drive, &[1; 9]));
    assert_eq!(position(&mut drive), 2);
}

#[test]
fn it_is_known_as_what_it_is_after_a_restart_as_well() {
    let disk = worm();
    let mut drive = drive_on(&disk);
    good(&write(&mut drive, &[1; 9]));
    drive.remove().unwrap();
    let mut drive = drive_on(&disk);
    let header = run(&mut drive, A, &[0x1a, 0, 0, 0, 12, 0]).data_in;
    assert_eq!((header[1], header[2] & 0x80), (0x9c, 0));
    assert_eq!(sense(&write(&mut drive, &[2; 9])), Sense::worm_overwrite_attempted());
    let attribute = [0x8c, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x08, 0, 0, 0, 10, 0, 0];
    assert_eq!(run(&mut drive, A, &attribute).data_in[9], 0x80);
}
