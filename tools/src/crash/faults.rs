//! A disk that fails: each call of a scenario in turn, in each way, once or for ever.
//!
//! Whatever fails, no command may say that all is well when it is not. So the same promises are kept as for a power cut, and
//! where a command ends in CHECK CONDITION the tape is in doubt from then on: what the drive goes on to say of it is taken
//! at its word, and has to be true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use vtl_changer::Element;
use vtl_media::disk::{Call, Disk, Fault, FaultDisk, MemoryDisk, Reaction, Site};
use vtl_media::{Barcode, NewCartridge, Place};
use vtl_scsi::Status;
use vtl_scsi::sense::{Asc, Sense, SenseKey};

use crate::check;
use crate::cut::Cut;
use crate::host::{Host, address_of, elements, expect_good, load_options, place_of};
use crate::promise::Promise;
use crate::tape::{Object, Objects, content};
use crate::workload::{Failed, SharedPromise, Workload, lock};
use vtl_tools::random::Random;

/// One way to fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    name: &'static str,
    reaction: Reaction,
    /// The kind of call that fails, if not any.
    call: Option<Call>,
    /// What fails at the same moment, once.
    also: Option<Call>,
    /// For ever, from some call on.
    is_forever: bool,
}

/// All ways to fail.
pub(crate) fn ways() -> Vec<Way> {
    let kinds = [
        ("EIO", Reaction::Errno(EIO)),
        ("ENOSPC", Reaction::Errno(28)),
        ("EROFS", Reaction::Errno(30)),
        ("EINTR", Reaction::Errno(4)),
        ("512 bytes only", Reaction::Short(512)),
        ("100 bytes only", Reaction::Short(100)),
    ];
    let plain = |(name, reaction)| {
        [false, true].map(|is_forever| Way { name, reaction, call: None, also: None, is_forever })
    };
    let mut ways: Vec<Way> = kinds.into_iter().flat_map(plain).collect();
    // What is done about one failure may fail as well, and not with the very next call.
    let reaction = Reaction::Errno(EIO);
    let kinds = [Call::SyncDir, Call::SyncData, Call::Write, Call::Remove].map(|call| Way {
        name: "EIO of one kind",
        reaction,
        call: Some(call),
        also: None,
        is_forever: true,
    });
    ways.extend(kinds);
    ways.push(Way {
        name: "EIO and no sync",
        reaction,
        call: Some(Call::Write),
        also: Some(Call::SyncData),
        is_forever: false,
    });
    ways
}

impl Way {
    /// Has the call with this number fail, counted from 0 from now on.
    fn inject(self, disk: &FaultDisk, number: u64) {
        let fault = move |call, skip_count, hit_count| Fault {
            call,
            path_part: String::new(),
            skip_count,
            hit_count,
            reaction: self.reaction,
        };
        disk.inject(fault(self.call, number, if self.is_forever { u64::MAX } else { 1 }));
        let Some(also) = self.also else { return };
        let (own, left) = (disk.clone(), AtomicU64::new(number));
        disk.watch(Arc::new(move |call, _| {
            if self.call == Some(call) && left.fetch_sub(1, Ordering::Relaxed) == 0 {
                own.inject(fault(Some(also), 0, 1));
            }
        }));
    }
}

/// A disk with a failure to come.
#[derive(Debug)]
pub(crate) struct Doomed {
    memory: MemoryDisk,
    disk: FaultDisk,
    way: Way,
    call: u64,
}

impl Doomed {
    fn inject(&self) {
        self.way.inject(&self.disk, self.call);
    }

    /// It does not fail any more.
    fn release(&self) {
        self.disk.watch(Arc::new(|_, _| {}));
        self.disk.release();
    }
}

/// What failed where, and how it was answered.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) runs: u64,
    pub(crate) sites: BTreeSet<Site>,
    /// How often a command was answered with which sense.
    pub(crate) answers: BTreeMap<String, u64>,
}

/// Something that is done on a disk, and has to end well once the disk has stopped to fail.
pub(crate) trait Scenario {
    /// For people.
    fn name(&self) -> &'static str;
    /// A fresh disk, and what is promised on it.
    fn disk(&self) -> anyhow::Result<MemoryDisk>;
    /// Does it on a disk that fails as told, and checks what it has led to after the disk has stopped to fail.
    fn run(&self, doomed: &Doomed, found: &mut Found) -> anyhow::Result<()>;
}

/// Lets each call of a scenario fail in turn, in one way.
pub(crate) fn fail_each_call(
    scenario: &dyn Scenario,
    way: Way,
    stride: u64,
    found: &mut Found,
) -> anyhow::Result<()> {
    for call in (0..).step_by(usize::try_from(stride)?) {
        let memory = scenario.disk()?;
        let disk = FaultDisk::over(memory.clone());
        disk.trace();
        let what = || {
            let Way { name, is_forever, .. } = way;
            let sites = disk.failed_sites();
            let often = if is_forever { "for ever" } else { "once" };
            format!("{}, call {call}, {name} {often}, {sites:?}", scenario.name())
        };
        let doomed = Doomed { memory, disk: disk.clone(), way, call };
        scenario.run(&doomed, found).with_context(what)?;
        let retried = disk.retried_syncs();
        if !retried.is_empty() {
            bail!("{}: synced again after a failed sync: {retried:?}", what());
        }
        found.runs += 1;
        let sites = disk.failed_sites();
        let is_over = sites.is_empty();
        found.sites.extend(sites);
        if is_over {
            return Ok(());
        }
    }
    Ok(())
}

/// A library is made, out of nothing or out of what an interrupted attempt has left.
pub(crate) struct Install(MemoryDisk);

impl Install {
    /// Cut off after so many calls.
    pub(crate) fn after_calls(count: u64) -> Self {
        let memory = MemoryDisk::new();
        let disk = FaultDisk::over(memory.clone());
        disk.inject(
            Fault { call: None, ..Fault::forever(Call::Open, "", Reaction::Errno(EIO)) }
                .after(count),
        );
        // It fails, or there are not so many calls.
        drop(Host::install(Arc::new(disk), 1));
        Self(memory.after_power_cut())
    }
}

impl Scenario for Install {
    fn name(&self) -> &'static str {
        "install"
    }

    fn disk(&self) -> anyhow::Result<MemoryDisk> {
        Ok(self.0.snapshot())
    }

    fn run(&self, doomed: &Doomed, _found: &mut Found) -> anyhow::Result<()> {
        let Doomed { memory, disk, call: seed, .. } = doomed;
        let seed = *seed;
        doomed.inject();
        let made = Host::install(Arc::new(disk.clone()), 1);
        doomed.release();
        let torn = memory.snapshot();
        torn.torn_power_cut(seed);
        for left in [torn, memory.snapshot()] {
            let left: Arc<dyn Disk> = Arc::new(left);
            if let Err(error) = Host::boot(Arc::clone(&left), load_options(), 2) {
                // What was acknowledged is there; else it can be done again.
                if made.is_ok() {
                    return Err(error.context("the library is gone"));
                }
                Host::install(Arc::clone(&left), 3).context("making it again")?;
            }
            let host = Host::boot(left, load_options(), 4)?;
            if host.places()?.len() != 3 {
                bail!("{:?} in a new library", host.places()?);
            }
            host.abandon();
        }
        Ok(())
    }
}

/// The program starts where the power has failed.
pub(crate) struct Boot {
    /// Disks after a power cut, with what had been promised.
    template: MemoryDisk,
    promise: Promise,
}

impl Boot {
    /// What a power cut in the middle of work leaves.
    pub(crate) fn after(cut: &Cut, seed: u64) -> Self {
        let template = cut.disk.snapshot();
        template.torn_power_cut(seed);
        Self { template, promise: cut.promise.clone() }
    }

    /// What a start has to put right here: which calls it makes to change anything, and how often, up to a few.
    pub(crate) fn kind(&self) -> anyhow::Result<String> {
        let disk = FaultDisk::over(self.template.snapshot());
        let calls: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
        let noted = Arc::clone(&calls);
        disk.watch(Arc::new(move |call, path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Segments and moments have numbers; what kind of file it is says the rest of the name.
            let kind: String = name.chars().filter(|c| !c.is_ascii_digit()).collect();
            let is_change =
                matches!(call, Call::Write | Call::Rename | Call::SetLength | Call::Open);
            if is_change && [".seg", ".log", ".torn"].iter().any(|part| kind.contains(part)) {
                *lock(&noted).entry(format!("{call:?} {kind}")).or_default() += 1;
            }
        }));
        Host::boot(Arc::new(disk.clone()), load_options(), 5)?.abandon();
        let torn = |name: &str| lock(&calls).keys().filter(|kind| kind.contains(name)).count();
        let writes = lock(&calls).get("Write .seg").copied().unwrap_or(0).min(3);
        let has_torn_ledger = torn("SetLength .log") > 0;
        Ok(format!("{writes} {has_torn_ledger} {} {}", torn("Rename .log"), torn(".torn") > 0))
    }
}

impl Scenario for Boot {
    fn name(&self) -> &'static str {
        "start after a cut"
    }

    fn disk(&self) -> anyhow::Result<MemoryDisk> {
        Ok(self.template.snapshot())
    }

    fn run(&self, doomed: &Doomed, _found: &mut Found) -> anyhow::Result<()> {
        let Doomed { memory, disk, call: seed, .. } = doomed;
        let seed = *seed;
        doomed.inject();
        let booted = Host::boot(Arc::new(disk.clone()), load_options(), 5);
        doomed.release();
        let promise = self.promise.clone();
        let cut = after(memory, promise.clone(), seed, "a failed start");
        if let Ok(host) = booted {
            host.abandon();
        }
        check::check(cut)?;
        check::check(after(memory, promise, seed + 1, "the end of a failed start"))?;
        Ok(())
    }
}

fn after(memory: &MemoryDisk, promise: Promise, seed: u64, name: &str) -> Cut {
    let disk = memory.snapshot();
    Cut { disk, promise, seed, name: name.to_owned(), is_in_recovery: true }
}

/// Work goes on while the disk fails.
pub(crate) struct Work {
    pub(crate) seed: u64,
    pub(crate) commands: u32,
}

impl Scenario for Work {
    fn name(&self) -> &'static str {
        "work"
    }

    fn disk(&self) -> anyhow::Result<MemoryDisk> {
        let memory = MemoryDisk::new();
        Host::install(Arc::new(memory.clone()), 1)?;
        Ok(memory)
    }

    fn run(&self, doomed: &Doomed, found: &mut Found) -> anyhow::Result<()> {
        let Doomed { memory, disk, call: seed, .. } = doomed;
        let seed = *seed;
        let host = Host::boot(Arc::new(disk.clone()), load_options(), 6)?;
        let mut workload = Workload::new(&host, self.seed, host.places()?).on_failing_disk();
        let promise = workload.promise();
        doomed.inject();
        let mut failed = workload.run(self.commands / 2)?;
        if failed.is_none() {
            upkeep(&host, &promise)?;
            failed = workload.run(self.commands / 2)?;
        }
        let log = workload.last_commands();
        let mut random = Random::new(self.seed, seed);
        let result = go_on(&host, doomed, (&promise, failed.as_ref()), &mut random);
        let told = failed.map(|failed| format!("{} was answered {}", failed.what, failed.sense));
        if let Some(told) = &told {
            let kind = told.split([' ', '(']).next().unwrap_or_default();
            let sense = told.split_once("answered ").map(|(_, sense)| sense).unwrap_or_default();
            *found.answers.entry(format!("{kind}: {sense}")).or_default() += 1;
        }
        result.with_context(|| format!("{log}\n{told:?}"))?;
        let promise = lock(&promise).clone();
        check::check(after(memory, promise.clone(), seed, "the end"))?;
        host.abandon();
        check::check(after(memory, promise, seed + 1, "the program's end"))?;
        Ok(())
    }
}

/// After a failed command, first on the failing disk and then on a good one.
fn go_on(
    host: &Host,
    doomed: &Doomed,
    (promise, failed): (&SharedPromise, Option<&Failed>),
    random: &mut Random,
) -> anyhow::Result<()> {
    let Some(failed) = failed else {
        doomed.release();
        return Ok(());
    };
    check_sense(failed)?;
    let Some((drive, barcode)) = &failed.drive else {
        doomed.release();
        return Ok(());
    };
    probe(host, *drive, barcode, promise, random, false).context("on the failing disk")?;
    doomed.release();
    let cut = after(&doomed.memory, lock(promise).clone(), random.next(), "the failed command");
    check::check(cut)?;
    probe(host, *drive, barcode, promise, random, false).context("after the failure")?;
    if reload(host, *drive, barcode, promise)? {
        probe(host, *drive, barcode, promise, random, true).context("loaded again")?;
    }
    Ok(())
}

/// What an operator does meanwhile. It may fail, but not lie.
fn upkeep(host: &Host, promise: &SharedPromise) -> anyhow::Result<()> {
    let store = host.library.store();
    let before = host.places()?;
    let barcode = Barcode::new("B00001L9")?;
    let mut new = NewCartridge::new(barcode.clone(), "lto9");
    new.to = Some(Place::Shelf);
    let mut with = before.clone();
    with.insert(barcode.as_str().to_owned(), Place::Shelf);
    {
        let mut promise = lock(promise);
        promise.places.push(Arc::new(with.clone()));
        promise.tapes.insert(barcode.as_str().to_owned(), vec![Arc::default()]);
    }
    match store.create_cartridges(vec![new], "operator") {
        Ok(made) => {
            lock(promise).places = vec![Arc::new(with.clone())];
            if host.places()? != with {
                bail!("a cartridge was made and is not there");
            }
            drop(store.check_catalogue());
            drop(store.rebuild_catalogue());
            lock(promise).places.push(Arc::new(before.clone()));
            for entry in made {
                if store.delete_cartridge(entry.uuid, "operator").is_ok() {
                    lock(promise).places = vec![Arc::new(before.clone())];
                }
            }
        }
        Err(_) if host.places()? != before => bail!("a cartridge was not made and is there"),
        Err(_) => {}
    }
    let disk = store.disk();
    if Host::boot(disk, load_options(), 9).is_ok() {
        bail!("two programs have one data directory open");
    }
    drop(store.ledger().verify());
    drop(store.flush());
    Ok(())
}

/// No failure of the disk is the initiator's fault, or a reason to throw a good tape away without having lost anything.
fn check_sense(failed: &Failed) -> anyhow::Result<()> {
    let sense = failed.sense;
    let is_write = ["Write", "Filemarks", "Erase"].iter().any(|name| failed.what.starts_with(name));
    let is_plausible = match sense.key {
        // A WRITE for which no space could be set aside was once answered with it.
        SenseKey::MediumError if sense.asc == Asc::UNRECOVERED_READ_ERROR => !is_write,
        SenseKey::MediumError | SenseKey::HardwareError => true,
        SenseKey::VolumeOverflow => is_write,
        SenseKey::NotReady => failed.what.starts_with("Load"),
        _ => false,
    };
    if is_plausible { Ok(()) } else { bail!("{} was answered {sense}: {sense:?}", failed.what) }
}

/// Writes a block and a filemark, and takes at its word what the drive says of it.
fn probe(
    host: &Host,
    drive: u16,
    barcode: &str,
    promise: &SharedPromise,
    random: &mut Random,
    has_to_succeed: bool,
) -> anyhow::Result<()> {
    let lun = drive + 1;
    let id = random.next();
    let block = Object::Block { id, length: 100 };
    let before = position(host, lun)?;
    let states = lock(promise).tapes.get(barcode).cloned().unwrap_or_default();
    // Whatever is accepted may be on the tape, behind anything that may be on it now.
    for state in &states {
        let kept = before.unwrap_or(0).min(state.len());
        for tail in [&[][..], &[block], &[block, Object::Mark], &[Object::Mark]] {
            let head = state.get(..kept).unwrap_or_default();
            lock(promise).may_be(barcode, [head, tail].concat());
        }
    }
    let write = host.send(lun, &[0x0a, 0, 0, 0, 100, 0], &content(id, 100))?;
    let is_written = write.sense.is_none() || write.sense == Some(Sense::early_warning());
    let sync = host.send(lun, &[0x10, 0, 0, 0, 1, 0], &[])?;
    let is_synced = sync.sense.is_none() || sync.sense == Some(Sense::early_warning());
    if has_to_succeed && !(is_written && is_synced) {
        bail!("{:?} and {:?} on a disk that does not fail any more", write.sense, sync.sense);
    }
    if !is_synced {
        return Ok(());
    }
    let tail = if is_written { vec![block, Object::Mark] } else { vec![Object::Mark] };
    let end = position(host, lun)?.context("synced, and nobody knows up to where")?;
    let kept = end.checked_sub(tail.len()).context("synced, and not there")?;
    let mut promised: Vec<Arc<Objects>> = Vec::new();
    for state in states.iter().filter(|state| state.len() >= kept) {
        let objects = [state.get(..kept).unwrap_or_default(), &tail].concat();
        if !promised.iter().any(|other| **other == objects) {
            promised.push(Arc::new(objects));
        }
    }
    if promised.is_empty() {
        bail!("object {end} is further than anything was ever written");
    }
    lock(promise).tapes.insert(barcode.to_owned(), promised);
    Ok(())
}

/// READ POSITION, long form, if it is answered.
fn position(host: &Host, lun: u16) -> anyhow::Result<Option<usize>> {
    let answer = host.send(lun, &[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], &[])?;
    if answer.status != Status::GOOD {
        return Ok(None);
    }
    let number = answer.data_in.get(8..16).and_then(|bytes| bytes.try_into().ok());
    let number = number.map(u64::from_be_bytes).context("READ POSITION is too short")?;
    Ok(Some(usize::try_from(number)?))
}

/// Takes the cartridge out of the drive and puts it back. False where it is not to be had out.
fn reload(host: &Host, drive: u16, barcode: &str, promise: &SharedPromise) -> anyhow::Result<bool> {
    let here = Element::Drive(drive);
    let places = host.places()?;
    if places.get(barcode) != Some(&place_of(here)) {
        return Ok(false);
    }
    let is_free = |element: &Element| !places.values().any(|place| *place == place_of(*element));
    let there = elements().into_iter().find(is_free).context("no free element")?;
    let mut out = places.clone();
    out.insert(barcode.to_owned(), place_of(there));
    lock(promise).places.push(Arc::new(out));
    for (from, to) in [(here, there), (there, here)] {
        let mut cdb = vec![0xa5, 0, 0, 0];
        cdb.extend(address_of(from).to_be_bytes());
        cdb.extend(address_of(to).to_be_bytes());
        cdb.resize(12, 0);
        let answer = host.send(0, &cdb, &[])?;
        if answer.status != Status::GOOD {
            // A ledger that has failed to sync records nothing more until the program is started again.
            let is_fenced = host.library.store().ledger().is_fenced();
            return if is_fenced { Ok(false) } else { bail!("{:?} for a move", answer.sense) };
        }
    }
    lock(promise).places = vec![Arc::new(places)];
    host.take_attentions(drive + 1)?;
    let objects = check::read_in_drive(host, drive, &lock(promise), barcode)?;
    let states = lock(promise).tapes.get(barcode).cloned().unwrap_or_default();
    if !states.iter().any(|state| **state == objects) {
        bail!("{objects:?} after loading again, instead of one of {states:?}");
    }
    lock(promise).tapes.insert(barcode.to_owned(), vec![Arc::new(objects)]);
    expect_good(&host.send(drive + 1, &[0x11, 3, 0, 0, 0, 0], &[])?, "SPACE")?;
    Ok(true)
}

const EIO: i32 = 5;
