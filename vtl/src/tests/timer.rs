//! Policies that run by themselves, on a clock that is set by hand.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vtl_media::ledger::Clock;
use vtl_media::{CopyState, EntryFilter};

use super::*;
use crate::bays::Job;
use crate::drill::timed::{self, Order};
use crate::models::Models;
use crate::operations::{self, Caller};
use crate::request::{ExportChoice, Failure, FailureKind};
use crate::rules::timer::{overview, run_due_with};

/// A library on a disk that outlives it, and the time.
struct Night {
    disk: MemoryDisk,
    seconds: Arc<AtomicI64>,
    library: Arc<Library>,
}

fn boot(disk: &MemoryDisk, seconds: &Arc<AtomicI64>) -> Arc<Library> {
    let time = Arc::clone(seconds);
    let clock =
        Clock(Arc::new(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap()));
    let options =
        StoreOptions { clock, catalogue: CatalogueKind::Memory, ..StoreOptions::default() };
    let store = Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap();
    if store.is_new() {
        let cartridges = ["A00001L9", "A00002L9"].map(|barcode| {
            let mut new = NewCartridge::new(Barcode::new(barcode).unwrap(), "lto9");
            new.capacity_bytes = Some(1 << 30);
            new
        });
        let cartridges = cartridges.to_vec();
        store.initialize(LibrarySpec { cartridges, ..LibrarySpec::default() }).unwrap();
    }
    Arc::new(Library::offline(Arc::new(store), Arc::new(Models::default())).unwrap())
}

fn nobody(_: &ExportChoice, job: &Job, _: &Caller<'_>) -> Result<Value, Failure> {
    unreachable!("{job:?}")
}

impl Night {
    /// At noon, years after the host wrote by its own clock, with data on these cartridges and these rules in force.
    fn new(document: &str, written: &[&str]) -> Self {
        let noon = "2036-11-11T12:00:00".parse::<jiff::civil::DateTime>().unwrap();
        let noon = noon.to_zoned(TimeZone::system()).unwrap().timestamp();
        let (disk, seconds) = (MemoryDisk::new(), Arc::new(AtomicI64::new(noon.as_second())));
        let library = boot(&disk, &seconds);
        library.store.apply_rules(document, "op").unwrap();
        let night = Self { disk, seconds, library };
        for barcode in written {
            night.append(barcode);
        }
        night
    }

    fn append(&self, barcode: &str) {
        let store = &self.library.store;
        let uuid = store.find(barcode).unwrap().uuid;
        let directory = store.directory_of(uuid);
        let mut volume = vtl_media::Volume::load(store.disk(), &directory, options()).unwrap();
        volume.space_to_end_of_data().unwrap();
        volume.write(Box::new(vec![7; 4096]), 4096, 1).unwrap();
        let facts = volume.unload().unwrap();
        store.update_facts(uuid, &facts).unwrap();
    }

    fn pass(&self, hours: i64) {
        self.seconds.fetch_add(SignedDuration::from_hours(hours).as_secs(), Ordering::Relaxed);
    }

    fn restart(self) -> Self {
        let Self { disk, seconds, library } = self;
        drop(library);
        let library = boot(&disk, &seconds);
        Self { disk, seconds, library }
    }

    fn look(&self) {
        run_due_with(&self.library, &nobody, &AtomicBool::new(false));
    }

    /// With a drive that works: the copy of this job has its receipt, on this tape.
    fn make(&self, job: &Job, volume: &str, actor: &str) {
        let store = &self.library.store;
        let entry = store.find(&job.barcode).unwrap();
        let copy = store.copies_of(entry.uuid, job.copy).pop().unwrap();
        for state in
            [CopyState::Manifested, CopyState::Written, CopyState::Proved, CopyState::Receipted]
        {
            let facts = vtl_media::CopyFacts {
                volume: Some(volume.to_owned()),
                bytes: Some(entry.written_bytes),
                ..vtl_media::CopyFacts::default()
            };
            store.advance_copy(copy.id, state, facts, actor).unwrap();
        }
    }

    /// How many events of this name somebody caused.
    fn told(&self, event: &str, actor: &str) -> usize {
        let filter = EntryFilter {
            event: Some(event.into()),
            actor: Some(actor.into()),
            ..EntryFilter::default()
        };
        self.library.store.ledger().list(&filter).unwrap().len()
    }

    fn status(&self) -> Value {
        overview(&self.library)[0].clone()
    }
}

#[test]
fn a_policy_runs_when_its_calendar_says_so_once_for_all_that_was_missed() {
    let night = Night::new("[policy.night]\nverify = true\nrun = \"02:00\"\n", &["A00001L9"]);
    let actor = "policy night";
    night.look();
    assert_eq!(night.told("policy_ran", actor), 0, "nothing is due at noon");
    assert_eq!(night.status()["last"], Value::Null);
    night.pass(15);
    night.look();
    night.look();
    assert_eq!((night.told("verified", actor), night.told("policy_ran", actor)), (1, 1));
    let status = night.status();
    assert_eq!((&status["done"], &status["failed"]), (&json!(1), &json!(0)));
    // It is off for a week.
    night.pass(7 * 24);
    let night = night.restart();
    night.look();
    night.look();
    assert_eq!(night.told("policy_ran", actor), 2, "once for all seven nights");
    night.pass(24);
    night.look();
    assert_eq!(night.told("policy_ran", actor), 3);
    assert_eq!(night.told("verified", actor), 1, "it was not written since");
}

#[test]
fn a_run_that_is_stopped_or_in_the_way_of_another_is_made_up_for() {
    let night = Night::new("[policy.night]\nverify = true\nrun = \"02:00\"\n", &["A00001L9"]);
    night.pass(15);
    run_due_with(&night.library, &nobody, &AtomicBool::new(true));
    {
        let _by_hand = night.library.transfers.policies_alone().unwrap();
        night.look();
        let request = json!({ "operation": "rules", "action": "run", "free_disk": false });
        let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
        let request = serde_json::from_value(request).unwrap();
        let refused = operations::answer(&night.library, request, &caller).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Refused);
    }
    assert_eq!(night.told("policy_ran", "policy night"), 0);
    night.look();
    assert_eq!(night.told("policy_ran", "policy night"), 1);
}

#[test]
fn copies_are_written_where_the_policy_says_and_what_fails_is_in_the_ledger_and_the_status() {
    let document = "[policy.night]\ncopies = 1\nrun = \"02:00\"\nlibrary = \"/dev/sg3\"\nscratch = \"SCR*\"\n\
                    [policy.other]\ncopies = 2\nmembers = [\"A00002L9\"]\n";
    let night = Night::new(document, &["A00001L9", "A00002L9"]);
    night.pass(15);
    let orders = Mutex::new(Vec::new());
    let broken = |choice: &ExportChoice, job: &Job, caller: &Caller<'_>| {
        orders.lock().unwrap().push((job.barcode.clone(), caller.actor.to_owned()));
        assert_eq!(choice.library.as_deref(), Some("/dev/sg3"));
        assert_eq!(choice.scratch.as_deref(), Some("SCR*"));
        Err(Failure::new(FailureKind::Damaged, "the drive is broken (4/44/00)"))
    };
    let is_given_up = AtomicBool::new(false);
    run_due_with(&night.library, &broken, &is_given_up);
    let by = || "policy night".to_owned();
    assert_eq!(*orders.lock().unwrap(), [("A00001L9".into(), by()), ("A00002L9".into(), by())]);
    assert_eq!(night.library.store.copies().len(), 2, "the other policy runs when it is asked to");
    let night = night.restart();
    let status = night.status();
    assert_eq!((&status["done"], &status["failed"]), (&json!(2), &json!(2)));
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.starts_with("A00001L9, write copy 1: the drive is broken"), "{problem}");

    // In use by somebody: nobody waits, and nothing has failed, but somebody has to know.
    night.pass(24);
    let busy =
        |_: &ExportChoice, _: &Job, _: &Caller<'_>| Err(Failure::refused("/dev/sg3 is in use"));
    run_due_with(&night.library, &busy, &is_given_up);
    let status = night.status();
    assert_eq!((&status["left"], &status["failed"]), (&json!(2), &json!(0)));
    assert_eq!(status["problem"], "A00001L9, write copy 1: /dev/sg3 is in use");

    night.pass(24);
    let store = &night.library.store;
    let works = |_: &ExportChoice, job: &Job, caller: &Caller<'_>| {
        night.make(job, &job.barcode, caller.actor);
        Ok(json!({}))
    };
    run_due_with(&night.library, &works, &is_given_up);
    assert!(store.copies().iter().all(|copy| copy.state == CopyState::Receipted));
    assert_eq!(night.status()["problem"], Value::Null);
}

/// The first copies were written, a host went on with the cartridge, and no second one was ever written, as its number was above `copies`. What
/// was asked for counted as a copy, so that the plan, the status and the doctor said that all is well.
#[test]
fn what_was_appended_to_is_copied_again() {
    let night = Night::new(
        "[policy.night]\ncopies = 1\nrun = \"02:00\"\nlibrary = \"/dev/sg3\"\nscratch = \"SCR*\"\n",
        &["A00001L9"],
    );
    let orders = Mutex::new(Vec::new());
    let works = |_: &ExportChoice, job: &Job, caller: &Caller<'_>| {
        let volume =
            if job.is_for_scratch { format!("SCR00{}L9", job.copy) } else { job.barcode.clone() };
        night.make(job, &volume, caller.actor);
        orders.lock().unwrap().push((job.copy, volume));
        Ok(json!({}))
    };
    night.pass(15);
    for round in 0..3 {
        run_due_with(&night.library, &works, &AtomicBool::new(false));
        assert_eq!(night.status()["problem"], Value::Null, "{round}");
        night.append("A00001L9");
        night.pass(24);
    }
    // The tape with the cartridge's barcode has the first copy.
    let volumes = ["A00001L9", "SCR002L9", "SCR003L9"].map(str::to_owned);
    assert_eq!(*orders.lock().unwrap(), (1..).zip(volumes).collect::<Vec<_>>());
    // Somebody asks for one more than the policy wants: it is not his, and nobody is left in the dark.
    let store = &night.library.store;
    run_due_with(&night.library, &works, &AtomicBool::new(false));
    store.stage_copies(&[(store.find("A00001L9").unwrap().uuid, 5)], "op").unwrap();
    night.pass(24);
    night.look();
    let status = night.status();
    assert_eq!((&status["failed"], &status["left"]), (&json!(0), &json!(1)));
    let problem = status["problem"].as_str().unwrap();
    assert!(problem.starts_with("A00001L9, write copy 5: it was asked for"), "{problem}");
}

/// The plan refused groups that overlap, and the timer acted on them, the first by name, with half of the other.
#[test]
fn groups_that_overlap_stop_a_policy_and_somebody_is_told() {
    let document = "[group.ab]\nmembers = [\"AB*\"]\n[group.ac]\nmembers = [\"A?C*\"]\n\
                    [policy.night]\nverify = true\ncopies = 1\nrun = \"02:00\"\n";
    let night = Night::new(document, &[]);
    let new = NewCartridge::new(Barcode::new("ABC001L9").unwrap(), "lto9");
    night.library.store.create_cartridges(vec![new], "op").unwrap();
    night.append("ABC001L9");
    night.pass(15);
    night.look();
    night.look();
    assert_eq!(night.told("verified", "policy night"), 0);
    assert_eq!(night.told("policy_ran", "policy night"), 1, "it is not tried every minute");
    assert!(night.library.store.copies().is_empty());
    let problem = night.status()["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("ABC001L9 would be in the groups ab and ac"), "{problem}");
}

/// A snapshot rested on one member of a group: the plan said that all can be given up, and the run deleted the others.
#[test]
fn a_group_is_given_up_as_a_whole_or_not_at_all() {
    let document = "[group.g]\nmembers = [\"A*\"]\n\
                    [policy.night]\ngroup = \"g\"\ncopies = 1\nfree-disk = true\nrun = \"02:00\"\nlibrary = \"/dev/sg3\"\n";
    let night = Night::new(document, &["A00001L9", "A00002L9"]);
    let store = &night.library.store;
    let works = |_: &ExportChoice, job: &Job, caller: &Caller<'_>| {
        night.make(job, &job.barcode, caller.actor);
        Ok(json!({}))
    };
    night.pass(15);
    run_due_with(&night.library, &works, &AtomicBool::new(false));
    let second = store.find("A00002L9").unwrap().uuid;
    store.create_snapshot("s", &[second], &HashMap::new(), "op").unwrap();
    night.pass(24);
    night.look();
    assert_eq!(store.cartridges().len(), 2, "{}", night.status());
    let request = json!({ "operation": "rules", "action": "plan", "file": null, "document": null });
    let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
    let plan =
        operations::answer(&night.library, serde_json::from_value(request).unwrap(), &caller)
            .unwrap();
    let why = "it holds what others rest on (snapshot s): delete these first";
    assert_eq!(plan["actions"][0]["blocked"], format!("its group waits for A00002L9: {why}"));
    assert_eq!(plan["actions"][1]["blocked"], why);
    store.delete_snapshot("s", "op").unwrap();
    night.pass(24);
    night.look();
    assert_eq!(store.cartridges().len(), 0, "{}", night.status());
}

#[test]
fn a_drill_runs_when_the_calendar_of_its_group_says_so_and_what_cut_it_short_is_made_up_for() {
    let document = "[group.mail]\nmembers = [\"A*\"]\ndrill = \"02:00\"\ndrill-level = 2\n\
                    [policy.mail]\nverify = true\nrun = \"02:00\"\n";
    let night = Night::new(document, &["A00001L9"]);
    let orders = Mutex::new(Vec::new());
    let run = |ended: Option<Result<(), Failure>>| {
        let rehearse = |order: &Order<'_>| {
            orders.lock().unwrap().push((order.group.to_owned(), order.level, order.share_percent));
            ended.clone()
        };
        timed::run_due_with(&night.library, 20, &rehearse);
        std::mem::take(&mut *orders.lock().unwrap())
    };
    let ordered = [("mail".to_owned(), 2, 20)];
    assert_eq!(run(Some(Ok(()))), [], "nothing is due at noon");
    night.pass(15);
    assert_eq!(run(None), ordered);
    assert_eq!(night.told("policy_ran", "drill of mail"), 0, "the daemon ended: it begins anew");
    assert_eq!(run(Some(Err(Failure::failed("group mail does NOT come back whole")))), ordered);
    assert_eq!(run(Some(Ok(()))), [], "once, however it went");
    night.look();
    assert_eq!(
        night.told("policy_ran", "policy mail"),
        1,
        "a policy of the same name is another thing"
    );
    let status = overview(&night.library)[1].clone();
    assert_eq!((&status["policy"], &status["failed"]), (&json!("drill:mail"), &json!(1)));
    assert_eq!(status["problem"], "group mail does NOT come back whole");
    // What is planned is told where people look.
    let asked = |request: Value| {
        let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
        let request = serde_json::from_value(request).unwrap();
        operations::answer(&night.library, request, &caller).unwrap()[0].clone()
    };
    let posture = asked(json!({ "operation": "posture", "group": "mail" }));
    assert_eq!(posture["next_drill"], status["next"]);
    let listed = asked(json!({ "operation": "drill", "action": "list", "group": null }));
    assert_eq!((&listed["result"], &listed["time"]), (&json!("planned"), &status["next"]));
    night.pass(7 * 24);
    assert_eq!(run(Some(Ok(()))), ordered);
    assert_eq!(run(Some(Ok(()))), [], "once for all seven nights");
}

/// A drill that died between its first two requests left its snapshot shown until the daemon was started again.
#[test]
fn the_snapshot_of_a_drill_that_nobody_holds_is_taken_back() {
    let scene = Scene::new();
    let library = &scene.library;
    library.store.apply_rules(&format!("[group.one]\nmembers = [\"{BARCODE}\"]\n"), "op").unwrap();
    library.note_portal("127.0.0.1:3260".parse().unwrap());
    let ask = |request: Value| {
        let caller = Caller { actor: "op", is_gone: &AtomicBool::new(false) };
        let request = serde_json::from_value(request).unwrap();
        operations::answer(library, request, &caller)
    };
    let begin = || ask(json!({ "operation": "drill", "action": "begin", "group": "one" })).unwrap();
    let shown = || library.store.snapshots().iter().filter(|one| one.is_presented).count();
    begin();
    crate::drill::take_back(library, Duration::from_hours(1));
    assert_eq!(shown(), 1, "he has an hour");
    crate::drill::take_back(library, Duration::ZERO);
    assert_eq!((shown(), library.store.snapshots().len()), (0, 0));
    // What somebody holds stays, for as long as he does.
    let snapshot = begin()["snapshot"].as_str().unwrap().to_owned();
    let (is_gone, hold) = (
        AtomicBool::new(false),
        json!({ "operation": "drill", "action": "hold", "snapshot": snapshot }),
    );
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let caller = Caller { actor: "op", is_gone: &is_gone };
            operations::answer(library, serde_json::from_value(hold).unwrap(), &caller).unwrap()
        });
        while !library.drills.is_held(&snapshot) {
            assert!(!holder.is_finished(), "it was held for no moment");
            std::thread::yield_now();
        }
        crate::drill::take_back(library, Duration::ZERO);
        assert_eq!(shown(), 1);
        is_gone.store(true, Ordering::Relaxed);
        holder.join().unwrap();
    });
    assert_eq!(shown(), 0);
    library.power_off();
}
