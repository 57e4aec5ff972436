//! `vtl restore`: one file, or a directory, out of an archive on a cartridge. What arrives is unpacked here, by whoever asked.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use vtl_vault::archive::{Member, MemberKind};

use super::place::Stamp;
use super::source::{Source, Stream};
use super::{BrowseChoice, KeptMoment, Piece, cpio, place};
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
    kind: String,
    members: Vec<Member>,
}

/// Restores what was asked for. Beside the answer there is a failure if something of it was left out.
pub(crate) fn restore(
    data: &Path,
    options: &RestoreOptions,
) -> Result<(Value, Result<(), Failure>), Failure> {
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
    let wanted = normal(path);
    let has_it = |file: &&ListedFile| file.members.iter().any(|member| is_in(member, &wanted));
    let Some(file) = listed.files.iter().rev().find(has_it) else {
        return Err(Failure::not_found(format!(
            "no archive on {} has {path}; `vtl browse {}` lists what there is",
            listed.barcode, listed.barcode
        )));
    };
    let chosen: Vec<&Member> =
        file.members.iter().filter(|member| is_in(member, &wanted)).collect();
    let mut run = Run::new((data, &listed, file), &chosen, options);
    // The links of a cpio archive come before what they are linked to.
    let (links, others): (Vec<&Member>, Vec<&Member>) =
        chosen.into_iter().partition(|member| run.is_cpio && member.kind == MemberKind::HardLink);
    for member in others.into_iter().chain(links) {
        // What was appended to an archive replaces what is before it.
        if run.is_last(member) {
            run.restore(member)?;
        }
    }
    run.finish_directories();
    let tally = run.tally;
    let verdict = tally.verdict();
    let answer = json!({
        "barcode": listed.barcode,
        "partition": file.partition,
        "file": file.file,
        "directory": options.directory,
        "files": tally.files,
        "bytes": tally.bytes,
        "left_out": tally.left_out,
    });
    Ok((answer, verdict))
}

#[derive(Debug, Default)]
struct Tally {
    files: u64,
    bytes: u64,
    left_out: Vec<String>,
    is_damaged: bool,
}

impl Tally {
    fn leave_out(&mut self, path: &str, why: impl std::fmt::Display) {
        self.left_out.push(format!("{path}: {why}"));
    }

    /// What was left out is an error, although everything else is there.
    fn verdict(&self) -> Result<(), Failure> {
        if self.left_out.is_empty() {
            return Ok(());
        }
        let kind = if self.is_damaged { FailureKind::Damaged } else { FailureKind::Failed };
        let named: Vec<&str> = self.left_out.iter().take(REASONS_MAX).map(String::as_str).collect();
        let more = self.left_out.len().saturating_sub(named.len());
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Err(Failure::new(
            kind,
            format!("{} left out: {}{more}", self.left_out.len(), named.join("; ")),
        ))
    }
}

/// One restoring: what of the archive is in its place by now, and what is still to be done.
struct Run<'a> {
    source: Source<'a>,
    is_cpio: bool,
    options: &'a RestoreOptions,
    /// The members of each path, in their order.
    by_path: HashMap<String, Vec<&'a Member>>,
    /// Where the data of a member was put, by the member's beginning.
    placed: HashMap<u64, PathBuf>,
    /// Directories get their modes and times last: a mode may forbid to put anything into them, and what is put into them changes the time.
    directories: BTreeMap<PathBuf, Stamp>,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(
        (data, listed, file): (&'a Path, &'a Listed, &'a ListedFile),
        chosen: &[&Member],
        options: &'a RestoreOptions,
    ) -> Self {
        let mut by_path: HashMap<String, Vec<&Member>> = HashMap::new();
        for member in &file.members {
            by_path.entry(normal(&member.path)).or_default().push(member);
        }
        let piece = Piece {
            barcode: listed.barcode.clone(),
            moment: listed.moment.clone(),
            partition: file.partition,
            file: file.file,
            begin: 0,
            end: 0,
        };
        Self {
            source: Source::new(data, piece, chosen),
            is_cpio: file.kind == "cpio",
            options,
            by_path,
            placed: HashMap::new(),
            directories: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn is_last(&self, member: &Member) -> bool {
        let same = self.by_path.get(&normal(&member.path));
        same.and_then(|same| same.last()).is_none_or(|last| last.begin == member.begin)
    }

    /// The member that has the data of a hard link: the last one of that name before the link.
    fn data_of(&self, link: &'a Member) -> Option<&'a Member> {
        let mut at = link;
        while at.kind == MemberKind::HardLink {
            let same = self.by_path.get(&normal(at.link.as_deref()?))?;
            at = if self.is_cpio {
                same.iter().rfind(|one| one.kind != MemberKind::HardLink)?
            } else {
                let before = same.partition_point(|one| one.begin < at.begin);
                same.get(before.checked_sub(1)?)?
            };
        }
        Some(at)
    }

    /// Restores one member. What is wrong with it alone does not keep the others from being restored.
    fn restore(&mut self, member: &'a Member) -> Result<(), Failure> {
        let mut failure = None;
        let done = self.unpack(member, &mut failure);
        match (done, failure) {
            (_, Some(failure)) if failure.kind == FailureKind::Damaged => {
                self.tally.is_damaged = true;
                self.tally.leave_out(&member.path, failure);
            }
            (_, Some(failure)) => return Err(failure),
            (Ok(true), None) => {
                self.tally.files += 1;
                self.tally.bytes = self.tally.bytes.saturating_add(member.size_bytes);
            }
            (Ok(false), None) => {
                self.tally.leave_out(&member.path, "it leads out of the directory");
            }
            (Err(error), None) => {
                self.tally.leave_out(&member.path, vtl_media::with_causes(&error));
            }
        }
        Ok(())
    }

    fn unpack(&mut self, member: &'a Member, failure: &mut Option<Failure>) -> io::Result<bool> {
        if self.is_cpio {
            return self.unpack_cpio(member, failure);
        }
        let options = self.options;
        let placed = self.with_entry(member, failure, |entry| {
            // The name of a sparse file is in its records; what its header has is made up.
            let name = match pax_value(entry, "GNU.sparse.major")? {
                Some(_) => PathBuf::from(&member.path),
                None => entry.path()?.into_owned(),
            };
            let Some(target) = place::inside(&options.directory, &name)? else { return Ok(None) };
            match member.kind {
                MemberKind::HardLink => {}
                MemberKind::Directory => place::directory(&target)?,
                _ => content(entry, member, &target, options)?,
            }
            Ok(Some((target, Stamp::of_tar(entry.header()))))
        });
        let Some((target, stamp)) = placed? else { return Ok(false) };
        self.settle(member, target, stamp, failure)
    }

    /// What is left to be done when a member is in its place, or when that place is known.
    fn settle(
        &mut self,
        member: &'a Member,
        target: PathBuf,
        stamp: Stamp,
        failure: &mut Option<Failure>,
    ) -> io::Result<bool> {
        match member.kind {
            MemberKind::HardLink => self.link(member, &target, failure)?,
            MemberKind::Directory => drop(self.directories.insert(target, stamp)),
            _ => drop(self.placed.insert(member.begin, target)),
        }
        Ok(true)
    }

    fn unpack_cpio(
        &mut self,
        member: &'a Member,
        failure: &mut Option<Failure>,
    ) -> io::Result<bool> {
        let options = self.options;
        let mut stream = self.source.stream(member, failure);
        let header = cpio::header(&mut stream)?;
        let name = Path::new(OsStr::from_bytes(&header.name));
        let Some(target) = place::inside(&options.directory, name)? else { return Ok(false) };
        // Of a link the header only has the name.
        if member.kind != MemberKind::HardLink {
            cpio::content(&header, &mut stream, &target, options.overwrite)?;
        }
        self.settle(member, target, cpio::stamp(&header), failure)
    }

    /// A second name for what is there already. If that was not chosen, or could not be restored, or was replaced later in the archive, then
    /// the name gets the data of its own.
    fn link(
        &mut self,
        link: &'a Member,
        target: &Path,
        failure: &mut Option<Failure>,
    ) -> io::Result<()> {
        let options = self.options;
        let source = self.data_of(link).filter(|source| source.kind != MemberKind::Directory);
        let source = source.ok_or_else(|| {
            let name = link.link.as_deref().unwrap_or_default();
            io::Error::other(format!(
                "the archive does not have {name} before it, to which it is linked"
            ))
        })?;
        if let Some(placed) = self.placed.get(&source.begin) {
            return place::link(placed, target, options.overwrite);
        }
        if self.is_cpio {
            let mut stream = self.source.stream(source, failure);
            cpio::content(&cpio::header(&mut stream)?, &mut stream, target, options.overwrite)?;
        } else {
            self.with_entry(source, failure, |entry| content(entry, source, target, options))?;
        }
        self.placed.insert(source.begin, target.to_owned());
        Ok(())
    }

    /// Opens one member, with its headers in front of it.
    fn with_entry<T>(
        &self,
        member: &Member,
        failure: &mut Option<Failure>,
        work: impl FnOnce(&mut tar::Entry<'_, Stream<'_>>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut archive = tar::Archive::new(self.source.stream(member, failure));
        archive.set_overwrite(self.options.overwrite);
        archive.set_preserve_mtime(true);
        archive.set_preserve_permissions(rustix::process::geteuid().is_root());
        let mut entries = archive.entries()?;
        let mut entry = entries.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        work(&mut entry)
    }

    /// What is below comes before what is above, so that no mode stands in the way.
    fn finish_directories(&mut self) {
        for (path, stamp) in std::mem::take(&mut self.directories).into_iter().rev() {
            let done = place::open_directory(&path)
                .and_then(|directory| place::set_time_and_mode(&directory, stamp));
            if let Err(error) = done {
                self.tally.leave_out(&path.to_string_lossy(), error);
            }
        }
    }
}

/// Writes what a member has, unless it is a directory or a hard link.
fn content<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    member: &Member,
    target: &Path,
    options: &RestoreOptions,
) -> io::Result<()> {
    let major = pax_value(entry, "GNU.sparse.major")?;
    let is_other_sparse = pax_value(entry, "GNU.sparse.map")?.is_some()
        || pax_value(entry, "GNU.sparse.numblocks")?.is_some();
    match major.as_deref() {
        Some("1") => sparse_file(entry, target, member.size_bytes, options.overwrite),
        None if !is_other_sparse => entry.unpack(target).map(drop),
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
    place::set_time_and_mode(&to, Stamp::of_tar(entry.header()))
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

/// The path as the key of a place: whatever is spelled differently for the same place is the same here.
fn normal(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

/// Whether a member is what was asked for, or below it.
fn is_in(member: &Member, wanted: &str) -> bool {
    let path = normal(&member.path);
    let below = path.strip_prefix(wanted);
    let is_below =
        wanted.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_below && !(path.is_empty() && member.kind == MemberKind::Directory)
}

/// The list of a sparse file's pieces is kept in memory: this many are 64 MiB of it.
const SPARSE_PIECES_MAX: u64 = 4 << 20;
/// So many of those that were left out are named on standard error; the answer has all.
const REASONS_MAX: usize = 5;
