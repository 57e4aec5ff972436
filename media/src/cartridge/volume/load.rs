//! Loading all partitions, and bringing to its end what an unclean end has left half formatted.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Volume, directory_of};
use crate::cartridge::capacity::Capacity;
use crate::cartridge::write::Reason;
use crate::cartridge::{
    Cartridge, CartridgeFacts, CartridgeSpec, CreateError, LoadError, LoadOptions, MediumError,
    WantedPoint,
};
use crate::disk::Disk;
use crate::label::{Label, Moment, Origin, PartOrigin};
use crate::layout::{Part, layout_at, uuid_of};

impl Volume {
    /// Loads a cartridge at the beginning of partition 0, as [`Cartridge::load`] does.
    pub fn load(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LoadOptions,
    ) -> Result<Self, LoadError> {
        Self::with_partitions(Cartridge::load(disk, directory, options)?)
    }

    /// What is on a cartridge that is not loaded, in all partitions; see [`Cartridge::inspect`].
    pub fn inspect(disk: &Arc<dyn Disk>, directory: &Path) -> Result<CartridgeFacts, LoadError> {
        let mut facts = Cartridge::inspect(disk, directory)?;
        let label = Label::read(disk.as_ref(), directory)?;
        if let Some(layout) = layout_at(&label.layouts, facts.generation) {
            for (number, part) in Self::numbered(&layout.parts) {
                let other = Cartridge::inspect(disk, &directory_of(directory, number))?;
                // Where formatting was cut short, what is there is not live any more.
                if other.generation >= part.generation {
                    facts = facts.with(&other);
                }
            }
        }
        Ok(facts)
    }

    /// Makes a new cartridge in `directory`, whose parent must be there. All of it is durable when this returns.
    pub fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        spec: &CartridgeSpec,
        now: Timestamp,
    ) -> Result<(), CreateError> {
        if spec.parts.is_empty() {
            return Cartridge::create(disk, directory, spec, now);
        }
        let facts = |part: &PartOrigin| CartridgeFacts {
            generation: part.generation,
            last_written: spec.facts.last_written,
            ..Moment::from(part.origin).facts()
        };
        let first = CartridgeSpec {
            facts: spec.parts.first().map_or_else(|| spec.facts.clone(), facts),
            ..spec.clone()
        };
        Cartridge::create(disk, directory, &first, now)?;
        for (number, part) in (1..).zip(spec.parts.iter().skip(1)) {
            let of_partition = CartridgeSpec {
                origin: (part.origin.sequence > 0).then_some(part.origin),
                read_only: spec.read_only,
                facts: facts(part),
                ..partition_spec(&first, number)
            };
            let directory = directory_of(directory, number);
            Cartridge::create_partition(disk, &directory, &of_partition, now, number)?;
        }
        Ok(())
    }

    /// Loads the partitions that go with partition 0.
    pub(super) fn with_partitions(mut first: Cartridge) -> Result<Self, LoadError> {
        if first.options.at.is_some() {
            return Self::at_a_moment(first);
        }
        let layout = layout_at(&first.label.layouts, first.generation).cloned();
        let mut others = Vec::new();
        if let Some(layout) = layout {
            if let Some(part) = layout.parts.first() {
                first.capacity = Capacity::new(part.bytes);
            }
            for (number, part) in Self::numbered(&layout.parts) {
                others.push(open(&first, number, part)?);
            }
        }
        Ok(Self { first, others, active: 0 })
    }

    /// Loads the partitions as they were when partition 0 was what it is loaded as. A moment may be one of another cartridge that
    /// this one was made from, and each partition's may be one of a different one.
    fn at_a_moment(mut first: Cartridge) -> Result<Self, LoadError> {
        let parts = first.options.at_parts.clone();
        if let Some(part) = parts.first() {
            first.capacity = Capacity::new(part.capacity_bytes);
        }
        let mut others = Vec::new();
        for (number, part) in (1..).zip(parts.iter().skip(1)) {
            let whole = uuid_of(part.origin.cartridge, number).to_string();
            let directory = directory_of(&first.directory.with_file_name(whole), number);
            let options = LoadOptions { at: Some(part.origin), ..first.options.clone() };
            let mut cartridge = Cartridge::load(Arc::clone(&first.disk), &directory, options)?;
            cartridge.capacity = Capacity::new(part.capacity_bytes);
            others.push(cartridge);
        }
        Ok(Self { first, others, active: 0 })
    }
}

/// Makes a partition that has never been there.
pub(super) fn create_if_missing(first: &Cartridge, number: u8) -> Result<(), CreateError> {
    let directory = directory_of(&first.directory, number);
    match Label::read(first.disk.as_ref(), &directory) {
        Ok(_) => return Ok(()),
        // What an unclean end has left of an attempt to make it holds nothing.
        Err(_) if first.disk.exists(&directory.join("label.b"))? => {}
        Err(_) => clear(first.disk.as_ref(), &directory)?,
    }
    let Label { uuid, barcode, media_type, capacity_bytes, .. } = &first.label;
    let whole = CartridgeSpec::new(*uuid, barcode.clone(), media_type, *capacity_bytes);
    let spec = partition_spec(&whole, number);
    Cartridge::create_partition(&first.disk, &directory, &spec, (first.options.clock)(), number)
}

/// A partition of a cartridge, with nothing on it.
fn partition_spec(whole: &CartridgeSpec, number: u8) -> CartridgeSpec {
    let uuid = uuid_of(whole.uuid, number);
    CartridgeSpec::new(uuid, whole.barcode.clone(), &whole.media_type, whole.capacity_bytes)
}

/// Loads a partition and makes it what the layout says that it begins with, if that has not happened yet.
pub(super) fn open(first: &Cartridge, number: u8, part: &Part) -> Result<Cartridge, LoadError> {
    let directory = directory_of(&first.directory, number);
    let disk = || Arc::clone(&first.disk);
    let options = LoadOptions { read_only: first.writer.is_none(), ..first.options.clone() };
    let mut cartridge = Cartridge::load(disk(), &directory, options.clone())?;
    if cartridge.generation < part.generation && !cartridge.is_end_missing {
        if cartridge.writer.is_some() {
            begin(&mut cartridge, part).map_err(|error| match error {
                MediumError::Io(error) => LoadError::Io(error),
                other => LoadError::Io(std::io::Error::other(other.to_string())),
            })?;
        } else {
            let at = Some(beginning(&cartridge, part)?);
            cartridge = Cartridge::load(disk(), &directory, LoadOptions { at, ..options })?;
        }
    }
    cartridge.capacity = Capacity::new(part.bytes);
    Ok(cartridge)
}

/// Begins the generation with which a partition's part in a layout begins, durably.
pub(super) fn begin(cartridge: &mut Cartridge, part: &Part) -> Result<(), MediumError> {
    let back_to = part.back_to.map(WantedPoint::Sequence);
    match back_to.map(|wanted| cartridge.find_point(wanted)).transpose()?.flatten() {
        Some(point) => cartridge.revert_to(&point),
        None => cartridge.begin_blank(Reason::Format),
    }
}

/// The same moment for somebody who only reads.
fn beginning(cartridge: &Cartridge, part: &Part) -> Result<Origin, LoadError> {
    let failed = |error: MediumError| LoadError::Io(std::io::Error::other(error.to_string()));
    let wanted = part.back_to.map(WantedPoint::Sequence);
    let point = wanted.map(|wanted| cartridge.find_point(wanted)).transpose().map_err(failed)?;
    match point.flatten() {
        Some(point) => cartridge.origin_at(&point).map_err(failed),
        None => Ok(Origin::beginning_of(cartridge.label.uuid)),
    }
}

/// Removes the beginnings of a partition that was not made to its end.
fn clear(disk: &dyn Disk, directory: &Path) -> std::io::Result<()> {
    if !disk.exists(directory)? {
        return Ok(());
    }
    for name in disk.list(directory)? {
        let path = directory.join(name);
        if disk.remove(&path).is_err() {
            disk.remove_dir(&path)?;
        }
    }
    disk.sync_dir(directory)
}
