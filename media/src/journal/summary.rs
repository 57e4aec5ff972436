//! The summary of closed segments: what their seals say, in one file, so that a long tape is opened without opening each of its
//! segments.
//!
//! It is a cache. A row is a copy of a seal, and is believed only if the segment behind it vouches for it: the record with which
//! that one begins carries the number and the checksum that follow the seal of which the row is a copy. The last segments are always read
//! themselves, so that in the end a record on the tape vouches for every row. What is missing, damaged, foreign, too new or of
//! another time only costs reading the seals.

mod writer;

use std::io;
use std::path::Path;

use nom::bytes::complete::take;
use nom::multi::count;
use nom::number::complete::{le_u32, le_u64};
use nom::{IResult, Parser};
use uuid::Uuid;

pub(crate) use self::writer::SummaryWriter;
use super::file::SegmentReader;
use super::index::Beginning;
use super::layers::Layers;
use super::record::{Place, SECTOR_BYTES};
use super::segment::{SEAL_BYTES, Seal, point, put_point, to_offset, to_sector};
use crate::disk::{Disk, OpenMode, read_up_to_at};

/// A closed segment: its seal, and what of the seal's header the records behind it go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) number: u32,
    pub(crate) seal: Seal,
    /// Of the seal's record.
    pub(crate) sequence: u64,
    pub(crate) durable_sequence: u64,
    pub(crate) crc: u32,
    pub(crate) owner_epoch: u32,
    /// What the segment's first record continues: the checksum of the one before.
    pub(crate) chain_before: u32,
    /// The generations that begin in it; `None` if they are too many for a row, and have to be read from the index.
    pub(crate) beginnings: Option<Vec<Beginning>>,
}

impl Closed {
    /// As a row can tell it.
    pub(crate) fn into_row(mut self) -> Self {
        self.beginnings = self.beginnings.filter(|list| list.len() <= BEGINNINGS_MAX);
        self
    }
}

/// The rows of one cartridge's summary, as they are in the file.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    bytes: Vec<u8>,
    /// In the order of the numbers, each once.
    rows: Vec<Row>,
    /// How many blocks from the beginning on are whole.
    // Invariant: whole_blocks * BLOCK_BYTES <= bytes.len()
    whole_blocks: usize,
    /// Rows in whole blocks, those that later ones have replaced included.
    row_count: usize,
}

/// Where a row is.
#[derive(Debug, Clone, Copy)]
struct Row {
    number: u32,
    /// In `bytes`.
    offset: u32,
    /// Whether the segment behind it has vouched for it.
    is_believed: bool,
}

/// What the first record of a segment, or its row, says of the segment before.
struct Voucher {
    number: u32,
    first_sequence: u64,
    chain_before: u32,
}

impl Summary {
    /// The summary in a journal's directory. One that cannot be read is empty.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path, cartridge: Uuid) -> Self {
        match read_file(disk, directory) {
            Ok(bytes) => Self::of(bytes, cartridge),
            Err(error) => {
                tracing::warn!(%cartridge, %error, "the summary of the segments cannot be read");
                Self::default()
            }
        }
    }

    fn of(bytes: Vec<u8>, cartridge: Uuid) -> Self {
        let mut summary = Self::default();
        let mut is_first_part = true;
        for (at, block) in bytes.chunks_exact(BLOCK_BYTES).enumerate() {
            let Some(numbers) = rows_of(block, cartridge) else {
                is_first_part = false;
                continue;
            };
            summary.row_count = summary.row_count.saturating_add(numbers.len());
            if is_first_part {
                summary.whole_blocks = at.saturating_add(1);
            }
            let start = at.saturating_mul(BLOCK_BYTES);
            summary.rows.extend(numbers.into_iter().filter_map(|(number, offset)| {
                let offset = u32::try_from(start.saturating_add(offset)).ok()?;
                Some(Row { number, offset, is_believed: false })
            }));
        }
        // Of two rows for one segment, the one that was written later.
        summary.rows.sort_by_key(|row| (row.number, std::cmp::Reverse(row.offset)));
        summary.rows.dedup_by_key(|row| row.number);
        summary.rows.shrink_to_fit();
        summary.bytes = bytes;
        summary
    }

    /// What the row for a segment says, believed or not.
    pub(crate) fn row(&self, number: u32) -> Option<Closed> {
        self.decode(self.rows.get(self.position(number)?)?)
    }

    /// The same, if it is believed.
    pub(crate) fn believed(&self, number: u32) -> Option<Closed> {
        let row = self.rows.get(self.position(number)?)?;
        row.is_believed.then(|| self.decode(row)).flatten()
    }

    fn decode(&self, row: &Row) -> Option<Closed> {
        let start = usize::try_from(row.offset).ok()?;
        closed(self.bytes.get(start..)?).ok().map(|(_, closed)| closed)
    }

    fn position(&self, number: u32) -> Option<usize> {
        self.rows.binary_search_by_key(&number, |row| row.number).ok()
    }

    fn believe(&mut self, number: u32) {
        if let Some(row) = self.position(number).and_then(|at| self.rows.get_mut(at)) {
            row.is_believed = true;
        }
    }
}

/// The summaries of all layers of a journal.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    /// One for each layer.
    list: Vec<Summary>,
}

impl Summaries {
    /// Reads them, and believes what the segments vouch for; `numbers` are all that are there, in order.
    pub(crate) fn read(
        disk: &dyn Disk,
        segments: &mut SegmentReader,
        numbers: &[u32],
    ) -> io::Result<Self> {
        let layers = std::sync::Arc::clone(segments.layers());
        let read =
            |(directory, cartridge): (&Path, Uuid)| Summary::read(disk, directory, cartridge);
        let mut summaries = Self { list: layers.each().map(read).collect() };
        summaries.believe(segments, &layers, numbers)?;
        Ok(summaries)
    }

    /// What is believed of a closed segment without having opened it.
    pub(crate) fn believed(&self, layers: &Layers, number: u32) -> Option<Closed> {
        self.list.get(layers.position_of(number)?)?.believed(number)
    }

    /// That of the cartridge itself.
    pub(crate) fn into_own(mut self) -> Summary {
        self.list.pop().unwrap_or_default()
    }

    /// From the end to the beginning: a row is believed if what is behind it continues it.
    fn believe(
        &mut self,
        segments: &mut SegmentReader,
        layers: &Layers,
        numbers: &[u32],
    ) -> io::Result<()> {
        let mut behind: Option<Voucher> = None;
        for number in numbers.iter().rev().copied() {
            let Some(layer) = layers.position_of(number) else { continue };
            let Some(summary) = self.list.get_mut(layer) else { continue };
            // Of a segment that belongs to the journal only in part, there is no seal in it.
            let is_whole = layers.end_of(number) == u64::MAX;
            let row = summary.row(number).filter(|row| is_whole && vouches(behind.as_ref(), row));
            if let Some(row) = row {
                summary.believe(number);
                let (first_sequence, chain_before) = (row.seal.first_sequence, row.chain_before);
                behind = Some(Voucher { number, first_sequence, chain_before });
            } else if number.checked_sub(1).is_some_and(|n| summary.position(n).is_some()) {
                behind = first_of(segments, number)?;
            } else {
                behind = None;
            }
        }
        Ok(())
    }
}

fn vouches(behind: Option<&Voucher>, row: &Closed) -> bool {
    behind.is_some_and(|behind| {
        behind.number == row.number.saturating_add(1)
            && behind.first_sequence == row.sequence.saturating_add(1)
            && behind.chain_before == row.crc
    })
}

/// What the record with which a segment begins says of the one before.
fn first_of(segments: &mut SegmentReader, number: u32) -> io::Result<Option<Voucher>> {
    let header = segments.header(Place { segment: number, offset: 0 }, SECTOR_BYTES)?;
    Ok(header.ok().map(|header| Voucher {
        number,
        first_sequence: header.sequence,
        chain_before: header.chain,
    }))
}

fn read_file(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<u8>> {
    let path = directory.join(NAME);
    if !disk.exists(&path)? {
        return Ok(Vec::new());
    }
    let file = disk.open(&path, OpenMode::Read)?;
    let length = file.length_bytes()?;
    if length > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let count = read_up_to_at(file.as_ref(), &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// The numbers of the rows in a block, and where in it they are; `None` if it is not a whole block of this cartridge.
fn rows_of(block: &[u8], cartridge: Uuid) -> Option<Vec<(u32, usize)>> {
    let (covered, crc) = block.split_at_checked(BLOCK_BYTES.checked_sub(4)?)?;
    if crc != crc32c::crc32c(covered).to_le_bytes() {
        return None;
    }
    let parsed: IResult<&[u8], _> = (take(8_usize), take(16_usize), le_u32, le_u32).parse(covered);
    let (mut rest, (magic, uuid, version, row_count)) = parsed.ok()?;
    if magic != MAGIC || uuid != cartridge.as_bytes() || version != VERSION {
        return None;
    }
    let mut rows = Vec::new();
    for _ in 0..usize::try_from(row_count).ok().filter(|count| *count <= BLOCK_BYTES / ROW_BYTES)? {
        let offset = covered.len().checked_sub(rest.len())?;
        let (behind, row) = closed(rest).ok()?;
        rows.push((row.number, offset));
        rest = behind;
    }
    Some(rows)
}

/// One block with these rows in it.
fn block(cartridge: Uuid, row_count: u32, rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(cartridge.as_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&row_count.to_le_bytes());
    bytes.extend_from_slice(rows);
    bytes.resize(BLOCK_BYTES.saturating_sub(4), 0);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn encode(closed: &Closed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    let unsynced = closed.sequence.saturating_sub(closed.durable_sequence);
    let beginnings = closed.beginnings.as_deref();
    let beginning_count =
        beginnings.map_or(IN_INDEX, |list| u32::try_from(list.len()).unwrap_or(IN_INDEX));
    bytes.extend_from_slice(&closed.number.to_le_bytes());
    bytes.extend_from_slice(&closed.owner_epoch.to_le_bytes());
    bytes.extend_from_slice(&closed.sequence.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(unsynced).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&closed.crc.to_le_bytes());
    bytes.extend_from_slice(&closed.chain_before.to_le_bytes());
    bytes.extend_from_slice(&beginning_count.to_le_bytes());
    bytes.extend_from_slice(&closed.seal.encode());
    for beginning in beginnings.unwrap_or_default() {
        let base = beginning.base.unwrap_or_default();
        bytes.extend_from_slice(&to_sector(beginning.offset).to_le_bytes());
        bytes.extend_from_slice(&beginning.generation.to_le_bytes());
        put_point(&mut bytes, beginning.start);
        bytes.extend_from_slice(&u32::from(beginning.base.is_some()).to_le_bytes());
        bytes.extend_from_slice(&base.segment.to_le_bytes());
        bytes.extend_from_slice(&to_sector(base.offset).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
    }
    bytes
}

fn closed(input: &[u8]) -> IResult<&[u8], Closed> {
    let (input, (number, owner_epoch, sequence, unsynced)) =
        (le_u32, le_u32, le_u64, le_u32).parse(input)?;
    let (input, (crc, chain_before, beginning_count)) = (le_u32, le_u32, le_u32).parse(input)?;
    let (input, seal) = take(SEAL_BYTES).map_opt(Seal::decode).parse(input)?;
    let (input, beginnings) = match usize::try_from(beginning_count) {
        Ok(length) if length <= BEGINNINGS_MAX => {
            let (input, list) = count(beginning, length).parse(input)?;
            (input, Some(list))
        }
        Ok(_) | Err(_) => (input, None),
    };
    let durable_sequence = sequence.saturating_sub(u64::from(unsynced));
    Ok((
        input,
        Closed {
            number,
            seal,
            sequence,
            durable_sequence,
            crc,
            owner_epoch,
            chain_before,
            beginnings,
        },
    ))
}

fn beginning(input: &[u8]) -> IResult<&[u8], Beginning> {
    let (input, (sector, generation, start)) = (le_u32, le_u32, point).parse(input)?;
    let (input, (has_base, segment, base, _)) = (le_u32, le_u32, le_u32, le_u32).parse(input)?;
    let base = (has_base & 1 != 0).then(|| Place::of_sector(segment, base));
    Ok((input, Beginning { offset: to_offset(sector), generation, start, base }))
}

/// The name of the file in the journal's directory.
pub(crate) const NAME: &str = "rows";
const MAGIC: [u8; 8] = *b"VTLROWS\0";
const VERSION: u32 = 1;
/// A page: what one write that was cut short can spoil.
const BLOCK_BYTES: usize = 4096;
/// Magic, uuid, version and number of rows; behind the rows is the checksum.
const HEAD_BYTES: usize = 32;
/// A row without beginnings.
const ROW_BYTES: usize = 32 + SEAL_BYTES;
/// More beginnings than this are read from the segment's index.
const BEGINNINGS_MAX: usize = 16;
/// In the place of the number of beginnings.
const IN_INDEX: u32 = u32::MAX;
/// Half a million segments; a file that is longer is not ours.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
