//! The command line: what it prints, how it ends, and that it says the same with a daemon and without one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod both;
mod bundle;
mod diagnosing;
mod inventory;
mod labels;
mod measuring;
mod receipts;
mod refusals;
mod serving;
mod small;
