//! After a crash, and after the loss of what is only an index: everything that was acknowledged is there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod audit;
mod catalogue;
mod kill;
