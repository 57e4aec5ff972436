//! Cleaning by a physical library: a cartridge of its own is brought into the drive that asks for it, and back (F18).

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use vtl_physical::{Data, Device, Sense, tape_alerts};

use crate::attached::{Element, ElementKind};
use crate::physical_library::{Brought, PhysicalLibrary};
use crate::request::Failure;

/// Flags of `TapeAlert` (SSC-5): clean now, and clean when there is time.
const CLEAN_FLAGS: [u64; 2] = [20, 21];
/// What the barcodes of cleaning cartridges begin with.
const PREFIX: &str = "CLN";
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// Drives take one to five minutes.
const LOOKS_MAX: u32 = 900;
/// So long a drive may take to see that something was put in.
const LOOKS_AT_FIRST: u32 = 60;
const TIMEOUT: Duration = Duration::from_mins(1);

/// What cleaning needs of a library and of the drive.
pub(crate) trait Arm {
    /// What lies in storage and import/export elements.
    fn tapes(&self) -> Vec<Element>;
    /// Moves what is in an element.
    fn carry(&self, from: u16, to: u16) -> Result<(), Failure>;
    /// Why the drive is not ready; nothing if it is, or does not say.
    fn look(&self) -> Option<Sense>;
    /// Waits between two looks.
    fn pause(&self);
}

/// Whether a barcode is that of a cleaning cartridge, which nothing is written on.
pub(crate) fn is_cleaning(barcode: &str) -> bool {
    barcode.starts_with(PREFIX)
}

/// Whether these flags of `TapeAlert` ask for cleaning.
pub(crate) fn is_asked_for(flags: impl IntoIterator<Item = u64>) -> bool {
    flags.into_iter().any(|flag| CLEAN_FLAGS.contains(&flag))
}

/// Whether a drive asks for cleaning now. Some forget that they did once they have been asked.
pub(crate) fn is_wanted(drive: &str) -> bool {
    let Ok(device) = Device::open(Path::new(drive)) else { return false };
    is_asked_for(tape_alerts(&device, TIMEOUT).into_iter().map(u64::from))
}

/// Cleans the drive that a tape was just brought back from. Says with which cartridge.
pub(crate) fn clean(library: &PhysicalLibrary, brought: &Brought) -> Result<String, Failure> {
    let drive = Device::open(Path::new(&brought.drive))
        .map_err(|error| Failure::failed(format!("{}: {error}", brought.drive)))?;
    clean_with(&Real { library, drive }, brought.drive_element)
}

/// The same, by whatever arm.
fn clean_with(arm: &dyn Arm, drive_element: u16) -> Result<String, Failure> {
    let name = |element: &Element| element.barcode.clone().unwrap_or_default();
    let mut tapes = arm.tapes();
    tapes.retain(|element| element.is_full && is_cleaning(&name(element)));
    let mut used_up = Vec::new();
    for tape in &tapes {
        let barcode = name(tape);
        arm.carry(tape.address, drive_element)?;
        let end = await_end(arm);
        // It never stays in the drive: whoever comes next could not use it.
        arm.carry(drive_element, tape.address).map_err(|failure| {
            Failure::failed(format!("cleaning cartridge {barcode} stays in the drive: {failure}"))
        })?;
        match end {
            End::Clean => return Ok(barcode),
            End::UsedUp => used_up.push(barcode),
            End::Never => {
                return Err(Failure::failed(format!(
                    "the drive was not done with cleaning cartridge {barcode} after {} minutes: have it looked at",
                    LOOKS_MAX / 60
                )));
            }
        }
    }
    let why = match used_up.len() {
        0 => format!("the library has no cleaning cartridge ({PREFIX}…): put one in"),
        _ => format!("{} cannot clean any more: put another one in", used_up.join(", ")),
    };
    Err(Failure::refused(why))
}

/// Whether the drive asked to be cleaned while it wrote, as the answer of an export says.
pub(crate) fn has_asked(row: &Value) -> bool {
    let flags = row.get("tape_alerts").and_then(Value::as_array).into_iter().flatten();
    is_asked_for(flags.filter_map(Value::as_u64))
}

/// What the export came to, and what became of the cleaning that the drive asked for. An export is no failure because a drive is dirty.
pub(crate) fn told(
    done: Result<Value, Failure>,
    drive: &str,
    cleaned: &Result<String, Failure>,
) -> Result<Value, Failure> {
    let text = match cleaned {
        Ok(barcode) => {
            tracing::info!(drive, barcode, "a drive asked to be cleaned, and was");
            format!("{drive} asked to be cleaned, and was, with {barcode}")
        }
        Err(why) => {
            tracing::warn!(drive, %why, "a drive asks to be cleaned, and was not");
            format!("{drive} asks to be cleaned, and was not: {why}")
        }
    };
    let mut row =
        done.map_err(|failure| Failure::new(failure.kind, format!("{failure}; {text}")))?;
    if let Some(row) = row.as_object_mut() {
        row.insert("cleaning".to_owned(), text.into());
    }
    Ok(row)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    UsedUp,
    Never,
}

fn await_end(arm: &dyn Arm) -> End {
    let mut has_begun = false;
    for look in 0..LOOKS_MAX {
        match arm.look() {
            // 2/30/07: it was refused.
            Some(Sense { key: Sense::NOT_READY, asc: 0x30, ascq: 0x07, .. }) => return End::UsedUp,
            // 2/30/03: it cleans; 2/04/01: it comes to it.
            Some(Sense { key: Sense::NOT_READY, asc: 0x30, ascq: 0x03, .. }) => has_begun = true,
            Some(
                Sense { key: Sense::NOT_READY, asc: 0x04, ascq: 0x01, .. }
                | Sense { key: Sense::UNIT_ATTENTION, .. },
            ) => {}
            _ if has_begun => return End::Clean,
            // It was not taken, or is of no use here: nobody has cleaned anything.
            _ if look >= LOOKS_AT_FIRST => return End::UsedUp,
            _ => {}
        }
        arm.pause();
    }
    End::Never
}

struct Real<'a> {
    library: &'a PhysicalLibrary,
    drive: Device,
}

impl Arm for Real<'_> {
    fn tapes(&self) -> Vec<Element> {
        let kinds = [ElementKind::Storage, ElementKind::ImportExport];
        kinds.into_iter().flat_map(|kind| self.library.elements(kind)).collect()
    }
    fn carry(&self, from: u16, to: u16) -> Result<(), Failure> {
        self.library.carry(from, to)
    }
    fn look(&self) -> Option<Sense> {
        // A drive that could not be asked is not known to be done.
        let unknown = Sense { key: Sense::NOT_READY, asc: 0x04, ascq: 0x01, ..Sense::default() };
        let Ok(answer) = self.drive.send(&[0; 6], &mut Data::None, TIMEOUT) else {
            return Some(unknown);
        };
        Sense::parse(&answer.sense).filter(|_| answer.status != 0)
    }
    fn pause(&self) {
        std::thread::sleep(LOOK_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::request::FailureKind;

    const DRIVE: u16 = 256;

    /// A library whose drive says of each cartridge what is written here, and in the end that it is empty.
    #[derive(Default)]
    struct Scripted {
        says: BTreeMap<u16, Vec<(u8, u8, u8)>>,
        inside: Cell<Option<u16>>,
        looks: Cell<usize>,
        moves: RefCell<Vec<(u16, u16)>>,
        is_endless: bool,
    }

    impl Arm for Scripted {
        fn tapes(&self) -> Vec<Element> {
            let tape = |address: u16, barcode: String| Element {
                address,
                barcode: Some(barcode),
                is_full: true,
                ..Element::default()
            };
            let cleaning = self.says.keys().map(|at| tape(*at, format!("CLN{at:03}L9")));
            std::iter::once(tape(1, "VTL001L9".into())).chain(cleaning).collect()
        }
        fn carry(&self, from: u16, to: u16) -> Result<(), Failure> {
            self.moves.borrow_mut().push((from, to));
            self.inside.set((to == DRIVE).then_some(from));
            self.looks.set(0);
            Ok(())
        }
        fn look(&self) -> Option<Sense> {
            let said = self.says.get(&self.inside.get().unwrap()).unwrap();
            let at = self.looks.replace(self.looks.get() + 1);
            let last = if self.is_endless { said.last().copied() } else { Some((2, 0x3a, 0)) };
            let (key, asc, ascq) = said.get(at).copied().or(last).unwrap();
            Some(Sense { key, asc, ascq, ..Sense::default() })
        }
        fn pause(&self) {}
    }

    #[test]
    fn a_cleaning_cartridge_is_brought_in_awaited_and_brought_back() {
        // The drive does not see it at first, then tells of the change, cleans, and lays it into its door.
        let says = vec![(2, 0x3a, 0), (6, 0x28, 0), (2, 0x30, 3), (2, 0x30, 3)];
        let arm = Scripted { says: [(7, says)].into(), ..Scripted::default() };
        assert_eq!(clean_with(&arm, DRIVE).unwrap(), "CLN007L9");
        assert_eq!(*arm.moves.borrow(), [(7, DRIVE), (DRIVE, 7)]);
        assert!(is_asked_for([3, 20]) && is_asked_for([21]) && !is_asked_for([22]));
    }

    #[test]
    fn one_that_is_used_up_is_left_for_the_next_and_none_at_all_is_said() {
        let used_up = || vec![(2, 0x30, 7)];
        let good = vec![(2, 0x30, 3)];
        let arm = Scripted { says: [(7, used_up()), (8, good)].into(), ..Scripted::default() };
        assert_eq!(clean_with(&arm, DRIVE).unwrap(), "CLN008L9");
        assert_eq!(*arm.moves.borrow(), [(7, DRIVE), (DRIVE, 7), (8, DRIVE), (DRIVE, 8)]);
        let arm = Scripted { says: [(7, used_up())].into(), ..Scripted::default() };
        let told = clean_with(&arm, DRIVE).unwrap_err();
        assert!(told.message.starts_with("CLN007L9 cannot clean any more"), "{told}");
        let told = clean_with(&Scripted::default(), DRIVE).unwrap_err();
        assert!(told.message.contains("no cleaning cartridge"), "{told}");
    }

    #[test]
    fn one_that_never_ends_is_taken_out_all_the_same() {
        let says = [(7, vec![(2, 0x30, 3)])].into();
        let arm = Scripted { says, is_endless: true, ..Scripted::default() };
        assert!(clean_with(&arm, DRIVE).unwrap_err().message.contains("15 minutes"));
        assert_eq!(*arm.moves.borrow(), [(7, DRIVE), (DRIVE, 7)]);
    }

    #[test]
    fn a_dirty_drive_makes_no_failure_of_an_export_and_hides_none() {
        let dirty = || json!({ "barcode": "A1", "tape_alerts": [3, 20] });
        assert!(has_asked(&dirty()) && !has_asked(&json!({ "tape_alerts": [3] })));
        let none = Err(Failure::refused("no cleaning cartridge"));
        let row = told(Ok(dirty()), "/dev/sg5", &none).unwrap();
        assert!(row["cleaning"].as_str().unwrap().ends_with("was not: no cleaning cartridge"));
        let cleaned = Ok("CLN001L9".to_owned());
        let told =
            told(Err(Failure::new(FailureKind::Damaged, "no")), "/dev/sg5", &cleaned).unwrap_err();
        assert_eq!(
            (told.kind, told.message.contains("with CLN001L9")),
            (FailureKind::Damaged, true)
        );
    }
}
