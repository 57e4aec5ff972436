//! `vtl browse`: what lies on a cartridge, down to single files; and the bytes of it, for `vtl restore`.

mod cpio;
mod kept;
mod names;
mod place;
mod restore;
mod source;
mod sparse;
mod volumes;

use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::AtomicBool;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_media::{
    CartridgeEntry, CartridgeKind, MediumError, Moment, Origin, PartOrigin, Place, UndoError,
    Volume, with_causes,
};
use vtl_vault::archive::{Budget, Member, TapeFile};

pub(crate) use restore::{RestoreOptions, restore};

use crate::library::Library;
use crate::operations::find;
use crate::request::{Failure, FailureKind};
use crate::undo::{explain, in_drive};

/// The most that is given at once.
pub(crate) const PIECE_BYTES_MAX: u64 = 4 << 20;
/// Tape files that are looked at in one go.
const FILES_MAX: u64 = 100_000;

/// What is to be looked at.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BrowseChoice {
    /// The cartridge.
    pub(crate) barcode: String,
    /// Only this tape file: how many filemarks are before it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) file: Option<u64>,
    /// Only this partition (default: all).
    #[arg(long, value_name = "NUMBER")]
    pub(crate) partition: Option<u8>,
}

/// A piece of a tape file, as it was at a moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Piece {
    pub(crate) barcode: String,
    pub(crate) moment: Option<KeptMoment>,
    pub(crate) partition: u8,
    pub(crate) file: u64,
    /// The first byte, …
    pub(crate) begin: u64,
    /// … and the one behind the last.
    pub(crate) end: u64,
}

/// A moment of a cartridge, so that whoever reads it in pieces reads one and the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptMoment {
    origin: Origin,
    #[serde(default)]
    parts: Vec<PartOrigin>,
}

/// Lists the tape files of a cartridge, and the members of those that are archives.
pub(crate) fn browse(
    library: &Library,
    choice: &BrowseChoice,
    is_gone: &AtomicBool,
) -> Result<Value, Failure> {
    let mut budget = Budget::new(is_gone);
    let entry = find(library, &choice.barcode)?;
    let (mut volume, moment) = open(library, &entry, None)?;
    let mut files = Vec::new();
    let partitions = 0..volume.partition_count();
    for partition in partitions.filter(|number| choice.partition.is_none_or(|one| one == *number)) {
        let numbers = choice.file.map_or(0..FILES_MAX, |one| one..one.saturating_add(1));
        for number in numbers {
            match TapeFile::open(&mut volume, partition, number) {
                Ok(Some(mut file)) => {
                    let place = (partition, number);
                    files.push(shown((library, &entry), place, &mut file, &mut budget));
                }
                Ok(None) => break,
                Err(error) if choice.file.is_some() => return Err(trouble(&entry, &error)),
                Err(error) => {
                    files.push(not_found((partition, number), &error));
                    if !is_passed(&error) {
                        break;
                    }
                }
            }
            if budget.is_gone() {
                return Err(Failure::failed("given up: nobody waits for the answer any more"));
            }
        }
    }
    if files.is_empty()
        && let Some(number) = choice.file
    {
        return Err(Failure::not_found(format!(
            "{} has no tape file {number}; `vtl browse {}` lists those that it has",
            entry.barcode, entry.barcode
        )));
    }
    Ok(json!({ "barcode": entry.barcode, "moment": moment, "files": files }))
}

/// A tape file. What cannot be read is said in its place, so that the others are shown all the same.
fn shown(
    (library, entry): (&Library, &CartridgeEntry),
    (partition, number): (u8, u64),
    file: &mut TapeFile<'_>,
    budget: &mut Budget<'_>,
) -> Value {
    let mut row = json!({
        "partition": partition,
        "file": number,
        "first_object": file.first_object(),
        "blocks": file.blocks(),
        "bytes": file.length_bytes(),
    });
    let found = match kept::listing(library, entry, (partition, number), file, budget) {
        Ok(listing) => serde_json::to_value(listing).unwrap_or_default(),
        Err(error) => json!({ "kind": "unreadable", "members": [], "broken": with_causes(&error) }),
    };
    if let (Value::Object(row), Value::Object(found)) = (&mut row, found) {
        row.extend(found);
    }
    row
}

/// A tape file of which nothing is known but that it is there.
fn not_found((partition, number): (u8, u64), error: &std::io::Error) -> Value {
    json!({
        "partition": partition,
        "file": number,
        "kind": "unreadable",
        "members": [],
        "broken": with_causes(error),
    })
}

/// Whether what lies behind can be found all the same: a filemark that is damaged is an end and a beginning, but of no others.
fn is_passed(error: &std::io::Error) -> bool {
    let medium = error.get_ref().and_then(|inner| inner.downcast_ref::<MediumError>());
    matches!(medium, Some(MediumError::Damaged { .. }))
}

/// The answer for people: a line for each member, and one for each tape file that is no archive.
pub(crate) fn for_people(answer: &Value) -> Value {
    let mut rows = Vec::new();
    if answer.get("files").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        let barcode = answer.get("barcode").and_then(Value::as_str).unwrap_or_default();
        return format!("there is nothing on {barcode}").into();
    }
    for file in answer.get("files").and_then(Value::as_array).into_iter().flatten() {
        let number = file.get("file").cloned().unwrap_or_default();
        let partition = file.get("partition").cloned().unwrap_or_default();
        let members: Vec<Member> = file
            .get("members")
            .and_then(|members| Deserialize::deserialize(members).ok())
            .unwrap_or_default();
        let mut add = |size: Value, modified: Value, what: Value| {
            rows.push(json!({
                "partition": if partition == 0 { Value::Null } else { partition.clone() },
                "file": number,
                "size_bytes": size,
                "modified": modified,
                "what": what,
            }));
        };
        if members.is_empty() {
            let kind = file.get("kind").and_then(Value::as_str).unwrap_or("unknown");
            let blocks = file.get("blocks").and_then(Value::as_u64);
            let blocks = blocks.map(|blocks| format!(", {blocks} blocks")).unwrap_or_default();
            let bytes = file.get("bytes").cloned().unwrap_or_default();
            add(bytes, Value::Null, format!("({kind}{blocks})").into());
        }
        for member in members {
            let modified = i64::try_from(member.modified).ok();
            let modified = modified.and_then(|at| jiff::Timestamp::from_second(at).ok());
            let link = member.link.map(|link| format!(" -> {link}")).unwrap_or_default();
            let part = member.part.map(|part| format!(" (from byte {} on)", part.offset_bytes));
            let what = format!("{}{link}{}", member.path, part.unwrap_or_default());
            add(member.size_bytes.into(), json!(modified), what.into());
        }
        if let Some(why) = file.get("broken").and_then(Value::as_str) {
            add(Value::Null, Value::Null, format!("(what follows cannot be listed: {why})").into());
        }
    }
    Value::Array(rows)
}

/// Bytes of a tape file, in base64.
pub(crate) fn read_piece(library: &Library, piece: &Piece) -> Result<Value, Failure> {
    let entry = find(library, &piece.barcode)?;
    let length = piece.end.checked_sub(piece.begin).filter(|length| *length <= PIECE_BYTES_MAX);
    let length = length.ok_or_else(|| {
        Failure::usage(format!("at most {PIECE_BYTES_MAX} bytes can be asked for at once"))
    })?;
    let (mut volume, _) = open(library, &entry, piece.moment.as_ref())?;
    let failed = |error| trouble(&entry, &error);
    let file = TapeFile::open(&mut volume, piece.partition, piece.file).map_err(failed)?;
    let mut file = file.ok_or_else(|| {
        Failure::not_found(format!("{} has no tape file {} any more", entry.barcode, piece.file))
    })?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(piece.begin)).map_err(failed)?;
    file.by_ref().take(length).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != length {
        return Err(Failure::new(
            FailureKind::Damaged,
            format!("{}: tape file {} ends before it should", entry.barcode, piece.file),
        ));
    }
    Ok(json!({ "bytes": STANDARD.encode(bytes) }))
}

/// Opens a cartridge for reading, wherever it is, and says as of which moment.
fn open(
    library: &Library,
    entry: &CartridgeEntry,
    at: Option<&KeptMoment>,
) -> Result<(Volume, Option<KeptMoment>), Failure> {
    if entry.kind == CartridgeKind::Cleaning {
        return Err(Failure::usage(format!("{} is a cleaning cartridge", entry.barcode)));
    }
    let at = match at {
        Some(kept) => Some(Moment { origin: kept.origin, parts: kept.parts.clone() }),
        None => match in_drive(library, entry, Volume::last_moment) {
            Some(Ok(Some(moment))) => Some(moment),
            Some(Ok(None)) => Some(Moment::beginning_of(entry.uuid)),
            Some(Err(error)) => {
                return Err(Failure::failed(format!("{}: {}", entry.barcode, with_causes(&error))));
            }
            None => None,
        },
    };
    if let Some(moment) = &at
        && !is_its_own(library, entry, moment)
    {
        return Err(Failure::refused(format!("that is no moment of {}", entry.barcode)));
    }
    let mut volume = match as_it_is(library, entry, at.as_ref()) {
        Some(volume) => Ok(volume),
        None => library.store.read_cartridge(entry.uuid, at.clone()),
    };
    if let Ok(volume) = &mut volume {
        volume.read_sparingly();
    }
    let volume = match volume {
        Err(UndoError::InDrive { .. }) => {
            return Err(Failure::refused(format!(
                "{} is being moved, or lies in a drive that has not loaded it: `vtl status` says which; else try again",
                entry.barcode
            )));
        }
        opened => opened.map_err(|error| explain(&error))?,
    };
    let moment = match at {
        Some(moment) => Some(moment),
        None => volume.last_moment().map_err(|error| {
            Failure::failed(format!("{}: {}", entry.barcode, with_causes(&error)))
        })?,
    };
    let kept = moment.map(|moment| KeptMoment { origin: moment.origin, parts: moment.parts });
    Ok((volume, kept))
}

/// The cartridge as it is, if that is the moment that is wanted: to open it at a moment takes reading its last segment up to there.
fn as_it_is(library: &Library, entry: &CartridgeEntry, at: Option<&Moment>) -> Option<Volume> {
    let at = at.filter(|_| !matches!(entry.place, Place::Drive { .. }))?;
    let volume = library.store.read_cartridge(entry.uuid, None).ok()?;
    let is_it = volume.last_moment().is_ok_and(|last| last.as_ref() == Some(at));
    is_it.then_some(volume)
}

/// Whether a moment that was asked for is one of this cartridge, or of what it was made from.
fn is_its_own(library: &Library, entry: &CartridgeEntry, moment: &Moment) -> bool {
    let mut owner = entry.uuid;
    for _ in 0..ORIGINS_MAX {
        if moment.origin.cartridge == owner {
            return true;
        }
        let origin = library.store.cartridge(owner).and_then(|entry| entry.origin);
        let Some(origin) = origin else { return false };
        owner = origin.cartridge;
    }
    false
}

/// What could not be read, with the exit code of a damaged medium.
fn trouble(entry: &CartridgeEntry, error: &std::io::Error) -> Failure {
    Failure::new(
        FailureKind::Damaged,
        format!(
            "{}: {}; `vtl verify {}` names all that is damaged",
            entry.barcode,
            with_causes(error),
            entry.barcode
        ),
    )
}

/// How many twins of twins are followed.
const ORIGINS_MAX: usize = 1000;
