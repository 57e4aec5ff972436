//! Persistent reservations of logical units, which the ledger keeps.

use super::Store;
use super::error::UndoError;
use crate::ledger::Event;
use crate::reservations::KeptReservations;

impl Store {
    /// Keeps the reservations of the logical unit with this serial number; they are durable when this returns.
    pub fn keep_reservations(
        &self,
        serial: &str,
        reservations: &KeptReservations,
        actor: &str,
    ) -> Result<(), UndoError> {
        let _changing = self.begin_change();
        let event = Event::ReservationsKept {
            serial: serial.to_owned(),
            reservations: reservations.clone(),
        };
        self.record_changes(&[event], actor)
    }

    /// The reservations that were kept last.
    pub fn kept_reservations(&self, serial: &str) -> Option<KeptReservations> {
        self.inventory().kept_reservations(serial).cloned()
    }
}
