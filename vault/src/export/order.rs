//! One export from the order to the proof.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vtl_media::{CartridgeEntry, CopyFacts, CopyRecord, CopyState, Store};

use super::ExportError;
use super::attributes::{self, Remembered};
use super::files::{MANIFEST, PROGRESS, PROOF, WRITTEN};
use super::pass::Begun;
use super::stream::{self, Contents, Watcher};
use super::tape::{Medium, Tape, TapeRead};
use super::volume::{is_begun_on, is_on, is_same_tape};
use crate::digest::{Hash, PartitionDigest, Section};
use crate::receipt::{Archive, how_to_read};
use crate::receipt::{Attribute, LedgerPoint, Manifest, Mismatch, Pass, Proof, Source, Target};

/// The cartridges that are being exported: each one once at a time.
#[derive(Debug, Default)]
pub struct Exports(Mutex<BTreeSet<Uuid>>);

/// It is being exported until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a>(&'a Exports, Uuid);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Exports {
    pub(super) fn take(&self, entry: &CartridgeEntry) -> Result<Taken<'_>, ExportError> {
        let is_new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.uuid);
        if is_new {
            return Ok(Taken(self, entry.uuid));
        }
        Err(ExportError::Refused(format!("{} is being exported already", entry.barcode)))
    }
}

/// What is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Where the cartridge is, and its ledger.
    pub store: &'a Store,
    /// Where receipts are kept, and what signs them.
    pub receipts: &'a Archive,
    /// The cartridge, as it was when its contents were opened.
    pub entry: &'a CartridgeEntry,
    /// The moment of it that is copied.
    pub as_of: Timestamp,
    /// What hosts have written into its memory.
    pub attributes: &'a [Attribute],
    /// Which of several copies, from 1.
    pub number: u32,
    /// Whether a tape with something on it may be written.
    pub overwrites: bool,
    /// Whether a copy of this number that was begun is given up, and a new one begun.
    pub begins_anew: bool,
    /// Who wants it.
    pub actor: &'a str,
    /// The program and its version.
    pub software: &'a str,
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The copy, with its receipt.
    pub copy: CopyRecord,
    /// What was written.
    pub manifest: Manifest,
    /// What was read back.
    pub proof: Proof,
}

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
    /// What is on the tape for sure.
    pub(super) sections: Vec<Section>,
}

impl Order<'_> {
    /// Does all of it that is not done yet.
    pub fn run(
        &self,
        exports: &Exports,
        tape: &mut dyn Tape,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let _taken = exports.take(self.entry)?;
        self.check_standing()?;
        let mut under_way = self.under_way();
        self.check_stack(under_way.as_ref())?;
        if let Some(copy) = under_way.take_if(|copy| copy.state == CopyState::Proved) {
            return self.sign_again(&copy);
        }
        tape.ready().map_err(|error| ExportError::Tape { object: 0, error })?;
        let medium = tape.medium();
        self.check_tape(&medium)?;
        if let Some(copy) = under_way.take_if(|_| self.begins_anew) {
            // Nothing is said of a tape: the one that it was begun on may be anywhere.
            let why = "given up, and begun anew".to_owned();
            self.step(&copy, CopyState::Failed, &Medium::default(), None, Some(why))?;
        }
        let copy = if let Some(copy) = under_way {
            copy
        } else {
            // What can be refused is refused before the ledger says that there will be a copy.
            self.check_blank(tape, &medium)?;
            self.stage()?
        };
        let done = self.finish(&copy, tape, &medium, contents, watcher);
        if let Err(error) = &done
            && error.is_final()
        {
            self.step(&copy, CopyState::Failed, &medium, None, Some(error.to_string()))?;
        }
        done
    }

    fn finish(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let (manifest, written) = if copy.state == CopyState::Staged {
            self.write(copy, tape, medium, contents, watcher)?
        } else {
            let kept = self.kept(copy.id, MANIFEST)?.zip(self.kept(copy.id, WRITTEN)?);
            kept.ok_or_else(|| {
                ExportError::Failed(format!("the manifest of {} is not there any more", copy.id))
            })?
        };
        is_same_tape(manifest.target.medium_serial.as_ref(), medium)?;
        let copy = self.store.copy(copy.id).unwrap_or_else(|| copy.clone());
        if copy.state == CopyState::Manifested {
            self.step(&copy, CopyState::Written, medium, None, None)?;
        }
        self.prove(&copy, tape, medium, (manifest, written), watcher)
    }

    fn check_tape(&self, medium: &Medium) -> Result<(), ExportError> {
        let barcode = &self.entry.barcode;
        if medium.is_write_protected {
            return Err(ExportError::Refused(format!(
                "{barcode}: the tape in the drive is write-protected: move its switch, or take another one"
            )));
        }
        if medium.additional_partitions > 0 {
            return Err(ExportError::Refused(format!(
                "{barcode}: the tape in the drive has {} partitions, and a copy takes one with one: take another tape, or format this one anew, which gives up what is on it",
                u16::from(medium.additional_partitions).saturating_add(1)
            )));
        }
        let needed = match self.entry.stored_bytes {
            0 => self.entry.written_bytes,
            stored => stored.min(self.entry.written_bytes),
        };
        if medium.capacity_bytes.is_some_and(|capacity| needed > capacity) {
            return Err(ExportError::Refused(format!(
                "{barcode} has {needed} bytes even when compressed, and the tape in the drive takes {}: take a larger one",
                medium.capacity_bytes.unwrap_or(0)
            )));
        }
        let name = medium.serial.as_ref().map(|serial| format!("serial number {serial}"));
        let name = name.or_else(|| medium.barcode.clone()).unwrap_or_default();
        for other in self.store.copies() {
            let is_this = other.cartridge == self.entry.uuid && other.number == self.number;
            let is_there = is_on(&other, medium) || is_begun_on(self.store, &other, medium);
            if !is_there || (is_this && other.state.is_under_way()) {
                continue;
            }
            if other.state.is_under_way() || other.state.is_receipted() {
                return Err(ExportError::Refused(format!(
                    "the tape in the drive ({name}) has copy {} of {}, which counts: take another tape",
                    other.number, other.barcode
                )));
            }
            if other.state == CopyState::Failed && !self.overwrites {
                return Err(ExportError::Refused(format!(
                    "the tape in the drive ({name}) failed before ({}): take another one, or say --overwrite",
                    other.facts.reason.as_deref().unwrap_or("no reason is known")
                )));
            }
        }
        Ok(())
    }

    pub(super) fn check_blank(
        &self,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<(), ExportError> {
        if self.overwrites {
            return Ok(());
        }
        let failed = |error| ExportError::Tape { object: 0, error };
        tape.rewind().map_err(failed)?;
        if tape.read(&mut Vec::new()).map_err(failed)? == TapeRead::EndOfData {
            return Ok(());
        }
        let name =
            medium.barcode.as_deref().or(medium.serial.as_deref()).unwrap_or("without a name");
        Err(ExportError::Refused(format!(
            "there is something on the tape in the drive ({name}); --overwrite gives it up, and cannot be undone"
        )))
    }

    /// A copy of this number that counts is not made once more.
    pub(super) fn check_standing(&self) -> Result<(), ExportError> {
        let copies = self.store.copies_of(self.entry.uuid, self.number).into_iter();
        let mut standing = copies.filter(|copy| copy.state.is_receipted());
        let Some(copy) = standing.next() else { return Ok(()) };
        Err(ExportError::Refused(format!(
            "copy {} of {} is there already, and is {}: --copy {} makes another one",
            copy.number,
            copy.barcode,
            copy.state,
            copy.number.saturating_add(1)
        )))
    }

    pub(super) fn under_way(&self) -> Option<CopyRecord> {
        let copies = self.store.copies_of(self.entry.uuid, self.number);
        copies.into_iter().find(|copy| copy.state.is_under_way())
    }

    fn stage(&self) -> Result<CopyRecord, ExportError> {
        let staged = self.store.stage_copies(&[(self.entry.uuid, self.number)], self.actor);
        let staged = staged.map_err(|error| ExportError::Refused(error.to_string()))?;
        staged
            .into_iter()
            .next()
            .ok_or_else(|| ExportError::Failed("no copy was staged".to_owned()))
    }

    /// Where the tape is to be written on: behind the last section that is on it, or at its beginning.
    fn position(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<Vec<Section>, ExportError> {
        let kept: Option<Progress> = self.kept(copy.id, PROGRESS)?;
        let failed = |error| ExportError::Tape { object: 0, error };
        let Some(progress) = kept else {
            self.check_blank(tape, medium)?;
            tape.rewind().map_err(failed)?;
            return Ok(Vec::new());
        };
        // Whatever is in the drive is left alone unless it is the tape that was begun.
        is_same_tape(progress.medium_serial.as_ref(), medium)?;
        let now = self.progress(medium, Vec::new());
        let is_same = (progress.generation, progress.written_bytes, progress.last_written)
            == (now.generation, now.written_bytes, now.last_written);
        let Some(last) = progress.sections.last().filter(|_| is_same) else {
            if medium.serial.is_none() {
                self.check_blank(tape, medium)?;
            }
            tape.rewind().map_err(failed)?;
            return Ok(Vec::new());
        };
        if !stream::has_section(tape, last)? {
            return Err(ExportError::Refused(format!(
                "the tape in the drive is not the one that the copy of {} was begun on: section {} is not on it. It was left as it is; --anew gives that copy up",
                self.entry.barcode, last.number
            )));
        }
        Ok(progress.sections)
    }

    fn progress(&self, medium: &Medium, sections: Vec<Section>) -> Progress {
        Progress {
            medium_serial: medium.serial.clone(),
            volume: medium.barcode.clone(),
            generation: self.entry.generation,
            written_bytes: self.entry.written_bytes,
            last_written: self.entry.last_written,
            sections,
        }
    }

    fn write(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        contents: &mut dyn Contents,
        watcher: &dyn Watcher,
    ) -> Result<(Manifest, Pass), ExportError> {
        let done = self.position(copy, tape, medium)?;
        let object = done.iter().map(|section| section.blocks.saturating_add(1)).sum();
        watcher.moved(done.iter().map(|section| section.bytes).sum());
        contents.go_to(object).map_err(|error| ExportError::Cartridge(error.to_string()))?;
        // From here on the tape is this copy's, whatever happens.
        self.keep(copy.id, PROGRESS, &self.progress(medium, done.clone()))?;
        let begun = Begun::new(tape, watcher, true);
        let mut keep = |sections: &[Section]| {
            self.keep(copy.id, PROGRESS, &self.progress(medium, sections.to_vec()))
        };
        let digest = stream::write(tape, contents, done, watcher, &mut keep)?;
        let pass = begun.end(tape, watcher, digest.bytes);
        let remembered = self.write_attributes(tape, medium)?;
        let manifest = self.manifest(copy, medium, (digest, remembered), watcher.now());
        self.keep(copy.id, WRITTEN, &pass)?;
        self.keep(copy.id, MANIFEST, &manifest)?;
        self.sign_manifest(&manifest)?;
        let bytes = manifest.partitions.first().map(|partition| partition.bytes);
        self.step(copy, CopyState::Manifested, medium, bytes, None)?;
        Ok((manifest, pass))
    }

    fn prove(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        (manifest, written): (Manifest, Pass),
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let failed = |error| ExportError::Tape { object: 0, error };
        tape.reload().map_err(failed)?;
        is_same_tape(medium.serial.as_ref(), &tape.medium())?;
        let expected = manifest.partitions.first();
        let expected = expected
            .ok_or_else(|| ExportError::Failed("the manifest has no partition".to_owned()))?;
        let begun = Begun::new(tape, watcher, false);
        let objects = expected.blocks.saturating_add(expected.filemarks);
        let found = stream::read_back(tape, objects, watcher)?;
        let recalled = attributes::recall(tape, &manifest)?;
        let mut mismatches = compare(expected, &found);
        let is_content_equal = mismatches.is_empty() && expected.root == found.root;
        mismatches.extend(recalled.mismatches);
        let mut not_checked = vec!["logical block protection: it was not in use".to_owned()];
        not_checked.extend(recalled.not_checked);
        not_checked.extend(attributes::not_on_tape(&manifest.attributes_left_out));
        let proof = Proof {
            time: watcher.now(),
            written,
            read: begun.end(tape, watcher, found.bytes),
            is_equal: is_content_equal && mismatches.is_empty(),
            partitions: vec![found],
            attributes: recalled.found,
            mismatches,
            not_checked,
            operator: self.actor.to_owned(),
        };
        self.keep(copy.id, PROOF, &proof)?;
        if !proof.is_equal {
            let first = proof.mismatches.first();
            let what = first.map_or("the hashes are others".to_owned(), |mismatch| {
                if is_content_equal {
                    return mismatch.what.clone();
                }
                format!("section {}: {}", mismatch.section, mismatch.what)
            });
            return Err(ExportError::Different(what));
        }
        self.step(copy, CopyState::Proved, medium, None, None)?;
        self.sign(copy, medium, manifest, proof)
    }

    pub(super) fn manifest(
        &self,
        copy: &CopyRecord,
        medium: &Medium,
        (digest, remembered): (PartitionDigest, Remembered),
        time: Timestamp,
    ) -> Manifest {
        let head = self.store.ledger_head();
        let mut manifest = Manifest {
            id: copy.id,
            time,
            source: Source {
                uuid: self.entry.uuid,
                barcode: self.entry.barcode.to_string(),
                media_type: self.entry.media_type.clone(),
                generation: self.entry.generation,
                as_of: Some(self.as_of),
                worm: self.entry.worm,
                pool: self.entry.pool.clone(),
                group: self.entry.group.clone(),
            },
            target: Target {
                barcode: medium.barcode.clone(),
                medium_serial: medium.serial.clone(),
                medium_maker: medium.maker.clone(),
                copy: self.number,
            },
            how_to_read: String::new(),
            partitions: vec![digest],
            attributes: remembered.written,
            attributes_left_out: remembered.left_out,
            group_members: Vec::new(),
            stack: None,
            ledger: Some(LedgerPoint { entry: head.sequence, hash: Hash(head.hash.0) }),
            operator: self.actor.to_owned(),
            software: self.software.to_owned(),
        };
        manifest.how_to_read = how_to_read(&manifest);
        manifest
    }

    fn step(
        &self,
        copy: &CopyRecord,
        state: CopyState,
        medium: &Medium,
        bytes: Option<u64>,
        reason: Option<String>,
    ) -> Result<CopyRecord, ExportError> {
        // Only the step after writing says what was written: the cartridge may be another one by the time the tape is read back.
        let is_manifested = state == CopyState::Manifested;
        let facts = CopyFacts {
            volume: medium.barcode.clone(),
            medium_serial: medium.serial.clone(),
            generation: is_manifested.then_some(self.entry.generation),
            as_of: is_manifested.then_some(self.as_of),
            bytes,
            reason,
            ..CopyFacts::default()
        };
        let taken = self.store.advance_copy(copy.id, state, facts, self.actor);
        taken.map_err(|error| ExportError::Failed(error.to_string()))
    }
}

pub(super) fn compare(expected: &PartitionDigest, found: &PartitionDigest) -> Vec<Mismatch> {
    let count = expected.sections.len().max(found.sections.len());
    let one = |at: usize| {
        let what = match (expected.sections.get(at), found.sections.get(at)) {
            (Some(wanted), Some(there)) if wanted == there => return None,
            (Some(wanted), Some(there)) => format!(
                "{} blocks, {} bytes, SHA-256 {} were written, and {} blocks, {} bytes, SHA-256 {} were read",
                wanted.blocks, wanted.bytes, wanted.sha256, there.blocks, there.bytes, there.sha256
            ),
            (Some(_), None) => "it is not on the tape".to_owned(),
            (None, _) => "it was never written".to_owned(),
        };
        let first = expected.sections.get(at).or_else(|| found.sections.get(at));
        Some(Mismatch {
            partition: expected.partition,
            section: u64::try_from(at).unwrap_or(u64::MAX),
            first_object: first.map_or(0, |section| section.first_object),
            what,
        })
    };
    (0..count).filter_map(one).take(MISMATCHES_MAX).collect()
}

const MISMATCHES_MAX: usize = 100;
