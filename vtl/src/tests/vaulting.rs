//! Pools, groups, policies and the vault as the command line and the control socket ask for them.

use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};
use vtl_media::{CopyFacts, CopyState, CopyStep};

use super::*;
use crate::models::Models;
use crate::operations::{self, Caller};
use crate::request::{Failure, FailureKind};

/// A library without a daemon: what the CLI works on.
pub(super) fn library() -> Arc<Library> {
    on(MemoryDisk::new())
}

fn on(disk: MemoryDisk) -> Arc<Library> {
    let store = store(Arc::new(disk));
    if store.is_new() {
        let cartridges = ["A00001L9", "A00002L9", "B00001L9"].map(|barcode| {
            let mut new = NewCartridge::new(Barcode::new(barcode).unwrap(), "lto9");
            new.capacity_bytes = Some(1 << 30);
            new
        });
        let spec = LibrarySpec {
            drives: 1,
            storage_elements: 20,
            import_export_elements: 2,
            cartridges: cartridges.to_vec(),
            ..LibrarySpec::default()
        };
        store.initialize(spec).unwrap();
    }
    Arc::new(Library::offline(Arc::new(store), Arc::new(Models::default())).unwrap())
}

pub(super) fn ask(library: &Arc<Library>, request: Value) -> Result<Value, Failure> {
    let caller = Caller { actor: "cli uid 7", is_gone: &AtomicBool::new(false) };
    operations::answer(library, serde_json::from_value(request).unwrap(), &caller)
}

pub(super) fn refused(library: &Arc<Library>, request: Value) -> (u8, String) {
    let failure = ask(library, request).unwrap_err();
    (failure.kind.exit_code(), failure.message)
}

pub(super) fn apply(library: &Arc<Library>, document: &str) -> Result<Value, Failure> {
    let request =
        json!({ "operation": "rules", "action": "apply", "file": "r.toml", "document": document });
    ask(library, request)
}

pub(super) fn write(library: &Arc<Library>, barcode: &str) {
    let store = &library.store;
    let uuid = store.find(barcode).unwrap().uuid;
    let mut volume =
        vtl_media::Volume::load(store.disk(), &store.directory_of(uuid), options()).unwrap();
    volume.write(Box::new(block(1, 4096)), 4096, 1).unwrap();
    let facts = volume.unload().unwrap();
    store.update_facts(uuid, &facts).unwrap();
}

/// Takes all copies that are asked for to their receipts, as a drive would.
pub(super) fn make_copies(library: &Arc<Library>) {
    for copy in library.store.copies() {
        if copy.state == CopyState::Staged {
            let made = [
                CopyState::Manifested,
                CopyState::Written,
                CopyState::Proved,
                CopyState::Receipted,
            ];
            let steps =
                made.map(|state| CopyStep { copy: copy.id, state, facts: CopyFacts::default() });
            library.store.advance_copies(&steps, "drive").unwrap();
        }
    }
}

fn vault(mut action: Value) -> Value {
    action["operation"] = "vault".into();
    action
}

pub(super) fn rows<'a>(answer: &'a Value, key: &str, field: &str) -> Vec<&'a str> {
    answer[key].as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[test]
fn a_document_with_an_error_changes_nothing_and_names_file_line_and_key() {
    let disk = MemoryDisk::new();
    let library = on(disk.clone());
    apply(&library, "[pool.daily]\n[group.a]\nmembers = [\"A*\"]").unwrap();
    let failure = apply(&library, "[pool.daily]\nretention = \"ever\"\n").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Usage);
    assert!(failure.message.starts_with("r.toml: line 2: pool.daily.retention: "), "{failure}");
    assert!(failure.message.ends_with("nothing was applied"));
    // A script had emptied the file before it read it: all rules were gone, and nobody was told.
    let emptied = apply(&library, "# nothing\n").unwrap_err();
    assert_eq!(emptied.kind, FailureKind::Refused);
    drop(library);
    let library = on(disk);
    let inventory = json!({ "operation": "inventory", "group": "a" });
    let found = ask(&library, inventory).unwrap();
    let barcodes: Vec<&str> =
        found.as_array().unwrap().iter().map(|row| row["barcode"].as_str().unwrap()).collect();
    assert_eq!(barcodes, ["A00001L9", "A00002L9"], "the group is known after a restart");
    assert_eq!(found[0]["group"], "a");
}

#[test]
fn pools_are_made_changed_and_deleted_only_when_empty() {
    let library = library();
    let set = |action: Value| {
        let mut request = json!({ "operation": "rules", "kind": "pool" });
        request.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
        request
    };
    let made = set(
        json!({ "action": "set", "name": "daily", "settings": ["retention=30d", "low=2", "create=3"], "is_new": true }),
    );
    ask(&library, made.clone()).unwrap();
    assert_eq!(refused(&library, made).0, 3, "it is there already");
    let bad = set(json!({ "action": "set", "name": "daily", "settings": ["create=11"] }));
    let (code, told) = refused(&library, bad);
    assert_eq!(code, 2);
    assert!(told.starts_with("pool.daily.create: 11 cartridges"), "{told}");
    let shown = ask(&library, set(json!({ "action": "show", "name": "daily" }))).unwrap();
    assert_eq!(shown["rules"], json!({ "create": 3, "low": 2, "retention": "30d" }));
    assert_eq!(
        shown["lacks"][0],
        "make 3 cartridges: 0 empty cartridges are in the library, and low is 2"
    );
    ask(&library, set(json!({ "action": "set", "name": "daily", "add": ["a0000?l9"] }))).unwrap();
    let (code, told) = refused(&library, set(json!({ "action": "delete", "name": "daily" })));
    assert_eq!(code, 3);
    assert!(told.contains("2 cartridges are in it"), "{told}");
    let left_out = apply(&library, "[pool.other]").unwrap_err();
    assert_eq!(left_out.kind.exit_code(), 3, "{left_out}");
    ask(&library, set(json!({ "action": "set", "name": "daily", "remove": ["A*"] }))).unwrap();
    ask(&library, set(json!({ "action": "delete", "name": "daily" }))).unwrap();
    assert_eq!(refused(&library, set(json!({ "action": "show", "name": "daily" }))).0, 4);
}

#[test]
fn a_policy_run_fills_pools_verifies_stages_and_ejects() {
    let library = library();
    let document = "[pool.daily]\nlow = 2\ncreate = 2\nprefix = \"NEW\"\n\
                    [policy.offsite]\nmembers = [\"A*\"]\nverify = true\ncopies = 1\neject = true\nfree-disk = true\n";
    apply(&library, document).unwrap();
    write(&library, "A00001L9");
    let run = |free_disk: bool| {
        ask(&library, json!({ "operation": "rules", "action": "run", "free_disk": free_disk }))
            .unwrap()
    };
    let first = run(false);
    assert_eq!(rows(&first, "done", "action"), ["fill up", "verify", "export, copy 1"], "{first}");
    assert!(rows(&first, "done", "result").iter().all(|result| *result == "done"), "{first}");
    assert_eq!(library.store.find("NEW001L9").unwrap().pool.as_deref(), Some("daily"));
    assert!(library.store.find("A00001L9").unwrap().last_proved.is_some());
    let told = first["blocked"][0]["blocked"].as_str().unwrap();
    assert_eq!(told, "copy 1 of A00001L9 is staged, and has no receipt");
    let again = run(true);
    assert_eq!(again["done"], json!([]), "what is done is not done again");
    make_copies(&library);
    let second = run(true);
    assert_eq!(rows(&second, "done", "action"), ["eject"]);
    let place = library.store.find("A00001L9").unwrap().place;
    assert!(matches!(place, Place::ImportExport { .. }), "{place}");
    let blocked = second["blocked"][0]["blocked"].as_str().unwrap();
    assert!(blocked.starts_with("the undo window is open until"), "{blocked}");
}

#[test]
fn a_damaged_member_holds_its_group_back() {
    let library = library();
    let document =
        "[group.a]\nmembers = [\"A*\"]\n[policy.a]\ngroup = \"a\"\nverify = true\ncopies = 1\n";
    apply(&library, document).unwrap();
    write(&library, "A00001L9");
    write(&library, "A00002L9");
    let uuid = library.store.find("A00002L9").unwrap().uuid;
    let segment = library.store.directory_of(uuid).join("journal/000001.seg");
    let disk = library.store.disk();
    let file = disk.open(&segment, vtl_media::disk::OpenMode::ReadWrite).unwrap();
    let length = file.length_bytes().unwrap();
    vtl_media::disk::write_all_at(&*file, &[0x55; 64], length / 2).unwrap();
    let answer =
        ask(&library, json!({ "operation": "rules", "action": "run", "free_disk": false }))
            .unwrap();
    let results: Vec<(&str, &str)> =
        rows(&answer, "done", "barcode").into_iter().zip(rows(&answer, "done", "result")).collect();
    assert_eq!(results, [("A00001L9", "done"), ("A00002L9", "failed")], "{answer}");
    assert!(library.store.copies().is_empty(), "no copy of half a group: {answer}");
    assert_eq!(crate::rules::verdict(&answer).unwrap_err().kind, FailureKind::Failed);
}

#[test]
fn a_container_goes_out_and_comes_back_step_by_step() {
    let library = library();
    let uuids =
        ["A00001L9", "A00002L9", "B00001L9"].map(|name| library.store.find(name).unwrap().uuid);
    library.store.stage_copies(&uuids.map(|uuid| (uuid, 1)), "op").unwrap();
    let ship = vault(
        json!({ "action": "ship", "barcodes": ["A00001L9"], "container": "BOX1", "seal": "S1", "to": "offsite:north", "expect": "2d" }),
    );
    let (code, told) = refused(&library, ship.clone());
    assert_eq!(code, 3);
    assert!(
        told.ends_with(
            "before the step to courier it has to be manifested, written, proved, receipted, ejected"
        ),
        "{told}"
    );
    make_copies(&library);
    apply(&library, "[group.a]\nmembers = [\"A*\"]").unwrap();
    let nothing = vault(json!({ "action": "run", "to": "/dev/nst99" }));
    assert_eq!(refused(&library, nothing).0, 3, "no copy waits to be written");
    let taken = ask(&library, vault(json!({ "action": "run" }))).unwrap();
    assert_eq!(taken["taken_out"], json!(["A00001L9", "A00002L9", "B00001L9"]));
    let list = crate::vaulting::printed(&taken, crate::cli::Format::Table).unwrap();
    assert!(list.contains("[ ] A00002L9") && list.contains("3 tapes"), "{list}");
    let shipped = ask(&library, ship.clone()).unwrap();
    assert_eq!(rows(&shipped, "rows", "barcode"), ["A00001L9", "A00002L9"], "its group goes along");
    let (code, told) = refused(&library, ship);
    assert_eq!(code, 3);
    assert!(told.starts_with("a container BOX1 is courier since"), "{told}");
    let other_seal = vault(json!({ "action": "receive", "container": "BOX1", "seal": "S2" }));
    assert_eq!(refused(&library, other_seal).0, 3);
    ask(&library, vault(json!({ "action": "receive", "container": "BOX1", "seal": "S1" })))
        .unwrap();
    let back = vault(
        json!({ "action": "return", "barcodes": ["A00001L9", "B00001L9"], "container": "BOX1" }),
    );
    assert_eq!(refused(&library, back.clone()).0, 4, "nobody has asked it back");
    let recall = vault(json!({ "action": "recall", "barcodes": ["A00002L9"], "expect": "3d" }));
    assert_eq!(ask(&library, recall).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(ask(&library, vault(json!({ "action": "overdue" }))).unwrap(), json!([]));
    let compared = ask(&library, back).unwrap();
    assert_eq!(compared["returned"], json!(["A00001L9"]));
    assert_eq!(compared["lost"], json!(["A00002L9"]));
    assert_eq!(rows(&compared, "unexpected", "barcode"), ["B00001L9"]);
    assert_eq!(crate::vaulting::verdict(&compared).unwrap_err().kind, FailureKind::Failed);
    let found = vault(json!({ "action": "return", "barcodes": ["A00002L9"], "container": "BOX1" }));
    assert_eq!(ask(&library, found).unwrap()["returned"], json!(["A00002L9"]), "it turned up");
    let entries = library.store.ledger().list(&vtl_media::EntryFilter::default()).unwrap();
    let of_copies = entries.iter().filter(|entry| entry.event.name() == "copy_advanced");
    assert!(of_copies.filter(|entry| entry.actor == "cli uid 7").count() >= 3 + 2 + 2 + 2 + 2);
}

#[test]
fn dates_lie_ahead() {
    let library = library();
    for bad in ["yesterday", "2001-01-01", "2001-01-01T00:00:00Z", "-3d", ""] {
        let request = json!({ "operation": "vault", "action": "ship", "container": "B", "seal": "S", "to": "offsite:n", "expect": bad });
        let (code, told) = refused(&library, request);
        assert_eq!(code, 2, "{bad}: {told}");
        assert!(told.starts_with("--expect"), "{told}");
    }
}

#[test]
fn a_group_is_verified_and_exported_as_a_whole_or_not_at_all() {
    let library = library();
    for barcode in ["A00001L9", "A00002L9"] {
        write(&library, barcode);
    }
    apply(
        &library,
        "[group.mail]\nmembers = [\"A0000?L9\"]\n[group.gap]\nmembers = [\"B00001L9\", \"GONE01L9\"]\n[group.none]\nmembers = [\"X*\"]\n",
    )
    .unwrap();
    let verify = |group: &str| json!({ "operation": "verify", "barcodes": [], "all": false, "group": group });
    let export = |group: &str| json!({ "operation": "export", "group": group, "to": "/dev/null", "library": null, "copy": 1 });
    let rows = ask(&library, verify("mail")).unwrap();
    let barcodes: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["barcode"]).collect();
    assert_eq!(barcodes, ["A00001L9", "A00002L9"]);
    for request in [verify("gap"), export("gap")] {
        let (code, why) = refused(&library, request);
        assert!(code == 3 && why.contains("GONE01L9"), "{code} {why}");
    }
    assert_eq!(refused(&library, verify("none")).0, 4);
    assert_eq!(refused(&library, export("nobody")).0, 4);
    // A drive has one tape.
    let (code, why) = refused(&library, export("mail"));
    assert!(code == 2 && why.contains("--library"), "{code} {why}");
}

// A group was said to leave together, and a member of which no copy had been made, or only one that failed, was left behind unnoticed.
#[test]
fn a_group_does_not_leave_without_a_member_that_has_data() {
    let library = library();
    apply(&library, "[group.mail]\nmembers = [\"A*\"]").unwrap();
    for barcode in ["A00001L9", "A00002L9"] {
        write(&library, barcode);
    }
    let uuid = |barcode: &str| library.store.find(barcode).unwrap().uuid;
    library.store.stage_copies(&[(uuid("A00001L9"), 1)], "op").unwrap();
    make_copies(&library);
    let run = json!({ "operation": "vault", "action": "run" });
    let answer = ask(&library, run.clone()).unwrap();
    assert_eq!(answer["taken_out"], json!([]));
    assert_eq!(rows(&answer, "waiting", "barcode"), ["A00002L9"]);
    library.store.stage_copies(&[(uuid("A00002L9"), 1)], "op").unwrap();
    make_copies(&library);
    let answer = ask(&library, run).unwrap();
    assert_eq!(answer["taken_out"].as_array().unwrap().len(), 2);
    assert_eq!(answer["waiting"], json!([]));
}

#[test]
fn a_retired_copy_does_not_count_and_the_last_one_is_kept() {
    let library = library();
    apply(&library, "[policy.offsite]\nmembers = [\"A00001L9\"]\ncopies = 2\n").unwrap();
    write(&library, "A00001L9");
    ask(&library, json!({ "operation": "rules", "action": "run", "free_disk": false })).unwrap();
    let retire = |copy: u32, last_copy: bool| {
        json!({
            "operation": "vault", "action": "retire", "barcode": "a00001l9", "copy": copy,
            "reason": "the shelf burnt", "last_copy": last_copy,
        })
    };
    assert_eq!(refused(&library, retire(1, true)).0, 3, "it is still being made");
    assert_eq!(refused(&library, retire(3, true)).0, 4);
    make_copies(&library);
    let row = ask(&library, retire(1, false)).unwrap();
    assert_eq!((&row["state"], &row["reason"]), (&json!("retired"), &json!("the shelf burnt")));
    let inventory = json!({ "operation": "inventory", "pattern": "A00001L9" });
    assert_eq!(ask(&library, inventory).unwrap()[0]["copies"], 1);
    let plan = json!({ "operation": "rules", "action": "plan", "file": null, "document": null });
    let plan = ask(&library, plan).unwrap();
    assert_eq!(rows(&plan, "actions", "action"), ["export, copy 1"], "it is asked for again");
    let uuid = library.store.find("A00001L9").unwrap().uuid;
    library.store.delete_cartridge(uuid, "op").unwrap();
    let (code, told) = refused(&library, retire(2, false));
    assert_eq!(code, 3);
    assert!(told.contains("--last-copy"), "{told}");
    ask(&library, retire(2, true)).unwrap();
    let story = json!({ "operation": "tape-show", "barcodes": ["A00001L9"] });
    let story = ask(&library, story).unwrap();
    assert_eq!(story[0]["copies"], 0);
    let ways = story[0]["restore"].as_array().unwrap();
    assert!(
        ways.iter().all(|way| way.as_str().unwrap().contains("(the shelf burnt): do not count"))
    );
}

/// The last proved copy of a cartridge that was not on disk any more was missing when its container arrived, and the answer was a row like others.
/// Of a tape that nobody had asked back it was said to be in the ledger, where nothing was.
#[test]
fn whoever_loses_the_last_copy_is_told() {
    let library = library();
    let vault = |action| ask(&library, vault(action)).unwrap();
    for barcode in ["A00001L9", "A00002L9", "B00001L9"] {
        write(&library, barcode);
    }
    let uuid = |barcode: &str| library.store.find(barcode).unwrap().uuid;
    let all = ["A00001L9", "A00002L9", "B00001L9"].map(|barcode| (uuid(barcode), 1));
    library.store.stage_copies(&all, "op").unwrap();
    make_copies(&library);
    for barcode in ["A00001L9", "A00002L9"] {
        library.store.delete_cartridge(uuid(barcode), "op").unwrap();
    }
    vault(json!({ "action": "run" }));
    let ship = json!({ "action": "ship", "container": "box1", "seal": "S1", "to": "offsite:north", "expect": "2d" });
    vault(ship);
    let missing =
        json!({ "action": "receive", "container": "BOX1", "missing": ["A00001L9", "B00001L9"] });
    let there = vault(missing);
    let warned: Vec<_> =
        there.as_array().unwrap().iter().map(|row| row["warning"].as_str()).collect();
    assert_eq!(warned.iter().flatten().count(), 1, "the other cartridge is on disk: {there}");
    let failure = crate::vaulting::verdict(&there).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Failed);
    assert!(failure.message.starts_with("THE LAST COPY OF A00001L9 IS LOST"), "{failure}");
    vault(json!({ "action": "recall", "barcodes": ["A00002L9"], "expect": "3d" }));
    let entries = || library.store.ledger().list(&vtl_media::EntryFilter::default()).unwrap().len();
    let back = json!({ "action": "return", "container": "BOX1", "damaged": ["A00002L9"], "barcodes": ["XYZ001L9"] });
    let before = entries();
    let compared = vault(back);
    assert_eq!(entries() - before, 2, "returned and damaged; nothing of the other one");
    let failure = crate::vaulting::verdict(&compared).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Damaged);
    for part in [
        "unexpected: XYZ001L9",
        "What is damaged or lost is in the ledger",
        "Of what was not asked back nothing is noted",
        "THE LAST COPY OF A00002L9 IS DAMAGED",
    ] {
        assert!(failure.message.contains(part), "{failure}");
    }
}
