//! How a tape is named: by its label, by label and number of the copy where two tapes have one label, by the medium's serial number, or by
//! the copy's id.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use thiserror::Error;
use uuid::Uuid;
use vtl_media::{Barcode, CopyRecord};

use super::{WalkError, volume_of};

/// A tape, or a cartridge with copies, as somebody reads it off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeName {
    /// In capital letters.
    text: String,
    number: Option<u32>,
}

/// Why a text names no tape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` names no tape: write the barcode, VTL001L9#2 for copy 2 where two tapes have one label, or the medium's serial number"
)]
pub struct NameError(String);

impl TapeName {
    /// Reads `VTL001L9`, `VTL001L9#2`, a serial number or the id of a copy; letters may be small ones.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let refused = || NameError(text.to_owned());
        let (name, number) = match text.split_once('#') {
            None => (text, None),
            Some((name, number)) => {
                (name, Some(number.parse().ok().filter(|number| *number > 0).ok_or_else(refused)?))
            }
        };
        // Narrow on purpose: of two barcodes that a comma glues together both would be lost.
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !(1..=LENGTH_MAX).contains(&name.len()) || !name.chars().all(is_good) {
            return Err(refused());
        }
        Ok(Self { text: name.to_ascii_uppercase(), number })
    }

    /// Whether it names the tape that this copy is on.
    pub fn is_tape_of(&self, copy: &CopyRecord) -> bool {
        let is_text = |text: &str| text.eq_ignore_ascii_case(&self.text);
        self.is_number_of(copy)
            && (is_text(volume_of(copy))
                || copy.facts.medium_serial.as_deref().is_some_and(is_text)
                || (self.text.len() == ID_LENGTH && is_text(&copy.id.to_string())))
    }

    /// Whether it names this copy: by its tape, or by the cartridge that it is one of.
    pub fn fits(&self, copy: &CopyRecord) -> bool {
        self.is_tape_of(copy)
            || (self.is_number_of(copy) && copy.barcode.as_str().eq_ignore_ascii_case(&self.text))
    }

    fn is_number_of(&self, copy: &CopyRecord) -> bool {
        self.number.is_none_or(|number| copy.number == number)
    }
}

impl From<Barcode> for TapeName {
    fn from(barcode: Barcode) -> Self {
        Self { text: barcode.to_string(), number: None }
    }
}

impl fmt::Display for TapeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            None => f.pad(&self.text),
            Some(number) => write!(f, "{}#{number}", self.text),
        }
    }
}

/// A container's name as it was written when it was shipped. The bars on its list have capital letters only, so that letters of the other case are
/// the same name.
pub fn container_named<'a>(copies: &'a [CopyRecord], name: &'a str) -> &'a str {
    let mut known = copies.iter().filter_map(|copy| copy.facts.container.as_deref());
    let is_known = known.clone().any(|known| known == name);
    let other = known.find(|known| is_same_container(known, name));
    other.filter(|_| !is_known).unwrap_or(name)
}

/// Whether two names are one but for small and capital letters.
pub(super) fn is_same_container(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
        || (!name.is_ascii() && name.to_lowercase() == other.to_lowercase())
}

/// Of copies that a name fits those that are meant: all of one cartridge, or all on one tape, and rather those on a tape of that name.
pub fn meant<'a>(
    fitting: Vec<&'a CopyRecord>,
    name: &TapeName,
) -> Result<Vec<&'a CopyRecord>, WalkError> {
    if are_one(&fitting) {
        return Ok(fitting);
    }
    let on_tape: Vec<&CopyRecord> =
        fitting.iter().copied().filter(|copy| name.is_tape_of(copy)).collect();
    if !on_tape.is_empty() && are_one(&on_tape) {
        return Ok(on_tape);
    }
    let all = tapes(&fitting);
    Err(WalkError::Ambiguous { name: name.to_string(), ways: ways(&all) })
}

fn are_one(copies: &[&CopyRecord]) -> bool {
    copies.first().is_none_or(|first| copies.iter().all(|copy| copy.cartridge == first.cartridge))
        || tapes(copies).len() <= 1
}

/// Copies that are on one tape.
type Tape<'a> = Vec<&'a CopyRecord>;

/// The tapes that copies are on. Label and medium say which; but two copies of one cartridge are on two tapes, whatever these say.
pub(super) fn tapes<'a>(copies: &[&'a CopyRecord]) -> Vec<Tape<'a>> {
    let mut labels: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let mut like: Vec<Tape<'a>> = Vec::new();
    for copy in copies.iter().copied() {
        let label = (volume_of(copy), copy.facts.medium_serial.as_deref());
        let at = *labels.entry(label).or_insert(like.len());
        match like.get_mut(at) {
            Some(tape) => tape.push(copy),
            None => like.push(vec![copy]),
        }
    }
    let mut all = Vec::new();
    for tape in like {
        if is_one_tape(&tape) {
            all.push(tape);
            continue;
        }
        let mut numbers: BTreeMap<u32, Tape<'a>> = BTreeMap::new();
        for copy in tape {
            numbers.entry(copy.number).or_default().push(copy);
        }
        for tape in numbers.into_values() {
            if is_one_tape(&tape) {
                all.push(tape);
            } else {
                all.extend(tape.into_iter().map(|copy| vec![copy]));
            }
        }
    }
    all
}

fn is_one_tape(tape: &[&CopyRecord]) -> bool {
    let mut cartridges = BTreeSet::new();
    tape.iter().all(|copy| cartridges.insert(copy.cartridge))
}

/// The copies on those of these tapes that are named. A name that several of them have has to be there as often as they are: else nobody knows
/// which one was scanned.
pub(super) fn named(tapes: &[Tape<'_>], names: &[TapeName]) -> Result<BTreeSet<Uuid>, WalkError> {
    let fitting = |name: &TapeName| -> Vec<&Tape<'_>> {
        tapes.iter().filter(|tape| tape.iter().any(|copy| name.is_tape_of(copy))).collect()
    };
    let ids = |tape: &Tape<'_>| tape.iter().map(|copy| copy.id).collect::<Vec<_>>();
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    for name in names {
        match fitting(name) {
            fitting if fitting.len() > 1 => open.push((name, fitting)),
            fitting => found.extend(fitting.into_iter().flat_map(ids)),
        }
    }
    let exact = found.clone();
    for (name, fitting) in &open {
        let times = open.iter().filter(|(other, _)| other == name).count();
        let is_exact = |tape: &&&Tape<'_>| tape.iter().any(|copy| exact.contains(&copy.id));
        if times < fitting.len() - fitting.iter().filter(is_exact).count() {
            let fitting: Vec<Tape<'_>> = fitting.iter().map(|tape| (*tape).clone()).collect();
            return Err(WalkError::Ambiguous { name: name.to_string(), ways: ways(&fitting) });
        }
        found.extend(fitting.iter().flat_map(|tape| ids(tape)));
    }
    Ok(found)
}

/// What each of these tapes is called so that it is taken for no other of them.
pub(super) fn ways(tapes: &[Tape<'_>]) -> Vec<String> {
    let copies: Vec<&CopyRecord> = tapes.iter().filter_map(|tape| tape.first().copied()).collect();
    copies.iter().map(|copy| way(copy, &copies)).collect()
}

fn way(copy: &CopyRecord, among: &[&CopyRecord]) -> String {
    let volume = volume_of(copy);
    let serial = copy.facts.medium_serial.as_deref();
    let alike: Vec<&CopyRecord> =
        among.iter().copied().filter(|other| volume_of(other) == volume).collect();
    let is_only = |is_same: &dyn Fn(&CopyRecord) -> bool| {
        alike.iter().filter(|other| is_same(other)).count() <= 1
    };
    match serial {
        _ if alike.len() <= 1 => volume.to_owned(),
        _ if is_only(&|other| other.number == copy.number) => format!("{volume}#{}", copy.number),
        Some(serial) if is_only(&|other| other.facts.medium_serial.as_deref() == Some(serial)) => {
            serial.to_owned()
        }
        _ => copy.id.to_string(),
    }
}

/// The longest serial number of a medium has 32 characters, the id of a copy has a few more.
const LENGTH_MAX: usize = 36;
const ID_LENGTH: usize = 36;
