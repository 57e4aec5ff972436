//! How far the journal is known to be durable, written after every sync.
//!
//! Every header carries such a promise about the records before it, but nothing does for the last ones: without this
//! file, bit rot in them would look like a write that was under way. The file is not synced itself, which would double the
//! cost of a sync point. So it survives the end of the program at any moment, and a power cut once the kernel has written it back; a promise
//! that is lost only leaves the journal as it was before. A promise that is found is always true: it is written after the
//! sync.

use std::io;
use std::path::Path;

use nom::bytes::complete::take;
use nom::number::complete::le_u64;
use nom::{IResult, Parser};
use uuid::Uuid;

use crate::disk::{Disk, DiskFile, OpenMode, read_up_to_at, write_all_at};

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct Promise {
    file: Box<dyn DiskFile>,
    cartridge: Uuid,
    /// Which of the two copies is written next.
    turn: u64,
}

impl Promise {
    /// Opens the file of a journal, or makes it.
    pub(crate) fn open(disk: &dyn Disk, directory: &Path, cartridge: Uuid) -> io::Result<Self> {
        let file = disk.open(&directory.join(NAME), OpenMode::Create)?;
        Ok(Self { file, cartridge, turn: 0 })
    }

    /// Everything up to this record is durable. A failure costs nothing but the promise.
    pub(crate) fn keep(&mut self, sequence: u64) -> io::Result<()> {
        let copy = encode(self.cartridge, sequence);
        let offset = (self.turn % 2).saturating_mul(COPY_BYTES as u64);
        self.turn = self.turn.wrapping_add(1);
        write_all_at(self.file.as_ref(), &copy, offset)
    }

    /// The highest record that was promised; 0 if nothing is known.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path, cartridge: Uuid) -> io::Result<u64> {
        let path = directory.join(NAME);
        if !disk.exists(&path)? {
            return Ok(0);
        }
        let file = disk.open(&path, OpenMode::Read)?;
        let mut bytes = [0; 2 * COPY_BYTES];
        // One that cannot be read promises nothing; it must not keep a cartridge from being loaded.
        if read_up_to_at(file.as_ref(), &mut bytes, 0).is_err() {
            return Ok(0);
        }
        let copies = bytes.chunks(COPY_BYTES).filter_map(|copy| decode(copy, cartridge));
        Ok(copies.max().unwrap_or(0))
    }
}

fn encode(cartridge: Uuid, sequence: u64) -> [u8; COPY_BYTES] {
    let mut copy = [0; COPY_BYTES];
    let mut covered = Vec::with_capacity(COVERED_BYTES);
    covered.extend_from_slice(&MAGIC);
    covered.extend_from_slice(cartridge.as_bytes());
    covered.extend_from_slice(&sequence.to_le_bytes());
    let crc = crc32c::crc32c(&covered);
    covered.extend_from_slice(&crc.to_le_bytes());
    for (target, byte) in copy.iter_mut().zip(covered) {
        *target = byte;
    }
    copy
}

fn decode(copy: &[u8], cartridge: Uuid) -> Option<u64> {
    let (covered, rest) = copy.split_at_checked(COVERED_BYTES)?;
    if !rest.starts_with(&crc32c::crc32c(covered).to_le_bytes()) {
        return None;
    }
    let parsed: IResult<&[u8], _> = (take(8_usize), take(16_usize), le_u64).parse(covered);
    let (_, (magic, uuid, sequence)) = parsed.ok()?;
    (magic == MAGIC && uuid == cartridge.as_bytes()).then_some(sequence)
}

const NAME: &str = "promise";
const MAGIC: [u8; 8] = *b"VTLPROMI";
/// Magic, cartridge, sequence; the checksum follows.
const COVERED_BYTES: usize = 32;
/// A sector is written as a whole or not at all.
const COPY_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn the_highest_whole_promise_for_the_cartridge_counts() {
        let (disk, directory) = (MemoryDisk::new(), Path::new("/"));
        let cartridge = Uuid::from_u128(5);
        assert_eq!(Promise::read(&disk, directory, cartridge).unwrap(), 0);
        let mut promise = Promise::open(&disk, directory, cartridge).unwrap();
        for sequence in [7, 8, 9] {
            promise.keep(sequence).unwrap();
            assert_eq!(Promise::read(&disk, directory, cartridge).unwrap(), sequence);
        }
        assert_eq!(Promise::read(&disk, directory, Uuid::from_u128(6)).unwrap(), 0);
        // The newer copy is the first one again, the third time.
        write_all_at(promise.file.as_ref(), &[0xff], 30).unwrap();
        assert_eq!(Promise::read(&disk, directory, cartridge).unwrap(), 8);
    }
}
