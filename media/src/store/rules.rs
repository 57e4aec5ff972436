//! Rules about cartridges and their pools, which the ledger keeps.

use uuid::Uuid;

use super::Store;
use super::error::UndoError;
use crate::catalogue::Change;
use crate::inventory::RulesRecord;
use crate::ledger::Event;

/// A document must fit into one entry of the ledger, whose JSON may need six bytes for one of ours.
pub const RULES_BYTES_MAX: usize = 128 * 1024;

impl Store {
    /// The document of rules that is in force.
    pub fn rules(&self) -> Option<RulesRecord> {
        self.inventory().rules().cloned()
    }

    /// Puts a document of rules in force; it is durable when this returns. Who calls has read it and found it good, and keeps to
    /// [`RULES_BYTES_MAX`].
    pub fn apply_rules(&self, document: &str, actor: &str) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        self.record_changes(&[Event::RulesApplied { document: document.to_owned() }], actor)
    }

    /// Puts cartridges into a pool, or into none; all of them or none.
    pub fn assign_pool(
        &self,
        cartridges: &[Uuid],
        pool: Option<&str>,
        actor: &str,
    ) -> Result<(), UndoError> {
        let changing = self.begin_change();
        if let Some(missing) = cartridges.iter().find(|uuid| self.cartridge(**uuid).is_none()) {
            return Err(UndoError::NoCartridge(*missing));
        }
        let event =
            Event::CartridgesPooled { cartridges: cartridges.to_vec(), pool: pool.map(Into::into) };
        self.record_changes(&[event], actor)?;
        let rows = cartridges.iter().filter_map(|uuid| self.cartridge(*uuid));
        let changes: Vec<Change> = rows.map(|row| Change::Put(Box::new(row))).collect();
        self.project(&changes, self.ledger.head());
        drop(changing);
        Ok(())
    }
}
