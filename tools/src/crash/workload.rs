//! Random work: each answer is held against the model's, and what it promises is noted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use vtl_changer::Element;
use vtl_media::Place;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Status};

use crate::command::{Command, DriveState};
use crate::host::{DRIVES, Host, address_of, elements, place_of};
use crate::promise::{Places, Promise};
use crate::tape::{Objects, Tape};
use vtl_tools::random::Random;

/// What is promised, shared with whoever cuts the power.
pub(crate) type SharedPromise = Arc<Mutex<Promise>>;

/// The work on one library.
#[derive(Debug)]
pub(crate) struct Workload<'a> {
    host: &'a Host,
    promise: SharedPromise,
    random: Random,
    tapes: BTreeMap<String, Tape>,
    places: Places,
    drives: Vec<DriveState>,
    next_id: u64,
    /// The last commands, for whoever has to find out what went wrong.
    log: Vec<String>,
    /// Whether the disk may fail: then a command may, too, and the work ends there.
    may_fail: bool,
}

/// A command ended in CHECK CONDITION although nothing is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// The drive and its cartridge; `None` for a move.
    pub(crate) drive: Option<(u16, String)>,
    pub(crate) what: String,
    pub(crate) sense: Sense,
}

/// What became of a command: `Some` ends the work.
type Step = anyhow::Result<Option<Failed>>;

impl<'a> Workload<'a> {
    /// Work on a library of empty cartridges.
    pub(crate) fn new(host: &'a Host, seed: u64, places: Places) -> Self {
        let tapes: BTreeMap<String, Tape> =
            places.keys().map(|barcode| (barcode.clone(), Tape::default())).collect();
        let objects: BTreeMap<String, Objects> =
            places.keys().map(|barcode| (barcode.clone(), Objects::new())).collect();
        Self {
            host,
            promise: Arc::new(Mutex::new(Promise::new(&objects, &places))),
            random: Random::new(seed, 0x303),
            tapes,
            places,
            drives: vec![DriveState::default(); usize::from(DRIVES)],
            next_id: seed << 20,
            log: Vec::new(),
            may_fail: false,
        }
    }

    /// The same work on a disk that may fail.
    pub(crate) fn on_failing_disk(self) -> Self {
        Self { may_fail: true, ..self }
    }

    pub(crate) fn promise(&self) -> SharedPromise {
        Arc::clone(&self.promise)
    }

    /// Does so many commands, or as many as succeed where the disk may fail.
    pub(crate) fn run(&mut self, commands: u32) -> Step {
        for _ in 0..commands {
            let step = self.step().with_context(|| self.last_commands())?;
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    /// What was done last, one command a line.
    pub(crate) fn last_commands(&self) -> String {
        let last = self.log.len().saturating_sub(30);
        self.log.get(last..).unwrap_or_default().join("\n  ")
    }

    fn step(&mut self) -> Step {
        let drive = u16::try_from(self.random.below(DRIVES.into()))?;
        let loaded = self.barcode_at(&place_of(Element::Drive(drive)));
        match loaded {
            Some(barcode) if self.random.percent(93) => self.drive_command(drive, &barcode),
            _ if self.random.percent(25) => self.exchange(),
            _ => self.move_medium(),
        }
    }

    fn drive_command(&mut self, drive: u16, barcode: &str) -> Step {
        let state = self.drives.get_mut(usize::from(drive)).context("no such drive")?;
        let tape = self.tapes.get_mut(barcode).context("no such tape")?;
        let objects = u32::try_from(tape.objects.len()).unwrap_or(0);
        let mut command = Command::random(&mut self.random, state, objects);
        if state.is_unloaded && self.random.percent(60) {
            command = Command::Load;
        }
        if !state.is_unloaded && tape.position == 0 && self.random.percent(15) {
            command = Command::Format;
        }
        let first_id = self.next_id;
        self.next_id += command.block_count();
        let (cdb, data) = command.encode(state, first_id);
        self.log.push(format!("drive {drive} {barcode} at {}: {command:?}", tape.position));
        let effect = command.apply(state, tape, first_id);
        for objects in effect.states {
            lock(&self.promise).may_be(barcode, objects);
        }
        let completion = self.host.send(drive + 1, &cdb, &data)?;
        let is_write = matches!(
            command,
            Command::WriteFixed { .. } | Command::WriteVariable { .. } | Command::Filemarks { .. }
        );
        if self.may_fail
            && let Some(sense) = failure(&completion, effect.sense)
            && !(is_write && sense == Sense::early_warning())
        {
            let what = format!("{command:?}");
            return Ok(Some(Failed { drive: Some((drive, barcode.to_owned())), what, sense }));
        }
        if completion.sense != Some(Sense::early_warning()) || !self.may_fail {
            let mut data_in = effect.data_in;
            if self.may_fail
                && command == Command::Position
                && let (Some(flags), Some(found)) =
                    (data_in.first_mut(), completion.data_in.first())
            {
                // A disk that cannot say how much room it has counts as nearly full.
                *flags |= found & END_OF_PARTITION;
            }
            check(&completion, effect.sense, &data_in)?;
        }
        if effect.is_sync_point {
            lock(&self.promise).is_synced(barcode);
        }
        if effect.raises {
            self.host.take_attentions(drive + 1)?;
        }
        Ok(None)
    }

    fn move_medium(&mut self) -> Step {
        let all = elements();
        let mut from = self.random.pick(&all).context("no elements")?;
        // A cartridge more often than an empty element.
        if self.barcode_at(&place_of(from)).is_none() && self.random.percent(80) {
            let full: Vec<_> =
                all.iter().filter(|e| self.barcode_at(&place_of(**e)).is_some()).copied().collect();
            from = self.random.pick(&full).unwrap_or(from);
        }
        let to = if self.random.percent(50) {
            Element::Drive(u16::try_from(self.random.below(DRIVES.into()))?)
        } else {
            self.random.pick(&all).context("no elements")?
        };
        self.log.push(format!("move {from:?} to {to:?}"));
        let (source, target) = (self.barcode_at(&place_of(from)), self.barcode_at(&place_of(to)));
        let mut cdb = vec![0xa5, 0, 0, 0];
        cdb.extend(address_of(from).to_be_bytes());
        cdb.extend(address_of(to).to_be_bytes());
        cdb.resize(12, 0);
        match (source, target) {
            (None, _) => self.refused(&cdb, Sense::source_empty()),
            (Some(_), _) if from == to => {
                check(&self.host.send(0, &cdb, &[])?, None, &[])?;
                Ok(None)
            }
            (Some(_), Some(_)) => self.refused(&cdb, Sense::destination_full()),
            (Some(barcode), None) => {
                let mut after = self.places.clone();
                after.insert(barcode.clone(), place_of(to));
                self.moved(&cdb, after, &[barcode])
            }
        }
    }

    fn exchange(&mut self) -> Step {
        let all = elements();
        let mut pick = || self.random.pick(&all).context("no elements");
        let (from, to, other) = (pick()?, pick()?, pick()?);
        let second_to = if self.random.percent(70) { from } else { other };
        self.log.push(format!("exchange {from:?} to {to:?}, and that to {second_to:?}"));
        let mut cdb = vec![0xa6, 0, 0, 0];
        for element in [from, to, second_to] {
            cdb.extend(address_of(element).to_be_bytes());
        }
        cdb.resize(12, 0);
        if from == to || to == second_to {
            return self.refused(&cdb, Sense::invalid_element_address());
        }
        let first = self.barcode_at(&place_of(from));
        let second = self.barcode_at(&place_of(to));
        let (Some(first), Some(second)) = (first, second) else {
            return self.refused(&cdb, Sense::source_empty());
        };
        if second_to != from && self.barcode_at(&place_of(second_to)).is_some() {
            return self.refused(&cdb, Sense::destination_full());
        }
        let mut after = self.places.clone();
        after.insert(first.clone(), place_of(to));
        after.insert(second.clone(), place_of(second_to));
        self.moved(&cdb, after, &[first, second])
    }

    /// A move that has to succeed.
    fn moved(&mut self, cdb: &[u8], after: Places, moved: &[String]) -> Step {
        lock(&self.promise).places.push(Arc::new(after.clone()));
        let completion = self.host.send(0, cdb, &[])?;
        if self.may_fail
            && let Some(sense) = failure(&completion, None)
        {
            let places = self.host.places();
            if places.as_ref().is_ok_and(|places| *places != self.places) {
                bail!("a move that failed with {sense} has changed the inventory: {places:?}");
            }
            return Ok(Some(Failed { drive: None, what: format!("a move of {moved:?}"), sense }));
        }
        check(&completion, None, &[])?;
        {
            let mut promise = lock(&self.promise);
            promise.places.remove(0);
            for barcode in moved {
                // Leaving a drive is a sync point.
                if matches!(self.places.get(barcode), Some(Place::Drive { .. })) {
                    promise.is_synced(barcode);
                }
            }
        }
        for barcode in moved {
            if let Some(tape) = self.tapes.get_mut(barcode) {
                tape.position = 0;
            }
        }
        self.places = after;
        for drive in 0..DRIVES {
            self.host.take_attentions(drive + 1)?;
            let place = place_of(Element::Drive(drive));
            if moved.iter().any(|barcode| self.places.get(barcode) == Some(&place))
                && let Some(state) = self.drives.get_mut(usize::from(drive))
            {
                state.is_unloaded = false;
            }
        }
        if self.host.places()? == self.places {
            return Ok(None);
        }
        bail!("the inventory is not what the moves have made of it: {:?}", self.host.places()?)
    }

    fn refused(&self, cdb: &[u8], sense: Sense) -> Step {
        check(&self.host.send(0, cdb, &[])?, Some(sense), &[])?;
        Ok(None)
    }

    fn barcode_at(&self, place: &Place) -> Option<String> {
        self.places.iter().find(|(_, at)| *at == place).map(|(barcode, _)| barcode.clone())
    }
}

/// The sense of an answer that another one was expected for, where there is one.
fn failure(completion: &Completion, expected: Option<Sense>) -> Option<Sense> {
    completion.sense.filter(|sense| expected != Some(*sense))
}

/// Holds an answer against the model's.
fn check(completion: &Completion, sense: Option<Sense>, data_in: &[u8]) -> anyhow::Result<()> {
    let status = if sense.is_some() { Status::CHECK_CONDITION } else { Status::GOOD };
    if completion.status != status || completion.sense != sense {
        bail!(
            "answered {:?} {:?} instead of {status:?} {sense:?}",
            completion.status,
            completion.sense
        );
    }
    if completion.data_in != data_in {
        bail!(
            "{} bytes of other data than the {} expected",
            completion.data_in.len(),
            data_in.len()
        );
    }
    Ok(())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// READ POSITION: the early-warning zone has been entered.
const END_OF_PARTITION: u8 = 0x40;
