//! `vtl restore`: one file, or a directory, out of an archive on a cartridge. What arrives is unpacked here, by whoever asked.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use vtl_vault::archive::{Member, MemberKind};

use super::names::{Wanted, normal};
use super::place::Stamp;
use super::source::{Rest, Source, Stream};
use super::volumes::Joined;
use super::{BrowseChoice, KeptMoment, Piece, cpio, place, sparse, volumes};
use crate::client;
use crate::request::{Failure, FailureKind, Request};

/// What is to be restored, and where to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RestoreOptions {
    /// The cartridge and what on it: A00001L9:etc/passwd, or a directory with all that is below. An archive of several volumes (tar -M) needs all
    /// of them, in their order: A00001L9,A00002L9:etc/passwd. A name that is no UTF-8 may be typed as `vtl browse` shows it.
    #[arg(value_name = "BARCODE[,BARCODE…]:PATH")]
    what: OsString,
    /// The directory that it is put into. Nothing is ever written outside of it. What root restores belongs to whom it belonged, by the numbers that the
    /// archive has.
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
pub(super) struct Listed {
    pub(super) barcode: String,
    moment: Option<KeptMoment>,
    pub(super) files: Vec<ListedFile>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ListedFile {
    partition: u8,
    file: u64,
    kind: String,
    /// Not known of one that could not even be found.
    #[serde(default)]
    pub(super) bytes: u64,
    pub(super) members: Vec<Member>,
    /// Why it was not listed to its end.
    broken: Option<String>,
}

impl Listed {
    /// Of its tape files from this one on those that were not listed to their ends: what was looked for may be there, and newer. Those that go on
    /// on the next volume are listed there.
    fn not_listed(&self, from: usize, goes_on: bool) -> impl Iterator<Item = String> {
        self.files.iter().skip(from).filter_map(move |file| {
            let why = file.broken.as_ref()?;
            let is_cut = file.members.last().is_some_and(|last| last.end > file.bytes);
            (!(goes_on && is_cut)).then(|| {
                format!(
                    "tape file {} of {} was not listed to its end ({why}): what is there may be newer",
                    file.file, self.barcode
                )
            })
        })
    }

    /// Where the bytes of one of its tape files are had.
    pub(super) fn piece(&self, file: &ListedFile) -> Piece {
        Piece {
            barcode: self.barcode.clone(),
            moment: self.moment.clone(),
            partition: file.partition,
            file: file.file,
            begin: 0,
            end: 0,
        }
    }
}

/// Restores what was asked for. Beside the answer there is a failure if something of it was left out.
pub(crate) fn restore(
    data: &Path,
    options: &RestoreOptions,
) -> Result<(Value, Result<(), Failure>), Failure> {
    let what = options.what.as_bytes();
    let colon = what.iter().position(|byte| *byte == b':');
    let (barcodes, path) =
        colon.and_then(|colon| what.split_at_checked(colon)).ok_or_else(|| {
            Failure::usage("say which cartridge and what on it, as in A00001L9:etc/passwd")
        })?;
    let barcodes = String::from_utf8_lossy(barcodes);
    let wanted = Wanted::new(path.strip_prefix(b":").unwrap_or(path));
    if !options.directory.is_dir() {
        return Err(Failure::not_found(format!(
            "there is no directory {}",
            options.directory.display()
        )));
    }
    let list = |barcode: &str| -> Result<Listed, Failure> {
        let (file, partition) = (options.file, options.partition);
        let choice = BrowseChoice { barcode: barcode.to_owned(), file, partition };
        let answer = client::ask(data, Request::Browse(choice))?;
        serde_json::from_value(answer).map_err(Failure::failed)
    };
    let volumes: Vec<Listed> = barcodes.split(',').map(list).collect::<Result<_, _>>()?;
    let has_it = |file: &&ListedFile| file.members.iter().any(|member| wanted.has(member));
    let mut together = Together::default();
    let mut first = None;
    let mut not_listed = Vec::new();
    for (number, listed) in volumes.iter().enumerate() {
        // Of one cartridge it is the last that has it.
        let found = listed.files.iter().rposition(|file| has_it(&file));
        let goes_on = number + 1 < volumes.len();
        not_listed.extend(listed.not_listed(found.unwrap_or(0), goes_on));
        let Some(file) = found.and_then(|found| listed.files.get(found)) else { continue };
        first.get_or_insert((file.partition, file.file));
        let chosen: Vec<&Member> =
            file.members.iter().filter(|member| wanted.has(member)).collect();
        let following = volumes.get(number + 1..).unwrap_or_default();
        restore_of((data, listed, file, following), &chosen, options, &mut together)?;
    }
    let barcodes: Vec<&str> = volumes.iter().map(|listed| listed.barcode.as_str()).collect();
    let Some((partition, file)) = first else {
        return Err(Failure::not_found(format!(
            "no archive on {} has {}; `vtl browse {}` lists what there is{}{}",
            barcodes.join(" or "),
            wanted.text(),
            barcodes.first().unwrap_or(&"BARCODE"),
            if not_listed.is_empty() { "" } else { ". But " },
            not_listed.join("; ")
        )));
    };
    let Together { mut tally, directories, .. } = together;
    finish_directories(directories, &mut tally);
    let verdict = tally.verdict();
    let answer = json!({
        "barcode": barcodes.join(","),
        "partition": partition,
        "file": file,
        "directory": options.directory,
        "files": tally.files,
        "bytes": tally.bytes,
        "left_out": tally.left_out,
        "not_listed": not_listed,
    });
    Ok((answer, verdict))
}

/// What the volumes of an archive come to, one after the other.
#[derive(Debug, Default)]
struct Together {
    tally: Tally,
    /// Directories get their owners, modes and times last: a mode may forbid to put anything into them, and what is put into them changes the time.
    directories: BTreeMap<PathBuf, Stamp>,
    /// Parts that have come with the file that they are of.
    joined: Vec<Joined>,
    /// Where the files of the volumes before were put, by their names: a link may be on a later one.
    named: HashMap<Vec<u8>, PathBuf>,
}

/// Restores what was chosen of one tape file.
fn restore_of(
    (data, listed, file, following): (&Path, &Listed, &ListedFile, &[Listed]),
    chosen: &[&Member],
    options: &RestoreOptions,
    together: &mut Together,
) -> Result<(), Failure> {
    let mut run = Run::new((data, listed, file), chosen, options);
    run.tally = std::mem::take(&mut together.tally);
    run.directories = std::mem::take(&mut together.directories);
    run.named = std::mem::take(&mut together.named);
    let is_joined = |member: &&Member| {
        let here = (listed.barcode.as_str(), member.begin);
        together.joined.iter().any(|joined| (joined.barcode.as_str(), joined.begin) == here)
    };
    let chosen: Vec<&Member> = chosen.iter().copied().filter(|member| !is_joined(member)).collect();
    for member in chosen.iter().filter(|member| member.end > file.bytes) {
        match volumes::rest_of(data, member, file.bytes, following) {
            Ok((rest, joined)) => {
                run.going_on.insert(member.begin, rest);
                together.joined.extend(joined);
            }
            Err(why) => drop(run.broken.insert(member.begin, why)),
        }
    }
    // The links of a cpio archive come before what they are linked to.
    let (links, others): (Vec<&Member>, Vec<&Member>) =
        chosen.into_iter().partition(|member| run.is_cpio && member.kind == MemberKind::HardLink);
    for member in others.into_iter().chain(links) {
        // What was appended to an archive replaces what is before it.
        if run.is_last(member) && member.kind != MemberKind::Label {
            run.restore(member)?;
        }
    }
    let named = file
        .members
        .iter()
        .filter_map(|member| Some((normal(member.name()), run.placed.get(&member.begin)?.clone())));
    run.named.extend(named);
    (together.tally, together.directories, together.named) =
        (run.tally, run.directories, run.named);
    Ok(())
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
    by_path: HashMap<Vec<u8>, Vec<&'a Member>>,
    /// Where the data of a member was put, by the member's beginning.
    placed: HashMap<u64, PathBuf>,
    directories: BTreeMap<PathBuf, Stamp>,
    tally: Tally,
    /// How many bytes the tape file has.
    bytes: u64,
    /// With what those members go on that do not end in it, by their beginnings; or why that cannot be told.
    going_on: HashMap<u64, Vec<Rest<'a>>>,
    broken: HashMap<u64, String>,
    /// Where the files of the volumes before are.
    named: HashMap<Vec<u8>, PathBuf>,
}

impl<'a> Run<'a> {
    fn new(
        (data, listed, file): (&'a Path, &'a Listed, &'a ListedFile),
        chosen: &[&Member],
        options: &'a RestoreOptions,
    ) -> Self {
        let mut by_path: HashMap<Vec<u8>, Vec<&Member>> = HashMap::new();
        for member in &file.members {
            by_path.entry(normal(member.name())).or_default().push(member);
        }
        Self {
            source: Source::new(data, listed.piece(file), chosen),
            is_cpio: file.kind == "cpio",
            options,
            by_path,
            placed: HashMap::new(),
            directories: BTreeMap::new(),
            tally: Tally::default(),
            bytes: file.bytes,
            going_on: HashMap::new(),
            broken: HashMap::new(),
            named: HashMap::new(),
        }
    }

    /// The bytes of a member, wherever they go on.
    fn stream<'b>(&'b self, member: &Member, failure: &'b mut Option<Failure>) -> Stream<'b> {
        let stream = self.source.stream(member, failure);
        match self.going_on.get(&member.begin) {
            Some(rest) => stream.going_on(self.bytes, rest),
            None => stream,
        }
    }

    fn is_last(&self, member: &Member) -> bool {
        let same = self.by_path.get(&normal(member.name()));
        same.and_then(|same| same.last()).is_none_or(|last| last.begin == member.begin)
    }

    /// The member that has the data of a hard link: the last one of that name before the link.
    fn data_of(&self, link: &'a Member) -> Option<&'a Member> {
        let mut at = link;
        while at.kind == MemberKind::HardLink {
            let same = self.by_path.get(&normal(at.link_name()?))?;
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
                let hint = self.broken.get(&member.begin).cloned().unwrap_or_default();
                self.tally.leave_out(&member.path, format!("{failure}{hint}"));
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
        if let Some(part) = &member.part {
            return Err(io::Error::other(volumes::without_beginning(part)));
        }
        if self.is_cpio {
            return self.unpack_cpio(member, failure);
        }
        let options = self.options;
        let placed = self.with_entry(member, failure, |entry| {
            // The name of a sparse file is in its records; what its header has is made up.
            let name = match sparse::name(entry)? {
                Some(name) => PathBuf::from(name),
                None => entry.path()?.into_owned(),
            };
            let Some(target) = place::inside(&options.directory, &name)? else { return Ok(None) };
            let left = match member.kind {
                MemberKind::HardLink => None,
                MemberKind::Directory => place::directory(&target).map(|()| None)?,
                _ => sparse::content(entry, member, &target, options.overwrite)?,
            };
            Ok(Some((target, Stamp::of_tar(entry.header()), left)))
        });
        let Some((target, stamp, left)) = placed? else { return Ok(false) };
        if let Some(left) = left {
            left.content(&mut self.stream(member, failure), &target, options.overwrite)?;
        }
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
        if source.is_none()
            && let Some(placed) = self.named.get(&normal(link.link_name().unwrap_or_default()))
        {
            return place::link(placed, target, options.overwrite);
        }
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
            let left = self.with_entry(source, failure, |entry| {
                sparse::content(entry, source, target, options.overwrite)
            })?;
            if let Some(left) = left {
                left.content(&mut self.stream(source, failure), target, options.overwrite)?;
            }
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
        let mut archive = tar::Archive::new(self.stream(member, failure));
        let mut entries = archive.entries()?;
        let mut entry = entries.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        work(&mut entry)
    }
}

/// What is below comes before what is above, so that no mode stands in the way.
fn finish_directories(directories: BTreeMap<PathBuf, Stamp>, tally: &mut Tally) {
    for (path, stamp) in directories.into_iter().rev() {
        let done =
            place::open_directory(&path).and_then(|directory| place::set_stamp(&directory, stamp));
        if let Err(error) = done {
            tally.leave_out(&path.to_string_lossy(), error);
        }
    }
}

/// So many of those that were left out are named on standard error; the answer has all.
const REASONS_MAX: usize = 5;
