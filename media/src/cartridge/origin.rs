//! Which segments a cartridge is read from: its own, behind those of the cartridge that it was made from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LoadError;
use super::life::JOURNAL;
use super::volume::directory_of;
use crate::disk::Disk;
use crate::journal::{Layer, Layers, Place};
use crate::label::{Label, LabelError, Origin};
use crate::layout::uuid_of;

/// The layers of the cartridge in `directory`, up to `at` if there is such a moment.
pub(super) fn layers_of(
    disk: &dyn Disk,
    directory: &Path,
    label: &Label,
    at: Option<&Origin>,
) -> Result<Arc<Layers>, LoadError> {
    let mut below = Vec::new();
    let mut next = label.origin;
    while let Some(origin) = next {
        if below.len() >= LAYERS_MAX {
            return Err(LoadError::TooManyLayers(LAYERS_MAX));
        }
        let other = beside(directory, label.partition, &origin);
        let failed = |source: LabelError| LoadError::Origin { origin: origin.cartridge, source };
        let label = Label::read(disk, &other).map_err(failed)?;
        below.push(Layer {
            directory: other.join(JOURNAL),
            cartridge: origin.cartridge,
            until: Some(place_of(&origin)),
            pruned: label.pruned,
        });
        next = label.origin;
    }
    below.reverse();
    let last = Layer {
        directory: directory.join(JOURNAL),
        cartridge: label.uuid,
        until: at.map(place_of),
        pruned: label.pruned.clone(),
    };
    Ok(Layers::new(below, last))
}

/// Where the cartridge or partition is that a moment is one of. The cartridges of one store lie beside each other, each under
/// its identity, and partitions below theirs.
pub(super) fn beside(directory: &Path, partition: u8, origin: &Origin) -> PathBuf {
    if partition == 0 {
        return directory.with_file_name(origin.cartridge.to_string());
    }
    let cartridge = uuid_of(origin.cartridge, partition);
    let whole = directory.parent().unwrap_or(directory).with_file_name(cartridge.to_string());
    directory_of(&whole, partition)
}

/// Behind the last record of a moment.
pub(super) fn place_of(origin: &Origin) -> Place {
    Place::of_sector(origin.segment, origin.sector)
}

/// Twins of twins of twins; each costs some memory and a label to read.
const LAYERS_MAX: usize = 64;
