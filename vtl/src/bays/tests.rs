//! Several drives, an arm and tapes in memory: whatever fails, no tape has two cartridges, and no cartridge is written twice.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use vtl_media::{Barcode, CopyState, LoadOptions, NewCartridge, Place, Volume};
use vtl_vault::{Counters, DriveIdentity, Medium, Tape, TapeError, TapeRead};

use super::export::{by_arm, jobs_of, to_drives};
use super::*;
use crate::exports::export_to;
use crate::library::Library;
use crate::physical_library::Brought;
use crate::request::ExportChoice;
use crate::tests::Scene;

/// `None` is a filemark.
type Objects = Vec<Option<Vec<u8>>>;

/// Tapes, drives and what happens to them.
#[derive(Default)]
struct Hall {
    tapes: Mutex<BTreeMap<String, Objects>>,
    /// Which tape is in which drive.
    drives: Mutex<BTreeMap<u16, String>>,
    is_moving: AtomicBool,
    is_jammed: AtomicBool,
    not_taking: Vec<u16>,
    /// Every tape that the arm brought, in turn.
    fetched: Mutex<Vec<String>>,
    /// Tapes that take no more than this.
    small: BTreeMap<String, u64>,
    /// What the first write in a drive ends with.
    faults: Mutex<BTreeMap<String, TapeError>>,
    writes: AtomicUsize,
    /// With which write of all drives somebody stops it.
    stop_at: usize,
    is_given_up: AtomicBool,
    /// Drives wait for each other once.
    meeting: Option<(Barrier, Mutex<BTreeSet<String>>)>,
}

impl Hall {
    fn with(tapes: &[&str]) -> Self {
        let tapes = tapes.iter().map(|label| ((*label).to_owned(), Objects::new())).collect();
        Self { tapes: Mutex::new(tapes), stop_at: usize::MAX, ..Self::default() }
    }

    fn on(&self, label: &str) -> Objects {
        self.tapes.lock().unwrap()[label].clone()
    }

    fn write(
        &self,
        library: &Library,
        choice: &ExportChoice,
        of: [&str; 3],
    ) -> Result<Value, Undone> {
        let [barcode, drive, label] = of;
        let open =
            || Ok(Reel { hall: self, drive: drive.to_owned(), label: label.to_owned(), at: 0 });
        export_to(library, (barcode, drive), open, choice, "op", &self.is_given_up)
    }

    /// `vtl export --library` with these drives.
    fn export(&self, library: &Library, barcodes: &[String], drives: &[u16]) -> Value {
        self.export_as(library, barcodes, drives, &choice())
    }

    fn export_as(
        &self,
        library: &Library,
        barcodes: &[String],
        drives: &[u16],
        choice: &ExportChoice,
    ) -> Value {
        let write = |job: &Job, drive: &str, label: Option<&str>| {
            let choice = ExportChoice { copy: job.copy, ..choice.clone() };
            self.write(library, &choice, [&job.barcode, drive, label.unwrap()])
        };
        let is_stopping = || self.is_given_up.load(Ordering::Relaxed);
        let jobs = jobs_of(barcodes, choice);
        by_arm(library, choice, &jobs, (Gripper(self), drives), &write, &is_stopping).unwrap()
    }
}

struct Gripper<'a>(&'a Hall);

impl Gripper<'_> {
    fn move_tape(&self, carry: impl FnOnce(&mut BTreeMap<u16, String>)) -> Result<(), Failure> {
        assert!(!self.0.is_moving.swap(true, Ordering::SeqCst), "two use the arm at once");
        if self.0.is_jammed.load(Ordering::SeqCst) {
            self.0.is_moving.store(false, Ordering::SeqCst);
            return Err(Failure::failed("jammed"));
        }
        carry(&mut self.0.drives.lock().unwrap());
        self.0.is_moving.store(false, Ordering::SeqCst);
        Ok(())
    }
}

impl Arm for Gripper<'_> {
    fn bring(
        &self,
        barcode: Option<&str>,
        is_scratch: &dyn Fn(&str) -> bool,
        drive: Option<u16>,
    ) -> Result<Brought, Undone> {
        let element = drive.unwrap_or(0);
        let taken: Vec<String> = self.0.drives.lock().unwrap().values().cloned().collect();
        let labels: Vec<String> = self.0.tapes.lock().unwrap().keys().cloned().collect();
        let mut free = labels.iter().filter(|label| !taken.contains(label));
        let found = free.clone().find(|label| Some(label.as_str()) == barcode);
        let label = found.or_else(|| free.find(|label| is_scratch(label)));
        let label = label
            .ok_or_else(|| Failure::not_found(format!("{barcode:?}: none that may be taken")))?;
        if self.0.not_taking.contains(&element) {
            let failure = Failure::new(FailureKind::Damaged, format!("{element} does not take it"));
            return Err(Undone::of_drive(failure, DriveIs::NotTaking));
        }
        let carry = |drives: &mut BTreeMap<u16, String>| {
            assert_eq!(drives.insert(element, label.clone()), None, "the drive is full");
        };
        self.0.fetched.lock().unwrap().push(label.clone());
        self.move_tape(carry).map_err(|failure| Undone::of_drive(failure, DriveIs::Unusable))?;
        let drive = format!("drive{element}");
        Ok(Brought { drive, barcode: label.clone(), drive_element: element, home: Some(1) })
    }

    fn bring_back(&self, brought: &Brought) -> Result<(), Failure> {
        self.move_tape(|drives| drop(drives.remove(&brought.drive_element)))
    }

    fn is_dirty(&self, _: &Brought) -> bool {
        false
    }

    fn clean(&self, _: &Brought) -> Result<String, Failure> {
        unreachable!("no drive asks for it")
    }
}

/// A tape in a drive.
struct Reel<'a> {
    hall: &'a Hall,
    drive: String,
    label: String,
    at: usize,
}

impl Reel<'_> {
    fn write(&mut self, object: Option<Vec<u8>>) -> Result<(), TapeError> {
        if let Some((barrier, came)) = &self.hall.meeting
            && came.lock().unwrap().insert(self.drive.clone())
        {
            barrier.wait();
        }
        if let Some(error) = self.hall.faults.lock().unwrap().remove(&self.drive) {
            return Err(error);
        }
        if self.hall.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.hall.stop_at {
            self.hall.is_given_up.store(true, Ordering::SeqCst);
        }
        let mut tapes = self.hall.tapes.lock().unwrap();
        let tape = tapes.get_mut(&self.label).unwrap();
        tape.truncate(self.at);
        tape.push(object);
        self.at += 1;
        Ok(())
    }
}

impl Tape for Reel<'_> {
    // Like many drives, it knows of no attributes.
    fn attributes(&mut self, _: u8) -> Result<Vec<vtl_vault::Attribute>, TapeError> {
        Err(TapeError::Refused("5/20/00".into()))
    }
    fn write_attribute(&mut self, _: &vtl_vault::Attribute) -> Result<(), TapeError> {
        Err(TapeError::Refused("5/20/00".into()))
    }
    fn identity(&self) -> DriveIdentity {
        let text = || self.drive.clone();
        DriveIdentity { vendor: text(), product: text(), revision: text(), serial: text() }
    }
    fn medium(&mut self) -> Medium {
        let (serial, barcode) = (format!("S{}", self.label), self.label.clone());
        let capacity_bytes = self.hall.small.get(&self.label).copied();
        Medium { serial: Some(serial), barcode: Some(barcode), capacity_bytes, ..Medium::default() }
    }
    fn counters(&mut self, _: bool) -> Counters {
        Counters::default()
    }
    fn max_block_bytes(&self) -> usize {
        1 << 20
    }
    fn ready(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn rewind(&mut self) -> Result<(), TapeError> {
        self.at = 0;
        Ok(())
    }
    fn locate(&mut self, object: u64) -> Result<(), TapeError> {
        self.at = usize::try_from(object).unwrap();
        Ok(())
    }
    fn reload(&mut self) -> Result<(), TapeError> {
        self.rewind()
    }
    fn write_block(&mut self, block: &[u8]) -> Result<(), TapeError> {
        self.write(Some(block.to_vec()))
    }
    fn write_filemark(&mut self) -> Result<(), TapeError> {
        self.write(None)
    }
    fn synchronize(&mut self) -> Result<(), TapeError> {
        Ok(())
    }
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<TapeRead, TapeError> {
        let tapes = self.hall.tapes.lock().unwrap();
        let Some(object) = tapes[&self.label].get(self.at) else { return Ok(TapeRead::EndOfData) };
        self.at += 1;
        Ok(match object {
            Some(block) => {
                buffer.clone_from(block);
                TapeRead::Block
            }
            None => TapeRead::Filemark,
        })
    }
}

fn choice() -> ExportChoice {
    ExportChoice { copy: 1, scratch: Some("SCR*".into()), ..ExportChoice::default() }
}

fn content(number: u8) -> Objects {
    vec![Some(vec![number; 1000]), None, Some(vec![number; 70]), None, Some(vec![number])]
}

/// So many cartridges more, each with something of its own on it.
fn filled(scene: &Scene, count: u8) -> Vec<String> {
    let store = &scene.library.store;
    let fill = |number: u8| {
        let mut new = NewCartridge::new(Barcode::new(&format!("MNY00{number}L9")).unwrap(), "lto9");
        new.to = Some(Place::Shelf);
        let entry = store.create_cartridges(vec![new], "op").unwrap().remove(0);
        let directory = store.directory_of(entry.uuid);
        let mut volume = Volume::load(store.disk(), &directory, LoadOptions::default()).unwrap();
        for object in content(number) {
            let done = match object {
                Some(block) => {
                    let length = u32::try_from(block.len()).unwrap();
                    volume.write(Box::new(block), length, 1)
                }
                None => volume.write_filemarks(1),
            };
            done.unwrap();
        }
        volume.sync().unwrap();
        store.update_facts(entry.uuid, &volume.unload().unwrap()).unwrap();
        entry.barcode.to_string()
    };
    (1..=count).map(fill).collect()
}

/// Each cartridge is proved on one tape, which has it and nothing else.
fn assert_all_there(hall: &Hall, library: &Library, barcodes: &[String]) {
    let mut used = BTreeSet::new();
    for (barcode, number) in barcodes.iter().zip(1..) {
        let uuid = library.store.find(barcode).unwrap().uuid;
        let copies = library.store.copies_of(uuid, 1);
        let proved: Vec<_> = copies.iter().filter(|copy| copy.state.is_receipted()).collect();
        assert_eq!(proved.len(), 1, "{barcode}");
        let volume = proved[0].facts.volume.clone().unwrap();
        assert_eq!(hall.on(&volume), content(number), "{barcode} on {volume}");
        assert!(used.insert(volume), "two cartridges on one tape");
    }
    assert!(hall.drives.lock().unwrap().is_empty(), "a tape stayed in a drive");
}

fn states(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect()
}

#[test]
fn several_drives_share_the_cartridges_and_the_answer_is_in_the_order_asked() {
    let scene = Scene::new();
    let barcodes = filled(&scene, 5);
    let mut hall = Hall::with(&["MNY001L9", "MNY004L9", "SCR001L9", "SCR002L9", "SCR003L9"]);
    // Neither drive goes on before the other one has begun.
    hall.meeting = Some((Barrier::new(2), Mutex::default()));
    let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
    assert_eq!(states(&rows), ["receipted"; 5]);
    let named = rows.as_array().unwrap().iter().map(|row| row["barcode"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), barcodes);
    assert!(verdict(&rows).is_ok());
    assert_all_there(&hall, &scene.library, &barcodes);
    // The same command writes nothing more.
    let writes = hall.writes.load(Ordering::SeqCst);
    assert_eq!(states(&hall.export(&scene.library, &barcodes, &[0, 1])), ["receipted"; 5]);
    assert_eq!(hall.writes.load(Ordering::SeqCst), writes);
}

/// F18: a drive that breaks is given nothing more; the others do the rest, and the same command finishes what it had begun.
#[test]
fn a_drive_that_fails_stops_alone() {
    let scene = Scene::new();
    let barcodes = filled(&scene, 4);
    let mut hall = Hall::with(&["SCR001L9", "SCR002L9", "SCR003L9", "SCR004L9"]);
    hall.meeting = Some((Barrier::new(2), Mutex::default()));
    hall.faults = Mutex::new([("drive0".to_owned(), TapeError::Hardware("4/44/00".into()))].into());
    let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
    let undone = states(&rows).into_iter().filter(|state| *state == NOT_EXPORTED).count();
    assert_eq!(undone, 1, "{rows}");
    let failure = verdict(&rows).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Damaged);
    assert!(failure.message.starts_with("1 of 4 cartridges were not exported"), "{failure}");
    assert!(failure.message.contains("with the same tape goes on"), "{failure}");
    assert_eq!(states(&hall.export(&scene.library, &barcodes, &[1])), ["receipted"; 4]);
    assert_all_there(&hall, &scene.library, &barcodes);
}

/// Ctrl-C with both drives at work on scratch tapes. What had been written on which tape was only known where everything was written, so that
/// the same command gave one cartridge the tape that the other one had begun on, and was refused.
#[test]
fn all_stop_at_once_and_each_goes_on_with_its_own_tape() {
    for stop_at in [1, 3, 5, 6, 8, 11, 14] {
        let scene = Scene::new();
        let barcodes = filled(&scene, 3);
        let mut hall = Hall::with(&["SCR001L9", "SCR002L9", "SCR003L9"]);
        hall.stop_at = stop_at;
        let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
        assert!(states(&rows).contains(&NOT_EXPORTED), "{stop_at}");
        assert_eq!(verdict(&rows).unwrap_err().kind, FailureKind::Failed, "{stop_at}");
        assert!(hall.drives.lock().unwrap().is_empty(), "{stop_at}");
        hall.is_given_up.store(false, Ordering::SeqCst);
        // The other way around, so that whoever takes the first tape takes the wrong one.
        let turned: Vec<String> = barcodes.iter().rev().cloned().collect();
        let rows = hall.export(&scene.library, &turned, &[0, 1]);
        assert_eq!(states(&rows), ["receipted"; 3], "{stop_at} {rows}");
        assert_all_there(&hall, &scene.library, &barcodes);
    }
}

/// F18: one drive does not take tapes, and the others do; where none does, the tape is told of and nothing is waited for.
#[test]
fn a_drive_that_takes_no_tape_leaves_it_to_the_others() {
    let scene = Scene::new();
    let barcodes = filled(&scene, 3);
    let mut hall = Hall::with(&["MNY001L9", "MNY002L9", "MNY003L9"]);
    hall.not_taking = vec![1];
    assert_eq!(states(&hall.export(&scene.library, &barcodes, &[0, 1])), ["receipted"; 3]);
    assert_all_there(&hall, &scene.library, &barcodes);

    let scene = Scene::new();
    let barcodes = filled(&scene, 3);
    let mut hall = Hall::with(&["MNY001L9", "MNY002L9", "MNY003L9"]);
    hall.not_taking = vec![0, 1];
    let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
    assert_eq!(states(&rows), [NOT_EXPORTED; 3], "{rows}");
    assert!(scene.library.store.copies().is_empty());
}

/// `--scratch 'SCR*'`, and the first of them is not empty. Every cartridge was given that one, and none was exported.
#[test]
fn a_tape_that_is_not_free_is_passed_over_once_and_named_if_none_is_left() {
    let scene = Scene::new();
    let barcodes = filled(&scene, 3);
    let mut hall = Hall::with(&["SCR001L9", "SCR002L9", "SCR003L9", "SCR004L9", "SCR005L9"]);
    let older = vec![Some(vec![7; 10])];
    hall.tapes.lock().unwrap().insert("SCR001L9".into(), older.clone());
    // Each cartridge finds out for itself what does not take it: another one may be smaller.
    hall.small.insert("SCR002L9".into(), 10);
    assert_eq!(states(&hall.export(&scene.library, &barcodes, &[0])), ["receipted"; 3]);
    assert_all_there(&hall, &scene.library, &barcodes);
    assert_eq!(hall.on("SCR001L9"), older);
    let fetched = |label: &str| {
        hall.fetched.lock().unwrap().iter().filter(|fetched| *fetched == label).count()
    };
    assert_eq!(["SCR001L9", "SCR002L9", "SCR003L9"].map(fetched), [1, 3, 1]);

    // The tape of the cartridge's own barcode is the one that was meant.
    let scene = Scene::new();
    let barcodes = filled(&scene, 2);
    let hall = Hall::with(&["MNY001L9", "SCR001L9", "SCR002L9"]);
    for full in ["MNY001L9", "SCR001L9", "SCR002L9"] {
        hall.tapes.lock().unwrap().insert(full.into(), older.clone());
    }
    let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
    assert_eq!(states(&rows), [NOT_EXPORTED; 2], "{rows}");
    let reason = |row: usize| rows[row]["reason"].as_str().unwrap();
    assert!(!reason(0).contains("Passed over"), "{}", reason(0));
    for told in ["none that may be taken", "SCR001L9", "SCR002L9", "there is something on the tape"]
    {
        assert!(reason(1).contains(told), "{told} is not in {}", reason(1));
    }
    assert_eq!(hall.fetched.lock().unwrap().len(), 3);
    assert!(hall.drives.lock().unwrap().is_empty());
}

#[test]
fn an_arm_that_does_not_move_stops_all() {
    let scene = Scene::new();
    let barcodes = filled(&scene, 3);
    let hall = Hall::with(&["MNY001L9", "MNY002L9", "MNY003L9"]);
    hall.is_jammed.store(true, Ordering::SeqCst);
    let rows = hall.export(&scene.library, &barcodes, &[0, 1]);
    assert_eq!(states(&rows), [NOT_EXPORTED; 3]);
    let told = verdict(&rows).unwrap_err().message;
    assert!(told.contains("jammed") && told.contains("MNY003L9 was not begun"), "{told}");
}

/// With `--to` each drive has its tape already: a drive that fails does not give its cartridge to another one's tape.
#[test]
fn each_named_drive_has_its_own_cartridge() {
    let scene = Scene::new();
    let (library, barcodes) = (&scene.library, filled(&scene, 3));
    let hall = Hall::with(&["drive0", "drive1", "drive2"]);
    *hall.faults.lock().unwrap() = [("drive1".to_owned(), TapeError::NoMedium)].into();
    let to = (0..3).map(|drive| format!("drive{drive}")).collect();
    let choice = ExportChoice { to, ..choice() };
    let write = |job: &Job, drive: &str, _: Option<&str>| {
        hall.write(library, &choice, [&job.barcode, drive, drive])
    };
    let jobs = || jobs_of(&barcodes, &choice);
    let run = || to_drives(library, &choice, jobs(), &write, &|| false).unwrap();
    let rows = run();
    assert_eq!(states(&rows), ["receipted", NOT_EXPORTED, "receipted"], "{rows}");
    assert_eq!(verdict(&rows).unwrap_err().kind, FailureKind::Failed);
    assert_eq!(states(&run()), ["receipted"; 3]);
    for (number, drive) in (1..).zip(&choice.to) {
        assert_eq!(hall.on(drive), content(number));
    }
    assert!(library.store.copies().iter().all(|copy| copy.state == CopyState::Receipted));
}

/// Several copies in one command were as many commands, and the second one took the tape of the first.
#[test]
fn each_copy_is_on_a_tape_of_its_own_with_a_receipt_of_its_own() {
    for (drives, stop_at) in [(&[0][..], usize::MAX), (&[0, 1], usize::MAX), (&[0, 1, 2], 9)] {
        let scene = Scene::new();
        let library = &scene.library;
        let barcodes = filled(&scene, 2);
        let tapes = ["MNY001L9", "MNY002L9", "SCR001L9", "SCR002L9", "SCR003L9", "SCR004L9"];
        let mut hall = Hall::with(&tapes);
        hall.stop_at = stop_at;
        let choice = ExportChoice { copies: Some(3), ..choice() };
        if stop_at < usize::MAX {
            let rows = hall.export_as(library, &barcodes, drives, &choice);
            assert!(states(&rows).contains(&NOT_EXPORTED));
            hall.is_given_up.store(false, Ordering::SeqCst);
        }
        let rows = hall.export_as(library, &barcodes, drives, &choice);
        assert_eq!(states(&rows), ["receipted"; 6], "{rows}");
        let rows = rows.as_array().unwrap();
        let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
        assert_eq!(of("number"), [1, 1, 2, 2, 3, 3]);
        let different = |key| of(key).iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!((different("volume").len(), different("receipt").len()), (6, 6));
        for row in rows {
            let number = row["barcode"].as_str().unwrap().as_bytes()[5] - b'0';
            assert_eq!(hall.on(row["volume"].as_str().unwrap()), content(number), "{row}");
        }
        assert_eq!(rows[0]["volume"], "MNY001L9");
        // The same command makes none once more.
        let writes = hall.writes.load(Ordering::SeqCst);
        hall.export_as(library, &barcodes, drives, &choice);
        assert_eq!(hall.writes.load(Ordering::SeqCst), writes);
        // And there is no tape for another one, as that of the cartridge has copy 1.
        let more = ExportChoice { copies: Some(4), ..choice };
        let rows = hall.export_as(library, &barcodes[..1], drives, &more);
        assert_eq!(states(&rows), ["receipted", "receipted", "receipted", NOT_EXPORTED]);
        assert_eq!(rows[3]["number"], 4);
    }
}
