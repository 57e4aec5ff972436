//! The keys of pools: `keys.json` has them, wrapped, and the ledger says which pools are encrypted.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use super::Store;
use super::error::UndoError;
use crate::at_rest::{AtRestError, KeyError, KeyRing, PoolKey, Protection};
use crate::ledger::Event;
use crate::whole::{read_whole, replace_whole};

/// Why a pool's key cannot be made, unlocked or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The pool has one.
    #[error("pool {0} has a key already; `vtl key change {0}` locks it with something else")]
    Exists(String),
    /// The pool has none.
    #[error("pool {0} has no key: it is not encrypted; `vtl key create {0}` makes one")]
    NoKey(String),
    /// The ledger names one, and it is not in the file.
    #[error("the key of pool {pool} is not in {}: put the file back from a copy. Without it nobody can read the cartridges of the pool", path.display())]
    Lost {
        /// The pool.
        pool: String,
        /// The file.
        path: PathBuf,
    },
    /// Cartridges are encrypted with it.
    #[error(
        "{count} cartridges are encrypted with the key of pool {pool}, {example} for one: without it they could never be read"
    )]
    InUse {
        /// The pool.
        pool: String,
        /// How many.
        count: usize,
        /// One of them.
        example: String,
    },
    /// It is locked.
    #[error(transparent)]
    Closed(#[from] AtRestError),
    /// It does not open, or cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody unlocks it.
    #[error("pool {0} was unlocked or given another key meanwhile: try it again")]
    Unlocked(String),
    /// It could not be recorded.
    #[error(transparent)]
    Store(#[from] UndoError),
}

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    version: u32,
    keys: Vec<PoolKey>,
}

impl Store {
    /// The keys of pools, as far as they are unlocked.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Which pools are encrypted, and with which key.
    pub fn encrypted_pools(&self) -> BTreeMap<String, Uuid> {
        self.inventory().pool_keys().clone()
    }

    /// The key of a pool as it is kept.
    pub fn pool_key(&self, pool: &str) -> Result<PoolKey, KeysError> {
        let id = self.pool_key_id(pool)?;
        let found = self.read_keys()?.keys.into_iter().find(|key| key.id == id);
        found.ok_or_else(|| KeysError::Lost { pool: pool.to_owned(), path: self.keys_path() })
    }

    /// Gives a pool a key, locked with `secret`, and unlocks it. What is written on its cartridges from their next load on is encrypted.
    pub fn create_pool_key(
        &self,
        pool: &str,
        locked_with: (Protection, &[u8]),
        actor: &str,
    ) -> Result<PoolKey, KeysError> {
        let changing = self.begin_change();
        if self.pool_key_id(pool).is_ok() {
            return Err(KeysError::Exists(pool.to_owned()));
        }
        let id = self.random.uuid().map_err(|_| KeyError::NoRandomness)?;
        let (made, key) = PoolKey::make(id, pool, self.clock.now(), locked_with)?;
        // The file first: a pool whose key is nowhere could not be written any more.
        let mut file = self.read_keys()?;
        file.keys.push(made.clone());
        self.write_keys(&file)?;
        self.record_changes(&[set(&made)], actor)?;
        self.keys.put(id, pool, Some(key));
        drop(changing);
        Ok(made)
    }

    /// Unlocks the key of a pool until the program ends.
    pub fn unlock_pool_key(&self, pool: &str, secret: &[u8]) -> Result<(), KeysError> {
        let wrapped = self.pool_key(pool)?;
        let key = wrapped.open(secret)?;
        // That took its time: one that was removed meanwhile is in no file any more, and must encrypt nothing.
        let changing = self.begin_change();
        if self.pool_key_id(pool)? != wrapped.id {
            return Err(KeysError::NoKey(pool.to_owned()));
        }
        self.keys.put(wrapped.id, pool, Some(key));
        drop(changing);
        Ok(())
    }

    /// Forgets the key of a pool. Cartridges in drives go on until they are unloaded.
    pub fn lock_pool_key(&self, pool: &str) -> Result<(), KeysError> {
        let changing = self.begin_change();
        let id = self.pool_key_id(pool)?;
        self.keys.put(id, pool, None);
        drop(changing);
        Ok(())
    }

    /// Locks the key of a pool, which has to be unlocked, with something else. What it was locked with before opens it no more.
    pub fn change_pool_key(
        &self,
        pool: &str,
        (protection, secret): (Protection, &[u8]),
        actor: &str,
    ) -> Result<PoolKey, KeysError> {
        let changing = self.begin_change();
        let before = self.pool_key(pool)?;
        let key = self.keys.key(before.id)?;
        let after = before.locked_with(&key, protection, secret)?;
        let mut file = self.read_keys()?;
        for key in file.keys.iter_mut().filter(|key| key.id == before.id) {
            key.clone_from(&after);
        }
        self.write_keys(&file)?;
        self.record_changes(&[set(&after)], actor)?;
        drop(changing);
        Ok(after)
    }

    /// Takes the key of a pool away that no cartridge needs. The pool is not encrypted then.
    pub fn remove_pool_key(&self, pool: &str, actor: &str) -> Result<(), KeysError> {
        let id = self.pool_key_id(pool)?;
        let open = self.keys.key(id).ok();
        // No cartridge gets a key of its own from it any more; one that is getting it has it in its label once it is free.
        self.keys.put(id, pool, None);
        for entry in self.cartridges() {
            drop(self.reserve(entry.uuid));
        }
        let changing = self.begin_change();
        let removed = self.remove_unused(pool, id, actor);
        if removed.is_err() && self.pool_key_id(pool).is_ok_and(|now| now == id) && open.is_some() {
            self.keys.put(id, pool, open);
        }
        drop(changing);
        removed
    }

    fn remove_unused(&self, pool: &str, id: Uuid, actor: &str) -> Result<(), KeysError> {
        if self.pool_key_id(pool)? != id || self.keys.is_open(id) {
            return Err(KeysError::Unlocked(pool.to_owned()));
        }
        // The labels are asked: a cartridge may be in another pool by now, and one in a drive may have been loaded for the first time.
        let mut users = Vec::new();
        for entry in self.cartridges() {
            let label = crate::label::Label::read(&*self.disk, &self.directory_of(entry.uuid));
            if label.map_or(entry.pool_key, |label| label.pool_key()) == Some(id) {
                users.push(entry.barcode.to_string());
            }
        }
        if let Some(example) = users.first().cloned() {
            let (pool, count) = (pool.to_owned(), users.len());
            return Err(KeysError::InUse { pool, count, example });
        }
        let event = Event::PoolKeyRemoved { pool: pool.to_owned(), key: id };
        self.record_changes(&[event], actor)?;
        self.keys.remove(id);
        let mut file = self.read_keys()?;
        file.keys.retain(|key| key.id != id);
        self.write_keys(&file)
    }

    fn pool_key_id(&self, pool: &str) -> Result<Uuid, KeysError> {
        let inventory = self.inventory();
        let found = inventory.pool_keys().get(pool).copied();
        found.ok_or_else(|| KeysError::NoKey(pool.to_owned()))
    }

    /// Where the keys of pools are.
    pub fn keys_path(&self) -> PathBuf {
        self.directory.path.join(FILE_NAME)
    }

    fn read_keys(&self) -> Result<KeysFile, KeysError> {
        let path = self.keys_path();
        let failed = |source| KeysError::File { path: path.clone(), source };
        if !self.disk.exists(&path).map_err(failed)? {
            return Ok(KeysFile { version: VERSION, keys: Vec::new() });
        }
        let bytes = read_whole(&*self.disk, &path, FILE_BYTES_MAX).map_err(failed)?;
        let file: KeysFile = serde_json::from_slice(&bytes).map_err(|error| {
            failed(io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged: {error}")))
        })?;
        if file.version > VERSION {
            let newer = format!("it has version {}, this program reads {VERSION}", file.version);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, newer)));
        }
        Ok(file)
    }

    fn write_keys(&self, file: &KeysFile) -> Result<(), KeysError> {
        let path = self.keys_path();
        let failed = |source| KeysError::File { path: path.clone(), source };
        let mut bytes = serde_json::to_vec_pretty(file).map_err(|e| failed(io::Error::other(e)))?;
        bytes.push(b'\n');
        replace_whole(&*self.disk, &path, &bytes).map_err(failed)
    }
}

fn set(key: &PoolKey) -> Event {
    Event::PoolKeySet {
        pool: key.pool.clone(),
        key: key.id,
        opens_with: key.opens_with().to_owned(),
    }
}

const FILE_NAME: &str = "keys.json";
const VERSION: u32 = 1;
/// Some thousand keys.
const FILE_BYTES_MAX: u64 = 4 << 20;
