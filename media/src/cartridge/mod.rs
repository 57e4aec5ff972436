//! A cartridge: logical objects on an append-only journal.

mod spec;

pub use self::spec::{CartridgeFacts, CartridgeSpec};
