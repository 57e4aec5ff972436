//! Code 39 (ISO/IEC 16388), as LTO labels have it: between a start and a stop character, without a check character.

/// How much wider a wide bar or space is than a narrow one.
pub(super) const WIDE: f64 = 2.75;

/// A bar, in narrow elements from the beginning of the first one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) width: f64,
}

/// The bars of a text of `A` to `Z` and `0` to `9`, and how wide all of it is; `None` if there is anything else in it.
pub(super) fn bars(text: &str) -> Option<(Vec<Bar>, f64)> {
    let mut bars = Vec::new();
    let mut at = 0.0;
    for (number, character) in std::iter::once('*').chain(text.chars()).chain(['*']).enumerate() {
        if number > 0 {
            // A narrow space keeps characters apart.
            at += 1.0;
        }
        for (element, is_wide) in (0..).zip(elements(character)?) {
            let width = if is_wide { WIDE } else { 1.0 };
            if element % 2 == 0 {
                bars.push(Bar { from: at, width });
            }
            at += width;
        }
    }
    Some((bars, at))
}

/// Five bars and the four spaces between them: which of them are wide.
fn elements(character: char) -> Option<[bool; 9]> {
    // In tens: two wide bars out of five stand for the digit, one wide space for the ten. Weights 1, 2, 4, 7 and parity.
    const BARS: [u8; 10] =
        [0b10001, 0b01001, 0b11000, 0b00101, 0b10100, 0b01100, 0b00011, 0b10010, 0b01010, 0b00110];
    const SPACES: [u8; 4] = [0b0100, 0b0010, 0b0001, 0b1000];
    const TENS: [&str; 4] = ["1234567890", "ABCDEFGHIJ", "KLMNOPQRST", "UVWXYZ-. *"];
    let (ten, digit) =
        TENS.iter().enumerate().find_map(|(ten, row)| Some((ten, row.find(character)?)))?;
    let (bars, spaces) = (BARS.get(digit)?, SPACES.get(ten)?);
    let mut elements = [false; 9];
    for (number, element) in elements.iter_mut().enumerate() {
        *element = match number % 2 {
            0 => bars >> (4 - number / 2) & 1 == 1,
            _ => spaces >> (3 - number / 2) & 1 == 1,
        };
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written with B and W for wide bars and spaces, b and w for narrow ones, as tables of the symbology print it.
    fn drawn(character: char) -> String {
        let elements = elements(character).unwrap().into_iter().enumerate();
        elements
            .map(|(number, is_wide)| match (number % 2, is_wide) {
                (0, true) => 'B',
                (0, false) => 'b',
                (_, true) => 'W',
                (_, false) => 'w',
            })
            .collect()
    }

    #[test]
    fn characters_are_those_of_the_table() {
        for (character, wanted) in [
            ('0', "bwbWBwBwb"),
            ('1', "BwbWbwbwB"),
            ('9', "bwBWbwBwb"),
            ('A', "BwbwbWbwB"),
            ('L', "bwBwbwbWB"),
            ('U', "BWbwbwbwB"),
            ('Z', "bWBwBwbwb"),
            ('*', "bWbwBwBwb"),
        ] {
            assert_eq!(drawn(character), wanted, "{character}");
        }
        let all = ('0'..='9').chain('A'..='Z').chain(['*']);
        let mut all: Vec<String> = all.map(drawn).collect();
        assert!(
            all.iter().all(|drawn| drawn.chars().filter(char::is_ascii_uppercase).count() == 3)
        );
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 37);
        assert!(elements('a').is_none() && elements('$').is_none());
    }

    #[test]
    fn a_label_is_as_wide_as_the_arithmetic_says() {
        let (bars, width) = bars("VTL001L9").unwrap();
        // Ten characters of three wide and six narrow elements, and nine spaces between them.
        assert!((width - (10.0 * (3.0 * WIDE + 6.0) + 9.0)).abs() < 1e-9);
        assert_eq!(bars.len(), 50);
        assert!(super::bars("vtl001l9").is_none());
    }
}
