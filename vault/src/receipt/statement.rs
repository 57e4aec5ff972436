//! Something else than a receipt that is signed with the same key, such as the report of a drill.
//!
//! ```text
//! {"format":"vtl-statement-1",
//! "about":"drill",
//! "content":{…},
//! "content_key":"64 hexadecimal digits",
//! "content_signature":"128 hexadecimal digits"}
//! ```
//!
//! As in a receipt each line ends with 0Ah, nothing else is allowed anywhere, and the signature is of all bytes before its own line.

use serde::Serialize;
use serde_json::Value;

use super::document::{Reader, parsed, push_value, sha256, sign};
use super::{PublicKey, RECEIPT_BYTES_MAX, ReceiptError, SigningKey};
use crate::digest::Hash;

const FORMAT: &str = "{\"format\":\"vtl-statement-1\",\n";

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    text: String,
}

/// What a statement says, after each of its bytes was found to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement {
    /// What it is about: `drill`.
    pub about: String,
    /// What it says.
    pub content: Value,
    /// Who has signed it.
    pub key: PublicKey,
    /// SHA-256 of the whole file.
    pub sha256: Hash,
}

impl Statement {
    /// Signs what is to be said.
    pub fn signed(
        about: &str,
        content: &impl Serialize,
        key: &SigningKey,
    ) -> Result<Self, ReceiptError> {
        let mut text = FORMAT.to_owned();
        push_value(&mut text, "about", &about)?;
        push_value(&mut text, "content", content)?;
        sign(&mut text, "content", key)?;
        if text.len() > RECEIPT_BYTES_MAX { Err(ReceiptError::TooLong) } else { Ok(Self { text }) }
    }

    /// The file.
    pub fn to_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> Hash {
        sha256(self.to_bytes())
    }

    /// Whether a file means to be one, and no receipt.
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(b"{\"format\":\"vtl-statement-")
    }

    /// Checks each byte of a file. Anybody can have made it: whose the key is has to be looked at.
    pub fn verify(bytes: &[u8]) -> Result<VerifiedStatement, ReceiptError> {
        let altered = ReceiptError::Altered;
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| altered("it is not text any more"))?;
        let mut reader = Reader::behind(text, FORMAT).ok_or(ReceiptError::NotAStatement)?;
        let about = parsed(reader.value("about")?, "about")?;
        let content = reader.value("content")?;
        let (key, is_last) = reader.signature("content")?;
        if !is_last || !reader.rest.is_empty() {
            return Err(altered("something stands behind its end"));
        }
        let content = parsed(content, "content")?;
        Ok(VerifiedStatement { about, content, key, sha256: sha256(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_byte_is_found() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let content = serde_json::json!({ "group": "mail", "passed": true, "bytes": 12 });
        let statement = Statement::signed("drill", &content, &key).unwrap();
        let read = Statement::verify(statement.to_bytes()).unwrap();
        assert_eq!((read.about.as_str(), &read.content), ("drill", &content));
        assert_eq!((read.key, read.sha256), (key.public(), statement.sha256()));
        assert!(Statement::is_meant(statement.to_bytes()));
        for at in 0..statement.to_bytes().len() {
            for bit in 0..8 {
                let mut bytes = statement.to_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                assert!(Statement::verify(&bytes).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Statement::verify(&statement.to_bytes()[..at]).is_err(), "cut at {at}");
        }
        let longer = [statement.to_bytes(), b"\n"].concat();
        assert!(Statement::verify(&longer).is_err());
    }
}
