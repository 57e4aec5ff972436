//! Physical drives that have failed: nothing more is written to them until somebody has looked at them (F18).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_media::{DriveRecord, Store};
use vtl_vault::{ExportError, TapeError};

use crate::library::Library;
use crate::request::Failure;
use crate::undo::explain;

/// What can be asked about physical drives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum DrivesRequest {
    /// Those that have failed.
    Failed {},
    /// One is good again.
    Clear { serial: String },
}

/// Carries a request out.
pub(crate) fn answer(
    library: &Library,
    request: &DrivesRequest,
    actor: &str,
) -> Result<Value, Failure> {
    let store = &library.store;
    match request {
        DrivesRequest::Failed {} => {
            let row = |(serial, drive): (&String, &DriveRecord)| {
                json!({
                    "serial": serial,
                    "fenced": drive.fenced,
                    "since": drive.since,
                    "bad_tapes": drive.bad_tapes(store.now()),
                    "last_failure": drive.last_failure,
                })
            };
            Ok(Value::Array(store.failed_drives().iter().map(row).collect()))
        }
        DrivesRequest::Clear { serial } => {
            if store.clear_drive(serial, actor).map_err(|error| explain(&error))? {
                return Ok(json!({ "serial": serial, "cleared": true }));
            }
            Err(Failure::not_found(format!(
                "no drive {serial} has failed here; `vtl physical list` shows the serial numbers, and which are fenced"
            )))
        }
    }
}

/// The drives that nothing is written to.
pub(crate) fn fenced(store: &Store) -> BTreeSet<String> {
    let drives = store.failed_drives().into_iter();
    drives.filter(|(_, drive)| drive.fenced.is_some()).map(|(serial, _)| serial).collect()
}

/// Refuses a drive that is fenced.
pub(crate) fn check(store: &Store, serial: &str) -> Result<(), Failure> {
    let Some(drive) = store.drive(serial) else { return Ok(()) };
    let Some(reason) = drive.fenced else { return Ok(()) };
    let since = drive.since.map(|since| format!(" since {}", since.strftime("%Y-%m-%d")));
    Err(Failure::refused(format!(
        "the drive with serial number {serial} is fenced{}: {reason}. Use another one; when it was repaired, `vtl physical clear {serial}`",
        since.unwrap_or_default()
    )))
}

/// Holds a failure against the drive, if it is one of the drive or of the tape in it. Says so if the drive is fenced from now on.
pub(crate) fn note(
    store: &Store,
    (serial, tape): (&str, Option<&str>),
    error: &ExportError,
    actor: &str,
) -> Option<String> {
    let (is_broken, what) = match error {
        ExportError::Tape { error: error @ TapeError::Hardware(_), .. }
        | ExportError::Memory { error: error @ TapeError::Hardware(_), .. } => (true, error),
        ExportError::Tape { error: error @ TapeError::Medium(_), .. } => (false, error),
        _ => return None,
    };
    if serial.is_empty() {
        return None;
    }
    let was_fenced = store.drive(serial).is_some_and(|drive| drive.fenced.is_some());
    let noted = store.note_drive_failure(serial, tape, is_broken, &what.to_string(), actor);
    match noted {
        Ok(drive) if drive.fenced.is_some() && !was_fenced => Some(format!(
            "drive {serial} is fenced: nothing more is written to it until `vtl physical clear {serial}`"
        )),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(serial, %error, "that a drive failed cannot be recorded");
            None
        }
    }
}

/// The devices of this host, with what is held against them. `failed` is the answer to [`DrivesRequest::Failed`].
pub(crate) fn told(mut devices: Value, failed: &Value) -> Value {
    let failed = failed.as_array().map(Vec::as_slice).unwrap_or_default();
    for device in devices.as_array_mut().into_iter().flatten() {
        let is_it = |row: &&Value| {
            row.get("serial").is_some_and(|serial| Some(serial) == device.get("serial"))
        };
        let reason = failed.iter().find(is_it).and_then(|row| row.get("fenced")).cloned();
        if let Some(device) = device.as_object_mut() {
            device.insert("fenced".to_owned(), reason.unwrap_or(Value::Null));
        }
    }
    devices
}
