//! What the end-to-end suites share: the program as a child process, its command line, and an initiator of our own.
//!
//! Nothing here links to the product: the suites know it only by its binary, its sockets and its files, as users do. Read
//! [`Scene`] first, then [`Initiator`].
//!
//! A harness has nobody to report an error to but the test that uses it, so it panics, and says what it was doing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    reason = "a failure of the harness is a failed test"
)]

mod binary;
mod chap;
mod command_line;
mod daemon;
mod files;
mod initiator;
mod process;
mod scene;
mod scsi;
mod wire;

use std::time::{Duration, Instant};

pub use binary::binary;
pub use chap::{Chap, hex};
pub use command_line::{Ran, vtl};
pub use daemon::Daemon;
pub use files::{copy_tree, flip_bit_of, noise, tree};
pub use initiator::{Done, Initiator, Login, Residual};
pub use process::Usage;
pub use scene::Scene;
pub use scsi::{Sense, cdb};
pub use wire::{Pdu, Wire, login_pdu, opcode};

/// Asks again and again until there is an answer, and panics after the limit. The pause only spares the processor: no test
/// depends on its length.
pub fn poll<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
