//! Text keys (RFC 7143 §6.1): `key=value` and a zero byte, as often as needed.

use std::collections::HashSet;
use std::fmt::Write;

use bytes::Bytes;
use nom::bytes::complete::{take_till, take_while_m_n};
use nom::character::complete::char;
use nom::sequence::separated_pair;
use nom::{IResult, Parser};

/// The longest name of a key (RFC 7143 §6.1).
const MAX_KEY_BYTES: usize = 63;

/// Why a text is not a list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextError {
    /// More text than anybody needs.
    #[error("the text is longer than the limit")]
    TooLong,
    /// A piece is not of the form `key=value`.
    #[error("not of the form key=value")]
    Malformed,
    /// A key occurs twice.
    #[error("a key occurs twice")]
    Duplicate,
}

/// Keys with their values, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Keys(Vec<(String, String)>);

/// A text that arrives, possibly in several PDUs.
#[derive(Debug, Default)]
pub(crate) struct TextInput(Vec<u8>);

/// A text that leaves, possibly in several PDUs.
#[derive(Debug, Default)]
pub(crate) struct TextOutput {
    // Invariant: sent_bytes <= text.len()
    text: String,
    sent_bytes: usize,
}

impl Keys {
    /// Reads a complete text. A key may occur only once in it. The zero byte of the last one may be missing, and more of
    /// them may follow, as some initiators pad so.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, TextError> {
        let mut seen = HashSet::new();
        let mut keys = Vec::new();
        for piece in text.split(|&byte| byte == 0).filter(|piece| !piece.is_empty()) {
            let (key, value) = parse_pair(piece).ok_or(TextError::Malformed)?;
            if !seen.insert(key) {
                return Err(TextError::Duplicate);
            }
            keys.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(keys))
    }

    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl TextInput {
    /// Adds the data segment of one PDU.
    pub(crate) fn push(&mut self, data: &[u8], max_text_bytes: usize) -> Result<(), TextError> {
        if self.0.len() + data.len() > max_text_bytes {
            return Err(TextError::TooLong);
        }
        self.0.extend_from_slice(data);
        Ok(())
    }

    /// Reads what has come, and begins anew.
    pub(crate) fn take(&mut self) -> Result<Keys, TextError> {
        Keys::parse(&std::mem::take(&mut self.0))
    }
}

impl TextOutput {
    /// Adds a key.
    pub(crate) fn push(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        write!(self.text, "{key}={value}\0").unwrap_or_default();
    }

    /// Whether everything has been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent_bytes == self.text.len()
    }

    /// Takes what fits into one data segment.
    pub(crate) fn next_segment(&mut self, max_bytes: u32) -> Bytes {
        let rest = self.text.as_bytes().get(self.sent_bytes..).unwrap_or_default();
        let count = rest.len().min(usize::try_from(max_bytes).unwrap_or(usize::MAX));
        let segment = Bytes::copy_from_slice(rest.get(..count).unwrap_or_default());
        self.sent_bytes += count;
        segment
    }
}

/// A number as text: decimal or hexadecimal (RFC 7143 §6.1, numerical-value).
pub(crate) fn parse_number(value: &str) -> Option<u32> {
    let hexadecimal = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"));
    let (digits, radix) = hexadecimal.map_or((value, 10), |digits| (digits, 16));
    // `from_str_radix` would take a sign.
    digits
        .chars()
        .all(|digit| digit.is_digit(radix))
        .then(|| u32::from_str_radix(digits, radix).ok())?
}

fn parse_pair(piece: &[u8]) -> Option<(&str, &str)> {
    let (_, (key, value)) = pair(piece).ok()?;
    Some((std::str::from_utf8(key).ok()?, std::str::from_utf8(value).ok()?))
}

fn pair(piece: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    separated_pair(
        take_while_m_n(1, MAX_KEY_BYTES, is_key_byte),
        char('='),
        take_till(|byte| byte == 0),
    )
    .parse(piece)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-+@_#/".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_their_order() {
        let keys = Keys::parse(b"B=1\0A=\0X-com.example.key=a=b,c\0\0\0").unwrap();
        let all: Vec<_> = keys.iter().collect();
        assert_eq!(all, [("B", "1"), ("A", ""), ("X-com.example.key", "a=b,c")]);
        assert_eq!(keys.value("A"), Some(""));
        assert_eq!(keys.value("C"), None);
        assert_eq!(Keys::parse(b"").unwrap(), Keys::default());
        assert_eq!(Keys::parse(b"A=1").unwrap().value("A"), Some("1"));
    }

    #[test]
    fn what_is_no_list_of_keys_is_refused() {
        let long_key = [vec![b'A'; 64], b"=1\0".to_vec()].concat();
        for text in [&b"A\0"[..], b"=1\0", b"A B=1\0", b"A=\xff\xfe\0", &long_key] {
            assert_eq!(Keys::parse(text), Err(TextError::Malformed), "{text:?}");
        }
        assert_eq!(Keys::parse(b"A=1\0B=1\0A=1\0"), Err(TextError::Duplicate));
    }

    #[test]
    fn text_arrives_in_pieces_up_to_the_limit() {
        let mut input = TextInput::default();
        input.push(b"Ke", 8).unwrap();
        input.push(b"y=12\0", 8).unwrap();
        assert_eq!(input.push(b"XY", 8), Err(TextError::TooLong));
        assert_eq!(input.take().unwrap().value("Key"), Some("12"));
        assert_eq!(input.take().unwrap(), Keys::default());
    }

    #[test]
    fn text_leaves_in_segments() {
        let mut output = TextOutput::default();
        output.push("Key", 12);
        output.push("Other", "Yes");
        assert_eq!(&output.next_segment(5)[..], b"Key=1");
        assert!(!output.is_empty());
        assert_eq!(&output.next_segment(8192)[..], b"2\0Other=Yes\0");
        assert!(output.is_empty());
        assert!(output.next_segment(5).is_empty());
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal_without_sign() {
        assert_eq!(parse_number("262144"), Some(262_144));
        assert_eq!(parse_number("0x40000"), Some(262_144));
        for text in ["", "0x", "+1", "-1", "4294967296", "0x+1", "1k", "1~2"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }
}
