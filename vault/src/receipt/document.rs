//! The receipt as a file: text that is JSON, line by line, of which each byte is signed.
//!
//! ```text
//! {"format":"vtl-receipt-1",
//! "manifest":{…},
//! "manifest_key":"64 hexadecimal digits",
//! "manifest_signature":"128 hexadecimal digits",       ── a manifest alone ends here, with `}` for the last comma
//! "manifest_sha256":"of the manifest's line between its colon and its comma",
//! "proof":{…},
//! "proof_key":"64 hexadecimal digits",
//! "proof_signature":"128 hexadecimal digits"}
//! ```
//!
//! Each line ends with 0Ah, also the last. A signature is of all bytes of the file before its own line. Nothing else is allowed
//! anywhere, no space and no other order: so there is no byte that could be changed without a signature or a check that fails.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{PublicKey, SigningKey};
use super::{Manifest, Proof, RECEIPT_BYTES_MAX, ReceiptError};
use crate::digest::{Hash, PartitionDigest};
use crate::hex;

const FORMAT: &str = "{\"format\":\"vtl-receipt-1\",\n";
/// What all versions begin with.
const ANY_FORMAT: &str = "{\"format\":\"vtl-receipt-";

/// A receipt that was just made, or has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    text: String,
    content: VerifiedReceipt,
}

/// What a receipt says, after each of its bytes was found to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// What was to be on the tape.
    pub manifest: Manifest,
    /// What was found there. Without it nothing is proved.
    pub proof: Option<Proof>,
    /// Who has signed the newest part, which vouches for the older one.
    pub key: PublicKey,
    /// SHA-256 of the whole file.
    pub sha256: Hash,
}

impl Receipt {
    /// The first phase: what is to be on the tape, signed before the tape leaves the drive.
    pub fn manifested(manifest: Manifest, key: &SigningKey) -> Result<Self, ReceiptError> {
        check_sums(&manifest.partitions)?;
        let mut text = FORMAT.to_owned();
        push_value(&mut text, "manifest", &manifest)?;
        sign(&mut text, "manifest", key)?;
        Self::made(text, manifest, None, key)
    }

    /// The second phase: what came back from the tape is what the manifest says. Any other proof is refused.
    pub fn proved(self, proof: Proof, key: &SigningKey) -> Result<Self, ReceiptError> {
        if self.content.proof.is_some() {
            return Err(ReceiptError::ProvedAlready(self.content.manifest.id));
        }
        check_proof(&self.content.manifest, &proof)?;
        let mut text = self.text;
        let manifest = text.lines().nth(1).and_then(value_of_manifest);
        let sha256 = sha256(manifest.ok_or(ReceiptError::NotAReceipt)?.as_bytes());
        text.truncate(text.len().saturating_sub(END.len()));
        text.push_str(NEXT);
        push_value(&mut text, "manifest_sha256", &sha256)?;
        push_value(&mut text, "proof", &proof)?;
        sign(&mut text, "proof", key)?;
        Self::made(text, self.content.manifest, Some(proof), key)
    }

    /// The file.
    pub fn to_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// What it says.
    pub fn content(&self) -> &VerifiedReceipt {
        &self.content
    }

    /// Checks each byte of a file: the signatures, that the proof is of this manifest and says the same, and that all sums are right.
    /// With a key, nothing that another one has signed is taken; without, anybody can have made it.
    pub fn verify(bytes: &[u8], key: Option<&PublicKey>) -> Result<VerifiedReceipt, ReceiptError> {
        Self::read(bytes, key).map(|receipt| receipt.content)
    }

    /// The same, for one that is to go on.
    pub fn read(bytes: &[u8], key: Option<&PublicKey>) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong);
        }
        let altered = ReceiptError::Altered;
        let text = std::str::from_utf8(bytes).map_err(|_| altered("it is not text any more"))?;
        let mut reader = Reader::new(text)?;
        let manifest_text = reader.value("manifest")?;
        let (mut signer, mut is_last) = reader.signature("manifest")?;
        let manifest: Manifest = parsed(manifest_text, "manifest")?;
        check_sums(&manifest.partitions)?;
        let mut proof = None;
        if !is_last {
            let of: Hash = parsed(reader.value("manifest_sha256")?, "manifest_sha256")?;
            if of != sha256(manifest_text.as_bytes()) {
                return Err(altered("its proof is of another manifest"));
            }
            let proof_text = reader.value("proof")?;
            (signer, is_last) = reader.signature("proof")?;
            let of_tape: Proof = parsed(proof_text, "proof")?;
            check_proof(&manifest, &of_tape)?;
            proof = Some(of_tape);
        }
        if !is_last || !reader.rest.is_empty() {
            return Err(altered("something stands behind its end"));
        }
        if let Some(key) = key.filter(|key| **key != signer) {
            return Err(ReceiptError::OtherKey { signer: signer.id(), wanted: key.id() });
        }
        let content = VerifiedReceipt { manifest, proof, key: signer, sha256: sha256(bytes) };
        Ok(Self { text: text.to_owned(), content })
    }

    fn made(
        text: String,
        manifest: Manifest,
        proof: Option<Proof>,
        key: &SigningKey,
    ) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong);
        }
        let sha256 = sha256(text.as_bytes());
        let content = VerifiedReceipt { manifest, proof, key: key.public(), sha256 };
        Ok(Self { text, content })
    }
}

/// A proof has to say what the manifest says, and to say that it does.
fn check_proof(manifest: &Manifest, proof: &Proof) -> Result<(), ReceiptError> {
    // The receipts of earlier versions, and of drives without such a memory, say nothing of attributes in their proof.
    let is_remembered = proof.attributes.as_ref().is_none_or(|found| *found == manifest.attributes);
    let is_same = proof.partitions == manifest.partitions && is_remembered;
    if proof.is_equal && proof.mismatches.is_empty() && is_same {
        return check_sums(&proof.partitions);
    }
    let first = proof.mismatches.first();
    Err(ReceiptError::NotEqual {
        barcode: manifest.source.barcode.clone(),
        what: first.map_or_else(
            || "what was read back is not what the manifest says".to_owned(),
            |found| {
                format!("partition {}, section {}: {}", found.partition, found.section, found.what)
            },
        ),
    })
}

/// The sums and the root of each partition are those of its sections.
fn check_sums(partitions: &[PartitionDigest]) -> Result<(), ReceiptError> {
    let is_sum = |digest: &PartitionDigest| {
        PartitionDigest::of(digest.partition, digest.sections.clone()) == *digest
    };
    if partitions.is_empty() || !partitions.iter().all(is_sum) {
        return Err(ReceiptError::WrongSums);
    }
    Ok(())
}

fn value_of_manifest(line: &str) -> Option<&str> {
    line.strip_prefix("\"manifest\":")?.strip_suffix(',')
}

pub(super) fn push_value(
    text: &mut String,
    name: &str,
    value: &impl Serialize,
) -> Result<(), ReceiptError> {
    let value = serde_json::to_string(value).map_err(|_| ReceiptError::TooLong)?;
    text.extend(["\"", name, "\":", &value, NEXT]);
    Ok(())
}

/// Adds the two lines that end a phase.
pub(super) fn sign(text: &mut String, phase: &str, key: &SigningKey) -> Result<(), ReceiptError> {
    push_value(text, &format!("{phase}_key"), &key.public().to_string())?;
    let signature = hex::encode(&key.sign(text.as_bytes())?);
    text.extend(["\"", phase, "_signature\":\"", &signature, "\"", END]);
    Ok(())
}

pub(super) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.0.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

pub(super) fn parsed<T: DeserializeOwned>(
    text: &str,
    name: &'static str,
) -> Result<T, ReceiptError> {
    serde_json::from_str(text).map_err(|_| ReceiptError::Altered(name))
}

/// Takes a receipt line by line.
pub(super) struct Reader<'a> {
    whole: &'a str,
    pub(super) rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(whole: &'a str) -> Result<Self, ReceiptError> {
        if let Some(reader) = Self::behind(whole, FORMAT) {
            return Ok(reader);
        }
        let version = whole.strip_prefix(ANY_FORMAT).and_then(|rest| rest.split('"').next());
        let is_newer = |version: &&str| version.parse().is_ok_and(|version: u32| version > 1);
        Err(version.filter(is_newer).map_or(ReceiptError::NotAReceipt, |version| {
            ReceiptError::Newer(version.chars().take(8).collect())
        }))
    }

    /// What follows a first line.
    pub(super) fn behind(whole: &'a str, first: &str) -> Option<Self> {
        whole.strip_prefix(first).map(|rest| Self { whole, rest })
    }

    /// The line with this name, without its end, and whether it was the last one.
    fn line(&mut self, name: &str) -> Result<(&'a str, bool), ReceiptError> {
        let altered = || ReceiptError::Altered("a line is missing, or not where it was");
        let (line, rest) = self.rest.split_once('\n').ok_or_else(altered)?;
        self.rest = rest;
        let line = line.strip_prefix('"').and_then(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.strip_prefix("\":")).ok_or_else(altered)?;
        let next = value.strip_suffix(',').map(|value| (value, false));
        next.or_else(|| value.strip_suffix('}').map(|value| (value, true))).ok_or_else(altered)
    }

    /// A value that something has to follow.
    pub(super) fn value(&mut self, name: &str) -> Result<&'a str, ReceiptError> {
        match self.line(name)? {
            (value, false) => Ok(value),
            (_, true) => Err(ReceiptError::Altered("its end is missing")),
        }
    }

    /// The two lines that end a phase: who has signed, and whether it was the last phase.
    pub(super) fn signature(&mut self, phase: &str) -> Result<(PublicKey, bool), ReceiptError> {
        let altered = ReceiptError::Altered;
        let quoted = |text: &'a str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let key = quoted(self.value(&format!("{phase}_key"))?).and_then(|key| key.parse().ok());
        let key: PublicKey = key.ok_or(altered("the key is none"))?;
        let signed = self.whole.len().saturating_sub(self.rest.len());
        let signed = self.whole.as_bytes().get(..signed).unwrap_or_default();
        let (signature, is_last) = self.line(&format!("{phase}_signature"))?;
        let signature = quoted(signature).and_then(hex::decode);
        let signature = signature.ok_or(altered("the signature is none"))?;
        if !key.has_signed(signed, &signature) {
            return Err(altered("the signature is not of this content"));
        }
        Ok((key, is_last))
    }
}

/// What ends a line that is not the last.
const NEXT: &str = ",\n";
/// What ends the last line.
const END: &str = "}\n";
