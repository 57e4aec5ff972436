//! What several of the tools need.

pub mod random;
