//! `vtl init --small`: a library with safe defaults, and what to do when it is gone.

use std::fs;
use std::process::Command;

use vtl_tests::{Daemon, vtl};

#[test]
fn a_small_library_has_undo_proofs_and_drills_and_brings_its_runbook_along() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("below").join("data");
    let made = vtl(&data, &["init", "--small", "--format", "json"]).done().json();
    assert_eq!(made["next"].as_array().unwrap().len(), 4, "{made:#}");
    // It is never made over another one.
    vtl(&data, &["init", "--small"]).ended(3).says("there is a library in");
    vtl(&directory.path().join("other"), &["init"]).ended(2);
    let config = fs::read_to_string(data.join("vtl.toml")).unwrap();
    assert!(
        config.contains("\nkeep = \"14d\"") && config.contains("\nscrub = \"30d\""),
        "{config}"
    );
    assert!(config.contains("\nkeep-bytes = "), "{config}");
    let recovery = data.join("recovery");
    let pdf = fs::read(recovery.join("runbook.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
    let runbook = fs::read_to_string(recovery.join("runbook.md")).unwrap();
    let tool = recovery.join("read-cartridge");
    assert!(runbook.contains(&format!("{} ", tool.display())), "{runbook}");
    if let Ok(output) =
        Command::new("pdftotext").arg(recovery.join("runbook.pdf")).arg("-").output()
    {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("How to get `all` back") && text.contains("VTL020L9"), "{text}");
    }
    let daemon = Daemon::start(&data);
    let status = daemon.vtl(&["status", "--format", "json"]).done().json();
    assert_eq!(status["drives"].as_array().unwrap().len(), 2);
    let drill = &status["drills"][0];
    assert_eq!(
        (&drill["group"], &drill["drill"]),
        (&"all".into(), &"Sun 04:00".into()),
        "{drill:#}"
    );
    // All cartridges together fit on the disk.
    let rows = daemon.vtl(&["inventory", "VTL*", "--format", "json"]).done().json();
    let sum: u64 =
        rows.as_array().unwrap().iter().filter_map(|row| row["capacity_bytes"].as_u64()).sum();
    let total = disk_bytes(&data);
    assert_eq!(rows.as_array().unwrap().len(), 20);
    assert!(sum <= total || total < 30_000_000_000, "{sum} of {total}");
    daemon.vtl(&["access", "list"]).done();
    daemon
        .vtl(&["runbook", "all", "--output", directory.path().join("x.pdf").to_str().unwrap()])
        .done();
    daemon.stop();
}

/// Bytes of the file system, as df tells.
fn disk_bytes(directory: &std::path::Path) -> u64 {
    let output = Command::new("df").args(["-B1", "--output=size"]).arg(directory).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last().unwrap().trim().parse().unwrap()
}

#[test]
fn where_others_can_reach_it_only_those_who_are_named_get_in() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let open = ["init", "--small", "--listen", "0.0.0.0:0"];
    vtl(&data, &open).ended(2).says("--initiator");
    assert!(!data.exists(), "nothing was made");
    let host = "iqn.2026-11.test:host";
    let made = vtl(&data, &[&open[..], &["--initiator", host, "--format", "json"]].concat());
    let made = made.done().json();
    let secret = made["initiators"][0]["secret"].as_str().unwrap();
    assert!(secret.len() >= 16, "{made:#}");
    let rules = vtl(&data, &["access", "list", "--format", "json"]).done().json();
    assert_eq!((&rules[0]["initiator"], &rules[0]["chap"]), (&host.into(), &true.into()));
    let config = fs::read_to_string(data.join("vtl.toml")).unwrap();
    assert!(config.contains("listen = \"0.0.0.0:0\""), "{config}");
}
