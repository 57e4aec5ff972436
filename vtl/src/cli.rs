//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::BenchOptions;
use crate::browse::{BrowseChoice, RestoreOptions};
use crate::drill::DrillCommand;
use crate::fences::DrivesRequest;
use crate::keys::KeyCommand;
use crate::labels::LabelOptions;
use crate::receipts::ReceiptCommand;
use crate::request::{
    ExportChoice, ImportChoice, InventoryFilter, NewAccess, NewLibrary, NewTapes, Request, Rewind,
    SnapshotChoice,
};
use crate::retention::{HoldChange, NewDisposition, NewLock};
use crate::rules::{GroupCommand, PolicyCommand, PoolCommand};
use crate::runbook::RunbookOptions;
use crate::selftest::SelftestOptions;
use crate::small::InitOptions;
use crate::trace::TraceOptions;
use crate::vaulting::VaultCommand;

/// A tape library in one program: LTO drives and a media changer over iSCSI, cartridges as journals on disk.
#[derive(Debug, Parser)]
#[command(name = "vtl", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The data directory (default: /var/lib/vtl for root, else vtl in the user's data directory).
    #[arg(long, global = true, env = "VTL_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How the answer is printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// How the log is written: for people, as JSON, or to systemd's journal where it is there.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// journald under systemd, else human.
    Auto,
    /// Lines for people, on standard error.
    Human,
    /// One JSON object a line, on standard error.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the library until SIGTERM or SIGINT.
    Serve {
        /// Where initiators connect (default: what vtl.toml says, else 127.0.0.1:3260). Port 0 picks a free one.
        #[arg(long, value_name = "ADDR:PORT")]
        listen: Option<SocketAddr>,
        /// Started as root: become this user, for good, before anything is read. The data directory has to be his.
        #[arg(long, value_name = "NAME|UID")]
        user: Option<String>,
    },
    /// Make a library in an empty directory, with reading back and drills by the calendar, a runbook, and nobody let in by accident.
    Init(InitOptions),
    /// What runs, what is in the drives, how full it is, and what undo and proofs are like.
    Status {
        /// Again and again, until Ctrl-C.
        #[arg(long)]
        watch: bool,
    },
    /// Which cartridges there are, and where.
    Inventory(InventoryFilter),
    /// Make, show, take back, copy, eject, insert and delete cartridges.
    #[command(subcommand)]
    Tape(TapeCommand),
    /// Several libraries in one daemon, each with a target of its own.
    #[command(subcommand)]
    Library(LibraryCommand),
    /// The models that libraries and drives can have.
    #[command(subcommand)]
    Profile(ProfileCommand),
    /// Move a cartridge: FROM is a place or a barcode, TO a place (slot:1, mail:1, drive:0, shelf).
    Move { from: String, to: String },
    /// Put a cartridge into a drive.
    Load {
        barcode: String,
        drive: u32,
        /// The library of the drive (default: the one that the cartridge is in, else the first).
        #[arg(long, value_name = "NAME")]
        library: Option<String>,
    },
    /// Put the cartridge in a drive back to where it came from.
    Unload {
        drive: u32,
        /// The library of the drive (default: the first).
        #[arg(long, value_name = "NAME")]
        library: Option<String>,
    },
    /// Read cartridges back from the disk, past all caches: what is good is proved, what is damaged is named.
    Verify {
        barcodes: Vec<String>,
        /// Every data cartridge.
        #[arg(long)]
        all: bool,
        /// The members of this group, all or none.
        #[arg(long, value_name = "GROUP", conflicts_with_all = ["barcodes", "all"])]
        group: Option<String>,
        /// The most that this may take of the disk's time, in percent.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
        share: Option<u32>,
    },
    /// Write a cartridge to a physical tape, block for block, and prove that it can be read back from there.
    Export(ExportChoice),
    /// Make a cartridge of a physical tape, with everything that is on it. It lies in the shelf afterwards.
    Import(ImportChoice),
    /// What lies on a cartridge: its tape files, and the files in those that are tar or cpio archives.
    Browse(BrowseChoice),
    /// Get one file, or a directory, out of an archive on a cartridge.
    Restore(RestoreOptions),
    /// Cartridges as they were at a moment, without a copy; shown as a second, read-only library.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Keys of pools: what is written on their cartridges is encrypted on the disk.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Pools: which cartridge is written next, how long each is kept, and where new ones come from.
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Groups: cartridges that are handled all or none.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Policies: what happens to cartridges after the backup, and why.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Copies on physical tape on their way off-site and back.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Rehearse the recovery of a group: measured, with a signed report.
    #[command(subcommand)]
    Drill(DrillCommand),
    /// How well each group could be recovered now: how fast, from when, and what is missing. Exit code 1 if one is red.
    Posture {
        /// Only this group.
        group: Option<String>,
    },
    /// What to do to get a group back, to be printed before it is needed: with the library, without it, and from physical tape.
    Runbook(RunbookOptions),
    /// Real drives and changers of this host.
    #[command(subcommand)]
    Physical(PhysicalCommand),
    /// Receipts of copies on physical tape: signed proofs that a tape was read back and was right.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Make labels to be printed: Code 39, in the measures of LTO cartridges.
    Label(LabelOptions),
    /// Who may log in, and what he sees. Without any rule everybody on this machine may.
    #[command(subcommand)]
    Access(AccessCommand),
    /// Secrets for CHAP.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Check or rebuild the catalogue, which is an index of ledger and labels.
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// The ledger of everything that was done.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look for what could go wrong on this machine and in this library.
    Doctor {
        /// Write what a bug report needs to a new file (tar): versions, configuration, findings, log, traces, the end of the ledger,
        /// the state of the store. No data of cartridges, no key and no secret is in it.
        #[arg(long, value_name = "FILE")]
        bundle: Option<PathBuf>,
    },
    /// Show what a drive or the changer was asked lately, what it answered, and why something failed.
    Trace(TraceOptions),
    /// Say in words what sense data or a CDB means, without a library.
    Explain {
        /// Sense data (70 00 05 …, 5/24/00, or a line of a log) or the bytes of a CDB.
        #[arg(required = true, value_name = "SENSE|CDB")]
        what: Vec<String>,
    },
    /// Measure this machine and this disk with a library of its own, which is removed afterwards.
    Bench(BenchOptions),
    /// Send what backup software sends to a library of its own, and say which answers it would choke on.
    Selftest(SelftestOptions),
    /// Completions for a shell, on standard output.
    Completions { shell: clap_complete::Shell },
    /// The manual page, on standard output.
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TapeCommand {
    /// Make cartridges.
    Create(NewTapes),
    /// Show all that is known of cartridges.
    Show {
        #[arg(required = true)]
        barcodes: Vec<String>,
    },
    /// Show what has been on a cartridge: the recovery points that it can be taken back to.
    History {
        barcode: String,
        /// How many recovery points, the newest ones.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Take cartridges back to what they were, without a copy: a read-only twin in a free element, or the cartridge itself.
    Rewind(Rewind),
    /// Make a writable cartridge that begins with what another one is, without a copy.
    Clone {
        barcode: String,
        /// As it was at this moment (default: as it is).
        #[arg(long, value_name = "TIME|POINT")]
        to: Option<String>,
        /// The new barcode (default: the first free one from CL0001 on).
        #[arg(long = "as", value_name = "NEWBARCODE")]
        as_barcode: Option<String>,
        /// Where it goes.
        #[arg(long, value_name = "PLACE")]
        place: Option<String>,
    },
    /// Lock cartridges: until then nothing on them can be overwritten, erased, pruned or deleted, by a host or by anybody. A lock can be made longer, never shorter.
    Lock(NewLock),
    /// Hold cartridges, as for a lawsuit: nothing on them can be given up until the hold is lifted.
    Hold(HoldChange),
    /// Destroy the keys of encrypted cartridges, and delete them: nobody can read them any more, wherever a copy of their files may be. A signed
    /// certificate says so.
    CryptoErase {
        #[arg(required = true)]
        barcodes: Vec<String>,
    },
    /// Say when cartridges are to be disposed of. Nothing does that by itself.
    Disposition(NewDisposition),
    /// Give up cartridges that are due, each with a signed certificate. Refused under a lock or a hold.
    Dispose {
        #[arg(required_unless_present = "due")]
        barcodes: Vec<String>,
        /// Only list what is due.
        #[arg(long, conflicts_with = "barcodes")]
        due: bool,
    },
    /// Bring cartridges to import/export elements, and from there to the shelf.
    Eject {
        #[arg(required = true)]
        barcodes: Vec<String>,
        /// Where to.
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
    },
    /// Bring cartridges from the shelf or an import/export element to free storage elements.
    Insert {
        #[arg(required = true)]
        barcodes: Vec<String>,
        /// Where to.
        #[arg(long, value_name = "PLACE")]
        to: Option<String>,
    },
    /// Delete cartridges for good.
    Delete {
        #[arg(required = true)]
        barcodes: Vec<String>,
        /// Even if there is data on them.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LibraryCommand {
    /// Make a library.
    Create(NewLibrary),
    /// List libraries, in the order in which they were made.
    List,
    /// Show a library with its drives and element addresses.
    Show { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List models.
    List,
    /// Write what a real changer or drive answers to a file, for `vtl library create --profile`.
    Capture {
        /// The device, such as /dev/sg3 (lsscsi -g).
        device: PathBuf,
        /// The file, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Show a model, or what a file describes.
    Show {
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PhysicalCommand {
    /// List them, with their serial numbers, which drive sits in which library, and which is fenced because it has failed.
    List,
    /// Use a drive again that was fenced because it had failed.
    Clear { serial: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Take a snapshot of the whole library, of a pool, or of some cartridges.
    Create(SnapshotChoice),
    /// List snapshots.
    List,
    /// Show a snapshot as a library of its own, with its own target, for reading.
    Present {
        name: String,
        /// Do not show it any more; its sessions end.
        #[arg(long)]
        hide: bool,
    },
    /// Delete a snapshot. The cartridges stay.
    Delete { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Let an initiator in. Adding it again replaces what was there.
    Add(NewAccess),
    /// List rules.
    List,
    /// Shut an initiator out. Its sessions end; with its last rule its secrets are forgotten.
    Remove {
        initiator: String,
        /// Only the rule for this library.
        #[arg(long, value_name = "NAME")]
        library: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Print a new secret. With the name of an initiator it is stored as its secret; it is shown this once.
    New {
        initiator: Option<String>,
        /// The secret that the library proves itself with to this initiator.
        #[arg(long, requires = "initiator")]
        mutual: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Compare the catalogue with ledger and labels.
    Check,
    /// Build it anew.
    Rebuild,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List entries, the newest last.
    List {
        /// Only about this cartridge.
        #[arg(long)]
        barcode: Option<String>,
        /// How many at most.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Read the whole ledger back and check its chain, and that it has each entry that a receipt names.
    Verify {
        /// Also compare with an earlier export: a ledger that was put back or written anew is found by it.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Write the whole ledger to a new file, signed: `vtl receipt verify` checks it on any machine. Keep it where nobody here can change it.
    Export {
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

impl Command {
    /// The request that a command is, unless it is done without the library.
    pub(crate) fn request(self) -> Result<Request, Box<Self>> {
        Ok(match self {
            Self::Status { watch: false } => Request::Status {},
            Self::Inventory(filter) => Request::Inventory(filter),
            Self::Tape(command) => command.request(),
            Self::Snapshot(SnapshotCommand::Create(choice)) if choice.thaw.is_none() => {
                Request::SnapshotCreate(choice)
            }
            Self::Snapshot(SnapshotCommand::List) => Request::SnapshotList {},
            Self::Snapshot(SnapshotCommand::Present { name, hide }) => {
                Request::SnapshotPresent { name, hide }
            }
            Self::Snapshot(SnapshotCommand::Delete { name }) => Request::SnapshotDelete { name },
            Self::Verify { barcodes, all, group, share } => {
                Request::Verify { barcodes, all, group, share_percent: share }
            }
            Self::Posture { group } => Request::Posture { group },
            Self::Export(choice) => Request::Export(choice),
            Self::Import(choice) => Request::Import(choice),
            Self::Pool(command) => Request::Rules(command.request()),
            Self::Group(command) => Request::Rules(command.request()),
            Self::Policy(command) => Request::Rules(command.request()),
            Self::Vault(command) if !command.is_for_a_file() => Request::Vault(command.request()),
            Self::Physical(PhysicalCommand::Clear { serial }) => {
                Request::Drives(DrivesRequest::Clear { serial })
            }
            Self::Browse(choice) => Request::Browse(choice),
            Self::Move { from, to } => Request::Move { from, to },
            Self::Load { barcode, drive, library } => Request::Load { barcode, drive, library },
            Self::Unload { drive, library } => Request::Unload { drive, library },
            Self::Library(LibraryCommand::Create(new)) => Request::LibraryCreate(new),
            Self::Library(LibraryCommand::List) => Request::LibraryList {},
            Self::Library(LibraryCommand::Show { name }) => Request::LibraryShow { name },
            Self::Access(AccessCommand::Add(new)) => Request::AccessAdd(new),
            Self::Access(AccessCommand::List) => Request::AccessList {},
            Self::Access(AccessCommand::Remove { initiator, library }) => {
                Request::AccessRemove { initiator, library }
            }
            Self::Secret(SecretCommand::New { initiator: Some(initiator), mutual }) => {
                Request::SecretNew { initiator, mutual }
            }
            Self::Catalog(CatalogCommand::Check) => Request::CatalogCheck {},
            Self::Catalog(CatalogCommand::Rebuild) => Request::CatalogRebuild {},
            Self::Audit(AuditCommand::List { barcode, limit }) => {
                Request::AuditList { limit, barcode }
            }
            Self::Audit(AuditCommand::Verify { against: None }) => {
                Request::AuditVerify { against: None }
            }
            other => return Err(Box::new(other)),
        })
    }
}

impl TapeCommand {
    fn request(self) -> Request {
        match self {
            Self::Create(new) => Request::TapeCreate(new),
            Self::Show { barcodes } => Request::TapeShow { barcodes },
            Self::CryptoErase { barcodes } => Request::TapeCryptoErase { barcodes },
            Self::Disposition(new) => Request::TapeDisposition(new),
            Self::Dispose { barcodes, due } => Request::TapeDispose { barcodes, due },
            Self::Lock(new) => Request::TapeLock(new),
            Self::Hold(wanted) => Request::TapeHold(wanted),
            Self::Eject { barcodes, to } => Request::TapeEject { barcodes, to },
            Self::Insert { barcodes, to } => Request::TapeInsert { barcodes, to },
            Self::Delete { barcodes, force } => Request::TapeDelete { barcodes, force },
            Self::History { barcode, limit } => Request::TapeHistory { barcode, limit },
            Self::Rewind(rewind) => Request::TapeRewind(rewind),
            Self::Clone { barcode, to, as_barcode, place } => {
                Request::TapeClone { barcode, to, as_barcode, place }
            }
        }
    }
}
