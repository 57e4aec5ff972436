//! Several cartridges on one tape: an index in plain text, each cartridge as its own tape files, and the index once more with hashes.
//!
//! ```text
//! index │ FM │ cartridge 1 … │ FM │ cartridge 2 … │ FM │ … │ index with hashes │ FM │ end of data
//! ```
//!
//! Behind each cartridge there is one filemark more than it has, so that where it ends is known whatever it ends with. All members take each
//! step of the walk together, in one entry each of the ledger that are durable together: all or none.

mod begun;
mod check;
mod index;
mod prove;
mod region;
#[cfg(test)]
mod tests;
mod write;

use jiff::Timestamp;
use vtl_media::{CartridgeEntry, CopyFacts, CopyRecord, CopyState, CopyStep, Store};

pub use self::begun::stack_of;
pub use self::index::{Listed, StackIndex};
pub use self::region::Region;

use self::begun::{Begun, Standing};
use super::files::{MANIFEST, PROOF};
use super::order::{Exported, Exports, Order};
use super::stream::{Contents, Watcher};
use super::tape::{Medium, Tape};
use super::volume::is_same_tape;
use super::{ExportError, TapeError};
use crate::receipt::{Archive, Attribute, Manifest, Proof};

/// A cartridge that goes on the tape.
#[derive(Debug, Clone, Copy)]
pub struct StackedCartridge<'a> {
    /// The cartridge, as it was when its contents were opened.
    pub entry: &'a CartridgeEntry,
    /// The moment of it that is copied.
    pub as_of: Timestamp,
    /// What hosts have written into its memory: the tape has one memory for all, so that this is left out, and said.
    pub attributes: &'a [Attribute],
}

/// What is to be exported to one tape.
#[derive(Debug, Clone, Copy)]
pub struct StackOrder<'a> {
    /// Where the cartridges are, and their ledger.
    pub store: &'a Store,
    /// Where receipts are kept, and what signs them.
    pub receipts: &'a Archive,
    /// The cartridges, in the order in which they are to lie on the tape.
    pub cartridges: &'a [StackedCartridge<'a>],
    /// Which of several copies, from 1.
    pub number: u32,
    /// Whether a tape with something on it may be written.
    pub overwrites: bool,
    /// Whether copies of this number that were begun are given up, and new ones begun.
    pub begins_anew: bool,
    /// Who wants it.
    pub actor: &'a str,
    /// The program and its version.
    pub software: &'a str,
}

/// A member and its copy.
#[derive(Debug, Clone)]
struct Member<'a> {
    /// Which of the order's cartridges it is.
    at: usize,
    order: Order<'a>,
    copy: CopyRecord,
}

impl StackOrder<'_> {
    /// Does all of it that is not done yet. The contents are those of the cartridges, in the same order.
    pub fn run(
        &self,
        exports: &Exports,
        tape: &mut dyn Tape,
        contents: &mut [&mut dyn Contents],
        watcher: &dyn Watcher,
    ) -> Result<Vec<Exported>, ExportError> {
        self.check_order(contents.len())?;
        let taken = self.orders().map(|order| exports.take(order.entry));
        let _taken: Vec<_> = taken.collect::<Result<_, _>>()?;
        for order in self.orders() {
            order.check_standing()?;
        }
        let begun = self.begun()?;
        if let Some((members, _)) =
            begun.as_ref().filter(|(members, _)| is(members, CopyState::Proved))
        {
            return self.sign_again(members);
        }
        tape.ready().map_err(|error| ExportError::Tape { partition: 0, object: 0, error })?;
        tape.protect();
        let done = self.run_protected(begun, tape, contents, watcher);
        // Also when it failed: the next program finds the drive as it was.
        tape.unprotect();
        done
    }

    fn run_protected<'s>(
        &'s self,
        mut begun: Option<Standing<'s>>,
        tape: &mut dyn Tape,
        contents: &mut [&mut dyn Contents],
        watcher: &dyn Watcher,
    ) -> Result<Vec<Exported>, ExportError> {
        let medium = tape.medium();
        self.check_tape(&medium)?;
        if begun.is_none() {
            self.check_blank(tape, &medium)?;
            begun = Some((self.stage()?, None));
        }
        let (members, state) = begun.ok_or_else(|| failed("no copies were staged"))?;
        let done = self.finish(&members, state, (tape, &medium), contents, watcher);
        if let Err(error) = &done
            && error.is_final()
        {
            self.step(&members, CopyState::Failed, &medium, Some(&error.to_string()))?;
        }
        done
    }

    fn finish(
        &self,
        members: &[Member<'_>],
        state: Option<Begun>,
        (tape, medium): (&mut dyn Tape, &Medium),
        contents: &mut [&mut dyn Contents],
        watcher: &dyn Watcher,
    ) -> Result<Vec<Exported>, ExportError> {
        let begun = if is(members, CopyState::Staged) {
            self.write(members, state, (tape, medium), contents, watcher)?
        } else {
            state.ok_or_else(|| failed("how the tape was written is not known any more"))?
        };
        is_same_tape(begun.medium_serial.as_ref(), medium)?;
        let manifests = members.iter().map(|member| {
            let manifest: Option<Manifest> = member.order.kept(member.copy.id, MANIFEST)?;
            manifest.ok_or_else(|| failed("a manifest is not there any more"))
        });
        let manifests: Vec<Manifest> = manifests.collect::<Result<_, _>>()?;
        let now = self.store.copy(leader(members)?).map(|copy| copy.state);
        if now == Some(CopyState::Manifested) {
            self.step(members, CopyState::Written, medium, None)?;
        }
        self.prove(members, &begun, manifests, (tape, medium), watcher)
    }

    /// The second phase of all receipts, and the step that needs them.
    fn sign(
        &self,
        members: &[Member<'_>],
        medium: &Medium,
        read: Vec<(Manifest, Proof)>,
    ) -> Result<Vec<Exported>, ExportError> {
        let mut steps = Vec::new();
        for (member, (_, proof)) in members.iter().zip(&read) {
            let receipt = member.order.receipt(member.copy.id, proof)?;
            let facts = CopyFacts {
                receipt: Some(receipt.content().sha256.to_string()),
                ..facts_of(medium)
            };
            steps.push(CopyStep { copy: member.copy.id, state: CopyState::Receipted, facts });
        }
        let copies = self.store.advance_copies(&steps, self.actor);
        let copies = copies.map_err(|error| failed(&format!("no receipt: {error}")))?;
        let exported = copies.into_iter().zip(read);
        Ok(exported.map(|(copy, (manifest, proof))| Exported { copy, manifest, proof }).collect())
    }

    /// The program ended between the proof and the receipts.
    fn sign_again(&self, members: &[Member<'_>]) -> Result<Vec<Exported>, ExportError> {
        let kept = members.iter().map(|Member { order, copy, .. }| {
            let kept = order.kept(copy.id, MANIFEST)?.zip(order.kept(copy.id, PROOF)?);
            kept.ok_or_else(|| failed(&format!("the proof of {} is not there any more", copy.id)))
        });
        let read = kept.collect::<Result<_, _>>()?;
        self.sign(members, &Medium::default(), read)
    }

    /// One step of all members, which the ledger has together.
    fn step(
        &self,
        members: &[Member<'_>],
        state: CopyState,
        medium: &Medium,
        reason: Option<&str>,
    ) -> Result<(), ExportError> {
        let step = |member: &Member<'_>| {
            let is_manifested = state == CopyState::Manifested;
            let facts = CopyFacts {
                generation: is_manifested.then_some(member.order.entry.generation),
                as_of: is_manifested.then_some(member.order.as_of),
                bytes: is_manifested.then_some(member.order.entry.written_bytes),
                reason: reason.map(str::to_owned),
                ..facts_of(medium)
            };
            CopyStep { copy: member.copy.id, state, facts }
        };
        let steps: Vec<CopyStep> = members.iter().map(step).collect();
        let taken = self.store.advance_copies(&steps, self.actor);
        taken.map(drop).map_err(|error| failed(&error.to_string()))
    }

    /// Each cartridge as an order of its own, for what each has to itself.
    fn orders(&self) -> impl Iterator<Item = Order<'_>> {
        self.cartridges.iter().map(|cartridge| Order {
            store: self.store,
            receipts: self.receipts,
            entry: cartridge.entry,
            as_of: cartridge.as_of,
            partitions: &[],
            attributes: &[],
            number: self.number,
            overwrites: self.overwrites,
            begins_anew: self.begins_anew,
            actor: self.actor,
            software: self.software,
        })
    }

    fn names(&self) -> String {
        let names: Vec<&str> =
            self.cartridges.iter().map(|cartridge| cartridge.entry.barcode.as_str()).collect();
        names.join(" ")
    }
}

/// The copy with which the files of the whole stack are kept.
fn leader(members: &[Member<'_>]) -> Result<uuid::Uuid, ExportError> {
    let first = members.first().map(|member| member.copy.id);
    first.ok_or_else(|| failed("a stack without cartridges"))
}

fn is(members: &[Member<'_>], state: CopyState) -> bool {
    members.iter().all(|member| member.copy.state == state)
}

fn facts_of(medium: &Medium) -> CopyFacts {
    CopyFacts {
        volume: medium.barcode.clone(),
        medium_serial: medium.serial.clone(),
        ..CopyFacts::default()
    }
}

fn failed(text: &str) -> ExportError {
    ExportError::Failed(text.to_owned())
}

fn at(object: u64) -> impl Fn(TapeError) -> ExportError {
    move |error| ExportError::Tape { partition: 0, object, error }
}
