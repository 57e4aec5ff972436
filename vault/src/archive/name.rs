//! Names as they were written. To Unix a name is bytes, and an archive from a host that writes Latin-1 has many that are no UTF-8: shown as text,
//! several of them look like one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::lossy;
use crate::hex;

/// The bytes of a name that is no UTF-8; in JSON they are hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawName(Vec<u8>);

impl RawName {
    /// The text of a name, and its bytes if the text does not tell them.
    pub(super) fn divided(name: &[u8]) -> (String, Option<Self>) {
        match std::str::from_utf8(name) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (lossy(name), Some(Self(name.to_vec()))),
        }
    }

    /// As it was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for RawName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for RawName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode_all(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom("the bytes of a name are not in hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_through_json_and_text_needs_none() {
        assert_eq!(RawName::divided("ä".as_bytes()), ("ä".to_owned(), None));
        let (text, raw) = RawName::divided(b"\xe4.txt");
        assert_eq!(text, "\u{fffd}.txt");
        let written = serde_json::to_string(&raw).unwrap();
        assert_eq!(written, "\"e42e747874\"");
        assert_eq!(serde_json::from_str::<Option<RawName>>(&written).unwrap(), raw);
        for wrong in ["\"e\"", "\"e42\"", "\"+1\"", "\"ää\"", "7"] {
            assert!(serde_json::from_str::<RawName>(wrong).is_err(), "{wrong}");
        }
    }
}
