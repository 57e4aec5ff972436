//! A connection and an initiator in memory, with a clock that stands still until it is moved.

#![allow(
    clippy::cast_possible_truncation,
    clippy::similar_names,
    reason = "lengths in tests are small, and the names of the standard are alike"
)]

mod chap;
mod crowd;
mod data_in;
mod data_out;
mod hostile;
mod login;
mod memory;
mod order;
mod pair;
mod session;
mod task_management;
