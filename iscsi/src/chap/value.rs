//! Binary values of text keys (RFC 7143 §6.1, large-binary-value): hexadecimal or Base64.

use std::fmt::Write;

/// Reads `0x…` or `0b…`, of at most so many bytes.
pub(crate) fn parse_binary(value: &str, max_bytes: usize) -> Option<Vec<u8>> {
    let (prefix, digits) = value.split_at_checked(2)?;
    let bytes = match prefix {
        "0x" | "0X" if digits.len() <= max_bytes.saturating_mul(2) => parse_hex(digits),
        "0b" | "0B" if digits.len() <= max_bytes.saturating_mul(2) => parse_base64(digits),
        _ => None,
    };
    bytes.filter(|bytes| !bytes.is_empty() && bytes.len() <= max_bytes)
}

/// Writes bytes in hexadecimal digits.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// A digit may be missing in front, as with other hexadecimal numbers.
fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    let mut values = digits.chars().map(|digit| digit.to_digit(16));
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    if !digits.len().is_multiple_of(2) {
        bytes.push(u8::try_from(values.next()??).ok()?);
    }
    while let Some(high) = values.next() {
        bytes.push(u8::try_from(high? << 4 | values.next()??).ok()?);
    }
    Some(bytes)
}

/// RFC 4648 §4, with its padding or without.
fn parse_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > 2 || padding > 0 && !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        bits = bits << 6 | base64_digit(digit)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    // What is left of the last digit is no part of any byte.
    (count < 6 && bits == 0).then_some(bytes)
}

fn base64_digit(digit: u8) -> Option<u32> {
    Some(match digit {
        b'A'..=b'Z' => u32::from(digit - b'A'),
        b'a'..=b'z' => u32::from(digit - b'a') + 26,
        b'0'..=b'9' => u32::from(digit - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Base64 texts are those of RFC 4648 §10.
    #[test]
    fn both_forms_are_read_in_both_cases() {
        let read = |text: &str| parse_binary(text, 16);
        for text in ["0x666f6f626172", "0X666F6f626172", "0bZm9vYmFy", "0BZm9vYmFy"] {
            assert_eq!(read(text).as_deref(), Some(&b"foobar"[..]), "{text}");
        }
        for (text, bytes) in [
            ("Zg==", &b"f"[..]),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("+/8=", b"\xfb\xff"),
        ] {
            assert_eq!(read(&format!("0b{text}")).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(read("0x1ff"), Some(vec![1, 0xff]));
        assert_eq!(encode_hex(&[0, 0xab]), "0x00ab");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "0",
            "0x",
            "0b",
            "1234",
            "0xgg",
            "0x+1",
            "0b=",
            "0bZ",
            "0bZg=",
            "0bZg===",
            "0bZ!==",
            "0bZh==",
            "0y12",
            "é",
            "0bZg==Zg==",
        ] {
            assert_eq!(parse_binary(text, 16), None, "{text}");
        }
        assert!(parse_binary(&format!("0x{}", "00".repeat(16)), 16).is_some());
        assert_eq!(parse_binary(&format!("0x{}", "00".repeat(17)), 16), None);
        assert_eq!(parse_binary(&format!("0b{}", "AAAA".repeat(6)), 16), None);
    }
}
