//! The cartridges' directories as the store sees them: made, looked into, removed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use crate::cartridge::{CartridgeFacts, CartridgeSpec, CreateError, LoadError, Volume};
use crate::disk::Disk;
use crate::ledger::Event;
use crate::mam::Mam;

/// What is on a new cartridge from the beginning, because it was made from another one.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) facts: CartridgeFacts,
    pub(super) mam: Mam,
}

/// Makes the directory of the cartridge that a `CartridgeCreated` event describes, durably.
pub(super) fn make_cartridge(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    event: &Event,
    content: &Content,
    now: Timestamp,
) -> Result<(), CreateError> {
    match to_spec(event) {
        Some(spec) => {
            let Content { facts, mam } = content.clone();
            Volume::create(disk, directory, &CartridgeSpec { facts, mam, ..spec }, now)
        }
        None => Ok(()),
    }
}

/// What is on a cartridge: from its label if it was closed in order, else by looking at its journal.
pub(super) fn look_into(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<CartridgeFacts, LoadError> {
    Volume::inspect(disk, directory)
}

/// Removes a cartridge's directory: first its name, durably, then what is in it. A directory that is gone is no error.
pub(super) fn remove_cartridge(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let aside = directory.with_extension(REMOVED_EXTENSION);
    if disk.exists(directory)? {
        disk.rename(directory, &aside)?;
        disk.sync_dir(parent)?;
    }
    if disk.exists(&aside)? {
        remove_tree(disk, &aside, MAX_DEPTH)?;
        disk.sync_dir(parent)?;
    }
    Ok(())
}

/// A name under `cartridges/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The directory of a cartridge.
    Cartridge(Uuid),
    /// One that was being removed.
    Removed(Uuid),
    /// Something that we did not put there.
    Foreign,
}

/// What a name under `cartridges/` means.
pub(super) fn classify(path: &Path) -> Found {
    let uuid =
        path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| Uuid::try_parse(stem).ok());
    match (uuid, path.extension()) {
        (Some(uuid), None) if path.file_name().is_some_and(|name| *name == *uuid.to_string()) => {
            Found::Cartridge(uuid)
        }
        (Some(uuid), Some(extension)) if extension == REMOVED_EXTENSION => Found::Removed(uuid),
        _ => Found::Foreign,
    }
}

/// Removes what is below a directory, and itself. Files and symbolic links go as they are: no link is followed.
fn remove_tree(disk: &dyn Disk, directory: &Path, depth: u32) -> io::Result<()> {
    for name in disk.list(directory)? {
        let child = directory.join(name);
        if let Err(error) = disk.remove(&child) {
            match depth.checked_sub(1) {
                Some(depth) if error.kind() != io::ErrorKind::NotFound => {
                    // Not a file, then: if it is no directory either, this says why it could not be removed.
                    remove_tree(disk, &child, depth)?;
                }
                _ => return Err(error),
            }
        }
    }
    disk.remove_dir(directory)
}

fn to_spec(event: &Event) -> Option<CartridgeSpec> {
    let Event::CartridgeCreated {
        uuid,
        barcode,
        kind,
        media_type,
        capacity_bytes,
        worm,
        pool,
        place,
        origin,
        parts,
        twin_of: _,
        read_only,
    } = event
    else {
        return None;
    };
    Some(CartridgeSpec {
        kind: *kind,
        worm: *worm,
        pool: pool.clone(),
        last_element: Some(place.to_string()),
        origin: *origin,
        parts: parts.clone(),
        read_only: *read_only,
        ..CartridgeSpec::new(*uuid, barcode.clone(), media_type, *capacity_bytes)
    })
}

const REMOVED_EXTENSION: &str = "removed";
/// A cartridge's directory has `journal/` and `index/` in it; more levels than this are not ours.
const MAX_DEPTH: u32 = 4;
