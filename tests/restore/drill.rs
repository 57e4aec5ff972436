//! Drills: the recovery of a group, rehearsed and measured.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use vtl_tests::{Scene, cdb, flip_bit_of, noise, poll};

use crate::{tar, write_files};

const BARCODES: [&str; 2] = ["VTL001L9", "VTL002L9"];

/// Two cartridges with an archive, something unknown and an empty tape file on each, in a group.
fn group_of_two() -> Scene {
    let scene = Scene::new();
    let source = scene.beside("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("big.bin"), noise(2, 3 << 20)).unwrap();
    fs::write(source.join("small.txt"), "small").unwrap();
    let archive = tar(&source, &["--sort=name"]);
    for (number, barcode) in BARCODES.into_iter().enumerate() {
        scene.daemon().vtl(&["load", barcode, "0"]).done();
        let mut session = scene.session("writer");
        let unknown = noise(70 + number as u64, 300_000);
        write_files(&mut session, &[(&archive, 10_240), (&unknown, 300_000), (&[], 1)]);
        session.logout();
        scene.daemon().vtl(&["unload", "0"]).done();
    }
    scene.daemon().vtl(&["group", "create", "mail", BARCODES[0], BARCODES[1]]).done();
    scene
}

fn positions(scene: &Scene) -> Value {
    let rows = scene.daemon().vtl(&["tape", "show", BARCODES[0], BARCODES[1], "--format", "json"]);
    let mut rows = rows.done().json();
    for row in rows.as_array_mut().unwrap() {
        let row = row.as_object_mut().unwrap();
        row.retain(|name, _| {
            ["barcode", "location", "written_bytes", "last_written", "load_count"]
                .contains(&name.as_str())
        });
    }
    rows
}

fn snapshots(scene: &Scene) -> Vec<Value> {
    let rows = scene.daemon().vtl(&["snapshot", "list", "--format", "json"]).done().json();
    rows.as_array().unwrap().clone()
}

#[test]
fn a_group_that_is_whole_passes_and_what_was_measured_is_what_it_took() {
    let scene = group_of_two();
    let before = positions(&scene);
    let clock = Instant::now();
    let report = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).done().json();
    let outside = clock.elapsed().as_secs_f64();
    assert_eq!((&report["result"], &report["level"]), (&"passed".into(), &3.into()), "{report:#}");
    assert_eq!(report["sources"], "unchanged");
    let inside =
        report["recovery_seconds"].as_f64().unwrap() + report["hashes_seconds"].as_f64().unwrap();
    assert!(inside <= outside + 0.02, "{inside} of {outside} s");
    for row in report["cartridges"].as_array().unwrap() {
        assert_eq!((&row["archives"], &row["filemarks"]), (&1.into(), &3.into()), "{row:#}");
        assert!(row["files"].as_u64().unwrap() >= 2);
        assert_eq!((&row["kinds"]["tar"], &row["kinds"]["unknown"]), (&1.into(), &1.into()));
    }
    assert_eq!(positions(&scene), before);
    // What was shown to be good is kept, and hidden; the next one takes its place.
    let kept = snapshots(&scene);
    assert_eq!((kept.len(), &kept[0]["presented"]), (1, &false.into()), "{kept:?}");
    assert_eq!(kept[0]["snapshot"], report["known_good"]);
    scene.daemon().vtl(&["drill", "run", "mail", "--level", "2"]).done();
    let later = snapshots(&scene);
    assert!(later.len() == 1 && later[0]["snapshot"] != kept[0]["snapshot"], "{later:?}");
    let list = scene.daemon().vtl(&["drill", "list", "mail", "--format", "json"]).done().json();
    assert_eq!((&list[0]["level"], &list[1]["level"]), (&3.into(), &2.into()));
    assert_eq!(list[0]["known_good"], Value::Null, "it is gone");
}

#[test]
fn a_report_is_signed_and_each_change_of_it_is_found() {
    let scene = group_of_two();
    let report = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).done().json();
    let file = scene.beside("report.json");
    let path = file.to_str().unwrap();
    scene.daemon().vtl(&["drill", "show", "mail", "--output", path]).done();
    let said = scene.daemon().vtl(&["receipt", "verify", path, "--format", "json"]).done().json();
    assert_eq!((&said["verdict"], &said["about"]), (&"VALID".into(), &"drill".into()));
    let id = report["report"].as_str().unwrap();
    assert_eq!(
        scene.daemon().vtl(&["drill", "show", id, "--format", "json"]).done().json(),
        report
    );
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"is_passed\":true", "\"is_passed\":tru3", 1)).unwrap();
    scene.daemon().vtl(&["receipt", "verify", path]).ended(5);
    let kept = scene.data().join("reports").join(format!("{id}.json"));
    fs::write(&kept, text.replacen("\"level\":3", "\"level\":4", 1)).unwrap();
    scene.daemon().vtl(&["drill", "show", "mail"]).ended(5);
}

#[test]
fn a_bad_block_is_named_by_barcode_object_and_file() {
    let scene = group_of_two();
    // It lies in big.bin of the second cartridge's archive.
    let data = scene.data();
    let rows = scene.daemon().vtl(&["tape", "show", BARCODES[1], "--format", "json"]).done().json();
    let cartridge = data.join("cartridges").join(rows[0]["uuid"].as_str().unwrap());
    flip_bit_of(&cartridge, &noise(2, 3 << 20)[1 << 20..][..64]);
    let failed = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).ended(5);
    assert!(
        failed.stderr.contains(BARCODES[1]) && !failed.stderr.contains(BARCODES[0]),
        "{failed:?}"
    );
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(report["cartridges"][0]["result"], "passed");
    let bad = &report["cartridges"][1];
    assert_eq!(bad["on_disk"], "damaged");
    let damage = &bad["damage"][0];
    assert_eq!(
        (&damage["tape_file"], &damage["file"]),
        (&0.into(), &"./big.bin".into()),
        "{bad:#}"
    );
    assert_eq!(damage["object"], bad["damage_on_disk"][0]["first_object"], "{bad:#}");
    // What lies behind it was read all the same, and nothing is called known to be good.
    assert_eq!(bad["filemarks"], 3);
    assert_eq!(snapshots(&scene).len(), 0);
}

#[test]
fn an_archive_that_ends_early_fails_although_each_block_can_be_read() {
    let scene = Scene::loaded();
    let source = scene.beside("source");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("cut.bin"), noise(5, 200_000)).unwrap();
    let archive = tar(&source, &[]);
    let mut session = scene.session("writer");
    write_files(&mut session, &[(&archive[..100_000], 10_240)]);
    session.logout();
    scene.daemon().vtl(&["group", "create", "mail", BARCODES[0]]).done();
    let failed = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).ended(5);
    let report: Value = serde_json::from_str(&failed.stdout).unwrap();
    let row = &report["cartridges"][0];
    assert_eq!((&row["on_disk"], &row["damaged_objects"]), (&"proved".into(), &0.into()));
    assert_eq!(row["archive_trouble"][0]["file"], "./cut.bin", "{row:#}");
}

/// A cartridge that a host had encrypted failed each drill, as its blocks cannot be read without the key.
#[test]
fn what_is_encrypted_is_counted_and_no_damage() {
    let scene = Scene::loaded();
    let mut session = scene.session("writer");
    session.write_block(&noise(1, 5000)).good();
    session.run(1, &cdb::write_filemarks(1)).good();
    let mut page =
        vec![0x00, 0x10, 0, 0x30, 0x40, 0x40, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20];
    page.extend(noise(41, 32));
    let set = [0xb5, 0x20, 0, 0x10, 0, 0, 0, 0, 0, 0x34, 0, 0];
    session.write_out(1, &set, &page).good();
    for seed in 2..5 {
        session.write_block(&noise(seed, 5000)).good();
    }
    session.run(1, &cdb::write_filemarks(1)).good();
    session.logout();
    scene.daemon().vtl(&["group", "create", "mail", BARCODES[0]]).done();
    let report = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).done().json();
    let row = &report["cartridges"][0];
    assert_eq!((&row["blocks"], &row["encrypted_blocks"]), (&4.into(), &3.into()), "{row:#}");
    assert_eq!((&row["kinds"]["encrypted"], &row["filemarks"]), (&1.into(), &2.into()));
}

/// The snapshot that a restore was running from was taken away by the next drill, and by the next start of the daemon; and one that a user had
/// made was, for its name.
#[test]
fn what_somebody_restores_from_stays() {
    let mut scene = group_of_two();
    let report = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).done().json();
    let good = report["known_good"].as_str().unwrap();
    scene.daemon().vtl(&["snapshot", "present", good]).done();
    scene.daemon().vtl(&["snapshot", "create", "drill-monday"]).done();
    scene.daemon().vtl(&["snapshot", "present", "drill-monday"]).done();
    scene.daemon().vtl(&["drill", "run", "mail"]).done();
    scene.take_daemon().stop();
    scene.start();
    let names = |scene: &Scene| -> Vec<String> {
        snapshots(scene).iter().map(|row| row["snapshot"].as_str().unwrap().to_owned()).collect()
    };
    let there = names(&scene);
    assert!(
        there.iter().any(|name| name == good) && there.iter().any(|name| name == "drill-monday"),
        "{there:?}"
    );
    scene.daemon().vtl(&["snapshot", "present", good, "--hide"]).done();
    scene.daemon().vtl(&["drill", "run", "mail"]).done();
    assert!(!names(&scene).iter().any(|name| name == good), "nobody needs it any more");
}

#[test]
fn a_command_of_ones_own_is_measured_and_ended_when_it_takes_too_long() {
    let scene = group_of_two();
    let run = |command: &str, limit: &str| {
        ["drill", "run", "mail", "--format", "json", "--command", command, "--limit", limit]
            .map(str::to_owned)
    };
    let vtl = |arguments: &[String]| {
        scene.daemon().vtl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let good = r#"test "$VTL_DRILL_BARCODES" = "VTL001L9 VTL002L9" && test -n "$VTL_DRILL_TARGET" && echo restored > file && pwd"#;
    let report = vtl(&run(good, "1h")).done().json();
    assert_eq!((&report["level"], &report["command"]["exit_code"]), (&4.into(), &0.into()));
    assert!(report["command"]["restored_bytes"].as_u64().unwrap() >= 9, "{report:#}");
    assert!(vtl(&run("echo oh no >&2; exit 7", "1h")).ended(1).stderr.contains("ended with 7"));
    // What it has started ends with it.
    let clock = Instant::now();
    let late = vtl(&run("sleep 1000 & wait", "1s")).ended(1);
    assert!(late.stderr.contains("--limit"), "{late:?}");
    assert!(clock.elapsed() < Duration::from_secs(500));
    scene.daemon().vtl(&["drill", "run", "mail", "--level", "4"]).ended(2);
}

#[test]
fn a_drill_that_is_broken_off_leaves_nothing_behind() {
    let mut scene = group_of_two();
    let mut child = std::process::Command::new(vtl_tests::binary())
        .args(["drill", "run", "mail", "--command", "sleep 1000", "--data"])
        .arg(scene.data())
        .spawn()
        .unwrap();
    poll("a snapshot", Duration::from_mins(1), || {
        snapshots(&scene).first().is_some_and(|row| row["presented"] == true).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    poll("nothing left", Duration::from_mins(1), || snapshots(&scene).is_empty().then_some(()));
    scene.assert_serves();
}

/// A host erases a cartridge after a drill that passed. The next one passed as well, as nothing can be read of what is empty, and took the snapshot
/// away that still had what was on it.
#[test]
fn what_was_erased_since_the_last_drill_fails_and_stays_in_the_point_that_is_known_to_be_good() {
    let scene = group_of_two();
    scene.daemon().vtl(&["drill", "run", "mail"]).done();
    let good = snapshots(&scene)[0]["snapshot"].as_str().unwrap().to_owned();
    scene.daemon().vtl(&["load", BARCODES[1], "0"]).done();
    let mut session = scene.session("eraser");
    session.run(1, &cdb::ERASE);
    session.logout();
    scene.daemon().vtl(&["unload", "0"]).done();
    let posture = scene.daemon().vtl(&["posture", "mail"]).ended(1).stdout;
    assert!(
        posture.contains(&format!("EMPTY now, and not when it was rehearsed: {}", BARCODES[1]))
    );
    scene.daemon().vtl(&["drill", "run", "mail"]).ended(1).says("drill of group mail failed");
    assert!(snapshots(&scene).iter().any(|row| row["snapshot"] == *good), "{good} is gone");
    let again = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).ended(1).stdout;
    assert!(again.contains("it is EMPTY") && again.contains(&good), "{again}");
    let runbook = scene.daemon().vtl(&["runbook", "mail"]).done().stdout;
    assert!(runbook.contains(&format!("vtl snapshot present {good}")), "{runbook}");
}

/// The daemon starts a drill as a process of its own, and it must end with the daemon, which does not wait for it.
#[test]
fn a_drill_by_the_calendar_is_one_like_any_other_and_stops_no_daemon_from_ending() {
    let mut scene = group_of_two();
    scene.daemon().vtl(&["group", "set", "mail", "drill=*:*:00/2", "drill-level=2"]).done();
    let list = |scene: &Scene| {
        scene
            .daemon()
            .vtl(&["drill", "list", "--format", "json"])
            .done()
            .json()
            .as_array()
            .unwrap()
            .clone()
    };
    let drills = poll("a drill", Duration::from_mins(2), || {
        let drills = list(&scene);
        (drills.len() > 1).then_some(drills)
    });
    assert_eq!((&drills[0]["result"], &drills[0]["level"]), (&"passed".into(), &2.into()));
    assert_eq!(drills.last().unwrap()["result"], "planned");
    // The report comes first, and then that it ran.
    poll("the run in the ledger", Duration::from_mins(1), || {
        let said = scene.daemon().vtl(&["audit", "list", "--format", "json"]).done().stdout;
        (said.contains("\"drill:mail\"") && said.contains("drill of mail")).then_some(())
    });
    let posture = scene.daemon().vtl(&["posture", "mail"]).done().stdout;
    assert!(posture.contains("  next drill  "), "{posture}");
    poll("a drill under way", Duration::from_mins(2), || {
        snapshots(&scene).iter().any(|row| row["presented"] == true).then_some(())
    });
    scene.take_daemon().stop();
    scene.start();
    // What it has left is taken away, and it is caught up with.
    let before = list(&scene).len();
    poll("another drill", Duration::from_mins(2), || (list(&scene).len() > before).then_some(()));
    scene.daemon().vtl(&["group", "set", "mail", "drill=", "drill-level="]).done();
    scene.assert_serves();
}

/// Rules that want CHAP, as every library has that is reached over a network, shut drills out, and no rule could let them in: they have no
/// secret. Now a drill is told a name that is good for its snapshot, and for nothing else.
#[test]
fn rules_that_want_chap_do_not_shut_a_drill_out_nor_let_anybody_in_with_it() {
    let scene = group_of_two();
    let (seen, barcodes) = (scene.beside("seen"), scene.beside("barcodes"));
    scene.daemon().vtl(&["access", "add", "iqn.2026-11.test:somebody", "--chap"]).done();
    scene.daemon().vtl(&["drill", "run", "mail"]).done();
    let command = format!(
        "echo $VTL_DRILL_INITIATOR > {}; echo $VTL_DRILL_BARCODES > {}",
        seen.display(),
        barcodes.display()
    );
    scene.daemon().vtl(&["drill", "run", "mail", "--command", &command]).done();
    assert_eq!(fs::read_to_string(&barcodes).unwrap().trim(), BARCODES.join(" "));
    let name = fs::read_to_string(&seen).unwrap();
    let name = name.trim();
    assert!(name.starts_with("iqn.2026-11.io.vtl:drill.") && name.len() > 50, "{name}");
    // It is over, and it never was a way into the library itself. The last snapshot is there still: it is known to be good.
    assert!(scene.login_named(name).try_open().is_err());
    let shown = snapshots(&scene);
    let last = shown.last().unwrap()["snapshot"].as_str().unwrap().to_owned();
    scene.daemon().vtl(&["snapshot", "present", &last]).done();
    let target = snapshots(&scene).last().unwrap()["target"].as_str().unwrap().to_owned();
    assert!(scene.login_named(name).to(&target).try_open().is_err());
}

#[test]
fn a_group_that_lacks_a_member_is_not_rehearsed() {
    let scene = group_of_two();
    scene.daemon().vtl(&["tape", "delete", "--force", BARCODES[1]]).done();
    let refused = scene.daemon().vtl(&["drill", "run", "mail"]).ended(3);
    assert!(refused.stderr.contains(BARCODES[1]), "{refused:?}");
    scene.daemon().vtl(&["drill", "run", "nobody"]).ended(4);
    scene.daemon().vtl(&["drill", "show", "mail"]).ended(4);
}

#[test]
fn posture_says_what_is_known_what_is_not_and_what_to_do_next() {
    let scene = group_of_two();
    let posture = || scene.daemon().vtl(&["posture", "mail", "--format", "json"]);
    let before = posture().done().json()[0].clone();
    assert_eq!((&before["light"], &before["recovery_seconds"]), (&"amber".into(), &Value::Null));
    assert!(before["reasons"][0].as_str().unwrap().contains("vtl drill run mail"), "{before:#}");
    assert_eq!(before["recovery_point_tape"], Value::Null);
    let report = scene.daemon().vtl(&["drill", "run", "mail", "--format", "json"]).done().json();
    let after = posture().done().json()[0].clone();
    let (told, measured) = (&after["recovery_seconds"], &report["recovery_seconds"]);
    assert!(
        (told.as_f64().unwrap() - measured.as_f64().unwrap()).abs() < 0.01,
        "{told} {measured}"
    );
    assert_eq!(after["rule_3_2_1_1_0"]["zero_errors"], true, "{after:#}");
    assert!(after["next"].as_str().unwrap().contains("vtl export --group mail --copy 1"));
    // What was asked for and is not so is red, and the exit code says so too.
    scene.daemon().vtl(&["group", "set", "mail", "recovery-time=0s", "recovery-point=1d"]).done();
    let red = posture().ended(1).says("mail");
    assert_eq!(red.json()[0]["light"], "red");
    scene.daemon().vtl(&["posture", "nobody"]).ended(4);
    scene.daemon().vtl(&["group", "create", "new", "VTL005L9"]).done();
    let empty = scene.daemon().vtl(&["drill", "run", "new", "--format", "json"]);
    let empty = empty.ended(1).says("nothing on its cartridges").json();
    assert_eq!(empty["cartridges"][0]["result"], Value::Null, "it was not looked at");
    let people = scene.daemon().vtl(&["posture"]).ended(1).stdout;
    assert!(people.contains("mail: RED") && people.contains("new: RED"), "{people}");
}

/// Each way in it has to work for somebody who has nothing else: what is printed for the disk is run as it stands there.
#[test]
fn a_runbook_says_how_and_what_it_says_for_the_disk_alone_works() {
    let scene = group_of_two();
    scene.daemon().vtl(&["drill", "run", "mail"]).done();
    let file = scene.beside("runbook.md");
    scene.daemon().vtl(&["runbook", "mail", "--output", file.to_str().unwrap()]).done();
    let text = fs::read_to_string(&file).unwrap();
    for needed in [
        "| VTL002L9 |",
        "passed",
        "THERE IS NO PROVED COPY",
        "catalog rebuild",
        "snapshot present drill-",
        "tape rewind --group mail",
    ] {
        assert!(text.contains(needed), "{needed} is not in {text}");
    }
    let line = text.lines().find(|line| line.starts_with("tools/read-cartridge")).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let run =
        std::process::Command::new("sh").args(["-c", line]).current_dir(root).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    assert!(String::from_utf8_lossy(&run.stdout).contains("small.txt"), "{run:?}");
    scene.daemon().vtl(&["runbook", "nobody"]).ended(4);
}
