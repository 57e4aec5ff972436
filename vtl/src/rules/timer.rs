//! Policies that run by themselves, when their calendars say so; and what is known of all that runs by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use toml::Spanned;
use tracing::{info, warn};
use vtl_media::{CopyRecord, PolicyRun};
use vtl_vault::{Calendar, Job, Policy, Rules, Timer, in_line, stack_of, timers};

use super::{check_groups, policies, rules_in_force, situation};
use crate::bays;
use crate::library::Library;
use crate::operations::Caller;
use crate::request::{ExportChoice, Failure, FailureKind};

/// Writes a copy to a physical tape, in the drive or the library that was chosen.
pub(crate) type Writer<'a> =
    &'a dyn Fn(&ExportChoice, &bays::Job, &Caller<'_>) -> Result<Value, Failure>;

/// Runs the policies whose time has come, one after the other.
pub(crate) fn run_due(library: &Arc<Library>, is_given_up: &AtomicBool) {
    let writer = |choice: &ExportChoice, job: &bays::Job, caller: &Caller<'_>| {
        bays::carry_out(library, choice, vec![job.clone()], caller.actor, caller.is_gone)
    };
    run_due_with(library, &writer, is_given_up);
}

/// The same, with whatever writes copies.
pub(crate) fn run_due_with(library: &Arc<Library>, writer: Writer<'_>, is_given_up: &AtomicBool) {
    // Rules that cannot be read are told of by `vtl status` and by each command about them.
    let Ok(rules) = rules_in_force(library) else { return };
    let now = library.store.now();
    let due = timers_of(library, &rules, now).into_iter().filter(|timer| timer.is_due(now));
    for timer in due {
        if is_given_up.load(Ordering::Relaxed) {
            return;
        }
        if let Job::Policy(name) = timer.job {
            run_one(library, &rules, (name, timer.calendar), writer, is_given_up);
        }
    }
}

/// What runs by itself, when it did last, and when it does next.
pub(crate) fn overview(library: &Library) -> Value {
    let rules = match rules_in_force(library) {
        Ok(rules) => rules,
        Err(failure) => return json!([{ "policy": "all", "problem": failure.message }]),
    };
    let now = library.store.now();
    let runs = library.store.policy_runs();
    let row = |timer: &Timer<'_>| {
        let name = timer.job.to_string();
        let last = runs.iter().find(|run| run.policy == name);
        json!({
            "policy": name,
            "run": timer.calendar.to_string(),
            "last": last.map(|run| run.until),
            "next": timer.next,
            "done": last.map(|run| run.done),
            "failed": last.map(|run| run.failed),
            "left": last.map(|run| run.left),
            "problem": last.and_then(|run| run.problem.clone()),
        })
    };
    Value::Array(timers_of(library, &rules, now).iter().map(row).collect())
}

/// All that runs by itself.
pub(crate) fn timers_of<'a>(library: &Library, rules: &'a Rules, now: Timestamp) -> Vec<Timer<'a>> {
    let applied = library.store.rules().map_or(now, |record| record.applied);
    timers(rules, &library.store.policy_runs(), applied, now, &TimeZone::system())
}

fn run_one(
    library: &Arc<Library>,
    rules: &Rules,
    (name, calendar): (&str, &Calendar),
    writer: Writer<'_>,
    is_given_up: &AtomicBool,
) {
    let Some(policy) = rules.policies.get(name) else { return };
    let actor = format!("policy {name}");
    let caller = Caller { actor: &actor, is_gone: is_given_up };
    let until = library.store.now();
    // Groups that overlap are nothing that goes by: somebody has to be told, and it is not waited for.
    let checked = check_groups(library, rules).map_err(|failure| Failure::failed(failure.message));
    let ran = checked.and_then(|()| policies::run(library, Some(name), policy.free_disk, &caller));
    let ran = ran.and_then(|answer| {
        let done = answer.get("done").and_then(Value::as_array).cloned();
        let mut rows = done.unwrap_or_default();
        rows.extend(write_copies(library, rules, (name, policy), writer, &caller)?);
        Ok(rows)
    });
    if is_given_up.load(Ordering::Relaxed) {
        // It was cut short: the next start catches up.
        return;
    }
    let run = match &ran {
        Ok(rows) => counted(rows),
        // Somebody runs policies by hand: this one waits for the end of that.
        Err(failure) if failure.kind == FailureKind::Refused => return,
        Err(failure) => {
            PolicyRun { failed: 1, problem: Some(failure.message.clone()), ..PolicyRun::default() }
        }
    };
    let (policy, calendar) = (name.to_owned(), calendar.to_string());
    note(library, PolicyRun { policy, calendar, until, ..run }, &actor);
}

/// Records what came of something that ran by itself.
pub(crate) fn note(library: &Library, run: PolicyRun, actor: &str) {
    let (done, failed, left) = (run.done, run.failed, run.left);
    if let Some(problem) = &run.problem {
        warn!(done, failed, left, problem, "{actor} ran by itself");
    } else {
        info!(done, failed, left, "{actor} ran by itself");
    }
    if let Err(error) = library.store.note_policy_run(run, actor) {
        warn!(%error, "that {actor} ran cannot be recorded: it will run again");
    }
}

fn counted(rows: &[Value]) -> PolicyRun {
    let with = |result: &str| {
        let is_it = |row: &&Value| row.get("result").and_then(Value::as_str) == Some(result);
        rows.iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    let count = |rows: &[Value]| u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let (failed, left) = (with("failed"), with("left"));
    // What is left every night is never done, unless somebody is told why.
    let told = failed.first().or_else(|| left.first()).map(|row| {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        let what = text("barcode").or_else(|| text("pool")).unwrap_or_default();
        let (action, reason) =
            (text("action").unwrap_or_default(), text("reason").unwrap_or_default());
        format!("{what}, {action}: {reason}")
    });
    PolicyRun {
        done: count(&with("done")),
        failed: count(&failed),
        left: count(&left),
        problem: told,
        ..PolicyRun::default()
    }
}

/// Writes the copies that the policy wants and that are asked for, where it names a drive or a library.
fn write_copies(
    library: &Library,
    rules: &Rules,
    (name, policy): (&str, &Policy),
    writer: Writer<'_>,
    caller: &Caller<'_>,
) -> Result<Vec<Value>, Failure> {
    if policy.drive.is_none() && policy.library.is_none() {
        return Ok(Vec::new());
    }
    let line = in_line(name, rules, &situation::situation(library)?);
    let mut rows = Vec::new();
    // Why nothing more is tried: nobody waits hours for a drive that is in use.
    let mut stopped: Option<String> = None;
    for copy in &line.next {
        if stack_of(&library.store, copy).is_some() {
            let why = "it is being made on a tape with others: `vtl export --stack` goes on with all of them";
            rows.push(row(copy, "left", why));
            continue;
        }
        if let Some(why) = &stopped {
            rows.push(row(copy, "left", why));
            continue;
        }
        match writer(&choice(policy), &job(copy, &library.store.copies()), caller) {
            Ok(_) => {
                rows.push(row(copy, "done", "written and read back"));
                if policy.drive.is_some() {
                    stopped = Some("the drive has one tape: put another one in".to_owned());
                }
            }
            Err(failure) => {
                let is_busy = failure.kind == FailureKind::Refused;
                rows.push(row(copy, if is_busy { "left" } else { "failed" }, &failure.message));
                // Another drive may take the next one, where there is one.
                if policy.drive.is_some() || failure.kind != FailureKind::Damaged {
                    stopped = Some(failure.message);
                }
            }
        }
    }
    rows.extend(line.left.iter().map(|copy| {
        let CopyRecord { barcode, number, .. } = copy;
        let why = format!(
            "it was asked for, and is none of the copies that this policy wants: `vtl export {barcode} --copy {number}` writes it"
        );
        row(copy, "left", &why)
    }));
    Ok(rows)
}

fn row(copy: &CopyRecord, result: &str, reason: &str) -> Value {
    json!({
        "barcode": copy.barcode, "pool": null, "action": format!("write copy {}", copy.number),
        "result": result, "reason": reason,
    })
}

fn choice(policy: &Policy) -> ExportChoice {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.as_ref().clone());
    ExportChoice {
        to: text(&policy.drive).into_iter().collect(),
        library: text(&policy.library),
        scratch: text(&policy.scratch),
        ..ExportChoice::default()
    }
}

/// The tape with the cartridge's barcode is for the first copy of all; one of what was on the cartridge a week ago may be on it.
fn job(copy: &CopyRecord, copies: &[CopyRecord]) -> bays::Job {
    let is_on_own = |other: &CopyRecord| {
        other.cartridge == copy.cartridge
            && other.id != copy.id
            && !other.state.is_over()
            && other.facts.volume.as_deref() == Some(copy.barcode.as_str())
    };
    bays::Job {
        barcode: copy.barcode.to_string(),
        copy: copy.number,
        is_for_scratch: copies.iter().any(is_on_own),
        bay: None,
    }
}
