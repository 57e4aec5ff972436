//! Everything onto the tape, and the first phase of the receipts.

use super::super::ExportError;
use super::super::files::{MANIFEST, WRITTEN};
use super::super::pass;
use super::super::pass::protection_of;
use super::super::stream::{self, Contents, Watcher};
use super::super::tape::{Medium, Tape};
use super::super::volume::is_same_tape;
use super::begun::{Begun, keep_done};
use super::index::{self, Listed, StackIndex};
use super::{CopyState, Member, StackOrder, at, failed};
use crate::digest::{Digester, Hash, PartitionDigest, Section, SectionEnd};
use crate::receipt::{LeftOut, Manifest, StackMember, StackPlace, how_to_read};

impl StackOrder<'_> {
    pub(super) fn write(
        &self,
        members: &[Member<'_>],
        state: Option<Begun>,
        (tape, medium): (&mut dyn Tape, &Medium),
        contents: &mut [&mut dyn Contents],
        watcher: &dyn Watcher,
    ) -> Result<Begun, ExportError> {
        let pass = pass::Begun::new(tape, watcher, true);
        let mut begun = match state {
            Some(begun) if begun.is_same(members) && !begun.done.is_empty() => {
                self.go_to_end(members, &begun, tape, medium)?;
                begun
            }
            state => self.begin(members, state.as_ref(), tape, medium, watcher)?,
        };
        let earlier = (!begun.done.is_empty()).then(|| begun.protection.clone());
        begun.protection = Some(protection_of(earlier.as_ref(), tape.protection()));
        let listed = listed(members);
        let index =
            StackIndex { members: listed, objects_before: begun.front_blocks.saturating_add(1) };
        let firsts = index.firsts();
        watcher.moved(begun.done.iter().map(|digest| digest.bytes).sum());
        let left = members.iter().zip(&index.members).zip(&firsts).skip(begun.done.len());
        for ((member, listed), first) in left {
            let contents = contents.get_mut(member.at).ok_or_else(|| failed("no contents"))?;
            let digest = write_member(tape, &mut **contents, (listed, *first), watcher)?;
            begun.done.push(digest);
            keep_done(members, &begun)?;
        }
        let back = index::back(&begun.front, &index.members, &begun.done);
        write_text(tape, &back, firsts.last().copied().unwrap_or(0))?;
        let bytes = begun.done.iter().map(|digest| digest.bytes).sum();
        let mut pass = pass.end(tape, watcher, bytes);
        pass.protection = protection_of(earlier.as_ref(), &pass.protection);
        begun.written = Some(pass);
        keep_done(members, &begun)?;
        self.make_manifests(members, &begun, (tape, medium), watcher)?;
        self.step(members, CopyState::Manifested, medium, None)?;
        Ok(begun)
    }

    /// From the beginning of the tape on.
    fn begin(
        &self,
        members: &[Member<'_>],
        state: Option<&Begun>,
        tape: &mut dyn Tape,
        medium: &Medium,
        watcher: &dyn Watcher,
    ) -> Result<Begun, ExportError> {
        if let Some(begun) = state {
            is_same_tape(begun.medium_serial.as_ref(), medium)?;
        }
        if medium.serial.is_none() || state.is_none() {
            self.check_blank(tape, medium)?;
        }
        tape.rewind().map_err(at(0))?;
        let front = index::front(medium.barcode.as_deref(), &listed(members), watcher.now());
        let blocks = front.len().div_ceil(block_bytes(tape));
        let blocks = u64::try_from(blocks).unwrap_or(u64::MAX);
        let begun = Begun::new(members, medium, (front, blocks));
        // From here on the tape is theirs, whatever happens.
        Self::keep_begun(members, medium, &begun)?;
        write_text(tape, &begun.front, 0)?;
        Ok(begun)
    }

    /// Behind the last member that is on the tape, if that is the tape.
    fn go_to_end(
        &self,
        members: &[Member<'_>],
        begun: &Begun,
        tape: &mut dyn Tape,
        medium: &Medium,
    ) -> Result<(), ExportError> {
        is_same_tape(begun.medium_serial.as_ref(), medium)?;
        let index = StackIndex {
            members: listed(members),
            objects_before: begun.front_blocks.saturating_add(1),
        };
        let firsts = index.firsts();
        let first = |at: usize| firsts.get(at).copied().unwrap_or(0);
        let at_end = begun.done.len();
        let last = begun.done.last().and_then(|digest| digest.sections.last());
        let last = last.ok_or_else(|| failed("a member without sections"))?;
        let moved = first(at_end.saturating_sub(1)).saturating_add(last.first_object);
        // Behind each member is a filemark, whatever it ends with itself.
        let end = SectionEnd::Filemark;
        let last = Section { first_object: moved, end, ..last.clone() };
        if !stream::has_section(tape, 0, &last)? {
            return Err(ExportError::Refused(format!(
                "the tape in the drive is not the one that the stack of {} was begun on: what was written last is not on it. It was left as it is; --anew gives that stack up",
                self.names()
            )));
        }
        tape.locate(first(at_end)).map_err(at(first(at_end)))
    }

    fn make_manifests(
        &self,
        members: &[Member<'_>],
        begun: &Begun,
        (tape, medium): (&mut dyn Tape, &Medium),
        watcher: &dyn Watcher,
    ) -> Result<(), ExportError> {
        let written = begun.written.as_ref();
        let all = |member: &Member<'_>| StackMember {
            barcode: member.order.entry.barcode.to_string(),
            uuid: member.order.entry.uuid,
            copy: member.copy.id,
        };
        let all: Vec<StackMember> = members.iter().map(all).collect();
        for ((member, listed), digest) in members.iter().zip(listed(members)).zip(&begun.done) {
            let mut remembered = member.order.write_attributes(tape, medium)?;
            let cartridge = self.cartridges.get(member.at);
            let attributes = cartridge.map_or(&[][..], |cartridge| cartridge.attributes);
            remembered.left_out.extend(attributes.iter().map(left_out));
            let what = (vec![digest.clone()], remembered);
            let mut manifest: Manifest =
                member.order.manifest(&member.copy, medium, what, watcher.now());
            manifest.stack = Some(StackPlace {
                position: listed.position,
                first_file: listed.first_file,
                files: listed.files(),
                members: all.clone(),
                index_sha256: sha256(begun.front.as_bytes()),
            });
            manifest.how_to_read = how_to_read(&manifest);
            member.order.keep(member.copy.id, WRITTEN, &written)?;
            member.order.keep(member.copy.id, MANIFEST, &manifest)?;
            member.order.sign_manifest(&manifest)?;
        }
        Ok(())
    }
}

/// The cartridge as it is, and the filemark that closes it; on the tape when this returns.
fn write_member(
    tape: &mut dyn Tape,
    contents: &mut dyn Contents,
    (listed, first): (&Listed, u64),
    watcher: &dyn Watcher,
) -> Result<PartitionDigest, ExportError> {
    contents.go_to(0, 0).map_err(|error| ExportError::Cartridge(error.to_string()))?;
    let digest = stream::write(tape, contents, (0, Vec::new()), watcher, &mut |_| Ok(()));
    let digest = digest.map_err(|error| moved(error, first))?;
    if (digest.blocks, digest.filemarks, digest.bytes)
        != (listed.blocks, listed.filemarks, listed.bytes)
    {
        return Err(ExportError::Cartridge(format!(
            "{} has {} blocks and {} filemarks, and {} and {} were read",
            listed.barcode, listed.blocks, listed.filemarks, digest.blocks, digest.filemarks
        )));
    }
    let end = first.saturating_add(listed.objects());
    tape.write_filemark().map_err(at(end))?;
    tape.synchronize().map_err(at(end))?;
    Ok(digest)
}

/// A tape file of plain text.
fn write_text(tape: &mut dyn Tape, text: &str, first: u64) -> Result<(), ExportError> {
    let mut object = first;
    for block in text.as_bytes().chunks(block_bytes(tape)) {
        tape.write_block(block).map_err(at(object))?;
        object = object.saturating_add(1);
    }
    tape.write_filemark().map_err(at(object))?;
    tape.synchronize().map_err(at(object))
}

/// An error that counts objects from the beginning of the tape.
fn moved(error: ExportError, first: u64) -> ExportError {
    match error {
        ExportError::Tape { partition, object, error } => {
            ExportError::Tape { partition, object: object.saturating_add(first), error }
        }
        other => other,
    }
}

/// What goes where.
pub(super) fn listed(members: &[Member<'_>]) -> Vec<Listed> {
    let mut next_file = 1;
    let one = |(position, member): (u64, &Member<'_>)| {
        let entry = member.order.entry;
        let listed = Listed {
            position,
            barcode: entry.barcode.clone(),
            uuid: entry.uuid,
            copy: member.copy.id,
            first_file: next_file,
            blocks: entry.block_count,
            filemarks: entry.filemark_count,
            bytes: entry.written_bytes,
        };
        next_file = next_file.saturating_add(listed.files());
        listed
    };
    (1..).zip(members).map(one).collect()
}

fn left_out(attribute: &crate::receipt::Attribute) -> LeftOut {
    let value = attribute.text().unwrap_or_else(|| format!("hexadecimal {}", attribute.value));
    let why = format!("the tape has one memory for all its cartridges; the value was: {value}");
    LeftOut { identifier: attribute.identifier, partition: attribute.partition, why }
}

fn sha256(bytes: &[u8]) -> Hash {
    let mut digester = Digester::new(0);
    digester.block(bytes);
    digester.finish().sections.first().map_or_else(Hash::default, |section| section.sha256)
}

fn block_bytes(tape: &dyn Tape) -> usize {
    INDEX_BLOCK_BYTES.min(tape.max_block_bytes()).max(1)
}

/// What `dd bs=64k` reads with room to spare.
const INDEX_BLOCK_BYTES: usize = 32 << 10;
