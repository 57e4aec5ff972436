//! `vtl receipt verify`: on any machine, without a library.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Value, json};
use vtl_vault::receipt::{
    PublicKey, RECEIPT_BYTES_MAX, Receipt, ReceiptError, Statement, VerifiedReceipt,
    VerifiedStatement,
};

use super::story;
use crate::request::{Failure, FailureKind};

/// A file of public keys is small.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;

/// What is to be printed, and how the program is to end. Of a file that is no good receipt there is nothing to be printed but why.
pub(super) fn verify(
    file: &Path,
    key: Option<&str>,
) -> Result<(Value, Result<(), Failure>), Failure> {
    let keys = key.map(wanted_keys).transpose()?;
    let bytes = read(file, u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX))?;
    let named = |failure: Failure| {
        Failure::new(failure.kind, format!("{}: {}", file.display(), failure.message))
    };
    if Statement::is_meant(&bytes) {
        let statement = Statement::verify(&bytes)
            .and_then(|statement| by_one_of(keys.as_deref(), statement.key).map(|()| statement));
        let statement = statement.map_err(|error| named(failure(&error)))?;
        return Ok((stated(&statement, keys.is_some()), Ok(())));
    }
    let content = checked(&bytes, keys.as_deref()).map_err(|error| named(failure(&error)))?;
    let answer = told(&content, keys.is_some());
    let verdict = content.proof.as_ref().map(|_| ()).ok_or_else(|| {
        named(Failure::failed(
            "only a manifest: it says what was to be written, and that nobody has changed the file. The tape was NOT read back: \
             nothing is proved",
        ))
    });
    Ok((answer, verdict))
}

fn checked(bytes: &[u8], keys: Option<&[PublicKey]>) -> Result<VerifiedReceipt, ReceiptError> {
    let content = Receipt::verify(bytes, None)?;
    by_one_of(keys, content.key).map(|()| content)
}

fn by_one_of(keys: Option<&[PublicKey]>, signer: PublicKey) -> Result<(), ReceiptError> {
    match keys {
        Some(keys) if !keys.contains(&signer) => {
            let wanted = keys.iter().map(PublicKey::id).collect::<Vec<_>>().join(" or ");
            Err(ReceiptError::OtherKey { signer: signer.id(), wanted })
        }
        _ => Ok(()),
    }
}

/// Something else that was signed, such as the report of a drill: what it says, whatever that is.
fn stated(statement: &VerifiedStatement, is_key_given: bool) -> Value {
    let warning = (!is_key_given).then_some("anybody can have signed it: name the key with --key");
    json!({
        "verdict": "VALID",
        "about": statement.about,
        "sha256": statement.sha256,
        "key": statement.key.to_string(),
        "key_id": statement.key.id(),
        "warning": warning,
        "content": statement.content,
    })
}

fn told(content: &VerifiedReceipt, is_key_given: bool) -> Value {
    let manifest = &content.manifest;
    let verdict = if content.proof.is_some() { "VALID" } else { "NOT PROVED" };
    json!({
        "verdict": verdict,
        "receipt": manifest.id,
        "barcode": manifest.source.barcode,
        "volume": manifest.target.barcode,
        "copy": manifest.target.copy,
        "proved": content.proof.as_ref().map(|proof| proof.time),
        "sha256": content.sha256,
        "key": content.key.to_string(),
        "key_id": content.key.id(),
        "proves": story::proves(content),
        "does_not_prove": story::does_not_prove(content, is_key_given),
    })
}

/// The key, or the keys in a file: one a line, or as `vtl receipt key` prints them.
fn wanted_keys(text: &str) -> Result<Vec<PublicKey>, Failure> {
    if let Ok(key) = text.parse() {
        return Ok(vec![key]);
    }
    let usage = |why: &str| Failure::usage(format!("--key {text}: {why}"));
    let Ok(bytes) = read(Path::new(text), KEY_FILE_BYTES_MAX) else {
        return Err(usage(
            "neither a file that can be read nor a public key (64 digits 0-9 and a-f)",
        ));
    };
    let content = String::from_utf8_lossy(&bytes);
    let is_edge = |c: char| !c.is_ascii_alphanumeric();
    let keys: Vec<PublicKey> =
        content.split(is_edge).filter_map(|word| word.parse().ok()).collect();
    if keys.is_empty() { Err(usage("there is no public key in this file")) } else { Ok(keys) }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    let message = |error: io::Error| format!("cannot read {}: {error}", path.display());
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::not_found(message(error)))
        }
        Err(error) => Err(Failure::failed(message(error))),
    }
}

/// A receipt that is not what it was is damaged, whatever the reason.
pub(super) fn failure(error: &ReceiptError) -> Failure {
    let kind = if super::is_newer(error) { FailureKind::Failed } else { FailureKind::Damaged };
    Failure::new(kind, error.to_string())
}
