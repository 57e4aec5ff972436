//! Copies on physical tape, which the ledger keeps.

use std::collections::HashMap;

use thiserror::Error;
use uuid::Uuid;

use super::Store;
use super::error::{StoreError, UndoError};
use crate::barcode::Barcode;
use crate::copies::{CopyFacts, CopyRecord, CopyState, CopySummary};
use crate::inventory::CartridgeEntry;
use crate::label::CartridgeKind;
use crate::ledger::{Event, Head};

/// Why a copy could not be staged, or not take a step.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// There is no such cartridge.
    #[error("there is no cartridge {0}")]
    NoCartridge(Uuid),
    /// A cleaning cartridge has nothing to copy.
    #[error("{0} is a cleaning cartridge: there is nothing on it to copy")]
    Cleaning(Barcode),
    /// There is no such copy.
    #[error("there is no copy {0}; `vtl vault list` shows those that there are")]
    NoCopy(Uuid),
    /// That copy is being made already, or is there.
    #[error("copy {number} of {barcode} is there already: it is {state}")]
    Exists {
        /// The cartridge.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// Where that is on its way.
        state: CopyState,
    },
    /// The walk has no such step.
    #[error("copy {number} of {barcode} is {from}: it cannot be {to} next")]
    Step {
        /// The cartridge.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// Where it is.
        from: CopyState,
        /// Where it was to be.
        to: CopyState,
    },
    /// Nothing else has the data.
    #[error(
        "copy {number} of {barcode} is the last one that was proved, and the cartridge itself is not on disk any more, or cannot be read: import it \
         first, or say --last-copy to lose what is on it for good"
    )]
    Last {
        /// The cartridge.
        barcode: Barcode,
        /// Which copy.
        number: u32,
    },
    /// Nothing else has the data, and that has to be kept.
    #[error(
        "copy {number} of {barcode} is the last one that can be read, and the cartridge is kept: {why}. It stays until that is over"
    )]
    Locked {
        /// The cartridge.
        barcode: Barcode,
        /// Which copy.
        number: u32,
        /// By what it is kept.
        why: String,
    },
    /// It could not be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] UndoError),
}

/// One step of one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// The copy.
    pub copy: Uuid,
    /// What it will be.
    pub state: CopyState,
    /// What else the step says.
    pub facts: CopyFacts,
}

impl Store {
    /// All copies that were ever asked for, sorted by the cartridge's barcode and their numbers.
    pub fn copies(&self) -> Vec<CopyRecord> {
        let mut all: Vec<CopyRecord> = self.inventory().copies().cloned().collect();
        all.sort_unstable_by(|a, b| {
            (&a.barcode, a.number, a.staged).cmp(&(&b.barcode, b.number, b.staged))
        });
        all
    }

    /// What the copies of each cartridge come to, for those that have one. Of those in drives, the drives know what is on them.
    pub fn copy_summaries(
        &self,
        in_drives: &HashMap<Uuid, CartridgeEntry>,
    ) -> HashMap<Uuid, CopySummary> {
        let mut all: HashMap<Uuid, CopySummary> = HashMap::new();
        let inventory = self.inventory();
        for copy in inventory.copies() {
            let uuid = copy.cartridge;
            let entry = in_drives.get(&uuid).or_else(|| inventory.cartridge(uuid));
            all.entry(uuid).or_default().add(copy, entry);
        }
        all
    }

    /// One copy.
    pub fn copy(&self, id: Uuid) -> Option<CopyRecord> {
        self.inventory().copy(id).cloned()
    }

    /// All copies of this number that there ever were of a cartridge, the oldest first.
    pub fn copies_of(&self, cartridge: Uuid, number: u32) -> Vec<CopyRecord> {
        self.inventory().copies_of(cartridge, number).cloned().collect()
    }

    /// Asks for a copy of each of these cartridges, all or none. A copy of the same number that failed, was lost or is retired makes room for it.
    pub fn stage_copies(
        &self,
        wanted: &[(Uuid, u32)],
        actor: &str,
    ) -> Result<Vec<CopyRecord>, CopyError> {
        let changing = self.begin_change();
        let mut events = Vec::new();
        let mut ids = Vec::new();
        for &(uuid, number) in wanted {
            let entry = self.cartridge(uuid).ok_or(CopyError::NoCartridge(uuid))?;
            if entry.kind != CartridgeKind::Data {
                return Err(CopyError::Cleaning(entry.barcode));
            }
            let standing = self.copies_of(uuid, number).into_iter();
            if let Some(state) = standing.map(|copy| copy.state).find(|state| !state.is_over()) {
                return Err(CopyError::Exists { barcode: entry.barcode, number, state });
            }
            let copy = Uuid::now_v7();
            ids.push(copy);
            events.push(Event::CopyStaged {
                copy,
                cartridge: uuid,
                barcode: entry.barcode,
                number,
            });
        }
        self.record_changes(&events, actor)?;
        drop(changing);
        ids.into_iter().map(|id| self.copy(id).ok_or(CopyError::NoCopy(id))).collect()
    }

    /// Takes these steps, all or none; they are durable when this returns. A step that the walk does not have is refused.
    pub fn advance_copies(
        &self,
        steps: &[CopyStep],
        actor: &str,
    ) -> Result<Vec<CopyRecord>, CopyError> {
        let changing = self.begin_change();
        // A copy may take several steps at once: what came back damaged has come back.
        let mut reached: HashMap<Uuid, CopyState> = HashMap::new();
        for step in steps {
            let record = self.copy(step.copy).ok_or(CopyError::NoCopy(step.copy))?;
            let from = reached.insert(step.copy, step.state).unwrap_or(record.state);
            if !from.may_become(step.state) {
                return Err(CopyError::Step {
                    barcode: record.barcode,
                    number: record.number,
                    from,
                    to: step.state,
                });
            }
        }
        let events: Vec<Event> = steps
            .iter()
            .map(|step| Event::CopyAdvanced {
                copy: step.copy,
                state: step.state,
                facts: Box::new(step.facts.clone()),
            })
            .collect();
        self.record_changes(&events, actor)?;
        drop(changing);
        steps.iter().map(|step| self.copy(step.copy).ok_or(CopyError::NoCopy(step.copy))).collect()
    }

    /// Takes one step.
    pub fn advance_copy(
        &self,
        copy: Uuid,
        state: CopyState,
        facts: CopyFacts,
        actor: &str,
    ) -> Result<CopyRecord, CopyError> {
        let steps = [CopyStep { copy, state, facts }];
        self.advance_copies(&steps, actor)?.pop().ok_or(CopyError::NoCopy(copy))
    }

    /// The newest entry of the ledger: what anchors a receipt in its chain.
    pub fn ledger_head(&self) -> Head {
        self.ledger.head()
    }
}
