//! Who the daemon is: started as root, it becomes a user without any right. Needs root; without it there is nothing to be seen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod socket;
mod user;
