//! A target for each device (`[target] layout = "per-device"`): the same devices, and nobody reaches more than one through a target.

use std::path::Path;

use vtl_tests::{Daemon, Initiator, Login, cdb, noise};

use crate::{element_status, names, serial, shown};

/// RFC 7143 §11.6.1.
const LUN_DOES_NOT_EXIST: u8 = 2;
const LOGICAL_UNIT_RESET: u8 = 5;
const TARGET_COLD_RESET: u8 = 7;

fn start(directory: &Path) -> Daemon {
    std::fs::write(directory.join("vtl.toml"), "[target]\nlayout = \"per-device\"\n").unwrap();
    Daemon::start(directory)
}

fn login(daemon: &Daemon, device: &str, name: &str) -> Login {
    Login::new(daemon.portal, &format!("{}{device}", daemon.target), name)
}

fn session(daemon: &Daemon, device: &str) -> Initiator {
    let mut session = login(daemon, device, "per-device").open();
    session.settle(0);
    session
}

#[test]
fn each_device_is_lun_0_of_a_target_of_its_own() {
    let temporary = tempfile::tempdir().unwrap();
    let daemon = start(temporary.path());
    let library = shown(&daemon, "library");
    let mut changer = session(&daemon, "");
    assert_eq!(changer.read_in(0, &cdb::inquiry(96), 96).good().data[0] & 0x1f, 8);
    // All drives are in the changer's inventory, whoever else shows them.
    let drives = element_status(&mut changer, 4, 0, 0xffff, 4096);
    for number in 0..4_usize {
        let mut drive = session(&daemon, &format!(".drive{number}"));
        assert_eq!(drive.read_in(0, &cdb::inquiry(96), 96).good().data[0] & 0x1f, 1);
        let own = serial(&mut drive, 0);
        assert_eq!(library["drives"][number]["serial"], own);
        let found = drives.windows(own.len()).any(|window| window == own.as_bytes());
        assert!(found, "drive {number} is in its place");
        let luns = drive.read_in(0, &cdb::report_luns(255), 255).good().data;
        assert_eq!(luns, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // What would be a drive in the other layout is nothing here, and says so in the same list.
        let absent = drive.read_in(1, &cdb::report_luns(255), 255).good().data;
        assert_eq!(absent, luns);
        assert_eq!(drive.read_in(1, &cdb::inquiry(96), 96).good().data[0], 0x7f);
        drive.run(1, &cdb::TEST_UNIT_READY).sense(5, 0x25, 0);
        drive.logout();
    }
    assert!(login(&daemon, ".drive4", "per-device").try_open().is_err());
    assert!(names(&mut changer, 0).starts_with("IBM     03584L32"));
    changer.logout();
    daemon.stop();
}

#[test]
fn the_end_of_one_session_and_its_resets_reach_one_device() {
    let temporary = tempfile::tempdir().unwrap();
    let daemon = start(temporary.path());
    for (barcode, drive) in [("VTL001L9", "0"), ("VTL002L9", "1")] {
        daemon.vtl(&["load", barcode, drive]).done();
    }
    // One initiator with the same ISID everywhere: what makes sessions different is the target.
    let mut one = session(&daemon, ".drive0");
    let mut other = session(&daemon, ".drive1");
    let data = noise(3, 7000);
    other.write_out(0, &cdb::write(data.len()), &data).good();
    other.run(0, &cdb::RESERVE).good();
    assert_eq!(one.manage(LOGICAL_UNIT_RESET, 1, u32::MAX, 0), LUN_DOES_NOT_EXIST);
    assert_eq!(one.manage(LOGICAL_UNIT_RESET, 0, u32::MAX, 0), 0);
    one.run(0, &cdb::TEST_UNIT_READY).sense(6, 0x29, 3);
    // It ends all sessions with the target, which are those with this drive.
    one.manage(TARGET_COLD_RESET, 0, u32::MAX, 0);
    assert!(one.try_wait().is_err(), "the session has ended");
    // The reservation and the position are what they were, and there is nothing to be told.
    let position = other.read_in(0, &cdb::READ_POSITION, 20).good();
    assert_eq!(position.data[4..8], [0, 0, 0, 1]);
    let mut stranger = login(&daemon, ".drive1", "stranger").open();
    assert_eq!(stranger.run(0, &cdb::TEST_UNIT_READY).status, 0x18, "RESERVATION CONFLICT");
    other.run(0, &cdb::REWIND).good();
    assert_eq!(other.read_in(0, &cdb::read(data.len()), data.len()).good().data, data);
    daemon.stop();
}

#[test]
fn a_lun_map_decides_which_targets_there_are() {
    let temporary = tempfile::tempdir().unwrap();
    let daemon = start(temporary.path());
    let name = login(&daemon, "", "mapped").name().to_owned();
    // The numbers are those of the library: 0 is the changer, 1 is drive 0.
    daemon.vtl(&["access", "add", &name, "--luns", "0,2"]).done();
    for device in ["", ".drive1"] {
        login(&daemon, device, "mapped").open().logout();
    }
    for device in [".drive0", ".drive2", ".drive3"] {
        assert!(login(&daemon, device, "mapped").try_open().is_err(), "{device}");
    }
    // A narrower rule ends the session with the target that is not there any more.
    let mut drive = login(&daemon, ".drive1", "mapped").open();
    daemon.vtl(&["access", "add", &name, "--luns", "0"]).done();
    assert!(drive.try_wait().is_err(), "the session has ended");
    login(&daemon, "", "mapped").open().logout();
    assert!(login(&daemon, ".drive1", "mapped").try_open().is_err());
    daemon.stop();
}
