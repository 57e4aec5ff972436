//! Data in and out: order, sizes, residual counts, and the end of the tape.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod encryption;
mod full;
mod order;
mod pages;
mod residual;
mod transfer;
