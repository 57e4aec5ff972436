//! How fast a tape drive is over iSCSI, and how fast it could be: what `vtl bench` and the project's tools measure with.
//!
//! [`Tape`] is a drive as a host sees it, over a session of an [`Initiator`] that shares no code with the target; [`exchanges`] is
//! what the loopback alone can do, and [`Scratch`] what a plain file adds to it.

mod figures;
mod initiator;
mod tape;
mod yardstick;

pub use figures::{mb, median, percentiles, spread};
pub use initiator::{Done, Initiator};
pub use tape::{Sample, Tape, good, incompressible};
pub use yardstick::{Direction, Scratch, exchanges};
