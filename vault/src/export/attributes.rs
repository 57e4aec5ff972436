//! What hosts have written into a cartridge's auxiliary memory goes to that of the tape, and is read back from there.

use super::ExportError;
use super::order::Order;
use super::tape::{Medium, Tape, TapeError};
use crate::receipt::{Attribute, LeftOut, Manifest, Mismatch};

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) written: Vec<Attribute>,
    pub(super) left_out: Vec<LeftOut>,
}

/// What the tape's memory says in the proof.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    /// `None` if there is nothing to compare, or the drive does not read it.
    pub(super) found: Option<Vec<Attribute>>,
    pub(super) mismatches: Vec<Mismatch>,
    pub(super) not_checked: Option<String>,
}

impl Order<'_> {
    /// Writes all of them, and takes away what an earlier use of the tape has left. What the drive refuses is left out, and said; any other
    /// failure is one of the export.
    pub(super) fn write_attributes(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<Remembered, ExportError> {
        let mut remembered = Remembered::default();
        for stale in self.stale_attributes(tape, medium)? {
            let gone = Attribute { value: String::new(), ..stale };
            if let Some(why) = accepted(tape, &gone)? {
                let why = format!("it was on the tape before, and stays: {why}");
                remembered.left_out.push(left_out(&gone, why));
            }
        }
        for attribute in self.attributes {
            let why = match is_of_other_tape(attribute, medium) {
                Some(why) => Some(why),
                None => accepted(tape, attribute)?,
            };
            match why {
                Some(why) => remembered.left_out.push(left_out(attribute, why)),
                None => remembered.written.push(attribute.clone()),
            }
        }
        Ok(remembered)
    }

    fn stale_attributes(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<Vec<Attribute>, ExportError> {
        // The barcode is the tape's own.
        let is_wanted = |there: &Attribute| {
            there.identifier == BARCODE || self.attributes.iter().any(|wanted| is_at(wanted, there))
        };
        let mut there = Vec::new();
        for partition in 0..=medium.additional_partitions {
            there.extend(read(tape, partition)?.unwrap_or_default());
        }
        there.retain(|there| !is_wanted(there));
        Ok(there)
    }
}

/// Reads back what the manifest says.
pub(super) fn recall(tape: &mut dyn Tape, manifest: &Manifest) -> Result<Recalled, ExportError> {
    if manifest.attributes.is_empty() {
        return Ok(Recalled::default());
    }
    let (mut found, mut mismatches) = (Vec::new(), Vec::new());
    for partition in &manifest.partitions {
        let wanted = manifest.attributes.iter();
        let mut wanted = wanted.filter(|wanted| wanted.partition == partition.partition).peekable();
        if wanted.peek().is_none() {
            continue;
        }
        let Some(there) = read(tape, partition.partition)? else {
            let why = "attributes of the medium auxiliary memory: the drive took them, and does not read them";
            return Ok(Recalled { not_checked: Some(why.to_owned()), ..Recalled::default() });
        };
        for wanted in wanted {
            let there = there.iter().find(|there| is_at(there, wanted));
            found.extend(there.cloned());
            if there != Some(wanted) {
                mismatches.push(mismatch(wanted, there));
            }
        }
    }
    Ok(Recalled { found: Some(found), mismatches, not_checked: None })
}

/// What is not on the tape, in words.
pub(super) fn not_on_tape(left_out: &[LeftOut]) -> Option<String> {
    let first = left_out.first()?;
    let names: Vec<String> =
        left_out.iter().map(|left| format!("{:04X}h", left.identifier)).collect();
    Some(format!(
        "attributes of the medium auxiliary memory that are not on the tape: {} ({})",
        names.join(", "),
        first.why
    ))
}

/// Why it was not: `None` if it was.
fn accepted(tape: &mut dyn Tape, attribute: &Attribute) -> Result<Option<String>, ExportError> {
    match tape.write_attribute(attribute) {
        Ok(()) => Ok(None),
        Err(TapeError::Refused(why)) => Ok(Some(why)),
        Err(error) => {
            Err(ExportError::Memory { what: format!("{:04X}h", attribute.identifier), error })
        }
    }
}

/// `None` if the drive has no such command.
fn read(tape: &mut dyn Tape, partition: u8) -> Result<Option<Vec<Attribute>>, ExportError> {
    match tape.attributes(partition) {
        Ok(there) => Ok(Some(there)),
        Err(TapeError::Refused(_)) => Ok(None),
        Err(error) => Err(ExportError::Memory { what: "(all of them)".to_owned(), error }),
    }
}

/// A barcode that a host has written stays where it is true: another tape keeps its own, by which it is found again.
fn is_of_other_tape(attribute: &Attribute, medium: &Medium) -> Option<String> {
    let own = medium.barcode.as_ref().filter(|_| attribute.identifier == BARCODE)?;
    (attribute.text().as_deref() != Some(own)).then(|| format!("the tape's own barcode is {own}"))
}

fn is_at(one: &Attribute, other: &Attribute) -> bool {
    (one.partition, one.identifier) == (other.partition, other.identifier)
}

fn left_out(attribute: &Attribute, why: String) -> LeftOut {
    let Attribute { identifier, partition, .. } = *attribute;
    LeftOut { identifier, partition, why }
}

fn mismatch(wanted: &Attribute, there: Option<&Attribute>) -> Mismatch {
    let there = there.map_or("is not on the tape", |_| "has another value or format on the tape");
    Mismatch {
        partition: wanted.partition,
        section: 0,
        first_object: 0,
        what: format!("attribute {:04X}h {there}", wanted.identifier),
    }
}

const BARCODE: u16 = 0x0806;
