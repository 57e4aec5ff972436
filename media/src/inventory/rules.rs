//! Rules about cartridges: pools, groups and policies, in one document that is kept word for word.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{Inconsistency, Inventory};
use crate::ledger::Event;

/// The document of rules that is in force. This room keeps it and does not read it: what it means is the business of those who
/// manage media.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RulesRecord {
    /// The document, as it was applied.
    pub document: String,
    /// Since when it is in force.
    pub applied: Timestamp,
}

impl Inventory {
    fn apply_pool(
        &mut self,
        cartridges: &[Uuid],
        pool: Option<&String>,
    ) -> Result<(), Inconsistency> {
        if let Some(missing) = cartridges.iter().find(|uuid| !self.cartridges.contains_key(uuid)) {
            return Err(Inconsistency::NoCartridge(*missing));
        }
        for uuid in cartridges {
            if let Some(entry) = self.cartridges.get_mut(uuid) {
                entry.pool = pool.cloned();
            }
        }
        Ok(())
    }

    /// What one event says of rules and of pools.
    pub(super) fn apply_rules_event(
        &mut self,
        event: &Event,
        time: Timestamp,
    ) -> Result<(), Inconsistency> {
        match event {
            Event::RulesApplied { document } => {
                self.rules = Some(RulesRecord { document: document.clone(), applied: time });
                Ok(())
            }
            Event::CartridgesPooled { cartridges, pool } => {
                self.apply_pool(cartridges, pool.as_ref())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn rules(&self) -> Option<&RulesRecord> {
        self.rules.as_ref()
    }
}
