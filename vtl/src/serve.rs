//! `vtl serve`: from an empty directory to a running library, and back to an orderly end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use vtl_media::disk::DirectoryDisk;
use vtl_media::{LibrarySpec, LoadOptions, Store, StoreOptions};
use vtl_scsi::BufferPool;

use crate::access;
use crate::config::Config;
use crate::control;
use crate::library::Library;
use crate::models::Models;
use crate::portal::Portal;
use crate::upkeep::{Plan, Upkeep};

/// Memory that is kept for the data of commands.
pub(crate) const POOL_BYTES: usize = 32 << 20;
/// More descriptors are of no use.
const MAX_DESCRIPTORS: u64 = 16 << 10;
/// How long initiators may take to log out when the program is asked to end.
const LOGOUT_LIMIT: Duration = Duration::from_secs(3);

/// The keys that hosts bring are in memory, and must not get to the disk with a core dump.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warn!(%error, "core dumps cannot be forbidden: one would hold the keys that hosts have set");
    }
}

/// Cartridges and connections need descriptors, and most systems give few unless they are asked.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(limit.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// Runs the library of a data directory until SIGTERM or SIGINT.
pub(crate) fn serve(directory: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    forbid_core_dumps();
    raise_descriptors();
    let store = Arc::new(Store::open(
        Arc::new(DirectoryDisk::new(directory)),
        directory,
        StoreOptions::default(),
    )?);
    let mut config = Config::read_or_create(directory)?;
    if let Some(listen) = listen {
        config.iscsi.listen = listen;
    }
    config.check_listen(&store.access_rules())?;
    access::check_secrets(directory)?;
    if store.libraries().is_empty() {
        let record = store.initialize(LibrarySpec::default()).context("cannot make the library")?;
        info!(directory = %directory.display(), target = record.iqn, "a new library");
    }
    let write_buffer_bytes =
        usize::try_from(config.drives.write_buffer_mib).context("write-buffer-mib")? << 20;
    let load_options = LoadOptions { write_buffer_bytes, ..LoadOptions::default() };
    let models = Arc::new(Models::of_directory(directory)?);
    let library = Library::power_on_with(store.clone(), load_options, models)?;
    library.access.start(config.listener(), &config.iscsi.chap_algorithms)?;
    let plan = Plan {
        keep: config.undo.keep,
        keep_bytes_max: config.undo.keep_bytes,
        scrub: config.verify.scrub,
        share_percent: config.verify.share,
    };
    library.set_undo_window(&match plan.keep.as_hours() {
        hours if hours % 24 == 0 => format!("{} days", hours / 24),
        hours => format!("{hours} hours"),
    });
    let upkeep = Upkeep::start(&library, plan).context("cannot start threads")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("portal")
        .build()
        .context("cannot start threads")?;
    let served = runtime.block_on(run(directory, &config, library.clone()));
    // Whatever ended it: everything goes to disk.
    upkeep.stop();
    library.power_off();
    control::remove(directory);
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(library);
    match Arc::into_inner(store) {
        Some(store) => store.close().context("cannot close the catalogue")?,
        None => {
            warn!(
                "somebody still holds the store; the catalogue will be checked at the next start"
            );
        }
    }
    info!("ended");
    served
}

async fn run(directory: &Path, config: &Config, library: Arc<Library>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = config.iscsi.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!(
            "cannot listen on {listen}; another program may have the port: --listen names another"
        )
    })?;
    let address = listener.local_addr()?;
    let control = control::serve(directory, library.clone())?;
    let portal = Portal::new(library.clone(), BufferPool::new(POOL_BYTES));
    library.note_portal(address);
    announce(address, &library.record.iqn);
    let control = tokio::spawn(control);
    let portal_task = tokio::spawn(portal.clone().listen(listener));
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM: ending"),
        _ = interrupt.recv() => info!("SIGINT: ending"),
    }
    portal_task.abort();
    portal.close(LOGOUT_LIMIT).await;
    control.abort();
    Ok(())
}

#[allow(
    clippy::print_stdout,
    reason = "the line that says where the library is goes to standard output"
)]
fn announce(address: SocketAddr, iqn: &str) {
    println!("ready iscsi={address} target={iqn}");
    eprintln!("Attach from Linux (package open-iscsi), as root:");
    eprintln!("  iscsiadm -m discovery -t sendtargets -p {address}");
    eprintln!("  iscsiadm -m node -T {iqn} -p {address} --login");
    eprintln!("  lsscsi -g");
    eprintln!("Attach from Windows, in PowerShell as administrator (service MSiSCSI running):");
    eprintln!(
        "  New-IscsiTargetPortal -TargetPortalAddress {} -TargetPortalPortNumber {}",
        address.ip(),
        address.port()
    );
    eprintln!("  Connect-IscsiTarget -NodeAddress {iqn} -IsPersistent $true");
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "systemd was not told");
    }
}
