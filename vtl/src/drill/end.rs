//! The end of a drill: what it has shown is signed and kept, and the snapshot goes, or stays as the point that is known to be good.

use std::sync::Arc;

use serde_json::Value;
use vtl_media::{DrillMember, DrillRecord, Event, SnapshotMember};
use vtl_vault::receipt::Statement;

use super::show::{self, Drill};
use super::{Report, drills, drop_snapshot};
use crate::library::Library;
use crate::receipts;
use crate::request::Failure;
use crate::snapshots;

pub(super) fn end(
    library: &Arc<Library>,
    mut report: Report,
    actor: &str,
) -> Result<Value, Failure> {
    if !library.drills.lock().contains_key(&report.snapshot) {
        return Err(Failure::refused(format!(
            "there is no drill with the snapshot {}: it was broken off",
            report.snapshot
        )));
    }
    report.sources = Some(sources(library, &report));
    let snapshot = library.store.snapshot(&report.snapshot);
    let members: Vec<DrillMember> =
        snapshot.iter().flat_map(|record| &record.members).map(rehearsed).collect();
    let older = drills(library, Some(&report.group))?;
    note_emptied(library, &mut report, &members, &older);
    // A point that was read whole is one to go back to: pruning leaves what a snapshot needs.
    let is_kept = report.is_passed && report.level >= 2;
    // The proof first: what it rests on stays until it is kept.
    let key = library.receipts.signing_key().map_err(receipts::failure)?;
    let statement = Statement::signed("drill", &report, &key).map_err(Failure::failed)?;
    library.receipts.keep_report(report.id, &statement).map_err(receipts::failure)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some hours at most"
    )]
    let recovery_ms = report.recovery_seconds.map(|seconds| (seconds * 1000.0).round() as u64);
    let drill = DrillRecord {
        group: report.group.clone(),
        report: report.id,
        sha256: statement.sha256().to_string(),
        level: report.level,
        is_passed: report.is_passed,
        recovery_ms,
        bytes: report.bytes,
        known_good: is_kept.then(|| report.snapshot.clone()),
        members,
    };
    let event = Event::DrillEnded { drill: Box::new(drill) };
    library.store.record(&event, actor).map_err(Failure::failed)?;
    if is_kept {
        library.drills.lock().remove(&report.snapshot);
        if let Some(record) = library.store.snapshot(&report.snapshot) {
            library.access.dismiss(&record.library.id);
        }
        snapshots::present(library, &report.snapshot, true, actor)?;
    } else {
        drop_snapshot(library, &report.snapshot, actor);
    }
    if is_kept {
        for snapshot in older.into_iter().filter_map(|drill| drill.record.known_good) {
            // Somebody restores from it: it goes with the next drill after that.
            let is_shown = library.store.snapshot(&snapshot).is_some_and(|it| it.is_presented);
            if !is_shown {
                drop_snapshot(library, &snapshot, actor);
            }
        }
    }
    show::told(&report)
}

fn rehearsed(of: &SnapshotMember) -> DrillMember {
    DrillMember {
        cartridge: of.cartridge,
        barcode: of.barcode.to_string(),
        written_bytes: of.moment().facts().written_bytes,
    }
}

/// A cartridge that is empty, and was not when the group's recovery succeeded last, does not come back: the drill fails, and what it held then stays
/// with the known-good point.
fn note_emptied(library: &Library, report: &mut Report, members: &[DrillMember], older: &[Drill]) {
    let Some(passed) = older.iter().rev().find(|drill| drill.record.known_good.is_some()) else {
        return;
    };
    let is_there = |name: &&String| library.store.snapshot(name).is_some();
    let known_good = passed.record.known_good.as_ref().filter(is_there);
    let kept = known_good.map(|name| format!("; the snapshot {name} has it")).unwrap_or_default();
    for row in &mut report.members {
        let in_group = |member: &&DrillMember| member.cartridge == row.uuid;
        let bytes = |members: &[DrillMember]| {
            members.iter().find(in_group).map_or(0, |member| member.written_bytes)
        };
        let had = bytes(&passed.record.members);
        if had > 0 && bytes(members) == 0 {
            row.trouble = Some(format!(
                "it is EMPTY, and {} were on it in the drill of {}: `vtl tape history {}` says since when{kept}",
                vtl_vault::size(had),
                passed.time.strftime("%Y-%m-%d %H:%MZ"),
                row.barcode
            ));
        }
    }
    report.judge();
}

/// Whether the cartridges are what they were.
fn sources(library: &Library, report: &Report) -> String {
    let changed: Vec<&str> = report
        .members
        .iter()
        .filter(|member| {
            let now = library.store.cartridge(member.uuid);
            now.is_none_or(|now| now.last_written != member.last_written)
        })
        .map(|member| member.barcode.as_str())
        .collect();
    if changed.is_empty() {
        return "unchanged".to_owned();
    }
    format!("written meanwhile by somebody else: {}", changed.join(", "))
}
