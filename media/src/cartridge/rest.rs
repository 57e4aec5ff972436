//! The key of its own that a cartridge is encrypted with at rest.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::origin::beside;
use super::seal::Seals;
use super::{Cartridge, LoadError, LoadOptions, Volume};
use crate::at_rest::{AtRestError, DataKeys, KeyRing, WrappedKey};
use crate::disk::Disk;
use crate::label::Label;

impl Label {
    /// The key of a pool with which what is written on it is encrypted, until its own key is destroyed.
    pub fn pool_key(&self) -> Option<Uuid> {
        self.at_rest.as_ref().map(|key| key.pool_key)
    }
}

/// The keys with which a cartridge is read, and written if it is to be. One that is to be written has to have all of them.
pub(super) fn keys_of(
    (disk, directory): (&dyn Disk, &Path),
    label: &mut Label,
    options: &LoadOptions,
    is_writable: bool,
) -> Result<(Arc<DataKeys>, Seals), LoadError> {
    if is_writable {
        make_key(label, options)?;
    }
    let keys = data_keys(disk, directory, label, &options.keys)?;
    if let Some(closed) = keys.closed().filter(|_| is_writable) {
        return Err(closed.clone().into());
    }
    let seals = Seals::new(Arc::clone(&keys), label.uuid)?;
    Ok((keys, seals))
}

/// A cartridge of a pool that has a key gets one of its own with the first load for writing. It is not there before the label
/// has been written.
fn make_key(label: &mut Label, options: &LoadOptions) -> Result<(), AtRestError> {
    let is_first = label.partition == 0 && label.at_rest.is_none();
    let pool_key = options.pool.as_ref().and_then(|pool| options.keys.of_pool(pool));
    let Some(pool_key) = pool_key.filter(|_| is_first) else { return Ok(()) };
    label.at_rest = Some(WrappedKey::make(&options.keys, pool_key, label.uuid)?);
    Ok(())
}

/// The keys of all cartridges that a journal is made of.
fn data_keys(
    disk: &dyn Disk,
    directory: &Path,
    label: &Label,
    ring: &KeyRing,
) -> Result<Arc<DataKeys>, LoadError> {
    let mut keys = DataKeys::default();
    add_key(&mut keys, (disk, directory, label), ring)?;
    let (mut directory, mut origin) = (directory.to_owned(), label.origin);
    // As many as the journal has layers, which have been counted.
    while let Some(of) = origin {
        let failed = |source| LoadError::Origin { origin: of.cartridge, source };
        directory = beside(&directory, label.partition, &of);
        let other = Label::read(disk, &directory).map_err(failed)?;
        add_key(&mut keys, (disk, &directory, &other), ring)?;
        origin = other.origin;
    }
    Ok(Arc::new(keys))
}

fn add_key(
    keys: &mut DataKeys,
    (disk, directory, label): (&dyn Disk, &Path, &Label),
    ring: &KeyRing,
) -> Result<(), LoadError> {
    // Partitions have no key of their own: it is in the label of the whole cartridge.
    let whole = match directory.parent().filter(|_| label.partition > 0) {
        Some(parent) => Some(Label::read(disk, parent)?),
        None => None,
    };
    let whole = whole.as_ref().unwrap_or(label);
    if let Some(key) = &whole.at_rest {
        keys.add(label.uuid, key.open(ring, whole.uuid));
    }
    Ok(())
}

impl Cartridge {
    fn closed(&self) -> Option<&AtRestError> {
        self.seals.keys().closed()
    }

    /// How many of its own segments were written before it was encrypted, and are still there.
    fn plain_segment_count(&self) -> usize {
        let (first, since) = (self.layers.first_own(), self.label.at_rest_since);
        let is_plain = |number: u32| number >= first && since.is_none_or(|since| number < since);
        self.view().rows().iter().filter(|row| is_plain(row.number)).count()
    }
}

impl Volume {
    /// How many segments of it, in all partitions that it has, were written before it was encrypted, and are still there.
    pub fn plain_segment_count(&self) -> usize {
        self.each().map(Cartridge::plain_segment_count).sum()
    }

    /// Why something of it cannot be read for want of a key, if that is so.
    pub fn closed(&self) -> Option<&AtRestError> {
        self.each().find_map(Cartridge::closed)
    }
}
