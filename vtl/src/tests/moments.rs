//! A snapshot of what is held still.

use super::*;
use crate::barrier::uptime;
use crate::request::SnapshotChoice;
use crate::snapshots::create;

/// The library had stood still for longer than the application was held, and made the snapshot when that was let go on: marked as quiesced.
#[test]
fn there_is_no_snapshot_when_what_was_held_still_goes_on() {
    let scene = Scene::new();
    let of = |name: &str, until: Duration| SnapshotChoice {
        name: name.to_owned(),
        is_quiesced: Some(true),
        still_until_ms: u64::try_from(until.as_millis()).ok(),
        ..SnapshotChoice::default()
    };
    let refused = create(&scene.library, &of("late", uptime()), "op").unwrap_err();
    assert!(refused.message.contains("had been let go on"), "{refused}");
    assert_eq!(scene.library.store.snapshot("late"), None);
    create(&scene.library, &of("early", uptime() + Duration::from_hours(1)), "op").unwrap();
    assert_eq!(scene.library.store.snapshot("early").unwrap().is_quiesced, Some(true));
}
