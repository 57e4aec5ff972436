//! SSC: a sequential-access logical unit, as an LTO drive is one.
//!
//! A [`Drive`] takes [`vtl_scsi::Task`]s through [`vtl_scsi::device::execute`] and works on the [`vtl_media::Cartridge`]
//! that it was given. It turns what the cartridge says (a filemark, the end of data, early warning) into sense data, and
//! does no I/O of its own. Read [`Drive`] first, then `commands.rs`, which is the table of all that it knows.

mod access_order;
mod append_only;
mod attribute;
mod block_protection;
mod commands;
mod density;
mod device;
mod drive;
mod encryption;
mod explicit_address;
mod failure;
mod log_page;
mod medium;
mod mode_page;
mod motion;
mod partition;
mod position;
mod profile;
mod read;
mod sense;
mod statistics;
mod tape_alert;
mod verify;
mod vital_product_data;
mod write;

#[cfg(test)]
mod tests;

pub use drive::{Drive, MediumState, NotLoaded};
pub use log_page::Thermometer;
pub use profile::{Access, FileMeaning, Generation, MediumTypes, PageContent, Profile, VendorPage};
pub use vital_product_data::LibraryBay;
