//! Where receipts and the keys that sign them are kept.
//!
//! ```text
//! DIR/keys/receipt-signing.key    the key that signs now, 64 hexadecimal digits; mode 0600, or it is refused
//! DIR/keys/receipt-keys.pub       all public keys there ever were, one a line, the newest last
//! DIR/receipts/UUID.json          a receipt, by the identity of its copy
//! DIR/reports/UUID.json           a signed statement, such as the report of a drill
//! DIR/reports/UUID.prepared       one about what was going to be done: no report, unless it is known that it was
//! ```
//!
//! A key is in the list of public keys before anything is signed with it, so that each receipt finds its key after any crash.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use uuid::Uuid;
use vtl_media::disk::{Disk, read_whole, replace_whole};
use zeroize::Zeroizing;

use super::{PublicKey, RECEIPT_BYTES_MAX, Receipt, ReceiptError, SigningKey, Statement};
use crate::hex;

/// Some ten thousand keys.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
/// What nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// The receipts and signing keys of one data directory. One value for all threads: it lets one of them write at a time.
#[derive(Debug)]
pub struct Archive {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    writing: Mutex<()>,
}

/// Why a receipt or a key could not be read or kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file system.
    #[error("cannot read or write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can get at the signing key.
    #[error(
        "{path} can be read or written by others (mode {mode:04o}), and nothing is signed with it: `chmod go= {path}`; if others \
         may have read it, `vtl receipt rotate-key` makes a new one"
    )]
    TooOpen {
        /// The file or directory.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is no key file.
    #[error("{}: there are other things than keys in it: bring it back from a backup, or move it away", .0.display())]
    NotKeys(PathBuf),
    /// There is no such receipt.
    #[error("there is no receipt {0}; `vtl receipt list` shows those that there are")]
    NoReceipt(Uuid),
    /// There is no such report.
    #[error(
        "the report {0} is not there any more: `reports` in the data directory was changed by somebody"
    )]
    NoReport(Uuid),
    /// A receipt is never replaced by another one.
    #[error("there is a proved receipt {0} already, with other content: it stays as it is")]
    Kept(Uuid),
    /// It is no receipt of this library.
    #[error("receipt {id}: {source}")]
    Receipt {
        /// The receipt.
        id: Uuid,
        /// Why.
        source: ReceiptError,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] ReceiptError),
}

impl Archive {
    /// The archive in a data directory. Nothing is made before it is needed.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self { disk, directory: directory.to_owned(), writing: Mutex::new(()) }
    }

    /// The key to sign with, which is made when there is none.
    pub fn signing_key(&self) -> Result<SigningKey, ArchiveError> {
        let _writing = self.lock();
        let Some(key) = self.current()? else { return self.begin_key() };
        // The list may have been lost; what was signed with this key has to find it.
        self.publish(key.public())?;
        Ok(key)
    }

    /// All public keys there ever were, the newest last; none before the first use.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>, ArchiveError> {
        let path = self.keys().join(PUBLIC_KEYS);
        if !self.has(&path)? {
            return Ok(Vec::new());
        }
        let bytes = read_whole(&*self.disk, &path, KEY_FILE_BYTES_MAX).map_err(io_of(&path))?;
        let text = String::from_utf8(bytes).map_err(|_| ArchiveError::NotKeys(path.clone()))?;
        let keys: Result<_, _> = text.lines().map(str::parse).collect();
        keys.map_err(|_| ArchiveError::NotKeys(path))
    }

    /// A new key signs from now on. The secret of the old one is forgotten; what it signed can be verified for ever.
    pub fn rotate_key(&self) -> Result<PublicKey, ArchiveError> {
        let _writing = self.lock();
        // A key file that others have seen, or that is damaged, is just what is to be replaced: it is not read.
        self.begin_key().map(|key| key.public())
    }

    /// Keeps a receipt: the first phase, and in its place the second. It is durable when this returns.
    pub fn keep(&self, receipt: &Receipt) -> Result<PathBuf, ArchiveError> {
        let _writing = self.lock();
        let id = receipt.content().manifest.id;
        self.make_directory(RECEIPTS)?;
        let path = self.path_of(id);
        if self.has(&path)? {
            let there = read_whole(&*self.disk, &path, limit()).map_err(io_of(&path))?;
            if there == receipt.to_bytes() {
                return Ok(path);
            }
            if Receipt::verify(&there, None).is_ok_and(|there| there.proof.is_some()) {
                return Err(ArchiveError::Kept(id));
            }
        }
        replace_whole(&*self.disk, &path, receipt.to_bytes()).map_err(io_of(&path))?;
        Ok(path)
    }

    /// The bytes of a receipt, whatever they are.
    pub fn bytes(&self, id: Uuid) -> Result<Vec<u8>, ArchiveError> {
        let path = self.path_of(id);
        if !self.has(&path)? {
            return Err(ArchiveError::NoReceipt(id));
        }
        read_whole(&*self.disk, &path, limit()).map_err(io_of(&path))
    }

    /// A receipt that one of our own keys has signed.
    pub fn receipt(&self, id: Uuid) -> Result<Receipt, ArchiveError> {
        let of = |source| ArchiveError::Receipt { id, source };
        let receipt = Receipt::read(&self.bytes(id)?, None).map_err(of)?;
        let content = receipt.content();
        if content.manifest.id != id {
            return Err(of(ReceiptError::Altered("it is the receipt of another copy")));
        }
        let keys = self.public_keys()?;
        if !keys.contains(&content.key) {
            let wanted = keys.last().map_or_else(|| "one of ours".to_owned(), PublicKey::id);
            return Err(of(ReceiptError::OtherKey { signer: content.key.id(), wanted }));
        }
        Ok(receipt)
    }

    /// The identities of all receipts, the oldest first.
    pub fn list(&self) -> Result<Vec<Uuid>, ArchiveError> {
        self.ids(RECEIPTS, SUFFIX)
    }

    /// Keeps a statement under a new identity. It is durable on return.
    pub fn keep_report(&self, id: Uuid, statement: &Statement) -> Result<PathBuf, ArchiveError> {
        let _writing = self.lock();
        self.make_directory(REPORTS)?;
        let path = self.report_path(id);
        if self.has(&path)? {
            return Err(ArchiveError::Kept(id));
        }
        replace_whole(&*self.disk, &path, statement.to_bytes()).map_err(io_of(&path))?;
        Ok(path)
    }

    /// Keeps a statement about what is going to be done, which is no report before it is published. One that was there is replaced.
    pub fn prepare_report(&self, id: Uuid, statement: &Statement) -> Result<(), ArchiveError> {
        let _writing = self.lock();
        self.make_directory(REPORTS)?;
        let path = self.prepared_path(id);
        replace_whole(&*self.disk, &path, statement.to_bytes()).map_err(io_of(&path))
    }

    /// What was prepared and not published.
    pub fn prepared_report(&self, id: Uuid) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.statement(&self.prepared_path(id))
    }

    /// It was done: what was prepared is the report.
    pub fn publish_report(&self, id: Uuid) -> Result<PathBuf, ArchiveError> {
        let _writing = self.lock();
        let (from, path) = (self.prepared_path(id), self.report_path(id));
        let renamed = self.disk.rename(&from, &path);
        let synced = renamed.and_then(|()| self.disk.sync_dir(&self.directory.join(REPORTS)));
        synced.map_err(io_of(&path))?;
        Ok(path)
    }

    /// Of what statements were prepared and not published.
    pub fn prepared_reports(&self) -> Result<Vec<Uuid>, ArchiveError> {
        self.ids(REPORTS, PREPARED)
    }

    /// It was not done, and will not be.
    pub fn give_up_report(&self, id: Uuid) -> Result<(), ArchiveError> {
        let _writing = self.lock();
        let path = self.prepared_path(id);
        if !self.has(&path)? {
            return Ok(());
        }
        self.disk.remove(&path).map_err(io_of(&path))
    }

    /// The bytes of a statement, whatever they are.
    pub fn report(&self, id: Uuid) -> Result<Vec<u8>, ArchiveError> {
        self.statement(&self.report_path(id))?.ok_or(ArchiveError::NoReport(id))
    }

    fn statement(&self, path: &Path) -> Result<Option<Vec<u8>>, ArchiveError> {
        if !self.has(path)? {
            return Ok(None);
        }
        read_whole(&*self.disk, path, limit()).map(Some).map_err(io_of(path))
    }

    /// The identities that files of a directory are named after.
    fn ids(&self, directory: &str, suffix: &str) -> Result<Vec<Uuid>, ArchiveError> {
        let directory = self.directory.join(directory);
        if !self.has(&directory)? {
            return Ok(Vec::new());
        }
        let names = self.disk.list(&directory).map_err(io_of(&directory))?;
        let id = |name: &PathBuf| name.to_str()?.strip_suffix(suffix)?.parse().ok();
        Ok(names.iter().filter_map(id).collect())
    }

    /// Where a statement is, or would be.
    pub fn report_path(&self, id: Uuid) -> PathBuf {
        self.directory.join(REPORTS).join(format!("{id}{SUFFIX}"))
    }

    fn prepared_path(&self, id: Uuid) -> PathBuf {
        self.directory.join(REPORTS).join(format!("{id}{PREPARED}"))
    }

    /// Where the receipt of a copy is, or would be.
    pub fn path_of(&self, id: Uuid) -> PathBuf {
        self.directory.join(RECEIPTS).join(format!("{id}{SUFFIX}"))
    }

    fn keys(&self) -> PathBuf {
        self.directory.join(KEYS)
    }

    /// The key in its file, if there is one.
    fn current(&self) -> Result<Option<SigningKey>, ArchiveError> {
        let path = self.keys().join(SIGNING_KEY);
        if !self.has(&path)? {
            return Ok(None);
        }
        for path in [self.keys(), path.clone()] {
            let mode = self.disk.mode(&path).map_err(io_of(&path))?;
            if mode & OTHERS != 0 {
                return Err(ArchiveError::TooOpen { path: path.display().to_string(), mode });
            }
        }
        let bytes = read_whole(&*self.disk, &path, KEY_FILE_BYTES_MAX).map_err(io_of(&path))?;
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).ok().map(str::trim_ascii_end);
        let seed = text.and_then(hex::decode).map(Zeroizing::new);
        let seed = seed.ok_or(ArchiveError::NotKeys(path))?;
        Ok(Some(SigningKey::from_seed(&seed)?))
    }

    fn begin_key(&self) -> Result<SigningKey, ArchiveError> {
        self.make_directory(KEYS)?;
        let key = SigningKey::generate()?;
        self.publish(key.public())?;
        let seed = key.seed()?;
        let text = Zeroizing::new(hex::encode(&*seed) + "\n");
        let path = self.keys().join(SIGNING_KEY);
        // What a program that was killed has left is not written into, as its mode could be another.
        let unfinished = path.with_extension("new");
        if self.has(&unfinished)? {
            self.disk.remove(&unfinished).map_err(io_of(&unfinished))?;
        }
        replace_whole(&*self.disk, &path, text.as_bytes()).map_err(io_of(&path))?;
        Ok(key)
    }

    fn publish(&self, key: PublicKey) -> Result<(), ArchiveError> {
        let mut keys = self.public_keys()?;
        if keys.contains(&key) {
            return Ok(());
        }
        keys.push(key);
        let lines = keys.iter().flat_map(|key| [key.to_string(), "\n".to_owned()]);
        let text: String = lines.collect();
        let path = self.keys().join(PUBLIC_KEYS);
        replace_whole(&*self.disk, &path, text.as_bytes()).map_err(io_of(&path))
    }

    fn make_directory(&self, name: &str) -> Result<(), ArchiveError> {
        let path = self.directory.join(name);
        let made = self.disk.create_dir(&path).and_then(|()| self.disk.sync_dir(&self.directory));
        made.map_err(io_of(&path))
    }

    fn has(&self, path: &Path) -> Result<bool, ArchiveError> {
        self.disk.exists(path).map_err(io_of(path))
    }

    /// What a thread that panicked has left behind is whole: files are replaced in one step.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn io_of(path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Io { path, source }
}

fn limit() -> u64 {
    u64::try_from(RECEIPT_BYTES_MAX).unwrap_or(u64::MAX)
}

const KEYS: &str = "keys";
const SIGNING_KEY: &str = "receipt-signing.key";
const PUBLIC_KEYS: &str = "receipt-keys.pub";
const RECEIPTS: &str = "receipts";
const REPORTS: &str = "reports";
const SUFFIX: &str = ".json";
const PREPARED: &str = ".prepared";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vtl_media::disk::{MemoryDisk, RealDisk};

    use super::super::tests::{manifest_of, proof_of, tape};
    use super::*;

    fn receipt(key: &SigningKey, id: u128) -> Receipt {
        let mut manifest = manifest_of(&tape());
        manifest.id = Uuid::from_u128(id);
        let proof = proof_of(&manifest);
        Receipt::manifested(manifest, key).unwrap().proved(proof, key).unwrap()
    }

    fn in_memory() -> Archive {
        let disk = MemoryDisk::new();
        disk.create_dir(Path::new("/data")).unwrap();
        Archive::new(Arc::new(disk), Path::new("/data"))
    }

    #[test]
    fn old_receipts_verify_after_the_key_is_replaced() {
        let archive = in_memory();
        assert!(archive.public_keys().unwrap().is_empty());
        let first = archive.signing_key().unwrap();
        assert_eq!(archive.signing_key().unwrap().public(), first.public());
        archive.keep(&receipt(&first, 1)).unwrap();
        let second = archive.rotate_key().unwrap();
        assert_ne!(first.public(), second);
        assert_eq!(archive.signing_key().unwrap().public(), second);
        assert_eq!(archive.public_keys().unwrap(), [first.public(), second]);
        archive.keep(&receipt(&archive.signing_key().unwrap(), 2)).unwrap();
        let ids = archive.list().unwrap();
        assert_eq!(ids, [Uuid::from_u128(1), Uuid::from_u128(2)]);
        assert_eq!(archive.receipt(ids[0]).unwrap().content().key, first.public());
        assert_eq!(archive.receipt(ids[1]).unwrap().content().key, second);
    }

    #[test]
    fn receipts_of_strangers_are_not_ours() {
        let archive = in_memory();
        archive.signing_key().unwrap();
        let stranger = SigningKey::from_seed(&[5; 32]).unwrap();
        archive.keep(&receipt(&stranger, 1)).unwrap();
        let refused = archive.receipt(Uuid::from_u128(1)).unwrap_err();
        let is_other =
            matches!(refused, ArchiveError::Receipt { source: ReceiptError::OtherKey { .. }, .. });
        assert!(is_other, "{refused}");
        let missing = archive.receipt(Uuid::from_u128(2)).unwrap_err();
        assert!(matches!(missing, ArchiveError::NoReceipt(_)), "{missing}");
    }

    #[test]
    fn a_proved_receipt_is_never_replaced() {
        let archive = in_memory();
        let key = archive.signing_key().unwrap();
        let proved = receipt(&key, 7);
        let manifest = Receipt::manifested(manifest_of(&tape()), &key).unwrap();
        archive.keep(&manifest).unwrap();
        archive.keep(&proved).unwrap();
        archive.keep(&proved).unwrap();
        let refused = archive.keep(&manifest).unwrap_err();
        assert!(matches!(refused, ArchiveError::Kept(_)), "{refused}");
        assert_eq!(archive.bytes(Uuid::from_u128(7)).unwrap(), proved.to_bytes());
    }

    #[test]
    fn a_key_that_others_can_read_signs_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let archive = Archive::new(Arc::new(RealDisk::new()), directory.path());
        let key = archive.signing_key().unwrap();
        let keys = directory.path().join(KEYS);
        let file = keys.join(SIGNING_KEY);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&keys), mode(&file)), (0o700, 0o600));
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for (path, wide) in [(&file, 0o640), (&file, 0o604), (&keys, 0o750), (&keys, 0o701)] {
            let before = mode(path);
            set(path, wide);
            let refused = archive.signing_key().unwrap_err();
            assert!(refused.to_string().contains("rotate-key"), "{refused}");
            set(path, before);
        }
        assert_eq!(archive.signing_key().unwrap().public(), key.public());
        // The new key is in a file of its own, with no wider mode than the first.
        set(&file, 0o644);
        let fresh = archive.rotate_key().unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(archive.signing_key().unwrap().public(), fresh);
    }

    #[test]
    fn a_damaged_key_is_told_and_not_shown() {
        let archive = in_memory();
        archive.signing_key().unwrap();
        let path = Path::new("/data/keys/receipt-signing.key");
        replace_whole(&*archive.disk, path, b"canary-7hR2kq9X\n").unwrap();
        let refused = archive.signing_key().unwrap_err().to_string();
        assert!(refused.contains("receipt-signing.key") && !refused.contains("canary"));
    }
}
