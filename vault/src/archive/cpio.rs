//! The headers of cpio archives: the "new" formats with and without checksums, the portable one of POSIX, and the old binary one in both byte
//! orders (cpio(5)).

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;

use super::TapeFile;
use super::members::{Budget, Member, MemberKind, lossy};

/// What stands before the data of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpioHeader {
    /// Its name, as it is.
    pub name: Vec<u8>,
    /// How long its data is.
    pub size_bytes: u64,
    /// The sum of all bytes of its data, where the archive has that.
    pub checksum: Option<u32>,
    mode: u32,
    modified: u64,
    links: u32,
    /// Device and number of the file.
    identity: (u64, u64),
    header_bytes: u64,
    padding_bytes: u64,
}

impl CpioHeader {
    /// Reads the next header; `None` at the end of the archive.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut magic = [0; 6];
        let (short, rest) = magic.split_at_mut(2);
        from.read_exact(short)?;
        let header = match short {
            [0xc7, 0x71] => binary(from, u16::from_le_bytes)?,
            [0x71, 0xc7] => binary(from, u16::from_be_bytes)?,
            _ => {
                from.read_exact(rest)?;
                match &magic {
                    b"070701" => new(from, false)?,
                    b"070702" => new(from, true)?,
                    b"070707" => portable(from)?,
                    _ => return Err(invalid("there is no header of a member where one should be")),
                }
            }
        };
        Ok((header.name != TRAILER).then_some(header))
    }

    /// From the beginning of the header to that of the next one.
    pub fn whole_bytes(&self) -> u64 {
        self.header_bytes.saturating_add(self.size_bytes).saturating_add(self.padding_bytes)
    }

    /// Zeros behind the data.
    pub fn padding_bytes(&self) -> u64 {
        self.padding_bytes
    }

    /// What it is.
    pub fn kind(&self) -> MemberKind {
        match self.mode & 0o170_000 {
            0o100_000 | 0 => MemberKind::File,
            0o040_000 => MemberKind::Directory,
            0o120_000 => MemberKind::SymbolicLink,
            _ => MemberKind::Other,
        }
    }

    /// The header of the same member in a tar archive, with what comes before it for a long name: what unpacks tar archives unpacks this one.
    /// `name` is what it is called there, and `link` what a symbolic link leads to.
    pub fn to_tar(&self, name: &str, link: Option<&[u8]>) -> io::Result<Vec<u8>> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode & 0o7777);
        header.set_mtime(self.modified);
        header.set_size(0);
        let kind = match self.kind() {
            MemberKind::Directory => tar::EntryType::Directory,
            MemberKind::SymbolicLink => tar::EntryType::Symlink,
            MemberKind::File => tar::EntryType::Regular,
            _ => return Err(io::Error::other("a device or a pipe: it is left out")),
        };
        header.set_entry_type(kind);
        let mut archive = tar::Builder::new(Vec::new());
        // Where a name begins does not count; that it leads out is found by whoever unpacks.
        let name = name.trim_start_matches('/');
        if let Some(link) = link {
            archive.append_link(&mut header, name, std::ffi::OsStr::from_bytes(link))?;
        } else {
            if kind == tar::EntryType::Regular {
                header.set_size(self.size_bytes);
            }
            archive.append_data(&mut header, name, io::empty())?;
        }
        let mut bytes = archive.into_inner()?;
        // Without the end of an archive: data follows.
        bytes.truncate(bytes.len().saturating_sub(TAR_END_BYTES));
        Ok(bytes)
    }
}

/// A member as a tar archive with nothing else in it: `from` is at its header.
pub fn as_tar<'a>(mut from: impl Read + 'a, name: &str) -> io::Result<Box<dyn Read + 'a>> {
    let header = CpioHeader::read(&mut from)?;
    let header = header.ok_or_else(|| invalid("the archive ends where a member should be"))?;
    let link = match header.kind() {
        MemberKind::SymbolicLink => Some(read_link(&mut from, &header)?),
        _ => None,
    };
    let before = header.to_tar(name, link.as_deref())?;
    let size = if header.kind() == MemberKind::File { header.size_bytes } else { 0 };
    let padding = size.next_multiple_of(TAR_BLOCK_BYTES).saturating_sub(size);
    let zeros = io::repeat(0).take(padding.saturating_add(TAR_END_BYTES as u64));
    Ok(Box::new(Cursor::new(before).chain(from.take(size)).chain(zeros)))
}

/// Lists the members of an archive; of these only the headers are read.
pub(super) fn members(
    file: &mut TapeFile<'_>,
    found: &mut Vec<Member>,
    budget: &mut Budget<'_>,
) -> io::Result<()> {
    let length = file.length_bytes();
    // Names without data of their own, by the file that they are names of: in the new formats the last one has it.
    let mut waiting: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
    let mut begin = 0_u64;
    file.seek(SeekFrom::Start(0))?;
    while let Some(header) = CpioHeader::read(file)? {
        let end = begin.saturating_add(header.whole_bytes());
        let link = match header.kind() {
            MemberKind::SymbolicLink => Some(lossy(&read_link(file, &header)?)),
            _ => None,
        };
        let path = lossy(&header.name);
        budget.spend([path.len(), link.as_ref().map_or(0, String::len)])?;
        let kind = header.kind();
        let size_bytes = if kind == MemberKind::File { header.size_bytes } else { 0 };
        if kind == MemberKind::File && header.links > 1 {
            if size_bytes == 0 {
                waiting.entry(header.identity).or_default().push(found.len());
            } else {
                for at in waiting.remove(&header.identity).unwrap_or_default() {
                    if let Some(name) = found.get_mut(at) {
                        (name.begin, name.end, name.size_bytes) = (begin, end, size_bytes);
                    }
                }
            }
        }
        found.push(Member { path, kind, size_bytes, modified: header.modified, link, begin, end });
        if end > length {
            return Err(io::Error::other("the tape file ends within this member"));
        }
        begin = end;
        file.seek(SeekFrom::Start(begin))?;
    }
    Ok(())
}

fn read_link(from: &mut impl Read, header: &CpioHeader) -> io::Result<Vec<u8>> {
    if header.size_bytes > NAME_BYTES_MAX {
        return Err(invalid("what a link leads to is longer than any path"));
    }
    let mut link = Vec::new();
    from.take(header.size_bytes).read_to_end(&mut link)?;
    if link.len() as u64 != header.size_bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(link)
}

/// `070701` and `070702`: 13 numbers of 8 hexadecimal digits; name and data end at multiples of 4.
fn new(from: &mut impl Read, has_checksum: bool) -> io::Result<CpioHeader> {
    let mut text = [0; 104];
    from.read_exact(&mut text)?;
    let (fields, _) = text.as_chunks::<8>();
    let mut numbers = [0_u32; 13];
    for (number, field) in numbers.iter_mut().zip(fields) {
        *number =
            digits(field, 16).and_then(|number| u32::try_from(number).ok()).ok_or_else(bad)?;
    }
    let [inode, mode, _, _, links, modified, size, major, minor, _, _, name_bytes, checksum] =
        numbers;
    let header = CpioHeader {
        name: Vec::new(),
        size_bytes: size.into(),
        checksum: has_checksum.then_some(checksum),
        mode,
        modified: modified.into(),
        links,
        identity: ((u64::from(major) << 32) | u64::from(minor), inode.into()),
        header_bytes: 110,
        padding_bytes: 0,
    };
    named(from, header, name_bytes.into(), 4)
}

/// `070707`: octal digits, nothing is aligned.
fn portable(from: &mut impl Read) -> io::Result<CpioHeader> {
    let mut text = [0; 70];
    from.read_exact(&mut text)?;
    let field = |at: usize, length: usize| {
        let field = text.get(at..at.saturating_add(length)).unwrap_or_default();
        digits(field, 8).ok_or_else(bad)
    };
    let small = |at| field(at, 6).and_then(|number| u32::try_from(number).map_err(|_| bad()));
    let header = CpioHeader {
        name: Vec::new(),
        size_bytes: field(59, 11)?,
        checksum: None,
        mode: small(12)?,
        modified: field(42, 11)?,
        links: small(30)?,
        identity: (field(0, 6)?, field(6, 6)?),
        header_bytes: 76,
        padding_bytes: 0,
    };
    let name_bytes = field(53, 6)?;
    named(from, header, name_bytes, 1)
}

/// The old binary format: words of 16 bits, and long numbers with the upper one first, whatever the byte order.
fn binary(from: &mut impl Read, word: fn([u8; 2]) -> u16) -> io::Result<CpioHeader> {
    let mut bytes = [0; 24];
    from.read_exact(&mut bytes)?;
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut words = [0_u16; 12];
    for (to, pair) in words.iter_mut().zip(pairs) {
        *to = word(*pair);
    }
    let [device, inode, mode, _, _, links, _, time_high, time_low, name_bytes, size_high, size_low] =
        words;
    let long = |high: u16, low: u16| (u64::from(high) << 16) | u64::from(low);
    let header = CpioHeader {
        name: Vec::new(),
        size_bytes: long(size_high, size_low),
        checksum: None,
        mode: mode.into(),
        modified: long(time_high, time_low),
        links: links.into(),
        identity: (device.into(), inode.into()),
        header_bytes: 26,
        padding_bytes: 0,
    };
    named(from, header, name_bytes.into(), 2)
}

/// Reads the name, and reckons with what is filled up.
fn named(
    from: &mut impl Read,
    mut header: CpioHeader,
    name_bytes: u64,
    alignment: u64,
) -> io::Result<CpioHeader> {
    if !(1..=NAME_BYTES_MAX.saturating_add(1)).contains(&name_bytes) {
        return Err(invalid("a name is empty or too long"));
    }
    let header_bytes = header.header_bytes.saturating_add(name_bytes).next_multiple_of(alignment);
    let rest_bytes = header_bytes.saturating_sub(header.header_bytes);
    from.take(rest_bytes).read_to_end(&mut header.name)?;
    let end = header.name.iter().position(|byte| *byte == 0);
    header.name.truncate(end.ok_or_else(|| invalid("a name does not end"))?);
    header.header_bytes = header_bytes;
    let size = header.size_bytes;
    header.padding_bytes = size
        .checked_next_multiple_of(alignment)
        .ok_or_else(|| invalid("a member is longer than any tape"))?
        .saturating_sub(size);
    Ok(header)
}

fn digits(field: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(field).ok().filter(|text| !text.starts_with('+'))?;
    u64::from_str_radix(text, radix).ok()
}

fn bad() -> io::Error {
    invalid("a header has something else than digits in it")
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const TRAILER: &[u8] = b"TRAILER!!!";
const NAME_BYTES_MAX: u64 = 4096;
const TAR_BLOCK_BYTES: u64 = 512;
const TAR_END_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn newc(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
        let fields = [
            7,
            mode,
            0,
            0,
            1,
            1_700_000_000,
            u32::try_from(data.len()).unwrap(),
            0,
            0,
            0,
            0,
            u32::try_from(name.len()).unwrap() + 1,
            0,
        ];
        let mut bytes = b"070701".to_vec();
        for field in fields {
            bytes.extend(format!("{field:08X}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_member_becomes_a_tar_archive_of_its_own() {
        let long = format!("{}/end", "directory/".repeat(30));
        for (name, mode, data) in [
            ("a.txt", 0o100_644, &b"content"[..]),
            (&long, 0o100_600, &[9; 1025]),
            ("d", 0o040_755, b""),
        ] {
            let bytes = newc(name, mode, data);
            let header = CpioHeader::read(&mut bytes.as_slice()).unwrap().unwrap();
            assert_eq!(header.whole_bytes(), bytes.len() as u64);
            let mut archive = tar::Archive::new(as_tar(bytes.as_slice(), name).unwrap());
            let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str().unwrap().trim_end_matches('/'), name);
            assert_eq!(entry.header().mode().unwrap(), mode & 0o7777);
            let mut found = Vec::new();
            entry.read_to_end(&mut found).unwrap();
            assert_eq!(found, data);
        }
        let bytes = newc("link", 0o120_777, b"a.txt");
        let mut archive = tar::Archive::new(as_tar(bytes.as_slice(), "link").unwrap());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.link_name().unwrap().unwrap().to_str(), Some("a.txt"));
        assert!(as_tar(newc("tty", 0o020_600, b"").as_slice(), "tty").is_err());
    }

    #[test]
    fn what_is_no_header_is_an_error_and_not_much_memory() {
        let end = newc("TRAILER!!!", 0, b"");
        assert_eq!(CpioHeader::read(&mut end.as_slice()).unwrap(), None);
        let good = newc("name", 0o100_644, b"x");
        for length in 0..115 {
            assert!(CpioHeader::read(&mut &good[..length]).is_err(), "{length}");
        }
        for at in 0..110 {
            let mut bytes = good.clone();
            bytes[at] = b'!';
            assert!(CpioHeader::read(&mut bytes.as_slice()).is_err(), "{at}");
        }
        let mut endless = good.clone();
        endless[94..102].copy_from_slice(b"FFFFFFFF");
        assert!(CpioHeader::read(&mut endless.as_slice()).is_err());
    }
}
