//! A stack that was begun and is gone on with: how far it is, in files.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vtl_media::disk::read_whole;
use vtl_media::{CopyRecord, CopyState, Store};

use super::super::ExportError;
use super::super::files::{FILE_BYTES_MAX, PROGRESS, path};
use super::super::order::Order;
use super::super::tape::Medium;
use super::{Member, StackOrder, failed, leader};
use crate::digest::{PartitionDigest, Section};
use crate::receipt::Pass;

/// How far a whole stack is, in a file of the first member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Begun {
    /// The tape.
    pub(super) medium_serial: Option<String>,
    /// The members' copies, in the order in which they are on the tape.
    copies: Vec<Uuid>,
    /// Whether the cartridges are still the same.
    was: Vec<Was>,
    /// The index at the beginning of the tape.
    pub(super) front: String,
    /// The blocks that it is in.
    pub(super) front_blocks: u64,
    /// Members that are on the tape for sure.
    pub(super) done: Vec<PartitionDigest>,
    /// How their blocks were protected.
    #[serde(default)]
    pub(super) protection: Option<String>,
    /// Once everything is on the tape: how it was written.
    pub(super) written: Option<Pass>,
}

/// What a cartridge was when it was begun on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Was {
    generation: u32,
    written_bytes: u64,
    last_written: Option<Timestamp>,
}

/// How far one member is, so that everybody knows its tape: what an export of one cartridge keeps, with nothing to go on from but the stack.
#[derive(Debug, Serialize, Deserialize)]
struct OfMember {
    medium_serial: Option<String>,
    volume: Option<String>,
    generation: u32,
    written_bytes: u64,
    last_written: Option<Timestamp>,
    sections: Vec<Section>,
    /// The copy that has the files of the stack; absent where the copy has a tape of its own.
    stack: Option<Uuid>,
}

/// Members that are under way, and how far they are together if anything was written.
pub(super) type Standing<'a> = (Vec<Member<'a>>, Option<Begun>);

impl Begun {
    pub(super) fn new(
        members: &[Member<'_>],
        medium: &Medium,
        (front, front_blocks): (String, u64),
    ) -> Self {
        Self {
            medium_serial: medium.serial.clone(),
            copies: members.iter().map(|member| member.copy.id).collect(),
            was: members.iter().map(was).collect(),
            front,
            front_blocks,
            done: Vec::new(),
            protection: None,
            written: None,
        }
    }

    /// Whether the cartridges are what they were.
    pub(super) fn is_same(&self, members: &[Member<'_>]) -> bool {
        self.was.iter().cloned().eq(members.iter().map(was))
    }
}

fn was(member: &Member<'_>) -> Was {
    let entry = member.order.entry;
    Was {
        generation: entry.generation,
        written_bytes: entry.written_bytes,
        last_written: entry.last_written,
    }
}

/// The copy that has the files of the stack that a copy is being made on; none if that has a tape of its own, or nothing was written yet.
pub fn stack_of(store: &Store, copy: &CopyRecord) -> Option<Uuid> {
    let path = path(store, copy.id, PROGRESS);
    if !copy.state.is_under_way() || !store.disk().exists(&path).ok()? {
        return None;
    }
    let bytes = read_whole(&*store.disk(), &path, FILE_BYTES_MAX).ok()?;
    serde_json::from_slice::<OfMember>(&bytes).ok()?.stack
}

impl Order<'_> {
    /// A copy that is being made on a stack is not gone on with alone.
    pub(in super::super) fn check_stack(
        &self,
        copy: Option<&CopyRecord>,
    ) -> Result<(), ExportError> {
        let stacked = copy.filter(|copy| stack_of(self.store, copy).is_some());
        match stacked {
            Some(copy) if !self.begins_anew => Err(ExportError::Refused(format!(
                "copy {} of {} is being made on a tape with others: go on with --stack and all of them, or give it up with --anew",
                copy.number, copy.barcode
            ))),
            _ => Ok(()),
        }
    }
}

impl StackOrder<'_> {
    /// The members and how far they are, if all of them were begun together; none if none was. What `begins_anew` gives up is given up here.
    pub(super) fn begun(&self) -> Result<Option<Standing<'_>>, ExportError> {
        let found = self.orders().enumerate().filter_map(|(at, order)| {
            let copy = order.under_way()?;
            Some(Member { at, order, copy })
        });
        let mut found: Vec<Member<'_>> = found.collect();
        if self.begins_anew && !found.is_empty() {
            // Nothing is said of a tape: the one that they were begun on may be anywhere.
            let why = "given up, and begun anew";
            self.step(&found, CopyState::Failed, &Medium::default(), Some(why))?;
            return Ok(None);
        }
        let mut leader = None;
        for member in &found {
            let progress: Option<OfMember> = member.order.kept(member.copy.id, PROGRESS)?;
            let Some(progress) = progress else { continue };
            let Some(stack) = progress.stack else { return Err(has_own_tape(&member.copy)) };
            leader = Some(stack);
        }
        let Some(leader) = leader else {
            // Nothing was written of those that were asked for; copies are staged for the others.
            if found.iter().any(|member| member.copy.state != CopyState::Staged) {
                return Err(failed("how far the stack is, is not known any more: say --anew"));
            }
            return if found.is_empty() { Ok(None) } else { Ok(Some((self.stage()?, None))) };
        };
        let begun = found.first().map(|member| member.order.kept::<Begun>(leader, STACK));
        let begun = begun.transpose()?.flatten();
        let begun = begun.ok_or_else(|| {
            failed("how far the stack is, is not known any more: --anew gives it up")
        })?;
        let there: BTreeSet<Uuid> = found.iter().map(|member| member.copy.id).collect();
        let wanted: BTreeSet<Uuid> = begun.copies.iter().copied().collect();
        if there != wanted || found.len() != self.cartridges.len() {
            return Err(self.other_members(&begun));
        }
        let place = |id: Uuid| begun.copies.iter().position(|copy| *copy == id);
        found.sort_by_key(|member| place(member.copy.id));
        Ok(Some((found, Some(begun))))
    }

    /// A copy for each member; one that was asked for and not begun is taken as it is.
    pub(super) fn stage(&self) -> Result<Vec<Member<'_>>, ExportError> {
        let missing = self.orders().filter(|order| order.under_way().is_none());
        let missing: Vec<_> = missing.map(|order| (order.entry.uuid, self.number)).collect();
        if !missing.is_empty() {
            let staged = self.store.stage_copies(&missing, self.actor);
            staged.map_err(|error| ExportError::Refused(error.to_string()))?;
        }
        let members = self.orders().enumerate().map(|(at, order)| {
            let copy = order.under_way().ok_or_else(|| failed("no copy was staged"))?;
            Ok(Member { at, order, copy })
        });
        members.collect()
    }

    /// Says of each member which tape it is on, and of all how far they are.
    pub(super) fn keep_begun(
        members: &[Member<'_>],
        medium: &Medium,
        begun: &Begun,
    ) -> Result<(), ExportError> {
        let leader = leader(members)?;
        keep_done(members, begun)?;
        for member in members {
            let Was { generation, written_bytes, last_written } = was(member);
            let progress = OfMember {
                medium_serial: medium.serial.clone(),
                volume: medium.barcode.clone(),
                generation,
                written_bytes,
                last_written,
                sections: Vec::new(),
                stack: Some(leader),
            };
            member.order.keep(member.copy.id, PROGRESS, &progress)?;
        }
        Ok(())
    }

    fn other_members(&self, begun: &Begun) -> ExportError {
        let copies = begun.copies.iter().filter_map(|id| self.store.copy(*id));
        let names: Vec<String> = copies
            .map(|copy| {
                let state = copy.state;
                let over = if state.is_under_way() { String::new() } else { format!(" ({state})") };
                format!("{}{over}", copy.barcode)
            })
            .collect();
        ExportError::Refused(format!(
            "a stack with other cartridges was begun ({}): name all of these to go on with it, or give it up with --anew",
            names.join(" ")
        ))
    }
}

/// Says how far they are.
pub(super) fn keep_done(members: &[Member<'_>], begun: &Begun) -> Result<(), ExportError> {
    let leader = leader(members)?;
    let first = members.first().ok_or_else(|| failed("a stack without cartridges"))?;
    first.order.keep(leader, STACK, begun)
}

fn has_own_tape(copy: &CopyRecord) -> ExportError {
    ExportError::Refused(format!(
        "copy {} of {} was begun on a tape of its own: finish that without --stack, or give it up with --anew",
        copy.number, copy.barcode
    ))
}

/// How far a stack is.
const STACK: &str = "stack.json";
