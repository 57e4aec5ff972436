//! `vtl selftest`: sends what backup software sends, and says which answers a client of that kind would choke on.
//!
//! It talks iSCSI to a library of its own in a directory that is removed afterwards; no cartridge of anybody is touched. The initiator
//! is that of [`crate::measure`], which shares no code with the target, and what clients need is written from what is known of them, not from
//! what the target does. Read [`host`] first, then the clients, one file each.

mod amanda;
mod bacula;
mod host;
mod ltfs;
mod netbackup;
mod proxmox;
mod st;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};
use vtl_media::LibrarySpec;

use self::host::{Host, Row};
use crate::client;
use crate::measure::Initiator;
use crate::models::Models;
use crate::request::{Failure, NewTapes, Request};
use crate::stage::Stage;

/// Small enough to be filled in a moment, large enough for two partitions.
const CAPACITY: &str = "48MiB";

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Linux's tape driver, and whatever works through it.
    St,
    /// Bacula and Bareos.
    Bacula,
    /// Amanda, with mtx.
    Amanda,
    /// The LTFS reference implementation.
    Ltfs,
    /// Proxmox Backup Server.
    Proxmox,
    /// Software that finds out by itself which drive is where in which robot.
    #[value(help = "NetBackup and others that configure themselves")]
    Netbackup,
}

/// What is to be tested.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SelftestOptions {
    /// Which client (default: all of them).
    #[arg(long, value_enum)]
    pub(crate) profile: Option<Client>,
    /// With the models of this library, instead of those of --library-profile and --drive-profile.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["drive_profile", "library_profile"])]
    pub(crate) library: Option<String>,
    /// The model of the drive (default: the usual one of the library's model).
    #[arg(long, value_name = "MODEL")]
    pub(crate) drive_profile: Option<String>,
    /// The model of the library.
    #[arg(long, value_name = "MODEL")]
    pub(crate) library_profile: Option<String>,
    /// Where the library is made for the test (default: the system's temporary directory).
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Tests. The answer is a row for each check.
pub(crate) fn run(data: &Path, options: &SelftestOptions) -> Result<Value, Failure> {
    let models = Models::of_directory(data).map_err(|error| Failure::failed(error.to_string()))?;
    let (library, drive) = chosen(data, &models, options)?;
    let rows = examine(options, (library, drive), models)
        .map_err(|error| Failure::failed(format!("{error:#}")))?;
    Ok(Value::Array(rows.into_iter().map(Row::into_json).collect()))
}

/// The answer for people: of what is as it should be, only that it is.
pub(crate) fn brief(mut answer: Value) -> Value {
    for row in answer.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if row.get("verdict").and_then(Value::as_str) == Some("ok") {
            for key in ["sent", "came", "needs"] {
                row.insert(key.to_owned(), Value::Null);
            }
        }
    }
    answer
}

/// A failure if any check failed.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_bad = |row: &&Value| row.get("verdict").and_then(Value::as_str) != Some("ok");
    match rows.iter().filter(is_bad).count() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} of {} checks failed", rows.len()))),
    }
}

/// The models of library and drive.
fn chosen(
    data: &Path,
    models: &Models,
    options: &SelftestOptions,
) -> Result<(&'static vtl_changer::Profile, &'static vtl_drive::Profile), Failure> {
    let (mut library, mut drive) = (options.library_profile.clone(), options.drive_profile.clone());
    if let Some(name) = &options.library {
        let shown = client::ask(data, Request::LibraryShow { name: name.clone() })?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        library = shown.get("profile").and_then(text);
        drive = shown.pointer("/drives/0/profile").and_then(text);
    }
    let library = library.unwrap_or_else(|| LibrarySpec::default().changer_profile);
    let unknown = |name: &str| {
        Failure::usage(format!("there is no model {name}; `vtl profile list` shows the models"))
    };
    let library = models.library(&library).ok_or_else(|| unknown(&library))?;
    let drive = drive.unwrap_or_else(|| library.default_drive.to_owned());
    let drive = models.drive(&drive).ok_or_else(|| unknown(&drive))?;
    Ok((library, drive))
}

fn examine(
    options: &SelftestOptions,
    chosen: (&vtl_changer::Profile, &vtl_drive::Profile),
    models: Models,
) -> anyhow::Result<Vec<Row>> {
    let stage = prepare(options, chosen, models)?;
    let mut rows = Vec::new();
    let clients = Client::value_variants().iter();
    for client in clients.filter(|client| options.profile.is_none_or(|only| only == **client)) {
        let mut host = Host::new(log_in(&stage, "a")?, log_in(&stage, "b")?);
        client.test(&mut host).with_context(|| format!("the test for {}", client.name()))?;
        rows.append(&mut host.into_rows());
    }
    stage.close()?;
    Ok(rows)
}

/// The library, with a cartridge that the drive was made for.
fn prepare(
    options: &SelftestOptions,
    (library, drive): (&vtl_changer::Profile, &vtl_drive::Profile),
    models: Models,
) -> anyhow::Result<Stage> {
    let spec = LibrarySpec {
        changer_profile: library.name.to_owned(),
        drive_profile: drive.name.to_owned(),
        drives: 1,
        storage_elements: 4,
        import_export_elements: library.limits().import_export.min(1),
        cartridges: Vec::new(),
        ..LibrarySpec::default()
    };
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let is_given_up = Arc::new(AtomicBool::new(false));
    let stage = Stage::open(&parent, "vtl-selftest-", (spec, Arc::new(models)), &is_given_up)?;
    stage.ask(Request::TapeCreate(NewTapes {
        count: 1,
        prefix: "SELF".to_owned(),
        media_type: drive.generation.media_type.to_owned(),
        capacity: Some(CAPACITY.to_owned()),
        ..NewTapes::default()
    }))?;
    Ok(stage)
}

fn log_in(stage: &Stage, name: &str) -> anyhow::Result<Initiator> {
    let name = format!("iqn.2026-11.io.vtl:selftest-{name}");
    Initiator::login(&stage.portal(), &name, stage.target())
}

impl Client {
    fn test(self, host: &mut Host<'_>) -> anyhow::Result<()> {
        host.begin(&self.name())?;
        match self {
            Self::St => st::test(host),
            Self::Bacula => bacula::test(host),
            Self::Amanda => amanda::test(host),
            Self::Ltfs => ltfs::test(host),
            Self::Proxmox => proxmox::test(host),
            Self::Netbackup => netbackup::test(host),
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Row {
    fn into_json(self) -> Value {
        json!({
            "profile": self.client,
            "verdict": if self.is_ok { "ok" } else { "FAILS" },
            "check": self.check,
            "sent": self.sent,
            "came": self.came,
            "needs": self.needs,
        })
    }
}
