//! `vtl vault …` on the command line.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Recalled, Received, Returned, Shipped, VaultRequest};

/// The way of copies off-site and back.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Say what is next for each copy, and who does it.
    Plan,
    /// Go on with what can be done: tapes with a receipt are taken out, and the pick list says which.
    Run {
        /// Write the next copy that was asked for to the tape in this drive (/dev/nstN) and prove it; nothing is taken out then.
        #[arg(long, value_name = "DEVICE")]
        to: Option<String>,
    },
    /// Put tapes that were taken out into a container and give it to the courier (default: all of them).
    Ship(Shipped),
    /// Note that the other site has a container.
    Receive(Received),
    /// Ask tapes back from the other site; a group's tapes come together.
    Recall(Recalled),
    /// Note what came back in a container, and compare it with what was asked back.
    Return(Returned),
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

impl VaultCommand {
    /// Whether the answer goes to a file.
    pub(crate) fn is_for_a_file(&self) -> bool {
        matches!(self, Self::Manifest { output: Some(_), .. })
    }

    pub(crate) fn request(self) -> VaultRequest {
        match self {
            Self::Plan => VaultRequest::Plan {},
            Self::Run { to } => VaultRequest::Run { to },
            Self::Ship(shipped) => VaultRequest::Ship(shipped),
            Self::Receive(received) => VaultRequest::Receive(received),
            Self::Recall(recalled) => VaultRequest::Recall(recalled),
            Self::Return(returned) => VaultRequest::Return(returned),
            Self::List { state, site, container } => VaultRequest::List { state, site, container },
            Self::Overdue => VaultRequest::Overdue {},
            Self::Manifest { container, .. } => VaultRequest::Manifest { container },
        }
    }
}
