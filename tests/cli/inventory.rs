//! Barcode inventory queries.

use serde_json::Value;
use vtl_tests::{Ran, Scene, cdb};

const CONTRACT: [&str; 13] = [
    "barcode",
    "uuid",
    "kind",
    "generation",
    "worm",
    "location",
    "pool",
    "group",
    "state",
    "capacity_bytes",
    "written_bytes",
    "last_written",
    "last_proved",
];

#[test]
fn a_new_library_has_what_was_promised() {
    let scene = Scene::new();
    let rows = query(&scene, &[]);
    let rows = rows.as_array().unwrap();
    let mut expected: Vec<String> = (1..=20).map(|number| format!("VTL{number:03}L9")).collect();
    expected.insert(0, "CLN001L9".into());
    assert_eq!(barcodes(rows), expected, "sorted by barcode");
    for row in rows {
        for key in CONTRACT {
            assert!(row.get(key).is_some(), "{key} is not in {row}");
        }
        assert_eq!(row["media_type"], "lto9", "{row}");
        assert_eq!((&row["worm"], &row["written_bytes"]), (&false.into(), &0.into()));
    }
    assert_eq!(rows[1]["location"], "slot:1");
    assert_eq!(rows[1]["state"], "empty");
    assert_eq!(rows[1]["capacity_bytes"], 18_000_000_000_000_u64);
    assert_eq!(rows[0]["state"], "cleaning");
}

#[test]
fn barcodes_that_begin_with_cln_are_cleaning_cartridges() {
    let scene = Scene::new();
    scene.daemon().vtl(&["tape", "create", "CLN002L9", "--type", "lto9"]).done();
    scene.daemon().vtl(&["tape", "create", "ACLN02L9", "--type", "lto9"]).done();
    let rows = query(&scene, &["*CLN*"]);
    let kinds: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["data", "cleaning", "cleaning"]);
}

#[test]
fn patterns_places_and_states_select() {
    let scene = Scene::loaded();
    let daemon = scene.daemon();
    daemon.vtl(&["move", "VTL002L9", "mail:3"]).done();
    daemon.vtl(&["move", "VTL003L9", "shelf"]).done();
    daemon.vtl(&["tape", "create", "POOL01L8", "--type", "lto8", "--pool", "weekly"]).done();
    let mut session = scene.session("writer");
    session.write_block(&[7; 1000]).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    for (arguments, expected) in [
        (&["VTL00?L9"][..], 9),
        (&["VTL0*"], 20),
        (&["vtl001l9"], 1),
        (&["*L8"], 1),
        (&["*"], 22),
        (&["NONE*"], 0),
        (&["--location", "drive"], 1),
        (&["--location", "drive:0"], 1),
        (&["--location", "drive:1"], 0),
        (&["--location", "mail"], 1),
        (&["--location", "shelf"], 1),
        (&["--location", "slot"], 19),
        (&["--location", "offsite"], 0),
        (&["--state", "written"], 1),
        (&["--state", "empty"], 20),
        (&["--state", "cleaning"], 1),
        (&["--state", "damaged"], 0),
        (&["--pool", "weekly"], 1),
        (&["--group", "none"], 0),
        (&["--older-than", "30d"], 0),
        (&["--older-than", "0s"], 22),
        (&["VTL0*", "--location", "slot", "--state", "empty"], 17),
    ] {
        let rows = query(&scene, arguments);
        assert_eq!(rows.as_array().unwrap().len(), expected, "{arguments:?}: {rows}");
    }
    daemon.vtl(&["inventory", "NONE01L9"]).ended(4).says("NONE01L9");
}

#[test]
fn rows_can_be_sorted_by_any_key() {
    let scene = Scene::loaded();
    let mut session = scene.session("writer");
    session.write_block(&[7; 1000]).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    let first = |key: &str| query(&scene, &["--sort", key])[0]["barcode"].clone();
    assert_eq!(first("barcode"), "CLN001L9");
    assert_eq!(first("-barcode"), "VTL020L9");
    assert_eq!(first("-written_bytes"), "VTL001L9");
    for key in CONTRACT {
        assert_eq!(query(&scene, &["--sort", key]).as_array().unwrap().len(), 21, "{key}");
    }
}

#[test]
fn what_a_drive_has_written_shows_while_the_cartridge_is_in_it() {
    let mut scene = Scene::loaded();
    let mut session = scene.session("writer");
    for _ in 0..3 {
        session.write_block(&[7; 1000]).good();
    }
    session.run(1, &cdb::write_filemarks(1)).good();
    let in_drive = query(&scene, &["VTL001L9"])[0].clone();
    assert_eq!((&in_drive["state"], &in_drive["location"]), (&"written".into(), &"drive:0".into()));
    assert_eq!(in_drive["written_bytes"], 3000);
    assert!(in_drive["last_written"].is_string(), "{in_drive}");
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    let in_slot = query(&scene, &["VTL001L9"])[0].clone();
    assert_eq!((&in_slot["state"], &in_slot["location"]), (&"written".into(), &"slot:1".into()));
    assert_eq!(in_slot["written_bytes"], 3000);
    scene.daemon().vtl(&["tape", "delete", "VTL001L9"]).ended(3).says("--force");
    scene.take_daemon().stop();
    let offline = vtl_tests::vtl(&scene.data(), &["inventory", "VTL001L9", "--format", "json"]);
    assert_eq!(offline.done().json()[0], in_slot);
    vtl_tests::vtl(&scene.data(), &["tape", "delete", "VTL001L9", "--force"]).done();
    vtl_tests::vtl(&scene.data(), &["tape", "show", "VTL001L9"]).ended(4);
}

#[test]
fn table_json_and_csv_tell_of_the_same_cartridges() {
    let scene = Scene::new();
    let run = |format| scene.daemon().vtl(&["inventory", "--format", format]).done();
    let rows = run("json").json();
    let expected = barcodes(rows.as_array().unwrap());
    let csv = run("csv").stdout;
    let mut lines = csv.lines();
    let header: Vec<_> = lines.next().unwrap().split(',').collect();
    for key in CONTRACT {
        assert!(header.contains(&key), "{key} is not in {header:?}");
    }
    let column = header.iter().position(|name| *name == "barcode").unwrap();
    let in_csv: Vec<_> =
        lines.map(|line| line.split(',').nth(column).unwrap().to_owned()).collect();
    assert_eq!(in_csv, expected);
    let table = run("table").stdout;
    assert!(table.lines().next().unwrap().contains("BARCODE"), "{table}");
    let in_table: Vec<_> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    assert_eq!(in_table, expected);
    assert_eq!(run("table"), scene.daemon().vtl(&["inventory"]).done());
}

fn query(scene: &Scene, arguments: &[&str]) -> Value {
    let ran: Ran = scene.daemon().vtl(&[&["inventory", "--format", "json"], arguments].concat());
    ran.done().json()
}

fn barcodes(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["barcode"].as_str().unwrap().to_owned()).collect()
}
