//! Loading, unloading and what prevents it.

use super::*;

#[test]
fn prevented_by_one_nexus_holds_against_all() {
    let mut drive = recorded();
    good(&run(&mut drive, A, &[0x1e, 0, 0, 0, 1, 0]));
    assert_eq!(sense(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0])), Sense::removal_prevented());
    good(&run(&mut drive, B, &[0x1e, 0, 0, 0, 0, 0]));
    assert_eq!(sense(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0])), Sense::removal_prevented());
    drive.nexus_ends(A);
    good(&run(&mut drive, B, &[0x1b, 0, 0, 0, 0, 0]));
    assert_eq!(
        sense(&run(&mut drive, B, &TEST_UNIT_READY)),
        Sense::initializing_command_required()
    );
}

#[test]
fn loading_again_is_a_unit_attention_and_the_beginning() {
    let mut drive = recorded();
    good(&space(&mut drive, 0, 1));
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 0, 0]));
    good(&run(&mut drive, A, &[0x1b, 0, 0, 0, 1, 0]));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
    assert_eq!(position(&mut drive), 0);
}

#[test]
fn what_was_written_is_there_after_the_robot_took_it() {
    let mut drive = recorded();
    let facts = drive.remove().unwrap().unwrap();
    assert_eq!((facts.block_count, facts.filemark_count, facts.written_bytes), (3, 1, 600));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_not_present());
}
