//! Destroying the key of a cartridge: what was encrypted with it is gone, wherever a copy of its journal may be.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use uuid::Uuid;

use super::Store;
use super::error::{DeleteError, UndoError};
use crate::at_rest::AtRestError;
use crate::barcode::Barcode;
use crate::cartridge::{MediumError, ObjectNumber, ReadOutcome, Volume};
use crate::disk::{Disk, OpenMode, is_no_file, write_all_at};
use crate::inventory::CartridgeEntry;
use crate::journal::number_of;
use crate::label::{LABEL_BYTES_MAX, Label, LabelError};
use crate::layout::PARTITIONS_MAX;
use crate::ledger::Event;

/// What was destroyed, and what has shown that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDestroyed {
    /// The cartridge.
    pub uuid: Uuid,
    /// Its barcode.
    pub barcode: Barcode,
    /// The key of the pool that its own was wrapped with.
    pub pool_key: Uuid,
    /// SHA-256 of the wrapped key as its labels had it; `None` if an earlier attempt had destroyed it and was cut off.
    pub fingerprint: Option<String>,
    /// How many blocks there were.
    pub block_count: u64,
    /// The blocks that were tried to be read afterwards, and could not be: one of each partition with blocks, by partition and object.
    pub tried: Vec<(u8, u64)>,
    /// In so many other files of the data directory the wrapped key was looked for, and is not.
    pub searched_files: u64,
}

/// Why the key of a cartridge was not destroyed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ErasureError {
    /// It has none.
    #[error(
        "{0} is not encrypted: its pool had no key when it was written; `vtl tape delete {0} --force` deletes it"
    )]
    NotEncrypted(Barcode),
    /// A part of it was written in the clear.
    #[error(
        "{segments} segments of {barcode} were written before its pool had a key, and anybody could read them still: overwrite it and wait until \
         they are pruned, or delete it (`vtl tape delete {barcode} --force`) and see to it that the disk is wiped"
    )]
    InTheClear {
        /// Its barcode.
        barcode: Barcode,
        /// How many segments.
        segments: usize,
    },
    /// It can still be read.
    #[error(
        "block {object} of partition {partition} of {barcode} can still be read: its key is NOT destroyed"
    )]
    StillReadable {
        /// Its barcode.
        barcode: Barcode,
        /// The partition.
        partition: u8,
        /// The block.
        object: u64,
    },
    /// The wrapped key is somewhere else, too.
    #[error(
        "the wrapped key of {barcode} is also in {file}: it is NOT destroyed as long as that is there"
    )]
    Elsewhere {
        /// Its barcode.
        barcode: Barcode,
        /// The file.
        file: String,
    },
    /// It may not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// It cannot be worked on.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// The disk.
    #[error("{barcode}: {source}")]
    Io {
        /// Its barcode.
        barcode: Barcode,
        /// Why.
        source: io::Error,
    },
}

impl Store {
    /// Whether a cartridge may be destroyed with its key: it is encrypted as a whole, nothing keeps it, nothing rests on it.
    pub fn check_erasure(&self, uuid: Uuid) -> Result<(), ErasureError> {
        let (entry, _reserved) = self.for_work(uuid)?;
        self.check_deletion(&entry)?;
        let volume = self.open_cartridge(&entry, true)?;
        check_sealed(&*self.disk, &volume, &entry.barcode)
    }

    /// Whether its key has been destroyed: what is left of it waits to be deleted.
    pub fn is_key_destroyed(&self, entry: &CartridgeEntry) -> bool {
        let label = Label::read(&*self.disk, &self.directory_of(entry.uuid));
        label.is_ok_and(|label| label.at_rest.is_some_and(|key| key.is_destroyed()))
    }

    /// Destroys the key of a cartridge that is in no drive, and proves that nothing opens any more. What was cut off may be done again.
    /// What is left of the cartridge is still there.
    pub fn destroy_key(&self, uuid: Uuid, actor: &str) -> Result<KeyDestroyed, ErasureError> {
        let (entry, reserved) = self.for_work(uuid)?;
        self.check_deletion(&entry)?;
        let barcode = entry.barcode.clone();
        let volume = self.open_cartridge(&entry, true)?;
        check_sealed(&*self.disk, &volume, &barcode)?;
        let block_count = volume.facts().block_count;
        drop(volume);
        let io = |source| ErasureError::Io { barcode: barcode.clone(), source };
        let label = |source: LabelError| {
            ErasureError::Undo(UndoError::Load { barcode: barcode.clone(), source: source.into() })
        };
        let directory = self.directory_of(uuid);
        let mut kept = Label::read(&*self.disk, &directory).map_err(label)?;
        let Some(own) = kept.at_rest.clone() else {
            return Err(ErasureError::NotEncrypted(barcode));
        };
        // As long as it is somewhere else, nothing is destroyed. One that was cut off had looked for it before.
        let is_first = !own.is_destroyed();
        let searched_files = if is_first { self.search(own.text(), &entry)? } else { 0 };
        kept.at_rest = Some(own.destroyed());
        // Once more: a snapshot that was made meanwhile would be one of nothing, and one that comes later sees that the key is gone.
        let changing = self.begin_change();
        self.check_deletion(&entry)?;
        // Both copies, each to its end: what was behind a shorter label would still be there.
        kept.write(&*self.disk, &directory).map_err(label)?;
        kept.write(&*self.disk, &directory).map_err(label)?;
        drop(changing);
        wipe_rest(&*self.disk, &directory).map_err(io)?;
        let tried = self.try_to_read(&entry)?;
        let fingerprint = is_first.then(|| own.fingerprint());
        let event = Event::KeyDestroyed {
            cartridge: uuid,
            pool_key: own.pool_key,
            fingerprint: fingerprint.clone().unwrap_or_default(),
        };
        self.ledger.append(&event, actor).map_err(UndoError::from)?;
        drop(reserved);
        Ok(KeyDestroyed {
            uuid,
            barcode,
            pool_key: own.pool_key,
            fingerprint,
            block_count,
            tried,
            searched_files,
        })
    }

    /// Tries to read the first block of each partition, with all keys that there are.
    fn try_to_read(&self, entry: &CartridgeEntry) -> Result<Vec<(u8, u64)>, ErasureError> {
        let mut volume = self.open_cartridge(entry, true)?;
        let mut tried = Vec::new();
        for partition in 0..volume.partition_count() {
            let entered = volume.change_partition(partition);
            entered
                .map_err(|source| UndoError::Medium { barcode: entry.barcode.clone(), source })?;
            tried.extend(
                try_partition(&mut volume, partition, entry)?.map(|object| (partition, object)),
            );
        }
        Ok(tried)
    }

    /// Looks for a wrapped key in all files of the data directory but the segments of journals and the labels that it is in; how many these are.
    fn search(&self, text: &str, entry: &CartridgeEntry) -> Result<u64, ErasureError> {
        let (disk, barcode) = (&*self.disk, &entry.barcode);
        let labels = Label::copies(disk, &self.directory_of(entry.uuid)).map(|(path, _)| path);
        let mut count = 0;
        let found =
            search_below(disk, &self.directory.path, (text.as_bytes(), &labels), &mut count);
        match found.map_err(|source| ErasureError::Io { barcode: barcode.clone(), source })? {
            Some(file) => Err(ErasureError::Elsewhere { barcode: barcode.clone(), file }),
            None => Ok(count),
        }
    }
}

/// The first block that does not open.
fn try_partition(
    volume: &mut Volume,
    partition: u8,
    entry: &CartridgeEntry,
) -> Result<Option<u64>, ErasureError> {
    let barcode = || entry.barcode.clone();
    // A divided cartridge was made from nothing else.
    let of_others = entry.origin.filter(|_| partition == 0).map_or(0, |origin| origin.objects);
    loop {
        let object = volume.position().object.0;
        match volume.read() {
            Ok(ReadOutcome::Filemark) | Err(MediumError::Damaged { .. }) => {}
            Ok(ReadOutcome::EndOfData) => return Ok(None),
            // What it was made from is not its own.
            Ok(ReadOutcome::Block(_)) if object < of_others => {}
            // A host's key lies over it; that of the cartridge is asked for after that one.
            Err(MediumError::AtRest(AtRestError::Destroyed) | MediumError::NoKey { .. }) => {
                return Ok(Some(object));
            }
            Err(MediumError::AtRest(_)) if object < of_others => {
                let next = volume.locate(ObjectNumber(object + 1));
                next.map_err(|source| UndoError::Medium { barcode: barcode(), source })?;
            }
            Ok(ReadOutcome::Block(_)) => {
                return Err(ErasureError::StillReadable { barcode: barcode(), partition, object });
            }
            Err(source) => {
                return Err(UndoError::Medium { barcode: barcode(), source }.into());
            }
        }
    }
}

/// Overwrites what is behind the label in both copies: longer labels have been there.
fn wipe_rest(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    for (path, length) in Label::copies(disk, directory) {
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        let file = disk.open(&path, OpenMode::ReadWrite)?;
        let rest = file.length_bytes()?.saturating_sub(length);
        let zeros = vec![0; usize::try_from(rest).unwrap_or_default().min(LABEL_BYTES_MAX)];
        write_all_at(file.as_ref(), &zeros, length)?;
        file.sync_data()?;
    }
    Ok(())
}

fn check_sealed(disk: &dyn Disk, volume: &Volume, barcode: &Barcode) -> Result<(), ErasureError> {
    if volume.label().at_rest.is_none() {
        return Err(ErasureError::NotEncrypted(barcode.clone()));
    }
    let given_up = given_up_in_clear(disk, volume)
        .map_err(|source| UndoError::Load { barcode: barcode.clone(), source: source.into() })?;
    match volume.plain_segment_count().saturating_add(given_up) {
        0 => Ok(()),
        segments => Err(ErasureError::InTheClear { barcode: barcode.clone(), segments }),
    }
}

/// How many segments that are not encrypted are in partitions that the cartridge has no more: what was on them is kept.
fn given_up_in_clear(disk: &dyn Disk, volume: &Volume) -> Result<usize, LabelError> {
    let mut count = 0_usize;
    for number in volume.partition_count()..u8::try_from(PARTITIONS_MAX).unwrap_or(u8::MAX) {
        let directory = volume.directory_of(number);
        if disk.exists(&directory)? {
            let since = Label::read(disk, &directory)?.at_rest_since;
            let is_plain = |number: &u32| since.is_none_or(|since| *number < since);
            let names = disk.list(&directory.join("journal"))?;
            let numbers = names.iter().filter_map(|name| number_of(name.to_str()?));
            count = count.saturating_add(numbers.filter(is_plain).count());
        }
    }
    Ok(count)
}

fn search_below(
    disk: &dyn Disk,
    directory: &Path,
    (wanted, labels): (&[u8], &[PathBuf]),
    count: &mut u64,
) -> io::Result<Option<String>> {
    for name in disk.list(directory)? {
        let path = directory.join(&name);
        if labels.contains(&path) {
            continue;
        }
        let is_segment = path.extension().is_some_and(|extension| extension == "seg")
            && directory.file_name().is_some_and(|name| name == "journal");
        if is_segment {
            continue;
        }
        // What is no directory cannot be listed.
        let found = match disk.list(&path) {
            Ok(_) => search_below(disk, &path, (wanted, labels), count)?,
            Err(_) => search_in(disk, &path, wanted, count)?,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn search_in(
    disk: &dyn Disk,
    path: &Path,
    wanted: &[u8],
    count: &mut u64,
) -> io::Result<Option<String>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        // What has gone meanwhile, or is no file: nothing is in these. Of what cannot be looked into nothing can be said.
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_no_file(&error) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    *count = count.saturating_add(1);
    let mut bytes = vec![0; PIECE_BYTES];
    let (mut offset, mut kept) = (0_u64, 0);
    loop {
        let room = bytes.get_mut(kept..).unwrap_or_default();
        let read = file.read_at(room, offset)?;
        if read == 0 {
            return Ok(None);
        }
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let end = kept.saturating_add(read);
        let seen = bytes.get(..end).unwrap_or_default();
        if has(seen, wanted) {
            return Ok(Some(path.display().to_string()));
        }
        // It may lie over the edge of two pieces.
        kept = end.min(wanted.len());
        bytes.copy_within(end.saturating_sub(kept)..end, 0);
    }
}

/// Most bytes are not its first one, and are passed over at once.
fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(wanted) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

const PIECE_BYTES: usize = 1024 * 1024;
