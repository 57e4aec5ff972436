//! What a request does. The daemon and the CLI that works on a directory itself share every line of this.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Zoned;
use serde_json::{Value, json};
use vtl_changer::MoveFailure;
use vtl_media::{CartridgeEntry, LibraryId, LibraryRecord, Place, Store};

use crate::access;
use crate::audit;
use crate::bays;
use crate::browse;
use crate::drill;
use crate::fences;
use crate::imports;
use crate::inventory::{self, Listing};
use crate::keys;
use crate::libraries;
use crate::library::Library;
use crate::logging;
use crate::posture;
use crate::receipts;
use crate::request::{Failure, FailureKind, InventoryFilter, Request};
use crate::retention;
use crate::rules;
use crate::snapshots;
use crate::status::status;
use crate::tapes;
use crate::trace;
use crate::undo;
use crate::unit::Device;
use crate::vaulting;
use crate::verification::{self, Manner};
use crate::whereabouts;

/// A drive that does not say within this time what is on its cartridge is not waited for.
const FACTS_LIMIT: Duration = Duration::from_millis(500);

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    /// As the ledger names him.
    pub(crate) actor: &'a str,
    /// Set when he does not wait for the answer any more.
    pub(crate) is_gone: &'a AtomicBool,
}

/// Carries a request out. The answer is what `--format json` prints.
pub(crate) fn answer(
    library: &Arc<Library>,
    request: Request,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    let actor = caller.actor;
    match request {
        Request::Status {} => Ok(status(library)),
        Request::Inventory(filter) => list(library, filter)?.to_value(),
        Request::TapeCreate(new) => tapes::create(library, &new, actor),
        Request::TapeShow { barcodes } => whereabouts::show(library, &barcodes),
        Request::TapeEject { barcodes, to } => {
            tapes::eject(library, &barcodes, to.as_deref(), actor)
        }
        Request::TapeInsert { barcodes, to } => {
            tapes::insert(library, &barcodes, to.as_deref(), actor)
        }
        Request::TapeDelete { barcodes, force } => tapes::delete(library, &barcodes, force, actor),
        Request::TapeCryptoErase { barcodes } => keys::crypto_erase(library, &barcodes, actor),
        Request::TapeDisposition(new) => retention::disposition(library, &new, actor),
        Request::TapeDispose { due: true, .. } => Ok(keys::due(library)),
        Request::TapeDispose { barcodes, .. } => keys::dispose(library, &barcodes, actor),
        Request::TapeLock(new) => retention::lock(library, &new, actor),
        Request::TapeHold(wanted) => retention::hold(library, &wanted, actor),
        Request::TapeHistory { barcode, limit } => undo::history(library, &barcode, limit),
        Request::TapeRewind(rewind) => undo::rewind(library, &rewind, actor),
        Request::TapeClone { barcode, to, as_barcode, place } => {
            let how = (to.as_deref(), as_barcode.as_deref(), place.as_deref());
            undo::clone(library, &barcode, how, actor)
        }
        Request::SnapshotCreate(choice) => snapshots::create(library, &choice, actor),
        Request::SnapshotList {} => Ok(snapshots::list(library)),
        Request::SnapshotPresent { name, hide } => snapshots::present(library, &name, hide, actor),
        Request::SnapshotDelete { name } => snapshots::delete(library, &name, actor),
        Request::Verify { barcodes, all, group, share_percent } => {
            let share_percent = share_percent.unwrap_or(100);
            let manner = Manner { share_percent, is_given_up: caller.is_gone, actor };
            let barcodes = match group {
                Some(group) => rules::members(library, &group)?,
                None => barcodes,
            };
            verification::verify(library, &barcodes, all, manner)
        }
        Request::Export(choice) => bays::export(library, &choice, actor, caller.is_gone),
        Request::Import(choice) => imports::import(library, &choice, actor, caller.is_gone),
        Request::ExportProgress {} => Ok(library.transfers.progress()),
        Request::VerifyProgress {} => Ok(library.verifications.progress()),
        Request::Rules(request) => rules::answer(library, request, caller),
        Request::Vault(request) => vaulting::answer(library, request, caller),
        Request::Drill(request) => drill::answer(library, request, caller),
        Request::Posture { group } => posture::answer(library, group.as_deref()),
        Request::Browse(choice) => browse::browse(library, &choice, caller.is_gone),
        Request::ReadPiece(piece) => browse::read_piece(library, &piece),
        Request::Move { from, to } => {
            let entry = place_or_barcode(library, &from)?;
            moved(library, &entry, &place(library, &to)?, actor)
        }
        Request::Load { barcode, drive, library: of } => {
            let entry = find(library, &barcode)?;
            let of = of.map(|name| libraries::named(library, &name)).transpose()?;
            let of = of.unwrap_or_else(|| libraries::of_place(library, &entry.place));
            moved(library, &entry, &drive_place(library, &of, drive)?, actor)
        }
        Request::Unload { drive, library: of } => {
            let of = of.map(|name| libraries::named(library, &name)).transpose()?;
            unload(library, of.as_ref().unwrap_or(&library.record), drive, actor)
        }
        other => administer(library, other, caller),
    }
}

/// What is asked about libraries, access and records rather than about cartridges.
fn administer(
    library: &Arc<Library>,
    request: Request,
    caller: &Caller<'_>,
) -> Result<Value, Failure> {
    let actor = caller.actor;
    match request {
        Request::Keys(request) => keys::answer(library, request, actor),
        Request::Drives(request) => fences::answer(library, &request, actor),
        Request::LibraryCreate(new) => libraries::create(library, &new, actor),
        Request::LibraryList {} => Ok(libraries::list(library)),
        Request::LibraryShow { name } => libraries::show(library, &name),
        Request::Trace { unit, library: of, failures, count, after } => {
            trace::answer(library, (&unit, of.as_deref()), failures, count, after)
        }
        Request::Log {} => Ok(json!({ "lines": logging::recent() })),
        Request::AccessAdd(new) => access::add(library, &new, actor),
        Request::AccessList {} => access::list(library),
        Request::AccessRemove { initiator, library: of } => {
            access::remove(library, &initiator, of.as_deref(), actor)
        }
        Request::SecretNew { initiator, mutual } => {
            access::new_secret(library, &initiator, mutual, actor)
        }
        Request::CatalogCheck {} => catalog_check(&library.store),
        Request::CatalogRebuild {} => {
            library.store.rebuild_catalogue().map_err(Failure::failed)?;
            Ok(json!({ "rebuilt": true, "cartridges": library.store.cartridges().len() }))
        }
        Request::AuditList { limit, barcode } => audit::list(library, limit, barcode.as_deref()),
        Request::Receipt { what } => receipts::answer(library, what, actor),
        Request::AuditVerify { against } => audit::verify(library, against.as_deref()),
        Request::AuditExport {} => audit::export(library),
        _ => Err(Failure::usage("there is no such request")),
    }
}

/// An inventory as text: of 100,000 cartridges that is 50 MB, and no time is to be lost on the way.
pub(crate) fn list_text(library: &Library, filter: InventoryFilter) -> Result<Vec<u8>, Failure> {
    list(library, filter)?.to_text()
}

fn list(library: &Library, mut filter: InventoryFilter) -> Result<Listing, Failure> {
    filter.location = filter.location.map(|text| as_written(library, text));
    let listing = inventory::query(library, &filter, &Zoned::now())?;
    if listing.is_empty()
        && let Some(barcode) = filter.pattern.filter(|pattern| !inventory::is_pattern(pattern))
    {
        return Err(unknown(&barcode));
    }
    Ok(listing)
}

/// All cartridges; those in drives with what their drive knows, as the store hears of it when they are unloaded. Of a drive that is
/// stuck it is what was known when it was loaded.
pub(crate) fn current(library: &Library) -> Vec<CartridgeEntry> {
    let refreshed = |entry| refreshed(library, entry);
    let mut cartridges: Vec<CartridgeEntry> =
        library.store.cartridges().into_iter().map(refreshed).collect();
    rules::name_groups(library, &mut cartridges);
    cartridges
}

/// A cartridge with what its drive knows, if it is in one.
pub(crate) fn refreshed(library: &Library, mut entry: CartridgeEntry) -> CartridgeEntry {
    let facts = library.drive_at(&entry.place).and_then(|unit| {
        unit.with_drive_within(FACTS_LIMIT, |drive| drive.cartridge().map(vtl_media::Volume::facts))
            .flatten()
    });
    if let Some(facts) = facts {
        entry.set_facts(&facts);
    }
    entry
}

/// The cartridge with this barcode, or exit code 4.
pub(crate) fn find(library: &Library, barcode: &str) -> Result<CartridgeEntry, Failure> {
    let entry =
        library.store.find(&barcode.to_ascii_uppercase()).ok_or_else(|| unknown(barcode))?;
    if library.transfers.is_filling(&entry.barcode) {
        return Err(Failure::refused(format!(
            "{} is being imported: it can be used when that is done",
            entry.barcode
        )));
    }
    Ok(entry)
}

/// A place that there is in one of the libraries.
pub(crate) fn place(library: &Library, text: &str) -> Result<Place, Failure> {
    let text = as_written(library, text.to_owned());
    let place: Place = text.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))?;
    let Some(id) = place.library() else { return Ok(place) };
    if library.store.library(id).is_some_and(|record| record.has(&place)) {
        return Ok(place);
    }
    Err(Failure::not_found(format!(
        "there is no {place} in this library; `vtl status` shows what there is"
    )))
}

/// A place as the store writes it: an element without a library's name is one of the first library, whatever that is called.
fn as_written(library: &Library, text: String) -> String {
    let first = &library.record.id;
    let is_bare = !text.contains('/') && text.parse().is_ok_and(|place: Place| place.is_element());
    if is_bare && !first.is_default() { format!("{first}/{text}") } else { text }
}

fn moved(
    library: &Arc<Library>,
    entry: &CartridgeEntry,
    to: &Place,
    actor: &str,
) -> Result<Value, Failure> {
    relocate(library, entry, to, actor)?;
    Ok(json!({ "barcode": entry.barcode, "from": entry.place, "to": to }))
}

/// Moves a cartridge that may be on the shelf, and tells hosts what they have not done themselves.
pub(crate) fn relocate(
    library: &Arc<Library>,
    entry: &CartridgeEntry,
    to: &Place,
    actor: &str,
) -> Result<(), Failure> {
    let from = &entry.place;
    if from == to {
        return Ok(());
    }
    library.relocate(entry, to, actor).map_err(|failure| explain(entry, to, failure))?;
    tell_changer(library, &[from, to]);
    Ok(())
}

/// Tells hosts that something changed in these places that they have not done themselves.
pub(crate) fn tell_changer(library: &Library, places: &[&Place]) {
    let mut told: Vec<&LibraryId> = places.iter().filter_map(|place| place.library()).collect();
    told.sort();
    told.dedup();
    for id in told {
        let of_this = |place: &&&Place| place.library() == Some(id);
        let is_door = |place: &&Place| matches!(place, Place::ImportExport { .. });
        let touches_door = places.iter().filter(of_this).any(is_door);
        let running = library.site.library(id);
        let Some(unit) = running.and_then(|running| running.unit(vtl_scsi::Lun(0))) else {
            continue;
        };
        unit.leave(move |device| {
            if let Device::Changer(changer) = device {
                if touches_door {
                    changer.import_export_accessed();
                } else {
                    changer.inventory_changed();
                }
            }
        });
    }
}

fn explain(entry: &CartridgeEntry, to: &Place, failure: MoveFailure) -> Failure {
    let barcode = &entry.barcode;
    match failure {
        MoveFailure::SourceEmpty => {
            Failure::not_found(format!("{barcode} is no longer in {}", entry.place))
        }
        MoveFailure::DestinationFull => Failure::refused(format!(
            "{barcode} was not moved: there is a cartridge in {to}; `vtl inventory` shows which"
        )),
        MoveFailure::RemovalPrevented => Failure::refused(format!(
            "{barcode} was not moved: a host prevents its removal from {}; let the backup software release it, or log that \
             host out",
            entry.place
        )),
        MoveFailure::DriveHoldsMedium => Failure::new(
            FailureKind::Damaged,
            format!(
                "{barcode} stays in {}: the last writes did not reach the disk; see the log, then try again",
                entry.place
            ),
        ),
        MoveFailure::NotRecorded => Failure::failed(format!(
            "{barcode} was not moved: the ledger could not be written; see the log"
        )),
    }
}

fn unload(
    library: &Arc<Library>,
    of: &LibraryRecord,
    drive: u32,
    actor: &str,
) -> Result<Value, Failure> {
    let from = drive_place(library, of, drive)?;
    let entry =
        library.store.at(&from).ok_or_else(|| Failure::not_found(format!("{from} is empty")))?;
    let free = |place: &Place| library.store.at(place).is_none();
    let home = entry.source.clone().filter(free);
    let to = home.or_else(|| library.store.free_storage(&of.id)).unwrap_or(Place::Shelf);
    moved(library, &entry, &to, actor)
}

fn drive_place(library: &Library, of: &LibraryRecord, drive: u32) -> Result<Place, Failure> {
    place(library, &Place::Drive { library: of.id.clone(), number: drive }.to_string())
}

/// The cartridge with this barcode, wherever it is, or the one in this element.
fn place_or_barcode(library: &Library, text: &str) -> Result<CartridgeEntry, Failure> {
    if let Some(entry) = library.store.find(&text.to_ascii_uppercase()) {
        return Ok(entry);
    }
    match as_written(library, text.to_owned()).parse::<Place>() {
        Ok(Place::Shelf | Place::Offsite(_)) => Err(Failure::usage(format!(
            "many cartridges can be at {text}: name the one to move by its barcode"
        ))),
        Ok(_) => {
            let from = place(library, text)?;
            library
                .store
                .at(&from)
                .ok_or_else(|| Failure::not_found(format!("there is no cartridge in {from}")))
        }
        Err(_) => Err(unknown(text)),
    }
}

fn unknown(barcode: &str) -> Failure {
    Failure::not_found(format!(
        "there is no cartridge {barcode}; `vtl inventory` lists those that there are"
    ))
}

fn catalog_check(store: &Store) -> Result<Value, Failure> {
    let differences = store.check_catalogue().map_err(Failure::failed)?;
    if differences.is_empty() {
        return Ok(json!({ "consistent": true }));
    }
    let list: Vec<_> = differences.iter().map(|difference| difference.barcode.clone()).collect();
    Err(Failure::new(
        FailureKind::Damaged,
        format!(
            "the catalogue differs from ledger and labels for {}; `vtl catalog rebuild` mends it",
            list.join(", ")
        ),
    ))
}

/// Whether a drive runs that could be asked; used by what refuses to work under a host's hands.
pub(crate) fn is_in_drive(entry: &CartridgeEntry) -> bool {
    matches!(entry.place, Place::Drive { .. })
}
