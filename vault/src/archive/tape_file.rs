//! The blocks between two filemarks as one stream of bytes, in which any place is found without reading what lies before it.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::{Buf, Bytes};
use vtl_media::{ObjectNumber, ReadOutcome, SpaceOutcome, Volume};

/// A tape file: what `dd` would read between two filemarks.
#[derive(Debug)]
pub struct TapeFile<'a> {
    volume: &'a mut Volume,
    /// Its first object.
    first: u64,
    /// The object behind its last block.
    // Invariant: first <= end
    end: u64,
    /// Bytes of the partition before its first object.
    base: u64,
    /// Bytes of all its blocks.
    length: u64,
    /// The next byte that is read.
    at: u64,
    /// What is left of the block that was read last.
    rest: Bytes,
    /// How long the first block is. Most tape files have blocks of one length, and then every place is found at once.
    first_block_bytes: u64,
}

impl<'a> TapeFile<'a> {
    /// The tape file with so many filemarks before it, if there is anything behind these.
    pub fn open(volume: &'a mut Volume, partition: u8, number: u64) -> io::Result<Option<Self>> {
        let is_there = volume.change_partition(partition).map_err(io::Error::other)?;
        if !is_there || !is_done(volume.locate_filemark(number))? {
            return Ok(None);
        }
        let (first, base) = (volume.position().object.0, volume.position_bytes());
        let is_marked = is_done(volume.locate_filemark(number.saturating_add(1)))?;
        let end = volume.position().object.0.saturating_sub(u64::from(is_marked));
        if end == first && !is_marked {
            return Ok(None);
        }
        let length = volume.position_bytes().saturating_sub(base);
        volume.locate(ObjectNumber(first)).map_err(io::Error::other)?;
        let rest = Bytes::new();
        let mut file = Self { volume, first, end, base, length, at: 0, rest, first_block_bytes: 1 };
        if end > first {
            let second = ObjectNumber(first.saturating_add(1));
            file.volume.locate(second).map_err(io::Error::other)?;
            file.first_block_bytes = file.volume.position_bytes().saturating_sub(base).max(1);
        }
        Ok(Some(file))
    }

    /// Its first object's number.
    pub fn first_object(&self) -> u64 {
        self.first
    }

    /// Which records its first block and the filemark behind its last one are: as long as they are the same, so is all that lies between.
    /// `None` if it has no end yet.
    pub fn records(&mut self) -> io::Result<Option<String>> {
        let first = self.volume.record_of(ObjectNumber(self.first)).map_err(io::Error::other)?;
        let end = self.volume.record_of(ObjectNumber(self.end)).map_err(io::Error::other)?;
        Ok(first.zip(end).map(|(first, end)| format!("{first} {end}")))
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// Bytes of all its blocks.
    pub fn length_bytes(&self) -> u64 {
        self.length
    }

    /// The object in which a byte lies.
    pub fn object_of(&mut self, at: u64) -> io::Result<u64> {
        self.find(at).map(|(object, _)| object)
    }

    /// The block in which a byte lies, and where that begins.
    fn find(&mut self, at: u64) -> io::Result<(u64, u64)> {
        // Invariant: the block is one of `low..high`.
        let (mut low, mut high) = (self.first, self.end);
        let mut guess = self.first.saturating_add(at / self.first_block_bytes);
        loop {
            guess = guess.clamp(low, high.saturating_sub(1).max(low));
            let begin = self.begin_of(guess)?;
            let next = guess.saturating_add(1);
            if begin > at {
                high = guess;
            } else if next >= high || self.begin_of(next)? > at {
                return Ok((guess, begin));
            } else {
                low = next;
            }
            guess = low.midpoint(high);
        }
    }

    /// Where a block begins, in bytes.
    fn begin_of(&mut self, object: u64) -> io::Result<u64> {
        self.volume.locate(ObjectNumber(object)).map_err(io::Error::other)?;
        Ok(self.volume.position_bytes().saturating_sub(self.base))
    }

    /// Reads the block with the next byte.
    fn fetch(&mut self) -> io::Result<()> {
        let here = self.volume.position_bytes().saturating_sub(self.base);
        let is_behind = here == self.at && (self.first..self.end).contains(&self.object());
        let begin = if is_behind {
            here
        } else {
            let (object, begin) = self.find(self.at)?;
            self.volume.locate(ObjectNumber(object)).map_err(io::Error::other)?;
            begin
        };
        match self.volume.read().map_err(io::Error::other)? {
            ReadOutcome::Block(mut block) => {
                let skipped = usize::try_from(self.at.saturating_sub(begin));
                let skipped = skipped.unwrap_or(usize::MAX).min(block.len());
                block.advance(skipped);
                self.rest = block;
                Ok(())
            }
            ReadOutcome::Filemark | ReadOutcome::EndOfData => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    fn object(&self) -> u64 {
        self.volume.position().object.0
    }
}

impl Read for TapeFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            if self.at >= self.length || buffer.is_empty() {
                return Ok(0);
            }
            self.fetch()?;
        }
        let count = self.rest.len().min(buffer.len());
        let (target, _) = buffer.split_at_mut(count);
        self.rest.copy_to_slice(target);
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for TapeFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let wanted = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let wanted = wanted.ok_or(io::ErrorKind::InvalidInput)?;
        match wanted.checked_sub(self.at).map(usize::try_from) {
            Some(Ok(ahead)) if ahead <= self.rest.len() => self.rest.advance(ahead),
            _ => self.rest = Bytes::new(),
        }
        self.at = wanted;
        Ok(wanted)
    }
}

fn is_done(outcome: Result<SpaceOutcome, vtl_media::MediumError>) -> io::Result<bool> {
    outcome.map(|outcome| outcome == SpaceOutcome::Done).map_err(io::Error::other)
}
