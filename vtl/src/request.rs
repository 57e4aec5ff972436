//! What can be asked of the library, by the CLI and by anyone who speaks to the control socket.

use serde::{Deserialize, Serialize};

/// One question or order. As JSON: `{"operation": "inventory", "pattern": "VTL0*"}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// What runs, and what is in the drives.
    Status {},
    /// The cartridges that match everything that is given, sorted by barcode unless told otherwise.
    Inventory(InventoryFilter),
    /// New cartridges.
    TapeCreate(NewTapes),
    /// Everything that is known of these cartridges.
    TapeShow { barcodes: Vec<String> },
    /// From elements to import/export elements, and from there to the shelf.
    TapeEject { barcodes: Vec<String>, to: Option<String> },
    /// From the shelf or an import/export element to storage elements.
    TapeInsert { barcodes: Vec<String>, to: Option<String> },
    /// Away for good. Cartridges with data on them only with `force`.
    TapeDelete { barcodes: Vec<String>, force: bool },
    /// A cartridge from a place, or named by its barcode, to a place.
    Move { from: String, to: String },
    /// A cartridge into a drive.
    Load { barcode: String, drive: u32 },
    /// What is in a drive, back to where it came from.
    Unload { drive: u32 },
    /// Compares the catalogue with ledger and labels.
    CatalogCheck {},
    /// Builds the catalogue anew from ledger and labels.
    CatalogRebuild {},
    /// The newest entries of the ledger, or those about one cartridge.
    AuditList { limit: Option<usize>, barcode: Option<String> },
    /// Reads the whole ledger back and checks its chain.
    AuditVerify {},
}

/// Which cartridges an inventory lists.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InventoryFilter {
    /// A barcode, or a pattern such as 'VTL0*' (* any characters, ? one character).
    pub(crate) pattern: Option<String>,
    /// Only this pool.
    #[arg(long)]
    pub(crate) pool: Option<String>,
    /// Only this group.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only what is there: slot, drive, mail, shelf or offsite, or one place such as slot:3.
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// Only cartridges in this state: empty, written, cleaning, damaged, missing.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only what was not written for so long, such as 30d or 12h.
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Sort by this key of the JSON output (a leading - turns the order around).
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
}

/// Cartridges to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewTapes {
    /// Barcodes of the new cartridges, in place of --count, --prefix and --start.
    pub(crate) barcodes: Vec<String>,
    /// How many.
    #[arg(long, default_value_t = 1)]
    pub(crate) count: u32,
    /// What the barcodes begin with; a number fills them up to six characters.
    #[arg(long, default_value = "VTL")]
    pub(crate) prefix: String,
    /// The first number (default: behind the highest that is taken).
    #[arg(long)]
    pub(crate) start: Option<u32>,
    /// The media type, such as lto9; it gives the last two characters of the barcode.
    #[arg(long = "type", value_name = "TYPE", default_value = "lto9")]
    pub(crate) media_type: String,
    /// The pool that they belong to.
    #[arg(long)]
    pub(crate) pool: Option<String>,
    /// Native capacity, such as 18TB or 100MiB (default: that of the media type).
    #[arg(long, value_name = "SIZE")]
    pub(crate) capacity: Option<String>,
    /// Where they go (default: free storage elements in order, then the shelf).
    #[arg(long, value_name = "PLACE")]
    pub(crate) to: Option<String>,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

/// What kind of failure; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailureKind {
    /// It was tried and did not work.
    Failed,
    /// The request makes no sense.
    Usage,
    /// A policy, a lock or a host forbids it.
    Refused,
    /// There is no such thing.
    NotFound,
    /// The medium or the device is damaged.
    Damaged,
}

impl FailureKind {
    /// The exit code of the program.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Damaged => 5,
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, message)
    }

    pub(crate) fn failed(message: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Failed, message.to_string())
    }
}
