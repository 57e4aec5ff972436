//! What is locked or held stays, whoever wants to give it up (F24).

use std::time::Duration;

use rustix::process::Signal;
use vtl_tests::{Scene, cdb, noise, vtl as offline};

use crate::{points, read_tape, write_tape};

const ERASE_LONG: [u8; 6] = [0x19, 1, 0, 0, 0, 0];
const FORMAT_MEDIUM: [u8; 6] = [0x04, 0, 0, 0, 0, 0];
const SET_CAPACITY: [u8; 6] = [0x0b, 0, 0, 0x80, 0, 0];
const SPACE_TO_END: [u8; 6] = [0x11, 3, 0, 0, 0, 0];

#[test]
fn a_locked_cartridge_only_grows() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    let blocks: Vec<_> = (0..3).map(|n| noise(n, 5000)).collect();
    write_tape(&mut session, &blocks);
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    // While it is in a drive.
    let row = vtl(&["tape", "lock", "VTL001L9", "--for", "30d", "--format", "json"]).done().json();
    assert!(row[0]["retained_until"].is_string(), "{row}");
    for (what, command) in
        [("erase", ERASE_LONG), ("format", FORMAT_MEDIUM), ("set capacity", SET_CAPACITY)]
    {
        session.run(1, &cdb::REWIND).good();
        let sense = session.run(1, &command).sense(7, 0x27, 0);
        assert_eq!(sense.information, None, "{what}");
    }
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(9, 5000)).sense(7, 0x27, 0);
    session.run(1, &cdb::write_filemarks(1)).sense(7, 0x27, 0);
    // It can be appended to, behind its last filemark and in its place.
    session.run(1, &SPACE_TO_END).good();
    session.write_block(&noise(4, 5000)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    assert!(read_tape(&mut session) == blocks);
    session.logout();
    vtl(&["unload", "0"]).done();

    let shown = vtl(&["tape", "show", "VTL001L9", "--format", "json"]).done().json();
    assert_eq!(shown[0]["retained_until"], row[0]["retained_until"]);
    vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3).says("VTL001L9").says("locked until");
    vtl(&["tape", "rewind", "VTL001L9", "--to", "1s", "--in-place"]).ended(3).says("locked until");
    // Never earlier, in no way.
    vtl(&["tape", "lock", "VTL001L9", "--for", "29d"])
        .ended(3)
        .says("nobody can make that earlier");
    vtl(&["tape", "lock", "VTL001L9", "--until", "2001-01-01"]).ended(2).says("over already");
    vtl(&["tape", "hold", "VTL001L9", "--lift"]).done();
    vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3);
    vtl(&["tape", "lock", "VTL001L9", "--for", "31d"]).done();
    vtl(&["tape", "lock", "VTL001L9", "--until", "yesterday"]).ended(2).says("2033-12-31");
    vtl(&["tape", "lock", "CLN001L9", "--for", "31d"]).ended(2).says("cleaning");
    vtl(&["tape", "lock", "NOSUCHL9", "--for", "31d"]).ended(4);
    // All or none.
    vtl(&["tape", "lock", "VTL002L9", "NOSUCHL9", "--for", "31d"]).ended(4);
    vtl(&["tape", "delete", "VTL002L9"]).done();
    // All of it is in the ledger, and survives.
    let ran = vtl(&["audit", "list", "--barcode", "VTL001L9"]).done();
    assert!(ran.stdout.contains("retention_set"), "{ran:?}");
    scene.take_daemon().end(Signal::TERM, Duration::from_secs(20));
    offline(&scene.data(), &["tape", "delete", "VTL001L9", "--force"]).ended(3);
    offline(&scene.data(), &["catalog", "rebuild"]).done();
    offline(&scene.data(), &["tape", "delete", "VTL001L9", "--force"]).ended(3);
}

#[test]
fn a_hold_ends_when_it_is_lifted() {
    let scene = Scene::loaded();
    let mut session = scene.session("host");
    write_tape(&mut session, &[noise(1, 5000)]);
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["tape", "hold", "VTL001L9", "VTL003L9", "--reason", "case 7"]).done();
    session.run(1, &cdb::REWIND).good();
    session.write_block(&noise(9, 5000)).sense(7, 0x27, 0);
    vtl(&["tape", "delete", "VTL003L9"]).ended(3).says("VTL003L9").says("case 7");
    vtl(&["tape", "hold", "VTL001L9", "--reason", "two\nlines"]).ended(2);
    vtl(&["tape", "hold", "VTL001L9"]).ended(2);
    vtl(&["tape", "hold", "VTL001L9", "VTL003L9", "--lift"]).done();
    session.write_block(&noise(9, 5000)).good();
    session.logout();
    vtl(&["tape", "delete", "VTL003L9"]).done();
}

/// A lock of governance mode keeps as much as any other, until somebody says in so many words that it shall not, and why; what nobody can shorten stays.
#[test]
fn a_lock_in_governance_mode_is_lifted_with_a_reason_that_stands_in_the_ledger() {
    let scene = Scene::loaded();
    let mut session = scene.session("host");
    write_tape(&mut session, &[noise(1, 5000)]);
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["tape", "lock", "VTL001L9", "--governance", "--for", "30d"]).done();
    session.run(1, &cdb::REWIND).good();
    session.run(1, &ERASE_LONG).sense(7, 0x27, 0);
    session.logout();
    vtl(&["tape", "lock", "VTL001L9", "--governance", "--for", "29d"])
        .ended(3)
        .says("lift that first");
    vtl(&["tape", "lock", "VTL001L9", "--lift-governance"]).ended(2);
    vtl(&["unload", "0"]).done();
    vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3).says("--lift-governance");
    let reason = "the project was given up, ticket 4711";
    vtl(&["tape", "lock", "VTL001L9", "--for", "10d"]).done();
    vtl(&["tape", "lock", "VTL001L9", "--lift-governance", "--reason", reason]).done();
    assert!(vtl(&["audit", "list"]).done().stdout.contains(reason));
    // The other lock is not touched by it.
    vtl(&["tape", "delete", "VTL001L9", "--force"]).ended(3).says("locked until");
    vtl(&["tape", "lock", "VTL002L9", "--governance", "--for", "30d"]).done();
    vtl(&["tape", "lock", "VTL002L9", "--lift-governance", "--reason", "x"]).done();
    vtl(&["tape", "delete", "VTL002L9"]).done();
}

/// A twin that was made as evidence could not be held, as it is only read, and of several cartridges that were to be held nobody knew afterwards which
/// were. What a host had erased was deleted without a question, with all that could have been brought back.
#[test]
fn evidence_is_held_and_what_can_be_brought_back_is_not_deleted_by_the_way() {
    let scene = Scene::loaded();
    let mut session = scene.session("host");
    write_tape(&mut session, &[noise(1, 50_000)]);
    session.run(1, &cdb::REWIND).good();
    let before = points(&scene, "VTL001L9").remove(0);
    session.run(1, &ERASE_LONG).good();
    session.logout();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["unload", "0"]).done();
    let made = vtl(&["tape", "rewind", "VTL001L9", "--to", &before, "--format", "json"]).done();
    assert_eq!(made.json()[0]["barcode"], "RW0001L9");
    vtl(&["tape", "hold", "VTL003L9", "RW0001L9", "VTL002L9", "--reason", "case 7"]).done();
    vtl(&["tape", "delete", "RW0001L9", "--force"]).ended(3).says("case 7");
    vtl(&["load", "RW0001L9", "0"]).done();
    vtl(&["tape", "hold", "RW0001L9", "--lift"]).done();
    vtl(&["unload", "0"]).done();
    vtl(&["tape", "delete", "RW0001L9", "--force"]).done();
    vtl(&["tape", "lock", "VTL003L9", "--for", "30d"]).done();
    vtl(&["tape", "lock", "VTL002L9", "VTL003L9", "VTL004L9", "--for", "20d"])
        .ended(3)
        .says("nobody can make that earlier")
        .says("it was done for VTL002L9, VTL004L9");
    vtl(&["tape", "delete", "VTL001L9"]).ended(3).says("vtl tape history VTL001L9").says("--force");
    vtl(&["tape", "delete", "VTL001L9", "--force"]).done();
}

#[test]
fn what_is_due_is_disposed_of_with_a_certificate_and_nothing_else_is() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("host");
    write_tape(&mut session, &[noise(1, 5000)]);
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    vtl(&["tape", "dispose", "VTL001L9"]).ended(3).says("vtl tape disposition VTL001L9");
    vtl(&["tape", "disposition", "VTL001L9", "--in", "7y"]).done();
    vtl(&["tape", "dispose", "VTL001L9"]).ended(3).says("is not due before");
    let due = || vtl(&["tape", "dispose", "--due", "--format", "json"]).done().json();
    assert_eq!(due(), serde_json::json!([]));
    vtl(&["tape", "disposition", "VTL001L9", "VTL002L9", "--after", "2001-01-01"]).done();
    vtl(&["tape", "disposition", "VTL002L9", "--never"]).done();
    assert_eq!(due()[0]["barcode"], "VTL001L9");
    vtl(&["tape", "hold", "VTL001L9", "--reason", "trial"]).done();
    assert_eq!(due()[0]["kept_by"], "it is held: trial");
    vtl(&["tape", "dispose", "VTL001L9"]).ended(3).says("trial");
    vtl(&["tape", "dispose", "VTL001L9", "VTL002L9"]).ended(3);
    vtl(&["tape", "hold", "VTL001L9", "--lift"]).done();
    let gone = vtl(&["tape", "dispose", "VTL001L9", "--format", "json"]).done().json();
    let file = gone[0]["certificate"].as_str().unwrap();
    let verified = vtl(&["receipt", "verify", file, "--format", "json"]).done().json();
    assert_eq!(
        (&verified["about"], &verified["content"]["blocks"]),
        (&"disposition".into(), &1.into())
    );
    assert!(verified["content"]["method"].as_str().unwrap().contains("not wiped"), "{verified:#}");
    vtl(&["inventory", "VTL001L9"]).ended(4);
    // A restart has forgotten nothing of it.
    scene.take_daemon().stop();
    let shown =
        offline(&scene.data(), &["tape", "show", "VTL002L9", "--format", "json"]).done().json();
    assert_eq!(shown[0]["dispose_after"], serde_json::Value::Null);
}
