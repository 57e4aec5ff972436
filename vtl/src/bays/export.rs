//! `vtl export`: one cartridge to the tape in a drive, several to as many drives, or each to the tape of its barcode in a library.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::{Bay, DriveIs, Job, TapeIs, Undone};
use crate::cleaning;
use crate::exports::{begun_on, copy_row, export_one, is_scratch, standing};
use crate::fences;
use crate::library::Library;
use crate::operations::find;
use crate::physical_library::{Brought, PhysicalLibrary};
use crate::request::{ExportChoice, Failure, FailureKind};
use crate::rules;
use crate::stacks;

/// What brings tapes to drives and back.
pub(crate) trait Arm: Send {
    /// The tape with this barcode, if there is one, else one that is scratch, into this drive, or into any.
    fn bring(
        &self,
        barcode: Option<&str>,
        is_scratch: &dyn Fn(&str) -> bool,
        drive: Option<u16>,
    ) -> Result<Brought, Undone>;
    /// Back to where it was.
    fn bring_back(&self, brought: &Brought) -> Result<(), Failure>;
    /// Whether the drive asks to be cleaned. It is asked while the tape is there: what it asked for is forgotten when that is gone.
    fn is_dirty(&self, brought: &Brought) -> bool;
    /// Cleans the drive that the tape was brought back from; says with which cartridge.
    fn clean(&self, brought: &Brought) -> Result<String, Failure>;
}

/// Writes a cartridge to the tape in a drive, of which the library may have read the barcode.
pub(crate) type Write<'a> = dyn Fn(&Job, &str, Option<&str>) -> Result<Value, Undone> + Sync + 'a;

/// Exports cartridges.
pub(crate) fn export(
    library: &Library,
    choice: &ExportChoice,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    let barcodes = match &choice.group {
        Some(group) => rules::members(library, group)?,
        None => choice.barcodes.clone(),
    };
    carry_out(library, choice, jobs_of(&each_once(&barcodes), choice), actor, is_given_up)
}

/// Makes these copies, in the drives or the library that were chosen.
pub(crate) fn carry_out(
    library: &Library,
    choice: &ExportChoice,
    jobs: Vec<Job>,
    actor: &str,
    is_given_up: &AtomicBool,
) -> Result<Value, Failure> {
    // A cartridge that is not there is no reason to stop when others are written already.
    for job in &jobs {
        find(library, &job.barcode)?;
    }
    if choice.stack {
        let barcodes: Vec<String> = jobs.iter().map(|job| job.barcode.clone()).collect();
        return stacks::export(library, choice, &barcodes, actor, is_given_up);
    }
    let write = |job: &Job, drive: &str, label: Option<&str>| {
        let choice = of_job(choice, job);
        export_one(library, (&job.barcode, (drive, label)), &choice, actor, is_given_up)
    };
    let is_stopping = || library.transfers.is_stopping(is_given_up);
    if let Some(path) = &choice.library {
        let mut arm = PhysicalLibrary::open(path)?;
        arm.leave_out(fences::fenced(&library.store));
        let idle = arm.idle_drives();
        return by_arm(library, choice, &jobs, (arm, &idle), &write, &is_stopping);
    }
    if let ([job], [to]) = (jobs.as_slice(), choice.to.as_slice()) {
        return write(job, to, None).map_err(|undone| undone.failure);
    }
    check_drives(jobs.len(), &choice.to)?;
    to_drives(library, choice, jobs, &write, &is_stopping)
}

/// The first cartridge to the tape in the first drive, the second to that in the second, and so on.
pub(crate) fn to_drives(
    library: &Library,
    choice: &ExportChoice,
    jobs: Vec<Job>,
    write: &Write<'_>,
    is_stopping: &(dyn Fn() -> bool + Sync),
) -> Result<Value, Failure> {
    let numbered = jobs.into_iter().enumerate();
    let jobs: Vec<Job> = numbered.map(|(bay, job)| Job { bay: Some(bay), ..job }).collect();
    let bay = |(drive, _): (&String, &Job)| -> Box<dyn Bay + '_> {
        Box::new(DriveBay { library, choice, drive: drive.clone(), write })
    };
    let bays = choice.to.iter().zip(&jobs).map(bay).collect();
    Ok(super::rows(&jobs, super::run(&jobs, bays, is_stopping)))
}

/// Each to its tape, which the arm brings and takes back, with as many drives as are idle.
pub(crate) fn by_arm(
    library: &Library,
    choice: &ExportChoice,
    jobs: &[Job],
    (arm, idle): (impl Arm, &[u16]),
    write: &Write<'_>,
    is_stopping: &(dyn Fn() -> bool + Sync),
) -> Result<Value, Failure> {
    let (arm, not_free) = (Mutex::new(arm), Mutex::default());
    let bay = |drive: Option<u16>| LibraryBay {
        arm: &arm,
        not_free: &not_free,
        drive,
        library,
        choice,
        write,
    };
    if let [job] = jobs {
        let row = bay(None).fetch_and_write(job).map_err(|undone| undone.failure)?;
        return Ok(Value::Array(vec![row]));
    }
    let most = choice.drives.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let boxed = |drive: Option<u16>| -> Box<dyn Bay + '_> { Box::new(bay(drive)) };
    let mut bays: Vec<_> =
        idle.iter().take(most.min(jobs.len())).map(|drive| boxed(Some(*drive))).collect();
    if bays.is_empty() {
        // Their tapes may lie in drives already.
        bays.push(boxed(None));
    }
    Ok(super::rows(jobs, super::run(jobs, bays, is_stopping)))
}

/// What is to be made: one copy of each cartridge, or all first copies, then all second ones, and so on.
pub(crate) fn jobs_of(barcodes: &[String], choice: &ExportChoice) -> Vec<Job> {
    let numbers = choice.copies.map_or(choice.copy..=choice.copy, |copies| 1..=copies);
    let is_for_scratch = |copy| choice.copies.is_some() && copy > 1;
    let of = |copy| {
        let job = move |barcode: &String| Job {
            barcode: barcode.clone(),
            copy,
            is_for_scratch: is_for_scratch(copy),
            bay: None,
        };
        barcodes.iter().map(job)
    };
    numbers.flat_map(of).collect()
}

fn of_job(choice: &ExportChoice, job: &Job) -> ExportChoice {
    ExportChoice { copy: job.copy, ..choice.clone() }
}

/// No cartridge is exported twice because it was named twice.
fn each_once(barcodes: &[String]) -> Vec<String> {
    let mut named = BTreeSet::new();
    let upper = barcodes.iter().map(|barcode| barcode.to_ascii_uppercase());
    upper.filter(|barcode| named.insert(barcode.clone())).collect()
}

fn check_drives(cartridges: usize, drives: &[String]) -> Result<(), Failure> {
    if drives.is_empty() {
        return Err(Failure::usage("where to? Say --to a drive, or --library"));
    }
    if drives.len() != cartridges {
        return Err(Failure::usage(format!(
            "a drive has one tape, and a tape takes one cartridge: there are {cartridges} cartridges and {} drives. Say --to once for each cartridge, or --library",
            drives.len()
        )));
    }
    let mut named = BTreeSet::new();
    match drives.iter().find(|drive| !named.insert(*drive)) {
        Some(drive) => Err(Failure::usage(format!(
            "{drive} is named twice: a drive has one tape, and a tape takes one cartridge"
        ))),
        None => Ok(()),
    }
}

/// A drive with a tape in it.
struct DriveBay<'a> {
    library: &'a Library,
    choice: &'a ExportChoice,
    drive: String,
    write: &'a Write<'a>,
}

impl Bay for DriveBay<'_> {
    fn export(&mut self, job: &Job) -> Result<Value, Undone> {
        match standing(self.library, &job.barcode, &of_job(self.choice, job))? {
            Some(copy) => Ok(copy_row(&copy)),
            None => (self.write)(job, &self.drive, None),
        }
    }
}

/// A drive of a library, or whichever is free, and the arm, which serves one drive at a time.
struct LibraryBay<'a, A> {
    arm: &'a Mutex<A>,
    /// Tapes that were said to be free and are not, and why: nobody fetches them once more.
    not_free: &'a Mutex<BTreeMap<String, String>>,
    drive: Option<u16>,
    library: &'a Library,
    choice: &'a ExportChoice,
    write: &'a Write<'a>,
}

impl<A: Arm> Bay for LibraryBay<'_, A> {
    fn export(&mut self, job: &Job) -> Result<Value, Undone> {
        match standing(self.library, &job.barcode, &of_job(self.choice, job))? {
            Some(copy) => Ok(copy_row(&copy)),
            None => self.fetch_and_write(job),
        }
    }
}

impl<A: Arm> LibraryBay<'_, A> {
    /// A tape that was taken because it should be free, and is not, is passed over for the next one.
    fn fetch_and_write(&self, job: &Job) -> Result<Value, Undone> {
        let begun = begun_on(self.library, &job.barcode, &of_job(self.choice, job))?;
        // Several cartridges on one tape never take that of one of them.
        let named = self.choice.scratch.as_deref().filter(|_| self.choice.stack);
        let own = named.or((!job.is_for_scratch).then_some(job.barcode.as_str()));
        let wanted = begun.clone().or(own.map(str::to_ascii_uppercase));
        let mut unfit = BTreeMap::new();
        loop {
            let is_scratch = |label: &str| {
                let is_passed = unfit.contains_key(label) || self.not_free().contains_key(label);
                let pattern = self.choice.scratch.as_deref().filter(|_| !is_passed);
                begun.is_none() && is_scratch(self.library, pattern, label)
            };
            let brought = self.arm().bring(wanted.as_deref(), &is_scratch, self.drive);
            let brought = brought.map_err(|undone| self.with_passed_over(undone, &unfit))?;
            let undone = match self.write_and_bring_back(job, &brought) {
                Ok(row) => return Ok(row),
                Err(undone) => undone,
            };
            if wanted.as_deref() == Some(brought.barcode.as_str()) || brought.home.is_none() {
                return Err(undone);
            }
            let why = undone.failure.message.clone();
            let is_told = match undone.tape {
                TapeIs::NotToBlame => return Err(undone),
                TapeIs::Unfit => unfit.insert(brought.barcode, why),
                TapeIs::NotFree => self.not_free().insert(brought.barcode, why),
            };
            // An arm that brings what was passed over would do so for ever.
            if is_told.is_some() || undone.drive != DriveIs::Usable {
                return Err(undone);
            }
        }
    }

    fn write_and_bring_back(&self, job: &Job, brought: &Brought) -> Result<Value, Undone> {
        let done = (self.write)(job, &brought.drive, Some(&brought.barcode));
        let arm = self.arm();
        let is_dirty = done.as_ref().is_ok_and(cleaning::has_asked) || arm.is_dirty(brought);
        let back = arm.bring_back(brought);
        let is_out = back.is_ok();
        let done = both(done, back);
        if !is_dirty {
            return done;
        }
        let cleaned = match brought.home {
            // A move into a full drive would fail, and with it the arm for all others.
            _ if !is_out => Err(Failure::refused("its tape does not come out")),
            Some(_) => arm.clean(brought),
            None => Err(Failure::refused("a tape lies in it that was there before: take it out")),
        };
        match done {
            Ok(row) => Ok(cleaning::told(Ok(row), &brought.drive, &cleaned)?),
            Err(Undone { failure, drive, tape }) => {
                match cleaning::told(Err(failure), &brought.drive, &cleaned) {
                    Ok(row) => Ok(row),
                    Err(failure) => Err(Undone { failure, drive, tape }),
                }
            }
        }
    }

    /// That no tape is left is half of it: somebody said that these are free.
    fn with_passed_over(&self, undone: Undone, unfit: &BTreeMap<String, String>) -> Undone {
        let not_free = self.not_free().clone();
        let reasons: Vec<_> = not_free.iter().chain(unfit).map(|(_, why)| why.as_str()).collect();
        if reasons.is_empty() || undone.failure.kind != FailureKind::NotFound {
            return undone;
        }
        let text = format!("{}. Passed over: {}", undone.failure, reasons.join("; "));
        Undone { failure: Failure::new(undone.failure.kind, text), ..undone }
    }

    fn not_free(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.not_free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self) -> std::sync::MutexGuard<'_, A> {
        self.arm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the export came to, and that the tape has not come back: neither hides the other.
fn both(done: Result<Value, Undone>, back: Result<(), Failure>) -> Result<Value, Undone> {
    let stuck = |failure| Undone::of_drive(failure, DriveIs::Unusable);
    match (done, back) {
        (done, Ok(())) => done,
        (Ok(row), Err(back)) => {
            let state = row.get("state").and_then(Value::as_str).unwrap_or_default();
            let barcode = row.get("barcode").and_then(Value::as_str).unwrap_or_default();
            let text = format!(
                "{barcode} is {state}, but its tape was not brought back: {}",
                back.message
            );
            Err(stuck(Failure::new(back.kind, text)))
        }
        (Err(Undone { failure, .. }), Err(back)) => {
            let text = format!("{failure}; and its tape was not brought back: {back}");
            Err(stuck(Failure::new(failure.kind, text)))
        }
    }
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_failed_hides_neither_what_was_done_nor_that_a_tape_stays_in_a_drive() {
        let failed = || Err(Undone::from(Failure::new(FailureKind::Damaged, "no")));
        let text = |done: Result<Value, Undone>| done.unwrap_err().failure.message;
        let both_fail = both(failed(), Err(Failure::failed("stuck"))).unwrap_err();
        assert_eq!(
            (both_fail.failure.kind, both_fail.drive),
            (FailureKind::Damaged, DriveIs::Unusable)
        );
        assert_eq!(both_fail.failure.message, "no; and its tape was not brought back: stuck");
        assert_eq!(text(both(failed(), Ok(()))), "no");
        let row = json!({ "barcode": "A1", "state": "receipted" });
        let told = text(both(Ok(row), Err(Failure::failed("stuck"))));
        assert_eq!(told, "A1 is receipted, but its tape was not brought back: stuck");
    }

    #[test]
    fn as_many_drives_as_cartridges_and_none_twice() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(each_once(&names(&["a1", "A2", "A1"])), ["A1", "A2"]);
        let refused = |drives: &[&str]| check_drives(2, &names(drives)).err();
        for drives in [&[][..], &["/dev/nst0"], &["/dev/nst0", "/dev/nst0"], &["a", "b", "c"]] {
            assert_eq!(refused(drives).unwrap().kind, FailureKind::Usage, "{drives:?}");
        }
        assert!(refused(&["/dev/nst0", "/dev/nst1"]).is_none());
        let jobs = |copy, copies| {
            let choice = ExportChoice { copy, copies, ..ExportChoice::default() };
            let jobs = jobs_of(&names(&["A1", "A2"]), &choice).into_iter();
            jobs.map(|job| (job.barcode, job.copy, job.is_for_scratch)).collect::<Vec<_>>()
        };
        let job = |barcode: &str, copy, is_for_scratch| (barcode.to_owned(), copy, is_for_scratch);
        assert_eq!(jobs(3, None), [job("A1", 3, false), job("A2", 3, false)]);
        let first = [job("A1", 1, false), job("A2", 1, false)];
        assert_eq!(
            jobs(1, Some(2)),
            [&first[..], &[job("A1", 2, true), job("A2", 2, true)]].concat()
        );
    }
}
