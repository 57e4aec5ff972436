//! What is said of a copy on physical tape: a manifest before the tape leaves the drive, a proof after it has been read back; both signed.

mod archive;
mod content;
mod document;
mod key;
mod sheet;
mod statement;
#[cfg(test)]
mod tests;

pub use self::archive::{Archive, ArchiveError};
pub use self::content::{
    Attribute, Counters, DriveIdentity, LedgerPoint, LeftOut, Manifest, Mismatch, Pass, Proof,
    Source, StackMember, StackPlace, Target,
};
pub use self::document::{Receipt, VerifiedReceipt};
pub use self::key::{NotAKey, PublicKey, SigningKey};
pub use self::sheet::how_to_read;
pub use self::statement::{Statement, VerifiedStatement};

use thiserror::Error;
use uuid::Uuid;

/// No receipt is longer: half a million sections.
pub const RECEIPT_BYTES_MAX: usize = 256 << 20;

/// Why there is no receipt, or a file is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It is another file.
    #[error("this is no receipt: a receipt begins with {{\"format\":\"vtl-receipt-1\",")]
    NotAReceipt,
    /// It is no statement either.
    #[error("this is no signed statement: one begins with {{\"format\":\"vtl-statement-1\",")]
    NotAStatement,
    /// A later program has made it.
    #[error(
        "this receipt has format {0}, which a later version of vtl has written: verify it with that"
    )]
    Newer(String),
    /// Somebody or something has changed it.
    #[error(
        "the receipt was ALTERED or is damaged: {0}. It proves nothing; get another copy of the file"
    )]
    Altered(&'static str),
    /// Another key than the one that was asked for has signed it.
    #[error(
        "key {signer} has signed this receipt, and not {wanted}: whoever has made it, it was not the owner of that key"
    )]
    OtherKey {
        /// The key's name.
        signer: String,
        /// The name of the one that was asked for.
        wanted: String,
    },
    /// What was read back is something else.
    #[error(
        "{barcode}: the tape does not hold what was written, and gets no receipt: {what}. Do not use it; export to another one"
    )]
    NotEqual {
        /// The cartridge that was copied.
        barcode: String,
        /// Where it differs.
        what: String,
    },
    /// Sums, roots or partitions contradict each other.
    #[error(
        "the sums of a partition are not those of its sections: whatever has made this made a mistake"
    )]
    WrongSums,
    /// One proof is enough.
    #[error("receipt {0} has its proof already")]
    ProvedAlready(Uuid),
    /// There are too many sections.
    #[error(
        "a receipt is not longer than 256 MiB, which is room for half a million sections between filemarks"
    )]
    TooLong,
    /// The system gave no randomness or no memory.
    #[error(
        "no key or signature could be made: the system's random numbers or its memory failed; try again"
    )]
    NoSignature,
}
