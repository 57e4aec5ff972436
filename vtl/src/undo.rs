//! `vtl tape history|rewind|clone`: what has been on cartridges, and taking them back.

mod together;

use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use serde_json::{Value, json};
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeKind, History, LoadError, MediumError, NewTwin, Place,
    RecoveryPoint, UndoError, Volume, WantedPoint, with_causes,
};

use crate::library::Library;
use crate::moments;
use crate::operations::{find, place, tell_changer};
use crate::request::{Failure, FailureKind, Rewind};
use crate::rules;

/// Recovery points that are listed unless more are asked for.
const HISTORY_LIMIT: usize = 50;
const HISTORY_LIMIT_MAX: usize = 100_000;
/// A drive that does not answer within this time is stuck.
const DRIVE_LIMIT: Duration = Duration::from_secs(10);

/// What has been on a cartridge: its recovery points and its generations.
pub(crate) fn history(
    library: &Library,
    barcode: &str,
    limit: Option<usize>,
) -> Result<Value, Failure> {
    let mut entry = find(library, barcode)?;
    if let Some(facts) = in_drive(library, &entry, Volume::facts) {
        entry.set_facts(&facts);
    }
    let limit = limit.unwrap_or(HISTORY_LIMIT).clamp(1, HISTORY_LIMIT_MAX);
    let history = match in_drive(library, &entry, |cartridge| History::of(cartridge, limit)) {
        Some(history) => history.map_err(|error| medium(&entry, &error))?,
        None => library.store.history(entry.uuid, limit).map_err(|error| explain(&error))?,
    };
    let points = history.points.iter().map(|point| shown(point, &history));
    Ok(json!({
        "barcode": entry.barcode,
        "location": entry.place,
        "generation": entry.generation,
        "journal_bytes": entry.journal_bytes,
        "undo_bytes": entry.undo_bytes,
        "undo_reaches_back_to": history.horizon.unwrap_or(entry.created),
        "is_all_shown": history.points.len() < limit,
        "points": points.collect::<Vec<_>>(),
        "generations": history.generations,
    }))
}

/// Takes cartridges back: each one itself, or a twin of it.
pub(crate) fn rewind(
    library: &Arc<Library>,
    request: &Rewind,
    actor: &str,
) -> Result<Value, Failure> {
    let wanted = moments::parse(&request.to, &Zoned::now())?;
    let entries = chosen(library, request)?;
    let in_place = request.in_place || request.all || request.group.is_some();
    if entries.len() > 1 && (!in_place || matches!(wanted, WantedPoint::Sequence(_))) {
        return Err(Failure::usage(
            "several cartridges are taken back in place (--in-place) and to a time: a twin has one barcode, and each cartridge \
             has its own recovery points",
        ));
    }
    if in_place && request.as_barcode.is_some() {
        return Err(Failure::usage(
            "--as makes a twin, --in-place and --all do not: say one of them",
        ));
    }
    // All or none: nothing is changed before it is known that no drive has one of them.
    if let Some(loaded) = entries.iter().find(|entry| matches!(entry.place, Place::Drive { .. })) {
        let error =
            UndoError::InDrive { barcode: loaded.barcode.clone(), place: loaded.place.clone() };
        return Err(Failure::refused(format!("{error}; nothing was changed")));
    }
    if request.group.is_some() {
        return together::rewind(library, &entries, wanted, actor);
    }
    if !in_place {
        let entry = entries.into_iter().next();
        let entry = entry.ok_or_else(|| Failure::usage("which cartridge? Name its barcode"))?;
        let made = twin(library, &entry, wanted, request.as_barcode.as_deref(), actor)?;
        return Ok(Value::Array(vec![made]));
    }
    if let [entry] = entries.as_slice() {
        let row = rewind_one(library, entry, wanted, actor).map_err(|error| explain(&error))?;
        return Ok(Value::Array(vec![row]));
    }
    // One that cannot be taken back is no reason to leave the others as they are: that would be what an attacker wants.
    let rows = entries.iter().map(|entry| {
        rewind_one(library, entry, wanted, actor)
            .unwrap_or_else(|error| left_as_it_is(entry, &error, request.all))
    });
    Ok(Value::Array(rows.collect()))
}

/// The row of a cartridge that was not taken back. One that is younger than that moment, among all others, is no failure.
fn left_as_it_is(entry: &CartridgeEntry, error: &UndoError, is_all: bool) -> Value {
    let is_younger = is_all && matches!(error, UndoError::NoPoint { .. });
    let failure = explain(error);
    json!({
        "barcode": entry.barcode,
        "result": LEFT,
        "to": null,
        "time": null,
        "objects": null,
        "written_bytes": null,
        "why": failure.message,
        "kind": (!is_younger).then_some(failure.kind),
    })
}

/// A failure if some cartridge of several was not taken back, for the exit code.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let rows = answer.as_array().map_or(&[][..], Vec::as_slice);
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = |row: &Value| serde_json::from_value::<FailureKind>(row.get("kind")?.clone()).ok();
    let left: Vec<&Value> = rows
        .iter()
        .filter(|row| text(row, "result").as_deref() == Some(LEFT) && kind(row).is_some())
        .collect();
    let worst = left.iter().filter_map(|row| kind(row)).max_by_key(|kind| kind.exit_code());
    let Some(worst) = worst else { return Ok(()) };
    let names: Vec<String> = left.iter().filter_map(|row| text(row, "barcode")).collect();
    Err(Failure::new(
        worst,
        format!(
            "{} of {} cartridges were left as they are, and the others are as asked for: {}; the answer says why",
            left.len(),
            rows.len(),
            names.join(", ")
        ),
    ))
}

const LEFT: &str = "left as it is";

/// A writable cartridge that begins with what another one is, or was.
pub(crate) fn clone(
    library: &Arc<Library>,
    barcode: &str,
    (to, as_barcode, destination): (Option<&str>, Option<&str>, Option<&str>),
    actor: &str,
) -> Result<Value, Failure> {
    let entry = find(library, barcode)?;
    let wanted = match to {
        Some(text) => moments::parse(text, &Zoned::now())?,
        None => WantedPoint::Time(jiff::Timestamp::MAX),
    };
    let new = NewTwin {
        barcode: new_barcode(library, &entry, as_barcode, "CL")?,
        read_only: false,
        to: destination.map(|text| place(library, text)).transpose()?,
    };
    let made = match in_drive(library, &entry, |cartridge| cartridge.find_point(wanted)) {
        Some(point) => {
            let point = point.map_err(|error| medium(&entry, &error))?;
            let point = point.ok_or_else(|| no_point(&entry))?;
            let made = in_drive(library, &entry, |cartridge| {
                let at = (&point, wanted.time(&point));
                library.store.make_twin_of(cartridge, at, new, actor)
            });
            made.ok_or_else(|| no_point(&entry))?.map(|made| (made, point))
        }
        None => library.store.make_twin(entry.uuid, wanted, new, actor),
    };
    let (made, point) = made.map_err(|error| explain(&error))?;
    tell_changer(library, &[&made.place]);
    Ok(twin_row(&entry, &made, &point))
}

/// Does something with a cartridge that is loaded; `None` if it is not.
pub(crate) fn in_drive<T>(
    library: &Library,
    entry: &CartridgeEntry,
    work: impl FnOnce(&Volume) -> T,
) -> Option<T> {
    let unit = library.drive_at(&entry.place)?;
    let is_it = |cartridge: &&Volume| cartridge.label().uuid == entry.uuid;
    unit.with_drive_within(DRIVE_LIMIT, |drive| drive.cartridge().filter(is_it).map(work)).flatten()
}

/// Whether the drive that holds a cartridge does not answer: then nobody knows what is being written on it.
pub(crate) fn is_drive_stuck(library: &Library, entry: &CartridgeEntry) -> bool {
    let unit = library.drive_at(&entry.place);
    unit.is_some_and(|unit| unit.with_drive_within(DRIVE_LIMIT, |_| ()).is_none())
}

/// What went wrong, with the exit code that it has.
pub(crate) fn explain(error: &UndoError) -> Failure {
    let message = with_causes(error);
    match error {
        UndoError::NoCartridge(_) | UndoError::NoPoint { .. } | UndoError::NoSnapshot(_) => {
            Failure::not_found(message)
        }
        UndoError::InDrive { .. }
        | UndoError::ReadOnly(_)
        | UndoError::Locked { .. }
        | UndoError::Presented(_)
        | UndoError::Ruled { .. }
        | UndoError::Load { source: LoadError::AtRest(_), .. }
        | UndoError::Medium { source: MediumError::AtRest(_), .. } => Failure::refused(message),
        UndoError::Cleaning(_)
        | UndoError::BadName(_)
        | UndoError::SnapshotExists(_)
        | UndoError::NothingChosen => Failure::usage(message),
        UndoError::Create(error) => crate::tapes::not_created(error),
        UndoError::Load { .. } | UndoError::Medium { .. } => {
            Failure::new(FailureKind::Damaged, message)
        }
        _ => Failure::failed(message),
    }
}

fn chosen(library: &Library, request: &Rewind) -> Result<Vec<CartridgeEntry>, Failure> {
    if let Some(group) = &request.group {
        let members = rules::members(library, group)?;
        return members.iter().map(|barcode| find(library, barcode)).collect();
    }
    if request.all != request.barcodes.is_empty() {
        return Err(Failure::usage("name barcodes, or say --all"));
    }
    if request.all {
        let is_meant =
            |entry: &CartridgeEntry| entry.kind == CartridgeKind::Data && !entry.read_only;
        return Ok(library.store.cartridges().into_iter().filter(is_meant).collect());
    }
    request.barcodes.iter().map(|barcode| find(library, barcode)).collect()
}

fn rewind_one(
    library: &Library,
    entry: &CartridgeEntry,
    wanted: WantedPoint,
    actor: &str,
) -> Result<Value, UndoError> {
    let rewound = library.store.rewind_in_place(entry.uuid, wanted, actor)?;
    let point = rewound.point.as_ref();
    let result = match (rewound.is_changed, point) {
        (false, _) => "was so already",
        (true, None) => "blank again",
        (true, Some(_)) => "rewound",
    };
    Ok(json!({
        "barcode": entry.barcode,
        "result": result,
        "to": point.map(|point| moments::name(point.sequence)),
        "time": point.map(|point| point.time),
        "objects": point.map_or(0, |point| point.objects),
        "written_bytes": point.map_or(0, |point| point.written_bytes),
        "why": null,
    }))
}

fn twin(
    library: &Arc<Library>,
    entry: &CartridgeEntry,
    wanted: WantedPoint,
    as_barcode: Option<&str>,
    actor: &str,
) -> Result<Value, Failure> {
    let barcode = new_barcode(library, entry, as_barcode, "RW")?;
    let new = NewTwin { barcode, read_only: true, to: None };
    let made = library.store.make_twin(entry.uuid, wanted, new, actor);
    let (made, point) = made.map_err(|error| explain(&error))?;
    tell_changer(library, &[&made.place]);
    Ok(twin_row(entry, &made, &point))
}

fn twin_row(entry: &CartridgeEntry, made: &CartridgeEntry, point: &RecoveryPoint) -> Value {
    json!({
        "barcode": made.barcode,
        "twin_of": entry.barcode,
        "location": made.place,
        "read_only": made.read_only,
        "to": moments::name(point.sequence),
        "time": point.time,
        "objects": point.objects,
        "written_bytes": point.written_bytes,
    })
}

/// The barcode that was asked for, else the first free one with this prefix.
fn new_barcode(
    library: &Library,
    entry: &CartridgeEntry,
    wanted: Option<&str>,
    prefix: &str,
) -> Result<Barcode, Failure> {
    let suffix: String = entry.barcode.as_str().chars().skip(6).collect();
    let text = match wanted {
        Some(text) => text.to_ascii_uppercase(),
        None => (1..=9999)
            .map(|number| format!("{prefix}{number:04}{suffix}"))
            .find(|text| library.store.find(text).is_none())
            .ok_or_else(|| Failure::usage("name the new barcode with --as"))?,
    };
    let is_well_formed = text.len() == 8 && text.ends_with(&suffix);
    let barcode = Barcode::new(&text).ok().filter(|_| is_well_formed);
    let barcode = barcode.ok_or_else(|| {
        Failure::usage(format!(
            "--as {text}: a barcode is six characters A-Z or 0-9 and the two of the media type, here {suffix}"
        ))
    })?;
    if library.store.find(&text).is_some() {
        return Err(Failure::usage(format!("there is a cartridge {text} already")));
    }
    Ok(barcode)
}

fn shown(point: &RecoveryPoint, history: &History) -> Value {
    let begun = history
        .generations
        .iter()
        .find(|generation| generation.generation == point.generation)
        .map_or("", |generation| generation.reason.as_str());
    // Numbers are those of partition 0: where another one was, its time says, to which all of them go back.
    let name = match point.partition {
        0 => moments::name(point.sequence),
        _ => point.time.to_string(),
    };
    let mut row = json!({
        "point": name,
        "time": point.time,
        "generation": point.generation,
        "generation_began": begun,
        "objects": point.objects,
        "filemarks": point.filemarks,
        "written_bytes": point.written_bytes,
        "initiator": point.initiator,
        "kind": if point.is_sync { "sync" } else { "filemark" },
        "is_current": point.is_current,
    });
    if let (Value::Object(row), true) = (&mut row, point.partition != 0) {
        row.insert("partition".to_owned(), point.partition.into());
    }
    row
}

fn no_point(entry: &CartridgeEntry) -> Failure {
    explain(&UndoError::NoPoint { barcode: entry.barcode.clone() })
}

fn medium(entry: &CartridgeEntry, error: &MediumError) -> Failure {
    Failure::new(FailureKind::Damaged, format!("{}: {}", entry.barcode, with_causes(error)))
}
