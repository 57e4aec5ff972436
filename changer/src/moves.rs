//! MOVE MEDIUM, EXCHANGE MEDIUM and what belongs to them (SMC-3 §6).

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use vtl_scsi::cdb::bit;
use vtl_scsi::device::{Executed, Refusal};
use vtl_scsi::sense::Sense;
use vtl_scsi::{Completion, Lun, Task};

use crate::{Changer, Element};

/// Why a medium was not moved. It is where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveFailure {
    /// There is nothing to move.
    SourceEmpty,
    /// There is a medium where this one was to go.
    DestinationFull,
    /// A nexus prevents the removal from the drive.
    RemovalPrevented,
    /// The drive could not bring its data to disk and holds on to the medium.
    DriveHoldsMedium,
    /// The move could not be made durable.
    NotRecorded,
}

impl MoveFailure {
    fn sense(self) -> Sense {
        match self {
            Self::SourceEmpty => Sense::source_empty(),
            Self::DestinationFull => Sense::destination_full(),
            Self::RemovalPrevented => Sense::removal_prevented(),
            Self::DriveHoldsMedium => Sense::unload_failure(),
            Self::NotRecorded => Sense::internal_target_failure(),
        }
    }
}

/// MOVE MEDIUM (SMC-3 §6.8).
pub(crate) fn move_medium(changer: &mut Changer, task: &mut Task) -> Executed {
    let (_, transport, source, destination, _, invert, _control) =
        task.cdb.fields((be_u8, be_u16, be_u16, be_u16, be_u16, be_u8, be_u8))?;
    check_transport(changer, transport)?;
    refuse_inverting(invert, 0, 10)?;
    let from = movable(changer, task, source, 4)?;
    let to = movable(changer, task, destination, 6)?;
    if from == to {
        // The arm has nothing to do, but only if there is something to leave in place.
        let occupied = changer.robot.occupant(from).is_some();
        return if occupied { Ok(Completion::good()) } else { Err(Sense::source_empty().into()) };
    }
    Ok(finish(changer.robot.move_medium(from, to)))
}

/// EXCHANGE MEDIUM (SMC-3 §6.1).
pub(crate) fn exchange_medium(changer: &mut Changer, task: &mut Task) -> Executed {
    let (_, transport, source, first, second, invert, _control) =
        task.cdb.fields((be_u8, be_u16, be_u16, be_u16, be_u16, be_u8, be_u8))?;
    check_transport(changer, transport)?;
    refuse_inverting(invert, 0, 10)?;
    refuse_inverting(invert, 1, 10)?;
    let from = movable(changer, task, source, 4)?;
    let to = movable(changer, task, first, 6)?;
    let second_to = movable(changer, task, second, 8)?;
    if from == to || to == second_to {
        return Err(Sense::invalid_element_address().into());
    }
    Ok(finish(changer.robot.exchange_medium(from, to, second_to)))
}

/// POSITION TO ELEMENT (SMC-3 §6.10): the arm is everywhere at once, so it is there.
pub(crate) fn position_to_element(changer: &mut Changer, task: &mut Task) -> Executed {
    let (_, transport, destination, _, invert, _control) =
        task.cdb.fields((be_u8, be_u16, be_u16, be_u16, be_u8, be_u8))?;
    check_transport(changer, transport)?;
    refuse_inverting(invert, 0, 8)?;
    changer.map.element(destination).ok_or(Refusal(Sense::invalid_element_address()))?;
    Ok(Completion::good())
}

/// OPEN/CLOSE IMPORT/EXPORT ELEMENT (SMC-3 §6.7): an open one cannot be reached by the arm.
pub(crate) fn open_close_import_export(changer: &mut Changer, task: &mut Task) -> Executed {
    const OPEN: u8 = 0;
    const CLOSE: u8 = 1;
    let (_, address, action, _control) = task.cdb.fields((be_u8, be_u16, be_u8, be_u8))?;
    let Some(Element::ImportExport(number)) = changer.map.element(address) else {
        return Err(Sense::invalid_element_address().into());
    };
    match action & 0x1f {
        OPEN if changer.is_removal_prevented() => return Err(Sense::removal_prevented().into()),
        OPEN => changer.open_import_export.insert(number),
        CLOSE => changer.open_import_export.remove(&number),
        _ => return Err(Sense::invalid_field_in_cdb(4, Some(4)).into()),
    };
    Ok(Completion::good())
}

/// PREVENT ALLOW MEDIUM REMOVAL: each nexus for itself; it holds for the import/export elements.
pub(crate) fn prevent_allow_medium_removal(changer: &mut Changer, task: &mut Task) -> Executed {
    let (_, prevents, _control) = task.cdb.fields((take(3_usize), be_u8, be_u8))?;
    if bit(prevents, 0) {
        changer.prevented_by.insert(task.nexus);
    } else {
        changer.prevented_by.remove(&task.nexus);
    }
    Ok(Completion::good())
}

fn finish(outcome: Result<(), MoveFailure>) -> Completion {
    match outcome {
        Ok(()) => Completion::good(),
        Err(failure) => failure.sense().into(),
    }
}

fn check_transport(changer: &Changer, address: u16) -> Result<(), Refusal> {
    if changer.map.is_transport(address) {
        return Ok(());
    }
    Err(Sense::invalid_element_address().into())
}

/// A cartridge has one side.
fn refuse_inverting(flags: u8, number: u8, byte: u16) -> Result<(), Refusal> {
    if bit(flags, number) {
        return Err(Sense::invalid_field_in_cdb(byte, Some(number)).into());
    }
    Ok(())
}

/// An element that a medium can be taken from or put into. `byte` is where the CDB names it. A drive whose logical unit does not
/// exist for the initiator is not reached through the arm either.
fn movable(changer: &Changer, task: &Task, address: u16, byte: u16) -> Result<Element, Refusal> {
    let element = changer.map.element(address).ok_or(Refusal(Sense::invalid_element_address()))?;
    match element {
        // The arm is part of each move and never its end (mode page 1Fh says so).
        Element::Transport(_) => Err(Sense::invalid_field_in_cdb(byte, Some(7)).into()),
        Element::ImportExport(number) if changer.open_import_export.contains(&number) => {
            Err(Sense::import_export_not_accessible().into())
        }
        Element::Drive(number) if !task.rights.sees(lun_of_drive(number)) => {
            Err(Sense::invalid_element_address().into())
        }
        Element::ImportExport(_) | Element::Storage(_) | Element::Drive(_) => Ok(element),
    }
}

/// Drive n is logical unit n + 1.
pub(crate) fn lun_of_drive(number: u16) -> Lun {
    Lun(number.saturating_add(1))
}
