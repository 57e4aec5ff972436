//! What can be asked of the library, by the CLI and by anyone who speaks to the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::access::SecretText;
use crate::browse::{BrowseChoice, Piece};
use crate::drill::DrillRequest;
pub(crate) use crate::export_choice::ExportChoice;
use crate::fences::DrivesRequest;
pub(crate) use crate::imports::ImportChoice;
use crate::keys::KeysRequest;
use crate::receipts::ReceiptRequest;
use crate::retention::{HoldChange, NewDisposition, NewLock};
use crate::rules::RulesRequest;
use crate::vaulting::VaultRequest;

pub(crate) use crate::failure::{Failure, FailureKind};

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
    /// Cartridges whose keys are destroyed, and that are deleted then.
    TapeCryptoErase { barcodes: Vec<String> },
    /// Cartridges that are to be disposed of some day.
    TapeDisposition(NewDisposition),
    /// Cartridges that are due are given up, or listed.
    TapeDispose { barcodes: Vec<String>, due: bool },
    /// Keys of pools; the field `action` says what.
    Keys(KeysRequest),
    /// Cartridges on which nothing may be given up until a time.
    TapeLock(NewLock),
    /// Cartridges on which nothing may be given up until the hold is lifted.
    TapeHold(HoldChange),
    /// What has been on a cartridge: recovery points and generations.
    TapeHistory { barcode: String, limit: Option<usize> },
    /// Cartridges as they were: twins, or the cartridges themselves.
    TapeRewind(Rewind),
    /// A writable cartridge that begins with what another one is, without a copy.
    TapeClone {
        barcode: String,
        to: Option<String>,
        as_barcode: Option<String>,
        place: Option<String>,
    },
    /// A snapshot of cartridges.
    SnapshotCreate(SnapshotChoice),
    /// All snapshots.
    SnapshotList {},
    /// A snapshot as a library of its own, or not any more.
    SnapshotPresent { name: String, hide: bool },
    /// A snapshot away; the cartridges stay.
    SnapshotDelete { name: String },
    /// Pools, groups and policies; the field `action` says what.
    Rules(RulesRequest),
    /// Physical drives that have failed; the field `action` says what.
    Drives(DrivesRequest),
    /// Copies on their way off-site and back; the field `action` says what.
    Vault(VaultRequest),
    /// Cartridges read back from the disk.
    Verify {
        barcodes: Vec<String>,
        all: bool,
        #[serde(default)]
        group: Option<String>,
        share_percent: Option<u32>,
    },
    /// How far that is.
    VerifyProgress {},
    /// Rehearsals of recovery; the field `action` says what.
    Drill(DrillRequest),
    /// How well groups could be recovered now.
    Posture { group: Option<String> },
    /// A cartridge to a physical tape.
    Export(ExportChoice),
    /// A cartridge of a physical tape.
    Import(ImportChoice),
    /// How far exports and imports are.
    ExportProgress {},
    /// What lies on a cartridge.
    Browse(BrowseChoice),
    /// Bytes of a tape file.
    ReadPiece(Piece),
    /// A cartridge from a place, or named by its barcode, to a place.
    Move { from: String, to: String },
    /// A cartridge into a drive.
    Load {
        barcode: String,
        drive: u32,
        #[serde(default)]
        library: Option<String>,
    },
    /// What is in a drive, back to where it came from.
    Unload {
        drive: u32,
        #[serde(default)]
        library: Option<String>,
    },
    /// A library more.
    LibraryCreate(NewLibrary),
    /// All libraries.
    LibraryList {},
    /// Everything that is known of a library.
    LibraryShow { name: String },
    /// The last lines of the daemon's log.
    Log {},
    /// An initiator may use libraries.
    AccessAdd(NewAccess),
    /// All rules about initiators.
    AccessList {},
    /// An initiator may not use a library any more, or none.
    AccessRemove {
        initiator: String,
        #[serde(default)]
        library: Option<String>,
    },
    /// A new secret of an initiator, or of the target for that initiator.
    SecretNew {
        initiator: String,
        #[serde(default)]
        mutual: bool,
    },
    /// Compares the catalogue with ledger and labels.
    CatalogCheck {},
    /// Builds the catalogue anew from ledger and labels.
    CatalogRebuild {},
    /// The newest entries of the ledger, or those about one cartridge.
    AuditList { limit: Option<usize>, barcode: Option<String> },
    /// Reads the whole ledger back and checks its chain.
    AuditVerify {
        /// An earlier export.
        #[serde(default)]
        against: Option<String>,
    },
    /// The whole ledger, signed.
    AuditExport {},
    /// Something about receipts.
    Receipt { what: ReceiptRequest },
    /// The last commands of a logical unit: those behind a number, or the last `count`.
    Trace {
        unit: String,
        #[serde(default)]
        library: Option<String>,
        #[serde(default)]
        failures: bool,
        #[serde(default)]
        count: Option<usize>,
        #[serde(default)]
        after: Option<u64>,
    },
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
    /// Only cartridges in this state: empty, written, proved, cleaning, damaged, missing.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only what was not written for so long, such as 30d or 12h, or since a time such as 'yesterday 18:00'.
    #[arg(long, value_name = "TIME")]
    pub(crate) older_than: Option<String>,
    /// Only what was written within so long, or since a time.
    #[arg(long, value_name = "TIME")]
    pub(crate) newer_than: Option<String>,
    /// Only cartridges with so much data on them or more, such as 500GB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_size: Option<String>,
    /// Only cartridges with so much data on them or less.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<String>,
    /// Only data cartridges with fewer good copies on physical tape than this.
    #[arg(long, value_name = "N")]
    pub(crate) copies_below: Option<u32>,
    /// Only cartridges whose best copy is in this state, such as offsite.
    #[arg(long, value_name = "STATE")]
    pub(crate) copy_state: Option<String>,
    /// Sort by these keys of the JSON output, separated by commas (a leading - turns one around).
    #[arg(long, value_name = "KEY,…", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// The other way around.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Only the first so many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// A library to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLibrary {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub(crate) name: String,
    /// The model, or a file that describes one (`vtl profile list`).
    #[arg(long, value_name = "NAME|FILE", default_value = "ibm-03584l32")]
    pub(crate) profile: String,
    /// How many drives of the model's usual kind, or which: MODEL:N,MODEL:N.
    #[arg(long, value_name = "N|MODEL:N,…")]
    pub(crate) drives: String,
    /// How many storage elements.
    #[arg(long, value_name = "N")]
    pub(crate) slots: u32,
    /// How many import/export elements.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) mail: u32,
    /// What the file says.
    #[arg(skip)]
    #[serde(default)]
    pub(crate) profile_text: Option<String>,
}

/// An initiator that is let in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewAccess {
    /// Its iSCSI name, such as iqn.2026-11.com.example:backup.
    pub(crate) initiator: String,
    /// It has to prove who it is with CHAP. A secret is made and shown once if there is none.
    #[arg(long)]
    pub(crate) chap: bool,
    /// The library proves itself in return, with a secret of its own.
    #[arg(long, requires = "chap")]
    pub(crate) mutual: bool,
    /// The name that it goes by in CHAP (default: its iSCSI name).
    #[arg(long, value_name = "NAME", requires = "chap")]
    pub(crate) user: Option<String>,
    /// Its secret is the line in this file; - is standard input.
    #[arg(long, value_name = "FILE|-", requires = "chap")]
    #[serde(skip)]
    pub(crate) secret_file: Option<PathBuf>,
    /// The library's own secret is the line in this file.
    #[arg(long, value_name = "FILE|-", requires = "mutual")]
    #[serde(skip)]
    pub(crate) target_secret_file: Option<PathBuf>,
    /// What the file says.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<SecretText>,
    /// What the file says.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_secret: Option<SecretText>,
    /// Only this library; may be given several times (default: all that have no rule of their own for it).
    #[arg(long = "library", value_name = "NAME")]
    pub(crate) libraries: Vec<String>,
    /// The logical units that it sees, such as 0,1-2: 0 is the changer, drive 0 is 1 (default: all).
    #[arg(long, value_name = "LUNS")]
    pub(crate) luns: Option<String>,
    /// It may change nothing on a cartridge.
    #[arg(long)]
    pub(crate) read_only: bool,
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
    /// The media type, such as lto9, or lto9-worm for what can be written once; it gives the last two characters of the barcode.
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
    /// In the storage elements of which library (default: the first).
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub(crate) library: Option<String>,
}

/// Cartridges to be taken back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rewind {
    /// The cartridges.
    pub(crate) barcodes: Vec<String>,
    /// The members of this group, in place: all of them or none.
    #[arg(long, conflicts_with_all = ["barcodes", "all", "as_barcode"])]
    pub(crate) group: Option<String>,
    /// Every data cartridge, in place: what an attack or a mistake has done to all of them.
    #[arg(long)]
    pub(crate) all: bool,
    /// To which moment: a recovery point such as p120, a time, or how long ago, such as 2h or 'yesterday 18:00'.
    #[arg(long, value_name = "TIME|POINT")]
    pub(crate) to: String,
    /// The barcode of the read-only twin that is made (default: the first free one from RW0001 on).
    #[arg(long = "as", value_name = "NEWBARCODE")]
    pub(crate) as_barcode: Option<String>,
    /// The cartridge itself, and no twin of it. That can be taken back as well.
    #[arg(long)]
    pub(crate) in_place: bool,
}

/// What goes into a snapshot.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SnapshotChoice {
    /// The snapshot's name.
    pub(crate) name: String,
    /// The cartridges (default: the whole library).
    pub(crate) barcodes: Vec<String>,
    /// Only the cartridges of this pool.
    #[arg(long, conflicts_with = "barcodes")]
    pub(crate) pool: Option<String>,
    /// The members of this group, all or none, each as it was synced at one and the same moment.
    #[arg(long, conflicts_with_all = ["barcodes", "pool"])]
    pub(crate) group: Option<String>,
    /// A command, run by `sh` before, that holds still what is backed up. If it fails, the snapshot is made and marked as not quiesced.
    #[arg(long, value_name = "COMMAND", requires = "thaw")]
    #[serde(skip)]
    pub(crate) freeze: Option<String>,
    /// A command that lets it go on; it is run afterwards whatever happens.
    #[arg(long, value_name = "COMMAND")]
    #[serde(skip)]
    pub(crate) thaw: Option<String>,
    /// The longest that either may take.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = vtl_vault::Age::parse)]
    #[serde(skip)]
    pub(crate) hook_limit: Option<vtl_vault::Age>,
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_quiesced: Option<bool>,
    /// Until when it is held still: milliseconds since the machine was started.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) still_until_ms: Option<u64>,
}
