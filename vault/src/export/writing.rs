//! Writing: where it begins or goes on, partition by partition, and how far it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vtl_media::{CopyRecord, CopyState};

use super::files::{MANIFEST, PROGRESS, WRITTEN};
use super::order::Order;
use super::pass::{Begun, protection_of};
use super::stream::{self, Contents, Watcher};
use super::tape::{Medium, Tape};
use super::volume::is_same_tape;
use super::{ExportError, of_partition};
use crate::digest::{PartitionDigest, Section};
use crate::receipt::{Manifest, Pass};

/// How far it is, in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The tape.
    pub(super) medium_serial: Option<String>,
    /// What is to be read on it.
    #[serde(default)]
    pub(super) volume: Option<String>,
    /// Whether the cartridge is still the same.
    pub(super) generation: u32,
    pub(super) written_bytes: u64,
    pub(super) last_written: Option<Timestamp>,
    /// What is on the tape for sure: partitions that are finished, and the sections of the next one.
    #[serde(flatten)]
    pub(super) done: Done,
}

/// What is on the tape for sure.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Done {
    /// Whole partitions.
    #[serde(default)]
    pub(super) partitions: Vec<PartitionDigest>,
    /// Sections of the partition behind them.
    pub(super) sections: Vec<Section>,
    /// How their blocks were protected.
    #[serde(default)]
    protection: Option<String>,
}

impl Done {
    /// The last section of all, and its partition.
    fn last(&self) -> Option<(u8, &Section)> {
        let number = u8::try_from(self.partitions.len()).unwrap_or(u8::MAX);
        let mut whole = self.partitions.iter().rev();
        let whole = whole.find_map(|digest| Some((digest.partition, digest.sections.last()?)));
        self.sections.last().map(|section| (number, section)).or(whole)
    }

    fn bytes(&self) -> u64 {
        let whole: u64 = self.partitions.iter().map(|digest| digest.bytes).sum();
        whole + self.sections.iter().map(|section| section.bytes).sum::<u64>()
    }
}

impl Order<'_> {
    /// What is on the tape already, behind which it goes on; the tape stands there.
    fn position(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<Done, ExportError> {
        let kept: Option<Progress> = self.kept(copy.id, PROGRESS)?;
        let Some(progress) = kept else {
            self.check_blank(tape, medium)?;
            return Ok(Done::default());
        };
        // Whatever is in the drive is left alone unless it is the tape that was begun.
        is_same_tape(progress.medium_serial.as_ref(), medium)?;
        let now = self.progress(medium, Done::default());
        let is_same = (progress.generation, progress.written_bytes, progress.last_written)
            == (now.generation, now.written_bytes, now.last_written);
        let Some((partition, last)) = progress.done.last().filter(|_| is_same) else {
            if medium.serial.is_none() {
                self.check_blank(tape, medium)?;
            }
            return Ok(Done::default());
        };
        let is_there = partition <= medium.additional_partitions;
        if !(is_there && stream::has_section(tape, partition, last)?) {
            let of = of_partition(partition);
            return Err(ExportError::Refused(format!(
                "the tape in the drive is not the one that the copy of {} was begun on: section {}{of} is not on it. It was left as it is; --anew gives that copy up",
                self.entry.barcode, last.number
            )));
        }
        Ok(progress.done)
    }

    fn progress(&self, medium: &Medium, done: Done) -> Progress {
        Progress {
            medium_serial: medium.serial.clone(),
            volume: medium.barcode.clone(),
            generation: self.entry.generation,
            written_bytes: self.entry.written_bytes,
            last_written: self.entry.last_written,
            done,
        }
    }

    pub(super) fn write(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<(Manifest, Pass), ExportError> {
        let mut done = self.position(copy, tape, medium)?;
        let earlier = done.last().is_some().then(|| done.protection.clone());
        done.protection = Some(protection_of(earlier.as_ref(), tape.protection()));
        watcher.moved(done.bytes());
        // From here on the tape is this copy's, whatever happens.
        self.keep(copy.id, PROGRESS, &self.progress(medium, done.clone()))?;
        let medium = &match done.last() {
            None => self.lay_out(tape, medium)?,
            Some(_) => medium.clone(),
        };
        let begun = Begun::new(tape, watcher, true);
        let digests = self.write_partitions(copy, tape, medium, (contents, done), watcher)?;
        let mut pass = begun.end(tape, watcher, digests.iter().map(|digest| digest.bytes).sum());
        pass.protection = protection_of(earlier.as_ref(), &pass.protection);
        let remembered = self.write_attributes(tape, medium)?;
        let manifest = self.manifest(copy, medium, (digests, remembered), watcher.now());
        self.keep(copy.id, WRITTEN, &pass)?;
        self.keep(copy.id, MANIFEST, &manifest)?;
        self.sign_manifest(&manifest)?;
        self.step(copy, CopyState::Manifested, medium, Some(pass.bytes), None)?;
        Ok((manifest, pass))
    }

    /// Writes all partitions, one after the other; those that are done are left as they are.
    fn write_partitions(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        (contents, mut done): (&mut dyn Contents, Done),
        watcher: &dyn Watcher,
    ) -> Result<Vec<PartitionDigest>, ExportError> {
        let first = u8::try_from(done.partitions.len()).unwrap_or(u8::MAX);
        for partition in first..=self.additional_partitions() {
            let sections = std::mem::take(&mut done.sections);
            if sections.is_empty() {
                tape.enter(partition).map_err(|error| ExportError::Tape {
                    partition,
                    object: 0,
                    error,
                })?;
            }
            let object = sections.iter().map(|section| section.blocks.saturating_add(1)).sum();
            let gone = contents.go_to(partition, object);
            gone.map_err(|error| ExportError::Cartridge(error.to_string()))?;
            let keep = &mut |sections: &[Section]| {
                let (partitions, sections) = (done.partitions.clone(), sections.to_vec());
                let protection = done.protection.clone();
                let done = Done { partitions, sections, protection };
                self.keep(copy.id, PROGRESS, &self.progress(medium, done))
            };
            let digest = stream::write(tape, contents, (partition, sections), watcher, keep)?;
            done.partitions.push(digest);
            self.keep(copy.id, PROGRESS, &self.progress(medium, done.clone()))?;
        }
        Ok(done.partitions)
    }
}
