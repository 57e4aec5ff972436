//! The control socket: HTTP and JSON on `control.sock` in the data directory, for the CLI and for scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::library::Library;
use crate::operations::{self, Caller};
use crate::request::{Failure, FailureKind, Request};

/// The name of the socket in the data directory.
pub(crate) const SOCKET_NAME: &str = "control.sock";
/// The one path that takes requests.
pub(crate) const REQUEST_PATH: &str = "/api/request";
/// The largest request: some ten thousand barcodes.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Binds the socket, for the owner alone, and serves it until the program ends.
pub(crate) fn serve(
    directory: &Path,
    library: Arc<Library>,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let path = directory.join(SOCKET_NAME);
    let listener = bind(&path)
        .with_context(|| format!("cannot open the control socket {}", path.display()))?;
    let router = Router::new()
        .route(REQUEST_PATH, post(request))
        .route("/api/openapi.json", get(openapi))
        .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
        .with_state(library);
    Ok(async move {
        let service = router.into_make_service_with_connect_info::<Peer>();
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "the control socket is closed");
        }
    })
}

/// Removes the socket at the end of the program.
pub(crate) fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_file(directory.join(SOCKET_NAME)) {
        tracing::debug!(%error, "the control socket was gone already");
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}

/// The directory is ours alone (mode 0700), so nobody can get in between binding and the change of mode.
fn bind(path: &PathBuf) -> std::io::Result<UnixListener> {
    // The lock on the data directory is held: a socket that is there was left by a daemon that is not any more.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn request(
    State(library): State<Arc<Library>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(request): Json<Request>,
) -> Response {
    let own = rustix::process::geteuid().as_raw();
    let Some(uid) = peer.uid.filter(|uid| *uid == own || *uid == 0) else {
        return refuse(&Failure::refused(
            "only the owner of the library and root may use the control socket",
        ));
    };
    // Whoever ends the connection does not want the rest of what he asked for.
    let is_gone = GoneOnDrop(Arc::default());
    let flag = Arc::clone(&is_gone.0);
    let work = move || {
        let caller = Caller { actor: &format!("cli uid {uid}"), is_gone: &flag };
        operations::answer(&library, request, &caller)
    };
    let done = tokio::task::spawn_blocking(work).await;
    drop(is_gone);
    match done {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(failure)) => refuse(&failure),
        Err(error) => refuse(&Failure::failed(error)),
    }
}

/// Says when the one who asked is not there any more: then axum drops what waits for the answer.
struct GoneOnDrop(Arc<AtomicBool>);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn refuse(failure: &Failure) -> Response {
    let status = match failure.kind {
        FailureKind::Usage => StatusCode::BAD_REQUEST,
        FailureKind::Refused => StatusCode::CONFLICT,
        FailureKind::NotFound => StatusCode::NOT_FOUND,
        FailureKind::Failed | FailureKind::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(failure)).into_response()
}

async fn openapi() -> Json<Value> {
    let operations = [
        "status",
        "inventory",
        "tape-create",
        "tape-show",
        "tape-eject",
        "tape-insert",
        "tape-delete",
        "tape-history",
        "tape-rewind",
        "tape-clone",
        "snapshot-create",
        "snapshot-list",
        "snapshot-present",
        "snapshot-delete",
        "verify",
        "verify-progress",
        "move",
        "load",
        "unload",
        "library-create",
        "library-list",
        "library-show",
        "log",
        "access-add",
        "access-list",
        "access-remove",
        "secret-new",
        "catalog-check",
        "catalog-rebuild",
        "audit-list",
        "audit-verify",
        "trace",
    ];
    let failure = json!({ "type": "object", "properties": {
        "kind": { "type": "string", "enum": ["failed", "usage", "refused", "not-found", "damaged"] },
        "message": { "type": "string" },
    }});
    let refused = |description: &str| json!({ "description": description, "content": { "application/json": { "schema": failure } } });
    Json(json!({
        "openapi": "3.1.0",
        "info": { "title": "vtl", "version": env!("CARGO_PKG_VERSION") },
        "paths": { REQUEST_PATH: { "post": {
            "summary": "Ask or order something",
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["operation"],
                "properties": { "operation": { "type": "string", "enum": operations } },
            }}}},
            "responses": {
                "200": { "description": "Done: what the same command prints with --format json" },
                "400": refused("The request makes no sense"),
                "404": refused("No such cartridge or place"),
                "409": refused("Forbidden by a policy, a lock or a host"),
                "500": refused("Tried, and it did not work"),
            },
        }}},
    }))
}
