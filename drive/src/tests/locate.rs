//! LOCATE, both forms, and READ POSITION.

use super::*;

#[test]
fn objects_files_and_the_end() {
    let mut drive = recorded();
    good(&run(&mut drive, A, &[0x2b, 0x04, 0, 0, 0, 0, 2, 0, 0, 0]));
    assert_eq!(position(&mut drive), 2);
    let mut cdb = [0; 16];
    cdb[0] = 0x92;
    cdb[1] = 1 << 3;
    cdb[11] = 1;
    good(&run(&mut drive, A, &cdb));
    assert_eq!(position(&mut drive), 3);
    cdb[1] = 3 << 3;
    good(&run(&mut drive, A, &cdb));
    assert_eq!(position(&mut drive), 4);
    cdb[1] = 2 << 3;
    assert_eq!(sense(&run(&mut drive, A, &cdb)), Sense::invalid_field_in_cdb(1, Some(5)));
}

#[test]
fn beyond_the_data() {
    let mut drive = recorded();
    let found = sense(&run(&mut drive, A, &[0x2b, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
    assert_eq!((found.key, found.asc), (SenseKey::BlankCheck, Asc::END_OF_DATA));
    assert_eq!(position(&mut drive), 4);
}
