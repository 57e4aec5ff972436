//! What the auxiliary memory tells of the cartridge's own life, and how attributes are changed.

use serde::{Deserialize, Serialize};

use super::{Cartridge, MediumError};
use crate::label::Label;
use crate::mam::Attribute;

/// How much data has gone through drives to and from a cartridge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumLife {
    /// Bytes of blocks that were written.
    pub written_bytes: u64,
    /// Bytes of blocks that were read.
    pub read_bytes: u64,
}

impl Cartridge {
    /// Changes attributes of a partition: all of them, or after an error none. `None` removes one; that it is not there is no
    /// error. They are durable when this returns.
    pub fn change_attributes(
        &mut self,
        partition: u8,
        changes: Vec<(u16, Option<Attribute>)>,
    ) -> Result<(), MediumError> {
        if self.writer.is_none() {
            return Err(MediumError::ReadOnly);
        }
        let mut mam = self.label.mam.clone();
        for (identifier, attribute) in changes {
            match attribute {
                Some(attribute) => mam.set_of(partition, identifier, attribute)?,
                None => {
                    mam.remove_of(partition, identifier);
                }
            }
        }
        let before = std::mem::replace(&mut self.label.mam, mam);
        if let Err(error) = self.label.write(self.disk.as_ref(), &self.directory) {
            self.label.mam = before;
            return Err(error.into());
        }
        Ok(())
    }

    /// The number that says whether a cartridge has been written since it was seen last: one more for each load in which it
    /// was.
    pub fn volume_change_reference(&self) -> u32 {
        let is_written = u32::from(self.is_written());
        self.label.volume_change_reference.saturating_add(is_written)
    }

    /// What has gone through drives in its life, this load included.
    pub fn life(&self) -> MediumLife {
        let traffic = self.traffic();
        let MediumLife { written_bytes, read_bytes } = self.label.life;
        MediumLife {
            written_bytes: written_bytes.saturating_add(traffic.accepted_bytes),
            read_bytes: read_bytes.saturating_add(traffic.given_bytes),
        }
    }

    /// A drive has loaded it. That is kept with the next label that is written, at the latest when it is unloaded.
    pub fn note_drive(&mut self, vendor: &str, serial: &str) {
        // Going on after the program was started again is no load, and the drive is noted already.
        if self.options.is_resumed && !self.label.drives.is_empty() {
            return;
        }
        self.label.drives.insert(0, format!("{vendor:8.8}{serial:32.32}"));
        self.label.drives.truncate(DRIVES_MAX);
    }

    /// Takes this load into the label that is about to be written.
    pub(super) fn close_memory(&mut self) {
        self.label.volume_change_reference = self.volume_change_reference();
        self.label.life = self.life();
    }

    fn is_written(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.queue.state().accepted.items != 0)
    }
}

/// A load that did not end in order has written if there are records behind those that were there when it began.
pub(super) fn count_unclean_load(label: &mut Label, recovered_sequence: u64) {
    if !label.is_clean && recovered_sequence > label.durable.sequence {
        label.volume_change_reference = label.volume_change_reference.saturating_add(1);
    }
}

/// As many attributes there are for them (020Ah to 020Dh).
const DRIVES_MAX: usize = 4;
