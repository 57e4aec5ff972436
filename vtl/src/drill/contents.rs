//! Reading a cartridge to its end, and unpacking what is understood of it.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use vtl_vault::archive::{CpioHeader, Kind, has_label, multivolume};

use super::drive::{Ended, FileStream, Host, Step};

/// Amanda's header has a block of its own before the dump.
const AMANDA_HEADER_BYTES: usize = 32 << 10;
/// The name of an archive has a block of its own before the members, which are of blocks too.
const BLOCK_BYTES: usize = 512;
const BUFFER_BYTES: usize = 64 << 10;
/// In the header of a dump that lies in one tape file, though it might have several.
const ONLY_PART: &[u8] = b" part 1/1 ";
/// Why an archive is not whole though all of its members are.
const CUT: &str = "the archive ends behind it without the zeros of its end, and no cartridge of the group goes on";
/// So much of a dump tells what it is.
const BEGINNING_BYTES: u64 = 1024;
/// A volume begins with one such part, and a tape has so many volumes at most.
const PARTS_MAX: usize = 10_000;
/// Troubles that are named one by one.
const TROUBLES_MAX: usize = 100;

/// What was found in the tape files of a cartridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// Tape files of each kind.
    pub(super) kinds: std::collections::BTreeMap<String, u64>,
    /// Archives that were unpacked, every member to its end.
    pub(super) archives: u64,
    /// Files in them.
    pub(super) files: u64,
    /// Bytes of these.
    pub(super) bytes: u64,
    /// What is wrong with archives whose blocks can all be read.
    pub(super) trouble: Vec<Trouble>,
    /// What goes on here from other volumes (`tar -M`).
    #[serde(skip)]
    pub(super) parts: Vec<Part>,
    /// How the first tape file begins, …
    #[serde(skip)]
    begins: Beginning,
    /// … and which is the last one, by its partition and its number.
    #[serde(skip)]
    last: (u8, u64),
}

impl Contents {
    /// Notes with what the part of a file begins that is the first of all.
    fn begin_with(&mut self, offset_bytes: u64) {
        if self.last == (0, 0) && self.files == 0 {
            self.begins = Beginning::Part { offset_bytes };
        }
    }

    fn note_part(&mut self, part: Part) {
        if self.parts.len() < PARTS_MAX {
            self.parts.push(part);
        }
    }
}

/// How a cartridge begins, as far as that tells whether it goes on where another one ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Beginning {
    #[default]
    Other,
    /// With the end of an archive, and nothing else.
    Zeros,
    Member,
    Part {
        offset_bytes: u64,
    },
}

/// With what an archive goes on that does not end, if it is the volume that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    /// A file that ends in its middle.
    File(Part),
    /// What follows the last member.
    Next,
}

/// What is left of a file from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    path: Vec<u8>,
    offset_bytes: u64,
    left_bytes: u64,
}

/// An archive that ends early, or is none any more in its middle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) partition: u8,
    pub(super) tape_file: u64,
    pub(super) file: Option<String>,
    pub(super) why: String,
    /// With what it goes on, if it is the volume that ends, and not the archive.
    #[serde(skip)]
    pub(super) rest: Option<Rest>,
}

/// A volume that ends in the middle of a file is whole if another one goes on where it ends. Where one ends between two members nothing may tell
/// that the next one in the group goes on, but that they are volumes.
pub(super) fn join_volumes<'a>(all: impl Iterator<Item = &'a mut Contents>) {
    let mut all: Vec<&mut Contents> = all.collect();
    let parts: Vec<Part> = all.iter().flat_map(|contents| contents.parts.iter().cloned()).collect();
    let following: Vec<Beginning> =
        all.iter().skip(1).map(|next| next.begins).chain([Beginning::Other]).collect();
    for (contents, next) in all.iter_mut().zip(following) {
        let last = contents.last;
        let goes_on = |trouble: &Trouble| match &trouble.rest {
            Some(Rest::File(part)) => parts.contains(part),
            Some(Rest::Next) if (trouble.partition, trouble.tape_file) == last => match next {
                Beginning::Zeros | Beginning::Part { offset_bytes: 0 } => true,
                Beginning::Member => !parts.is_empty(),
                Beginning::Part { .. } | Beginning::Other => false,
            },
            _ => false,
        };
        let before = contents.trouble.len();
        contents.trouble.retain(|trouble| !goes_on(trouble));
        let joined = before - contents.trouble.len();
        contents.archives = contents.archives.saturating_add(joined as u64);
    }
}

/// Where in an archive one is.
#[derive(Debug, Default)]
struct Where {
    file: Option<String>,
    /// What is missing at the end.
    rest: Option<Rest>,
}

/// Reads all partitions of what is loaded. With `unpacks`, archives are taken apart.
pub(super) fn read_all(host: &mut Host, unpacks: bool) -> anyhow::Result<Contents> {
    let mut contents = Contents::default();
    let mut partition = 0;
    loop {
        read_partition(host, unpacks, partition, &mut contents)?;
        if !host.next_partition()? {
            return Ok(contents);
        }
        partition += 1;
    }
}

fn read_partition(
    host: &mut Host,
    unpacks: bool,
    partition: u8,
    contents: &mut Contents,
) -> anyhow::Result<()> {
    let mut tape_file = 0;
    loop {
        let ended = match host.next()? {
            Step::End => Ended::End,
            Step::Filemark => Ended::Filemark,
            Step::Damaged => FileStream::new(host, Vec::new()).drain()?,
            Step::Encrypted => {
                *contents.kinds.entry("encrypted".to_owned()).or_default() += 1;
                FileStream::new(host, Vec::new()).drain()?
            }
            Step::Block(first) if unpacks => {
                let kind = Kind::of(&first);
                contents.last = (partition, tape_file);
                if contents.last == (0, 0) {
                    contents.begins = match kind {
                        Kind::Tar => Beginning::Member,
                        Kind::Unknown if is_zero(&first) => Beginning::Zeros,
                        _ => Beginning::Other,
                    };
                }
                *contents.kinds.entry(kind.to_string()).or_default() += 1;
                let mut stream = FileStream::new(host, first);
                unpack(&mut stream, kind, (partition, tape_file), contents);
                stream.drain()?
            }
            Step::Block(first) => FileStream::new(host, first).drain()?,
        };
        if ended == Ended::End {
            return Ok(());
        }
        tape_file += 1;
    }
}

/// Takes an archive apart. What is no archive, or none that is understood, has been named, which is all that can be done.
fn unpack(
    stream: &mut FileStream<'_>,
    kind: Kind,
    (partition, tape_file): (u8, u64),
    contents: &mut Contents,
) {
    let mut at = Where::default();
    let unpacked = match kind {
        Kind::Tar => members(stream, contents, &mut at),
        Kind::Cpio => cpio_members(stream, contents, &mut at),
        Kind::Amanda => dump(stream, contents, &mut at),
        _ => return,
    };
    match unpacked {
        Ok(true) => contents.archives += 1,
        Ok(false) => {}
        Err(why) => {
            if let Some(file) = &at.file {
                stream.name_damage(file);
            }
            if contents.trouble.len() < TROUBLES_MAX {
                let why = vtl_media::with_causes(&why);
                let Where { file, rest } = at;
                contents.trouble.push(Trouble { partition, tape_file, file, why, rest });
            }
        }
    }
}

/// What lies behind Amanda's header, if that is a tar archive. False if it is something else.
fn dump(stream: &mut FileStream<'_>, contents: &mut Contents, at: &mut Where) -> io::Result<bool> {
    let mut header = vec![0; AMANDA_HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let mut beginning = Vec::new();
    stream.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning)?;
    match Kind::of(&beginning) {
        Kind::Tar => {
            let found = members(&mut beginning.as_slice().chain(stream), contents, at);
            // The others are tape files of their own, which begin with nothing that can be told.
            let is_one_of_several = header.starts_with(b"AMANDA: SPLIT_FILE")
                && !header.windows(ONLY_PART.len()).any(|window| window == ONLY_PART);
            match found {
                Err(_) if is_one_of_several && at.rest.is_some() => Ok(false),
                found => found,
            }
        }
        _ => Ok(false),
    }
}

/// Reads all members of a tar archive. `at` says which one it was when that fails.
fn members(stream: &mut impl Read, contents: &mut Contents, at: &mut Where) -> io::Result<bool> {
    let mut first = Vec::new();
    stream.by_ref().take(2 * BLOCK_BYTES as u64).read_to_end(&mut first)?;
    let begins_whole = multivolume::begins_with_whole_file(&first);
    if begins_whole {
        contents.begin_with(0);
    }
    if begins_whole || has_label(&first) {
        first.drain(..BLOCK_BYTES.min(first.len()));
    }
    let mut archive =
        tar::Archive::new(Watched { from: first.as_slice().chain(stream), has_ended: false });
    let mut announced = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_pax_global_extensions() {
            announced = multivolume::of_global(&mut entry)?;
            continue;
        }
        let part = announced.take().or_else(|| multivolume::of_header(entry.header()));
        let name = part.as_ref().and_then(|(name, _)| name.clone());
        let path = name.unwrap_or_else(|| entry.path_bytes().into_owned());
        at.file = Some(String::from_utf8_lossy(&path).into_owned());
        let piece =
            |offset_bytes, left_bytes| Part { path: path.clone(), offset_bytes, left_bytes };
        let mut begin = 0;
        if let Some((_, part)) = part {
            begin = part.offset_bytes;
            contents.begin_with(begin);
            contents.note_part(piece(begin, part.left_bytes));
        }
        let wanted = entry.size();
        // The holes of a sparse file may be larger than any disk; its data is read when the next member is looked for.
        if !entry.header().entry_type().is_gnu_sparse() {
            let read = io::copy(&mut entry, &mut io::sink())?;
            if read != wanted {
                let left = wanted.saturating_sub(read);
                at.rest = Some(Rest::File(piece(begin.saturating_add(read), left)));
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!(
                        "the archive ends {left} bytes too early, and no cartridge of the group has the rest"
                    ),
                ));
            }
            contents.bytes += read;
        }
        contents.files += 1;
    }
    let last = at.file.take();
    let mut behind = archive.into_inner();
    let is_cut = behind.has_ended;
    if let Some(why) = if is_cut { Some(CUT) } else { wrong_end(&mut behind)? } {
        at.file = last;
        at.rest = is_cut.then_some(Rest::Next);
        return Err(io::Error::other(why));
    }
    Ok(true)
}

/// What is wrong behind a block of zeros. An archive ends with two of them, and nothing but zeros behind them; if there is only one, and nothing at all
/// behind it, then it was an old program that wrote it, and `tar` only warns.
fn wrong_end(behind: &mut impl Read) -> io::Result<Option<&'static str>> {
    let mut block = Vec::new();
    behind.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
    if !is_zero(&block) {
        return Ok(Some(
            "behind it the archive has a block of zeros, and goes on where no `tar` looks",
        ));
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = behind.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        if !is_zero(buffer.get(..count).unwrap_or_default()) {
            return Ok(Some("something follows behind the end of the archive"));
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Notes when there is nothing more: an archive without an end looks like one that has an end.
struct Watched<R> {
    from: R,
    has_ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.has_ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// Reads all members of a cpio archive, and adds up the bytes of those that say what that has to be.
fn cpio_members(
    stream: &mut impl Read,
    contents: &mut Contents,
    at: &mut Where,
) -> io::Result<bool> {
    while let Some(header) = CpioHeader::read(stream)? {
        at.file = Some(String::from_utf8_lossy(&header.name).into_owned());
        header.copy_data(stream, &mut io::sink())?;
        let padding = header.padding_bytes;
        if io::copy(&mut stream.by_ref().take(padding), &mut io::sink())? != padding {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        contents.bytes = contents.bytes.saturating_add(header.size_bytes);
        contents.files += 1;
    }
    at.file = None;
    Ok(true)
}
