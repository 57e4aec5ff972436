//! `vtl vault …` on the command line.

use std::path::PathBuf;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::VaultRequest;
use super::retire::Retired;
use super::write::WhereTo;

/// The way of copies off-site and back.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Say what is next for each copy, and who does it.
    Plan,
    /// Go on with what can be done: tapes with a receipt are taken out, and the pick list says which.
    Run(WhereTo),
    /// Put tapes that were taken out into a container and give it to the courier (default: all of them).
    Ship(Shipped),
    /// Note that the other site has a container.
    Receive(Received),
    /// Ask tapes back from the other site; a group's tapes come together.
    Recall(Recalled),
    /// Note what came back in a container, and compare it with what was asked back.
    Return(Returned),
    /// Say that a copy is lost for good, damaged or expired: it does not count any more, and its tape may be used again.
    Retire(Retired),
    /// List copies, with their state, container and dates.
    List {
        /// Only copies in this state, such as offsite or courier.
        #[arg(long)]
        state: Option<String>,
        /// Only what was shipped to this site.
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// Only what is or was in this container.
        #[arg(long, value_name = "NAME")]
        container: Option<String>,
    },
    /// List copies whose next step was expected by now and has not come.
    Overdue,
    /// Print the shipping manifest of a container, or the pick list of what is to be packed; --format csv or json.
    Manifest {
        container: Option<String>,
        /// Write it to a new file: .pdf with bars to be scanned, .txt or .csv.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// A container that leaves.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Shipped {
    /// Barcodes of tapes (default: all that were taken out). One that came back goes out again if it is named. Where two tapes have one
    /// label, write VTL001L9#2 for copy 2, or the medium's serial number.
    pub(crate) barcodes: Vec<String>,
    /// The container's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) container: String,
    /// The number of the seal on it.
    #[arg(long)]
    pub(crate) seal: String,
    /// The other site.
    #[arg(long, value_name = "offsite:NAME")]
    pub(crate) to: String,
    /// When it is expected there: a day, a time, or in how long, such as 2d.
    #[arg(long, value_name = "DATE")]
    pub(crate) expect: String,
    /// Only copies of this number.
    #[arg(long, value_name = "N")]
    pub(crate) copy: Option<u32>,
}

/// A container that has arrived.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Received {
    /// The container's name.
    pub(crate) container: String,
    /// The seal that was found on it; another one than it was shipped with is refused.
    #[arg(long)]
    pub(crate) seal: Option<String>,
    /// Why another seal is accepted all the same.
    #[arg(long, value_name = "REASON", requires = "seal")]
    pub(crate) accept: Option<String>,
    /// Tapes that are not in it: they are lost. Where two tapes have one label, write VTL001L9#2 for copy 2, or the medium's serial number.
    #[arg(long, num_args = 1.., value_name = "BARCODE")]
    pub(crate) missing: Vec<String>,
    /// When the tapes are to come back, if that is agreed.
    #[arg(long, value_name = "DATE")]
    pub(crate) return_by: Option<String>,
}

/// Tapes that are asked back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Recalled {
    /// Barcodes of tapes, or of the cartridges that they are copies of. Where two tapes have one label, write VTL001L9#2 for copy 2, or
    /// the medium's serial number.
    #[arg(required_unless_present = "container")]
    pub(crate) barcodes: Vec<String>,
    /// All tapes that were shipped in this container.
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// When they are expected here.
    #[arg(long, value_name = "DATE", required_unless_present = "call_off")]
    pub(crate) expect: Option<String>,
    /// Why they are needed.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only copies of this number.
    #[arg(long, value_name = "N")]
    pub(crate) copy: Option<u32>,
    /// Call the recall off: they stay there.
    #[arg(long, conflicts_with = "expect")]
    pub(crate) call_off: bool,
}

/// What came back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub(crate) struct Returned {
    /// Barcodes of all tapes that are in the container. Where two tapes have one label, write VTL001L9#2 for copy 2, or the medium's serial
    /// number.
    pub(crate) barcodes: Vec<String>,
    /// The container that they were shipped in.
    #[arg(long, value_name = "NAME")]
    pub(crate) container: String,
    /// Tapes that are in it and damaged.
    #[arg(long, num_args = 1.., value_name = "BARCODE")]
    pub(crate) damaged: Vec<String>,
}

impl VaultCommand {
    /// Whether the answer goes to a file.
    pub(crate) fn is_for_a_file(&self) -> bool {
        matches!(self, Self::Manifest { output: Some(_), .. })
    }

    pub(crate) fn request(self) -> VaultRequest {
        match self {
            Self::Plan => VaultRequest::Plan {},
            Self::Run(drives) => VaultRequest::Run(drives),
            Self::Ship(shipped) => VaultRequest::Ship(shipped),
            Self::Receive(received) => VaultRequest::Receive(received),
            Self::Recall(recalled) => VaultRequest::Recall(recalled),
            Self::Return(returned) => VaultRequest::Return(returned),
            Self::Retire(retired) => VaultRequest::Retire(retired),
            Self::List { state, site, container } => VaultRequest::List { state, site, container },
            Self::Overdue => VaultRequest::Overdue {},
            Self::Manifest { container, .. } => VaultRequest::Manifest { container },
        }
    }
}
