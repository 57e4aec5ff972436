//! `vtl pool|group|policy …` on the command line.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Kind, RulesRequest, Setting};

/// What can be done with pools.
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Make a pool: KEY=VALUE as in the document of rules, such as retention=30d low=3 create=5 scratch=scratch.
    Create {
        name: String,
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Change a pool, or which cartridges are in it. KEY= takes a key away.
    Set {
        name: String,
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Put cartridges into the pool: barcodes or patterns.
        #[arg(long, num_args = 1.., value_name = "BARCODE")]
        add: Vec<String>,
        /// Take cartridges out of it.
        #[arg(long, num_args = 1.., value_name = "BARCODE")]
        remove: Vec<String>,
    },
    /// List pools, with the cartridge that each would write next.
    List,
    /// Show a pool: its rules, how long each of its cartridges is kept, and what it lacks.
    Show { name: String },
    /// Delete a pool. One that has cartridges stays.
    Delete { name: String },
}

/// What can be done with groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group of cartridges that are handled all or none.
    Create {
        name: String,
        /// Barcodes or patterns such as 'MAIL*'.
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Change a group: say all its members anew, or KEY=VALUE.
    Set {
        name: String,
        #[arg(required = true, value_name = "MEMBER|KEY=VALUE")]
        members: Vec<String>,
    },
    /// List groups.
    List,
    /// Show a group with its cartridges.
    Show { name: String },
    /// Delete a group. The cartridges stay.
    Delete { name: String },
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Make a policy: KEY=VALUE as in the document of rules, such as pool=daily 'when={ age = "1d" }' verify=true copies=2.
    Create {
        name: String,
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Change a policy. KEY= takes a key away.
    Set {
        name: String,
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// List policies.
    List,
    /// Show a policy.
    Show { name: String },
    /// Delete a policy.
    Delete { name: String },
    /// Print the document of rules that is in force: all pools, groups and policies.
    Document,
    /// Put a document of rules in force, in the place of the one before. One with an error changes nothing.
    Apply { file: PathBuf },
    /// Say what the policies would do now, and why; with FILE, what those in it would do.
    Plan { file: Option<PathBuf> },
    /// Do what can be done: fill pools up, verify, ask for copies, eject.
    Run {
        /// Give up cartridges on disk too, where a policy says so and the copies have their receipts.
        #[arg(long)]
        free_disk: bool,
    },
}

impl PoolCommand {
    pub(crate) fn request(self) -> RulesRequest {
        let kind = Kind::Pool;
        let set = |name, settings, add, remove, is_new| {
            RulesRequest::Set(Setting { kind, name, settings, add, remove, is_new })
        };
        match self {
            Self::Create { name, settings } => set(name, settings, Vec::new(), Vec::new(), true),
            Self::Set { name, settings, add, remove } => set(name, settings, add, remove, false),
            Self::List => RulesRequest::List { kind },
            Self::Show { name } => RulesRequest::Show { kind, name },
            Self::Delete { name } => RulesRequest::Delete { kind, name },
        }
    }
}

impl GroupCommand {
    pub(crate) fn request(self) -> RulesRequest {
        let kind = Kind::Group;
        let set = |name, members: Vec<String>, is_new| {
            let (mut settings, members): (Vec<String>, Vec<String>) =
                members.into_iter().partition(|text| text.contains('='));
            if !members.is_empty() {
                let quoted: Vec<String> = members.iter().map(|one| format!("{one:?}")).collect();
                settings.push(format!("members=[{}]", quoted.join(", ")));
            }
            let new = Setting { kind, name, settings, is_new, ..Setting::default() };
            RulesRequest::Set(new)
        };
        match self {
            Self::Create { name, members } => set(name, members, true),
            Self::Set { name, members } => set(name, members, false),
            Self::List => RulesRequest::List { kind },
            Self::Show { name } => RulesRequest::Show { kind, name },
            Self::Delete { name } => RulesRequest::Delete { kind, name },
        }
    }
}

impl PolicyCommand {
    pub(crate) fn request(self) -> RulesRequest {
        let kind = Kind::Policy;
        let set = |name, settings, is_new| {
            RulesRequest::Set(Setting { kind, name, settings, is_new, ..Setting::default() })
        };
        match self {
            Self::Create { name, settings } => set(name, settings, true),
            Self::Set { name, settings } => set(name, settings, false),
            Self::List => RulesRequest::List { kind },
            Self::Show { name } => RulesRequest::Show { kind, name },
            Self::Delete { name } => RulesRequest::Delete { kind, name },
            Self::Document => RulesRequest::Document {},
            Self::Apply { file } => RulesRequest::Apply { file, document: String::new() },
            Self::Plan { file } => RulesRequest::Plan { file, document: None },
            Self::Run { free_disk } => RulesRequest::Run { free_disk },
        }
    }
}
