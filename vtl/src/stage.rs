//! A library that is there for a measurement or a test only, with its portal on a free port of the loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use vtl_media::disk::RealDisk;
use vtl_media::{LibrarySpec, LoadOptions, Store, StoreOptions};
use vtl_scsi::BufferPool;

use crate::library::Library;
use crate::models::Models;
use crate::operations::{self, Caller};
use crate::portal::Portal;
use crate::request::Request;
use crate::serve::POOL_BYTES;
use crate::targets::Layout;

/// What still runs in the portal at the end is not waited for any longer.
const END_LIMIT: Duration = Duration::from_secs(2);

/// The library, its portal, and the directory that goes with this value.
#[derive(Debug)]
pub(crate) struct Stage {
    is_given_up: Arc<AtomicBool>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    library: Arc<Library>,
    directory: Option<TempDir>,
}

impl Stage {
    /// Makes all of it in a new directory. SIGINT and SIGTERM set `is_given_up` from now on and do not end the program.
    pub(crate) fn open(
        parent: &Path,
        prefix: &str,
        (spec, models): (LibrarySpec, Arc<Models>),
        is_given_up: &Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async { watch(Arc::clone(is_given_up)) })?;
        let directory = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .with_context(|| format!("cannot make a directory in {}", parent.display()))?;
        let data = directory.path().join("data");
        let store =
            Arc::new(Store::open(Arc::new(RealDisk::new()), &data, StoreOptions::default())?);
        store.initialize(spec)?;
        let library = Library::power_on_with(store, LoadOptions::default(), models)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let portal = {
            let _entered = runtime.enter();
            Portal::new(Arc::clone(&library), Layout::default(), BufferPool::new(POOL_BYTES))
        };
        runtime.spawn(portal.listen(listener));
        Ok(Self {
            is_given_up: Arc::clone(is_given_up),
            address,
            runtime: Some(runtime),
            library,
            directory: Some(directory),
        })
    }

    /// Where other files of the measurement can be made.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.as_ref().map_or(Path::new("."), TempDir::path)
    }

    /// Where its portal listens.
    pub(crate) fn portal(&self) -> String {
        self.address.to_string()
    }

    /// The name of its target.
    pub(crate) fn target(&self) -> &str {
        &self.library.record.iqn
    }

    /// Removes everything, and says so if that cannot be done.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        self.end()
    }

    /// Carries a request out, as the control socket does.
    pub(crate) fn ask(&self, request: Request) -> anyhow::Result<()> {
        let caller = Caller { actor: "temporary library", is_gone: &self.is_given_up };
        operations::answer(&self.library, request, &caller)
            .map(|_| ())
            .map_err(|failure| anyhow!("{failure}"))
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(runtime) = self.runtime.take() {
            self.library.power_off();
            runtime.shutdown_timeout(END_LIMIT);
        }
        let Some(directory) = self.directory.take() else { return Ok(()) };
        let path = directory.path().to_owned();
        directory.close().with_context(|| format!("{} stays", path.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("vtl: {error:#}");
        }
    }
}

/// Sets the flag when somebody wants the program to end; whoever measures then comes to an end, and nothing is left behind.
fn watch(is_given_up: Arc<AtomicBool>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        is_given_up.store(true, Ordering::Relaxed);
    });
    Ok(())
}
