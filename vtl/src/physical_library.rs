//! A real tape library of this host: its arm brings tapes, by their barcodes, into drives that this host has, and back.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vtl_physical::{Data, Device, DeviceError, Sense, TapeFault};
use vtl_vault::Tape;

use crate::attached::{self, Attached, Element, ElementKind};
use crate::bays::{Arm, DriveIs, Undone};
use crate::cleaning;
use crate::physical_tape::PhysicalTape;
use crate::request::{Failure, FailureKind};

/// The arm of a large library takes its time.
const MOVE_TIMEOUT: Duration = Duration::from_mins(10);
/// How long a drive may take to thread a tape.
const READY_LIMIT: Duration = Duration::from_mins(5);
/// How long somebody else may have a drive that a tape has just come into.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
const READY_PAUSE: Duration = Duration::from_millis(250);

/// The library, and the drives of this host that sit in it.
#[derive(Debug)]
pub(crate) struct PhysicalLibrary {
    path: String,
    device: Device,
    hosts: Vec<Attached>,
    /// Serial numbers of drives that no tape is brought into.
    fenced: BTreeSet<String>,
    /// A move has failed: nothing is moved any more, by no drive's worker, before somebody has had a look.
    is_stuck: AtomicBool,
}

/// A tape that lies in a drive, and the element that it is brought back to.
#[derive(Debug)]
pub(crate) struct Brought {
    /// `/dev/sgN` of the drive.
    pub(crate) drive: String,
    /// What the library reads on it.
    pub(crate) barcode: String,
    pub(crate) drive_element: u16,
    /// Where it came from; `None` for one that lay in the drive already, which stays there.
    pub(crate) home: Option<u16>,
}

impl PhysicalLibrary {
    /// Opens `/dev/sgN` of a media changer.
    pub(crate) fn open(path: &str) -> Result<Self, Failure> {
        let device = Device::open(Path::new(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::not_found(format!(
                "{path} is not there; `vtl physical list` shows the libraries of this host"
            )),
            _ => Failure::failed(format!("{path}: {error}")),
        })?;
        if !attached::is_changer(&device) {
            return Err(Failure::usage(format!(
                "{path} is no media changer; `vtl physical list` shows those that there are"
            )));
        }
        let hosts = attached::scan_host()
            .map_err(|error| Failure::failed(format!("/sys/class/scsi_generic: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            device,
            hosts,
            fenced: BTreeSet::new(),
            is_stuck: AtomicBool::new(false),
        })
    }

    /// Brings no tape into the drives with these serial numbers.
    pub(crate) fn leave_out(&mut self, fenced: BTreeSet<String>) {
        self.fenced = fenced;
    }

    /// The elements of the drives that are empty and that this host has.
    pub(crate) fn idle_drives(&self) -> Vec<u16> {
        let drives = self.elements(ElementKind::Drive);
        let is_idle = |element: &&Element| {
            !element.is_full && self.host_drive(element).is_some() && !self.is_fenced(element)
        };
        drives.iter().filter(is_idle).map(|element| element.address).collect()
    }
}

impl Arm for PhysicalLibrary {
    /// Brings the tape with this barcode, else one that is scratch, into a drive that is empty and that this host has, and waits until it can be
    /// used.
    fn bring(
        &self,
        barcode: Option<&str>,
        is_scratch: &dyn Fn(&str) -> bool,
        drive: Option<u16>,
    ) -> Result<Brought, Undone> {
        let drives = self.elements(ElementKind::Drive);
        let is_it = |element: &&Element| barcode.is_some() && element.barcode.as_deref() == barcode;
        if let (Some(barcode), Some(found)) = (barcode, drives.iter().find(is_it)) {
            let drive = self.host_drive(found).ok_or_else(|| {
                Failure::refused(format!(
                    "{barcode} is in a drive of {} that this host does not have: unload it there",
                    self.path
                ))
            })?;
            let barcode = barcode.to_owned();
            return Ok(Brought { drive, barcode, drive_element: found.address, home: None });
        }
        let kinds = [ElementKind::Storage, ElementKind::ImportExport];
        let tapes: Vec<Element> = kinds.into_iter().flat_map(|kind| self.elements(kind)).collect();
        let has_scratch = |element: &&Element| element.barcode.as_deref().is_some_and(is_scratch);
        let tape = tapes.iter().find(is_it).or_else(|| tapes.iter().find(has_scratch));
        let tape = tape.ok_or_else(|| {
            Failure::not_found(format!(
                "there is no tape {}in {}, and none that may be taken for it: put one in, name the drive with another one by --to, or say \
                 which tapes are empty by --scratch",
                barcode.map(|barcode| format!("{barcode} ")).unwrap_or_default(),
                self.path
            ))
        })?;
        self.bring_tape(tape, &drives, drive)
    }

    /// Takes the tape out of its drive and brings it back to where it was.
    fn bring_back(&self, brought: &Brought) -> Result<(), Failure> {
        let Some(home) = brought.home else { return Ok(()) };
        let tape = PhysicalTape::open(Path::new(&brought.drive))?;
        let out = tape.unload();
        drop(tape);
        is_out(out).map_err(|error| {
            Failure::failed(format!("{}: its tape does not come out: {error}", brought.drive))
        })?;
        self.carry(brought.drive_element, home)
    }

    fn is_dirty(&self, brought: &Brought) -> bool {
        cleaning::is_wanted(&brought.drive)
    }

    fn clean(&self, brought: &Brought) -> Result<String, Failure> {
        cleaning::clean(self, brought)
    }
}

impl PhysicalLibrary {
    fn bring_tape(
        &self,
        tape: &Element,
        drives: &[Element],
        only: Option<u16>,
    ) -> Result<Brought, Undone> {
        let barcode = tape.barcode.clone().unwrap_or_default();
        let mut last = None;
        let is_meant = |element: &&Element| {
            !element.is_full && only.is_none_or(|only| only == element.address)
        };
        for element in drives.iter().filter(is_meant) {
            let Some(drive) = self.host_drive(element) else { continue };
            if self.is_fenced(element) {
                continue;
            }
            match self.bring_into(&barcode, tape.address, element.address, &drive) {
                Ok(()) => {
                    return Ok(Brought {
                        drive,
                        barcode,
                        drive_element: element.address,
                        home: Some(tape.address),
                    });
                }
                // A drive that does not take the tape, or that somebody else has, is left for the next one (F18); an arm that does not move would
                // not move for it either.
                Err(failure)
                    if matches!(failure.kind, FailureKind::Damaged | FailureKind::Refused) =>
                {
                    last = Some(failure);
                }
                Err(failure) => return Err(Undone::of_drive(failure, DriveIs::Unusable)),
            }
        }
        let failure = last.unwrap_or_else(|| {
            let fenced = match drives.iter().filter(|element| self.is_fenced(element)).count() {
                0 => String::new(),
                count => format!(" ({count} fenced: `vtl physical list` says why)"),
            };
            Failure::refused(format!(
                "no drive of {} is empty that this host has and that may be used{fenced}: unload one, or wait for it",
                self.path
            ))
        });
        Err(Undone::of_drive(failure, DriveIs::NotTaking))
    }

    fn bring_into(
        &self,
        barcode: &str,
        from: u16,
        drive_element: u16,
        drive: &str,
    ) -> Result<(), Failure> {
        // Whoever uses the drive is asked before the arm moves.
        drop(PhysicalTape::open(Path::new(drive))?);
        self.carry(from, drive_element)?;
        let mut tape = match open_within(OPEN_LIMIT, || PhysicalTape::open(Path::new(drive))) {
            Ok(tape) => tape,
            Err(why) => {
                let text = format!("{drive} cannot be used after {barcode} was put in: {why}");
                let back = self.carry(drive_element, from);
                return Err(not_taken(text, FailureKind::Failed, back));
            }
        };
        let until = Instant::now() + READY_LIMIT;
        let why = loop {
            match tape.ready() {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= until => break why,
                Err(_) => std::thread::sleep(READY_PAUSE),
            }
        };
        // A tape that is threaded cannot be taken; whether this has worked the arm will tell.
        drop(tape.unload());
        drop(tape);
        let text = format!("{drive} does not take {barcode}: {why}");
        let back = self.carry(drive_element, from);
        Err(not_taken(text, FailureKind::Damaged, back))
    }

    /// MOVE MEDIUM (SMC-3 §6.6), with the library's own choice of the arm.
    pub(crate) fn carry(&self, from: u16, to: u16) -> Result<(), Failure> {
        let ([from_high, from_low], [to_high, to_low]) = (from.to_be_bytes(), to.to_be_bytes());
        let cdb = [0xa5, 0, 0, 0, from_high, from_low, to_high, to_low, 0, 0, 0, 0];
        if self.is_stuck.load(Ordering::Relaxed) {
            return Err(Failure::failed(format!(
                "{}: the tape in element {from} was not moved to element {to}, because a move has failed before; look at the library's own panel",
                self.path
            )));
        }
        // What has changed since the library was asked last is told once, and nothing was moved then.
        for _ in 0..UNIT_ATTENTIONS_MAX {
            let answer = self.device.send(&cdb, &mut Data::None, MOVE_TIMEOUT);
            let answer = answer.map_err(|error| self.jammed(from, to, &error))?;
            let sense = Sense::parse(&answer.sense);
            match (answer.status, sense) {
                (0, _) => return Ok(()),
                (_, Some(sense)) if sense.key == UNIT_ATTENTION => {}
                (status, _) => {
                    let error = DeviceError::Status { status, sense: answer.sense };
                    return Err(self.jammed(from, to, &error));
                }
            }
        }
        Err(Failure::failed(format!("{}: it tells of changes without an end", self.path)))
    }

    fn jammed(&self, from: u16, to: u16, error: &DeviceError) -> Failure {
        self.is_stuck.store(true, Ordering::Relaxed);
        Failure::failed(format!(
            "{}: the tape in element {from} could not be moved to element {to}: {error}; look at the library's own panel before you try again",
            self.path
        ))
    }

    /// The elements of a kind, as they are now.
    pub(crate) fn elements(&self, kind: ElementKind) -> Vec<Element> {
        attached::elements_of(&self.device, kind)
    }

    fn is_fenced(&self, element: &Element) -> bool {
        let mut hosts = self.hosts.iter();
        hosts.any(|host| host.is_in(element) && self.fenced.contains(host.serial()))
    }

    /// The drive of this host that sits in an element.
    fn host_drive(&self, element: &Element) -> Option<String> {
        let found = self.hosts.iter().find(|host| host.is_in(element));
        found.map(|host| host.generic().to_owned())
    }
}

/// Opens a drive. Whoever looks at every tape that comes, as udev does, has it for a moment.
fn open_within<T>(limit: Duration, open: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    let until = Instant::now() + limit;
    loop {
        match open() {
            Err(failure) if failure.kind == FailureKind::Refused && Instant::now() < until => {
                std::thread::sleep(READY_PAUSE);
            }
            done => return done,
        }
    }
}

/// Why a tape cannot be used where it was brought. It must not stay there; if it does, there is nothing to bring to another drive, and the
/// failure is none that another drive is tried after.
fn not_taken(why: String, kind: FailureKind, back: Result<(), Failure>) -> Failure {
    match back {
        Ok(()) => Failure::new(kind, why),
        Err(back) => Failure::failed(format!("{why}; and it stays there: {back}")),
    }
}

/// That a drive has no tape any more is what was to be achieved: it says so where somebody pressed its button before.
fn is_out(unloaded: Result<(), TapeFault>) -> Result<(), TapeFault> {
    match unloaded {
        Err(TapeFault::Sense(Sense { key: Sense::NOT_READY, asc: 0x3a, .. })) => Ok(()),
        unloaded => unloaded,
    }
}

const UNIT_ATTENTION: u8 = 6;
const UNIT_ATTENTIONS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// udev had the drive at the moment in which the tape came: the tape stayed in it, and the next drive was to be given one from an empty
    /// element.
    #[test]
    fn a_drive_that_is_busy_for_a_moment_is_waited_for_and_no_empty_element_is_tried() {
        let tries = Cell::new(0);
        let open = || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(Failure::refused("busy")) } else { Ok(tries.get()) }
        };
        assert_eq!(open_within(OPEN_LIMIT, open).unwrap(), 3);
        let busy = || -> Result<(), Failure> { Err(Failure::refused("busy")) };
        assert_eq!(open_within(Duration::ZERO, busy).unwrap_err().message, "busy");
        let broken = || -> Result<(), Failure> { Err(Failure::failed("broken")) };
        assert_eq!(open_within(OPEN_LIMIT, broken).unwrap_err().message, "broken");

        let taken_back = not_taken("bad".into(), FailureKind::Damaged, Ok(()));
        assert_eq!((taken_back.kind, taken_back.message.as_str()), (FailureKind::Damaged, "bad"));
        let stays = not_taken("bad".into(), FailureKind::Damaged, Err(Failure::refused("jam")));
        assert_eq!(stays.kind, FailureKind::Failed);
        assert_eq!(stays.message, "bad; and it stays there: jam");
    }

    #[test]
    fn a_drive_without_a_tape_is_as_good_as_unloaded() {
        let said = |key, asc| Err(TapeFault::Sense(Sense { key, asc, ..Sense::default() }));
        assert!(is_out(said(2, 0x3a)).is_ok() && is_out(Ok(())).is_ok());
        assert!(is_out(said(2, 0x04)).is_err() && is_out(said(4, 0x53)).is_err());
    }
}
