//! The control socket: HTTP and JSON on `control.sock` in the data directory, for the CLI and for scripts.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::extract::{DefaultBodyLimit, Extension, FromRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::fs::Mode;
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::connections::{self, Peer};
use crate::library::Library;
use crate::operations::{self, Caller};
use crate::request::{Failure, FailureKind, Request};

/// The name of the socket in the data directory.
pub(crate) const SOCKET_NAME: &str = "control.sock";
/// The one path that takes requests.
pub(crate) const REQUEST_PATH: &str = "/api/request";
/// The largest request: some ten thousand barcodes.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const SOCKET_MODE: u32 = 0o600;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long a request may take to come. It comes from this machine.
const BODY_LIMIT: Duration = Duration::from_secs(5);

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];

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
    Ok(connections::serve(listener, router))
}

/// Removes the socket at the end of the program.
pub(crate) fn remove(directory: &Path) {
    if let Err(error) = std::fs::remove_file(directory.join(SOCKET_NAME)) {
        tracing::debug!(%error, "the control socket was gone already");
    }
}

/// Linux makes the name with the mode that the socket has before it is bound (less the umask): it is the owner's alone from its first
/// moment on.
fn bind(path: &PathBuf) -> std::io::Result<UnixListener> {
    // The lock on the data directory is held: a socket that is there was left by a daemon that is not any more.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let mode = std::fs::symlink_metadata(path)?.permissions().mode() & 0o7777;
    if mode != SOCKET_MODE {
        return Err(std::io::Error::other(format!("it was made with mode {mode:o}")));
    }
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}

async fn request(
    State(library): State<Arc<Library>>,
    Extension(peer): Extension<Peer>,
    request: axum::extract::Request,
) -> Response {
    let own = rustix::process::geteuid().as_raw();
    let Some(uid) = peer.uid.filter(|uid| *uid == own || *uid == 0) else {
        return refuse(&Failure::refused(
            "only the owner of the library and root may use the control socket",
        ));
    };
    let read = tokio::time::timeout(BODY_LIMIT, Json::<Request>::from_request(request, &())).await;
    let request = match read {
        Ok(Ok(Json(request))) => request,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    // Whoever ends the connection does not want the rest of what he asked for.
    let is_gone = GoneOnDrop(Arc::default());
    let flag = Arc::clone(&is_gone.0);
    let work = move || {
        let caller = Caller { actor: &format!("cli uid {uid}"), is_gone: &flag };
        match request {
            Request::Inventory(filter) => {
                operations::list_text(&library, filter).map(|text| (JSON, text).into_response())
            }
            request => operations::answer(&library, request, &caller)
                .map(|answer| Json(answer).into_response()),
        }
    };
    let done = tokio::task::spawn_blocking(work).await;
    drop(is_gone);
    match done {
        Ok(Ok(answer)) => answer,
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

/// What can be asked.
const OPERATIONS: &[&str] = &[
    "status",
    "inventory",
    "tape-create",
    "tape-show",
    "tape-eject",
    "tape-insert",
    "tape-delete",
    "tape-crypto-erase",
    "tape-disposition",
    "tape-dispose",
    "keys",
    "tape-lock",
    "tape-hold",
    "tape-history",
    "tape-rewind",
    "tape-clone",
    "snapshot-create",
    "snapshot-list",
    "snapshot-present",
    "snapshot-delete",
    "rules",
    "vault",
    "verify",
    "verify-progress",
    "export",
    "export-progress",
    "drill",
    "posture",
    "import",
    "browse",
    "read-piece",
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
    "audit-export",
    "receipt",
    "trace",
];

async fn openapi() -> Json<Value> {
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
                "properties": { "operation": { "type": "string", "enum": OPERATIONS } },
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
