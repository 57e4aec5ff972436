//! Keeping the summary up to date. Nothing is synced, and a failure only ends it: what is missing is read from the seals.

use std::io;
use std::path::Path;

use uuid::Uuid;

use super::{BLOCK_BYTES, Closed, HEAD_BYTES, NAME, Summary, block, encode};
use crate::disk::{Disk, DiskFile, OpenMode, write_all_at};

/// Adds rows behind those that are right.
#[derive(Debug)]
pub(crate) struct SummaryWriter {
    file: Box<dyn DiskFile>,
    cartridge: Uuid,
    /// Blocks that are full.
    full_blocks: u64,
    /// The rows of the block behind them.
    // Invariant: HEAD_BYTES + rows.len() + 4 <= BLOCK_BYTES
    rows: Vec<u8>,
    row_count: u32,
}

impl SummaryWriter {
    /// Goes on behind what is right in a summary; `read` are the closed segments whose seals had to be read. `None` if it
    /// cannot be written.
    pub(crate) fn resume(
        disk: &dyn Disk,
        directory: &Path,
        cartridge: Uuid,
        (summary, read): (&Summary, &[Closed]),
    ) -> Option<Self> {
        let resumed = Self::try_resume(disk, directory, cartridge, (summary, read));
        let warn = |error: &io::Error| {
            tracing::warn!(%cartridge, %error, "no summary of the segments is kept");
        };
        resumed.inspect_err(warn).ok()
    }

    fn try_resume(
        disk: &dyn Disk,
        directory: &Path,
        cartridge: Uuid,
        (summary, read): (&Summary, &[Closed]),
    ) -> io::Result<Self> {
        let mut writer = Self {
            file: disk.open(&directory.join(NAME), OpenMode::Create)?,
            cartridge,
            full_blocks: 0,
            rows: Vec::new(),
            row_count: 0,
        };
        let kept = summary.kept(read);
        // The last one of them may have room for more.
        let full = kept.blocks.saturating_sub(1);
        writer.full_blocks = u64::try_from(full).unwrap_or(u64::MAX);
        let last = full.saturating_mul(BLOCK_BYTES)..kept.blocks.saturating_mul(BLOCK_BYTES);
        let is_in_last = |offset: usize| last.contains(&offset);
        let is_behind = |offset: usize| offset >= last.end;
        for (offset, row) in summary.good_rows(read) {
            if is_in_last(offset) {
                writer.put(&encode(&row))?;
            }
        }
        let behind: Vec<Closed> = summary
            .good_rows(read)
            .filter(|(offset, _)| is_behind(*offset))
            .map(|(_, row)| row)
            .collect();
        let missing = read.iter().filter(|row| summary.row(row.number).as_ref() != Some(*row));
        let mut has_added = false;
        for row in behind.iter().chain(missing) {
            writer.put(&encode(row))?;
            has_added = true;
        }
        if has_added {
            writer.write_last()?;
        }
        if !kept.is_all {
            let blocks = writer.full_blocks.saturating_add(u64::from(writer.row_count > 0));
            writer.file.set_length(blocks.saturating_mul(BLOCK_BYTES as u64))?;
        }
        Ok(writer)
    }

    /// Adds a segment that has been closed, durably.
    pub(crate) fn add(&mut self, closed: &Closed) -> io::Result<()> {
        self.put(&encode(closed))?;
        self.write_last()
    }

    /// Puts a row into the last block, and writes the one before if that is full.
    fn put(&mut self, row: &[u8]) -> io::Result<()> {
        let length = self.rows.len().saturating_add(row.len()).saturating_add(HEAD_BYTES + 4);
        if length > BLOCK_BYTES {
            self.write_last()?;
            self.full_blocks = self.full_blocks.saturating_add(1);
            self.rows.clear();
            self.row_count = 0;
        }
        self.rows.extend_from_slice(row);
        self.row_count = self.row_count.saturating_add(1);
        Ok(())
    }

    fn write_last(&self) -> io::Result<()> {
        let bytes = block(self.cartridge, self.row_count, &self.rows);
        let offset = self.full_blocks.saturating_mul(BLOCK_BYTES as u64);
        write_all_at(self.file.as_ref(), &bytes, offset)
    }
}

/// How much of a summary stays as it is.
struct Kept {
    blocks: usize,
    /// Whether that is the whole file.
    is_all: bool,
}

impl Summary {
    /// The blocks before the first one in which something is wrong; none if most of the rows are of no use any more.
    fn kept(&self, read: &[Closed]) -> Kept {
        let good = self.good_rows(read).count();
        if self.row_count > good.saturating_mul(2).saturating_add(ROWS_TO_SPARE) {
            return Kept { blocks: 0, is_all: false };
        }
        // A row for a segment that is gone, or that later ones have not vouched for yet, does no harm.
        let wrong = read.iter().filter_map(|closed| {
            let at = self.position(closed.number)?;
            let offset = usize::try_from(self.rows.get(at)?.offset).ok()?;
            (self.row(closed.number).as_ref() != Some(closed)).then_some(offset / BLOCK_BYTES)
        });
        let blocks = wrong.fold(self.whole_blocks, usize::min);
        Kept { blocks, is_all: blocks.saturating_mul(BLOCK_BYTES) == self.bytes.len() }
    }

    /// Rows that are believed, or the same as what was read, and where they are.
    fn good_rows(&self, read: &[Closed]) -> impl Iterator<Item = (usize, Closed)> {
        self.rows.iter().filter_map(|row| {
            let closed = self.decode(row)?;
            let is_good = row.is_believed
                || read
                    .binary_search_by_key(&row.number, |closed| closed.number)
                    .is_ok_and(|at| read.get(at) == Some(&closed));
            is_good.then_some((usize::try_from(row.offset).ok()?, closed))
        })
    }
}

/// With few segments, more rows than needed cost nothing.
const ROWS_TO_SPARE: usize = 1024;
