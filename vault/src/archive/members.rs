//! The members of an archive, with where each of them begins and ends.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{Kind, NAME_BYTES_MAX, RawName, TapeFile, cpio, multivolume};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    SymbolicLink,
    /// A second name of a member before it.
    HardLink,
    /// The name that an archive was given.
    Label,
    /// A device, a pipe, or what only its writer knows.
    Other,
}

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name as text; what is no UTF-8 in it is replaced. Several names may look like one: `name` tells them apart.
    pub path: String,
    /// Its name as it was written, if that is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<RawName>,
    /// What it is.
    pub kind: MemberKind,
    /// How long it is when it is unpacked.
    pub size_bytes: u64,
    /// When it was changed last, in seconds since 1970.
    pub modified: u64,
    /// What a link leads to, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The same as it was written, if that is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_hex: Option<RawName>,
    /// Where it begins in the tape file, with all of its headers.
    pub begin: u64,
    /// Where it ends, with its padding.
    pub end: u64,
    /// Which part of a file it is whose beginning is on the volume before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// A part of a file that goes on from one volume to the next, as `tar -M` writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes of the file on the volumes before.
    pub offset_bytes: u64,
    /// Bytes that are left of it from here on.
    pub left_bytes: u64,
}

impl Member {
    /// Its name, as it was written.
    pub fn name(&self) -> &[u8] {
        self.path_hex.as_ref().map_or(self.path.as_bytes(), RawName::as_bytes)
    }

    /// What a link leads to, as it was written.
    pub fn link_name(&self) -> Option<&[u8]> {
        let raw = self.link_hex.as_ref().map(RawName::as_bytes);
        raw.or_else(|| self.link.as_deref().map(str::as_bytes))
    }

    /// Makes it a link to a name.
    pub(super) fn set_link(&mut self, name: &[u8]) {
        let (link, link_hex) = RawName::divided(name);
        (self.link, self.link_hex) = (Some(link), link_hex);
    }

    /// Where the data of a file begins that is no sparse one.
    pub fn data_begin(&self) -> u64 {
        // An archive may say what it likes of a sparse file's length.
        let stored = self.size_bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX);
        self.end.saturating_sub(stored)
    }
}

/// What was found in a tape file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// What the tape file is.
    pub kind: Kind,
    /// The members, if it is an archive that can be looked into.
    pub members: Vec<Member>,
    /// Why what follows the last member is not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

/// What may still be listed: all tape files of an answer have one budget together, as the answer is in memory as a whole.
#[derive(Debug)]
pub struct Budget<'a> {
    /// Bytes of names, and of what links lead to.
    names_bytes: usize,
    members: usize,
    is_gone: &'a AtomicBool,
}

impl<'a> Budget<'a> {
    /// A whole one. The listing ends early when nobody waits for it any more.
    pub fn new(is_gone: &'a AtomicBool) -> Self {
        Self { names_bytes: NAMES_BYTES_MAX, members: MEMBERS_MAX, is_gone }
    }

    /// Whether nobody waits any more.
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Pays for a listing that was made before.
    pub fn take(&mut self, listing: &Listing) -> io::Result<()> {
        for member in &listing.members {
            self.spend(member)?;
        }
        Ok(())
    }

    pub(super) fn spend(&mut self, member: &Member) -> io::Result<()> {
        if self.is_gone() {
            return Err(io::Error::other("given up"));
        }
        let names = [member.name().len(), member.link_name().map_or(0, <[u8]>::len)];
        if names.iter().any(|length| *length > NAME_BYTES_MAX) {
            return Err(io::Error::other(format!(
                "a name is too long: more than {NAME_BYTES_MAX} bytes"
            )));
        }
        let members = self.members.checked_sub(1);
        self.members = members.ok_or_else(|| {
            io::Error::other(format!("more than {MEMBERS_MAX} members in one answer"))
        })?;
        let texts = [member.path.len(), member.link.as_ref().map_or(0, String::len)];
        let raw = [&member.path_hex, &member.link_hex].into_iter().flatten();
        let raw: usize = raw.map(|raw| raw.as_bytes().len()).sum();
        let left = self.names_bytes.checked_sub(texts.iter().sum::<usize>().saturating_add(raw));
        self.names_bytes = left.ok_or_else(|| {
            io::Error::other(format!(
                "more than {} MiB of names in one answer",
                NAMES_BYTES_MAX >> 20
            ))
        })?;
        Ok(())
    }
}

/// Lists a tape file. Of the members only the headers are read.
pub fn list(file: &mut TapeFile<'_>, budget: &mut Budget<'_>) -> io::Result<Listing> {
    let first = beginning(file)?;
    let kind = Kind::of(&first);
    let begin = match kind {
        Kind::Tar if has_label(&first) || multivolume::begins_with_whole_file(&first) => {
            Some(BLOCK_BYTES)
        }
        Kind::Tar | Kind::Cpio => Some(0),
        Kind::Amanda => behind_header(file, &first)?,
        _ => None,
    };
    let mut listing = Listing { kind, members: Vec::new(), broken: None };
    let Some(begin) = begin else { return Ok(listing) };
    file.seek(SeekFrom::Start(begin))?;
    let length = file.length_bytes();
    let found = &mut listing.members;
    if begin == BLOCK_BYTES && has_label(&first) {
        found.push(label(&first));
    }
    let listed = match kind {
        Kind::Cpio => cpio::members(file, begin, found, budget),
        _ => members(file, begin, length, found, budget),
    };
    if let Err(error) = listed {
        listing.broken = Some(vtl_media::with_causes(&error));
    }
    Ok(listing)
}

/// Whether a tar archive begins with a name of its own, as `tar --label` gives it one: a header that lacks numbers which the others have.
pub fn has_label(first: &[u8]) -> bool {
    first.get(TYPE_AT) == Some(&LABEL)
}

fn label(first: &[u8]) -> Member {
    let name = first.split(|byte| *byte == 0).next().unwrap_or_default();
    let (path, path_hex) = RawName::divided(name.get(..LABEL_BYTES_MAX).unwrap_or(name));
    Member {
        path,
        path_hex,
        kind: MemberKind::Label,
        size_bytes: 0,
        modified: 0,
        link: None,
        link_hex: None,
        begin: 0,
        end: BLOCK_BYTES,
        part: None,
    }
}

/// The bytes that tell what a tape file is.
fn beginning(file: &mut TapeFile<'_>) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(PEEK_BYTES).read_to_end(&mut first)?;
    Ok(first)
}

/// Where the archive behind Amanda's header begins, if there is one that is not compressed.
fn behind_header(file: &mut TapeFile<'_>, first: &[u8]) -> io::Result<Option<u64>> {
    if !first.starts_with(b"AMANDA: FILE") && !first.starts_with(b"AMANDA: SPLIT_FILE") {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(AMANDA_HEADER_BYTES))?;
    let mut behind = Vec::new();
    file.by_ref().take(PEEK_BYTES).read_to_end(&mut behind)?;
    Ok((Kind::of(&behind) == Kind::Tar).then_some(AMANDA_HEADER_BYTES))
}

fn members(
    file: &mut TapeFile<'_>,
    base: u64,
    length: u64,
    found: &mut Vec<Member>,
    budget: &mut Budget<'_>,
) -> io::Result<()> {
    let allowance = Cell::new(HEADERS_BYTES_MAX);
    let mut archive = tar::Archive::new(Behind { file, base, allowance: &allowance });
    let mut begin = base;
    let mut volume = None;
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        allowance.set(HEADERS_BYTES_MAX);
        let is_sparse = entry.header().entry_type() == tar::EntryType::GNUSparse;
        let stored = if is_sparse { entry.header().entry_size()? } else { entry.size() };
        let kind = entry.header().entry_type();
        let is_global = kind.is_pax_global_extensions();
        let sparse = if is_global { SparseFile::default() } else { SparseFile::of(&mut entry)? };
        let end = base
            .checked_add(entry.raw_file_position())
            .and_then(|at| at.checked_add(stored))
            .and_then(|at| at.checked_next_multiple_of(BLOCK_BYTES));
        let end = end.ok_or_else(|| io::Error::other("a member is longer than any tape"))?;
        if is_global {
            // It is about the members that follow it, and none itself.
            volume = multivolume::of_global(&mut entry)?;
            begin = end;
            continue;
        }
        let (name, part) = match volume.take().or_else(|| multivolume::of_header(entry.header())) {
            Some((name, part)) => (name, Some(part)),
            None => (None, None),
        };
        let name = name.or(sparse.name).unwrap_or_else(|| entry.path_bytes().into_owned());
        let (path, path_hex) = RawName::divided(&name);
        let mut member = Member {
            path,
            path_hex,
            kind: if part.is_some() { MemberKind::File } else { kind_of(kind, &name) },
            size_bytes: sparse.size_bytes.unwrap_or(entry.size()),
            modified: entry.header().mtime().unwrap_or(0),
            link: None,
            link_hex: None,
            begin,
            end,
            part,
        };
        if let Some(link) = entry.link_name_bytes() {
            member.set_link(&link);
        }
        budget.spend(&member)?;
        found.push(member);
        if end > length {
            return Err(io::Error::other(CUT));
        }
        begin = end;
    }
    Ok(())
}

/// What GNU tar says of a sparse file in a pax archive: there its header has another name and another length.
#[derive(Default)]
struct SparseFile {
    name: Option<Vec<u8>>,
    size_bytes: Option<u64>,
}

impl SparseFile {
    fn of<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Self> {
        let mut sparse = Self::default();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            match extension.key_bytes() {
                b"GNU.sparse.name" => sparse.name = Some(extension.value_bytes().to_vec()),
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    sparse.size_bytes = extension.value().ok().and_then(|text| text.parse().ok());
                }
                _ => {}
            }
        }
        Ok(sparse)
    }
}

fn kind_of(kind: tar::EntryType, name: &[u8]) -> MemberKind {
    match kind {
        // The oldest dialect marks directories only so.
        tar::EntryType::Regular if name.ends_with(b"/") => MemberKind::Directory,
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            MemberKind::File
        }
        tar::EntryType::Directory => MemberKind::Directory,
        tar::EntryType::Symlink => MemberKind::SymbolicLink,
        tar::EntryType::Link => MemberKind::HardLink,
        // In an incremental archive of GNU tar a directory has the names of what was in it as its data.
        other if other.as_byte() == b'D' => MemberKind::Directory,
        other if other.as_byte() == LABEL => MemberKind::Label,
        _ => MemberKind::Other,
    }
}

/// A tape file from some byte on.
struct Behind<'a, 'b> {
    file: &'a mut TapeFile<'b>,
    base: u64,
    /// What may still be read before the next member: a name that is as long as a tape does not get into memory.
    allowance: &'a Cell<u64>,
}

impl Read for Behind<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let left = self.allowance.get().checked_sub(count as u64);
        self.allowance
            .set(left.ok_or_else(|| io::Error::other("the headers of a member are too long"))?);
        Ok(count)
    }
}

impl Seek for Behind<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => {
                SeekFrom::Start(at.checked_add(self.base).ok_or(io::ErrorKind::InvalidInput)?)
            }
            other => other,
        };
        let at = self.file.seek(to)?;
        at.checked_sub(self.base).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

/// Why a listing ends with the last member that is there.
pub(super) const CUT: &str = "the tape file ends within this member (if that was the first of several volumes, it goes on on the next one)";
const PEEK_BYTES: u64 = 1024;
/// Where a header says what it is of.
const TYPE_AT: usize = 156;
const LABEL: u8 = b'V';
const LABEL_BYTES_MAX: usize = 100;
const BLOCK_BYTES: u64 = 512;
const AMANDA_HEADER_BYTES: u64 = 32 << 10;
const HEADERS_BYTES_MAX: u64 = 16 << 20;
const MEMBERS_MAX: usize = 1_000_000;
const NAMES_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// A sparse file that says it is as long as a number can be brought a restore of everything else to its end.
    #[test]
    fn a_length_that_no_file_has_is_no_panic() {
        let member = Member {
            path: "x".into(),
            path_hex: None,
            kind: MemberKind::File,
            size_bytes: u64::MAX,
            modified: 0,
            link: None,
            link_hex: None,
            begin: 0,
            end: 2048,
            part: None,
        };
        assert_eq!(member.data_begin(), 0);
    }
}
