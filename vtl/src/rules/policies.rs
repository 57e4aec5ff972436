//! `vtl policy plan` and `vtl policy run`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;
use vtl_media::{CopyError, LibraryId, LibraryRecord, Place};
use vtl_vault::{Action, Plan, Planned, Situation};

use super::{check_groups, parse, pools, rules_in_force, situation};
use crate::libraries::of_place;
use crate::library::Library;
use crate::operations::Caller;
use crate::request::{Failure, FailureKind};
use crate::tapes;
use crate::verification::{self, Manner};

/// What the policies would do, in words; those of a document that is not in force, if there is one.
pub(super) fn plan(
    library: &Library,
    file: Option<&Path>,
    document: Option<&str>,
) -> Result<Value, Failure> {
    let rules = match document {
        Some(document) => parse(file, document)?,
        None => rules_in_force(library)?,
    };
    check_groups(library, &rules)?;
    let situation = situation::situation(library)?;
    let plan = vtl_vault::plan(&rules, &situation);
    Ok(json!({
        "lacks": pools::lacks(&rules, &situation),
        "actions": plan.actions.iter().map(planned_row).collect::<Vec<_>>(),
        "waiting": plan.waiting.iter().map(|waiting| json!({
            "barcode": waiting.barcode, "policy": waiting.policy, "reason": waiting.reason,
        })).collect::<Vec<_>>(),
        "summary": summary(&plan),
    }))
}

fn planned_row(planned: &Planned) -> Value {
    json!({
        "barcode": planned.barcode,
        "action": planned.action.to_string(),
        "policy": planned.policy,
        "group": planned.group,
        "reason": planned.reason,
        "blocked": planned.blocked,
    })
}

fn summary(plan: &Plan) -> String {
    let blocked = plan.actions.iter().filter(|planned| planned.blocked.is_some()).count();
    let ready = plan.actions.len() - blocked;
    format!(
        "{ready} actions can be done now, {blocked} are blocked, {} cartridges wait",
        plan.waiting.len()
    )
}

/// Does what can be done, one kind after the other: what one finds out decides about the next. Of all policies, or of one.
pub(super) fn run(
    library: &Arc<Library>,
    only: Option<&str>,
    frees_disk: bool,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    let _alone = library.transfers.policies_alone()?;
    check_groups(library, &rules_in_force(library)?)?;
    let mut done = pools::fill(library, caller.actor)?;
    let is_verify = |action: Action| action == Action::Verify;
    let is_export = |action: Action| matches!(action, Action::Export { .. });
    let is_eject = |action: Action| action == Action::Eject;
    let is_free = |action: Action| action == Action::FreeDisk;
    // What could not be done is not tried again by the next policy, nor built upon.
    let mut failed: BTreeSet<Uuid> = BTreeSet::new();
    let phases: [(&dyn Fn(Action) -> bool, Doing); 4] =
        [(&is_verify, verify), (&is_export, stage), (&is_eject, eject), (&is_free, free)];
    for (is_meant, doing) in phases {
        for (together, situation) in bundles(library, only, is_meant, &failed)? {
            if caller.is_gone.load(Ordering::Relaxed) {
                return Err(Failure::failed(
                    "given up; `vtl policy run` goes on where this one ended",
                ));
            }
            if is_free(together.first().map_or(Action::Verify, |first| first.action)) && !frees_disk
            {
                done.extend(together.iter().map(|planned| {
                    row(planned, "left", "say --free-disk to give the cartridge on disk up")
                }));
                continue;
            }
            let rows = doing(library, &together, &situation, caller);
            if rows.iter().any(|row| row.get("result").and_then(Value::as_str) != Some("done")) {
                failed.extend(together.iter().map(|planned| planned.cartridge));
            }
            done.extend(rows);
        }
    }
    let left = vtl_vault::plan(&rules_in_force(library)?, &situation::situation(library)?);
    let is_meant = |planned: &&Planned| only.is_none_or(|only| planned.policy == only);
    let left = left.actions.iter().filter(is_meant);
    let blocked = left.filter(|planned| planned.blocked.is_some());
    let blocked: Vec<Value> = blocked.map(planned_row).collect();
    let count = |result: &str| {
        done.iter().filter(|row| row.get("result").and_then(Value::as_str) == Some(result)).count()
    };
    let summary = format!(
        "{} done, {} failed, {} left, {} blocked",
        count("done"),
        count("failed"),
        count("left"),
        blocked.len()
    );
    Ok(json!({ "done": done, "blocked": blocked, "summary": summary }))
}

/// Actions that are taken together, and what was known when they were planned.
type Bundle = (Vec<Planned>, Arc<Situation>);

type Doing = fn(&Arc<Library>, &[Planned], &Situation, &Caller<'_>) -> Vec<Value>;

/// The actions of a kind that can be done now; those of one group and one policy together.
fn bundles(
    library: &Library,
    only: Option<&str>,
    is_meant: &dyn Fn(Action) -> bool,
    failed: &BTreeSet<Uuid>,
) -> Result<Vec<Bundle>, Failure> {
    let rules = rules_in_force(library)?;
    // A cartridge may have been made meanwhile that brings two groups together.
    check_groups(library, &rules)?;
    let situation = Arc::new(situation::situation(library)?);
    let plan = vtl_vault::plan(&rules, &situation);
    let mut bundles: Vec<Vec<Planned>> = Vec::new();
    // Two policies may want the same: it is done once.
    let mut taken: BTreeSet<(Uuid, Action)> = BTreeSet::new();
    for planned in plan.actions {
        let is_due = is_meant(planned.action)
            && only.is_none_or(|only| planned.policy == only)
            && planned.blocked.is_none()
            && !failed.contains(&planned.cartridge)
            && taken.insert((planned.cartridge, planned.action));
        if !is_due {
            continue;
        }
        let belongs = |bundle: &&mut Vec<Planned>| {
            bundle.first().is_some_and(|first| {
                first.policy == planned.policy
                    && first.group.is_some()
                    && first.group == planned.group
            })
        };
        match bundles.iter_mut().find(belongs) {
            Some(bundle) => bundle.push(planned),
            None => bundles.push(vec![planned]),
        }
    }
    // One member of a group that failed holds the others back.
    bundles.retain(|bundle| {
        let groups: BTreeSet<&String> =
            bundle.iter().filter_map(|one| one.group.as_ref()).collect();
        let fails = |uuid: &Uuid| {
            let entry = situation.cartridges.iter().find(|entry| entry.uuid == *uuid);
            entry.and_then(|entry| entry.group.as_ref()).is_some_and(|group| groups.contains(group))
        };
        !failed.iter().any(fails)
    });
    Ok(bundles.into_iter().map(|bundle| (bundle, Arc::clone(&situation))).collect())
}

fn row(planned: &Planned, result: &str, reason: &str) -> Value {
    json!({
        "barcode": planned.barcode,
        "pool": null,
        "action": planned.action.to_string(),
        "policy": planned.policy,
        "result": result,
        "reason": reason,
    })
}

fn verify(
    library: &Arc<Library>,
    together: &[Planned],
    situation: &Situation,
    caller: &Caller<'_>,
) -> Vec<Value> {
    let manner = Manner { share_percent: 100, is_given_up: caller.is_gone, actor: caller.actor };
    let one = |planned: &Planned| {
        let Some(entry) = situation.cartridges.iter().find(|entry| entry.uuid == planned.cartridge)
        else {
            return row(planned, "failed", "the cartridge is gone");
        };
        match verification::verify_one(library, entry, manner) {
            Ok(answer) if answer.get("verdict").and_then(Value::as_str) == Some("damaged") => row(
                planned,
                "failed",
                &format!(
                    "it is damaged: `vtl verify {}` names what has to be restored",
                    planned.barcode
                ),
            ),
            Ok(_) => row(planned, "done", &planned.reason),
            Err(failure) => row(planned, "failed", &failure.message),
        }
    };
    together.iter().map(one).collect()
}

/// Asks for copies, those of a group all or none. They are made by whoever has a drive.
fn stage(
    library: &Arc<Library>,
    together: &[Planned],
    _: &Situation,
    caller: &Caller<'_>,
) -> Vec<Value> {
    let number = |planned: &Planned| match planned.action {
        Action::Export { copy } => Some((planned.cartridge, copy)),
        _ => None,
    };
    let wanted: Vec<(Uuid, u32)> = together.iter().filter_map(number).collect();
    match library.store.stage_copies(&wanted, caller.actor) {
        Ok(_) => together
            .iter()
            .map(|planned| {
                row(planned, "done", &format!("asked for, and not written yet: {}", planned.reason))
            })
            .collect(),
        Err(error) => {
            let failure = explain_copy(&error);
            together.iter().map(|planned| row(planned, "failed", &failure.message)).collect()
        }
    }
}

fn eject(
    library: &Arc<Library>,
    together: &[Planned],
    situation: &Situation,
    caller: &Caller<'_>,
) -> Vec<Value> {
    if let Some(reason) = no_room(library, together, situation) {
        return together.iter().map(|planned| row(planned, "left", &reason)).collect();
    }
    let one = |planned: &Planned| match tapes::eject(
        library,
        &[planned.barcode.to_string()],
        None,
        caller.actor,
    ) {
        Ok(_) => row(planned, "done", &planned.reason),
        Err(failure) => row(planned, "failed", &failure.message),
    };
    together.iter().map(one).collect()
}

/// Why not all of them can be ejected: each cartridge leaves by the import/export elements of its own library.
fn no_room(library: &Library, together: &[Planned], situation: &Situation) -> Option<String> {
    let mut needed: BTreeMap<LibraryId, (LibraryRecord, usize)> = BTreeMap::new();
    for planned in together {
        let entry = situation.cartridges.iter().find(|entry| entry.uuid == planned.cartridge);
        let Some(entry) = entry else { continue };
        let record = of_place(library, &entry.place);
        needed.entry(record.id.clone()).or_insert((record, 0)).1 += 1;
    }
    let is_free = |place: &Place| library.store.at(place).is_none();
    needed.into_iter().find_map(|(id, (record, needed))| {
        let free = record.import_export().filter(is_free).count();
        (free < needed).then(|| {
            format!(
                "{free} import/export elements of library {id} are free, and {needed} are needed: take cartridges out of them with `vtl tape \
                 eject`"
            )
        })
    })
}

fn free(
    library: &Arc<Library>,
    together: &[Planned],
    _: &Situation,
    caller: &Caller<'_>,
) -> Vec<Value> {
    let now = situation::situation(library)
        .and_then(|now| Ok((vtl_vault::plan(&rules_in_force(library)?, &now), now)));
    let (plan, now) = match now {
        Ok(now) => now,
        Err(failure) => {
            return together.iter().map(|one| row(one, "failed", &failure.message)).collect();
        }
    };
    // Hosts go on while earlier cartridges are given up: what held when the run was planned has to hold now, for all of a group.
    let still = |planned: &Planned| {
        let is_same = |other: &&Planned| {
            other.cartridge == planned.cartridge
                && other.action == planned.action
                && other.policy == planned.policy
        };
        plan.actions.iter().find(is_same).is_some_and(|other| other.blocked.is_none())
    };
    if !together.iter().all(still) {
        let why = "it is not what it was when this was planned; `vtl policy plan` says what is";
        return together.iter().map(|planned| row(planned, "failed", why)).collect();
    }
    let entry = |planned: &Planned| {
        now.cartridges.iter().find(|entry| entry.uuid == planned.cartridge).cloned()
    };
    // Nothing is deleted before all may be: a part of a group is worth nothing.
    let mut hindrance = together.iter().find_map(|planned| {
        let why = match entry(planned) {
            None => "the cartridge is gone".to_owned(),
            Some(entry) => library.store.check_deletion(&entry).err()?.to_string(),
        };
        Some((planned.cartridge, why))
    });
    let mut one = |planned: &Planned| {
        if let Some((cartridge, why)) = &hindrance {
            let is_it = *cartridge == planned.cartridge;
            let waits = format!("its group is given up all or none: {why}");
            return row(planned, "failed", if is_it { why } else { &waits });
        }
        let Some(entry) = entry(planned) else {
            return row(planned, "failed", "the cartridge is gone");
        };
        // Whoever retires one of them meanwhile keeps the cartridge.
        let copies: Vec<Uuid> = now.current_copies(&entry).map(|copy| copy.id).collect();
        match library.store.delete_unchanged(&entry, &copies, caller.actor) {
            Ok(()) => row(planned, "done", &planned.reason),
            Err(error) => {
                let why = error.to_string();
                let failed = row(planned, "failed", &why);
                hindrance = Some((planned.cartridge, why));
                failed
            }
        }
    };
    together.iter().map(&mut one).collect()
}

/// What went wrong with copies, as the user is told of it.
pub(crate) fn explain_copy(error: &CopyError) -> Failure {
    let kind = match error {
        CopyError::NoCartridge(_) | CopyError::NoCopy(_) => FailureKind::NotFound,
        CopyError::Cleaning(_)
        | CopyError::Exists { .. }
        | CopyError::Step { .. }
        | CopyError::Last { .. }
        | CopyError::Locked { .. } => FailureKind::Refused,
        _ => FailureKind::Failed,
    };
    Failure::new(kind, error.to_string())
}
