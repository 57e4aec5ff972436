//! Keys that receipts are signed with: Ed25519 (RFC 8032).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::ReceiptError;
use crate::hex;

pub(super) const SEED_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
pub(super) const SIGNATURE_BYTES: usize = 64;
/// As many bytes of the SHA-256 of a key name it.
const ID_BYTES: usize = 8;

/// What a receipt is verified with; 64 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; KEY_BYTES]);

/// What receipts are signed with. It is in no text that this type gives.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// The text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 64 digits 0-9 and a-f, as `vtl receipt key` prints it")]
pub struct NotAKey;

impl PublicKey {
    /// The key with these bytes (RFC 8032 §5.1.5).
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A short name: the first 16 hexadecimal digits of the key's SHA-256.
    pub fn id(&self) -> String {
        let hash = digest(&SHA256, &self.0);
        hex::encode(hash.as_ref().get(..ID_BYTES).unwrap_or_default())
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl SigningKey {
    /// A new key, of the system's randomness.
    pub fn generate() -> Result<Self, ReceiptError> {
        Ed25519KeyPair::generate().map_err(|_| ReceiptError::NoSignature).and_then(Self::of)
    }

    /// The key with this seed.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, ReceiptError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        pair.map_err(|_| ReceiptError::NoSignature).and_then(Self::of)
    }

    /// What verifies what this signs.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) fn seed(&self) -> Result<Zeroizing<[u8; SEED_BYTES]>, ReceiptError> {
        let seed = self.pair.seed().map_err(|_| ReceiptError::NoSignature)?;
        let seed: Curve25519SeedBin<'_> =
            seed.as_be_bytes().map_err(|_| ReceiptError::NoSignature)?;
        let mut bytes = Zeroizing::new([0; SEED_BYTES]);
        match seed.as_ref().len() {
            SEED_BYTES => bytes.copy_from_slice(seed.as_ref()),
            _ => return Err(ReceiptError::NoSignature),
        }
        Ok(bytes)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], ReceiptError> {
        let signature = self.pair.try_sign(message).map_err(|_| ReceiptError::NoSignature)?;
        signature.as_ref().try_into().map_err(|_| ReceiptError::NoSignature)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, ReceiptError> {
        let public = pair.public_key().as_ref().try_into();
        let public = PublicKey(public.map_err(|_| ReceiptError::NoSignature)?);
        Ok(Self { pair, public })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        hex::decode(text).map(Self).ok_or(NotAKey)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032 §7.1, test 2: what we call Ed25519 is what others call so.
    #[test]
    fn signs_as_the_standard_does() {
        let seed = hex::decode("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
            .unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        assert_eq!(public.parse(), Ok(key.public()));
        let signature = key.sign(&[0x72]).unwrap();
        assert_eq!(
            hex::encode(&signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(key.public().has_signed(&[0x72], &signature));
        assert!(!key.public().has_signed(&[0x73], &signature));
        assert_eq!(*key.seed().unwrap(), seed);
        assert_eq!(key.public().id(), "39f713d0a644253f");
    }

    #[test]
    fn a_key_does_not_tell_its_secret() {
        let key = SigningKey::from_seed(&[0x5a; 32]).unwrap();
        assert!(!format!("{key:?}").contains("5a5a"));
    }
}
