//! `vtl restore`: one file, or a directory, out of an archive on a cartridge. What arrives is unpacked here, by whoever asked.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use vtl_vault::archive::{Member, MemberKind};

use super::{BrowseChoice, KeptMoment, PIECE_BYTES_MAX, Piece, place};
use crate::client;
use crate::request::{Failure, FailureKind, Request};

/// What is to be restored, and where to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RestoreOptions {
    /// The cartridge and what on it: A00001L9:etc/passwd, or a directory with all that is below.
    #[arg(value_name = "BARCODE:PATH")]
    what: String,
    /// The directory that it is put into. Nothing is ever written outside of it.
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: PathBuf,
    /// From this tape file (default: the last one that has it).
    #[arg(long, value_name = "NUMBER")]
    file: Option<u64>,
    /// From this partition (default: all).
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u8>,
    /// Replace what is there already.
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Deserialize)]
struct Listed {
    barcode: String,
    moment: Option<KeptMoment>,
    files: Vec<ListedFile>,
}

#[derive(Debug, Deserialize)]
struct ListedFile {
    partition: u8,
    file: u64,
    members: Vec<Member>,
}

/// Restores what was asked for.
pub(crate) fn restore(data: &Path, options: &RestoreOptions) -> Result<Value, Failure> {
    let (barcode, path) = options.what.split_once(':').ok_or_else(|| {
        Failure::usage("say which cartridge and what on it, as in A00001L9:etc/passwd")
    })?;
    if !options.directory.is_dir() {
        return Err(Failure::not_found(format!(
            "there is no directory {}",
            options.directory.display()
        )));
    }
    let choice = BrowseChoice {
        barcode: barcode.to_owned(),
        file: options.file,
        partition: options.partition,
    };
    let answer = client::ask(data, Request::Browse(choice))?;
    let listed: Listed = serde_json::from_value(answer).map_err(Failure::failed)?;
    let wanted = plain(path);
    let has_it = |file: &&ListedFile| file.members.iter().any(|member| is_in(member, wanted));
    let Some(file) = listed.files.iter().rev().find(has_it) else {
        return Err(Failure::not_found(format!(
            "no archive on {} has {path}; `vtl browse {}` lists what there is",
            listed.barcode, listed.barcode
        )));
    };
    let mut tally = Tally::default();
    for member in file.members.iter().filter(|member| is_in(member, wanted)) {
        let stream = Stream::new(data, &listed, file, member);
        unpack(stream, member, options, &mut tally)?;
    }
    Ok(json!({
        "barcode": listed.barcode,
        "partition": file.partition,
        "file": file.file,
        "directory": options.directory,
        "files": tally.files,
        "bytes": tally.bytes,
        "left_out": tally.left_out,
    }))
}

#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    left_out: Vec<String>,
}

/// Unpacks one member, with its headers in front of it.
fn unpack(
    stream: Stream<'_>,
    member: &Member,
    options: &RestoreOptions,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut failure = None;
    let mut archive = tar::Archive::new(Noting { stream, failure: &mut failure });
    archive.set_overwrite(options.overwrite);
    archive.set_preserve_mtime(true);
    archive.set_preserve_permissions(rustix::process::geteuid().is_root());
    let done = one(&mut archive, member, options);
    drop(archive);
    match (done, failure) {
        (_, Some(failure)) => Err(failure),
        (Ok(true), None) => {
            tally.files += 1;
            tally.bytes = tally.bytes.saturating_add(member.size_bytes);
            Ok(())
        }
        (Ok(false), None) => {
            tally.left_out.push(format!("{}: it leads out of the directory", member.path));
            Ok(())
        }
        (Err(error), None) => Err(Failure::failed(format!(
            "{}: {}",
            options.directory.join(plain(&member.path)).display(),
            crate::undo::chain(&error)
        ))),
    }
}

fn one<R: Read>(
    archive: &mut tar::Archive<R>,
    member: &Member,
    options: &RestoreOptions,
) -> io::Result<bool> {
    let mut entries = archive.entries()?;
    let mut entry = entries.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let major = pax_value(&mut entry, "GNU.sparse.major")?;
    let is_other_sparse = pax_value(&mut entry, "GNU.sparse.map")?.is_some()
        || pax_value(&mut entry, "GNU.sparse.numblocks")?.is_some();
    match major.as_deref() {
        Some("1") => {
            let target = place::inside(&options.directory, Path::new(&member.path))?;
            let Some(target) = target else { return Ok(false) };
            sparse_file(&mut entry, &target, member.size_bytes, options.overwrite)?;
            Ok(true)
        }
        None if !is_other_sparse => entry.unpack_in(&options.directory),
        _ => Err(io::Error::other(
            "a sparse file in a form that is not understood; `tar` itself reads it from the tape",
        )),
    }
}

fn pax_value<R: Read>(entry: &mut tar::Entry<'_, R>, key: &str) -> io::Result<Option<String>> {
    for extension in entry.pax_extensions()?.into_iter().flatten() {
        let extension = extension?;
        if extension.key_bytes() == key.as_bytes() {
            return Ok(extension.value().ok().map(str::to_owned));
        }
    }
    Ok(None)
}

/// A sparse file of GNU tar's form 1.0: its data begins with a list of the pieces that are there, in decimal lines. The library does not know
/// it. It is taken apart while it comes, so that nothing is ever made under the name that is in its header.
fn sparse_file<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    target: &Path,
    size_bytes: u64,
    is_overwritten: bool,
) -> io::Result<()> {
    let mut to = place::new_file(target, is_overwritten)?;
    expand(&mut io::BufReader::new(&mut *entry), &mut to, size_bytes)?;
    place::set_time_and_mode(&to, entry.header())
}

fn expand(from: &mut impl Read, to: &mut std::fs::File, size_bytes: u64) -> io::Result<()> {
    let mut read = 0;
    let pieces = number(from, &mut read)?;
    if pieces > SPARSE_PIECES_MAX {
        return Err(io::Error::other(format!("more than {SPARSE_PIECES_MAX} pieces")));
    }
    let mut map = Vec::new();
    for _ in 0..pieces {
        map.push((number(from, &mut read)?, number(from, &mut read)?));
    }
    let padding = read.next_multiple_of(512).saturating_sub(read);
    io::copy(&mut from.by_ref().take(padding), &mut io::sink())?;
    for (at, length) in map {
        to.seek(SeekFrom::Start(at))?;
        if io::copy(&mut from.by_ref().take(length), to)? != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    to.set_len(size_bytes)?;
    to.flush()
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

/// The name without what makes no difference: `./etc/` is `etc`.
fn plain(path: &str) -> &str {
    let mut path = path.trim_end_matches('/');
    while let Some(rest) = path.strip_prefix("./").or_else(|| path.strip_prefix('/')) {
        path = rest;
    }
    if path == "." { "" } else { path }
}

/// Whether a member is what was asked for, or below it.
fn is_in(member: &Member, wanted: &str) -> bool {
    let path = plain(&member.path);
    let below = path.strip_prefix(wanted);
    let is_below =
        wanted.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_below && !(path.is_empty() && member.kind == MemberKind::Directory)
}

/// A member's bytes, which come in pieces.
struct Stream<'a> {
    data: &'a Path,
    piece: Piece,
    end: u64,
    held: io::Cursor<Vec<u8>>,
}

impl<'a> Stream<'a> {
    fn new(data: &'a Path, listed: &Listed, file: &ListedFile, member: &Member) -> Self {
        let piece = Piece {
            barcode: listed.barcode.clone(),
            moment: listed.moment.clone(),
            partition: file.partition,
            file: file.file,
            begin: member.begin,
            end: member.begin,
        };
        Self { data, piece, end: member.end, held: io::Cursor::default() }
    }

    fn fetch(&mut self) -> Result<bool, Failure> {
        self.piece.begin = self.piece.end;
        self.piece.end = self.end.min(self.piece.begin.saturating_add(PIECE_BYTES_MAX));
        if self.piece.begin == self.piece.end {
            return Ok(false);
        }
        let answer = client::ask(self.data, Request::ReadPiece(self.piece.clone()))?;
        let text = answer.get("bytes").and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(text).map_err(Failure::failed)?;
        if bytes.is_empty() {
            return Err(Failure::new(FailureKind::Failed, "an empty piece came"));
        }
        self.held = io::Cursor::new(bytes);
        Ok(true)
    }
}

/// Keeps the failure as it came: what unpacks knows only errors of files.
struct Noting<'a> {
    stream: Stream<'a>,
    failure: &'a mut Option<Failure>,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.stream.held.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.stream.fetch() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(failure) => {
                    let text = failure.to_string();
                    *self.failure = Some(failure);
                    return Err(io::Error::other(text));
                }
            }
        }
    }
}

/// The list of a sparse file's pieces is kept in memory: this many are 64 MiB of it.
const SPARSE_PIECES_MAX: u64 = 4 << 20;
