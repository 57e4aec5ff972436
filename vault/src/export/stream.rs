//! Blocks and filemarks from a cartridge to a tape, and from a tape back to hashes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use jiff::Timestamp;
use vtl_media::{MediumError, ObjectNumber, ReadOutcome, Volume};

use super::ExportError;
use super::tape::{Tape, TapeRead};
use crate::digest::{Digester, PartitionDigest, Section};

/// Where the objects come from.
pub trait Contents: Send {
    /// The next object.
    fn next(&mut self) -> Result<ReadOutcome, MediumError>;
    /// Goes to an object of a partition.
    fn go_to(&mut self, partition: u8, object: u64) -> Result<(), MediumError>;
}

impl Contents for Volume {
    fn next(&mut self) -> Result<ReadOutcome, MediumError> {
        self.read()
    }

    fn go_to(&mut self, partition: u8, object: u64) -> Result<(), MediumError> {
        if !self.change_partition(partition)? {
            let text = format!("there is no partition {partition}");
            return Err(MediumError::Io(std::io::Error::other(text)));
        }
        self.locate(ObjectNumber(object)).map(drop)
    }
}

/// Who looks on.
pub trait Watcher {
    /// Whether it is to be stopped.
    fn is_given_up(&self) -> bool;
    /// So many bytes more have been written or read.
    fn moved(&self, bytes: u64);
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// Milliseconds of a clock that nobody sets.
    fn clock_ms(&self) -> u64;
}

/// What is on its way to the drive.
enum Step {
    Block(Bytes),
    /// With the section that it ends.
    Filemark(Option<Section>),
}

/// Writes what is there of a partition from `done` on, while another thread reads ahead and hashes. `keep` is told of all sections that are on the
/// tape for sure, now and then.
pub(super) fn write(
    tape: &mut dyn Tape,
    contents: &mut dyn Contents,
    (partition, done): (u8, Vec<Section>),
    watcher: &dyn Watcher,
    keep: &mut dyn FnMut(&[Section]) -> Result<(), ExportError>,
) -> Result<PartitionDigest, ExportError> {
    let digester = Digester::resume(partition, done.clone());
    let object = digester.next_object();
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(BATCHES_AHEAD);
        let reader = thread::Builder::new()
            .name("export-read".to_owned())
            .spawn_scoped(scope, move || read_ahead(contents, digester, &sender))
            .map_err(|error| ExportError::Failed(format!("no thread for reading: {error}")))?;
        let mut writer = Writer { tape, partition, object, sections: done, unkept_bytes: 0 };
        let written = writer.take(receiver, watcher, keep);
        let read = reader.join().map_err(|_| {
            ExportError::Failed("reading the cartridge ended in disorder".to_owned())
        })?;
        written?;
        let digest = read.map_err(|error| ExportError::Cartridge(error.to_string()))?;
        writer.tape.synchronize().map_err(|error| writer.failed(error))?;
        digest
            .ok_or_else(|| ExportError::Failed("the cartridge was not read to its end".to_owned()))
    })
}

struct Writer<'a> {
    tape: &'a mut dyn Tape,
    partition: u8,
    /// The next object.
    object: u64,
    sections: Vec<Section>,
    unkept_bytes: u64,
}

impl Writer<'_> {
    fn take(
        &mut self,
        batches: Receiver<Vec<Step>>,
        watcher: &dyn Watcher,
        keep: &mut dyn FnMut(&[Section]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        for step in batches.into_iter().flatten() {
            if watcher.is_given_up() {
                return Err(ExportError::GivenUp);
            }
            match step {
                Step::Block(block) => self.block(&block, watcher)?,
                Step::Filemark(section) => self.filemark(section, keep)?,
            }
        }
        Ok(())
    }

    fn block(&mut self, block: &[u8], watcher: &dyn Watcher) -> Result<(), ExportError> {
        let most = self.tape.max_block_bytes();
        if block.len() > most {
            return Err(ExportError::BlockTooLong {
                partition: self.partition,
                object: self.object,
                bytes: block.len(),
                most,
            });
        }
        self.tape.write_block(block).map_err(|error| self.failed(error))?;
        self.object += 1;
        let bytes = u64::try_from(block.len()).unwrap_or(u64::MAX);
        self.unkept_bytes += bytes;
        watcher.moved(bytes);
        Ok(())
    }

    fn filemark(
        &mut self,
        section: Option<Section>,
        keep: &mut dyn FnMut(&[Section]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.tape.write_filemark().map_err(|error| self.failed(error))?;
        self.object += 1;
        self.sections.extend(section);
        // A drive that has to wait for each filemark stops and starts; a place to go on from is not needed that often.
        if self.unkept_bytes >= KEEP_BYTES {
            self.tape.synchronize().map_err(|error| self.failed(error))?;
            keep(&self.sections)?;
            self.unkept_bytes = 0;
        }
        Ok(())
    }

    fn failed(&self, error: super::TapeError) -> ExportError {
        ExportError::Tape { partition: self.partition, object: self.object, error }
    }
}

/// `None` if nobody wanted the rest.
fn read_ahead(
    contents: &mut dyn Contents,
    mut digester: Digester,
    sender: &SyncSender<Vec<Step>>,
) -> Result<Option<PartitionDigest>, MediumError> {
    loop {
        let (mut batch, mut bytes, mut is_end) = (Vec::new(), 0, false);
        while bytes < BATCH_BYTES && batch.len() < BATCH_OBJECTS && !is_end {
            match contents.next()? {
                ReadOutcome::Block(block) => {
                    digester.block(&block);
                    bytes += block.len();
                    batch.push(Step::Block(block));
                }
                ReadOutcome::Filemark => {
                    digester.filemark();
                    batch.push(Step::Filemark(digester.sections().last().cloned()));
                }
                ReadOutcome::EndOfData => is_end = true,
            }
        }
        if sender.send(batch).is_err() {
            return Ok(None);
        }
        if is_end {
            return Ok(Some(digester.finish()));
        }
    }
}

/// An object on its way from the drive to its hash; the buffers come back to be used again.
enum Found {
    Block(Vec<u8>),
    Filemark,
}

/// Reads a partition from its beginning to its end, while another thread hashes. It stops where there is more than `objects_max`.
pub(super) fn read_back(
    tape: &mut dyn Tape,
    partition: u8,
    objects_max: u64,
    watcher: &dyn Watcher,
) -> Result<PartitionDigest, ExportError> {
    tape.enter(partition).map_err(|error| ExportError::Tape { partition, object: 0, error })?;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Found>(BLOCKS_AHEAD);
        let (empty, emptied) = sync_channel::<Vec<u8>>(BLOCKS_AHEAD);
        let hash = move || {
            let mut digester = Digester::new(partition);
            for found in receiver {
                match found {
                    Found::Block(block) => {
                        digester.block(&block);
                        drop(empty.try_send(block));
                    }
                    Found::Filemark => digester.filemark(),
                }
            }
            digester.finish()
        };
        let hasher = thread::Builder::new()
            .name("export-hash".to_owned())
            .spawn_scoped(scope, hash)
            .map_err(|error| ExportError::Failed(format!("no thread for hashing: {error}")))?;
        let mut object = 0;
        let read = loop {
            if watcher.is_given_up() {
                break Err(ExportError::GivenUp);
            }
            let mut buffer = emptied.try_recv().unwrap_or_default();
            let found = match tape.read(&mut buffer) {
                Ok(TapeRead::Block) => {
                    watcher.moved(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
                    Found::Block(buffer)
                }
                Ok(TapeRead::Filemark) => Found::Filemark,
                Ok(TapeRead::EndOfData) => break Ok(()),
                Err(error) => break Err(ExportError::Tape { partition, object, error }),
            };
            object += 1;
            if sender.send(found).is_err() || object > objects_max {
                break Ok(());
            }
        };
        drop(sender);
        let digest = hasher.join();
        read?;
        digest.map_err(|_| ExportError::Failed("hashing ended in disorder".to_owned()))
    })
}

/// Where what is read from a tape goes to.
pub trait Intake: Send {
    /// What comes from here on is of this partition.
    fn partition(&mut self, number: u8) -> Result<(), String>;
    /// Takes a block.
    fn block(&mut self, data: &[u8]) -> Result<(), String>;
    /// Takes a filemark.
    fn filemark(&mut self) -> Result<(), String>;
}

/// Reads all partitions of a tape from their beginnings to their ends into a cartridge, hashing on the way. Blocks are protected on their
/// way, if the drive can.
pub fn take_in(
    tape: &mut dyn Tape,
    intake: &mut dyn Intake,
    watcher: &dyn Watcher,
) -> Result<Vec<PartitionDigest>, ExportError> {
    tape.ready().map_err(|error| ExportError::Tape { partition: 0, object: 0, error })?;
    let last = tape.medium().additional_partitions;
    tape.protect();
    let taken = (0..=last).map(|partition| take_partition(tape, partition, intake, watcher));
    let taken = taken.collect();
    tape.unprotect();
    taken
}

fn take_partition(
    tape: &mut dyn Tape,
    partition: u8,
    intake: &mut dyn Intake,
    watcher: &dyn Watcher,
) -> Result<PartitionDigest, ExportError> {
    tape.enter(partition).map_err(|error| ExportError::Tape { partition, object: 0, error })?;
    intake.partition(partition).map_err(ExportError::Cartridge)?;
    let (mut digester, mut buffer) = (Digester::new(partition), Vec::new());
    loop {
        if watcher.is_given_up() {
            return Err(ExportError::GivenUp);
        }
        let object = digester.next_object();
        let read = tape.read(&mut buffer).map_err(|error| ExportError::Tape {
            partition,
            object,
            error,
        })?;
        let taken = match read {
            TapeRead::Block => {
                digester.block(&buffer);
                watcher.moved(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
                intake.block(&buffer)
            }
            TapeRead::Filemark => {
                digester.filemark();
                intake.filemark()
            }
            TapeRead::EndOfData => return Ok(digester.finish()),
        };
        taken.map_err(ExportError::Cartridge)?;
    }
}

/// Whether a section is on the tape; the tape then stands behind it.
pub(super) fn has_section(
    tape: &mut dyn Tape,
    partition: u8,
    section: &Section,
) -> Result<bool, ExportError> {
    let failed = |error| ExportError::Tape { partition, object: section.first_object, error };
    tape.enter(partition).map_err(failed)?;
    tape.locate(section.first_object).map_err(failed)?;
    let mut digester = Digester::new(0);
    let mut buffer = Vec::new();
    for _ in 0..=section.blocks {
        match tape.read(&mut buffer) {
            Ok(TapeRead::Block) => digester.block(&buffer),
            Ok(TapeRead::Filemark) => {
                digester.filemark();
                break;
            }
            Ok(TapeRead::EndOfData) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    let found = digester.finish();
    Ok(found.sections.first().is_some_and(|found| {
        (found.framed, found.blocks, found.bytes, found.end)
            == (section.framed, section.blocks, section.bytes, section.end)
    }))
}

const BATCH_BYTES: usize = 4 << 20;
const BATCH_OBJECTS: usize = 1024;
const BATCHES_AHEAD: usize = 8;
const BLOCKS_AHEAD: usize = 16;
const KEEP_BYTES: u64 = if cfg!(test) { 1 } else { 1 << 30 };
