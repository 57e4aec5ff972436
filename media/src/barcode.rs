//! The barcode on a cartridge's label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A volume identifier of 1 to [`Barcode::LENGTH_MAX`] characters out of `A`–`Z` and `0`–`9`.
///
/// The grammar is narrow on purpose: a barcode is printed, scanned, typed and compared by people and by other programs, and
/// it is never part of a file name. Ours have six characters and the two-character media suffix, as in `VTL001L9`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Barcode(String);

/// Why a text is not a barcode.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BarcodeError {
    /// The text is empty or longer than [`Barcode::LENGTH_MAX`] characters.
    #[error("a barcode has 1 to {max} characters, not {0}", max = Barcode::LENGTH_MAX)]
    Length(usize),
    /// A character other than `A`–`Z` and `0`–`9`.
    #[error("a barcode has only the characters A to Z and 0 to 9, not {0:?}")]
    Character(char),
}

impl Barcode {
    /// The most characters that a barcode may have; as long as a volume identifier on the wire (SMC-3 §7.1).
    pub const LENGTH_MAX: usize = 32;

    /// Checks the grammar.
    pub fn new(text: &str) -> Result<Self, BarcodeError> {
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_uppercase() && !c.is_ascii_digit()) {
            return Err(BarcodeError::Character(bad));
        }
        match text.len() {
            1..=Self::LENGTH_MAX => Ok(Self(text.to_owned())),
            length => Err(BarcodeError::Length(length)),
        }
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The two-character media suffix, as in `L9`, of a barcode in the usual form of six to eight characters and suffix.
    pub fn media_suffix(&self) -> Option<&str> {
        match self.0.len() {
            8..=10 => self.0.get(self.0.len() - 2..),
            _ => None,
        }
    }
}

impl fmt::Display for Barcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Barcode {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Barcode {
    type Err = BarcodeError;

    fn from_str(text: &str) -> Result<Self, BarcodeError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Barcode {
    type Error = BarcodeError;

    fn try_from(text: String) -> Result<Self, BarcodeError> {
        Self::new(&text)
    }
}

impl From<Barcode> for String {
    fn from(barcode: Barcode) -> Self {
        barcode.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_upper_case_letters_and_digits() {
        assert_eq!(Barcode::new("VTL001L9").unwrap().as_str(), "VTL001L9");
        assert_eq!(Barcode::new(&"A".repeat(32)).unwrap().as_str().len(), 32);
        assert_eq!(Barcode::new(""), Err(BarcodeError::Length(0)));
        assert_eq!(Barcode::new(&"A".repeat(33)), Err(BarcodeError::Length(33)));
        for hostile in ["a", "A B", "../A", "A\0", "A%", "Ä", "A\n", "Ａ"] {
            assert!(
                matches!(Barcode::new(hostile), Err(BarcodeError::Character(_))),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn a_stored_barcode_is_checked_again() {
        assert!(serde_json::from_str::<Barcode>("\"VTL001L9\"").is_ok());
        assert!(serde_json::from_str::<Barcode>("\"../../etc\"").is_err());
    }

    #[test]
    fn the_suffix_is_that_of_the_usual_form() {
        assert_eq!(Barcode::new("CLN001L9").unwrap().media_suffix(), Some("L9"));
        assert_eq!(Barcode::new("SHORT").unwrap().media_suffix(), None);
    }
}
