//! SAM and SPC: what every logical unit of the library has in common. No I/O, no clock, no transport.
//!
//! A transport hands a [`Task`] to a logical unit and gets exactly one [`Completion`] for it. A CHECK CONDITION is such a
//! completion, never a Rust error. Read [`Task`] and [`Completion`] first, then [`sense::Sense`], then [`device::Device`],
//! which says what a device type has to provide so that this room can do the rest: looking commands up in its table,
//! checking the CDB, reservations, unit attentions.
//!
//! ```
//! use vtl_scsi::{Completion, Status, sense::Sense};
//!
//! let completion = Completion::check_condition(Sense::invalid_operation_code());
//! assert_eq!(completion.status, Status::CHECK_CONDITION);
//! assert_eq!(completion.sense_bytes().get(2), Some(&0x05)); // ILLEGAL REQUEST
//! ```

pub mod cdb;
pub mod device;
pub mod log;
pub mod mode;
pub mod sense;
pub mod spc;
pub mod vpd;

mod buffer;
mod completion;
mod data_buffer;
mod diagnostic;
mod lun;
mod nexus;
mod persistent;
mod status;
mod task;
mod timestamp;
mod unit;

pub use buffer::{Buffer, BufferPool, HEADROOM_BYTES};
pub use completion::Completion;
pub use lun::Lun;
pub use nexus::{ItNexus, NexusName};
pub use persistent::{Keeper, Kept, PersistentReservations, ReservationType};
pub use status::Status;
pub use task::{Cdb, Rights, Task, TaskAttribute, TaskManagementFunction};
pub use timestamp::Clock;
pub use unit::LogicalUnit;
