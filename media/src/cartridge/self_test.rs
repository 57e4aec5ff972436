//! Whether the disk takes what is written.

use super::{Cartridge, MediumError};

impl Cartridge {
    /// Brings everything to disk that was accepted, and writes the label anew with what it says already. Nothing is changed,
    /// and the position stays. A cartridge that cannot be written is not touched.
    pub fn test_disk(&mut self) -> Result<(), MediumError> {
        if self.is_read_only() {
            return Ok(());
        }
        self.sync()?;
        Ok(self.label.write(self.disk.as_ref(), &self.directory)?)
    }
}
