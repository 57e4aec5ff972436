//! Real SCSI devices of this host, through the generic SCSI driver of Linux (`/dev/sgN`).
//!
//! This room asks devices and knows nothing of what they answer. It is the only one with unsafe code, which is one call of
//! the kernel in [`Device::read`]. Read [`Device`] first.

mod sg_io;

pub use sg_io::{Device, DeviceError};
