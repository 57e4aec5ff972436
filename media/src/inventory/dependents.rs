//! What rests on cartridges: twins and snapshots, which read what was on them at a moment.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{CartridgeEntry, Inventory, SnapshotRecord};
use crate::label::{Origin, origins_of};

/// Something that rests on other cartridges.
enum Dependent<'a> {
    Twin(&'a CartridgeEntry),
    Snapshot(&'a SnapshotRecord),
}

impl Dependent<'_> {
    /// The moments that it needs, each with the identity of the cartridge.
    fn needs(&self) -> Box<dyn Iterator<Item = (Uuid, Origin)> + '_> {
        let is_something = |(_, origin): &(Uuid, Origin)| origin.sequence > 0;
        match self {
            Self::Twin(entry) => {
                let origin = entry.origin.into_iter();
                let origins = origin.flat_map(|origin| origins_of(origin, &entry.parts));
                Box::new(origins.filter(is_something))
            }
            Self::Snapshot(snapshot) => {
                let members = snapshot.members.iter();
                let origins = members.flat_map(|member| origins_of(member.origin, &member.parts));
                Box::new(origins.filter(is_something))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Twin(entry) => format!("twin {}", entry.barcode),
            Self::Snapshot(snapshot) => format!("snapshot {}", snapshot.name),
        }
    }
}

impl Inventory {
    /// The moments of a cartridge that twins and snapshots rest on.
    pub(crate) fn kept_moments(&self, uuid: Uuid) -> Vec<Origin> {
        let mut kept = Vec::new();
        for dependent in self.resting() {
            let of_it = dependent.needs().filter(|(whole, _)| *whole == uuid);
            kept.extend(of_it.map(|(_, origin)| origin));
        }
        kept.sort_unstable_by_key(|origin| (origin.cartridge, origin.sequence));
        kept.dedup();
        kept
    }

    /// What rests on a cartridge, by name: barcodes of twins, names of snapshots.
    pub(crate) fn dependents(&self, uuid: Uuid) -> Vec<String> {
        let resting = self.resting().filter(|one| one.needs().any(|(whole, _)| whole == uuid));
        resting.map(|one| one.name()).collect()
    }

    /// The same for all cartridges that something rests on, in one pass.
    pub(crate) fn all_dependents(&self) -> BTreeMap<Uuid, Vec<String>> {
        let mut all: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
        for one in self.resting() {
            // Of one cartridge it may need several partitions.
            let on: BTreeSet<Uuid> = one.needs().map(|(whole, _)| whole).collect();
            for uuid in on {
                all.entry(uuid).or_default().push(one.name());
            }
        }
        all
    }

    fn resting(&self) -> impl Iterator<Item = Dependent<'_>> {
        let twins = self.cartridges().filter(|entry| entry.origin.is_some()).map(Dependent::Twin);
        twins.chain(self.snapshots.values().map(Dependent::Snapshot))
    }
}
