//! What a tape file is, by its first bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::cpio;

/// What wrote a tape file, as far as its beginning tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing: a filemark right behind another, or at the beginning.
    Empty,
    /// A tar archive, of any dialect.
    Tar,
    /// A cpio archive, of any form.
    Cpio,
    /// Amanda's header, with a dump behind it.
    Amanda,
    /// Blocks of Bacula or Bareos.
    Bacula,
    /// A label of ANSI X3.27, as LTFS and others begin with.
    AnsiLabel,
    /// Something compressed: gzip, zstd, xz, bzip2 or lz4.
    Compressed,
    /// Something else, or encrypted.
    Unknown,
}

impl Kind {
    /// Looks at the first bytes; a kilobyte is enough.
    pub fn of(first: &[u8]) -> Self {
        let has =
            |at: usize, what: &[u8]| first.get(at..).is_some_and(|rest| rest.starts_with(what));
        if first.is_empty() {
            return Self::Empty;
        }
        if has(0, b"AMANDA: ") {
            return Self::Amanda;
        }
        // The block header of Bacula's media format: CRC, length and number come before the name of the version.
        if has(12, b"BB01") || has(12, b"BB02") {
            return Self::Bacula;
        }
        let is_cpio = [&b"070701"[..], b"070702", b"070707"].iter().any(|magic| has(0, magic));
        if is_cpio || cpio::is_binary(first) {
            return Self::Cpio;
        }
        if has(0, b"VOL1") || has(0, b"HDR1") {
            return Self::AnsiLabel;
        }
        if COMPRESSED.iter().any(|magic| has(0, magic)) {
            return Self::Compressed;
        }
        if is_tar(first) { Self::Tar } else { Self::Unknown }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Empty => "empty",
            Self::Tar => "tar",
            Self::Cpio => "cpio",
            Self::Amanda => "amanda",
            Self::Bacula => "bacula",
            Self::AnsiLabel => "ansi-label",
            Self::Compressed => "compressed",
            Self::Unknown => "unknown",
        })
    }
}

/// Whether a header with a right checksum is there: tar's oldest dialect has no other mark.
fn is_tar(first: &[u8]) -> bool {
    let Some(header) = first.first_chunk::<512>() else { return false };
    let header = tar::Header::from_byte_slice(header);
    let Ok(told) = header.cksum() else { return false };
    let field = 148..156;
    let sum = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(at, byte)| u32::from(if field.contains(&at) { b' ' } else { *byte }));
    told > 256 && told == sum.sum::<u32>()
}

const COMPRESSED: [&[u8]; 5] =
    [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh", b"\x04\x22\x4d\x18"];
