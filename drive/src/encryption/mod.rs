//! Encryption by keys that hosts bring: who has set what, and what holds for whom (SSC-4 §4.2.22).
//!
//! Keys are parameters of nexuses and not of the medium. A set of them holds for one nexus, or for all that have none of their own. They are in memory
//! only: a drive that is reset or started anew has none.

mod pages;
mod set;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vtl_media::{KeyDescription, Opening, Sealing};
use vtl_scsi::ItNexus;
use vtl_scsi::device::Refusal;
use vtl_scsi::sense::Sense;

pub(crate) use self::pages::security_protocol_in;
pub(crate) use self::set::security_protocol_out;
use crate::Drive;
use crate::drive::{Bay, Loaded};

/// What nexuses have said of keys.
#[derive(Debug, Default)]
pub(crate) struct Encryption {
    /// Holds for every nexus without parameters of its own, with the one that has set it.
    for_all: Option<(ItNexus, Arc<Parameters>)>,
    for_one: BTreeMap<ItNexus, Arc<Parameters>>,
    /// The number of the key on which a nexus relies: it may not read or write with another one.
    locked: BTreeMap<ItNexus, u32>,
    /// Nexuses that have asked about encryption or set it: they are told when another one changes it.
    interested: BTreeSet<ItNexus>,
    /// How many keys have been set.
    key_instances: u32,
}

/// What one SET DATA ENCRYPTION page said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// What is written is encrypted with it.
    sealing: Option<Sealing>,
    opening: Opening,
    description: KeyDescription,
    algorithm_index: u8,
    /// What the page said of the check of the external encryption mode; it is said back.
    external_check: u8,
    is_cleared_on_demount: bool,
    key_instance: u32,
}

/// How far parameters reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Public = 0,
    Local = 1,
    AllNexuses = 2,
}

impl Encryption {
    /// What holds for a nexus.
    fn parameters(&self, nexus: ItNexus) -> Option<&Arc<Parameters>> {
        self.for_one.get(&nexus).or(self.for_all.as_ref().map(|(_, parameters)| parameters))
    }

    /// The scope of the nexus, and that of the key that it uses.
    fn scopes(&self, nexus: ItNexus) -> (Scope, Scope) {
        if self.for_one.contains_key(&nexus) {
            return (Scope::Local, Scope::Local);
        }
        match &self.for_all {
            Some((owner, _)) if *owner == nexus => (Scope::AllNexuses, Scope::AllNexuses),
            Some(_) => (Scope::Public, Scope::AllNexuses),
            None => (Scope::Public, Scope::Public),
        }
    }

    fn key_instance(&self, nexus: ItNexus) -> u32 {
        self.parameters(nexus).map_or(0, |parameters| parameters.key_instance)
    }

    /// A session ended: what it had set for itself goes with it.
    pub(crate) fn nexus_ends(&mut self, nexus: ItNexus) {
        self.for_one.remove(&nexus);
        self.locked.remove(&nexus);
        self.interested.remove(&nexus);
    }

    /// The medium leaves the drive: keys that were to go with it do.
    pub(crate) fn demounted(&mut self) {
        self.for_one.retain(|_, parameters| !parameters.is_cleared_on_demount);
        if self.for_all.as_ref().is_some_and(|(_, parameters)| parameters.is_cleared_on_demount) {
            self.for_all = None;
        }
    }

    /// What blocks of this nexus are encrypted with.
    fn sealing(&self, nexus: ItNexus) -> Option<Arc<Parameters>> {
        self.parameters(nexus).filter(|parameters| parameters.sealing.is_some()).cloned()
    }

    /// Refuses a nexus that has locked itself to a key that is not in use any more.
    fn check_lock(&self, nexus: ItNexus) -> Result<(), Refusal> {
        match self.locked.get(&nexus) {
            Some(locked) if *locked != self.key_instance(nexus) => {
                Err(Sense::key_instance_counter_changed().into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Loaded {
    /// Whether its format knows encryption: from LTO-4 on.
    fn can_be_encrypted(&self) -> bool {
        const LTO4_DENSITY: u8 = 0x46;
        self.generation.density >= LTO4_DENSITY
    }
}

/// Nobody may have a key any more that has been replaced or given up: the next command that needs one brings it again.
pub(crate) fn forget_keys(drive: &mut Drive) {
    if let Bay::Ready(loaded) | Bay::Unloaded(loaded) = &mut drive.bay {
        loaded.cartridge.forget_keys();
    }
}

/// What this nexus writes is to be encrypted as it has asked for. To be called before blocks are written.
pub(crate) fn prepare_write(drive: &mut Drive, nexus: ItNexus) -> Result<(), Refusal> {
    drive.encryption.check_lock(nexus)?;
    let parameters = drive.encryption.sealing(nexus);
    let loaded = drive.loaded()?;
    let sealing = parameters.as_ref().and_then(|parameters| parameters.sealing.as_ref());
    if sealing.is_some() && !loaded.can_be_encrypted() {
        return Err(Sense::security_error().into());
    }
    loaded.cartridge.set_sealing(sealing).map_err(|_| Sense::internal_target_failure().into())
}

/// What this nexus reads is to be decrypted as it has asked for. To be called before blocks are read.
pub(crate) fn prepare_read(drive: &mut Drive, nexus: ItNexus) -> Result<(), Refusal> {
    drive.encryption.check_lock(nexus)?;
    // Field by field, as the key stays where it is.
    if let Bay::Ready(loaded) = &mut drive.bay {
        let disabled = Opening::Disabled;
        let parameters = drive.encryption.parameters(nexus);
        loaded.cartridge.set_opening(parameters.map_or(&disabled, |found| &found.opening));
    }
    Ok(())
}
