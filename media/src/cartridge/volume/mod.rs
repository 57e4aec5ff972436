//! A cartridge with all of its partitions.
//!
//! Partition 0 is the cartridge itself. Each other one is a cartridge of its own in a directory below, with label, journal and
//! recovery, so that whatever holds for one journal holds for each of them. Which partitions there are says the label of
//! partition 0: a [`Layout`] holds from a generation of partition 0 on, so that the record that begins that generation is
//! where formatting, and going back behind it, take effect at once.
//!
//! A [`Volume`] is used as the partition that it stands in.

mod format;
mod load;
mod undo;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use super::{Cartridge, CartridgeFacts, LoadError, MediumError, MediumLife, PartitionNumber};
use super::{ObjectNumber, Position, SpaceOutcome, Traffic, Verifier};
use crate::label::Label;
use crate::layout::Part;
use crate::mam::{Attribute, Mam};

/// A loaded cartridge, with the partition in which it stands.
#[derive(Debug)]
pub struct Volume {
    first: Cartridge,
    /// Partition 1 and those behind it.
    others: Vec<Cartridge>,
    /// The partition in which it stands; `active <= others.len()`.
    active: usize,
}

impl Deref for Volume {
    type Target = Cartridge;

    fn deref(&self) -> &Cartridge {
        self.active.checked_sub(1).and_then(|at| self.others.get(at)).unwrap_or(&self.first)
    }
}

impl DerefMut for Volume {
    fn deref_mut(&mut self) -> &mut Cartridge {
        match self.active.checked_sub(1).and_then(|at| self.others.get_mut(at)) {
            Some(cartridge) => cartridge,
            None => &mut self.first,
        }
    }
}

impl Volume {
    /// What the cartridge says of itself.
    pub fn label(&self) -> &Label {
        &self.first.label
    }

    /// What is on it, in all partitions.
    pub fn facts(&self) -> CartridgeFacts {
        let others = self.others.iter().map(Cartridge::facts);
        others.fold(self.first.facts(), |all, other| all.with(&other))
    }

    /// What is on each partition, partition 0 first.
    pub fn facts_by_partition(&self) -> Vec<CartridgeFacts> {
        self.each().map(Cartridge::facts).collect()
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        let partition = PartitionNumber(u8::try_from(self.active).unwrap_or(u8::MAX));
        Position { partition, ..Cartridge::position(self) }
    }

    /// Partition, next object and filemarks before it, without a look at what is buffered: this costs nothing.
    pub fn place(&self) -> (PartitionNumber, ObjectNumber, u64) {
        let partition = PartitionNumber(u8::try_from(self.active).unwrap_or(u8::MAX));
        (partition, ObjectNumber(self.position.objects), self.position.filemarks)
    }

    /// How many partitions there are.
    pub fn partition_count(&self) -> u8 {
        u8::try_from(self.others.len()).unwrap_or(u8::MAX).saturating_add(1)
    }

    /// Goes to the beginning of a partition, if it is another one than it stands in; `false` if there is none of this number.
    pub fn change_partition(&mut self, partition: u8) -> Result<bool, MediumError> {
        let partition = usize::from(partition);
        if partition > self.others.len() {
            return Ok(false);
        }
        if partition != self.active {
            self.rewind()?;
            self.forget_read();
            self.active = partition;
            self.rewind()?;
        }
        Ok(true)
    }

    /// Goes to the beginning of partition 0.
    pub fn rewind_to_first(&mut self) -> Result<SpaceOutcome, MediumError> {
        self.rewind()?;
        self.change_partition(0)?;
        Ok(SpaceOutcome::Done)
    }

    /// How much fits into a partition.
    pub fn partition_bytes(&self, partition: u8) -> u64 {
        self.partition(partition).map_or(0, |cartridge| cartridge.capacity.total_bytes())
    }

    /// How much still fits into a partition, behind what is on it.
    pub fn remaining_bytes(&self, partition: u8) -> u64 {
        self.partition(partition)
            .map_or(0, |cartridge| cartridge.capacity.room_bytes(cartridge.end))
    }

    /// The attributes of the auxiliary memory.
    pub fn mam(&self) -> &Mam {
        &self.first.label.mam
    }

    /// Changes attributes of a partition; see [`Cartridge::change_attributes`].
    pub fn change_attributes(
        &mut self,
        partition: u8,
        changes: Vec<(u16, Option<Attribute>)>,
    ) -> Result<(), MediumError> {
        self.first.change_attributes(partition, changes)
    }

    /// The number that says whether a cartridge has been written since it was seen last. It goes on whenever a load has written.
    pub fn volume_change_reference(&self) -> u32 {
        self.each().map(Cartridge::volume_change_reference).fold(0, u32::saturating_add)
    }

    /// How often it has been formatted, the first time being when it was made.
    pub fn initialization_count(&self) -> u16 {
        self.first.label.format_count.saturating_add(1)
    }

    /// What has gone through drives in its life, this load included.
    pub fn life(&self) -> MediumLife {
        self.each().map(Cartridge::life).fold(MediumLife::default(), MediumLife::with)
    }

    /// What has gone which way since it was loaded.
    pub fn traffic(&self) -> Traffic {
        self.each().map(Cartridge::traffic).fold(Traffic::default(), Traffic::with)
    }

    /// Which drives have loaded it, the last one first.
    pub fn drives(&self) -> &[String] {
        &self.first.label.drives
    }

    /// A drive has loaded it.
    pub fn note_drive(&mut self, vendor: &str, serial: &str) {
        self.first.note_drive(vendor, serial);
    }

    /// Reads no more than what is asked for, in all partitions; see [`Cartridge::read_sparingly`].
    pub fn read_sparingly(&mut self) {
        self.first.read_sparingly();
        self.others.iter_mut().for_each(Cartridge::read_sparingly);
    }

    /// Forgets the keys of all partitions; see [`Cartridge::forget_keys`].
    pub fn forget_keys(&mut self) {
        self.first.forget_keys();
        self.others.iter_mut().for_each(Cartridge::forget_keys);
    }

    /// Whether an earlier write failed, in any partition.
    pub fn is_fenced(&self) -> bool {
        self.each().any(Cartridge::is_fenced)
    }

    /// Loads it again after a failed write, as it was loaded.
    pub fn reopen(self) -> Result<Self, LoadError> {
        drop(self.others);
        Self::with_partitions(self.first.reopen()?)
    }

    /// Makes everything durable, closes all partitions and says so in their labels.
    pub fn unload(self) -> Result<CartridgeFacts, MediumError> {
        let others: Vec<_> = self.others.into_iter().map(Cartridge::unload).collect();
        let mut facts = self.first.unload()?;
        for other in others {
            facts = facts.with(&other?);
        }
        Ok(facts)
    }

    /// Something that reads all partitions back.
    pub fn verifier(&self, checkpoint: Option<super::Checkpoint>) -> Verifier {
        let others = self.others.iter().map(|cartridge| cartridge.verifier(None)).collect();
        self.first.verifier(checkpoint).with_partitions(others)
    }

    /// Partition 0.
    pub fn first(&self) -> &Cartridge {
        &self.first
    }

    fn partition(&self, number: u8) -> Option<&Cartridge> {
        match usize::from(number).checked_sub(1) {
            None => Some(&self.first),
            Some(at) => self.others.get(at),
        }
    }

    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Cartridge> {
        std::iter::once(&mut self.first).chain(&mut self.others)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Cartridge> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The partitions behind partition 0 in a layout, with their numbers.
    fn numbered(parts: &[Part]) -> impl Iterator<Item = (u8, &Part)> {
        (1..).zip(parts.iter().skip(1))
    }
}

impl CartridgeFacts {
    /// With what is on another partition.
    fn with(self, other: &Self) -> Self {
        Self {
            generation: self.generation,
            written_bytes: self.written_bytes.saturating_add(other.written_bytes),
            block_count: self.block_count.saturating_add(other.block_count),
            filemark_count: self.filemark_count.saturating_add(other.filemark_count),
            last_written: self.last_written.max(other.last_written),
            load_count: self.load_count,
            journal_bytes: self.journal_bytes.saturating_add(other.journal_bytes),
            undo_bytes: self.undo_bytes.saturating_add(other.undo_bytes),
            stored_bytes: self.stored_bytes.saturating_add(other.stored_bytes),
            pool_key: self.pool_key,
        }
    }
}

impl MediumLife {
    fn with(self, other: Self) -> Self {
        Self {
            written_bytes: self.written_bytes.saturating_add(other.written_bytes),
            read_bytes: self.read_bytes.saturating_add(other.read_bytes),
        }
    }
}

impl Traffic {
    fn with(self, other: Self) -> Self {
        Self {
            accepted_bytes: self.accepted_bytes.saturating_add(other.accepted_bytes),
            laid_out_bytes: self.laid_out_bytes.saturating_add(other.laid_out_bytes),
            written_bytes: self.written_bytes.saturating_add(other.written_bytes),
            given_bytes: self.given_bytes.saturating_add(other.given_bytes),
            unpacked_bytes: self.unpacked_bytes.saturating_add(other.unpacked_bytes),
            read_bytes: self.read_bytes.saturating_add(other.read_bytes),
        }
    }
}

/// Where a partition is that is not the first one.
pub(super) fn directory_of(directory: &Path, partition: u8) -> PathBuf {
    directory.join(format!("partition-{partition}"))
}
