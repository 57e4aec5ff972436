//! The data of a member of a tar archive, sparse files of all of GNU tar's forms among them. The library knows the form of GNU's own archives;
//! those of pax archives are taken apart here, so that nothing is ever made under the name that is in their headers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStringExt;
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

/// Writes what a member has, unless it is a directory or a hard link.
pub(super) fn content<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    member: &Member,
    target: &Path,
    is_overwritten: bool,
) -> io::Result<()> {
    let map = match form(entry)? {
        Form::None => return whole(entry, member, target),
        Form::InRecords(map) => Some(map),
        Form::InData => None,
        Form::Unknown => {
            return Err(io::Error::other(
                "a sparse file in a form that is not understood; `tar` itself reads it from the tape",
            ));
        }
    };
    let mut to = place::new_file(target, is_overwritten)?;
    let mut from = io::BufReader::new(&mut *entry);
    let map = map.map_or_else(|| map_in_data(&mut from), Ok);
    if let Err(error) = map.and_then(|map| expand(&mut from, &mut to, &map, member.size_bytes)) {
        // Half a file under the name of a whole one is worse than none.
        fs::remove_file(target)?;
        return Err(error);
    }
    place::set_time_and_mode(&to, Stamp::of_tar(entry.header()))
}

/// One that is not sparse, or in a form that the library knows.
fn whole<R: Read>(entry: &mut tar::Entry<'_, R>, member: &Member, target: &Path) -> io::Result<()> {
    let was_there = fs::symlink_metadata(target).is_ok();
    entry.unpack(target).map(drop).inspect_err(|_| {
        if member.kind == MemberKind::File && !was_there {
            // Half of it may be there. If it cannot be removed, what is said of it is the error all the same.
            drop(fs::remove_file(target));
        }
    })
}

enum Form {
    /// Not sparse, or in a form that the library knows.
    None,
    /// 0.0 and 0.1: the map is in the records of the member.
    InRecords(Map),
    /// 1.0: it comes before the data.
    InData,
    Unknown,
}

fn form<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Form> {
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
        if io::copy(&mut from.by_ref().take(*length), to)? != *length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
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
