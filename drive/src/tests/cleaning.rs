//! A cleaning cartridge in the drive.

use std::sync::atomic::{AtomicU64, Ordering};

use vtl_scsi::Clock;

use super::*;
use crate::{MediumState, NotLoaded};

const UNLOAD: [u8; 6] = [0x1b, 0, 0, 0, 0, 0];

fn being_cleaned() -> (Drive, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let mut drive = empty_drive();
    let clock = now.clone();
    drive.set_clock(Clock::new(move || clock.load(Ordering::Relaxed)));
    drive.clean();
    (drive, now)
}

/// Bytes of page 11h: what is in the drive, and what it does.
fn status(drive: &mut Drive) -> [u8; 2] {
    let data = run(drive, A, &[0x4d, 0, 0x51, 0, 0, 0, 0, 0, 0xff, 0]).data_in;
    [data[9], data[10]]
}

fn alerts(drive: &mut Drive) -> u64 {
    let data = run(drive, A, &[0x4d, 0, 0x52, 0, 0, 0, 0, 0, 0xff, 0]).data_in;
    u64::from_be_bytes(data[8..16].try_into().unwrap())
}

#[test]
fn it_cleans_for_a_while_and_lies_in_the_door_then() {
    let (mut drive, now) = being_cleaned();
    let cleaning = Sense::cleaning_cartridge_installed();
    for _ in 0..2 {
        let told = sense(&run(&mut drive, A, &TEST_UNIT_READY));
        assert_eq!((told, told.asc), (cleaning, Asc(0x30, 0x03)));
        assert!(drive.is_cleaning());
        assert_eq!(status(&mut drive), [0x16, 0x01]);
        assert_eq!(sense(&run(&mut drive, A, &UNLOAD)), cleaning);
        now.fetch_add(1000, Ordering::Relaxed);
    }
    assert!(!drive.is_cleaning());
    let told = sense(&run(&mut drive, A, &TEST_UNIT_READY));
    assert_eq!((told.key, told.asc), (SenseKey::NotReady, Asc(0x04, 0x00)));
    assert_eq!(status(&mut drive), [0x30, 0]);
    good(&run(&mut drive, A, &UNLOAD));
    assert_eq!(drive.medium_state(), MediumState::Refused(NotLoaded::Cleaning));
    assert_eq!(alerts(&mut drive), 1 << (64 - 0x0b));
    drive.remove().unwrap();
    drive.insert(cartridge("lto9", 1 << 30));
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_may_have_changed());
    assert_eq!(alerts(&mut drive), 0);
}

#[test]
fn a_cartridge_that_comes_behind_it_is_not_taken_for_it() {
    let (mut drive, _) = being_cleaned();
    drive.remove().unwrap();
    assert!(!drive.is_cleaning());
    drive.refuse(NotLoaded::Damaged);
    assert!(!drive.is_cleaning());
    assert_eq!(sense(&run(&mut drive, A, &TEST_UNIT_READY)), Sense::medium_format_corrupted());
}

#[test]
fn one_that_is_used_up_cleans_nothing_and_lights_a_flag() {
    let mut drive = empty_drive();
    drive.refuse(NotLoaded::CleaningUsedUp);
    let told = sense(&run(&mut drive, A, &TEST_UNIT_READY));
    assert_eq!((told.key, told.asc), (SenseKey::NotReady, Asc(0x30, 0x07)));
    assert!(!drive.is_cleaning());
    assert_eq!(alerts(&mut drive), 1 << (64 - 0x16));
}
