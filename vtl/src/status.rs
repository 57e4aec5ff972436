//! `vtl status`: what runs, what is in the drives, how full it is, and what undo and proofs are like.

use serde_json::{Value, json};
use vtl_media::{CartridgeEntry, CartridgeKind, CartridgeState, LibraryRecord, Place};

use crate::library::Library;
use crate::operations::current;
use crate::trace;

/// The whole library at a glance.
pub(crate) fn status(library: &Library) -> Value {
    let cartridges = current(library);
    let count = |state| cartridges.iter().filter(|entry| entry.state == state).count();
    let data = || cartridges.iter().filter(|entry| entry.kind == CartridgeKind::Data);
    let sum = |of: fn(&CartridgeEntry) -> u64| data().map(of).fold(0, u64::saturating_add);
    let (disk, directory) = (library.store.disk(), library.store.directory());
    let is_shown = |snapshot: &&vtl_media::SnapshotRecord| snapshot.is_presented;
    let snapshots = library.store.snapshots();
    let copies = library.store.copies();
    let lost = vtl_vault::lost(&copies, &cartridges);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "running": library.is_running(),
        "portal": library.portal(),
        "library": library.record.id,
        "target": library.record.iqn,
        "changer": library.record.changer,
        "storage_elements": library.record.storage_elements,
        "import_export_elements": library.record.import_export_elements,
        "cartridges": cartridges.len(),
        "cartridges_in_elements": cartridges.iter().filter(|entry| entry.place.is_element()).count(),
        "space": {
            "written_bytes": sum(|entry| entry.written_bytes),
            "stored_bytes": sum(|entry| entry.stored_bytes),
            "journal_bytes": sum(|entry| entry.journal_bytes),
            "free_bytes": disk.free_bytes(directory).ok(),
        },
        "undo": {
            "bytes": sum(|entry| entry.undo_bytes),
            "cartridges": data().filter(|entry| entry.undo_bytes > 0).count(),
            "keep": library.undo_window(),
            "snapshots": snapshots.len(),
            "snapshots_presented": snapshots.iter().filter(is_shown).count(),
        },
        "proofs": {
            "proved": count(CartridgeState::Proved),
            "written_and_not_proved": count(CartridgeState::Written),
            "damaged": count(CartridgeState::Damaged),
            "missing": count(CartridgeState::Missing),
            "oldest_proof": data().filter_map(|entry| entry.last_proved).min(),
            "being_read": library.verifications.progress(),
        },
        "lost": lost,
        "policies": crate::rules::timer::overview(library),
        "drives": drives(library, &library.record),
        "libraries": crate::libraries::list(library),
    })
}

/// The drives of a library of the same store.
pub(crate) fn drives(library: &Library, of: &LibraryRecord) -> Vec<Value> {
    (0_u32..)
        .zip(&of.drives)
        .map(|(number, record)| {
            let place = Place::Drive { library: of.id.clone(), number };
            let cartridge = library.holdings().at(&place).map(|entry| entry.barcode);
            let unit = library.drive_at(&place);
            let snapshot = unit.as_ref().and_then(|unit| unit.drive_snapshot());
            json!({
                "drive": number,
                "lun": number + 1,
                "profile": record.profile,
                "serial": record.serial,
                "barcode": cartridge,
                "medium": snapshot.map(|snapshot| format!("{:?}", snapshot.medium).to_lowercase()),
                "removal_prevented": snapshot.map(|snapshot| snapshot.is_removal_prevented),
                "last_failure": unit.and_then(|unit| trace::last_failure(&unit)),
            })
        })
        .collect()
}
