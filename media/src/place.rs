//! Where a cartridge can be: elements of a library, the shelf, or away.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// The name of a library, unique in a data directory: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LibraryId(pub String);

impl LibraryId {
    /// The name if its grammar is kept.
    pub fn new(name: &str) -> Result<Self, PlaceError> {
        let is_good = (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_good {
            Ok(Self(name.to_owned()))
        } else {
            Err(PlaceError::LibraryName(shortened(name)))
        }
    }

    /// Whether this is the library that a place without a library name means.
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT_LIBRARY
    }
}

impl Default for LibraryId {
    fn default() -> Self {
        Self(DEFAULT_LIBRARY.to_owned())
    }
}

impl fmt::Display for LibraryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place. Storage and import/export elements count from 1 and drives from 0, as `mtx` counts them.
///
/// Written and read as `slot:1`, `mail:1`, `drive:0`, `shelf`, `offsite:NAME`; elements of a library that is not the
/// default one as `LIBRARY/slot:1`. The same text is used in the ledger, so it must not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A storage element.
    Storage {
        /// The library.
        library: LibraryId,
        /// ≥ 1
        number: u32,
    },
    /// An import/export element.
    ImportExport {
        /// The library.
        library: LibraryId,
        /// ≥ 1
        number: u32,
    },
    /// A data transfer element.
    Drive {
        /// The library.
        library: LibraryId,
        /// ≥ 0
        number: u32,
    },
    /// On site, in no library.
    Shelf,
    /// In somebody else's keeping, with that place's name.
    Offsite(String),
}

impl Place {
    /// A storage element of the default library; numbers count from 1.
    pub fn slot(number: u32) -> Self {
        Self::Storage { library: LibraryId::default(), number }
    }

    /// An import/export element of the default library; numbers count from 1.
    pub fn mail(number: u32) -> Self {
        Self::ImportExport { library: LibraryId::default(), number }
    }

    /// A drive of the default library; numbers count from 0.
    pub fn drive(number: u32) -> Self {
        Self::Drive { library: LibraryId::default(), number }
    }

    /// The library whose element this is.
    pub fn library(&self) -> Option<&LibraryId> {
        match self {
            Self::Storage { library, .. }
            | Self::ImportExport { library, .. }
            | Self::Drive { library, .. } => Some(library),
            Self::Shelf | Self::Offsite(_) => None,
        }
    }

    /// Whether this is an element, which holds at most one cartridge, and not the shelf or another site.
    pub fn is_element(&self) -> bool {
        self.library().is_some()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(library) = self.library().filter(|library| !library.is_default()) {
            write!(f, "{library}/")?;
        }
        match self {
            Self::Storage { number, .. } => write!(f, "slot:{number}"),
            Self::ImportExport { number, .. } => write!(f, "mail:{number}"),
            Self::Drive { number, .. } => write!(f, "drive:{number}"),
            Self::Shelf => f.write_str("shelf"),
            Self::Offsite(name) => write!(f, "offsite:{name}"),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text == "shelf" {
            return Ok(Self::Shelf);
        }
        if let Some(name) = text.strip_prefix("offsite:") {
            return offsite(name);
        }
        let (library, element) = match text.split_once('/') {
            Some((library, element)) => (LibraryId::new(library)?, element),
            None => (LibraryId::default(), text),
        };
        let unknown = || PlaceError::Unknown(shortened(text));
        let (kind, digits) = element.split_once(':').ok_or_else(unknown)?;
        let number = number(digits).ok_or_else(unknown)?;
        match kind {
            "slot" | "mail" if number == 0 => Err(PlaceError::CountsFromOne(shortened(text))),
            "slot" => Ok(Self::Storage { library, number }),
            "mail" => Ok(Self::ImportExport { library, number }),
            "drive" => Ok(Self::Drive { library, number }),
            _ => Err(unknown()),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// None of the forms.
    #[error(
        "`{0}` is no place: write slot:1, mail:1, drive:0, shelf, offsite:NAME or LIBRARY/slot:1"
    )]
    Unknown(String),
    /// `slot:0` or `mail:0`.
    #[error("`{0}`: slots and mail elements count from 1")]
    CountsFromOne(String),
    /// A library name outside its grammar.
    #[error("`{0}` is no library name: use 1 to 64 letters, digits, `-`, `_` or `.`")]
    LibraryName(String),
    /// A site name outside its grammar.
    #[error("`{0}` is no site name: use 1 to 64 printable characters")]
    SiteName(String),
}

/// Decimal digits only: `u32::from_str` alone would also take a sign, and `slot:01` would be a second name of `slot:1`.
fn number(digits: &str) -> Option<u32> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    if is_plain { digits.parse().ok() } else { None }
}

fn offsite(name: &str) -> Result<Place, PlaceError> {
    let is_good = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_good {
        Ok(Place::Offsite(name.to_owned()))
    } else {
        Err(PlaceError::SiteName(shortened(name)))
    }
}

/// Enough of a wrong text to recognise it in a message.
fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_NAME_BYTES).collect()
}

/// The library that is meant when a place names none.
const DEFAULT_LIBRARY: &str = "library";
const MAX_NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_back_as_it_was_written() {
        for text in [
            "slot:1",
            "mail:4",
            "drive:0",
            "shelf",
            "offsite:Vault 7/B",
            "east-2/slot:24",
            "east-2/drive:3",
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
            assert_eq!(serde_json::from_value::<Place>(serde_json::json!(text)).unwrap(), place);
        }
        assert_eq!(
            "library/slot:1".parse::<Place>().unwrap(),
            Place::slot(1),
            "the default library may be named"
        );
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let long = format!("offsite:{}", "x".repeat(65));
        for text in [
            "",
            "slot",
            "slot:",
            "slot:0",
            "mail:0",
            "slot:01",
            "slot:+1",
            "slot:-1",
            "slot:4294967296",
            "Slot:1",
            "shelf ",
            "shelf:1",
            "offsite:",
            "offsite:a\nb",
            "/slot:1",
            "a/b/slot:1",
            "a b/slot:1",
            &long,
        ] {
            assert!(text.parse::<Place>().is_err(), "{text:?}");
        }
    }
}
