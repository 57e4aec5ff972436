//! A small record kept in two files that are written alternately, so that one good copy is always there.
//!
//! Both the ledger's head and the catalogue's tripwire are such records. A copy is 512 bytes, one sector, little-endian:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic, chosen by the owner |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | length of the payload in bytes, ≤ 480 |
//! | 16 | 8 | counter: the copy with the higher one is the newer |
//! | 24 | 484 | payload, then zeros |
//! | 508 | 4 | CRC32C of the 508 bytes before it |
//!
//! Invariant: while one copy holds bytes that are not yet durable, the other is durable and whole. [`TwinFile::write`]
//! therefore stays on one copy until [`TwinFile::sync`], and only then turns to the other.

use std::io;
use std::path::{Path, PathBuf};

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_u32, le_u64};

use crate::disk::{Disk, DiskFile, OpenMode, read_exact_at, write_all_at};

/// The most that a payload may hold.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 480;

/// The two copies, open for writing.
#[derive(Debug)]
pub(crate) struct TwinFile {
    copies: [Box<dyn DiskFile>; 2],
    magic: [u8; 8],
    counter: u64,
    /// Which of the copies the next write goes to; the other one is durable.
    writes_second: bool,
    is_dirty: bool,
    /// A write or a sync has failed: the copy may be half there, or lost while the kernel counts it as written.
    needs_rewrite: bool,
    /// The last record that was written whole.
    written: Option<Vec<u8>>,
}

/// What was found when the copies were opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TwinState {
    /// Neither file holds anything: they have just been made.
    Absent,
    /// The newest good copy.
    Found(Vec<u8>),
    /// There are bytes, and none of the copies is whole.
    Damaged,
    /// A whole copy of a later format version.
    Newer(u32),
}

impl TwinFile {
    /// Opens `stem.a` and `stem.b`. Missing files are made only if `may_create`; their names are then durable.
    pub(crate) fn open(
        disk: &dyn Disk,
        stem: &Path,
        magic: [u8; 8],
        may_create: bool,
    ) -> io::Result<(Self, TwinState)> {
        let names = Self::names(stem);
        let is_new = !disk.exists(&names[0])? || !disk.exists(&names[1])?;
        let mode = if may_create { OpenMode::Create } else { OpenMode::ReadWrite };
        let copies = [disk.open(&names[0], mode)?, disk.open(&names[1], mode)?];
        if is_new && let Some(parent) = stem.parent() {
            disk.sync_dir(parent)?;
        }
        let found = [read_copy(&*copies[0], magic)?, read_copy(&*copies[1], magic)?];
        let (writes_second, counter, state) = choose(found);
        let twin = Self {
            copies,
            magic,
            counter,
            writes_second,
            is_dirty: false,
            needs_rewrite: false,
            written: None,
        };
        Ok((twin, state))
    }

    /// The two file names of a stem.
    pub(crate) fn names(stem: &Path) -> [PathBuf; 2] {
        [stem.with_extension("a"), stem.with_extension("b")]
    }

    /// Replaces the record without waiting for the disk. A process that dies keeps it, a power cut may undo it.
    pub(crate) fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let counter = self.counter.saturating_add(1);
        let bytes = encode(self.magic, counter, payload)?;
        self.is_dirty = true;
        // Half a copy must not be synced as if it were one.
        self.needs_rewrite = true;
        write_all_at(self.target(), &bytes, 0)?;
        self.needs_rewrite = false;
        self.written = Some(bytes);
        self.counter = counter;
        Ok(())
    }

    /// Makes the last write durable. After an error the copy is not trusted: the next write goes to it again, and another
    /// sync writes it again first, since the kernel tells of lost data once only.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            if self.needs_rewrite {
                let written = self.written.as_ref().ok_or(io::ErrorKind::WriteZero)?;
                write_all_at(self.target(), written, 0)?;
            }
            self.needs_rewrite = true;
            self.target().sync_data()?;
            self.needs_rewrite = false;
            self.is_dirty = false;
            self.writes_second = !self.writes_second;
        }
        Ok(())
    }

    fn target(&self) -> &dyn DiskFile {
        let [first, second] = &self.copies;
        if self.writes_second { &**second } else { &**first }
    }
}

/// One copy, as read.
enum Copy {
    Empty,
    Whole { counter: u64, payload: Vec<u8> },
    Damaged,
    Newer(u32),
}

/// Which copy to write next, the highest counter seen, and what to tell the owner.
fn choose(found: [Copy; 2]) -> (bool, u64, TwinState) {
    match found {
        [Copy::Newer(version), _] | [_, Copy::Newer(version)] => {
            (false, 0, TwinState::Newer(version))
        }
        [
            Copy::Whole { counter: first, payload },
            Copy::Whole { counter: second, payload: other },
        ] => {
            if first >= second {
                (true, first, TwinState::Found(payload))
            } else {
                (false, second, TwinState::Found(other))
            }
        }
        [Copy::Whole { counter, payload }, _] => (true, counter, TwinState::Found(payload)),
        [_, Copy::Whole { counter, payload }] => (false, counter, TwinState::Found(payload)),
        [Copy::Empty, Copy::Empty] => (false, 0, TwinState::Absent),
        _ => (false, 0, TwinState::Damaged),
    }
}

fn encode(magic: [u8; 8], counter: u64, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::with_capacity(COPY_BYTES);
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&counter.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(COPY_BYTES - CRC_BYTES, 0);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn read_copy(file: &dyn DiskFile, magic: [u8; 8]) -> io::Result<Copy> {
    let length = file.length_bytes()?;
    if length == 0 {
        return Ok(Copy::Empty);
    }
    if length != COPY_BYTES as u64 {
        return Ok(Copy::Damaged);
    }
    let mut bytes = [0; COPY_BYTES];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(parse(&bytes, magic))
}

fn parse(bytes: &[u8], magic: [u8; 8]) -> Copy {
    let (body, crc) = bytes.split_at(bytes.len().saturating_sub(CRC_BYTES));
    if crc32c::crc32c(body).to_le_bytes() != *crc {
        return Copy::Damaged;
    }
    match fields(body) {
        Ok((_, (found, _, _, _))) if found != magic => Copy::Damaged,
        Ok((_, (_, version, _, _))) if version > FORMAT_VERSION => Copy::Newer(version),
        Ok((rest, (_, _, length, counter))) => {
            match usize::try_from(length).ok().and_then(|end| rest.get(..end)) {
                Some(payload) if payload.len() <= MAX_PAYLOAD_BYTES => {
                    Copy::Whole { counter, payload: payload.to_vec() }
                }
                _ => Copy::Damaged,
            }
        }
        Err(_) => Copy::Damaged,
    }
}

fn fields(bytes: &[u8]) -> IResult<&[u8], (&[u8], u32, u32, u64)> {
    (take(8_usize), le_u32, le_u32, le_u64).parse(bytes)
}

const COPY_BYTES: usize = 512;
const CRC_BYTES: usize = 4;
const FORMAT_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Call, Fault, FaultDisk, MemoryDisk, Reaction};
    use crate::whole::read_whole;

    fn open(disk: &MemoryDisk) -> (TwinFile, TwinState) {
        TwinFile::open(disk, Path::new("/x"), *b"12345678", true).unwrap()
    }

    fn put(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
        let file = disk.open(Path::new(name), OpenMode::Create).unwrap();
        file.set_length(0).unwrap();
        write_all_at(&*file, bytes, 0).unwrap();
    }

    #[test]
    fn the_newest_whole_copy_counts() {
        let disk = MemoryDisk::new();
        let (mut twin, state) = open(&disk);
        assert_eq!(state, TwinState::Absent);
        for number in 1..=5_u8 {
            twin.write(&[number]).unwrap();
            assert_eq!(open(&disk).1, TwinState::Found(vec![number]), "also before the sync");
            twin.sync().unwrap();
        }
        for name in ["/x.a", "/x.b"] {
            let copy = disk.snapshot();
            let mut bytes = read_whole(&copy, Path::new(name), 512).unwrap();
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                put(&copy, name, &bytes);
                let (TwinState::Found(payload), older) = (open(&copy).1, 4) else {
                    panic!("one copy is whole")
                };
                assert!(payload == [5] || payload == [older]);
                assert!(name == "/x.a" || payload == [5], "the fifth write went to the first copy");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_power_cut_at_any_time_leaves_a_synced_record() {
        let disk = MemoryDisk::new();
        let (mut twin, _) = open(&disk);
        disk.sync_dir(Path::new("/")).unwrap();
        twin.write(&[1]).unwrap();
        twin.sync().unwrap();
        for number in 2..=6_u8 {
            twin.write(&[number]).unwrap();
            let TwinState::Found(payload) = open(&disk.after_power_cut()).1 else {
                panic!("lost at {number}")
            };
            let expected = if number < 4 { 1 } else { 3 };
            assert_eq!(payload, [expected]);
            // Not synced after every write: the copy that is durable is left alone until then.
            if number == 3 {
                twin.sync().unwrap();
            }
        }
    }

    #[test]
    fn a_sync_after_a_failed_one_writes_again_first() {
        // After a failed sync, another one without a write in between believed the kernel, which had dropped the record, and
        // turned to the other copy: then neither was durable.
        let mut lost = 0;
        for number in 2..40_u8 {
            let memory = MemoryDisk::new();
            let disk = FaultDisk::over(memory.clone());
            let mut twin = TwinFile::open(&disk, Path::new("/x"), *b"12345678", true).unwrap().0;
            disk.sync_dir(Path::new("/")).unwrap();
            for record in 1..=number {
                twin.write(&[record]).unwrap();
                if record < number {
                    twin.sync().unwrap();
                }
            }
            disk.inject(Fault::once(Call::SyncData, "", Reaction::Errno(5)));
            assert!(twin.sync().is_err());
            lost +=
                u8::from(open(&memory.after_power_cut()).1 == TwinState::Found(vec![number - 1]));
            twin.sync().unwrap();
            assert!(disk.retried_syncs().is_empty());
            assert_eq!(open(&memory.after_power_cut()).1, TwinState::Found(vec![number]));
        }
        assert!(lost > 0, "some of them have to be lost for this to say anything");
    }

    #[test]
    fn half_a_copy_is_not_synced() {
        // A write that had failed in the middle was synced by the next sync, and the other copy was written from then on.
        let memory = MemoryDisk::new();
        let disk = FaultDisk::over(memory.clone());
        let mut twin = TwinFile::open(&disk, Path::new("/x"), *b"12345678", true).unwrap().0;
        disk.sync_dir(Path::new("/")).unwrap();
        let fail = || {
            disk.inject(Fault::once(Call::Write, "", Reaction::Short(100)));
            disk.inject(Fault::once(Call::Write, "", Reaction::Errno(5)));
        };
        fail();
        assert!(twin.write(&[1]).is_err() && twin.sync().is_err());
        twin.write(&[1]).unwrap();
        twin.sync().unwrap();
        fail();
        assert!(twin.write(&[2]).is_err());
        twin.sync().unwrap();
        assert_eq!(open(&memory.after_power_cut()).1, TwinState::Found(vec![1]));
        twin.write(&[3]).unwrap();
        assert_eq!(open(&memory.after_power_cut()).1, TwinState::Found(vec![1]));
        twin.sync().unwrap();
        assert_eq!(open(&memory.after_power_cut()).1, TwinState::Found(vec![3]));
    }

    #[test]
    fn damage_to_both_and_later_versions_are_told_apart() {
        let disk = MemoryDisk::new();
        let (mut twin, _) = open(&disk);
        twin.write(&[1; MAX_PAYLOAD_BYTES]).unwrap();
        assert!(twin.write(&[1; MAX_PAYLOAD_BYTES + 1]).is_err());
        let good = read_whole(&disk, Path::new("/x.a"), 512).unwrap();
        put(&disk, "/x.a", &good[..511]);
        put(&disk, "/x.b", b"?");
        assert_eq!(open(&disk).1, TwinState::Damaged);
        let mut newer = good;
        newer[8] = 2;
        let crc = crc32c::crc32c(&newer[..508]).to_le_bytes();
        newer[508..].copy_from_slice(&crc);
        put(&disk, "/x.a", &newer);
        assert_eq!(open(&disk).1, TwinState::Newer(2));
    }
}
