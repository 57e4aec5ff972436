//! What `tools/fuzz` calls: everything that takes text of a person or of a script. For nobody else; it changes without notice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vtl_media::disk::{Disk, MemoryDisk};
use vtl_media::store::CatalogueKind;
use vtl_media::{LoadOptions, Store, StoreOptions};

use crate::config::Config;
use crate::library;
use crate::models::Models;
use crate::operations::{self, Caller};
use crate::profile_file::ProfileFile;
use crate::request::Request;

/// Whether this is a request.
pub fn request(body: &[u8]) -> bool {
    serde_json::from_slice::<Request>(body).is_ok()
}

/// Whether this is a `vtl.toml`.
pub fn configuration(text: &str) -> bool {
    Config::parse(Path::new("vtl.toml"), text).is_ok()
}

/// Whether this describes models.
pub fn profile(text: &str) -> bool {
    ProfileFile::parse(Path::new("x.toml"), text).is_ok()
}

/// Whether there is something to say about this.
pub fn explain(text: &str) -> bool {
    crate::explain::explain(&[text.to_owned()]).is_ok()
}

/// A library on a disk in memory.
#[derive(Debug)]
pub struct Library(Arc<library::Library>);

impl Library {
    /// Opens it, with its devices switched on or without.
    ///
    /// # Panics
    /// If there is no library.
    #[allow(clippy::expect_used, reason = "what is opened here was made for it")]
    pub fn open(disk: &MemoryDisk, directory: &Path, is_running: bool) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
        let store = Arc::new(Store::open(disk, directory, options).expect("a data directory"));
        let load_options = LoadOptions {
            segment_bytes: 1 << 20,
            write_buffer_bytes: 1 << 20,
            reserve_bytes: Some(0),
            ..LoadOptions::default()
        };
        let library = if is_running {
            library::Library::power_on(store, load_options)
        } else {
            library::Library::offline(store, Arc::new(Models::default())).map(Arc::new)
        };
        Self(library.expect("a library"))
    }

    /// Does what the body of a request asks for, or says why not.
    pub fn answer(&self, body: &[u8]) -> Result<String, String> {
        let request = serde_json::from_slice::<Request>(body).map_err(|error| error.to_string())?;
        let caller = Caller { actor: "fuzz", is_gone: &AtomicBool::new(false) };
        let answer = operations::answer(&self.0, request, &caller);
        answer.map(|answer| answer.to_string()).map_err(|failure| failure.to_string())
    }

    /// Switches it off.
    pub fn close(self) {
        self.0.power_off();
    }
}
