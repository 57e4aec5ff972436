//! Libraries beside the first one.

use serde_json::Value;
use vtl_tests::{Login, Scene, cdb, tree, vtl};

use crate::{element_status, names, serial, session, shown};

const EAST: [&str; 9] =
    ["library", "create", "east", "--profile", "hp-msl-g3", "--drives", "2", "--slots", "40"];
const WEST: [&str; 11] = [
    "library",
    "create",
    "west",
    "--profile",
    "stk-sl150",
    "--drives",
    "ibm-ult3580-td9:2,hp-ultrium-6:1",
    "--slots",
    "30",
    "--mail",
    "4",
];

#[test]
fn a_library_made_while_the_daemon_runs_can_be_used_at_once() {
    let mut scene = Scene::new();
    let before = shown(scene.daemon(), "library");
    let target = scene.daemon().target.clone();
    scene.daemon().vtl(&EAST).done();
    scene.daemon().vtl(&WEST).done();
    let (east, west) = (shown(scene.daemon(), "east"), shown(scene.daemon(), "west"));
    assert_eq!((&east["running"], &west["running"]), (&true.into(), &true.into()));
    {
        let daemon = scene.daemon();
        let mut east = session(daemon, "east");
        assert_eq!(names(&mut east, 0), "HP      MSL G3 Series   5.30");
        assert_eq!(names(&mut east, 1), "HP      Ultrium 6-SCSI  J5SZ");
        let mut west = session(daemon, "west");
        assert_eq!(names(&mut west, 0), "STK     SL150           0225");
        assert_eq!(names(&mut west, 2), "IBM     ULT3580-TD9     Q3F5");
        assert_eq!(names(&mut west, 3), "HP      Ultrium 6-SCSI  J5SZ");
        // What the changer calls a drive is what the drive calls itself.
        let drives = element_status(&mut west, 4, 0, 0xffff, 4096);
        assert_eq!(drives[8 + 8..8 + 10], [0x01, 0xf4], "drives begin at 500");
        let named = String::from_utf8(drives[16 + 2 * 86 + 52..16 + 3 * 86].to_vec()).unwrap();
        assert_eq!(named, format!("HP      Ultrium 6-SCSI  {}", serial(&mut west, 3)));
        let luns = west.read_in(0, &cdb::report_luns(255), 255).good().data;
        assert_eq!(luns[..4], [0, 0, 0, 32], "a changer and three drives");
    }
    // Whoever they are, they are it for ever, and the first one is none the other.
    scene.take_daemon().stop();
    scene.start();
    let again = scene.daemon();
    assert_eq!(again.target, target, "the ready line names the first library");
    for (name, then) in [("library", before), ("east", east), ("west", west)] {
        assert_eq!(shown(again, name), then);
    }
    let listed = again.vtl(&["library", "list", "--format", "json"]).done().json();
    let named: Vec<&Value> = listed.as_array().unwrap().iter().map(|row| &row["library"]).collect();
    assert_eq!(named, ["library", "east", "west"]);
}

#[test]
fn places_name_the_library_and_cartridges_go_from_one_to_another() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    daemon.vtl(&EAST).done();
    daemon.vtl(&WEST).done();
    let location = |barcode: &str| {
        let rows = daemon.vtl(&["tape", "show", barcode, "--format", "json"]).done().json();
        rows[0]["location"].as_str().unwrap().to_owned()
    };
    daemon.vtl(&["tape", "create", "WST001L9", "--library", "west"]).done();
    daemon.vtl(&["tape", "create", "NEW001L9"]).done();
    assert_eq!(location("WST001L9"), "west/slot:1");
    assert_eq!(location("NEW001L9"), "slot:22", "the first library where none is named");

    // A host of one library is told of what comes into it, and a host of another is not.
    let mut of_west = session(daemon, "west");
    let mut of_east = session(daemon, "east");
    daemon.vtl(&["move", "slot:1", "west/mail:2"]).done();
    assert_eq!(of_west.settle(0), [(6, 0x28, 0x01)]);
    assert_eq!(of_east.settle(0), []);
    // An operator brought it, whatever it was in before.
    let mail = element_status(&mut of_west, 3, 0, 0xffff, 4096);
    let second = &mail[16 + 52..];
    assert_eq!(second[..3], [0, 11, 0x3b], "IMPEXP and FULL");
    assert_eq!(second[9] & 0x80, 0, "no source in this library");

    // SCSI moves it on, with the addresses of that model; the drive is told, and writes.
    of_west.run(0, &cdb::move_medium(11, 500)).good();
    assert_eq!(location("VTL001L9"), "west/drive:0");
    of_west.settle(1);
    of_west.write_block(&[7; 1000]).good();
    of_west.run(1, &cdb::write_filemarks(1)).good();
    let rows = daemon.vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json();
    assert_eq!(rows[0]["written_bytes"], 1000, "what the drive of another library knows");
    daemon.vtl(&["tape", "history", "VTL001L9"]).done();

    // Out of the drive of one library into the drive of another, which cannot read it.
    daemon.vtl(&["move", "VTL001L9", "east/drive:1"]).done();
    assert_eq!(location("VTL001L9"), "east/drive:1");
    // First that it was switched on, then what is wrong.
    of_east.run(2, &cdb::TEST_UNIT_READY).sense(6, 0x29, 0x00);
    of_east.run(2, &cdb::TEST_UNIT_READY).sense(2, 0x30, 0x02);
    assert_eq!(of_east.settle(0), [(6, 0x28, 0x00)], "the inventory is another one");
    let drives = element_status(&mut of_east, 4, 0, 0xffff, 4096);
    assert_eq!(drives[16 + 72 + 2] & 0x05, 0x05, "FULL and EXCEPT");
    assert_eq!(drives[16 + 72 + 4..16 + 72 + 6], [0x30, 0x02]);
    daemon.vtl(&["unload", "1", "--library", "east"]).done();
    assert_eq!(location("VTL001L9"), "slot:1", "where it came from");

    daemon.vtl(&["load", "WST001L9", "1"]).done();
    assert_eq!(location("WST001L9"), "west/drive:1", "a drive of the library that it is in");
    daemon.vtl(&["load", "VTL002L9", "0", "--library", "west"]).done();
    assert_eq!(location("VTL002L9"), "west/drive:0");
    daemon.vtl(&["move", "VTL003L9", "west/slot:31"]).ended(4).says("west/slot:31");
    daemon.vtl(&["move", "VTL003L9", "north/slot:1"]).ended(4);
    daemon.vtl(&["unload", "0", "--library", "north"]).ended(4).says("library list");
}

// A clone, and a twin, once went to the first free element of the library whose name comes first, which was another library than its own.
#[test]
fn a_clone_is_in_the_library_of_the_original() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    daemon.vtl(&EAST).done();
    daemon.vtl(&WEST).done();
    daemon.vtl(&["tape", "create", "WST001L9", "--library", "west"]).done();
    for (barcode, drive, library, expected) in
        [("VTL001L9", "0", "library", "slot:"), ("WST001L9", "0", "west", "west/slot:")]
    {
        daemon.vtl(&["load", barcode, drive]).done();
        let mut session = session(daemon, library);
        session.settle(1);
        session.write_block(&[7; 1000]).good();
        session.run(1, &cdb::write_filemarks(1)).good();
        daemon.vtl(&["unload", drive, "--library", library]).done();
        let location = |arguments: &[&str]| {
            let made = daemon.vtl(&[arguments, &["--format", "json"]].concat()).done().json();
            let made = if made.is_array() { made[0].clone() } else { made };
            let barcode = made["barcode"].as_str().unwrap();
            let rows = daemon.vtl(&["tape", "show", barcode, "--format", "json"]).done().json();
            rows[0]["location"].as_str().unwrap().to_owned()
        };
        let copy = barcode.replace("001", "CLN");
        let clone = location(&["tape", "clone", barcode, "--as", &copy]);
        assert!(clone.starts_with(expected), "{clone}");
    }
}

#[test]
fn two_hosts_of_two_libraries_have_nexuses_of_their_own() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    daemon.vtl(&EAST).done();
    let mut first = session(daemon, "library");
    let mut east = session(daemon, "east");
    first.run(0, &cdb::RESERVE).good();
    east.run(0, &cdb::RESERVE).good();
    first.run(0, &[0x1e, 0, 0, 0, 1, 0]).good();
    daemon.vtl(&["tape", "create", "EST001L6", "--type", "lto6", "--library", "east"]).done();
    east.settle(0);
    east.run(0, &cdb::move_medium(0x20, 0x1c0)).good();
    let rows = daemon.vtl(&["inventory", "EST*", "--format", "json"]).done().json();
    assert_eq!(rows[0]["location"], "east/mail:1");
}

#[test]
fn a_library_can_be_made_before_anything_runs() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    // The first one of a directory, in place of the one that `vtl serve` makes: places need not name it.
    vtl(&data, &WEST).done();
    vtl(&data, &EAST).done();
    vtl(&data, &["tape", "create", "WST001L9"]).done();
    vtl(&data, &["move", "slot:1", "mail:1"]).done();
    let at_mail = vtl(&data, &["inventory", "--location", "mail:1", "--format", "json"]).done();
    assert_eq!(at_mail.json()[0]["location"], "west/mail:1");
    vtl(&data, &["library", "show", "library"]).ended(4);
    let daemon = vtl_tests::Daemon::start(&data);
    assert_eq!(daemon.target, shown(&daemon, "west")["target"].as_str().unwrap());
    daemon.vtl(&["load", "WST001L9", "0"]).done();
    let rows = daemon.vtl(&["inventory", "--format", "json"]).done().json();
    assert_eq!(rows.as_array().unwrap().len(), 1, "no library but these two was made");
    assert_eq!(rows[0]["location"], "west/drive:0");
    daemon.stop();
}

#[test]
fn what_cannot_be_a_library_is_refused_and_nothing_is_made() {
    let mut scene = Scene::new();
    scene.daemon().vtl(&EAST).done();
    scene.take_daemon().stop();
    let before = tree(&scene.data().join("ledger"));
    let refused = |arguments: &[&str], says: &str| {
        let all = [&["library", "create"], arguments].concat();
        vtl(&scene.data(), &all).ended(2).says(says);
    };
    refused(&["east", "--drives", "1", "--slots", "9"], "already");
    refused(&["a/b", "--drives", "1", "--slots", "9"], "library name");
    refused(&["snapshot-x", "--drives", "1", "--slots", "9"], "another name");
    refused(&["x", "--profile", "ibm-9999", "--drives", "1", "--slots", "9"], "stk-l700");
    refused(&["x", "--drives", "ibm-ult3580-td4:2", "--slots", "9"], "ibm-ult3580-td5");
    for drives in ["0", "257", "two", "ibm-ult3580-td9:200,ibm-ult3580-td8:57", ""] {
        refused(&["x", "--drives", drives, "--slots", "9"], "from 1 to 256 drives");
    }
    for (slots, mail) in [("417", "4"), ("0", "4"), ("24", "33")] {
        let layout = ["--slots", slots, "--mail", mail];
        let arguments = [&["x", "--profile", "hp-msl-g3", "--drives", "1"], &layout[..]].concat();
        refused(&arguments, "416 storage elements");
    }
    assert_eq!(tree(&scene.data().join("ledger")), before);
    assert!(!scene.data().join("profiles").exists());
}

#[test]
fn models_are_listed_and_shown() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    let list = daemon.vtl(&["profile", "list", "--format", "json"]).done().json();
    let list = list.as_array().unwrap();
    for row in list {
        let name = row["profile"].as_str().unwrap();
        let shown = daemon.vtl(&["profile", "show", name, "--format", "json"]).done().json();
        assert_eq!((&shown["vendor"], &shown["kind"]), (&row["vendor"], &row["kind"]));
    }
    let count = |kind: &str| list.iter().filter(|row| row["kind"] == kind).count();
    assert!(count("library") >= 8 && count("drive") >= 11);
    let msl = daemon.vtl(&["profile", "show", "hp-msl-g3", "--format", "json"]).done().json();
    assert_eq!(msl["first_element_addresses"]["drive"], 0x1e0);
    daemon.vtl(&["profile", "show", "ibm-9999"]).ended(4).says("profile list");
}

#[test]
fn a_target_of_a_library_that_is_not_there_is_not_found() {
    let scene = Scene::new();
    let daemon = scene.daemon();
    daemon.vtl(&EAST).done();
    let other = daemon.target.replace(":library.", ":east.");
    assert!(Login::new(daemon.portal, &other, "nobody").try_open().is_err());
}

// Profiles gave each model its own company identifier, and libraries that are there must not notice: clients know devices by these.
#[test]
fn a_directory_of_an_earlier_version_keeps_its_identities() {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/golden/1");
    vtl_tests::copy_tree(std::path::Path::new(golden), &data);
    let daemon = vtl_tests::Daemon::start(&data);
    assert_eq!(daemon.target, "iqn.2026-07.io.vtl:library.otn1v75483");
    let mut session = session(&daemon, "library");
    let serials = ["YHKRZUILV8", "GXR6A2B6XK", "4VZMSA6AAJ", "AF4KF3U69S", "E0CNDIE7BU"];
    for (lun, expected) in (0..).zip(serials) {
        assert_eq!(serial(&mut session, lun), expected);
        let page = session.read_in(lun, &[0x12, 1, 0x83, 0, 255, 0], 255).good().data;
        let naa = u64::from_be_bytes(page[46..54].try_into().unwrap());
        let folded = expected.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        assert_eq!(naa, 0x5005_0763_0000_0000 | (folded & 0xffff_ffff), "logical unit {lun}");
    }
    daemon.stop();
}
