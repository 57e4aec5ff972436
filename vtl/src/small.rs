//! `vtl init --small`: a library for one machine and ten users, with all that a small shop forgets: reading back and rehearsing by the
//! calendar, a runbook on paper, and nobody let in from outside who has not proved who he is.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use vtl_media::disk::DirectoryDisk;
use vtl_media::{LibrarySpec, Store, StoreOptions};

use crate::access;
use crate::config;
use crate::identity;
use crate::library::Library;
use crate::models::Models;
use crate::request::{Failure, NewAccess};
use crate::runbook;
use crate::undo::explain;

/// How a library is made.
#[derive(Debug, clap::Args)]
pub(crate) struct InitOptions {
    /// With what suits one machine and ten users.
    #[arg(long, required = true)]
    small: bool,
    /// Where initiators connect. Elsewhere than on this machine each has to prove who it is, and --initiator says who that is.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:3260")]
    listen: SocketAddr,
    /// Only let this initiator in, with CHAP; its secret is made and shown once. May be given several times.
    #[arg(long, value_name = "IQN")]
    initiator: Vec<String>,
}

const GROUP: &str = "everything";
const DRILL: &str = "Sun 04:00";
/// Archives are unpacked.
const LEVEL: u8 = 3;
const KEEP: &str = "14d";
const SCRUB: &str = "30d";
/// What may be in a directory that is used for nothing yet.
const MOUNT_POINT: &str = "lost+found";
/// Under such names the runbook is in the data directory.
const RUNBOOKS: [&str; 2] = ["runbook.pdf", "runbook.md"];

/// Makes it, and says what there is now and what comes next.
pub(crate) fn run(directory: &Path, options: &InitOptions) -> Result<Value, Failure> {
    let is_local = options.listen.ip().is_loopback();
    check_free(directory)?;
    if !is_local && options.initiator.is_empty() {
        return Err(Failure::usage(format!(
            "{} can be reached from other machines: say with --initiator IQN which of them may log in (on Linux its name is in \
             /etc/iscsi/initiatorname.iscsi); nothing was made",
            options.listen
        )));
    }
    for initiator in &options.initiator {
        access::initiator_name(initiator)?;
    }
    identity::act_as_owner(directory).map_err(|error| Failure::failed(format!("{error:#}")))?;
    let (target, admitted) = make(directory, options)?;
    identity::close_directory(directory).map_err(|error| Failure::failed(format!("{error:#}")))?;
    let reader = directory.join(runbook::READER_NAME);
    runbook::write_reader(&reader)?;
    let runbooks = RUNBOOKS.map(|name| directory.join(name));
    for file in &runbooks {
        runbook::write(directory, GROUP, None, file)?;
    }
    Ok(told(directory, options, &target, &admitted))
}

/// Nothing that is there is touched.
fn check_free(directory: &Path) -> Result<(), Failure> {
    let shown = directory.display();
    if directory.join("FORMAT").exists() {
        return Err(Failure::refused(format!(
            "{shown} is a library already; `vtl --data {shown} serve` runs it. Nothing was changed"
        )));
    }
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Failure::failed(format!("{shown}: {error}")))?,
    };
    for entry in entries {
        let name = entry.map_err(|error| Failure::failed(format!("{shown}: {error}")))?.file_name();
        if name != MOUNT_POINT {
            return Err(Failure::refused(format!(
                "{shown} is not empty ({}): name a directory of its own with --data. Nothing was changed",
                name.display()
            )));
        }
    }
    Ok(())
}

/// The library, its rules, and who may log in: the target's name, and the secrets that were made.
fn make(directory: &Path, options: &InitOptions) -> Result<(String, Vec<Value>), Failure> {
    let store =
        Store::open(Arc::new(DirectoryDisk::new(directory)), directory, StoreOptions::default());
    let store = Arc::new(store.map_err(Failure::failed)?);
    let listen = format!("\"{}\"", options.listen);
    let [keep, scrub] = [KEEP, SCRUB].map(|age| format!("\"{age}\""));
    config::write_new(directory, &[("listen", &listen), ("keep", &keep), ("scrub", &scrub)])
        .map_err(Failure::failed)?;
    let record = store.initialize(LibrarySpec::default()).map_err(Failure::failed)?;
    let actor = format!("init uid {}", rustix::process::geteuid().as_raw());
    store.apply_rules(&rules(), &actor).map_err(|error| explain(&error))?;
    let models =
        Models::of_directory(directory).map_err(|error| Failure::failed(error.to_string()))?;
    let library =
        Library::offline(Arc::clone(&store), Arc::new(models)).map_err(Failure::failed)?;
    let library = Arc::new(library);
    let admit = |initiator: &String| {
        let (initiator, chap) = (initiator.clone(), true);
        access::add(&library, &NewAccess { initiator, chap, ..NewAccess::default() }, &actor)
    };
    let mut admitted: Vec<Value> = options.initiator.iter().map(admit).collect::<Result<_, _>>()?;
    for row in admitted.iter_mut().filter_map(Value::as_object_mut) {
        row.retain(|name, _| ["initiator", "user", "secret"].contains(&name.as_str()));
    }
    drop(library);
    if let Some(store) = Arc::into_inner(store) {
        store.close().map_err(Failure::failed)?;
    }
    Ok((record.iqn, admitted))
}

/// The first document of rules.
fn rules() -> String {
    format!(
        "# Made by `vtl init --small`. `vtl policy document` prints it, and `vtl policy apply FILE` puts another one in its place.\n\
         [group.{GROUP}]\n\
         description = \"all cartridges\"\n\
         members = [\"*\"]\n\
         # The newest backup is younger than this, also after a long weekend, or `vtl posture` is red.\n\
         recovery-point = \"4d\"\n\
         recovery-time = \"1d\"\n\
         # The daemon rehearses the recovery of all of it.\n\
         drill = \"{DRILL}\"\n\
         drill-level = {LEVEL}\n"
    )
}

fn told(directory: &Path, options: &InitOptions, target: &str, admitted: &[Value]) -> Value {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let data = identity::quoted(&directory.display().to_string());
    let runbook: PathBuf = RUNBOOKS.iter().take(1).map(|name| directory.join(name)).collect();
    let who = match (options.listen.ip().is_loopback(), admitted.is_empty()) {
        (true, true) => "whoever is on this machine",
        _ => {
            "only the initiators above, with CHAP: write their secrets down now, they are not shown again"
        }
    };
    json!({
        "directory": directory,
        "target": target,
        "listen": options.listen,
        "initiators": admitted,
        "who_may_log_in": who,
        "drives": LibrarySpec::default().drives,
        "cartridges": "VTL001L9 to VTL020L9, and CLN001L9 to clean drives with",
        "overwritten_data_is_kept": KEEP,
        "read_back_when_the_proof_is_older_than": SCRUB,
        "group": format!("{GROUP}: all cartridges"),
        "drill": format!("{DRILL}, level {LEVEL}"),
        "runbook": format!("{}: print it, and make it anew after each change", runbook.display()),
        "reads_cartridges_without_vtl": directory.join(runbook::READER_NAME),
        "next": [
            format!("vtl --data {data} serve"),
            format!("vtl --data {data} doctor"),
            format!("vtl --data {data} drill run {GROUP}     # after the first backup; then: vtl posture"),
        ],
    })
}
