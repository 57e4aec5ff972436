//! Protection groups: cartridges that belong to one application or one backup set, and are handled all or none.

use std::str::Chars;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use vtl_media::Barcode;

use crate::age::Age;
use crate::calendar::Calendar;

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How long its recovery may take, for `vtl posture`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_time: Option<Age>,
    /// How old its newest backup may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<Age>,
    /// When the daemon rehearses its recovery by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<Calendar>,
    /// How thoroughly: the level of that drill, 1 to 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_level: Option<Spanned<u8>>,
    /// Barcodes, and patterns such as `MAIL*` (`*` any characters, `?` one).
    pub members: Vec<Spanned<String>>,
}

impl Group {
    /// The level of the drills that the daemon runs by itself.
    pub fn drill_level(&self) -> u8 {
        self.drill_level.as_ref().map_or(DRILL_LEVEL, |level| *level.as_ref())
    }

    /// What is wrong with when and how it is rehearsed, and with which key.
    pub(crate) fn check_drill(&self) -> Result<(), (&Spanned<u8>, String)> {
        let Some(level) = &self.drill_level else { return Ok(()) };
        let complain = |message: String| Err((level, message));
        match level.as_ref() {
            1..=3 if self.drill.is_some() => Ok(()),
            1..=3 => complain("it does nothing without drill: say when, such as `Sun 04:00`".into()),
            4 => complain(
                "level 4 runs a command of your own, which the daemon does not do with its rights: put `vtl drill run \
                 GROUP --command …` into a timer of your system, as the user that the command is for"
                    .into(),
            ),
            other => complain(format!("{other} is no level of a drill: write 1 to 3")),
        }
    }

    /// Whether a cartridge of this barcode is a member.
    pub fn has(&self, barcode: &Barcode) -> bool {
        // Most members are barcodes or begin like one: a library has many cartridges.
        let barcode = barcode.as_str();
        self.members.iter().any(|member| match member.as_ref().find(['*', '?']) {
            None => member.as_ref() == barcode,
            Some(plain) => {
                barcode.get(..plain) == member.as_ref().get(..plain)
                    && matches_pattern(member.as_ref(), barcode)
            }
        })
    }
}

/// Whether a text matches a pattern of `*` and `?`. It is asked for each of 100,000 cartridges, so it takes no memory; of several `*` only
/// the last one is tried again, which is enough, so that the time is at most the product of the lengths.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut found) = (pattern.chars(), text.chars());
    // Behind the last `*`, and where in the text that was tried last.
    let mut again: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let here = found.clone();
        match (wanted.next(), found.next()) {
            (Some('*'), _) => {
                found = here;
                again = Some((wanted.clone(), found.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => {
                let Some((behind, tried)) = &mut again else { return false };
                if tried.next().is_none() {
                    return false;
                }
                (wanted, found) = (behind.clone(), tried.clone());
            }
        }
    }
}

/// Why a text cannot be a member, if it cannot.
pub(crate) fn check_member(text: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "*?".contains(c);
    if (1..=Barcode::LENGTH_MAX).contains(&text.len()) && text.chars().all(is_good) {
        return Ok(());
    }
    Err(format!("`{text}` is no barcode and no pattern of one: A to Z, 0 to 9, `*` and `?`"))
}

/// Everything that needs no command of the user.
const DRILL_LEVEL: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, matches) in [
            ("VTL0*", "VTL001L9", true),
            ("*L9", "VTL001L9", true),
            ("VTL00?L9", "VTL001L9", true),
            ("VTL00?L9", "VTL011L9", false),
            ("*", "", true),
            ("", "V", false),
            ("V*1*9", "VTL001L9", true),
            ("V*8*9", "VTL001L9", false),
            ("VTL001L9", "VTL001L9", true),
        ] {
            assert_eq!(matches_pattern(pattern, text), matches, "{pattern} {text}");
        }
    }
}
