//! Encryption at rest: what is written is encrypted with a key of the cartridge's own, and that is in its label, wrapped with the key of its
//! pool (FORMAT.md "Encryption at rest").
//!
//! Hosts notice nothing of it. It is there so that whoever gets the disk has nothing, and so that a cartridge is gone for good when a hundred
//! bytes of its label are.

mod pool_key;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::pool_key::{
    KEY_FILE_BYTES_MAX, KEY_FILE_BYTES_MIN, KeyError, PASSPHRASE_BYTES_MIN, PoolKey, Protection,
};
use crate::seal::{KEY_BYTES, Key, TAG_BYTES};

/// Why what is encrypted at rest is not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AtRestError {
    /// The key of its pool is known, and nobody has unlocked it.
    #[error(
        "it is encrypted, and the key of pool {0} is locked: `vtl key list` says what opens it"
    )]
    Locked(String),
    /// There is no such key of a pool.
    #[error(
        "it is encrypted, and there is no pool key {0}: put keys.json back into the data directory from a copy"
    )]
    Unknown(Uuid),
    /// Its own key has been destroyed.
    #[error("it was encrypted, and its key has been destroyed: nobody can read it any more")]
    Destroyed,
    /// What is in the label was wrapped with another key, or is not what was written there.
    #[error(
        "its key cannot be unwrapped: pool key {0} is not the one that it was wrapped with, or the label was altered"
    )]
    Wrong(Uuid),
    /// There is no randomness to be had.
    #[error("there is no randomness to make a key of")]
    NoRandomness,
}

/// A cartridge's own key as its label has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// The key of a pool that it is wrapped with.
    pub pool_key: Uuid,
    /// Nonce, key and tag as hexadecimal digits; empty once it has been destroyed.
    wrapped: String,
}

impl WrappedKey {
    /// Makes a key for a cartridge.
    pub(crate) fn make(
        ring: &KeyRing,
        pool_key: Uuid,
        cartridge: Uuid,
    ) -> Result<Self, AtRestError> {
        let pool = ring.key(pool_key)?;
        let (bytes, nonce) = (random::<KEY_BYTES>()?, random::<NONCE_LEN>()?);
        let sealed = wrap(&pool, *nonce, &bound(pool_key, cartridge), bytes.as_slice());
        Ok(Self { pool_key, wrapped: hex(&sealed.ok_or(AtRestError::NoRandomness)?) })
    }

    /// The key.
    pub(crate) fn open(&self, ring: &KeyRing, cartridge: Uuid) -> Result<Key, AtRestError> {
        if self.is_destroyed() {
            return Err(AtRestError::Destroyed);
        }
        let pool = ring.key(self.pool_key)?;
        let wrong = AtRestError::Wrong(self.pool_key);
        let sealed = unhex(&self.wrapped).ok_or_else(|| wrong.clone())?;
        let opened = unwrap(&pool, &bound(self.pool_key, cartridge), sealed);
        opened.and_then(|bytes| Key::new(&bytes)).ok_or(wrong)
    }

    /// Whether there is no key any more, and there never will be.
    pub fn is_destroyed(&self) -> bool {
        self.wrapped.is_empty()
    }

    /// The same without the key.
    #[must_use]
    pub(crate) fn destroyed(&self) -> Self {
        Self { wrapped: String::new(), ..self.clone() }
    }

    /// What stands in the label, to look for it elsewhere.
    pub(crate) fn text(&self) -> &str {
        &self.wrapped
    }

    /// SHA-256 of what stands in the label: it names the key and does not tell it.
    pub fn fingerprint(&self) -> String {
        hex(digest(&SHA256, self.wrapped.as_bytes()).as_ref())
    }
}

/// The keys of pools that a program has, locked or not. All copies of it are one.
#[derive(Clone, Default)]
pub struct KeyRing(Arc<RwLock<Vec<Held>>>);

struct Held {
    id: Uuid,
    pool: String,
    key: Option<Key>,
}

impl KeyRing {
    /// Takes a pool's key in, in place of one of the same identity.
    pub(crate) fn put(&self, id: Uuid, pool: &str, key: Option<Key>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| held.id != id);
        held.push(Held { id, pool: pool.to_owned(), key });
    }

    /// Forgets a pool's key.
    pub(crate) fn remove(&self, id: Uuid) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| held.id != id);
    }

    /// The key with which a pool's cartridges are encrypted, if they are.
    pub(crate) fn of_pool(&self, pool: &str) -> Option<Uuid> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|held| held.pool == pool).map(|held| held.id)
    }

    /// Whether a key is there and unlocked.
    pub fn is_open(&self, id: Uuid) -> bool {
        self.key(id).is_ok()
    }

    pub(crate) fn key(&self, id: Uuid) -> Result<Key, AtRestError> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|held| held.id == id).ok_or(AtRestError::Unknown(id))?;
        found.key.clone().ok_or_else(|| AtRestError::Locked(found.pool.clone()))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")
    }
}

/// The own keys of the cartridges that a journal is made of.
#[derive(Debug, Default)]
pub(crate) struct DataKeys(Vec<(Uuid, Result<Key, AtRestError>)>);

impl DataKeys {
    pub(crate) fn add(&mut self, cartridge: Uuid, key: Result<Key, AtRestError>) {
        self.0.push((cartridge, key));
    }

    /// The key of the cartridge whose record it is. A cartridge without one has no such records.
    pub(crate) fn of(&self, cartridge: Uuid) -> Result<&Key, AtRestError> {
        let found = self.0.iter().find(|(of, _)| *of == cartridge);
        match found {
            Some((_, key)) => key.as_ref().map_err(Clone::clone),
            None => Err(AtRestError::Destroyed),
        }
    }

    /// Why something of it cannot be read, if that is so.
    pub(crate) fn closed(&self) -> Option<&AtRestError> {
        self.0.iter().find_map(|(_, key)| key.as_ref().err())
    }
}

/// What a wrapped key is bound to: it is of no use in another label.
fn bound(pool_key: Uuid, cartridge: Uuid) -> Vec<u8> {
    [DATA_KEY, pool_key.as_bytes(), cartridge.as_bytes()].concat()
}

/// Nonce, encrypted bytes and tag.
fn wrap(with: &Key, nonce: [u8; NONCE_LEN], bound: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = nonce.to_vec();
    // Room for all of it, so that no copy of what is not encrypted yet is left behind.
    sealed.reserve_exact(bytes.len().saturating_add(TAG_BYTES));
    sealed.extend_from_slice(bytes);
    let cipher = cipher(with)?;
    let nonce = Nonce::assume_unique_for_key(nonce);
    let data = sealed.get_mut(NONCE_LEN..)?;
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(bound), data).ok()?;
    sealed.extend_from_slice(tag.as_ref());
    Some(sealed)
}

fn unwrap(with: &Key, bound: &[u8], mut sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, data) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = cipher(with)?.open_in_place(nonce, Aad::from(bound), data).ok()?;
    let bytes = Zeroizing::new(opened.to_vec());
    crate::seal::forget(&mut sealed);
    Some(bytes)
}

fn cipher(key: &Key) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.bytes()).ok()?))
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, AtRestError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| AtRestError::NoRandomness)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

const DATA_KEY: &[u8] = b"vtl data key 1";

#[cfg(test)]
mod tests;
