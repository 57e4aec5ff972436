//! Where a CLI command goes: to the daemon if one runs, else to the data directory itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http_body_util::{BodyExt, Full};
use hyper::Method;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use vtl_media::disk::DirectoryDisk;
use vtl_media::{Store, StoreOptions};

use crate::control::{REQUEST_PATH, SOCKET_NAME};
use crate::identity;
use crate::libraries;
use crate::library::Library;
use crate::models::Models;
use crate::operations::{self, Caller};
use crate::progress::Watch;
use crate::request::{Failure, Request};
use crate::rules::RulesRequest;
use crate::vaulting::VaultRequest;

/// Carries a request out, wherever the library is.
pub(crate) fn ask(directory: &Path, request: Request) -> Result<Value, Failure> {
    let makes_library = matches!(request, Request::LibraryCreate(_));
    if !directory.join("FORMAT").exists() && !makes_library {
        return Err(Failure::not_found(format!(
            "there is no library in {}; `vtl serve` makes one, and --data or VTL_DATA names another directory",
            directory.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let socket = directory.join(SOCKET_NAME);
    match runtime.block_on(UnixStream::connect(&socket)) {
        Ok(stream) => {
            let watched = socket.clone();
            let asked = progress_request(&request);
            let _watch = watch(&request, move || progress_over_socket(&watched, asked.as_ref()?));
            runtime.block_on(over_socket(stream, &request))
        }
        // Nobody listens: a daemon that was killed leaves its socket behind.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
            ) =>
        {
            on_directory(directory, request)
        }
        Err(error) => Err(Failure::failed(format!("{}: {error}", socket.display()))),
    }
}

/// Shows how far a request is that takes long.
fn watch(
    request: &Request,
    progress: impl Fn() -> Option<Value> + Send + 'static,
) -> Option<Watch> {
    progress_request(request).is_some().then(|| Watch::start(progress))
}

/// What to ask for how far a request is.
fn progress_request(request: &Request) -> Option<Request> {
    match request {
        Request::Verify { .. } | Request::Rules(RulesRequest::Run { .. }) => {
            Some(Request::VerifyProgress {})
        }
        Request::Export(_) | Request::Import(_) => Some(Request::ExportProgress {}),
        Request::Vault(VaultRequest::Run(drives)) if drives.is_any() => {
            Some(Request::ExportProgress {})
        }
        _ => None,
    }
}

fn progress_over_socket(socket: &Path, asked: &Request) -> Option<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket).await.ok()?;
        over_socket(stream, asked).await.ok()
    })
}

async fn over_socket(stream: UnixStream, request: &Request) -> Result<Value, Failure> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::failed)?;
    tokio::spawn(connection);
    let body = serde_json::to_vec(request).map_err(Failure::failed)?;
    let request = hyper::Request::builder()
        .method(Method::POST)
        .uri(REQUEST_PATH)
        .header(hyper::header::HOST, "vtl")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::<bytes::Bytes>::from(body))
        .map_err(Failure::failed)?;
    let response = sender.send_request(request).await.map_err(Failure::failed)?;
    let is_done = response.status().is_success();
    let body = response.into_body().collect().await.map_err(Failure::failed)?.to_bytes();
    if is_done {
        return serde_json::from_slice(&body).map_err(Failure::failed);
    }
    let failure = serde_json::from_slice(&body);
    Err(failure.unwrap_or_else(|_| Failure::failed(String::from_utf8_lossy(&body))))
}

fn on_directory(directory: &Path, request: Request) -> Result<Value, Failure> {
    identity::act_as_owner(directory).map_err(|error| Failure::failed(format!("{error:#}")))?;
    let store =
        Store::open(Arc::new(DirectoryDisk::new(directory)), directory, StoreOptions::default())
            .map_err(Failure::failed)?;
    let store = Arc::new(store);
    let actor = format!("cli uid {}", rustix::process::geteuid().as_raw());
    let models =
        Models::of_directory(directory).map_err(|error| Failure::failed(error.to_string()))?;
    let models = Arc::new(models);
    let mut request = request;
    if let Request::LibraryCreate(new) = &request
        && store.is_new()
    {
        // The first one: there is no other to be asked.
        let record = libraries::create_in(&store, &models, new, &actor)?;
        request = Request::LibraryShow { name: record.id.0 };
    }
    let library = Arc::new(Library::offline(store.clone(), models).map_err(Failure::failed)?);
    let caller = Caller { actor: &actor, is_gone: &AtomicBool::new(false) };
    let watched = Arc::clone(&library);
    let is_transfer = matches!(progress_request(&request), Some(Request::ExportProgress {}));
    let watch = watch(&request, move || {
        let verifications = || watched.verifications.progress();
        Some(if is_transfer { watched.transfers.progress() } else { verifications() })
    });
    let answer = operations::answer(&library, request, &caller);
    drop(watch);
    drop(library);
    if let Some(store) = Arc::into_inner(store) {
        store.close().map_err(Failure::failed)?;
    }
    answer
}
