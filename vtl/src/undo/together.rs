//! A group taken back to one moment: all of its cartridges, or none.

use serde_json::Value;
use vtl_media::{CartridgeEntry, RecoveryPoint, WantedPoint, with_causes};

use super::{explain, rewind_one};
use crate::library::Library;
use crate::moments;
use crate::request::Failure;

/// Takes all of them back. What stands in the way is found before anything is changed; what happens in between is taken back.
pub(super) fn rewind(
    library: &Library,
    entries: &[CartridgeEntry],
    wanted: WantedPoint,
    actor: &str,
) -> Result<Value, Failure> {
    let mut before = Vec::new();
    for entry in entries {
        let point = library.store.check_rewind(entry.uuid, wanted).map_err(|error| {
            let failure = explain(&error);
            Failure::new(failure.kind, format!("{}; nothing was changed", failure.message))
        })?;
        before.push(point);
    }
    let mut rows = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match rewind_one(library, entry, wanted, actor).map_err(|error| explain(&error)) {
            Ok(row) => rows.push(row),
            Err(failure) => {
                let done = entries.iter().zip(&before).take(at);
                let left = take_back(library, done, actor);
                return Err(Failure::new(failure.kind, format!("{}; {left}", failure.message)));
            }
        }
    }
    Ok(Value::Array(rows))
}

/// Takes those back to where they were that were done already.
fn take_back<'a>(
    library: &Library,
    done: impl Iterator<Item = (&'a CartridgeEntry, &'a Option<RecoveryPoint>)>,
    actor: &str,
) -> String {
    let mut stuck = Vec::new();
    for (entry, before) in done {
        let Some(before) = before else { continue };
        let wanted = WantedPoint::Sequence(before.sequence);
        if let Err(error) = library.store.rewind_in_place(entry.uuid, wanted, actor) {
            stuck.push(format!(
                "{} has to be taken back to {} by hand ({})",
                entry.barcode,
                moments::name(before.sequence),
                with_causes(&error)
            ));
        }
    }
    if stuck.is_empty() { "all others are what they were".to_owned() } else { stuck.join("; ") }
}
