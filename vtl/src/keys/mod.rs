//! `vtl key …`: the keys with which the cartridges of a pool are encrypted at rest.

mod destroy;
mod file;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vtl_drive::{MediumState, NotLoaded};
use vtl_media::{KeysError, Place, PoolKey, Protection, Store};
use zeroize::Zeroizing;

pub(crate) use self::destroy::{crypto_erase, dispose, due, settle};
use crate::access::SecretText;
use crate::library::Library;
use crate::request::Failure;
use crate::rules;
use crate::undo::explain;

/// What is done with keys of pools.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Give a pool a key: what is written on its cartridges from their next load on is encrypted (AES-256-GCM), and hosts notice nothing of it.
    Create(NewLock),
    /// List the pools that are encrypted, with what unlocks their keys.
    List,
    /// Unlock the key of a pool that opens with a passphrase, until the daemon ends.
    Unlock {
        pool: String,
        /// The passphrase is the line in this file; - is standard input.
        #[arg(long, value_name = "FILE|-")]
        passphrase_file: PathBuf,
    },
    /// Forget the key of a pool, until it is unlocked again. Cartridges in drives go on until they are unloaded.
    Lock { pool: String },
    /// Lock the key of a pool, which has to be unlocked, with another passphrase or file.
    Change(NewLock),
    /// Take away the key of a pool that no cartridge is encrypted with. The pool is not encrypted then.
    Remove { pool: String },
}

/// What the key of a pool is to be locked with.
#[derive(Debug, Args)]
pub(crate) struct NewLock {
    pool: String,
    /// A file that unlocks it, and is made if it is not there. Keep it on another medium than the data, and keep a copy: without it nobody
    /// reads the cartridges.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "passphrase_file",
        conflicts_with = "passphrase_file"
    )]
    key_file: Option<PathBuf>,
    /// A passphrase unlocks it: the line in this file; - is standard input. After each start of the daemon somebody has to give it.
    #[arg(long, value_name = "FILE|-")]
    passphrase_file: Option<PathBuf>,
}

/// What can be asked about keys of pools.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum KeysRequest {
    /// A new key.
    Create { pool: String, lock: Lock },
    /// All keys.
    List {},
    /// A key opens.
    Unlock { pool: String, passphrase: SecretText },
    /// A key closes.
    Lock { pool: String },
    /// A key opens with something else.
    Change { pool: String, lock: Lock },
    /// A key goes.
    Remove { pool: String },
}

/// What a key is locked with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Lock {
    /// A passphrase.
    Passphrase(SecretText),
    /// A file, as the daemon sees it.
    KeyFile(PathBuf),
}

impl KeyCommand {
    /// The request that a command is.
    pub(crate) fn request(self) -> Result<KeysRequest, Failure> {
        Ok(match self {
            Self::Create(new) => KeysRequest::Create { lock: new.lock()?, pool: new.pool },
            Self::List => KeysRequest::List {},
            Self::Unlock { pool, passphrase_file } => KeysRequest::Unlock {
                pool,
                passphrase: crate::access::read_secret(&passphrase_file)?,
            },
            Self::Lock { pool } => KeysRequest::Lock { pool },
            Self::Change(new) => KeysRequest::Change { lock: new.lock()?, pool: new.pool },
            Self::Remove { pool } => KeysRequest::Remove { pool },
        })
    }
}

impl NewLock {
    fn lock(&self) -> Result<Lock, Failure> {
        match (&self.key_file, &self.passphrase_file) {
            (Some(file), None) => std::path::absolute(file)
                .map(Lock::KeyFile)
                .map_err(|error| Failure::usage(format!("--key-file {}: {error}", file.display()))),
            (None, Some(file)) => crate::access::read_secret(file).map(Lock::Passphrase),
            _ => Err(Failure::usage("say --key-file or --passphrase-file")),
        }
    }
}

/// Carries a request out.
pub(crate) fn answer(
    library: &Library,
    request: KeysRequest,
    actor: &str,
) -> Result<Value, Failure> {
    let store = &library.store;
    match request {
        KeysRequest::Create { pool, lock } => {
            if !rules::has_pool(library, &pool)? {
                return Err(Failure::not_found(format!(
                    "there is no pool {pool}: `vtl pool create {pool}` makes it, or `vtl tape create --pool {pool}` its first cartridges"
                )));
            }
            let (protection, secret) = opened(&lock, true)?;
            let key =
                store.create_pool_key(&pool, (protection, &secret), actor).map_err(failure)?;
            let written = store.cartridges().into_iter().filter(|entry| {
                entry.pool.as_ref() == Some(&pool)
                    && (entry.load_count > 0 || entry.journal_bytes > 0)
            });
            let mut answer = told(store, &key);
            note(&mut answer, "not_encrypted_yet", json!(written.count()));
            warn_of_place(&mut answer, library, &lock);
            Ok(answer)
        }
        KeysRequest::List {} => list(store),
        KeysRequest::Unlock { pool, passphrase } => {
            let key = store.pool_key(&pool).map_err(failure)?;
            if let Protection::KeyFile { path } = &key.protection {
                return Err(Failure::usage(format!(
                    "the key of pool {pool} opens with the file {}, when the daemon starts: give it back to it and start it again",
                    path.display()
                )));
            }
            store.unlock_pool_key(&pool, passphrase.reveal().as_bytes()).map_err(failure)?;
            load_refused(library);
            Ok(told(store, &key))
        }
        KeysRequest::Lock { pool } => {
            let key = store.pool_key(&pool).map_err(failure)?;
            store.lock_pool_key(&pool).map_err(failure)?;
            Ok(told(store, &key))
        }
        KeysRequest::Change { pool, lock } => {
            let (protection, secret) = opened(&lock, true)?;
            let key =
                store.change_pool_key(&pool, (protection, &secret), actor).map_err(failure)?;
            let mut answer = told(store, &key);
            warn_of_place(&mut answer, library, &lock);
            Ok(answer)
        }
        KeysRequest::Remove { pool } => {
            store.remove_pool_key(&pool, actor).map_err(failure)?;
            Ok(json!({ "pool": pool, "removed": true }))
        }
    }
}

/// Loads cartridges that lie in drives, and were not loaded because the keys of their pools were locked.
fn load_refused(library: &Library) {
    for record in library.store.libraries() {
        for number in 0..record.drives.len() {
            let Ok(number) = u16::try_from(number) else { break };
            let place = Place::Drive { library: record.id.clone(), number: number.into() };
            let Some(unit) = library.drive_at(&place) else { continue };
            let (loader, store) = (library.loader(), Arc::clone(&library.store));
            unit.leave(move |device| {
                let refused = MediumState::Refused(NotLoaded::Locked);
                // Looked at when it is this unit's turn: the arm may have been there meanwhile.
                if let Some(drive) = device.drive().filter(|drive| drive.medium_state() == refused)
                    && let Some(entry) = store.at(&place)
                {
                    loader.load(drive, number, &entry, true);
                }
            });
        }
    }
}

/// Unlocks the keys that open with files. One that does not open keeps its cartridges closed, and nothing else.
pub(crate) fn open_files(store: &Store) {
    for pool in store.encrypted_pools().keys() {
        let opened = store.pool_key(pool).map_err(failure).and_then(|key| match &key.protection {
            Protection::Passphrase { .. } => Ok(()),
            Protection::KeyFile { path } => {
                let secret = file::read(path)?;
                store.unlock_pool_key(pool, &secret).map_err(failure)
            }
        });
        if let Err(failure) = opened {
            tracing::error!(pool, %failure, "the key of a pool does not open: its cartridges cannot be used");
        }
    }
}

fn list(store: &Store) -> Result<Value, Failure> {
    let mut rows = Vec::new();
    for (pool, id) in store.encrypted_pools() {
        rows.push(match store.pool_key(&pool) {
            Ok(key) => told(store, &key),
            Err(KeysError::Lost { .. }) => json!({
                "pool": pool, "key": id, "opens_with": null, "unlocked": store.keys().is_open(id), "state": "lost",
            }),
            Err(error) => return Err(failure(error)),
        });
    }
    Ok(Value::Array(rows))
}

fn told(store: &Store, key: &PoolKey) -> Value {
    let unlocked = store.keys().is_open(key.id);
    let cartridges =
        store.look_at_cartridges(|all| all.filter(|entry| entry.pool_key == Some(key.id)).count());
    json!({
        "pool": key.pool,
        "key": key.id,
        "opens_with": match &key.protection {
            Protection::Passphrase { .. } => "passphrase".to_owned(),
            Protection::KeyFile { path } => format!("file {}", path.display()),
        },
        "unlocked": unlocked,
        // In words as well: a table has no column for what is nowhere so, and that no key is unlocked has to be seen.
        "state": if unlocked { "unlocked" } else { "locked" },
        "cartridges": cartridges,
        "created": key.created,
    })
}

/// What a lock is, and what opens it.
fn opened(lock: &Lock, may_make: bool) -> Result<(Protection, Zeroizing<Vec<u8>>), Failure> {
    match lock {
        Lock::Passphrase(text) => {
            let secret = Zeroizing::new(text.reveal().as_bytes().to_vec());
            Ok((Protection::passphrase(), secret))
        }
        Lock::KeyFile(path) => {
            let secret = if may_make { file::read_or_make(path)? } else { file::read(path)? };
            Ok((Protection::KeyFile { path: path.clone() }, secret))
        }
    }
}

fn note(answer: &mut Value, key: &str, value: Value) {
    if let Value::Object(fields) = answer {
        fields.insert(key.to_owned(), value);
    }
}

/// Whoever takes the disk with the data away must not have taken the key as well.
fn warn_of_place(answer: &mut Value, library: &Library, lock: &Lock) {
    let Lock::KeyFile(path) = lock else { return };
    if file::is_beside(path, library.store.directory()) {
        let warning = format!(
            "{} is on the same file system as the data: whoever takes one takes both. Keep it on another medium, and a copy of it and of {} \
             where neither is",
            path.display(),
            library.store.keys_path().display()
        );
        note(answer, "warning", json!(warning));
    }
}

/// What went wrong, with the exit code that it has.
pub(crate) fn failure(error: KeysError) -> Failure {
    match error {
        KeysError::NoKey(_) => Failure::not_found(error.to_string()),
        KeysError::Exists(_)
        | KeysError::InUse { .. }
        | KeysError::Unlocked(_)
        | KeysError::Closed(_)
        | KeysError::Key(vtl_media::KeyError::Wrong { .. }) => Failure::refused(error.to_string()),
        KeysError::Key(vtl_media::KeyError::ShortPassphrase | vtl_media::KeyError::BadKeyFile) => {
            Failure::usage(error.to_string())
        }
        KeysError::Store(error) => explain(&error),
        error => Failure::failed(error),
    }
}
