//! A month in ten minutes: daily backups into sets of a grandfather, father and son, a weekly vault run, shipping, a recall, a container
//! that is lost and a tape that comes back damaged. Clock and disk are simulated. At each step the ledger, the list of copies and the
//! list of what is overdue are compared with a model that shares no code with what it checks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use vtl_media::disk::MemoryDisk;
use vtl_media::store::{CatalogueKind, Clock};
use vtl_media::{
    Barcode, CartridgeEntry, CopyFacts, CopyRecord, CopyState, CopyStep, LibrarySpec, LoadOptions,
    NewCartridge, Store, StoreOptions, Volume,
};
use vtl_vault::walk::{self, Choice, Shipment, TapeName, Waits};
use vtl_vault::{Action, Rules, Situation, plan};

const RULES: &str = r#"
[pool.daily]
allocation = "always-new"
gfs = { daily = 7, weekly = 2, monthly = 2 }

[policy.offsite]
pool = "daily"
when = { all = ["unloaded", { age = "1h" }] }
copies = 1
"#;
const TAPES: usize = 16;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const DAYS: i64 = 31;

/// What the model knows of one copy. Times are seconds since the month began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelCopy {
    tape: usize,
    content: i64,
    number: u32,
    state: &'static str,
    container: String,
    expected: Option<i64>,
}

/// The month as somebody with a notebook would keep it.
#[derive(Debug, Default)]
struct Model {
    /// When each tape was last written.
    written: BTreeMap<usize, i64>,
    copies: Vec<ModelCopy>,
}

impl Model {
    /// Until when a tape is kept: looks at all others, one by one.
    fn kept_until(&self, tape: usize) -> i64 {
        let own = self.written[&tape];
        let day = own.div_euclid(DAY);
        let is_earlier = |same: &dyn Fn(i64) -> bool| {
            self.written.values().any(|other| *other < own && same(other.div_euclid(DAY)))
        };
        // The month began on Monday, 30 November: day 0 is of November, days 1 to 31 of December.
        let month = |day: i64| i64::from(day >= 1);
        if !is_earlier(&|other| month(other) == month(day)) {
            // Two months on: 30 January and 1 February.
            return own + if day == 0 { 61 } else { 62 } * DAY;
        }
        let is_weekly = !is_earlier(&|other| other.div_euclid(7) == day.div_euclid(7));
        own + if is_weekly { 14 } else { 7 } * DAY
    }

    /// The tape of the next backup: the first that was never written, else of those whose time is over the oldest.
    fn next(&self, now: i64) -> Option<usize> {
        let blank = (0..TAPES).find(|tape| !self.written.contains_key(tape));
        let over = self.written.iter().filter(|(tape, _)| self.kept_until(**tape) <= now);
        blank.or_else(|| over.min_by_key(|(_, written)| **written).map(|(tape, _)| *tape))
    }

    /// Tapes of which no copy that is there has the content, with the number that a new one gets.
    fn to_copy(&self, now: i64) -> Vec<(usize, u32)> {
        let stands = |copy: &&ModelCopy| !["lost", "failed"].contains(&copy.state);
        let mut wanted = Vec::new();
        for (tape, written) in &self.written {
            let of_tape: Vec<&ModelCopy> =
                self.copies.iter().filter(stands).filter(|copy| copy.tape == *tape).collect();
            let is_new = now - written >= HOUR;
            if is_new && of_tape.iter().all(|copy| copy.content < *written) {
                let number =
                    (1..100).find(|number| of_tape.iter().all(|copy| copy.number != *number));
                wanted.push((*tape, number.unwrap()));
            }
        }
        wanted
    }

    fn overdue(&self, now: i64) -> Vec<String> {
        let is_late = |copy: &&ModelCopy| {
            ["courier", "recalled"].contains(&copy.state)
                && copy.expected.is_some_and(|by| by < now)
        };
        let mut late: Vec<String> = self
            .copies
            .iter()
            .filter(is_late)
            .map(|copy| volume(copy.tape, copy.content))
            .collect();
        late.sort();
        late
    }

    fn step_to(
        &mut self,
        container: &str,
        from: &str,
        to: &'static str,
        expected: Option<i64>,
    ) -> usize {
        let mut count = 0;
        for copy in &mut self.copies {
            if copy.container == container && copy.state == from {
                (copy.state, copy.expected) = (to, expected);
                count += 1;
            }
        }
        count
    }
}

fn barcode(tape: usize) -> String {
    format!("D{:05}L9", tape + 1)
}

/// The label of the physical tape that has this content.
fn volume(tape: usize, content: i64) -> String {
    format!("P{:02}{:03}L9", tape, content.div_euclid(DAY))
}

/// The store with its simulated time.
struct World {
    disk: MemoryDisk,
    clock: Arc<AtomicI64>,
    /// None while the program is down.
    store: Option<Store>,
    model: Model,
}

fn begin() -> Timestamp {
    "2026-11-30T00:00:00Z".parse().unwrap()
}

fn moment(seconds: i64) -> Timestamp {
    begin() + SignedDuration::from_secs(seconds)
}

fn clock(seconds: &Arc<AtomicI64>) -> Clock {
    let seconds = Arc::clone(seconds);
    Clock(Arc::new(move || moment(seconds.load(Ordering::Relaxed))))
}

fn open(disk: &MemoryDisk, seconds: &Arc<AtomicI64>) -> Store {
    let options = StoreOptions {
        clock: clock(seconds),
        catalogue: CatalogueKind::Memory,
        ..StoreOptions::default()
    };
    Store::open(Arc::new(disk.clone()), Path::new("/data"), options).unwrap()
}

impl World {
    fn new() -> Self {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(AtomicI64::new(0)));
        let store = open(&disk, &clock);
        let cartridges = (0..TAPES).map(|tape| NewCartridge {
            pool: Some("daily".into()),
            ..NewCartridge::new(Barcode::new(&barcode(tape)).unwrap(), "lto9")
        });
        let spec = LibrarySpec {
            storage_elements: 20,
            cartridges: cartridges.collect(),
            ..LibrarySpec::default()
        };
        store.initialize(spec).unwrap();
        store.apply_rules(RULES, "admin").unwrap();
        Self { disk, clock, store: Some(store), model: Model::default() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn rules(&self) -> Rules {
        Rules::parse(&self.store().rules().unwrap().document).unwrap()
    }

    fn situation(&self) -> Situation {
        Situation {
            fixed: std::collections::BTreeSet::new(),
            now: moment(self.now()),
            zone: TimeZone::UTC,
            disk_used_percent: 10,
            undo_window: SignedDuration::from_hours(24 * 14),
            locked: BTreeMap::new(),
            dependents: BTreeMap::new(),
            cartridges: self.store().cartridges(),
            copies: self.store().copies(),
        }
    }

    /// The backup software writes to the tape that the pool names.
    fn backup(&mut self) {
        let situation = self.situation();
        let members: Vec<&CartridgeEntry> = situation.cartridges.iter().collect();
        let next = self.rules().pools["daily"].next(&members, &situation);
        let expected = self.model.next(self.now()).map(barcode);
        assert_eq!(next.barcode.map(|barcode| barcode.to_string()), expected, "{}", next.reason);
        let tape = self.model.next(self.now()).unwrap();
        let uuid = self.store().find(&barcode(tape)).unwrap().uuid;
        let options = LoadOptions { clock: clock(&self.clock).0, ..LoadOptions::default() };
        let directory = self.store().directory_of(uuid);
        let mut volume = Volume::load(self.store().disk(), &directory, options).unwrap();
        let data = format!("backup of {}", self.now()).into_bytes();
        let length = u32::try_from(data.len()).unwrap();
        volume.write(Box::new(data), length, 1).unwrap();
        volume.write_filemarks(1).unwrap();
        let facts = volume.unload().unwrap();
        self.store().update_facts(uuid, &facts).unwrap();
        self.model.written.insert(tape, self.now());
        for kept in self.rules().pools["daily"]
            .kept(&self.store().cartridges().iter().collect::<Vec<_>>(), &self.situation())
        {
            let tape: usize = kept.barcode.as_str()[1..6].parse::<usize>().unwrap() - 1;
            let expected = moment(self.model.kept_until(tape));
            assert_eq!(kept.kept_until, Some(expected), "{} as {:?}", kept.barcode, kept.set);
        }
    }

    /// The weekly vault run: copies are asked for, made, taken out, packed and given to the courier.
    fn vault(&mut self, container: &str) {
        let made = plan(&self.rules(), &self.situation());
        let wanted: Vec<(uuid::Uuid, u32)> = made
            .actions
            .iter()
            .map(|planned| match planned.action {
                Action::Export { copy } => (planned.cartridge, copy),
                other => panic!("{other}"),
            })
            .collect();
        let expected = self.model.to_copy(self.now());
        let name = |uuid: &uuid::Uuid| self.store().cartridge(*uuid).unwrap().barcode.to_string();
        let planned: Vec<(String, u32)> =
            wanted.iter().map(|(uuid, number)| (name(uuid), *number)).collect();
        let modelled: Vec<(String, u32)> =
            expected.iter().map(|(tape, number)| (barcode(*tape), *number)).collect();
        assert_eq!(planned, modelled);
        for (tape, number) in expected {
            let content = self.model.written[&tape];
            let state = "courier";
            let copy = ModelCopy {
                tape,
                content,
                number,
                state,
                container: container.into(),
                expected: None,
            };
            self.model.copies.push(copy);
        }
        self.store().stage_copies(&wanted, "policy").unwrap();
        self.make();
        let rules = self.rules();
        let copies = self.store().copies();
        let waits = Waits::of(&rules, &copies, &self.store().cartridges());
        let out = walk::eject(&rules, &copies, &waits);
        assert_eq!(out.len(), wanted.len());
        self.store().advance_copies(&out, "operator anna").unwrap();
        let shipment = Shipment {
            container: container.into(),
            seal: format!("S-{container}"),
            site: "north".into(),
            expected: moment(self.now() + 2 * DAY),
        };
        let steps =
            walk::ship(&rules, &self.store().copies(), &Choice::default(), &shipment).unwrap();
        self.store().advance_copies(&steps, "operator anna").unwrap();
        let due = Some(self.now() + 2 * DAY);
        self.model.step_to(container, "courier", "courier", due);
        let list = walk::manifest(&self.store().copies(), container).unwrap();
        assert_eq!(list.rows.len(), wanted.len());
        assert_eq!((list.to.as_str(), list.seal), ("offsite:north", format!("S-{container}")));
    }

    /// What a drive would do: every copy that is asked for is written, proved and has its receipt.
    fn make(&self) {
        for copy in self.store().copies() {
            if copy.state != CopyState::Staged {
                continue;
            }
            let entry = self.store().cartridge(copy.cartridge).unwrap();
            let written = entry.last_written.unwrap();
            let tape: usize = copy.barcode.as_str()[1..6].parse::<usize>().unwrap() - 1;
            let facts = CopyFacts {
                volume: Some(volume(tape, written.as_second() - begin().as_second())),
                as_of: Some(moment(self.now())),
                generation: Some(entry.generation),
                bytes: Some(entry.written_bytes),
                receipt: Some("ab".repeat(32)),
                ..CopyFacts::default()
            };
            let made = [
                CopyState::Manifested,
                CopyState::Written,
                CopyState::Proved,
                CopyState::Receipted,
            ];
            let steps = made.map(|state| CopyStep { copy: copy.id, state, facts: facts.clone() });
            self.store().advance_copies(&steps, "drive").unwrap();
        }
    }

    fn receive(&mut self, container: &str) {
        let copies = self.store().copies();
        let facts = CopyFacts { seal: Some(format!("S-{container}")), ..CopyFacts::default() };
        let steps = walk::receive(&copies, container, &[], &facts, false).unwrap();
        self.store().advance_copies(&steps, "courier bob").unwrap();
        assert_eq!(self.model.step_to(container, "courier", "offsite", None), steps.len());
    }

    /// Nobody has seen the container again.
    fn give_up(&mut self, container: &str) {
        let copies = self.store().copies();
        let inside: Vec<TapeName> = walk::manifest(&copies, container)
            .unwrap()
            .rows
            .into_iter()
            .map(|row| row.barcode.into())
            .collect();
        let steps =
            walk::receive(&copies, container, &inside, &CopyFacts::default(), false).unwrap();
        self.store().advance_copies(&steps, "operator anna").unwrap();
        assert_eq!(self.model.step_to(container, "courier", "lost", None), inside.len());
    }

    fn recall(&mut self, container: &str) {
        let choice = Choice { container: Some(container.into()), ..Choice::default() };
        let due = self.now() + DAY;
        let facts = CopyFacts { expected: Some(moment(due)), ..CopyFacts::default() };
        let steps = walk::recall(&self.rules(), &self.store().copies(), &choice, &facts).unwrap();
        self.store().advance_copies(&steps, "operator anna").unwrap();
        assert_eq!(self.model.step_to(container, "offsite", "recalled", Some(due)), steps.len());
    }

    /// The first tape is damaged, the second did not come, a stranger came along, the others are well.
    fn take_back(&mut self, container: &str) {
        let copies = self.store().copies();
        let rows = walk::manifest(&copies, container).unwrap().rows;
        let mut came: Vec<TapeName> = rows.iter().map(|row| row.barcode.clone().into()).collect();
        let damaged = came.remove(0);
        let lost = came.remove(0);
        let mut in_box = came.clone();
        in_box.push(damaged.clone());
        in_box.push(TapeName::new("XYZ001L9").unwrap());
        let (found, steps) =
            walk::take_back(&copies, container, &in_box, std::slice::from_ref(&damaged)).unwrap();
        self.store().advance_copies(&steps, "operator carl").unwrap();
        assert_eq!(found.damaged, [damaged.to_string()]);
        assert_eq!(found.lost, [lost.to_string()]);
        assert_eq!(found.unexpected.len(), 1);
        assert_eq!(found.unexpected[0].barcode, "XYZ001L9");
        assert_eq!(found.returned.len(), came.len());
        for copy in &mut self.model.copies {
            if copy.container == container && copy.state == "recalled" {
                let label = volume(copy.tape, copy.content);
                copy.expected = None;
                copy.state = match () {
                    () if label == damaged.to_string() => "failed",
                    () if label == lost.to_string() => "lost",
                    () => "returned",
                };
            }
        }
    }

    /// The list, what is overdue, and what a restart reads from the ledger are what the notebook says.
    fn check(&mut self) {
        let copies = self.store().copies();
        let mut listed: Vec<String> = copies.iter().map(told).collect();
        let model = self.model.copies.iter().map(|copy| {
            let expected = copy.expected.map(moment);
            format!(
                "{} {} {} {expected:?}",
                volume(copy.tape, copy.content),
                copy.number,
                copy.state
            )
        });
        let mut modelled: Vec<String> = model.collect();
        listed.sort();
        modelled.sort();
        assert_eq!(listed, modelled, "day {}", self.now() / DAY);
        let late = walk::overdue(&copies, moment(self.now()));
        let mut late: Vec<String> =
            late.into_iter().map(|copy| walk::volume_of(copy).to_owned()).collect();
        late.sort();
        assert_eq!(late, self.model.overdue(self.now()), "day {}", self.now() / DAY);
        let times = |store: &Store| -> Vec<Option<Timestamp>> {
            store.cartridges().into_iter().map(|entry| entry.last_written).collect()
        };
        let before = times(self.store());
        drop(self.store.take());
        self.store = Some(open(&self.disk, &self.clock));
        assert_eq!(self.store().copies(), copies, "a restart knows the same");
        assert_eq!(times(self.store()), before);
    }
}

fn told(copy: &CopyRecord) -> String {
    let volume = walk::volume_of(copy);
    format!("{volume} {} {} {:?}", copy.number, copy.state, copy.facts.expected)
}

#[test]
fn a_month_in_ten_minutes() {
    let mut world = World::new();
    let mut was_overdue = Vec::new();
    for day in 0..DAYS {
        let at = |hour: i64| day * DAY + hour * HOUR;
        world.clock.store(at(6), Ordering::Relaxed);
        // Sundays.
        if day % 7 == 6 {
            world.vault(&format!("WEEK{}", day / 7 + 1));
        }
        world.clock.store(at(12), Ordering::Relaxed);
        match day {
            8 => world.receive("WEEK1"),
            19 => world.give_up("WEEK2"),
            17 => world.recall("WEEK1"),
            20 => world.take_back("WEEK1"),
            22 => world.receive("WEEK3"),
            29 => world.receive("WEEK4"),
            _ => {}
        }
        world.check();
        if !world.model.overdue(world.now()).is_empty() {
            was_overdue.push(day);
        }
        world.clock.store(at(22), Ordering::Relaxed);
        world.backup();
        world.check();
    }
    // WEEK2 left on day 13 for day 15 and was given up on day 19; WEEK1 was asked back for day 18 and came on day 20.
    assert_eq!(was_overdue, [15, 16, 17, 18, 19]);
    let ledger = world.store().ledger();
    ledger.verify().unwrap();
    let entries = ledger.list(&vtl_media::EntryFilter::default()).unwrap();
    let steps = entries.iter().filter(|entry| entry.event.name() == "copy_advanced");
    let mut by_actor: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in steps {
        *by_actor.entry(entry.actor.as_str()).or_default() += 1;
    }
    let count = |state: &[&str]| {
        world.model.copies.iter().filter(|copy| state.contains(&copy.state)).count()
    };
    assert_eq!(by_actor["drive"], 4 * world.model.copies.len());
    let received = world.model.copies.iter().filter(|copy| copy.container != "WEEK2").count();
    assert_eq!(by_actor["courier bob"], received, "{by_actor:?}");
    assert!(by_actor.contains_key("operator anna") && by_actor.contains_key("operator carl"));
    assert!(count(&["lost"]) > 5 && count(&["failed"]) == 1 && count(&["returned"]) > 0);
}
