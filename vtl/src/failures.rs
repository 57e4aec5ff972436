//! What the operator is told when a disk fails under a cartridge.

use tracing::error;
use vtl_media::MediumError;
use vtl_media::ledger::Event;

use crate::holdings::Holdings;
use crate::library::Library;

impl Library {
    /// Data that hosts had written to the cartridge in this drive may be lost: says so in the log, and in the ledger.
    pub(crate) fn note_failure(&self, drive: u16, failure: &MediumError) {
        let place = self.drive_place(drive);
        let entry = self.holdings().at(&place);
        let barcode = entry.as_ref().map_or("unknown", |entry| entry.barcode.as_str());
        let reason =
            std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "{failure}: {reason}. Cartridge {barcode} can only be read until it is loaded again, and has what was synced. \
             Look after the disk, unload the cartridge and load it again, then repeat what was written last"
        );
        error!(barcode, drive, message, "a write failed behind a drive");
        if let Holdings::Snapshot(_) = self.holdings() {
            return;
        }
        let cartridge = entry.as_ref().map(|entry| entry.uuid);
        let event = Event::Fault { cartridge, place: Some(place), message };
        if let Err(failure) = self.store.record(&event, "system") {
            error!(barcode, drive, %failure, "the ledger cannot be told of it");
        }
    }
}
