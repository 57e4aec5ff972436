//! cpio archives in their four forms: what `cpio -H newc`, `crc`, `odc` and `bin` write.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};

use super::members::{Budget, Member, MemberKind};
use super::{NAME_BYTES_MAX, RawName, TapeFile};

/// The header of a member; its data follows in what it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpioHeader {
    /// The name, as it was written.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permissions.
    pub mode: u32,
    /// The numbers of its user and of its group.
    pub owner: (u64, u64),
    /// When it was changed last, in seconds since 1970.
    pub modified: u64,
    /// Bytes of data.
    pub size_bytes: u64,
    /// Bytes behind the data that belong to it.
    pub padding_bytes: u64,
    /// What the bytes of the data add up to, in the form that tells.
    pub sum: Option<u32>,
    /// The same for all names of one file, where the form keeps its data once.
    inode: Option<(u64, u64)>,
    /// How long it was itself, with its padding.
    length: u64,
}

impl CpioHeader {
    /// Reads the next one; none at the end of the archive.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut magic = [0; 2];
        from.read_exact(&mut magic)?;
        let mut header = match &magic {
            b"07" => Self::in_digits(from)?,
            [0xc7, 0x71] => Self::binary(from, u16::from_le_bytes)?,
            [0x71, 0xc7] => Self::binary(from, u16::from_be_bytes)?,
            _ => return Err(invalid("there is no header of a member where one has to be")),
        };
        // The name ends with a zero, and is followed by others up to the next border.
        let end = header.name.iter().position(|byte| *byte == 0);
        header.name.truncate(end.ok_or_else(|| invalid("a name without an end"))?);
        Ok((header.name != TRAILER).then_some(header))
    }

    fn in_digits(from: &mut impl Read) -> io::Result<Self> {
        let mut magic = [0; 4];
        from.read_exact(&mut magic)?;
        match &magic {
            b"0701" => Self::new(from, false),
            b"0702" => Self::new(from, true),
            b"0707" => Self::odc(from),
            _ => Err(invalid("there is no header of a member where one has to be")),
        }
    }

    /// Thirteen numbers of eight hexadecimal digits; name and data are padded to four bytes.
    fn new(from: &mut impl Read, has_sum: bool) -> io::Result<Self> {
        let mut number = || digits(from, 8, 16);
        let (inode, mode) = (number()?, number()?);
        let (uid, gid, names) = (number()?, number()?, number()?);
        let (modified, size_bytes) = (number()?, number()?);
        let device = number()? << 32 | number()?;
        let (_major, _minor) = (number()?, number()?);
        let (name_bytes, sum) = (number()?, number()?);
        let header_bytes = NEW_BYTES;
        let mut header = Self::with(mode, (uid, gid), modified, size_bytes);
        header.take_name(from, (header_bytes, name_bytes), 4)?;
        header.inode = (names > 1 && header.kind == MemberKind::File).then_some((device, inode));
        // Of what links lead to `cpio` makes no sum.
        let has_sum = has_sum && header.kind == MemberKind::File;
        header.sum = has_sum.then(|| u32::try_from(sum).unwrap_or(0));
        Ok(header)
    }

    /// Numbers in octal digits; nothing is padded.
    fn odc(from: &mut impl Read) -> io::Result<Self> {
        let mut number = |count| digits(from, count, 8);
        let (_device, _inode, mode) = (number(6)?, number(6)?, number(6)?);
        let (uid, gid, _names, _rdev) = (number(6)?, number(6)?, number(6)?, number(6)?);
        let (modified, name_bytes, size_bytes) = (number(11)?, number(6)?, number(11)?);
        let mut header = Self::with(mode, (uid, gid), modified, size_bytes);
        header.take_name(from, (ODC_BYTES, name_bytes), 1)?;
        Ok(header)
    }

    /// Words of the machine that wrote it, the high one of two first; name and data are padded to two bytes.
    fn binary(from: &mut impl Read, word: fn([u8; 2]) -> u16) -> io::Result<Self> {
        let mut next = || -> io::Result<u64> {
            let mut bytes = [0; 2];
            from.read_exact(&mut bytes)?;
            Ok(word(bytes).into())
        };
        let (_device, _inode, mode) = (next()?, next()?, next()?);
        let (uid, gid, _names, _rdev) = (next()?, next()?, next()?, next()?);
        let modified = next()? << 16 | next()?;
        let name_bytes = next()?;
        let size_bytes = next()? << 16 | next()?;
        let mut header = Self::with(mode, (uid, gid), modified, size_bytes);
        header.take_name(from, (BINARY_BYTES, name_bytes), 2)?;
        Ok(header)
    }

    fn with(mode: u64, owner: (u64, u64), modified: u64, size_bytes: u64) -> Self {
        let kind = match mode & TYPE_MASK {
            REGULAR => MemberKind::File,
            DIRECTORY => MemberKind::Directory,
            SYMBOLIC_LINK => MemberKind::SymbolicLink,
            _ => MemberKind::Other,
        };
        Self {
            name: Vec::new(),
            kind,
            mode: u32::try_from(mode & MODE_MASK).unwrap_or(0),
            owner,
            modified,
            size_bytes,
            padding_bytes: 0,
            sum: None,
            inode: None,
            length: 0,
        }
    }

    fn take_name(
        &mut self,
        from: &mut impl Read,
        (header_bytes, name_bytes): (u64, u64),
        border: u64,
    ) -> io::Result<()> {
        // With the zero behind it.
        if name_bytes > NAME_BYTES_MAX as u64 + 1 {
            return Err(invalid(&format!("a name is too long: more than {NAME_BYTES_MAX} bytes")));
        }
        self.length = header_bytes.saturating_add(name_bytes).next_multiple_of(border);
        let rest = self.length.saturating_sub(header_bytes);
        if from.by_ref().take(rest).read_to_end(&mut self.name)? as u64 != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let padded = self.size_bytes.checked_next_multiple_of(border);
        let padded = padded.ok_or_else(|| invalid("a member is longer than any tape"))?;
        self.padding_bytes = padded.saturating_sub(self.size_bytes);
        Ok(())
    }

    /// What a symbolic link leads to.
    pub fn link_target(&self, from: &mut impl Read) -> io::Result<Vec<u8>> {
        if self.size_bytes > NAME_BYTES_MAX as u64 {
            return Err(invalid("a link leads to a name that is too long"));
        }
        let mut target = Vec::new();
        from.by_ref().take(self.size_bytes).read_to_end(&mut target)?;
        if target.len() as u64 != self.size_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(target)
    }

    /// Copies the data, and compares it with the sum, if there is one.
    pub fn copy_data(&self, from: &mut impl Read, to: &mut impl io::Write) -> io::Result<()> {
        let mut left = self.size_bytes;
        let mut sum = 0u32;
        let mut buffer = vec![0; BUFFER_BYTES];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let (piece, _) = buffer.split_at_mut(wanted);
            let count = from.read(piece)?;
            if count == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the archive ends {left} bytes too early"),
                ));
            }
            let (read, _) = piece.split_at(count);
            to.write_all(read)?;
            sum = read.iter().fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
            left = left.saturating_sub(count as u64);
        }
        if self.sum.is_some_and(|told| told != sum) {
            return Err(invalid("its bytes do not add up to what the archive says"));
        }
        Ok(())
    }
}

/// Whether a tape file begins with a header of the binary form. Its magic is two bytes, which one of 32,768 streams of noise has too, so that all of the
/// header has to be one; of the name what is there of it.
pub(super) fn is_binary(first: &[u8]) -> bool {
    let word = match first.first_chunk() {
        Some([0xc7, 0x71]) => u16::from_le_bytes,
        Some([0x71, 0xc7]) => u16::from_be_bytes,
        _ => return false,
    };
    let (words, _) = first.as_chunks::<2>();
    let at = |number: usize| u64::from(words.get(number).copied().map_or(0, word));
    let (mode, name_bytes) = (at(3), at(10));
    let size_bytes = at(11) << 16 | at(12);
    let Some(name) = first.get(2 * BINARY_WORDS..) else { return false };
    let length = usize::try_from(name_bytes).unwrap_or(usize::MAX);
    let (name, is_whole) = name.get(..length).map_or((name, false), |name| (name, true));
    let end = name.iter().position(|byte| *byte == 0);
    // A zero, and the name before it: none of one byte or less.
    let is_name = (2..=NAME_BYTES_MAX as u64 + 1).contains(&name_bytes)
        && if is_whole { end == length.checked_sub(1) } else { end.is_none() };
    let is_kind = match mode & TYPE_MASK {
        // Some have the number of a device where its length would be.
        REGULAR | 0o020_000 | 0o060_000 => true,
        SYMBOLIC_LINK => (1..=NAME_BYTES_MAX as u64).contains(&size_bytes),
        DIRECTORY | 0o010_000 | 0o140_000 => size_bytes == 0,
        // An archive of nothing.
        _ => name.strip_suffix(b"\0") == Some(TRAILER),
    };
    is_name && is_kind
}

/// Lists the members from a place on. Of their data only what links lead to is read.
pub(super) fn members(
    file: &mut TapeFile<'_>,
    mut begin: u64,
    found: &mut Vec<Member>,
    budget: &mut Budget<'_>,
) -> io::Result<()> {
    let length = file.length_bytes();
    let from = found.len();
    let mut inodes = Vec::new();
    let listed = loop {
        match member(file, begin) {
            Ok(Some((member, inode))) => {
                if let Err(error) = budget.spend(&member) {
                    break Err(error);
                }
                begin = member.end;
                found.push(member);
                inodes.push(inode);
                if begin > length {
                    break Err(io::Error::other("the tape file ends within this member"));
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    name_links(found.get_mut(from..).unwrap_or_default(), &inodes);
    listed
}

fn member(file: &mut TapeFile<'_>, begin: u64) -> io::Result<Option<(Member, Inode)>> {
    file.seek(SeekFrom::Start(begin))?;
    let Some(header) = CpioHeader::read(file)? else { return Ok(None) };
    let end = begin
        .checked_add(header.length)
        .and_then(|at| at.checked_add(header.size_bytes))
        .and_then(|at| at.checked_add(header.padding_bytes));
    let link = match header.kind {
        MemberKind::SymbolicLink => Some(header.link_target(file)?),
        _ => None,
    };
    let (path, path_hex) = RawName::divided(&header.name);
    let mut member = Member {
        path,
        path_hex,
        kind: header.kind,
        size_bytes: if link.is_some() { 0 } else { header.size_bytes },
        modified: header.modified,
        link: None,
        link_hex: None,
        begin,
        end: end.ok_or_else(|| invalid("a member is longer than any tape"))?,
        part: None,
    };
    if let Some(link) = link {
        member.set_link(&link);
    }
    Ok(Some((member, header.inode)))
}

/// Of a file with several names the new forms keep the data with the last one: the others are links to that. In the old forms each name has the
/// data, and their inodes are too short to be trusted: there each is a file of its own.
fn name_links(members: &mut [Member], inodes: &[Inode]) {
    let with_data = members.iter().zip(inodes).filter(|(member, _)| member.size_bytes > 0);
    let places: HashMap<(u64, u64), Vec<u8>> =
        with_data.filter_map(|(member, inode)| Some(((*inode)?, member.name().to_vec()))).collect();
    for (member, inode) in members.iter_mut().zip(inodes) {
        let place = inode.as_ref().and_then(|inode| places.get(inode));
        if let (Some(place), 0) = (place, member.size_bytes) {
            member.kind = MemberKind::HardLink;
            member.set_link(place);
        }
    }
}

type Inode = Option<(u64, u64)>;

/// A number of so many digits.
fn digits(from: &mut impl Read, count: usize, radix: u32) -> io::Result<u64> {
    let mut bytes = [0; 11];
    let (bytes, _) = bytes.split_at_mut(count.min(11));
    from.read_exact(bytes)?;
    bytes.iter().try_fold(0u64, |value, byte| {
        let digit = char::from(*byte).to_digit(radix);
        let digit = digit.ok_or_else(|| invalid("a header with something else than numbers"))?;
        Ok(value.saturating_mul(radix.into()).saturating_add(digit.into()))
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The name of what is no member but the end.
const TRAILER: &[u8] = b"TRAILER!!!";
const NEW_BYTES: u64 = 110;
const ODC_BYTES: u64 = 76;
const BINARY_BYTES: u64 = 26;
const BINARY_WORDS: usize = 13;
const TYPE_MASK: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;
const DIRECTORY: u64 = 0o040_000;
const SYMBOLIC_LINK: u64 = 0o120_000;
const MODE_MASK: u64 = 0o7777;
const BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn new_form(name: &[u8], mode: u32, data: &[u8], sum: Option<u32>) -> Vec<u8> {
        let magic = if sum.is_some() { "070702" } else { "070701" };
        let (name_bytes, sum) = (name.len() + 1, sum.unwrap_or(0));
        let mut bytes = format!(
            "{magic}{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{name_bytes:08x}{sum:08X}",
            1, 0, 0, 1, 1_000_000_000, data.len(), 0, 0, 0, 0
        )
        .into_bytes();
        assert_eq!(bytes.len() as u64, NEW_BYTES);
        bytes.extend_from_slice(name);
        bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_member_of_each_form_is_read_and_cut_off_anywhere_it_is_none() {
        let odc =
            b"0707070000010000021006440000000000000000010000000734654500000000200000000003a\0abc";
        let binary = [0o70707u16, 1, 2, 0o100_644, 0, 0, 1, 0, 0x3b9a, 0xca00, 2, 0, 3];
        let with_data = |words: Vec<u8>| [words, b"a\0abc\0".to_vec()].concat();
        let little = with_data(binary.iter().flat_map(|word| word.to_le_bytes()).collect());
        let big = with_data(binary.iter().flat_map(|word| word.to_be_bytes()).collect());
        let forms = [
            new_form(b"a", 0o100_644, b"abc", None),
            new_form(b"a", 0o100_644, b"abc", Some(294)),
            odc.to_vec(),
            little,
            big,
        ];
        for form in forms {
            let mut from = form.as_slice();
            let header = CpioHeader::read(&mut from).unwrap().unwrap();
            assert_eq!((header.name.as_slice(), header.mode), (&b"a"[..], 0o644), "{form:?}");
            assert_eq!((header.kind, header.modified), (MemberKind::File, 1_000_000_000));
            let mut data = Vec::new();
            header.copy_data(&mut from, &mut data).unwrap();
            assert_eq!((data.as_slice(), from.len() as u64), (&b"abc"[..], header.padding_bytes));
            for length in 0..header.length {
                let cut = &form[..usize::try_from(length).unwrap()];
                assert!(CpioHeader::read(&mut &*cut).is_err(), "{length} of {form:?}");
            }
        }
    }

    /// Two bytes were enough to be called an archive, and so a drill found one of 32,768 streams of noise damaged.
    #[test]
    fn noise_with_the_magic_of_the_binary_form_is_no_archive() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        // So long that the end of a name, if it were one, is in it.
        let mut noise = vec![0u8; 8192];
        for round in 0..10_000 {
            for word in noise.as_chunks_mut::<8>().0 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *word = state.to_le_bytes();
            }
            noise[..2].copy_from_slice(if round % 2 == 0 { b"\xc7\x71" } else { b"\x71\xc7" });
            assert_eq!(Kind::of(&noise), Kind::Unknown, "{:?}", &noise[..64]);
        }
        let words = |mode: u16, name: &[u8], size: u16, word: fn(u16) -> [u8; 2]| {
            let length = u16::try_from(name.len()).unwrap();
            let words = [0o70707, 1, 2, mode, 0, 0, 1, 0, 0x3b9a, 0xca00, length, 0, size];
            [words.into_iter().flat_map(word).collect(), name.to_vec()].concat()
        };
        for word in [u16::to_le_bytes, u16::to_be_bytes] {
            let long = [vec![b'n'; 2000], vec![0]].concat();
            for (mode, name, size) in [
                (0o100_644, &b"a\0"[..], 3),
                (0o040_755, b".\0", 0),
                (0o120_777, b"link\0", 5),
                (0o020_666, b"dev/tty\0", 0x0500),
                (0o100_644, &long, 0),
                (0, b"TRAILER!!!\0", 0),
            ] {
                let bytes = words(mode, name, size, word);
                let first = &bytes[..bytes.len().min(1024)];
                assert_eq!(Kind::of(first), Kind::Cpio, "{mode:o} {first:?}");
            }
            for (mode, name, size) in [
                (0o100_644, &b"a"[..], 3),
                (0o100_644, b"\0", 3),
                (0o100_644, b"a\0b\0", 3),
                (0o040_755, b".\0", 1),
                (0o120_777, b"link\0", 0),
                (0o130_644, b"a\0", 3),
                (0, b"a\0", 0),
            ] {
                assert_eq!(
                    Kind::of(&words(mode, name, size, word)),
                    Kind::Unknown,
                    "{mode:o} {name:?}"
                );
            }
        }
    }

    #[test]
    fn what_lies_is_refused() {
        let read = |bytes: &[u8]| CpioHeader::read(&mut &*bytes).map(|header| header.is_some());
        assert!(!read(&new_form(TRAILER, 0, b"", None)).unwrap());
        let long = new_form(&vec![b'n'; NAME_BYTES_MAX + 1], 0o100_644, b"", None);
        assert!(read(&long).unwrap_err().to_string().contains("too long"));
        let mut endless = new_form(b"a", 0o100_644, b"", None);
        endless[94..102].copy_from_slice(b"ffffffff");
        assert!(read(&endless).is_err());
        assert!(read(b"070701xyz and some more text that is no header, but is as long as one has to be, and longer than that").is_err());
        // A sum that does not fit is found when all of it was read.
        let bytes = new_form(b"a", 0o100_644, b"abc", Some(295));
        let mut from = bytes.as_slice();
        let header = CpioHeader::read(&mut from).unwrap().unwrap();
        let error = header.copy_data(&mut from, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("add up"), "{error}");
    }
}
