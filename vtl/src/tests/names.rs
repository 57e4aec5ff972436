//! Names that people, hosts and files choose are never those of files (S11).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use serde_json::json;
use vtl_media::{CopyFacts, CopyState};

use super::*;
use crate::operations::{self, Caller};
use crate::request::Request;

/// The last cartridge of all was given up on disk for its copy on tape, and the next one that was made got its barcode: nobody knew any more which of
/// both a copy was of.
#[test]
fn no_cartridge_is_called_like_a_copy_that_counts() {
    let scene = Scene::new();
    let (library, store) = (&scene.library, &scene.library.store);
    let ask = |request: serde_json::Value| {
        let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
        operations::answer(library, serde_json::from_value::<Request>(request).unwrap(), &caller)
    };
    let create = |barcodes: &[&str]| {
        ask(
            json!({ "operation": "tape-create", "barcodes": barcodes, "count": 1, "prefix": "VTL", "media_type": "lto9" }),
        )
    };
    let made = create(&["VTL041L9"]).unwrap();
    assert_eq!(made[0]["barcode"], "VTL041L9");
    let uuid = store.find("VTL041L9").unwrap().uuid;
    let copy = store.stage_copies(&[(uuid, 1)], "op").unwrap().remove(0);
    for state in
        [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted]
    {
        let facts = CopyFacts { volume: Some("VTL044L9".into()), ..CopyFacts::default() };
        store.advance_copy(copy.id, state, facts, "op").unwrap();
    }
    store.delete_cartridge(uuid, "op").unwrap();
    for name in ["VTL041L9", "VTL044L9"] {
        let refused = create(&[name]).unwrap_err();
        assert!(refused.message.contains("copy 1 of VTL041L9, which counts"), "{refused}");
    }
    assert_eq!(create(&[]).unwrap()[0]["barcode"], "VTL045L9");
    store.retire_copy(copy.id, "expired", true, "op").unwrap();
    create(&["VTL041L9"]).unwrap();
}

/// A hostile name with this number: what has been used against programs that make paths of names, mixed.
fn hostile(number: u64) -> String {
    const PARTS: [&str; 20] = [
        "../",
        "/",
        "..",
        "/etc/passwd",
        "\0",
        "%2e%2e%2f",
        "%s%n",
        "\n",
        "\r\n",
        "\u{1b}[2J",
        "\u{202e}",
        "\u{feff}",
        "CON",
        "A00001L9",
        ".",
        "~",
        "$(id)",
        "`id`",
        "\u{e9}\u{301}",
        "\\..\\",
    ];
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut name = String::new();
    for _ in 0..=number % 5 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        name.push_str(PARTS[usize::try_from(state % 20).unwrap()]);
    }
    if number.is_multiple_of(997) {
        name = name.repeat(10_000 / name.len() + 1);
    }
    name
}

fn paths(disk: &dyn Disk, directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for name in disk.list(directory).unwrap() {
        let path = directory.join(name);
        if disk.list(&path).is_ok() {
            paths(disk, &path, found);
        }
        found.insert(path);
    }
}

#[test]
fn a_hundred_thousand_hostile_names_make_no_file() {
    let scene = Scene::new();
    let caller = Caller { actor: "test", is_gone: &AtomicBool::new(false) };
    let mut taken = 0_u32;
    for number in 0..100_000_u64 {
        let name = hostile(number);
        // Each place that takes a name, in turn.
        let request = match number % 12 {
            0 => {
                json!({"operation": "tape-create", "barcodes": [name], "count": 1, "prefix": "VTL", "type": "lto9", "media_type": "lto9"})
            }
            1 => {
                json!({"operation": "tape-create", "count": 1, "prefix": name, "media_type": "lto9"})
            }
            2 => {
                json!({"operation": "tape-create", "count": 1, "prefix": "VTL", "media_type": name})
            }
            3 => {
                json!({"operation": "tape-clone", "barcode": BARCODE, "to": null, "as_barcode": name, "place": null})
            }
            4 => {
                json!({"operation": "tape-rewind", "barcodes": [BARCODE], "all": false, "to": "now", "as_barcode": name, "in_place": false})
            }
            5 => {
                json!({"operation": "snapshot-create", "name": name, "barcodes": [], "pool": null})
            }
            6 => {
                json!({"operation": "library-create", "name": name, "profile": "ibm-03584l32", "drives": "1", "slots": 2, "mail": 1})
            }
            7 => {
                json!({"operation": "library-create", "name": "x", "profile": name, "drives": "1", "slots": 2, "mail": 1, "profile_text": name})
            }
            8 => json!({"operation": "move", "from": name, "to": name}),
            9 => json!({"operation": "tape-eject", "barcodes": [name], "to": name}),
            10 => json!({"operation": "tape-delete", "barcodes": [name], "force": true}),
            _ => {
                json!({"operation": "tape-create", "count": 1, "prefix": "VTL", "media_type": "lto9", "pool": name})
            }
        };
        let mut request = request;
        if let Some(fields) = request.as_object_mut() {
            fields.remove("type");
        }
        if let Ok(request) = serde_json::from_value::<Request>(request) {
            taken += 1;
            let _whichever = operations::answer(&scene.library, request, &caller);
        }
    }
    assert!(taken > 90_000, "{taken} requests were understood");
    let mut found = BTreeSet::new();
    paths(&scene.memory, Path::new("/"), &mut found);
    assert!(found.len() > 10);
    for path in found {
        let text = path.display().to_string();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/-._".contains(c);
        let is_ours = text == "/data/FORMAT" || text.chars().all(is_plain);
        assert!(is_ours && text.starts_with("/data") && !text.contains(".."), "{text}");
        assert_components_are_ours(&path);
    }
}

fn assert_components_are_ours(path: &Path) {
    for component in path.components().skip(2) {
        let component = component.as_os_str().to_string_lossy().into_owned();
        let stem = component.split('.').next().unwrap();
        let is_fixed = [
            "FORMAT",
            "lock",
            "ledger",
            "cartridges",
            "journal",
            "head",
            "label",
            "promise",
            "rows",
            "profiles",
            "catalogue",
            "compliance-clock",
        ]
        .contains(&stem);
        let is_number = !stem.is_empty() && stem.chars().all(|c| c.is_ascii_digit());
        assert!(is_fixed || is_number || uuid::Uuid::try_parse(stem).is_ok(), "{}", path.display());
    }
}
