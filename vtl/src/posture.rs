//! `vtl posture`: how well each group could be recovered now.

use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vtl_vault::{Group, Job, Light, Posture, Rehearsal, Situation, Timer, posture};

use crate::drill::drills;
use crate::library::Library;
use crate::request::Failure;
use crate::rules::rules_in_force;
use crate::rules::situation::situation;
use crate::rules::timer::timers_of;

/// The posture of a group, or of all.
pub(crate) fn answer(library: &Library, wanted: Option<&str>) -> Result<Value, Failure> {
    let rules = rules_in_force(library)?;
    if let Some(name) = wanted.filter(|name| !rules.groups.contains_key(*name)) {
        return Err(Failure::not_found(format!(
            "there is no group {name}; `vtl group list` shows those that there are"
        )));
    }
    if rules.groups.is_empty() {
        return Err(Failure::not_found(
            "there are no groups: `vtl group create NAME BARCODE…` says which cartridges belong together",
        ));
    }
    let situation = situation(library)?;
    let timers = timers_of(library, &rules, situation.now);
    let drills = drills(library, None)?;
    let is_wanted = |(name, _): &(&String, &Group)| wanted.is_none_or(|wanted| wanted == *name);
    let rows = rules.groups.iter().filter(is_wanted).map(|(name, group)| {
        // A look at the hashes is no recovery, and takes no failure of one back.
        let of_group =
            drills.iter().filter(|drill| drill.record.group == *name && drill.record.level >= 2);
        let rehearsals: Vec<Rehearsal> = of_group
            .map(|drill| Rehearsal {
                time: drill.time,
                is_passed: drill.record.is_passed,
                recovery: drill.record.recovery_ms.map(Duration::from_millis),
                members: drill
                    .record
                    .members
                    .iter()
                    .map(|member| (member.cartridge, member.written_bytes))
                    .collect(),
            })
            .collect();
        let mut row = row(&posture(name, group, &situation, &rehearsals), group, &situation);
        let timer = timers.iter().find(|timer| timer.job == Job::Drill(name));
        if let (Value::Object(row), Some(Timer { calendar, next, .. })) = (&mut row, timer) {
            row.insert("drill_calendar".to_owned(), calendar.to_string().into());
            row.insert("next_drill".to_owned(), json!(next));
        }
        row
    });
    Ok(Value::Array(rows.collect()))
}

fn row(posture: &Posture, group: &Group, situation: &Situation) -> Value {
    let age = |point: Option<Timestamp>| {
        point.map(|point| situation.now.duration_since(point).as_secs().max(0))
    };
    let seconds = posture.recovery.map(|recovery| recovery.as_secs_f64());
    json!({
        "group": posture.group,
        "light": posture.light,
        "recovery_seconds": seconds,
        "recovery_time_target": group.recovery_time.as_ref().map(ToString::to_string),
        "rehearsed": posture.rehearsed.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "recovery_point_disk": posture.points.disk,
        "recovery_point_tape": posture.points.tape,
        "recovery_point_offsite": posture.points.offsite,
        "age_disk_seconds": age(posture.points.disk),
        "age_tape_seconds": age(posture.points.tape),
        "age_offsite_seconds": age(posture.points.offsite),
        "recovery_point_target": group.recovery_point.as_ref().map(ToString::to_string),
        "score": posture.rule.score(),
        "rule_3_2_1_1_0": posture.rule,
        "next": posture.next,
        "cartridges": posture.cartridges,
        "bytes": posture.bytes,
        "reasons": posture.reasons,
    })
}

/// A failure if a group is red, for whoever watches exit codes.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let rows = answer.as_array().into_iter().flatten();
    let is_red = |row: &&Value| row.get("light").is_some_and(|light| *light == json!(Light::Red));
    let red: Vec<&str> =
        rows.filter(is_red).filter_map(|row| row.get("group").and_then(Value::as_str)).collect();
    if red.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("not recoverable as it was asked for: {}", red.join(", "))))
}

/// The answer for people: a paragraph for each group, what is wrong last.
pub(crate) fn for_people(answer: &Value) -> Value {
    let mut text = String::new();
    for row in answer.as_array().into_iter().flatten() {
        // Writing to a string does not fail.
        let _ = paragraph(&mut text, row);
    }
    text.trim_end().to_owned().into()
}

fn paragraph(text: &mut String, row: &Value) -> std::fmt::Result {
    let word = |name: &str| row.get(name).and_then(Value::as_str);
    let number = |name: &str| row.get(name).and_then(Value::as_u64);
    let light = word("light").unwrap_or_default().to_uppercase();
    let group = word("group").unwrap_or_default();
    let bytes = vtl_vault::size(number("bytes").unwrap_or(0));
    let holds = match number("cartridges").unwrap_or(0) {
        0 => "nothing is written on its cartridges".to_owned(),
        1 => format!("1 cartridge, {bytes}"),
        count => format!("{count} cartridges, {bytes}"),
    };
    writeln!(text, "{group}: {light}   ({holds})")?;
    let measured = row.get("recovery_seconds").and_then(Value::as_f64);
    let took = measured.map_or_else(
        || "never measured".to_owned(),
        |seconds| match SignedDuration::try_from_secs_f64(seconds) {
            Ok(took) if took.as_secs() >= 120 => said(took.as_secs()),
            _ => format!("{seconds:.1} s"),
        },
    );
    let allowed = |name| word(name).map(|target| format!(", {target} allowed")).unwrap_or_default();
    let since = word("rehearsed").map(|at| format!(", drill of {at}")).unwrap_or_default();
    writeln!(text, "  recovery takes  {took}{}{since}", allowed("recovery_time_target"))?;
    if let (Some(calendar), Some(next)) = (word("drill_calendar"), word("next_drill")) {
        writeln!(text, "  next drill      {next} ({calendar})")?;
    }
    let ago = |name: &str| {
        let seconds = row.get(name).and_then(Value::as_i64);
        seconds.map_or_else(|| "none".to_owned(), |seconds| format!("{} old", said(seconds)))
    };
    writeln!(
        text,
        "  newest backup   on disk {}{}; on tape {}; off-site {}",
        ago("age_disk_seconds"),
        allowed("recovery_point_target"),
        ago("age_tape_seconds"),
        ago("age_offsite_seconds")
    )?;
    let rule = row.get("rule_3_2_1_1_0");
    let has = |name: &str| rule.and_then(|rule| rule.get(name)).and_then(Value::as_bool);
    let point = |name: &str, what: &str| {
        let mark = if has(name) == Some(true) { "yes" } else { "NO" };
        format!("{what} {mark}")
    };
    let points = [
        point("three_copies", "3 copies"),
        point("two_media", "2 media"),
        point("one_offsite", "1 off-site"),
        point("one_offline", "1 offline"),
        point("zero_errors", "0 errors"),
    ];
    writeln!(
        text,
        "  3-2-1-1-0       {} of 5: {}",
        number("score").unwrap_or(0),
        points.join(", ")
    )?;
    for reason in row.get("reasons").and_then(Value::as_array).into_iter().flatten() {
        writeln!(text, "  -> {}", reason.as_str().unwrap_or_default())?;
    }
    writeln!(text)
}

/// A span as people say it.
fn said(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
