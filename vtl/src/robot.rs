//! The changer's arm: elements are places in the store, and a drive's door is its logical unit.

use std::sync::Weak;

use vtl_changer::{DriveStatus, Element, MoveFailure, Occupant, Robot};
use vtl_drive::{MediumState, NotLoaded};
use vtl_media::{CartridgeKind, Place};
use vtl_scsi::sense::Asc;

use crate::elements::host_clock;
use crate::library::Library;

/// Carries out what the changer is told. The library owns the changer, so this only points back at it.
pub(crate) struct LibraryRobot(Weak<Library>);

impl LibraryRobot {
    pub(crate) fn new(library: Weak<Library>) -> Self {
        Self(library)
    }
}

impl Robot for LibraryRobot {
    fn occupant(&self, element: Element) -> Option<Occupant> {
        let library = self.0.upgrade()?;
        let is_source = |place: &&Place| place.library() == Some(&library.record.id);
        library.holdings().read_at(&place(&library, element)?, |entry| {
            // What came from another library has no source here: an operator has brought it.
            let source = entry.source.as_ref().filter(is_source).and_then(element_of);
            Occupant {
                volume_tag: entry.barcode.as_str().to_owned(),
                is_cleaning: entry.kind == CartridgeKind::Cleaning,
                is_import: matches!(element, Element::ImportExport(_)) && source.is_none(),
                source,
            }
        })
    }

    fn drive(&self, number: u16) -> Option<DriveStatus> {
        let library = self.0.upgrade()?;
        let record = library.record.drives.get(usize::from(number))?;
        let profile = library.site.models().drive(&record.profile)?;
        let snapshot = library.drive(number.into())?.drive_snapshot()?;
        let medium = snapshot.medium;
        let is_cleaning =
            snapshot.cleaning_until_ms.is_some_and(|until| host_clock().now_ms() < until);
        Some(DriveStatus {
            vendor: profile.vendor.to_owned(),
            product: profile.product.to_owned(),
            serial: record.serial.clone(),
            is_accessible: medium != MediumState::Ready && !is_cleaning,
            exception: match medium {
                MediumState::Refused(NotLoaded::Cleaning) => {
                    Some(Asc::CLEANING_CARTRIDGE_INSTALLED)
                }
                MediumState::Refused(NotLoaded::CleaningUsedUp) => Some(Asc::CLEANING_FAILED),
                MediumState::Refused(NotLoaded::WrongGeneration) => Some(Asc::INCOMPATIBLE_FORMAT),
                MediumState::Refused(NotLoaded::Locked) => Some(Asc::MANUAL_INTERVENTION_REQUIRED),
                MediumState::Refused(NotLoaded::Damaged) => Some(Asc::MEDIUM_FORMAT_CORRUPTED),
                MediumState::Empty | MediumState::Ready | MediumState::Unloaded => None,
            },
        })
    }

    fn move_medium(&mut self, from: Element, to: Element) -> Result<(), MoveFailure> {
        let library = self.0.upgrade().ok_or(MoveFailure::NotRecorded)?;
        let from = place(&library, from).ok_or(MoveFailure::SourceEmpty)?;
        let to = place(&library, to).ok_or(MoveFailure::DestinationFull)?;
        library.move_cartridge(&from, &to, "scsi")
    }

    fn exchange_medium(
        &mut self,
        from: Element,
        to: Element,
        second_to: Element,
    ) -> Result<(), MoveFailure> {
        let library = self.0.upgrade().ok_or(MoveFailure::NotRecorded)?;
        let from = place(&library, from).ok_or(MoveFailure::SourceEmpty)?;
        let to = place(&library, to).ok_or(MoveFailure::SourceEmpty)?;
        let second_to = place(&library, second_to).ok_or(MoveFailure::DestinationFull)?;
        library.exchange(&from, &to, &second_to, "scsi")
    }
}

/// Storage and import/export elements count from 1 in places, and from 0 in the changer.
fn place(library: &Library, element: Element) -> Option<Place> {
    let id = library.record.id.clone();
    match element {
        Element::Transport(_) => None,
        Element::Storage(number) => {
            Some(Place::Storage { library: id, number: u32::from(number) + 1 })
        }
        Element::ImportExport(number) => {
            Some(Place::ImportExport { library: id, number: u32::from(number) + 1 })
        }
        Element::Drive(number) => Some(Place::Drive { library: id, number: number.into() }),
    }
}

fn element_of(place: &Place) -> Option<Element> {
    let from_one = |number: &u32| u16::try_from(number.checked_sub(1)?).ok();
    match place {
        Place::Storage { number, .. } => from_one(number).map(Element::Storage),
        Place::ImportExport { number, .. } => from_one(number).map(Element::ImportExport),
        Place::Drive { number, .. } => u16::try_from(*number).ok().map(Element::Drive),
        Place::Shelf | Place::Offsite(_) => None,
    }
}
