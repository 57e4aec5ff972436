//! `secrets.toml`: the only place where secrets are kept. Nobody but its owner can read it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::SecretText;

/// The name of the file in the data directory.
const FILE_NAME: &str = "secrets.toml";
/// Some thousand initiators.
const MAX_FILE_BYTES: u64 = 4 << 20;
const HEADER: &str = "# CHAP secrets of initiators, written by `vtl access add` and `vtl secret new`. Mode 0600, or it is refused.\n\
                      # After a change by hand start `vtl serve` again.\n\n";

/// All secrets, by the initiator's name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Secrets {
    initiators: BTreeMap<String, StoredSecrets>,
}

/// The secrets that belong to one initiator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct StoredSecrets {
    /// What it proves itself with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SecretText>,
    /// What the target proves itself with, to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_secret: Option<SecretText>,
}

impl StoredSecrets {
    /// Whether a secret that there was before is another one, or none.
    pub(super) fn replaces(&self, before: &Self) -> bool {
        let pairs = [(&before.secret, &self.secret), (&before.target_secret, &self.target_secret)];
        pairs.into_iter().any(|(before, now)| {
            before
                .as_ref()
                .is_some_and(|before| now.as_ref().is_none_or(|now| !now.is_same(before)))
        })
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// The file system.
    #[error("cannot read or write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a link, a pipe, a directory, or has another name.
    #[error("{} is not a regular file with one name, and is not read: put one there, or remove it", .0.display())]
    NotRegular(PathBuf),
    /// It belongs to somebody else.
    #[error("{} belongs to another user (uid {uid}), and is not read: `chown` it to the user that runs vtl", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others can read it.
    #[error(
        "{path} can be read or written by others (mode {mode:04o}), and is not used: `chmod 600 {path}`; if others may have \
         read it, replace the secrets with `vtl secret new INITIATOR`"
    )]
    TooOpen {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is no such file. The line is not shown: there may be a secret in it.
    #[error("{}: line {line} cannot be understood", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

impl Secrets {
    /// Reads the file of a data directory; nothing if there is none.
    pub(super) fn read(directory: &Path) -> Result<Self, SecretsError> {
        let path = directory.join(FILE_NAME);
        let io = |source| SecretsError::Io { path: path.clone(), source };
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                return Err(SecretsError::NotRegular(path));
            }
            Err(error) => return Err(io(error)),
        };
        check(&file, &path)?;
        let length = file.metadata().map_err(io)?.len();
        if length > MAX_FILE_BYTES {
            return Err(io(std::io::ErrorKind::FileTooLarge.into()));
        }
        // Room for all of it, so that no copy is left behind where it had too little.
        let room = usize::try_from(length).unwrap_or_default().saturating_add(1);
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(length).read_to_string(&mut text).map_err(io)?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            SecretsError::Malformed { path: path.clone(), line: before.matches('\n').count() + 1 }
        })
    }

    /// Writes the file anew: the old one or the new one is there, whatever happens.
    pub(super) fn write(&self, directory: &Path) -> Result<(), SecretsError> {
        let path = directory.join(FILE_NAME);
        let unfinished = directory.join(format!("{FILE_NAME}.new"));
        let io = |source| SecretsError::Io { path: path.clone(), source };
        let text = toml::to_string(self).map_err(|_| io(std::io::ErrorKind::InvalidData.into()))?;
        let text = Zeroizing::new(text);
        let write = || {
            // Left by a program that was killed meanwhile.
            match std::fs::remove_file(&unfinished) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(HEADER.as_bytes())?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(io)
    }

    pub(super) fn of(&self, initiator: &str) -> Option<&StoredSecrets> {
        self.initiators.get(initiator)
    }

    pub(super) fn entry(&mut self, initiator: &str) -> &mut StoredSecrets {
        self.initiators.entry(initiator.to_owned()).or_default()
    }

    pub(super) fn forget(&mut self, initiator: &str) -> bool {
        self.initiators.remove(initiator).is_some()
    }

    /// Whether what one side proves itself with is the same as what the other side does, for whichever initiators.
    pub(super) fn has_same_both_ways(&self) -> bool {
        let all = || self.initiators.values();
        let theirs = |own: &SecretText| {
            all().filter_map(|stored| stored.secret.as_ref()).any(|secret| secret.is_same(own))
        };
        all().filter_map(|stored| stored.target_secret.as_ref()).any(theirs)
    }
}

fn check(file: &File, path: &Path) -> Result<(), SecretsError> {
    let metadata =
        file.metadata().map_err(|source| SecretsError::Io { path: path.to_owned(), source })?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(SecretsError::NotRegular(path.to_owned()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(SecretsError::NotOurs { path: path.to_owned(), uid: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretsError::TooOpen { path: path.display().to_string(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn some() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.entry("iqn.2026-11.example:host").secret =
            Some(SecretText::new("with \"quotes\" and \\ in it"));
        secrets.entry("iqn.2026-11.example:other").target_secret =
            Some(SecretText::new("another-unreal-secret"));
        secrets
    }

    #[test]
    fn secrets_survive_the_round_trip_and_are_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Secrets::read(directory.path()).unwrap().initiators.is_empty());
        std::fs::write(directory.path().join("secrets.toml.new"), "left by another").unwrap();
        some().write(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = Secrets::read(directory.path()).unwrap();
        let host = read.of("iqn.2026-11.example:host").unwrap().secret.as_ref().unwrap();
        assert_eq!(host.reveal(), "with \"quotes\" and \\ in it");
        assert!(!format!("{read:?}").contains("quotes"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        some().write(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = Secrets::read(directory.path()).unwrap_err();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Secrets::read(directory.path()).is_ok());
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let elsewhere = tempfile::tempdir().unwrap();
        some().write(elsewhere.path()).unwrap();
        let other = elsewhere.path().join(FILE_NAME);
        symlink(&other, &path).unwrap();
        assert!(matches!(Secrets::read(directory.path()), Err(SecretsError::NotRegular(_))));
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(&other, &path).unwrap();
        assert!(matches!(Secrets::read(directory.path()), Err(SecretsError::NotRegular(_))));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(Secrets::read(directory.path()), Err(SecretsError::NotRegular(_))));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        some().write(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        let text = "[initiators.x]\nsecret = \"fine\"\ntarget-secret = canary-7hR2kq9X\n";
        std::fs::write(&path, text).unwrap();
        let message = Secrets::read(directory.path()).unwrap_err().to_string();
        assert!(message.contains("line 3") && !message.contains("canary"), "{message}");
    }

    // A file that was too long was cut where it was read, and the next change wrote it back short: secrets were lost.
    #[test]
    fn a_file_that_is_too_long_is_refused_and_not_cut() {
        let directory = tempfile::tempdir().unwrap();
        some().write(directory.path()).unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&"#".repeat(usize::try_from(MAX_FILE_BYTES).unwrap()));
        std::fs::write(&path, text).unwrap();
        assert!(matches!(Secrets::read(directory.path()), Err(SecretsError::Io { .. })));
    }

    #[test]
    fn the_same_secret_in_both_directions_is_found() {
        let mut secrets = some();
        assert!(!secrets.has_same_both_ways());
        secrets.entry("iqn.2026-11.example:third").secret =
            Some(SecretText::new("another-unreal-secret"));
        assert!(secrets.has_same_both_ways());
        assert!(secrets.forget("iqn.2026-11.example:third") && !secrets.has_same_both_ways());
    }
}
