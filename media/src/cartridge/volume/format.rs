//! FORMAT MEDIUM: a new layout, and nothing on it. What was there stays for undo.

use super::Volume;
use super::load::{begin, create_if_missing, open};
use crate::cartridge::capacity::Capacity;
use crate::cartridge::write::Reason;
use crate::cartridge::{Cartridge, CreateError, MediumError, MediumLife};
use crate::layout::{LAYOUTS_MAX, Layout, PARTITIONS_MAX, Part};

impl Volume {
    /// How much fits on it in all, as much as SET CAPACITY has left of it.
    pub fn usable_bytes(&self) -> u64 {
        let label = &self.first.label;
        label.scaled_bytes.map_or(label.capacity_bytes, |scaled| scaled.min(label.capacity_bytes))
    }

    /// Leaves so many of 65,535 parts of the capacity to be used, at least a twentieth, in one partition with nothing on it.
    /// As with [`Volume::format`], it is durable when this returns, and takes effect at once.
    pub fn set_capacity(&mut self, proportion: u16) -> Result<(), MediumError> {
        let capacity = self.first.label.capacity_bytes;
        let scaled = u128::from(capacity) * u128::from(proportion) / u128::from(u16::MAX);
        let scaled = u64::try_from(scaled).unwrap_or(capacity).max(capacity / 20).max(1);
        let before = self.first.label.scaled_bytes.replace(scaled);
        let done = self.format(&[scaled]);
        if done.is_err() {
            self.first.label.scaled_bytes = before;
        }
        done
    }

    /// The sizes of all partitions in bytes, partition 0 first.
    pub fn partition_sizes(&self) -> Vec<u64> {
        self.each().map(|cartridge| cartridge.capacity.total_bytes()).collect()
    }

    /// Divides the cartridge anew, into partitions of these sizes in bytes, with nothing on them. It is durable when this
    /// returns, and takes effect at once: after an error or a crash it is as it was, or as it is to be. The position is the
    /// beginning of partition 0.
    ///
    /// The sizes have to be one to four, and no more than the capacity together.
    pub fn format(&mut self, sizes: &[u64]) -> Result<(), MediumError> {
        let total = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
        if !(1..=PARTITIONS_MAX).contains(&sizes.len()) || total > self.usable_bytes() {
            return Err(MediumError::DoesNotFit);
        }
        if self.first.label.worm {
            return Err(MediumError::Worm);
        }
        self.first.check_retention()?;
        self.rewind_to_first()?;
        self.first.check_writable()?;
        let mut parts = Vec::new();
        for (number, bytes) in (0..).zip(sizes.iter().copied()) {
            let generation = if number == 0 { 0 } else { self.next_generation(number)? };
            parts.push(Part { bytes, generation, back_to: None });
        }
        self.first.label.format_count = self.first.label.format_count.saturating_add(1);
        self.divide(&parts, |first| first.begin_blank(Reason::Format))
    }

    /// Puts a layout into force: the label first, then with one record of partition 0 the layout itself, then what the other
    /// partitions begin with. Where that is cut short behind the record, the next load does the rest.
    pub(super) fn divide(
        &mut self,
        parts: &[Part],
        take_effect: impl FnOnce(&mut Cartridge) -> Result<(), MediumError>,
    ) -> Result<(), MediumError> {
        // Once the label says what the next generation begins with, only that one may begin it.
        self.first.check_space_for_generation()?;
        self.take_over_memory();
        let generation = self.first.generation.saturating_add(1);
        let first_size = parts.first().map_or(0, |part| part.bytes);
        let before = self.first.label.layouts.clone();
        let layouts = &mut self.first.label.layouts;
        layouts.push(Layout { generation, parts: parts.to_vec() });
        let superfluous = layouts.len().saturating_sub(LAYOUTS_MAX);
        layouts.drain(..superfluous);
        if let Err(error) = self.first.label.write(self.first.disk.as_ref(), &self.first.directory)
        {
            self.first.label.layouts = before;
            return Err(error.into());
        }
        take_effect(&mut self.first)?;
        self.first.capacity = Capacity::new(first_size);
        let mut old = std::mem::take(&mut self.others).into_iter();
        for (number, part) in Self::numbered(parts) {
            let cartridge = match old.next() {
                Some(mut cartridge) => {
                    begin(&mut cartridge, part)?;
                    cartridge.capacity = Capacity::new(part.bytes);
                    cartridge
                }
                None => open(&self.first, number, part).map_err(as_medium_error)?,
            };
            self.others.push(cartridge);
        }
        // Partitions that are not there any more are closed in order; what is on them is only kept.
        for cartridge in old {
            cartridge.unload()?;
        }
        Ok(())
    }

    /// The generation that a partition will begin with the next layout. The partition is made if it has never been there.
    pub(super) fn next_generation(&self, number: u8) -> Result<u32, MediumError> {
        if let Some(cartridge) = self.partition(number) {
            return Ok(cartridge.generation.saturating_add(1));
        }
        create_if_missing(&self.first, number).map_err(|error| match error {
            CreateError::Io(error) => MediumError::Io(error),
            CreateError::Label(error) => MediumError::Label(error),
            CreateError::Exists => MediumError::Io(std::io::ErrorKind::AlreadyExists.into()),
        })?;
        let facts = Cartridge::inspect(&self.first.disk, &self.directory_of(number));
        Ok(facts.map_err(as_medium_error)?.generation.saturating_add(1))
    }

    pub(crate) fn directory_of(&self, number: u8) -> std::path::PathBuf {
        super::directory_of(&self.first.directory, number)
    }

    /// What the labels of the other partitions have counted goes on in the one that stays; attributes of partitions that will
    /// be others are gone.
    fn take_over_memory(&mut self) {
        for other in &mut self.others {
            let label = &mut self.first.label;
            let reference = std::mem::take(&mut other.label.volume_change_reference);
            label.volume_change_reference = label.volume_change_reference.saturating_add(reference);
            label.life = label.life.with(std::mem::take::<MediumLife>(&mut other.label.life));
        }
        self.first.label.mam.forget_contents();
    }
}

pub(super) fn as_medium_error(error: crate::cartridge::LoadError) -> MediumError {
    match error {
        crate::cartridge::LoadError::Io(error) => MediumError::Io(error),
        crate::cartridge::LoadError::Label(error) => MediumError::Label(error),
        other => MediumError::Io(std::io::Error::other(other.to_string())),
    }
}
