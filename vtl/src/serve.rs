//! `vtl serve`: from an empty directory to a running library, and back to an orderly end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use vtl_media::disk::DirectoryDisk;
use vtl_media::{LibrarySpec, LoadOptions, Store, StoreOptions};
use vtl_scsi::BufferPool;

use crate::access;
use crate::config::Config;
use crate::control;
use crate::drill;
use crate::identity::{self, User};
use crate::imports;
use crate::library::Library;
use crate::models::Models;
use crate::portal::Portal;
use crate::targets::Layout;
use crate::upkeep::{Plan, Upkeep};

/// Memory that is kept for the data of commands.
pub(crate) const POOL_BYTES: usize = 32 << 20;
/// More descriptors are of no use.
const MAX_DESCRIPTORS: u64 = 16 << 10;
/// How long initiators may take to log out when the program is asked to end.
const LOGOUT_LIMIT: Duration = Duration::from_secs(3);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The keys that hosts bring are in memory, and must not get to the disk with a core dump, nor to a debugger or another process of
/// the same user by way of `/proc`.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warn!(%error, "core dumps cannot be forbidden: one would hold the keys that hosts have set");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "processes of the same user can read the keys that hosts have set");
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
pub(crate) fn serve(
    directory: &Path,
    listen: Option<SocketAddr>,
    user: Option<&str>,
) -> anyhow::Result<()> {
    raise_descriptors();
    // What the command line names may need root; what the configuration names is read as the one whose it is.
    let socket = listen.map(bind).transpose()?;
    if let Some(user) = user {
        identity::become_user(&User::find(user)?, directory)?;
    }
    identity::settle()?;
    // Whoever becomes another user is dumpable again.
    forbid_core_dumps();
    let store = Arc::new(Store::open(
        Arc::new(DirectoryDisk::new(directory)),
        directory,
        StoreOptions::default(),
    )?);
    identity::close_directory(directory)?;
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
    imports::forget_half_imports(&store);
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
    let served = runtime.block_on(run(directory, &config, socket, library.clone()));
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

/// Takes the address; nobody can connect before it is listened on.
fn bind(listen: SocketAddr) -> anyhow::Result<Socket> {
    let bound = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        Ok(socket)
    };
    bound().with_context(|| cannot_listen(listen))
}

fn cannot_listen(listen: SocketAddr) -> String {
    let hint = match listen.port() {
        1..1024 => "such a port needs root: --listen and --user take it before root is left",
        _ => "another program may have the port: --listen names another",
    };
    format!("cannot listen on {listen}; {hint}")
}

async fn run(
    directory: &Path,
    config: &Config,
    socket: Option<Socket>,
    library: Arc<Library>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = config.iscsi.listen;
    let socket = socket.map_or_else(|| bind(listen), Ok)?;
    // Another one may have come in between, as both only had taken the address so far.
    socket.listen(BACKLOG).with_context(|| cannot_listen(listen))?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    let control = control::serve(directory, library.clone())?;
    let portal = Portal::new(library.clone(), config.target.layout, BufferPool::new(POOL_BYTES));
    library.note_portal(address);
    drill::clean_up(&library);
    announce(address, &library.record.iqn, config.target.layout);
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
fn announce(address: SocketAddr, iqn: &str, layout: Layout) {
    println!("ready iscsi={address} target={iqn}");
    eprintln!("Attach from Linux (package open-iscsi), as root:");
    eprintln!("  iscsiadm -m discovery -t sendtargets -p {address}");
    match layout {
        Layout::PerLibrary => eprintln!("  iscsiadm -m node -T {iqn} -p {address} --login"),
        Layout::PerDevice => eprintln!("  iscsiadm -m node -p {address} --login"),
    }
    eprintln!("  lsscsi -g");
    eprintln!("Attach from Windows, in PowerShell as administrator (service MSiSCSI running):");
    eprintln!(
        "  New-IscsiTargetPortal -TargetPortalAddress {} -TargetPortalPortNumber {}",
        address.ip(),
        address.port()
    );
    match layout {
        Layout::PerLibrary => {
            eprintln!("  Connect-IscsiTarget -NodeAddress {iqn} -IsPersistent $true");
        }
        Layout::PerDevice => {
            eprintln!("  Get-IscsiTarget | Connect-IscsiTarget -IsPersistent $true");
        }
    }
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::debug!(%error, "systemd was not told");
    }
}
