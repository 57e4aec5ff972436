//! What undo costs, and that it is told.

use vtl_tests::{Scene, noise};

use crate::{points, write_tape};

#[test]
fn status_tells_what_undo_costs() {
    let scene = Scene::loaded();
    let mut session = scene.session("host");
    let vtl = |arguments: &[&str]| scene.daemon().vtl(arguments);
    for round in 0..3 {
        let blocks: Vec<_> = (0..4).map(|n| noise(round * 10 + n, 60_000)).collect();
        write_tape(&mut session, &blocks);
        session.logout();
        vtl(&["unload", "0"]).done();
        vtl(&["load", "VTL001L9", "0"]).done();
        session = scene.session("host");
    }
    session.logout();
    vtl(&["unload", "0"]).done();
    let status = vtl(&["status", "--format", "json"]).done().json();
    let undo = status["undo"]["bytes"].as_u64().unwrap();
    assert!((480_000..700_000).contains(&undo), "{undo}");
    assert_eq!(status["undo"]["keep"], "14 days");
    assert_eq!(points(&scene, "VTL001L9").len(), 3);
    let people = vtl(&["status"]).done().stdout;
    assert!(people.contains("undo:\n") && people.contains(" kB"), "{people}");
}
