//! The data of a member of a tar archive, sparse files of all of GNU tar's forms among them. They are taken apart here, so that nothing is ever made
//! under another name than the one that was checked, and holes stay holes.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use vtl_vault::archive::{Member, MemberKind};

use super::place::{self, Stamp};

/// Where the pieces of a file lie that are there, and how long they are.
type Map = Vec<(u64, u64)>;

/// The name of a sparse file whose header has a made-up one.
pub(super) fn name<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<OsString>> {
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if extension.key_bytes() == b"GNU.sparse.name" {
            return Ok(Some(OsString::from_vec(extension.value_bytes().to_vec())));
        }
    }
    Ok(None)
}

/// Makes what a member is, unless that is a directory or a hard link. The library for tar archives reads the holes of a sparse file of GNU's own form as
/// zeros, however many: such a file is made of the member's bytes by what is returned then.
pub(super) fn content<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    member: &Member,
    target: &Path,
    is_overwritten: bool,
) -> io::Result<Option<OfGnu>> {
    match member.kind {
        MemberKind::File => {}
        MemberKind::SymbolicLink => {
            let stamp = Stamp::of_tar(entry.header());
            let to = entry.link_name_bytes().unwrap_or_default();
            place::symbolic_link(Path::new(OsStr::from_bytes(&to)), target, is_overwritten, stamp)?;
            return Ok(None);
        }
        _ => return Err(place::not_made()),
    }
    let form = form(entry)?;
    let stamp = Stamp::of_tar(entry.header());
    if let Form::OfGnu(header) = form {
        let begin = entry.raw_file_position();
        return Ok(Some(OfGnu { header, begin, size_bytes: member.size_bytes, stamp }));
    }
    if matches!(form, Form::Unknown) {
        return Err(io::Error::other(
            "a sparse file in a form that is not understood; `tar` itself reads it from the tape",
        ));
    }
    let wanted = entry.size();
    let mut from = io::BufReader::new(entry);
    let fill = |to: &mut File| {
        let map = match form {
            Form::InRecords(map) => map,
            Form::InData => map_in_data(&mut from)?,
            _ => return copy(&mut from, to, wanted),
        };
        expand(&mut from, to, &map, member.size_bytes)
    };
    place::new_file(target, is_overwritten, stamp, fill).map(|()| None)
}

/// A sparse file in the form of GNU's own archives: the map is in its header, and in others behind that.
pub(super) struct OfGnu {
    header: Box<tar::Header>,
    /// Where in the member's bytes the header ends.
    begin: u64,
    size_bytes: u64,
    stamp: Stamp,
}

impl OfGnu {
    /// Makes the file, of all bytes of the member.
    pub(super) fn content(
        &self,
        member: &mut impl Read,
        target: &Path,
        is_overwritten: bool,
    ) -> io::Result<()> {
        place::new_file(target, is_overwritten, self.stamp, |to| {
            copy(member, &mut io::sink(), self.begin)?;
            let mut map = Map::new();
            let header = self.header.as_gnu().ok_or(io::ErrorKind::InvalidData)?;
            add_pieces(&mut map, &header.sparse)?;
            let mut goes_on = header.is_extended();
            while goes_on {
                let mut more = tar::GnuExtSparseHeader::new();
                member.read_exact(more.as_mut_bytes())?;
                add_pieces(&mut map, more.sparse())?;
                goes_on = more.is_extended();
            }
            expand(member, to, &map, self.size_bytes)
        })
    }
}

/// Of a header's places for pieces those that are used.
fn add_pieces(map: &mut Map, pieces: &[tar::GnuSparseHeader]) -> io::Result<()> {
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        if map.len() as u64 >= PIECES_MAX {
            return Err(too_many());
        }
        map.push((piece.offset()?, piece.length()?));
    }
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write, length: u64) -> io::Result<()> {
    if io::copy(&mut from.by_ref().take(length), to)? == length {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

enum Form {
    /// Not sparse.
    None,
    /// That of GNU's own archives.
    OfGnu(Box<tar::Header>),
    /// 0.0 and 0.1: the map is in the records of the member.
    InRecords(Map),
    /// 1.0: it comes before the data.
    InData,
    Unknown,
}

fn form<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Form> {
    if entry.header().entry_type().is_gnu_sparse() {
        return Ok(Form::OfGnu(Box::new(entry.header().clone())));
    }
    let mut numbers = Vec::new();
    let mut major = None;
    let mut is_sparse = false;
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        let value = || extension.value().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        let mut add = |text: &str| -> io::Result<()> {
            if numbers.len() as u64 >= 2 * PIECES_MAX {
                return Err(too_many());
            }
            numbers.push(text.parse::<u64>().map_err(|_| io::ErrorKind::InvalidData)?);
            Ok(())
        };
        match extension.key_bytes() {
            b"GNU.sparse.major" => major = Some(value()?.to_owned()),
            b"GNU.sparse.numblocks" => is_sparse = true,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => add(value()?)?,
            b"GNU.sparse.map" => value()?.split(',').try_for_each(add)?,
            _ => {}
        }
    }
    Ok(match major.as_deref() {
        Some("1") => Form::InData,
        None if !is_sparse && numbers.is_empty() => Form::None,
        None | Some("0") if numbers.len().is_multiple_of(2) => {
            let pairs = numbers.as_chunks::<2>().0.iter();
            Form::InRecords(pairs.map(|[at, length]| (*at, *length)).collect())
        }
        _ => Form::Unknown,
    })
}

/// The list of the pieces that are there, in decimal lines, up to the next border of a block.
fn map_in_data(from: &mut impl Read) -> io::Result<Map> {
    let mut read = 0;
    let pieces = number(from, &mut read)?;
    if pieces > PIECES_MAX {
        return Err(too_many());
    }
    let mut map = Vec::new();
    for _ in 0..pieces {
        map.push((number(from, &mut read)?, number(from, &mut read)?));
    }
    let padding = read.next_multiple_of(512).saturating_sub(read);
    io::copy(&mut from.by_ref().take(padding), &mut io::sink())?;
    Ok(map)
}

fn expand(from: &mut impl Read, to: &mut File, map: &Map, size_bytes: u64) -> io::Result<()> {
    for (at, length) in map {
        to.seek(SeekFrom::Start(*at))?;
        copy(from, to, *length)?;
    }
    to.set_len(size_bytes)?;
    to.flush()
}

fn too_many() -> io::Error {
    io::Error::other(format!("more than {PIECES_MAX} pieces"))
}

/// A number on a line of its own.
fn number(from: &mut impl Read, read: &mut u64) -> io::Result<u64> {
    let mut value = 0u64;
    loop {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        *read += 1;
        match byte {
            [b'\n'] => return Ok(value),
            [digit @ b'0'..=b'9'] => {
                let next =
                    value.checked_mul(10).and_then(|ten| ten.checked_add((digit - b'0').into()));
                value = next.ok_or(io::ErrorKind::InvalidData)?;
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The list of a sparse file's pieces is kept in memory: this many are 64 MiB of it.
const PIECES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An archive that looks at what is being made of it whenever it is read.
    struct Watched<'a> {
        bytes: &'a [u8],
        directory: &'a Path,
    }

    impl Read for Watched<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for entry in fs::read_dir(self.directory).unwrap() {
                let entry = entry.unwrap();
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{entry:?}");
                assert_ne!(entry.file_name(), "secret");
            }
            let count = buffer.len().min(1000);
            self.bytes.read(&mut buffer[..count])
        }
    }

    /// A file that only its owner may read was open to all until its last byte was there.
    #[test]
    fn nobody_else_reads_a_file_while_it_is_restored() {
        let directory = tempfile::tempdir().unwrap();
        let data = vec![7; 100_000];
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, "secret", data.as_slice()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let watched = Watched { bytes: &bytes, directory: directory.path() };
        let mut archive = tar::Archive::new(watched);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let member: Member = serde_json::from_value(serde_json::json!({
            "path": "secret", "kind": "file", "size_bytes": data.len(), "modified": 0, "begin": 0, "end": bytes.len(),
        }))
        .unwrap();
        let target = directory.path().join("secret");
        assert!(content(&mut entry, &member, &target, false).unwrap().is_none());
        assert_eq!(fs::read(&target).unwrap(), data);
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o600);
    }
}
