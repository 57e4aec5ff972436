//! The key of a pool as it is kept: wrapped with what comes from a passphrase, or from a file that is somewhere else.

use std::num::NonZeroU32;
use std::path::PathBuf;

use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::{hkdf, pbkdf2};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{AtRestError, hex, random, unhex, unwrap, wrap};
use crate::seal::{KEY_BYTES, Key};

/// A passphrase has as many bytes at least.
pub const PASSPHRASE_BYTES_MIN: usize = 12;
/// A key file has as many bytes at least: those of a key.
pub const KEY_FILE_BYTES_MIN: usize = KEY_BYTES;
/// And as many at most.
pub const KEY_FILE_BYTES_MAX: usize = 64 * 1024;

/// What a pool's key is locked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "with", rename_all = "kebab-case")]
pub enum Protection {
    /// Something that somebody knows: PBKDF2 with HMAC-SHA-512 (RFC 8018 §5.2) makes a key of it.
    Passphrase {
        /// How often that goes around.
        iterations: u32,
    },
    /// A file: HKDF-SHA256 (RFC 5869) of all that is in it.
    KeyFile {
        /// Where it is.
        path: PathBuf,
    },
}

impl Protection {
    /// A passphrase, as hard to guess as is bearable: a third of a second on a processor of 2026.
    pub fn passphrase() -> Self {
        Self::Passphrase { iterations: ITERATIONS }
    }
}

/// A pool's key, wrapped. There is nothing secret in it as long as the passphrase or the file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolKey {
    /// Its identity, which labels name.
    pub id: Uuid,
    /// The pool whose cartridges are encrypted with it.
    pub pool: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it is locked with.
    pub protection: Protection,
    salt: String,
    wrapped: String,
}

/// Why a pool's key cannot be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is the wrong passphrase, or the wrong file.
    #[error("the key of pool {pool} does not open with this {with}")]
    Wrong {
        /// The pool.
        pool: String,
        /// What was tried.
        with: &'static str,
    },
    /// A passphrase that is soon guessed.
    #[error("a passphrase has at least {PASSPHRASE_BYTES_MIN} bytes")]
    ShortPassphrase,
    /// A file that is no key.
    #[error("a key file has {KEY_FILE_BYTES_MIN} to {KEY_FILE_BYTES_MAX} bytes")]
    BadKeyFile,
    /// There is no randomness to be had, or the library of ciphers fails.
    #[error("there is no randomness to make a key of")]
    NoRandomness,
}

impl From<AtRestError> for KeyError {
    fn from(_: AtRestError) -> Self {
        Self::NoRandomness
    }
}

impl PoolKey {
    /// A new key, locked with `secret`: a passphrase, or what is in a file.
    pub fn make(
        id: Uuid,
        pool: &str,
        now: Timestamp,
        (protection, secret): (Protection, &[u8]),
    ) -> Result<(Self, Key), KeyError> {
        let bytes = random::<KEY_BYTES>()?;
        let key = Key::new(bytes.as_slice()).ok_or(KeyError::NoRandomness)?;
        let unlocked = Self {
            id,
            pool: pool.to_owned(),
            created: now,
            protection: Protection::passphrase(),
            salt: String::new(),
            wrapped: String::new(),
        };
        Ok((unlocked.locked_with(&key, protection, secret)?, key))
    }

    /// The same key, locked with something else.
    pub fn locked_with(
        &self,
        key: &Key,
        protection: Protection,
        secret: &[u8],
    ) -> Result<Self, KeyError> {
        check(&protection, secret)?;
        let salt = random::<SALT_BYTES>()?;
        let nonce = random::<NONCE_LEN>()?;
        let outer = derive(&protection, salt.as_slice(), secret).ok_or(KeyError::NoRandomness)?;
        let sealed = wrap(&outer, *nonce, &self.bound(), key.bytes());
        let wrapped = hex(&sealed.ok_or(KeyError::NoRandomness)?);
        Ok(Self { protection, salt: hex(salt.as_slice()), wrapped, ..self.clone() })
    }

    /// Unlocks it.
    pub fn open(&self, secret: &[u8]) -> Result<Key, KeyError> {
        let wrong = || KeyError::Wrong { pool: self.pool.clone(), with: self.opens_with() };
        let salt = unhex(&self.salt).ok_or_else(wrong)?;
        let outer = derive(&self.protection, &salt, secret).ok_or_else(wrong)?;
        let sealed = unhex(&self.wrapped).ok_or_else(wrong)?;
        let bytes = unwrap(&outer, &self.bound(), sealed).ok_or_else(wrong)?;
        Key::new(&bytes).ok_or_else(wrong)
    }

    /// What it opens with, in words.
    pub fn opens_with(&self) -> &'static str {
        match self.protection {
            Protection::Passphrase { .. } => "passphrase",
            Protection::KeyFile { .. } => "key file",
        }
    }

    fn bound(&self) -> Vec<u8> {
        [POOL_KEY, self.id.as_bytes()].concat()
    }
}

fn check(protection: &Protection, secret: &[u8]) -> Result<(), KeyError> {
    let length = secret.len();
    match protection {
        Protection::Passphrase { .. } if length < PASSPHRASE_BYTES_MIN => {
            Err(KeyError::ShortPassphrase)
        }
        Protection::KeyFile { .. }
            if !(KEY_FILE_BYTES_MIN..=KEY_FILE_BYTES_MAX).contains(&length) =>
        {
            Err(KeyError::BadKeyFile)
        }
        _ => Ok(()),
    }
}

fn derive(protection: &Protection, salt: &[u8], secret: &[u8]) -> Option<Key> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    match protection {
        Protection::Passphrase { iterations } => {
            // Whoever can write keys.json must not stop the daemon with a number.
            let iterations = NonZeroU32::new((*iterations).min(ITERATIONS_MAX))?;
            pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA512,
                iterations,
                salt,
                secret,
                bytes.as_mut_slice(),
            );
        }
        Protection::KeyFile { .. } => {
            let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
            let expanded = extracted.expand(&[KEY_FILE], crate::seal::DerivedLength).ok()?;
            expanded.fill(bytes.as_mut_slice()).ok()?;
        }
    }
    Key::new(bytes.as_slice())
}

const POOL_KEY: &[u8] = b"vtl pool key 1";
const KEY_FILE: &[u8] = b"vtl key file 1";
const SALT_BYTES: usize = 16;
const ITERATIONS: u32 = 600_000;
const ITERATIONS_MAX: u32 = 100_000_000;
