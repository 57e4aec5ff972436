//! Protection groups: cartridges that belong to one application or one backup set, and are handled all or none.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use vtl_media::Barcode;

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Barcodes, and patterns such as `MAIL*` (`*` any characters, `?` one).
    pub members: Vec<Spanned<String>>,
}

impl Group {
    /// Whether a cartridge of this barcode is a member.
    pub fn has(&self, barcode: &Barcode) -> bool {
        self.members.iter().any(|member| matches_pattern(member.as_ref(), barcode.as_str()))
    }
}

/// Whether a text matches a pattern of `*` and `?`, in time linear in the product of their lengths.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // reached[i]: the pattern so far matches the first i characters.
    let mut reached = vec![false; text.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for wanted in pattern.chars() {
        let mut next = Vec::with_capacity(reached.len());
        for (index, was_reached) in reached.iter().enumerate() {
            let before = index.checked_sub(1);
            let follows = before.and_then(|before| reached.get(before)).copied().unwrap_or(false);
            let character = before.and_then(|before| text.get(before)).copied();
            next.push(match wanted {
                '*' => *was_reached || next.last().copied().unwrap_or(false),
                '?' => follows,
                other => follows && character == Some(other),
            });
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// Why a text cannot be a member, if it cannot.
pub(crate) fn check_member(text: &str) -> Result<(), String> {
    let is_good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "*?".contains(c);
    if (1..=Barcode::LENGTH_MAX).contains(&text.len()) && text.chars().all(is_good) {
        return Ok(());
    }
    Err(format!("`{text}` is no barcode and no pattern of one: A to Z, 0 to 9, `*` and `?`"))
}

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
