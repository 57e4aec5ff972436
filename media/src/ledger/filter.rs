//! Which entries somebody wants to see.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::entry::Entry;
use super::event::{Event, RecordedEvent};

/// A choice of entries; the default lets everything through.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Not before this entry.
    pub from_sequence: Option<u64>,
    /// Not after this entry.
    pub to_sequence: Option<u64>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// By exactly this actor.
    pub actor: Option<String>,
    /// Events of this name.
    pub event: Option<String>,
    /// Events that concern this cartridge, with the commits of its moves.
    pub cartridge: Option<Uuid>,
    /// At most so many; the oldest that fit are kept.
    pub limit: Option<usize>,
}

impl EntryFilter {
    pub(super) fn selection(&self) -> Selection<'_> {
        Selection {
            filter: self,
            intents: HashSet::new(),
            copies: HashSet::new(),
            entries: Vec::new(),
            is_past: false,
        }
    }
}

/// A filter at work.
pub(super) struct Selection<'a> {
    filter: &'a EntryFilter,
    /// Moves of the wanted cartridge: their commits name only the intent.
    intents: HashSet<u64>,
    /// Copies of the wanted cartridge: their steps name only the copy.
    copies: HashSet<Uuid>,
    entries: Vec<Entry>,
    is_past: bool,
}

impl Selection<'_> {
    /// Takes the entry if it is wanted; `false` when no later one can be.
    pub(super) fn offer(&mut self, entry: Entry) -> bool {
        if self.filter.to_sequence.is_some_and(|last| entry.sequence > last) {
            self.is_past = true;
        } else if self.is_wanted(&entry) {
            self.entries.push(entry);
        }
        !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_past || self.filter.limit.is_some_and(|limit| self.entries.len() >= limit)
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    fn is_wanted(&mut self, entry: &Entry) -> bool {
        let filter = self.filter;
        // First, because it also remembers intents whose own entry is left out for another reason.
        let concerns = filter.cartridge.is_none_or(|uuid| self.concerns(&entry.event, uuid));
        concerns
            && filter.from_sequence.is_none_or(|first| entry.sequence >= first)
            && filter.since.is_none_or(|since| entry.time >= since)
            && filter.until.is_none_or(|until| entry.time < until)
            && filter.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
            && filter.event.as_deref().is_none_or(|name| name == entry.event.name())
    }

    fn concerns(&mut self, event: &RecordedEvent, wanted: Uuid) -> bool {
        let event = match event {
            RecordedEvent::Known(event) => event,
            RecordedEvent::Unknown(value) => {
                return ["cartridge", "uuid"].iter().any(|key| {
                    value
                        .get(key)
                        .and_then(serde_json::Value::as_str)
                        .is_some_and(|text| text == wanted.to_string())
                });
            }
        };
        match &**event {
            Event::LibraryCreated { .. }
            | Event::SnapshotCreated { .. }
            | Event::SnapshotPresented { .. }
            | Event::SnapshotDeleted { .. }
            | Event::ReservationsKept { .. }
            | Event::AccessGranted { .. }
            | Event::AccessRevoked { .. }
            | Event::SecretReplaced { .. }
            | Event::DrillEnded { .. }
            | Event::PolicyRan { .. }
            | Event::DriveFailed { .. }
            | Event::DriveFenced { .. }
            | Event::DriveCleared { .. }
            | Event::PoolKeySet { .. }
            | Event::PoolKeyRemoved { .. }
            | Event::RulesApplied { .. } => false,
            Event::CreationIntended { cartridges }
            | Event::CreationAbandoned { cartridges }
            | Event::CartridgesPooled { cartridges, .. } => cartridges.contains(&wanted),
            Event::CartridgeCreated { uuid, .. } | Event::CartridgeDeleted { uuid, .. } => {
                *uuid == wanted
            }
            Event::MoveIntended { id, step } => step.cartridge == wanted && self.remember(*id),
            Event::ExchangeIntended { id, first, second } => {
                (first.cartridge == wanted || second.cartridge == wanted) && self.remember(*id)
            }
            Event::MoveCommitted { id } | Event::MoveAbandoned { id } => self.intents.contains(id),
            Event::MediumLoaded { cartridge, .. }
            | Event::MediumUnloaded { cartridge, .. }
            | Event::RewindIntended { cartridge, .. }
            | Event::Rewound { cartridge, .. }
            | Event::Pruned { cartridge, .. }
            | Event::RetentionSet { cartridge, .. }
            | Event::CartridgeImported { cartridge, .. }
            | Event::KeyDestroyed { cartridge, .. }
            | Event::Verified { cartridge, .. } => *cartridge == wanted,
            Event::SnapshotMembers { members, .. } => {
                members.iter().any(|member| member.cartridge == wanted)
            }
            Event::CopyStaged { copy, cartridge, .. } => {
                let is_its = *cartridge == wanted;
                if is_its {
                    self.copies.insert(*copy);
                }
                is_its
            }
            Event::CopyAdvanced { copy, .. } | Event::CopyRetired { copy, .. } => {
                self.copies.contains(copy)
            }
            Event::Fault { cartridge, .. } => *cartridge == Some(wanted),
        }
    }

    fn remember(&mut self, intent: u64) -> bool {
        self.intents.insert(intent);
        true
    }
}
