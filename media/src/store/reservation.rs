//! Who works on a cartridge that is in no drive: one at a time.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use uuid::Uuid;

/// Cartridges that somebody works on.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    taken: Mutex<HashSet<Uuid>>,
    freed: Condvar,
}

/// The right to work on a cartridge; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Reservation<'a> {
    reservations: &'a Reservations,
    cartridge: Uuid,
}

impl Reservations {
    /// Waits until nobody else works on the cartridge. What is done with a reservation is short, unless the disk is stuck.
    pub(super) fn take(&self, cartridge: Uuid) -> Reservation<'_> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(cartridge) {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        drop(taken);
        Reservation { reservations: self, cartridge }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut taken = self.reservations.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.cartridge);
        drop(taken);
        self.reservations.freed.notify_all();
    }
}
