//! Persistent reservations that outlive the program: what a device wants kept goes into the ledger.

use std::sync::Arc;

use tracing::{error, warn};
use vtl_media::{KeptRegistrant, KeptReservation, KeptReservations};
use vtl_scsi::device::Device;
use vtl_scsi::{Keeper, Kept, NexusName, ReservationType};

use crate::library::Library;

impl Library {
    /// Gives a device the reservations that were kept for it, and keeps them from now on.
    pub(crate) fn keep_reservations_of(&self, device: &mut impl Device, serial: &str) {
        // A device must not hold the data directory's lock when the library is gone.
        let (store, owner) = (Arc::downgrade(self.store()), serial.to_owned());
        let keeper = Keeper::new(move |kept| {
            let kept = to_ledger(kept);
            let Some(store) = store.upgrade() else { return false };
            let result = store.keep_reservations(&owner, &kept, "scsi");
            if let Err(failure) = &result {
                error!(serial = owner, %failure, "a persistent reservation cannot be kept, so the host was refused it");
            }
            result.is_ok()
        });
        let kept = self.store().kept_reservations(serial).unwrap_or_default();
        device.unit_mut().keep_reservations(keeper, &from_ledger(&kept, serial));
    }
}

fn to_ledger(kept: &Kept) -> KeptReservations {
    let registrant = |(name, key): &(NexusName, u64)| KeptRegistrant {
        initiator: name.initiator.to_string(),
        initiator_port: name.initiator_port.to_string(),
        key: *key,
    };
    KeptReservations {
        registrants: kept.registrants.iter().map(registrant).collect(),
        reservation: kept
            .reservation
            .map(|(kind, maker)| KeptReservation { kind: kind.code(), maker }),
    }
}

fn from_ledger(kept: &KeptReservations, serial: &str) -> Kept {
    let registrants = kept.registrants.iter().map(|one| {
        let name = NexusName {
            initiator: one.initiator.as_str().into(),
            initiator_port: one.initiator_port.as_str().into(),
        };
        (name, one.key)
    });
    let reservation = kept.reservation.and_then(|reservation| {
        let kind = ReservationType::from_code(reservation.kind);
        if kind.is_none() {
            warn!(
                serial,
                code = reservation.kind,
                "a kept reservation is of a type that this version does not know"
            );
        }
        Some((kind?, reservation.maker))
    });
    Kept { registrants: registrants.collect(), reservation }
}
