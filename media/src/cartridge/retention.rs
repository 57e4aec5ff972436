//! Locks and holds: the label has them too, so that a cartridge protects itself wherever it is.

use super::{Cartridge, MediumError, Volume};
use crate::label::{Label, LabelError};
use crate::retention::Retention;

impl Label {
    /// What is locked and held from now on.
    fn set_retention(&mut self, retention: Retention) {
        self.retained_until = retention.until;
        self.hold = retention.hold;
        self.governed_until = retention.governed_until;
        self.dispose_after = retention.dispose_after;
    }
}

impl Cartridge {
    /// Whether retention or a hold keeps everything that ever was on the cartridge.
    pub(super) fn is_kept_whole(&self) -> bool {
        self.check_retention().is_err()
    }

    /// Refuses to give anything up while the cartridge is locked or held.
    pub(super) fn check_retention(&self) -> Result<(), MediumError> {
        // Most cartridges are neither, and need no clock.
        let label = &self.label;
        if label.hold.is_none() && label.retained_until.is_none() && label.governed_until.is_none()
        {
            return Ok(());
        }
        let reason = self.retention().reason((self.options.compliance)());
        reason.map_or(Ok(()), |reason| Err(MediumError::Locked { reason }))
    }

    /// What the label says.
    pub fn retention(&self) -> Retention {
        Retention {
            until: self.label.retained_until,
            hold: self.label.hold.clone(),
            governed_until: self.label.governed_until,
            dispose_after: self.label.dispose_after,
        }
    }

    fn set_retention(&mut self, retention: &Retention) -> Result<(), MediumError> {
        // A twin that is only read can be held all the same; what is looked at for somebody else cannot.
        let is_itself = !self.options.read_only && self.options.at.is_none();
        if self.writer.is_none() && !(self.label.read_only && is_itself) {
            return Err(MediumError::ReadOnly);
        }
        let before = self.retention();
        self.label.set_retention(retention.clone());
        if let Err(error) = self.label.write(self.disk.as_ref(), &self.directory) {
            self.label.set_retention(before);
            return Err(error.into());
        }
        Ok(())
    }
}

impl Volume {
    /// Writes a lock or a hold into the labels of all partitions.
    pub fn set_retention(&mut self, retention: &Retention) -> Result<(), MediumError> {
        self.each_mut().try_for_each(|cartridge| cartridge.set_retention(retention))
    }

    /// The same on the disk alone, of what is in no drive and cannot be opened to be written: a lock needs no key.
    pub(crate) fn label_retention(&self, retention: &Retention) -> Result<(), LabelError> {
        self.each().try_for_each(|cartridge| {
            let (disk, directory) = (cartridge.disk.as_ref(), cartridge.directory.as_path());
            let mut label = Label::read(disk, directory)?;
            label.set_retention(retention.clone());
            label.write(disk, directory)
        })
    }
}
