//! Which tape a copy is on, or was begun on.

use vtl_media::disk::read_whole;
use vtl_media::{CopyFacts, CopyRecord, CopyState, Store};

use super::ExportError;
use super::files::{FILE_BYTES_MAX, PROGRESS, path};
use super::tape::Medium;
use super::writing::Progress;

/// Whether a copy is on a tape: the serial number decides, and the barcode where it is not known of both.
pub(super) fn is_on(copy: &CopyRecord, medium: &Medium) -> bool {
    match (&copy.facts.medium_serial, &medium.serial) {
        (Some(of_copy), Some(there)) => of_copy == there,
        _ => copy.facts.volume.is_some() && copy.facts.volume == medium.barcode,
    }
}

/// The ledger knows the tape only once everything is on it; until then the file with how far it is does.
pub(super) fn is_begun_on(store: &Store, copy: &CopyRecord, medium: &Medium) -> bool {
    let begun = begun_on(store, copy);
    begun.is_some_and(|facts| is_on(&CopyRecord { facts, ..copy.clone() }, medium))
}

/// The tape that a copy is under way to, if anything was written on it that the ledger does not know of yet.
pub fn begun_on(store: &Store, copy: &CopyRecord) -> Option<CopyFacts> {
    let path = path(store, copy.id, PROGRESS);
    if copy.state != CopyState::Staged || !store.disk().exists(&path).ok()? {
        return None;
    }
    let bytes = read_whole(&*store.disk(), &path, FILE_BYTES_MAX).ok()?;
    let Progress { medium_serial, volume, .. } = serde_json::from_slice(&bytes).ok()?;
    Some(CopyFacts { volume, medium_serial, ..CopyFacts::default() })
}

/// What is not known cannot be other.
pub(super) fn is_same_tape(expected: Option<&String>, medium: &Medium) -> Result<(), ExportError> {
    if expected == medium.serial.as_ref() {
        return Ok(());
    }
    let name = |serial: Option<&String>| serial.map_or("none", String::as_str).to_owned();
    Err(ExportError::Refused(format!(
        "the tape in the drive has serial number {}, and the copy was begun on {}: put that one in, or say --anew to give that copy up. Nothing was written on this one",
        name(medium.serial.as_ref()),
        name(expected)
    )))
}
