//! Taking a cartridge up again after a write has failed.

use std::sync::Arc;

use super::{Cartridge, LoadError, LoadOptions};

impl Cartridge {
    /// Whether an earlier write failed, so that nothing more can be written until the cartridge is loaded again.
    pub fn is_fenced(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.queue.state().failure.is_some())
    }

    /// Loads it again, as it was loaded: what was synced is found by reading the journal, through files that are opened anew,
    /// since those on which a sync has failed would say that all is well. It is not counted as a load.
    pub fn reopen(self) -> Result<Self, LoadError> {
        let disk = Arc::clone(&self.disk);
        let directory = self.directory.clone();
        let options = LoadOptions { is_resumed: true, ..self.options.clone() };
        // Its thread has to be gone before another one writes there.
        let barcode = self.label.barcode.clone();
        let drives = self.label.drives.clone();
        drop(self);
        let mut cartridge = Self::load(disk, &directory, options).inspect_err(|error| {
            tracing::error!(%barcode, %error, "the cartridge cannot be loaded again after a write has failed");
        })?;
        cartridge.label.drives = drives;
        Ok(cartridge)
    }
}
