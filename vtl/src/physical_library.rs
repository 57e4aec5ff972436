//! A tape of a physical library brought into one of its drives, and back.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vtl_physical::{Data, Device, Sense};

use crate::attached::{Bay, elements, list};
use crate::request::Failure;

/// A tape in a drive, which goes back where it came from when this is dropped.
#[derive(Debug)]
pub(crate) struct Brought {
    /// The drive.
    pub(crate) drive: String,
    changer: Device,
    /// From where to where it was moved; `None` if it lay in the drive.
    moved: Option<(u16, u16)>,
}

/// Brings the tape with this barcode into a drive of the library that this host has.
pub(crate) fn bring(library: &str, barcode: &str) -> Result<Brought, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("{library}: {error}"));
    let changer = Device::open(Path::new(library)).map_err(failed)?;
    let all = list()?;
    let drives: Vec<Drive> =
        all.as_array().into_iter().flatten().filter_map(|row| Drive::of(row, library)).collect();
    if drives.is_empty() {
        return Err(Failure::not_found(format!(
            "{library} has no drive that this host sees, or does not say which are its own: `vtl physical list` shows what there is"
        )));
    }
    if let Some(drive) = drives.iter().find(|drive| drive.barcode.as_deref() == Some(barcode)) {
        return Ok(Brought { drive: drive.node.clone(), changer, moved: None });
    }
    let from = element_of(&changer, barcode).ok_or_else(|| {
        Failure::not_found(format!(
            "there is no tape {barcode} in {library}: put one with this label in, or name a drive with --to"
        ))
    })?;
    let free = drives.into_iter().find(|drive| !drive.is_loaded).ok_or_else(|| {
        Failure::refused(format!("all drives of {library} have tapes in them: empty one"))
    })?;
    move_medium(&changer, from, free.element).map_err(|why| {
        Failure::failed(format!(
            "{library}: tape {barcode} from element {from} to drive element {}: {why}",
            free.element
        ))
    })?;
    Ok(Brought { drive: free.node, changer, moved: Some((from, free.element)) })
}

impl Brought {
    /// Back to where it came from. A tape that stays in the drive is no failure of what was done with it.
    pub(crate) fn put_back(self) {
        let Some((from, drive)) = self.moved else { return };
        if let Err(why) = move_medium(&self.changer, drive, from) {
            tracing::warn!(
                drive = self.drive,
                why,
                "the tape could not be put back: move it by hand"
            );
        }
    }
}

/// A drive of the library, as `vtl physical list` knows it.
#[derive(Debug)]
struct Drive {
    node: String,
    element: u16,
    is_loaded: bool,
    barcode: Option<String>,
}

impl Drive {
    fn of(row: &Value, library: &str) -> Option<Self> {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(String::from);
        if text("library").as_deref() != Some(library) {
            return None;
        }
        Some(Self {
            node: text("node").or_else(|| text("device"))?,
            element: row.get("element").and_then(Value::as_u64)?.try_into().ok()?,
            is_loaded: row.get("loaded").and_then(Value::as_bool).unwrap_or(true),
            barcode: text("barcode"),
        })
    }
}

fn element_of(changer: &Device, barcode: &str) -> Option<u16> {
    let ask = |cdb: &[u8], room: u16| changer.read(cdb, room.into(), ASK_LIMIT).ok();
    let is_it = |element: &Bay| element.is_full && element.barcode.as_deref() == Some(barcode);
    [STORAGE, IMPORT_EXPORT]
        .iter()
        .find_map(|kind| elements(&ask, *kind).into_iter().find(is_it))
        .map(|element| element.address)
}

/// MOVE MEDIUM (SMC-3 §6.6) with the transport that the library takes for it.
fn move_medium(changer: &Device, from: u16, to: u16) -> Result<(), String> {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    let cdb = [0xa5, 0, 0, 0, a, b, c, d, 0, 0, 0, 0];
    for _ in 0..ATTENTIONS_MAX {
        let answer =
            changer.send(&cdb, &mut Data::None, MOVE_LIMIT).map_err(|error| error.to_string())?;
        let sense = Sense::parse(&answer.sense);
        match sense {
            _ if answer.status == 0 => return Ok(()),
            // It says first what has happened before.
            Some(Sense { key: Sense::UNIT_ATTENTION, .. }) => {}
            Some(sense) => return Err(format!("the library says {sense}; `vtl explain {sense}`")),
            None => return Err(format!("the library answers with status {:#04x}", answer.status)),
        }
    }
    Err("the library has always something else to say".to_owned())
}

const STORAGE: u8 = 2;
const IMPORT_EXPORT: u8 = 3;
const ATTENTIONS_MAX: u32 = 8;
const ASK_LIMIT: Duration = Duration::from_mins(1);
/// A robot may walk a long way.
const MOVE_LIMIT: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drives_are_those_of_the_library() {
        let row = json!({ "library": "/dev/sg0", "node": "/dev/nst1", "element": 257, "loaded": true, "barcode": "A1" });
        let drive = Drive::of(&row, "/dev/sg0").unwrap();
        assert_eq!((drive.node.as_str(), drive.element, drive.is_loaded), ("/dev/nst1", 257, true));
        assert!(Drive::of(&row, "/dev/sg1").is_none());
        let without_node = json!({ "library": "/dev/sg0", "device": "/dev/sg3", "element": 1 });
        let drive = Drive::of(&without_node, "/dev/sg0").unwrap();
        assert!(
            drive.is_loaded && drive.node == "/dev/sg3",
            "what is not known to be free is not used"
        );
    }
}
