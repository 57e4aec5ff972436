//! Peers that are broken or mean harm, over real TCP. After each of them a well-behaved one is served.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod commands;
mod control;
mod cut;
mod limits;
mod login;
mod management;
mod pdus;
mod suite;
