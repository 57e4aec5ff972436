//! Taking cartridges back, and making twins of them.

use jiff::Timestamp;
use uuid::Uuid;

use super::cartridges::{NewCartridge, Twin};
use super::error::UndoError;
use super::{Reservation, Store};
use crate::barcode::Barcode;
use crate::cartridge::{CartridgeFacts, LoadOptions, MediumError, Pruned, Volume};
use crate::cartridge::{GenerationBegun, RecoveryPoint, WantedPoint};
use crate::inventory::CartridgeEntry;
use crate::label::{CartridgeKind, Origin};
use crate::ledger::Event;
use crate::place::Place;

/// What has been on a cartridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The newest recovery points, oldest first.
    pub points: Vec<RecoveryPoint>,
    /// The generations that were begun, oldest first.
    pub generations: Vec<GenerationBegun>,
    /// The oldest moment that can still be gone back to, where older ones were given up.
    pub horizon: Option<Timestamp>,
}

impl History {
    /// Of a loaded cartridge.
    pub fn of(cartridge: &Volume, limit: usize) -> Result<Self, MediumError> {
        Ok(Self {
            points: cartridge.recovery_points(limit)?,
            generations: cartridge.generations()?,
            horizon: cartridge.label().undo_horizon.map(|horizon| horizon.time),
        })
    }
}

/// A cartridge that has been taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// To where; `None` if there was nothing on it then.
    pub point: Option<RecoveryPoint>,
    /// Whether it was anything else before.
    pub is_changed: bool,
}

/// A twin that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTwin {
    /// Its barcode.
    pub barcode: Barcode,
    /// Whether nothing may ever be written on it.
    pub read_only: bool,
    /// Where it goes; a free storage element, else the shelf, if there is none.
    pub to: Option<Place>,
}

impl Store {
    /// Waits for the right to work on a cartridge. A drive has it while it loads one.
    pub fn reserve(&self, cartridge: Uuid) -> Reservation<'_> {
        self.reservations.take(cartridge)
    }

    /// What has been on a cartridge that is in no drive.
    pub fn history(&self, uuid: Uuid, limit: usize) -> Result<History, UndoError> {
        let (entry, _reserved) = self.for_work(uuid)?;
        let cartridge = self.open_cartridge(&entry, true)?;
        History::of(&cartridge, limit).map_err(medium(&entry))
    }

    /// Makes a cartridge what it was at a recovery point, durably. This can be taken back in the same way.
    pub fn rewind_in_place(
        &self,
        uuid: Uuid,
        wanted: WantedPoint,
        actor: &str,
    ) -> Result<Rewound, UndoError> {
        let (entry, reserved) = self.for_work(uuid)?;
        let (cartridge, point) = self.point_to_go_back_to(&entry, wanted)?;
        // Other partitions go back to the same time.
        let then = match (wanted, &point) {
            (_, Some(point)) => wanted.time(point),
            (WantedPoint::Time(time), None) => time,
            (WantedPoint::Sequence(_), None) => entry.created,
        };
        if cartridge.is_at(point.as_ref(), then).map_err(medium(&entry))? {
            return Ok(Rewound { point, is_changed: false });
        }
        drop(cartridge);
        let (sequence, time) =
            point.as_ref().map_or((0, entry.created), |point| (point.sequence, point.time));
        let intent = Event::RewindIntended { cartridge: uuid, point: sequence, time };
        self.ledger.append(&intent, actor)?;
        let mut cartridge = self.open_cartridge(&entry, false)?;
        cartridge.revert_to(point.as_ref(), then).map_err(medium(&entry))?;
        let facts = cartridge.unload().map_err(medium(&entry))?;
        self.ledger.append(&Event::Rewound { cartridge: uuid, point: sequence }, actor)?;
        drop(reserved);
        self.update_facts(uuid, &facts)?;
        Ok(Rewound { point, is_changed: true })
    }

    /// Whether a cartridge could be taken back so, and its newest point as it is: what it is to be taken back to if it shall not have been.
    pub fn check_rewind(
        &self,
        uuid: Uuid,
        wanted: WantedPoint,
    ) -> Result<Option<RecoveryPoint>, UndoError> {
        let (entry, _reserved) = self.for_work(uuid)?;
        let (cartridge, _) = self.point_to_go_back_to(&entry, wanted)?;
        cartridge.last_point().map_err(medium(&entry))
    }

    /// Opens a cartridge and finds the point; there is none where it had been blank.
    fn point_to_go_back_to(
        &self,
        entry: &CartridgeEntry,
        wanted: WantedPoint,
    ) -> Result<(Volume, Option<RecoveryPoint>), UndoError> {
        if entry.read_only {
            return Err(UndoError::ReadOnly(entry.barcode.clone()));
        }
        let cartridge = self.open_cartridge(entry, true)?;
        check_locks(entry, &cartridge, self.compliance.now())?;
        let point = cartridge.find_point(wanted).map_err(medium(entry))?;
        if point.is_none() && !was_blank(entry, &cartridge, wanted) {
            return Err(UndoError::NoPoint { barcode: entry.barcode.clone() });
        }
        Ok((cartridge, point))
    }

    /// Makes a cartridge that begins with what another one was at a recovery point. Nothing is copied.
    pub fn make_twin(
        &self,
        uuid: Uuid,
        wanted: WantedPoint,
        new: NewTwin,
        actor: &str,
    ) -> Result<(CartridgeEntry, RecoveryPoint), UndoError> {
        let (entry, reserved) = self.for_work(uuid)?;
        let cartridge = self.open_cartridge(&entry, true)?;
        let point = cartridge.find_point(wanted).map_err(medium(&entry))?;
        let point = point.ok_or_else(|| UndoError::NoPoint { barcode: entry.barcode.clone() })?;
        let then = wanted.time(&point);
        let made = self.make_twin_of(&cartridge, (&point, then), new, actor)?;
        drop(reserved);
        Ok((made, point))
    }

    /// The same, of a cartridge that is loaded: partition 0 at a point, the others at that time.
    pub fn make_twin_of(
        &self,
        cartridge: &Volume,
        (point, then): (&RecoveryPoint, Timestamp),
        new: NewTwin,
        actor: &str,
    ) -> Result<CartridgeEntry, UndoError> {
        let label = cartridge.label().clone();
        let moment = cartridge
            .moment_at(point, then)
            .map_err(|source| UndoError::Medium { barcode: label.barcode.clone(), source })?;
        let twin = Twin {
            of: label.barcode,
            read_only: new.read_only,
            facts: CartridgeFacts {
                generation: point.generation,
                last_written: Some(point.time),
                ..moment.facts()
            },
            moment,
            mam: label.mam,
        };
        let new = NewCartridge {
            capacity_bytes: Some(label.capacity_bytes),
            // The label tells of the pool that it was made for; the ledger knows the one that it is in.
            pool: self.cartridge(label.uuid).map_or(label.pool, |of| of.pool),
            worm: label.worm,
            to: new.to,
            twin: Some(twin),
            ..NewCartridge::new(new.barcode, &label.media_type)
        };
        // Into the library of the other one: whoever works with that looks for it there.
        let library = self.cartridge(label.uuid).and_then(|of| of.place.library().cloned());
        let library = library.or_else(|| self.first_library().map(|first| first.id));
        let mut made = self.create_cartridges_in(library.as_ref(), vec![new], actor)?;
        made.pop().ok_or(UndoError::NothingChosen)
    }

    /// The moments of a cartridge that twins and snapshots rest on.
    pub fn kept_moments(&self, uuid: Uuid) -> Vec<Origin> {
        self.inventory().kept_moments(uuid)
    }

    /// Gives up what only going back before a time needs, on a cartridge that is in no drive.
    pub fn prune(&self, uuid: Uuid, before: Timestamp, actor: &str) -> Result<Pruned, UndoError> {
        let (entry, reserved) = self.for_work(uuid)?;
        let mut cartridge = self.open_cartridge(&entry, true)?;
        let kept = self.kept_moments(uuid);
        let pruned = cartridge.prune(before, &kept).map_err(medium(&entry))?;
        let facts = cartridge.facts();
        drop((cartridge, reserved));
        self.note_pruned(uuid, before, pruned, &facts, actor)?;
        Ok(pruned)
    }

    /// Records what was pruned from a cartridge.
    pub fn note_pruned(
        &self,
        uuid: Uuid,
        before: Timestamp,
        pruned: Pruned,
        facts: &CartridgeFacts,
        actor: &str,
    ) -> Result<(), UndoError> {
        if pruned.segments > 0 {
            let Pruned { segments, bytes } = pruned;
            self.ledger
                .append(&Event::Pruned { cartridge: uuid, segments, bytes, before }, actor)?;
            self.update_facts(uuid, facts)?;
        }
        Ok(())
    }

    /// The earliest time before which pruning would free something, on a cartridge that is in no drive.
    pub fn oldest_undo(&self, uuid: Uuid) -> Result<Option<Timestamp>, UndoError> {
        let (entry, _reserved) = self.for_work(uuid)?;
        let cartridge = self.open_cartridge(&entry, true)?;
        cartridge.oldest_undo(&self.kept_moments(uuid)).map_err(medium(&entry))
    }

    /// A data cartridge that is in no drive, and the right to work on it.
    pub(super) fn for_work(
        &self,
        uuid: Uuid,
    ) -> Result<(CartridgeEntry, Reservation<'_>), UndoError> {
        let reserved = self.reserve(uuid);
        // Looked at with the reservation in hand: whoever loads it from here on waits.
        let entry = self.cartridge(uuid).ok_or(UndoError::NoCartridge(uuid))?;
        if matches!(entry.place, Place::Drive { .. }) {
            return Err(UndoError::InDrive { barcode: entry.barcode, place: entry.place });
        }
        if entry.kind == CartridgeKind::Cleaning {
            return Err(UndoError::Cleaning(entry.barcode));
        }
        Ok((entry, reserved))
    }

    pub(super) fn open_cartridge(
        &self,
        entry: &CartridgeEntry,
        read_only: bool,
    ) -> Result<Volume, UndoError> {
        let clock = self.clock.clone();
        let options = LoadOptions {
            read_only,
            // Going back is no use of the medium.
            is_resumed: true,
            clock: std::sync::Arc::new(move || clock.now()),
            compliance: self.compliance.as_clock(),
            keys: self.keys.clone(),
            pool: entry.pool.clone(),
            ..LoadOptions::default()
        };
        Volume::load(self.disk(), &self.directory_of(entry.uuid), options)
            .map_err(|source| UndoError::Load { barcode: entry.barcode.clone(), source })
    }
}

/// Whether there was a cartridge at that time, with nothing on it.
fn was_blank(entry: &CartridgeEntry, cartridge: &Volume, wanted: WantedPoint) -> bool {
    let has_all_history =
        cartridge.label().undo_horizon.is_none() && cartridge.label().origin.is_none();
    matches!(wanted, WantedPoint::Time(time) if time >= entry.created) && has_all_history
}

/// What is retained or held may not be made to look as if it had never been written.
fn check_locks(
    entry: &CartridgeEntry,
    cartridge: &Volume,
    now: Timestamp,
) -> Result<(), UndoError> {
    let reason = match cartridge.retention().reason(now) {
        Some(reason) => reason,
        None if cartridge.label().worm => {
            "it is WORM, and can only be written once; make a twin".to_owned()
        }
        None => return Ok(()),
    };
    Err(UndoError::Locked { barcode: entry.barcode.clone(), reason })
}

fn medium(entry: &CartridgeEntry) -> impl Fn(MediumError) -> UndoError {
    let barcode = entry.barcode.clone();
    move |source| UndoError::Medium { barcode: barcode.clone(), source }
}
