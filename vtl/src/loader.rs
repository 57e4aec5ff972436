//! A cartridge into a drive and out of it, by whichever thread runs the drive.

use std::sync::Arc;

use tracing::{error, info, warn};
use vtl_changer::MoveFailure;
use vtl_drive::{Drive, NotLoaded};
use vtl_media::{
    Barcode, CartridgeEntry, CartridgeFacts, CartridgeKind, Cleaning, LoadError, LoadOptions,
};

use crate::holdings::Holdings;

/// All that it takes to load a cartridge.
#[derive(Debug, Clone)]
pub(crate) struct Loader {
    pub(crate) holdings: Arc<Holdings>,
    /// How cartridges are loaded, except for whether they lay in the drive.
    pub(crate) options: LoadOptions,
}

impl Loader {
    /// Threads a cartridge, or takes up one that lay in the drive when the program ended. One that cannot be loaded stays
    /// in the drive's door, and the drive says why.
    pub(crate) fn load(
        &self,
        drive: &mut Drive,
        number: u16,
        entry: &CartridgeEntry,
        is_resumed: bool,
    ) {
        if entry.kind == CartridgeKind::Cleaning {
            return self.clean(drive, number, entry, is_resumed);
        }
        if drive.profile().access(&entry.media_type) == vtl_drive::Access::None {
            warn!(barcode = %entry.barcode, drive = number, media = entry.media_type, model = drive.profile().product,
                "the drive cannot read cartridges of this generation");
            return drive.refuse(NotLoaded::WrongGeneration);
        }
        let options = LoadOptions { is_resumed, ..self.options.clone() };
        match self.holdings.load(entry, options) {
            Ok(cartridge) => {
                info!(barcode = %entry.barcode, drive = number, "loaded");
                drive.insert(cartridge);
            }
            Err(LoadError::AtRest(closed)) => {
                error!(barcode = %entry.barcode, drive = number, %closed, "the cartridge cannot be loaded");
                drive.refuse(NotLoaded::Locked);
            }
            Err(failure) => {
                let failure = format!("{:#}", anyhow::Error::from(failure));
                error!(barcode = %entry.barcode, drive = number, failure, "the cartridge cannot be loaded");
                drive.refuse(NotLoaded::Damaged);
            }
        }
    }
}

impl Loader {
    /// Cleans the drive, if the cartridge can still do it. After a start of the program it has been done before.
    fn clean(&self, drive: &mut Drive, number: u16, entry: &CartridgeEntry, is_resumed: bool) {
        match self.holdings.use_for_cleaning(entry, is_resumed) {
            Ok(Cleaning::Cleans { uses_left }) => {
                info!(barcode = %entry.barcode, drive = number, uses_left, "cleaning cartridge in the drive");
                if is_resumed { drive.refuse(NotLoaded::Cleaning) } else { drive.clean() }
            }
            Ok(Cleaning::UsedUp) => {
                warn!(barcode = %entry.barcode, drive = number, "the cleaning cartridge is used up");
                drive.refuse(NotLoaded::CleaningUsedUp);
            }
            Err(failure) => {
                let failure = format!("{failure:#}");
                error!(barcode = %entry.barcode, drive = number, failure, "the cleaning cartridge cannot be used");
                drive.refuse(NotLoaded::Damaged);
            }
        }
    }
}

/// Takes the cartridge out, with everything on disk.
pub(crate) fn remove(
    drive: &mut Drive,
    barcode: &Barcode,
) -> Result<Option<CartridgeFacts>, MoveFailure> {
    if drive.refuses_removal() {
        return Err(MoveFailure::RemovalPrevented);
    }
    if drive.is_cleaning() {
        warn!(%barcode, "the drive is being cleaned and keeps the cartridge");
        return Err(MoveFailure::DriveHoldsMedium);
    }
    drive.prepare_removal().map_err(|failure| {
        error!(%barcode, %failure, "the drive keeps the cartridge: not everything is on disk");
        MoveFailure::DriveHoldsMedium
    })?;
    drive.remove().or_else(|failure| {
        error!(%barcode, %failure, "the label could not be closed; what was synced is there");
        Ok(None)
    })
}
