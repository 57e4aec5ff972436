//! `vtl init --small`: a library for one machine and ten users, with everything on that is forgotten otherwise.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use vtl_media::disk::{DirectoryDisk, Disk};
use vtl_media::{CartridgeKind, LibrarySpec, Store, StoreOptions};
use vtl_vault::size;

use crate::client;
use crate::config::Config;
use crate::files;
use crate::identity;
use crate::request::{Failure, NewAccess, Request};
use crate::rules::RulesRequest;
use crate::runbook;

/// How it is made.
#[derive(Debug, clap::Args)]
pub(crate) struct InitOptions {
    /// For one machine and ten users: 2 drives and 20 cartridges that together fit on the disk, undo, reading back, and a drill every Sunday.
    #[arg(long, required = true)]
    small: bool,
    /// Where initiators connect (default: 127.0.0.1:3260, for this machine only). Another address needs --initiator.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The iSCSI name of a host that may log in, with CHAP; its secret is shown this once. May be given several times.
    #[arg(long = "initiator", value_name = "IQN")]
    initiators: Vec<String>,
}

/// The group that has everything.
const GROUP: &str = "all";
const RULES: &str = "# Made by `vtl init --small`. Change it with `vtl policy apply FILE`; `vtl policy document` prints it.\n\n\
    [group.all]\n\
    description = \"everything on this machine\"\n\
    members = [\"VTL*\"]\n\
    # What `vtl posture` holds it to.\n\
    recovery-time = \"8h\"\n\
    recovery-point = \"2d\"\n\
    # The recovery is rehearsed by itself: read back through iSCSI, and archives unpacked.\n\
    drill = \"Sun 04:00\"\n\
    drill-level = 3\n";
const READ_CARTRIDGE: &str = include_str!("../../tools/read-cartridge");
/// In the data directory: what to do when nothing else is left.
pub(crate) const RECOVERY: &str = "recovery";
/// So many hundredths of the disk are what all cartridges hold together; the rest is for undo.
const SHARE_PERCENT: u64 = 70;
const CAPACITY_MIN: u64 = 1_000_000_000;
/// A part of the disk that undo may take at most.
const UNDO_PERCENT: u64 = 20;

/// Makes the library, and says what to do next.
pub(crate) fn run(directory: &Path, options: &InitOptions) -> Result<Value, Failure> {
    debug_assert!(options.small, "there is no other kind yet");
    if directory.join("FORMAT").exists() {
        return Err(Failure::refused(format!(
            "there is a library in {} already; `vtl serve` runs it, and --data names another directory",
            directory.display()
        )));
    }
    let is_open = options.listen.is_some_and(|listen| !listen.ip().is_loopback());
    if is_open && options.initiators.is_empty() {
        return Err(Failure::usage(
            "--listen with an address that others reach needs --initiator: say which host may log in (on Linux its name is in \
             /etc/iscsi/initiatorname.iscsi)",
        ));
    }
    make_directory(directory)?;
    let total = make_library(directory, options.listen)?;
    let ask = |request| client::ask(directory, request);
    let apply = RulesRequest::Apply { file: PathBuf::from("init"), document: RULES.to_owned() };
    ask(Request::Rules(apply))?;
    let mut initiators = Vec::new();
    for initiator in &options.initiators {
        let new = NewAccess { initiator: initiator.clone(), chap: true, ..NewAccess::default() };
        initiators.push(ask(Request::AccessAdd(new))?);
    }
    let recovery = directory.join(RECOVERY);
    keep_tools(directory, &recovery)?;
    let listen = options.listen.map_or("127.0.0.1:3260".to_owned(), |listen| listen.to_string());
    let data = directory.display();
    Ok(json!({
        "directory": directory,
        "listens": listen,
        "initiators": initiators,
        "disk": size(total),
        "undo": "what is overwritten or erased can be brought back for 14 days",
        "scrub": "every cartridge is read back within a day, and again every 30 days",
        "drill": "every Sunday at 4 the recovery of everything is rehearsed and measured",
        "recovery": recovery,
        "next": [
            format!("vtl --data {data} serve"),
            "point the backup software at it: 2 drives, a changer, 20 cartridges; the log says how to attach".to_owned(),
            format!("print {}, and keep it and a copy of that directory where this disk is not", recovery.join("runbook.pdf").display()),
            format!("after the first backup: vtl --data {data} drill run {GROUP} ; vtl --data {data} posture"),
        ],
    }))
}

fn make_directory(directory: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| Failure::failed(format!("cannot make {}: {error}", directory.display())))
}

/// The store and the configuration; how big the disk is.
fn make_library(directory: &Path, listen: Option<SocketAddr>) -> Result<u64, Failure> {
    let failed = |error: anyhow::Error| Failure::failed(format!("{error:#}"));
    let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(directory));
    let store = Store::open(Arc::clone(&disk), directory, StoreOptions::default());
    let store = store.map_err(Failure::failed)?;
    identity::close_directory(directory).map_err(failed)?;
    let total = disk.total_bytes(directory).map_err(Failure::failed)?;
    let mut spec = LibrarySpec { drives: 2, ..LibrarySpec::default() };
    let count = spec.cartridges.iter().filter(|new| new.kind == CartridgeKind::Data).count();
    let count = u64::try_from(count).unwrap_or(1).max(1);
    let each = total / 100 * SHARE_PERCENT / count;
    for new in &mut spec.cartridges {
        // More than a cartridge of that kind holds in earnest would surprise.
        let native = vtl_media::store::native_capacity_bytes(&new.media_type).unwrap_or(u64::MAX);
        new.capacity_bytes = Some(each.clamp(CAPACITY_MIN, native.max(CAPACITY_MIN)));
    }
    let undo = total / 100 * UNDO_PERCENT;
    Config::create_small(directory, listen, undo).map_err(Failure::failed)?;
    store.initialize(spec).map_err(Failure::failed)?;
    store.close().map_err(Failure::failed)?;
    Ok(total)
}

/// The runbook, and what reads a cartridge without this program.
fn keep_tools(directory: &Path, recovery: &Path) -> Result<(), Failure> {
    make_directory(recovery)?;
    let tool = recovery.join("read-cartridge");
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&tool);
    written
        .and_then(|mut file| std::io::Write::write_all(&mut file, READ_CARTRIDGE.as_bytes()))
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", tool.display())))?;
    let text = runbook::text(directory, GROUP)?;
    files::create(&recovery.join("runbook.md"), text.as_bytes())?;
    files::create(&recovery.join("runbook.pdf"), &crate::pages::pdf(&text))
}
