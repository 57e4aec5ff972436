//! Several drives at once: cartridges from one queue to as many workers as there are drives.

mod export;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::{Value, json};
use vtl_vault::ExportError;

pub(crate) use self::export::{Arm, by_arm, carry_out, export};
use crate::request::{Failure, FailureKind};

/// A drive, and whatever brings tapes to it.
pub(crate) trait Bay: Send {
    /// Exports one cartridge to a tape in it.
    fn export(&mut self, job: &Job) -> Result<Value, Undone>;
}

/// Why a cartridge was not exported, and what that means for the drive and the tape in it.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) failure: Failure,
    pub(crate) drive: DriveIs,
    pub(crate) tape: TapeIs,
}

/// What a drive is after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriveIs {
    /// It can take the next cartridge: the cartridge or the tape was to blame.
    Usable,
    /// Nothing more is given to it.
    Unusable,
    /// It did not even take the tape, which is back in its place: another drive may take it.
    NotTaking,
}

/// What a tape is after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TapeIs {
    /// Another one would not have done better, or it is known elsewhere what is wrong with it.
    NotToBlame,
    /// Nothing was written on it, as this cartridge does not go on it. Another one may.
    Unfit,
    /// Nothing was written on it, as it is write-protected or has something on it.
    NotFree,
}

impl Undone {
    /// The drive, or the way to it, was to blame.
    pub(crate) fn of_drive(failure: Failure, drive: DriveIs) -> Self {
        Self { failure, drive, tape: TapeIs::NotToBlame }
    }

    /// What an error of an export means. A tape that is bad or full is no fault of its drive.
    pub(crate) fn after(error: &ExportError, failure: Failure) -> Self {
        let drive = match error {
            ExportError::Tape { error, .. } | ExportError::Memory { error, .. }
                if !error.is_of_tape() =>
            {
                DriveIs::Unusable
            }
            _ => DriveIs::Usable,
        };
        let tape = match error {
            ExportError::Unfit(_) => TapeIs::Unfit,
            ExportError::NotFree(_) => TapeIs::NotFree,
            _ => TapeIs::NotToBlame,
        };
        Self { failure, drive, tape }
    }
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self::of_drive(failure, DriveIs::Usable)
    }
}

/// A copy of a cartridge that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) barcode: String,
    /// Which of several copies.
    pub(crate) copy: u32,
    /// Whether it is only for tapes that are scratch: the one with the cartridge's barcode is another copy's.
    pub(crate) is_for_scratch: bool,
    /// With a number only by that bay.
    pub(crate) bay: Option<usize>,
}

/// Exports all of them, and says of each what became of it, in the order of the jobs.
pub(crate) fn run(
    jobs: &[Job],
    bays: Vec<Box<dyn Bay + '_>>,
    is_stopping: &(dyn Fn() -> bool + Sync),
) -> Vec<Result<Value, Failure>> {
    let queue = Queue {
        jobs,
        is_stopping,
        state: Mutex::new(State {
            waiting: (0..jobs.len()).collect(),
            refused: BTreeSet::new(),
            at_work: 0,
            busy: BTreeSet::new(),
            workers: bays.len(),
            done: jobs.iter().map(|_| None).collect(),
        }),
        changed: Condvar::new(),
    };
    thread::scope(|scope| {
        let queue = &queue;
        let mut threads = Vec::new();
        for (number, mut bay) in bays.into_iter().enumerate() {
            let work = move || queue.work(number, bay.as_mut());
            match thread::Builder::new().name("export".to_owned()).spawn_scoped(scope, work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    queue.lock().workers -= 1;
                    tracing::warn!(%error, "a drive is not used: there is no thread for it");
                }
            }
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an export ended in disorder");
            }
        }
    });
    let is_stopped = is_stopping();
    let done = queue.state.into_inner().unwrap_or_else(PoisonError::into_inner).done;
    let told = jobs.iter().zip(done);
    told.map(|(job, done)| done.unwrap_or_else(|| Err(not_begun(job, is_stopped)))).collect()
}

fn not_begun(job: &Job, is_stopped: bool) -> Failure {
    let why = if is_stopped { "everything was stopped before" } else { "no drive was left for it" };
    Failure::failed(format!(
        "copy {} of {} was not begun: {why}; the same command goes on with it",
        job.copy, job.barcode
    ))
}

/// What is to be done, and what has come of it.
struct Queue<'a> {
    jobs: &'a [Job],
    is_stopping: &'a (dyn Fn() -> bool + Sync),
    state: Mutex<State>,
    /// A job has ended, or has come back.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<usize>,
    /// Jobs whose tape some drive did not take.
    refused: BTreeSet<usize>,
    at_work: usize,
    /// Cartridges that are being read: of several copies one is made after the other.
    busy: BTreeSet<String>,
    workers: usize,
    done: Vec<Option<Result<Value, Failure>>>,
}

/// A worker has a job until this is dropped, also by a panic: the others would wait for it for ever.
struct Turn<'a>(&'a Queue<'a>, &'a Job);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.at_work -= 1;
        state.busy.remove(&self.1.barcode);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Queue<'_> {
    fn work(&self, number: usize, bay: &mut dyn Bay) {
        while let Some((at, job)) = self.take(number) {
            let turn = Turn(self, job);
            let goes_on = self.finish(at, bay.export(job));
            drop(turn);
            if !goes_on {
                return;
            }
        }
    }

    /// The next job. While somebody is at work it is waited for, as a job may come back.
    fn take(&self, number: usize) -> Option<(usize, &Job)> {
        let mut state = self.lock();
        loop {
            if (self.is_stopping)() {
                return None;
            }
            let is_for_this = |at: &usize| {
                let job = self.jobs.get(*at);
                job.is_some_and(|job| {
                    job.bay.is_none_or(|bay| bay == number) && !state.busy.contains(&job.barcode)
                })
            };
            if let Some(place) = state.waiting.iter().position(is_for_this) {
                let at = state.waiting.remove(place)?;
                let job = self.jobs.get(at)?;
                state.at_work += 1;
                state.busy.insert(job.barcode.clone());
                return Some((at, job));
            }
            if state.at_work == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether the worker goes on.
    fn finish(&self, at: usize, result: Result<Value, Undone>) -> bool {
        let mut state = self.lock();
        let (result, drive) = match result {
            Ok(row) => (Ok(row), DriveIs::Usable),
            Err(Undone { failure, drive, .. }) => (Err(failure), drive),
        };
        // Two drives that do not take a tape are not both broken.
        let is_first = drive == DriveIs::NotTaking && state.refused.insert(at);
        if is_first && state.workers > 1 {
            state.waiting.push_front(at);
            state.workers -= 1;
            return false;
        }
        if let Some(done) = state.done.get_mut(at) {
            *done = Some(result);
        }
        let goes_on = drive == DriveIs::Usable || (drive == DriveIs::NotTaking && !is_first);
        if !goes_on {
            state.workers -= 1;
        }
        goes_on
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of an answer about several cartridges, in the order in which they were named; one that was not exported says why.
pub(crate) fn rows(jobs: &[Job], done: Vec<Result<Value, Failure>>) -> Value {
    let row = |(job, done): (&Job, Result<Value, Failure>)| {
        done.unwrap_or_else(|failure| {
            json!({
                "barcode": job.barcode,
                "number": job.copy,
                "state": NOT_EXPORTED,
                "kind": failure.kind,
                "reason": failure.message,
            })
        })
    };
    Value::Array(jobs.iter().zip(done).map(row).collect())
}

/// A failure if some cartridge of several was not exported, for the exit code: 5 if anything is damaged, else that of all, else 1.
pub(crate) fn verdict(answer: &Value) -> Result<(), Failure> {
    let rows = answer.as_array().map_or(&[][..], Vec::as_slice);
    let field = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
    let is_undone = |row: &&Value| field(row, "state").as_deref() == Some(NOT_EXPORTED);
    let undone: Vec<&Value> = rows.iter().filter(is_undone).collect();
    let kinds: Vec<FailureKind> = undone
        .iter()
        .filter_map(|row| serde_json::from_value(row.get("kind")?.clone()).ok())
        .collect();
    let Some(first) = kinds.first() else { return Ok(()) };
    let kind = if kinds.contains(&FailureKind::Damaged) {
        FailureKind::Damaged
    } else if kinds.iter().all(|kind| kind == first) {
        *first
    } else {
        FailureKind::Failed
    };
    let told: Vec<String> = undone.iter().filter_map(|row| field(row, "reason")).collect();
    Err(Failure::new(
        kind,
        format!(
            "{} of {} cartridges were not exported:\n  {}",
            undone.len(),
            rows.len(),
            told.join("\n  ")
        ),
    ))
}

const NOT_EXPORTED: &str = "not-exported";

#[cfg(test)]
mod tests;
