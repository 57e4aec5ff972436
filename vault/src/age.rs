//! A span of time in a rule, such as `30d`, and how it is said in words.

use std::fmt;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

/// How long something is to last, or how old it has to be. A day has 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Age {
    // Invariant: >= 0
    duration: SignedDuration,
    text: String,
}

impl Age {
    /// Reads `30d`, `12h`, `1w` or `90min`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is no span of time: write 12h, 30d, 2w or `1d 12h`");
        let span: Span = text.parse().map_err(|_| refused())?;
        let duration =
            span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
        if duration.is_negative() {
            return Err(refused());
        }
        Ok(Self { duration, text: text.to_owned() })
    }

    /// The span.
    pub fn duration(&self) -> SignedDuration {
        self.duration
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Age> for String {
    fn from(age: Age) -> Self {
        age.text
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A span in the largest unit that says enough: `3 days`, `1 hour`.
pub(crate) fn in_words(duration: SignedDuration) -> String {
    const UNITS: [(&str, i64); 4] =
        [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let seconds = duration.as_secs().max(0);
    let unit = UNITS.into_iter().find(|(_, length)| seconds >= *length);
    let (name, length) = unit.unwrap_or(("second", 1));
    let count = seconds / length;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

/// A moment as people read it.
pub(crate) fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_said() {
        for (text, words) in [
            ("30d", "30 days"),
            ("2w", "14 days"),
            ("36h", "1 day"),
            ("1h", "1 hour"),
            ("0s", "0 seconds"),
        ] {
            assert_eq!(in_words(Age::parse(text).unwrap().duration()), words, "{text}");
        }
        for bad in ["", "-1d", "soon", "30", "1 fortnight"] {
            assert!(Age::parse(bad).unwrap_err().contains("30d"), "{bad}");
        }
    }
}
