//! `vtl tape …`: cartridges made, shown, ejected, inserted and deleted.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use vtl_drive::Generation;
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeKind, CreateError, DeleteError, NewCartridge, Place,
};
use vtl_media::{CopyRecord, CopyState};

use crate::libraries::{self, of_place};
use crate::library::Library;
use crate::operations::{current, find, is_in_drive, place, relocate};
use crate::request::{Failure, NewTapes};

/// What a barcode of ours looks like, as it is told to people.
const GRAMMAR: &str =
    "a barcode is six characters A-Z or 0-9 and the two of the media type, such as VTL021L9";
const BODY_CHARACTERS: usize = 6;
/// What stands behind a media type that can be written once.
const WORM_SUFFIX: &str = "-worm";
/// As many cartridges are made with one request.
const MAX_NEW: u32 = 10_000;

/// Whether this can be the name of a pool: letters of any script, digits, spaces within, and `-`, `_`, `.`.
fn check_pool(name: &str) -> Result<(), Failure> {
    let is_good = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    let is_short = (1..=MAX_POOL_BYTES).contains(&name.len());
    if is_short && name.trim() == name && name.chars().all(is_good) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--pool {:?}: 1 to {MAX_POOL_BYTES} letters, digits, `-`, `_`, `.` and spaces within",
        name.chars().take(MAX_POOL_BYTES).collect::<String>()
    )))
}

const MAX_POOL_BYTES: usize = 64;

/// New cartridges.
pub(crate) fn create(
    library: &Arc<Library>,
    new: &NewTapes,
    actor: &str,
) -> Result<Value, Failure> {
    let name = new.media_type.strip_suffix(WORM_SUFFIX);
    let worm_suffix = name.map(worm_barcode_suffix);
    let found = Generation::find(name.unwrap_or(&new.media_type));
    let Some(generation) = found.filter(|_| worm_suffix != Some(None)) else {
        let known: Vec<_> =
            Generation::ALL.iter().map(|generation| generation.media_type).collect();
        return Err(Failure::usage(format!(
            "--type {}: there are {}, and each of them with {WORM_SUFFIX} behind it",
            new.media_type,
            known.join(", ")
        )));
    };
    let capacity_bytes = match new.capacity.as_deref() {
        None => generation.capacity_bytes,
        Some(text) => parse_size(text).ok_or_else(|| {
            Failure::usage(format!(
                "--capacity {text}: a number with MB, GB, TB, MiB, GiB or TiB, at least 1MiB"
            ))
        })?,
    };
    new.pool.as_deref().map(check_pool).transpose()?;
    let to = new.to.as_deref().map(|text| place(library, text)).transpose()?;
    let suffix = worm_suffix.flatten().unwrap_or(generation.barcode_suffix);
    let of = new.library.as_deref().map(|name| libraries::named(library, name)).transpose()?;
    let of = of.as_ref().unwrap_or(&library.record);
    let barcodes = barcodes(library, new, (generation, suffix))?;
    if to.as_ref().is_some_and(Place::is_element) && barcodes.len() > 1 {
        return Err(Failure::usage(
            "--to names one element, and there are several cartridges".to_owned(),
        ));
    }
    let cartridges = barcodes.into_iter().map(|barcode| NewCartridge {
        capacity_bytes: Some(capacity_bytes),
        pool: new.pool.clone(),
        worm: worm_suffix.is_some(),
        to: to.clone(),
        kind: CartridgeKind::of(&barcode),
        ..NewCartridge::new(barcode, generation.media_type)
    });
    let made = library
        .store
        .create_cartridges_in(Some(&of.id), cartridges.collect(), actor)
        .map_err(|error| not_created(&error))?;
    serde_json::to_value(made).map_err(Failure::failed)
}

/// To import/export elements; what is in one already, to the shelf.
pub(crate) fn eject(
    library: &Arc<Library>,
    barcodes: &[String],
    to: Option<&str>,
    actor: &str,
) -> Result<Value, Failure> {
    let to = to.map(|text| place(library, text)).transpose()?;
    each(library, barcodes, |entry| {
        let is_free = |place: &Place| library.store.at(place).is_none();
        let to = match (&to, &entry.place) {
            (Some(to), _) => to.clone(),
            (None, Place::ImportExport { .. } | Place::Shelf) => Place::Shelf,
            (None, from) => of_place(library, from).import_export().find(is_free).ok_or_else(|| {
                Failure::refused(format!(
                    "{} was not ejected: all import/export elements are full; take cartridges out of them first, with `vtl \
                     tape eject` again",
                    entry.barcode
                ))
            })?,
        };
        relocate(library, entry, &to, actor)?;
        Ok(json!({ "barcode": entry.barcode, "from": entry.place, "to": to }))
    })
}

/// To free storage elements, in order.
pub(crate) fn insert(
    library: &Arc<Library>,
    barcodes: &[String],
    to: Option<&str>,
    actor: &str,
) -> Result<Value, Failure> {
    let to = to.map(|text| place(library, text)).transpose()?;
    each(library, barcodes, |entry| {
        if matches!(entry.place, Place::Storage { .. } | Place::Drive { .. }) && to.is_none() {
            return Err(Failure::refused(format!(
                "{} is in the library already, in {}",
                entry.barcode, entry.place
            )));
        }
        let free = || library.store.free_storage(&of_place(library, &entry.place).id);
        let to = to.clone().or_else(free).ok_or_else(|| {
            Failure::refused(format!(
                "{} stays on the {}: all storage elements are full",
                entry.barcode, entry.place
            ))
        })?;
        relocate(library, entry, &to, actor)?;
        Ok(json!({ "barcode": entry.barcode, "from": entry.place, "to": to }))
    })
}

/// Away for good.
pub(crate) fn delete(
    library: &Library,
    barcodes: &[String],
    force: bool,
    actor: &str,
) -> Result<Value, Failure> {
    let all = current(library);
    let mut entries = Vec::new();
    for barcode in barcodes {
        let uuid = find(library, barcode)?.uuid;
        entries.extend(all.iter().find(|entry| entry.uuid == uuid));
    }
    // All or none: nothing is deleted before everything may be.
    for entry in &entries {
        if is_in_drive(entry) {
            return Err(Failure::refused(format!(
                "{} is in {}: unload it first",
                entry.barcode, entry.place
            )));
        }
        let now = library.store.compliance_clock().now();
        if let Some(reason) = library.store.retention(entry.uuid).reason(now) {
            return Err(Failure::refused(format!(
                "{} may not be deleted: {reason}",
                entry.barcode
            )));
        }
        if entry.written_bytes > 0 && !force {
            return Err(Failure::refused(format!(
                "{} holds {} bytes of data, which cannot be brought back: say --force to delete it",
                entry.barcode, entry.written_bytes
            )));
        }
        let was = if force { None } else { was_on_it(library, entry) };
        if let Some(bytes) = was {
            return Err(Failure::refused(format!(
                "{0} is empty, but {1} that were on it can be brought back still (`vtl tape history {0}`): say --force to delete that too",
                entry.barcode,
                vtl_vault::size(bytes)
            )));
        }
    }
    let mut rows = Vec::new();
    for entry in entries {
        library.store.delete_cartridge(entry.uuid, actor).map_err(|error| match error {
            DeleteError::Needed { .. } | DeleteError::Locked { .. } => {
                Failure::refused(error.to_string())
            }
            error => Failure::failed(error),
        })?;
        rows.push(json!({ "barcode": entry.barcode, "deleted": true }));
    }
    Ok(Value::Array(rows))
}

/// How much was once on a cartridge, as far as that can be brought back.
fn was_on_it(library: &Library, entry: &CartridgeEntry) -> Option<u64> {
    if entry.journal_bytes == 0 || entry.kind != CartridgeKind::Data {
        return None;
    }
    let points = match library.store.history(entry.uuid, POINTS_MAX) {
        Ok(history) => history.points,
        // What is damaged or closed tells nothing: then its size has to do.
        Err(_) => Vec::new(),
    };
    let most = points.iter().map(|point| point.written_bytes).max();
    let undo = Some(entry.undo_bytes).filter(|bytes| *bytes > 0);
    most.filter(|bytes| *bytes > 0).or(undo)
}

const POINTS_MAX: usize = 1000;

pub(crate) fn not_created(error: &CreateError) -> Failure {
    match error {
        CreateError::Occupied(_) => {
            Failure::refused(format!("{error}; `vtl inventory` shows by which cartridge"))
        }
        CreateError::NoSuchElement(_) => Failure::not_found(error.to_string()),
        CreateError::DuplicateBarcode(_) | CreateError::InDrive(_) | CreateError::TooMany(_) => {
            Failure::usage(error.to_string())
        }
        _ => Failure::failed(error),
    }
}

fn each(
    library: &Library,
    barcodes: &[String],
    mut work: impl FnMut(&CartridgeEntry) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    // An unknown barcode is told before anything is done.
    let entries: Result<Vec<_>, _> =
        barcodes.iter().map(|barcode| find(library, barcode)).collect();
    let rows: Result<Vec<_>, _> = entries?.iter().map(&mut work).collect();
    rows.map(Value::Array)
}

fn barcodes(
    library: &Library,
    new: &NewTapes,
    (generation, suffix): (&Generation, &str),
) -> Result<Vec<Barcode>, Failure> {
    let texts = if new.barcodes.is_empty() {
        numbered(library, new, suffix)?
    } else {
        new.barcodes.clone()
    };
    let copies = copies_that_count(library);
    let named: HashMap<String, &CopyRecord> =
        copies.iter().flat_map(|copy| names_of(copy).map(move |name| (name, copy))).collect();
    let mut barcodes = Vec::new();
    for text in texts {
        let is_well_formed = text.len() == BODY_CHARACTERS + 2 && text.ends_with(suffix);
        let barcode = Barcode::new(&text).ok().filter(|_| is_well_formed).ok_or_else(|| {
            Failure::usage(format!(
                "{text} is not a barcode for {}: {GRAMMAR}; its last two are {suffix}",
                generation.name
            ))
        })?;
        if library.store.find(&text).is_some() || barcodes.contains(&barcode) {
            return Err(Failure::usage(format!(
                "there is a cartridge {text} already; {GRAMMAR}, and each one is given once"
            )));
        }
        if let Some(copy) = named.get(barcode.as_str()) {
            return Err(Failure::refused(format!(
                "{text} is the name of copy {} of {}, which counts still: nobody would know which of both is meant. Take another barcode, or say \
                 that the copy does not count any more: `vtl vault retire`",
                copy.number, copy.barcode
            )));
        }
        barcodes.push(barcode);
    }
    Ok(barcodes)
}

/// Copies of which somebody may speak: by the barcode of the cartridge, which may be gone, or by that of the tape.
fn copies_that_count(library: &Library) -> Vec<CopyRecord> {
    let mut copies = library.store.copies();
    copies.retain(|copy| copy.state == CopyState::Lost || !copy.state.is_over());
    copies
}

fn names_of(copy: &CopyRecord) -> impl Iterator<Item = String> {
    let volume = copy.facts.volume.as_ref().map(|volume| volume.to_ascii_uppercase());
    std::iter::once(copy.barcode.to_string()).chain(volume)
}

/// The two characters of a WORM cartridge of that media type.
fn worm_barcode_suffix(media_type: &str) -> Option<&'static str> {
    match media_type {
        "lto3" => Some("LT"),
        "lto4" => Some("LU"),
        "lto5" => Some("LV"),
        "lto6" => Some("LW"),
        "lto7" => Some("LX"),
        "lto8" => Some("LY"),
        "lto9" => Some("LZ"),
        _ => None,
    }
}

fn numbered(library: &Library, new: &NewTapes, suffix: &str) -> Result<Vec<String>, Failure> {
    let is_prefix = (1..BODY_CHARACTERS).contains(&new.prefix.len())
        && new.prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if !is_prefix {
        return Err(Failure::usage(format!(
            "--prefix {}: one to five characters A-Z or 0-9; {GRAMMAR}",
            new.prefix
        )));
    }
    if !(1..=MAX_NEW).contains(&new.count) {
        return Err(Failure::usage(format!("--count {}: from 1 to {MAX_NEW}", new.count)));
    }
    let digits = BODY_CHARACTERS - new.prefix.len();
    let number_of = |name: &str| {
        let rest = name.strip_prefix(&new.prefix)?.strip_suffix(suffix)?;
        rest.parse::<u32>().ok().filter(|_| rest.len() == digits)
    };
    let behind_the_last = || {
        let entries = library.store.cartridges();
        let copies = copies_that_count(library);
        let of_cartridges = entries.iter().filter_map(|entry| number_of(entry.barcode.as_str()));
        let of_copies = copies.iter().flat_map(names_of).filter_map(|name| number_of(&name));
        of_cartridges.chain(of_copies).max().map_or(1, |last| last + 1)
    };
    let start = new.start.unwrap_or_else(behind_the_last);
    (start..start.saturating_add(new.count))
        .map(|number| {
            let number = format!("{number:0digits$}");
            if number.len() > digits {
                return Err(Failure::usage(format!(
                    "number {number} does not fit behind {}: {GRAMMAR}",
                    new.prefix
                )));
            }
            Ok(format!("{}{number}{}", new.prefix, suffix))
        })
        .collect()
}

/// A size with its unit, at least 1 MiB.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let (number, factor) =
        UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let bytes = number.trim().parse::<u64>().ok()?.checked_mul(factor)?;
    (bytes >= 1 << 20).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("18TB"), Some(18_000_000_000_000));
        assert_eq!(parse_size("100 MiB"), Some(100 << 20));
        for bad in ["", "18", "TB", "-1TB", "1.5TB", "99999999999TB", "0GB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }
}
