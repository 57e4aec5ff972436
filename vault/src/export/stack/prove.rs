//! The tape, out and in again, is read from its beginning to its end: each member, and all that is between them.

use super::super::ExportError;
use super::super::attributes;
use super::super::files::PROOF;
use super::super::order::Exported;
use super::super::pass;
use super::super::pass::unprotected;
use super::super::proving::compare;
use super::super::stream::{self, Watcher};
use super::super::tape::{Medium, Tape, TapeRead};
use super::super::volume::is_same_tape;
use super::begun::Begun;
use super::index::{self, StackIndex};
use super::region::Region;
use super::{CopyState, Manifest, Member, Proof, StackOrder, at, failed};
use crate::digest::PartitionDigest;
use crate::receipt::Pass;

impl StackOrder<'_> {
    pub(super) fn prove(
        &self,
        members: &[Member<'_>],
        begun: &Begun,
        manifests: Vec<Manifest>,
        (tape, medium): (&mut dyn Tape, &Medium),
        watcher: &dyn Watcher,
    ) -> Result<Vec<Exported>, ExportError> {
        tape.reload().map_err(at(0))?;
        is_same_tape(medium.serial.as_ref(), &tape.medium())?;
        let pass = pass::Begun::new(tape, watcher, false);
        let found = read_all(tape, members, begun, watcher)?;
        let bytes = found.iter().map(|digest| digest.bytes).sum();
        let read = pass.end(tape, watcher, bytes);
        let written =
            begun.written.clone().ok_or_else(|| failed("how it was written is not known"))?;
        let mut proofs = Vec::new();
        for ((member, manifest), found) in members.iter().zip(&manifests).zip(found) {
            let passes = (written.clone(), read.clone());
            let proof = self.proof(manifest, found, passes, watcher)?;
            member.order.keep(member.copy.id, PROOF, &proof)?;
            proofs.push(proof);
        }
        let mut unequal = members.iter().zip(&proofs).filter(|(_, proof)| !proof.is_equal);
        if let Some((member, proof)) = unequal.next() {
            let first = proof.mismatches.first();
            let what = first.map_or("the hashes are others".to_owned(), |mismatch| {
                format!("section {}: {}", mismatch.section, mismatch.what)
            });
            let barcode = &member.order.entry.barcode;
            return Err(ExportError::Different(format!("{barcode}: {what}")));
        }
        self.step(members, CopyState::Proved, medium, None)?;
        self.sign(members, medium, manifests.into_iter().zip(proofs).collect())
    }

    fn proof(
        &self,
        manifest: &Manifest,
        found: PartitionDigest,
        (written, read): (Pass, Pass),
        watcher: &dyn Watcher,
    ) -> Result<Proof, ExportError> {
        let expected = manifest.partitions.first();
        let expected = expected.ok_or_else(|| failed("the manifest has no partition"))?;
        let mismatches = compare(expected, &found);
        let mut not_checked: Vec<String> = unprotected(&written, &read).into_iter().collect();
        not_checked.extend(attributes::not_on_tape(&manifest.attributes_left_out));
        Ok(Proof {
            time: watcher.now(),
            written,
            read,
            is_equal: mismatches.is_empty() && expected.root == found.root,
            partitions: vec![found],
            attributes: None,
            mismatches,
            not_checked,
            operator: self.actor.to_owned(),
        })
    }
}

/// What is on the tape of each member. Whatever is between them, or behind them, and is not what was written, is an error.
fn read_all(
    tape: &mut dyn Tape,
    members: &[Member<'_>],
    begun: &Begun,
    watcher: &dyn Watcher,
) -> Result<Vec<PartitionDigest>, ExportError> {
    // As they were written: the cartridges may be others by now.
    let listed = index::parsed(&begun.front).filter(|listed| listed.len() == members.len());
    let index = StackIndex {
        members: listed.ok_or_else(|| failed("the index of the stack is not understood"))?,
        objects_before: begun.front_blocks.saturating_add(1),
    };
    let firsts = index.firsts();
    tape.rewind().map_err(at(0))?;
    check_text(tape, &begun.front, (0, 0))?;
    let mut all = Vec::new();
    for (listed, first) in index.members.iter().zip(&firsts) {
        let objects = listed.objects();
        let mut region = Region::new(tape, *first, objects);
        all.push(stream::read_back(&mut region, 0, objects, watcher)?);
        let end = first.saturating_add(objects);
        if tape.read(&mut Vec::new()).map_err(at(end))? != TapeRead::Filemark {
            return Err(ExportError::Different(format!(
                "object {end} is not the filemark that closes {}",
                listed.barcode
            )));
        }
    }
    let back = index::back(&begun.front, &index.members, &begun.done);
    let first = firsts.last().copied().unwrap_or(0);
    check_text(tape, &back, (index.last_file(), first))?;
    match tape.read(&mut Vec::new()).map_err(at(first))? {
        TapeRead::EndOfData => Ok(all),
        _ => Err(ExportError::Different("there is something behind its end".to_owned())),
    }
}

fn check_text(
    tape: &mut dyn Tape,
    wanted: &str,
    (file, first): (u64, u64),
) -> Result<(), ExportError> {
    let (mut text, mut block) = (Vec::new(), Vec::new());
    let mut object = first;
    let end = loop {
        match tape.read(&mut block).map_err(at(object))? {
            TapeRead::Block => text.extend_from_slice(&block),
            end => break end,
        }
        object = object.saturating_add(1);
        if text.len() > wanted.len() {
            break TapeRead::Block;
        }
    };
    if end == TapeRead::Filemark && text == wanted.as_bytes() {
        return Ok(());
    }
    Err(ExportError::Different(format!("the index in tape file {file} is not what was written")))
}
