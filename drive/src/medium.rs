//! LOAD UNLOAD and PREVENT ALLOW MEDIUM REMOVAL (SSC-5 §7.2, SPC-5 §6.18).

use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use vtl_media::LoadError;
use vtl_scsi::cdb::bit;
use vtl_scsi::device::Executed;
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, ItNexus, Task};

use crate::Drive;
use crate::drive::{Bay, Loaded, NotLoaded};
use crate::encryption;
use crate::statistics::Statistics;

/// LOAD UNLOAD: threads the cartridge, or brings everything to disk and lets the robot have it.
pub(crate) fn load_unload(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, _, action, _control) = task.cdb.fields((be_u8, take(2_usize), be_u8, be_u8))?;
    if bit(action, 0) { load(drive, task.nexus) } else { unload(drive, task.nexus) }
}

/// PREVENT ALLOW MEDIUM REMOVAL: each nexus for itself.
pub(crate) fn prevent_allow_medium_removal(drive: &mut Drive, task: &mut Task) -> Executed {
    let (_, prevents, _control) = task.cdb.fields((take(3_usize), be_u8, be_u8))?;
    if bit(prevents, 0) {
        drive.prevented_by.insert(task.nexus);
    } else {
        drive.prevented_by.remove(&task.nexus);
    }
    Ok(Completion::good())
}

fn load(drive: &mut Drive, nexus: ItNexus) -> Executed {
    match std::mem::replace(&mut drive.bay, Bay::Empty) {
        Bay::Unloaded(loaded) => {
            let loaded = match reopened(&mut drive.statistics, loaded) {
                Ok(loaded) => loaded,
                // Somebody has locked the key of its pool since; nothing is wrong with it.
                Err(LoadError::AtRest(_)) => {
                    drive.refuse(NotLoaded::Locked);
                    return Err(Sense::manual_intervention_required().into());
                }
                Err(_) => {
                    drive.refuse(NotLoaded::Damaged);
                    return Err(Sense::medium_load_failed().into());
                }
            };
            drive.bay = Bay::Ready(loaded);
            drive.show_medium();
            drive.append_only.begin_medium();
            drive.unit.raise(Sense::medium_may_have_changed());
        }
        Bay::Ready(mut loaded) => {
            let rewound = loaded.cartridge.rewind_to_first();
            drive.bay = Bay::Ready(loaded);
            drive.append_only.forget();
            if let Err(error) = rewound {
                return Ok(drive.failed(nexus, &error));
            }
        }
        Bay::Empty => return Err(Sense::medium_not_present().into()),
        refused @ Bay::Refused(_) => {
            drive.bay = refused;
            return Err(vtl_scsi::device::Device::not_ready(drive)
                .unwrap_or(Sense::medium_load_failed())
                .into());
        }
    }
    Ok(Completion::good())
}

/// A cartridge on which a write has failed is read anew from its journal, and can be written again then.
fn reopened(statistics: &mut Statistics, loaded: Loaded) -> Result<Loaded, LoadError> {
    if !loaded.cartridge.is_fenced() {
        return Ok(loaded);
    }
    let Loaded { cartridge, generation, is_read_only } = loaded;
    statistics.keep_traffic_of(&cartridge);
    let cartridge = cartridge.reopen()?;
    Ok(Loaded { cartridge, generation, is_read_only })
}

fn unload(drive: &mut Drive, nexus: ItNexus) -> Executed {
    if drive.is_cleaning() {
        return Err(Sense::cleaning_cartridge_installed().into());
    }
    if drive.refuses_removal() {
        return Err(Sense::removal_prevented().into());
    }
    match std::mem::replace(&mut drive.bay, Bay::Empty) {
        Bay::Ready(mut loaded) => {
            // Rewinding is a sync point: what could not be brought to disk is said, and the cartridge stays loaded.
            if let Err(error) = loaded.cartridge.rewind_to_first() {
                drive.bay = Bay::Ready(loaded);
                return Ok(drive.failed(nexus, &error));
            }
            drive.bay = Bay::Unloaded(loaded);
            drive.encryption.demounted();
            encryption::forget_keys(drive);
        }
        Bay::Empty => return Err(Sense::medium_not_present().into()),
        already => drive.bay = already,
    }
    Ok(Completion::good())
}
