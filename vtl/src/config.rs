//! `vtl.toml`: written with comments on first start, read on every start.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, SpanRelativeTo};
use serde::Deserialize;
use vtl_iscsi::ChapAlgorithm;
use vtl_media::AccessRule;
use vtl_media::disk::{DirectoryDisk, Disk, OpenMode, write_all_at};

use crate::access::Listener;
use crate::targets::Layout;

/// The name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "vtl.toml";

/// What a fresh data directory gets: every value with its default, commented out.
const TEMPLATE: &str = r#"# The configuration of this tape library. Every value has the default that is shown;
# take away the # in front of a line to change it, and start `vtl serve` again.

[iscsi]
# Where initiators connect. Port 0 picks a free one.
# listen = "127.0.0.1:3260"

# Who may log in is said with `vtl access add`. An address that is not loopback is refused as
# long as there is no rule, or one without CHAP, unless this says that names are proof enough;
# without any rule it lets everybody in who reaches the port, to read and write every cartridge.
# allow-unauthenticated = false

# The algorithms for CHAP that initiators may use; the strongest of those that one offers is
# taken. Windows, and open-iscsi unless told otherwise, offer MD5 only.
# chap-algorithms = ["md5", "sha1", "sha256", "sha3-256"]

[target]
# "per-library": a library is one target, with the changer as LUN 0 and the drives behind it.
# "per-device": the changer and each drive have a target of their own, and are LUN 0 there.
# layout = "per-library"

[drives]
# Bytes that a drive may hold before they are on disk (only for buffered writes: a filemark
# is answered when everything before it is on disk).
# write-buffer-mib = 32

[undo]
# How long what was overwritten or erased can be brought back (`vtl tape history`, `vtl tape
# rewind`). It costs disk space: `vtl status` says how much.
# keep = "14d"

# The most that undo may take, such as "500GB"; beyond it the oldest goes first, however young
# it is. No limit if there is none. A disk that is nearly full has the same effect.
# keep-bytes = ""

[verify]
# Every cartridge is read back within a day after it was written, and then again when its
# proof is older than this. "off" leaves it to you (`vtl verify`).
# scrub = "30d"

# The most that this may take of the disk's time, in percent.
# share = 20
"#;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    pub(crate) iscsi: Iscsi,
    pub(crate) target: Target,
    pub(crate) drives: Drives,
    pub(crate) undo: Undo,
    pub(crate) verify: Verify,
}

/// `[undo]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Undo {
    #[serde(deserialize_with = "age")]
    pub(crate) keep: SignedDuration,
    #[serde(deserialize_with = "size")]
    pub(crate) keep_bytes: Option<u64>,
}

/// `[verify]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Verify {
    #[serde(deserialize_with = "age_or_off")]
    pub(crate) scrub: Option<SignedDuration>,
    #[serde(deserialize_with = "share")]
    pub(crate) share: u32,
}

impl Default for Undo {
    fn default() -> Self {
        Self { keep: SignedDuration::from_hours(14 * 24), keep_bytes: None }
    }
}

impl Default for Verify {
    fn default() -> Self {
        Self { scrub: Some(SignedDuration::from_hours(30 * 24)), share: 20 }
    }
}

/// `[iscsi]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Iscsi {
    pub(crate) listen: SocketAddr,
    pub(crate) allow_unauthenticated: bool,
    #[serde(deserialize_with = "algorithms")]
    pub(crate) chap_algorithms: Vec<ChapAlgorithm>,
}

/// `[target]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Target {
    pub(crate) layout: Layout,
}

/// `[drives]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Drives {
    #[serde(deserialize_with = "write_buffer_mib")]
    pub(crate) write_buffer_mib: u32,
}

impl Default for Iscsi {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3260)),
            allow_unauthenticated: false,
            chap_algorithms: ChapAlgorithm::ALL.to_vec(),
        }
    }
}

impl Default for Drives {
    fn default() -> Self {
        Self { write_buffer_mib: 32 }
    }
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file system.
    #[error("cannot read or write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text; the message names line and key.
    #[error("{path}: {message}")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        message: String,
    },
    /// S1 of the threat model: nobody is let in by accident.
    #[error(
        "{0} is not a loopback address, and without CHAP everybody who reaches it could read and write all cartridges: say who \
         may with `vtl access add IQN --chap` (while it listens on 127.0.0.1), or \
         set `allow-unauthenticated = true` in [iscsi] of vtl.toml if that is what you want"
    )]
    NotLoopback(SocketAddr),
    /// The same for one initiator.
    #[error(
        "{listen} is not a loopback address, and the rule for {rule} lets in whoever says that name: `vtl access add` it again \
         with --chap, or set `allow-unauthenticated = true` in [iscsi] of vtl.toml if that is what you want"
    )]
    RuleWithoutChap {
        /// The address.
        listen: SocketAddr,
        /// The initiator, and the library.
        rule: String,
    },
}

impl Config {
    /// Reads the file of a data directory; writes it first where there is none.
    pub(crate) fn read_or_create(directory: &Path) -> Result<Self, ConfigError> {
        let path = directory.join(FILE_NAME);
        let io = |source| ConfigError::Io { path: path.clone(), source };
        let disk = DirectoryDisk::new(directory);
        match read_text(&disk, &path, MAX_FILE_BYTES) {
            Ok(text) => Self::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_new(directory, &[])?;
                Self::parse(&path, TEMPLATE)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// Refuses to listen where strangers are, unless told to.
    pub(crate) fn check_listen(&self, rules: &[AccessRule]) -> Result<(), ConfigError> {
        let listen = self.iscsi.listen;
        if self.listener().trusts_names() {
            return Ok(());
        }
        match rules.iter().find(|rule| !rule.chap) {
            Some(rule) => Err(ConfigError::RuleWithoutChap { listen, rule: rule.to_string() }),
            None if rules.is_empty() => Err(ConfigError::NotLoopback(listen)),
            None => Ok(()),
        }
    }

    /// What counts of the address for whoever logs in.
    pub(crate) fn listener(&self) -> Listener {
        Listener {
            is_loopback: self.iscsi.listen.ip().is_loopback(),
            allows_unauthenticated: self.iscsi.allow_unauthenticated,
        }
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Bad { path: path.into(), message: error.to_string() })
    }
}

/// Writes the file where there is none, with these values in the place of what is commented out.
pub(crate) fn write_new(directory: &Path, values: &[(&str, &str)]) -> Result<(), ConfigError> {
    let path = directory.join(FILE_NAME);
    let io = |source| ConfigError::Io { path: path.clone(), source };
    let line = |line: &str| {
        let is_it = |(key, _): &&(&str, &str)| line.starts_with(&format!("# {key} = "));
        let value = values.iter().find(is_it);
        value.map_or_else(|| line.to_owned(), |(key, value)| format!("{key} = {value}"))
    };
    let text: String = TEMPLATE.lines().map(line).map(|line| line + "\n").collect();
    let file = DirectoryDisk::new(directory).open(&path, OpenMode::CreateNew).map_err(io)?;
    write_all_at(&*file, text.as_bytes(), 0).map_err(io)?;
    file.sync_data().map_err(io)
}

/// The text of a file in a data directory.
pub(crate) fn read_text(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> std::io::Result<String> {
    let bytes = vtl_media::disk::read_whole(disk, path, limit_bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no UTF-8 text"))
}

/// Checked while it is read, so that the message can point at the line.
fn write_buffer_mib<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = u32::deserialize(deserializer)?;
    if WRITE_BUFFER_MIB.contains(&value) {
        return Ok(value);
    }
    Err(serde::de::Error::custom(format_args!(
        "write-buffer-mib has to be from {} to {}",
        WRITE_BUFFER_MIB.start(),
        WRITE_BUFFER_MIB.end()
    )))
}

fn algorithms<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ChapAlgorithm>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let known = names.iter().map(|name| match name.as_str() {
        "md5" => Some(ChapAlgorithm::Md5),
        "sha1" => Some(ChapAlgorithm::Sha1),
        "sha256" => Some(ChapAlgorithm::Sha256),
        "sha3-256" => Some(ChapAlgorithm::Sha3_256),
        _ => None,
    });
    let known: Option<Vec<_>> = known.collect();
    known.filter(|list| !list.is_empty()).ok_or_else(|| {
        serde::de::Error::custom(
            "chap-algorithms has one or more of \"md5\", \"sha1\", \"sha256\", \"sha3-256\"",
        )
    })
}

/// A time such as "14d" or "12h".
fn age<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    parse_age(&String::deserialize(deserializer)?).ok_or_else(|| {
        serde::de::Error::custom(
            "this has to be a time such as \"14d\" or \"12h\", from 0s to 10000d",
        )
    })
}

fn age_or_off<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SignedDuration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    parse_age(&text).map(Some).ok_or_else(|| {
        serde::de::Error::custom("this has to be \"off\", or a time such as \"30d\"")
    })
}

fn parse_age(text: &str) -> Option<SignedDuration> {
    let span: jiff::Span = text.parse().ok()?;
    let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (!age.is_negative() && age <= SignedDuration::from_hours(AGE_DAYS_MAX * 24)).then_some(age)
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    crate::tapes::parse_size(&text).map(Some).ok_or_else(|| {
        serde::de::Error::custom("this has to be a size such as \"500GB\" or \"20GiB\"")
    })
}

fn share<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value = u32::deserialize(deserializer)?;
    if (1..=100).contains(&value) {
        return Ok(value);
    }
    Err(serde::de::Error::custom("share has to be from 1 to 100"))
}

const MAX_FILE_BYTES: u64 = 1 << 20;
const WRITE_BUFFER_MIB: RangeInclusive<u32> = 8..=1024;
const AGE_DAYS_MAX: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_all_defaults() {
        let config = Config::parse(Path::new("vtl.toml"), TEMPLATE).unwrap();
        assert_eq!(config.iscsi.listen.to_string(), "127.0.0.1:3260");
        assert!(config.check_listen(&[]).is_ok());
        let uncommented = TEMPLATE
            .replace("# listen", "listen")
            .replace("# allow-", "allow-")
            .replace("# chap-", "chap-")
            .replace("# layout", "layout")
            .replace("# write-", "write-")
            .replace("# keep", "keep")
            .replace("# scrub", "scrub")
            .replace("# share", "share");
        assert_eq!(
            Config::parse(Path::new("x"), &uncommented).unwrap().drives.write_buffer_mib,
            32
        );
    }

    #[test]
    fn a_bad_value_is_named_with_line_and_key() {
        let parse = |text| Config::parse(Path::new("/d/vtl.toml"), text).unwrap_err().to_string();
        let message = parse("[iscsi]\nlisten = \"nowhere\"\n");
        assert!(
            message.contains("/d/vtl.toml")
                && message.contains("line 2")
                && message.contains("listen"),
            "{message}"
        );
        let message = parse("[iscsi]\n\nlisten-to = 5\n");
        assert!(message.contains("line 3") && message.contains("listen-to"), "{message}");
        // The range was once checked after reading, when nobody knew the line any more.
        let message = parse("[drives]\n\nwrite-buffer-mib = 0");
        assert!(message.contains("line 3") && message.contains("from 8 to 1024"), "{message}");
    }

    #[test]
    fn windows_sizes_and_shares() {
        let parse = |text| Config::parse(Path::new("vtl.toml"), text);
        let config =
            parse("[undo]\nkeep = \"36h\"\nkeep-bytes = \"2GB\"\n[verify]\nscrub = \"off\"")
                .unwrap();
        assert_eq!(config.undo.keep, SignedDuration::from_hours(36));
        assert_eq!((config.undo.keep_bytes, config.verify.scrub), (Some(2_000_000_000), None));
        let default = Config::default();
        assert_eq!((default.undo.keep.as_hours(), default.verify.share), (14 * 24, 20));
        for bad in [
            "[undo]\nkeep = \"-1d\"",
            "[undo]\nkeep = \"soon\"",
            "[undo]\nkeep-bytes = \"5\"",
            "[verify]\nshare = 0",
            "[verify]\nscrub = 3",
        ] {
            let message = parse(bad).unwrap_err().to_string();
            assert!(message.contains("line 2"), "{message}");
        }
    }

    #[test]
    fn another_address_than_loopback_needs_chap_or_a_word() {
        let rule = |chap| AccessRule {
            initiator: "iqn.2026-11.example:host".to_owned(),
            library: None,
            chap,
            mutual: false,
            user: None,
            luns: None,
            read_only: false,
        };
        let rules: [&[AccessRule]; 3] = [&[], &[rule(true)], &[rule(true), rule(false)]];
        let outcomes = |listen: &str, allow_unauthenticated| {
            let mut config = Config::default();
            config.iscsi.listen = listen.parse().unwrap();
            config.iscsi.allow_unauthenticated = allow_unauthenticated;
            rules.map(|rules| config.check_listen(rules).is_ok())
        };
        for outside in ["0.0.0.0:3260", "192.0.2.1:3260", "[::]:3260"] {
            assert_eq!(outcomes(outside, false), [false, true, false], "{outside}");
            assert_eq!(outcomes(outside, true), [true; 3], "{outside}");
        }
        for inside in ["127.0.0.1:0", "[::1]:0", "127.1.2.3:3260"] {
            assert_eq!(outcomes(inside, false), [true; 3], "{inside}");
        }
        let mut config = Config::default();
        config.iscsi.listen = "0.0.0.0:3260".parse().unwrap();
        assert!(matches!(config.check_listen(&[]), Err(ConfigError::NotLoopback(_))));
        let message = config.check_listen(&[rule(false)]).unwrap_err().to_string();
        assert!(message.contains("iqn.2026-11.example:host"), "{message}");
    }

    #[test]
    fn algorithms_are_named_and_not_none() {
        let parse = |list: &str| {
            let text = format!("[iscsi]\nchap-algorithms = {list}\n");
            Config::parse(Path::new("vtl.toml"), &text)
        };
        assert_eq!(
            parse("[\"sha256\", \"md5\"]").unwrap().iscsi.chap_algorithms,
            [ChapAlgorithm::Sha256, ChapAlgorithm::Md5]
        );
        for bad in ["[]", "[\"sha512\"]", "\"md5\"", "[5]"] {
            assert!(parse(bad).unwrap_err().to_string().contains("line 2"), "{bad}");
        }
    }
}
