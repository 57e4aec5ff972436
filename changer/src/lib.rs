//! SMC: a media changer, its elements, and moves between them.
//!
//! A [`Changer`] takes [`vtl_scsi::Task`]s and knows nothing of where cartridges are kept: it asks a [`Robot`], which the
//! program implements. Read [`Changer`] and [`Robot`] first, then `commands.rs`, which is the table of all that it knows.

mod changer;
mod commands;
mod element;
mod element_status;
mod mode_page;
mod moves;
mod profile;

#[cfg(test)]
mod tests;

pub use changer::Changer;
pub use element::{Element, ElementMap};
pub use element_status::{DriveStatus, Occupant};
pub use moves::MoveFailure;
pub use profile::{
    DriveIdentifier, IdentifierForm, InquiryForm, Limits, Profile, SerialForm, VendorPage,
};

/// The library behind the changer: what is where, and the arm that moves it.
///
/// A move that is answered `Ok` is durable, and after any failure each medium is in exactly one element.
pub trait Robot: Send {
    /// What is in an element, if anything is.
    fn occupant(&self, element: Element) -> Option<Occupant>;
    /// A data transfer element, counted from 0, and the drive in it.
    fn drive(&self, number: u16) -> Option<DriveStatus>;
    /// Moves a medium.
    fn move_medium(&mut self, from: Element, to: Element) -> Result<(), MoveFailure>;
    /// Moves the medium of `to` to `second_to`, and the one of `from` to `to`, both or neither.
    fn exchange_medium(
        &mut self,
        from: Element,
        to: Element,
        second_to: Element,
    ) -> Result<(), MoveFailure>;
}
