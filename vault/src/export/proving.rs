//! The proof: the tape is unloaded, loaded, read back and compared; and the manifest of what has to come back.

use jiff::Timestamp;
use vtl_media::{CopyRecord, CopyState};

use super::ExportError;
use super::attributes::{self, Remembered};
use super::files::PROOF;
use super::order::{Exported, Order};
use super::pass::{Begun, unprotected};
use super::stream::{self, Watcher};
use super::tape::{Medium, Tape};
use super::volume::is_same_tape;
use crate::digest::{Hash, PartitionDigest};
use crate::receipt::{LedgerPoint, Manifest, Mismatch, Pass, Proof, Source, Target, how_to_read};

impl Order<'_> {
    pub(super) fn prove(
        &self,
        copy: &CopyRecord,
        tape: &mut dyn Tape,
        medium: &Medium,
        (manifest, written): (Manifest, Pass),
        watcher: &dyn Watcher,
    ) -> Result<Exported, ExportError> {
        let failed = |error| ExportError::Tape { partition: 0, object: 0, error };
        tape.reload().map_err(failed)?;
        let there = tape.medium();
        is_same_tape(medium.serial.as_ref(), &there)?;
        check_partitions(&manifest, &there)?;
        let begun = Begun::new(tape, watcher, false);
        let mut found = Vec::new();
        for expected in &manifest.partitions {
            let objects = expected.blocks.saturating_add(expected.filemarks);
            found.push(stream::read_back(tape, expected.partition, objects, watcher)?);
        }
        let read = begun.end(tape, watcher, found.iter().map(|digest| digest.bytes).sum());
        let recalled = attributes::recall(tape, &manifest)?;
        let pairs = manifest.partitions.iter().zip(&found);
        let mut mismatches: Vec<Mismatch> =
            pairs.flat_map(|(expected, found)| compare(expected, found)).collect();
        mismatches.truncate(MISMATCHES_MAX);
        let is_content_equal = mismatches.is_empty() && manifest.partitions == found;
        mismatches.extend(recalled.mismatches);
        let mut not_checked: Vec<String> = unprotected(&written, &read).into_iter().collect();
        not_checked.extend(recalled.not_checked);
        not_checked.extend(attributes::not_on_tape(&manifest.attributes_left_out));
        let proof = Proof {
            time: watcher.now(),
            written,
            read,
            is_equal: is_content_equal && mismatches.is_empty(),
            partitions: found,
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
                let of = match mismatch.partition {
                    0 => String::new(),
                    partition => format!("partition {partition}, "),
                };
                format!("{of}section {}: {}", mismatch.section, mismatch.what)
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
        (partitions, remembered): (Vec<PartitionDigest>, Remembered),
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
            partitions,
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
}

/// Whoever has divided the tape anew has given up what was on it.
fn check_partitions(manifest: &Manifest, there: &Medium) -> Result<(), ExportError> {
    let (wanted, there) = (manifest.partitions.len(), usize::from(there.additional_partitions) + 1);
    if wanted == there {
        return Ok(());
    }
    Err(ExportError::Different(format!("it has {there} partitions, and {wanted} were written")))
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
