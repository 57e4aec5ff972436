//! Real SCSI devices of this host, through the kernel's drivers for tapes (`/dev/nstN`) and for any SCSI device (`/dev/sgN`).
//!
//! This room asks and orders; what is to be done with tapes is decided elsewhere. It is the only one with unsafe code, which is one call
//! of the kernel in [`Device::send`]. Read [`Device`] and [`TapeDrive`] first.

mod attribute;
mod medium;
mod partition;
mod protection;
mod sense;
mod sg_io;
mod tape;

pub use attribute::MemoryAttribute;
pub use medium::{DriveFacts, ErrorCounters, MediumFacts, tape_alerts};
pub use partition::{DivideError, Division};
pub use protection::Protection;
pub use sense::Sense;
pub use sg_io::{Answer, Data, Device, DeviceError};
pub use tape::{Done, TapeDrive, TapeFault};
