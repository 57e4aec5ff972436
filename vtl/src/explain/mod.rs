//! `vtl explain`: sense data and CDBs in words, for whoever reads a log. It needs no library.

mod advice;
mod cdb;
mod codes;
mod fields;
mod form;
mod meanings;
mod sense;

pub(crate) use cdb::{hex, line};
pub(crate) use form::Kind;
pub(crate) use sense::View;

use serde_json::Value;

use crate::request::Failure;

/// What was meant by the words of the command line.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Sense(View),
    Cdb(Vec<u8>),
}

/// Explains what was given.
pub(crate) fn explain(words: &[String]) -> Result<Value, Failure> {
    let text = words.join(" ");
    match understand(&text)? {
        Meant::Sense(view) => Ok(view.describe()),
        Meant::Cdb(bytes) => cdb::describe(&bytes).ok_or_else(|| {
            Failure::usage(format!(
                "{}: neither a drive nor a changer has such a command",
                hex(&bytes)
            ))
        }),
    }
}

/// The explanation for people: what there is nothing to say about is left out.
pub(crate) fn brief(mut explanation: Value) -> Value {
    if let Some(fields) = explanation.as_object_mut() {
        let is_empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        fields.retain(|_, value| !is_empty(value));
    }
    explanation
}

/// How long this CDB is by its operation code, if that says so.
pub(crate) fn cdb_length(cdb: &[u8]) -> Option<usize> {
    cdb.first().and_then(|code| cdb::length(*code))
}

fn understand(text: &str) -> Result<Meant, Failure> {
    if let Some(view) = triple(text) {
        return Ok(Meant::Sense(view));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("sense") || lower.contains("asc") {
        return log_line(&lower).map(Meant::Sense).ok_or_else(|| not_understood(text));
    }
    if let Some((_, behind)) = lower.split_once("cdb") {
        // As the kernel writes it: `CDB: Read(6) 08 00 01 00 00 00`.
        let is_byte = |word: &&str| word.len() == 2;
        let bytes: Vec<u8> = behind.split_whitespace().filter(is_byte).filter_map(number).collect();
        return of_bytes(bytes).ok_or_else(|| not_understood(text));
    }
    bytes(&lower).and_then(of_bytes).ok_or_else(|| not_understood(text))
}

fn not_understood(text: &str) -> Failure {
    Failure::usage(format!(
        "{text:?} is neither sense data (bytes such as 70 00 05 …, KEY/ASC/ASCQ such as 5/24/00, or a line of a log) nor a CDB \
         of 6, 10, 12 or 16 bytes"
    ))
}

/// Sense data, key and code as three bytes, or a CDB.
fn of_bytes(bytes: Vec<u8>) -> Option<Meant> {
    let first = *bytes.first()?;
    if (0x70..=0x73).contains(&(first & 0x7f)) {
        return View::parse(&bytes).map(Meant::Sense);
    }
    if let [key @ ..=0x0f, code, qualifier] = *bytes {
        return Some(Meant::Sense(View::of_codes(key, code, qualifier)));
    }
    let is_whole = match cdb::length(first) {
        // Transports pad CDBs with zeros.
        Some(length) => {
            let padding = bytes.get(length..)?;
            bytes.len() <= 16 && padding.iter().all(|byte| *byte == 0)
        }
        None => matches!(bytes.len(), 6 | 10 | 12 | 16),
    };
    is_whole.then_some(Meant::Cdb(bytes))
}

/// `5/24/00`.
fn triple(text: &str) -> Option<View> {
    let mut parts = text.split('/').map(|part| number(part.trim()));
    let (key, code, qualifier) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && key <= 0x0f).then(|| View::of_codes(key, code, qualifier))
}

/// A hexadecimal number, with or without what marks it as one.
fn number(text: &str) -> Option<u8> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let text = text.strip_suffix(['h', 'H']).unwrap_or(text);
    u8::from_str_radix(text, 16).ok()
}

/// Hexadecimal bytes, in whatever way they are separated, or not at all.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let words = text.split([' ', ',', ':', '-', '\t', '\n']).filter(|word| !word.is_empty());
    let mut all = Vec::new();
    for word in words {
        let digits = word.strip_prefix("0x").unwrap_or(word);
        if digits.len() > 2 && digits.len().is_multiple_of(2) && digits.is_ascii() {
            for start in (0..digits.len()).step_by(2) {
                all.push(digits.get(start..start + 2).and_then(number)?);
            }
        } else {
            all.push(number(word)?);
        }
    }
    Some(all)
}

/// A line, or several, as Linux, mtx and `sg3_utils` write them; in lower case.
fn log_line(text: &str) -> Option<View> {
    let key = value_behind(text, "sense key").and_then(|rest| {
        let named = sense::KEYS.iter().position(|key| rest.starts_with(&key.to_ascii_lowercase()));
        named.and_then(|key| u8::try_from(key).ok()).or_else(|| number(word(rest)))
    });
    let numbered = |names: [&str; 2]| {
        names.iter().find_map(|name| value_behind(text, name)).and_then(|rest| number(word(rest)))
    };
    let code = numbered(["asc", "additional sense code"]);
    let qualifier = numbered(["ascq", "additional sense qualifier"]);
    let in_words = ["add. sense", "additional sense"]
        .iter()
        .find_map(|name| value_behind(text, name))
        .and_then(|rest| codes::find(rest.lines().next()?.trim()));
    let (code, qualifier) = match (code, in_words) {
        (Some(code), _) => (code, qualifier.unwrap_or(0)),
        (None, Some(found)) => found,
        (None, None) => (0, 0),
    };
    // Without a key there is nothing to go by; a key alone is what many drivers write.
    let view = View::of_codes(key?, code, qualifier);
    (view.key <= 0x0f).then_some(view)
}

/// What stands behind `name :` or `name =`, or behind `name` and a blank.
fn value_behind<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(name) {
        let (start, end) = (from + found, from + found + name.len());
        let is_start = text
            .get(..start)?
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_ascii_alphanumeric());
        let rest = text.get(end..)?;
        if is_start && !rest.starts_with(|next: char| next.is_ascii_alphanumeric()) {
            let rest = rest.trim_start_matches([' ', '\t']);
            let value =
                rest.strip_prefix([':', '=']).map(|rest| rest.trim_start_matches([' ', '\t']));
            if let Some(value) = value {
                return Some(value);
            }
            if name == "sense key" {
                return Some(rest);
            }
        }
        from = end;
    }
    None
}

/// The first word.
fn word(text: &str) -> &str {
    text.split(|next: char| !next.is_ascii_alphanumeric()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Value {
        explain(&[text.to_owned()]).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn all_ways_to_write_a_condition_mean_the_same() {
        let fixed = "70 00 05 00 00 00 00 0a 00 00 00 00 3b 0d 00 00 00 00";
        let all = [
            "5/3B/0D",
            "05/3b/0d",
            "0x5/0x3b/0xd",
            "05 3b 0d",
            fixed,
            &fixed.replace(' ', ""),
            &fixed.replace(' ', ","),
            "72 05 3b 0d 00 00 00 00",
            "Sense Key : Illegal Request [current]  ASC=3b ASCQ=d",
            "st 3:0:0:1: [st0] Sense Key : Illegal Request [current]\nst 3:0:0:1: [st0] Add. Sense: Medium destination element full",
            "mtx: Request Sense: Sense Key=Illegal Request\nmtx: Request Sense: Additional Sense Code = 3B\n\
             mtx: Request Sense: Additional Sense Qualifier = 0D",
            "Fixed format, current; Sense key: Illegal Request\nAdditional sense: Medium destination element full",
            "sense key Illegal Request, asc=0x3b, ascq=0x0d",
        ];
        for text in all {
            let value = said(text);
            assert_eq!(value["sense"], "5/3B/0D", "{text}");
            assert_eq!(value["key"], "ILLEGAL REQUEST");
            assert_eq!(value["condition"], "Medium destination element full");
            assert!(value["next"].as_str().unwrap().contains("vtl inventory"));
        }
    }

    #[test]
    fn words_of_the_command_line_may_be_separate() {
        let words = [
            "70", "00", "05", "00", "00", "00", "00", "0a", "00", "00", "00", "00", "24", "00",
            "00", "c9", "00", "04",
        ];
        let value = explain(&words.map(str::to_owned)).unwrap();
        assert_eq!(value["field"], "byte 4 bit 1 of the CDB");
    }

    #[test]
    fn a_cdb_is_understood_as_the_kernel_writes_it() {
        assert_eq!(said("st0: CDB: Write(6) 0a 00 00 40 00 00")["command"], "WRITE(6)");
        assert_eq!(said("00 00 00 00 00 00")["command"], "TEST UNIT READY");
        assert_eq!(said("1200000060 00")["fields"]["ALLOCATION LENGTH"], 96);
        assert_eq!(said("08 00 00 02 00 00 00 00 00 00 00 00 00 00 00 00")["command"], "READ(6)");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let bad = [
            "",
            "nonsense",
            "5/24",
            "5/24/00/00",
            "10/24/00",
            "5/124/00",
            "08 00",
            "08 00 00 02 00 00 01",
            "70 00",
            "zz 00 00 00 00 00",
            "Sense Key : Nobody Knows",
            "CDB: Write(6)",
            "c5 00 00 00 00 00",
            "\u{e9}\u{e9}\u{e9}",
        ];
        for text in bad {
            let failure = explain(&[text.to_owned()]).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 2, "{text}: {failure}");
        }
    }
}
