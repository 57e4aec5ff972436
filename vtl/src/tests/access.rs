//! Rules where the library can be reached from outside.

use std::sync::atomic::{AtomicU32, Ordering};
use vtl_iscsi::{Admission, ChapAlgorithm};

use vtl_media::disk::{Call, Disk, Fault, FaultDisk, Reaction, RealDisk};

use super::*;
use crate::access::{self, Gate, Listener, SecretText};
use crate::request::{FailureKind, NewAccess};
use crate::targets::View;

const HOST: &str = "iqn.2026-11.example:host";

/// A library in a real directory, as secrets have a file there.
fn library(directory: &Path, listener: Listener) -> Arc<Library> {
    library_on(Arc::new(RealDisk::new()), directory, listener)
}

fn library_on(disk: Arc<dyn Disk>, directory: &Path, listener: Listener) -> Arc<Library> {
    let options = StoreOptions { catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    let store = Store::open(disk, directory, options).unwrap();
    if store.is_new() {
        let spec = LibrarySpec { drives: 2, storage_elements: 2, ..LibrarySpec::default() };
        store.initialize(spec).unwrap();
    }
    let library = Arc::new(Library::offline(Arc::new(store), Arc::default()).unwrap());
    library.access.start(listener, &ChapAlgorithm::ALL).unwrap();
    library
}

fn new(chap: bool) -> NewAccess {
    NewAccess { initiator: HOST.to_owned(), chap, ..NewAccess::default() }
}

#[test]
fn from_outside_nobody_is_let_in_by_name_alone() {
    let directory = tempfile::tempdir().unwrap();
    let outside = Listener { is_loopback: false, allows_unauthenticated: false };
    let library = library(&directory.path().join("data"), outside);
    let id = library.record.id.clone();
    let rights = |is_authenticated| library.access.rights(HOST, &id, is_authenticated);
    // Without a rule there is no way in.
    assert_eq!((rights(false), rights(true)), (None, None));
    let refused = access::add(&library, &new(false), "test").unwrap_err();
    assert_eq!(refused.kind, FailureKind::Refused);
    assert!(refused.message.contains("--chap"), "{refused}");
    assert!(library.store.access_rules().is_empty());
    access::add(&library, &new(true), "test").unwrap();
    assert!(rights(false).is_none() && rights(true).is_some());
    // Without the last rule it is shut again, and not open.
    let removed = access::remove(&library, HOST, None, "test").unwrap();
    assert_eq!(removed["admits_everybody"], false);
    assert_eq!((rights(false), rights(true)), (None, None));
    let allowed = Listener { allows_unauthenticated: true, ..outside };
    library.access.start(allowed, &ChapAlgorithm::ALL).unwrap();
    assert!(rights(false).is_some());
    access::add(&library, &new(false), "test").unwrap();
}

#[test]
fn a_secret_is_made_once_and_kept_with_its_rule() {
    let directory = tempfile::tempdir().unwrap();
    let library = library(&directory.path().join("data"), Listener::default());
    let add = |wanted: &NewAccess| access::add(&library, wanted, "test").unwrap();
    let first = add(&new(true));
    assert_eq!(first["secret"].as_str().unwrap().len(), 24);
    let again = add(&NewAccess { mutual: true, luns: Some("1,0".to_owned()), ..new(true) });
    assert!(again["secret"].is_null() && again["target_secret"].is_string(), "{again}");
    assert_eq!(again["target_user"], library.record.iqn.as_str());
    assert_eq!(again["luns"], serde_json::json!([0, 1]));
    let rows = access::list(&library).unwrap();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["has_secret"]), (1, &true.into()));
    let seen = library.access.rights(HOST, &library.record.id, true).unwrap();
    assert!(seen.sees(Lun(1)) && !seen.sees(Lun(2)));
    let epoch = library.access.secret_epoch(HOST);
    access::new_secret(&library, &HOST.to_uppercase(), false, "test").unwrap();
    assert_ne!(library.access.secret_epoch(HOST), epoch);
    access::remove(&library, HOST, None, "test").unwrap();
    assert!(add(&new(true))["secret"].is_string(), "it was forgotten");
}

// The ledger failed after a secret had been replaced in its file: whoever had logged in with the stolen one kept his session.
#[test]
fn a_secret_that_the_ledger_does_not_note_is_replaced_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(Arc::new(RealDisk::new()));
    let library =
        library_on(Arc::new(disk.clone()), &directory.path().join("data"), Listener::default());
    access::add(&library, &new(true), "test").unwrap();
    let (told, epoch) = (Arc::new(AtomicU32::new(0)), || library.access.secret_epoch(HOST));
    let count = Arc::clone(&told);
    library.access.on_change(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let before = epoch();
    disk.inject(Fault::forever(Call::SyncData, "ledger", Reaction::Errno(5)));
    let given = NewAccess { secret: Some(SecretText::new("another-8hT2mQx5Lz7")), ..new(true) };
    access::add(&library, &given, "test").unwrap_err();
    assert!(epoch() > before && told.load(Ordering::Relaxed) == 1);
    let before = epoch();
    access::new_secret(&library, HOST, false, "test").unwrap_err();
    assert!(epoch() > before && told.load(Ordering::Relaxed) == 2);
}

// A discovery session went on listing targets after the secret that had opened it was replaced: whoever had stolen that saw each library
// and snapshot that was made later.
#[test]
fn what_was_proved_with_a_replaced_secret_is_not_proved_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let library = library(&directory.path().join("data"), Listener::default());
    access::add(&library, &new(true), "test").unwrap();
    let target = library.record.iqn.clone();
    let door = access::Door {
        target: target.clone(),
        library: library.record.id.clone(),
        view: View::All,
    };
    let log_in = || {
        let gate = Gate::new(Arc::clone(&library.access), vec![door.clone()]);
        assert!(gate.authentication(HOST, None).is_required);
        gate
    };
    let gate = log_in();
    assert!(gate.admits(HOST, &target, true) && !gate.admits(HOST, &target, false));
    access::new_secret(&library, HOST, false, "test").unwrap();
    assert!(!gate.admits(HOST, &target, true));
    assert!(log_in().admits(HOST, &target, true));
}
