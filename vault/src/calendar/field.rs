//! One number of a calendar, such as the minutes: a list of values, ranges and steps.

/// What a field's numbers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    // Invariant: first <= last
    pub(super) first: u16,
    pub(super) last: u16,
}

/// The numbers that are meant, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field(Vec<u16>);

impl Field {
    /// Reads `*`, `5`, `1,3`, `9..17`, `9..17/2`, `0/15`, `*/5` and lists of these.
    pub(super) fn parse(text: &str, range: Range) -> Result<Self, String> {
        Self::read(text, range, false)
    }

    /// Reads days that count from the end of the month: `7/2` goes on towards the end, as 7, 5, 3 and 1.
    pub(super) fn parse_from_end(text: &str, range: Range) -> Result<Self, String> {
        Self::read(text, range, true)
    }

    fn read(text: &str, range: Range, is_from_end: bool) -> Result<Self, String> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (what, step) = match part.split_once('/') {
                Some((what, step)) => (what, Some(number(step, text)?)),
                None => (part, None),
            };
            if step == Some(0) {
                return Err(format!("`{part}` has a step of 0"));
            }
            let is_open = step.is_some() && !what.contains("..") && what != "*";
            let (first, last) = bounds(what, text, range)?;
            let step = usize::from(step.unwrap_or(1));
            match (is_open, is_from_end) {
                (true, true) => values.extend((range.first..=first).rev().step_by(step)),
                (true, false) => values.extend((first..=range.last).step_by(step)),
                _ => values.extend((first..=last).step_by(step)),
            }
        }
        values.sort_unstable();
        values.dedup();
        Ok(Self(values))
    }

    pub(super) fn has(&self, value: u16) -> bool {
        self.0.binary_search(&value).is_ok()
    }

    /// The first number that is meant from this one on.
    pub(super) fn from(&self, value: u16) -> Option<u16> {
        self.0.get(self.0.partition_point(|known| *known < value)).copied()
    }
}

fn bounds(what: &str, text: &str, range: Range) -> Result<(u16, u16), String> {
    if what == "*" {
        return Ok((range.first, range.last));
    }
    let (first, last) = if let Some((first, last)) = what.split_once("..") {
        (number(first, text)?, number(last, text)?)
    } else {
        let only = number(what, text)?;
        (only, only)
    };
    if first > last || first < range.first || last > range.last {
        return Err(format!(
            "`{text}` is out of range: there are {} to {}",
            range.first, range.last
        ));
    }
    Ok((first, last))
}

fn number(digits: &str, text: &str) -> Result<u16, String> {
    let is_plain = (1..=4).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    let read = is_plain.then(|| digits.parse().ok()).flatten();
    read.ok_or_else(|| format!("`{digits}` in `{text}` is no number"))
}
