//! Rules as the command line and the control socket ask for them: what is refused is refused before anything is changed.

use serde_json::{Value, json};
use vtl_media::LibraryId;

use super::vaulting::{apply, ask, library, make_copies, refused, rows, write};
use super::*;

fn run() -> Value {
    json!({ "operation": "rules", "action": "run", "free_disk": false })
}

/// A pattern may match what a command makes later. `vtl policy plan` refused, and `vtl policy run` went on with half of a group.
#[test]
fn groups_that_overlap_are_refused_by_plan_and_run_alike() {
    let library = library();
    let document = "[group.ab]\nmembers = [\"AB*\"]\n[group.ac]\nmembers = [\"A?C*\"]\n\
                    [policy.p]\nverify = true\ncopies = 1\n";
    apply(&library, document).unwrap();
    write(&library, "B00001L9");
    ask(&library, run()).unwrap();
    let new = NewCartridge::new(Barcode::new("ABC001L9").unwrap(), "lto9");
    library.store.create_cartridges(vec![new], "op").unwrap();
    write(&library, "ABC001L9");
    let plan = json!({ "operation": "rules", "action": "plan", "file": null, "document": null });
    for request in [plan, run()] {
        let (code, told) = refused(&library, request);
        assert_eq!(code, 3);
        assert!(told.contains("ABC001L9 would be in the groups ab and ac"), "{told}");
    }
    assert_eq!(library.store.copies().len(), 1, "that of B00001L9");
}

/// The free import/export elements of all libraries were added up: one member of a group was ejected, and the other one had no way out.
#[test]
fn a_group_is_ejected_by_the_elements_of_its_own_library() {
    let library = library();
    let second = LibrarySpec {
        id: LibraryId::new("second").unwrap(),
        drives: 1,
        storage_elements: 4,
        import_export_elements: 4,
        cartridges: Vec::new(),
        ..LibrarySpec::default()
    };
    library.store.create_library(second, "op").unwrap();
    let document =
        "[group.g]\nmembers = [\"A*\"]\n[policy.p]\ngroup = \"g\"\ncopies = 1\neject = true\n";
    apply(&library, document).unwrap();
    for barcode in ["A00001L9", "A00002L9"] {
        write(&library, barcode);
    }
    ask(&library, run()).unwrap();
    make_copies(&library);
    let eject = json!({ "operation": "tape-eject", "barcodes": ["B00001L9"], "to": null });
    ask(&library, eject.clone()).unwrap();
    let answer = ask(&library, run()).unwrap();
    assert_eq!(rows(&answer, "done", "result"), ["left", "left"], "{answer}");
    let told = rows(&answer, "done", "reason")[0];
    let first = library.record.id.to_string();
    let expected =
        format!("1 import/export elements of library {first} are free, and 2 are needed");
    assert!(told.starts_with(&expected), "{told}");
    for barcode in ["A00001L9", "A00002L9"] {
        let place = library.store.find(barcode).unwrap().place;
        assert!(matches!(place, Place::Storage { .. }), "{barcode} is in {place}");
    }
    // To the shelf.
    ask(&library, eject).unwrap();
    let answer = ask(&library, run()).unwrap();
    assert_eq!(rows(&answer, "done", "result"), ["done", "done"], "{answer}");
}

/// `vtl pool set daily low=2 create=3 --add NOPE01L9` failed, and the keys were in force; `--add X --remove Y` failed for Y, and X was moved.
#[test]
fn a_pool_is_set_as_a_whole_or_not_at_all() {
    let library = library();
    apply(&library, "[pool.daily]\n").unwrap();
    let set = |settings: &[&str], add: &[&str], remove: &[&str]| {
        json!({
            "operation": "rules", "action": "set", "kind": "pool", "name": "daily",
            "settings": settings, "add": add, "remove": remove,
        })
    };
    let keys = ["low=2", "create=3"];
    for (request, expected) in [
        (set(&keys, &["NOPE01L9"], &[]), 4),
        (set(&keys, &["A00001L9"], &["NOPE01L9"]), 4),
        (set(&keys, &["A00001L9"], &["B00001L9"]), 3),
        (set(&["create=11"], &["A00001L9"], &[]), 2),
        (set(&["low=2"], &["A00001L9"], &[]), 2),
    ] {
        let (code, told) = refused(&library, request);
        assert_eq!(code, expected, "{told}");
        assert!(told.to_lowercase().ends_with("nothing was changed"), "{told}");
        assert_eq!(library.store.rules().unwrap().document, "[pool.daily]\n", "{told}");
        assert!(library.store.cartridges().iter().all(|entry| entry.pool.is_none()), "{told}");
    }
    ask(&library, set(&keys, &["A*"], &["A00002L9"])).unwrap();
    let of_pool = |barcode: &str| library.store.find(barcode).unwrap().pool;
    assert_eq!((of_pool("A00001L9").as_deref(), of_pool("A00002L9")), (Some("daily"), None));
    ask(&library, set(&["create=", "low="], &["B*"], &["A00001L9"])).unwrap();
    assert_eq!((of_pool("A00001L9"), of_pool("B00001L9").as_deref()), (None, Some("daily")));
}
