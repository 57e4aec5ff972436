//! Media management: what happens to a cartridge after the backup is done.
//!
//! This room decides and proves; it opens no device and no socket. A physical drive is whoever implements its trait for one, the ledger
//! is `vtl_media`'s, and time is an argument. Read [`Digester`] and [`Manifest`] first.

mod digest;
mod export;
mod receipt;

pub use digest::{Digester, Hash, PartitionDigest, Section, SectionEnd};
pub use export::{
    Contents, ExportError, Exported, Exports, Medium, Order, Tape, TapeError, TapeRead, Watcher,
};
pub use receipt::{
    Attribute, Counters, DriveIdentity, LedgerPoint, Manifest, Mismatch, Pass, Proof, Source,
    Target,
};
